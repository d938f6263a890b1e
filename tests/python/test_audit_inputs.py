"""Every kind of file and tensor the command reads."""

import json
import os
import zlib

import numpy as np
import pytest

from audit_tools import audit, f32, naive_sigma, report, rows, write, write_sparse

RNG = np.random.default_rng(5)


def random(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


@pytest.fixture
def by_hand(tmp_path):
    return write(tmp_path / "m.safetensors", {"w": f32([[3, 0], [0, 4]])})


def test_two_by_two_is_four(by_hand):
    row = rows(by_hand)["w"]
    assert row["sigma_max"] == pytest.approx(4, rel=1e-12)
    assert row["fro"] == 5
    assert row["stable_rank"] == pytest.approx(25 / 16)
    assert row["sigma_ratio"] == pytest.approx(0.75)
    assert row["max_abs"] == 4


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_float_types_match_svd(tmp_path, dtype):
    save_file = pytest.importorskip("safetensors.numpy").save_file
    a = random(30, 20).astype(dtype)
    save_file({"w": a}, tmp_path / "m.safetensors")
    row = rows(tmp_path / "m.safetensors")["w"]
    assert row["sigma_max"] == pytest.approx(naive_sigma(a)[0], rel=1e-6)
    assert row["dtype"] == "F" + dtype.removeprefix("float")


def complex_random(*shape):
    return (random(*shape) + 1j * random(*shape)).astype(np.complex64)


@pytest.mark.parametrize("shape", [(6, 5), (120, 90), (90, 120)])
def test_complex_of_safetensors_matches_svd(tmp_path, shape):
    a = complex_random(*shape)
    path = write(tmp_path / "m.safetensors", {"w": ("C64", a.shape, a.tobytes())})
    row = rows(path)["w"]
    sigma = np.linalg.svd(a.astype(complex), compute_uv=False)
    assert row["sigma_max"] == pytest.approx(sigma[0], rel=1e-6)
    assert row["fro"] == pytest.approx(np.sqrt(np.sum(sigma**2)), rel=1e-6)
    assert row["max_abs"] == pytest.approx(np.abs(a).max(), rel=1e-6)
    assert (row["dtype"], row["shape"], row["status"]) == ("C64", list(shape), "ok")


def test_complex128_of_numpy_matches_svd_and_counts_broken_entries(tmp_path):
    a = complex_random(7, 9).astype(complex)
    np.save(tmp_path / "a.npy", a)
    row = rows(tmp_path / "a.npy")["a"]
    assert row["sigma_max"] == pytest.approx(np.linalg.norm(a, 2), rel=1e-13)
    assert row["dtype"] == "C128"
    a[1, 2] = complex(np.nan, np.inf)
    a[3, 3] = complex(0, np.nan)
    np.save(tmp_path / "a.npy", a)
    row = rows(tmp_path / "a.npy")["a"]
    assert (row["status"], row["n_nonfinite"]) == ("nan", 2)


def test_bfloat16_matches_svd(tmp_path):
    bits = (random(30, 20).view(np.uint32) >> 16).astype(np.uint16)
    a = (bits.astype(np.uint32) << 16).view(np.float32)
    path = write(tmp_path / "m.safetensors", {"w": ("BF16", a.shape, bits.tobytes())})
    row = rows(path)["w"]
    assert row["sigma_max"] == pytest.approx(naive_sigma(a)[0], rel=1e-6)
    assert row["dtype"] == "BF16"


def test_stack_has_a_row_per_slice(tmp_path):
    experts = random(3, 8, 6)
    experts[1] *= 1000  # one expert that blew up must not hide among the others
    found = rows(write(tmp_path / "m.safetensors", {"experts": f32(experts)}))
    assert list(found) == ["experts[0]", "experts[1]", "experts[2]"]
    for i, row in enumerate(found.values()):
        assert row["sigma_max"] == pytest.approx(naive_sigma(experts[i])[0], rel=1e-6)
        assert row["kind"] == "stack"
        assert row["shape"] == [8, 6]


@pytest.mark.parametrize("shape", [(5, 4, 3, 3), (5, 4, 2, 3, 3)])
def test_convolution_is_flattened_and_labelled(tmp_path, shape):
    kernel = random(*shape)
    path = write(tmp_path / "m.safetensors", {"conv": f32(kernel)})
    row = rows(path)["conv"]
    assert row["sigma_max"] == pytest.approx(naive_sigma(kernel.reshape(5, -1))[0], rel=1e-6)
    assert row["kind"] == "conv_flattened"
    assert row["shape"] == list(shape)
    assert "conv_flattened" in audit(path).stdout


def test_what_has_no_norm_is_skipped_with_the_reason(tmp_path):
    tensors = {
        "scalar": ("F32", (), bytes(4)),
        "vector": ("F32", (3,), bytes(12)),
        "six": ("F32", (1,) * 6, bytes(4)),
        "ids": ("I64", (2, 2), bytes(32)),
        "mask": ("BOOL", (2, 2), bytes(4)),
        "packed": ("F8_E4M3", (2, 2), bytes(4)),
    }
    whole = report(write(tmp_path / "m.safetensors", tensors))
    assert whole["tensors"] == []
    reasons = {item["name"]: item["reason"] for item in whole["skipped"]}
    assert reasons == {
        "scalar": "0-D",
        "vector": "1-D",
        "six": "6-D",
        "ids": "dtype I64",
        "mask": "dtype BOOL",
        "packed": "dtype F8_E4M3",
    }


def test_degenerate_matrices_have_a_status(tmp_path):
    holes = np.array([[1, np.nan], [np.inf, 1]])
    tensors = {
        "empty": ("F32", (0, 5), b""),
        "empty_stack": ("F32", (1 << 40, 0, 5), b""),
        "zero": f32(np.zeros((3, 3))),
        "nan": f32(holes),
        "inf": f32([[1, np.inf]]),
        "overflow": ("F64", (2, 2), np.full((2, 2), 1.7e308).tobytes()),
    }
    found = rows(write(tmp_path / "m.safetensors", tensors))
    assert {row["status"]: row["sigma_max"] for row in found.values()} == {
        "empty": 0,
        "zero": 0,
        "nan": None,
        "inf": None,
        "overflow": None,
    }
    assert found["nan"]["n_nonfinite"] == 2
    assert found["nan"]["max_abs"] == 1


def test_number_beyond_float64_beside_a_sigma_within_has_a_status(tmp_path):
    tensors = {
        "fro": ("F64", (2, 2), (1.5e308 * np.eye(2)).tobytes()),
        "sigma_mup": ("F64", (1, 400), np.full(400, 1e306).tobytes()),
        "none": ("F64", (2, 2), (1e307 * np.eye(2)).tobytes()),
    }
    found = rows(write(tmp_path / "m.safetensors", tensors))
    for name, sigma in (("fro", 1.5e308), ("sigma_mup", 2e307), ("none", 1e307)):
        assert found[name]["sigma_max"] == pytest.approx(sigma, rel=1e-9)
        assert found[name].get(name) is None
        assert found[name]["status"] == ("ok" if name == "none" else "overflow")


def test_misaligned_file_gives_the_same_numbers(tmp_path):
    tensors = {f"w{i}": f32(random(40, 30)) for i in range(3)}
    aligned = write(tmp_path / "a.safetensors", tensors)
    for shift in range(1, 4):
        odd = tmp_path / f"{shift}.safetensors"
        write(odd, {"x" * shift: ("BOOL", (1,), b"1"), **tensors}, pad=False)
        found = {name: row["sigma_max"] for name, row in rows(odd).items()}
        assert found == {name: row["sigma_max"] for name, row in rows(aligned).items()}


def test_equal_tensors_are_computed_once(tmp_path):
    a, b = random(20, 30), random(20, 30)
    almost = a.copy()
    almost[7, 7] += 1
    tensors = {"a": a, "b": b, "copy": a, "almost": almost, "turned": a.reshape(30, 20)}
    path = write(tmp_path / "m.safetensors", {name: f32(x) for name, x in tensors.items()})
    found = rows(path)
    assert {name: row["same_as"] for name, row in found.items()} == {
        "a": None,
        "b": None,
        "copy": "a",
        "almost": None,
        "turned": None,
    }
    assert found["copy"]["sigma_max"] == found["a"]["sigma_max"]
    assert found["copy"]["n_passes"] == 0
    assert "same_as" in audit(path).stdout.splitlines()[0]


def test_equal_tensors_of_two_files_are_computed_once(tmp_path):
    first = write(tmp_path / "a.safetensors", {"w": f32(np.eye(3))})
    second = write(tmp_path / "b.safetensors", {"w": f32(np.eye(3))})
    whole = report(first, second)
    assert [row["same_as"] for row in whole["tensors"]] == [None, f"{first}:w"]
    assert [row["file"] for row in whole["tensors"]] == [str(first), str(second)]


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_equal_arrays_of_an_npz_are_computed_once(tmp_path, save):
    a, stack = random(20, 30), random(3, 20, 30)
    stack[2] = stack[1]
    almost = a.copy()
    almost[7, 7] += 1
    copies = {"copy": a, "turned": np.asfortranarray(a), "stack": stack, "again": stack.copy()}
    save(tmp_path / "m.npz", a=a, almost=almost, ids=np.eye(2, dtype=int), **copies)
    found = rows(tmp_path / "m.npz")
    assert {name: row["same_as"] for name, row in found.items()} == {
        "a": None,
        "almost": None,
        "copy": "a",
        "turned": None,
        "stack[0]": None,
        "stack[1]": None,
        "stack[2]": "stack[1]",
        "again[0]": "stack[0]",
        "again[1]": "stack[1]",
        "again[2]": "stack[1]",
    }
    for one, other in (("a", "copy"), ("stack[0]", "again[0]"), ("stack[1]", "again[2]")):
        assert found[one]["sigma_max"] == found[other]["sigma_max"]
        assert found[other]["n_passes"] == 0 < found[one]["n_passes"]


def test_arrays_of_an_npz_with_equal_checksums_are_compared(tmp_path):
    a = np.zeros((8, 8), np.uint8)
    # What a checksum does not see: its polynomial.
    bits = np.zeros(8 * a.size, np.uint8)
    bits[:33] = list(map(int, f"{0x104C11DB7:b}"))
    b = np.packbits(bits, bitorder="little").reshape(8, 8)
    assert zlib.crc32(a.tobytes()) == zlib.crc32(b.tobytes())
    np.savez(tmp_path / "m.npz", a=a.view(np.float32), b=b.view(np.float32))
    assert [row["same_as"] for row in rows(tmp_path / "m.npz").values()] == [None, None]


@pytest.mark.parametrize(
    "paths",
    [
        ["", "model-00001-of-00002.safetensors"],
        ["model-00002-of-00002.safetensors", "", "sub/.."],
        ["model.safetensors.index.json", "*.safetensors", "link"],
        ["", "a.npz", "model-00001-of-00002.safetensors", "a.npz"],
    ],
)
def test_paths_that_overlap_are_read_once(shards, paths):
    (shards / "sub").mkdir()
    (shards / "link").symlink_to(shards)
    np.savez(shards / "a.npz", n=np.eye(2))
    whole = report(*(shards / path for path in paths))
    names = sorted(row["name"] for row in whole["tensors"])
    assert names == [*(["n"] if "a.npz" in paths else []), "w0", "w1"]
    assert whole["summary"]["n_matrices"] == len(names)


def test_shards_are_not_written_over(shards):
    index = shards / "model.safetensors.index.json"
    before = {path: path.read_bytes() for path in shards.iterdir()}
    for source in (shards, index):
        for target in before:
            for option in ("-o", "--plot"):
                assert "would be written over" in audit(source, option, target, code=2).stderr
    assert {path: path.read_bytes() for path in shards.iterdir()} == before


def test_linked_files_are_kept_apart(shards):
    (shards / "other").mkdir()
    first = shards / "model-00001-of-00002.safetensors"
    (shards / "other" / first.name).symlink_to(first)
    assert len(report(shards, shards / "other")["tensors"]) == 3


@pytest.fixture
def shards(tmp_path):
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    for i, name in enumerate(names):
        write(tmp_path / name, {f"w{i}": f32((i + 1) * np.eye(4))})
    index = {"metadata": {}, "weight_map": {"w0": names[0], "w1": names[1]}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    return tmp_path


@pytest.mark.parametrize(
    "path", ["", "model.safetensors.index.json", "*.safetensors", "model-0000[12]*"]
)
def test_shards_are_read_as_one(shards, path):
    found = rows(shards / path)
    assert {name: row["sigma_max"] for name, row in found.items()} == pytest.approx(
        {"w0": 1, "w1": 2}
    )


def test_folder_without_index_is_read_in_name_order(shards):
    (shards / "model.safetensors.index.json").unlink()
    (shards / "notes.txt").write_text("not a model")
    assert list(rows(shards)) == ["w0", "w1"]


def test_only_the_indexed_files_of_a_folder_are_read(shards):
    write(shards / "consolidated.safetensors", {"other": f32(np.eye(2))})
    assert list(rows(shards)) == ["w0", "w1"]


@pytest.mark.parametrize(
    "array",
    [
        random(9, 7),
        np.asfortranarray(random(9, 7)),
        random(9, 7).astype(">f4"),
        random(9, 7).astype("f2"),
        random(2, 9, 7),
    ],
    ids=["c", "fortran", "swapped", "half", "stack"],
)
def test_npy_matches_svd(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    found = report(tmp_path / "a.npy")["tensors"]
    expected = naive_sigma(array).reshape(-1, 7)[:, 0]
    assert [row["sigma_max"] for row in found] == pytest.approx(list(expected), rel=1e-6)
    assert found[0]["name"] == ("a[0]" if array.ndim == 3 else "a")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_matches_svd(tmp_path, save):
    arrays = {
        "z": random(5, 6),
        "f": np.asfortranarray(random(6, 5)),
        "s": random(2, 3, 4),
        "ids": np.arange(4).reshape(2, 2),
        "v": random(3),
        "empty": np.empty((0, 3)),
    }
    save(tmp_path / "m.npz", **arrays)
    whole = report(tmp_path / "m.npz")
    found = {row["name"]: row["sigma_max"] for row in whole["tensors"]}
    assert list(found) == ["z", "f", "s[0]", "s[1]", "empty"]
    for name in ("z", "f"):
        assert found[name] == pytest.approx(naive_sigma(arrays[name])[0], rel=1e-6)
    assert found["empty"] == 0
    assert {item["name"]: item["reason"] for item in whole["skipped"]} == {
        "ids": "dtype I64",
        "v": "1-D",
    }


def test_several_kinds_in_one_run(tmp_path, by_hand):
    np.save(tmp_path / "a.npy", np.eye(3))
    assert list(rows(by_hand, tmp_path / "a.npy")) == ["w", "a"]


def test_torch_file_is_read_or_refused(tmp_path):
    try:
        import torch
    except ImportError:
        (tmp_path / "m.pt").write_bytes(b"x")
        stderr = audit(tmp_path / "m.pt", code=2).stderr
        assert "needs torch" in stderr
        assert stderr.count("\n") == 1
        return
    a = torch.arange(12, dtype=torch.bfloat16).reshape(3, 4)
    state = {"layer": {"w": a, "turned": a.t(), "b": torch.ones(3)}, "step": 3}
    torch.save(state, tmp_path / "m.pt")
    found = rows(tmp_path / "m.pt")
    assert list(found) == ["layer.w", "layer.turned"]
    assert found["layer.w"]["sigma_max"] == pytest.approx(
        naive_sigma(a.double().numpy())[0], rel=1e-6
    )


@pytest.mark.parametrize("dtype", ["complex64", "complex128", ">c16"])
def test_complex_of_npz_matches_svd(tmp_path, dtype):
    a = complex_random(9, 7).astype(dtype)
    np.savez(tmp_path / "m.npz", a=np.eye(3), w=a)
    row = rows(tmp_path / "m.npz")["w"]
    sigma = np.linalg.svd(a.astype(complex), compute_uv=False)
    assert row["sigma_max"] == pytest.approx(sigma[0], rel=1e-6)


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize("shape", [(6, 5), (300, 280), (1, 4000), (2, 5000), (900, 200)])
def test_second_value_of_a_complex_matrix_is_no_copy_of_the_first(tmp_path, shape, dtype):
    np.save(tmp_path / "a.npy", complex_random(*shape).astype(dtype))
    row = rows(tmp_path / "a.npy", "--bounds", "rigorous")["a"]
    sigma = np.linalg.svd(np.load(tmp_path / "a.npy").astype(complex), compute_uv=False)
    if len(sigma) == 1:
        assert not row["sigma_ratio"]
    else:
        ratio = sigma[1] / sigma[0]
        assert ratio - 0.05 <= row["sigma_ratio"] <= ratio + 1e-6


@pytest.mark.parametrize("suffix", [".ckpt", ".npy", ".npz", ".bin"])
def test_folder_may_be_called_like_a_file(tmp_path, suffix):
    folder = tmp_path / f"model{suffix}"
    folder.mkdir()
    write(folder / "m.safetensors", {"w": f32(np.eye(2))})
    assert list(rows(folder)) == ["w"]


def test_file_without_matrix_is_no_error(tmp_path):
    assert report(write(tmp_path / "m.safetensors", {}))["tensors"] == []
    sparse = write_sparse(tmp_path / "s.safetensors", {"b": (5,)})
    assert "0 matrices" in audit(sparse).stdout


def test_file_whose_name_is_no_text_is_read(tmp_path):
    for suffix in ("npy", "npz", "safetensors"):
        path = os.fsencode(tmp_path / "w.") + b"\xff." + suffix.encode()
        write(tmp_path / "m.safetensors", {"w": f32(np.eye(3))}).rename(os.fsdecode(path))
        if suffix != "safetensors":
            with open(path, "wb") as file:  # noqa: PTH123 - the name is bytes
                (np.save if suffix == "npy" else np.savez)(file, np.eye(3))
        [row] = report(os.fsdecode(path))["tensors"]
        assert row["file"] == str(tmp_path / f"w.\ufffd.{suffix}")
        assert row["sigma_max"] == pytest.approx(1)


def test_torch_dtypes_are_spelled_as_those_of_safetensors(tmp_path):
    torch = pytest.importorskip("torch")
    skipped = {"F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2", "U16": "uint16", "I8": "int8"}
    state = {name: torch.zeros(2, 2, dtype=getattr(torch, d)) for name, d in skipped.items()}
    torch.save({"w": torch.eye(2), **state}, tmp_path / "m.pt")
    reasons = {each["name"]: each["reason"] for each in report(tmp_path / "m.pt")["skipped"]}
    assert reasons == {name: f"dtype {name}" for name in skipped}
