"""`SpectralNormalizer`: many weights, the same result as one at a time, and a state to keep."""

import copy
import pickle

import numpy as np
import pytest

from matrices import naive_norm, random
from rsspecnorm import SpectralNormalizer, spectral_normalize
from torch_steps import DTYPES


def some_weights(seed=0):
    rng = np.random.default_rng(seed)
    shapes = {"fc": (20, 30), "wide": (3, 400), "conv": (8, 4, 3, 3), "tiny": (2, 2)}
    weights = {name: rng.standard_normal(shape).astype("f4") for name, shape in shapes.items()}
    weights |= {name: rng.standard_normal((9, 6)).astype(dtype) for name, dtype in DTYPES.items()}
    weights["fortran"] = np.asfortranarray(rng.standard_normal((12, 7)))
    return weights


def as_matrix(a):
    return a.reshape(a.shape[0], -1)


@pytest.mark.parametrize("order", ["uv", "vu"])
def test_calls_equal_spectral_normalize_one_by_one(order):
    normalizer = SpectralNormalizer(2, order=order)
    state = dict.fromkeys(some_weights(), (None, None))
    for step in range(3):
        weights = some_weights(seed=step)
        got = normalizer.normalize(weights)
        assert got.keys() == weights.keys()
        for key, a in weights.items():
            u, v = state[key]
            one = spectral_normalize(as_matrix(a), u, v, n_power_iterations=2, order=order)
            state[key] = normalizer.u[key], normalizer.v[key]
            assert got[key].shape == a.shape
            assert got[key].dtype == a.dtype
            assert as_matrix(got[key]).tobytes() == one.weight.tobytes(), (step, key)
            assert normalizer.sigma[key] == pytest.approx(float(one.sigma), rel=1e-2)


def test_lists_return_lists_and_in_place_is_the_same():
    weights = list(some_weights().values())
    out_of_place, in_place = SpectralNormalizer(), SpectralNormalizer()
    for _ in range(2):
        expected = out_of_place.normalize(weights)
        copies = [a.copy(order="K") for a in weights]
        got = in_place.normalize(copies, out=copies)
        assert isinstance(got, list)
        for a, b, c in zip(got, copies, expected, strict=True):
            assert a is b
            assert a.tobytes() == c.tobytes()
    assert out_of_place.sigma == in_place.sigma
    assert len(out_of_place.u) == len(weights)


@pytest.mark.parametrize("dim", [0, 1, 2, -1])
@pytest.mark.parametrize("layout", ["C", "F"])
def test_dim_gives_the_rows_as_in_torch(dim, layout):
    a = np.array(random(6, 5 * 3 * 2).reshape(6, 5, 3, 2), order=layout)
    matrix = np.moveaxis(a, dim, 0).reshape(a.shape[dim], -1)
    normalizer = SpectralNormalizer(200, dim=dim)
    (got,) = normalizer.normalize([a])
    np.testing.assert_allclose(got, a / naive_norm(matrix), rtol=1e-9)
    assert normalizer.u[0].shape == (a.shape[dim],)
    out = np.zeros_like(a)
    SpectralNormalizer(200, dim=dim).normalize([a], out=[out])
    np.testing.assert_array_equal(out, got)
    SpectralNormalizer(200, dim=dim).normalize([a], out=[a])
    np.testing.assert_array_equal(a, got)


def test_settings_may_differ_between_weights():
    weights = {"a": random(5, 4), "b": random(4, 6)}
    normalizer = SpectralNormalizer(100, coefficient={"a": 2.0, "b": 3.0}, dim={"a": 0, "b": 1})
    got = normalizer.normalize(weights)
    assert naive_norm(got["a"]) == pytest.approx(2)
    assert naive_norm(got["b"]) == pytest.approx(3)
    assert normalizer.u["b"].shape == (6,)
    with pytest.raises(ValueError, match=r"dim has no entry for weights\['c'\]"):
        normalizer.normalize({"c": random(2, 2)})


