"""tools/check_floors.py finds what it says it finds, and nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / "tools" / "check_floors.py"

# Spelled in two parts, or the tool would find them here.
OPEN = "TO" + "DO"
HOME = "/ho" + "me/somebody/data"


def findings(tree: Path) -> list[str]:
    """Lines the tool prints for a tree; its exit status must agree with them."""
    done = subprocess.run([sys.executable, TOOL, tree], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.returncode == (1 if done.stdout else 0)
    return done.stdout.splitlines()


def check(tree: Path, files: dict[str, str]) -> list[str]:
    """Write the files below the tree and check it."""
    for name, text in files.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return findings(tree)


def test_the_house_keeps_its_own_rules() -> None:
    assert findings(ROOT) == []


@pytest.mark.parametrize(
    ("path", "code", "line"),
    [
        ("src/kernels/dot.rs", "use crate::algorithms::Lanczos;", 1),
        ("src/matrix.rs", "\n\nfn f() { crate::api::solve() }", 3),
        ("src/simd/mod.rs", "use crate::{error::Error, kernels::{dot, scale}};", 1),
        ("src/simd/mod.rs", "use crate::{\n    error::Error,\n    kernels::dot,\n};", 3),
        ("src/matrix.rs", "use super::api::solve;", 1),
        ("src/kernels/dot.rs", "use super::super::schedule::pool;", 1),
        ("src/kernels/mod.rs", "use super::operator::LinearOperator;", 1),
        ("src/scalar.rs", "macro_rules! m { () => { $crate::validate::check() } }", 1),
        ("src/algorithms/lanczos.rs", "pub(in crate::schedule) fn f() {}", 1),
        ("src/matrix.rs", "fn f<'a>(c: &'a u8) { let q = '\"'; crate::api::g(q) }", 1),
    ],
)
def test_arrow_up_is_found_where_it_stands(tmp_path: Path, path: str, code: str, line: int) -> None:
    (found,) = check(tmp_path, {path: code})
    assert found.startswith(f"{path}:{line}: floors: ")


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("src/api.rs", "use crate::{audit::rows, error::Error, schedule::pool};"),
        ("src/api.rs", "use crate::simd::Level;\npub(crate) struct A;"),
        ("src/kernels/dot.rs", "use super::sum;\nuse crate::kernels::{api, operator};"),
        ("src/lib.rs", "pub use crate::api::solve;"),
        (
            "src/matrix.rs",
            "// crate::api::solve\n/* use crate::api; */\n/// [`crate::api`]\nfn f() {}",
        ),
        ("src/matrix.rs", 'const S: &str = "crate::api";\nconst R: &str = r#"a "crate::api" b"#;'),
        ("src/matrix.rs", "#[cfg(test)]\nmod tests {\n    fn f() { crate::api::solve() }\n}"),
        ("src/kernels/tests.rs", "use crate::api::solve;"),
        ("tests/rust/kernels.rs", "use crate::anything::at_all;"),
    ],
)
def test_arrow_down_or_no_arrow_is_accepted(tmp_path: Path, path: str, code: str) -> None:
    assert check(tmp_path, {path: code}) == []


def test_arrow_after_a_test_module_is_found(tmp_path: Path) -> None:
    code = "#[cfg(test)]\n#[expect(unused)]\nmod tests { fn f() {} }\nuse crate::api::solve;"
    (found,) = check(tmp_path, {"src/matrix.rs": code})
    assert found.startswith("src/matrix.rs:4: floors: ")


def test_room_without_a_floor_and_name_without_a_room_are_found(tmp_path: Path) -> None:
    found = check(tmp_path, {"src/attic.rs": "", "src/api.rs": "use crate::Error;"})
    assert [line.split(":")[0] for line in found] == ["src/api.rs", "src/attic.rs"]


@pytest.mark.parametrize(
    ("path", "code", "rule"),
    [
        ("src/kernels/dot.rs", "fn f() { unsafe { g() } }", "unsafe"),
        ("src/kernels/dot.rs", "use core::arch::x86_64::*;", "unsafe"),
        ("src/api.rs", "use std::arch::asm;", "unsafe"),
        ("python/src/lib.rs", "unsafe impl Send for A {}", "unsafe"),
        ("src/algorithms/power.rs", "use rayon::prelude::*;", "rayon"),
        ("python/src/lib.rs", "rayon::join(f, g);", "rayon"),
    ],
)
def test_word_outside_its_room_is_found(tmp_path: Path, path: str, code: str, rule: str) -> None:
    (found,) = check(tmp_path, {path: code})
    assert found.startswith(f"{path}:1: {rule}: ")


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("src/simd/avx2.rs", "use core::arch::x86_64::*;\nfn f() { unsafe { g() } }"),
        ("src/schedule/pool.rs", "use rayon::ThreadPool;"),
        ("src/api.rs", '#![deny(unsafe_code)]\n// no unsafe, no rayon\nconst S: &str = "unsafe";'),
        ("tests/rust/memory.rs", "unsafe impl GlobalAlloc for Counting {}"),
    ],
)
def test_word_in_its_room_is_accepted(tmp_path: Path, path: str, code: str) -> None:
    assert check(tmp_path, {path: code}) == []


@pytest.mark.parametrize(
    ("path", "limit"),
    [
        ("src/api.rs", 400),
        ("tools/tool.py", 400),
        ("python/rsspecnorm/_core.pyi", 600),
        ("tests/python/test_api.py", 600),
        ("benches/rust/kernels.rs", 600),
    ],
)
def test_long_file_is_found_from_its_limit_on(tmp_path: Path, path: str, limit: int) -> None:
    assert check(tmp_path, {path: "\n" * limit}) == []
    (found,) = check(tmp_path, {path: "\n" * (limit + 1)})
    assert found.startswith(f"{path}:{limit + 1}: length: ")


def test_open_work_without_an_issue_is_found(tmp_path: Path) -> None:
    found = check(tmp_path, {"src/api.rs": f"// {OPEN}(#3): later\n// {OPEN}: one day\n"})
    assert [line.rsplit(": ", 1)[0] for line in found] == ["src/api.rs:2: todo"]


@pytest.mark.parametrize("text", [f"cd {HOME}\n", f'"{HOME}"\n', f"see `{HOME}`\n"])
def test_path_of_a_machine_is_found(tmp_path: Path, text: str) -> None:
    (found,) = check(tmp_path, {"docs/page.md": text})
    assert found.startswith("docs/page.md:1: machine-path: ")


@pytest.mark.parametrize("text", [f"~{HOME}", f"docs{HOME}", f"$ROOT{HOME}", "/usr/bin/env sh"])
def test_path_that_any_machine_has_is_accepted(tmp_path: Path, text: str) -> None:
    assert check(tmp_path, {"docs/page.md": text}) == []


def test_built_and_binary_files_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "image.png").write_bytes(b"\x89PNG\xff")
    assert check(tmp_path, {"target/debug/build.rs": f"// {OPEN}", ".venv/a.py": HOME}) == []
