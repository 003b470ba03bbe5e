"""One program, run bare, guarded and bare again on the same model, and what the laws say of it."""

from __future__ import annotations

import functools
import gc
import io
import logging
import random
import re
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import redirect_stdout
from dataclasses import dataclass, field, replace
from itertools import chain
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import evalguard
from evalguard.core.own_errors import OwnError
from tests.soundness import confirmed, loops, oracle
from tests.soundness.programs import LOOPS, METRICS, NAMING, Call, Confirm, Parts, Program
from tests.soundness.scripts import body_text, guard_text, head_text, model_text
from tests.soundness.sources import ARRAYS

SOUND = ("PASS", "REPAIRED")
# What the threads of TensorFlow need to fill their buffers.
IDLE_SECONDS = 0.05
# Proofs, the strongest first.
STRENGTH = ("identity", "labels", "declared", "transport", "count", "none")
# TensorFlow says at length that it cannot read the source of a program that stands in no file.
logging.getLogger("tensorflow").setLevel(logging.ERROR)


@dataclass(frozen=True)
class Breach:
    """One law that one program breaks.

    Attributes:
        law: ``a``: a PASS or REPAIRED of rows that are not what the proof claims. ``b``: a FAIL of rows that are right.
            ``c``: a guard changes what a call returns, raises, warns of, pulls or draws. ``reports``: not one report
            for each thing to judge.
        what: In one sentence.
        verdict: Verdict of the report, if one is concerned.
        proof: Its proof.
        used: Identities that the report says it used.
        unit: What is judged, as it really was.
    """

    law: str
    what: str
    verdict: str = ""
    proof: str = ""
    used: tuple[str, ...] = ()
    unit: oracle.Unit | None = None


@dataclass
class Run:
    """What an evaluation did."""

    returned: list[Any] = field(default_factory=list)
    error: BaseException | None = None
    log: list[Any] = field(default_factory=list)
    warned: list[str] = field(default_factory=list)
    drawn: tuple[float, ...] = ()
    scored: list[tuple[int, Any]] = field(default_factory=list)
    given: list[tuple[list[Any], ...]] = field(default_factory=list)


@dataclass
class Trial:
    """A program, what it did, and which laws it broke."""

    program: Program
    reports: list[Any]
    breaches: list[Breach]

    def observed(self) -> list[dict[str, Any]]:
        """Verdict, proof, counts and findings of each report, to compare two versions of the product."""
        return [
            {
                "verdict": str(report.verdict),
                "proof": str(report.proof),
                "counts": dict(report.counts),
                "findings": sorted([str(finding.reason), finding.count] for finding in report.findings),
            }
            for report in self.reports
        ]


@functools.cache
def _model(engine: str, text: str, number: int = 0) -> Any:
    """One model for all programs that have the same: it is compiled once, and each finds it as others left it."""
    del number
    space: dict[str, Any] = {}
    libraries = f"import numpy as np, tensorflow as tf, {engine} as keras\n"
    exec(compile(f"{libraries}{text}\nmodel = built()", "<model>", "exec"), space)  # noqa: S102 - our own text
    return space["model"]


def run(program: Program) -> Trial:
    """Run a program three times and check it by the laws."""
    space = space_of(program)
    try:
        return _run_thrice(program, space)
    finally:
        for folder in space.values():
            if isinstance(folder, TemporaryDirectory):
                folder.cleanup()
        if any(call.source == "endless" for call in program.calls):
            # Its threads end with its iterators, which are in cycles; left alone they outlive the interpreter.
            collect_garbage()


def collect_garbage() -> None:
    """Free what is in cycles, iterators of TensorFlow among it, while none of their threads waits for Python.

    Such an iterator waits for its threads to end, and holds Python's lock meanwhile (tensorflow 2.21,
    ``UnboundedThreadPool``): a thread that is about to pull from a generator never gets it, bare or guarded.
    """
    time.sleep(IDLE_SECONDS)
    gc.collect()


