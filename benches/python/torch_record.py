"""Measures the torch adapter beside torch and prints the record.

python benches/python/torch_record.py [--quick] [--only NAME ...]
"""

import argparse
from statistics import median

import torch

import machine
from harness import Measured, measure
from report import table
from torch_workloads import WORKLOADS, Workload


def added(results: list[Measured], baseline: str | None) -> dict[str, list[float]]:
    """Seconds that each engine adds to the baseline, round by round."""
    base = next((each.seconds for each in results if each.name == baseline), None)
    return {
        each.name: [t - b for t, b in zip(each.seconds, base, strict=True)]
        if base
        else each.seconds
        for each in results
        if each.name != baseline
    }


def section(workload: Workload, results: list[Measured]) -> str:
    """One table: how many times as much each engine costs as ours, and the times."""
    costs = added(results, workload.baseline)
    ours = costs[results[0].name]
    whole = {each.name: each.middle for each in results}
    base = whole.get(workload.baseline or "")
    rows = [
        (
            name,
            f"{median(t / o for t, o in zip(seconds, ours, strict=True)):.3g}",
            f"{median(seconds) * 1e3:.4g}",
            f"{whole[name] * 1e3:.4g}",
            f"{100 * median(seconds) / base:.1f} %" if base else "-",
        )
        for name, seconds in costs.items()
    ]
    head = ("engine", "times ours", "cost, ms", "whole, ms", "of the plain step")
    plain = f"\n\nThe step without normalisation: {base * 1e3:.4g} ms." if base else ""
    return f"### {workload.title}\n\n{table(head, rows)}{plain}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", nargs="*", default=[each.name for each in WORKLOADS])
    arguments = parser.parse_args()
    print(f"{machine.in_short()}; torch {torch.__version__}, {torch.get_num_threads()} threads.\n")
    for workload in WORKLOADS:
        if workload.name in arguments.only:
            rounds = 3 if arguments.quick else workload.rounds
            print(section(workload, measure(workload.prepare(arguments.quick), rounds)), flush=True)


if __name__ == "__main__":
    main()
