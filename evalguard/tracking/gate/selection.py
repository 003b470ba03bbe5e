"""Find the evaluations of a model, a run or an experiment that the gate has to assess."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from evalguard.errors import ConfigError
from evalguard.tracking.lineage import Lineage, lineage
from evalguard.tracking.slots import FOLDER, Slot, run_tags, slots
from evalguard.tracking.store import Store, quoted


@dataclass(slots=True)
class Question:
    """The evaluations in question, and reasons to close the gate that do not belong to one of them.

    Attributes:
        asked: What the gate was asked about.
        found: Run and slot of each evaluation.
        unguarded: Ids of the runs without any guarded evaluation.
        superseded: Run and slot of each evaluation that a later one replaces.
        reasons: Reasons to close the gate.
    """

    asked: str
    found: list[tuple[Any, Slot]] = field(default_factory=list)
    unguarded: list[str] = field(default_factory=list)
    superseded: list[tuple[Any, Slot]] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)


def about_model(store: Store, model: str) -> Question:
    """The evaluations of a registered model version."""
    name, version = registered_version(model)
    found = store.get_existing(model, "get_model_version", name, version)
    known = _lineage(store, found)
    selection = Question(model)
    seen: dict[str, Any] = {}
    # One search for each name, because filters have no OR. The names are compared exactly below: LIKE also finds
    # `models:/NAME/10` for `models:/NAME/1`, and `_` matches any character (mlflow 3.17, utils/search_utils.py).
    for word in known.names:
        seen |= {run.info.run_id: run for run in store.runs(f"tags.`{FOLDER}.model` LIKE {quoted(f'%{word}%')}")}
    linked = [
        (run, slot) for run in seen.values() for slot in slots(run.data.tags).values() if slot["model"] in known.names
    ]
    linked += _evaluations_of_own_run(store, selection, found, known)
    selection.found, selection.superseded = _latest(linked)
    if found.run_id and all(slot.is_validation for _, slot in linked):
        selection.unguarded.append(found.run_id)
    return selection


def _lineage(store: Store, version: Any) -> Lineage:
    return lineage(lambda *at: store.call("get_model_version", *at), version.name, str(version.version))


def registered_version(model: str) -> tuple[str, str]:
    """Name and version of ``models:/NAME/VERSION``.

    Raises:
        ConfigError: The text has another form.
    """
    match = re.fullmatch(r"models:/([^/]+)/(\d+)", model)
    if match is None:
        msg = f"model: expected models:/NAME/VERSION with a number (an alias may move); found {model[:80]!r}"
        raise ConfigError(msg)
    return match[1], match[2]


def _evaluations_of_own_run(store: Store, selection: Question, version: Any, known: Lineage) -> list[tuple[Any, Slot]]:
    """The evaluations that name no model, in the run that logged the model."""
    try:
        run = store.call("get_run", version.run_id) if version.run_id else None
    except LookupError:
        return []
    unattributed = [(run, slot) for slot in slots(run.data.tags).values() if not slot["model"]] if run else []
    if unattributed and _logged_others(store, run, known):
        selection.reasons.append(
            f"run {version.run_id} logged several models, and {', '.join(slot.name for _, slot in unattributed)} "
            "names none of them: pass `model` to the guard that evaluates it"
        )
    return unattributed


def _logged_others(store: Store, run: Any, known: Lineage) -> bool:
    # MLflow 2 has no `outputs` and no logged models, so the versions that were registered from the run count too.
    outputs = getattr(run, "outputs", None)
    logged = {item.model_id for item in (outputs.model_outputs if outputs else ())}
    logged |= {_lineage(store, item).origin for item in store.versions_of_run(run.info.run_id)}
    return len(logged - {known.origin}) > 0


def _latest(linked: list[tuple[Any, Slot]]) -> tuple[list[tuple[Any, Slot]], list[tuple[Any, Slot]]]:
    """The latest evaluation of each pair of name and labels, and the earlier ones."""
    chosen: dict[tuple[str, str], tuple[Any, Slot]] = {}
    before = []
    # The run's id breaks a tie, so that two calls of the gate give the same answer.
    for item in sorted(linked, key=lambda item: (item[1].checked_at_ms, item[0].info.run_id)):
        key = (item[1].name, item[1]["labels"])
        if key in chosen:
            before.append(chosen[key])
        chosen[key] = item
    return list(chosen.values()), before


def about_run(store: Store, run_id: str) -> Question:
    """The evaluations of a run and of the runs nested in it."""
    run = store.get_existing(f"run {run_id}", "get_run", run_id)
    selection = Question(f"run {run_id}")
    # `get_run` also returns a deleted run; `search_runs` does not (default `ACTIVE_ONLY`).
    if run.info.lifecycle_stage != "active":
        selection.reasons.append(f"run {run_id} is deleted")
    runs, level = {run_id: run}, [run_id]
    # Level by level, because the tag names only the direct parent, and MLflow has no search for descendants. Runs may
    # be nested in a circle, because anyone can set the tag `mlflow.parentRunId`.
    while level:
        nested = [found for parent in level for found in store.runs(f"tags.`mlflow.parentRunId` = {quoted(parent)}")]
        level = [found.info.run_id for found in nested if found.info.run_id not in runs]
        runs |= {found.info.run_id: found for found in nested}
    return _select_runs(selection, runs)


def about_experiment(store: Store, name: str, since_ms: int) -> Question:
    """The evaluations of an experiment's runs that started since then."""
    found = store.get_existing(f"an experiment named {name!r}", "get_experiment_by_name", name)
    runs = store.runs(f"attributes.start_time >= {since_ms}", [found.experiment_id])
    selection = _select_runs(Question(f"experiment {name}"), {run.info.run_id: run for run in runs})
    if not runs:
        selection.reasons.append(f"experiment {name} has no run since then")
    return selection


def _select_runs(selection: Question, runs: Mapping[str, Any]) -> Question:
    """Add every evaluation of these runs, and the runs without a guarded evaluation."""
    present = {run_id: slots(run.data.tags) for run_id, run in runs.items()}
    guarded = {run_id: any(not slot.is_validation for slot in found.values()) for run_id, found in present.items()}
    selection.found += [(runs[run_id], slot) for run_id, found in present.items() for slot in found.values()]
    parents = {run_id: run.data.tags.get("mlflow.parentRunId") for run_id, run in runs.items()}
    for run_id in present:
        # A parent run need not be guarded itself, because its nested runs are guarded or listed as unguarded. The
        # nested runs of a guarded run (a sweep) need not be guarded either.
        if guarded[run_id] or run_id in parents.values() or _has_guarded_parent(run_id, parents, guarded):
            continue
        selection.unguarded.append(run_id)
    # If a user sets `evalguard.verdict` to PASS by hand, the dashboard shows it, but it does not follow from the slots.
    for run_id, run in runs.items():
        expected = run_tags(present[run_id]) if present[run_id] else {}
        if any(run.data.tags.get(name, "") != value for name, value in expected.items()):
            selection.reasons.append(
                f"run {run_id}: its tags {FOLDER}.* do not follow from its evaluations; they may have been edited"
            )
    return selection


def _has_guarded_parent(run_id: str, parents: Mapping[str, str | None], guarded: Mapping[str, bool]) -> bool:
    seen = {run_id}
    parent = parents.get(run_id)
    while parent is not None and parent in parents and parent not in seen:
        if guarded[parent]:
            return True
        seen.add(parent)
        parent = parents[parent]
    return False
