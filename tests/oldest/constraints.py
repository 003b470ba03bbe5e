"""Print, as constraints for pip, the oldest release of everything that pyproject.toml admits.

    python tests/oldest/constraints.py > constraints.txt

``>=2.16`` becomes ``~=2.16.0``: that minor release, with its last fixes.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"
EXTRAS = ("keras2", "test")


def main() -> None:
    """One line for each requirement that has a lower bound."""
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    requirements = [
        *project["dependencies"],
        *(line for extra in EXTRAS for line in project["optional-dependencies"][extra]),
    ]
    for requirement in requirements:
        found = re.match(r"([\w-]+).*?>=\s*([\d.]+)", requirement)
        if found:
            print(f"{found[1]}~={at_least_three_parts(found[2])}")


def at_least_three_parts(version: str) -> str:
    """``6`` → ``6.0.0``."""
    parts = version.split(".")
    return ".".join([*parts, *["0"] * (3 - len(parts))])


if __name__ == "__main__":
    main()
