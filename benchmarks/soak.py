"""``python -m benchmarks.soak``: one guarded ``predict`` of 10^6 small batches beside a bare one, at ten points.

Batches of 1 to 4 rows from a generator, each row compared with a reference. Keras
keeps all predictions until the call ends, so memory grows in both processes:
what is asked is whether it grows more in the guarded one than the trace takes,
which the report says (``cost``), and whether the guard's time for a batch grows.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

POINTS = 10
# Before this point buffers grow and functions are compiled.
WARM = 2
TOGETHER = 20
MOST_SLOWER, MOST_MB = 1.10, 8.0


@dataclass(frozen=True, slots=True)
class Point:
    """State of a process within its call.

    Attributes:
        batches: Batches that the model has computed on.
        seconds: Time that took.
        guard_s: The guard's share of that time; 0 in a bare call.
        megabytes: Memory of the process that is in no file.
    """

    batches: int
    seconds: float
    guard_s: float
    megabytes: float


@dataclass(frozen=True, slots=True)
class Soak:
    """One call.

    Attributes:
        points: As it went on; the first is where measuring began.
        trace_mb: Megabytes that the guard's trace took in the end.
    """

    points: list[Point]
    trace_mb: float = 0.0

    @property
    def slower(self) -> float:
        """The guard's time for a batch in the last three stretches over that in the first three after the warm-up."""
        each = [
            (after.guard_s - before.guard_s) / (after.batches - before.batches)
            for before, after in zip(self.points[:-1], self.points[1:], strict=True)
        ][WARM - 1 :]
        return statistics.median(each[-3:]) / statistics.median(each[:3])

    @property
    def grown(self) -> float:
        """Megabytes from the warm-up to the last point."""
        return self.points[-1].megabytes - self.points[WARM - 1].megabytes

    @property
    def traced(self) -> float:
        """Megabytes of the trace since the warm-up: it grows with the batches."""
        return self.trace_mb * (1 - self.points[WARM - 1].batches / self.points[-1].batches)


def main(argv: list[str] | None = None) -> int:
    """Print ten points of both calls; exit 0 if the guard's part of them is flat."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--batches", type=int, default=1_000_000, help="batches of each call (default 1,000,000)")
    batches = parser.parse_args(argv).batches
    started = time.perf_counter()
    # Each in a separate process: what one leaves in memory would count for the other.
    bare, guarded = (alone(way, batches) for way in ("bare", "guarded"))
    print(f"one predict of {batches:,} batches of 1 to 4 rows, {TOGETHER} to an execution, content against a reference")
    print(f"{'batches':>11} {'bare':>16} {'guarded':>16} {'guard':>14} {'share':>6}  memory bare, guarded")
    for (was, point), (was_bare, other) in zip(stretches(guarded), stretches(bare), strict=True):
        done = point.batches - was.batches
        own = point.guard_s - was.guard_s
        print(
            f"{point.batches:11,} {(other.seconds - was_bare.seconds) / done * 1e6:7.1f}us a batch "
            f"{(point.seconds - was.seconds) / done * 1e6:7.1f}us a batch {own / done * 1e6:5.2f}us a batch "
            f"{own / (point.seconds - was.seconds):6.1%}  {other.megabytes:.1f}, {point.megabytes:.1f} MB"
        )
    print(f"({time.perf_counter() - started:.0f} s)")
    return verdict(bare, guarded)


def verdict(bare: Soak, guarded: Soak) -> int:
    """Say whether time and memory are flat; 0 if they are."""
    beyond = guarded.grown - bare.grown - guarded.traced
    steady, flat = guarded.slower <= MOST_SLOWER, beyond <= MOST_MB
    print(
        f"the guard's time for a batch, last three stretches over the first three after warm-up: {guarded.slower:.3f} "
        f"<= {MOST_SLOWER} {'holds' if steady else 'BROKEN'}"
    )
    print(
        f"memory: {guarded.grown:+.1f} MB guarded, {bare.grown:+.1f} MB bare; beyond the trace's "
        f"{guarded.traced:.1f} MB: {beyond:+.1f} MB <= {MOST_MB:.0f} {'holds' if flat else 'BROKEN'}"
    )
    return 0 if steady and flat else 1


def stretches(soak: Soak) -> Iterator[tuple[Point, Point]]:
    """Each point with the one before it."""
    return zip(soak.points[:-1], soak.points[1:], strict=True)


def alone(way: str, batches: int) -> Soak:
    """One call in a separate process."""
    code = f"from benchmarks.soak import run; run({way!r}, {batches})"
    done = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True)
    told = json.loads(done.stdout)
    return Soak([Point(**point) for point in told["points"]], told["trace_mb"])


def run(way: str, batches: int) -> None:
    """Print one call as JSON."""
    print(json.dumps(asdict(call(batches, guarded=way == "guarded"))))


def call(batches: int, *, guarded: bool) -> Soak:
    """One call of this many batches."""
    from benchmarks import quiet

    quiet.load_frameworks()
    import keras

    import evalguard
    from evalguard.capture.recording.recorder import Recorder
    from evalguard.guards import session

    sizes = np.random.default_rng(0).integers(1, 5, batches)
    stops = np.cumsum(sizes)
    x = np.random.default_rng(1).random((int(stops[-1]), 4), dtype="float32")
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    # Twenty batches to an execution: Keras' own steps take less of the time.
    model.compile(steps_per_execution=TOGETHER)
    recorders: list[Recorder] = []

    def kept(*arguments: Any, **options: Any) -> Recorder:
        recorders.append(Recorder(*arguments, **options))
        return recorders[-1]

    def source() -> Iterator[Any]:
        for stop, size in zip(stops, sizes, strict=True):
            yield (x[stop - size : stop],)

    points: list[Point] = []
    started = time.perf_counter()

    def look(done: int) -> None:
        own = recorders[-1].seconds if recorders else 0.0
        points.append(Point(done, time.perf_counter() - started, own, memory_mb()))

    labels = np.zeros(len(x), np.int8)
    guard = evalguard.guard(labels=labels, reference=x, mlflow=False, on_failure="record") if guarded else nullcontext()
    # A class there, a function here.
    patched = vars(session)["Recorder"]
    vars(session)["Recorder"] = kept
    try:
        with guard as entered:
            model.predict(source(), steps=batches, verbose=0, callbacks=[_clock(look, batches)])
    finally:
        vars(session)["Recorder"] = patched
    if entered is None:
        return Soak(points)
    assert entered.report.verdict is evalguard.Verdict.PASS, entered.report.headline
    return Soak(points, entered.report.cost["bytes"] / 1e6)


def _clock(look: Callable[[int], None], batches: int) -> Any:
    import keras

    class Clock(keras.callbacks.Callback):
        """Measures the process at the first execution and at ten points."""

        def __init__(self) -> None:
            super().__init__()
            executions = -(-batches // TOGETHER)
            self.number = 0
            self.at = {1, *(executions * point // POINTS for point in range(1, POINTS + 1))}

        def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
            """After each execution."""
            del batch, logs
            self.number += 1
            if self.number in self.at:
                look(min(self.number * TOGETHER, batches))

    return Clock()


def memory_mb() -> float:
    """Megabytes of this process that are in no file: Linux tells."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("RssAnon"))


if __name__ == "__main__":
    sys.exit(main())
