"""What guarding costs: guarded over bare, for each engine, model, method, kind of source and proof."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import tensorflow as tf
import xxhash

import evalguard
from benchmarks import lockstep
from benchmarks.memory import added_bytes
from benchmarks.pairs import Ratio, compare
from benchmarks.subjects import BATCH, CONV, KERAS_3, KINDS, MLP, TF_KERAS, Subject, call_of, clock_of, subject, twin
from benchmarks.turns import Turns
from evalguard.capture.contract import CaptureOptions
from evalguard.capture.probes.tf_data import TfDataProbe
from evalguard.capture.recording.batches import capture_batch
from evalguard.capture.recording.recorder import Recorder

# Stretches of a call that take turns where fingerprints are alone.
STRETCHES = 6

# The stream of `evaluate` always carries targets, so `labels` is the least that is proven there.
PROOFS = {"predict": ("transport", "content", "labels"), "evaluate": ("labels", "content")}

# Highest ratio allowed, for the lightest proof of the method.
BUDGETS: Mapping[tuple[str, str, str], Mapping[str, float]] = {
    (KERAS_3, MLP, "predict"): {"pydataset": 1.10, "generator": 1.10, "arrays": 1.15, "tf.data": 1.15},
    (KERAS_3, CONV, "predict"): dict.fromkeys(KINDS, 1.02),
    (KERAS_3, MLP, "evaluate"): dict.fromkeys(KINDS, 1.05),
    (TF_KERAS, MLP, "predict"): dict.fromkeys(KINDS, 1.15),
}
SHOWN_ANYWAY = (KERAS_3, MLP, "predict", "content")
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
        everything: Measure what has no budget, too, and the memory that is added.
        until_told: Time more pairs where a budget is too near to tell.
    """

    pairs: Mapping[str, int]
    fewer_pairs: int
    rows: Mapping[str, int]
    fewer_rows: Mapping[str, int]
    everything: bool = True
    until_told: bool = True