def _run_thrice(program: Program, space: dict[str, Any]) -> Trial:
    evaluation: Callable[..., Any] = space["evaluation"]
    drawing = program.model == "noisy" and program.engine == "tf_keras"
    # What `tf.random` draws depends on how often a compiled function ran: such a program gets its own model.
    model = _fresh(space) if drawing else _model(program.engine, model_text(program))
    space["model"] = model
    if any(call.model for call in program.calls):
        space["other"] = _model(program.engine, model_text(program), 1)
    exec(compile(guard_text(program), "<guard>", "exec"), space)  # noqa: S102 - our own text
    before = _run(evaluation, model, None, space)
    guarded = _run(evaluation, model, space["guard"], space)
    bare = [before, _run(evaluation, model, None, space)]
    reports = list(space["sink"].reports)
    breaches = [*_side_effects(program, bare, guarded), *_judged(program, before, guarded, reports, space)]
    if drawing and guarded.error is None and program.on_failure != "repair" and not _racy(program):
        twin = _fresh(space)
        second = [_run(evaluation, twin, None, space) for _ in range(2)][1]
        if not _equal(second.returned, guarded.returned):
            breaches.append(Breach("c", "draws other numbers inside the compiled function"))
    return Trial(program, reports, breaches)


def _fresh(space: dict[str, Any]) -> Any:
    import tensorflow as tf

    tf.random.set_seed(1)
    return space["built"]()


def space_of(program: Program) -> dict[str, Any]:
    """What the script of a program defines, but for the guard."""
    # Functions of a module that TensorFlow can find: it reads their source, or says at length that it cannot.
    space: dict[str, Any] = {"__name__": "__main__"}
    code = f"{head_text(program)}\n{model_text(program)}\n{body_text(program)}\n"
    exec(compile(code, "<program>", "exec"), space)  # noqa: S102 - our own text
    return space


def _run(evaluation: Callable[..., Any], model: Any, guard: Any, space: dict[str, Any]) -> Run:
    found = Run()
    space["LOG"].clear()
    space.setdefault("SCORED", []).clear()
    space.setdefault("GOT", []).clear()
    reset_seeds(model)
    # Image iterators print how many files they found.
    with warnings.catch_warnings(record=True) as told, redirect_stdout(io.StringIO()):
        warnings.simplefilter("always")
        try:
            evaluation(model, guard, found.returned)
        except (Exception, OwnError) as error:  # noqa: BLE001 - what the program raises is compared
            found.error = error
    found.log = list(space["LOG"])
    found.scored = list(space["SCORED"])
    found.given = list(space["GOT"])
    found.warned = [f"{each.category.__name__}: {each.message}" for each in told if _is_of_the_call(each)]
    found.drawn = _drawn(model)
    return found


def _is_of_the_call(told: warnings.WarningMessage) -> bool:
    # Ours are announced, and what the garbage collector finds may be of an earlier program.
    return "evalguard" not in str(told.message) and told.category is not ResourceWarning


def reset_seeds(model: Any) -> None:
    """Put every generator of random numbers where it was before the first run."""
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002 - what user code draws from
    for layer in model.layers:
        seeds = getattr(layer, "seeds", None)
        if seeds is not None:
            seeds.state.assign([1, 0])


def _drawn(model: Any) -> tuple[float, ...]:
    """The next numbers of every generator that the program could have drawn from."""
    states = [np.asarray(layer.seeds.state).tolist() for layer in model.layers if hasattr(layer, "seeds")]
    return (random.random(), float(np.random.random()), *(number for state in states for number in state))  # noqa: NPY002, S311


def _side_effects(program: Program, bare: list[Run], guarded: Run) -> list[Breach]:
    """Law c: what differs from both bare runs, where these agree."""
    before, after = bare
    found = []
    # The first line: what follows is where TensorFlow built its graph.
    errors = [
        f"{type(run.error).__name__}: {run.error}".splitlines()[0] if run.error else ""
        for run in (before, guarded, after)
    ]
    # Rows that cannot be repaired raise, which is announced.
    refused = program.on_failure == "repair" and isinstance(guarded.error, evalguard.MisalignmentError)
    # Labels that the names lack raise, which is announced, too.
    refused |= bool(program.lacking) and isinstance(guarded.error, evalguard.LabelsError)
    if errors[0] == errors[2] and errors[1] != errors[0] and not refused:
        found.append(f"raises {errors[1][:200] or 'nothing'}, bare {errors[0][:200] or 'nothing'}")
    if refused:
        return [Breach("c", what) for what in found]
    if not any(errors) and not _racy(program):
        pairs = zip(before.returned, guarded.returned, after.returned, strict=True)
        for number, (first, second, third) in enumerate(pairs):
            if _equal(first, third) and not _equal(first, second) and program.on_failure != "repair":
                found.append(f"call {number} returns other values")
            if type(first) is not type(second):
                found.append(f"call {number} returns {type(second).__name__}, bare {type(first).__name__}")
    if not _racy(program):
        ordered = not any(call.source == "pydataset_threads" for call in program.calls)
        logs = [run.log if ordered else sorted(run.log) for run in (before, guarded, after)]
        if logs[0] == logs[2] and logs[1] != logs[0]:
            found.append(f"pulls {logs[1]}, bare {logs[0]}")
    if before.warned == after.warned and guarded.warned != before.warned:
        found.append(f"warns {guarded.warned}, bare {before.warned}")
    if before.drawn == after.drawn and guarded.drawn != before.drawn:
        found.append(f"draws {guarded.drawn} next, bare {before.drawn}")
    return [Breach("c", what) for what in found]


