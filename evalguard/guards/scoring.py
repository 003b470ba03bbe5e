"""What an entry judged, and what of it the caller scores: judged again, and recorded in place of what was."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace

from evalguard.core.label_table import LabelTable
from evalguard.core.own_errors import swallow
from evalguard.core.policy import Verdict
from evalguard.core.report import Report
from evalguard.core.trace import Trace
from evalguard.guards.confirming import Columns, Confirmation
from evalguard.guards.judging import WORSE, CallJudge, trace_of_returned
from evalguard.guards.outcome import Outcome, Outcomes

# Evaluations in one entry whose rows can be confirmed: their traces are kept.
MAX_CONFIRMABLE = 64

REPLACED = "an earlier confirm of the same rows was a FAIL; this one replaces it"


@dataclass(slots=True, eq=False)
class Confirmable:
    """What was judged, and what of it is scored.

    Attributes:
        outcome: As it was judged first, without the rows.
        recorded: The report that is on record of it now.
        confirmations: What decided that report.
    """

    outcome: Outcome
    recorded: Report
    confirmations: list[Confirmation] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Scoring:
    """What is scored in one entry.

    Attributes:
        judge: Judges calls.
        outcomes: Where they are recorded.
        confirmations: What the caller scores, as far as it was confirmed and is not judged yet.
        judged: What can be confirmed: the last outcomes whose rows were returned.
        pending: Outcomes of the end of the entry that act only after what was confirmed has decided.
    """

    judge: CallJudge
    outcomes: Outcomes
    confirmations: list[Confirmation] = field(default_factory=list)
    judged: deque[Confirmable] = field(default_factory=lambda: deque(maxlen=MAX_CONFIRMABLE))
    pending: list[Outcome] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """An outcome whose rows can be confirmed; they are not kept."""
        self.judged.append(Confirmable(replace(outcome, predictions=None, judgement=None), outcome.report))

    def latest(self) -> tuple[Trace, LabelTable, Columns | None]:
        """What the last judged calls returned: trace, labels and digests of the rows.

        Raises:
            ValueError: No call has returned rows.
        """
        known = self.judged[-1].outcome if self.judged else None
        if known is None or known.trace is None or known.labels is None:
            msg = "put_back: expected results of guarded calls, found no guarded call that returned rows"
            raise ValueError(msg)
        return trace_of_returned(known, known.trace, known.labels), known.labels, known.columns

    def settle(self) -> list[Outcome]:
        """Judge by what was confirmed, and record that in place of what was; the outcomes that call for an action."""
        confirmations, self.confirmations = self.confirmations, []
        outcomes, self.pending = self.pending, []
        if confirmations and not self.judged:
            reason = "what was passed to confirm: no guarded call returned rows that it could be compared with"
            outcomes.append(Outcome(self.judge.unproven(None, reason), None, None, None))
            self.outcomes.record(outcomes[-1])
            return outcomes
        chosen: dict[int, list[Confirmation]] = {}
        for confirmation in confirmations:
            # It belongs to the call that returned most of these rows; of several, to the latest.
            several = self.judged if len(self.judged) > 1 else ()
            found = [confirmation.found_in(item.outcome.columns) for item in several] or [0]
            chosen.setdefault(max(range(len(found)), key=lambda at: (found[at], at)), []).append(confirmation)
        for at, new in chosen.items():
            item, returned = self.judged[at], self.judged[at].outcome.columns
            # A confirmation replaces an earlier one of the same rows; one of other rows (another model) stays.
            earlier = (one for one in item.confirmations if one.found_in(returned))
            kept = [one for one in earlier if not any(one.shares_rows(other, returned) for other in new)]
            replaced = len(kept) < len(item.confirmations)
            item.confirmations = [*kept, *new]
            again = [self._confirmed(item.outcome, confirmation) for confirmation in item.confirmations]
            outcome = max(again, key=lambda found: WORSE.index(found.report.verdict))
            if replaced and item.recorded.verdict is Verdict.FAIL and outcome.report.verdict is not Verdict.FAIL:
                notes = (REPLACED, *outcome.report.not_proven)
                outcome = replace(outcome, report=replace(outcome.report, not_proven=notes))
            self.outcomes.change(item.recorded, outcome)
            outcomes = [*(other for other in outcomes if other.report is not item.recorded), outcome]
            item.recorded = outcome.report
        return outcomes

    def _confirmed(self, outcome: Outcome, confirmation: Confirmation) -> Outcome:
        try:
            return self.judge.confirmed(outcome, confirmation)
        except Exception as error:  # noqa: BLE001 - an internal error must not be a PASS
            reason = f"evalguard could not judge what is scored: {swallow(error)}"
            known = outcome.report
            report = self.judge.unproven(outcome.labels, reason, known.counts["n_predictions"], known.method)
            return replace(outcome, report=report)
