"""Send a record to MLflow: tags and metrics in one batch first, then files and extras.

Sending is idempotent: a record that was sent partly, or twice, leaves its run in
the same state as a record that was sent once.
"""

from __future__ import annotations

import math
import random
import re
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from evalguard.core.report_counts import COUNT_NAMES
from evalguard.errors import SinkError
from evalguard.tracking.chain import name_as_head
from evalguard.tracking.client import client_of, new_client
from evalguard.tracking.deadline import CONFLICT_PAUSE_S, under_way
from evalguard.tracking.extras import write_extras
from evalguard.tracking.new_run import end, made
from evalguard.tracking.note import BEGIN, NOTE_TAG, block, with_block
from evalguard.tracking.record import (
    ENVELOPE_FILE,
    RECORD_FILE,
    Record,
    choose_slot,
    own_slot,
    record_content,
    unused_slots,
)
from evalguard.tracking.slots import FOLDER, PENDING, Slot, run_counts, run_tags, slots, tags_of

COUNT_METRICS = frozenset(f"{FOLDER}/{name}" for name in ("violations", *COUNT_NAMES))
# A longer note would be cut without an error (mlflow 3.17, utils/validation.py, MAX_TAG_VAL_LENGTH).
MAX_NOTE = 8000
# If another writer wrote to the run at the same time, the run's tags are corrected and checked again, up to this often.
MAX_ATTEMPTS = 20
# Two writers that insert the same metric at the same time violate its primary key. MLflow retries the insert once
# (mlflow 3.17, sqlalchemy_store.py, `_log_metrics_once`). After a second conflict a client gets only the database's
# message.
CONFLICT = re.compile(r"constraint|duplicate|locked|deadlock", re.IGNORECASE)


def with_run(record: Record) -> Record:
    """The record with the id of its run, which is created if there is none yet."""
    if record.run_id or record.new_run is None:
        return record
    # Not `client_of`: as the first run of a store does, this creates a missing sqlite file.
    return replace(record, run_id=made(new_client(record.tracking_uri), record.new_run))


def send(record: Record, deadline: float | None = None) -> str | None:
    """Write one record to its run, and end a run that was created for it.

    The verdict is written first, in one batch. Dataset and model are extras: if
    the server refuses one, evalguard logs a warning and continues.

    Args:
        record: What to write.
        deadline: Write nothing later than this (``time.monotonic``, seconds),
            so that a late PENDING mark does not overwrite the verdict. The
            result is then None, too.

    Returns:
        The name of its slot, or None if the run holds a newer verdict of that name.
    """
    record = with_run(record)
    client = client_of(record.tracking_uri)
    own = _write_verdict(client, record, deadline)
    if own is None:
        return None
    if record.verdict == PENDING:
        # A conflict with another writer is corrected when the verdict is sent; until then the run shows no PASS.
        return own.name
    # In parallel, because over HTTP each file is one request, and together they take as long as everything else. A gate
    # may see the verdict's tag before its record.json is there, and refuses it then.
    files = under_way(lambda: _write_files(client, record, own.name))
    try:
        _fix_run_tags(client, record)
        if record.envelope:
            name_as_head(client, record)
        write_extras(client, record, own)
    finally:
        files.result()
    if record.new_run is not None:
        end(client, record.run_id, record.new_run, record.checked_at_ms)
    return own.name


def _write_verdict(client: Any, record: Record, deadline: float | None) -> Slot | None:
    """Write verdict, counts and digest in one batch; None if there is a newer verdict or the deadline has passed."""
    for attempt in range(MAX_ATTEMPTS):
        run = client.get_run(record.run_id)
        # A service that answers every request with an empty object would otherwise accept the record.
        if run.info.run_id != record.run_id:
            msg = (
                f"expected run {record.run_id}, found {run.info.run_id or 'none'}: another service than MLflow answers"
            )
            raise SinkError(msg)
        name = choose_slot(record, slots(run.data.tags))
        empty = unused_slots(record, slots(run.data.tags), name)
        unused = [key for key in run.data.tags if key.count(".") == 2 and key.split(".")[1] in empty]
        # Checked as late as possible: `get_run` itself may have taken longer than the deadline.
        if deadline is not None and time.monotonic() > deadline:
            return None
        if name is None:
            if unused:
                _delete_tags(client, record.run_id, unused)
                _fix_run_tags(client, record)
            return None
        own = own_slot(record, name)
        before = {key: value for key, value in run.data.tags.items() if key not in unused}
        present = {**slots(before), name: own}
        tags = {**tags_of(own, before, alone=record.alone), **_note(run, present, record)}
        # An empty value is written only to replace an earlier one; otherwise it would only add an empty column.
        tags = {key: value for key, value in tags.items() if value or key in before}
        if _log_batch(client, run, tags, present, last=attempt + 1 == MAX_ATTEMPTS):
            break
    _delete_tags(client, record.run_id, unused)
    return own


