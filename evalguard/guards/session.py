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
"""

from __future__ import annotations

import functools
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from evalguard.capture.contract import CaptureOptions
from evalguard.capture.engines.patching import is_seen
from evalguard.capture.recording.fail_fast import FailFastCheck
from evalguard.capture.recording.recorder import Recorder
from evalguard.capture.verify_model import ModelTests
from evalguard.core.judge import judge
from evalguard.core.label_table import LabelTable, for_inputs
from evalguard.core.own_errors import swallow
from evalguard.core.policy import Policy, Proof, Verdict
from evalguard.core.trace import FIT
from evalguard.errors import LabelsError
from evalguard.guards.calls import (
    BATCH_METHODS,
    CALL,
    ROW_METHODS,
    GuardedCall,
    make_call,
    make_direct_call,
    signature_of,
)
from evalguard.guards.confirming import Confirmation, in_label_order_again, joined_columns, row_columns
from evalguard.guards.fit_validations import FitValidations, judge_fit
from evalguard.guards.judging import CallJudge, trace_of_returned
from evalguard.guards.loops import loops_of, to_judge
from evalguard.guards.outcome import Outcome, Outcomes
from evalguard.guards.overrides import OverrideCall
from evalguard.guards.parts import current_part

# Evaluations in one entry whose rows can be confirmed: their traces are kept.
MAX_CONFIRMABLE = 64
WORSE = (Verdict.PASS, Verdict.REPAIRED, Verdict.UNPROVEN, Verdict.FAIL)


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
        model: Guard this model only; None for every model.
        model_tests: Tests whether models compute row by row; None: they are not tested.
        calls: Calls that have not been judged yet.
        batches: Calls of one batch each, judged together when the entry ends.
        latest: For each model, when the call began that began last.
        drifted: Validations inside ``fit`` that call for an action when the entry ends.
        confirmations: What the caller scores, as far as it was confirmed inside the entry.
        waiting: What the end of the entry judged, until it is judged by what is scored.
        judged: What was judged and can be confirmed: the last outcomes whose rows were returned.
    """

    policy: Policy
    capture: CaptureOptions
    judge: CallJudge
    outcomes: Outcomes
    find_labels: Callable[[bool], LabelTable | None]
    labels_of_source: Callable[[Any], LabelTable | None] = lambda _: None
    model: Any = None
    model_tests: ModelTests | None = None
    calls: list[GuardedCall] = field(default_factory=list)
    batches: list[GuardedCall] = field(default_factory=list)
    latest: dict[int, float] = field(default_factory=dict)
    drifted: list[Outcome] = field(default_factory=list)
    confirmations: list[Confirmation] = field(default_factory=list)
    waiting: list[Outcome] = field(default_factory=list)
    judged: deque[Outcome] = field(default_factory=lambda: deque(maxlen=MAX_CONFIRMABLE))
    # Methods for which it is asked before other sessions of the context.
    priority_methods: ClassVar[tuple[str, ...]] = ()

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
        """Make one guarded call and act on what it shows, or leave that to the call that it is a part of."""
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
            watch=self._fail_fast(method) if part_of is None else None,
            model_tests=self.model_tests,
        )
        return self._take(self._as_seen(call, model, part_of), part_of)

    def _as_seen(self, call: GuardedCall, model: Any, part_of: OverrideCall | None) -> GuardedCall:
        """The call, which may have been made by a method that overrides it and whose result nobody sees."""
        method = call.trace.method
        if part_of is None and not is_seen(model, method):
            unseen = f"{method} of {type(model).__name__} is overridden in a way that hides its result"
            call.trace = replace(call.trace, not_returned=unseen)
        return call

    def conclude_override(self, call: OverrideCall, x: Any, result: Any) -> Any:
        """Judge the call of a method that the model's class overrides; what the caller gets."""
        if call.parts:
            return self._take(call.as_one(x, result))
        reason = f"{call.method} of {type(call.model).__name__} has a result that no guarded call computed while it ran"
        self.outcomes.finish(Outcome(self.judge.unproven(None, reason), None, None, result))
        return result

    def _take(self, call: GuardedCall, part_of: OverrideCall | None = None) -> Any:
        """Judge the call, or keep it until what it belongs to is complete; what the caller gets."""
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
            self.batches.append(call)
            return call.predictions
        labels = self._labels(last=False) if self.policy.scope == "call" else None
        if labels is not None:
            return self._conclude([call], labels)
        # A part of a session, or labels that come late: the call waits for the end, and its rows are returned unjudged.
        self.calls.append(call)
        return call.predictions

    def _fail_fast(self, method: str) -> FailFastCheck | None:
        """The check that stops a call at the first proof of a fault."""
        labels = self._labels(last=False) if self.policy.fail_fast else None
        if labels is None or method not in {"predict", "evaluate"}:
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
                outcome = Outcome(report, None, None, history)
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
        if not self.calls and not self.batches and nothing_judged:
            reason = (
                "no guarded call was observed: `predict` or `evaluate` was not called in this context. Calls in other "
                "threads need `wrap(model)`; a model called inside `tf.function` cannot be observed"
            )
            self.outcomes.finish(Outcome(self.judge.unproven(labels, reason), None, labels, None))
            return
        groups = self._groups()
        # Calls of one batch each never answer all labels by themselves.
        known_to = functools.partial(self._known, labels)
        loops = loops_of(self.batches, known_to)
        alone = not self.calls and nothing_judged and len(loops) == 1
        self.calls, self.batches = [], []
        for group in groups:
            if group:
                self._conclude(group, labels)
        for loop in loops:
            last = self.latest[loop[0].model] == loop[0].start
            calls, note = to_judge(loop, known_to, alone=alone, last=last)
            if calls:
                self._conclude(calls, labels, note)
        self._confirm_judged()
        for outcome in self.drifted:
            self.outcomes.act(outcome)

    def _groups(self) -> list[list[GuardedCall]]:
        """The calls that are judged together; parts of one batch each are among them."""
        if self.policy.scope == "parts":
            calls, self.batches = sorted([*self.calls, *self.batches], key=lambda call: call.start), []
            return [[call for call in calls if (call.trace.method in ROW_METHODS) == rows] for rows in (True, False)]
        return [self.calls] if self.policy.scope == "session" else [[call] for call in self.calls]

    def _name_rows(self, call: GuardedCall) -> None:
        """Give the rows of a call the label rows that ``Guard.part`` names for it."""
        part = current_part.get()
        if (
            part is None
            or part.session is not self
            or (call.trace.index_source == "stated" and call.trace.index is not None)
        ):
            return
        call.trace = part.name(call.trace)

    # -- What the caller scores --

    def confirm(self, confirmation: Confirmation) -> None:
        """Judge again by what the caller scores, and record that in place of what was; inside the entry, at its end."""
        self.confirmations.append(confirmation)
        if self.judge.returned:
            self._confirm_judged()

    def put_back(self, parts: list[Any]) -> Any:
        """What these parts hold, in label order; see ``Guard.put_back``."""
        calls = [call for call in (*self.calls, *self.batches) if call.trace.method in ROW_METHODS]
        calls.sort(key=lambda call: call.start)
        if calls:
            trace, labels, _ = self.judge.joined(calls, self._labels(last=False))
            returned = joined_columns([call.columns for call in calls])
        elif self.judged and (last := self.judged[-1]).trace is not None and last.labels is not None:
            trace, labels, returned = trace_of_returned(last, last.trace, last.labels), last.labels, last.columns
        else:
            msg = "put_back: expected rows that guarded calls returned; no call has returned any"
            raise ValueError(msg)
        return in_label_order_again(parts, trace, labels, returned)

    def _confirm_judged(self) -> None:
        """Judge by what was confirmed; of several confirmations of the same rows the worst counts."""
        chosen: dict[int, list[Confirmation]] = {}
        for confirmation in self.confirmations:
            if self.judged:
                # The latest of those that returned most of these rows.
                at = max(range(len(self.judged)), key=lambda at: (confirmation.found_in(self.judged[at].columns), at))
                chosen.setdefault(at, []).append(confirmation)
            else:
                reason = "what was passed to confirm: no guarded call returned rows that it could be compared with"
                self.outcomes.finish(Outcome(self.judge.unproven(None, reason), None, None, None))
        self.confirmations = []
        again: dict[int, Outcome] = {}
        for at, confirmations in chosen.items():
            before = self.judged[at]
            found = [self._confirmed(before, confirmation) for confirmation in confirmations]
            outcome = max(found, key=lambda each: WORSE.index(each.report.verdict))
            self.outcomes.change(before.report, outcome)
            self.judged[at] = again[id(before.report)] = outcome
        waiting, self.waiting = self.waiting, []
        for outcome in (*(again.pop(id(each.report), each) for each in waiting), *again.values()):
            self.outcomes.act(outcome)

    def _confirmed(self, outcome: Outcome, confirmation: Confirmation) -> Outcome:
        try:
            return self.judge.confirmed(outcome, confirmation)
        except Exception as error:  # noqa: BLE001 - an internal error must not be a PASS
            reason = f"evalguard could not judge what is scored: {swallow(error)}"
            return replace(outcome, report=self.judge.unproven(outcome.labels, reason))

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
        if labels is not None or not last or self.judge.reference is not None:
            return labels
        # An image iterator lists the classes of its files. With several sources, the labels are those of the first.
        own_labels = [self.labels_of_source(call.source) for call in self.calls]
        if own_labels and own_labels[0] is not None:
            return own_labels[0]
        msg = (
            f"{self.judge.name}: no labels. Expected labels=..., labels_argument='argument', "
            "or g.labels = ... before the guard ends."
        )
        raise LabelsError(msg)

    def _conclude(self, calls: list[GuardedCall], labels: LabelTable | None, note: str = "") -> Any:
        """Judge calls as one evaluation, record and act; what the caller gets."""
        start = time.perf_counter()
        returned = [call.predictions for call in calls]
        result = returned[0] if len(returned) == 1 else returned
        try:
            outcome = self.judge.judge(calls, labels, result, start)
            if note:
                outcome.report = replace(outcome.report, not_proven=(note, *outcome.report.not_proven))
        except LabelsError:
            # The caller's mistake, not an error of evalguard: it is raised before anything is recorded.
            raise
        except Exception as error:  # noqa: BLE001 - an internal error must neither cost the predictions nor be a PASS
            reason = f"evalguard could not judge this call: {swallow(error)}"
            outcome = Outcome(self.judge.unproven(labels, reason), None, labels, result)
        if outcome.columns is not None:
            self.judged.append(replace(outcome, predictions=None, judgement=None))
        self.outcomes.record(outcome)
        if self.judge.returned and self.confirmations:
            # What is scored comes first: an error would leave it unjudged.
            self.waiting.append(outcome)
        else:
            self.outcomes.act(outcome)
        return outcome.predictions
