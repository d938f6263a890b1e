"""What only a GPU can show; skipped, with the reason printed, where there is none."""

import copy

import pytest
import torch
from torch import nn

from rsspecnorm.torch import SpectralNormGroup

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")


def test_layer_equals_the_cpu(front, path):
    if path != "core":
        return
    module = front.apply(nn.Linear(64, 48).double())
    twin = copy.deepcopy(module).cuda()
    x = torch.randn(4, 64, dtype=torch.float64)
    for _ in range(3):
        torch.testing.assert_close(twin(x.cuda()).cpu(), module(x))


def test_group_step_can_be_captured(path):
    if path != "core":
        return
    model = nn.Sequential(*[nn.Linear(64, 64) for _ in range(4)]).cuda()
    group = SpectralNormGroup(model)
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream), torch.no_grad():
        for _ in range(3):
            group.update()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.no_grad(), torch.cuda.graph(graph):
        group.update()
    before = [b.clone() for b in model.buffers()]
    graph.replay()
    assert any(not torch.equal(a, b) for a, b in zip(before, model.buffers(), strict=True))
