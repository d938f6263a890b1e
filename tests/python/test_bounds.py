"""The interval holds sigma, as often as it says, wherever it starts."""

import numpy as np
import pytest

from matrices import FAMILIES, naive_norm, naive_norms, orthonormal, random, with_spectrum
from rsspecnorm import ConvergenceWarning, leading_triplet, spectral_bounds, spectral_norm
from tolerances import ROUNDING, RTOL_WIDE


def test_bounds_of_two_by_two_hold_hand_value():
    bounds = spectral_bounds([[3.0, 0.0], [4.0, 5.0]])
    assert bounds.lower <= 3 * np.sqrt(5) * (1 + ROUNDING)
    assert bounds.upper >= 3 * np.sqrt(5) * (1 - ROUNDING)
    assert bounds.kind == "probable"
    assert bounds.failure_prob == 1e-6


@pytest.mark.parametrize("width", [0.3, 1e-2, 1e-4, 1e-9])
@pytest.mark.parametrize("family", FAMILIES)
def test_bounds_of_family_hold_svd_within_width(family, width):
    a = FAMILIES[family]()
    bounds, sigma = spectral_bounds(a, width=width), naive_norm(a)
    assert bounds.converged
    assert bounds.lower <= sigma * (1 + ROUNDING)
    assert bounds.upper >= sigma * (1 - ROUNDING)
    assert bounds.upper <= (1 + width) * bounds.lower


def test_bounds_of_stack_have_batch_shape():
    stack = np.random.default_rng(0).standard_normal((3, 2, 20, 30))
    bounds, sigma = spectral_bounds(stack), naive_norms(stack)
    assert bounds.lower.shape == bounds.upper.shape == (3, 2)
    assert bounds.n_passes.shape == bounds.converged.shape == (3, 2)
    assert np.all(bounds.lower <= sigma * (1 + ROUNDING))
    assert np.all(bounds.upper >= sigma * (1 - ROUNDING))


def test_narrower_width_takes_more_passes():
    a = with_spectrum(0.97 ** np.arange(150.0), 200, 180)
    passes = [spectral_bounds(a, width=width).n_passes for width in (0.5, 1e-2, 1e-4)]
    assert passes[0] < passes[-1]
    assert passes == sorted(passes)


def test_smaller_failure_prob_raises_upper():
    a = random(300, 200)
    with pytest.warns(ConvergenceWarning):
        uppers = [
            spectral_bounds(a, width=1e-9, failure_prob=p, maxiter=5).upper
            for p in (0.5, 1e-3, 1e-12)
        ]
    assert uppers[0] < uppers[1] < uppers[2]


def violations(a, sigma, *, seeds, maxiter, **options):
    """Count the seeds for which sigma lies above `upper`, and check `lower` for all."""
    count = 0
    for seed in seeds:
        bounds = spectral_bounds(a, width=1e-9, maxiter=maxiter, rng=seed, **options)
        assert bounds.lower <= sigma * (1 + ROUNDING)
        count += bool(bounds.upper < sigma * (1 - ROUNDING))
    return count


def spike(*others):
    """Matrix whose largest singular value is 1."""
    return np.diag(np.concatenate([[1.0], *others]))


# Too large for the direct method, which has no random start.
HARD = {
    "one among equals": spike(np.full(159, 0.8)),
    "far above the rest": spike(np.linspace(0.05, 0.01, 199)),
    "close to the rest": spike(np.linspace(0.99, 0.5, 139)),
    "few": spike(np.repeat(np.linspace(0.8, 0.1, 9), 16)),
    "random": random(140, 135, seed=9) / naive_norm(random(140, 135, seed=9)),
}
N_SEEDS = 400


def three_deviations(p):
    return 3 * np.sqrt(N_SEEDS * p * (1 - p))


# Few passes, so that the random start decides; the interval must hold without convergence.
@pytest.mark.filterwarnings("ignore::rsspecnorm.ConvergenceWarning")
@pytest.mark.parametrize("maxiter", [1, 2, 3, 5, 12])
@pytest.mark.parametrize("name", HARD)
def test_upper_bound_fails_no_more_often_than_stated(name, maxiter):
    p = 0.1
    options = {"seeds": range(N_SEEDS), "maxiter": maxiter, "failure_prob": p}
    assert violations(HARD[name], 1.0, **options) <= N_SEEDS * p + three_deviations(p)


@pytest.mark.filterwarnings("ignore::rsspecnorm.ConvergenceWarning")
@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_upper_bound_of_lone_top_value_fails_as_often_as_stated(p):
    # Here the bound is sharp: a wider one would be safe, and pass the tests above, for nothing.
    options = {"seeds": range(N_SEEDS), "maxiter": 3, "failure_prob": p}
    count = violations(HARD["far above the rest"], 1.0, **options)
    assert abs(count - N_SEEDS * p) <= three_deviations(p)


