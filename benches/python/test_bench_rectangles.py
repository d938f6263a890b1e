"""Matrices with one long side; small when nothing is measured."""

import pytest

import engines
from sweep_rectangles import NORMS, cases, matrix


@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize("case", cases(small=True), ids=str)
def test_norm_of_rectangle(benchmark, case, name):
    a = matrix(*case)
    benchmark.group = str(case)
    assert benchmark(NORMS[name], a) == pytest.approx(engines.reference(a), rel=1e-5)
