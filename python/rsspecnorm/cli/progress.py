"""One line on a terminal's stderr while the work goes on."""

from __future__ import annotations

import os
import sys
import time

_WIDTH = 24
# The line appears only when there is something to wait for.
_PATIENCE = 0.3


class Progress:
    """
    A bar of finished elements.

    Parameters
    ----------
    total : int
        Elements to be read.
    enabled : bool
        ``False`` when the user wants none; a stderr that is no terminal never gets one.
    """

    def __init__(self, total: int, *, enabled: bool) -> None:
        self.total = max(total, 1)
        self.done = 0
        self.start = time.monotonic()
        self.visible = False
        terminal = sys.stderr is not None and sys.stderr.isatty()
        self.enabled = enabled and terminal and os.environ.get("TERM") != "dumb"

    def advance(self, elements: int) -> None:
        """Count finished elements and draw the line anew."""
        self.done += elements
        elapsed = time.monotonic() - self.start
        if not self.enabled or elapsed < _PATIENCE:
            return
        share = min(self.done / self.total, 1.0)
        bar = "#" * round(share * _WIDTH)
        colour, plain = ("", "") if os.environ.get("NO_COLOR") else ("\x1b[36m", "\x1b[0m")
        self._draw(f"{colour}{bar:.<{_WIDTH}}{plain} {share:4.0%} {elapsed:.0f} s")

    def close(self) -> None:
        """Take the line away."""
        if self.visible:
            self._draw("")

    def _draw(self, line: str) -> None:
        try:
            sys.stderr.write(f"\r\x1b[K{line}")
            sys.stderr.flush()
            self.visible = True
        except OSError:
            self.enabled = False