def test_soft_leaves_small_weights_alone():
    weights = [np.diag([0.5, 0.1]), np.diag([5.0, 0.1])]
    got = SpectralNormalizer(50, soft=True).normalize(weights)
    np.testing.assert_array_equal(got[0], weights[0])
    assert naive_norm(got[1]) == pytest.approx(1)


def test_state_survives_pickle_copy_and_state_dict():
    weights = some_weights()
    normalizer = SpectralNormalizer()
    normalizer.normalize(weights)
    loaded = SpectralNormalizer()
    loaded.load_state_dict(normalizer.state_dict())
    others = [loaded, pickle.loads(pickle.dumps(normalizer)), copy.deepcopy(normalizer)]  # noqa: S301
    expected = normalizer.normalize(weights)
    for other in others:
        got = other.normalize(weights)
        assert all(got[key].tobytes() == expected[key].tobytes() for key in weights)
        assert other.sigma == normalizer.sigma


def test_state_dict_shares_no_memory():
    normalizer = SpectralNormalizer()
    normalizer.normalize({"a": random(3, 4)})
    state = normalizer.state_dict()
    state["u"]["a"][:] = 7
    assert not np.any(normalizer.u["a"] == 7)


@pytest.mark.parametrize("state", [{}, {"version": 9, "listed": 0, "sigma": {}, "u": {}, "v": {}}])
def test_load_refuses_what_is_no_state(state):
    with pytest.raises(ValueError, match="state must be a state_dict of version 1"):
        SpectralNormalizer().load_state_dict(state)


def test_changed_shape_names_the_key_and_changes_nothing():
    weights = {"good": random(3, 3), "layer.weight": random(5, 4)}
    normalizer = SpectralNormalizer()
    normalizer.normalize(weights)
    before = normalizer.state_dict()
    with pytest.raises(ValueError, match=r"weights\['layer.weight'\] must keep its shape"):
        normalizer.normalize(weights | {"layer.weight": random(4, 5)})
    assert normalizer.sigma == before["sigma"]
    np.testing.assert_array_equal(normalizer.u["good"], before["u"]["good"])


def test_weights_may_come_and_go():
    normalizer = SpectralNormalizer(100)
    normalizer.normalize({"a": random(3, 4)})
    got = normalizer.normalize({"b": random(5, 4)})
    assert list(got) == ["b"]
    assert list(normalizer.sigma) == ["a", "b"]


def test_bad_weights_are_named():
    with pytest.raises(ValueError, match=r"weights\[1\] must have two axes or more"):
        SpectralNormalizer().normalize([np.eye(2), np.ones(3)])
    with pytest.raises(TypeError, match="weights must be a list or a dict"):
        SpectralNormalizer().normalize(np.eye(2))
    with pytest.raises(ValueError, match=r"but weights\['x'\] has a nan"):
        SpectralNormalizer(check_finite=True).normalize({"x": np.full((2, 2), np.nan)})
    with pytest.raises(ValueError, match="dim must be in"):
        SpectralNormalizer(dim=2).normalize([np.eye(2)])
    with pytest.raises(ValueError, match="out must have the keys"):
        SpectralNormalizer().normalize({"x": np.eye(2)}, out={"y": np.eye(2)})
    with pytest.raises(ValueError, match=r"out\['x'\] must have the shape"):
        SpectralNormalizer().normalize({"x": np.eye(2)}, out={"x": np.eye(3)})
    normalizer = SpectralNormalizer()
    normalizer.normalize([np.eye(2)])
    with pytest.raises(TypeError, match="weights must be a list as before"):
        normalizer.normalize({"x": np.eye(2)})


def test_weight_of_the_same_matrix_and_another_shape_is_refused():
    normalizer = SpectralNormalizer()
    normalizer.normalize({"w": random(4, 6)})
    loaded = SpectralNormalizer()
    loaded.load_state_dict(normalizer.state_dict())
    match = r"weights\['w'\] must keep its shape: it was \(4, 6\), and is \(4, 2, 3\) now"
    for each in (normalizer, loaded):
        with pytest.raises(ValueError, match=match):
            each.normalize({"w": random(4, 6).reshape(4, 2, 3)})
    normalizer.dim = 1
    with pytest.raises(ValueError, match=r"weights\['w'\] must keep its dim"):
        normalizer.normalize({"w": random(4, 6)})


