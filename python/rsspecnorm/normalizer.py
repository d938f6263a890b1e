"""An object that normalises the same weights again and again."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from rsspecnorm import _core
from rsspecnorm.arrays import as_array, as_matrix, as_stepped
from rsspecnorm.options import as_flag, common
from rsspecnorm.stepping import coefficients, vector_dtype
from rsspecnorm.targets import checked_out, has_layout_of, is_same, like
from rsspecnorm.weights import (
    checked_state,
    items_of,
    like_container,
    matrix_of,
    moved,
    same_shape,
    stored_array,
    stored_shape,
    stored_sigma,
    value_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray

    from rsspecnorm.options import Rng
    from rsspecnorm.stepping import Order
    from rsspecnorm.weights import Container, Key

_VERSION = 1


class SpectralNormalizer:
    """Divides weights by their sigma, step after step, and keeps their vectors in between.

    For the weights of a model that change a little between calls. All weights of a call go through
    one parallel call of the core. The first time a key is seen its weight starts from `rng` and is
    given 15 power steps more, as torch's parametrization does on registration.

    Parameters
    ----------
    n_power_iterations : int, optional
        Power steps per call; 0 only evaluates sigma at the vectors kept.
    eps : float, optional
        As in `spectral_normalize`.
    order : {"uv", "vu"}, optional
        As in `spectral_normalize`.
    coefficient : float or list or dict of float, optional
        The norm to give the weights: one for all, or one for each key.
    soft : bool, optional
        Whether to leave weights alone whose sigma is below their coefficient.
    dim : int or list or dict of int, optional
        The axis of a weight that gives the rows of its matrix; the other axes, in their order, give
        the columns, as torch does. For example 1 for transposed convolutions.
    num_threads : int, optional
        Threads of each call. Default: the setting in force, see `get_num_threads`.
    check_finite : bool, optional
        Whether a nan or an inf in a weight is an error; nothing is changed then.
    rng : None, int or numpy.random.Generator, optional
        Where new weights start from; a Generator is asked for one seed here.

    Raises
    ------
    TypeError
        If `rng` has the wrong type.

    Notes
    -----
    Objects can be pickled and copied. The arithmetic and the results are those of
    `spectral_normalize`. The vectors are float64 for float64 weights, float32 for all others.

    Examples
    --------
    >>> import numpy as np
    >>> from rsspecnorm import SpectralNormalizer
    >>> weights = {"fc": np.diag([3.0, 4.0]), "conv": np.ones((8, 3, 3, 3), np.float32)}
    >>> normalizer = SpectralNormalizer(n_power_iterations=30)
    >>> normalized = normalizer.normalize(weights)
    >>> {key: weight.shape for key, weight in normalized.items()}
    {'fc': (2, 2), 'conv': (8, 3, 3, 3)}
    >>> {key: round(sigma, 4) for key, sigma in normalizer.sigma.items()}
    {'fc': 4.0, 'conv': 14.6969}
    """

    def __init__(
        self,
        n_power_iterations: int = 1,
        *,
        eps: float = 1e-12,
        order: Order = "uv",
        coefficient: ArrayLike | Mapping[Key, float] = 1.0,
        soft: bool = False,
        dim: Any = 0,  # noqa: ANN401 - an int, or a list or dict of them
        num_threads: int | None = None,
        check_finite: bool = False,
        rng: Rng = None,
    ) -> None:
        self.n_power_iterations = n_power_iterations
        self.eps = eps
        self.order = order
        self.coefficient = coefficient
        self.soft = soft
        self.dim = dim
        self.num_threads = num_threads
        self.check_finite = check_finite
        self._seed = common(None, False, rng)[0]
        self._state: dict[Key, tuple[NDArray[Any], NDArray[Any]]] = {}
        self._shape: dict[Key, tuple[int, ...]] = {}
        self._sigma: dict[Key, float] = {}
        self._kind: Container | None = None

    def normalize(self, weights: Container, out: Container | None = None) -> Any:  # noqa: ANN401 - list or dict
        """Make the power steps on every weight and divide it by its sigma.

        Parameters
        ----------
        weights : list or dict of array_like
            Weights of any shapes of two axes or more, and of any dtypes. A key that was seen before
            must come with the shape it had; keys may be left out or added.
        out : list or dict of ndarray, optional
            Where the results go: `weights` itself for in place, or arrays of the same shapes and
            dtypes.

        Returns
        -------
        list or dict of ndarray
            The normalised weights, in the kind of container that `weights` is.

        Raises
        ------
        TypeError
            If `weights` is neither a list nor a dict, or not of the kind it was before, or a dtype
            or the type of a setting is not accepted.
        ValueError
            If a weight, which the message names, has changed its shape, has fewer than two axes, or
            has a nan or an inf where `check_finite` is set; if `out` does not fit; if a setting is
            out of range.
        """
        calls = self._calls(weights, out)
        scales = [value_of(self.coefficient, call.key, "coefficient") for call in calls]
        settings = (self.n_power_iterations, self.eps, self.order, self.soft, None)
        sigma = _core.normalize(
            [call.matrix for call in calls],
            [call.u for call in calls],
            [call.v for call in calls],
            [call.target for call in calls],
            coefficients(scales, (len(calls),)),
            settings,
            (self._seed, common(self.num_threads, False, None)[1], False),
        )
        for call, value in zip(calls, sigma.tolist(), strict=True):
            self._shape[call.key] = call.weight.shape
            self._state[call.key] = call.u, call.v
            self._sigma[call.key] = value
        self._kind = {} if isinstance(weights, Mapping) else []
        return like_container({call.key: call.finish() for call in calls}, weights)

    @property
    def sigma(self) -> Any:  # noqa: ANN401 - list or dict
        """Sigma of each weight at its last call, not divided by its coefficient: float."""
        return self._contained(self._sigma)

    @property
    def u(self) -> Any:  # noqa: ANN401 - list or dict
        """Left vector of each weight."""
        return self._contained({key: u for key, (u, _) in self._state.items()})

    @property
    def v(self) -> Any:  # noqa: ANN401 - list or dict
        """Right vector of each weight."""
        return self._contained({key: v for key, (_, v) in self._state.items()})

    def __copy__(self) -> Self:
        """Return an object with a state of its own: one call moves one of them."""
        return copy.deepcopy(self)

    def state_dict(self) -> dict[str, Any]:
        """Return copies of shape, sigma, u and v by key, as `load_state_dict` takes them."""
        return {
            "version": _VERSION,
            "listed": isinstance(self._kind, list),
            "shape": dict(self._shape),
            "sigma": dict(self._sigma),
            "u": {key: u.copy() for key, (u, _) in self._state.items()},
            "v": {key: v.copy() for key, (_, v) in self._state.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the vectors of a `state_dict` in place of all that is kept.

        Parameters
        ----------
        state : dict
            What `state_dict` returned.

        Raises
        ------
        TypeError
            If `state` is no dict, or an entry is none that should be.
        ValueError
            If an entry is missing or of another version, or vectors do not fit their shape.
        """
        state = checked_state(state, {"shape", "sigma", "u", "v"}, _VERSION)
        shapes, vectors, sigma = {}, {}, stored_sigma(state)
        for key in sigma:
            shape = stored_shape(state["shape"][key], f"state['shape'][{key!r}]")
            u, v = (stored_array(state[x][key], 1, f"state[{x!r}][{key!r}]") for x in "uv")
            if u.size * v.size != prod(shape):
                message = (
                    f"state['u'][{key!r}] and state['v'][{key!r}] must be those of a weight of "
                    f"shape {shape}, got lengths {u.size} and {v.size}"
                )
                raise ValueError(message)
            shapes[key], vectors[key] = shape, (u, v)
        self._shape, self._state, self._sigma = shapes, vectors, sigma
        self._kind = ([] if state["listed"] else {}) if sigma else None

    def _contained(self, values: dict[Key, Any]) -> Any:  # noqa: ANN401 - list or dict
        return like_container(values, {} if self._kind is None else self._kind)

    def _calls(self, weights: Container, out: Container | None) -> list[_Call]:
        items = items_of(weights, "weights")
        if self._kind is not None and isinstance(self._kind, Mapping) != isinstance(
            weights, Mapping
        ):
            kind = "dict" if isinstance(self._kind, Mapping) else "list"
            message = f"weights must be a {kind} as before, got {type(weights).__name__}"
            raise TypeError(message)
        targets: dict[Key, Any] = {} if out is None else dict(items_of(out, "out"))
        if out is not None and targets.keys() != dict(items).keys():
            message = "out must have the keys of weights"
            raise ValueError(message)
        calls = [self._call(key, weight, targets.get(key)) for key, weight in items]
        if out is not None:
            _keep_apart(calls)
        return calls

    def _call(self, key: Key, weight: ArrayLike, out: object) -> _Call:
        name = f"weights[{key!r}]"
        call = _Call(key, name, weight, value_of(self.dim, key, "dim"))
        same_shape(call.weight.shape, self._shape.get(key, call.weight.shape), name)
        if (
            as_flag(self.check_finite, "check_finite")
            and not np.isfinite(call.matrix.astype(np.float64)).all()
        ):
            message = f"weights must hold finite values only, but {name} has a nan or an inf"
            raise ValueError(message)
        call.set_vectors(self._state.get(key))
        call.set_target(out)
        return call


