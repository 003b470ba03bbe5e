"""A record on its way into MLflow: tags and metrics in one batch, then what hangs on them.

Sending is idempotent: a record that was sent in part, or twice, leaves its run
as one that was sent once.
"""

from __future__ import annotations

import random
import re
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evalguard.tracking.client import client_of
from evalguard.tracking.deadline import CONFLICT_PAUSE_S, UnderWay
from evalguard.tracking.extras import write_extras
from evalguard.tracking.note import BEGIN, NOTE_TAG, block, with_block
from evalguard.tracking.record import RECORD_FILE, Record, choose_slot, own_slot, record_content
from evalguard.tracking.slots import FOLDER, PENDING, Slot, run_counts, run_tags, slots

MAX_NOTE = 8000
# Each writer of one run may find that another has written beside it; it puts the run's own tags right and looks again.
MAX_ATTEMPTS = 20
# MLflow looks whether a metric is there before it inserts it; two who do so at once meet in the database.
CONFLICT = re.compile(r"constraint|duplicate|locked|deadlock", re.IGNORECASE)


def send(record: Record, deadline: float | None = None) -> str | None:
    """Write one record to its run; the slot it went to, or None where a newer verdict of its name is there already.

    The truth goes first, in one batch. Dataset and model are extras: what the
    server refuses of them is logged and let go.

    Args:
        record: What to write.
        deadline: A mark that nobody waits for any more must not come after the
            verdict: write nothing later than this (``time.monotonic``).
    """
    client = client_of(record.tracking_uri)
    own = _write_verdict(client, record, deadline)
    if own is None:
        return None
    if record.verdict == PENDING:
        # What another wrote at the same moment is put right with the verdict; until then the run says no PASS.
        return own.name
    # The files take as long as all the rest.
    files = UnderWay(lambda: _write_files(client, record, own.name))
    try:
        _fix_run_tags(client, record)
        write_extras(client, record, own)
    finally:
        files.end()
    return own.name


def _write_verdict(client: Any, record: Record, deadline: float | None) -> Slot | None:
    """Verdict, counts and digest in one batch; None where a newer verdict is there, or it is too late."""
    for attempt in range(MAX_ATTEMPTS):
        run = client.get_run(record.run_id)
        present = slots(run.data.tags)
        name = choose_slot(record, present)
        if name is None:
            return None
        own = own_slot(record, name)
        present = {**present, name: own}
        if deadline is not None and time.monotonic() > deadline:
            return None
        tags = {**own.to_tags(), **run_tags(present), **_note(run, present, record)}
        if _log_batch(client, run, tags, present, last=attempt + 1 == MAX_ATTEMPTS):
            break
    return own


def _fix_run_tags(client: Any, record: Record) -> None:
    """Put the run's own tags right where another process wrote at the same time."""
    for _ in range(MAX_ATTEMPTS):
        run = client.get_run(record.run_id)
        present = slots(run.data.tags)
        expected_tags = {**run_tags(present), **_note(run, present, record)}
        if expected_tags.items() <= run.data.tags.items() and not _new_sums(run, present):
            return
        _log_batch(client, run, expected_tags, present)


def _new_sums(run: Any, present: Mapping[str, Slot]) -> dict[str, float]:
    """The run's metrics that are not as they should be."""
    sums = {f"{FOLDER}/{name}": float(value) for name, value in run_counts(present).items()}
    return {name: value for name, value in sums.items() if run.data.metrics.get(name) != value}


def _log_batch(
    client: Any, run: Any, tags: Mapping[str, str], present: Mapping[str, Slot], *, last: bool = False
) -> bool:
    """Write tags and metrics together; False where another process wrote the same metric at the same moment.

    Nothing of the batch is in the run then. Raises that conflict if this was the ``last`` try.
    """
    from mlflow.entities import Metric, RunTag

    # One time for all: of two writers the larger number stands, so a PASS that comes second hides no violation.
    at_ms = max(slot.checked_at_ms for slot in present.values())
    metrics = [Metric(name, value, at_ms, 0) for name, value in _new_sums(run, present).items()]
    run_tags_entities = [RunTag(name, value) for name, value in tags.items()]
    try:
        client.log_batch(run.info.run_id, metrics=metrics, tags=run_tags_entities, synchronous=True)
    except Exception as error:
        if last or not CONFLICT.search(str(error)):
            raise
        time.sleep(random.uniform(*CONFLICT_PAUSE_S))  # noqa: S311 - no secret
        return False
    return True


def _note(run: Any, present: Mapping[str, Slot], record: Record) -> dict[str, str]:
    """The tag that is the run's note, with our lines in it; none where they do not go in."""
    before = run.data.tags.get(NOTE_TAG, "")
    if record.verdict == PENDING and BEGIN not in before:
        return {}
    page = "report.html" if "report.html" in record.artifacts else "report.json"
    after = with_block(before, block(present, f"#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}", page))
    # A longer note would be cut by the server: the user's text goes first.
    return {NOTE_TAG: after} if len(after) <= MAX_NOTE else {}


def _write_files(client: Any, record: Record, slot: str) -> None:
    """The files of a report, and the record that names their digests."""
    if not record.artifacts:
        return
    with tempfile.TemporaryDirectory(prefix="evalguard-") as folder:
        for name, content in {**record.artifacts, RECORD_FILE: record_content(record, slot)}.items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        client.log_artifacts(record.run_id, folder, artifact_path=f"{FOLDER}/{slot}")
