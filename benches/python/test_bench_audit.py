"""The command beside the script it stands in for; on a small file when nothing is measured."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from audits import audit_engines, peak_memory
from workloads import CheckpointMissingError, checkpoint

SIXTY_FOUR_MIB = 64 << 20


@pytest.fixture
def model(benchmark, tmp_path):
    if not benchmark.disabled:
        try:
            return checkpoint()
        except CheckpointMissingError:
            pytest.skip("the checkpoint's package is not installed")
    path = tmp_path / "small.safetensors"
    save_file({"weight": np.eye(4, 3, dtype=np.float32), "bias": np.ones(3, np.float32)}, path)
    return path


@pytest.mark.parametrize("place", range(3))
def test_audit_as_a_process(benchmark, model, tmp_path, place):
    engine = audit_engines(model, tmp_path)[place]
    benchmark.group = "the audit of the demo's checkpoint, whole process"
    benchmark.name = engine.name
    sigmas = benchmark(engine.call)
    if benchmark.disabled and sigmas is not None:
        assert sigmas == pytest.approx({"weight": 1.0})


def test_memory_of_audit_is_seen_and_flat(tmp_path):
    try:
        model = checkpoint()
    except CheckpointMissingError:
        pytest.skip("the checkpoint's package is not installed")
    peak = peak_memory(model, tmp_path)
    if peak is None:
        pytest.skip("this system has no smaps")
    assert 0 < peak.anonymous <= peak.unmapped < SIXTY_FOUR_MIB