def _racy(program: Program) -> bool:
    """Whether threads decide what is pulled or fed, so that two bare runs may differ."""
    return (
        program.together
        or program.pool
        or any(call.source == "endless" or call.reused or call.moving for call in program.calls)
        # tf.data pulls in advance of a loop that breaks.
        or any(call.source == "tf_generator" and call.stops for call in program.calls)
    )


def _equal(one: Any, other: Any) -> bool:
    """Whether results are equal bit by bit."""
    if isinstance(one, dict):
        return bool(one.keys() == other.keys()) and all(_equal(one[name], other[name]) for name in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(_equal, one, other))
    first, second = np.asarray(one), np.asarray(other)
    return first.dtype == second.dtype and first.shape == second.shape and first.tobytes() == second.tobytes()


def judged_units(program: Program, reports: list[Any]) -> list[tuple[int, tuple[int, ...]]]:
    """The entry and the calls that each report is about, by number, in the order of the reports.

    Args:
        program: What ran.
        reports: They say whether short calls were judged together, which depends on what they answer.
    """
    units: list[tuple[int, tuple[int, ...]]] = []
    number = 0
    for at_entry, entry in enumerate(program.entries):
        numbers = range(number, number + len(entry))
        number += len(entry)
        seen = [at for at in numbers if _is_seen(program, program.calls[at])]
        found: list[tuple[int, ...]] = []
        if program.scope == "parts":
            kinds = [[at for at in seen if (program.calls[at].method in METRICS) == metrics] for metrics in (0, 1)]
            found = [tuple(kind) for kind in kinds if kind]
        else:
            whole = [at for at in seen if program.calls[at].method not in LOOPS]
            if program.scope == "session":
                found += [tuple(whole)] if whole else []
            else:
                found += _each(program, whole, reports[len(units) :])
            found += [tuple(loop) for loop in _loops(program, seen) if not _warms_up(program, loop, seen)]
        if not seen and program.used_as != "wrap":
            # A report that says that nothing was guarded.
            found.append(())
        units += [(at_entry, unit) for unit in found]
    return units


def _each(program: Program, whole: list[int], reports: list[Any]) -> list[tuple[int, ...]]:
    """Calls that are judged one by one; those on short arrays last, and not those that a whole call follows."""
    if program.used_as == "wrap":
        # Each is an entry by itself.
        return [(at,) for at in whole]
    short = [at for at in whole if _is_short(program, program.calls[at])]
    full = [at for at in whole if at not in short]
    found: list[tuple[int, ...]] = [(at,) for at in full]
    for metrics in (False, True):
        left = [
            at for at in short if (program.calls[at].method in METRICS) == metrics and not _warms(program, at, full)
        ]
        together = len(left) > 1 and len(found) < len(reports) and len(reports[len(found)].calls) == len(left)
        found += [tuple(left)] if together else [(at,) for at in left]
    return found


def _is_short(program: Program, call: Call) -> bool:
    """Whether the caller passed an array with fewer rows than there are labels, or one batch."""
    parts = call.parts[: call.steps or None]
    if call.source == "tf_dropping":
        parts = tuple(part for part in parts if len(part) == program.batch)
    rows = confirmed.n_emitted(program, replace(call, parts=parts))
    chosen = len(parts) == 1 or (call.source in ARRAYS and not call.steps)
    # To be repaired, a call is judged when it ends, unless its labels are not known then.
    kept = program.on_failure != "repair" or program.labels == "late"
    return chosen and 0 < rows < program.n and kept


