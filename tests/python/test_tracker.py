"""`SpectralTracker`: one pass per call, and far closer under drift than one power step."""

import copy
import pickle

import numpy as np
import pytest

from matrices import naive_norm, random
from rsspecnorm import SpectralTracker, power_iteration
from torch_steps import DTYPES


def drifting(shape, drift, steps, seed=0):
    """Weights that move by correlated noise of this relative size per step."""
    rng = np.random.default_rng(seed)
    a = rng.standard_normal(shape)
    velocity = rng.standard_normal(shape)
    for _ in range(steps):
        velocity = 0.9 * velocity + np.sqrt(1 - 0.81) * rng.standard_normal(shape)
        a = a + drift * np.linalg.norm(a) / np.linalg.norm(velocity) * velocity
        yield a


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize(("drift", "bound"), [(1e-3, 1e-5), (1e-2, 1e-3)])
@pytest.mark.parametrize("shape", [(90, 90), (150, 60), (60, 150)], ids=str)
def test_drift_is_followed_more_closely_than_by_power_steps(shape, drift, bound, dtype):
    tracker, u, v = SpectralTracker(), None, None
    errors, torch_errors = [], []
    for step, a in enumerate(drifting(shape, drift, 50)):
        weight = a.astype(dtype)
        (sigma,) = tracker.update([weight])
        single = power_iteration(weight, u, v)
        u, v = single.u, single.v
        if step >= 20:
            exact = naive_norm(weight)
            errors.append(abs(sigma / exact - 1))
            torch_errors.append(abs(float(single.sigma) / exact - 1))
    assert np.median(errors) < bound
    assert np.median(errors) < np.median(torch_errors) / 5
    assert max(errors) < max(torch_errors)


@pytest.mark.parametrize("name", DTYPES)
def test_constant_weight_converges_to_its_norm(name):
    a = random(40, 60).astype(DTYPES[name])
    tracker = SpectralTracker()
    for _ in range(40):
        (sigma,) = tracker.update([a])
    assert sigma == pytest.approx(naive_norm(a), rel=1e-12 if name == "float64" else 1e-6)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 2), (2, 50), (50, 2), (3, 3)])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_narrow_weights_are_exact_at_once(shape, dtype):
    a = random(*shape).astype(dtype)
    (sigma,) = SpectralTracker().update([a])
    assert sigma == pytest.approx(naive_norm(a), rel=1e-5 if dtype == "f4" else 1e-12)


@pytest.mark.parametrize("exponent", [-35, 35])
def test_extreme_scales_are_followed(exponent):
    a = random(50, 40)
    a = (a / abs(a).max() * 10.0**exponent).astype("f4")
    tracker = SpectralTracker()
    for _ in range(30):
        (sigma,) = tracker.update([a])
    assert sigma == pytest.approx(naive_norm(a), rel=1e-5)


def test_dicts_convolutions_and_dim():
    weights = {"conv": random(6, 5 * 9).reshape(6, 5, 3, 3), "turned": random(4, 6).reshape(4, 6)}
    tracker = SpectralTracker(dim={"conv": 1, "turned": 0})
    for _ in range(30):
        sigma = tracker.update(weights)
    matrix = np.moveaxis(weights["conv"], 1, 0).reshape(5, -1)
    assert sigma == pytest.approx(
        {"conv": naive_norm(matrix), "turned": naive_norm(weights["turned"])}
    )
    assert tracker.sigma == sigma


def test_layout_of_a_square_weight_may_change_between_calls():
    a = random(30, 30)
    tracker = SpectralTracker()
    for _ in range(30):
        tracker.update([a])
    assert tracker.update([np.asfortranarray(a)])[0] == pytest.approx(naive_norm(a), rel=1e-12)


def test_bad_weights_keep_the_vectors():
    a = random(30, 20)
    tracker = SpectralTracker()
    for _ in range(40):
        tracker.update({"w": a})
    for value, expected in [(np.nan, np.nan), (np.inf, np.inf)]:
        broken = a.copy()
        broken[3, 4] = value
        np.testing.assert_equal(tracker.update({"w": broken})["w"], expected)
    assert tracker.update({"w": np.zeros_like(a)})["w"] == 0
    assert tracker.update({"w": a})["w"] == pytest.approx(naive_norm(a), rel=1e-12)
    assert SpectralTracker().update([np.zeros((0, 3)), np.zeros((3, 0))]) == [0, 0]


def test_bits_are_same_for_any_threads_and_company():
    weights = [random(1501, 1103).astype("f4"), random(30, 40), random(3, 3)]
    results = []
    for threads in (1, 2, 5):
        tracker = SpectralTracker(num_threads=threads)
        results.append([tracker.update(weights) for _ in range(2)])
    alone = [SpectralTracker() for _ in weights]
    results.append([[t.update([w])[0] for t, w in zip(alone, weights, strict=True)] for _ in "ab"])
    assert all(result == results[0] for result in results)


def test_state_survives_pickle_copy_and_state_dict():
    a = random(20, 30)
    tracker = SpectralTracker()
    tracker.update([a])
    loaded = SpectralTracker()
    loaded.load_state_dict(tracker.state_dict())
    others = [loaded, pickle.loads(pickle.dumps(tracker)), copy.deepcopy(tracker)]  # noqa: S301
    expected = tracker.update([a])
    assert all(other.update([a]) == expected for other in others)
    with pytest.raises(ValueError, match="state must be a state_dict of version 1"):
        loaded.load_state_dict({})


def test_changed_shape_names_the_key():
    tracker = SpectralTracker()
    tracker.update({"w": random(3, 4)})
    with pytest.raises(ValueError, match=r"weights\['w'\] must keep its shape"):
        tracker.update({"w": random(4, 3)})


def test_weight_of_the_same_matrix_and_another_shape_is_refused():
    tracker = SpectralTracker()
    tracker.update({"w": random(4, 6)})
    loaded = SpectralTracker()
    loaded.load_state_dict(tracker.state_dict())
    match = r"weights\['w'\] must keep its shape: it was \(4, 6\), and is \(4, 2, 3\) now"
    for each in (tracker, loaded):
        with pytest.raises(ValueError, match=match):
            each.update({"w": random(4, 6).reshape(4, 2, 3)})
    tracker.dim = 1
    with pytest.raises(ValueError, match=r"weights\['w'\] must keep its dim"):
        tracker.update({"w": random(4, 6)})


def test_bad_states_and_weights_are_named():
    with pytest.raises(TypeError, match="state must be a state_dict, got NoneType"):
        SpectralTracker().load_state_dict(None)
    with pytest.raises(ValueError, match=r"weights\[0\] must be an array.* inhomogeneous"):
        SpectralTracker().update([[[1.0], [1.0, 2.0]]])


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("sigma", {0: "x"}),
        ("sigma", [1.0]),
        ("vectors", {0: None}),
        ("vectors", {0: ((6, 5), False, np.array(["x", "y"]))}),
        ("vectors", {0: ((6, 5), False, np.ones((3, 5), complex))}),
        ("vectors", {0: (None, False, np.ones((3, 5)))}),
    ],
)
def test_load_names_a_bad_entry_and_changes_nothing(entry, value):
    tracker, other = SpectralTracker(), SpectralTracker()
    tracker.update([random(6, 5)])
    other.update([2 * random(6, 5)])
    before = other.state_dict()["sigma"]
    with pytest.raises(TypeError, match=entry):
        other.load_state_dict(tracker.state_dict() | {entry: value})
    assert other.state_dict()["sigma"] == before
