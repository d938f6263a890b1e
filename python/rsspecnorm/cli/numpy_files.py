"""``.npy`` and ``.npz`` files, one array at a time."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rsspecnorm import _core
from rsspecnorm.cli.errors import CommandError, describe
from rsspecnorm.cli.sources import MEASURED, Listed, numbered, spelled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rsspecnorm.cli.columns import Row
    from rsspecnorm.cli.sources import OnRows, Settings, Source

_LETTERS = {"i": "I", "u": "U", "f": "F", "c": "C"}
# A member that unpacks to more than this many times its packed size, and to more than this many
# bytes, is taken for a bomb. Weights hardly compress at all; zeros compress a thousand times.
_BOMB_RATIO = 100
_BOMB_BYTES = 1 << 30
# Bytes that are unpacked at a time.
_PIECE = 1 << 20


def open_numpy(path: str) -> Source:
    """
    Open a NumPy file.

    Parameters
    ----------
    path : str
        A regular file whose name ends in ``.npy`` or ``.npz``.

    Returns
    -------
    Source
        Its arrays.

    Raises
    ------
    CommandError
        When the file is not what its name says.
    """
    try:
        return NpzFile(path) if path.lower().endswith(".npz") else NpyFile(path)
    except CommandError:
        raise
    except Exception as error:  # a hostile file may raise anything in the parsers it passes
        raise _refuse(path, error) from error


def dtype_name(dtype: np.dtype[Any]) -> str:
    """Spell a dtype as safetensors does (``"F32"``); others keep NumPy's name."""
    if dtype.name == "bfloat16":
        return "BF16"
    if dtype.kind == "b":
        return "BOOL"
    letter = _LETTERS.get(dtype.kind)
    return f"{letter}{8 * dtype.itemsize}" if letter else str(dtype)


def measure(
    listed: Listed, array: np.ndarray[Any, Any], settings: Settings, on_rows: OnRows
) -> list[dict[str, Any]]:
    """Measure one array; anything but row-major native order is copied first."""
    if array.dtype.hasobject:
        flat = np.empty(0, np.uint8)
    else:
        native = np.ascontiguousarray(array, array.dtype.newbyteorder("="))
        flat = native.reshape(-1).view(np.uint8)
    item = (listed.file, listed.name, listed.dtype, list(listed.shape), flat)
    return _core.audit_arrays([item], settings, on_rows)


class NpyFile:
    """One array, mapped."""

    def __init__(self, path: str) -> None:
        self.array = _mapped(path)
        name, dtype = spelled(Path(path).stem), dtype_name(self.array.dtype)
        self.listed = Listed(name, dtype, self.array.shape, spelled(path))

    def tensors(self) -> list[Listed]:
        """List the array."""
        return [self.listed]

    def run(self, keep: list[int], settings: Settings, on_rows: OnRows) -> list[dict[str, Any]]:
        """Measure the array if it is kept."""
        return [each for _ in keep for each in measure(self.listed, self.array, settings, on_rows)]


class _Member(NamedTuple):
    listed: Listed
    info: zipfile.ZipInfo
    dtype: np.dtype[Any]
    fortran: bool
    start: int

    def repeat(self, row: Row, first: _Member) -> Row:
        """Return a row of an equal member as the core repeats one."""
        name = row["name"]
        own = self.listed.name + name.removeprefix(first.listed.name)
        return {**row, "name": own, "same_as": row["same_as"] or name, "n_passes": 0, "ms": 0.0}


