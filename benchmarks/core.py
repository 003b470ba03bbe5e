"""Time and memory of judging itself: manifests, big traces, the import."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks import keyed
from benchmarks.pairs import compare
from evalguard.capture.contract import BatchTag
from evalguard.capture.recording.tag_log import TagColumn
from evalguard.core.columns.run_length import RunLengthColumn
from evalguard.core.findings import Finding, Reason
from evalguard.core.judge import judge
from evalguard.core.label_table import LabelTable
from evalguard.core.order_metrics import order_metrics
from evalguard.core.plot_data import alignment_runs
from evalguard.core.policy import Policy, Proof, Verdict
from evalguard.core.report import Report
from evalguard.core.report_counts import COUNT_NAMES
from evalguard.core.trace import UNKNOWN, Trace
from evalguard.data.fingerprint import row_fingerprints
from evalguard.labels.labels import Labels
from evalguard.reporting.html import to_html

Measurement = tuple[str, float, str, float, bool]


def measurements() -> Iterator[Measurement]:
    """Name, value, unit, budget, and whether the budget is a lower bound."""
    yield from few_measurements(repeat=3)
    for exponent, most_s in ((8, 0.5), (9, 10.0)):
        seconds, megabytes = judge_aligned(10**exponent)
        yield (f"judging an aligned trace of 10^{exponent} rows", seconds, "s", most_s, False)
        yield (f"memory that judging 10^{exponent} aligned rows takes", megabytes, "MB", 200.0, False)
    seconds, megabytes = alone("judge_many", 10**8)
    yield ("judging a random permutation of 10^8 rows", seconds, "s", 60.0, False)
    yield ("memory of the process that does so, with its data", megabytes, "MB", 3000.0, False)
    seconds, megabytes = alone("judge_shuffled_content", 10**7)
    yield ("judging 10^7 rows in random order by their content", seconds, "s", 30.0, False)
    yield ("memory of the process that does this, with its data", megabytes, "MB", 2000.0, False)
    for work, what in (("judge_mapped", "labels with their targets"), ("judge_mapped_content", "fingerprints")):
        seconds, megabytes = alone(work, 10**8, "allocated")
        yield (f"judging 10^8 rows in order, mapped {what}", seconds, "s", 60.0, False)
        yield (f"memory that judging 10^8 mapped {what} takes", megabytes, "MB", 300.0, False)
    for work, what, most_s in (
        ("confirm_in_order", "that are in order", 5.0),
        ("confirm_put_back", "that were put back", 12.0),
        ("confirm_permuted", "that were not put back", 12.0),
    ):
        seconds, megabytes = alone(work, 10**7, "beyond")
        yield (f"confirming 10^7 rows of 10 floats {what}", seconds, "s", most_s, False)
        yield (f"memory that confirming rows {what} takes", megabytes, "MB", 1000.0, False)
    seconds, megabytes = keyed.beyond(5 * 10**6)
    yield ("keyed predict of 5*10^6 rows, repaired, two metrics: beyond 1.3 x bare", seconds, "s", 3.0, False)
    yield ("memory that it takes more than bare", megabytes, "MB", 400.0, False)
    yield ("how 10^7 rows of 10 columns number the classes", alone("class_numbers_of", 10**7)[0], "s", 1.0, False)
    yield ("2,000 calls of scope='parts' over scope='session'", parts_over_session(2000), "x", 1.1, False)
    for what, seconds, kilobytes in pages(10**8):
        yield (f"page of 10^8 rows, {what}", seconds, "s", 2.0, False)
        yield (f"its size, {what}", kilobytes, "kB", 1000.0, False)


def few_measurements(repeat: int) -> Iterator[Measurement]:
    """The measurements of up to 10^7 rows: some seconds."""
    yield ("manifest of 50,000 images 32x32x3 float32", manifest_rate(), "GB/s", 1.0, True)
    yield ("judging a random permutation of 10^7 rows", judge_permutation(10**7, repeat), "s", 5.0, False)
    yield ("import evalguard", import_time(5 * repeat), "s", 0.15, False)


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
    """Seconds and megabytes to judge rows in order, recorded in batches of 32 and of a million."""
    labels = Labels(values=np.broadcast_to(np.int8(0), rows), name="benchmark")
    assert labels.digest  # computed once, when labels are read
    log = TagColumn()
    for pull in range(100_000):
        log.add(BatchTag(0, first_row=pull * 32), 32)
    for start in range(log.n_rows, rows, 1_000_000):
        log.add(BatchTag(0, first_row=start), min(1_000_000, rows - start))
    column = log.tags()
    assert isinstance(column, RunLengthColumn)
    trace = Trace(rows, column, column, index_source="position", batch_sizes=log.sizes)

    def work() -> None:
        assert judge(trace, labels, Policy()).report.verdict == "PASS"

    tracemalloc.start()
    work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return median_seconds(work, 3), peak / 1e6


def judge_permutation(rows: int, repeat: int) -> float:
    """Seconds to judge rows in random order."""
    return median_seconds(_judging(rows), repeat)


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
    unknown = RunLengthColumn(step=0)
    unknown.extend_run(UNKNOWN, rows)
    trace = Trace(rows, unknown, index=order)
    return lambda: judge(trace, labels, Policy())


def judge_shuffled_content(rows: int) -> float:
    """Seconds to judge rows in random order that are known by their fingerprints alone."""
    rng = np.random.default_rng(0)
    known = rng.integers(0, 2**64, rows, dtype=np.uint64)
    labels = Labels(values=np.zeros(rows, np.int8), fingerprints=known, name="benchmark")
    assert labels.digest
    unknown = RunLengthColumn(step=0)
    unknown.extend_run(UNKNOWN, rows)
    trace = Trace(rows, unknown, fingerprints=known[rng.permutation(rows)])
    start = time.perf_counter()
    assert judge(trace, labels, Policy()).report.counts["foreign"] == 0
    return time.perf_counter() - start


def judge_mapped(rows: int) -> float:
    """Seconds to open a manifest and to judge rows by their index against its labels, with targets."""
    return _judge_mapped(rows, content=False)


def judge_mapped_content(rows: int) -> float:
    """Seconds to open a manifest and to judge rows by their fingerprints, and how many samples are equal."""
    return _judge_mapped(rows, content=True)


def _judge_mapped(rows: int, *, content: bool) -> float:
    with tempfile.TemporaryDirectory() as folder:
        values, manifest = Path(folder, "values.npy"), Path(folder, "labels.arrow")
        column = np.lib.format.open_memmap(values, "w+", np.uint64 if content else np.int64, (rows,))
        for start in range(0, rows, 1 << 20):
            numbers = np.arange(start, min(start + (1 << 20), rows), dtype=np.uint64)
            column[start : start + len(numbers)] = (
                numbers * np.uint64(0x9E3779B97F4A7C15) if content else numbers % 1000
            )
        (Labels(fingerprints=column) if content else Labels(values=column)).save(manifest)
        own = np.load(values, mmap_mode="r")
        unknown = RunLengthColumn(step=0)
        unknown.extend_run(UNKNOWN, rows)
        if content:
            trace = Trace(rows, unknown, fingerprints=own)
        else:
            trace = Trace(rows, unknown, RunLengthColumn.of(range(rows)), targets=own)
        tracemalloc.start()
        start_s = time.perf_counter()
        assert judge(trace, Labels.load(manifest), Policy()).report.verdict == "PASS"
        return time.perf_counter() - start_s


def alone(work: str, rows: int, memory: str = "peak") -> tuple[float, float]:
    """Seconds of a function of this module in a separate process, and the megabytes that another function reports."""
    code = f"from benchmarks.core import {work}, {memory}; print({work}({rows}), {memory}())"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    seconds, megabytes = map(float, done.stdout.split())
    return seconds, megabytes


def allocated() -> float:
    """Megabytes that Python and Arrow have allocated at most; what is mapped, the system drops at need."""
    return float(tracemalloc.get_traced_memory()[1] + pa.default_memory_pool().max_memory()) / 1e6


def peak() -> float:
    """Megabytes that this process has had in memory at most: Linux tells."""
    # Not `ru_maxrss`: a child begins with that of its parent.
    return _in_memory("VmHWM")


def _in_memory(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(name))


def confirm_in_order(rows: int) -> float:
    """Seconds of ``g.confirm`` after a guarded ``predict`` of as many rows of 10 floats."""
    return _confirm(rows, shuffled=False, put_back=False)


def confirm_put_back(rows: int) -> float:
    """The same where the rows were predicted in random order, and put back."""
    return _confirm(rows, shuffled=True, put_back=True)


def confirm_permuted(rows: int) -> float:
    """The same where they were not put back: a FAIL."""
    return _confirm(rows, shuffled=True, put_back=False)


def _confirm(rows: int, *, shuffled: bool, put_back: bool) -> float:
    import keras

    import evalguard

    rng = np.random.default_rng(0)
    x, y_true = rng.random((rows, 10), dtype=np.float32), np.arange(rows)
    order = rng.permutation(rows) if shuffled else y_true
    inputs = keras.Input((10,))
    model = keras.Model(inputs, keras.layers.Identity()(inputs))
    with evalguard.guard(labels=y_true, reference=x, on_failure="record", on_unproven="record", mlflow=False) as g:
        y_pred = model.predict(x[order] if shuffled else x, batch_size=1 << 16, verbose=0)
    if put_back:
        y_pred = y_pred[np.argsort(order)]
    # What was at most in memory is that of confirm alone: Linux counts from here on.
    Path("/proc/self/clear_refs").write_text("5")
    _before[:] = [_in_memory("VmRSS")]
    start = time.perf_counter()
    g.confirm(y_pred, y_true)
    seconds = time.perf_counter() - start
    assert g.report.verdict is (Verdict.FAIL if shuffled and not put_back else Verdict.PASS)
    return seconds


def class_numbers_of(rows: int) -> float:
    """Seconds to find that the classes of 10 columns are numbered otherwise."""
    from evalguard.guards.class_numbers import class_numbers
    from evalguard.guards.predicted_classes import hazards_of

    rng = np.random.default_rng(0)
    numbers = rng.integers(0, 10, rows)
    scores = rng.random((rows, 10), dtype=np.float32)
    scores[np.arange(rows), (numbers + 1) % 10] += 1
    labels = Labels(values=numbers, name="benchmark")
    # Once in a process, and only where something is found: SciPy is imported.
    few = LabelTable(values=numbers[:1000])
    assert hazards_of(class_numbers({}, few), scores[:1000], range(1000), few)
    start = time.perf_counter()
    assert hazards_of(class_numbers({}, labels), scores, range(rows), labels)
    return time.perf_counter() - start


_before = [0.0]


def beyond() -> float:
    """Megabytes that this process has had in memory at most, less those before what was measured."""
    return peak() - _before[0]


def parts_over_session(calls: int) -> float:
    """Seconds of calls ``model(x)`` under ``scope="parts"``, confirmed, over those under ``scope="session"``."""
    import keras

    import evalguard

    x = np.random.default_rng(0).random((calls * 4, 10), dtype=np.float32)
    y_true = np.arange(len(x))
    inputs = keras.Input((10,))
    model = keras.Model(inputs, keras.layers.Identity()(inputs))

    def run(scope: Any) -> None:
        with evalguard.guard(labels=y_true, reference=x, scope=scope, mlflow=False) as g:
            parts = [np.asarray(model(x[start : start + 4])) for start in range(0, len(x), 4)]
            if scope == "parts":
                g.confirm(np.concatenate(parts), y_true)
        assert g.report.verdict is Verdict.PASS

    return compare(partial(run, "session"), partial(run, "parts"), pairs=5, warmup=1).ratio


def pages(rows: int) -> Iterator[tuple[str, float, float]]:
    """Seconds and kilobytes of the page of a report on rows in wrong order."""
    counts = dict.fromkeys(COUNT_NAMES, 0) | {"n_labels": rows, "n_predictions": rows, "misaligned": rows}
    finding = Finding(Reason.REORDERED, rows, f"{rows} rows are out of order")
    rng = np.random.default_rng(0)
    for what, order in (
        ("a shift", lambda n: np.roll(np.arange(n), 32)),
        ("batches of 50 in random order", lambda n: np.arange(n).reshape(-1, 50)[rng.permutation(n // 50)].ravel()),
        ("all in random order", rng.permutation),
    ):
        # Order metrics of fewer rows: their histogram has as many bars.
        plot, metrics = alignment_runs(order(rows), rows), order_metrics(order(10**6), 10**6)
        report = Report(Verdict.FAIL, Proof.IDENTITY, counts, (finding,), plot=plot, order=metrics)
        yield what, median_seconds(partial(to_html, report), 3), len(to_html(report).encode()) / 1e3


def import_time(pairs: int) -> float:
    """Seconds of ``import evalguard`` in a fresh interpreter, beyond the interpreter's own start, taken in turn.

    Modules are compiled before, by the call that is not timed: an installer compiles those of a package.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

    def run(code: str) -> Callable[[], object]:
        return lambda: subprocess.run([sys.executable, "-c", code], check=True, env=environment)

    both = compare(run("pass"), run("import evalguard"), pairs=pairs, warmup=1)
    return both.second - both.first
