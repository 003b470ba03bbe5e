"""One entry into a guard: makes its calls, judges them, records the verdict and acts on it.

The decorator, the context manager, the wrapped model and the step are thin
entry points to this. One guarded ``predict`` goes through these steps:

1. ``dispatch``: the patched method asks the sessions of this context, innermost first.
2. ``calls.make_call``: the arguments are bound, and a probe is chosen for ``x``.
3. The probe tags the source, or takes digests of what it emits.
4. The engine puts a tap before the model's compiled function.
5. Keras runs; at each batch the tap takes the tag off and the recorder records the rows.
6. After the call the recorder becomes a ``Trace``.
7. ``judging``: labels get the fingerprints of their reference; ``core.judge`` gives the verdict.
8. On request rows are repaired.
9. ``outcome``: the report is kept and written to the sinks.
10. The predictions are returned, or an error raised that carries them.

Longer than 300 lines because one object follows an entry from its first call to what is scored.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from evalguard.capture.contract import CaptureOptions
from evalguard.capture.engines.patching import is_seen
from evalguard.capture.recording.fail_fast import FailFastCheck
from evalguard.capture.recording.recorder import Recorder
from evalguard.capture.verify_model import ModelTests
from evalguard.core.confirmed import unnumbered
from evalguard.core.findings import Reason
from evalguard.core.judge import judge
from evalguard.core.label_table import LabelTable, for_inputs
from evalguard.core.own_errors import swallow
from evalguard.core.policy import Policy, Proof, Verdict
from evalguard.core.trace import FIT
from evalguard.errors import LabelsError
from evalguard.guards.about import place_of
from evalguard.guards.calls import (
    BATCH_METHODS,
    CALL,
    ROW_METHODS,
    GuardedCall,
    make_call,
    make_direct_call,
    signature_of,
)
from evalguard.guards.class_numbers import class_numbers
from evalguard.guards.collecting import refuse_two_sources
from evalguard.guards.confirming import Confirmation, in_label_order_again, joined_columns, row_columns
from evalguard.guards.fit_validations import FitValidations, judge_fit
from evalguard.guards.judging import CallJudge
from evalguard.guards.loops import (
    before,
    in_one,
    is_short,
    left_out,
    loops_of,
    of_some_rows,
    one_more,
    since,
    to_judge,
)
from evalguard.guards.model_numbers import number_of
from evalguard.guards.outcome import Outcome, Outcomes
from evalguard.guards.overrides import OverrideCall
from evalguard.guards.parts import current_part
from evalguard.guards.scoring import Scoring
from evalguard.labels.collecting import Collection


@dataclass(slots=True, eq=False)
class Session:
    """One ``with`` block, one call of a decorated function, or one wrapped call.

    Attributes:
        policy: What the caller demands.
        capture: What is recorded of each batch.
        judge: Judges calls.
        outcomes: What was judged.
        find_labels: Gives the labels, or None where they are not known yet;
            True: this is the last time of asking.
        labels_of_source: Labels that a source holds itself, or None; used where no others are given.
        labels_come_late: No labels were known when the entry began.
        model: Guard this model only; None for every model.
        model_tests: Tests whether models compute row by row; None: they are not tested.
        calls: Calls that have not been judged yet.
        batches: Calls of one batch each, judged together when the entry ends.
        short: Calls on fewer rows than there are labels: warm-ups, or parts of an evaluation.
        answered: Models and methods of which a call answered all labels.
        latest: For each model, when the call began that began last.
        drifted: Validations inside ``fit`` that call for an action when the entry ends.
        scoring: What was judged, and what of it the caller scores.
        collected: What loops were given, whose labels are those of the entry; None: no loop collects.
    """

    policy: Policy
    capture: CaptureOptions
    judge: CallJudge
    outcomes: Outcomes
    find_labels: Callable[[bool], LabelTable | None]
    labels_of_source: Callable[[Any], LabelTable | None] = lambda _: None
    labels_come_late: bool = False
    model: Any = None
    model_tests: ModelTests | None = None
    calls: list[GuardedCall] = field(default_factory=list)
    batches: list[GuardedCall] = field(default_factory=list)
    short: list[GuardedCall] = field(default_factory=list)
    answered: set[tuple[int, str]] = field(default_factory=set)
    latest: dict[int, float] = field(default_factory=dict)
    drifted: list[Outcome] = field(default_factory=list)
    scoring: Scoring = field(init=False)
    collected: Collection | None = None
    # Methods for which it is asked before other sessions of the context.
    priority_methods: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        self.scoring = Scoring(self.judge, self.outcomes)

    def guards(self, model: Any, method: str) -> bool:
        """Whether calls of this method of this model are guarded."""
        del method
        # A task that outlives the block has a copy of its context.
        return not self.judge.returned and (self.model is None or model is self.model)

    def run(
        self,
        model: Any,
        method: str,
        original: Callable[..., Any],
        args: Any,
        kwargs: Any,
        part_of: OverrideCall | None = None,
    ) -> Any:
        """Make one guarded call and act on its outcome, or leave that to the call that it is a part of."""
        self.outcomes.about.call(again=part_of is None and method not in BATCH_METHODS)
        if method == FIT:
            return self._fit(model, original, args, kwargs)
        if method == CALL:
            call = make_direct_call(model, original, args, kwargs, capture=self.capture)
            return self._take(self._as_seen(call, model, part_of), part_of)
        try:
            bound = signature_of(original, method, len(args)).bind(model, *args, **kwargs)
        except TypeError:
            # Wrong arguments: Keras raises the error that the caller knows.
            return original(model, *args, **kwargs)
        # `evaluate()` has a default for `x` (keras 3.15, trainers/trainer.py): Keras refuses it itself.
        if "x" not in bound.arguments:
            return original(model, *args, **kwargs)
        call = make_call(
            model,
            method,
            original,
            bound,
            capture=self.capture,
            watch=self._fail_fast(method, bound.arguments["x"]) if part_of is None else None,
            model_tests=self.model_tests,
        )
        return self._take(self._as_seen(call, model, part_of), part_of)

    def _as_seen(self, call: GuardedCall, model: Any, part_of: OverrideCall | None) -> GuardedCall:
        """The call, which may have been made by a method that overrides it and whose result nobody sees."""
        method = call.trace.method
        self.outcomes.about.see(model, call.model)
        if part_of is None and not is_seen(model, method):
            unseen = f"{method} of {type(model).__name__} is overridden in a way that hides its result"
            call.trace = replace(call.trace, not_returned=unseen)
        return call

    def conclude_override(self, call: OverrideCall, x: Any, result: Any) -> Any:
        """Judge the call of a method that the model's class overrides; return what the caller gets."""
        if call.parts:
            one = call.as_one(x, result)
            self.outcomes.about.see(call.model, one.model)
            return self._take(one)
        method = f"{call.method} of {type(call.model).__name__}"
        reason = f"no guarded call ran inside {method}, so its result was not observed"
        self.outcomes.finish(Outcome(self.judge.unproven(None, reason, method=call.method), None, None, result))
        return result

    def _take(self, call: GuardedCall, part_of: OverrideCall | None = None) -> Any:
        """Judge the call, or keep it until its evaluation is complete; return what the caller gets."""
        if part_of is not None:
            part_of.parts.append(call)
            return call.predictions
        call.recorder.computed.clear()
        if call.trace.method in ROW_METHODS:
            start = time.perf_counter()
            # Now, as the caller may change the arrays before they are confirmed.
            columns = row_columns(call.predictions)
            call.columns = columns if columns and len(columns[0]) == call.trace.n_rows else None
            call.recorder.seconds += time.perf_counter() - start
        self._name_rows(call)
        self.latest[call.model] = max(call.start, self.latest.get(call.model, call.start))
        method = call.trace.method
        # A call of another thread or task that lasts longer than the entry: nothing judges it later.
        if self.judge.returned:
            return self._conclude([call], self._labels(last=True))
        # One batch of a loop answers the labels only together with the others, when the entry ends.
        if method in BATCH_METHODS:
            return self._keep(call, self.batches)
        labels = self._labels(last=False) if self.policy.scope == "call" else None
        if labels is not None:
            if self.policy.on_failure != "repair" and is_short(call, labels):
                return self._keep(call, self.short)
            return self._conclude([call], labels, left_out(self._warm_ups(call, labels)))
        # A part of a session, or labels that come late: the call waits for the end, and its rows are returned unjudged.
        return self._keep(call, self.calls)

    def _keep(self, call: GuardedCall, calls: list[GuardedCall]) -> Any:
        """Keep the call, to be judged when the entry ends; return what the caller gets."""
        start = time.perf_counter()
        calls.append(call)
        self.outcomes.about.see_weights(call.model)
        call.recorder.seconds += time.perf_counter() - start
        return call.predictions

    def _fail_fast(self, method: str, source: Any) -> FailFastCheck | None:
        """The check that stops a call at the first proof of a fault."""
        labels = self._labels(last=False) if self.policy.fail_fast else None
        if labels is None or method not in {"predict", "evaluate"}:
            return None
        # Targets that number the classes otherwise than the labels contradict nothing until their names are compared.
        if class_numbers(self.judge.class_names, labels, source).stream_differs:
            return None

        # Called at the first batch: how the reference must be cast is not known before.
        def known(recorder: Recorder) -> LabelTable:
            specs = recorder.fingerprints.specs
            if self.judge.reference is None or not specs:
                return for_inputs(labels, tuple(map(str, specs)))
            return self.judge.with_fingerprints(labels, recorder.fingerprints)

        return FailFastCheck(known, ordered=method in ROW_METHODS, padding=self.policy.padding == "trim")

    def _fit(self, model: Any, original: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Run ``fit``; judge its validation only where that uses exactly the samples of the labels."""
        # Without a reference the rows of a validation have no identity to compare, so `fit` runs unobserved.
        if self.capture.content != "always":
            return original(model, *args, **kwargs)
        epochs = FitValidations(model, self.capture)
        history = epochs.fit(original, args, kwargs)
        try:
            own = self._validates_on_our_samples(epochs)
        except Exception as error:  # noqa: BLE001 - must not stop the training
            swallow(error)
            own = False
        if own:
            report = judge_fit(epochs, self.policy, f"{self.judge.name} validation")
            # The caller asked about predictions: of a validation only a FAIL is reported. It is raised at the end of
            # the block, so that nothing trained is lost.
            if report.verdict is Verdict.FAIL:
                number = number_of(model)
                self.outcomes.about.see(model, number)
                outcome = Outcome(report, None, None, history, models=(number,))
                self.outcomes.record(outcome)
                self.drifted.append(outcome)
        return history

    def _validates_on_our_samples(self, epochs: FitValidations) -> bool:
        """Whether the first validation was scored on all samples of the labels, by what they contain."""
        if len(epochs.validations) < 2:
            return False
        # In any order: a validation returns metrics, not rows.
        first = replace(epochs.validations[0].trace, ordered=False)
        labels, _ = self.judge.with_reference(self._labels(last=False), epochs.recorders[0].fingerprints, first)
        report = judge(first, labels, self.policy).report
        return report.verdict is Verdict.PASS and report.proof is Proof.IDENTITY

    def end(self) -> None:
        """Judge what has not been judged yet: sessions, batch by batch calls, and calls whose labels came late."""
        # The caller has the rows of everything that is judged from here on: no repair, no cutting of padding.
        self.judge.returned = True
        labels = self._labels(last=True)
        nothing_judged = not self.outcomes.judged
        if not (self.calls or self.batches or self.short) and nothing_judged:
            reason = (
                "no guarded call was observed: `predict` or `evaluate` was not called in this context. Calls in other "
                "threads need `wrap(model)`; a model called inside `tf.function` cannot be observed"
            )
            self.scoring.confirmations = []
            self.outcomes.finish(Outcome(self.judge.unproven(labels, reason), None, labels, None))
            return
        if self.collected is not None:
            # A loop's calls belong together, whatever their method.
            calls = sorted((*self.calls, *self.batches), key=lambda call: call.start)
            for call in calls:
                # The order within the array of a call says nothing of the order in which the loop was given its rows.
                call.trace = replace(call.trace, tags=unnumbered(call.trace))
            self.calls, self.batches = [], since(self.collected.began, calls, len(labels or ()))
        groups = self._groups(labels)
        # Calls of one batch each never answer all labels by themselves.
        known_to = functools.partial(self._known, labels)
        loops = loops_of(self.batches, known_to)
        if self.collected is not None:
            loops = in_one(loops, len(labels or ()))
        alone = not groups and nothing_judged and len(loops) == 1
        self.calls, self.batches, self.short = [], [], []
        for group, note in groups:
            self._conclude(group, labels, note)
        for loop in loops:
            last = self.latest[loop[0].model] == loop[0].start
            calls, note = to_judge(loop, known_to, alone=alone, last=last)
            if calls:
                self._conclude(calls, labels, note)
        # All are recorded before one of them raises.
        for outcome in (*self.scoring.settle(), *self.drifted):
            self.outcomes.act(outcome)

    def end_early(self) -> None:
        """Record what was kept to be judged at the end: the caller's code raised before."""
        kept, self.short = self.short, []
        self.judge.returned = True
        for call in kept:
            self.outcomes.record(self._outcome([call], self._labels(last=False)))

    def _groups(self, labels: LabelTable | None) -> list[tuple[list[GuardedCall], str]]:
        """The calls that are judged together, each group with what its report has to say; no loops."""
        calls = sorted([*self.calls, *self.short], key=lambda call: call.start)
        if self.policy.scope == "parts":
            calls, self.batches = sorted([*calls, *self.batches], key=lambda call: call.start), []
        if self.policy.scope != "call":
            return [(group, "") for group in (_by_result(calls) if self.policy.scope == "parts" else [calls]) if group]
        self.short = [call for call in calls if labels is not None and is_short(call, labels)]
        full = [call for call in calls if call not in self.short]
        groups = [([call], left_out(self._warm_ups(call, labels))) for call in full]
        for some in filter(None, _by_result(self.short)):
            # Together they may answer every label, in whatever order.
            found = self._outcome(some, labels).report.findings if len(some) > 1 else ()
            together = len(some) > 1 and {finding.reason for finding in found} <= {Reason.REORDERED}
            groups += [(some, "")] if together else [self._alone(call, labels) for call in some]
        return groups

    def _alone(self, call: GuardedCall, labels: LabelTable | None) -> tuple[list[GuardedCall], str]:
        """A short call that is judged by itself, with what its report has to say."""
        if labels is not None and (call.model, call.trace.method) in self.answered:
            return [of_some_rows(call)], one_more(call, labels)
        return [call], ""

    def _warm_ups(self, call: GuardedCall, labels: LabelTable | None) -> list[GuardedCall]:
        """The short calls that this one, on all samples, makes warm-ups; they are not judged."""
        if labels is None or call.trace.n_rows < len(labels):
            return []
        self.answered.add((call.model, call.trace.method))
        warm_ups = before(self.short, call)
        self.short = [each for each in self.short if each not in warm_ups]
        return warm_ups

    def _name_rows(self, call: GuardedCall) -> None:
        """Give the rows of a call the label rows that ``Guard.part`` names for it."""
        part = current_part.get()
        if (
            part is None
            or part.session is not self
            or (call.trace.index_source == "stated" and call.trace.index is not None)
        ):
            return
        call.trace = part.name(call.trace, call.made_by)

    # -- What the caller scores --

    def confirm(self, confirmation: Confirmation) -> None:
        """Judge again by what the caller scores, and record that in place of what was; inside the entry, at its end."""
        self.scoring.confirmations.append(confirmation)
        if self.judge.returned or self.outcomes.ended:
            for outcome in self.scoring.settle():
                self.outcomes.act(outcome)

    def put_back(self, parts: list[Any]) -> Any:
        """What these parts hold, in label order; see ``Guard.put_back``."""
        calls = [call for call in (*self.calls, *self.short, *self.batches) if call.trace.method in ROW_METHODS]
        calls.sort(key=lambda call: call.start)
        if calls:
            known_labels = self._labels(last=False)
            if known_labels is None and self.judge.reference is None:
                msg = "put_back: expected labels to order the parts by, found none; set g.labels first"
                raise ValueError(msg)
            trace, labels, _ = self.judge.joined(calls, known_labels, in_parts=True)
            returned = joined_columns([call.columns for call in calls])
        else:
            trace, labels, returned = self.scoring.latest()
        return in_label_order_again(parts, trace, labels, returned)

    def _known(self, labels: LabelTable | None, call: GuardedCall) -> LabelTable | None:
        """The labels with the fingerprints of their reference; None where that fails, which judging reports."""
        try:
            return self.judge.with_reference(labels, call.recorder.fingerprints, call.trace)[0]
        except Exception as error:  # noqa: BLE001 - judging reports it
            swallow(error)
            return None

    def _labels(self, *, last: bool) -> LabelTable | None:
        """The labels; None where they are not known yet, or a reference alone is given.

        Raises:
            LabelsError: The entry ends and there are none.
        """
        labels = self.find_labels(last)
        if last and self.collected is not None:
            refuse_two_sources(labels)
            return self.collected.until(max(self.latest.values(), default=0.0)).labels
        if labels is not None or not last or self.judge.reference is not None:
            return labels
        # An image iterator lists the classes of its files. With several sources, the labels are those of the first.
        own_labels = [self.labels_of_source(call.source) for call in self.calls]
        if own_labels and own_labels[0] is not None:
            return own_labels[0]
        msg = (
            f"{self.judge.name}: expected labels=..., labels_argument='argument', or g.labels = ... before the guard "
            "ends; found no labels"
        )
        raise LabelsError(msg)

    def _conclude(self, calls: list[GuardedCall], labels: LabelTable | None, note: str = "") -> Any:
        """Judge calls as one evaluation, record and act; return what the caller gets."""
        outcome = self._outcome(calls, labels)
        if note:
            outcome.report = replace(outcome.report, not_proven=(note, *outcome.report.not_proven))
        self.outcomes.record(outcome)
        if outcome.columns is not None:
            self.scoring.add(outcome)
        if self.judge.returned and self.scoring.confirmations:
            self.scoring.pending.append(outcome)
        else:
            self.outcomes.act(outcome)
        return outcome.predictions

    def _outcome(self, calls: list[GuardedCall], labels: LabelTable | None) -> Outcome:
        start = time.perf_counter()
        # After the calls, and within what counts as the guard's own time.
        models = dict.fromkeys(call.model for call in calls)
        weights = self.outcomes.about.weights_digest(models, at_end=self.judge.returned)
        returned = [call.predictions for call in calls]
        result = returned[0] if len(returned) == 1 else returned
        # Labels that a loop collects, or that come after it, have the order of its calls.
        several = self.policy.scope == "call" and len(calls) > 1 and not self.labels_come_late
        several &= self.policy.on_failure != "repair"
        in_parts = self.policy.scope == "parts" or (several and calls[0].trace.method not in BATCH_METHODS)
        try:
            outcome = self.judge.judge(calls, labels, result, start, in_parts=in_parts)
            # A loop in the order of the labels is taken as it is; in another one it may have been put back.
            if several and {finding.reason for finding in outcome.report.findings} == {Reason.REORDERED}:
                outcome = self.judge.judge(calls, labels, result, start, in_parts=True)
        except LabelsError:
            # The caller's mistake, not an error of evalguard: it is raised before anything is recorded.
            raise
        except Exception as error:  # noqa: BLE001 - an internal error must neither cost the predictions nor be a PASS
            reason = f"evalguard could not judge this call: {swallow(error)}"
            n_rows = sum(call.trace.n_rows for call in calls)
            report = self.judge.unproven(labels, reason, n_rows, calls[0].trace.method)
            outcome = Outcome(report, None, labels, result)
        outcome.models, outcome.place = tuple(call.model for call in calls), place_of(calls[0].source)
        outcome.weights = weights
        return outcome


def _by_result(calls: list[GuardedCall]) -> list[list[GuardedCall]]:
    """The calls that return rows, and those that return metrics."""
    return [[call for call in calls if (call.trace.method in ROW_METHODS) == rows] for rows in (True, False)]
