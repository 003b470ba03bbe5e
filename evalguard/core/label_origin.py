"""Where labels came from, for the causes of a fault and their fixes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Origin:
    """Where labels came from, in the user's terms.

    Attributes:
        key_column: The column of their keys; empty where there is none.
        terms: How a fix is written: ``in`` is ``step`` or ``command``, the
            others are names of the user's. Empty: in Python.
        row_lengths: From samples to the lengths of their inputs without
            padding, int64, or to None where they have no length. None: the
            inputs are not at hand.
    """

    key_column: str = ""
    terms: Mapping[str, str] = field(default_factory=dict)
    row_lengths: Callable[[NDArray[np.int64]], NDArray[np.int64] | None] | None = None
