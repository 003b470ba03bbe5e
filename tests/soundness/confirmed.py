"""What is scored, known from its values; nothing in here is evalguard's.

Rows whose values are equal are interchangeable: their score is the same.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.soundness import oracle
from tests.soundness.oracle import FOREIGN, NO_TARGET, Unit
from tests.soundness.programs import LOSSLESS, METRICS, Call, Confirm, Program

Values = tuple[float, ...]


@dataclass(frozen=True)
class Row:
    """A row that a guarded call returned.

    Attributes:
        values: What all outputs hold; None for a row of no known sample.
        y: Sample whose target came with it; None where nobody can tell.
        named: The label row that the caller named for it; None: it named none.
    """

    values: Values | None
    y: int | None
    named: int | None


def is_confirmed(report: Any) -> bool:
    """Whether a report says that it was judged by what is scored."""
    last = report.chain[-1] if report.chain else None
    return (
        last is not None
        and (str(last.status), last.basis)
        != ("declared", "what was returned is scored against `labels`, in this order")
        and not last.basis.startswith(("the calls of scope='parts'", "several calls answer the labels together"))
        and str(last.status) != "not applicable"
    )


def outputs(program: Program, call: Call, sample: int) -> Values | None:
    """What a call returns for a sample."""
    if sample == FOREIGN:
        return None
    first, second = (float(number) * call.scale for number in oracle.value(program, sample))
    if program.model == "collide":
        return (first % 3,)
    if program.model == "constant":
        return (0.0, 0.0)
    return (first, second, 2 * first, 2 * second) if program.model == "two_outputs" else (first, second)


def values_of(program: Program, scored: Any) -> list[Values]:
    """The values of each row that is scored."""
    leaves = scored if isinstance(scored, (list, tuple)) else [scored]
    columns = [np.asarray(leaf, "float64") for leaf in leaves]
    table = np.concatenate([column.reshape(len(column), -1) for column in columns], 1)
    return [tuple(row) for row in (np.floor(table) if program.model == "noisy" else table).tolist()]


def rows_of(program: Program, calls: tuple[Call, ...], unit: Unit) -> list[Row]:
    """The rows that the calls returned, one call after the other."""
    rows = []
    for call, span in zip(calls, unit.spans, strict=True):
        beside = oracle.targets_beside(program, call, len(span)) or []
        y: list[int | None] = [*beside] if len(beside) == len(span) else [None] * len(span)
        if program.model == "reversing" and call.method == "predict":
            y.reverse()
        named = [*call.named, *[None] * len(span)]
        rows += [
            Row(outputs(program, call, sample), of, name) for sample, of, name in zip(span, y, named, strict=False)
        ]
    return rows


def right(program: Program, confirm: Confirm, call: Call, scored: list[Values]) -> bool:
    """Whether row i of what is scored is that of sample i."""
    wanted = [outputs(program, call, sample) for sample in range(program.n)]
    if confirm.form == "first":
        wanted = [values and values[: len(values) // 2] for values in wanted]
    return scored == wanted


def right_labels(program: Program, confirm: Confirm) -> bool:
    """Whether it is scored against the labels, row by row."""
    labels = [oracle.target(program, sample) for sample in range(program.n)]
    given = {"reversed": labels[::-1], "shifted": [labels[-1], *labels[:-1]], "short": labels[:-1]}
    return given.get(confirm.y_true, labels) == labels


def right_weights(program: Program, confirm: Confirm) -> bool:
    """Whether its weights are those of the labels, row by row."""
    weights = [oracle.weight(sample) for sample in range(program.n)]
    given = {
        "reversed": weights[::-1],
        "shifted": [weights[-1], *weights[:-1]],
        "scaled": [2 * weight for weight in weights],
        "short": weights[:-1],
    }
    return given.get(confirm.weights, weights) == weights


def as_claimed(
    program: Program, confirm: Confirm, calls: tuple[Call, ...], unit: Unit, scored: list[Values], proof: str
) -> bool:
    """Whether what a proof claims is true of what is scored."""
    if len(scored) != program.n or not (right_labels(program, confirm) and right_weights(program, confirm)):
        return False
    if proof == "count" or right(program, confirm, calls[0], scored):
        return True
    rows = rows_of(program, calls, unit)
    if confirm.form == "first":
        rows = [Row(row.values and row.values[: len(row.values) // 2], row.y, row.named) for row in rows]
    if proof == "labels":
        wanted = [oracle.target(program, sample) for sample in range(program.n)]
        pairs = {(row.values, oracle.target(program, row.y)) for row in rows if row.y not in {None, NO_TARGET}}
        return all(pair in pairs for pair in zip(scored, wanted, strict=True)) and (
            len(set(scored)) == len(scored) or program.has_twins or program.model in {"collide", "constant"}
        )
    if proof not in {"declared", "transport"}:
        return False
    if any(call.named for call in calls):
        return all(any(row.named == at and row.values == values for row in rows) for at, values in enumerate(scored))
    # Row i of the array is sample i: what is scored is what was emitted, in its order.
    emitted = [row.values for row in rows]
    if unit.emitted is not None:
        emitted = [outputs(program, calls[0], sample) for sample in unit.emitted]
        if confirm.form == "first":
            emitted = [values and values[: len(values) // 2] for values in emitted]
    return program.scope != "parts" and scored == emitted


def is_plain(program: Program, confirm: Confirm, calls: tuple[Call, ...]) -> bool:
    """Whether nothing stands in the way of a proof by what each row contains."""
    return (
        program.identity in {"reference", "reference_function"}
        and program.values != "close"
        and program.model in {"echo", "two_outputs", "collide", "chunks", "put_back"}
        and confirm.form in LOSSLESS
        # Labels in another encoding are not those of the guard, row by row: nothing shows that they mean the same.
        and confirm.y_true != "encoded"
        # Nor are weights compared where the guard has none.
        and (program.weighted or confirm.weights == "none")
        # Nor does a part that names another number of rows than its call returns.
        and all(len(call.named) in {0, n_emitted(program, call)} for call in calls)
        and all(call.scale == 1 and call.dtype == "float32" and not (call.reused or call.moving) for call in calls)
        and all(call.y in {"none", "same"} for call in calls)
        and all(call.source != "endless" for call in calls)
    )


def n_emitted(program: Program, call: Call) -> int:
    """Rows that a source emits as written; one that repeats its samples fills its batches."""
    return len(call.parts) * program.batch if call.source == "tf_repeated" else sum(map(len, call.parts))


def covers(program: Program, unit: Unit) -> bool:
    """Whether each sample was answered; rows of equal inputs are interchangeable."""
    wanted = Counter(oracle.value(program, sample) for sample in range(program.n))
    return wanted <= Counter(oracle.value(program, sample) for sample in unit.rows if sample != FOREIGN)


def each_label_once(program: Program, calls: tuple[Call, ...], unit: Unit) -> bool:
    """Whether the calls returned one row of each sample."""
    spans = zip(calls, unit.spans, strict=True)
    rows = [sample for call, span in spans if call.method not in METRICS for sample in span]
    return sorted(rows) == list(range(program.n))
