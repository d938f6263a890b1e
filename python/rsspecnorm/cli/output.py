"""Where results go: stdout, or a file that appears whole or not at all."""

from __future__ import annotations

import contextlib
import io
import os
import re
import stat
import sys
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Self

from rsspecnorm.cli.errors import CommandError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType


# The bytes of a name that a temporary one takes over: most systems allow 255 in all.
_MAX_NAME = 200
_SEPARATORS = tuple(filter(None, (os.sep, os.altsep)))
# Names of what is open already: a file opened by one of them would be cut to nothing.
_DESCRIPTORS = {"stdout": 1, "stderr": 2}
_DESCRIPTOR = re.compile(r"(?:/dev|/proc/self)/(?:(?P<name>stdout|stderr)|fd/(?P<number>\d+))")


def temporary(path: str, process: int) -> Path:
    """
    Name the file that stands in for another until it is whole.

    Parameters
    ----------
    path : str
        The file to be written; a link is followed, so that the link survives.
    process : int
        The writing process, which makes the name its own.

    Returns
    -------
    pathlib.Path
        A hidden name in the same folder, where a rename cannot fail half-way.
    """
    target = Path(os.path.realpath(path))
    name = os.fsencode(target.name)
    if len(name) > _MAX_NAME:
        name = name[:_MAX_NAME] + b".%08x" % zlib.crc32(name)
    return target.with_name(f".{os.fsdecode(name)}.{process}.tmp")


def discard(path: str, process: int) -> None:
    """Remove what a process left half written."""
    with contextlib.suppress(OSError):
        temporary(path, process).unlink()


def is_special(path: str) -> bool:
    """Whether a path is a device or a pipe, which a rename would remove."""
    try:
        return not stat.S_ISREG(Path(path).stat().st_mode)
    except FileNotFoundError:
        return False


class Replacement:
    """
    A file under a temporary name, moved into place when its block ends without an exception.

    Parameters
    ----------
    path : str
        The file to be written.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.temporary = temporary(path, os.getpid())

    def check(self) -> None:
        """
        Find out whether there can be such a file.

        Raises
        ------
        CommandError
            When its folder is missing, or something else has its name.
        """
        target = Path(self.path)
        if target.is_dir():
            raise CommandError(f"{self.path}: is a directory")
        if not target.parent.is_dir():
            raise CommandError(f"{self.path}: no such folder: {target.parent}")
        if is_special(self.path):
            raise CommandError(f"{self.path}: is not a regular file")
        if self.path.endswith(_SEPARATORS):
            raise CommandError(f"{self.path}: no such folder")
        if target.exists() and not os.access(target, os.W_OK):
            raise CommandError(f"{self.path}: permission denied")

    def __enter__(self) -> Path:
        self.check()
        try:
            self.temporary.touch(exist_ok=True)
        except OSError as error:  # of the name that the caller knows
            raise OSError(error.errno, error.strerror, self.path) from error
        if Path(self.path).exists():
            # What only its owner could read stays so.
            self.temporary.chmod(stat.S_IMODE(Path(self.path).stat().st_mode))
        return self.temporary

    def __exit__(
        self,
        kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if kind is not None:
            discard(self.path, os.getpid())
            return
        try:
            self.temporary.replace(os.path.realpath(self.path))
        except BaseException:
            discard(self.path, os.getpid())
            raise


class Output:
    """
    The report's stream: a replacement of `path`, or stdout.

    Parameters
    ----------
    path : str or None
        The file to be written; ``None`` means stdout.
    """

    def __init__(self, path: str | None) -> None:
        self._stack = contextlib.ExitStack()
        self._path = path

    def __enter__(self) -> Self:
        if self._path is None:
            if sys.stdout is None:
                raise CommandError("standard output is closed")
            self._stream = sys.stdout
            if isinstance(self._stream, io.TextIOWrapper):
                # Names may hold what a terminal's encoding lacks; CSV brings its own line ends.
                self._stream.reconfigure(errors="backslashreplace", newline="")
        else:
            try:
                stream = open(  # noqa: PTH123 - descriptors too
                    self._place(self._path),
                    "w",
                    encoding="utf-8",
                    errors="backslashreplace",
                    newline="",
                )
            except OSError as error:
                self._stack.__exit__(type(error), error, error.__traceback__)
                raise OSError(error.errno, error.strerror, self._path) from error
            self._stream = self._stack.enter_context(stream)
        return self

    def _place(self, path: str) -> Path | int:
        """Return what is to be opened."""
        known = _DESCRIPTOR.fullmatch(path)
        if known is not None:
            number = known["number"]
            return os.dup(_DESCRIPTORS[known["name"]] if number is None else int(number))
        if is_special(path) and not Path(path).is_dir():
            return Path(path)
        return self._stack.enter_context(Replacement(path))

    def write(self, text: str) -> None:
        """Write; a reader that has gone away (``| head``) is no error."""
        with self._reported():
            self._stream.write(text)

    def flush(self) -> None:
        """Bring what was written to its reader."""
        with self._reported():
            self._stream.flush()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.flush()
        except BaseException as failure:
            with contextlib.suppress(OSError):  # what cannot be flushed cannot be closed either
                self._stack.__exit__(type(failure), failure, failure.__traceback__)
            raise
        self._stack.__exit__(kind, error, traceback)

    @contextlib.contextmanager
    def _reported(self) -> Iterator[None]:
        """Name the file in what the system says of it."""
        try:
            yield
        except BrokenPipeError:
            self.abandon()
        except OSError as error:
            name = "standard output" if self._path is None else self._path
            raise OSError(error.errno, error.strerror, name) from error

    def abandon(self) -> None:
        """Send the rest nowhere: the verdict of the rules still stands."""
        if sys.stdout is None:
            return
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)
