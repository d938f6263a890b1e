"""Checks the rules of the house that no compiler checks.

Floors: arrows between the rooms of ``src/`` point down only. Rooms: ``unsafe`` and intrinsics live
in ``src/simd/``, rayon in ``src/schedule/``. Besides: how long a file may be, an issue's number on
what is left to do, as in TODO(#12), and no path of somebody's machine. One line per finding,
``path:line: rule: message``; exit status 1.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

FLOORS = (
    ("error", "scalar", "matrix"),
    ("simd",),
    ("kernels",),
    ("operator",),
    ("algorithms",),
    ("schedule",),
    (
        "validate",
        "route",
        "complex",
        "skinny",
        "solution",
        "api",
        "normalize",
        "gradient",
        "layer",
        "track",
        "audit",
    ),
)
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}

CODE = {".rs", ".py", ".pyi", ".toml", ".sh"}
NOT_OURS = {".git", ".venv", "target", "dist", "build", "__pycache__"}

# Comments and literals: what stands in them is no code. Nested block comments are not understood;
# the house writes none.
RUST_PROSE = re.compile(
    r"""//[^\n]* | /\*.*?\*/
      | \bb?r(?P<hashes>\#*)".*?"(?P=hashes)
      | b?"(?:\\.|[^"\\])*"
      | b?'(?:\\(?:u\{[^}]*\}|x..|.)|[^\\'\n])'""",
    re.DOTALL | re.VERBOSE,
)
TEST_MODULE = re.compile(r"#\[cfg\(test\)\]\s*(?:#\[[^\]]*\]\s*)*(?:pub\s+)?mod\s+\w+\s*\{")
ROOT_PATH = re.compile(r"(?<![\w:])(crate|super(?:\s*::\s*super)*)\s*::\s*(\{|\w+)")
UNSAFE = re.compile(r"\bunsafe\b|\b(?:core|std)\s*::\s*arch\b")
RAYON = re.compile(r"\brayon\b")
# The brackets keep this line from finding itself.
OPEN_TODO = re.compile(r"\b(?:TOD[O]|FIXM[E])\b(?!\(#\d+\))")
MACHINE_PATH = re.compile(
    r"(?<![\w.~$}/-])/(?:farm|home|mnt|opt|private|root|srv|tmp|Users|work)/\w"
    r"|\b[A-Z]:\\+Users\b"
)


class Finding(NamedTuple):
    """One broken rule."""

    path: PurePosixPath
    line: int
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.rule}: {self.message}"


class Source(NamedTuple):
    """A file of the house: its place and its text."""

    path: PurePosixPath
    text: str

    @property
    def top(self) -> str:
        """The first folder of the path."""
        return self.path.parts[0]


def blank(text: str) -> str:
    """Replace everything but line ends by spaces, so that positions stay."""
    return re.sub(r"[^\n]", " ", text)


def code_only(text: str) -> str:
    """Blank the comments and literals of Rust code."""
    return RUST_PROSE.sub(lambda match: blank(match[0]), text)


def closing_brace(code: str, opening: int) -> int:
    """Position just after the brace that closes the one at ``opening``."""
    depth = 0
    for position in range(opening, len(code)):
        depth += {"{": 1, "}": -1}.get(code[position], 0)
        if depth == 0:
            return position + 1
    return len(code)


def without_test_modules(code: str) -> str:
    """Blank the test modules: a test may look at any floor."""
    while match := TEST_MODULE.search(code):
        end = closing_brace(code, match.end() - 1)
        code = code[: match.start()] + blank(code[match.start() : end]) + code[end:]
    return code


def first_names(code: str, opening: int) -> Iterator[tuple[str, int]]:
    """First segment and position of every path in the use tree whose brace is at ``opening``."""
    depth, starts = 0, False
    for match in re.finditer(r"[{},]|\w+", code[opening : closing_brace(code, opening)]):
        piece = match[0]
        depth += {"{": 1, "}": -1}.get(piece, 0)
        if piece in "{},":
            starts = depth == 1
        elif starts:
            starts = False
            yield piece, opening + match.start()


def is_test_file(path: PurePosixPath) -> bool:
    """Whether a file under ``src/`` holds a test module and nothing else."""
    return path.stem == "tests"


