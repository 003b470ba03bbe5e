"""Find the evaluations of a model, a run or an experiment that the gate has to assess."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from evalguard.errors import ConfigError
from evalguard.tracking.gate.counted import latest
from evalguard.tracking.gate.held import Held, of_runs
from evalguard.tracking.lineage import Lineage, lineage
from evalguard.tracking.slots import FOLDER, GOOD, run_tags, slots
from evalguard.tracking.store import Store, quoted

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

ALIAS, VERSION = re.compile(r"models:/([^/@]+)@([^/@]+)"), re.compile(r"models:/([^/]+)/(\d+)")


@dataclass(slots=True)
class Question:
    """The evaluations in question, and reasons to close the gate that do not belong to one of them.

    Attributes:
        asked: What the gate was asked about.
        found: The evaluations.
        unguarded: Ids of the runs without any guarded evaluation.
        superseded: Evaluations that a later one replaces.
        reasons: Reasons to close the gate.
        unread: Runs whose records could not be listed → why.
        runs: Ids of the runs in question; of a model, only the run that logged it.
        names: Names of the model in question, as records state them.
    """

    asked: str
    found: list[Held] = field(default_factory=list)
    unguarded: list[str] = field(default_factory=list)
    superseded: list[Held] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    unread: Mapping[str, str] = field(default_factory=dict)
    runs: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()


def about_model(
    store: Store, model: str, keys: Mapping[str, Ed25519PublicKey], superseded: Collection[str] = ()
) -> Question:
    """The evaluations of a registered model version, in every run of its experiments.

    Args:
        store: Where to search.
        model: ``models:/NAME/VERSION``.
        keys: Public keys that are trusted, by id.
        superseded: Ids of runs whose evaluations do not count, and so replace none.
    """
    name, version = registered_version(model)
    found = store.get_existing(model, "get_model_version", name, version)
    known = _lineage(store, found)
    names = set(known.names)
    selection = Question(model, names=frozenset(names), runs=frozenset({str(found.run_id or "")} - {""}))
    runs = _runs_of(store, known)
    held = of_runs(store, runs.values(), keys)
    own = str(found.run_id or "")
    linked = [each for each in held.found if names & {each.slot["model"], each.stated["model"]}]
    # By the record: anyone can set a tag that names another model.
    unattributed = [
        each for each in held.found if each.run.info.run_id == own and not each.stated["model"] and each not in linked
    ]
    linked += unattributed
    if unattributed and own in runs and _logged_others(store, runs[own], known):
        selection.reasons.append(
            f"run {own} logged several models, and {', '.join(each.slot.name for each in unattributed)} "
            "names none of them: pass `model` to the guard that evaluates it"
        )
    set_aside = [each for each in linked if each.run.info.run_id in superseded]
    counted = [each for each in linked if each not in set_aside]
    selection.found, selection.superseded = latest(_not_deleted(counted))
    selection.reasons += _other_weights(selection.found)
    selection.found += _not_deleted(set_aside)
    concerned = {each.run.info.run_id for each in linked} | {own}
    selection.reasons += _edited({run_id: runs[run_id] for run_id in concerned & runs.keys()})
    selection.unread = held.unread
    selection.reasons += _missing(store, known, linked)
    if own and all(each.stated.is_validation for each in linked):
        selection.unguarded.append(own)
    return selection


def _runs_of(store: Store, known: Lineage) -> dict[str, Any]:
    """All runs of the experiments in which a version, an original of it, or an evaluation of them is."""
    # One search for each name, because filters have no OR. The names are compared exactly afterwards: LIKE also finds
    # `models:/NAME/10` for `models:/NAME/1`, and `_` matches any character (mlflow 3.17, utils/search_utils.py).
    runs: dict[str, Any] = {}
    for word in known.names:
        named = store.runs(f"tags.`{FOLDER}.model` LIKE {quoted(f'%{word}%')}", deleted=True)
        runs |= {run.info.run_id: run for run in named}
    experiments = {run.info.experiment_id for run in runs.values()}
    for run_id in known.run_ids:
        try:
            experiments.add(store.call("get_run", run_id).info.experiment_id)
        except LookupError:
            continue
    # An evaluation whose tags were edited is found by no filter.
    others = store.runs("", sorted(experiments), deleted=True) if experiments else []
    return {**runs, **{run.info.run_id: run for run in others}}


def _not_deleted(linked: Iterable[Held]) -> list[Held]:
    """Those that count: in a deleted run only a bad one does."""
    return [each for each in linked if not each.is_deleted or each.stated["verdict"] not in GOOD]


def _other_weights(found: Sequence[Held]) -> list[str]:
    """The evaluations that name no model, and were made with other weights than those that name it, or than each other.

    Which weights a version has is not in the registry, so one that is alone is taken for it.
    """
    named = {each.weights for each in found if each.stated["model"] and each.weights}
    nameless = [each for each in found if not each.stated["model"] and each.weights]
    if named:
        other = [each for each in nameless if each.weights not in named]
    else:
        other = nameless if len({each.weights for each in nameless}) > 1 else []
    return [
        f"{each.where} names no model, and other evaluations of this model were made with other weights than its "
        f"{each.weights}: pass `model` to the guard that evaluates it"
        for each in other
    ]


def _missing(store: Store, known: Lineage, linked: Sequence[Held]) -> list[str]:
    """The bad evaluations that the logged model shows, and that no run holds."""
    if not known.model_id:
        return []
    try:
        present = slots(store.call("get_logged_model", known.model_id).tags)
    except LookupError:
        return []
    there = {each.slot["record"] for each in linked} | {each.stated["record"] for each in linked}
    return [
        f"{slot.name}, which the logged model {known.model_id} shows as {slot['verdict']}, is in no run that can be "
        "found: it was deleted, or its tags were edited. Evaluate the model again under this name"
        for slot in present.values()
        if slot["verdict"] in {"FAIL", "UNPROVEN"} and slot["record"] not in there
    ]


def _lineage(store: Store, version: Any) -> Lineage:
    return lineage(lambda *at: store.call("get_model_version", *at), version.name, str(version.version))


def registered_version(model: str) -> tuple[str, str]:
    """Name and version of ``models:/NAME/VERSION``.

    Raises:
        ConfigError: The text has another form.
    """
    match = VERSION.fullmatch(model)
    if match is None:
        msg = f"model: expected models:/NAME/VERSION or models:/NAME@ALIAS; found {model[:80]!r}"
        raise ConfigError(msg)
    return match[1], match[2]


def with_number(store: Store, model: str) -> str:
    """``models:/NAME/VERSION``, of the version that an alias names now.

    Raises:
        ConfigError: There is no such alias.
    """
    match = ALIAS.fullmatch(model)
    if match is None:
        return model
    found = store.get_existing(model, "get_model_version_by_alias", match[1], match[2])
    return f"models:/{match[1]}/{found.version}"


def _logged_others(store: Store, run: Any, known: Lineage) -> bool:
    # MLflow 2 has no `outputs` and no logged models, so the versions that were registered from the run count too.
    outputs = getattr(run, "outputs", None)
    logged = {item.model_id for item in (outputs.model_outputs if outputs else ())}
    logged |= {_lineage(store, item).origin for item in store.versions_of_run(run.info.run_id)}
    return len(logged - {known.origin}) > 0


def about_run(store: Store, run_id: str, keys: Mapping[str, Ed25519PublicKey]) -> Question:
    """The evaluations of a run and of the runs nested in it."""
    run = store.get_existing(f"run {run_id}", "get_run", run_id)
    selection = Question(f"run {run_id}")
    # `get_run` also returns a deleted run.
    if run.info.lifecycle_stage != "active":
        selection.reasons.append(f"run {run_id} is deleted")
    runs, level = {run_id: run}, [run_id]
    # Level by level, because the tag names only the direct parent, and MLflow has no search for descendants. Runs may
    # be nested in a circle, because anyone can set the tag `mlflow.parentRunId`.
    while level:
        nested = [
            found
            for parent in level
            for found in store.runs(f"tags.`mlflow.parentRunId` = {quoted(parent)}", deleted=True)
        ]
        level = [found.info.run_id for found in nested if found.info.run_id not in runs]
        runs |= {found.info.run_id: found for found in nested}
    return _select_runs(store, selection, runs, keys)


def about_experiment(store: Store, name: str, since_ms: int, keys: Mapping[str, Ed25519PublicKey]) -> Question:
    """The evaluations of an experiment's runs that started since then."""
    found = store.get_existing(f"an experiment named {name!r}", "get_experiment_by_name", name)
    runs = store.runs(f"attributes.start_time >= {since_ms}", [found.experiment_id], deleted=True)
    selection = Question(f"experiment {name}")
    if all(run.info.lifecycle_stage != "active" for run in runs):
        selection.reasons.append(f"experiment {name} has no run since then")
    return _select_runs(store, selection, {run.info.run_id: run for run in runs}, keys)


