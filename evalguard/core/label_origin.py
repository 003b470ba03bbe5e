"""Where labels came from, for reports, and for the causes of a fault and their fixes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class LabelOrigin:
    """Where labels came from, in the user's terms.

    Attributes:
        path: Their file, as the caller named it.
        column: The column that holds them; for several outputs a mapping.
        key_column: The column of their keys; empty where there is none.
        terms: How a fix is written: ``in`` is ``step`` or ``command``, the
            others are names of the user's. Empty: in Python.
        written: Writes a line of a fix with what else the user has there;
            takes the line, and whether it is the one after the fix.
        row_lengths: From samples to the lengths of their inputs without
            padding, int64, or to None where they have no length. None: the
            inputs are not at hand.
    """

    path: str = ""
    column: str | Mapping[str, str] = ""
    key_column: str = ""
    terms: Mapping[str, str] = field(default_factory=dict)
    written: Callable[[str, bool], str] | None = None
    row_lengths: Callable[[NDArray[np.int64]], NDArray[np.int64] | None] | None = None

    def named(self) -> dict[str, Any]:
        """``path``, ``column`` and ``key``, as far as there are."""
        known = {"path": self.path, "column": self.column, "key": self.key_column}
        return {name: value for name, value in known.items() if value}
