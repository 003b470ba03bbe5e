"""A judged call: kept and recorded first, then raised or warned about."""

from __future__ import annotations

import functools
import time
import warnings
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from evalguard.core.judge import Judgement, unproven
from evalguard.core.label_table import LabelTable
from evalguard.core.policy import Policy, Verdict
from evalguard.core.report import NO_CALL, Report
from evalguard.core.trace import Trace
from evalguard.errors import EvalGuardWarning, SinkError
from evalguard.guards import attested
from evalguard.guards.about import About
from evalguard.guards.calls import BATCH_METHODS
from evalguard.guards.class_numbers import ClassNumbers
from evalguard.guards.confirming import Columns
from evalguard.guards.environment import stacklevel, versions
from evalguard.guards.errors import AlignmentError, MisalignmentError, UnprovenError
from evalguard.guards.messages import message
from evalguard.reporting import artifacts
from evalguard.reporting.sink import Sink


@dataclass(slots=True, eq=False)
class Outcome:
    """A judged call or session, with the arrays a caller may want.

    Attributes:
        n_calls: Calls that it is made of; several give a list of predictions.
        columns: Digests of the rows that were returned, in the order of the trace; None where there are none.
        outputs: Names of the model's outputs.
        notes: What the guard added to ``not_proven``.
        classes: How the classes are numbered.
        models: Numbers of the models that were called.
        place: Folder or file of the data, as its source shows.
        weights: Digest of the weights of these models.
    """

    report: Report
    judgement: Judgement | None
    labels: LabelTable | None
    predictions: Any
    samples: Any = None
    trace: Trace | None = None
    n_calls: int = 1
    columns: Columns | None = None
    outputs: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    classes: ClassNumbers = field(default_factory=ClassNumbers)
    models: tuple[int, ...] = ()
    place: str = ""
    weights: str = ""


@dataclass(slots=True, eq=False)
class Kept:
    """What outlives the entries into a guard: every report, and the rows of the last call or session only.

    Attributes:
        reports: Oldest first.
        last: The outcome of the last report; None before there is one.
        entry: The latest entry that judged something.
        first: Number of the first report of the latest entry.
        open: For each entry that has not ended, the number of reports when it began.
        functions: Those that the guard decorates; ``report`` of each is that of its last call.
    """

    reports: list[Report] = field(default_factory=list)
    last: Outcome | None = None
    entry: Any = None
    first: int = 0
    open: list[int] = field(default_factory=list)
    functions: weakref.WeakSet[Any] = field(default_factory=weakref.WeakSet)

    def begin(self) -> int:
        """Begin an entry; return what ``end`` takes."""
        began = len(self.reports)
        self.open.append(began)
        return began

    def end(self, began: int) -> None:
        """End an entry."""
        self.open.remove(began)

    def add(self, outcome: Outcome) -> None:
        """Keep the report, and the rows in place of those before."""
        # Entries that overlap, nested or in threads, count as one: the verdict of an inner one is not that of both.
        self.first = min(self.open, default=len(self.reports))
        self.reports.append(outcome.report)
        self.last = outcome

    def change(self, old: Report, outcome: Outcome) -> None:
        """Keep another outcome in place of that of an earlier report."""
        at = next(number for number, report in enumerate(self.reports) if report is old)
        self.reports[at] = outcome.report
        for function in self.functions:
            function.report = outcome.report if function.report is old else function.report
        if self.last is not None and self.last.report is old:
            outcome.predictions = self.last.predictions
            self.last = outcome

    def show_on(self, guard: Any, function: Any) -> None:
        """Give a decorated function its guard as ``guard``, and the report of its last call as ``report``."""
        if getattr(function, "guard", None) is not guard or function not in self.functions:
            function.guard, function.report = guard, None
            self.functions.add(function)
        elif self.reports:
            function.report = self.reports[-1]

    def worst(self) -> Report:
        """The worst report of the latest entry; of several the last one, whose predictions are kept."""
        return max(reversed(self.reports[self.first :]), key=lambda report: list(Verdict).index(report.verdict))


