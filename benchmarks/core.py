"""Figures of the judgement itself: manifests, big traces, the import."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from evalguard.core.judge import judge
from evalguard.core.labels import Labels
from evalguard.core.ordering import order_metrics
from evalguard.core.picture import alignment_runs
from evalguard.core.policy import Policy, Verdict
from evalguard.core.report import COUNT_NAMES, Report
from evalguard.core.runs import Runs
from evalguard.core.trace import UNKNOWN, Trace
from evalguard.engines.taglog import TagLog
from evalguard.fingerprint import row_fingerprints
from evalguard.render.html import to_html

Figure = tuple[str, float, str, float, bool]


def figures() -> Iterator[Figure]:
    """Name, value, unit, budget, and whether the budget is a lower bound."""
    yield ("manifest of 50,000 images 32x32x3 float32", manifest_rate(), "GB/s", 1.0, True)
    for exponent, most_s in ((8, 0.5), (9, 10.0)):
        seconds, megabytes = judge_aligned(10**exponent)
        yield (f"judging an aligned trace of 10^{exponent} rows", seconds, "s", most_s, False)
        yield (f"memory that judging 10^{exponent} aligned rows takes", megabytes, "MB", 200.0, False)
    yield ("judging a random permutation of 10^7 rows", judge_permutation(10**7), "s", 5.0, False)
    seconds, megabytes = alone("judge_many", 10**8)
    yield ("judging a random permutation of 10^8 rows", seconds, "s", 60.0, False)
    yield ("memory of the process that does so, with its data", megabytes, "MB", 3000.0, False)
    for what, seconds, kilobytes in pages(10**8):
        yield (f"page of 10^8 rows, {what}", seconds, "s", 2.0, False)
        yield (f"its size, {what}", kilobytes, "kB", 1000.0, False)
    yield ("import evalguard", import_time(), "s", 0.15, False)


def median_seconds(work: Callable[[], object], repeat: int = 5) -> float:
    """Median of a few runs, the first not counted."""
    work()
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def manifest_rate() -> float:
    """Gigabytes of images fingerprinted in a second."""
    images = np.random.default_rng(0).random(size=(50_000, 32, 32, 3), dtype="float32")
    return images.nbytes / median_seconds(lambda: row_fingerprints(images), 3) / 1e9


def judge_aligned(rows: int) -> tuple[float, float]:
    """Seconds and megabytes to judge rows in order, noted in batches of 32 and of a million."""
    labels = Labels(values=np.broadcast_to(np.int8(0), rows), name="benchmark")
    assert labels.digest  # computed once, when labels are read
    log = TagLog()
    for pull in range(100_000):
        log.add(np.arange(pull * 32, pull * 32 + 32), 32)
    for start in range(log.n_rows, rows, 1_000_000):
        log.add(np.arange(start, min(start + 1_000_000, rows)), min(1_000_000, rows - start))
    column = log.tags()
    assert isinstance(column, Runs)
    trace = Trace(rows, column, column, index_source="position", batch_sizes=log.sizes)

    def work() -> None:
        assert judge(trace, labels, Policy()).report.verdict == "PASS"

    tracemalloc.start()
    work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return median_seconds(work, 3), peak / 1e6


def judge_permutation(rows: int) -> float:
    """Seconds to judge rows in random order."""
    return median_seconds(_judging(rows), 3)


def judge_many(rows: int) -> float:
    """Seconds of one such judgement, the first."""
    work = _judging(rows)
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _judging(rows: int) -> Callable[[], object]:
    order = np.random.default_rng(0).permutation(np.arange(rows, dtype=np.int32)).astype(np.int64)
    labels = Labels(values=np.zeros(rows, np.int8), name="benchmark")
    assert labels.digest
    unknown = Runs(step=0)
    unknown.extend_run(UNKNOWN, rows)
    trace = Trace(rows, unknown, index=order)
    return lambda: judge(trace, labels, Policy())


def alone(work: str, rows: int) -> tuple[float, float]:
    """Seconds of a function of this module, and megabytes of the process of its own in which it ran: Linux tells."""
    code = f"from benchmarks.core import {work}, peak; print({work}({rows}), peak())"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    seconds, megabytes = map(float, done.stdout.split())
    return seconds, megabytes


def peak() -> float:
    """Megabytes that this process has had in memory at most."""
    # Not `ru_maxrss`: a child begins with that of its parent.
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM"))


def pages(rows: int) -> Iterator[tuple[str, float, float]]:
    """Seconds and kilobytes of the page of a report on rows in wrong order."""
    counts = dict.fromkeys(COUNT_NAMES, 0) | {"n_labels": rows, "n_predictions": rows, "misaligned": rows}
    finding = {"reason": "reordered", "count": rows, "message": f"{rows} rows came out of order"}
    rng = np.random.default_rng(0)
    for what, order in (
        ("a shift", lambda n: np.roll(np.arange(n), 32)),
        ("batches of 50 in random order", lambda n: np.arange(n).reshape(-1, 50)[rng.permutation(n // 50)].ravel()),
        ("all in random order", rng.permutation),
    ):
        # Order metrics of fewer rows: their histogram has as many bars.
        plot, metrics = alignment_runs(order(rows), rows), order_metrics(order(10**6), 10**6)
        report = Report(Verdict.FAIL, "identity", counts, (finding,), plot=plot, order=metrics)
        yield what, median_seconds(partial(to_html, report), 3), len(to_html(report).encode()) / 1e3


def import_time() -> float:
    """Seconds of ``import evalguard`` in a fresh interpreter, beyond the interpreter's own start."""

    def run(code: str) -> Callable[[], object]:
        return lambda: subprocess.run([sys.executable, "-c", code], check=True)

    return median_seconds(run("import evalguard")) - median_seconds(run("pass"))