def _warms(program: Program, at: int, full: list[int]) -> bool:
    """Whether the same method of the same model answers all labels after this call."""
    call = program.calls[at]
    later = (program.calls[other] for other in full if other > at)
    return any(
        (other.method, other.model) == (call.method, call.model) and sum(map(len, other.parts)) >= program.n
        for other in later
    )


def _loops(program: Program, seen: list[int]) -> list[list[int]]:
    """Loops over single batches that are judged together, by number."""
    loops: list[list[int]] = []
    for kind in dict.fromkeys(LOOPS[program.calls[at].method] for at in seen if program.calls[at].method in LOOPS):
        together = [at for at in seen if LOOPS.get(program.calls[at].method) == kind]
        methods = dict.fromkeys(program.calls[at].method for at in together)
        by_method = [[at for at in together if program.calls[at].method == method] for method in methods]
        # Both return rows. Where neither answers all labels by itself, they are one loop.
        short = all(sum(map(len, _parts(program, loop))) < program.n for loop in by_method)
        loops += [together] if short else by_method
    return loops


def _parts(program: Program, numbers: Iterable[int]) -> Parts:
    return tuple(part for at in numbers for part in program.calls[at].parts)


def _warms_up(program: Program, loop: list[int], seen: list[int]) -> bool:
    """Whether it is one call on a batch with fewer rows than there are labels, and others follow."""
    parts = _parts(program, loop)
    one = program.calls[loop[0]].method != "test_on_batch" and len(parts) == 1
    return one and len(parts[0]) < program.n and loop[0] < seen[-1]


def _is_seen(program: Program, call: Call) -> bool:
    """Whether a guard has to see this call: those of other threads are seen by a wrapped model only."""
    if program.used_as == "wrap":
        # Without a block each call of a loop is judged by itself.
        return program.scope != "call" or call.method not in LOOPS
    return program.pool or not call.thread


def _judged(program: Program, bare: Run, guarded: Run, reports: list[Any], space: dict[str, Any]) -> list[Breach]:
    """Laws a and b, for each report."""
    returned = guarded.returned
    if program.lacking:
        return _without_a_name(program, bare, guarded, reports)
    if program.loops:
        return _of_loops(program, guarded, reports)
    if isinstance(guarded.error, evalguard.MisalignmentError) and bare.error is None and not _racy(program):
        # Refused: the rows of that call are those of the bare run, and no later call is judged.
        returned = returned + bare.returned[len(returned) :]
        units = judged_units(program, reports)[: len(reports)]
    elif guarded.error is not None:
        return []
    else:
        units = judged_units(program, [report for report in reports if not _of_nothing(report)])
    if program.used_as == "wrap" and program.scope == "call" and any(call.method in LOOPS for call in program.calls):
        # Each call of a loop is judged by itself there.
        return []
    found = [_breach("a", "sound though nothing is scored", report) for report in reports if _of_nothing(report)]
    found = [breach for breach in found if breach.verdict in SOUND]
    reports = [report for report in reports if not _of_nothing(report)]
    if len(units) != len(reports):
        return [Breach("reports", f"{len(reports)} reports for {len(units)} things to judge")]
    judged = [
        _Judged(entry, numbers, report, _calls_of(program, numbers, returned, report))
        for (entry, numbers), report in zip(units, reports, strict=True)
    ]
    for each in judged:
        if not confirmed.is_confirmed(each.report):
            found += _of_report(program, each, returned, space)
    refused = guarded.error is not None
    confirms = [(entry, each) for entry in range(len(program.entries)) for each in program.confirms_of(entry)]
    made = [(entry, each, rows) for (entry, each), (_, rows) in zip(confirms, guarded.scored, strict=False)]
    for report in reports:
        if str(report.verdict) in SOUND and STRENGTH.index(str(report.proof)) > STRENGTH.index(program.require):
            found.append(_breach("a", f"{report.verdict} by {report.proof}, but {program.require} is required", report))
    for entry in range(len(program.entries)):
        of_entry = [each for each in judged if each.entry == entry]
        if program.used_as == "wrap" and program.scope == "call":
            # Each call is a separate entry, and the latest one is confirmed.
            of_entry = of_entry[-1:]
        rows = [(each, scored) for number, each, scored in made if number == entry]
        found += _of_entry(program, of_entry, rows, refused=refused)
    return found


