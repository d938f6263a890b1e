"""The ``audit`` command: open, measure, print, judge."""

from __future__ import annotations

import math
import os
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

from rsspecnorm.cli import errors, formats, rules, sources
from rsspecnorm.cli.output import Output
from rsspecnorm.cli.progress import Progress
from rsspecnorm.cli.rows import arrange, summary, wanted

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from types import ModuleType

    from rsspecnorm.cli.columns import Row


_WEIGHTS = (".safetensors", ".index.json")
_MIN_NDIM = 2


def execute(args: argparse.Namespace) -> int:
    """
    Carry out a parsed command line.

    Parameters
    ----------
    args : argparse.Namespace
        As `rsspecnorm.cli.parser.parse` returns it.

    Returns
    -------
    int
        0, or 1 when a rule fired.

    Raises
    ------
    CommandError
        When a file or a setting is no good.
    """
    old = None
    if args.baseline is not None:
        from rsspecnorm.cli import baseline

        old = baseline.read(args.baseline)
    _check_targets(args)
    if args.plot is not None:
        _plot_module().require(args.plot)
    with Output(args.output) as output:
        streaming = _streams(args)
        audit = Audit(args, output if streaming else None)
        rows = audit.run()
        if not streaming:
            for piece in formats.render(audit.report(rows), args.format):
                output.write(piece)
    if args.plot is not None:
        _plot_module().draw(arrange(rows, args.sort, args.limit), args.plot)
    return _judge(args, rows, old)


class Audit:
    """
    One run over everything the command line names.

    Parameters
    ----------
    args : argparse.Namespace
        The command line.
    stream : Output, optional
        Takes each row as it finishes.
    """

    def __init__(self, args: argparse.Namespace, stream: Output | None) -> None:
        self.args = args
        self.stream = stream
        self.start = time.monotonic()
        self.skipped: list[dict[str, Any]] = []
        self.n_filtered = 0

    def run(self) -> list[Row]:
        """Measure every tensor that passes the filters; rows in file order."""
        opened = sources.open_sources(self.args.path)
        plan = [(source, *self._select(source)) for source in opened]
        elements = sum(count for _, _, count in plan)
        shown = not (self.args.no_progress or self.args.quiet)
        rows: list[Row] = []
        settings = (self.args.rtol, self.args.bounds, self.args.threads)
        with closing(Progress(elements, enabled=shown)) as progress:
            for source, keep, _ in plan:
                found: list[Row] = []
                on_rows = self._collector(found, progress)
                self.skipped += source.run(keep, settings, on_rows)
                rows += sorted(found, key=lambda row: row["index"])
        return rows

    def report(self, rows: list[Row]) -> formats.Report:
        """Put together what the formats show."""
        from rsspecnorm import _core

        args = self.args
        settings = {
            "rtol": args.rtol,
            "bounds": args.bounds,
            "threads": args.threads,
            "include": [pattern.pattern for pattern in args.include],
            "exclude": [pattern.pattern for pattern in args.exclude],
        }
        total = summary(rows, self.skipped, self.n_filtered, time.monotonic() - self.start)
        shown = arrange(rows, args.sort, args.limit)
        return formats.Report(_core.version(), args.path, settings, shown, self.skipped, total)

    def _select(self, source: sources.Source) -> tuple[list[int], int]:
        """Indices of the tensors that pass the filters, and how many elements they hold."""
        tensors = source.tensors()
        keep = [
            i
            for i, (name, *_) in enumerate(tensors)
            if wanted(name, self.args.include, self.args.exclude)
        ]
        self.n_filtered += len(tensors) - len(keep)
        shapes = [tensors[i][2] for i in keep if tensors[i][1] in sources.MEASURED]
        return keep, sum(math.prod(shape) for shape in shapes if len(shape) >= _MIN_NDIM)

    def _collector(self, found: list[Row], progress: Progress) -> Callable[[list[Row]], None]:
        def collect(rows: list[Row]) -> None:
            # Nobody is left to read the result when the parent was killed.
            if self.args.parent is not None and os.getppid() != self.args.parent:
                raise errors.Terminated(2)
            found.extend(rows)
            if self.stream is not None:
                self.stream.write("".join(map(formats.line, rows)))
                self.stream.flush()
            progress.advance(sum(math.prod(row["shape"]) for row in rows))

        return collect


def _check_targets(args: argparse.Namespace) -> None:
    """Refuse to write over what is read; a baseline may be replaced by the next one."""
    named = [each for path in args.path for each in sources.named(path)]
    read = set(named) | {file for each in named for file in sources.expand(each)}
    read |= {each for path in read if os.path.isdir(path) for each in _weights_in(path)}  # noqa: PTH112
    read |= set(sources.files_of(args.path))
    real = {os.path.realpath(path) for path in read}
    targets = [os.path.realpath(path) for path in (args.output, args.plot) if path is not None]
    if len(targets) > len(set(targets)):
        raise errors.CommandError("-o and --plot name the same file")
    kept = real if args.baseline is None else real | {os.path.realpath(args.baseline)}
    for path, inputs in ((args.output, real), (args.plot, kept)):
        if path is not None and os.path.realpath(path) in inputs:
            raise errors.CommandError(f"{path}: is read, and would be written over")


def _weights_in(folder: str) -> list[str]:
    with os.scandir(folder) as entries:
        return [each.path for each in entries if each.name.endswith(_WEIGHTS)]


def _plot_module() -> ModuleType:
    """The drawing half, which nothing else needs."""
    from rsspecnorm.cli import plot

    return plot


def _streams(args: argparse.Namespace) -> bool:
    """Whether rows can be printed as they finish: when nothing needs all of them first."""
    return args.format == "jsonl" and args.sort is None and args.limit is None


def _judge(args: argparse.Namespace, rows: list[Row], old: list[Row] | None) -> int:
    if not args.quiet:
        for note in rules.notes(args, rows, old):
            errors.say(f"note: {note}")
    code = 0
    for finding in rules.findings(args, rows, old):
        errors.say(f"failed: {finding}")
        code = 1
    return code
