"""Every workload of the torch adapter with every engine; small when nothing is measured."""

import pytest

from torch_workloads import WORKLOADS

CASES = [(workload, place) for workload in WORKLOADS for place in range(4)]


@pytest.mark.parametrize(("workload", "place"), CASES, ids=lambda x: getattr(x, "name", str(x)))
def test_engine_on_workload(benchmark, workload, place):
    engines = workload.prepare(benchmark.disabled)
    if place >= len(engines):
        pytest.skip("has fewer engines")
    benchmark.group = workload.title
    benchmark.name = engines[place].name
    benchmark(engines[place].call)
