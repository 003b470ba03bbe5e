"""What each row really is, from how a program is written; nothing in here is evalguard's."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tests.soundness.programs import METRICS, NAMING, Call, Program, targets_of
from tests.soundness.sources import CUT

FOREIGN, NO_TARGET = -1, -2


@dataclass(frozen=True)
class Unit:
    """Calls that one report is about, as they really were.

    Attributes:
        spans: For each call the samples of the rows that the caller got, in order; for metrics: of the rows scored.
        metrics: For each call, whether it returned metrics, so that the order within it does not matter.
        emitted: Sample of each row that the source emitted, in order; None where that was a race.
        y: Samples whose targets the stream held beside them, or None; ``NO_TARGET`` for rows of predictions without.
    """

    spans: tuple[tuple[int, ...], ...]
    metrics: tuple[bool, ...]
    emitted: tuple[int, ...] | None
    y: tuple[int, ...] | None

    @property
    def rows(self) -> tuple[int, ...]:
        """The rows of all calls."""
        return tuple(sample for span in self.spans for sample in span)


def value(program: Program, sample: int) -> tuple[int, int]:
    """The inputs of a sample, equal for samples that are interchangeable."""
    if program.images:
        return (10 + sample, 0)
    if program.values == "twins":
        return (10 + sample // 2, sample // 2 * 7 % 5)
    if program.values == "close":
        return (2**30 + sample, sample * 7 % 5)
    if program.values == "blank" and sample % 3 == 0:
        return (0, 0)
    return (10 + sample, sample * 7 % 5)


def target(program: Program, sample: int) -> float:
    """The label of a sample."""
    if program.images:
        return float(sample >= program.n // 2)
    return float(sample * 5 % 3) if program.targets == "classes" else sample * 1.5 + 100


def weight(sample: int) -> float:
    """The weight of a sample's label."""
    return 1 + sample % 4 / 2


