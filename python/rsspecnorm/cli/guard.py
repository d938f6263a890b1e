"""The process around the command.

A memory-mapped file that is cut short while it is read raises SIGBUS, which no Python or safe Rust
code can answer. So the command works in a child process, forked before anything native is
imported, and the parent turns the child's death into one line and exit code 2.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

from rsspecnorm.cli import errors

if TYPE_CHECKING:
    import argparse
    from types import FrameType

_FORWARDED = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT")
# Seconds that the work has to end in order before the child ends anyway.
_GRACE = 0.7


def supervise(args: argparse.Namespace) -> int:
    """
    Run the command in a child and return the exit code it stands for.

    Parameters
    ----------
    args : argparse.Namespace
        The parsed command line.

    Returns
    -------
    int
        The child's exit code; 2 when a fatal signal ended it.
    """
    if not hasattr(os, "fork"):
        return protect(args)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    before = _sizes(args.path)
    # Blocked until both sides have their handlers, or a signal in between would be lost on one.
    old_mask = signal.pthread_sigmask(signal.SIG_BLOCK, _signals())
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        _child(args, parent, old_mask)
    _forward(child)
    signal.pthread_sigmask(signal.SIG_SETMASK, old_mask)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else _died(args, child, -code, before)


def protect(args: argparse.Namespace) -> int:
    """
    Run the command here and turn whatever ends it into a line and an exit code.

    Parameters
    ----------
    args : argparse.Namespace
        The parsed command line.

    Returns
    -------
    int
        The exit code.
    """
    try:
        from rsspecnorm.cli import command

        return command.execute(args)
    except KeyboardInterrupt:
        errors.say("interrupted")
        return 130
    except errors.Terminated as end:
        return end.code
    except (errors.CommandError, OSError, ValueError, MemoryError) as error:
        errors.say(f"error: {errors.describe(error)}")
    except BaseException as error:  # noqa: BLE001 - a panic of the core derives from it
        errors.say(f"error: internal error: {type(error).__name__}: {errors.describe(error)}")
    return 2


def _signals() -> list[signal.Signals]:
    """The signals to pass on, but for those that the caller chose to ignore."""
    known = [signal.Signals[name] for name in _FORWARDED if name in signal.Signals.__members__]
    return [s for s in known if signal.getsignal(s) is not signal.SIG_IGN]


def _child(args: argparse.Namespace, parent: int, mask: set[int | signal.Signals]) -> NoReturn:
    """Run the command and end without the interpreter's own farewell."""
    code = 2
    try:
        ending = _Ending(args)
        for number in _signals():
            signal.signal(number, ending)
        args.parent = parent
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        code = protect(args)
    except KeyboardInterrupt:
        code = 130
    except errors.Terminated as end:
        code = end.code
    finally:
        os._exit(code)


class _Ending:
    """
    Ends the child at a signal: by an exception, or at once where that may be lost.

    Parameters
    ----------
    args : argparse.Namespace
        The parsed command line.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.number = 0

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """End once: a terminal's Ctrl-C arrives twice, from the terminal and through the parent."""
        for each in _signals():
            signal.signal(each, signal.SIG_IGN)
        self.number = number
        # A module that is being imported may swallow the exception, or make another one of it.
        if _is_importing(frame):
            self.at_once()
        signal.signal(signal.SIGALRM, self.at_once)
        signal.setitimer(signal.ITIMER_REAL, _GRACE)
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise errors.Terminated(128 + number)

    def at_once(self, *_: object) -> NoReturn:
        """Leave nothing half written, and go."""
        _discard(self.args, os.getpid())
        if self.number == signal.SIGINT:
            errors.say("interrupted")
        os._exit(128 + self.number)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _discard(args: argparse.Namespace, process: int) -> None:
    """Remove what a process left half written."""
    from rsspecnorm.cli import output

    for path in (args.output, args.plot):
        if path is not None:
            output.discard(path, process)


def _forward(child: int) -> None:
    """Pass signals on to the child, whose end is then this process's end."""

    def forward(number: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, number)

    for each in _signals():
        signal.signal(each, forward)


def _died(
    args: argparse.Namespace, child: int, number: int, before: dict[str, tuple[int, int]]
) -> int:
    """Say in one line how the child died, and remove what it left half written."""
    _discard(args, child)
    if number == getattr(signal, "SIGBUS", 0):
        after = _sizes(args.path)
        changed = [path for path in before if after.get(path) != before[path]] or args.path
        errors.say(f"error: {', '.join(changed)} changed while it was read")
    elif number == signal.SIGKILL:
        errors.say("error: killed, perhaps for want of memory")
    else:
        errors.say(f"error: ended by {signal.Signals(number).name}")
    return 2


def _sizes(paths: list[str]) -> dict[str, tuple[int, int]]:
    """Size and time of each file, one level into folders: what tells which file changed."""
    sizes = {}
    for path in paths:
        with contextlib.suppress(OSError):
            if os.path.isdir(path):  # noqa: PTH112 - pathlib costs start-up time
                with os.scandir(path) as entries:
                    files = [entry.path for entry in entries]
            else:
                files = [path]
            for file in files:
                with contextlib.suppress(OSError):
                    status = os.stat(file)  # noqa: PTH116 - as above
                    sizes[file] = (status.st_size, status.st_mtime_ns)
    return sizes