class NpzFile:
    """Arrays in a zip file, which cannot be mapped and are unpacked one by one."""

    def __init__(self, path: str) -> None:
        self.path = path
        with zipfile.ZipFile(path) as archive:
            infos = [info for info in archive.infolist() if info.filename.endswith(".npy")]
            self.members = [self._member(archive, info) for info in infos]
        if not infos:
            raise CommandError(f"{path}: holds no array")

    def tensors(self) -> list[Listed]:
        """List the arrays."""
        return [member.listed for member in self.members]

    def run(self, keep: list[int], settings: Settings, on_rows: OnRows) -> list[dict[str, Any]]:
        """Unpack and measure the arrays that are kept, equal ones once."""
        skipped: list[dict[str, Any]] = []
        measured: dict[tuple[int, int], list[tuple[_Member, list[Row]]]] = {}
        for i in keep:
            member, collect = self.members[i], numbered(on_rows, i)
            alike = measured.setdefault((member.info.CRC, member.info.file_size), [])
            equal = (each for each in alike if each[1] and self._is_equal(each[0], member))
            first, rows = next(equal, (member, []))
            if rows:
                collect([member.repeat(row, first) for row in rows])
                continue
            alike.append((member, rows))
            array = self._array(member)
            skipped += measure(member.listed, array, settings, _kept(rows, collect))
        return skipped

    def _is_equal(self, first: _Member, other: _Member) -> bool:
        """Compare two members byte by byte, a piece at a time: their checksums agree."""
        try:
            with (
                zipfile.ZipFile(self.path) as archive,
                archive.open(first.info) as one,
                archive.open(other.info) as two,
            ):
                pairs = zip(_pieces(one), _pieces(two), strict=True)
                return all(piece == its for piece, its in pairs)
        except Exception as error:  # as in open_numpy
            raise _refuse(f"{self.path}: {other.info.filename}", error) from error

    def _member(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> _Member:
        with archive.open(info) as stream:
            shape, fortran, dtype = _header(stream)
            start = stream.tell()
        _check_size(f"{self.path}: {info.filename}", shape, dtype, info.file_size - start)
        if info.file_size > max(_BOMB_BYTES, _BOMB_RATIO * info.compress_size):
            raise CommandError(f"{self.path}: {info.filename}: unpacks to {info.file_size} bytes")
        name = info.filename.removesuffix(".npy")
        listed = Listed(name, dtype_name(dtype), shape, spelled(self.path))
        return _Member(listed, info, dtype, fortran, start)

    def _array(self, member: _Member) -> np.ndarray[Any, Any]:
        if not _is_read(member.listed):
            return np.empty(0, member.dtype)
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(member.info) as stream:
                stream.read(member.start)
                flat = _fill(stream, member.info.file_size - member.start)
            typed: np.ndarray[Any, Any] = flat.view(member.dtype)
            shape = tuple(member.listed.shape)
            return typed.reshape(shape[::-1]).T if member.fortran else typed.reshape(shape)
        except Exception as error:  # as in open_numpy
            raise _refuse(f"{self.path}: {member.info.filename}", error) from error


def _kept(rows: list[Row], on_rows: OnRows) -> OnRows:
    """Note the rows that are passed on."""

    def collect(found: list[Row]) -> None:
        rows.extend(found)
        on_rows(found)

    return collect


def _pieces(stream: Any) -> Iterator[bytes]:  # noqa: ANN401 - any file
    return iter(lambda: stream.read(_PIECE), b"")


def _is_read(listed: Listed) -> bool:
    return listed.dtype in MEASURED and len(listed.shape) > 1


def _mapped(path: str) -> np.ndarray[Any, Any]:
    with Path(path).open("rb") as stream:
        shape, _, dtype = _header(stream)
        _check_size(path, shape, dtype, Path(path).stat().st_size - stream.tell())
    # An empty array cannot be mapped, and an object array is never loaded.
    if math.prod(shape) == 0 or dtype.hasobject:
        return np.empty(0, dtype) if dtype.hasobject else np.empty(shape, dtype)
    array: np.ndarray[Any, Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return array


def _check_size(what: str, shape: tuple[int, ...], dtype: np.dtype[Any], available: int) -> None:
    """Refuse a header that lies; Python's integers do not overflow, whatever it says."""
    size = math.prod(shape) * dtype.itemsize
    if not dtype.hasobject and (min(shape, default=0) < 0 or size != available):
        raise CommandError(f"{what}: its size does not fit its shape")


def _header(stream: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:  # noqa: ANN401 - any file
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0
    if version != (1, 0):
        read = np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(stream)
    return shape, fortran, dtype


def _fill(stream: Any, size: int) -> np.ndarray[Any, Any]:  # noqa: ANN401 - any file
    """Read exactly `size` bytes to the end of the stream, whose checksum is checked there."""
    flat = np.empty(size, np.uint8)
    view, filled = flat.data, 0
    while filled < size:
        count = stream.readinto(view[filled : filled + _PIECE])
        if not count:
            raise EOFError("ends early")
        filled += count
    if stream.read(1):
        raise EOFError("holds more than it says")
    return flat


def _refuse(path: str, error: Exception) -> CommandError:
    return CommandError(f"{path}: cannot be read as a NumPy file: {describe(error)}")