class _Call:
    """One weight on its way through the core."""

    def __init__(self, key: Key, name: str, weight: ArrayLike, dim: int) -> None:
        self.key = key
        self.name = name
        self.dim = dim
        self.weight = as_array(weight, name)
        self.front = moved(self.weight, dim, name)
        self.matrix = as_stepped(as_matrix(matrix_of(self.front), name), name)
        self.target = self.matrix

    def set_vectors(self, state: tuple[NDArray[Any], NDArray[Any]] | None) -> None:
        """Take copies of the vectors kept, so that a call that fails changes nothing."""
        dtype = vector_dtype(self.matrix.dtype)
        if state is None:
            self.u, self.v = (np.zeros(n, dtype) for n in self.matrix.shape)
            return
        self.u, self.v = (np.array(x, dtype) for x in state)
        before = (self.u.size, self.v.size)
        if before != self.matrix.shape:
            message = (
                f"{self.name} must keep its dim: it was a matrix of {before}, "
                f"and is one of {self.matrix.shape} now"
            )
            raise ValueError(message)

    def set_target(self, out: object) -> None:
        """Find where the core writes, and where the result goes from there."""
        self.result: NDArray[Any] | None = None
        if out is None:
            self.target = like(self.matrix)
            return
        self.result = checked_out(out, self.weight, self.matrix, f"out[{self.key!r}]")
        matrix = matrix_of(moved(self.result, self.dim, self.name))
        fits = np.may_share_memory(matrix, self.result) and has_layout_of(matrix, self.matrix)
        self.target = matrix if fits else like(self.matrix)

    def finish(self) -> NDArray[Any]:
        """Return the result in the shape of the weight."""
        front = self.target.reshape(self.front.shape)
        if self.result is None:
            return np.moveaxis(front, 0, self.dim)
        if not np.may_share_memory(self.target, self.result):
            np.copyto(moved(self.result, self.dim, self.name), front)
        return self.result


