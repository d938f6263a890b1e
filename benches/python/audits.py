"""Whole runs of the command and of its peer, each in a process of its own.

What is timed is what a person waits for: the start of the interpreter, imports, reading, the work
and writing the report into a file.
"""

import json
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import NamedTuple

from engines import NUMPY, OURS
from harness import Engine

PEER = Path(__file__).with_name("numpy_audit.py")
START = "the interpreter's start alone"

# How long to wait between two looks at a process's memory.
PAUSE = 0.001


def audit_command(model: Path, report: Path) -> list[str]:
    return [
        *(sys.executable, "-m", "rsspecnorm", "audit", str(model)),
        *("--format", "json", "-o", str(report)),
    ]


def run_audit(model: Path, folder: Path) -> dict[str, float]:
    """Run the command; sigma by name."""
    report = folder / "audit.json"
    subprocess.run(audit_command(model, report), cwd=folder, check=True, stdout=subprocess.DEVNULL)
    rows = json.loads(report.read_bytes())["tensors"]
    return {row["name"]: row["sigma_max"] for row in rows}


def run_peer(model: Path, folder: Path) -> dict[str, float]:
    """Run the NumPy script; sigma by name."""
    report = folder / "numpy.txt"
    with report.open("w", encoding="utf-8") as file:
        command = [sys.executable, str(PEER), str(model)]
        subprocess.run(command, cwd=folder, check=True, stdout=file)
    rows = [line.split("\t") for line in report.read_text(encoding="utf-8").splitlines()]
    return {row[0]: float(row[2]) for row in rows}


def run_nothing(folder: Path) -> None:
    subprocess.run([sys.executable, "-c", "pass"], cwd=folder, check=True)


def audit_engines(model: Path, folder: Path) -> list[Engine]:
    """Ours first. The floor that no Python program gets below comes last."""
    return [
        Engine(OURS, partial(run_audit, model, folder)),
        Engine(NUMPY, partial(run_peer, model, folder)),
        Engine(START, partial(run_nothing, folder)),
    ]


class Memory(NamedTuple):
    """Peaks of a process and its children together, in bytes."""

    unmapped: int
    """Resident pages, without those of the checkpoint's map."""
    anonymous: int
    """Of these, the ones that belong to no file: what was allocated."""
    samples: int
    """How often was looked."""


def peak_memory(model: Path, folder: Path) -> Memory | None:
    """Watch one run of the command; None where the system has no `smaps`.

    Pages that parent and child share count twice, so the peak is not understated by sharing; one
    that lasts less than a millisecond may be missed.
    """
    if not Path("/proc/self/smaps").exists():
        return None
    command = audit_command(model, folder / "watched.json")
    peak = Memory(0, 0, 0)
    with subprocess.Popen(command, cwd=folder) as run:
        while run.poll() is None:
            seen = [resident(process, model) for process in family(run.pid)]
            unmapped, anonymous = (sum(column) for column in zip(*seen, strict=True))
            peak = Memory(
                max(peak.unmapped, unmapped), max(peak.anonymous, anonymous), peak.samples + 1
            )
            time.sleep(PAUSE)
    if run.returncode:
        raise subprocess.CalledProcessError(run.returncode, command)
    return peak


def family(process: int) -> list[int]:
    """A process and all that descend from it."""
    try:
        text = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii")
    except OSError:  # it has just ended
        text = ""
    return [process, *(each for child in text.split() for each in family(int(child)))]


def resident(process: int, model: Path) -> tuple[int, int]:
    """Resident bytes outside the model's map, and how many of them belong to no file."""
    try:
        text = Path(f"/proc/{process}/smaps").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0, 0
    unmapped = anonymous = 0
    counts = True
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key == "Rss" and counts:
            unmapped += 1024 * int(value.split()[0])
        elif key == "Anonymous" and counts:
            anonymous += 1024 * int(value.split()[0])
        elif "-" in key and " " in key:  # the head of a mapping: addresses, rights, path
            counts = not line.endswith(str(model.resolve()))
    return unmapped, anonymous
