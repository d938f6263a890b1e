"""Prints the requirements of the groups named, one a line.

pyproject.toml is the one list of what the project needs. A group is an extra, or ``build`` (what
builds the wheel), or ``runtime`` (what the installed wheel imports).
"""

import sys
import tomllib
from pathlib import Path


def requirements(pyproject: Path, groups: list[str]) -> list[str]:
    """The union of the groups, sorted, so that equal needs give equal text."""
    tree = tomllib.loads(pyproject.read_text(encoding="utf-8"))
    known = {
        **tree["project"]["optional-dependencies"],
        "build": tree["build-system"]["requires"],
        "runtime": tree["project"]["dependencies"],
    }
    return sorted({line for group in groups for line in known[group]})


if __name__ == "__main__":
    print("\n".join(requirements(Path(__file__).parents[1] / "pyproject.toml", sys.argv[1:])))
