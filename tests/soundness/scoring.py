"""What is scored after the calls of an entry, as text, and the calls that run freely before."""

from __future__ import annotations

from collections.abc import Sequence

from tests.soundness.programs import Call, Confirm, Program

FORMS = {
    "same": "{}",
    "first": "{}",
    "list": "{}",
    "apart": "{}",
    "frame": "pd.DataFrame({})",
    "float64": '{}.astype("float64")',
    "float16": '{}.astype("float16")',
    "axes": "{}[:, None, :, None]",
    "doubled": "{} * 2",
    "rounded": "np.round({} / 4) * 4",
    "argmax": "{}.argmax(1)",
}
Y_TRUE = {
    "right": "target(range({n}))",
    "reversed": "target(range({n}))[::-1]",
    "shifted": "np.roll(target(range({n})), 1)",
    "encoded": "target(range({n})) * -2 - 7",
    "short": "target(range({n} - 1))",
}
WEIGHTS = {
    "right": "weight(range({n}))",
    "reversed": "weight(range({n}))[::-1]",
    "shifted": "np.roll(weight(range({n})), 1)",
    "scaled": "weight(range({n})) * 2",
    "short": "weight(range({n} - 1))",
}


def helpers_text(program: Program) -> list[str]:
    """Functions that ``evaluation`` uses."""
    lines = []
    if any(call.named for call in program.calls):
        lines += [
            "def part(guard, rows, call):",
            "    with guard.part(rows) if guard else contextlib.nullcontext(): return call()",
        ]
    if any(each.put_back for confirms in program.confirms for each in confirms):
        lines += [
            "def put_back(guard, entry, parts):",
            "    try: return guard.put_back(parts)",
            "    except ValueError as error: SCORED.append((entry, error))",
        ]
    return lines


def pool_text(entry: Sequence[Call], calls: Sequence[str]) -> list[str]:
    """The calls of an entry in threads of a pool, which end in any order; ``done`` is that order."""
    made = ", ".join(f"lambda: {call}" for call in calls)
    return [
        "done = []",
        f"def run(at, call): time.sleep({[call.delay / 1000 for call in entry]}[at]); made = call(); done.append(at); "
        "return made",
        f"with ThreadPoolExecutor(3) as pool: returned.extend(pool.map(run, range({len(entry)}), [{made}]))",
    ]


def confirm_text(program: Program, confirm: Confirm, number: int, entry: int) -> list[str]:
    """The lines that confirm what is scored; ``number`` is that of the first call of the entry."""
    of = ", ".join(f"returned[{number + at}]" for at in confirm.of)
    parts = f"[{of}]" if of else f"[returned[{number} + at] for at in done]"
    rows = of if len(confirm.of) == 1 else f"joined({parts})"
    if confirm.form == "first":
        rows += "[0]"
    if confirm.form == "apart":
        rows = f"(lambda p: [p[0], p[1][::-1]])({rows})"
    take = f"np.take(q, {list(confirm.take)}, 0, mode='wrap')" if confirm.take else "q"
    changed = FORMS[confirm.form].format(take)
    if changed != "q":
        structures = "keras.tree" if program.engine == "keras" else "__import__('tensorflow').nest"
        rows = f"{structures}.map_structure(lambda q: {changed}, {rows})"
    if confirm.form == "list":
        rows = f"[{rows}]"
    if confirm.where == "returned":
        return [f"p = {rows}; SCORED.append(({entry}, p))", "return p"]
    y_true = f", {Y_TRUE[confirm.y_true].format(n=program.n)}" if confirm.y_true != "none" else ""
    if confirm.weights != "none":
        y_true += f", sample_weight={WEIGHTS[confirm.weights].format(n=program.n)}"
    confirmed = f"SCORED.append(({entry}, p)); assert guard.confirm(p{y_true}) is p"
    if not confirm.put_back:
        return [f"if guard: p = {rows}; {confirmed}"]
    return [f"if guard and (p := put_back(guard, {entry}, {parts})) is not None: {confirmed}"]
