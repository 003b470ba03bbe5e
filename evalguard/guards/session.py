"""One entry into a guard: watches its calls, judges them, tells the sinks, and acts on the verdict.

The decorator, the context manager, the wrapper and the step are thin doors on
this. Effects come first (run the call), then values (trace, judgement, report).
"""

from __future__ import annotations

import inspect
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from evalguard.capture.contract import Wanted
from evalguard.capture.engines import direct, engine_of, tf_keras
from evalguard.capture.probes import KERAS3, TF_KERAS
from evalguard.capture.probes.base import PassiveProbe, Probe
from evalguard.capture.probes.batches import BatchProbe
from evalguard.capture.recording.fail_fast import Watch
from evalguard.capture.recording.recorder import Recorder
from evalguard.core import repair
from evalguard.core.columns.storage import Memory
from evalguard.core.epochs import FIT
from evalguard.core.judge import judge, unproven
from evalguard.core.label_table import LabelTable
from evalguard.core.matching import COMPARABLE_SHARE, in_place
from evalguard.core.policy import Policy, Proof, Verdict
from evalguard.core.report import Report
from evalguard.core.sampling import Sampling
from evalguard.core.trace import Trace, bytes_of, not_on_disk
from evalguard.core.trace_join import joined
from evalguard.data import digests, tree
from evalguard.data.kinds import file_names
from evalguard.errors import EvalGuardWarning, LabelsError, SinkError
from evalguard.guards import predictions
from evalguard.guards.calls import BATCH_METHODS, CALL, ROWS_RETURNED, Call, metric_names, predicts_again, probe_of
from evalguard.guards.errors import MisalignmentError, UnprovenError
from evalguard.guards.fit_validations import Epochs, judge_epochs
from evalguard.guards.judging import (
    combined,
    is_other_data,
    named_by_files,
    other_files,
    position_is_sample,
    says_labels_are_wrong,
)
from evalguard.guards.messages import message, stacklevel, versions
from evalguard.guards.metric_impact import impact
from evalguard.guards.metrics import Metric
from evalguard.guards.outcome import Outcome, already_returned, refused, replace_outcome
from evalguard.labels.mismatch import explain_mismatch
from evalguard.labels.reference import Reference
from evalguard.reporting import artifacts
from evalguard.reporting.sink import Sink


