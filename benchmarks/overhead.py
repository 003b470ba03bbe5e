"""What guarding costs: guarded over bare, for each engine, model, method, kind of source and proof."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import tensorflow as tf

import evalguard
from benchmarks.memory import added_bytes
from benchmarks.pairs import Ratio, compare, ratio_of
from benchmarks.subjects import BATCH, CONV, KERAS_3, KINDS, MLP, TF_KERAS, Subject, call_of, clock_of, subject

STRETCHES = 6

# The stream of `evaluate` always carries targets, so `labels` is the least that is proven there.
PROOFS = {"predict": ("transport", "content", "sample", "labels"), "evaluate": ("labels", "content")}

# Highest ratio allowed, for the lightest proof of the method.
BUDGETS: Mapping[tuple[str, str, str], Mapping[str, float]] = {
    (KERAS_3, MLP, "predict"): {"pydataset": 1.10, "generator": 1.10, "arrays": 1.15, "tf.data": 1.15},
    (KERAS_3, CONV, "predict"): dict.fromkeys(KINDS, 1.02),
    (KERAS_3, MLP, "evaluate"): dict.fromkeys(KINDS, 1.05),
    (TF_KERAS, MLP, "predict"): dict.fromkeys(KINDS, 1.15),
}
FINGERPRINT_BUDGETS = {MLP: 1.03, CONV: 1.01}
# What the lightest proof is to come down to one day, for every kind of source; nothing fails over it.
AIMS = {MLP: 1.03, CONV: 1.005}


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured.

    Attributes:
        pairs: Alternating pairs of each model where there is a budget.
        fewer_pairs: The same where there is none.
        rows: Rows of each model where there is a budget.
        fewer_rows: The same where there is none.
        calls, call_rows: The same where stretches of one call take turns (``fingerprints_alone``).
        everything: Measure what has no budget, too, and the memory that is added.
        until_told: Time more pairs where a budget is too near to tell.
    """

    pairs: Mapping[str, int]
    fewer_pairs: Mapping[str, int]
    rows: Mapping[str, int]
    fewer_rows: Mapping[str, int]
    calls: Mapping[str, int]
    call_rows: Mapping[str, int]
    everything: bool = True
    until_told: bool = True


