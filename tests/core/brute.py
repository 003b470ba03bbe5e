"""``TERMS.md`` read word by word, in plain Python loops: the oracle of the core's tests.

Slow on purpose, and sharing no line with the code under test.
"""

import itertools
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


# -- Order metrics, of the sequence w of first arrivals ---------------------------------------------------------------


def extent(w: Sequence[int], i: int) -> int:
    """``i - min{j < i : w[j] > w[i]}``, 0 where there is no such j."""
    return i - min([j for j in range(i) if w[j] > w[i]], default=i)


def n_reordering(w: Sequence[int], i: int) -> int:
    """The largest n with ``w[j] > w[i]`` for all ``i - n <= j < i``."""
    n = 0
    while n < i and all(w[j] > w[i] for j in range(i - n - 1, i)):
        n += 1
    return n


def runs(w: Sequence[int]) -> list[int]:
    """Lengths of stretches of arrivals of which none is reordered."""
    found: list[int] = []
    length = 0
    for i in range(len(w)):
        if any(w[j] > w[i] for j in range(i)):
            found, length = found + [length] * (length > 0), 0
        else:
            length += 1
    return found + [length] * (length > 0)


def gaps(w: Sequence[int]) -> list[int]:
    """Distances between arrivals that lie below the one before them."""
    back = [i for i in range(1, len(w)) if w[i] < w[i - 1]]
    return [later - earlier for earlier, later in itertools.pairwise(back)]


def displacements(w: Sequence[int]) -> list[int]:
    """R(i) - w[i], where R counts through the samples that arrive."""
    return [expected - got for expected, got in zip(sorted(w), w, strict=True)]


def buffer_occupancy(w: Sequence[int]) -> list[int]:
    """Rows in a buffer that lets each sample out once all before it are out."""
    to_come, buffer, sizes = sorted(w), set(), []
    for sample in w:
        buffer.add(sample)
        while to_come and to_come[0] in buffer:
            buffer.remove(to_come.pop(0))
        sizes.append(len(buffer))
    return sizes


def arrival_counts(samples: Sequence[int], n_labels: int) -> list[list[int]]:
    """Pairs of an arrival count and how many samples have it."""
    counts = [list(samples).count(sample) for sample in range(n_labels)]
    return [[count, counts.count(count)] for count in sorted(set(counts))]


def segments(samples: Sequence[int], n_labels: int) -> list[list[int]]:
    """Rows that go up by one sample each, and rows without a sample, as ``[row, sample, length]``."""
    found: list[list[int]] = []
    for row, sample in enumerate(samples):
        mark = sample if is_known(sample, n_labels) or sample == UNKNOWN else -2
        if found:
            _, first, length = found[-1]
            if mark == (first + length if first >= 0 else first):
                found[-1][2] += 1
                continue
        found.append([row, mark, 1])
    return found
