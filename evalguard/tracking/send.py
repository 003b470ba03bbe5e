"""A record on its way into MLflow: tags and metrics in one batch, then what hangs on them.

Sending is idempotent: a record that was sent in part, or twice, leaves its run
as one that was sent once.
"""

from __future__ import annotations

import hashlib
import json
import logging
import random
import re
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from evalguard.tracking.lineage import lineage
from evalguard.tracking.note import BEGIN, NOTE_TAG, block, with_block
from evalguard.tracking.slots import FOLDER, PENDING, Slot, number, run_counts, run_tags, slots
from evalguard.tracking.spool import Record

RECORD_FILE = "record.json"
RECORD_SCHEMA = 1
MAX_DIGEST, MAX_DATASET_NAME = 36, 500
MAX_NOTE = 8000
MAX_METRIC, MAX_BATCH = 250, 1000
# Each writer of one run may find that another has written beside it; it puts the run's own tags right and looks again.
MAX_ROUNDS = 20
# MLflow looks whether a metric is there before it inserts it; two who do so at once meet in the database.
CONFLICT = re.compile(r"constraint|duplicate|locked|deadlock", re.IGNORECASE)
TOKEN_DIGITS = 6
# Answers that no second try will change.
FOR_GOOD = frozenset({"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "INVALID_STATE"})

_log = logging.getLogger("evalguard")


def send(record: Record, until: float | None = None) -> str | None:
    """Write one record to its run; the slot it went to, or None where a newer verdict of its name is there already.

    The truth goes first, in one batch. Dataset and model are extras: what the
    server refuses of them is logged and let go.

    Args:
        record: What to write.
        until: A mark that nobody waits for any more must not come after the
            verdict: write nothing later than this (``time.monotonic``).
    """
    client = client_of(record.tracking_uri)
    own = _write_truth(client, record, until)
    if own is None:
        return None
    if record.verdict == PENDING:
        # What another wrote at the same moment is put right with the verdict; until then the run says no PASS.
        return own.name
    # The files take as long as all the rest.
    files = _beside(lambda: _write_files(client, record, own.name))
    try:
        _settle(client, record)
        _write_extras(client, record, own)
    finally:
        files()
    return own.name


def _beside(work: Callable[[], None]) -> Callable[[], None]:
    """Begin work; gives a function that waits for its end and raises what it raised."""
    failure: list[Exception] = []

    def run() -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - whatever a store raises is handed to the one who waits
            failure.append(error)

    # A daemon: a server that hangs keeps no program alive.
    thread = threading.Thread(target=run, name="evalguard-mlflow", daemon=True)
    thread.start()

    def end() -> None:
        thread.join()
        if failure:
            raise failure[0]

    return end


def _write_extras(client: Any, record: Record, own: Slot) -> None:
    _try("dataset", lambda: _write_dataset(client, record))
    _try("figures", lambda: _write_figures(client, record, own.name))
    model_id = _try("model", lambda: _model_id(client, record.fields.get("model", "")))
    if model_id:
        _try("model", lambda: _write_model(client, record, own, model_id))


def choose_slot(record: Record, present: Mapping[str, Slot]) -> str | None:
    """The slot of its name; one of its own where another evaluation of that name went on at the same time.

    An evaluation that ended before this one began is replaced by it, one that
    began after this one had ended is left: newest wins. Two that overlap are
    two, and both are kept: a tag cannot be claimed, but a name that nobody else
    has needs no claim.
    """
    alone = f"{record.name}-{record.token[-TOKEN_DIGITS:]}"
    found = present.get(record.name)
    if alone in present:
        return alone
    if found is None or found["record"] in {record.token, record_digest(record_content(record, record.name))}:
        return record.name
    # Whoever is PENDING now came after our own PENDING, or is dead: a beginning takes over, a verdict lets it be.
    ended = found["verdict"] != PENDING or record.verdict == PENDING
    if ended and found.checked_at_ms < record.began_at_ms:
        return record.name
    later = (found.began_at_ms or found.checked_at_ms) > record.checked_at_ms
    return None if later else alone


def record_content(record: Record, slot: str) -> bytes:
    """``record.json``: what binds tags, report and run together; the slot's tag ``record`` is its digest."""
    body = {
        "schema_version": RECORD_SCHEMA,
        "run_id": record.run_id,
        "name": slot,
        "began_at_ms": record.began_at_ms,
        "checked_at_ms": record.checked_at_ms,
        "counts": _counts_text(record.counts),
        "fields": dict(record.fields),
        "files": {name: record_digest(content) for name, content in sorted(record.artifacts.items())},
    }
    return (json.dumps(body, indent=2, sort_keys=True) + "\n").encode()


def record_digest(content: bytes) -> str:
    """SHA-256, hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def client_of(tracking_uri: str) -> Any:
    """A client for an explicit store.

    Raises:
        StoreGoneError: An sqlite file that is not there; MLflow would make a new, empty one.
    """
    path = sqlite_path(tracking_uri)
    if path is not None and not path.exists():
        msg = f"expected an MLflow store at {path}, found none there"
        raise StoreGoneError(msg)
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=tracking_uri)


class StoreGoneError(Exception):
    """The store is a file, and the file is not there."""

    error_code = "RESOURCE_DOES_NOT_EXIST"


def sqlite_path(tracking_uri: str) -> Path | None:
    """The file of an sqlite store; None for any other."""
    if not tracking_uri.startswith("sqlite:///"):
        return None
    return Path(unquote(tracking_uri.removeprefix("sqlite:///").partition("?")[0]))


def _counts_text(counts: Mapping[str, int]) -> str:
    """Counts as the tag holds them: what matters most comes first, for it may be cut."""
    return " ".join(f"{name}={value}" for name, value in counts.items())


def _own_slot(record: Record, name: str) -> Slot:
    fields = {
        **record.fields,
        "counts": _counts_text(record.counts),
        "record": record_digest(record_content(record, name)) if record.artifacts else record.token,
        "began_at_ms": str(record.began_at_ms),
        "checked_at_ms": str(record.checked_at_ms),
    }
    return Slot(name, fields)


def _write_truth(client: Any, record: Record, until: float | None) -> Slot | None:
    """Verdict, counts and digest in one batch; None where a newer verdict is there, or it is too late."""
    for attempt in range(MAX_ROUNDS):
        run = client.get_run(record.run_id)
        present = slots(run.data.tags)
        name = choose_slot(record, present)
        if name is None:
            return None
        own = _own_slot(record, name)
        present = {**present, name: own}
        if until is not None and time.monotonic() > until:
            return None
        tags = {**own.to_tags(), **run_tags(present), **_note(run, present, record)}
        if _log_batch(client, run, tags, present, last=attempt + 1 == MAX_ROUNDS):
            break
    return own


def _settle(client: Any, record: Record) -> None:
    """Put the run's own tags right where another process wrote at the same time."""
    for _ in range(MAX_ROUNDS):
        run = client.get_run(record.run_id)
        present = slots(run.data.tags)
        wanted = {**run_tags(present), **_note(run, present, record)}
        if wanted.items() <= run.data.tags.items() and not _new_sums(run, present):
            return
        _log_batch(client, run, wanted, present)


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
    told = [RunTag(name, value) for name, value in tags.items()]
    try:
        client.log_batch(run.info.run_id, metrics=metrics, tags=told, synchronous=True)
    except Exception as error:
        if last or not CONFLICT.search(str(error)):
            raise
        time.sleep(random.uniform(0.01, 0.1))  # noqa: S311 - no secret
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


def _dataset(record: Record) -> tuple[str, str] | None:
    digest = str(record.labels.get("digest") or "")[:MAX_DIGEST]
    name = str(record.labels.get("name") or "labels")[:MAX_DATASET_NAME]
    return (name, digest) if digest else None


def _write_dataset(client: Any, record: Record) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    found = _dataset(record)
    if found is None:
        return
    name, digest = found
    profile = json.dumps({"num_rows": record.labels.get("n")})
    dataset = Dataset(name, digest, "local", json.dumps({"uri": name}), profile=profile)
    client.log_inputs(record.run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "eval")])])


