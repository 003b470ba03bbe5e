"""The verdict in MLflow: tags, metrics and report of a run that we do not own.

Written by ``MlflowClient`` with explicit ids: no environment variable, active
run, run status, parameter or note of the user is changed. Nothing is sent while
predicting, and nobody waits longer than the deadline.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalguard.core.report import Report
from evalguard.errors import SinkError
from evalguard.sinks import Artifacts, spool
from evalguard.sinks.spool import Record

TIMEOUT_S = 10.0
FOLDER = "evalguard"
# Worst first: one bad evaluation marks its run.
RANK = ("FAIL", "ERROR", "PENDING", "UNPROVEN", "REPAIRED", "PASS")
# A tag's column shows about nine characters; longer values are for search.
MAX_TAG = 250

_log = logging.getLogger("evalguard")
_said_no_run = False


@dataclass(frozen=True, slots=True)
class Target:
    """The run that gets the verdict, and the store it is in."""

    tracking_uri: str
    run_id: str


def find_run(option: str) -> Target | None:
    """The run to write to, asked on the caller's thread: active runs are thread-local.

    A run id given; the thread's active run, if MLflow has been imported at
    all; ``MLFLOW_RUN_ID``, which is read and left; none.
    """
    run_id = None if option == "auto" else option
    active = sys.modules.get("mlflow")
    if run_id is None and active is not None:
        run = active.active_run()
        run_id = run.info.run_id if run is not None else None
    run_id = run_id or os.environ.get("MLFLOW_RUN_ID")
    if not run_id:
        return None
    import mlflow

    return Target(mlflow.get_tracking_uri(), run_id)


def mlflow_sink(option: str, timeout_s: float = TIMEOUT_S) -> MlflowSink | None:
    """A sink for the run that ``option`` names, or None where there is no run.

    Args:
        option: ``auto`` or a run id.
        timeout_s: Longest time to wait for the server, seconds.
    """
    global _said_no_run
    target = find_run(option)
    if target is None:
        if not _said_no_run:
            _said_no_run = True
            _log.info("no MLflow run is active: verdicts stay in the guard's reports")
        return None
    return MlflowSink(target, timeout_s)


class MlflowSink:
    """Writes verdicts to one run.

    Attributes:
        target: The run.
        timeout_s: Longest time to wait, seconds.
    """

    def __init__(self, target: Target, timeout_s: float = TIMEOUT_S) -> None:
        self.target = target
        self.timeout_s = timeout_s
        self._name = "evaluation"
        self._written = 0
        self._worst = "PASS"
        self._down = False

    def begin(self, name: str) -> None:
        """Tag the run PENDING: a killed process must not look like a PASS.

        Raises:
            SinkError: The server did not take it in time.
        """
        self._name, self._written, self._worst = name, 0, "PASS"
        record = self._record("PENDING", _now_ms(), {}, {}, {})
        self._bounded(lambda: send(record), "the PENDING mark", None)

    def write(self, report: Report, artifacts: Artifacts) -> None:
        """Spool the record, then send it.

        Raises:
            SinkError: It did not arrive in time; it is kept in the spool.
        """
        verdict = report.verdict.value
        self._worst = min(self._worst, verdict, key=RANK.index)
        self._written += 1
        part = "" if self._written == 1 else f"-{self._written}"
        files = {f"{slug(self._name)}{part}/{name}": _text(content) for name, content in artifacts.items()}
        tags = {
            "proof": report.proof,
            "cause": report.diagnosis[0].cause if report.diagnosis else "",
            "reason": ",".join(str(finding["reason"]) for finding in report.findings),
            "labels": str(report.labels.get("digest", "")),
            "record": hashlib.sha256(report.to_json().encode()).hexdigest(),
        }
        metrics = {"violations": float(report.violations)}
        metrics |= {name: float(count) for name, count in report.counts.items()}
        self._keep_and_send(self._record(self._worst, report.checked_at_ms or _now_ms(), tags, metrics, files))

    def failed(self, error: BaseException) -> None:
        """Tag the run ERROR.

        Raises:
            SinkError: It did not arrive in time; it is kept in the spool.
        """
        self._keep_and_send(self._record("ERROR", _now_ms(), {"reason": type(error).__name__}, {}, {}))

    def _record(
        self, verdict: str, at_ms: int, tags: dict[str, str], metrics: dict[str, float], files: dict[str, str]
    ) -> Record:
        tags = {"verdict": verdict, **tags, "checked_at_ms": str(at_ms)}
        return Record(
            self.target.tracking_uri,
            self.target.run_id,
            self._name,
            verdict,
            {name: value[:MAX_TAG] for name, value in tags.items()},
            metrics,
            files,
            at_ms,
        )

    def _keep_and_send(self, record: Record) -> None:
        kept = spool.put(record)

        def deliver() -> None:
            send(record)
            kept.unlink(missing_ok=True)

        self._bounded(deliver, f"the verdict {record.verdict}", kept)

    def _bounded(self, work: Callable[[], object], what: str, kept: Path | None) -> None:
        """Run on a daemon thread, for no longer than the deadline."""
        where = f" It is kept in {kept}; `evalguard replay` sends it." if kept else ""
        if self._down:
            msg = f"MLflow at {self.target.tracking_uri} did not answer before: {what} was not sent.{where}"
            raise SinkError(msg)
        failure: list[Exception] = []

        def run() -> None:
            try:
                work()
            except Exception as error:  # noqa: BLE001 - whatever a store raises is one failed delivery
                failure.append(error)

        thread = threading.Thread(target=run, name="evalguard-mlflow", daemon=True)
        thread.start()
        thread.join(self.timeout_s)
        if thread.is_alive():
            self._down = True
            msg = f"MLflow at {self.target.tracking_uri} did not take {what} within {self.timeout_s:g} s.{where}"
            raise SinkError(msg)
        if failure:
            msg = f"MLflow at {self.target.tracking_uri} did not take {what}: {_short(failure[0])}.{where}"
            raise SinkError(msg) from failure[0]


def send(record: Record) -> bool:
    """Write one record to its run; False where a newer verdict is there already.

    Tags and metrics go in one batch, the truth first; files after it. A record
    sent twice leaves the run as it was after the first time.
    """
    from mlflow.entities import Metric, RunTag
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=record.tracking_uri)
    present: dict[str, str] = dict(client.get_run(record.run_id).data.tags)
    own = f"{FOLDER}.{slug(record.name)}"
    newer = int(present.get(f"{own}.checked_at_ms", "0")) > record.checked_at_ms
    if newer:
        return False
    verdicts = [value for name, value in present.items() if _is_other(name, own)]
    worst = min([record.verdict, *verdicts], key=RANK.index)
    tags = {f"{own}.{name}": value for name, value in record.tags.items()}
    tags |= {f"{FOLDER}.{name}": value for name, value in record.tags.items()}
    tags[f"{FOLDER}.verdict"] = worst
    client.log_batch(
        record.run_id,
        metrics=[Metric(f"{FOLDER}/{name}", value, record.checked_at_ms, 0) for name, value in record.metrics.items()],
        tags=[RunTag(name, value) for name, value in tags.items()],
        synchronous=True,
    )
    if record.artifacts:
        _send_files(client, record)
    return True


def _is_other(name: str, own: str) -> bool:
    """The verdict tag of another evaluation in the same run."""
    pattern = rf"{FOLDER}\.[^.]+\.verdict"
    return re.fullmatch(pattern, name) is not None and not name.startswith(f"{own}.")


def _send_files(client: Any, record: Record) -> None:
    with tempfile.TemporaryDirectory(prefix="evalguard-") as folder:
        for name, text in record.artifacts.items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        client.log_artifacts(record.run_id, folder, artifact_path=FOLDER)


def replay(directory: Path | None = None) -> tuple[int, list[SinkError]]:
    """Send what waits in the spool; how many arrived, and what did not.

    An older verdict never takes the place of a newer one: it is dropped.
    """
    sent, failures = 0, []
    for path in spool.waiting(directory):
        try:
            send(spool.read(path))
            path.unlink(missing_ok=True)
            sent += 1
        except SinkError as error:
            failures.append(error)
        except Exception as error:  # noqa: BLE001 - one record that cannot be sent must not keep the others
            failures.append(SinkError(f"{path}: {_short(error)}"))
    return sent, failures


def slug(name: str) -> str:
    """A name that MLflow takes as part of a tag and of a path, without dots."""
    return re.sub(r"[^\w\-]+", "_", name, flags=re.ASCII).strip("_")[:80] or "evaluation"


def _text(content: str | bytes) -> str:
    return content if isinstance(content, str) else content.decode("utf-8", "replace")


def _short(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:200]


def _now_ms() -> int:
    return int(time.time() * 1000)