def full(pairs: int, *, everything: bool = True) -> Effort:
    """The figures that are published: budgets are stated for 50,000 rows.

    Less is allowed where the conv net computes, and two equal calls of it differ
    by more: many short ones tell more in the same time.
    """
    fewer = max(pairs // 3, 1)
    rows, short = {MLP: 50_000, CONV: 1_920}, {CONV: 480}
    return Effort(
        pairs={MLP: pairs, CONV: 10 * pairs},
        fewer_pairs={MLP: fewer, CONV: 10 * fewer},
        rows={**rows, **short},
        fewer_rows={MLP: 20_000, **short},
        calls={MLP: pairs, CONV: 2 * pairs},
        call_rows=rows,
        everything=everything,
    )


def quick(pairs: int) -> Effort:
    """A look at the budgets, with fewer rows; what a call costs once weighs more in these."""
    rows = {MLP: 4_800, CONV: 480}
    counts = {MLP: pairs, CONV: pairs}
    return Effort(counts, counts, rows, rows, counts, rows, everything=False, until_told=False)


@dataclass(frozen=True, slots=True)
class Cell:
    """A line of the table.

    Attributes:
        engine: ``Keras 3`` or ``tf_keras``.
        model: Its name.
        method: ``predict`` or ``evaluate``.
        kind: Kind of source.
        proof: ``transport``: tags alone; ``content``: fingerprints of every
            row against a reference; ``sample``: of one row in a hundred;
            ``labels``: the stream's targets;
            ``hash only``: fingerprints, without the rest of a guard.
        budget: Highest ratio allowed, or None.
        aim: Ratio to come down to, or None.
    """

    engine: str
    model: str
    method: str
    kind: str
    proof: str
    budget: float | None = None
    aim: float | None = None


@dataclass(frozen=True, slots=True)
class Cost:
    """What a line of the table says.

    Attributes:
        cell: What was measured.
        ratio: Guarded over bare.
        batches: Batches in what was timed.
        rows: Its rows.
        memory: Bytes that a guard and its call add to the peak; None where that was not measured.
    """

    cell: Cell
    ratio: Ratio
    batches: int
    rows: int
    memory: int | None = None

    @property
    def added(self) -> float:
        """Seconds."""
        return self.ratio.second - self.ratio.first

    @property
    def holds(self) -> bool | None:
        """Whether the budget holds, if there is one."""
        return None if self.cell.budget is None else self.ratio.ratio <= self.cell.budget


def cells(*, everything: bool = True) -> Iterator[Cell]:
    """All lines; else those with a budget, and the content of Keras 3's ``predict``."""
    for engine in (KERAS_3, TF_KERAS):
        for model in (MLP, CONV):
            for method, proofs in PROOFS.items():
                budgets = BUDGETS.get((engine, model, method), {})
                for kind in KINDS:
                    for proof in proofs:
                        # `predict` of arrays carries no targets.
                        if (method, kind, proof) == ("predict", "arrays", "labels"):
                            continue
                        # The same for both engines.
                        if engine == TF_KERAS and proof == "sample":
                            continue
                        first = proof == proofs[0]
                        budget = budgets.get(kind) if first else None
                        shown = everything or budget or (engine, method, proof) == (KERAS_3, "predict", "content")
                        if shown:
                            yield Cell(engine, model, method, kind, proof, budget, AIMS[model] if first else None)
            if engine == KERAS_3:
                yield Cell(engine, model, "predict", "tf.data", "hash only", FINGERPRINT_BUDGETS[model])


def figures(effort: Effort) -> Iterator[Cost]:
    """The table, line by line."""
    subjects: dict[tuple[str, str], Subject] = {}
    for cell in cells(everything=effort.everything):
        name = (cell.engine, cell.model)
        if name not in subjects:
            subjects = {name: subject(*name, effort.call_rows[cell.model])}
        if cell.proof == "hash only":
            yield _alone(cell, subjects[name].of_rows(effort.call_rows[cell.model]), effort.calls[cell.model])
            continue
        limited = cell.budget is None
        rows = (effort.fewer_rows if limited else effort.rows)[cell.model]
        pairs = (effort.fewer_pairs if limited else effort.pairs)[cell.model]
        budget = cell.budget if effort.until_told else None
        yield measure(cell, subjects[name].of_rows(rows), pairs, memory=effort.everything, until_told=budget)


def measure(cell: Cell, subject: Subject, pairs: int, *, memory: bool, until_told: float | None = None) -> Cost:
    """Measure one line."""
    clock = clock_of(subject)
    targets = cell.method == "evaluate" or cell.proof == "labels"
    bare = call_of(subject, cell.method, cell.kind, targets=targets, clock=clock)
    options: dict[str, Any] = {"labels": subject.y, "mlflow": False, "on_failure": "record", "on_unproven": "record"}
    if cell.proof in {"content", "sample"}:
        options["reference"] = subject.x
    if cell.proof == "sample":
        options["content"] = "sample:0.01"
    kept = evalguard.guard(**options)

    def guarded(guard: Any = kept) -> None:
        with guard:
            bare()

    ratio = compare(bare, guarded, pairs=pairs, warmup=min(pairs, 2), since=clock.since, budget=until_told)
    _check(kept.report, cell)
    # A guard of its own: what it reads and fingerprints once is memory too.
    added = added_bytes(bare, lambda: guarded(evalguard.guard(**options))) if memory else None
    return Cost(cell, ratio, subject.batches, len(subject.x), added)


def _alone(cell: Cell, subject: Subject, calls: int) -> Cost:
    stretch = subject.batches // STRETCHES
    return Cost(cell, fingerprints_alone(subject, calls), stretch, stretch * BATCH)


def _check(report: evalguard.Report, cell: Cell) -> None:
    """What was timed is what the line says."""
    assert report.verdict is not evalguard.Verdict.FAIL, report.headline
    # Rows of an array are known by their position.
    proof = {"content": "identity"}.get(cell.proof, cell.proof)
    assert report.proof in {proof, "identity"}, f"{cell}: {report.headline}"


def fingerprints_alone(subject: Subject, pairs: int) -> Ratio:
    """The compiled function on ready batches, with and without the fingerprints of what it is fed.

    A few microseconds in a thousand: calls of seconds differ by more than that,
    so stretches of one call take turns, sixth by sixth, in ``2 * pairs`` calls,
    and each step is held against the step of the same place in the other
    stretches: the median of each place, and the sum of these. Quartiles are
    those of whole stretches.
    """
    from evalguard.engines.batches import take
    from evalguard.engines.recorder import Recorder, Wanted
    from evalguard.probes.tf_data import TfDataProbe

    dataset = tf.data.Dataset.from_tensor_slices(subject.x).batch(BATCH)
    model = subject.model
    stretch = len(subject.x) // BATCH // STRETCHES
    # Without and with: seconds of each step, by its place in the stretch.
    steps: tuple[list[list[float]], ...] = tuple([[] for _ in range(stretch)] for _ in range(2))

    def call(first: int) -> None:
        function, number, hashed, started = model.predict_function, 0, False, 0.0
        recorder = Recorder(Wanted("always"), TfDataProbe(dataset, {}))

        def tap(data: list[Any]) -> Any:
            nonlocal number, hashed, started
            part, place = divmod(number, stretch)
            if number:
                steps[hashed][place - 1].append(time.perf_counter() - started)
            if place == 0:
                hashed = (part + first) % 2 == 1
            number += 1
            started = time.perf_counter()
            if not hashed:
                return function(data)
            rows = function([take(recorder, batch) for batch in data])
            if place == stretch - 1:
                recorder.end()
            return rows

        model.predict_function = tap
        try:
            model.predict(dataset, verbose=0)
        finally:
            model.predict_function = function

    model.predict(subject.x[:BATCH], verbose=0)
    call(0)
    for way in steps:
        for place in way:
            place.clear()
    for number in range(2 * pairs):
        gc.collect()
        call(number % 2)
    whole = [[sum(times) for times in zip(*way, strict=False)] for way in steps]
    bare, hashing = (sum(statistics.median(place) for place in way) for way in steps)
    count = min(map(len, whole))
    spread = ratio_of(whole[0][:count], whole[1][:count])
    return replace(spread, first=bare, second=hashing, ratio=hashing / bare)
