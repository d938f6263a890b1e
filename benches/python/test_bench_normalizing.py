"""The script that times normalisation: its engines do the same work, and its report is whole."""

import numpy as np
import pytest

import normalizing

SHAPE = (6, 5, 7)


@pytest.mark.parametrize("k", [0, 1, 10])
def test_engines_run_and_report(k, monkeypatch):
    monkeypatch.setattr(normalizing, "PAUSE", 0.0)
    found = list(normalizing.rows([SHAPE], [k], 1, []))
    text = normalizing.report(found)
    assert f"6x5x7, k = {k}" in text
    assert {"rsspecnorm", "one thread", "copy"} <= found[0]["ms"].keys()
    assert all(ms > 0 for ms in found[0]["ms"].values())


@pytest.mark.parametrize("k", [0, 1, 10])
def test_numpy_engine_does_the_same_work(k):
    rng = np.random.default_rng(1)
    weights = rng.standard_normal(SHAPE, dtype=np.float32)
    u, v = (rng.standard_normal((SHAPE[0], n), dtype=np.float32) for n in SHAPE[1:])
    u, v = (x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (u, v))
    got = normalizing.rsspecnorm.spectral_normalize(weights, u, v, n_power_iterations=k).weight
    expected = normalizing.numpy_engine(weights, u, v, k)()
    np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-5)
