"""What every test starts from."""

import pytest

import rsspecnorm


@pytest.fixture(autouse=True)
def _default_threads():
    """Undo what a test does to the process-wide setting."""
    yield
    rsspecnorm.set_num_threads(None)
