"""Reading and writing the four ways in which checkpoints hold a normalised weight."""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import _SpectralNorm
from torch.nn.utils.spectral_norm import SpectralNorm as Hook

from rsspecnorm.torch.device import Dense, power_step
from rsspecnorm.torch.layers import LAYERS
from rsspecnorm.torch.layout import as_matrices, checked_dim, default_dim, is_inexact
from rsspecnorm.torch.norms import triplet
from rsspecnorm.torch.parametrizations import SpectralNorm
from rsspecnorm.torch.scaling import Rule, accumulator, divide, without_autocast

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Form: TypeAlias = Literal["parametrization", "hook", "plain"]
_FORMS = ("parametrization", "hook", "plain")
_PARAMETRIZATION = re.compile(r"^(?P<prefix>.*?)parametrizations\.(?P<name>[^.]+)\.original$")
# One of the tensors that another parametrization makes the weight from.
_PART = re.compile(r"^(?P<stem>.*?parametrizations\.[^.]+\.)original\d+$")
_VERSION = 1
_PARAMETRIZATIONS = (SpectralNorm, _SpectralNorm)


class _Entry(NamedTuple):
    """A weight of a checkpoint: where it is, and the vectors that came with it."""

    prefix: str
    name: str
    weight: Tensor
    u: Tensor | None
    v: Tensor | None
    keys: tuple[str, ...]


class _Home(NamedTuple):
    """How a model normalises a weight."""

    dim: int
    rule: Rule


def convert_state_dict(
    state_dict: Mapping[str, Any],
    to: Form = "parametrization",
    *,
    dims: Mapping[str, int] | None = None,
    modules: nn.Module | None = None,
) -> OrderedDict[str, Any]:
    """Rewrite the normalised weights of a checkpoint for another front end.

    Parameters
    ----------
    state_dict : mapping of str to Tensor
        Of a model whose weights are normalised by the parametrization, by the hook (version 1, or
        without a version, which holds ``weight`` in place of ``weight_v``), or not at all; a
        mixture is understood. It is not changed. What is no such weight, extra state of any kind
        as well, is handed on.
    to : {"parametrization", "hook", "plain"}, optional
        What to write; ``"plain"`` writes the folded ``W / sigma``, see `modules`.
    dims : mapping of str to int, optional
        Axis of the outputs for weights where it is not 0, by name (``"up.weight"``): transposed
        convolutions.
    modules : torch.nn.Module, optional
        The model: says which plain weights are to be normalised, their axes, and what ``"plain"``
        divides them by beside sigma (``coefficient``, ``soft``). If it is normalised, as far as it
        is; a plain one is taken as if all its Linear, Conv, ConvTranspose and Embedding layers
        were. Without it, every plain tensor named ``weight`` of two or more axes is, and every one
        of one or more that `dims` names.

    Returns
    -------
    OrderedDict of str to Tensor
        Ready for a strict load. Vectors for plain weights come from a converged run. A weight of
        one axis has vectors in the hook, and none in the parametrization.

    Raises
    ------
    ValueError
        If `to` is unknown, or a weight carries parametrizations other than one spectral norm, of
        which those that make it from several tensors are handed on if there is no spectral norm.

    Examples
    --------
    >>> import torch
    >>> from rsspecnorm.torch import convert_state_dict, spectral_norm
    >>> old = spectral_norm(torch.nn.Linear(3, 4)).state_dict()
    >>> list(convert_state_dict(old))[1:3]
    ['parametrizations.weight.original', 'parametrizations.weight.0._u']
    >>> list(convert_state_dict(old, "plain"))
    ['bias', 'weight']
    """
    if to not in _FORMS:
        message = f"to must be one of {', '.join(_FORMS)}, got {to!r}"
        raise ValueError(message)
    homes = {} if modules is None else _normalized(modules) or _plain(modules)
    rules = {key: home.rule for key, home in homes.items()}
    axes = {key: home.dim for key, home in homes.items()} | dict(dims or {})
    found = _entries(state_dict, axes, modules, plain=to != "plain")
    owner = {key: entry for entry in found for key in entry.keys}
    result: OrderedDict[str, Any] = OrderedDict()
    with torch.no_grad():
        for key, value in state_dict.items():
            entry = owner.get(key)
            if entry is None:
                result[key] = value
            elif key == entry.keys[0]:
                name = entry.prefix + entry.name
                home = _Home(axes.get(name, 0), rules.get(name, Rule()))
                with without_autocast(entry.weight.device.type):
                    result.update(_written(entry, home, to))
    metadata = getattr(state_dict, "_metadata", None)
    if metadata is not None:
        result._metadata = _marked(metadata, found, to)  # type: ignore[attr-defined]
    return result


def _normalized(model: nn.Module) -> dict[str, _Home]:
    """Return what a model says of its normalised weights."""
    return {
        f"{path}.{name}" if path else name: _Home(each.dim, _rule(each))
        for path, module in model.named_modules()
        for name, each in _norms_of(module)
    }


def _norms_of(module: nn.Module) -> Iterator[tuple[str, Any]]:
    """Yield the spectral norms of a module, ours and torch's, with the names of their weights."""
    for hook in module._forward_pre_hooks.values():
        if isinstance(hook, Hook):
            yield hook.name, hook
    if parametrize.is_parametrized(module):
        listed: Any = module.parametrizations
        for name, each in listed.items():
            yield from ((name, x) for x in each if isinstance(x, _PARAMETRIZATIONS))


def _rule(norm: Any) -> Rule:
    layer = getattr(norm, "layer", None)
    return Rule() if layer is None else layer.options.rule


