"""Equal bits: for any number of threads, batch form, tier, and power-of-two scale."""

import numpy as np
import pytest

import rsspecnorm
from matrices import FAMILIES, random
from processes import output_of
from rsspecnorm import leading_triplet, spectral_bounds, spectral_norm, spectral_norms

THREADS = [1, 2, 3, 7]

# Large enough to be cut into row blocks, with a ragged last block.
LARGE = random(1501, 1103).astype(np.float32)
MIXED = [make().astype(dtype) for make in FAMILIES.values() for dtype in ("f4", "f8")]


def assert_same_bits(results):
    first, *others = results
    for other in others:
        for field, value in zip(first._fields, first, strict=True):
            assert np.asarray(value).tobytes() == np.asarray(getattr(other, field)).tobytes(), field


def test_norm_of_large_matrix_is_same_for_any_threads():
    assert_same_bits([leading_triplet(LARGE, num_threads=n) for n in THREADS])


def test_norm_of_large_fortran_matrix_is_same_for_any_threads():
    a = np.asfortranarray(LARGE)
    assert_same_bits([leading_triplet(a, num_threads=n) for n in THREADS])


def test_bounds_of_large_matrix_are_same_for_any_threads():
    assert_same_bits([spectral_bounds(LARGE, num_threads=n) for n in THREADS])


def test_norms_of_sequence_are_same_for_any_threads():
    results = {spectral_norms(MIXED, num_threads=n).tobytes() for n in THREADS}
    assert len(results) == 1


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
@pytest.mark.parametrize("shape", [(2, 2), (3, 3), (8, 5), (5, 8), (33, 70), (260, 90)])
def test_norm_is_same_stacked_listed_and_alone(shape, dtype):
    stack = np.random.default_rng(1).standard_normal((9, *shape)).astype(dtype)
    stacked = spectral_norm(stack)
    assert np.array_equal(stacked, spectral_norms(list(stack)))
    assert np.array_equal(stacked, [spectral_norm(a) for a in stack])
    assert np.array_equal(stacked[2:5], spectral_norm(stack[2:5]))
    assert np.array_equal(stacked, leading_triplet(stack).sigma)


def test_norm_is_same_for_any_row_contiguous_layout():
    a = random(40, 24)
    wide = np.full((80, 30), np.nan)
    wide[::2, :24] = a
    offset = np.zeros(a.size + 1)[1:].reshape(a.shape)
    offset[...] = a
    for same in [wide[::2, :24], a[::-1].copy()[::-1], offset, a.astype(">f8"), a.tolist()]:
        assert spectral_norm(same) == spectral_norm(a)


@pytest.mark.parametrize("shape", [(300, 256), (520, 400), (400, 1056), (90, 1025), (1100, 2064)])
def test_norm_is_same_wherever_the_matrix_begins(shape):
    size = shape[0] * shape[1]
    room = np.zeros(size + 32, np.float32)
    line = -room.ctypes.data % 64 // 4
    results = []
    for skip in (0, 1, 4, 6, 8, 12, 15):
        a = room[line + skip :][:size].reshape(shape)
        a[...] = random(*shape)
        results.append(leading_triplet(a))
    assert_same_bits(results)


def test_norm_is_same_in_every_tier():
    code = """
import numpy as np, rsspecnorm
rng = np.random.default_rng(0)
small = [(1, 1), (2, 2), (3, 5), (16, 16), (17, 33)]
for shape in [*small, (257, 130), (1000, 7), (7, 1000), (300, 400)]:
    for dtype in ["f2", "f4", "f8"]:
        top = rsspecnorm.leading_triplet(rng.standard_normal(shape).astype(dtype), maxiter=300)
        print(*(x.hex() for x in (top.sigma, top.second, top.lower, top.upper, top.residual)))
        print(top.u.tobytes().hex(), top.v.tobytes().hex())
"""
    levels = rsspecnorm.build_info()["levels_available"]
    outputs = {level: output_of(code, RSSPECNORM_LEVEL=level) for level in levels}
    for level in levels:
        assert outputs[level] == outputs[levels[0]], level


def test_forced_level_is_the_one_in_use():
    code = "import rsspecnorm; print(rsspecnorm.build_info()['level'])"
    for level in rsspecnorm.build_info()["levels_available"]:
        assert output_of(code, RSSPECNORM_LEVEL=level) == level


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("exponent", [-60, -1, 1, 3, 60])
@pytest.mark.parametrize("shape", [(2, 2), (9, 4), (60, 80)])
def test_norm_scales_exactly_with_powers_of_two(shape, exponent, dtype):
    a = random(*shape).astype(dtype)
    factor = a.dtype.type(2) ** exponent
    assert spectral_norm(a * factor) == spectral_norm(a) * 2.0**exponent


def test_norm_scales_exactly_to_the_ends_of_float64():
    a = random(30, 20)
    for exponent in (-900, -500, 500, 900):
        assert spectral_norm(a * 2.0**exponent) == spectral_norm(a) * 2.0**exponent


def test_norm_repeats_itself():
    a = random(200, 120)
    assert len({spectral_norm(a) for _ in range(5)}) == 1


def test_default_rng_is_seed_zero():
    a = random(300, 200)
    assert_same_bits([leading_triplet(a), leading_triplet(a, rng=0)])


def test_different_seeds_start_differently():
    a = random(300, 200)
    lowers = {float(spectral_bounds(a, width=0.1, rng=seed).lower) for seed in range(10)}
    assert len(lowers) > 1


def test_generator_is_asked_for_one_seed_per_call():
    arrays = [random(300, 200), random(100, 100)]
    drawn, reference = np.random.default_rng(8), np.random.default_rng(8)
    norms = spectral_norms(arrays, rtol=1e-2, rng=drawn)
    seed = int(reference.integers(2**63))
    assert np.array_equal(norms, spectral_norms(arrays, rtol=1e-2, rng=seed))
    assert drawn.bit_generator.state == reference.bit_generator.state