def paths_from_root(source: Source, code: str) -> Iterator[tuple[str, int]]:
    """Every name reached from the crate's root, with its position."""
    inner = source.path.relative_to("src").with_suffix("").parts
    depth = len(inner) - (inner[-1] == "mod")
    for match in ROOT_PATH.finditer(code):
        if match[1] != "crate" and match[1].count("super") < depth:
            continue
        if match[2] == "{":
            yield from first_names(code, match.start(2))
        else:
            yield match[2], match.start(2)


def line_of(text: str, position: int) -> int:
    """Line number of a position."""
    return text.count("\n", 0, position) + 1


def check_arrows(source: Source) -> Iterator[Finding]:
    """No room names one on a floor above its own."""
    path = source.path
    if path.suffix != ".rs" or source.top != "src" or str(path) == "src/lib.rs":
        return
    room = path.parts[1].removesuffix(".rs")
    if room not in FLOOR_OF:
        yield Finding(path, 1, "floors", f"room '{room}' stands on no floor; give it one in FLOORS")
        return
    if is_test_file(path):
        return
    code = without_test_modules(code_only(source.text))
    for name, position in paths_from_root(source, code):
        line, floor = line_of(code, position), FLOOR_OF.get(name)
        if floor is None:
            message = f"'crate::{name}' hides its floor; name it by its room"
            yield Finding(path, line, "floors", message)
        elif floor > FLOOR_OF[room]:
            message = f"'{room}' (F{FLOOR_OF[room]}) looks up to '{name}' (F{floor})"
            yield Finding(path, line, "floors", message)


def check_words(source: Source) -> Iterator[Finding]:
    """What may be written in one room only."""
    if source.path.suffix != ".rs" or source.top not in {"src", "python"}:
        return
    code = code_only(source.text)
    rules = (("unsafe", UNSAFE, "src/simd"), ("rayon", RAYON, "src/schedule"))
    for rule, pattern, room in rules:
        if source.path.is_relative_to(room) or source.path == PurePosixPath(f"{room}.rs"):
            continue
        for match in pattern.finditer(code):
            message = f"'{match[0]}' outside {room}/"
            yield Finding(source.path, line_of(code, match.start()), rule, message)


def check_length(source: Source) -> Iterator[Finding]:
    """A file that grows too long is two ideas."""
    if source.path.suffix not in {".rs", ".py", ".pyi"}:
        return
    wide = source.path.suffix == ".pyi" or source.top in {"tests", "benches"}
    limit = 600 if wide else 400
    lines = len(source.text.splitlines())
    if lines > limit:
        yield Finding(source.path, lines, "length", f"{lines} lines, more than {limit}: split it")


def check_todo(source: Source) -> Iterator[Finding]:
    """Work left open has an issue."""
    if source.path.suffix not in CODE and source.path.name != "Makefile":
        return
    for match in OPEN_TODO.finditer(source.text):
        line = line_of(source.text, match.start())
        yield Finding(source.path, line, "todo", f"write {match[0]}(#number) or open an issue")


def check_machine_paths(source: Source) -> Iterator[Finding]:
    """Nothing in the tree depends on where somebody keeps it."""
    for match in MACHINE_PATH.finditer(source.text):
        line = line_of(source.text, match.start())
        yield Finding(
            source.path, line, "machine-path", f"'{match[0]}...' is a path of one machine"
        )


CHECKS = (check_arrows, check_words, check_length, check_todo, check_machine_paths)


def list_files(root: Path) -> list[Path]:
    """What git tracks or would track; outside a repository, all that is not built."""
    if (root / ".git").exists():
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout
        return sorted({root / name for name in names.split("\0") if name})
    found = (path.relative_to(root) for path in root.rglob("*"))
    return sorted(root / path for path in found if NOT_OURS.isdisjoint(path.parts))


def read_sources(root: Path) -> Iterator[Source]:
    """Every text file of the house."""
    for path in list_files(root):
        if not path.is_file():
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        yield Source(PurePosixPath(path.relative_to(root).as_posix()), text)


def main(arguments: list[str]) -> int:
    """Check the tree at the path given, or the one this file stands in."""
    root = Path(arguments[0]) if arguments else Path(__file__).resolve().parents[1]
    findings = [
        found for source in read_sources(root) for check in CHECKS for found in check(source)
    ]
    for finding in findings:
        print(finding)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
