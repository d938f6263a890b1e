"""Train a small spectrally normalised GAN twice: with torch's layer and with rsspecnorm's.

    python examples/train_gan.py [--steps N]

The data are eight Gaussians on a circle, made here. Both runs start from the same weights and
vectors and see the same draws, so the losses should agree until rounding has grown; the time that
normalisation takes is that of the run less that of a run without it. Needs torch; takes less than
a minute.
"""

import argparse
import math
import time
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations as torchs

from rsspecnorm.torch import SpectralNormGroup
from rsspecnorm.torch.parametrizations import spectral_norm

WIDTH, DEPTH, BATCH = 256, 4, 128
Wrap = Callable[[nn.Module], nn.Module]


def real_points(count: int, source: torch.Generator) -> Tensor:
    """Draw from eight Gaussians on a circle."""
    angle = torch.randint(8, (count,), generator=source) * (math.pi / 4)
    centre = torch.stack([angle.cos(), angle.sin()], 1)
    return centre + 0.05 * torch.randn(count, 2, generator=source)


def critic(wrap: Wrap) -> nn.Sequential:
    """A perceptron whose every layer is normalised."""
    sizes = [2, *[WIDTH] * DEPTH]
    layers: list[nn.Module] = []
    for n, m in pairwise(sizes):
        layers += [wrap(nn.Linear(n, m)), nn.LeakyReLU(0.1)]
    return nn.Sequential(*layers, wrap(nn.Linear(WIDTH, 1)))


def train(wrap: Wrap, steps: int, *, grouped: bool = False) -> tuple[list[float], float]:
    """Return the critic's losses and the seconds that the steps took."""
    torch.manual_seed(0)
    judge = critic(wrap)
    maker = nn.Sequential(nn.Linear(8, 128), nn.ReLU(), nn.Linear(128, 2))
    if grouped:
        SpectralNormGroup(judge)
    optimizers = [
        torch.optim.Adam(m.parameters(), lr=2e-4, betas=(0.5, 0.9)) for m in (judge, maker)
    ]
    source = torch.Generator().manual_seed(1)
    losses = []
    start = time.perf_counter()
    for _ in range(steps):
        real, noise = real_points(BATCH, source), torch.randn(BATCH, 8, generator=source)
        fake = maker(noise)
        loss = (
            functional.relu(1 - judge(real)).mean()
            + functional.relu(1 + judge(fake.detach())).mean()
        )
        optimizers[0].zero_grad()
        loss.backward()
        optimizers[0].step()
        optimizers[1].zero_grad()
        (-judge(fake).mean()).backward()
        optimizers[1].step()
        losses.append(loss.item())
    return losses, time.perf_counter() - start


def main() -> None:
    """Train in every way, and print the losses and the times side by side."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=400)
    steps = parser.parse_args().steps
    train(lambda layer: layer, 5)  # so that no run pays for the first calls
    _, bare = train(lambda layer: layer, steps)
    runs = {
        "torch": train(torchs.spectral_norm, steps),
        "rsspecnorm": train(spectral_norm, steps),
        "as a group": train(lambda layer: layer, steps, grouped=True),
    }
    print(f"{'step':>8}" + "".join(f"{name:>14}" for name in runs))
    for step in range(0, steps, max(steps // 10, 1)):
        print(f"{step:>8}" + "".join(f"{losses[step]:>14.6f}" for losses, _ in runs.values()))
    print("\nseconds in normalisation, of a run that takes", f"{bare:.2f} s without it")
    for name, (_, seconds) in runs.items():
        print(f"{name:>14}: {seconds - bare:.2f}")


if __name__ == "__main__":
    main()
