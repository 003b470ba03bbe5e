"""``TERMS.md`` read word by word, in plain Python loops: the oracle of the core's tests.

Slow on purpose, and sharing no line with the code under test.
"""

from collections.abc import Sequence

UNKNOWN = -1


def is_known(sample: int, n_labels: int) -> bool:
    return 0 <= sample < n_labels


def foreign(samples: Sequence[int], n_labels: int) -> list[int]:
    """Rows whose sample is not among the labels."""
    return [i for i, s in enumerate(samples) if s != UNKNOWN and not is_known(s, n_labels)]


def missing(samples: Sequence[int], n_labels: int) -> list[int]:
    """Samples with an arrival count of 0."""
    return [s for s in range(n_labels) if s not in set(samples)]


def duplicate(samples: Sequence[int], n_labels: int) -> list[int]:
    """Rows after the first with the same sample."""
    return [i for i, s in enumerate(samples) if is_known(s, n_labels) and s in list(samples[:i])]


def arrival_rows(samples: Sequence[int], n_labels: int) -> list[int]:
    """Rows of first arrivals of known samples."""
    return [i for i, s in enumerate(samples) if is_known(s, n_labels) and s not in list(samples[:i])]


def first_arrivals(samples: Sequence[int], n_labels: int) -> list[int]:
    """The sequence w."""
    return [samples[i] for i in arrival_rows(samples, n_labels)]


def reordered(samples: Sequence[int], n_labels: int) -> list[int]:
    """Rows of first arrivals that come after one of a later sample."""
    rows = arrival_rows(samples, n_labels)
    return [row for k, row in enumerate(rows) if any(samples[row] < samples[before] for before in rows[:k])]


def misaligned(samples: Sequence[int]) -> list[int]:
    """Rows scored against another sample's label."""
    return [i for i, s in enumerate(samples) if s not in (i, UNKNOWN)]