def _without_a_name(program: Program, bare: Run, guarded: Run, reports: list[Any]) -> list[Breach]:
    """Names that lack a class of the labels: an error that lists both sides, and no PASS."""
    found = [_breach("a", f"{report.verdict} by names that lack a class", report) for report in reports]
    found = [breach for breach in found if breach.verdict in SOUND]
    error = guarded.error
    names = ("'a', 'b', 'c'", f"({', '.join(map(repr, program.lacking))})", "found 'c'")
    listed = isinstance(error, evalguard.LabelsError) and all(name in str(error) for name in names)
    if not (listed or bare.error is not None or not any(_is_seen(program, call) for call in program.calls)):
        found.append(Breach("b", f"no error lists the names of both sides: {type(error).__name__} {error}"))
    return found


def _of_nothing(report: Any) -> bool:
    """Whether a report is about rows that were confirmed in an entry that returned none."""
    return any("no guarded call returned rows" in note for note in report.not_proven)


@dataclass(frozen=True)
class _Judged:
    """One report, and the calls that it is about, as they really were."""

    entry: int
    numbers: tuple[int, ...]
    report: Any
    seen: tuple[tuple[Call, ...], oracle.Unit | None]


def _calls_of(
    program: Program, numbers: tuple[int, ...], returned: list[Any], report: Any
) -> tuple[tuple[Call, ...], oracle.Unit | None]:
    calls, results = tuple(program.calls[at] for at in numbers), [returned[at] for at in numbers]
    for note in report.not_proven:
        if left_out := re.match(r"(?:a first|the first (\d+)) calls? model\(x\) on .* left out", note):
            for _ in range(int(left_out[1] or 1)):
                calls, results = _without_first(calls, results)
    return calls, oracle.unit(program, calls, results) if numbers else None


def _of_entry(
    program: Program, judged: list[_Judged], made: list[tuple[Confirm, Any]], *, refused: bool
) -> list[Breach]:
    """Laws a and b for what is scored in an entry."""
    found: list[Breach] = []
    units = [(each, *each.seen) for each in judged]
    known = [(each, calls, unit) for each, calls, unit in units if unit is not None and not any(unit.metrics)]
    if not made or len(known) < sum(bool(each.numbers) and not _only_metrics(each) for each in judged):
        return []
    scored = [(confirm, rows, confirmed.values_of(program, rows)) for confirm, rows in made if not _is_error(rows)]
    for confirm, rows in made:
        found += _put_back(program, confirm, rows, known)
    # Calls of several threads have no order in a session, and what no guard saw was not returned by a guarded call.
    threads = program.together or any(call.thread for call in program.calls)
    told = [(each, calls, unit) for each, calls, unit in known if confirmed.is_confirmed(each.report)]
    if known and scored and not told and not (refused or threads):
        return [*found, _breach("a", "no report says what is scored", known[-1][0].report, known[-1][2])]
    for each, calls, unit in told:
        claimed = [
            confirmed.as_claimed(program, confirm, calls, unit, values, str(each.report.proof))
            for confirm, _, values in scored
        ]
        # After the block each confirmation replaces what was judged before.
        if str(each.report.verdict) in SOUND and str(each.report.chain[-1].status) == "not seen":
            found.append(_breach("a", f"{each.report.verdict}, and what is scored was not seen", each.report, unit))
        any_of = len(told) > 1 or made[0][0].where == "after"
        if str(each.report.verdict) in SOUND and not (any if any_of else all)(claimed):
            wrong = [(confirm, values) for (confirm, _, values), true in zip(scored, claimed, strict=True) if not true]
            what = f"{each.report.verdict} by {each.report.proof} though scored is {wrong}"
            found.append(_breach("a", what, each.report, unit))
        right = not threads and confirmed.covers(program, unit)
        right = right and all(
            confirmed.right(program, confirm, calls[0], values)
            and confirmed.right_labels(program, confirm)
            and confirmed.right_weights(program, confirm)
            for confirm, _, values in scored
        )
        verdict = str(each.report.verdict)
        altered = any(str(finding.reason) == "altered" for finding in each.report.findings)
        named = any(call.named for call in calls) and program.identity == "none"
        if verdict == "FAIL" and right and _observable(program, calls) and not (altered or named):
            reasons = [f"{finding.reason}: {finding.count}" for finding in each.report.findings]
            found.append(_breach("b", f"FAIL of right rows that are scored: {reasons}", each.report, unit))
        plain = right and all(confirmed.is_plain(program, confirm, calls) for confirm, _, _ in scored)
        if verdict not in SOUND and plain:
            found.append(_breach("b", f"{verdict} of right rows that are scored, with a reference", each.report, unit))
    return found


