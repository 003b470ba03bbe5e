"""The MLflow sink: it writes tags, metrics and the report to a run that evalguard does not own.

The sink writes through ``MlflowClient`` with explicit ids. It changes no environment
variable, active run, run status, parameter or text of the user. It sends nothing
while the model predicts, and no caller waits longer than the deadline.

Longer than 300 lines because an evaluation's slot, its record and the wait for the
server belong together.
"""

from __future__ import annotations

import functools
import itertools
import logging
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from evalguard.core.files import as_bytes
from evalguard.core.own_errors import swallow
from evalguard.core.policy import Verdict
from evalguard.core.report import Report
from evalguard.core.stages import stage
from evalguard.errors import SinkError
from evalguard.reporting.sink import Artifacts
from evalguard.tracking import chain, signing, spool
from evalguard.tracking.client import short_error
from evalguard.tracking.deadline import do_in_time, send_seconds
from evalguard.tracking.of_report import about, impact_metrics, known_counts, one_line
from evalguard.tracking.record import Record, stated
from evalguard.tracking.replay import deliver, replay_waiting
from evalguard.tracking.slots import ERROR, PENDING, slug
from evalguard.tracking.target import Target, find_run, place_of

# The text report is for a terminal. MLflow shows the HTML page, and over HTTP each file takes one request (mlflow 3.17,
# http_artifact_repo.py, `log_artifacts`), for which the caller waits.
NOT_UPLOADED = frozenset({"report.txt"})

_log = logging.getLogger("evalguard")
_logged_no_run = False
# Slots that this process has used, by run. Two calls with one name are two evaluations with two slots; otherwise a
# later PASS would overwrite a FAIL.
_used_slots: dict[Target, set[str]] = {}


def mlflow_sink(
    option: str | bool,
    timeout_s: float | None = None,
    model: str | None = None,
    tracking_uri: str | None = None,
    *,
    alone: bool = False,
    signing_key: str | Path | None = None,
) -> MlflowSink | None:
    """A sink for the run that ``option`` names, or None if there is no run.

    Args:
        option: ``auto``, a run id, or False for none.
        timeout_s: As for ``MlflowSink``.
        model: As for ``find_run``.
        tracking_uri: As for ``find_run``.
        alone: As for ``MlflowSink``.
        signing_key: As for ``MlflowSink``.

    Raises:
        ConfigError: ``model`` names no model, or ``signing_key`` is no key.
    """
    global _logged_no_run
    target = find_run(option, model, tracking_uri)
    if target is None:
        if not _logged_no_run and option is not False:
            _logged_no_run = True
            _log.info("no MLflow run is active: verdicts stay in the guard's reports")
        return None
    return MlflowSink(target, timeout_s, alone=alone, signing_key=signing_key)


