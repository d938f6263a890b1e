"""Rules, baselines, exit codes, and where results go."""

import json
from pathlib import Path

import numpy as np
import pytest

from audit_tools import audit, f32, report, run, write


@pytest.fixture
def model(tmp_path):
    tensors = {"small": f32(np.eye(4)), "a=b": f32(5 * np.eye(4)), "bias": f32(np.ones(3))}
    return write(tmp_path / "m.safetensors", tensors)


def failures(done):
    return [line for line in done.stderr.splitlines() if "failed:" in line]


def test_fail_above_names_what_exceeds(model):
    assert audit(model, "--fail-above", "5.1").stderr == ""
    [line] = failures(audit(model, "--fail-above", "2", code=1))
    assert "--fail-above 2" in line
    assert "a=b has sigma_max 5" in line


def test_fail_above_takes_an_expression_with_equals(model):
    assert failures(audit(model, "--fail-above", "a=b=4", code=1))
    assert not failures(audit(model, "--fail-above", "small=4"))
    assert "matches no tensor" in audit(model, "--fail-above", "x=4").stderr


def test_rules_see_what_limit_hides(model):
    done = audit(model, "--limit", "1", "--fail-above", "2", code=1)
    assert "a=b" not in done.stdout.split("\n\n")[0]


def test_rules_do_not_see_what_filters_leave_out(model):
    audit(model, "--exclude", "a=b", "--fail-above", "2")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nonfinite_fires_its_rule_and_every_limit(tmp_path, value):
    path = write(tmp_path / "m.safetensors", {"w": f32([[1, value]])})
    audit(path)
    assert "w has 1 nan or inf" in audit(path, "--fail-on-nonfinite", code=1).stderr
    audit(path, "--fail-above", "1e300", code=1)


@pytest.fixture
def baseline(model, tmp_path):
    path = tmp_path / "old.json"
    audit(model, "--format", "json", "-o", path)
    return path


def drift(model, baseline, limit, code=0):
    return audit(model, "--baseline", baseline, "--fail-drift", limit, code=code)


def test_same_weights_do_not_drift(model, baseline):
    assert drift(model, baseline, "0").stderr == ""


@pytest.mark.parametrize("limit", ["4%", "0.04"])
def test_drift_beyond_the_limit_fires(model, baseline, limit):
    write(model, {"small": f32(1.05 * np.eye(4)), "a=b": f32(5.1 * np.eye(4))})
    [line] = failures(drift(model, baseline, limit, code=1))
    assert "small went from 1 to 1.05 (5.00%)" in line
    drift(model, baseline, "6%")


def test_drift_to_nan_fires(model, baseline):
    write(model, {"small": f32([[np.nan]]), "a=b": f32(5 * np.eye(4))})
    assert len(failures(drift(model, baseline, "50%", code=1))) == 1


def test_new_and_missing_tensors_are_notes(model, baseline):
    write(model, {"small": f32(np.eye(4)), "new": f32(np.eye(4))})
    done = drift(model, baseline, "1%")
    assert "new is not in the baseline" in done.stderr
    assert "a=b is only in the baseline" in done.stderr


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"tensors": 3}', '{"tensors": [{}]}', "[" * 10**5]
)
def test_bad_baseline_is_refused(model, tmp_path, text):
    (tmp_path / "old.json").write_text(text)
    stderr = drift(model, tmp_path / "old.json", "1%", code=2).stderr
    assert "old.json" in stderr
    assert stderr.count("\n") == 1


@pytest.mark.parametrize(
    "args",
    [
        ["--baseline", "x.json"],
        ["--fail-drift", "5%"],
        ["--fail-drift", "-1", "--baseline", "x"],
        ["--fail-above", "big"],
        ["--fail-above", "(=3"],
        ["--include", "("],
        ["--sort", "colour"],
        ["--sort", "name:up"],
        ["--limit", "-1"],
        ["--limit", "x"],
        ["--rtol", "0"],
        ["--rtol", "nan"],
        ["--threads", "0"],
        ["--format", "xml"],
        ["--bounds", "certain"],
        ["--unknown"],
    ],
    ids=" ".join,
)
def test_bad_usage_is_code_two(model, args):
    done = audit(model, *args, code=2)
    assert done.stdout == ""
    assert "error:" in done.stderr


def test_no_command_and_no_path_are_bad_usage():
    assert run().returncode == 2
    assert run("audit").returncode == 2


def test_version_is_the_packages():
    import rsspecnorm

    assert run("--version").stdout == f"rsspecnorm {rsspecnorm.__version__}\n"


def test_output_file_holds_the_report_and_nothing_is_left_over(model, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    done = audit(model, "--format", "json", "-o", out / "r.json")
    assert done.stdout == ""
    assert len(json.loads((out / "r.json").read_text())["tensors"]) == 2
    assert [path.name for path in out.iterdir()] == ["r.json"]


def test_failed_run_leaves_the_old_output(model, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "r.json").write_text("old")
    model.write_bytes(b"damaged")
    audit(model, "--format", "jsonl", "-o", out / "r.json", code=2)
    assert (out / "r.json").read_text() == "old"
    assert [path.name for path in out.iterdir()] == ["r.json"]


def test_output_through_a_link_keeps_the_link(model, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "real.json")
    audit(model, "--format", "json", "-o", tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert json.loads((tmp_path / "real.json").read_text())["tensors"]


@pytest.mark.parametrize("target", ["no/such/r.json", "."])
def test_output_that_cannot_be_written_is_refused(model, tmp_path, target):
    assert audit(model, "-o", tmp_path / target, code=2).stderr.count("\n") == 1


def test_device_is_not_replaced(model):
    assert audit(model, "-o", "/dev/null").stdout == ""
    audit(model, "--plot", "/dev/null", code=2)
    assert Path("/dev/null").is_char_device()
    assert "2 matrices" in audit(model, "-o", "/dev/stdout").stdout


def test_names_cannot_steer_a_terminal(tmp_path):
    name = "w\x1b[2J\r\n\u202e|`"
    path = write(tmp_path / "m.safetensors", {name: f32(np.eye(2))})
    for style in ("table", "markdown"):
        text = audit(path, "--format", style).stdout
        assert all(c.isprintable() or c == "\n" for c in text)
        assert "\\x1b" in text.replace("\\\\", "\\")
    assert report(path)["tensors"][0]["name"] == name
    assert "\x1b" not in audit(path, "--fail-above", "0.5", code=1).stderr


def test_quiet_has_no_notes_but_findings(model):
    assert audit(model, "-q", "--fail-above", "x=4").stderr == ""
    assert failures(audit(model, "-q", "--fail-above", "2", code=1))


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("p.png", b"\x89PNG\r\n\x1a\n"),
        ("p", b"\x89PNG\r\n\x1a\n"),
        ("p.v2", b"\x89PNG\r\n\x1a\n"),
        ("p.jpg", b"\xff\xd8\xff"),
        ("p.PDF", b"%PDF-"),
        ("p.svg", b"<?xml"),
    ],
)
def test_plot_is_what_its_name_says_and_else_a_png(model, tmp_path, name, start):
    pytest.importorskip("matplotlib")
    audit(model, "--plot", tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(start)
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("option", ["-o", "--plot"])
def test_a_file_without_a_name_is_refused(model, option):
    assert "must name a file" in audit(model, option, "", code=2).stderr
