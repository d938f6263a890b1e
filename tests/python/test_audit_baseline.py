"""Which row of an earlier report each row is held against, and what may be written over."""

import json
import stat

import numpy as np
import pytest

from audit_tools import audit, f32, run, write


def model(path, **sigmas):
    path.parent.mkdir(exist_ok=True)
    return write(path, {name: f32(sigma * np.eye(3)) for name, sigma in sigmas.items()})


def keep(path, *args):
    audit(*args, "--format", "json", "-o", path)
    return path


def drift(baseline, *args, code=0):
    return audit(*args, "--baseline", baseline, "--fail-drift", "1%", code=code).stderr


def test_files_of_one_name_in_two_folders_are_told_apart(tmp_path):
    paths = [
        model(tmp_path / folder / "model.safetensors", w=s) for folder, s in (("a", 1), ("b", 3))
    ]
    baseline = keep(tmp_path / "old.json", *paths)
    assert drift(baseline, *paths) == ""
    model(paths[1], w=4)
    assert f"{paths[1]}:w went from 3 to 4" in drift(baseline, *paths, code=1)


def test_a_slice_and_a_tensor_of_one_name_are_told_apart(tmp_path):
    stack = np.stack([np.eye(2), 2 * np.eye(2)])
    path = write(tmp_path / "m.safetensors", {"w": f32(stack), "w[0]": f32(7 * np.eye(2))})
    assert drift(keep(tmp_path / "old.json", path), path) == ""


def test_a_file_more_leaves_the_others_judged(tmp_path):
    first = model(tmp_path / "first.safetensors", w=1)
    baseline = keep(tmp_path / "old.json", first)
    second = model(tmp_path / "second.safetensors", w=1)
    assert f"{second}:w is not in the baseline" in drift(baseline, first, second)
    model(first, w=100)
    assert "went from 1 to 100" in drift(baseline, first, second, code=1)


def test_a_model_that_was_moved_or_split_keeps_its_rows(tmp_path):
    whole = model(tmp_path / "model.safetensors", v=1, w=2)
    baseline = keep(tmp_path / "old.json", whole)
    assert drift(baseline, model(tmp_path / "new" / "model.safetensors", v=1, w=2)) == ""
    parts = [model(tmp_path / f"part{i}.safetensors", **{x: i + 1}) for i, x in enumerate("vw")]
    assert drift(baseline, *parts) == ""


def test_a_baseline_of_something_else_does_not_pass(tmp_path):
    baseline = keep(tmp_path / "old.json", model(tmp_path / "a.safetensors", w=1))
    other = model(tmp_path / "b.safetensors", other=1)
    assert "nothing here is in the baseline" in drift(baseline, "-q", other, code=1)


def test_numbers_beyond_every_float_are_no_report(tmp_path):
    path = model(tmp_path / "a.safetensors", w=1)
    text = '{"tensors": [{"name": "w", "sigma_max": 1' + "0" * 400 + "}]}"
    (tmp_path / "old.json").write_text(text)
    assert "is no report" in drift(tmp_path / "old.json", path, code=2)


@pytest.mark.parametrize("option", ["-o", "--plot"])
def test_what_is_read_is_not_written_over(tmp_path, option):
    path = model(tmp_path / "a.safetensors", w=1)
    before = path.read_bytes()
    (tmp_path / "link").symlink_to(path)
    for source in (path, tmp_path, tmp_path / "*.safetensors"):
        for target in (path, tmp_path / "link"):
            assert "would be written over" in audit(source, option, target, code=2).stderr
    assert path.read_bytes() == before


def test_a_report_may_lie_beside_the_weights_and_replace_the_baseline(tmp_path):
    model(tmp_path / "a.safetensors", w=1)
    report = keep(tmp_path / "report.json", tmp_path)
    keep(report, tmp_path, "--baseline", report, "--fail-drift", "1%")
    assert json.loads(report.read_text())["tensors"][0]["name"] == "w"
    assert "would be written over" in drift(report, tmp_path, "--plot", report, code=2)


def test_two_names_of_one_file_are_no_two_files(tmp_path):
    path = model(tmp_path / "a.safetensors", w=1)
    options = ["-o", tmp_path / "out", "--plot", f"{tmp_path}/./out"]
    assert "the same file" in audit(path, *options, code=2).stderr


def test_a_picture_that_cannot_be_written_is_refused_before_the_work(tmp_path):
    path = model(tmp_path / "a.safetensors", w=1)
    done = audit(path, "--plot", tmp_path / "no" / "p.png", code=2)
    assert (done.stdout, done.stderr.count("\n")) == ("", 1)


def test_a_file_that_only_its_owner_reads_stays_so(tmp_path):
    path = model(tmp_path / "a.safetensors", w=1)
    out = tmp_path / "out"
    out.touch(0o600)
    audit(path, "-o", out)
    assert stat.S_IMODE(out.stat().st_mode) == 0o600


def test_version_into_a_full_device_is_one_line():
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        done = run("--version", capture_output=False, stdout=full, stderr=-1)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_advice_on_expressions_is_not_printed(tmp_path):
    path = model(tmp_path / "a.safetensors", w=1)
    assert audit(path, "--include", "[[w]").stderr == ""


def test_names_that_are_the_same_in_one_file(tmp_path):
    def sliced(name, first):
        path = tmp_path / name
        stack = np.stack([np.eye(3) * first, np.eye(3) * 2]).astype("f4")
        write(path, {"s[0]": f32(np.eye(3) * 7), "s": f32(stack)})
        return path

    baseline = keep(tmp_path / "old.json", sliced("a.safetensors", 1))
    assert drift(baseline, sliced("b.safetensors", 1)) == ""
    assert "s[0]" in drift(baseline, "-q", sliced("c.safetensors", 100), code=1)
