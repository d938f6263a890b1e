"""The examples in README, docs and docstrings run, and every public name is documented."""

import doctest
import inspect
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from safetensors.numpy import save_file

import rsspecnorm

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
NAMES = [name for name in rsspecnorm.__all__ if not name.startswith("__")]
FUNCTIONS = [name for name in NAMES if inspect.isroutine(getattr(rsspecnorm, name))]


class Block(NamedTuple):
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str


def blocks(page: Path, *languages: str) -> Iterator[Block]:
    """Blocks of a page in the languages given."""
    text = page.read_text(encoding="utf-8")
    for match in FENCE.finditer(text):
        if match[1] in languages:
            yield Block(page, text.count("\n", 0, match.start(2)), match[1], match[2])


def examples(block: Block) -> list[doctest.Example]:
    """Examples of one block, numbered by the lines of its page."""
    found = doctest.DocTestParser().get_examples(block.text, str(block.page))
    for example in found:
        example.lineno += block.line
    return found


def run_doctest(test: doctest.DocTest) -> int:
    """Run the examples; how many there were, or a failure with doctest's own report."""
    report: list[str] = []
    outcome = doctest.DocTestRunner(optionflags=OPTIONS).run(test, out=report.append)
    assert outcome.failed == 0, "".join(report)
    return outcome.attempted


def relative(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def console_commands() -> list[Any]:
    """Every `$ rsspecnorm ...` line of every page."""
    return [
        pytest.param(line.removeprefix("$ "), id=f"{relative(page)}-{line[2:]}")
        for page in PAGES
        for block in blocks(page, "console")
        for line in block.text.splitlines()
        if line.startswith("$ rsspecnorm ")
    ]


def sections(name: str) -> set[str]:
    """Names of the numpydoc sections in a docstring."""
    text = inspect.getdoc(getattr(rsspecnorm, name)) or ""
    return set(re.findall(r"^([A-Z][A-Za-z ]+)\n-{3,}$", text, re.MULTILINE))


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the examples in a folder with the files they speak of."""
    rng = np.random.default_rng(7)
    weights = {f"layers.{i}.weight": rng.standard_normal((48, 32)) for i in range(3)}
    save_file(weights, tmp_path / "model.safetensors")
    np.savez(tmp_path / "model.npz", **weights)
    monkeypatch.chdir(tmp_path)


def run_command(command: list[str]) -> "subprocess.CompletedProcess[str]":
    """Run `rsspecnorm ...` as an installed user would."""
    full = [sys.executable, "-m", *command]
    return subprocess.run(full, capture_output=True, text=True, check=False, timeout=120)


def test_package_under_test_is_the_installed_one() -> None:
    assert rsspecnorm.__file__ is not None
    assert (ROOT / "python") not in Path(rsspecnorm.__file__).resolve().parents


@pytest.mark.parametrize("page", PAGES, ids=relative)
@pytest.mark.usefixtures("models")
def test_python_examples_of_page_run(page: Path) -> None:
    found = [example for block in blocks(page, "python", "pycon") for example in examples(block)]
    test = doctest.DocTest(found, {}, relative(page), str(page), 0, None)
    assert run_doctest(test) > 0 or page.name != "README.md"


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_python_block_of_page_has_prompts(page: Path) -> None:
    """A block without prompts would never be run."""
    assert [b.line for b in blocks(page, "python", "pycon") if not examples(b)] == []


@pytest.mark.parametrize("command", console_commands())
@pytest.mark.usefixtures("models")
def test_console_example_is_accepted(command: str) -> None:
    options = ["--format", "json", "-o", "old.json"]
    baseline = run_command(["rsspecnorm", "audit", "model.safetensors", *options])
    assert (baseline.returncode, baseline.stderr) == (0, "")
    # 1 means that a rule fired, which an example may show; 2 would be wrong usage.
    done = run_command(shlex.split(command, comments=True))
    assert done.returncode in {0, 1}, done.stderr
    assert "Traceback" not in done.stderr


def test_help_names_every_flag_of_the_audit_page() -> None:
    page = (ROOT / "docs" / "audit.md").read_text(encoding="utf-8")
    flags = set(re.findall(r"`(--[a-z-]+)", page))
    text = run_command(["rsspecnorm", "audit", "--help"]).stdout
    assert flags - set(re.findall(r"--[a-z-]+", text)) == set()


@pytest.mark.parametrize("name", NAMES)
def test_docstring_examples_run(name: str) -> None:
    scope = {"np": np, "rsspecnorm": rsspecnorm}
    for test in doctest.DocTestFinder().find(getattr(rsspecnorm, name), name, globs=scope):
        run_doctest(test)


@pytest.mark.parametrize("name", NAMES)
def test_public_name_has_a_docstring(name: str) -> None:
    first = (inspect.getdoc(getattr(rsspecnorm, name)) or "").split("\n", 1)[0]
    assert first.endswith("."), f"{name}: the first line must be a sentence"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_docstring_has_the_sections_it_needs(name: str) -> None:
    signature = inspect.signature(getattr(rsspecnorm, name))
    needed = {"Examples"}
    if signature.parameters:
        needed.add("Parameters")
    if str(signature.return_annotation) not in {"None", str(inspect.Signature.empty)}:
        needed.add("Returns")
    if "Iterator" in str(signature.return_annotation):  # a context manager returns nothing of use
        needed.discard("Returns")
    assert needed - sections(name) == set()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_parameter_is_described(name: str) -> None:
    text = inspect.getdoc(getattr(rsspecnorm, name)) or ""
    parameters = inspect.signature(getattr(rsspecnorm, name)).parameters
    missing = [
        p for p in parameters if not re.search(rf"^[\w, ]*\b{p}\b[\w, ]*:", text, re.MULTILINE)
    ]
    assert missing == []


def test_every_public_name_is_in_the_readme() -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [name for name in FUNCTIONS if name not in page] == []


def test_rust_sources_are_not_in_the_wheel() -> None:
    assert rsspecnorm.__file__ is not None
    package = Path(rsspecnorm.__file__).parent
    assert (package / "py.typed").is_file()
    assert not list(package.rglob("*.rs"))
