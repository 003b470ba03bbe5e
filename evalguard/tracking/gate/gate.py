"""The gate: may this model be promoted? Only if every evaluation in question is proven, by its record.

Tags say where to look; what counts is the record that they name by its digest.
An unguarded run, a run still PENDING, a tag or a metric set by hand do not pass.
A digest is no signature: who can write to the server can forge a whole record.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

from evalguard.core.policy import Proof, Require, check_word
from evalguard.errors import ConfigError, SinkError
from evalguard.tracking.gate import attestation
from evalguard.tracking.gate.record_check import contradictions
from evalguard.tracking.lineage import Lineage, lineage
from evalguard.tracking.slots import FOLDER, MAX_TAG, Slot, run_tags, slots, worst
from evalguard.tracking.store import Store, quoted

ACCEPTABLE = ("PASS", "REPAIRED")
UNGUARDED, REFUSED = "UNGUARDED", "REFUSED"
TIMEOUT_S = 30.0
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
# Two clocks may differ by this; a record from further ahead has no known age.
CLOCK_MS = 5 * 60 * 1000

Moment = str | datetime | timedelta | float
Age = str | timedelta | float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One evaluation that the gate looked at.

    Attributes:
        run_id: Its run.
        name: Its slot in that run.
        verdict: What its tag says.
        proof: What was shown.
        labels: Digest of the labels.
        model: The model it says it is of; empty where it does not say.
        checked_at_ms: When it was judged, milliseconds since the epoch.
        refused: Why it does not pass; empty if it does.
    """

    run_id: str
    name: str
    verdict: str
    proof: str = ""
    labels: str = ""
    model: str = ""
    checked_at_ms: int = 0
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GateResult:
    """Whether the gate is open, and why not.

    Attributes:
        asked: What was asked about.
        passed: Every evaluation in question is proven, and there is one.
        evaluations: The evaluations in question.
        unguarded: Runs in question without any guarded evaluation.
        superseded: Evaluations of the same name and labels that a later one replaces.
        reasons: Why the gate is closed; empty if it is open.
        files: With ``attestation``: each file at hand → the subject that it is.
        unchecked: With ``attestation``: subjects that no file at hand is.
        not_tagged: Why the model version was not tagged although that was asked
            for; empty if it was.
    """

    asked: str
    passed: bool
    evaluations: tuple[Evaluation, ...] = ()
    unguarded: tuple[str, ...] = ()
    superseded: tuple[Evaluation, ...] = ()
    reasons: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    unchecked: tuple[str, ...] = ()
    not_tagged: str = ""

    def __bool__(self) -> bool:
        """Whether the gate is open."""
        return self.passed

    @property
    def verdict(self) -> str:
        """One word for a tag: a verdict, UNGUARDED, or REFUSED where a good verdict alone would mislead."""
        if not self.evaluations:
            return UNGUARDED
        shown_verdict = worst({f"{item.run_id}/{item.name}": _slot_of(item) for item in self.evaluations})["verdict"]
        return shown_verdict if self.passed or shown_verdict not in ACCEPTABLE else REFUSED

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {**asdict(self), "verdict": self.verdict}

    def to_json(self) -> str:
        """As JSON, ending in a newline."""
        return json.dumps(self.to_dict(), indent=2, sort_keys=True) + "\n"


@dataclass(frozen=True, slots=True)
class _Demand:
    """What each evaluation must be."""

    accept: tuple[str, ...]
    require: Require
    labels: tuple[str, ...]
    not_before_ms: int
    now_ms: int


@dataclass(slots=True)
class _Question:
    """Which evaluations are asked about: run and slot, and what is wrong besides."""

    asked: str
    found: list[tuple[Any, Slot]] = field(default_factory=list)
    unguarded: list[str] = field(default_factory=list)
    superseded: list[tuple[Any, Slot]] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)


