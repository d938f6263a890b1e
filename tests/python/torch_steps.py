"""Torch's arithmetic in float64, step by step, and vectors to begin with."""

import ml_dtypes
import numpy as np

DTYPES = {
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "float32": np.dtype(np.float32),
    "float64": np.dtype(np.float64),
}

STEP_RTOL = {"float16": 2e-3, "bfloat16": 2e-2, "float32": 1e-5, "float64": 1e-12}
"""What rounding may cost in a few steps: the result is rounded to the dtype."""


def naive_normalize(x, eps):
    return x / max(np.linalg.norm(x), eps)


def naive_steps(a, u, v, k, order, *, eps=1e-12):
    """Sigma, u and v after k steps of torch's spectral norm."""
    a, u, v = (np.asarray(x).astype(np.float64) for x in (a, u, v))
    for _ in range(k):
        if order == "uv":
            u = naive_normalize(a @ v, eps)
            v = naive_normalize(a.T @ u, eps)
        else:
            v = naive_normalize(a.T @ u, eps)
            u = naive_normalize(a @ v, eps)
    return u @ (a @ v), u, v


def unit_vectors(shape, seed=0):
    """Random unit vectors u and v for matrices of this shape, in float64."""
    rng = np.random.default_rng(seed)
    *batch, nrows, ncols = shape
    u, v = rng.standard_normal((*batch, nrows)), rng.standard_normal((*batch, ncols))
    return (
        u / np.linalg.norm(u, axis=-1, keepdims=True),
        v / np.linalg.norm(v, axis=-1, keepdims=True),
    )
