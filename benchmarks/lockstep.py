"""Two calls of ``predict`` that take turns, step by step, each in a separate thread and with its own model.

For a few microseconds in a thousand: two equal calls, one after the other,
differ by more than that on a machine that is not one's own, and what slows it
down for a tenth of a second slows a step of both here.
"""

from __future__ import annotations

import gc
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from benchmarks.pairs import MOST_TIMES, Ratio

Call = Callable[[keras.callbacks.Callback], object]
# More than any call has steps: who is alone waits for nobody.
ALONE = 1 << 20


class Steps(keras.callbacks.Callback):
    """Begins a step when it is its turn, and times it: pulling the batch, computing on it, and what is around.

    Args:
        mine: Released when it is this call's turn.
        other: The other call's.
        both: Where both wait until all iterators are made, and until all steps are over.

    Attributes:
        seconds: Time of each step.
    """

    def __init__(self, mine: threading.Semaphore, other: threading.Semaphore, both: threading.Barrier) -> None:
        super().__init__()
        self.seconds: list[float] = []
        self._mine, self._other, self._both = mine, other, both
        self._began = 0.0

    def on_predict_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Wait for the turn."""
        del logs
        if batch == 0:
            self._both.wait()
        self._mine.acquire()
        self._began = time.perf_counter()

    def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
        """Give the turn away."""
        del batch, logs
        self.seconds.append(time.perf_counter() - self._began)
        self._other.release()

    def on_predict_end(self, logs: Any = None) -> None:
        """What a call does at its end shall not disturb the other's steps."""
        del logs
        self._both.wait()


def together(calls: Sequence[Call], first: int) -> list[list[float]]:
    """Run two calls side by side; the seconds of each one's steps.

    Args:
        calls: Both, with as many steps each.
        first: Which of them begins.
    """
    turns, both = [threading.Semaphore(int(number == first)) for number in (0, 1)], threading.Barrier(2)
    steps = [Steps(turns[number], turns[1 - number], both) for number in (0, 1)]
    errors: list[BaseException] = []

    def run(number: int) -> None:
        try:
            calls[number](steps[number])
        except BaseException as error:  # noqa: BLE001 - raised again below
            errors.append(error)
            both.abort()
            turns[1 - number].release(ALONE)

    threads = [threading.Thread(target=run, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return [each.seconds for each in steps]


def compare(ways: Sequence[Sequence[Call]], *, calls: int, warmup: int = 2, budget: float | None = None) -> Ratio:
    """Time the steps of two ways of doing a call.

    Args:
        ways: Pairs of a first and a second way that take turns; several, that both use each model equally often.
        calls: How many pairs of calls are timed; up to ``pairs.MOST_TIMES`` as many where a budget is too near.
        warmup: Pairs of calls that are not timed.
        budget: Highest ratio allowed, or None.
    """
    seconds: list[list[list[float]]] = []
    number = -warmup
    while number < calls or (
        budget is not None and number < MOST_TIMES * calls and not ratio_of(seconds).tells(budget)
    ):
        gc.collect()
        both = together(ways[number // 2 % len(ways)], number % 2)
        if number >= 0:
            seconds.append(both)
        number += 1
    return ratio_of(seconds)


def ratio_of(seconds: Any) -> Ratio:
    """Second over first of a whole call: each step is compared with the step of the same number, run side by side.

    Some steps do what others leave to them, and do so at the same place of
    each call. So for each place the middle half of what was timed is averaged;
    quartiles are those of whole calls.

    Args:
        seconds: Shape ``(calls, 2, steps)``.
    """
    first, second = np.swapaxes(np.asarray(seconds, dtype=np.float64), 0, 1)
    of_first = float(middle(first).sum())
    of_second = of_first + float(middle(second - first).sum())
    by_call = second.sum(axis=1) / first.sum(axis=1)
    low, _, high = statistics.quantiles(by_call, n=4) if len(by_call) > 1 else [float(by_call[0])] * 3
    return Ratio(of_first, of_second, of_second / of_first, low, high, len(by_call))


def middle(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of the middle half along the first axis."""
    cut = len(values) // 4
    mean: NDArray[np.float64] = np.sort(values, axis=0)[cut : len(values) - cut].mean(axis=0)
    return mean