def gate(
    *,
    model: str | None = None,
    run: str | None = None,
    experiment: str | None = None,
    since: Moment | None = None,
    attestation: str | Path | None = None,
    files: Sequence[str | Path] = (),
    accept: Sequence[str] = ("PASS",),
    require: Require = "labels",
    labels_digest: str | Sequence[str] | None = None,
    max_age: Age | None = None,
    tracking_uri: str | None = None,
    tag_version: bool = False,
    timeout_s: float = TIMEOUT_S,
) -> GateResult:
    """Ask whether every evaluation in question is proven. Moves no alias.

    Args:
        model: ``models:/NAME/VERSION``: all evaluations that name this version
            or its logged model, and those of the run that logged it, if that
            run logged no other. Of several of one name and on the same labels
            the latest counts.
        run: Run id: the evaluations of this run and of the runs nested in it.
        experiment: Name of an experiment: those of all its runs.
        since: With ``experiment``: runs that started since then; a date, or an
            age such as ``7d``.
        attestation: Path of an ``attestation.json``: the evaluation that it
            states, if each of ``files`` is one that it is about. MLflow is not
            asked. Whether the statement is genuine is for who signed it.
        files: With ``attestation``: model, labels, predictions as they are at
            hand. Arrays are compared as ``numpy.save`` writes them, whether
            they are in a ``.npy``, ``.npz`` or ``.parquet`` file.
        accept: Verdicts that may pass besides PASS: ``REPAIRED``.
        require: The weakest proof that may pass. An evaluation that was guarded
            with ``require="count"`` is a PASS with less, and is refused.
        labels_digest: Digest, or digests, that the labels must have.
        max_age: Oldest evaluation that may pass: ``12h``, ``30d``, seconds.
        tracking_uri: Store; by default MLflow's own.
        tag_version: With ``model``: write the outcome to the model version's tags.
        timeout_s: Longest wait for one answer, seconds.

    Returns:
        The result; it is true exactly if the gate is open.

    Raises:
        ConfigError: What is asked about does not exist, or an option is wrong.
        SinkError: MLflow could not be asked.
    """
    asked = {"model": model, "run": run, "experiment": experiment, "attestation": attestation}
    _check_options(asked, since, files, tag_version=tag_version)
    now_ms = int(time.time() * 1000)
    not_before_ms = 0 if max_age is None else now_ms - _milliseconds(max_age, "max_age")
    digests = (labels_digest,) if isinstance(labels_digest, str) else tuple(labels_digest or ())
    check_word("require", require, get_args(Require))
    demand = _Demand(_accepted(accept), require, digests, not_before_ms, now_ms)
    if attestation is not None:
        return _about_statement(attestation, files, demand)
    store = Store(tracking_uri, timeout_s)
    if model is not None:
        question = _about_model(store, model)
    elif run is not None:
        question = _about_run(store, run)
    else:
        question = _about_experiment(store, str(experiment), _since_ms(since, now_ms))
    result = _answer(store, question, demand)
    if tag_version and model is not None:
        return _tag_version(store, model, result)
    return result


def _check_options(
    asked: Mapping[str, object], since: Moment | None, files: Sequence[str | Path], *, tag_version: bool
) -> None:
    given = [name for name, value in asked.items() if value]
    if len(given) != 1:
        msg = f"gate: expected one of model, run, experiment and attestation; found {' and '.join(given) or 'none'}"
        raise ConfigError(msg)
    if since is not None and given != ["experiment"]:
        msg = "gate: since goes with experiment; use max_age for the age of evaluations"
        raise ConfigError(msg)
    if tag_version and given != ["model"]:
        msg = "gate: tag_version goes with model: nothing else has a version"
        raise ConfigError(msg)
    if bool(files) != (given == ["attestation"]):
        msg = "gate: expected attestation together with the files at hand (model, labels, predictions); found one alone"
        raise ConfigError(msg)


