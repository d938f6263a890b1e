"""Step by step with torch itself through the training of a small GAN."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from torch_fronts import LAYERS, pair, sample_input

STEPS = 50
# sigma and gradients of float32 differ by rounding, and 50 steps carry that on
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-11}


class Critic(nn.Module):
    """Every kind of layer: Conv2d, ConvTranspose2d, Linear, Embedding (projection)."""

    def __init__(self, wrap):
        super().__init__()
        self.down = wrap(nn.Conv2d(1, 6, 3, stride=2, padding=1))
        self.up = wrap(nn.ConvTranspose2d(6, 4, 4, stride=2, padding=1))
        self.head = wrap(nn.Linear(4 * 64, 12))
        self.score = wrap(nn.Linear(12, 1))
        self.label = wrap(nn.Embedding(3, 12))

    def forward(self, x, label):
        h = functional.leaky_relu(self.down(x), 0.1)
        h = functional.leaky_relu(self.up(h), 0.1)
        h = torch.tanh(self.head(h.flatten(1)))
        return self.score(h).squeeze(1) + (h * self.label(label)).sum(1)


class Training:
    """A critic and a generator under the hinge loss with a gradient penalty."""

    def __init__(self, wrap, dtype):
        torch.manual_seed(0)
        # In the final dtype from the start: the initial iterations round in it.
        self.critic = Critic(lambda layer: wrap(layer.to(dtype)))
        self.generator = nn.Sequential(nn.Linear(5, 64), nn.Tanh()).to(dtype)
        self.steps = [
            torch.optim.SGD(m.parameters(), lr=0.05) for m in (self.critic, self.generator)
        ]
        self.source = torch.Generator().manual_seed(1)
        self.dtype = dtype

    def draw(self, *shape):
        return torch.randn(*shape, dtype=self.dtype, generator=self.source)

    def fake(self):
        return self.generator(self.draw(4, 5)).reshape(4, 1, 8, 8)

    def step(self):
        label = torch.randint(3, (4,), generator=self.source)
        data = self.draw(4, 1, 8, 8) + 1
        real, fake = self.critic(data, label), self.critic(self.fake().detach(), label)
        loss = functional.relu(1 - real).mean() + functional.relu(1 + fake).mean()
        x = data.clone().requires_grad_()
        (slope,) = torch.autograd.grad(self.critic(x, label).sum(), x, create_graph=True)
        loss = loss + 0.1 * (slope.flatten(1).norm(dim=1) - 1).square().mean()
        for optimizer in self.steps:
            optimizer.zero_grad()
        loss.backward()
        grads = {name: p.grad.clone() for name, p in self.critic.named_parameters()}
        self.steps[0].step()
        self.critic.zero_grad()
        (-self.critic(self.fake(), label).mean()).backward()
        self.steps[1].step()
        return {"loss": loss.detach(), **grads}


def assert_close(ours, theirs, rtol, where):
    assert ours.keys() == theirs.keys()
    for name, expected in theirs.items():
        scale = float(expected.abs().max())
        error = float((ours[name] - expected).abs().max())
        assert error <= rtol * scale + 1e-30, f"{where}: {name} differs by {error / scale:.1e}"


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_fifty_steps_of_a_gan_equal_those_of_torch(front, dtype):
    ours, theirs = Training(front.apply, dtype), Training(front.reference, dtype)
    # A gradient is a difference of larger terms: its error is relative to them.
    slack = 20 if dtype == torch.float32 else 1
    for step in range(STEPS):
        mine, reference = ours.step(), theirs.step()
        where = f"step {step}"
        assert_close(mine, reference, slack * TOLERANCE[dtype], where)
        assert_close(ours.critic.state_dict(), theirs.critic.state_dict(), TOLERANCE[dtype], where)


@pytest.mark.parametrize("layer", ["linear", "conv", "conv-transposed", "embedding"])
def test_second_derivative_equals_that_of_torch(front, layer):
    results = []
    for module in pair(front, LAYERS[layer]):
        torch.manual_seed(5)
        leaf = dict(module.named_parameters())[front.orig]
        out = module(sample_input(module))
        (grad,) = torch.autograd.grad(out.square().sum().sqrt(), leaf, create_graph=True)
        (second,) = torch.autograd.grad(grad.square().sum(), leaf)
        results.append((grad.detach(), second))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-10)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("layout", [torch.strided, torch.jagged], ids=str)
@pytest.mark.parametrize("training", [True, False])
def test_nested_input_gives_what_torch_gives(front, layout, training):
    parts = [torch.randn(n, 7, dtype=torch.float64) for n in (2, 3)]
    results = []
    for module in pair(front, LAYERS["linear"]):
        module(sample_input(module))  # a fresh hook of torch may flip signs
        x = torch.nested.nested_tensor(parts, layout=layout, requires_grad=True)
        outs = module.train(training)(x).unbind()
        torch.cat(outs).square().sum().backward()
        results.append([*outs, *x.grad.unbind(), *(p.grad for p in module.parameters())])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-10)