@dataclass(slots=True, eq=False)
class Session:
    """One ``with`` block, one call of a decorated function, or one wrapped call.

    Attributes:
        policy: What the caller demands.
        wanted: What is noted of each batch.
        name: Name of the evaluation.
        find_labels: Gives the labels, or None where they are not known yet.
        reference: Inputs in label order, or None.
        sinks: Where reports go.
        model: Guard this model only; None for every model.
        calls: Calls that have not been judged yet.
        batches: Calls of one batch each, judged together when the guard ends.
        outcomes: What was judged, oldest first.
        drifted: Of these, validations inside ``fit`` that call for an action when the guard ends.
        sink_errors: Records that could not be written.
        cache: Labels with the fingerprints of the reference, kept by the guard.
        figures: Metrics of which the report tells what the misalignment did to them.
        labels_of: Labels that a source holds itself, or None; asked where no others are given.
        files: Name of each file that is judged → its SHA-256.
    """

    policy: Policy
    wanted: Wanted
    name: str
    find_labels: Callable[[bool], LabelTable | None]
    reference: Reference | None
    sinks: tuple[Sink, ...]
    model: Any = None
    calls: list[Call] = field(default_factory=list)
    batches: list[Call] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    drifted: list[Outcome] = field(default_factory=list)
    sink_errors: list[SinkError] = field(default_factory=list)
    cache: dict[Any, LabelTable] = field(default_factory=dict)
    figures: tuple[Metric, ...] = ()
    labels_of: Callable[[Any], LabelTable | None] = lambda _: None
    files: Mapping[str, str] = field(default_factory=dict)
    # What is judged from here on has been handed back already.
    ending: bool = False
    # Methods for which it is asked before other sessions of the context.
    first_for: ClassVar[tuple[str, ...]] = ()

    def guards(self, model: Any, method: str) -> bool:
        """Whether calls of this method of this model are watched."""
        del method
        return self.model is None or model is self.model

    def begin(self) -> None:
        """Tell the sinks that an evaluation is under way."""
        for sink in self.sinks:
            self._tell(sink.begin, self.name)

    def run(self, model: Any, method: str, original: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Make one guarded call and act on what it shows."""
        if method == FIT:
            return self._fit(model, original, args, kwargs)
        if method == CALL:
            return self._direct(model, original, args, kwargs)
        try:
            bound = inspect.signature(original).bind(model, *args, **kwargs)
        except TypeError:
            return original(model, *args, **kwargs)
        if "x" not in bound.arguments:
            return original(model, *args, **kwargs)
        start = time.perf_counter()
        source = bound.arguments["x"]
        engine = engine_of(model)
        unsupported = engine.unsupported(model, method)
        probe: Probe
        if unsupported:  # nobody could take a tag off again
            probe, problem = PassiveProbe(source, dict(bound.arguments)), unsupported
        else:
            probe, problem = probe_of(method, bound.arguments, TF_KERAS if engine is tf_keras else KERAS3)
        bound.arguments.update({name: probe.call[name] for name in ("y", "sample_weight") if name in probe.call})
        bound.arguments["x"] = probe.source
        recorder = Recorder(self._wanted_of(source, method), probe, watch=self._watch(method, source), problem=problem)
        with engine.tap(model, recorder):
            result = original(*bound.args, **bound.kwargs)
        recorder.end()
        seconds = time.perf_counter() - start
        trace = recorder.trace(
            method=method,
            source=probe.state(len(recorder.tags)),
            index_source=probe.index_source,
            n_rows=tree.n_rows(result) if method in ROWS_RETURNED else None,
            numbered=probe.all_numbered(len(recorder.tags)),
        )
        again = predicts_again(original, bound, source, probe) if method == "predict" else None
        metrics = () if method in ROWS_RETURNED else metric_names(model, result)
        # A loop's batches are not kept: together they are the whole data.
        held = None if method in BATCH_METHODS else source
        call = Call(trace, result, recorder, seconds, again, metrics, held, id(model))
        if method in BATCH_METHODS:
            self.batches.append(call)
            return result
        self.calls.append(call)
        if self.policy.scope == "session":
            return result
        labels = self._labels(last=False)
        return result if labels is None else self._conclude([self.calls.pop()], labels)

    def _wanted_of(self, source: Any, method: str) -> Wanted:
        """What is noted of a source; an image iterator's key is the name of the file, and is nowhere in its batches."""
        wanted = self.wanted
        if isinstance(wanted.key, str) and file_names(source) is not None:
            wanted = replace(wanted, key=None, strip_key=False)
        # A place says nothing where rows come in any order, or in a batch of a loop.
        if self.policy.sampling is not None and method == "predict" and self._labels(last=False) is not None:
            wanted = replace(wanted, sampling=self.policy.sampling)
        return wanted

    def _watch(self, method: str, source: Any) -> Watch | None:
        """What stops a call that cannot become right any more."""
        labels = self._labels(last=False) if self.policy.fail_fast else None
        if labels is None or method not in {"predict", "evaluate"} or other_files(source, labels) is not None:
            return None

        def known(recorder: Recorder) -> LabelTable:
            if self.reference is None or not recorder.specs:
                return labels
            return self._fingerprinted(labels, self.reference, recorder)

        return Watch(known, ordered=method in ROWS_RETURNED, padding=self.policy.padding == "trim")

    def _direct(self, model: Any, original: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Note one ``model(x)``: one batch of a loop, most often."""
        start = time.perf_counter()
        x = direct.inputs(args, kwargs)
        probe, recorder = BatchProbe(x, {}), Recorder(self.wanted)
        # The caller took x out of a batch: the key that it may hold is for us alone, as in predict.
        recorder.note((x,), None)
        if args and self.wanted.strip_key:
            args = (*recorder.without_key((x,)), *args[1:])
        result = original(model, *args, **kwargs)
        trace = recorder.trace(
            method=CALL, source=probe.state(1), index_source=probe.index_source, n_rows=tree.n_rows(result)
        )
        self.batches.append(Call(trace, result, recorder, time.perf_counter() - start, model=id(model)))
        return result

    def _fit(self, model: Any, original: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Training is not judged, nor is its validation, unless that is of the very samples of the labels."""
        if self.wanted.content != "always":
            return original(model, *args, **kwargs)
        epochs = Epochs(model, self.wanted)
        history = epochs.fit(original, args, kwargs)
        try:
            own = self._validates_on_our_samples(epochs)
        except Exception:  # noqa: BLE001 - must not cost the training
            own = False
        if own:
            report = judge_epochs(epochs, self.policy, f"{self.name} validation")
            if report.verdict is Verdict.FAIL:
                outcome = Outcome(report, None, None, history)
                self.record(outcome)
                self.drifted.append(outcome)
        return history

    def _validates_on_our_samples(self, epochs: Epochs) -> bool:
        """Whether the first validation was scored on all samples of the labels, by what they contain."""
        if len(epochs.seen) < 2:
            return False
        first = replace(epochs.seen[0].trace, ordered=False)
        labels, _ = self._with_reference(self._labels(last=False), epochs.recorders[0], first)
        report = judge(first, labels, self.policy).report
        return report.verdict is Verdict.PASS and report.proof is Proof.IDENTITY

    def end(self) -> None:
        """Judge what has not been judged yet: sessions, batch by batch calls, and calls whose labels came late."""
        self.ending = True
        labels = self._labels(last=True)
        if not self.calls and not self.batches and not self.outcomes:
            reason = "no predict of a Keras model was seen in this guard (another thread, another model, or none made)"
            self.finish(Outcome(self.unproven(labels, reason), None, labels, None))
            return
        groups = [self.calls] if self.policy.scope == "session" else [[call] for call in self.calls]
        # Calls of one batch each never answer all labels by themselves.
        groups += self._loops(labels, alone=not self.calls and not self.outcomes)
        self.calls, self.batches = [], []
        for group in groups:
            if group:
                self._conclude(group, labels)
        for outcome in self.drifted:
            self.act(outcome)

    def _loops(self, labels: LabelTable | None, *, alone: bool) -> list[list[Call]]:
        """Calls of one batch each, those of one method and model together."""
        groups: dict[tuple[str, int], list[Call]] = {}
        for call in self.batches:
            groups.setdefault((call.trace.method, call.model), []).append(call)
        alone = alone and len(groups) == 1
        return [
            group if group[0].trace.method != CALL else self._evaluation(group, labels, alone)
            for group in groups.values()
        ]

    def _evaluation(self, calls: list[Call], labels: LabelTable | None, alone: bool) -> list[Call]:
        """Calls ``model(x)`` that answer the labels: some are made to build a model or to warm it up."""
        first, rest = calls[0], sum(call.trace.n_rows for call in calls[1:])
        try:
            known, _ = self._with_reference(labels, first.recorder, first.trace)
        except Exception:  # noqa: BLE001 - said when they are judged
            return calls
        if len(calls) == 1 and not alone and first.trace.n_rows < len(known):
            return []
        rows, fed = known.fingerprints, first.trace.fingerprints
        foreign = rows is not None and fed is not None and not np.isin(fed, rows).any()
        return calls[1:] if foreign and rest == len(known) else calls

    def failed(self, error: BaseException) -> None:
        """The user's own code raised: say so in the record."""
        for sink in self.sinks:
            self._tell(sink.failed, error)

    def _labels(self, *, last: bool) -> LabelTable | None:
        labels = self.find_labels(last)
        if labels is None and last:
            if self.reference is None:
                held = [self.labels_of(call.source) for call in self.calls]
                if held and held[0] is not None:
                    return held[0]
                msg = (
                    f"{self.name}: no labels. Expected labels=..., labels_from='argument', "
                    "or g.labels = ... before the guard ends."
                )
                raise LabelsError(msg)
            return None
        return labels

    def _conclude(self, calls: list[Call], labels: LabelTable | None) -> Any:
        start = time.perf_counter()
        handed = [call.predictions for call in calls]
        result = handed[0] if len(handed) == 1 else handed
        try:
            outcome = self._judge(calls, labels, result, start)
        except LabelsError:
            raise
        except Exception as error:  # noqa: BLE001 - an error of our own must not cost the predictions, nor be a PASS
            reason = f"evalguard could not judge this call: {type(error).__name__}: {error}"
            outcome = Outcome(self.unproven(labels, reason), None, labels, result)
        self.finish(outcome)
        return outcome.predictions

    def _judge(self, calls: list[Call], labels: LabelTable | None, result: Any, start: float) -> Outcome:
        memory = Memory(self.wanted.memory)
        trace = joined([named_by_files(call, labels) for call in calls], memory)
        labels, notes = self._with_reference(labels, calls[0].recorder, trace)
        metrics = tuple(dict.fromkeys(name for call in calls for name in call.metrics))
        context: dict[str, Any] = {
            "name": self.name,
            "versions": versions(),
            "checked_at_ms": int(time.time() * 1000),
            "not_proven": notes,
        }
        judgement = judge(trace, labels, self.policy, **context)
        outcome = Outcome(judgement.report, judgement, labels, result, judgement.samples, trace, len(calls))
        if self.figures and trace.method in ROWS_RETURNED:
            whole = predictions.joined([call.predictions for call in calls])
            outcome.report = replace(outcome.report, impact=impact(self.figures, judgement, labels, whole, trace))
        if metrics and judgement.report.verdict is Verdict.FAIL:
            unfit = f"figures unfit for use: {', '.join(metrics)}"
            outcome.report = replace(outcome.report, not_proven=(unfit, *outcome.report.not_proven))
        if judgement.padding and len(calls) == 1 and trace.method in ROWS_RETURNED:
            outcome.predictions = predictions.take(result, np.arange(len(labels)))
        if judgement.report.verdict is Verdict.FAIL and self.policy.on_failure == "repair":
            outcome = self._repaired(outcome, calls)
        noted = sum(call.recorder.seconds for call in calls) + time.perf_counter() - start
        whole = sum(call.seconds for call in calls)
        cost = {"seconds": round(noted, 6), "share": round(noted / whole, 6) if whole else 0.0, **bytes_of([trace])}
        hazards = not_on_disk([memory, *(call.recorder.memory for call in calls)])
        if judgement.padding and self.ending:
            left = f"what was returned before this verdict ends with {judgement.padding} rows of padding"
            hazards = (f"{left}: keep its first {len(labels)} rows", *hazards)
        outcome.report = replace(outcome.report, cost=cost, hazards=(*outcome.report.hazards, *hazards))
        return outcome

    def _repaired(self, outcome: Outcome, calls: list[Call]) -> Outcome:
        """The outcome with rows put right, or with the reason why that was refused."""
        judgement, labels, trace = outcome.judgement, outcome.labels, outcome.trace
        if judgement is None or labels is None or trace is None:
            return outcome
        if trace.method not in ROWS_RETURNED:
            return refused(outcome, f"{trace.method} returns figures, not rows")
        if self.ending:
            return refused(outcome, already_returned(trace.method, self.policy.scope))
        again = calls[0].again if position_is_sample(trace, judgement) else None
        fixed = predictions.repaired(outcome.predictions, judgement, len(labels), again)
        if isinstance(fixed, str):
            return refused(outcome, fixed)
        if says_labels_are_wrong(judgement.report):
            return refused(outcome, "the stream's own targets contradict the labels; rows cannot cure that")
        samples = np.arange(len(labels))
        report = replace(
            outcome.report,
            verdict=Verdict.REPAIRED,
            counts={**outcome.report.counts, "n_predictions": len(labels)},
            repair={**fixed.steps, "summary": repair.summary(fixed.steps), "refused": ""},
        )
        return replace_outcome(outcome, report, fixed.predictions, samples)

    def _fingerprinted(
        self, labels: LabelTable | None, reference: Reference, recorder: Recorder, sampling: Sampling | None = None
    ) -> LabelTable:
        """Labels with the fingerprints of the reference, as this model is fed."""
        key = (recorder.specs, None if labels is None else labels.digest, sampling)
        if key not in self.cache:
            self.cache[key] = combined(labels, reference, recorder, sampling)
        return self.cache[key]

    def _with_reference(
        self, labels: LabelTable | None, recorder: Recorder, trace: Trace
    ) -> tuple[LabelTable, tuple[str, ...]]:
        """Labels together with the fingerprints of their inputs, cast as the model was fed."""
        if self.reference is None or not recorder.specs:
            if labels is None:
                msg = f"{self.name}: neither labels nor a reference that rows could be compared with"
                raise LabelsError(msg)
            return labels, ()
        sampling = recorder.wanted.sampling
        sampled = self._fingerprinted(labels, self.reference, recorder, sampling)
        if sampling is not None and trace.sampled is not None and sampled.sampled is not None:
            _, same = in_place(trace.sampled, sampled.sampled)
            if np.count_nonzero(same) > COMPARABLE_SHARE * len(same):
                return sampled, ()
            # Rows in another order, or other data? The whole reference tells.
            whole = self._fingerprinted(labels, self.reference, recorder)
            sampled = replace(sampled, fingerprints=whole.fingerprints)
        labels = sampled
        if recorder.first is None or not is_other_data(trace, labels):
            return labels, ()
        return labels, (f"content: {explain_mismatch(self.reference, recorder.first, recorder.specs)}",)

    def unproven(self, labels: LabelTable | None, reason: str) -> Report:
        """A report that says why nothing could be judged."""
        return unproven(
            labels, self.policy, reason, name=self.name, versions=versions(), checked_at_ms=int(time.time() * 1000)
        )

    def finish(self, outcome: Outcome) -> None:
        """Record first, then act: a FAIL has been written when the exception reaches the caller."""
        self.record(outcome)
        self.act(outcome)

    def record(self, outcome: Outcome) -> None:
        """Keep the outcome and tell the sinks."""
        self.outcomes.append(outcome)
        if self.sinks:
            rendered = artifacts(outcome.report, self._subjects(outcome))
            for sink in self.sinks:
                self._tell(sink.write, outcome.report, rendered)

    def _subjects(self, outcome: Outcome) -> dict[str, str]:
        """What the attestation is about: files, and arrays in memory as they would be saved."""
        subjects = dict(self.files)
        labels, trace = outcome.labels, outcome.trace
        if labels is not None and labels.name not in subjects:
            subjects |= digests.nest_sha256("labels", [labels.values])
        if trace is not None and trace.method in ROWS_RETURNED:
            given = outcome.predictions if outcome.parts > 1 else [outcome.predictions]
            subjects |= digests.nest_sha256("predictions", given)
        return subjects

    def act(self, outcome: Outcome) -> None:
        """Raise or warn as the caller asked for."""
        report = outcome.report
        if report.verdict is Verdict.FAIL:
            if self.policy.on_failure in {"raise", "repair"}:
                raise MisalignmentError(message(report), report=report, predictions=outcome.predictions)
            if self.policy.on_failure == "warn":
                warnings.warn(message(report), EvalGuardWarning, stacklevel=stacklevel())
        elif report.verdict is Verdict.UNPROVEN:
            if self.policy.on_unproven == "raise":
                raise UnprovenError(message(report), report=report, predictions=outcome.predictions)
            if self.policy.on_unproven == "warn":
                warnings.warn(message(report), EvalGuardWarning, stacklevel=stacklevel())

    def _tell(self, send: Callable[..., None], *what: Any) -> None:
        """A sink that fails is part of the outcome; it changes no verdict and stops nothing."""
        try:
            send(*what)
        except SinkError as error:
            self.sink_errors.append(error)
            warnings.warn(str(error), EvalGuardWarning, stacklevel=stacklevel())