def _only_metrics(judged: _Judged) -> bool:
    return all(call.method in METRICS for call in judged.seen[0])


def _is_error(rows: Any) -> bool:
    return isinstance(rows, ValueError)


def _put_back(
    program: Program, confirm: Confirm, rows: Any, known: list[tuple[_Judged, tuple[Call, ...], oracle.Unit]]
) -> list[Breach]:
    """What ``put_back`` gives, or refuses to give."""
    if not confirm.put_back or not known:
        return []
    judged, calls, unit = known[-1]
    if _is_error(rows):
        plain = confirmed.is_plain(program, confirm, calls) and confirmed.each_label_once(program, calls, unit)
        # A function of a sample's number does not say how many there are, and labels that come late are not there yet.
        counted = program.labels != "late" or program.identity != "reference_function"
        whole = len(confirm.of) in {0, len(calls)} and len(known) == 1 and counted
        return [_breach("b", f"put_back refuses: {rows}", judged.report, unit)] if plain and whole else []
    right = confirmed.right(program, confirm, calls[0], confirmed.values_of(program, rows))
    observed = program.identity in {"reference", "reference_function", "collected", "index", "key", "key_function"}
    unlike = any(call.scale != 1 for call in calls) and program.identity in {"reference", "reference_function"}
    unlike |= any(call.scale != 1 for call in calls) and program.identity == "collected"
    if observed and not right and not unlike and not any(call.reused or call.moving for call in calls):
        return [_breach("a", "put_back gives rows that are not those of the labels", judged.report, unit)]
    return []


def _of_loops(program: Program, guarded: Run, reports: list[Any]) -> list[Breach]:
    """Laws a and b for loops that are given their labels: each entry has one report."""
    if guarded.error is not None:
        return []
    if len(reports) != len(program.entries):
        # Two methods, one of which returns a row for each label by itself, are two evaluations.
        several = [at for at, entry in enumerate(program.entries) if len({call.method for call in entry}) > 1]
        if several and len(reports) > len(program.entries):
            both = [loops.seen(program, program.entries[at], guarded.given[at]) for at in several]
            # Each may predict all that both were given, as where both repeat the batch that the other was given, too.
            if all(each.rows == each.given * 2 for each in both) or any(
                str(each.verdict) not in SOUND for each in reports
            ):
                return []
        return [Breach("reports", f"{len(reports)} reports for {len(program.entries)} entries with loops")]
    found = []
    scored = list(guarded.scored)
    for number, (entry, report) in enumerate(zip(program.entries, reports, strict=True)):
        seen = loops.seen(program, entry, guarded.given[number])
        verdict, proof = str(report.verdict), str(report.proof)
        confirms = program.confirms_of(number)
        made = [
            (confirm, confirmed.values_of(program, rows))
            for confirm, (of, rows) in zip(confirms, [each for each in scored if each[0] == number], strict=True)
            if of == number
        ]
        claimed = len(seen.rows) == len(seen.given) if proof == "count" else seen.right
        for confirm, rows in made:
            claimed = proof == "count" or rows == seen.given
            claimed = claimed and len(rows) == len(seen.given) and loops.right_labels(confirm, seen)
        right = all(rows == seen.given and loops.right_labels(each, seen) for each, rows in made)
        right = seen.right and right
        what = f"{verdict} by {proof} of a loop: predicted {seen.rows}, scored {made}, was given {seen.given}"
        if verdict in SOUND and not claimed:
            found.append(_breach("a", what, report))
        if verdict in SOUND and STRENGTH.index(proof) > STRENGTH.index(program.require):
            found.append(_breach("a", f"{verdict} by {proof}, but {program.require} is required", report))
        plain = loops.is_plain(program, entry, confirms)
        if right and (verdict == "FAIL" or (plain and verdict not in SOUND)):
            reasons = [f"{finding.reason}: {finding.count}" for finding in report.findings]
            found.append(_breach("b", f"{reasons}: {what}", report))
    return found


