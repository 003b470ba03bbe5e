"""What can be repaired without guessing: which rows to return, in which order.

A permutation is reordered, of repeated rows the first one stays, padding is removed.
Foreign rows, repeated rows with other predictions, and unknown rows are refused.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evalguard.core import arrivals
from evalguard.core.plural import plural
from evalguard.core.trace import UNKNOWN, Int64


@dataclass(frozen=True, slots=True, eq=False)
class RepairPlan:
    """How to repair the rows of one call.

    Attributes:
        take: Delivered row of each sample, int64, shape ``(n_labels,)``;
            ``-1`` for a sample that was never delivered.
        duplicates: Rows that repeat a sample; their predictions must equal
            those of the first.
        firsts: The first row of the same sample, for each of ``duplicates``.
        refused: Why the rows cannot be repaired; empty if they can.
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
        """Number of rows that change their position."""
        return int(np.count_nonzero(arrivals.misaligned(self.take)))


def plan(samples: Int64 | None, n_labels: int) -> RepairPlan:
    """The rows to return, or the reason why that would be a guess."""
    nothing = np.zeros(0, dtype=np.int64)
    if samples is None:
        return RepairPlan(nothing, nothing, nothing, "nothing shows which sample each row is")
    unknown = int((samples == UNKNOWN).sum())
    if unknown:
        return RepairPlan(nothing, nothing, nothing, f"not identified: {plural(unknown, 'row')}")
    foreign = int(np.count_nonzero(~arrivals.known(samples, n_labels)))
    if foreign:
        return RepairPlan(nothing, nothing, nothing, f"not among the labelled samples: {plural(foreign, 'row')}")
    take = np.full(n_labels, -1, dtype=np.int64)
    # Written backwards, so that the first row of a sample is the one that stays.
    take[samples[::-1]] = np.arange(len(samples))[::-1]
    duplicates = arrivals.duplicate_rows(samples, n_labels)
    return RepairPlan(take, duplicates, take[samples[duplicates]])


def summary(steps: dict[str, int]) -> str:
    """The steps in words: ``12 rows reordered, 4 repeated rows dropped``."""
    words = {
        "moved": ("row", "reordered"),
        "duplicates": ("repeated row", "dropped"),
        "padding": ("padding row", "removed"),
        "predicted_again": ("missing sample", "predicted again"),
    }
    done = ((count, *words[name]) for name, count in steps.items() if count)
    return ", ".join(f"{plural(count, noun)} {verb}" for count, noun, verb in done)