@dataclass(slots=True, eq=False)
class Outcomes:
    """What one entry into a guard has judged.

    Attributes:
        name: Name of the evaluation.
        policy: What a FAIL and an UNPROVEN do.
        keep: What the guard keeps of all its entries.
        sinks: Where reports go.
        files: Name of each file that is judged → its SHA-256.
        about: What the reports name beside their verdict.
        judged: The reports of this entry, oldest first.
        sink_errors: Records that could not be written.
        ended: The entry has ended, if only by an error.
    """

    name: str
    policy: Policy
    keep: Kept
    sinks: Sequence[Sink] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    about: About = field(default_factory=About)
    judged: list[Report] = field(default_factory=list)
    sink_errors: list[SinkError] = field(default_factory=list)
    ended: bool = False

    def begin(self) -> None:
        """Report to the sinks that an evaluation has begun."""
        for sink in self.sinks:
            self._send(sink.begin, self.name)

    def failed(self, error: BaseException) -> None:
        """An error was raised before any call was judged: the report says so, and so do the sinks."""
        # Otherwise the report of an earlier entry would stay the last one.
        reason = f"{type(error).__name__} was raised before any call was judged"
        now_ms = int(time.time() * 1000)
        report = unproven(
            None, self.policy, reason, method=NO_CALL, name=self.name, versions=versions(), checked_at_ms=now_ms
        )
        self.keep.add(Outcome(self.about.named(report), None, None, None))
        for sink in self.sinks:
            self._send(sink.failed, error)

    def finish(self, outcome: Outcome) -> None:
        """Record first, then act: a FAIL has been written when the exception reaches the caller."""
        self.record(outcome)
        self.act(outcome)

    def record(self, outcome: Outcome) -> None:
        """Keep the outcome and send it to the sinks; its report gets the names of model, data and caller."""
        outcome.report = self.about.named(outcome.report, outcome.models, outcome.place, weights=outcome.weights)
        self.judged.append(outcome.report)
        self.keep.add(outcome)
        self._write(outcome, lambda sink: sink.write)

    def change(self, old: Report, outcome: Outcome) -> None:
        """Record another outcome in place of that of an earlier report."""
        line = old.caller.get("line", "")
        outcome.report = self.about.named(outcome.report, outcome.models, outcome.place, line, outcome.weights)
        number = next(at for at, report in enumerate(self.judged) if report is old)
        self.judged[number] = outcome.report
        self.keep.change(old, outcome)
        # A sink of the user's that cannot replace a report gets one more.
        self._write(
            outcome,
            lambda sink: functools.partial(sink.replace, number) if hasattr(sink, "replace") else sink.write,
        )

    def _write(self, outcome: Outcome, method: Callable[[Any], Callable[..., None]]) -> None:
        if self.sinks:
            # Rendered once: every sink must store the same bytes.
            subjects = attested.subjects(self.files, outcome)
            rendered = artifacts(outcome.report, subjects, attested.rows(outcome) if subjects else None)
            for sink in self.sinks:
                self._send(method(sink), outcome.report, rendered)

    def act(self, outcome: Outcome) -> None:
        """Raise or warn, as the caller asked for."""
        report, policy = outcome.report, self.policy
        action = {Verdict.FAIL: policy.on_failure, Verdict.UNPROVEN: policy.on_unproven}.get(report.verdict)
        # A repair that worked is REPAIRED, not FAIL: this one was refused.
        if action in {"raise", "repair"}:
            raise error_of(report, outcome.predictions)
        if action == "warn":
            warnings.warn(message(report), EvalGuardWarning, stacklevel=stacklevel())

    def _send(self, send: Callable[..., None], *what: Any) -> None:
        """Call a sink; its failure is recorded and warned about, and changes no verdict."""
        try:
            send(*what)
        # Only what a sink raises on purpose: a defect in a user's own sink must be visible.
        except SinkError as error:
            self.sink_errors.append(error)
            warnings.warn(str(error), EvalGuardWarning, stacklevel=stacklevel())


def error_of(report: Report, predictions: Any) -> AlignmentError:
    """What a FAIL or an UNPROVEN raises."""
    kind = MisalignmentError if report.verdict is Verdict.FAIL else UnprovenError
    return kind(message(report), report=report, predictions=predictions)


def replace_outcome(outcome: Outcome, report: Report, result: Any, samples: Any) -> Outcome:
    """The same outcome after a repair."""
    return replace(outcome, report=report, predictions=result, samples=samples)


def refused(outcome: Outcome, reason: str) -> Outcome:
    """The same outcome, with the reason why it was not repaired."""
    report = replace(outcome.report, repair={"summary": "", "refused": reason})
    return replace_outcome(outcome, report, outcome.predictions, outcome.samples)


def already_returned(method: str, scope: str, n_calls: int) -> str:
    """Why rows that are judged at the end cannot be moved any more, and what can be done."""
    if method in BATCH_METHODS or (n_calls > 1 and scope != "session"):
        what = "the rows of a loop were returned batch by batch; use one call model.predict(source)"
    elif scope != "call":
        what = "the parts of a session were returned before its end; use one call model.predict(source)"
    else:
        what = "the rows were returned before the labels were known; pass labels=... to the guard"
    return f"{what}, or reorder the rows by g.index"
