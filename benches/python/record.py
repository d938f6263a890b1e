"""Runs the whole set once and writes it down.

    python benches/python/record.py [--quick] [--only NAME ...] [--output FILE]

`--quick` takes few rounds on small matrices, to see that everything works; it prints the record in
place of keeping it.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import engines
import machine
import report
from audits import audit_engines, peak_memory
from harness import MOST_STRETCHES, Measured, measure
from workloads import ROOT, WORKLOADS, Workload, checkpoint, checkpoint_sigmas, largest_error

AUDIT_ROUNDS = 9
MEMORY_RUNS = 5

NUMPY_CALL, SVDS_CALL = "`numpy.linalg.norm(a, 2)`", "`scipy.sparse.linalg.svds(a, k=1)`"
# Lines of the README's table: workload, work, engine, peer.
SUMMARY = (
    ("gaussian-2048x2048", "sigma of a 2048 x 2048 float32 matrix", engines.NUMPY, NUMPY_CALL),
    ("gaussian-2048x2048", "the same", engines.SVDS, SVDS_CALL),
    (
        "checkpoint",
        "the 40 matrices of the demo's checkpoint",
        engines.NUMPY,
        "a loop of `numpy.linalg.norm`",
    ),
    ("checkpoint", "the same", engines.SVDS, "a loop of `svds`"),
    (
        "audit",
        "`rsspecnorm audit` of it, whole process",
        engines.NUMPY,
        "a NumPy script that does the same",
    ),
    ("call-3x3", "one 3 x 3 matrix", engines.NUMPY, NUMPY_CALL),
)


class Section:
    """The measurements of one workload."""

    def __init__(self, title: str, results: list[Measured], errors: list[float | None]) -> None:
        self.title, self.results, self.errors = title, results, errors

    def ratio_to(self, name: str) -> float:
        """How many times as long as ours the engine of that name took."""
        peer = next(each for each in self.results if each.name == name)
        return peer.times(self.results[0]).middle

    def text(self, unit: str) -> str:
        rounds = len(self.results[0].seconds)
        body = report.comparison(self.results, self.errors, unit)
        return f"### {self.title}\n\n{machine.in_short()}; {rounds} rounds.\n\n{body}\n"


def run_workload(workload: Workload, quick: bool) -> Section:
    case = workload.prepare(quick)
    results = measure(case.engines, 3 if quick else workload.rounds)
    errors = [largest_error(each.value, case.expected) for each in results]
    return Section(workload.title, results, errors)


def run_audits(quick: bool, folder: Path) -> Section:
    ready = audit_engines(checkpoint(), folder)
    # The warm-up brings the files into the page cache: what is timed is no disk.
    results = measure(ready, 2 if quick else AUDIT_ROUNDS)
    errors: list[float | None] = []
    for each in results:
        if each.value is None:
            errors.append(None)
            continue
        expected = checkpoint_sigmas()
        sigmas = [each.value[name] for name in expected]
        errors.append(largest_error(sigmas, np.array(list(expected.values()))))
    return Section("the audit of the demo's checkpoint, whole process", results, errors)


def memory_text(quick: bool, folder: Path) -> str:
    model = checkpoint()
    runs = [peak_memory(model, folder) for _ in range(1 if quick else MEMORY_RUNS)]
    known = [run for run in runs if run is not None]
    head = "### memory of the audit\n\n"
    if not known:
        return f"{head}Not measured: this system has no smaps.\n"
    mib = [max(run.unmapped for run in known) / 2**20, max(run.anonymous for run in known) / 2**20]
    rows = [
        ("resident, without the pages of the mapped checkpoint", f"{mib[0]:.1f}"),
        ("of these, pages of no file", f"{mib[1]:.1f}"),
        ("size of the checkpoint's file", f"{model.stat().st_size / 2**20:.1f}"),
    ]
    looks = min(run.samples for run in known)
    how = f"Command and child process together, {len(known)} runs, at least {looks} looks at each."
    return f"{head}{how}\n\n{report.table(('peak', 'MiB'), rows)}\n"


def sweep_text(quick: bool) -> str:
    """The Rust bench's own table."""
    command = [os.environ.get("CARGO", "cargo"), "bench", "--locked", "-p", "rsspecnorm"]
    command += ["--bench", "sweep", "--", *(["--quick"] if quick else [])]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return f"### one pass beside a read sweep\n\n{done.stdout.strip()}\n"


def wanted(only: list[str], name: str) -> bool:
    return not only or name in only


def sections(quick: bool, only: list[str], folder: Path) -> Iterator[str]:
    """The record, piece by piece; the summary last, since it needs the others."""
    done: dict[str, Section] = {}
    for workload in WORKLOADS:
        if wanted(only, workload.name):
            say(workload.title)
            done[workload.name] = run_workload(workload, quick)
            yield done[workload.name].text(workload.unit)
    if wanted(only, "audit"):
        say("the audit")
        done["audit"] = run_audits(quick, folder)
        yield done["audit"].text("ms")
        yield memory_text(quick, folder)
    if wanted(only, "sweep"):
        say("the fused pass")
        yield sweep_text(quick)
    rows = [
        (work, peer, done[name].ratio_to(engine), done[name].errors[0])
        for name, work, engine, peer in SUMMARY
        if name in done
    ]
    yield f"## Summary\n\n{report.summary(rows)}\n"


def say(what: str) -> None:
    print(f"measuring {what}", file=sys.stderr, flush=True)


def compose(quick: bool, only: list[str]) -> str:
    with tempfile.TemporaryDirectory() as folder:
        *parts, summary = sections(quick, only, Path(folder))
    title = f"# {machine.today()}, {machine.cpu()['model name']}\n"
    if quick:
        title += "\nA quick run: few rounds on small matrices. Its numbers mean nothing.\n"
    facts = report.table(("", ""), machine.describe(), numbers_from=2)
    calls = report.table(
        ("engine", "call"), [(name, call) for name, call in engines.CALLS.items()], numbers_from=2
    )
    how = (
        "Engines take turns, round by round; where calls are short, a sample is the median of up to"
        f" {MOST_STRETCHES} of them. A ratio is formed within a round; what is shown is the"
        " median over the rounds and its range. The spread is the range of the middle half of the"
        " times, relative to the median. Errors are relative to a float64 SVD."
    )
    head = [title, summary, f"## Machine and software\n\n{facts}\n", f"## Measurements\n\n{how}\n"]
    return "\n".join([*head, f"{calls}\n", *parts])


def main() -> None:
    parser = argparse.ArgumentParser(description="Run the benchmarks and write a record.")
    parser.add_argument("--quick", action="store_true", help="small matrices, printed, not kept")
    names = [*(workload.name for workload in WORKLOADS), "audit", "sweep"]
    parser.add_argument("--only", nargs="+", choices=names, default=[], help="only these")
    parser.add_argument("--output", type=Path, help="default: benches/record/<date>-<cpu>.md")
    args = parser.parse_args()
    text = compose(args.quick, args.only)
    if args.output is None and (args.quick or args.only):
        print(text)
        return
    name = f"{machine.today()}-{machine.cpu_slug()}.md"
    output = args.output or ROOT / "benches" / "record" / name
    output.write_text(text, encoding="utf-8")
    print(output.name)


if __name__ == "__main__":
    main()
