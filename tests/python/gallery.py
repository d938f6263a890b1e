"""Matrices whose norm is known in closed form, to fifty digits.

Every entry is exact in float64, so the closed form is the norm of the array itself. Sources: N. J.
Higham's test matrix toolbox, MATLAB's ``gallery``, graph theory, and the textbooks' difference
operators.
"""

from collections.abc import Callable
from typing import NamedTuple

import mpmath
import numpy as np
import scipy.linalg

from precise import DIGITS


class Known(NamedTuple):
    """A matrix, and a function that gives its norm in the precision in force."""

    a: np.ndarray
    formula: Callable[[], object]

    def sigma(self):
        """Largest singular value, an `mpmath.mpf` of fifty digits."""
        with mpmath.workdps(DIGITS + 10):
            return mpmath.mpf(self.formula())


def toeplitz(below, diagonal, above, n):
    """Tridiagonal matrix with constant diagonals."""
    return below * np.eye(n, k=-1) + diagonal * np.eye(n) + above * np.eye(n, k=1)


def cos_pi(p, q):
    """Cosine of pi p / q in the precision in force."""
    return mpmath.cos(mpmath.pi * p / q)


def sin_pi(p, q):
    """Sine of pi p / q in the precision in force."""
    return mpmath.sin(mpmath.pi * p / q)


def largest_dft(c):
    """Largest modulus of the discrete Fourier transform of `c`, term by term."""
    n = len(c)
    terms = [
        [mpmath.expjpi(mpmath.mpf(2 * j * k) / n) * float(x) for j, x in enumerate(c)]
        for k in range(n)
    ]
    return max(abs(mpmath.fsum(row)) for row in terms)


def grid_gradient(p, q):
    """Forward differences of a p by q image in both directions, the PDHG constant's operator."""
    return np.vstack(
        [
            np.kron(np.diff(np.eye(p), axis=0), np.eye(q)),
            np.kron(np.eye(p), np.diff(np.eye(q), axis=0)),
        ]
    )


