"""Loops that predict what they are given and collect labels beside it: their text, and what is right of them.

What a loop was given is known from a copy that the program itself makes of each batch before anything is done with it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.soundness.confirmed import outputs, values_of
from tests.soundness.oracle import FOREIGN, value
from tests.soundness.programs import LOSSLESS, Call, Confirm, Parts, Program
from tests.soundness.scoring import FORMS

CALLS = {
    "predict": "model.predict(x, verbose=0)",
    "predict_on_batch": "model.predict_on_batch(x)",
    "call": "model(x)",
}
Y_TRUE = {
    "right": "joined(t)",
    "reversed": "joined(t)[::-1]",
    "shifted": "np.roll(joined(t), 1)",
    # No number of another stream's targets: one that means two classes is a fault.
    "encoded": "joined(t) * 100 + 50000",
    "short": "joined(t)[:-1]",
}


def fed_otherwise(lie: str, parts: Parts, n: int, seed: int) -> Parts:
    """What a loop predicts at each step instead of what it got, an empty step for nothing; empty: what it got."""
    draw = random.Random(seed)  # noqa: S311 - not for secrets
    at, fed = draw.randrange(len(parts)), list(parts)
    match lie:
        case "reversed":
            fed[at] = fed[at][::-1]
        case "batch_before":
            fed[1:] = fed[:-1]
        case "skipped":
            fed[at] = ()
        case "repeated":
            fed[at] *= 2
        case "other_row":
            fed[at] = (draw.randrange(n), *fed[at][1:])
        case "row_left_out":
            fed[at] = fed[at][1:]
        case "other_pass":
            flat = [sample for part in parts for sample in part]
            draw.shuffle(flat)
            fed = [tuple(flat.pop() for _ in part) for part in parts]
    return tuple(fed) if fed != list(parts) else ()


FED = ("reversed", "batch_before", "skipped", "repeated", "other_row", "row_left_out", "other_pass")


def loop_text(program: Program, call: Call, number: int) -> list[str]:
    """The lines of one loop; ``p`` and ``t`` are what it predicts and the targets that it is given."""
    source = f"source_{number}()"
    given = f"guard.collecting({source})" if program.labels == "loop" else "batches"
    lines = [
        f"for at, (x, y, *w) in enumerate({given} if guard else {source}):",
        f"    got.append({_copied(program, 'x')}); t.append(np.array(y))",
    ]
    if call.stops:
        lines.append(f"    if at == {call.stops}: break")
    other = {at: list(rows) for at, (rows, own) in enumerate(zip(call.fed, call.parts, strict=False)) if rows != own}
    if other:
        rows = '{"x": inputs(rows), "id": key(rows)}' if program.keyed else "inputs(rows)"
        lines += [
            f"    if (rows := {other}.get(at)) == []: continue",
            f"    if rows: x = {rows}",
        ]
    return [*lines, f"    p.append({_copied(program, CALLS[call.method])})"]


def _copied(program: Program, of: str) -> str:
    structures = "keras.tree" if program.engine == "keras" else "__import__('tensorflow').nest"
    return f"{structures}.map_structure(np.array, {of})"


def entry_text(program: Program, entry: tuple[Call, ...], number: int) -> list[str]:
    """The lines of all loops of an entry."""
    lines = ["p, t, got = [], [], []; GOT.append((p, t, got))"]
    for at, call in enumerate(entry):
        lines += loop_text(program, call, number + at)
    return [*lines, "returned.append(joined(p))"]


def confirm_text(program: Program, confirm: Confirm, number: int, entry: int) -> list[str]:
    """The line that confirms what the loops of an entry predicted."""
    del program, number
    take = f"np.take(q, {list(confirm.take)}, 0, mode='wrap')" if confirm.take else "q"
    rows = FORMS[confirm.form].format(take)
    y_true = f", {Y_TRUE[confirm.y_true]}" if confirm.y_true != "none" else ""
    confirmed = f"SCORED.append(({entry}, q)); assert guard.confirm(q{y_true}) is q"
    return [f"if guard: p, t, _ = GOT[{entry}]; q = joined(p); q = {rows}; {confirmed}"]


@dataclass(frozen=True)
class Seen:
    """What the loops of an entry did.

    Attributes:
        given: Values of each row that they were given, as the model returns them.
        targets: Its target, as it was given.
        collected: All targets that the program collected, also those of a batch with which the loop broke.
        rows: Values of each row that they got from the model.
    """

    given: list[Any]
    targets: list[float]
    collected: list[float]
    rows: list[Any]

    @property
    def right(self) -> bool:
        """Whether row i of what was predicted is that of label i."""
        return self.rows == self.given


def seen(program: Program, entry: tuple[Call, ...], logged: tuple[list[Any], ...]) -> Seen:
    """What the loops of an entry did, from what the program logged."""
    p, _, got = logged
    last = entry[-1]
    stopped = last.stops or (last.fed and not last.fed[-1] and len(got) >= len(last.fed))
    if stopped and len(p) < len(got) and len(got) > 1:
        # The loop ended with it: an evaluation breaks there, and nothing of it is scored.
        got = got[:-1]
    samples = {value(program, sample): sample for sample in reversed(range(3 * program.n))}
    given: list[Any] = []
    for batch in got:
        table = np.asarray(batch["x"] if isinstance(batch, dict) else batch, "float64")
        named = [samples.get((int(first), int(second)), FOREIGN) for first, second in table.tolist()]
        given += [outputs(program, last, sample) for sample in named]
    rows = [row for part in p for row in values_of(program, part)]
    targets = [float(each) for part in logged[1] for each in np.ravel(part)]
    return Seen(given, targets[: len(given)], targets, rows)


def right_labels(confirm: Confirm, found: Seen) -> bool:
    """Whether what is scored is scored against the targets that the loop was given, row by row."""
    if confirm.y_true == "none":
        return True
    given = found.collected
    other = {"reversed": given[::-1], "shifted": [*given[-1:], *given[:-1]], "short": given[:-1]}
    return other.get(confirm.y_true, given) == found.targets


def is_plain(program: Program, entry: tuple[Call, ...], confirms: tuple[Confirm, ...]) -> bool:
    """Whether nothing stands in the way of a proof by what each row contains."""
    return (
        program.values == "distinct"
        and program.model in {"echo", "two_outputs"}
        and all(not call.reused for call in entry)
        and all(each.form in LOSSLESS and each.y_true != "encoded" for each in confirms)
    )


def confirms_of(draw: random.Random, n_rows: int, model: str) -> tuple[Confirm, ...]:
    """What is scored after the loops of an entry; most often nothing, or what was predicted."""
    if draw.random() < 0.5:
        return ()
    take = draw.choice(((), (), (), tuple(draw.sample(range(n_rows), n_rows)), tuple(range(n_rows - 1))))
    forms = ["same"] * 6 if model == "two_outputs" else ["same"] * 6 + ["float64", "axes", "frame", "doubled"]
    y_true = draw.choice(("none", "none", "right", "right", "right", "reversed", "shifted", "encoded", "short"))
    where = draw.choice(("inside", "after"))
    form = draw.choice(forms) if not (model == "two_outputs" and take) else "same"
    return (Confirm(of=(), take=() if model == "two_outputs" else take, form=form, y_true=y_true, where=where),)
