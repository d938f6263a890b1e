"""Lists and dicts of weights: their keys, their names in messages, their matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import index
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from rsspecnorm.arrays import as_array

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

Key: TypeAlias = Any
Container: TypeAlias = "Sequence[Any] | Mapping[Key, Any]"

_MIN_NDIM = 2


def items_of(container: object, name: str) -> list[tuple[Key, Any]]:
    """Return keys and values of a dict, or indices and items of a list."""
    if isinstance(container, Mapping):
        return list(container.items())
    if isinstance(container, Sequence) and not isinstance(container, str | bytes):
        return list(enumerate(container))
    message = f"{name} must be a list or a dict of arrays, got {type(container).__name__}"
    raise TypeError(message)


def like_container(values: Mapping[Key, Any], container: Container) -> Any:  # noqa: ANN401 - list or dict
    """Return the values, by key, in the kind of container that another one is."""
    return dict(values) if isinstance(container, Mapping) else list(values.values())


def value_of(setting: Any, key: Key, name: str) -> Any:  # noqa: ANN401 - whatever a setting is
    """Return a setting that is one for all weights, or one for each key."""
    if isinstance(setting, Mapping) or _is_listed(setting):
        try:
            return setting[key]
        except (KeyError, IndexError, TypeError):
            message = f"{name} has no entry for weights[{key!r}]"
            raise ValueError(message) from None
    return setting


def same_shape(shape: tuple[int, ...], before: tuple[int, ...], name: str) -> None:
    """Refuse a weight that has another shape than it had."""
    if before != shape:
        message = f"{name} must keep its shape: it was {before}, and is {shape} now"
        raise ValueError(message)


def checked_state(state: object, entries: set[str], version: int) -> Mapping[str, Any]:
    """Return `state` if it is a `state_dict` with these entries, of which some are by key."""
    if not isinstance(state, Mapping):
        message = f"state must be a state_dict, got {type(state).__name__}"
        raise TypeError(message)
    missing = ({"version", "listed"} | entries) - set(state)
    if missing or state["version"] != version:
        what = f"no {sorted(missing)}" if missing else f"version {state['version']}"
        message = f"state must be a state_dict of version {version}, got {what}"
        raise ValueError(message)
    for name in sorted(entries):
        if not isinstance(state[name], Mapping):
            message = f"state[{name!r}] must be a dict, got {type(state[name]).__name__}"
            raise TypeError(message)
    if any(state[name].keys() != state["sigma"].keys() for name in entries):
        message = f"state must hold {', '.join(sorted(entries))} for the same keys"
        raise ValueError(message)
    return state


def stored_sigma(state: Mapping[str, Any]) -> dict[Key, float]:
    """Return every sigma of a `state_dict`."""
    sigma = {}
    for key, value in state["sigma"].items():
        try:
            sigma[key] = float(value)
        except (TypeError, ValueError):
            message = f"state['sigma'][{key!r}] must be a real number, got {value!r}"
            raise TypeError(message) from None
    return sigma


def stored_shape(shape: Any, name: str) -> tuple[int, ...]:  # noqa: ANN401 - that is asked here
    """Return the shape that a `state_dict` has under this name."""
    try:
        return tuple(index(n) for n in shape)
    except TypeError:
        message = f"{name} must be a shape, got {shape!r}"
        raise TypeError(message) from None


def stored_array(x: ArrayLike, ndim: int, name: str) -> NDArray[Any]:
    """Return a copy of the vectors that a `state_dict` has under this name."""
    vectors = as_array(x, name)
    if vectors.dtype.kind not in "fiu" or vectors.ndim != ndim:
        message = (
            f"{name} must be an array of {ndim} axes of real numbers, "
            f"got dtype {vectors.dtype} and shape {vectors.shape}"
        )
        raise TypeError(message)
    return vectors.copy()


def _is_listed(x: object) -> bool:
    if isinstance(x, np.ndarray):
        return x.ndim > 0
    return isinstance(x, Sequence) and not isinstance(x, str | bytes)


def moved(a: NDArray[Any], dim: int, name: str) -> NDArray[Any]:
    """Return a view with axis `dim` in front, of which `matrix_of` makes a matrix."""
    if a.ndim < _MIN_NDIM:
        message = f"{name} must have two axes or more, got shape {a.shape}"
        raise ValueError(message)
    try:
        axis = index(dim)
    except TypeError:
        message = f"dim must be an int, got {type(dim).__name__}"
        raise TypeError(message) from None
    if not -a.ndim <= axis < a.ndim:
        message = f"dim must be in [{-a.ndim}, {a.ndim - 1}] for {name}, got {axis}"
        raise ValueError(message)
    return np.moveaxis(a, axis, 0)


def matrix_of(front: NDArray[Any]) -> NDArray[Any]:
    """Return the matrix of one row per entry of the first axis: a view where that can be."""
    if front.ndim == _MIN_NDIM:
        return front
    return front.reshape(front.shape[0], int(np.prod(front.shape[1:])))
