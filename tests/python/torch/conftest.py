"""Every test runs down all paths, and for both front ends where it asks for one."""

import pytest
import torch

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