def _write_figures(client: Any, record: Record, slot: str) -> None:
    """``evalguard/<slot>/<metric>/as_scored`` and its like."""
    from mlflow.entities import Metric

    metrics = [
        # MLflow takes these letters and no others in a name.
        Metric(
            re.sub(r"[^/\w.\- ]", "_", f"{FOLDER}/{slot}/{name}", flags=re.ASCII)[:MAX_METRIC],
            value,
            record.checked_at_ms,
            0,
        )
        for name, value in record.figures.items()
    ]
    for start in range(0, len(metrics), MAX_BATCH):
        client.log_batch(record.run_id, metrics=metrics[start : start + MAX_BATCH], synchronous=True)


def _model_id(client: Any, model: str) -> str:
    """Id of the logged model that ``m-…``, ``models:/m-…`` or ``models:/NAME/VERSION`` names; empty if none does."""
    name = model.removeprefix("models:/")
    if "/" not in name:
        return name
    registered, _, version = name.rpartition("/")
    return lineage(client.get_model_version, registered, version).model_id


def _write_model(client: Any, record: Record, own: Slot, model_id: str) -> None:
    from mlflow.entities import Metric

    name, digest = _dataset(record) or (None, None)
    metrics = [
        Metric(f"{FOLDER}/{count}", float(value), record.checked_at_ms, 0, model_id, name, digest, record.run_id)
        for count, value in record.counts.items()
    ]
    if metrics:
        client.log_batch(record.run_id, metrics=metrics, synchronous=True)
    told = client.get_logged_model(model_id).tags
    present = {**slots(told), own.name: own}
    if number(told.get(f"{FOLDER}.{own.name}.checked_at_ms", "")) <= own.checked_at_ms:
        client.set_logged_model_tags(model_id, {**own.to_tags(), **run_tags(present)})


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


def _try(what: str, work: Callable[[], Any]) -> Any:
    """An extra: an old server, or one that refuses it, does not stand in the way of the verdict."""
    try:
        return work()
    except Exception as error:  # noqa: BLE001 - whatever a store raises, the verdict is there already
        _log.warning("evalguard: the %s was not written to MLflow: %s", what, short(error))
        return None


def short(error: BaseException) -> str:
    """Type and first line of an error."""
    text = str(error).splitlines()[0] if str(error) else ""
    return f"{type(error).__name__}: {text}"[:200]


def refused_for_good(error: BaseException) -> bool:
    """Whether the server understood and said no: the run is deleted or was never there."""
    return getattr(error, "error_code", None) in FOR_GOOD


def shown(tracking_uri: str) -> str:
    """A tracking URI without the password that may be in it."""
    scheme, separator, rest = tracking_uri.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}"
