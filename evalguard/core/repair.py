"""What can be put right without guessing: which rows to hand back, in which order.

A pure permutation is reordered, repetitions keep the first row, padding is cut.
Foreign rows, repetitions with other predictions, and unknown rows are refused.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evalguard.core import arrivals
from evalguard.core.trace import UNKNOWN, Int64


@dataclass(frozen=True, slots=True, eq=False)
class RepairPlan:
    """How to put the rows of one call right.

    Attributes:
        take: Delivered row of each sample, int64, shape ``(n_labels,)``;
            ``-1`` for a sample that was never delivered.
        duplicates: Rows that repeat a sample; their predictions must equal
            those of the first.
        firsts: The first row of the same sample, for each of ``duplicates``.
        refused: Why it cannot be put right; empty if it can.
    """

    take: Int64
    duplicates: Int64
    firsts: Int64
    refused: str = ""

    @property
    def missing(self) -> Int64:
        """Samples that would have to be predicted again."""
        return np.flatnonzero(self.take < 0)

    @property
    def moved(self) -> int:
        """Rows that do not stand where they were delivered."""
        known = self.take >= 0
        return int(np.count_nonzero(self.take[known] != np.flatnonzero(known)))


def plan(samples: Int64 | None, n_labels: int) -> RepairPlan:
    """The rows to hand back, or the reason why that would be a guess."""
    nothing = np.zeros(0, dtype=np.int64)
    if samples is None:
        return RepairPlan(nothing, nothing, nothing, "which sample each row is, is not known")
    unknown = int((samples == UNKNOWN).sum())
    if unknown:
        return RepairPlan(nothing, nothing, nothing, f"{unknown} rows are not known")
    foreign = int(np.count_nonzero(~arrivals.known(samples, n_labels)))
    if foreign:
        return RepairPlan(nothing, nothing, nothing, f"{foreign} rows are none of the labelled samples")
    take = np.full(n_labels, -1, dtype=np.int64)
    # Written backwards, so that the first row of a sample is the one that stays.
    take[samples[::-1]] = np.arange(len(samples))[::-1]
    duplicates = arrivals.duplicate_rows(samples, n_labels)
    return RepairPlan(take, duplicates, take[samples[duplicates]])


def summary(steps: dict[str, int]) -> str:
    """The steps in words: ``12 rows put back in order, 4 repetitions dropped``."""
    words = {
        "moved": "rows put back in order",
        "duplicates": "repetitions dropped",
        "padding": "rows of padding cut",
        "predicted_again": "missing samples predicted again",
    }
    return ", ".join(f"{count:,} {words[name]}" for name, count in steps.items() if count)
