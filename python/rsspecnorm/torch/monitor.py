"""Watching the norms of a model while it trains."""

from __future__ import annotations

from operator import index
from typing import TYPE_CHECKING

import torch
from torch.nn.parameter import is_lazy

from rsspecnorm.torch.layout import is_inexact
from rsspecnorm.torch.norms import matrix_norm

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

# Four digits are plenty for a plot.
_RTOL = 1e-4


class Monitor:
    """Spectral norms of a model's weights, every so many optimizer steps, ready for a logger.

    Parameters
    ----------
    model : torch.nn.Module
        The model. Its real and complex parameters of two or more axes are watched, as matrices
        whose rows are the first axis; those of integers and those not initialised yet are not.
    every : int, optional
        Steps between reports.
    predicate : callable, optional
        ``predicate(name, parameter) -> bool``: which parameters to watch.

    Raises
    ------
    TypeError
        If `every` is no integer.
    ValueError
        If `every` is not positive.

    Examples
    --------
    >>> import torch
    >>> from rsspecnorm.torch import Monitor
    >>> model = torch.nn.Linear(4, 3)
    >>> monitor = Monitor(model, every=2)
    >>> monitor.step()
    {}
    >>> sorted(monitor.step())
    ['weight/sigma', 'weight/stable_rank', 'weight/update_sigma']
    """

    def __init__(
        self,
        model: nn.Module,
        every: int = 100,
        predicate: Callable[[str, nn.Parameter], bool] | None = None,
    ) -> None:
        if index(every) <= 0:
            message = f"every must be positive, got {every}"
            raise ValueError(message)
        self.model, self.every, self.predicate = model, index(every), predicate
        self.count = 0
        self._before: dict[str, Tensor] = self._snapshot() if every == 1 else {}

    @torch.no_grad()
    def step(self) -> dict[str, float]:
        """Count a step; every `every` steps return the report, else an empty dict.

        Returns
        -------
        dict of str to float
            ``"<parameter>/sigma"``, the largest singular value; ``"<parameter>/stable_rank"``,
            ``(|W|_F / sigma)**2``; ``"<parameter>/update_sigma"``, the norm of the last step.
        """
        self.count += 1
        report = {}
        if self.count % self.every == 0:
            for name, weight in self._watched().items():
                report.update(self._row(name, weight))
        if (self.count + 1) % self.every == 0:
            self._before = self._snapshot()
        elif report:
            self._before = {}
        return report

    def _row(self, name: str, weight: Tensor) -> dict[str, float]:
        sigma = float(matrix_norm(weight, rtol=_RTOL))
        wide = torch.complex128 if weight.is_complex() else torch.float64
        frobenius = float(torch.linalg.vector_norm(weight, dtype=wide))
        row = {f"{name}/sigma": sigma}
        row[f"{name}/stable_rank"] = (frobenius / sigma) ** 2 if sigma else 0.0
        before = self._before.get(name)
        if before is not None and before.shape == weight.shape:
            row[f"{name}/update_sigma"] = float(matrix_norm(weight - before, rtol=_RTOL))
        return row

    def _watched(self) -> dict[str, Tensor]:
        return {
            name: p.detach().flatten(1)
            for name, p in self.model.named_parameters()
            if _is_matrix(p) and (self.predicate is None or self.predicate(name, p))
        }

    def _snapshot(self) -> dict[str, Tensor]:
        return {name: weight.clone() for name, weight in self._watched().items()}


def _is_matrix(p: Tensor) -> bool:
    if is_lazy(p):
        return False
    return p.ndim > 1 and is_inexact(p)
