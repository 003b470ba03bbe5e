"""Two ways of doing one thing, timed in turn, so that a drifting machine drifts for both."""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

MOST_TIMES = 4


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

    def tells(self, budget: float) -> bool:
        """Whether the budget is outside twice the figure's standard error, as the quartiles tell it."""
        # Of a normal distribution the quartiles are 1.35 deviations apart; a median errs 1.25 times as much as a mean.
        error = (self.high - self.low) / 1.35 * 1.25 / math.sqrt(self.pairs)
        return abs(self.ratio - budget) > 2 * error


def compare(
    first: Callable[[], object],
    second: Callable[[], object],
    *,
    pairs: int,
    warmup: int = 2,
    since: Callable[[float], float] | None = None,
    budget: float | None = None,
) -> Ratio:
    """Time both in alternating order; each pair in the other order than the one before.

    Where a budget is too near for the figure to tell on which side it is, more
    pairs are timed, up to ``MOST_TIMES`` as many.

    Args:
        first: One way.
        second: The other.
        pairs: How many are timed.
        warmup: Calls of each that are not.
        since: Seconds that a call has taken which began then (``time.perf_counter``); by default all until now.
        budget: Highest ratio allowed, or None.
    """
    for _ in range(warmup):
        first()
        second()
    times: tuple[list[float], list[float]] = ([], [])
    ways = (first, second)
    number = 0
    while number < pairs or (budget is not None and number < MOST_TIMES * pairs and not ratio_of(*times).tells(budget)):
        for which in (0, 1) if number % 2 == 0 else (1, 0):
            gc.collect()
            start = time.perf_counter()
            ways[which]()
            times[which].append(time.perf_counter() - start if since is None else since(start))
        number += 1
    return ratio_of(*times)


def ratio_of(first: list[float], second: list[float]) -> Ratio:
    """The ratio of two ways, timed in pairs."""
    by_pair = [b / a for a, b in zip(first, second, strict=True)]
    quartiles = statistics.quantiles(by_pair, n=4) if len(by_pair) > 1 else by_pair * 3
    medians = [statistics.median(values) for values in (first, second)]
    return Ratio(medians[0], medians[1], medians[1] / medians[0], quartiles[0], quartiles[2], len(by_pair))