@pytest.mark.parametrize(
    ("state", "match"),
    [
        (None, "state must be a state_dict, got NoneType"),
        ({"version": 1, "listed": 0, "shape": {}, "sigma": {}, "u": None, "v": {}}, "'u'.* a dict"),
    ],
)
def test_load_refuses_what_is_no_dict(state, match):
    with pytest.raises(TypeError, match=match):
        SpectralNormalizer().load_state_dict(state)


def test_load_refuses_vectors_of_other_keys():
    state = {"version": 1, "listed": 0, "shape": {}, "sigma": {}, "u": {"w": []}, "v": {}}
    with pytest.raises(ValueError, match="state must hold shape, sigma, u, v for the same keys"):
        SpectralNormalizer().load_state_dict(state)


def test_ragged_weight_and_wrong_flag_are_named():
    with pytest.raises(ValueError, match=r"weights\['w'\] must be an array.* inhomogeneous"):
        SpectralNormalizer().normalize({"w": [[1.0], [1.0, 2.0]]})
    with pytest.raises(TypeError, match="check_finite must be a bool, got str"):
        SpectralNormalizer(check_finite="no").normalize([np.eye(2)])


STRANGE = {
    "packed": np.zeros,
    "with gaps": lambda shape: np.zeros((shape[0], 2 * shape[1]))[:, ::2],
    "of another byte order": lambda shape: np.zeros(shape, ">f8"),
}


@pytest.mark.parametrize("kind", STRANGE)
def test_results_that_overlap_are_refused_in_any_layout(kind):
    a = random(50, 20)
    out = STRANGE[kind](a.shape)
    with pytest.raises(ValueError, match=r"out\[1\] must not overlap out\[0\]"):
        SpectralNormalizer().normalize([a, -3 * a], out=[out, out])
    assert not out.any()
    with pytest.raises(ValueError, match=r"out\[0\] must not overlap weights\[1\]"):
        SpectralNormalizer().normalize([a, out], out=[out, STRANGE[kind](a.shape)])
    assert not out.any()


@pytest.mark.parametrize("kind", STRANGE)
def test_results_in_place_in_any_layout(kind):
    a = random(50, 20)
    out = STRANGE[kind](a.shape)
    out[...] = a
    (got,) = SpectralNormalizer().normalize([out], out=[out])
    assert got is out
    (expected,) = SpectralNormalizer().normalize([a])
    assert np.array_equal(got, expected)


@pytest.mark.parametrize("first", [0.0, np.nan, np.inf])
def test_start_waits_for_a_weight_that_has_a_direction(first):
    w = random(60, 50)
    expected = SpectralNormalizer().normalize([w])
    normalizer = SpectralNormalizer()
    normalizer.normalize([np.full_like(w, first)])
    assert np.array_equal(normalizer.normalize([w]), expected)


@pytest.mark.parametrize(
    ("entry", "value", "error"),
    [
        ("sigma", {0: "x"}, TypeError),
        ("sigma", [1.0], TypeError),
        ("shape", {0: 3}, TypeError),
        ("shape", {0: (3, 4)}, ValueError),
        ("u", {0: np.ones((2, 3))}, TypeError),
        ("u", {0: np.ones(6, complex)}, TypeError),
        ("v", {0: None}, TypeError),
        ("v", {0: np.ones(4)}, ValueError),
    ],
)
def test_load_names_a_bad_entry_and_changes_nothing(entry, value, error):
    normalizer, other = SpectralNormalizer(), SpectralNormalizer(rng=5)
    normalizer.normalize([random(6, 5)])
    other.normalize([2 * random(6, 5)])
    before = other.state_dict()
    with pytest.raises(error, match=entry):
        other.load_state_dict(normalizer.state_dict() | {entry: value})
    after = other.state_dict()
    assert before["sigma"] == after["sigma"]
    assert before["shape"] == after["shape"]
    assert all(np.array_equal(before[x][0], after[x][0]) for x in "uv")