def magic(n):
    """Magic square of odd order: every row and column sums to n (n**2 + 1) / 2."""
    i, j = np.indices((n, n))
    return (n * ((i + j - 1 + n // 2) % n) + (i + 2 * j - 2) % n + 1).astype(float)


def bordered(n):
    """Adjacency of a wheel: a cycle of n vertices and a hub."""
    cycle = np.eye(n, k=1) + np.eye(n, k=-1) + np.eye(n, k=n - 1) + np.eye(n, k=1 - n)
    return np.block([[np.zeros((1, 1)), np.ones((1, n))], [np.ones((n, 1)), cycle]])


def companion(coefficients):
    """Companion matrix of a monic polynomial."""
    a = np.eye(len(coefficients), k=-1)
    a[0] = coefficients
    return a


def companion_norm(coefficients):
    """Kittaneh, SIAM J. Matrix Anal. Appl. 16 (1995): the two singular values that are not 1."""
    squares = [mpmath.mpf(int(c)) ** 2 for c in coefficients]
    alpha = 1 + mpmath.fsum(squares)
    return mpmath.sqrt((alpha + mpmath.sqrt(alpha**2 - 4 * squares[-1])) / 2)


def two_by_two(a, b, c, d):
    """Norm of ``[[a, b], [c, d]]``, by the two hypotenuses."""
    a, b, c, d = map(mpmath.mpf, (a, b, c, d))
    return (mpmath.hypot(a + d, b - c) + mpmath.hypot(a - d, b + c)) / 2


def unit_plus_rank_one(u, v):
    """Norm of ``I + u v'``: the square root of the top of the part in the plane of u and v."""
    s, p, q = (mpmath.mpf(float(x)) for x in (u @ v, u @ u, v @ v))
    alpha = 2 + 2 * s + p * q
    return mpmath.sqrt((alpha + mpmath.sqrt(alpha**2 - 4 * (1 + s) ** 2)) / 2)


def two_two_cycle(n):
    """2-D periodic Laplacian, even order."""
    cycle = toeplitz(-1, 2, -1, n) - np.eye(n, k=n - 1) - np.eye(n, k=1 - n)
    return np.kron(cycle, np.eye(n)) + np.kron(np.eye(n), cycle)


WAVE = np.array([3.0, -1, 4, 1, -5, 9, 2, -6, 5, 3, -5])
WEIGHTS = np.array([5.0, -3, 2, 7, 1, -4])
ONES_AND_MORE = np.r_[np.ones(12), 2.0]
HYPERCUBE = [[0.0, 1.0], [1.0, 0.0]]

GALLERY = {
    "zeros": Known(np.zeros((6, 4)), lambda: 0),
    "identity": Known(np.eye(9, 14), lambda: 1),
    "exchange": Known(np.fliplr(np.eye(17)), lambda: 1),
    "signed permutation": Known(np.diag([1.0, -1, 1, -1])[[2, 0, 3, 1]], lambda: 1),
    "diagonal": Known(np.diag([0.5, -7.0, 3.0]), lambda: 7),
    "diagonal of tiny gaps": Known(np.diag(1 - np.arange(40) * 2.0**-50), lambda: 1),
    "close diagonal": Known(np.diag([1.0, 0.9988, *np.linspace(0.9, 0.1, 60)]), lambda: 1),
    "one entry": Known(np.pad([[-3.0]], 5), lambda: 3),
    "ones": Known(np.ones((12, 27)), lambda: 18),
    "rank one": Known(
        np.outer(np.arange(1.0, 31), np.arange(1.0, 21)), lambda: mpmath.sqrt(9455 * 2870)
    ),
    "rank one orthogonal to ones": Known(
        np.outer(np.tile([1.0, -1], 20), np.tile([1.0, -1], 30)), lambda: mpmath.sqrt(2400)
    ),
    "Pei": Known(np.eye(30) * 2 + 1, lambda: 32),
    "Pei, negative": Known(np.eye(30) * 50 - 1, lambda: 50),
    "identity and rank one": Known(
        np.eye(13) + np.outer(WAVE[np.arange(13) % 11], ONES_AND_MORE),
        lambda: unit_plus_rank_one(WAVE[np.arange(13) % 11], ONES_AND_MORE),
    ),
    "Householder of 3, 4": Known(
        25 * np.eye(8) - 2 * np.outer([3, 4, *[0] * 6], [3, 4, *[0] * 6]), lambda: 25
    ),
    "Hadamard": Known(scipy.linalg.hadamard(64).astype(float), lambda: 8),
    "circulant": Known(scipy.linalg.circulant(WAVE), lambda: largest_dft(WAVE)),
    "circulant, even order": Known(
        scipy.linalg.circulant(np.r_[WAVE, 7.0]), lambda: largest_dft(np.r_[WAVE, 7.0])
    ),
    "second difference": Known(toeplitz(-1, 2, -1, 60), lambda: 2 + 2 * cos_pi(1, 61)),
    "second difference, large": Known(toeplitz(-1, 2, -1, 300), lambda: 2 + 2 * cos_pi(1, 301)),
    "symmetric tridiagonal": Known(toeplitz(3, -5, 3, 41), lambda: 5 + 6 * cos_pi(1, 42)),
    "periodic second difference in 2-D": Known(two_two_cycle(8), lambda: 8),
    "path": Known(toeplitz(1, 0, 1, 50), lambda: 2 * cos_pi(1, 51)),
    "cycle": Known(scipy.linalg.circulant([0.0, 1, *[0] * 28, 1]), lambda: 2),
    "star": Known(
        np.block([[np.zeros((1, 1)), np.ones((1, 24))], [np.ones((24, 1)), np.zeros((24, 24))]]),
        lambda: mpmath.sqrt(24),
    ),
    "wheel": Known(bordered(20), lambda: 1 + mpmath.sqrt(21)),
    "complete graph": Known(np.ones((23, 23)) - np.eye(23), lambda: 22),
    "complete bipartite graph": Known(
        np.block([[np.zeros((7, 7)), np.ones((7, 11))], [np.ones((11, 7)), np.zeros((11, 11))]]),
        lambda: mpmath.sqrt(77),
    ),
    "hypercube": Known(
        sum(np.kron(np.kron(np.eye(2**k), HYPERCUBE), np.eye(2 ** (5 - k))) for k in range(6)),
        lambda: 6,
    ),
    "Jordan block": Known(toeplitz(0, 1, 1, 40), lambda: 2 * cos_pi(1, 81)),
    "Jordan block of -1": Known(toeplitz(0, -1, 1, 33), lambda: 2 * cos_pi(1, 67)),
    "nilpotent shift": Known(np.eye(20, k=1), lambda: 1),
    "forward difference": Known(np.diff(np.eye(48), axis=0), lambda: 2 * cos_pi(1, 96)),
    "gradient in 2-D": Known(
        grid_gradient(7, 12),
        lambda: mpmath.sqrt(4 * cos_pi(1, 14) ** 2 + 4 * cos_pi(1, 24) ** 2),
    ),
    "cumulative sum": Known(np.tril(np.ones((30, 30))), lambda: 1 / (2 * sin_pi(1, 122))),
    "cumulative sum, large": Known(np.tril(np.ones((400, 400))), lambda: 1 / (2 * sin_pi(1, 1602))),
    "minij": Known(
        np.minimum.outer(np.arange(1.0, 31), np.arange(1.0, 31)),
        lambda: 1 / (4 * sin_pi(1, 122) ** 2),
    ),
    "Kronecker product": Known(
        np.kron(toeplitz(1, 0, 1, 6), toeplitz(-1, 2, -1, 7)),
        lambda: 2 * cos_pi(1, 7) * (2 + 2 * cos_pi(1, 8)),
    ),
    "block diagonal": Known(
        scipy.linalg.block_diag(np.ones((4, 9)), toeplitz(1, 0, 1, 9), [[5.0]]), lambda: 6
    ),
    "dilation": Known(
        np.block(
            [
                [np.zeros((20, 20)), np.tril(np.ones((20, 20)))],
                [np.triu(np.ones((20, 20))), np.zeros((20, 20))],
            ]
        ),
        lambda: 1 / (2 * sin_pi(1, 82)),
    ),
    "rotations": Known(np.kron(np.diag([1.0, 3, 2]), [[0.0, 1], [-1, 0]]), lambda: 3),
    "Hanowa": Known(
        np.block(
            [[-np.eye(9), -np.diag(np.arange(1.0, 10))], [np.diag(np.arange(1.0, 10)), -np.eye(9)]]
        ),
        lambda: mpmath.sqrt(82),
    ),
    "magic": Known(magic(21), lambda: 21 * (21**2 + 1) // 2),
    "companion": Known(companion(WEIGHTS), lambda: companion_norm(WEIGHTS)),
    "Läuchli": Known(
        np.vstack([np.ones(15), 2.0**-27 * np.eye(15)]),
        lambda: mpmath.sqrt(15 + mpmath.mpf(2) ** -54),
    ),
    "Rosser": Known(
        np.array(
            [
                [611.0, 196, -192, 407, -8, -52, -49, 29],
                [196, 899, 113, -192, -71, -43, -8, -44],
                [-192, 113, 899, 196, 61, 49, 8, 52],
                [407, -192, 196, 611, 8, 44, 59, -23],
                [-8, -71, 61, 8, 411, -599, 208, 208],
                [-52, -43, 49, 44, -599, 411, 208, 208],
                [-49, -8, 8, 59, 208, 208, 99, -911],
                [29, -44, 52, -23, 208, 208, -911, 99],
            ]
        ),
        lambda: 10 * mpmath.sqrt(10405),
    ),
    "two by two": Known(np.array([[3.0, -1], [4, 1.5]]), lambda: two_by_two(3, -1, 4, 1.5)),
    "two by two, golden": Known(np.array([[3.0, 3], [0, 3]]), lambda: 3 * (1 + mpmath.sqrt(5)) / 2),
    "two by two of the CIL manual": Known(
        np.array([[1.0, 0], [1, 2]]), lambda: two_by_two(1, 0, 1, 2)
    ),
    "one row": Known(np.arange(1.0, 101)[None, :], lambda: mpmath.sqrt(338350)),
    "one column": Known(np.arange(1.0, 101)[:, None], lambda: mpmath.sqrt(338350)),
    "graded": Known(np.diag(2.0 ** -np.arange(0.0, 1000, 8)), lambda: 1),
    "graded, mixed": Known(
        np.kron(np.diag(2.0 ** -np.arange(0.0, 1000, 50)), np.ones((3, 3))), lambda: 3
    ),
}
"""Name to a matrix of exact entries and the formula of its norm."""

DTYPES = ("float16", "bfloat16", "float32", "float64")
