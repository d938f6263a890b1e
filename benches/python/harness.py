"""Times engines that do the same work, beside each other.

The engines take turns: each round runs every one of them once, in an order that turns by one place
each time. A ratio is formed within a round, so that whatever disturbs the machine disturbs both of
its sides, and reported as the median over the rounds with its range.

A sample is the median of several calls where calls are short. A pause comes before it: the threads
of a BLAS spin for a while when their work is done, on the cores of whoever comes next. A call that
is not counted follows, for any engine: cores come out of a pause at a lower clock, which a call of
some milliseconds feels and one of a second does not.
"""

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import Any, NamedTuple

# Seconds that one sample lasts, more or less, within limits on how often the clock is read.
SAMPLE = 0.05
MOST_STRETCHES = 15
PAUSE = 0.25


class Engine(NamedTuple):
    """One way to do the work."""

    name: str
    call: Callable[[], Any]
    calls: int = 1
    """How often it is called between two looks at the clock: many for what takes microseconds."""


class Ratio(NamedTuple):
    """How many times as long one engine takes as another."""

    middle: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.middle:.3g} ({self.low:.3g} to {self.high:.3g})"


@dataclass
class Measured:
    """What an engine returned and how long it took."""

    name: str
    value: Any
    seconds: list[float] = field(default_factory=list)
    """One entry for each round, for one call."""

    @property
    def middle(self) -> float:
        return median(self.seconds)

    @property
    def best(self) -> float:
        return min(self.seconds)

    @property
    def spread(self) -> float:
        """Half of the samples lie in a range this wide, relative to the median."""
        if len(self.seconds) < 2:
            return 0.0
        low, _, high = quantiles(self.seconds, n=4)
        return (high - low) / self.middle

    def times(self, other: "Measured") -> Ratio:
        """How many times as long this one takes as the other."""
        ratios = [a / b for a, b in zip(self.seconds, other.seconds, strict=True)]
        return Ratio(median(ratios), min(ratios), max(ratios))


def stretch(engine: Engine) -> float:
    """Seconds for one call."""
    start = time.perf_counter()
    for _ in range(engine.calls):
        engine.call()
    return (time.perf_counter() - start) / engine.calls


def sample(engine: Engine) -> float:
    """Seconds for one call, the median of as many stretches as a sample lasts."""
    time.sleep(PAUSE)
    stretch(engine)
    first = stretch(engine)
    more = min(int(SAMPLE / (first * engine.calls)), MOST_STRETCHES - 1)
    return median([first, *(stretch(engine) for _ in range(more))])


def measure(engines: Sequence[Engine], rounds: int) -> list[Measured]:
    """Run every engine in every round, after one call of each that is not counted."""
    results = [Measured(engine.name, engine.call()) for engine in engines]
    gc.collect()
    gc.disable()
    try:
        for turn in range(rounds):
            for place in range(len(engines)):
                which = (place + turn) % len(engines)
                results[which].seconds.append(sample(engines[which]))
    finally:
        gc.enable()
    return results
