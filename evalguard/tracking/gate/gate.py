"""The gate: a model may be promoted only if every evaluation in question is proven by its record.

The gate finds evaluations by their tags, and trusts only the record whose digest a
tag holds. An unguarded run, a run that is still PENDING, and a tag or metric set by
hand do not pass. A digest is not a signature: a user who can write to the server
can forge a whole record.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args

from evalguard.core.policy import Require, check_choice
from evalguard.errors import ConfigError, SinkError
from evalguard.tracking.deadline import ASK_S
from evalguard.tracking.gate.assessment import ACCEPTABLE, Demand, GateResult, about_statement, answer
from evalguard.tracking.gate.labels_at_hand import labels_asked
from evalguard.tracking.gate.selection import (
    about_experiment,
    about_model,
    about_run,
    registered_version,
    with_number,
)
from evalguard.tracking.gate.signatures import Trust
from evalguard.tracking.signing import trusted_keys
from evalguard.tracking.slots import FOLDER, MAX_TAG
from evalguard.tracking.store import Store

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}

Moment = str | datetime | timedelta | float
Age = str | timedelta | float


def gate(
    *,
    model: str | None = None,
    run: str | None = None,
    experiment: str | None = None,
    since: Moment | None = None,
    attestation: str | Path | None = None,
    files: Sequence[str | Path] = (),
    allow_unchecked: bool = False,
    accept: Sequence[str] = ("PASS",),
    require: Require = "labels",
    labels: str | Path | Sequence[str | Path] = (),
    label_column: str | None = None,
    labels_key: str | None = None,
    labels_digest: str | Sequence[str] | None = None,
    max_age: Age | None = None,
    tracking_uri: str | None = None,
    tag_version: bool = False,
    trust: str | Path | Sequence[str | Path] = (),
    trust_dir: str | Path | None = None,
    head: str | Sequence[str] = (),
    deleted: Sequence[str] = (),
    superseded: Sequence[str] = (),
    timeout_s: float = ASK_S,
) -> GateResult:
    """Check whether every evaluation in question is proven. The gate does not move an alias.

    Args:
        model: ``models:/NAME/VERSION`` or ``models:/NAME@ALIAS``: all
            evaluations that name this version or its logged model, and those of
            the run that logged it, if that run logged no other. Every run of
            their experiments is read. If several have the same name, model and
            labels, the latest one counts.
        run: Run id: the evaluations of this run and of the runs nested in it.
        experiment: Name of an experiment: the evaluations of all its runs.
        since: With ``experiment``: only runs that started since then. A date, or
            an age such as ``7d``, a ``timedelta`` or seconds.
        attestation: Path of an ``attestation.json``: the evaluation that it
            states, provided that it is about each of ``files``. MLflow is not
            queried. The gate does not verify a signature; use the tool that
            signed the statement.
        files: With ``attestation``: your files of the model, the labels and the
            predictions; of a model in MLflow, its folder. A file is compared as
            a whole, and if it is another one, by the arrays in it: each entry of
            a ``.npz`` file and each column of a ``.parquet`` file must be an
            array that was judged, under its name (``predictions``, ``labels``,
            or those of ``Guard.to_frame``).
        allow_unchecked: With ``attestation``: whether the gate may open although
            none of the files is one that the statement names. These are listed
            as ``unchecked``.
        accept: Verdicts that may pass; PASS always may, and ``REPAIRED`` may be
            added.
        require: The weakest proof that may pass. The default refuses a PASS
            whose proof is only ``declared``, ``transport`` or ``count``.
        labels: File with the labels that count, or several. On each of them an
            evaluation must pass; evaluations on others are listed and prove
            nothing, and a FAIL on more labels closes the gate. A file is read
            with the columns of labels and keys that the record of the evaluation
            names, unless the file itself shows another column of labels.
        label_column: With ``labels``: column with the labels instead of that one.
        labels_key: With ``labels``: column with the keys instead of that one.
        labels_digest: Digest of the labels that count instead of a file, or several.
        max_age: Age of the oldest evaluation that may pass, such as ``12h`` or
            ``30d``, a ``timedelta`` or seconds.
        tracking_uri: Tracking URI of the store; if omitted, MLflow's own.
        tag_version: With ``model``: write the outcome to the model version's tags.
        trust: Files of public keys, as ``evalguard keygen`` writes them. Only an
            evaluation that one of them signed may then pass, and a record that
            was deleted from between others closes the gate.
        trust_dir: Folder of such files, ``*.pub``.
        head: With ``trust``: digests of signed records that must be there, kept
            outside of the server: all, or the newest one. Without the newest
            one, its deletion is not noticed.
        deleted: With ``trust``: digests of records that were deleted on purpose.
        superseded: Ids of runs whose evaluations do not count any more.
        timeout_s: Longest wait for one answer of MLflow, seconds.

    Returns:
        The result; its truth value is whether the gate is open.

    Raises:
        ConfigError: The model, run or experiment does not exist, or an option is wrong.
        LabelsError: A file of labels does not have the named columns.
        SinkError: MLflow could not be queried.
    """
    asked = {"model": model, "run": run, "experiment": experiment, "attestation": attestation}
    _check_options(asked, since, files, tag_version=tag_version)
    if allow_unchecked and not attestation:
        msg = "gate: expected `allow_unchecked` with `attestation` only, because nothing else is compared with files"
        raise ConfigError(msg)
    now_ms = int(time.time() * 1000)
    not_before_ms = 0 if max_age is None else now_ms - _milliseconds(max_age, "max_age")
    digests = _texts(labels_digest or ())
    check_choice("require", require, get_args(Require))
    keys = trusted_keys([trust] if isinstance(trust, (str, Path)) else trust, trust_dir)
    trusted = Trust(keys, _texts(head), _texts(deleted))
    _check_trust(trusted, asked)
    asked_labels = labels_asked(digests, labels, label_column, labels_key)
    requirements = Demand(_accepted(accept), require, asked_labels, not_before_ms, now_ms, _texts(superseded), trusted)
    if attestation is not None:
        return about_statement(attestation, files, requirements, allow_unchecked=allow_unchecked)
    store = Store(tracking_uri, timeout_s)
    if model is not None:
        model = with_number(store, model)
        selection = about_model(store, model, keys, requirements.superseded)
    elif run is not None:
        selection = about_run(store, run, keys)
    else:
        selection = about_experiment(store, str(experiment), _since_ms(since, now_ms), keys)
    result = answer(store, selection, requirements)
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
        msg = "gate: expected `since` with `experiment` only; use `max_age` for the age of evaluations"
        raise ConfigError(msg)
    if tag_version and given != ["model"]:
        msg = "gate: expected `tag_version` with `model` only, because nothing else has a version"
        raise ConfigError(msg)
    if bool(files) != (given == ["attestation"]):
        msg = (
            "gate: expected `attestation` together with `files` (model, labels, predictions); found only one of the two"
        )
        raise ConfigError(msg)


def _check_trust(trust: Trust, asked: Mapping[str, object]) -> None:
    if not trust.keys and (trust.heads or trust.deleted):
        msg = "gate: expected `head` and `deleted` with `trust`, because only signed records form a chain"
        raise ConfigError(msg)
    if trust.keys and asked["attestation"]:
        msg = "gate: expected `trust` with model, run or experiment; verify an attestation with the tool that signed it"
        raise ConfigError(msg)
    for digest in (*trust.heads, *trust.deleted):
        if not re.fullmatch(r"[0-9a-f]{64}", digest, re.ASCII):
            msg = f"gate: expected the digest of a record, 64 hexadecimal digits; found {digest[:80]!r}"
            raise ConfigError(msg)


def _texts(given: str | Sequence[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


def _accepted(accept: Sequence[str]) -> tuple[str, ...]:
    words = (accept,) if isinstance(accept, str) else tuple(accept)
    unknown = [str(word) for word in words if word not in ACCEPTABLE]
    if unknown:
        msg = f"accept: expected PASS or REPAIRED; found {', '.join(unknown)[:60]!r}. No other verdict can pass."
        raise ConfigError(msg)
    return tuple(dict.fromkeys(("PASS", *map(str, words))))


def _milliseconds(age: Age, option: str) -> int:
    if isinstance(age, timedelta):
        return int(age.total_seconds() * 1000)
    if isinstance(age, (int, float)):
        return int(age * 1000)
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhdw])", age.strip())
    if match is None:
        date = " (or a date)" if option == "since" else ""
        msg = f"{option}: expected a number and one of s, m, h, d, w, such as 30d{date}; found {age[:40]!r}"
        raise ConfigError(msg)
    return int(float(match[1]) * UNITS[match[2]] * 1000)


def _since_ms(since: Moment | None, now_ms: int) -> int:
    if since is None:
        return 0
    if isinstance(since, str):
        try:
            # Read as a date first, and as an age only if it is not a date.
            since = datetime.fromisoformat(since)
        except ValueError:
            return now_ms - _milliseconds(str(since), "since")
    if isinstance(since, datetime):
        # A date without a time zone is in UTC and not in the local zone, so that a command means the same everywhere.
        moment = since if since.tzinfo is not None else since.replace(tzinfo=UTC)
        return int(moment.timestamp() * 1000)
    return now_ms - _milliseconds(since, "since")


def _tag_version(store: Store, model: str, result: GateResult) -> GateResult:
    """Write the outcome to the version's tags, which the registry's table shows; an error is added to the result."""
    name, version = registered_version(model)
    refused = [f"{item.name}: {why}" for item in result.evaluations for why in item.refused]
    last = max((item.checked_at_ms for item in result.evaluations), default=0)
    tags = {
        "verdict": result.verdict,
        # The table shows few characters, so the text begins with the reason and not with the run's id.
        "reason": "" if result else (*refused, *result.reasons)[0],
        "checked_at_ms": str(last),
        "runs": ",".join(sorted({item.run_id for item in result.evaluations})),
    }
    try:
        present = store.call("get_model_version", name, version).tags
        for field_name, value in tags.items():
            key = f"{FOLDER}.{field_name}"
            # A tag without a value is deleted, because the table would show an empty one as a column.
            if value:
                store.call("set_model_version_tag", name, version, key, value[:MAX_TAG])
            elif key in present:
                store.call("delete_model_version_tag", name, version, key)
    except (LookupError, SinkError) as error:
        return replace(result, not_tagged=str(error))
    return result
