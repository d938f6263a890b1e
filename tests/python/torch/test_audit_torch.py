"""Checkpoints that torch wrote: their index, their oddities, and bombs."""

import json
from fractions import Fraction

import pytest
import torch

from audit_tools import audit, report, rows


@pytest.fixture
def shards(tmp_path):
    names = [f"pytorch_model-0000{i}-of-00002.bin" for i in (1, 2)]
    for i, name in enumerate(names):
        torch.save({f"w{i}": (i + 1) * torch.eye(3)}, tmp_path / name)
    index = {"weight_map": {"w0": names[0], "w1": names[1]}}
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    return tmp_path


@pytest.mark.parametrize("path", ["", "pytorch_model.bin.index.json"])
def test_shards_are_those_of_the_index(shards, path):
    torch.save({"other": torch.eye(2)}, shards / "pytorch_model-extra.bin")
    found = rows(shards / path)
    assert {name: row["sigma_max"] for name, row in found.items()} == pytest.approx(
        {"w0": 1, "w1": 2}
    )


@pytest.mark.parametrize("path", ["", "pytorch_model.bin.index.json"])
def test_a_missing_shard_is_refused(shards, path):
    (shards / "pytorch_model-00002-of-00002.bin").unlink()
    stderr = audit(shards / path, code=2).stderr
    assert "is missing" in stderr
    assert stderr.count("\n") == 1


@pytest.mark.parametrize(
    "text", ["", "[]", '{"weight_map": {"w": "../m.bin"}}', '{"weight_map": {}}']
)
def test_an_index_that_lies_is_refused(shards, text):
    (shards / "pytorch_model.bin.index.json").write_text(text)
    assert "the index is not valid" in audit(shards, code=2).stderr


def test_lists_that_hold_a_list_twice_are_refused(tmp_path):
    value = [torch.zeros(1)]
    for _ in range(30):
        value = [value, value]
    torch.save(value, tmp_path / "m.pt")
    assert "holds more than" in audit(tmp_path / "m.pt", code=2).stderr


def test_endless_nesting_is_refused(tmp_path):
    value = torch.zeros(2, 2)
    for _ in range(40):
        value = [value]
    torch.save(value, tmp_path / "m.pt")
    assert "nested more than" in audit(tmp_path / "m.pt", code=2).stderr


def test_a_number_repeated_is_refused_where_it_fills_the_memory(tmp_path):
    torch.save({"w": torch.ones(1).expand(2_000_000, 500)}, tmp_path / "m.pt")
    assert "unpacks to" in audit(tmp_path / "m.pt", code=2).stderr
    torch.save({"w": torch.ones(1).expand(30, 20)}, tmp_path / "m.pt")
    assert rows(tmp_path / "m.pt")["w"]["sigma_max"] == pytest.approx(600**0.5)


def test_tensors_without_memory_are_skipped_and_the_rest_is_read(tmp_path):
    meta = torch.empty(3, 3, device="meta")
    torch.save({"meta": meta, "w": torch.eye(3), "s": torch.eye(3).to_sparse()}, tmp_path / "m.pt")
    found = report(tmp_path / "m.pt")
    assert [row["name"] for row in found["tensors"]] == ["w"]
    assert [row["name"] for row in found["skipped"]] == ["meta", "s"]


def test_a_negated_view_is_read(tmp_path):
    a = torch.arange(6.0).reshape(2, 3)
    torch.save({"w": torch._neg_view(a)}, tmp_path / "m.pt")
    sigma = torch.linalg.matrix_norm(a.double(), 2).item()
    assert rows(tmp_path / "m.pt")["w"]["sigma_max"] == pytest.approx(sigma, rel=1e-6)


def test_rows_keep_the_order_of_the_file(tmp_path):
    a = torch.randn(4, 4)
    b = torch.randn(3, 2, 4)
    state = {"bias": a[0].clone(), "a": a, "s": b + 1, "t": a.t() + 1, "steps": torch.arange(4)}
    state |= {"u": torch.randn(5, 4).t(), "v": b.permute(2, 0, 1), "z": torch.randn(4, 4)}
    torch.save(state, tmp_path / "m.pt")
    found = rows(tmp_path / "m.pt")
    stacks = {"s": [f"s[{i}]" for i in range(3)], "v": [f"v[{i}]" for i in range(4)]}
    expected = [name for key in "astuvz" for name in stacks.get(key, [key])]
    assert list(found) == expected
    assert found["s[2]"]["sigma_max"] == pytest.approx(float(torch.linalg.matrix_norm(b[2] + 1, 2)))


def test_what_torch_will_not_load_is_named(tmp_path):
    torch.save({"w": torch.eye(2), "when": Fraction(1, 2)}, tmp_path / "m.pt")
    assert "fractions.Fraction" in audit(tmp_path / "m.pt", code=2).stderr
