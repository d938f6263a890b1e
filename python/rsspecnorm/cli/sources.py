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

# The dtypes that have a norm, as safetensors spells them.
MEASURED = {"F16", "BF16", "F32", "F64", "C64", "C128"}
_NUMPY = (".npy", ".npz")
_TORCH = (".pt", ".pth", ".bin", ".ckpt")
_TORCH_INDEX = ".bin.index.json"
# The longest index that is read, as for safetensors.
_MAX_INDEX = 100_000_000


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
    for reader, group in groupby(files_of(paths), key=_reader):
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


def files_of(paths: Sequence[str]) -> list[str]:
    """
    Find every file to be read, once.

    Parameters
    ----------
    paths : sequence of str
        As `open_sources` takes them; they may overlap.

    Returns
    -------
    list of str
        In the order named, by the names that come first.

    Raises
    ------
    CommandError
        As `expand` does.
    """
    found: dict[tuple[str, str], str] = {}
    for file in (file for path in paths for each in expand(path) for file in _shards(each)):
        # Links to files are kept apart: two checkpoints may share a shard.
        folder, name = os.path.split(os.path.abspath(file))  # noqa: PTH100 - strings here
        found.setdefault((os.path.realpath(folder), name), file)
    return list(found.values())


def _shards(path: str) -> list[str]:
    if _reader(path) != "native":
        return [path]
    from rsspecnorm import _core

    return _core.shards(path)


def spelled(text: str) -> str:
    """Replace what is not UTF-8 in a path or a name, as the core does."""
    return "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in text)


def expand(path: str) -> list[str]:
    """
    Find the files that a path stands for.

    Parameters
    ----------
    path : str
        A file, a folder, an index of shards, or a pattern that the shell has not expanded.

    Returns
    -------
    list of str
        Files; a folder or an index of safetensors stays what it is.

    Raises
    ------
    CommandError
        When there is nothing of that name, or an index is not valid.
    """
    found = named(path)
    if found != [path]:
        return [file for each in found for file in expand(each)]
    if os.path.isdir(path):  # noqa: PTH112 - strings here
        return _torch_shards(path)
    return _torch_index(path) if path.endswith(_TORCH_INDEX) else [path]


def named(path: str) -> list[str]:
    """
    Find what a path or a pattern names.

    Parameters
    ----------
    path : str
        As `expand` takes it.

    Returns
    -------
    list of str
        The path itself where there is something of that name, else what matches it.

    Raises
    ------
    CommandError
        When there is nothing.
    """
    if os.path.lexists(path):
        return [path]
    if not glob.has_magic(path):
        raise CommandError(f"{path}: no such file or directory")
    found = sorted(glob.glob(path, recursive=True))  # noqa: PTH207 - a pattern as typed
    if not found:
        raise CommandError(f"{path}: no file matches")
    return found


def _torch_shards(folder: str) -> list[str]:
    """A folder itself when it holds safetensors, else its torch shards."""
    # Hidden files are other programs' notes, not shards.
    names = sorted(name for name in os.listdir(folder) if not name.startswith("."))  # noqa: PTH208
    if any(name.endswith((".safetensors", ".safetensors.index.json")) for name in names):
        return [folder]
    indices = [name for name in names if name.endswith(_TORCH_INDEX)]
    if len(indices) == 1:
        return _torch_index(os.path.join(folder, indices[0]))  # noqa: PTH118 - as above
    shards = [name for name in names if name.startswith("pytorch_model") and name.endswith(".bin")]
    return [os.path.join(folder, name) for name in shards] or [folder]  # noqa: PTH118 - as above


def _torch_index(path: str) -> list[str]:
    """The shards that an index names, all of which must lie beside it."""
    import json

    _require_regular(path)
    try:
        with open(path, "rb") as stream:  # noqa: PTH123 - strings here
            shards = set(json.loads(stream.read(_MAX_INDEX))["weight_map"].values())
        plain = all(name and os.path.basename(name) == name for name in shards)  # noqa: PTH119
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise CommandError(f"{path}: the index is not valid") from error
    folder = os.path.dirname(path)  # noqa: PTH120 - strings here
    files = [os.path.join(folder, name) for name in sorted(shards)]  # noqa: PTH118 - as above
    missing = [file for file in files if not os.path.isfile(file)]  # noqa: PTH113 - as above
    if missing or not plain or not files:
        what = f"names {missing[0]!r}, which is missing" if missing and plain else "is not valid"
        raise CommandError(f"{path}: the index {what}")
    return files


def _reader(path: str) -> str:
    suffix = os.path.splitext(path)[1].lower()  # noqa: PTH122 - strings here
    if suffix not in _NUMPY + _TORCH or os.path.isdir(path):  # noqa: PTH112 - as above
        return "native"
    _require_regular(path)
    return "numpy" if suffix in _NUMPY else "torch"


def _require_regular(path: str) -> None:
    """Refuse a pipe or a device, which may keep its reader waiting for ever."""
    if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 - strings here
        raise CommandError(f"{path}: is not a regular file")
