"""Two gloo ranks, each a process of its own."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from processes import clean_environment

HEAD = """
import sys, torch
import torch.distributed as dist
from torch import nn
from rsspecnorm.torch import SpectralNormGroup, spectral_norm as hook
from rsspecnorm.torch.parametrizations import spectral_norm as parametrization

rank, tests, store, path, front = int(sys.argv[1]), *sys.argv[2:]
sys.path.append(tests)
from torch_fronts import PATHS
dist.init_process_group("gloo", init_method="file://" + store, rank=rank, world_size=2)
torch.manual_seed(rank)
apply = {"hook": hook, "parametrization": parametrization}[front]

def gathered(x):
    parts = [torch.empty_like(x) for _ in range(2)]
    dist.all_gather(parts, x.detach().contiguous())
    return parts

def assert_equal_on_ranks(tensors):
    for x in tensors:
        first, second = gathered(x)
        assert torch.equal(first, second)
        assert first.isfinite().all()
"""
TAIL = """
dist.destroy_process_group()
print("done")
"""
DDP = """
from torch.nn.parallel import DistributedDataParallel
options = {} if broadcast else {"init": "deterministic"}
layers = [nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)]
for i in (0, 2):
    apply(layers[i], init_iterations=15, **options)
model = nn.Sequential(*layers)
ddp = DistributedDataParallel(model, broadcast_buffers=broadcast)
optimizer = torch.optim.SGD(ddp.parameters(), lr=0.1)
for _ in range(4):
    optimizer.zero_grad()
    # Two forwards before one backward, each rank with data of its own.
    (ddp(torch.randn(3, 4)).square().sum() + ddp(torch.randn(3, 4)).sum()).backward()
    optimizer.step()
assert_equal_on_ranks(p.grad for p in model.parameters())
if not broadcast:  # with it, the ranks agree once a forward has begun
    assert_equal_on_ranks(model.buffers())
assert_equal_on_ranks(model.parameters())
"""
FSDP = """
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
torch.manual_seed(0)
layers = [apply(nn.Linear(4, 6)), nn.Tanh(), apply(nn.Linear(6, 4))]
model = nn.Sequential(*layers)
twin = nn.Sequential(apply(nn.Linear(4, 6)), nn.Tanh(), apply(nn.Linear(6, 4)))
twin.load_state_dict(model.state_dict())
mesh = init_device_mesh("cpu", (2,))
for layer in (layers[0], layers[2], model):
    fully_shard(layer, mesh=mesh)
optimizers = [torch.optim.SGD(m.parameters(), lr=0.1) for m in (model, twin)]
for _ in range(3):
    x = torch.randn(3, 4)
    for m, optimizer in zip((model, twin), optimizers):
        optimizer.zero_grad()
        m(x).square().sum().backward()
        optimizer.step()
assert_equal_on_ranks(model.buffers())
for (name, p), q in zip(model.named_parameters(), twin.parameters()):
    torch.testing.assert_close(p.full_tensor(), q, rtol=1e-4, atol=1e-5)
for b, c in zip(model.buffers(), twin.buffers()):
    torch.testing.assert_close(b, c, rtol=1e-4, atol=1e-5)
"""


def run_ranks(body, folder, path, front):
    """Run a program on two ranks; both must reach its end."""
    inside = textwrap.indent(body, "    ")
    code = HEAD + "with PATHS[path]():\n" + inside + TAIL
    tests = Path(__file__).parents[1]
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(rank), tests, folder / "store", path, front],
            env=clean_environment(OMP_NUM_THREADS="1"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        for rank in ranks:
            out, err = rank.communicate(timeout=120)
            assert out.strip().endswith("done"), err[-3000:]
    finally:
        for rank in ranks:
            rank.kill()


@pytest.mark.parametrize("broadcast", [True, False])
def test_ddp_ranks_with_different_seeds_agree(front, path, broadcast, tmp_path):
    run_ranks(f"broadcast = {broadcast}\n" + DDP, tmp_path, path, front.name)


def test_fsdp2_trains_as_one_process(front, path, tmp_path):
    run_ranks(FSDP, tmp_path, path, front.name)


GROUP = """
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
mesh, outs = init_device_mesh("cpu", (2,)), []
for sharded in ([], [0], [0, 2]):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 4))
    group = SpectralNormGroup(model)
    for i in sharded:
        fully_shard(model[i], mesh=mesh)
    if sharded:
        fully_shard(model, mesh=mesh)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for _ in range(4):
        optimizer.zero_grad()
        model(torch.linspace(-1, 1, 12).view(3, 4)).square().sum().backward()
        optimizer.step()
    outs.append((model.eval()(torch.ones(2, 4)), *model.buffers()))
for other in outs[1:]:
    for expected, got in zip(outs[0], other, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)
"""


def test_group_of_layers_that_are_sharded_each(path, tmp_path):
    run_ranks(GROUP, tmp_path, path, "parametrization")