def _accepted(accept: Sequence[str]) -> tuple[str, ...]:
    words = (accept,) if isinstance(accept, str) else tuple(accept)
    unknown = [str(word) for word in words if word not in ACCEPTABLE]
    if unknown:
        msg = f"accept: expected PASS or REPAIRED; found {', '.join(unknown)[:60]!r}. What is not proven cannot pass."
        raise ConfigError(msg)
    return tuple(dict.fromkeys(("PASS", *map(str, words))))


def _milliseconds(age: Age, option: str) -> int:
    if isinstance(age, timedelta):
        return int(age.total_seconds() * 1000)
    if isinstance(age, (int, float)):
        return int(age * 1000)
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhdw])", age.strip())
    if match is None:
        msg = f"{option}: expected a number and one of s, m, h, d, w, such as 30d; found {age[:40]!r}"
        raise ConfigError(msg)
    return int(float(match[1]) * UNITS[match[2]] * 1000)


def _since_ms(since: Moment | None, now_ms: int) -> int:
    if since is None:
        return 0
    if isinstance(since, str):
        try:
            since = datetime.fromisoformat(since)
        except ValueError:
            return now_ms - _milliseconds(str(since), "since")
    if isinstance(since, datetime):
        moment = since if since.tzinfo is not None else since.replace(tzinfo=UTC)
        return int(moment.timestamp() * 1000)
    return now_ms - _milliseconds(since, "since")


# -- which evaluations -------------------------------------------------------------


def _about_model(store: Store, model: str) -> _Question:
    name, version = _version(model)
    found = store.named(model, "get_model_version", name, version)
    known = _lineage(store, found)
    question = _Question(model)
    seen: dict[str, Any] = {}
    for word in known.names:
        seen |= {run.info.run_id: run for run in store.runs(f"tags.`{FOLDER}.model` LIKE {quoted(f'%{word}%')}")}
    linked = [
        (run, slot) for run in seen.values() for slot in slots(run.data.tags).values() if slot["model"] in known.names
    ]
    linked += _of_its_own_run(store, question, found, known)
    question.found, question.superseded = _latest(linked)
    if found.run_id and all(slot.is_validation for _, slot in linked):
        question.unguarded.append(found.run_id)
    return question


def _lineage(store: Store, version: Any) -> Lineage:
    return lineage(lambda *at: store.ask("get_model_version", *at), version.name, str(version.version))


def _version(model: str) -> tuple[str, str]:
    match = re.fullmatch(r"models:/([^/]+)/(\d+)", model)
    if match is None:
        msg = f"model: expected models:/NAME/VERSION with a number (an alias may move); found {model[:80]!r}"
        raise ConfigError(msg)
    return match[1], match[2]


def _of_its_own_run(store: Store, question: _Question, version: Any, known: Lineage) -> list[tuple[Any, Slot]]:
    """Evaluations, in the run that logged the model, that do not say which model they are of."""
    try:
        run = store.ask("get_run", version.run_id) if version.run_id else None
    except LookupError:
        return []
    silent = [(run, slot) for slot in slots(run.data.tags).values() if not slot["model"]] if run else []
    if silent and _logged_others(store, run, known):
        question.reasons.append(
            f"run {version.run_id} logged several models, and {', '.join(slot.name for _, slot in silent)} "
            "does not say which one it is of: name the model where it is evaluated"
        )
    return silent


def _logged_others(store: Store, run: Any, known: Lineage) -> bool:
    outputs = getattr(run, "outputs", None)
    logged = {item.model_id for item in (outputs.model_outputs if outputs else ())}
    logged |= {_lineage(store, item).origin for item in store.versions_of_run(run.info.run_id)}
    return len(logged - {known.origin}) > 0


def _latest(linked: list[tuple[Any, Slot]]) -> tuple[list[tuple[Any, Slot]], list[tuple[Any, Slot]]]:
    """Of evaluations of one name on the same labels, in several runs, the latest; and those before it."""
    chosen: dict[tuple[str, str], tuple[Any, Slot]] = {}
    before = []
    for item in sorted(linked, key=lambda item: (item[1].checked_at_ms, item[0].info.run_id)):
        key = (item[1].name, item[1]["labels"])
        if key in chosen:
            before.append(chosen[key])
        chosen[key] = item
    return list(chosen.values()), before


