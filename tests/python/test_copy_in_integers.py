"""Float32 matrices so large that their norm is looked for at a copy in integers of 16 bits."""

import subprocess
import sys

import numpy as np
import pytest

import rsspecnorm
from matrices import random, with_spectrum
from rsspecnorm import leading_triplet, spectral_norm, spectral_norms, thread_limit

# 2^22 elements and more: square, tall, wide, with tails in both directions; and more than 2^23,
# where a block has three vectors in place of two.
SHAPES = [
    (2048, 2048),
    (2051, 2055),
    (8200, 513),
    (1100, 4000),
    (2000, 2100),
    (40_000, 107),
    (2903, 2899),
    (1030, 8200),
]


def single(a):
    return np.asarray(a, dtype=np.float32)


def gram_norm(a):
    """Largest singular value by the smaller Gram matrix in float64: right to ten digits."""
    a = np.asarray(a, dtype=np.float64)
    gram = a.T @ a if a.shape[0] >= a.shape[1] else a @ a.T
    return np.sqrt(np.linalg.eigvalsh(gram)[-1])


@pytest.fixture(scope="module")
def gaussian():
    a = single(random(2048, 2048, 11))
    return a, gram_norm(a)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_six_digits_in_every_layout(shape):
    a = single(random(*shape, 3))
    expected = gram_norm(a)
    padded = np.zeros((shape[0] + 3, shape[1] + 5), np.float32)
    padded[1 : 1 + shape[0], 2 : 2 + shape[1]] = a
    found = spectral_norm(a)
    assert found == pytest.approx(expected, rel=1e-6)
    assert spectral_norm(padded[1 : 1 + shape[0], 2 : 2 + shape[1]]) == found
    assert spectral_norm(a.T) == found
    for other in (np.asfortranarray(a), a[::-1], a[:, ::-1]):
        assert spectral_norm(other) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("rtol", [1e-2, 1e-4, 1e-6, 5e-7, 1e-7, 1e-9])
def test_every_tolerance_is_kept(gaussian, rtol):
    a, expected = gaussian
    assert spectral_norm(a, rtol=rtol) == pytest.approx(expected, rel=rtol)


TOPS = {
    "one": [1.0],
    "equal pair": [1.0, 1.0],
    "equal four": [1.0] * 4,
    "1e-5": 1 - 1e-5 * np.arange(3),
    "1e-4": 1 - 1e-4 * np.arange(2),
    "3e-4": 1 - 3e-4 * np.arange(5),
    "1e-3": 1 - 1e-3 * np.arange(3),
    "3e-3": 1 - 3e-3 * np.arange(6),
}


@pytest.mark.parametrize("top", TOPS.values(), ids=TOPS.keys())
def test_values_side_by_side_at_the_top(top):
    sigmas = np.concatenate([top, np.linspace(0.95, 0.1, 500)])
    a = single(5 * with_spectrum(sigmas, 2300, 1900))
    assert spectral_norm(a) == pytest.approx(5, rel=1.1e-6)


@pytest.mark.parametrize(
    "sigmas",
    [1 / np.arange(1.0, 800), 0.9 ** np.arange(300), np.linspace(1, 0.5, 900), np.ones(1000)],
    ids=["harmonic", "geometric", "even", "flat"],
)
def test_spectra(sigmas):
    a = single(with_spectrum(sigmas, 2100, 2000, seed=4))
    assert spectral_norm(a) == pytest.approx(1, rel=1.1e-6)


def test_rows_and_entries_of_very_different_size():
    a = random(2048, 2048, 6)
    spike = a.copy()
    spike[77, 1234] = 1e4
    columns = a * np.logspace(0, -30, 2048)
    rows = a * np.logspace(-36, 0, 2048)[:, None]
    sparse = np.where(random(2048, 2048, 7) > 3, a, 0)
    diagonal = np.diag(np.linspace(1, 2, 2048))
    for hard in map(single, (spike, columns, rows, sparse, diagonal, 1e-3 * a + 1)):
        assert spectral_norm(hard) == pytest.approx(gram_norm(hard), rel=1e-6)


def test_powers_of_two_scale_the_norm_exactly(gaussian):
    a, _ = gaussian
    found = spectral_norm(a)
    for k in (-16, -3, 1, 15):
        assert spectral_norm(a * np.float32(2.0**k)) == found * 2.0**k


@pytest.mark.parametrize("scale", [1e-32, 1e-12, 1e12, 1e32])
def test_any_scale(gaussian, scale):
    a, expected = gaussian
    assert spectral_norm(a * np.float32(scale)) / scale == pytest.approx(expected, rel=2e-6)


def test_threads_and_company_show_in_no_bit(gaussian):
    a, _ = gaussian
    found = spectral_norm(a)
    with thread_limit(1):
        assert spectral_norm(a) == found
    with thread_limit(3):
        assert spectral_norm(a) == found
    b = single(random(2100, 2050, 8))
    assert spectral_norms([a[:9], a, b, b.T]).tolist()[1] == found
    assert spectral_norm(np.stack([a, 0 * a, a])).tolist() == [found, 0, found]
    # The copy's memory serves one matrix after the other.
    assert [spectral_norm(x) for x in (a, b, a, b)] == [found, spectral_norm(b)] * 2


def test_tiers_show_in_no_bit(gaussian):
    a, _ = gaussian
    script = (
        "import numpy as np, rsspecnorm\n"
        "a = np.random.default_rng(11).standard_normal((2048, 2048)).astype(np.float32)\n"
        "print(rsspecnorm.spectral_norm(a).hex())"
    )
    found = spectral_norm(a).hex()
    for tier in rsspecnorm.build_info()["levels_available"]:
        run = subprocess.run(
            [sys.executable, "-c", script],
            env={"RSSPECNORM_LEVEL": tier, "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        )
        assert run.stdout.strip() == found, tier


def test_degenerate_entries_leave_their_neighbours_alone(gaussian):
    a, _ = gaussian
    broken, infinite = a.copy(), a.copy()
    broken[2047, 2047] = np.nan
    infinite[0, 0] = -np.inf
    found = spectral_norms([broken, a, infinite, 0 * a])
    assert np.isnan(found[0])
    assert found[1:].tolist() == [spectral_norm(a), np.inf, 0]


def test_vectors_agree_with_the_value(gaussian):
    a, expected = gaussian
    found = leading_triplet(a)
    assert found.sigma == pytest.approx(expected, rel=1e-6)
    assert spectral_norm(a) == pytest.approx(found.sigma, rel=2e-6)
    assert found.lower <= spectral_norm(a) * (1 + 1e-6)
    assert spectral_norm(a) <= found.upper
