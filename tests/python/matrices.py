"""Matrices the tests share, and the oracle that says what their norm is."""

import numpy as np


def naive_norm(a):
    """Largest singular value by a full float64 SVD."""
    a = np.asarray(a).astype(np.float64)
    return np.linalg.svd(a, compute_uv=False)[0] if a.size else 0.0


def naive_norms(stack):
    """`naive_norm` of every matrix of a stack."""
    stack = np.asarray(stack)
    flat = stack.reshape(-1, *stack.shape[-2:])
    return np.array([naive_norm(a) for a in flat]).reshape(stack.shape[:-2])


def orthonormal(nrows, ncols, seed=0):
    """Matrix with orthonormal columns."""
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((nrows, ncols)))[0]


def with_spectrum(sigmas, nrows, ncols, seed=0):
    """Matrix with these singular values and random singular vectors."""
    u = orthonormal(nrows, len(sigmas), seed)
    v = orthonormal(ncols, len(sigmas), seed + 1)
    return (u * np.asarray(sigmas)) @ v.T


def random(nrows, ncols, seed=0):
    """Matrix of independent standard normal numbers."""
    return np.random.default_rng(seed).standard_normal((nrows, ncols))


FAMILIES = {
    "random": lambda: random(70, 50),
    "square": lambda: random(64, 64, seed=1),
    "tall": lambda: random(2000, 7),
    "wide": lambda: random(7, 2000),
    "one-row": lambda: random(1, 33),
    "one-column": lambda: random(33, 1),
    "one-by-one": lambda: np.array([[-2.5]]),
    "two-columns": lambda: random(90, 2),
    "graded": lambda: with_spectrum(10.0 ** -np.arange(12.0), 60, 40),
    "slowly-graded": lambda: with_spectrum(0.97 ** np.arange(60.0), 90, 80),
    "clustered": lambda: with_spectrum([1.0] * 5 + [0.9] * 20, 80, 60),
    "nearly-clustered": lambda: with_spectrum(1 - 1e-5 * np.arange(5.0), 50, 40),
    "flat": lambda: with_spectrum(np.ones(40), 60, 40),
    "rank-one": lambda: np.outer(np.arange(1.0, 31), np.arange(1.0, 21)),
    "large": lambda: random(700, 500, seed=2),
}
"""Name to a function that makes the matrix in float64."""


def second_difference(n):
    """Matrix of -1, 2, -1 whose largest singular values lie close together."""
    return 2 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)


CLOSED_FORMS = {
    "identity": (np.eye(9, 14), 1.0),
    "signed permutation": (np.diag([1.0, -1, 1, -1])[[2, 0, 3, 1]], 1.0),
    "diagonal": (np.diag([0.5, -7.0, 3.0]), 7.0),
    "ones": (np.ones((12, 27)), 18.0),
    "Pei": (np.eye(30) * 2 + 1, 32.0),
    "Hadamard": (np.kron(*[np.kron(*[np.array([[1.0, 1], [1, -1]])] * 2)] * 2), 4.0),
    "second difference": (second_difference(60), 2 + 2 * np.cos(np.pi / 61)),
    "path": (np.eye(50, k=1) + np.eye(50, k=-1), 2 * np.cos(np.pi / 51)),
    "Jordan block": (np.eye(40) + np.eye(40, k=1), 2 * np.cos(np.pi / 81)),
    "nilpotent shift": (np.eye(20, k=1), 1.0),
    "forward difference": (np.diff(np.eye(48), axis=0), 2 * np.cos(np.pi / 96)),
    "cumulative sum": (np.tril(np.ones((30, 30))), 1 / (2 * np.sin(np.pi / 122))),
    "minij": (
        np.minimum.outer(np.arange(1.0, 31), np.arange(1.0, 31)),
        1 / (4 * np.sin(np.pi / 122) ** 2),
    ),
    "rotations": (np.kron(np.diag([1.0, 3, 2]), np.array([[0.0, 1], [-1, 0]])), 3.0),
    "Läuchli": (np.vstack([np.ones(15), 1e-8 * np.eye(15)]), np.sqrt(15 + 1e-16)),
    "Hilbert 10": (1 / (np.add.outer(np.arange(10.0), np.arange(10.0)) + 1), 1.7519196702651775),
}
"""Name to a matrix and its norm, known without an SVD."""
