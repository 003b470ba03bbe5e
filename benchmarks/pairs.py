"""Two ways of doing one thing, timed in turn, so that a drifting machine drifts for both."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ratio:
    """Second over first.

    Attributes:
        first: Median seconds of the first way.
        second: Median seconds of the second way.
        ratio: Ratio of the medians.
        low: Lower quartile of the ratios pair by pair.
        high: Upper quartile of the ratios pair by pair.
        pairs: Number of pairs.
    """

    first: float
    second: float
    ratio: float
    low: float
    high: float
    pairs: int


# Beyond what judging takes at these sizes, and well below what tf.data's tuner lets a call wait.
LONG_S = 0.1
MOST_TRIES = 4


def compare(
    first: Callable[[], object],
    second: Callable[[], object],
    *,
    pairs: int,
    warmup: int = 2,
    ended_at: Callable[[], float] | None = None,
) -> Ratio:
    """Time both in alternating order; each pair in the other order than the one before.

    Where an iterator of ``tf.data`` is given up while its tuner sleeps (tensorflow 2.21,
    ``core/framework/model.cc``, ``OptimizeLoop``: 10 ms, then twice as long each time), the call now and then returns
    only when that sleep is over: up to as long again as it took. That falls on either way, so such a pair is timed
    again.

    Args:
        first: One way.
        second: The other.
        pairs: How many are timed.
        warmup: Calls of each that are not.
        ended_at: Tells when the last step of the last call was over (``time.perf_counter``).
    """
    for _ in range(warmup):
        first()
        second()
    times: tuple[list[float], list[float]] = ([], [])
    ways = (first, second)
    for number in range(MOST_TRIES * pairs):
        took, waited = [0.0, 0.0], False
        for which in (0, 1) if number % 2 == 0 else (1, 0):
            gc.collect()
            start = time.perf_counter()
            ways[which]()
            end = time.perf_counter()
            took[which] = end - start
            waited |= ended_at is not None and end - ended_at() > LONG_S
        if not waited or MOST_TRIES * pairs - number <= pairs - len(times[0]):
            for which in (0, 1):
                times[which].append(took[which])
        if len(times[0]) == pairs:
            break
    return ratio_of(*times)


def ratio_of(first: list[float], second: list[float]) -> Ratio:
    """The figures of two ways, timed in pairs."""
    by_pair = [b / a for a, b in zip(first, second, strict=True)]
    quartiles = statistics.quantiles(by_pair, n=4) if len(by_pair) > 1 else by_pair * 3
    medians = [statistics.median(values) for values in (first, second)]
    return Ratio(medians[0], medians[1], medians[1] / medians[0], quartiles[0], quartiles[2], len(by_pair))