@pytest.mark.filterwarnings("ignore::rsspecnorm.ConvergenceWarning")
@pytest.mark.parametrize("maxiter", [1, 2, 5, 20])
@pytest.mark.parametrize("name", HARD)
def test_upper_bound_never_fails_at_default_probability(name, maxiter):
    assert violations(HARD[name], 1.0, seeds=range(N_SEEDS), maxiter=maxiter) == 0


SPECTRUM = np.concatenate([[1.0, 0.95], np.linspace(0.9, 0.1, 138)])
GAPPED = with_spectrum(SPECTRUM, 180, 140, seed=20)
RIGHT = orthonormal(140, 140, seed=21)


def test_warm_start_at_top_vector_is_nearer_after_few_passes():
    top = leading_triplet(GAPPED).v
    with pytest.warns(ConvergenceWarning):
        cold = leading_triplet(GAPPED, maxiter=4)
    with pytest.warns(ConvergenceWarning):
        warm = leading_triplet(GAPPED, v0=top, maxiter=4)
    assert cold.sigma < warm.sigma <= 1 + RTOL_WIDE
    assert warm.residual < 0.1 * cold.residual


def test_warm_start_at_top_vector_costs_no_more_passes():
    top = leading_triplet(GAPPED).v
    assert leading_triplet(GAPPED, v0=top).sigma == pytest.approx(1, rel=RTOL_WIDE)
    assert leading_triplet(GAPPED, v0=top).n_passes <= leading_triplet(GAPPED).n_passes


@pytest.mark.parametrize("seed", range(30))
def test_adversarial_warm_start_still_finds_top(seed):
    # The second vector is orthogonal to the first and invariant: unmixed, it would never leave.
    second = RIGHT[:, 1]
    top = leading_triplet(GAPPED, v0=second, rng=seed)
    assert top.sigma == pytest.approx(1, rel=RTOL_WIDE)
    bounds = spectral_bounds(GAPPED, v0=second, rng=seed)
    assert bounds.lower <= 1 + ROUNDING
    assert bounds.upper >= 1 - ROUNDING


@pytest.mark.parametrize("scale", [1e-200, -3.0, 1e200])
def test_warm_start_counts_by_direction_only(scale):
    warm = leading_triplet(GAPPED, v0=RIGHT[:, 0] * scale)
    assert warm.sigma == pytest.approx(1, rel=RTOL_WIDE)
    assert warm.n_passes <= leading_triplet(GAPPED).n_passes


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_warm_start_without_direction_counts_as_none(value):
    v0 = np.full(140, value)
    assert np.array_equal(leading_triplet(GAPPED, v0=v0).v, leading_triplet(GAPPED).v)


def test_one_warm_start_serves_a_stack():
    stack = np.stack([GAPPED, 2 * GAPPED])
    shared = leading_triplet(stack, v0=RIGHT[:, 0])
    own = leading_triplet(stack, v0=np.stack([RIGHT[:, 0]] * 2))
    assert np.array_equal(shared.sigma, own.sigma)
    np.testing.assert_allclose(shared.sigma, [1, 2], rtol=RTOL_WIDE)


def test_unconverged_call_warns_its_caller_with_the_interval():
    a = random(300, 200)
    with pytest.warns(ConvergenceWarning, match="the tolerance was not reached for a: ") as caught:
        top = leading_triplet(a, maxiter=3)
    assert caught[0].filename == __file__
    assert not top.converged
    assert f"{top.lower:.17g} and {top.upper:.17g}" in str(caught[0].message)
    assert top.lower <= naive_norm(a) <= top.upper


def test_unconverged_stack_warns_once_with_the_first_index():
    stack = np.zeros((2, 3, 300, 200))
    stack[1, 0] = random(300, 200)
    stack[1, 2] = random(300, 200, seed=1)
    with pytest.warns(ConvergenceWarning, match=r"for a\[1, 0\] \(and 1 more\)") as caught:
        bounds = spectral_bounds(stack, width=1e-9, maxiter=3)
    assert len(caught) == 1
    assert bounds.converged.tolist() == [[True, True, True], [False, True, False]]


def test_converged_call_is_silent(recwarn):
    spectral_norm(random(100, 80))
    spectral_bounds(random(100, 80))
    assert not recwarn.list


@pytest.mark.parametrize("kind", ["probable", "rigorous"])
@pytest.mark.parametrize("shape", [(3, 3), (30, 30), (300, 300), (2000, 5), (40, 3, 3)], ids=str)
def test_width_that_rounding_forbids_is_not_said_to_be_reached(kind, shape):
    a = np.random.default_rng(0).standard_normal(shape)
    with pytest.warns(ConvergenceWarning):
        bounds = spectral_bounds(a, kind=kind, width=1e-17)
    assert not np.any(bounds.converged)
    sigma = np.linalg.svd(a, compute_uv=False)[..., 0]
    assert np.all(bounds.lower <= sigma * (1 + ROUNDING))
    assert np.all(bounds.upper >= sigma * (1 - ROUNDING))
