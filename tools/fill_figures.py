"""Copies the summary of a record of measurements into README.md.

    python tools/fill_figures.py benches/record/<date>-<cpu>.md

The table stands between two markers in both files; what is around it stays.
"""

import re
import sys
from pathlib import Path

README = Path(__file__).resolve().parents[1] / "README.md"
FIGURES = re.compile(r"<!-- figures: begin -->\n.*?<!-- figures: end -->", re.DOTALL)


def figures(text: str, name: str) -> str:
    """The one table between the markers."""
    found: list[str] = FIGURES.findall(text)
    if len(found) != 1:
        sys.exit(f"{name}: expected one table between the markers, found {len(found)}")
    return found[0]


def fill(readme: str, record: str) -> str:
    """Put the record's table in the place of the README's."""
    return readme.replace(figures(readme, "README.md"), figures(record, "the record"))


def main(arguments: list[str]) -> None:
    """Rewrite README.md from the record named."""
    if len(arguments) != 1:
        sys.exit("usage: fill_figures.py RECORD")
    record = Path(arguments[0]).read_text(encoding="utf-8")
    README.write_text(fill(README.read_text(encoding="utf-8"), record), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