def _about_run(store: Store, run_id: str) -> _Question:
    run = store.named(f"run {run_id}", "get_run", run_id)
    question = _Question(f"run {run_id}")
    if run.info.lifecycle_stage != "active":
        question.reasons.append(f"run {run_id} is deleted")
    runs, level = {run_id: run}, [run_id]
    while level:
        nested = [found for parent in level for found in store.runs(f"tags.`mlflow.parentRunId` = {quoted(parent)}")]
        level = [found.info.run_id for found in nested if found.info.run_id not in runs]
        runs |= {found.info.run_id: found for found in nested}
    return _about_runs(question, runs)


def _about_experiment(store: Store, name: str, since_ms: int) -> _Question:
    found = store.named(f"an experiment named {name!r}", "get_experiment_by_name", name)
    runs = store.runs(f"attributes.start_time >= {since_ms}", [found.experiment_id])
    question = _about_runs(_Question(f"experiment {name}"), {run.info.run_id: run for run in runs})
    if not runs:
        question.reasons.append(f"experiment {name} has no run since then")
    return question


def _about_runs(question: _Question, runs: Mapping[str, Any]) -> _Question:
    """Every evaluation of these runs, and those of them that nobody guarded."""
    present = {run_id: slots(run.data.tags) for run_id, run in runs.items()}
    guarded = {run_id: any(not slot.is_validation for slot in found.values()) for run_id, found in present.items()}
    question.found += [(runs[run_id], slot) for run_id, found in present.items() for slot in found.values()]
    parents = {run_id: run.data.tags.get("mlflow.parentRunId") for run_id, run in runs.items()}
    for run_id in present:
        # A run with nested ones stands for them: they are guarded, or listed themselves.
        if guarded[run_id] or run_id in parents.values() or _guarded_above(run_id, parents, guarded):
            continue
        question.unguarded.append(run_id)
    for run_id, run in runs.items():
        told = run_tags(present[run_id]) if present[run_id] else {}
        if any(run.data.tags.get(name) != value for name, value in told.items()):
            question.reasons.append(f"run {run_id}: its tags {FOLDER}.* do not follow from its evaluations; edited?")
    return question


def _guarded_above(run_id: str, parents: Mapping[str, str | None], guarded: Mapping[str, bool]) -> bool:
    seen = {run_id}
    parent = parents.get(run_id)
    while parent is not None and parent in parents and parent not in seen:
        if guarded[parent]:
            return True
        seen.add(parent)
        parent = parents[parent]
    return False


# -- what they are worth -------------------------------------------------------------


def _answer(store: Store, question: _Question, demand: _Demand) -> GateResult:
    evaluations = tuple(_judged(store, run, slot, demand) for run, slot in question.found)
    reasons = list(question.reasons)
    reasons += [f"run {run_id} has no guarded evaluation" for run_id in question.unguarded]
    reasons += [f"{item.name} in run {item.run_id}: {why}" for item in evaluations for why in item.refused]
    if all(slot.is_validation for _, slot in question.found):
        reasons.append(f"{question.asked} has no guarded evaluation: no evidence is not a pass")
    return GateResult(
        asked=question.asked,
        passed=not reasons,
        evaluations=evaluations,
        unguarded=tuple(question.unguarded),
        superseded=tuple(_evaluation(run, slot, ()) for run, slot in question.superseded),
        reasons=tuple(reasons),
    )


