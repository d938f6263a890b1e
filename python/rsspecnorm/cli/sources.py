"""From the paths of a command line to things that can be measured."""

from __future__ import annotations

import glob
import os
import stat
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from rsspecnorm.cli.errors import CommandError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rsspecnorm.cli.columns import Row

    OnRows = Callable[[list[Row]], None]

Settings = tuple[float | None, str, int | None]

_NUMPY = (".npy", ".npz")
_TORCH = (".pt", ".pth", ".bin", ".ckpt")


class Listed(NamedTuple):
    """A tensor before it is read."""

    name: str
    dtype: str
    shape: Sequence[int]
    file: str


class Source(Protocol):
    """Tensors that can be listed and then measured."""

    def tensors(self) -> Sequence[Listed | tuple[str, str, list[int], str]]:
        """List every tensor."""

    def run(self, keep: list[int], settings: Settings, on_rows: OnRows) -> list[dict[str, Any]]:
        """Measure those at the indices `keep`; return what was skipped."""


def numbered(on_rows: OnRows, number: int) -> OnRows:
    """
    Keep the order of several calls.

    Parameters
    ----------
    on_rows : callable
        Takes rows whose index counts within one call.
    number : int
        The call's place.

    Returns
    -------
    callable
        Takes the same rows and makes their index count across calls.
    """

    def collect(rows: list[Row]) -> None:
        on_rows([{**row, "index": (number, row["index"])} for row in rows])

    return collect


def open_sources(paths: Sequence[str]) -> list[Source]:
    """
    Open what the command line names.

    Parameters
    ----------
    paths : sequence of str
        Files, folders, and patterns that the shell has not expanded.

    Returns
    -------
    list of Source
        In the order named; neighbouring safetensors files share one source, so that they are
        measured in one parallel call.

    Raises
    ------
    CommandError
        When a file is missing or its kind needs a package that is not installed.
    """
    sources: list[Source] = []
    files = [file for path in paths for file in _expand(path)]
    for reader, group in groupby(files, key=_reader):
        if reader == "native":
            from rsspecnorm import _core

            sources.append(_core.Audit(list(group)))
        elif reader == "numpy":
            from rsspecnorm.cli.numpy_files import open_numpy

            sources.extend(map(open_numpy, group))
        else:
            from rsspecnorm.cli.torch_files import TorchFile

            sources.extend(map(TorchFile, group))
    return sources


def _expand(path: str) -> list[str]:
    if os.path.lexists(path):
        return _torch_shards(path) if os.path.isdir(path) else [path]  # noqa: PTH112 - strings here
    if glob.has_magic(path):
        found = sorted(glob.glob(path, recursive=True))  # noqa: PTH207 - a pattern as typed
        if found:
            return [file for each in found for file in _expand(each)]
        raise CommandError(f"{path}: no file matches")
    raise CommandError(f"{path}: no such file or directory")


def _torch_shards(folder: str) -> list[str]:
    """A folder itself when it holds safetensors, else its torch shards."""
    names = sorted(os.listdir(folder))  # noqa: PTH208 - strings here
    if any(name.endswith((".safetensors", ".safetensors.index.json")) for name in names):
        return [folder]
    shards = [name for name in names if name.startswith("pytorch_model") and name.endswith(".bin")]
    return [os.path.join(folder, name) for name in shards] or [folder]  # noqa: PTH118 - as above


def _reader(path: str) -> str:
    suffix = os.path.splitext(path)[1].lower()  # noqa: PTH122 - strings here
    if suffix not in _NUMPY + _TORCH:
        return "native"
    if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 - as above
        raise CommandError(f"{path}: is not a regular file")
    return "numpy" if suffix in _NUMPY else "torch"
