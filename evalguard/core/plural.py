"""Numbers with their noun."""

from __future__ import annotations


def plural(count: int, word: str) -> str:
    """``1 row``, ``2 rows``, ``1,000 batches``."""
    ending = "" if count == 1 else "es" if word.endswith(("s", "ch")) else "s"
    return f"{count:,} {word}{ending}"
