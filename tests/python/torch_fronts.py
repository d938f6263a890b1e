"""The two front ends side by side with torch's own, under one set of names."""

import copy
import math
from contextlib import contextmanager
from typing import NamedTuple

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations as torch_parametrizations
from torch.nn.utils import parametrize
from torch.nn.utils import spectral_norm as torch_hook

import rsspecnorm.torch
from rsspecnorm.torch import parametrizations, products, scaled


@contextmanager
def weights_divided():
    """Let every layer divide its weight."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scaled, "places_of", lambda *_: None)
        yield


@contextmanager
def outputs_divided(small=products._SMALL, least=products._LEAST):
    """Let every layer that can divide its output, as small ones or large ones do, at any batch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scaled, "FEW_ACTIVATIONS", math.inf)
        patch.setattr(products, "_SMALL", small)
        patch.setattr(products, "_LEAST", least)
        patch.setattr(products, "_IS_AMD", True)
        patch.setattr(products, "_THREADS", math.inf)
        yield


PATHS = {
    "core": weights_divided,
    "device": rsspecnorm.torch.force_device_path,
    "scaled": outputs_divided,
    "scaled-large": lambda: outputs_divided(small=0, least=0),
}


class Front(NamedTuple):
    """A front end, torch's counterpart, and where both keep things."""

    name: str
    apply: object
    reference: object
    orig: str
    u: str
    v: str

    def original(self, module):
        return module.get_parameter(self.orig)

    def vectors(self, module):
        return module.get_buffer(self.u), module.get_buffer(self.v)

    def normalized(self, module, x=None):
        """Return the weight as the next forward uses it."""
        if self.name == "hook":
            module(sample_input(module) if x is None else x)
        return module.weight

    def remove(self, module, name="weight"):
        if self.name == "hook":
            return rsspecnorm.torch.remove_spectral_norm(module, name)
        return parametrize.remove_parametrizations(module, name)


HOOK = Front(
    "hook",
    rsspecnorm.torch.spectral_norm,
    torch_hook,
    "weight_orig",
    "weight_u",
    "weight_v",
)
PARAMETRIZATION = Front(
    "parametrization",
    parametrizations.spectral_norm,
    torch_parametrizations.spectral_norm,
    "parametrizations.weight.original",
    "parametrizations.weight.0._u",
    "parametrizations.weight.0._v",
)
FRONTS = {front.name: front for front in (HOOK, PARAMETRIZATION)}

LAYERS = {
    "linear": lambda: nn.Linear(7, 5),
    "conv": lambda: nn.Conv2d(3, 4, 3, stride=2),
    "conv-groups": lambda: nn.Conv2d(4, 6, 3, groups=2),
    "conv-transposed": lambda: nn.ConvTranspose2d(3, 4, (5, 6)),
    "embedding": lambda: nn.Embedding(6, 9),
    "one-row": lambda: nn.Linear(9, 1),
    "one-column": lambda: nn.Linear(1, 9),
}


def sample_input(module, dtype=None):
    """Return an input that the layer accepts."""
    dtype = next(module.parameters()).dtype if dtype is None else dtype
    if isinstance(module, nn.Embedding):
        return torch.arange(module.num_embeddings)
    if isinstance(module, nn.Linear):
        return torch.randn(2, module.in_features, dtype=dtype)
    return torch.randn(2, module.in_channels, 7, 7, dtype=dtype)


def pair(front, make, *, dtype=torch.float64, seed=3, **options):
    """Return equal modules, ours and torch's, started from one state of the generator."""
    torch.manual_seed(seed)
    base = make().to(dtype)
    twins = []
    for apply in (front.apply, front.reference):
        torch.manual_seed(seed)
        twins.append(apply(copy.deepcopy(base), **options))
    return twins


def assert_same_state(ours, theirs, **tolerance):
    """Compare all that a checkpoint would hold."""
    a, b = ours.state_dict(), theirs.state_dict()
    assert list(a) == list(b)
    for key in a:
        torch.testing.assert_close(a[key], b[key], **tolerance)


def small_batch():
    """Return an input of 200 features, small beside the weight of most layers that take it."""
    return torch.randn(3, 200)