def _about_statement(path: str | Path, files: Sequence[str | Path], demand: _Demand) -> GateResult:
    statement = attestation.read(path)
    compared = attestation.compare(statement, files)
    notes = statement.notes
    fields = {name: notes.get(name, "") for name in ("verdict", "proof", "labels", "checked_at_ms")}
    slot = Slot(notes.get("evaluation", ""), fields)
    refused = [*_refusals(slot, demand), *attestation.inconsistencies(statement)]
    evaluation = Evaluation(
        "", slot.name, slot["verdict"], slot["proof"], slot["labels"], "", slot.checked_at_ms, tuple(refused)
    )
    reasons = [f"{slot.name}: {why}" for why in refused]
    reasons += [f"{file}: none of the files that were judged, or changed since" for file in compared.strangers]
    return GateResult(
        asked=f"attestation {path}",
        passed=not reasons,
        evaluations=(evaluation,),
        reasons=tuple(reasons),
        files=compared.matched,
        unchecked=compared.unchecked,
    )


def _evaluation(run: Any, slot: Slot, refused: Sequence[str]) -> Evaluation:
    return Evaluation(
        run.info.run_id,
        slot.name,
        slot["verdict"],
        slot["proof"],
        slot["labels"],
        slot["model"],
        slot.checked_at_ms,
        tuple(refused),
    )


def _slot_of(item: Evaluation) -> Slot:
    return Slot(item.name, {"verdict": item.verdict, "checked_at_ms": str(item.checked_at_ms)})


def _judged(store: Store, run: Any, slot: Slot, demand: _Demand) -> Evaluation:
    refused = _refusals(slot, demand)
    if slot["verdict"] in demand.accept:
        refused += contradictions(store, run.info.run_id, slot)
    return _evaluation(run, slot, refused)


def _refusals(slot: Slot, demand: _Demand) -> list[str]:
    if slot["verdict"] in demand.accept:
        return _unmet(slot, demand)
    why = f" ({slot['reason']})" if slot["reason"] else ""
    return [f"the verdict is {slot['verdict'] or 'missing'}{why}"]


def _unmet(slot: Slot, demand: _Demand) -> list[str]:
    """What was asked for and is not so."""
    unmet = []
    # Record and report say the same as the tag, or it is refused for that: see `contradictions`.
    if _level(slot["proof"]) < _level(demand.require):
        unmet.append(f"proof {slot['proof'] or 'missing'}, weaker than {demand.require}")
    if demand.labels and slot["labels"] not in demand.labels:
        unmet.append(f"judged against labels {slot['labels'] or 'unknown'}, asked for {' or '.join(demand.labels)}")
    if demand.not_before_ms and slot.checked_at_ms < demand.not_before_ms:
        days = (demand.now_ms - slot.checked_at_ms) / 86_400_000
        unmet.append(f"judged {days:.1f} days ago, older than allowed")
    if slot.checked_at_ms > demand.now_ms + CLOCK_MS:
        unmet.append("judged in the future: its age is not known")
    return unmet


def _level(proof: str) -> Proof:
    """How strong a proof is; what is no word of ours shows nothing."""
    return {level.label: level for level in Proof}.get(proof, Proof.NONE)


def _tag_version(store: Store, model: str, result: GateResult) -> GateResult:
    """Write the outcome where the registry's table shows it; what was judged stands, written or not."""
    name, version = _version(model)
    refused = [f"{item.name}: {why}" for item in result.evaluations for why in item.refused]
    last = max((item.checked_at_ms for item in result.evaluations), default=0)
    tags = {
        "verdict": result.verdict,
        # The table shows few characters: what is wrong first, without the run's id.
        "reason": "" if result else (*refused, *result.reasons)[0],
        "checked_at_ms": str(last),
        "runs": ",".join(sorted({item.run_id for item in result.evaluations})),
    }
    try:
        present = store.ask("get_model_version", name, version).tags
        for field_name, value in tags.items():
            key = f"{FOLDER}.{field_name}"
            if value:
                store.ask("set_model_version_tag", name, version, key, value[:MAX_TAG])
            elif key in present:
                store.ask("delete_model_version_tag", name, version, key)
    except (LookupError, SinkError) as error:
        return replace(result, not_tagged=str(error))
    return result