def _plain(model: nn.Module) -> dict[str, _Home]:
    """Return the axis of every weight of a model that a group would take."""
    return {
        f"{name}.weight" if name else "weight": _Home(default_dim(module), Rule())
        for name, module in model.named_modules()
        if isinstance(module, LAYERS)
    }


def _entries(
    state: Mapping[str, Any], axes: Mapping[str, int], modules: nn.Module | None, *, plain: bool
) -> list[_Entry]:
    found = [entry for key in state if (entry := _parametrized(state, key) or _hooked(state, key))]
    if plain:
        taken = {key for entry in found for key in entry.keys}
        for key, value in state.items():
            if key not in taken and _is_plain_weight(key, value, axes, modules):
                prefix, name = key[: key.rfind(".") + 1], key[key.rfind(".") + 1 :]
                found.append(_Entry(prefix, name, value, None, None, (key,)))
    return found


def _is_plain_weight(
    key: str, value: Any, axes: Mapping[str, int], modules: nn.Module | None
) -> bool:
    if not isinstance(value, Tensor) or not is_inexact(value):
        return False
    named = modules is None and key[key.rfind(".") + 1 :] == "weight" and value.ndim > 1
    return value.ndim > 0 and (key in axes or named)


def _parametrized(state: Mapping[str, Any], key: str) -> _Entry | None:
    match = _PARAMETRIZATION.match(key)
    if match is None:
        _refuse_parts(state, key)
        return None
    stem = key.removesuffix("original")
    keys = tuple(k for k in state if k.startswith(stem))
    if keys == (key,) and state[key].ndim == 1:  # a vector needs none
        return _Entry(match["prefix"], match["name"], state[key], None, None, keys)
    if set(keys) != {key, stem + "0._u", stem + "0._v"}:
        message = f"{key} must carry one spectral norm and nothing else, got {', '.join(keys)}"
        raise ValueError(message)
    ordered = key, stem + "0._u", stem + "0._v"
    weight, u, v = (state[k] for k in ordered)
    return _Entry(match["prefix"], match["name"], weight, u, v, ordered)


def _refuse_parts(state: Mapping[str, Any], key: str) -> None:
    """Refuse a spectral norm over a weight that is made from several tensors."""
    part = _PART.match(key)
    keys = [] if part is None else [k for k in state if k.startswith(part["stem"])]
    if any(k.endswith("._u") for k in keys):
        message = f"{key} must carry one spectral norm and nothing else, got {', '.join(keys)}"
        raise ValueError(message)


def _hooked(state: Mapping[str, Any], key: str) -> _Entry | None:
    stem = key.removesuffix("_orig")
    if stem == key or stem + "_u" not in state:
        return None
    keys = tuple(k for k in (key, stem + "_u", stem + "_v", stem) if k in state)
    split = stem.rfind(".") + 1
    v = state.get(stem + "_v")
    return _Entry(stem[:split], stem[split:], state[key], state[stem + "_u"], v, keys)


def _written(entry: _Entry, home: _Home, to: Form) -> dict[str, Tensor]:
    dim = checked_dim(home.dim, entry.weight.ndim)
    stem = entry.prefix + entry.name
    if to == "plain":
        return {stem: _folded(entry, dim, home.rule)}
    place = f"{entry.prefix}parametrizations.{entry.name}."
    if to == "parametrization" and entry.weight.ndim == 1:
        return {place + "original": entry.weight}
    u, v = (x.to(entry.weight.dtype) for x in _vectors(entry, dim))
    if to == "hook":
        return {stem + "_orig": entry.weight, stem + "_u": u, stem + "_v": v}
    return {place + "original": entry.weight, place + "0._u": u, place + "0._v": v}


def _vectors(entry: _Entry, dim: int) -> tuple[Tensor, Tensor]:
    """Return the vectors that came along, or those that belong to the weight."""
    wide = accumulator(entry.weight.dtype)
    matrix = as_matrices(entry.weight.detach().unsqueeze(0).to(wide), dim)[0]
    if entry.u is None:
        _, u, v = triplet(matrix)
        return u, v
    if entry.u.shape[0] != matrix.shape[0]:
        message = (
            f"dims must name the axis of {entry.prefix}{entry.name}: its u has length "
            f"{entry.u.shape[0]}, axis {dim} has {matrix.shape[0]}"
        )
        raise ValueError(message)
    if entry.v is not None:
        return entry.u, entry.v
    # Dicts without a version held no v; u = A v / |A v| says what it was.
    v = torch.linalg.pinv(matrix) @ entry.u.to(wide)
    return entry.u, v / torch.linalg.vector_norm(v)


def _folded(entry: _Entry, dim: int, rule: Rule) -> Tensor:
    u, v = _vectors(entry, dim)
    batch = entry.weight.detach().unsqueeze(0)
    wide = accumulator(batch.dtype)
    vectors = (x.to(wide).unsqueeze(0) for x in (u, v))
    step = power_step(Dense(batch.to(wide), dim), *vectors, n_iter=0, order="uv", revive=True)
    return divide(batch, step.sigma, rule)[0]


def _marked(metadata: Any, found: list[_Entry], to: Form) -> Any:
    """Return the metadata with the hook's version where the hook is to load, and only there."""
    marked = OrderedDict((key, dict(value)) for key, value in metadata.items())
    for value in marked.values():
        value.pop("spectral_norm", None)
    if to == "hook":
        for entry in found:
            local = marked.setdefault(entry.prefix.removesuffix("."), {})
            local.setdefault("spectral_norm", {})[entry.name + ".version"] = _VERSION
    return marked
