"""The gate: may this model be promoted? Only if every evaluation in question is proven, by its record.

Tags say where to look; what counts is the record that they name by its digest.
An unguarded run, a run still PENDING, a tag or a metric set by hand do not pass.
A digest is no signature: who can write to the server can forge a whole record.
"""

from __future__ import annotations

import json
import re
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from evalguard.core.report import Report
from evalguard.errors import ConfigError, SinkError
from evalguard.sinks.delivery import Courier, NotInTime
from evalguard.sinks.sending import RECORD_FILE, StoreGoneError, client_of, record_digest, short, shown
from evalguard.sinks.tags import FOLDER, MAX_TAG, Slot, run_tags, slots, worst

ACCEPTABLE = ("PASS", "REPAIRED")
UNGUARDED, REFUSED = "UNGUARDED", "REFUSED"
PAGE = 1000
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
    """

    asked: str
    passed: bool
    evaluations: tuple[Evaluation, ...] = ()
    unguarded: tuple[str, ...] = ()
    superseded: tuple[Evaluation, ...] = ()
    reasons: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether the gate is open."""
        return self.passed

    @property
    def verdict(self) -> str:
        """One word for the model version's tag: a verdict, UNGUARDED, or REFUSED where a verdict alone would mislead."""
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
    accept: Sequence[str] = ("PASS",),
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
        accept: Verdicts that may pass besides PASS: ``REPAIRED``.
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
    _check_options(model, run, experiment, since, tag_version=tag_version)
    now_ms = int(time.time() * 1000)
    not_before_ms = 0 if max_age is None else now_ms - _milliseconds(max_age, "max_age")
    digests = (labels_digest,) if isinstance(labels_digest, str) else tuple(labels_digest or ())
    demand = _Demand(_accepted(accept), digests, not_before_ms, now_ms)
    store = _Store(tracking_uri, timeout_s)
    if model is not None:
        question = _about_model(store, model)
    elif run is not None:
        question = _about_run(store, run)
    else:
        question = _about_experiment(store, str(experiment), _since_ms(since, now_ms))
    result = _answer(store, question, demand)
    if tag_version and model is not None:
        _tag_version(store, model, result)
    return result


def _check_options(
    model: str | None, run: str | None, experiment: str | None, since: Moment | None, *, tag_version: bool
) -> None:
    given = [name for name, value in (("model", model), ("run", run), ("experiment", experiment)) if value]
    if len(given) != 1:
        msg = f"gate: expected one of model, run and experiment; found {' and '.join(given) or 'none'}"
        raise ConfigError(msg)
    if since is not None and experiment is None:
        msg = "gate: since goes with experiment; use max_age for the age of evaluations"
        raise ConfigError(msg)
    if tag_version and model is None:
        msg = "gate: tag_version goes with model: a run has no version"
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


# -- asking MLflow ---------------------------------------------------------------


