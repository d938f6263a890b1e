"""What ends the command, and how it is said: one line on stderr."""

from __future__ import annotations

import sys


class CommandError(Exception):
    """A bad file or setting; the message is one line that names it."""


class Terminated(BaseException):
    """The process was asked to end by a signal, or has lost its parent."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def printable(text: str) -> str:
    """
    Escape what would move a terminal's cursor, change its colours or reverse its text.

    Names come from files that anyone may have written.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def say(message: str) -> None:
    """Write one line to stderr; a closed stderr is no reason to fail."""
    if sys.stderr is None:
        return
    line = f"rsspecnorm: {printable(message)}\n".encode("utf-8", "backslashreplace")
    try:
        sys.stderr.flush()
        sys.stderr.buffer.write(line)
        sys.stderr.buffer.flush()
    except OSError:
        pass


def describe(error: BaseException) -> str:
    """Say what went wrong in one line."""
    if isinstance(error, MemoryError):
        return "out of memory"
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror.lower()}"
    return " ".join(str(error).split()) or type(error).__name__
