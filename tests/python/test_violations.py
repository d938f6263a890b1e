"""How often the probable bound fails: as often as it says, or less.

A run is cut short, so that the bound rests on the start alone; its end is compared with the norm
known on paper. Every start has its own seed, so failures are independent: their number is held to
the binomial distribution.
"""

import warnings

import numpy as np
import pytest
from scipy import stats

from matrices import orthonormal
from rsspecnorm import ConvergenceWarning, spectral_bounds

STEPS = 6
# Large enough that the matrix is not solved directly.
GAP = np.r_[1.0, 0.9, np.linspace(0.85, 0.1, 138)]


def problem():
    """Matrix whose top value is 1, and its right singular vectors."""
    u, v = orthonormal(150, 140, 1), orthonormal(140, 140, 2)
    return (u * GAP) @ v.T, v


def starts(v):
    """No start; one that helps; two that an adversary would choose."""
    return {
        "cold": None,
        "warm": v[:, 0] + 0.3 * v[:, 5],
        "second vector": v[:, 1],
        "all but the top": v[:, 1:].sum(axis=1),
    }


def count(a, start, failure_prob, runs):
    """Upper ends below the norm, and those that say anything at all."""
    violated = informed = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for seed in range(runs):
            bounds = spectral_bounds(
                a, width=1e-12, failure_prob=failure_prob, v0=start, maxiter=STEPS, rng=seed
            )
            assert bounds.lower <= 1 + 1e-14
            violated += bool(bounds.upper < 1 - 1e-14)
            informed += bool(bounds.upper < 0.9 * np.linalg.norm(a))
    return violated, informed


def check_rate(start, failure_prob, runs):
    a, v = problem()
    violated, informed = count(a, starts(v)[start], failure_prob, runs)
    # One false alarm in a million test runs.
    assert violated <= stats.binom.ppf(1 - 1e-6, runs, failure_prob)
    assert informed >= runs / 2  # a bound that says nothing would pass, too


@pytest.mark.parametrize("failure_prob", [0.5, 0.1, 1e-3])
@pytest.mark.parametrize("start", ["cold", "warm", "second vector", "all but the top"])
def test_probable_bound_fails_no_more_often_than_it_says(start, failure_prob):
    check_rate(start, failure_prob, 600)


@pytest.mark.long
@pytest.mark.parametrize("failure_prob", [0.5, 0.1, 1e-3])
@pytest.mark.parametrize("start", ["cold", "warm", "second vector", "all but the top"])
def test_probable_bound_fails_no_more_often_than_it_says_at_length(start, failure_prob):
    check_rate(start, failure_prob, 20_000)


def test_rate_of_cold_start_at_even_odds_is_not_only_small():
    # The bound is exact once the top has emerged: far fewer failures would mean a blunt bound.
    a, v = problem()
    violated, _ = count(a, starts(v)["cold"], 0.5, 600)
    assert violated >= 600 * 0.2


@pytest.mark.long
def test_probable_bound_never_fails_at_one_in_a_million():
    a, v = problem()
    for start in starts(v).values():
        assert count(a, start, 1e-6, 10_000)[0] == 0