def emitted(program: Program, call: Call) -> tuple[int, ...] | None:
    """The samples that reach the model, in order, as written; None where threads or TensorFlow decide it."""
    rows = tuple(sample for part in call.parts for sample in part)
    if call.source == "images":
        return tuple(range(program.n)) if call.lie == "none" else None
    if call.reused or call.moving or call.again or call.source == "tf_shuffled":
        return None
    if call.steps:
        return rows[: call.steps * program.batch]
    if call.source == "tf_dropping":
        return rows[: len(rows) // program.batch * program.batch]
    if call.source == "tf_repeated":
        wanted = len(call.parts) * program.batch
        return tuple(rows[at % len(rows)] for at in range(wanted))
    return rows


def moved(program: Program, call: Call, rows: tuple[int, ...]) -> tuple[int, ...]:
    """The rows as the caller gets them from a model that computes row by row, which every report declares."""
    if program.model == "reversing" and call.method == "predict":
        return rows[::-1]
    return rows


def named(program: Program, call: Call, result: Any) -> tuple[int, ...] | None:
    """The samples that an output names; None where outputs do not say it, or are no rows."""
    if call.method in METRICS or program.model not in NAMING:
        return None
    first = result[0] if program.model == "two_outputs" else result
    rows = np.floor(np.asarray(first, "float64") / call.scale).astype(int)
    if program.images:
        rows[:, 1] = 0
    samples = {value(program, sample): sample for sample in reversed(range(3 * program.n))}
    found = tuple(samples.get((int(row[0]), int(row[1])), FOREIGN) for row in rows)
    return _as_row_wise(program, call, found) if program.model == "inner_reverse" else found


def _as_row_wise(program: Program, call: Call, rows: tuple[int, ...]) -> tuple[int, ...]:
    """The rows of a model that reverses each batch, put back."""
    sizes = [len(part) for part in call.parts]
    if call.source in CUT or sum(sizes) != len(rows):
        sizes = [program.batch] * -(-len(rows) // program.batch)
    ends = np.cumsum(sizes).tolist()
    return tuple(sample for end, size in zip(ends, sizes, strict=True) for sample in rows[end - size : end][::-1])


def unit(program: Program, calls: tuple[Call, ...], results: list[Any]) -> Unit | None:
    """What really happened in calls that are judged together; None where nobody can tell."""
    spans: list[tuple[int, ...]] = []
    out: list[int] | None = []
    y: list[int] | None = []
    scores = any(call.method in METRICS for call in calls)
    for call, result in zip(calls, results, strict=True):
        source = emitted(program, call)
        seen = named(program, call, result)
        if seen is None and source is None:
            return None
        spans.append(seen if seen is not None else moved(program, call, source or ()))
        out = None if out is None or source is None else [*out, *source]
        if scores and source is None and call.method not in METRICS:
            # Of the rows of such a session only those that were scored need their targets.
            y = None if y is None else [*y, *[NO_TARGET] * len(spans[-1])]
            continue
        y = (
            None
            if y is None
            else _with_targets(program, call, y, None if source is None else len(source), len(spans[-1]))
        )
    return Unit(
        tuple(spans),
        tuple(call.method in METRICS for call in calls),
        None if out is None else tuple(out),
        None if y is None else tuple(y),
    )


def targets_beside(program: Program, call: Call, n_returned: int) -> list[int] | None:
    """Samples whose targets the stream held beside the rows of one call, as in ``Unit.y``."""
    source = emitted(program, call)
    return _with_targets(program, call, [], None if source is None else len(source), n_returned)


def _with_targets(
    program: Program, call: Call, before: list[int], n_emitted: int | None, n_returned: int
) -> list[int] | None:
    if not program.images and call.y == "none" and call.method not in METRICS:
        return [*before, *[NO_TARGET] * n_returned]
    if n_emitted is None and call.y == "label_order":
        n_emitted = n_returned
    if n_emitted is None or program.images or call.y not in {"same", "label_order", "late"}:
        return None
    flat = tuple(sample for part in targets_of(program, call) for sample in part)
    return [*before, *(flat[at % len(flat)] for at in range(n_emitted))]


def right(program: Program, found: Unit) -> bool:
    """Whether row i is of sample i, or of one that equals it; rows that were scored are each there once."""
    wanted = [value(program, sample) for sample in range(program.n)]
    scored: Counter[Any] = Counter()
    at = 0
    for span, metrics in zip(found.spans, found.metrics, strict=True):
        got = _values(program, span)
        if metrics:
            scored.update(got)
            scored.subtract(wanted[at : at + len(span)])
        elif got != wanted[at : at + len(span)]:
            return False
        at += len(span)
    if any(scored.values()) or at != program.n:
        return False
    # What `evaluate` scored are the stream's own pairs.
    scores = [metrics for span, metrics in zip(found.spans, found.metrics, strict=True) for _ in span]
    if not any(found.metrics) or found.y is None:
        return not any(found.metrics)
    # Samples of equal inputs are interchangeable, with their targets.
    pairs = Counter(
        (value(program, sample), target(program, own))
        for sample, own, here in zip(found.rows, found.y, scores, strict=True)
        if here and sample != FOREIGN
    )
    return pairs == Counter((value(program, at), target(program, at)) for at, here in enumerate(scores) if here)


def _values(program: Program, rows: tuple[int, ...]) -> list[Any]:
    return [value(program, sample) if sample != FOREIGN else None for sample in rows]


def in_array_order(program: Program, call: Call, found: Unit) -> bool:
    """Whether the rows are those of the whole array, in its order: what a declared place in it means."""
    whole = tuple(sample for part in call.parts for sample in part)
    return _values(program, found.rows) == _values(program, whole)


def as_claimed(program: Program, found: Unit, proof: str) -> bool:
    """Whether what a proof claims is true of these rows."""
    if proof == "count":
        return len(found.rows) == program.n
    unmoved = (
        all(found.metrics) or found.emitted is None or _values(program, found.rows) == _values(program, found.emitted)
    )
    # Declared is that row i of the array is sample i; shown is that the rows are those of the array, in its order.
    if proof in {"declared", "transport"}:
        return len(found.rows) == program.n and unmoved
    if proof == "labels" and found.emitted is not None:
        return unmoved and _labels_hold(program, found.emitted, found)
    if right(program, found):
        return True
    # What a race fed is known from outputs that name it; each row came with the target of its sample.
    raced = proof == "labels" and found.emitted is None and FOREIGN not in found.rows
    return raced and _labels_hold(program, found.rows, found if found.y else replace(found, y=found.rows))


def _labels_hold(program: Program, fed: tuple[int, ...], found: Unit) -> bool:
    """Whether the stream's own target is the label of every row, and no input came twice.

    That ``x`` and ``y`` of a batch belong together is declared by the author of the stream.
    """
    values = _values(program, fed)
    wanted = [target(program, sample) for sample in range(program.n)]
    if found.y is not None and NO_TARGET in found.y:
        return False
    streamed = None if found.y is None else [target(program, sample) for sample in found.y]
    if streamed is not None and all(found.metrics):
        streamed, wanted = sorted(streamed), sorted(wanted)
    return streamed == wanted and (len(set(values)) == len(values) or program.has_twins)


def outputs_right(program: Program, call: Call, result: Any) -> bool:
    """Whether the outputs are those of the samples in label order; for models whose outputs do not name a sample."""
    first = np.asarray([value(program, sample)[0] for sample in range(program.n)]) * call.scale
    wanted = first[:, None] % 3 if program.model == "collide" else np.zeros((program.n, 2))
    return np.array_equal(np.asarray(result), wanted)
