"""All normalised layers of a model in one call per step."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from rsspecnorm.torch import eager, recompute, scaled
from rsspecnorm.torch.device import INITIAL_ITERATIONS
from rsspecnorm.torch.layers import chosen, registered, unregister
from rsspecnorm.torch.options import checked_options, with_iterations
from rsspecnorm.torch.rows import Plan
from rsspecnorm.torch.steps import normalize

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from rsspecnorm.torch.member import GroupMember
    from rsspecnorm.torch.options import Init, Seed


class SpectralNormGroup:
    """Spectral normalisation of many layers, computed for all of them by one call.

    Each layer is parametrized as `rsspecnorm.torch.parametrizations.spectral_norm` does it, with
    the same keys, so checkpoints interchange. The layers of a model are normalised at the start
    of each forward of the model; in training their vectors then move, once per forward however
    often a weight is read. Layers given by themselves are normalised by `update`.

    Parameters
    ----------
    modules_or_model : torch.nn.Module, iterable of torch.nn.Module, or mapping of str to them
        A model, whose Linear, Conv, ConvTranspose and Embedding layers are taken; or the layers.
    name : str, optional
        Name of the weight of each layer.
    n_power_iterations, eps, coefficient, soft, detach_sigma, init, init_iterations, generator
        As in `rsspecnorm.torch.parametrizations.spectral_norm`. A deterministic start depends on
        the name of the layer too.

    Attributes
    ----------
    sigma : dict of str to Tensor
        The last sigma of each layer.

    Raises
    ------
    ValueError
        If there is no layer, or one has no such parameter, or an option is out of range.

    Notes
    -----
    A layer that is called outside the model's forward is evaluated at the vectors there are; call
    `update` before a training step that does so.

    Threads may evaluate one model at the same time without gradients. Forwards that are to be
    differentiated share one result, so only one of them may be under way.

    Examples
    --------
    >>> import torch
    >>> from rsspecnorm.torch import SpectralNormGroup
    >>> model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 1))
    >>> group = SpectralNormGroup(model)
    >>> model(torch.ones(2, 8)).shape
    torch.Size([2, 1])
    >>> sorted(group.sigma)
    ['0.weight', '2.weight']
    """

    def __init__(
        self,
        modules_or_model: nn.Module | Iterable[nn.Module] | Mapping[str, nn.Module],
        *,
        name: str = "weight",
        n_power_iterations: int = 1,
        eps: float = 1e-12,
        coefficient: float = 1.0,
        soft: bool = False,
        detach_sigma: bool = False,
        init: Init = "random",
        init_iterations: int | None = None,
        generator: Seed = None,
    ) -> None:
        self._name = name
        self.options = checked_options(
            n_power_iterations,
            eps,
            order="uv",
            coefficient=coefficient,
            soft=soft,
            detach_sigma=detach_sigma,
            init=init,
            init_iterations=INITIAL_ITERATIONS if init_iterations is None else init_iterations,
            generator=generator,
        )
        self._layers = chosen(modules_or_model, name)
        self._members = {
            key: registered(m, name, key, self.options) for key, m in self._layers.items()
        }
        self._start()
        self._handles: list[Any] = []
        self._follows = False
        if isinstance(modules_or_model, nn.Module):
            self._follow(modules_or_model)

    def _start(self) -> None:
        """Make the initial iterations of every layer in one call, or put them off."""
        members = [m for m in self._members.values() if not m.stands_alone()]
        if self.options.init == "deterministic":
            for member in members:
                member.layer.pending = self.options.init_iterations
            return
        for training in (True, False):
            some = [m for m in members if m.training is training]
            # In training the read that torch's registration makes is a step as well.
            more = self.options.n_power_iterations if training else 0
            if some and self.options.init_iterations + more:
                with torch.no_grad():
                    self._normalize(some, self.options.init_iterations + more)

    def _follow(self, model: nn.Module) -> None:
        self._follows = True
        self._handles = [
            model.register_forward_pre_hook(self._before),
            model.register_forward_hook(self._after, always_call=True),
        ]

    def _before(self, *_: object) -> None:
        self.update()

    def _after(self, *_: object) -> None:
        for member in self._members.values():
            member.drop()

    @property
    def n_power_iterations(self) -> int:
        """Power iterations of an update in training mode; setting it sets that of every layer."""
        return self.options.n_power_iterations

    @n_power_iterations.setter
    def n_power_iterations(self, value: int) -> None:
        self.options = with_iterations(self.options, value)
        for member in self._members.values():
            member.n_power_iterations = value

    @property
    def sigma(self) -> dict[str, Tensor]:
        """The last sigma of each layer, by the name of its weight; 0-d, detached."""
        found = {self._key(key): m.layer.sigma for key, m in self._members.items()}
        return {key: sigma for key, sigma in found.items() if sigma is not None}

    def _key(self, layer: str) -> str:
        return f"{layer}.{self._name}" if layer else self._name

    def update(self) -> None:
        """Normalise every layer now; in training its vectors move.

        The layers' weights read the result until it is used up by a backward pass, the weight is
        written to, or the next `update`.
        """
        if not torch.compiler.is_compiling():
            self._let_go()
        members = []
        for member in self._members.values():
            member.turn.alone = member.stands_alone()
            if not member.turn.alone:
                members.append(member)
        if recompute.in_recomputation():
            self._replay(members)
            return
        for training in (True, False):
            some = [m for m in members if m.training is training]
            pending = max((m.layer.pending for m in some), default=0)
            groups: defaultdict[int, list[GroupMember]] = defaultdict(list)
            for member in some:
                member.layer.pending = 0
                steps = member.layer.options.n_power_iterations if training else 0
                groups[pending + steps].append(member)
            for n_iter, part in groups.items():
                rest = self._step(part, n_iter)
                if rest:
                    self._share(rest, self._normalize(rest, n_iter))

    def _step(self, members: list[GroupMember], n_iter: int) -> list[GroupMember]:
        """Move the vectors of layers that divide their outputs; return the others."""
        if not (scaled.unwatched() and scaled.open_now()):
            return members
        rest, some, places = [], [], []
        for member in members:
            row = member.row()
            place = member.places(row)
            if place is None:
                rest.append(member)
            else:
                some.append((member, row))
                places.append(place)
        steps = eager.step(places, Plan("uv", self.options.rule, n_iter))
        noted = not torch.is_grad_enabled() and recompute.in_first_forward()
        for (member, row), step in zip(some, steps, strict=True):
            if step is None:
                rest.append(member)
                continue
            member.take_step(step, row, moved=n_iter > 0)
            if noted:
                recompute.note(member, step.u, step.v)
        return rest

    def _replay(self, members: list[GroupMember]) -> None:
        """Normalise with the vectors of a checkpointed forward that runs again."""
        used = [recompute.recall(m) for m in members]
        vectors = [m.vectors() if x is None else x[:2] for m, x in zip(members, used, strict=True)]
        self._share(members, self._normalize(members, 0, vectors))

    def _normalize(
        self, members: list[GroupMember], n_iter: int, vectors: list[Any] | None = None
    ) -> list[Any]:
        taken = [m.vectors() for m in members] if vectors is None else vectors
        weights = [m.row()._replace(u=u, v=v) for m, (u, v) in zip(members, taken, strict=True)]
        revive = n_iter == 0 and not all(m.layer.trusts(*m.vectors()) for m in members)
        results = normalize(weights, Plan("uv", self.options.rule, n_iter, revive))
        for member, result in zip(members, results, strict=True):
            member.layer.found(result.sigma)
            if n_iter > 0:
                member.layer.trust(*member.vectors())
        return results

    def _share(self, members: list[GroupMember], results: list[Any]) -> None:
        # In compiled code nothing but the end of a model's forward tells when a share is stale.
        lasting = self._follows or not torch.compiler.is_compiling()
        noted = recompute.in_first_forward()
        for member, result in zip(members, results, strict=True):
            if lasting:
                member.take_share(result.out, result.u, result.v)
            if noted:
                recompute.note(member, result.u, result.v)

    def remove(self, *, leave_normalized: bool = False) -> None:
        """Take the normalisation off all layers.

        Parameters
        ----------
        leave_normalized : bool, optional
            Keep the normalised values in the parameters, in place of the raw ones. Other
            parametrizations of the same weight then go too, as what they do is in the values.
        """
        self._release()
        for key, module in self._layers.items():
            self._members[key].drop()
            unregister(module, self._name, self._members[key], leave_normalized)
        self._layers, self._members = {}, {}

    def _release(self) -> None:
        """Take the hooks off the model."""
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def _let_go(self) -> None:
        """Forget layers that others took the normalisation off, and after the last the model."""
        for key, module in list(self._layers.items()):
            if not self._members[key].is_on(module, self._name):
                del self._layers[key], self._members[key]
        if not self._members:
            self._release()


def apply_spectral_norm(
    model: nn.Module,
    predicate: Callable[[str, nn.Module], bool] | None = None,
    **options: Any,
) -> SpectralNormGroup:
    """Normalise the layers of a model that a predicate chooses.

    Parameters
    ----------
    model : torch.nn.Module
        The model.
    predicate : callable, optional
        ``predicate(name, module) -> bool``, asked for every Linear, Conv, ConvTranspose and
        Embedding. Default: all of them.
    **options
        As in `SpectralNormGroup`.

    Returns
    -------
    SpectralNormGroup
        Its ``remove()`` restores plain weights.

    Examples
    --------
    >>> import torch
    >>> from rsspecnorm.torch import apply_spectral_norm
    >>> model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Linear(16, 1))
    >>> group = apply_spectral_norm(model, lambda name, module: module.out_features > 1)
    >>> [name for name in model.state_dict() if name.endswith("original")]
    ['0.parametrizations.weight.original']
    """
    name = options.get("name", "weight")
    layers = {
        key: module
        for key, module in chosen(model, name).items()
        if predicate is None or predicate(key, module)
    }
    group = SpectralNormGroup(layers, **options)
    group._follow(model)
    return group