def _delete_tags(client: Any, run_id: str, keys: Iterable[str]) -> None:
    for key in keys:
        client.delete_tag(run_id, key)


def _fix_run_tags(client: Any, record: Record) -> None:
    """Correct the run's own tags if another process wrote at the same time."""
    # The run's tags are a function of its slots, but MLflow cannot read and write them in one transaction. They are
    # read again until they fit; the last of several writers to read sees all slots.
    for _ in range(MAX_ATTEMPTS):
        run = client.get_run(record.run_id)
        present = slots(run.data.tags)
        expected_tags = {**run_tags(present), **_note(run, present, record)}
        if all(run.data.tags.get(key, "") == value for key, value in expected_tags.items()) and not _new_sums(
            run, present
        ):
            return
        _log_batch(client, run, expected_tags, present)


def _new_sums(run: Any, present: Mapping[str, Slot]) -> dict[str, float]:
    """The run's metrics whose value has to change; NaN for one that is no longer known."""
    sums = {f"{FOLDER}/{name}": float(value) for name, value in run_counts(present).items()}
    before = {name: value for name, value in run.data.metrics.items() if name in COUNT_METRICS}
    changed = {name: value for name, value in sums.items() if before.get(name) != value}
    # MLflow cannot delete a metric.
    return changed | {name: math.nan for name, old in before.items() if name not in sums and not math.isnan(old)}


def _log_batch(
    client: Any, run: Any, tags: Mapping[str, str], present: Mapping[str, Slot], *, last: bool = False
) -> bool:
    """Write tags and metrics together; False if another process wrote the same metric at the same time.

    In that case no tag was written. On the ``last`` attempt the conflict is raised instead.
    """
    from mlflow.entities import Metric, RunTag

    # MLflow shows the value with the largest (step, time, value) (mlflow 3.17, sqlalchemy_store.py,
    # `_compare_metrics`). With one time for all writers the larger count stays, so a PASS that is written second hides
    # no violation.
    at_ms = max(slot.checked_at_ms for slot in present.values())
    metrics = [Metric(name, value, at_ms, 0) for name, value in _new_sums(run, present).items()]
    run_tags_entities = [RunTag(name, value) for name, value in tags.items()]
    # MLflow commits the metrics before the tags, in another session (mlflow 3.17, sqlalchemy_store.py, `log_batch`). A
    # conflict in the metrics leaves the tags unwritten, so no tag shows a verdict whose counts are missing.
    # `synchronous=True`: otherwise MLFLOW_ENABLE_ASYNC_LOGGING would let this return before anything is written.
    try:
        client.log_batch(run.info.run_id, metrics=metrics, tags=run_tags_entities, synchronous=True)
    except Exception as error:
        # Recognised by its text, because other failures have the same error code (mlflow 3.17, store/db/utils.py,
        # `make_managed_session`).
        if last or not CONFLICT.search(str(error)):
            raise
        time.sleep(random.uniform(*CONFLICT_PAUSE_S))  # noqa: S311 - no secret
        return False
    return True


def _note(run: Any, present: Mapping[str, Slot], record: Record) -> dict[str, str]:
    """The tag of the run's note with evalguard's lines; empty if they do not fit, or for a first PENDING."""
    before = run.data.tags.get(NOTE_TAG, "")
    if record.verdict == PENDING and BEGIN not in before:
        return {}
    page = "report.html" if "report.html" in record.artifacts else "report.json"
    after = with_block(before, block(present, f"#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}", page))
    # A longer note would be cut, and the user's text has priority.
    return {NOTE_TAG: after} if len(after) <= MAX_NOTE else {}


def _write_files(client: Any, record: Record, slot: str) -> None:
    """Upload the files of a report, and the record with their digests."""
    if not record.artifacts:
        return
    files = {**record.artifacts, RECORD_FILE: record_content(record, slot)}
    if record.envelope:
        files[ENVELOPE_FILE] = record.envelope.encode()
    with tempfile.TemporaryDirectory(prefix="evalguard-") as folder:
        for name, content in files.items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        client.log_artifacts(record.run_id, folder, artifact_path=f"{FOLDER}/{slot}")