class _Store:
    """An MLflow client of which every answer has a deadline."""

    def __init__(self, tracking_uri: str | None, timeout_s: float) -> None:
        if tracking_uri is None:
            import mlflow

            tracking_uri = mlflow.get_tracking_uri()
        self.tracking_uri = tracking_uri
        self._timeout_s = timeout_s
        self._courier = Courier(tracking_uri)
        try:
            self._client = client_of(tracking_uri)
        except StoreGoneError as error:
            msg = f"gate: {error}"
            raise SinkError(msg) from error

    def ask(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of the client.

        Raises:
            LookupError: MLflow says that there is no such thing.
            SinkError: It gave no answer, or another error.
        """
        answer: list[Any] = []
        where = f"MLflow at {shown(self.tracking_uri)}"
        try:
            self._courier.do(lambda: answer.append(getattr(self._client, method)(*args, **kwargs)), self._timeout_s)
        except NotInTime:
            msg = f"gate: {where} did not answer within {self._timeout_s:g} s"
            raise SinkError(msg) from None
        except Exception as error:
            if getattr(error, "error_code", "") in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
                raise LookupError(short(error)) from error
            msg = f"gate: {where} could not be asked: {short(error)}"
            raise SinkError(msg) from error
        return answer[0]

    def named(self, what: str, method: str, *args: Any) -> Any:
        """What the caller named.

        Raises:
            ConfigError: It is not there.
        """
        try:
            found = self.ask(method, *args)
        except LookupError as error:
            msg = f"gate: expected {what} at {shown(self.tracking_uri)}, found none: {error}"
            raise ConfigError(msg) from error
        if found is None:
            msg = f"gate: expected {what} at {shown(self.tracking_uri)}, found none"
            raise ConfigError(msg)
        return found

    def runs(self, text: str, experiment_ids: Sequence[str] | None = None) -> list[Any]:
        """All active runs that a filter finds; in every experiment, unless some are named."""
        if experiment_ids is None:
            experiment_ids = [item.experiment_id for item in self._pages("search_experiments")]
        return list(self._pages("search_runs", list(experiment_ids), filter_string=text))

    def _pages(self, method: str, *args: Any, **kwargs: Any) -> Iterable[Any]:
        token = None
        while True:
            page = self.ask(method, *args, max_results=PAGE, page_token=token, **kwargs)
            yield from page
            token = page.token
            if not token:
                return

    def versions_of_run(self, run_id: str) -> list[Any]:
        """Model versions that were made from a run."""
        return list(self._pages("search_model_versions", filter_string=f"run_id = {_quoted(run_id)}"))

    def content(self, run_id: str, path: str) -> bytes:
        """One artifact.

        Raises:
            LookupError: It is not there.
            SinkError: It could not be read.
        """
        with tempfile.TemporaryDirectory(prefix="evalguard-") as folder:
            found = Path(self.ask("download_artifacts", run_id, path, folder))
            return found.read_bytes()


def _quoted(text: str) -> str:
    """Text for a filter of MLflow, which has no escapes."""
    for quote in ("'", '"'):
        if quote not in text:
            return f"{quote}{text}{quote}"
    msg = f"gate: a name with both kinds of quotes cannot be searched for: {text[:60]!r}"
    raise ConfigError(msg)


# -- which evaluations -------------------------------------------------------------


def _about_model(store: _Store, model: str) -> _Question:
    name, version = _version(model)
    found = store.named(model, "get_model_version", name, version)
    names = {f"models:/{name}/{version}", str(found.model_id or "")} - {""}
    question = _Question(model)
    seen: dict[str, Any] = {}
    for word in names:
        seen |= {run.info.run_id: run for run in store.runs(f"tags.`{FOLDER}.model` LIKE {_quoted(f'%{word}%')}")}
    linked = [(run, slot) for run in seen.values() for slot in slots(run.data.tags).values() if slot["model"] in names]
    if found.run_id:
        linked += _of_its_own_run(store, question, found, names)
    question.found, question.superseded = _latest(linked)
    return question


def _version(model: str) -> tuple[str, str]:
    match = re.fullmatch(r"models:/([^/]+)/(\d+)", model)
    if match is None:
        msg = f"model: expected models:/NAME/VERSION with a number (an alias may move); found {model[:80]!r}"
        raise ConfigError(msg)
    return match[1], match[2]


def _of_its_own_run(store: _Store, question: _Question, version: Any, names: set[str]) -> list[tuple[Any, Slot]]:
    """Evaluations, in the run that logged the model, that do not say which model they are of."""
    try:
        run = store.ask("get_run", version.run_id)
    except LookupError:
        return []
    present = slots(run.data.tags)
    silent = [(run, slot) for slot in present.values() if not slot["model"]]
    others = {slot["model"] for slot in present.values()} - names - {""}
    if others:
        question.reasons.append(f"run {version.run_id} has evaluations of another model: {', '.join(sorted(others))}")
    if silent and _logged_others(store, run, version):
        question.reasons.append(
            f"run {version.run_id} logged several models, and {', '.join(slot.name for _, slot in silent)} "
            "does not say which one it is of: name the model where it is evaluated"
        )
    if not present:
        question.unguarded.append(version.run_id)
    return silent


def _logged_others(store: _Store, run: Any, version: Any) -> bool:
    outputs = getattr(run, "outputs", None)
    logged = {item.model_id for item in (outputs.model_outputs if outputs else ())}
    logged |= {item.model_id or item.source for item in store.versions_of_run(run.info.run_id)}
    return len(logged - {version.model_id or version.source}) > 0


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


def _about_run(store: _Store, run_id: str) -> _Question:
    run = store.named(f"run {run_id}", "get_run", run_id)
    question = _Question(f"run {run_id}")
    if run.info.lifecycle_stage != "active":
        question.reasons.append(f"run {run_id} is deleted")
    runs, level = {run_id: run}, [run_id]
    while level:
        nested = [found for parent in level for found in store.runs(f"tags.`mlflow.parentRunId` = {_quoted(parent)}")]
        level = [found.info.run_id for found in nested if found.info.run_id not in runs]
        runs |= {found.info.run_id: found for found in nested}
    return _about_runs(question, runs)


def _about_experiment(store: _Store, name: str, since_ms: int) -> _Question:
    found = store.named(f"an experiment named {name!r}", "get_experiment_by_name", name)
    runs = store.runs(f"attributes.start_time >= {since_ms}", [found.experiment_id])
    question = _about_runs(_Question(f"experiment {name}"), {run.info.run_id: run for run in runs})
    if not runs:
        question.reasons.append(f"experiment {name} has no run since then")
    return question


def _about_runs(question: _Question, runs: Mapping[str, Any]) -> _Question:
    """Every evaluation of these runs, and those of them that nobody guarded."""
    present = {run_id: slots(run.data.tags) for run_id, run in runs.items()}
    question.found += [(runs[run_id], slot) for run_id, found in present.items() for slot in found.values()]
    parents = {run_id: run.data.tags.get("mlflow.parentRunId") for run_id, run in runs.items()}
    for run_id, found in present.items():
        # A run with nested ones stands for them: they are guarded, or listed themselves.
        if found or run_id in parents.values() or _guarded_above(run_id, parents, present):
            continue
        question.unguarded.append(run_id)
    for run_id, run in runs.items():
        told = {name: value for name, value in run_tags(present[run_id]).items()} if present[run_id] else {}
        if any(run.data.tags.get(name) != value for name, value in told.items()):
            question.reasons.append(f"run {run_id}: its tags {FOLDER}.* do not follow from its evaluations; edited?")
    return question


def _guarded_above(run_id: str, parents: Mapping[str, str | None], present: Mapping[str, Any]) -> bool:
    seen = {run_id}
    parent = parents.get(run_id)
    while parent in parents and parent not in seen:
        if present[parent]:
            return True
        seen.add(str(parent))
        parent = parents[parent]
    return False


# -- what they are worth -------------------------------------------------------------


def _answer(store: _Store, question: _Question, demand: _Demand) -> GateResult:
    evaluations = tuple(_judged(store, run, slot, demand) for run, slot in question.found)
    reasons = list(question.reasons)
    reasons += [f"run {run_id} has no guarded evaluation" for run_id in question.unguarded]
    reasons += [f"{item.name} in run {item.run_id}: {why}" for item in evaluations for why in item.refused]
    if not evaluations:
        reasons.append(f"{question.asked} has no guarded evaluation: no evidence is not a pass")
    return GateResult(
        asked=question.asked,
        passed=not reasons,
        evaluations=evaluations,
        unguarded=tuple(question.unguarded),
        superseded=tuple(_evaluation(run, slot, ()) for run, slot in question.superseded),
        reasons=tuple(reasons),
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


def _judged(store: _Store, run: Any, slot: Slot, demand: _Demand) -> Evaluation:
    if slot["verdict"] not in demand.accept:
        why = f" ({slot['reason']})" if slot["reason"] else ""
        return _evaluation(run, slot, [f"the verdict is {slot['verdict'] or 'missing'}{why}"])
    return _evaluation(run, slot, [*_unmet(slot, demand), *_contradictions(store, run, slot)])


def _unmet(slot: Slot, demand: _Demand) -> list[str]:
    """What was asked for and is not so."""
    unmet = []
    if demand.labels and slot["labels"] not in demand.labels:
        unmet.append(f"judged against labels {slot['labels'] or 'unknown'}, asked for {' or '.join(demand.labels)}")
    if demand.not_before_ms and slot.checked_at_ms < demand.not_before_ms:
        days = (demand.now_ms - slot.checked_at_ms) / 86_400_000
        unmet.append(f"judged {days:.1f} days ago, older than allowed")
    if slot.checked_at_ms > demand.now_ms + CLOCK_MS:
        unmet.append("judged in the future: its age is not known")
    return unmet


def _contradictions(store: _Store, run: Any, slot: Slot) -> list[str]:
    """Where tag, record and report do not agree."""
    folder, run_id = f"{FOLDER}/{slot.name}", run.info.run_id
    try:
        record_text = store.content(run_id, f"{folder}/{RECORD_FILE}")
        report_text = store.content(run_id, f"{folder}/report.json")
    except (LookupError, SinkError, OSError) as error:
        return [
            f"no record: {error}. A tag alone proves nothing; if files did not arrive, `evalguard replay` sends them"
        ]
    if record_digest(record_text) != slot["record"]:
        return [f"the digest in its tag is not that of {folder}/{RECORD_FILE}: one of them was changed"]
    try:
        record = json.loads(record_text)
        if record_digest(report_text) != record["files"]["report.json"]:
            return [f"{folder}/report.json is not the report that was recorded"]
        return [
            *_against_record(run_id, slot, record),
            *_against_report(slot, Report.from_dict(json.loads(report_text))),
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return [f"{folder}: not a record that this version of evalguard can read: {error}"]


def _against_record(run_id: str, slot: Slot, record: Mapping[str, Any]) -> list[str]:
    wrong = []
    if record["run_id"] != run_id or record["name"] != slot.name:
        wrong.append(f"its record is that of {record['name']} in run {record['run_id']}")
    told = {**record["fields"], "counts": " ".join(f"{name}={value}" for name, value in record["counts"].items())}
    told |= {name: str(record[name]) for name in ("began_at_ms", "checked_at_ms")}
    wrong += [
        f"its tag {name} says {slot[name][:60]!r}, its record {str(value)[:60]!r}"
        for name, value in told.items()
        if name != "counts" and slot[name] != str(value)[:MAX_TAG]
    ]
    return wrong


def _against_report(slot: Slot, report: Report) -> list[str]:
    told = {"verdict": report.verdict.value, "proof": report.proof, "labels": str(report.labels.get("digest", ""))}
    wrong = [
        f"its tag {name} says {slot[name]!r}, its report {value!r}"
        for name, value in told.items()
        if slot[name] != value
    ]
    if report.verdict.value == "PASS" and report.violations:
        wrong.append(f"its report says PASS and has {report.violations} violations")
    return wrong


def _tag_version(store: _Store, model: str, result: GateResult) -> None:
    """Write the outcome where the registry's table shows it."""
    name, version = _version(model)
    last = max((item.checked_at_ms for item in result.evaluations), default=0)
    tags = {
        "verdict": result.verdict,
        "reason": result.reasons[0] if result.reasons else "",
        "checked_at_ms": str(last),
        "runs": ",".join(sorted({item.run_id for item in result.evaluations})),
    }
    for field_name, value in tags.items():
        store.ask("set_model_version_tag", name, version, f"{FOLDER}.{field_name}", value[:MAX_TAG])