def _of_report(program: Program, judged: _Judged, returned: list[Any], space: Any) -> list[Breach]:
    numbers, report, (calls, unit) = judged.numbers, judged.report, judged.seen
    if not numbers:
        sound = str(report.verdict) in SOUND
        return [_breach("a", "sound though no call was guarded", report)] if sound else []
    if unit is None:
        return []
    if program.scope == "parts":
        return _of_parts(program, calls, report, unit)
    verdict, proof = str(report.verdict), str(report.proof)
    if verdict in SOUND and _hides_weights(calls, report):
        return [_breach("a", f"{verdict} by {proof}, with the weights of other rows", report, unit)]
    if verdict in SOUND:
        if verdict == "REPAIRED" and program.model not in NAMING:
            # The index of these labels names the next sample, whose rows were put beside them.
            if program.index in {"offset", "next_time"} or oracle.outputs_right(
                program, calls[0], returned[numbers[0]]
            ):
                return []
            return [_breach("a", f"REPAIRED by {proof}, with other outputs", report, unit)]
        if program.model == "inner_reverse" and report.chain[2].status != "declared":
            return [_breach("a", f"{verdict}: no report says that the model is taken to be row-wise", report, unit)]
        if program.model == "inner_reverse" and verdict == "REPAIRED":
            # The rows that it reversed were moved since, and their outputs do not say from where.
            return []
        # What was repaired is claimed of the rows that came back, whatever proof says how they were known.
        # An index on both sides shows which sample each row is, as long as frames are passed.
        named = program.index == "same" and all(call.source == "frame" for call in calls)
        claimed = "identity" if verdict == "REPAIRED" or (named and proof != "count") else proof
        if program.classes == "permuted" and any(call.y in {"late", "label_order"} for call in calls):
            # The number of the next sample's class is that of the sample's own under these names.
            return []
        if program.index in {"offset", "next_time"} and unit.rows == tuple(range(1, program.n + 1)):
            # The index of the labels names the next sample, and these are the rows.
            return []
        if program.classes == "unsorted" and proof == "labels":
            # Under the order of names that the report says it assumed, other rows may have these labels.
            return []
        # Rows that were never predicted are read from their place, which is all that is known there.
        by_place = verdict == "REPAIRED" and proof == "declared"
        if not (
            oracle.in_array_order(program, calls[0], unit) if by_place else oracle.as_claimed(program, unit, claimed)
        ):
            return [_breach("a", f"{verdict} by {proof}: rows {unit.rows}", report, unit)]
        shown = all(call.y == "same" for call in calls) and not any(
            call.method in LOOPS or (call.source in ARRAYS and call.method == "predict") for call in calls
        )
        if program.classes == "from_one" or (program.classes == "permuted" and shown):
            return [_breach("a", f"{verdict} by {proof}, but the classes are numbered otherwise", report, unit)]
        wrong = _wrong_labels(program, space)
        if wrong:
            return [_breach("a", f"{verdict} by {proof}, but the labels are {wrong}", report, unit)]
    if verdict == "FAIL" and oracle.right(program, unit) and _observable(program, calls):
        overwritten = any(call.reused or call.moving for call in calls)
        reasons = {str(finding.reason) for finding in report.findings}
        if overwritten and reasons & {"altered", "label_disagreement"}:
            # Two readings of that memory differed, and nobody knows which one the model made: right by luck. What came
            # beside the inputs may have been overwritten alone, before it was read for the first time.
            return []
        counted = [f"{finding.reason}: {finding.count}" for finding in report.findings]
        return [_breach("b", f"FAIL of right rows: {counted}", report, unit)]
    return []