class MlflowSink:
    """Writes verdicts to one run.

    Each report gets a separate slot, named after the evaluation; the second
    evaluation of that name in this process is ``<name>-2``. The run shows the
    worst of them.

    Attributes:
        target: The run.
        timeout_s: Longest time to wait, seconds; by default ``send_seconds`` of the run's server.
        alone: Whether the run is created for this one evaluation; its tags are then those of the evaluation.
        head: Digest of the last signed record, to keep outside the server; empty if none was signed.

    Raises:
        ConfigError: ``signing_key`` is no ed25519 private key.
    """

    def __init__(
        self,
        target: Target,
        timeout_s: float | None = None,
        *,
        alone: bool = False,
        signing_key: str | Path | None = None,
    ) -> None:
        self.target, self.alone, self.head = target, alone or target.new_run is not None, ""
        # Slots are counted for the run as it was named first: without an id, if it is to be created.
        self._used = _used_slots.setdefault(target, set())
        self._key, self._before = signing.signing_key(signing_key), chain.Before()
        self.timeout_s = send_seconds(target.tracking_uri) if timeout_s is None else timeout_s
        self._name = "evaluation"
        self._slot: str | None = None
        self._token = ""
        self._began_at_ms = 0
        # Slot of each report that was written, and when that was judged.
        self._written: list[tuple[str | None, int]] = []
        # What takes the place of the report of this number then replaces.
        self._replacing: dict[int, Mapping[str, str | None]] = {}

    def begin(self, name: str) -> None:
        """Tag the run PENDING, so that an evaluation whose process is killed does not keep an earlier PASS.

        A run that is to be created is created here. If that fails, it is tried again when the verdict is sent.

        Raises:
            SinkError: The server did not accept the tag of an existing run in time.
        """
        self._name = name
        self._open()
        record = self._record({"verdict": PENDING}, self._began_at_ms)
        # Not spooled, because a PENDING that is sent later would claim that an evaluation is running.
        try:
            self._send("the PENDING mark", record, None, first=self._ask_what_was_before)
        except SinkError as error:
            if self.target.run_id:
                raise
            _log.warning("evalguard: %s The run is created when the verdict is sent.", error)

    def write(self, report: Report, artifacts: Artifacts, *, again: bool = False) -> None:
        """Write the report's record to the spool, then send it.

        Args:
            report: The report.
            artifacts: Its files.
            again: Whether it takes the place of an earlier report on the same evaluation, whatever that said.

        Raises:
            SinkError: The record did not arrive in time. It is kept in the spool if that could be written.
        """
        fields = {
            "verdict": report.verdict.value,
            "proof": report.proof,
            # Plain text: a tag's column in the runs table does not render Markdown.
            "cause": report.diagnosis[0].cause.replace("`", "") if report.diagnosis else "",
            "reason": ",".join(finding.reason for finding in report.findings),
            "labels": str(report.labels.get("digest", "")),
            "labels_name": str(report.labels.get("name", "")),
        }
        if self._slot is None:
            self._open()
        record = self._record(
            fields,
            report.checked_at_ms or _now_ms(),
            counts=known_counts(report),
            labels={part: report.labels[part] for part in ("name", "digest", "n") if part in report.labels},
            artifacts={name: as_bytes(content) for name, content in artifacts.items() if name not in NOT_UPLOADED},
            metrics=dict(impact_metrics(report)),
            about={"evaluation": self._name, **about(report)},
            again=again,
            status="FAILED" if report.verdict is Verdict.FAIL else "FINISHED",
        )
        if self._key is not None:
            payload = stated(record, self._name, self._before.stated(record.fields))
            envelope, self.head = signing.sign(payload, self._key)
            record = replace(record, envelope=envelope)
            # The next record of this sink comes after this one, or takes its place.
            self._before = replace(self._before, previous=self.head, replaced={}, of=None)
            self._replacing[len(self._written)] = chain.replacing(payload, self.head)
        self._written.append((self._slot, record.checked_at_ms))
        self._spool_and_send(record)

    def replace(self, number: int, report: Report, artifacts: Artifacts) -> None:
        """Send a report that replaces an earlier one, because it was judged again after ``confirm``.

        Args:
            number: Position of the earlier report among those written.
            report: The new report.
            artifacts: Its files.

        Raises:
            SinkError: The record did not arrive in time. It is kept in the spool if that could be written.
        """
        slot, judged_at_ms = self._written[number]
        # An evaluation replaces another one in its slot if it began after that one had ended.
        self._open(slot, judged_at_ms + 1)
        self._before = replace(self._before, replaced=self._replacing.get(number, {}), of=None)
        self.write(report, artifacts, again=True)
        self._written[number] = self._written.pop()
        if (again := self._replacing.pop(len(self._written), None)) is not None:
            self._replacing[number] = again

    def _ask_what_was_before(self, run_id: str) -> None:
        """Ask the server for the records before this one; without an answer they are not known."""
        if self._key is None:
            return
        tag = chain.head_tag(self._name, self.target.model)
        try:
            found = chain.before(self.target.tracking_uri, run_id, str(self._slot), tag, self._key)
        except Exception as error:  # noqa: BLE001 - the PENDING mark must not fail with it
            swallow(error)
            _log.warning("evalguard: it is not known what was recorded before: %s", short_error(error))
            return
        # In one process the record before may still be on its way.
        self._before = replace(found, previous=self._before.previous or found.previous)

    def failed(self, error: BaseException) -> None:
        """Tag the run ERROR.

        Raises:
            SinkError: The record did not arrive in time. It is kept in the spool if that could be written.
        """
        status = "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED"
        self._spool_and_send(self._record({"verdict": ERROR, "reason": type(error).__name__}, _now_ms(), status=status))

    def _open(self, slot: str | None = None, after_ms: int = 0) -> None:
        """Choose a new slot for the next report, or use the given one."""
        used = self._used
        if slot is None:
            name = slug(self._name)
            names = itertools.chain((name,), (f"{name}-{count}" for count in itertools.count(2)))
            slot = next(each for each in names if each not in used)
        used.add(slot)
        self._slot, self._token = slot, f"pending-{uuid.uuid4().hex}"
        self._began_at_ms = max(_now_ms(), after_ms)

    def _record(self, fields: Mapping[str, str], at_ms: int, status: str = "", **parts: Any) -> Record:
        if self._slot is None:
            self._open()
        new_run = self.target.new_run
        return Record(
            tracking_uri=self.target.tracking_uri,
            run_id=self.target.run_id,
            name=str(self._slot),
            fields={name: one_line(value) for name, value in {**fields, "model": self.target.model}.items()},
            began_at_ms=self._began_at_ms,
            # The verdict must be newer than its own PENDING even if the clock was set back. Otherwise `choose_slot`
            # would drop it as superseded, and a count of 0 would not replace a NaN.
            checked_at_ms=max(at_ms, self._began_at_ms + (fields["verdict"] != PENDING)),
            token=self._token,
            alone=self.alone,
            new_run=None if new_run is None else replace(new_run, status=status),
            **parts,
        )

    def _spool_and_send(self, record: Record) -> None:
        # The slot is used up, because the next record belongs to another evaluation.
        self._slot = None
        try:
            spooled = spool.put(record)
        except SinkError as error:
            # The local disk may be full while the server, on another machine, still accepts the verdict.
            self._send(f"the verdict {record.verdict}", record, None, f" It could not be spooled either: {error}")
            _log.warning("evalguard: the verdict was sent without being spooled first: %s", error)
            return
        self._send(f"the verdict {record.verdict}", record, spooled)

    def _send(
        self,
        what: str,
        record: Record,
        spooled: Path | None,
        note: str = "",
        first: Callable[[str], None] | None = None,
    ) -> None:
        sends = "sends it" if record.run_id else "creates its run and sends it"
        where = f" It is kept in {spooled}; `evalguard replay` {sends}." if spooled else note
        uri, deadline = self.target.tracking_uri, time.monotonic() + self.timeout_s
        with stage("recording in MLflow"):
            work = functools.partial(deliver, record, spooled, deadline, first)
            run_id = do_in_time(uri, work, self.timeout_s, f"did not accept {what}", f".{where}")
        if not self.target.run_id:
            self.target = replace(self.target, run_id=run_id)
        # Not after a PENDING mark: whether an earlier verdict is replaced is known when this evaluation has ended.
        if record.verdict != PENDING:
            replay_waiting(uri, deadline, new_runs=self.target.new_run is not None)


def places_of(sink: MlflowSink) -> dict[str, str]:
    """Where a verdict was recorded: ``mlflow``, its run, and ``record``, the digest of a signed record."""
    places = {"mlflow": place_of(sink.target)} if sink.target.run_id else {}
    return {**places, **({"record": f"{sink.head}  # for evalguard gate --head"} if sink.head else {})}


def _now_ms() -> int:
    return int(time.time() * 1000)
