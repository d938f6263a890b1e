"""Results that go among other arrays, or would go over them."""

import copy
import threading

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

import rsspecnorm as r

RNG = np.random.default_rng(3)


def heads(n=64):
    """A stack whose matrices lie row by row among each other."""
    return RNG.standard_normal((n, 3, 32)).astype("f4").transpose(1, 0, 2)


STACKS = {
    "heads": heads(),
    "four axes": RNG.standard_normal((3, 4, 5, 6)).transpose(2, 0, 1, 3),
    "turned": RNG.standard_normal((3, 4, 5)).transpose(1, 2, 0),
    "windows": sliding_window_view(RNG.standard_normal((7, 8)), (4, 4)),
    "columns": np.broadcast_to(RNG.standard_normal((22, 1)), (3, 22, 1)),
    "rows": np.broadcast_to(RNG.standard_normal(9), (4, 3, 9)),
    "every other": RNG.standard_normal((6, 8, 10))[:, :, ::2],
    "backwards": RNG.standard_normal((4, 5, 6))[::-1, ::-1],
}


@pytest.mark.parametrize("name", STACKS)
def test_matrices_may_lie_among_each_other(name):
    stack = STACKS[name]
    u, v = np.ones(stack.shape[:-1]), np.ones((*stack.shape[:-2], stack.shape[-1]))
    expected = r.spectral_normalize(np.array(stack, order="C"), u, v)
    for out in (None, np.empty_like(stack), np.empty(stack.shape, stack.dtype)):
        got = r.spectral_normalize(stack, u, v, out=out)
        np.testing.assert_allclose(got.weight, expected.weight, rtol=2e-6)
        assert out is None or got.weight is out


def test_such_a_stack_in_place():
    stack, twin = heads(), None
    twin = stack.copy()
    assert r.spectral_normalize(stack, rng=0, out=stack).weight is stack
    np.testing.assert_array_equal(stack, r.spectral_normalize(twin, rng=0).weight)


@pytest.mark.parametrize("axis", [0, 1])
def test_blocks_of_one_matrix_are_normalised_in_place(axis):
    whole = RNG.standard_normal((8, 12))
    parts = np.split(whole, 2, axis=axis)
    expected = r.SpectralNormalizer(rng=1).normalize([part.copy() for part in parts])
    r.SpectralNormalizer(rng=1).normalize(parts, out=parts)
    np.testing.assert_array_equal(whole, np.concatenate(expected, axis=axis))


def test_two_threads_normalise_blocks_of_one_matrix_in_place():
    whole = RNG.standard_normal((600, 800))
    failures = []

    def work(part):
        try:
            for _ in range(20):
                r.spectral_normalize(part, out=part)
        except ValueError as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(p,)) for p in (whole[:, :400], whole[:, 400:])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


class Exposed:
    """What is no array and has one's memory."""

    def __init__(self, array):
        self.__array_interface__ = array.__array_interface__
        self.array = array


@pytest.mark.parametrize("expose", [memoryview, Exposed])
def test_overlap_is_found_whatever_the_input_is(expose):
    flat = RNG.standard_normal(1000)
    a, out = flat[:900].reshape(30, 30), flat[50:950].reshape(30, 30)
    with pytest.raises(ValueError, match="out must not overlap a"):
        r.spectral_normalize(expose(a), out=out)
    assert r.spectral_normalize(expose(a), out=a).weight is a


def test_results_over_other_weights_are_refused_by_name():
    buffer = bytearray(8 * 200)
    first, second = (np.frombuffer(buffer)[i : i + 64].reshape(8, 8) for i in (0, 100))
    over = np.frombuffer(buffer)[120:184].reshape(8, 8)
    with pytest.raises(ValueError, match=r"out\['a'\] must not overlap weights\['b'\]"):
        r.SpectralNormalizer().normalize(
            {"a": first, "b": second}, out={"a": over, "b": np.empty((8, 8))}
        )
    with pytest.raises(ValueError, match=r"out\[.\] must not overlap out\[.\]"):
        r.SpectralNormalizer().normalize([first, first.copy()], out=[over, over])


def test_a_copy_moves_alone():
    for one in (r.SpectralNormalizer(), r.SpectralTracker()):
        call = one.normalize if hasattr(one, "normalize") else one.update
        call([np.eye(4)])
        twin = copy.copy(one)
        (twin.normalize if hasattr(twin, "normalize") else twin.update)([3 * np.eye(4)])
        assert (one.sigma[0], twin.sigma[0]) == pytest.approx((1, 3))


def test_no_probability_is_a_wrong_type():
    with pytest.raises(TypeError, match="failure_prob"):
        r.spectral_bounds(np.eye(3), failure_prob=None)
