"""The tools behind the Makefile fail where they must, above all where nothing was run."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import rsspecnorm

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / "tools"


def install(folder: Path, name: str, body: str) -> None:
    """Put a shell script where a program of that name is looked for first."""
    script = folder / name
    script.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    script.chmod(0o755)


def run(folder: Path, *command: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run a tool in the folder, whose programs come before those of the system."""
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    free = {key: os.environ[key] for key in os.environ if key not in {"CARGO", "RSSPECNORM_LEVEL"}}
    environment = {**free, "PATH": path, "PYTHON": sys.executable}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def run_rust_tests(folder: Path, cargo: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    install(folder, "cargo", cargo)
    return run(folder, sys.executable, TOOLS / "rust_tests.py", *arguments)


def test_rust_tests_run_once_on_every_tier_of_the_cpu(tmp_path: Path) -> None:
    done = run_rust_tests(
        tmp_path, 'echo "$RSSPECNORM_LEVEL $*" >> calls; echo "test result: ok. 3 passed; 0 failed"'
    )
    assert done.returncode == 0, done.stderr
    levels = rsspecnorm.build_info()["levels_available"]
    calls = (tmp_path / "calls").read_text(encoding="utf-8").splitlines()
    assert [call.split()[0] for call in calls if "--doc" not in call] == levels
    assert [f"rust tests on {level}: 3 passed" in done.stdout for level in levels] == [True] * len(
        levels
    )


def test_rust_tests_without_a_test_are_a_failure(tmp_path: Path) -> None:
    done = run_rust_tests(tmp_path, 'echo "test result: ok. 0 passed; 0 failed"')
    assert done.returncode == 1
    assert "no test was executed on: portable" in done.stderr


def test_rust_tests_that_fail_hand_their_status_on(tmp_path: Path) -> None:
    assert run_rust_tests(tmp_path, "exit 101").returncode == 101


def test_rust_tests_of_one_name_without_a_match_are_a_failure(tmp_path: Path) -> None:
    done = run_rust_tests(tmp_path, 'echo "test result: ok. 0 passed; 0 failed"', "fuzz")
    assert done.returncode == 1


def test_preflight_of_this_machine_is_silent(tmp_path: Path) -> None:
    install(tmp_path, "cargo", "echo cargo 1.89.0")
    install(tmp_path, "rustc", "echo 'rustc 1.89.0 (abcdef 2025-01-01)'")
    done = run(tmp_path, "sh", TOOLS / "preflight.sh")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("program", "body", "message"),
    [
        ("rustc", "echo 'rustc 1.88.1 (abcdef 2025-01-01)'", "Rust >= 1.89 (rustc is 1.88.1)"),
        ("rustc", "exit 127", "Rust >= 1.89 ('rustc' does not run)"),
        ("cargo", "exit 127", "Rust >= 1.89 ('cargo' does not run)"),
        ("python3", "echo 3.10", "Python >= 3.11 ('python3' is 3.10)"),
        ("python3", "exit 127", "Python >= 3.11 ('python3' does not run)"),
    ],
)
def test_preflight_names_what_is_missing(
    tmp_path: Path, program: str, body: str, message: str
) -> None:
    install(tmp_path, "cargo", "echo cargo 1.95.0")
    install(tmp_path, "rustc", "echo 'rustc 2.0.0 (abcdef 2025-01-01)'")
    install(tmp_path, program, body)
    python = "python3" if program == "python3" else sys.executable
    done = run(tmp_path, "env", f"PYTHON={python}", "sh", TOOLS / "preflight.sh")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"missing: {message}")


def test_requirements_of_groups_are_one_sorted_list(tmp_path: Path) -> None:
    done = run(tmp_path, sys.executable, TOOLS / "requirements.py", "runtime", "test", "bench")
    lines = done.stdout.splitlines()
    assert lines == sorted(set(lines))
    assert {re.split("[<>=]", line)[0] for line in lines} >= {"numpy", "pytest", "scipy"}


def test_installed_wheel_requires_numpy_and_nothing_else() -> None:
    from importlib.metadata import requires

    plain = [line for line in requires("rsspecnorm") or [] if "extra ==" not in line]
    assert [re.split("[<>= ]", line)[0] for line in plain] == ["numpy"]


def test_every_target_of_the_makefile_has_a_help_line(tmp_path: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = re.findall(r"^\.PHONY: (help .*)$", makefile, re.MULTILINE)[0].split()
    helped = run(tmp_path, "make", "-s", "-C", ROOT, "help").stdout
    assert [line.split()[0] for line in helped.splitlines()] == named


def test_fill_figures_replaces_the_table_and_nothing_else() -> None:
    fill = runpy.run_path(str(TOOLS / "fill_figures.py"))["fill"]
    table = "<!-- figures: begin -->\n| {} |\n<!-- figures: end -->"
    record = f"## Summary\n\n{table.format('new')}\n"
    assert fill(f"# a\n{table.format('old')}\n## b", record) == f"# a\n{table.format('new')}\n## b"


def test_readme_has_one_table_of_figures() -> None:
    figures = runpy.run_path(str(TOOLS / "fill_figures.py"))["figures"]
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "times faster" in figures(text, "README.md")


def test_fill_figures_without_a_table_says_so() -> None:
    figures = runpy.run_path(str(TOOLS / "fill_figures.py"))["figures"]
    with pytest.raises(SystemExit, match="found 0"):
        figures("nothing", "the record")
