"""The command on a real model, against a float64 SVD."""

import csv
import io
import json

import numpy as np
import pytest

from audit_tools import (
    audit,
    checkpoint,
    checkpoint_report,
    checkpoint_spectra,
    checkpoint_weights,
    report,
    rows,
)

COLUMNS = [
    "name",
    "shape",
    "dtype",
    "sigma_max",
    "stable_rank",
    "fro",
    "sigma_ratio",
    "sigma_mup",
    "upper",
    "max_abs",
    "n_nonfinite",
    "n_passes",
    "ms",
    "status",
    "kind",
    "same_as",
    "file",
]


def test_every_sigma_of_checkpoint_matches_svd():
    tensors = checkpoint_report()["tensors"]
    exact = checkpoint_spectra()
    assert {row["name"] for row in tensors} == set(exact)
    assert len(tensors) == 40
    for row in tensors:
        sigma = exact[row["name"]][0]
        assert row["sigma_max"] == pytest.approx(sigma, rel=1e-6), row["name"]
        assert row["upper"] >= sigma * (1 - 1e-12), row["name"]
        assert row["status"] == "ok"
        assert row["kind"] == "matrix"


def test_other_columns_of_checkpoint_match_numpy():
    weights = checkpoint_weights()
    for row in checkpoint_report()["tensors"]:
        a = weights[row["name"]].astype(np.float64)
        first, second = checkpoint_spectra()[row["name"]][:2]
        fro = np.linalg.norm(a)
        assert row["shape"] == list(a.shape)
        assert row["dtype"] == "F32"
        assert row["fro"] == pytest.approx(fro, rel=1e-10)
        assert row["stable_rank"] == pytest.approx((fro / first) ** 2, rel=1e-5)
        assert row["sigma_mup"] == pytest.approx(first / np.sqrt(a.shape[0] / a.shape[1]), rel=1e-6)
        # A Ritz value approaches the second singular value from below.
        assert row["sigma_ratio"] <= second / first * (1 + 1e-9)
        assert row["sigma_ratio"] == pytest.approx(second / first, rel=0.05)
        assert row["max_abs"] == np.abs(a).max()
        assert row["n_nonfinite"] == 0
        assert row["n_passes"] > 0
        assert row["ms"] > 0


def test_report_has_the_promised_keys():
    whole = checkpoint_report()
    assert list(whole) == ["version", "source", "settings", "tensors", "skipped", "summary"]
    assert whole["source"] == [str(checkpoint())]
    assert all(list(row) == COLUMNS for row in whole["tensors"])
    assert len(whole["skipped"]) == 64
    reasons = {"1-D": 63, "dtype I64": 1}
    assert whole["summary"]["skipped_by_reason"] == reasons
    assert whole["summary"]["n_matrices"] == 40
    assert whole["summary"]["n_parameters"] == 22_682_112
    assert whole["summary"]["sigma_max"] == max(row["sigma_max"] for row in whole["tensors"])


def test_rows_come_in_file_order():
    load = pytest.importorskip("safetensors").safe_open
    with load(checkpoint(), "numpy") as file:
        order = [name for name in file.offset_keys() if name in checkpoint_weights()]
    assert [row["name"] for row in checkpoint_report()["tensors"]] == order


def test_jsonl_has_the_same_rows():
    lines = audit(checkpoint(), "--format", "jsonl").stdout.splitlines()
    found = {row["name"]: row["sigma_max"] for row in map(json.loads, lines)}
    assert found == {row["name"]: row["sigma_max"] for row in checkpoint_report()["tensors"]}


def test_csv_has_the_same_rows():
    text = audit(checkpoint(), "--format", "csv", text=False).stdout.decode()
    assert text.count("\r\n") == 41
    found = list(csv.DictReader(io.StringIO(text, newline="")))
    assert list(found[0]) == COLUMNS
    for row, expected in zip(found, checkpoint_report()["tensors"], strict=True):
        assert row["name"] == expected["name"]
        assert float(row["sigma_max"]) == expected["sigma_max"]
        assert row["shape"] == "x".join(map(str, expected["shape"]))


def test_markdown_has_a_row_per_matrix():
    lines = audit(checkpoint(), "--format", "markdown").stdout.splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 42
    assert len({line.replace("\\|", "").count("|") for line in table}) == 1


def test_table_is_aligned_and_says_what_sigma_is():
    lines = audit(checkpoint()).stdout.splitlines()
    header, body, footer = lines[0], lines[1:41], lines[42:]
    assert header.split()[:4] == COLUMNS[:4]
    end = header.index("sigma_max") + len("sigma_max")
    for line, row in zip(body, checkpoint_report()["tensors"], strict=True):
        cell = line[:end].split()[-1]
        assert float(cell) == pytest.approx(row["sigma_max"], rel=1e-5)
        assert line[end:].startswith(" ")
    assert footer[0].startswith(
        "40 matrices, 22,682,112 parameters, 64 skipped (63 1-D, 1 dtype I64)"
    )
    assert "28.721 in embeddings.word_embeddings.weight" in footer[1]
    assert "not sigma squared" in footer[2]


def test_filters_choose_by_name():
    names = set(checkpoint_spectra())
    chosen = rows(checkpoint(), "--include", "query", "--include", "key", "--exclude", r"layer\.0")
    expected = {n for n in names if ("query" in n or "key" in n) and "layer.0" not in n}
    assert set(chosen) == expected
    assert report(checkpoint(), "--include", "nothing")["summary"]["n_filtered"] == 104


def test_sort_and_limit_order_and_cut():
    tensors = checkpoint_report()["tensors"]
    sigmas = sorted((row["sigma_max"] for row in tensors), reverse=True)
    down = report(checkpoint(), "--sort", "sigma:desc", "--limit", "3")
    assert [row["sigma_max"] for row in down["tensors"]] == sigmas[:3]
    assert down["summary"]["n_matrices"] == 40
    by_name = report(checkpoint(), "--sort", "name")["tensors"]
    assert [row["name"] for row in by_name] == sorted(row["name"] for row in tensors)


def test_settings_of_arithmetic_are_used():
    loose = rows(checkpoint(), "--include", "pooler", "--rtol", "0.1", "--bounds", "none")
    tight = rows(checkpoint(), "--include", "pooler", "--rtol", "1e-9")
    [loose_row], [tight_row] = loose.values(), tight.values()
    exact = checkpoint_spectra()["pooler.dense.weight"][0]
    assert loose_row["sigma_max"] == pytest.approx(exact, rel=0.1)
    assert tight_row["sigma_max"] == pytest.approx(exact, rel=1e-9)
    assert loose_row["upper"] is None
    assert loose_row["n_passes"] < tight_row["n_passes"]


def test_rigorous_bounds_hold_svd_within_a_percent():
    proved = rows(checkpoint(), "--include", "pooler|layer.0.*query", "--bounds", "rigorous")
    plain = rows(checkpoint(), "--include", "pooler|layer.0.*query")
    assert len(proved) == 2
    for name, row in proved.items():
        exact = checkpoint_spectra()[name][0]
        assert row["status"] == "ok"
        assert exact * (1 - 1e-12) <= row["upper"] <= 1.01 * exact
        assert row["sigma_max"] == pytest.approx(plain[name]["sigma_max"], rel=1e-6)


def test_bits_do_not_depend_on_threads():
    one, three = (report(checkpoint(), "--threads", n)["tensors"] for n in (1, 3))
    assert [row["sigma_max"] for row in one] == [row["sigma_max"] for row in three]
