"""The command as a process: imports, memory, signals, pipes, terminals."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from audit_tools import audit, checkpoint, command, f32, write, write_sparse
from processes import clean_environment, output_of

MIB = 1 << 20


@pytest.fixture
def model(tmp_path):
    return write(tmp_path / "m.safetensors", {"w": f32(np.eye(4))})


@pytest.fixture
def slow(tmp_path):
    """A model that takes seconds and no room on the disk."""
    shapes = {f"w{i:02}": (2048, 2048) for i in range(256)}
    return write_sparse(tmp_path / "slow.safetensors", shapes)


def start(*args, **options):
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options
    return subprocess.Popen(command("audit", *args), env=clean_environment(), **options)


def wait_until_working(process, folder):
    """Wait for the temporary output, then a moment for the work to begin."""
    deadline = time.monotonic() + 60
    while not list(folder.glob(".*.tmp")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(0.3)
    assert process.poll() is None, "too quick to be disturbed"


def test_plain_path_imports_no_numpy(model):
    code = f"""
import sys
from rsspecnorm.cli import main
assert main(["audit", {str(model)!r}]) == 0
heavy = {{"numpy", "torch", "matplotlib", "pandas", "scipy"}}
print(sorted(heavy & set(sys.modules)))
"""
    assert output_of(code).splitlines()[-1] == "[]"


def test_console_script_does_the_same(model):
    from audit_tools import script

    done = subprocess.run(
        [script(), "audit", str(model), "--format", "csv"],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    header, row = done.stdout.splitlines()
    assert header.startswith("name,shape")
    assert row.startswith("w,4x4,F32,1.0")


def peak_beyond_file(path):
    """Peak resident memory of an audit, less the mapped file."""
    code = f"""
import resource, subprocess
subprocess.run({command("audit", path, "-q")!r}, check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
    unit = 1 if sys.platform == "darwin" else 1024
    return int(output_of(code, timeout=240)) * unit - path.stat().st_size


def test_memory_is_flat_on_the_checkpoint():
    assert peak_beyond_file(checkpoint()) < 64 * MIB


def test_memory_is_flat_on_a_gibibyte(tmp_path):
    shapes = {f"w{i:02}": (4096, 4096 - 64 * i) for i in range(24)}
    path = write_sparse(tmp_path / "large.safetensors", shapes)
    assert path.stat().st_size > 1000 * MIB
    assert peak_beyond_file(path) < 64 * MIB


@pytest.mark.parametrize("whole_group", [True, False], ids=["terminal", "kill"])
def test_interrupt_is_130_once_and_leaves_nothing(slow, tmp_path, whole_group):
    out = tmp_path / "out"
    out.mkdir()
    process = start(slow, "-o", out / "r.txt", start_new_session=True)
    wait_until_working(process, out)
    begin = time.monotonic()
    (os.killpg if whole_group else os.kill)(process.pid, signal.SIGINT)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert stderr == "rsspecnorm: interrupted\n"
    assert time.monotonic() - begin < 3
    assert list(out.iterdir()) == []
    with pytest.raises(ProcessLookupError):  # no child outlives it
        os.killpg(process.pid, 0)


def test_termination_is_passed_on(slow, tmp_path):
    process = start(slow, "-o", tmp_path / "r.txt", start_new_session=True)
    wait_until_working(process, tmp_path)
    process.terminate()
    process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGTERM
    assert list(tmp_path.iterdir()) == [slow]


def test_child_ends_when_its_parent_is_killed(slow, tmp_path):
    process = start(slow, "-o", tmp_path / "r.txt", start_new_session=True)
    wait_until_working(process, tmp_path)
    process.kill()
    process.communicate(timeout=20)  # ends when the last holder of the pipes has gone
    assert list(tmp_path.iterdir()) == [slow]


def test_file_that_shrinks_is_one_line_and_code_two(slow, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    process = start(slow, "-o", out / "r.txt")
    wait_until_working(process, out)
    os.truncate(slow, 64 * 1024)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 2
    assert stdout == ""
    assert stderr == f"rsspecnorm: error: {slow} changed while it was read\n"
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("style", ["table", "jsonl"])
def test_reader_that_goes_away_is_no_error(tmp_path, style):
    tensors = {f"w{i:04}": f32(np.full((2, 2), i)) for i in range(3000)}
    path = write(tmp_path / "m.safetensors", tensors)
    process = start(path, "--format", style)
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(timeout=30) == 0
    process.stderr.close()


def test_full_disk_is_one_line(model):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    with Path("/dev/full").open("w") as full:
        done = audit(model, code=2, stdout=full, stderr=subprocess.PIPE, capture_output=False)
    assert done.stderr == "rsspecnorm: error: standard output: no space left on device\n"
    done = audit(model, "-o", "/dev/full", code=2)
    assert done.stderr == "rsspecnorm: error: /dev/full: no space left on device\n"


def test_name_of_the_longest_is_written(model, tmp_path):
    for name in ("x" * 255, "é" * 127):
        audit(model, "-o", tmp_path / name)
        assert "sigma_max" in (tmp_path / name).read_text()
    assert not list(tmp_path.glob(".*.tmp"))


def test_closed_streams_are_no_traceback(model):
    line = " ".join(command("audit", model))
    for redirection, code in (("2>&-", 0), (">&-", 2)):
        done = subprocess.run(
            ["/bin/sh", "-c", f"exec {line} {redirection}"],
            env=clean_environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == code
        assert "Traceback" not in done.stderr


def on_terminal(*args, **variables):
    """Everything that an audit writes to a terminal on its stderr."""
    ours, theirs = pty.openpty()
    environment = clean_environment(TERM="xterm", **variables)
    process = subprocess.Popen(
        command("audit", *args), stdout=subprocess.DEVNULL, stderr=theirs, env=environment
    )
    os.close(theirs)
    seen = b""
    try:
        while chunk := os.read(ours, 4096):
            seen += chunk
    except OSError:  # how Linux says that the other side was closed
        pass
    os.close(ours)
    assert process.wait(timeout=60) == 0
    return seen.decode()


def test_progress_is_for_terminals_only(tmp_path):
    shapes = {f"w{i:02}": (2048, 2048) for i in range(96)}
    slow = write_sparse(tmp_path / "slow.safetensors", shapes)
    assert audit(slow).stderr == ""
    seen = on_terminal(slow)
    assert "%" in seen
    assert seen.endswith("\r\x1b[K")  # the line is taken away
    assert "\x1b[36m" in seen
    assert "\x1b[36m" not in on_terminal(slow, NO_COLOR="1")
    assert on_terminal(slow, "--no-progress") == ""


def test_lines_arrive_as_rows_finish(tmp_path):
    tensors = {"small": f32(np.eye(2))}
    rng = np.random.default_rng(1)
    tensors |= {f"w{i}": f32(rng.standard_normal((1500, 1500))) for i in range(8)}
    process = start(write(tmp_path / "m.safetensors", tensors), "--format", "jsonl")
    names = [json.loads(line)["name"] for line in process.stdout]
    assert sorted(names) == sorted(tensors)
    process.communicate(timeout=60)
