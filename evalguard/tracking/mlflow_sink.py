"""The verdict in MLflow: tags, metrics and report of a run that we do not own.

Written by ``MlflowClient`` with explicit ids: no environment variable, active
run, run status, parameter or text of the user is changed. Nothing is sent while
predicting, and nobody waits longer than the deadline.
"""

from __future__ import annotations

import contextlib
import logging
import math
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from evalguard.core.files import as_bytes
from evalguard.core.report import Report
from evalguard.errors import SinkError
from evalguard.reporting.sink import Artifacts
from evalguard.tracking import spool
from evalguard.tracking.deadline import POLL_S, SEND_S, DeadlineExceeded, deadline_runner, do_in_time
from evalguard.tracking.record import Record
from evalguard.tracking.replay import replay
from evalguard.tracking.send import send
from evalguard.tracking.slots import ERROR, PENDING, slug
from evalguard.tracking.target import Target, find_run

# For a terminal: MLflow shows the page beside it, and each file is a request more to wait for.
NOT_UPLOADED = frozenset({"report.txt"})

_log = logging.getLogger("evalguard")
_logged_no_run = False
# Slots that this process has given away, by run: calls of one name are several evaluations, a later PASS hides no FAIL.
_used_slots: dict[Target, set[str]] = {}


def mlflow_sink(
    option: str | bool, timeout_s: float = SEND_S, model: str | None = None, tracking_uri: str | None = None
) -> MlflowSink | None:
    """A sink for the run that ``option`` names, or None where there is no run.

    Args:
        option: ``auto``, a run id, or False for none.
        timeout_s: Longest time to wait for the server, seconds.
        model: As for ``find_run``.
        tracking_uri: As for ``find_run``.
    """
    global _logged_no_run
    target = find_run(option, model, tracking_uri)
    if target is None:
        if not _logged_no_run and option is not False:
            _logged_no_run = True
            _log.info("no MLflow run is active: verdicts stay in the guard's reports")
        return None
    return MlflowSink(target, timeout_s)