class _Extent(NamedTuple):
    """Memory that a call reads or writes, from its first byte to behind its last."""

    start: int
    end: int
    written: bool
    call: _Call

    def array(self) -> NDArray[Any]:
        """Return the caller's array there."""
        result = self.call.result
        return self.call.weight if result is None or not self.written else result

    def name(self) -> str:
        """Return what the caller would write for it."""
        return f"out[{self.call.key!r}]" if self.written else self.call.name


def _keep_apart(calls: list[_Call]) -> None:
    """Refuse to write one weight's result into another weight or result."""
    extents = sorted(_extents(calls), key=lambda extent: extent[:2])
    # Of what came before, the read and the written extent that reach farthest.
    before: dict[bool, _Extent | None] = {False: None, True: None}
    for extent in extents:
        for other in before.values():
            is_apart = other is None or extent.start >= other.end
            if other is not None and not is_apart and (extent.written or other.written):
                _settle(extent, other)
        known = before[extent.written]
        if known is None or extent.end > known.end:
            before[extent.written] = extent


def _extents(calls: list[_Call]) -> Iterator[_Extent]:
    """Yield the memory of every weight and every result; of one in place once, as written."""
    for call in calls:
        in_place = call.result is not None and is_same(call.result, call.weight)
        if not in_place:
            yield _Extent(*_span(call.weight), False, call)
        if call.result is not None:
            yield _Extent(*_span(call.result), True, call)


def _settle(one: _Extent, other: _Extent) -> None:
    """Say that two overlap; or, where they only lie among each other, write elsewhere first."""
    if one.call is not other.call and np.shares_memory(one.array(), other.array()):
        first, second = (one, other) if one.written else (other, one)
        message = f"{first.name()} must not overlap {second.name()}"
        raise ValueError(message)
    for extent in (one, other):
        if extent.written:
            extent.call.target = like(extent.call.matrix)


def _span(x: NDArray[Any]) -> tuple[int, int]:
    """Return the addresses of the first byte and behind the last."""
    place: int = x.__array_interface__["data"][0]
    steps = (
        [stride * (n - 1) for stride, n in zip(x.strides, x.shape, strict=True)] if x.size else []
    )
    start = place + sum(step for step in steps if step < 0)
    return start, place + sum(step for step in steps if step > 0) + (x.itemsize if x.size else 0)
