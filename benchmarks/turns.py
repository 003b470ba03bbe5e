"""Two ways of doing the steps of a call, which take turns within that call, stretch by stretch.

This resolves a few microseconds in a thousand: two equal calls of a second differ by
more than that on a shared machine.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import replace

from benchmarks.pairs import Ratio, ratio_of


class Turns:
    """Times the steps of two ways.

    Args:
        stretch: Steps of one way before it is the other's turn.

    Attributes:
        calls: How many have begun.
    """

    def __init__(self, stretch: int) -> None:
        self.stretch = stretch
        self.calls = 0
        self._number, self._started = 0, 0.0
        self._first = 0
        # Of both ways: the seconds of each step, by its position in the stretch.
        self._steps: tuple[list[list[float]], ...] = tuple([[] for _ in range(stretch)] for _ in range(2))

    def begin(self) -> None:
        """Another call begins, with the way that the call before did not begin with."""
        self._first, self._number = self.calls % 2, 0
        self.calls += 1

    def forget(self) -> None:
        """What was timed so far was a warm-up."""
        for place in (*self._steps[0], *self._steps[1]):
            place.clear()

    def second(self, number: int) -> bool:
        """Whether a step of this call, or the batch for it, is the second way's."""
        return (number // self.stretch + self._first) % 2 == 1

    def step(self) -> tuple[bool, bool]:
        """A step begins, and the one before has ended.

        Returns:
            Whether it is the second way's, and whether it is the last of a stretch.
        """
        number, self._number = self._number, self._number + 1
        if number:
            before = number - 1
            took = time.perf_counter() - self._started
            self._steps[self.second(before)][before % self.stretch].append(took)
        second, last = self.second(number), number % self.stretch == self.stretch - 1
        self._started = time.perf_counter()
        return second, last

    def ratio(self) -> Ratio:
        """Second over first of one stretch: the sum of the median of each step; quartiles are of whole stretches."""
        whole = [[sum(times) for times in zip(*way, strict=False)] for way in self._steps]
        count = min(map(len, whole))
        ratio = ratio_of(whole[0][:count], whole[1][:count])
        first, second = (sum(statistics.median(place) for place in way) for way in self._steps)
        return replace(ratio, first=first, second=second, ratio=second / first)
