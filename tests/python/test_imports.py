"""Nothing is imported before it is needed."""

import json

import pytest

import rsspecnorm
from processes import output_of

HEAVY = {"numpy", "scipy", "torch", "matplotlib", "pandas", "ml_dtypes"}


def imported_by(code):
    tail = "; import sys, json; print(json.dumps(list(sys.modules)))"
    return set(json.loads(output_of(code + tail))) & HEAVY


@pytest.mark.parametrize(
    "code",
    [
        "import rsspecnorm",
        "import rsspecnorm; rsspecnorm.build_info()",
        "import rsspecnorm; rsspecnorm.set_num_threads(2)",
        "import rsspecnorm; rsspecnorm.__version__",
        "import rsspecnorm; dir(rsspecnorm)",
    ],
)
def test_import_takes_nothing_heavy(code):
    assert imported_by(code) == set()


def test_norm_takes_numpy_alone():
    code = "import rsspecnorm; rsspecnorm.spectral_norm([[1.0, 2.0], [3.0, 4.0]])"
    assert imported_by(code) == {"numpy"}


def test_every_public_name_loads():
    assert set(rsspecnorm.__all__) <= set(dir(rsspecnorm))
    for name in rsspecnorm.__all__:
        assert getattr(rsspecnorm, name) is not None


@pytest.mark.parametrize("name", [name for name in rsspecnorm.__all__ if name != "__version__"])
def test_public_name_is_documented(name):
    assert getattr(rsspecnorm, name).__doc__.strip()


def test_version_is_that_of_build_info():
    assert rsspecnorm.build_info()["version"] == rsspecnorm.__version__
    assert rsspecnorm.__version__[0].isdigit()
