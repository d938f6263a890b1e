"""Draws the two figures of docs/normalising.md; needs the extra `plot`."""

from pathlib import Path

import matplotlib as mpl
import numpy as np

import rsspecnorm

mpl.use("Agg")
from matplotlib import pyplot as plt

DOCS = Path(__file__).resolve().parents[1] / "docs"
EXAMPLE = np.array([[0.2538, 0.3196, 0.3380], [0.4946, 0.0519, 0.1022], [-0.5549, -0.0401, 0.1654]])
START = [-0.3650, 0.2870, 0.8857]
STEPS = [1, 5, 15, 50]


def draw_steps() -> None:
    """Errors of the worked example against the SVD."""
    u, s, vt = np.linalg.svd(EXAMPLE)
    found = [rsspecnorm.power_iteration(EXAMPLE, v=START, n_power_iterations=k) for k in STEPS]
    floor = 1e-16
    errors = {
        "sigma, relative": [abs(x.sigma / s[0] - 1) for x in found],
        "u, sine of the angle": [_sine(x.u, u[:, 0]) for x in found],
        "v, sine of the angle": [_sine(x.v, vt[0]) for x in found],
    }
    figure, axes = plt.subplots(figsize=(6, 3.5))
    for (label, values), marker in zip(errors.items(), "os^", strict=True):
        axes.semilogy(STEPS, np.maximum(values, floor), marker=marker, label=label)
    axes.set_xlabel("power steps")
    axes.set_ylabel("error against the SVD")
    axes.set_xticks(STEPS)
    axes.legend()
    axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(DOCS / "normalising-steps.png", dpi=110)


def _sine(x: np.ndarray, y: np.ndarray) -> float:
    """The sine of the angle between two directions, exact for small angles."""
    x = x / np.linalg.norm(x)
    return float(np.linalg.norm(x - y * (y @ x)))


def draw_drift() -> None:
    """Errors of sigma for a weight that changes by one per cent a step."""
    rng = np.random.default_rng(0)
    a, velocity = rng.standard_normal((2, 256, 256))
    tracker, u, v = rsspecnorm.SpectralTracker(), None, None
    errors: dict[str, list[float]] = {"one power step": [], "SpectralTracker": []}
    for _ in range(120):
        velocity = 0.9 * velocity + 0.19**0.5 * rng.standard_normal(a.shape)
        a = a + 0.01 * np.linalg.norm(a) / np.linalg.norm(velocity) * velocity
        exact = rsspecnorm.spectral_norm(a)
        sigma, u, v = rsspecnorm.power_iteration(a, u, v)
        errors["one power step"].append(abs(sigma / exact - 1))
        errors["SpectralTracker"].append(abs(tracker.update([a])[0] / exact - 1))
    figure, axes = plt.subplots(figsize=(6, 3.5))
    for label, values in errors.items():
        axes.semilogy(values, label=label)
    axes.set_xlabel("step, the weight changing by 1 % in each")
    axes.set_ylabel("relative error of sigma")
    axes.legend()
    axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(DOCS / "normalising-drift.png", dpi=110)


if __name__ == "__main__":
    draw_steps()
    draw_drift()