def full(pairs: int, *, everything: bool = True) -> Effort:
    """The published results: budgets are stated for 50,000 rows.

    Less is allowed where the conv net computes: more pairs.
    """
    counts = {MLP: pairs, CONV: 4 * pairs}
    return Effort(counts, max(pairs // 3, 1), {MLP: 50_000, CONV: 1_920}, {MLP: 20_000, CONV: 960}, everything)


def quick(pairs: int) -> Effort:
    """A quick check of the budgets, with fewer rows; the fixed cost of a call weighs more there."""
    counts = {MLP: pairs, CONV: 2 * pairs}
    return Effort(counts, pairs, {MLP: 4_800, CONV: 960}, {MLP: 4_800, CONV: 480}, everything=False, until_told=False)


@dataclass(frozen=True, slots=True)
class Cell:
    """A line of the table.

    Attributes:
        engine: ``Keras 3`` or ``tf_keras``.
        model: Its name.
        method: ``predict`` or ``evaluate``.
        kind: Kind of source.
        proof: ``transport``: tags alone; ``content``: fingerprints of every
            row against a reference; ``labels``: the stream's targets;
            ``hash only``: fingerprints, without the rest of a guard;
            ``one pass``: instead, one xxh3 digest of the whole batch,
            the least that reading every byte of it takes.
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
    """All lines; else those with a budget, and content on the no-op model."""
    for engine in (KERAS_3, TF_KERAS):
        for model in (MLP, CONV):
            for method, proofs in PROOFS.items():
                budgets = BUDGETS.get((engine, model, method), {})
                for kind in KINDS:
                    for proof in proofs:
                        # `predict` of arrays carries no targets.
                        if (method, kind, proof) == ("predict", "arrays", "labels"):
                            continue
                        first = proof == proofs[0]
                        budget = budgets.get(kind) if first else None
                        shown = everything or budget or (engine, model, method, proof) == SHOWN_ANYWAY
                        if shown:
                            yield Cell(engine, model, method, kind, proof, budget, AIMS[model] if first else None)
            if engine == KERAS_3:
                yield Cell(engine, model, "predict", "tf.data", "hash only", FINGERPRINT_BUDGETS[model])
                yield Cell(engine, model, "predict", "tf.data", "one pass")


def costs(effort: Effort) -> Iterator[Cost]:
    """The table, line by line."""
    subjects: dict[tuple[str, str], Subject] = {}
    for cell in cells(everything=effort.everything):
        if cell.proof == "one pass" and not effort.until_told:
            continue
        name = (cell.engine, cell.model)
        if name not in subjects:
            subjects = {name: subject(*name, effort.rows[cell.model])}
        # Both are compared with each other.
        limited = cell.budget is None and cell.proof != "one pass"
        rows = (effort.fewer_rows if limited else effort.rows)[cell.model]
        fewer = effort.fewer_pairs * (4 if in_turn(cell) else 1)
        pairs = fewer if limited else effort.pairs[cell.model]
        budget = cell.budget if effort.until_told else None
        yield measure(cell, subjects[name].of_rows(rows), pairs, memory=effort.everything, until_told=budget)


def measure(cell: Cell, subject: Subject, pairs: int, *, memory: bool, until_told: float | None = None) -> Cost:
    """Measure one line."""
    if cell.proof in {"hash only", "one pass"}:
        stretch = subject.batches // STRETCHES
        return Cost(
            cell, fingerprints_alone(subject, 2 * pairs, rows=cell.proof == "hash only"), stretch, stretch * BATCH
        )
    clock = clock_of(subject)
    targets = cell.method == "evaluate" or cell.proof == "labels"
    bare = call_of(subject, cell.method, cell.kind, targets=targets, clock=clock)
    options: dict[str, Any] = {}
    if cell.proof == "content":
        options["reference"] = subject.x
    kept = _recording(subject, **options)

    def guarded(guard: Any = kept) -> None:
        with guard:
            bare()

    if in_turn(cell):
        guarded()
        ratio = guarded_in_turn(subject, cell.kind, pairs, budget=until_told, targets=targets, options=options)
    else:
        ratio = compare(bare, guarded, pairs=pairs, warmup=min(pairs, 2), since=clock.since, budget=until_told)
    _check(kept.report, cell)
    # A new guard: what it reads and fingerprints once is memory too.
    added = added_bytes(bare, lambda: guarded(_recording(subject, **options))) if memory else None
    return Cost(cell, ratio, subject.batches, len(subject.x), added)


def _recording(subject: Subject, **options: Any) -> Any:
    """A guard that stops nothing."""
    return evalguard.guard(labels=subject.y, mlflow=False, on_failure="record", on_unproven="record", **options)


def _check(report: evalguard.Report, cell: Cell) -> None:
    """What was timed is what the line says."""
    assert report.verdict is not evalguard.Verdict.FAIL, report.headline
    expected = {"content": "identity"}.get(cell.proof, cell.proof)
    if (cell.kind, cell.proof) == ("arrays", "transport"):
        # That row i of an array is sample i is declared.
        expected = "declared"
    assert report.proof == expected, f"{cell}: {report.headline}"


def in_turn(cell: Cell) -> bool:
    """Whether both calls take turns step by step: where a step is long, and ``lockstep`` knows the engine's loop."""
    return (cell.engine, cell.model, cell.method) == (KERAS_3, CONV, "predict")


def guarded_in_turn(
    subject: Subject, kind: str, calls: int, *, budget: float | None, targets: bool, options: dict[str, Any]
) -> Ratio:
    """``predict`` of all rows, guarded over bare, where both take turns step by step.

    To the steps comes what a call takes beside them, from calls of one batch.

    Args:
        subject: Model and data.
        kind: Kind of source.
        calls: Pairs of calls; of one batch there are as many.
        budget: Highest ratio allowed, or None.
        targets: Whether the stream carries targets.
        options: Options of the guard.
    """

    def call(guarded: bool, subject: Subject) -> lockstep.Call:
        guard = _recording(subject, **options) if guarded else nullcontext()

        def run(clock: Any) -> None:
            with guard:
                call_of(subject, "predict", kind, targets=targets, clock=clock)()

        return run

    other = twin(subject)
    ways = [(call(False, one), call(True, two)) for one, two in ((subject, other), (other, subject))]
    steps = lockstep.compare(ways, calls=calls, budget=budget)
    batch = subject.of_rows(BATCH)
    one = call_of(batch, "predict", kind, targets=targets)
    if "reference" in options:
        options = {**options, "reference": batch.x}
    guard = _recording(batch, **options)

    def one_guarded() -> None:
        with guard:
            one()

    beside = compare(one, one_guarded, pairs=calls)
    first_s, second_s = steps.first + beside.first, steps.second + beside.second
    return replace(steps, first=first_s, second=second_s, ratio=second_s / first_s)


def fingerprints_alone(subject: Subject, calls: int, *, rows: bool) -> Ratio:
    """The compiled function on ready batches, with and without the fingerprints of what it is fed.

    Sixths of one call take turns, and each step is compared with the same step of the others.

    Args:
        subject: Model and data.
        calls: How many are timed.
        rows: A fingerprint of each row; else one digest of the batch.
    """
    dataset = tf.data.Dataset.from_tensor_slices(subject.x).batch(BATCH)
    model = subject.model
    turns = Turns(subject.batches // STRETCHES)

    def call() -> None:
        function, recorder = model.predict_function, Recorder(CaptureOptions("always"), TfDataProbe(dataset, {}).stream)
        turns.begin()

        def tap(data: list[Any]) -> Any:
            hashed, last = turns.step()
            if not hashed:
                return function(data)
            if not rows:
                for batch in data:
                    xxhash.xxh3_64_intdigest(memoryview(batch))
                return function(data)
            predicted = function([capture_batch(recorder, batch) for batch in data])
            if last:
                recorder.end()
            return predicted

        model.predict_function = tap
        try:
            model.predict(dataset, verbose=0)
        finally:
            model.predict_function = function

    model.predict(subject.x[:BATCH], verbose=0)
    call()
    turns.forget()
    for _ in range(calls):
        gc.collect()
        call()
    return turns.ratio()
