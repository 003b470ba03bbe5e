"""One entry into a ``ValidationGuard``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from evalguard.capture.contract import CaptureOptions
from evalguard.core.policy import Policy
from evalguard.core.trace import FIT
from evalguard.guards.fit_validations import FitValidations, judge_fit, no_fit
from evalguard.guards.model_numbers import number_of
from evalguard.guards.outcome import Outcome, Outcomes
from evalguard.guards.overrides import OverrideCall


@dataclass(slots=True, eq=False)
class FitSession:
    """One entry: the validations of each ``fit`` are compared with one another when it ends.

    Attributes:
        policy: What the caller demands.
        capture: What is recorded of each validation batch.
        outcomes: What was judged.
        model: Guard this model only; None for every model.
        fits: The validations of each ``fit``, with the ``History`` that it returned.
    """

    policy: Policy
    capture: CaptureOptions
    outcomes: Outcomes
    model: Any = None
    fits: list[tuple[FitValidations, Any]] = field(default_factory=list)
    priority_methods: ClassVar[tuple[str, ...]] = (FIT,)

    def guards(self, model: Any, method: str) -> bool:
        """Whether calls of this method of this model are guarded."""
        return method == FIT and (self.model is None or model is self.model)

    def run(
        self,
        model: Any,
        method: str,
        original: Callable[..., Any],
        args: Any,
        kwargs: Any,
        part_of: OverrideCall | None = None,
    ) -> Any:
        """Train, and record what each validation is scored on."""
        del method, part_of
        self.outcomes.about.call()
        epochs = FitValidations(model, self.capture)
        history = epochs.fit(original, args, kwargs)
        self.fits.append((epochs, history))
        return history

    def conclude_override(self, call: OverrideCall, x: Any, result: Any) -> Any:
        """Never called: only ``fit`` is guarded, and what overrides it is trained as it is."""
        del call, x
        return result

    def end(self) -> None:
        """Judge each ``fit``; all are recorded before one of them raises."""
        # A callback of the same guard may have judged already; otherwise an empty block must not look like a PASS.
        if not self.fits and not self.outcomes.judged:
            self.outcomes.finish(Outcome(no_fit(self.policy, self.outcomes.name), None, None, None))
            return
        judged = [self.judge(epochs, history) for epochs, history in self.fits]
        self.fits = []
        # Two loops: the first FAIL raises, and the reports after it must be on record by then.
        for outcome in judged:
            self.outcomes.record(outcome)
        for outcome in judged:
            self.outcomes.act(outcome)

    def end_early(self) -> None:
        """Nothing is known before all validations were made."""

    def judge(self, epochs: FitValidations, history: Any) -> Outcome:
        """The outcome of one ``fit``."""
        number = number_of(epochs.model)
        self.outcomes.about.see(epochs.model, number)
        return Outcome(judge_fit(epochs, self.policy, self.outcomes.name), None, None, history, models=(number,))
