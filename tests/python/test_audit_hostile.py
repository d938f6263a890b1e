"""Files that lie: one line on stderr, exit code 2, and memory within bounds."""

import io
import json
import os
import resource
import zipfile

import numpy as np
import pytest

from audit_tools import audit, f32, header_and, run, write, write_sparse

LIMIT = 2 << 30


def limited():
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT))


def refused(path, *fragments):
    """Audit a bad file with little memory and return the one line it must end in."""
    done = audit(path, code=2, preexec_fn=limited, timeout=60)
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("rsspecnorm: error: ")
    for fragment in fragments:
        assert fragment in done.stderr
    return done.stderr


def entry(dtype="F32", shape=(2, 2), offsets=(0, 16)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


GOOD = header_and({"a": entry()}, bytes(16))
ZEROS = bytes(16)
CASES = {
    "empty": b"",
    "three bytes": b"abc",
    "text": b"this is no model at all, only text that goes on for a while\n",
    "truncated data": GOOD[:-1],
    "truncated header": GOOD[:20],
    "data left over": GOOD + b"x",
    "header length of everything": b"\xff" * 8 + GOOD[8:],
    "header length beyond the file": (1 << 20).to_bytes(8, "little") + GOOD[8:],
    "header length of zero": bytes(8),
    "not UTF-8": header_and(b'{"a\xff":{}}'),
    "not JSON": header_and(b"{" * 50),
    "not an object": header_and(b"[1, 2]"),
    "deep": header_and(b'{"a":' + b"[" * 1_000_000),
    "deep metadata": header_and(b'{"__metadata__":' + b"[" * 1_000_000),
    "overlap": header_and({"a": entry(), "b": entry(offsets=(8, 24))}, bytes(24)),
    "hole": header_and({"a": entry(), "b": entry(offsets=(24, 40))}, bytes(40)),
    "out of range": header_and({"a": entry(shape=(40, 40), offsets=(0, 6400))}, ZEROS),
    "backwards": header_and({"a": entry(offsets=(16, 0))}, ZEROS),
    "huge offset": header_and({"a": entry(offsets=(0, 2**64 - 1))}, ZEROS),
    "beyond integers": header_and({"a": entry(offsets=(0, 2**80))}, ZEROS),
    "negative": header_and({"a": entry(shape=(-2, -2))}, ZEROS),
    "shape overflows": header_and({"a": entry(shape=(2**40, 2**40))}, ZEROS),
    "shape wraps to fit": header_and({"a": entry(shape=(2**62, 2, 2))}, ZEROS),
    "shape lies": header_and({"a": entry(shape=(3, 3))}, ZEROS),
    "shape of a thousand": header_and({"a": entry(shape=(1,) * 1000, offsets=(0, 4))}, bytes(4)),
    "unknown dtype": header_and({"a": entry(dtype="F31")}, ZEROS),
    "no shape": header_and({"a": {"dtype": "F32", "data_offsets": [0, 16]}}, ZEROS),
    "name twice": header_and(
        b'{"a":' + json.dumps(entry()).encode() + b',"a":' + json.dumps(entry()).encode() + b"}",
        ZEROS,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_damaged_safetensors_is_refused(tmp_path, case):
    path = tmp_path / "m.safetensors"
    path.write_bytes(CASES[case])
    refused(path, str(path))


def test_bomb_of_numbers_takes_little_memory(tmp_path):
    path = tmp_path / "m.safetensors"
    numbers = b"0," * 49_000_000
    path.write_bytes(header_and(b'{"a":{"dtype":"F32","shape":[' + numbers + b"0]}}"))
    refused(path, "64 dimensions")


def test_bomb_of_metadata_takes_little_memory(tmp_path):
    path = tmp_path / "m.safetensors"
    path.write_bytes(header_and(b'{"__metadata__":[' + b"0," * 49_000_000 + b"0]}"))
    done = run("audit", path, preexec_fn=limited)
    assert done.returncode == 0
    assert "0 matrices" in done.stdout


def test_stack_of_countless_matrices_is_refused(tmp_path):
    path = write_sparse(tmp_path / "m.safetensors", {"w": (200_000_000, 1, 1)})
    refused(path, "1000000 matrices")


def test_missing_file_is_refused(tmp_path):
    refused(tmp_path / "none.safetensors", "no such file")
    refused(tmp_path / "*.safetensors", "no file matches")


def test_empty_folder_is_refused(tmp_path):
    refused(tmp_path, "no safetensors")


def test_fifo_and_device_do_not_hang(tmp_path):
    for name in ("f.safetensors", "f.npy", "f.pt", "f.index.json"):
        os.mkfifo(tmp_path / name)
        refused(tmp_path / name, "regular file")
    refused("/dev/zero", "regular file")


def test_forbidden_file_is_refused(tmp_path):
    path = write(tmp_path / "m.safetensors", {"w": f32(np.eye(2))})
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    refused(path, "permission denied")


def test_locked_file_is_refused(tmp_path):
    fcntl = pytest.importorskip("fcntl")
    path = write(tmp_path / "m.safetensors", {"w": f32(np.eye(2))})
    with path.open("rb+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        refused(path, "lock")


def test_dangling_and_circular_links_are_refused(tmp_path):
    (tmp_path / "a.safetensors").symlink_to(tmp_path / "b.safetensors")
    refused(tmp_path / "a.safetensors")
    (tmp_path / "b.safetensors").symlink_to(tmp_path / "a.safetensors")
    refused(tmp_path / "a.safetensors")


def test_name_with_escapes_is_escaped_in_the_message(tmp_path):
    path = tmp_path / "m.safetensors"
    path.write_bytes(header_and({"a\x1b[31m\n": entry(shape=(3, 3))}, ZEROS))
    assert "\x1b" not in refused(path)
    assert "\x1b" not in refused(tmp_path / "x\x1b[31m\n.safetensors")


@pytest.mark.parametrize(
    "index",
    [
        {"weight_map": {"w": "../secret.safetensors"}},
        {"weight_map": {"w": "/etc/passwd"}},
        {"weight_map": {"w": "sub/m.safetensors"}},
        {"weight_map": {"w": ".."}},
        {"weight_map": {"w": ""}},
        {"weight_map": {"w": "m\0.safetensors"}},
        {"weight_map": {"w": "missing.safetensors"}},
        {"weight_map": {"w": 3}},
        {"weight_map": ["m.safetensors"]},
        {},
        [],
    ],
    ids=json.dumps,
)
def test_index_that_lies_is_refused(tmp_path, index):
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    for path in (tmp_path / "secret", folder / "m", folder / "sub" / "m"):
        write(path.with_suffix(".safetensors"), {"w": f32(np.eye(2))})
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    refused(folder, "index.json")


def npy_header(shape, dtype="<f4", data=b""):
    stream = io.BytesIO()
    header = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue() + data


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY",
        b"\x93NUMPY\x09\x00\x76\x00" + b"x" * 200,
        b"\x80\x04\x95pickled",
        npy_header((4, 4), data=bytes(8)),
        npy_header((2**40, 2**40)),
        npy_header((2**62, 2)),
        npy_header((-1, 4), data=bytes(16)),
    ],
    ids=["empty", "cut", "version", "pickle", "short", "huge", "wraps", "negative"],
)
def test_damaged_npy_is_refused(tmp_path, content):
    (tmp_path / "a.npy").write_bytes(content)
    refused(tmp_path / "a.npy", "a.npy")


def npz(path, members, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_npz_that_lies_about_its_size_is_refused(tmp_path):
    refused(npz(tmp_path / "m.npz", {"w.npy": npy_header((2**20, 2**20))}), "size")
    refused(npz(tmp_path / "m.npz", {"w.npy": npy_header((-4, -4), data=bytes(64))}), "m.npz")


def test_npz_bomb_is_refused(tmp_path):
    with (
        zipfile.ZipFile(tmp_path / "m.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("w.npy", "w", force_zip64=True) as member,
    ):
        member.write(npy_header((40, 1 << 23)))
        for _ in range(40):
            member.write(bytes(1 << 25))
    refused(tmp_path / "m.npz", "unpacks to")


def test_damaged_npz_is_refused(tmp_path):
    path = tmp_path / "m.npz"
    good = npy_header((2, 2), data=bytes(16))
    for content in (b"", b"PK\x03\x04 nothing", good):
        path.write_bytes(content)
        refused(path, "m.npz")
    npz(path, {"readme.txt": b"no array"})
    refused(path, "holds no array")
    npz(path, {"w.npy": good}, zipfile.ZIP_STORED)
    whole = path.read_bytes()
    at = whole.index(good) + len(good) - 4
    path.write_bytes(whole[:at] + b"\x01" + whole[at + 1 :])  # its checksum no longer fits
    refused(path, "w.npy")


def test_object_arrays_are_never_unpickled(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[None]], object), allow_pickle=True)
    done = audit(tmp_path / "a.npy")
    assert "1 dtype object" in done.stdout
