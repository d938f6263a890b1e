"""Every test runs down all paths, and for both front ends where it asks for one."""

import pytest
import torch

from rsspecnorm.torch import scaled
from torch_fronts import FRONTS, PATHS


@pytest.fixture(params=PATHS, autouse=True)
def path(request):
    with PATHS[request.param]():
        yield request.param


@pytest.fixture(params=FRONTS)
def front(request):
    return FRONTS[request.param]


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(20)


@pytest.fixture
def taken(monkeypatch):
    """Return a list that gets the shape of the weight of every output that was divided."""
    shapes = []
    apply = scaled._Scaled.apply

    def spy(x, weight, *rest):
        shapes.append(tuple(weight.shape))
        return apply(x, weight, *rest)

    monkeypatch.setattr(scaled._Scaled, "apply", spy)
    return shapes