class MlflowSink:
    """Writes verdicts to one run.

    Each report gets a slot of its own there, named after the evaluation: a
    second one in this process is ``<name>-2``. The run shows the worst.

    Attributes:
        target: The run.
        timeout_s: Longest time to wait, seconds.
    """

    def __init__(self, target: Target, timeout_s: float = SEND_S) -> None:
        self.target = target
        self.timeout_s = timeout_s
        self._name = "evaluation"
        self._slot: str | None = None
        self._token = ""
        self._began_at_ms = 0

    def begin(self, name: str) -> None:
        """Tag the run PENDING: a killed process must not look like a PASS.

        Raises:
            SinkError: The server did not take it in time.
        """
        self._name = name
        self._open()
        record = self._record({"verdict": PENDING}, self._began_at_ms)
        self._send("the PENDING mark", record, None)

    def write(self, report: Report, artifacts: Artifacts) -> None:
        """Spool the record, then send it.

        Raises:
            SinkError: It did not arrive in time; it is kept in the spool.
        """
        fields = {
            "verdict": report.verdict.value,
            "proof": report.proof,
            "cause": report.diagnosis[0].cause.replace("`", "") if report.diagnosis else "",
            "reason": ",".join(finding.reason for finding in report.findings),
            "labels": str(report.labels.get("digest", "")),
            "labels_name": str(report.labels.get("name", "")),
        }
        record = self._record(
            fields,
            report.checked_at_ms or _now_ms(),
            counts={"violations": report.violations, **{name: int(count) for name, count in report.counts.items()}},
            labels={part: report.labels[part] for part in ("name", "digest", "n") if part in report.labels},
            artifacts={name: as_bytes(content) for name, content in artifacts.items() if name not in NOT_UPLOADED},
            figures=dict(impact_metrics(report)),
        )
        self._spool_and_send(record)

    def failed(self, error: BaseException) -> None:
        """Tag the run ERROR.

        Raises:
            SinkError: It did not arrive in time; it is kept in the spool.
        """
        self._spool_and_send(self._record({"verdict": ERROR, "reason": type(error).__name__}, _now_ms()))

    def _open(self) -> None:
        """Take a slot for the next report."""
        used = _used_slots.setdefault(self.target, set())
        name, count = slug(self._name), 1
        while (slot := name if count == 1 else f"{name}-{count}") in used:
            count += 1
        used.add(slot)
        self._slot, self._token, self._began_at_ms = slot, f"pending-{uuid.uuid4().hex}", _now_ms()

    def _record(
        self,
        fields: Mapping[str, str],
        at_ms: int,
        *,
        counts: Mapping[str, int] | None = None,
        labels: Mapping[str, Any] | None = None,
        artifacts: Mapping[str, bytes] | None = None,
        figures: Mapping[str, float] | None = None,
    ) -> Record:
        if self._slot is None:
            self._open()
        return Record(
            self.target.tracking_uri,
            self.target.run_id,
            str(self._slot),
            {name: _line(value) for name, value in {**fields, "model": self.target.model}.items()},
            self._began_at_ms,
            # A clock that was set back must not make this verdict older than its own beginning.
            max(at_ms, self._began_at_ms),
            self._token,
            counts or {},
            labels or {},
            artifacts or {},
            figures or {},
        )

    def _spool_and_send(self, record: Record) -> None:
        # The slot is used up: what comes next is another evaluation.
        self._slot = None
        try:
            spooled = spool.put(record)
        except SinkError as error:
            # A full disk here is no reason not to tell a server elsewhere.
            self._send(f"the verdict {record.verdict}", record, None, f" Nor could it be kept: {error}")
            _log.warning("evalguard: sent, but not kept on disk before: %s", error)
            return
        self._send(f"the verdict {record.verdict}", record, spooled)

    def _send(self, what: str, record: Record, spooled: Path | None, note: str = "") -> None:
        where = f" It is kept in {spooled}; `evalguard replay` sends it." if spooled else note
        uri, deadline = self.target.tracking_uri, time.monotonic() + self.timeout_s
        do_in_time(
            uri, lambda: _deliver(record, spooled, deadline), self.timeout_s, f"did not take {what}", f".{where}"
        )
        _replay_waiting(uri, deadline)


def _deliver(record: Record, spooled: Path | None, deadline: float) -> None:
    """Send a record and take it out of the spool; one that is not kept there is of no use after the deadline."""
    if spooled is None:
        send(record, deadline)
        return
    while True:
        with spool.claimed(spooled) as mine:
            if mine:
                send(record)
                spooled.unlink(missing_ok=True)
                return
        if not spooled.exists():
            # A replay of another process was quicker, and is done.
            return
        time.sleep(POLL_S)


def _replay_waiting(tracking_uri: str, deadline: float) -> None:
    """The server answers: send what waits for it since it did not, as far as time allows."""
    if next(spool.waiting(), None) is None:
        return

    def work() -> None:
        for failure in replay(server=tracking_uri, retry_refused=False, deadline=deadline).failures:
            _log.warning("evalguard: %s", failure)

    with contextlib.suppress(DeadlineExceeded):
        deadline_runner(tracking_uri).do(work, deadline - time.monotonic())


def _line(text: str) -> str:
    """One line that a tag can hold: what cannot be written as UTF-8 is escaped."""
    return " ".join(str(text).encode("utf-8", "backslashreplace").decode().split())


def impact_metrics(report: Report) -> Iterator[tuple[str, float]]:
    """Figures of the metrics by name; the difference without its sign, so that 0 is good and more is worse."""
    for metric, figures in (report.impact or {}).items():
        for name, value in figures.to_dict().items():
            if isinstance(value, (int, float)) and math.isfinite(value):
                yield f"{metric}/{name}", abs(float(value)) if name == "difference" else float(value)


def _now_ms() -> int:
    return int(time.time() * 1000)