def _select_runs(
    store: Store, selection: Question, runs: Mapping[str, Any], keys: Mapping[str, Ed25519PublicKey]
) -> Question:
    """Add every evaluation of these runs, and the runs without a guarded evaluation."""
    held = of_runs(store, runs.values(), keys)
    selection.found, selection.runs = _not_deleted(held.found), frozenset(runs)
    guarded = dict.fromkeys(runs, False)
    for each in held.found:
        guarded[each.run.info.run_id] |= not each.stated.is_validation
    parents = {run_id: run.data.tags.get("mlflow.parentRunId") for run_id, run in runs.items()}
    for run_id, run in runs.items():
        # A parent run need not be guarded itself, because its nested runs are guarded or listed as unguarded. The
        # nested runs of a guarded run (a sweep) need not be guarded either.
        if guarded[run_id] or run_id in parents.values() or _has_guarded_parent(run_id, parents, guarded):
            continue
        if run.info.lifecycle_stage == "active":
            selection.unguarded.append(run_id)
    selection.reasons += _edited(runs)
    selection.unread = held.unread
    return selection


def _edited(runs: Mapping[str, Any]) -> list[str]:
    """The runs whose tags say something else than their evaluations."""
    # If a user sets `evalguard.verdict` to PASS by hand, the dashboard shows it, but it does not follow from the slots.
    present = {run_id: slots(run.data.tags) for run_id, run in runs.items() if run.info.lifecycle_stage == "active"}
    return [
        f"run {run_id}: its tags {FOLDER}.* do not follow from its evaluations; they may have been edited"
        for run_id, found in present.items()
        if found and any(runs[run_id].data.tags.get(name, "") != value for name, value in run_tags(found).items())
    ]


def _has_guarded_parent(run_id: str, parents: Mapping[str, str | None], guarded: Mapping[str, bool]) -> bool:
    seen = {run_id}
    parent = parents.get(run_id)
    while parent is not None and parent in parents and parent not in seen:
        if guarded[parent]:
            return True
        seen.add(parent)
        parent = parents[parent]
    return False
