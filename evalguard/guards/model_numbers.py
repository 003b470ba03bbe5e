"""A number for each model; ``id`` is no such number, as a new model may get that of one that was freed."""

from __future__ import annotations

import itertools
import weakref
from typing import Any

_models: dict[int, tuple[Any, int]] = {}
_numbers = itertools.count()


def number_of(model: Any) -> int:
    """The number of a model, the same at each call."""
    known = _models.get(id(model))
    if known is None or known[0]() is not model:
        known = _models[id(model)] = weakref.ref(model), next(_numbers)
    return known[1]
