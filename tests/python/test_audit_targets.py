"""Where reports go, and how the command ends where something stands in its way."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from audit_tools import audit, command, f32, report, rows, write
from processes import clean_environment


@pytest.fixture
def model(tmp_path):
    return write(tmp_path / "m.safetensors", {"w": f32(2 * np.eye(4))})


@pytest.mark.parametrize("name", ["fifo.bin.index.json", "fifo.safetensors.index.json"])
@pytest.mark.parametrize("within", [False, True])
def test_index_that_is_a_pipe_does_not_hang(tmp_path, name, within):
    os.mkfifo(tmp_path / name)
    stderr = audit(tmp_path if within else tmp_path / name, code=2, timeout=20).stderr
    assert "is not a regular file" in stderr


def test_hidden_files_are_no_shards(tmp_path, model):
    (tmp_path / "._m.safetensors").write_bytes(b"\0" * 10)
    assert list(rows(tmp_path)) == ["w"]
    assert model.exists()


@pytest.mark.parametrize("flag", ["-o", "--plot"])
def test_an_index_is_not_written_over(tmp_path, flag):
    (tmp_path / "pytorch_model-1.bin").write_bytes(b"")
    index = tmp_path / "pytorch_model.bin.index.json"
    text = json.dumps({"weight_map": {"w": "pytorch_model-1.bin"}})
    index.write_text(text)
    for path in (tmp_path, index, tmp_path / "*.bin.index.json"):
        assert "would be written over" in audit(path, flag, index, code=2).stderr
        assert index.read_text() == text


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1"])
def test_standard_output_by_name_keeps_what_is_there(tmp_path, model, name):
    log = tmp_path / "log"
    log.write_text("before\n")
    with log.open("a") as stream:
        audit(model, "-o", name, stdout=stream, stderr=subprocess.PIPE, capture_output=False)
        stream.write("after\n")
    assert log.read_text().startswith("before\nname")
    assert log.read_text().endswith("after\n")


@pytest.mark.parametrize("flag", ["-o", "--plot"])
def test_a_file_that_is_write_protected_stays(tmp_path, model, flag):
    # Root may write anywhere, so the system is asked in its stead.
    target = tmp_path / "out.png"
    target.write_text("mine")
    target.chmod(0o444)
    code = f"""
import os, sys
os.access = lambda path, mode: False
from rsspecnorm.cli import main
sys.exit(main(["audit", {str(model)!r}, {flag!r}, {str(target)!r}]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == f"rsspecnorm: error: {target}: permission denied\n"
    assert target.read_text() == "mine"
    assert not list(tmp_path.glob(".*"))


def test_a_folder_is_no_file(tmp_path, model):
    assert "no such folder" in audit(model, "-o", f"{tmp_path}/new/", code=2).stderr
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_package_that_swallows_exceptions_is_left_at_once(tmp_path, number, code):
    package = tmp_path / "packages" / "torch"
    package.mkdir(parents=True)
    started = tmp_path / "started"
    (package / "__init__.py").write_text(f"""
import time
open({str(started)!r}, "w").close()
for _ in range(300):
    try:
        time.sleep(0.1)
    except BaseException:
        pass
""")
    (tmp_path / "m.pt").write_bytes(b"x")
    process = subprocess.Popen(
        command("audit", tmp_path / "m.pt", "-o", tmp_path / "out.txt"),
        env=clean_environment() | {"PYTHONPATH": str(package.parent)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not started.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == code, stderr
    assert stderr == ("rsspecnorm: interrupted\n" if number == signal.SIGINT else "")
    assert not list(tmp_path.glob("*out*"))


def test_drift_fires_where_nothing_is_left_to_compare(tmp_path, model):
    old = tmp_path / "old.json"
    audit(model, "--format", "json", "-o", old)
    options = ("--baseline", old, "--fail-drift", "5%")
    assert "nothing here" in audit(model, "--include", "x", *options, code=1).stderr


def test_drift_sees_an_overflow_become_a_nan(tmp_path):
    large = write(tmp_path / "m.npy.safetensors", {"w": f32(np.eye(2))})
    old = tmp_path / "old.json"
    audit(large, "--format", "json", "-o", old)
    before = json.loads(old.read_text())
    before["tensors"][0] |= {"sigma_max": None, "status": "overflow"}
    old.write_text(json.dumps(before))
    write(large, {"w": f32(np.full((2, 2), np.nan))})
    audit(large, "--baseline", old, "--fail-drift", "5%", code=1)


def test_stable_rank_is_one_at_least(tmp_path):
    rng = np.random.default_rng(0)
    ones = {f"w{i}": rng.standard_normal((9, 1)) @ rng.standard_normal((1, 7)) for i in range(40)}
    path = tmp_path / "m.npz"
    np.savez(path, **ones)
    assert min(row["stable_rank"] for row in report(path)["tensors"]) >= 1


def test_second_value_that_is_not_there_is_left_empty(tmp_path):
    path = write(
        tmp_path / "m.safetensors", {"w": f32(np.ones((1, 1))), "zero": f32(0 * np.eye(3))}
    )
    assert "nan" not in audit(path).stdout
    assert "nan" not in audit(path, "--format", "markdown").stdout
