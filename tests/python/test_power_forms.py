"""Power steps in every form: layouts, stacks, lists, in place, threads, and bad arguments."""

import numpy as np
import pytest

import rsspecnorm
from matrices import random
from processes import output_of
from rsspecnorm import power_iteration, spectral_normalize
from rsspecnorm.stepping import normalize_arrays, vector_dtype
from torch_steps import DTYPES, naive_steps, unit_vectors

ORDERS = ["uv", "vu"]
SHAPES = [(3, 3), (16, 16), (1, 9), (9, 1), (65, 67), (300, 20)]


def bits(result):
    return [np.asarray(x).tobytes() for x in result]


@pytest.mark.parametrize("name", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("order", ORDERS)
def test_bits_are_same_stacked_listed_alone_and_in_place(name, shape, order):
    stack = random(11 * shape[0], shape[1]).reshape(11, *shape).astype(DTYPES[name])
    u, v = unit_vectors(stack.shape)
    stacked = spectral_normalize(stack, u, v, order=order, n_power_iterations=2)
    alone = [
        spectral_normalize(a, x, y, order=order, n_power_iterations=2)
        for a, x, y in zip(stack, u, v, strict=True)
    ]
    for i, field in enumerate(stacked):
        assert field.tobytes() == np.stack([one[i] for one in alone]).tobytes()
    dtype = vector_dtype(stack.dtype)
    us, vs = list(u.astype(dtype)), list(v.astype(dtype))
    listed = [a.copy() for a in stack]
    normalize_arrays(listed, us, vs, listed, order=order, n_power_iterations=2)
    assert np.stack(listed).tobytes() == stacked.weight.tobytes()
    in_place = spectral_normalize(stack, u, v, order=order, n_power_iterations=2, out=stack)
    assert in_place.weight is stack
    assert bits(in_place) == bits(stacked)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("shape", [(1501, 1103), (7, 100_003), (100_003, 7)], ids=str)
def test_bits_of_a_large_matrix_are_same_for_any_threads(order, shape):
    a = random(*shape).astype(np.float32)
    u, v = unit_vectors(shape)
    results = [
        bits(spectral_normalize(a, u, v, order=order, num_threads=n, n_power_iterations=2))
        for n in (1, 2, 3, 7)
    ]
    assert all(result == results[0] for result in results)
    sigma = naive_steps(a, u, v, 2, order)[0]
    assert power_iteration(a, u, v, order=order, n_power_iterations=2).sigma == pytest.approx(
        sigma, rel=1e-5
    )


@pytest.mark.parametrize("name", DTYPES)
@pytest.mark.parametrize("side", [(3, 3), (13, 12), (33, 40), (130, 97), (700, 530)], ids=str)
def test_results_that_pass_the_caches_have_the_bits_of_one_alone(name, side):
    dtype = np.dtype(DTYPES[name])
    # Just beyond the 8 MiB from which on results are stored past the caches, and off their lines.
    count = (9 << 20) // (side[0] * side[1] * dtype.itemsize)
    few = random(8 * side[0], side[1]).reshape(8, *side).astype(dtype)
    room = np.zeros(count * side[0] * side[1] + 3, dtype)
    out = room[3:].reshape(count, *side)
    stack = few[np.arange(count) % 8]
    u, v = unit_vectors(few.shape)
    starts = [x[np.arange(count) % 8] for x in (u, v)]
    spectral_normalize(stack, *starts, n_power_iterations=2, out=out)
    alone = [
        spectral_normalize(a, x, y, n_power_iterations=2).weight
        for a, x, y in zip(few, u, v, strict=True)
    ]
    for i, expected in enumerate(alone):
        assert (out[i::8] == expected).all()
    assert not room[:3].any()


def test_bits_are_same_in_every_tier():
    code = """
import numpy as np, ml_dtypes, rsspecnorm
rng = np.random.default_rng(0)
tracker = rsspecnorm.SpectralTracker()
for shape in [(1, 1), (3, 3), (5, 8), (16, 16), (17, 33), (65, 67), (3, 999), (999, 3), (800, 700)]:
    for dtype in ["f2", "f4", "f8", ml_dtypes.bfloat16]:
        a = rng.standard_normal((3, *shape)).astype(dtype)
        for order in ["uv", "vu"]:
            for k in [0, 1, 3]:
                for field in rsspecnorm.spectral_normalize(a, n_power_iterations=k, order=order):
                    print(hash(field.tobytes()))
        print(*(sigma.hex() for sigma in rsspecnorm.SpectralTracker().update(list(a))))
"""
    levels = rsspecnorm.build_info()["levels_available"]
    outputs = {output_of(code, RSSPECNORM_LEVEL=x, PYTHONHASHSEED="0") for x in levels}
    assert len(outputs) == 1


@pytest.mark.parametrize("name", DTYPES)
@pytest.mark.parametrize(
    "shape", [(1, 1), (3, 3), (4, 2), (7, 8), (8, 5), (2, 9), (13, 16), (16, 16)], ids=str
)
@pytest.mark.parametrize("order", ORDERS)
def test_tiny_matrices_have_the_bits_of_one_alone_at_any_scale(name, shape, order):
    stack = random(40 * shape[0], shape[1]).reshape(40, *shape)
    stack[7] = 0
    stack[8, 0, 0] = np.nan
    stack[9:12] *= 2.0**-13
    u, v = unit_vectors(stack.shape)
    u[20], v[21], u[22], v[22] = 0, np.nan, 0, 0
    stack = stack.astype(DTYPES[name])
    stacked = spectral_normalize(stack, u, v, order=order, coefficient=np.arange(1.0, 41))
    for i, a in enumerate(stack):
        alone = spectral_normalize(a, u[i], v[i], order=order, coefficient=i + 1)
        assert bits(alone) == bits(x[i] for x in stacked), i


LAYOUTS = {
    "fortran": np.asfortranarray,
    "padded": lambda a: np.pad(a, ((0, 2), (0, 3)))[:-2, :-3],
    "turned": lambda a: a[::-1],
    "padded fortran": lambda a: np.asfortranarray(np.pad(a, ((0, 2), (0, 3))))[:-2, :-3],
    "strided": lambda a: np.repeat(np.repeat(a, 2, 0), 2, 1)[::2, ::2],
    "swapped bytes": lambda a: a.astype(a.dtype.newbyteorder()),
    "list": lambda a: a.tolist(),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("order", ORDERS)
def test_any_layout_is_normalized(layout, order):
    a = random(23, 37)
    laid_out = LAYOUTS[layout](a)
    a = np.array(laid_out, np.float64)
    u, v = unit_vectors(a.shape)
    expected = a / naive_steps(a, u, v, 1, order)[0]
    got = spectral_normalize(laid_out, u, v, order=order)
    np.testing.assert_allclose(got.weight, expected, rtol=1e-12)
    for out in (np.zeros((23, 37)), np.zeros((37, 23)).T, np.zeros((46, 74))[::2, ::2]):
        other = spectral_normalize(laid_out, u, v, order=order, out=out)
        assert other.weight is out
        np.testing.assert_array_equal(out, got.weight)
    if isinstance(laid_out, np.ndarray):
        spectral_normalize(laid_out, u, v, order=order, out=laid_out)
        np.testing.assert_array_equal(laid_out, got.weight)


@pytest.mark.parametrize("axes", [(0, 1, 2, 3), (0, 1, 3, 2), (1, 0, 2, 3), (3, 2, 0, 1)])
def test_stacks_of_any_order_are_normalized(axes):
    a = random(4 * 3, 7 * 5).reshape(4, 3, 7, 5).transpose(axes)
    u, v = unit_vectors(a.shape)
    expected = spectral_normalize(np.ascontiguousarray(a), u, v)
    got = spectral_normalize(a, u, v)
    np.testing.assert_allclose(got.weight, expected.weight, rtol=1e-12)
    assert got.sigma.shape == a.shape[:2]
    spectral_normalize(a, u, v, out=a)
    np.testing.assert_array_equal(a, got.weight)


# A power of 60 leaves the ways for ordinary matrices, many at once or one at a time.
@pytest.mark.parametrize("power", [-60, -1, 1, 60])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("k", [0, 3])
@pytest.mark.parametrize("shape", [(45, 70), (9, 3, 4), (40, 16, 11)], ids=str)
def test_scaling_by_a_power_of_two_changes_no_bit(power, dtype, order, k, shape):
    a = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    u, v = unit_vectors(a.shape)
    plain = spectral_normalize(a, u, v, order=order, n_power_iterations=k, eps=0)
    scaled = spectral_normalize(np.ldexp(a, power), u, v, order=order, n_power_iterations=k, eps=0)
    assert plain.weight.tobytes() == scaled.weight.tobytes()
    assert plain.u.tobytes() == scaled.u.tobytes()
    assert plain.v.tobytes() == scaled.v.tobytes()
    np.testing.assert_array_equal(np.ldexp(plain.sigma, power), scaled.sigma)


MATRIX = np.ones((3, 4))
BAD = {
    "out of another shape": ({"out": np.ones((4, 3))}, ValueError, "out must have the shape of a"),
    "out of another dtype": ({"out": np.ones((3, 4), "f4")}, TypeError, "out must have the dtype"),
    "out that is no array": ({"out": [[0.0] * 4] * 3}, TypeError, r"out must be a numpy\.ndarray"),
    "u too long": ({"u": np.ones(4)}, ValueError, r"u must have shape \(3,\), got \(4,\)"),
    "v too long": ({"v": np.ones((1, 4))}, ValueError, r"v must have shape \(4,\)"),
    "complex u": ({"u": np.ones(3, complex)}, TypeError, "u must hold real numbers"),
    "negative steps": ({"n_power_iterations": -1}, ValueError, "n_power_iterations must not be"),
    "steps of half": ({"n_power_iterations": 1.5}, TypeError, "n_power_iterations must be an int"),
    "negative eps": ({"eps": -1.0}, ValueError, "eps must be finite and not negative, got -1"),
    "eps of text": ({"eps": "x"}, TypeError, "eps must be a real number"),
    "unknown order": ({"order": "vuv"}, ValueError, "order must be 'uv' or 'vu', got 'vuv'"),
    "order of int": ({"order": 3}, TypeError, "order must be a str"),
    "coefficient of zero": ({"coefficient": 0}, ValueError, "coefficient must be positive"),
    "coefficients": ({"coefficient": [1.0, 2.0]}, ValueError, "coefficient must be a number or"),
    "coefficient of text": ({"coefficient": "1"}, TypeError, "coefficient must be a real number"),
    "soft of text": ({"soft": "yes"}, TypeError, "soft must be a bool"),
    "no thread": ({"num_threads": 0}, ValueError, "num_threads must be positive"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments_are_named(case):
    arguments, error, match = BAD[case]
    with pytest.raises(error, match=match):
        spectral_normalize(MATRIX, **arguments)


def test_out_that_overlaps_or_is_read_only_is_refused():
    a = np.arange(60.0).reshape(5, 12)
    with pytest.raises(ValueError, match="out must not overlap a"):
        spectral_normalize(a[:4], out=a[1:])
    with pytest.raises(ValueError, match="out must not overlap a"):
        spectral_normalize(a, out=a[::-1])
    frozen = np.ones_like(a)
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="out must be writable"):
        spectral_normalize(a, out=frozen)


def test_lists_refuse_what_does_not_fit():
    a, u, v = np.ones((3, 4), np.float32), np.ones(3, np.float32), np.ones(4, np.float32)
    with pytest.raises(ValueError, match="one array for each matrix"):
        normalize_arrays([a, a], [u], [v])
    with pytest.raises(TypeError, match="u has the wrong dtype"):
        normalize_arrays([a], [u.astype(float)], [v])
    with pytest.raises(ValueError, match="u must be"):
        normalize_arrays([a], [v], [v.copy()])
    with pytest.raises(ValueError, match="overlap"):
        normalize_arrays([a, a], [u, u], [v, v])
    with pytest.raises(ValueError, match="shape and the dtype"):
        normalize_arrays([a], [u], [v], [a.T])


def many(shape=(9000, 4, 3), dtype=np.float32):
    """Return a stack and vectors long enough to be read where they lie."""
    stack = random(shape[0], shape[1] * shape[2]).reshape(shape).astype(dtype)
    return (stack, *(x.astype(dtype) for x in unit_vectors(shape)))


@pytest.mark.parametrize("steps", [0, 1, 3])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("shape", [(9000, 4, 3), (700, 40, 30)], ids=str)
def test_vectors_are_read_where_they_lie_and_left_alone(shape, order, steps):
    stack, u, v = many(shape)
    u[3], v[5] = 0, np.nan
    before = u.copy(), v.copy()
    for n in (1, 2):
        got = spectral_normalize(stack, u, v, order=order, n_power_iterations=steps, num_threads=n)
        cut = [
            spectral_normalize(
                stack[i : i + 7], u[i : i + 7], v[i : i + 7], order=order, n_power_iterations=steps
            )
            for i in range(0, len(stack), 7)
        ]
        for i, field in enumerate(got):
            assert field.tobytes() == np.concatenate([each[i] for each in cut]).tobytes()
        assert not any(np.may_share_memory(x, y) for x in got[2:] for y in (u, v, got.weight))
    assert u.tobytes() == before[0].tobytes()
    assert v.tobytes() == before[1].tobytes()


def test_vectors_may_lie_in_what_is_written():
    stack, u, v = many()
    expected = bits(spectral_normalize(stack, u, v))
    room = np.concatenate([u.ravel(), v.ravel(), stack.ravel()])
    parts = np.split(room, [u.size, u.size + v.size])
    inside = parts[0].reshape(u.shape), parts[1].reshape(v.shape), parts[2].reshape(stack.shape)
    assert bits(spectral_normalize(inside[2], *inside[:2], out=inside[2])) == expected
    out = room[: stack.size].reshape(stack.shape)
    assert bits(spectral_normalize(stack, *inside[:2], out=out)) == expected


def test_results_that_are_kept_stay_as_they_are():
    stack, u, v = many()
    kept, values = [], []
    for i in range(12):
        result = spectral_normalize(stack * (i + 1), u, v)
        kept.append(result)
        values.append(bits(result))
        u, v = result.u, result.v
    del result
    assert [bits(each) for each in kept] == values
    views = [each.u[1:, ::2] for each in kept]
    copies = [view.copy() for view in views]
    del kept
    for i in range(12):
        spectral_normalize(stack * (i + 2), u, v)
    assert all(np.array_equal(a, b) for a, b in zip(views, copies, strict=True))


def test_memory_of_results_is_used_again():
    stack, u, v = many()
    out, places = np.empty_like(stack), set()
    for _ in range(10):
        _, _, u, v = spectral_normalize(stack, u, v, out=out)
        places |= {x.__array_interface__["data"][0] for x in (u, v)}
    assert len(places) <= 4


@pytest.mark.parametrize("name", DTYPES)
@pytest.mark.parametrize("shape", [(3, 1), (1, 17), (400, 1)], ids=str)
def test_bits_of_a_row_or_column_are_same_whatever_lies_between(name, shape):
    stack = random(5 * shape[0], shape[1]).reshape(5, *shape).astype(DTYPES[name])
    values = stack.copy()
    alone = [bits(spectral_normalize(a, n_power_iterations=2)) for a in values]

    def with_gaps():
        return np.zeros((5, 2 * shape[0], 2 * shape[1]), stack.dtype)[:, ::2, ::2]

    among = np.zeros((*shape, 5), stack.dtype).transpose(2, 0, 1)
    for a in (stack, with_gaps(), among):
        for out in (None, with_gaps(), np.zeros_like(stack), a):
            a[...] = values
            got = spectral_normalize(a, n_power_iterations=2, out=out)
            assert [bits(one) for one in zip(*got, strict=True)] == alone
        a[...] = values
        normalizer = rsspecnorm.SpectralNormalizer(2)
        got = normalizer.normalize(list(a), out=list(with_gaps()))
        assert [x.tobytes() for x in got] == [one[0] for one in alone]
        trackers = [rsspecnorm.SpectralTracker().update(list(x)) for x in (a, values)]
        assert trackers[0] == trackers[1]