def _of_parts(program: Program, calls: tuple[Call, ...], report: Any, unit: oracle.Unit) -> list[Breach]:
    """Laws a and b for parts that were not confirmed: nothing shows which row is scored where."""
    verdict, proof = str(report.verdict), str(report.proof)
    all_answered = confirmed.covers(program, unit)
    if verdict in SOUND and _hides_weights(calls, report):
        return [_breach("a", f"{verdict} by {proof} of parts, with the weights of other rows", report, unit)]
    if verdict in SOUND:
        # What was scored are the stream's own pairs, each sample at least once.
        pairs = all(unit.metrics) and unit.y is not None and oracle.NO_TARGET not in unit.y
        targets = Counter(oracle.target(program, sample) for sample in unit.y or () if pairs)
        if proof == "labels":
            values = [oracle.value(program, sample) for sample in unit.rows]
            pairs = pairs and Counter(oracle.target(program, sample) for sample in range(program.n)) <= targets
            pairs = pairs and (len(set(values)) == len(values) or program.has_twins or all_answered)
        else:
            pairs = pairs and all_answered
            pairs = pairs and all(
                oracle.target(program, one) == oracle.target(program, other)
                for one, other in zip(unit.rows, unit.y or (), strict=True)
            )
        if not pairs and not (all(unit.metrics) and proof == "count" and len(unit.rows) >= program.n):
            return [_breach("a", f"{verdict} by {proof} of parts: rows {unit.rows}", report, unit)]
    known = all(0 <= sample < program.n for sample in unit.rows) and not any(
        call.reused or call.moving for call in calls
    )
    # The override moved rows, and which of two equal ones a row is then is not known.
    told_apart = not (program.model == "reversing" and program.has_twins)
    # What the caller says the rows are is contradicted by the stream's own targets.
    misnamed = any(call.named and call.named != tuple(chain(*call.parts)) for call in calls)
    # Or they are equal to samples that it did not name.
    named = set(chain(*(call.named or range(program.n) for call in calls)))
    misnamed = misnamed or len(named) < program.n
    known = known and not misnamed
    if verdict == "FAIL" and all_answered and known and told_apart and _observable(program, calls):
        reasons = [f"{finding.reason}: {finding.count}" for finding in report.findings]
        return [_breach("b", f"FAIL of parts that answer every label: {reasons}", report, unit)]
    return []


def _without_first(calls: tuple[Call, ...], results: list[Any]) -> tuple[tuple[Call, ...], list[Any]]:
    """A loop without its first batch, which the report says is not judged."""
    first, *parts = calls[0].parts
    if not parts:
        return calls[1:], results[1:]
    left = [part[len(first) :] for part in results[0]] if isinstance(results[0], list) else results[0][len(first) :]
    return (replace(calls[0], parts=tuple(parts)), *calls[1:]), [left, *results[1:]]


def _wrong_labels(program: Program, space: dict[str, Any]) -> Any:
    """Collected labels that are not those of the samples; empty where they are."""
    if program.labels != "collected":
        return None
    values = np.asarray(space["labels"].values, float)
    wanted = [oracle.target(program, sample) for sample in range(program.n)]
    return None if values.tolist() == wanted else values.tolist()


def _hides_weights(calls: tuple[Call, ...], report: Any) -> bool:
    """Whether rows were scored with the weights of others, and no link says that weights are declared."""
    link = report.chain[-1]
    return any(call.weights == "moved" for call in calls) and not (
        str(link.status) == "declared" and "sample weight" in link.basis
    )


def _observable(program: Program, calls: tuple[Call, ...]) -> bool:
    """Whether what the caller asked to be compared can be compared."""
    if any(call.y == "late" or call.weights == "moved" for call in calls) or program.classes in {
        "permuted",
        "from_one",
    }:
        return False
    if program.has_twins and program.identity == "none" and any(call.lie != "none" for call in calls):
        # The targets of equal inputs are exchanged, and nothing was given that shows that the inputs are equal.
        return not any(call.y == "same" for call in calls)
    if program.identity == "key_padded":
        return False
    if program.identity == "pandas" and program.index not in {"same", "default", "text"}:
        # What names other samples contradicts the place; times may be those of other steps, all by one offset.
        return "time" in program.index and all(call.lie == "none" for call in calls)
    # A stated sample or key is another one, also where its inputs are equal.
    named = program.identity == "index" or program.keyed or program.index == "same"
    if named and program.has_twins:
        return all(call.lie == "none" for call in calls)
    content = program.identity in {"reference", "reference_function"} or program.labels == "collected"
    if content and any(call.scale != 1 for call in calls):
        return False
    # A stream whose targets contradict the labels contradicts them, whatever its inputs are.
    return not any(call.y == "label_order" and call.lie != "none" for call in calls)


def _breach(law: str, what: str, report: Any, unit: oracle.Unit | None = None) -> Breach:
    used = tuple(item["identity"] for item in report.identities if item.get("used"))
    return Breach(law, what, str(report.verdict), str(report.proof), used, unit)
