"""Every workload with every engine; small when nothing is measured."""

from functools import cache

import pytest

from workloads import WORKLOADS, Case, CheckpointMissingError, Workload, largest_error

PLACES = range(4)


@cache
def prepared(workload: Workload, small: bool) -> Case:
    return workload.prepare(small)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
def test_engine_on_workload(benchmark, workload, place):
    try:
        case = prepared(workload, benchmark.disabled)
    except CheckpointMissingError:
        pytest.skip("the checkpoint's package is not installed")
    if place >= len(case.engines):
        pytest.skip("has fewer engines")
    engine = case.engines[place]
    benchmark.group = workload.title
    benchmark.name = engine.name
    assert largest_error(benchmark(engine.call), case.expected) < workload.tolerance
