"""Numbers with their noun."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

# Rows that a message names.
MAX_NAMED = 5


def plural(count: int, word: str) -> str:
    """``1 row``, ``2 rows``, ``1,000 batches``."""
    ending = "" if count == 1 else "es" if word.endswith(("s", "ch")) else "s"
    return f"{count:,} {word}{ending}"


def verb(count: int, one: str, many: str) -> str:
    """The form of a verb for this number."""
    return one if count == 1 else many


def at_rows(rows: Sequence[int] | Any) -> str:
    """``at row 1``, ``at rows 1, 3``, ``at rows 0, 1, 2, 3, 4, … (6 in all)``."""
    named = ", ".join(f"{int(row):,}" for row in rows[:MAX_NAMED])
    more = f", … ({len(rows):,} in all)" if len(rows) > MAX_NAMED else ""
    return f"at row{'' if len(rows) == 1 else 's'} {named}{more}"
