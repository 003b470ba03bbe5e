"""Which evaluations the gate is asked about."""

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
    """Which evaluations are asked about: run and slot, and what is wrong besides."""

    asked: str
    found: list[tuple[Any, Slot]] = field(default_factory=list)
    unguarded: list[str] = field(default_factory=list)
    superseded: list[tuple[Any, Slot]] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)


def about_model(store: Store, model: str) -> Question:
    """Evaluations of a registered model version."""
    name, version = registered_version(model)
    found = store.get_existing(model, "get_model_version", name, version)
    known = _lineage(store, found)
    selection = Question(model)
    seen: dict[str, Any] = {}
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
        ConfigError: It is written otherwise.
    """
    match = re.fullmatch(r"models:/([^/]+)/(\d+)", model)
    if match is None:
        msg = f"model: expected models:/NAME/VERSION with a number (an alias may move); found {model[:80]!r}"
        raise ConfigError(msg)
    return match[1], match[2]


def _evaluations_of_own_run(store: Store, selection: Question, version: Any, known: Lineage) -> list[tuple[Any, Slot]]:
    """Evaluations, in the run that logged the model, that do not say which model they are of."""
    try:
        run = store.call("get_run", version.run_id) if version.run_id else None
    except LookupError:
        return []
    unattributed = [(run, slot) for slot in slots(run.data.tags).values() if not slot["model"]] if run else []
    if unattributed and _logged_others(store, run, known):
        selection.reasons.append(
            f"run {version.run_id} logged several models, and {', '.join(slot.name for _, slot in unattributed)} "
            "does not say which one it is of: name the model where it is evaluated"
        )
    return unattributed


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


def about_run(store: Store, run_id: str) -> Question:
    """Evaluations of a run and of the runs nested in it."""
    run = store.get_existing(f"run {run_id}", "get_run", run_id)
    selection = Question(f"run {run_id}")
    if run.info.lifecycle_stage != "active":
        selection.reasons.append(f"run {run_id} is deleted")
    runs, level = {run_id: run}, [run_id]
    while level:
        nested = [found for parent in level for found in store.runs(f"tags.`mlflow.parentRunId` = {quoted(parent)}")]
        level = [found.info.run_id for found in nested if found.info.run_id not in runs]
        runs |= {found.info.run_id: found for found in nested}
    return _select_runs(selection, runs)


def about_experiment(store: Store, name: str, since_ms: int) -> Question:
    """Evaluations of an experiment's runs that started since then."""
    found = store.get_existing(f"an experiment named {name!r}", "get_experiment_by_name", name)
    runs = store.runs(f"attributes.start_time >= {since_ms}", [found.experiment_id])
    selection = _select_runs(Question(f"experiment {name}"), {run.info.run_id: run for run in runs})
    if not runs:
        selection.reasons.append(f"experiment {name} has no run since then")
    return selection


def _select_runs(selection: Question, runs: Mapping[str, Any]) -> Question:
    """Every evaluation of these runs, and those of them that nobody guarded."""
    present = {run_id: slots(run.data.tags) for run_id, run in runs.items()}
    guarded = {run_id: any(not slot.is_validation for slot in found.values()) for run_id, found in present.items()}
    selection.found += [(runs[run_id], slot) for run_id, found in present.items() for slot in found.values()]
    parents = {run_id: run.data.tags.get("mlflow.parentRunId") for run_id, run in runs.items()}
    for run_id in present:
        # A run with nested ones stands for them: they are guarded, or listed themselves.
        if guarded[run_id] or run_id in parents.values() or _has_guarded_parent(run_id, parents, guarded):
            continue
        selection.unguarded.append(run_id)
    for run_id, run in runs.items():
        expected = run_tags(present[run_id]) if present[run_id] else {}
        if any(run.data.tags.get(name) != value for name, value in expected.items()):
            selection.reasons.append(f"run {run_id}: its tags {FOLDER}.* do not follow from its evaluations; edited?")
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
