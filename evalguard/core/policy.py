"""Verdicts, proofs, and what a caller demands of them."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, Literal, get_args

from evalguard.core.sampling import ALL, Sampling, sampling_of
from evalguard.errors import ConfigError


class Verdict(StrEnum):
    """What may be said of one judged call or session."""

    PASS = "PASS"  # noqa: S105 - not a password
    REPAIRED = "REPAIRED"
    UNPROVEN = "UNPROVEN"
    FAIL = "FAIL"

    def __bool__(self) -> bool:
        """Refuse: four values are not a truth value.

        Raises:
            TypeError: Always; ``if verdict:`` would be true for FAIL.
        """
        msg = "a verdict is not a truth value: compare with Verdict.PASS"
        raise TypeError(msg)


class Proof(StrEnum):
    """How the alignment was established, strongest first.

    ``<``, ``<=``, ``>`` and ``>=`` compare strength: ``report.proof >= Proof.LABELS``. A word of ``require`` may
    stand on either side; any other text raises ``ValueError``.
    """

    IDENTITY = "identity"
    LABELS = "labels"
    SAMPLE = "sample"
    TRANSPORT = "transport"
    COUNT = "count"
    NONE = "none"

    # All four, as `str` brings its own, which compare letters. NotImplemented for a word that is no proof would not
    # help: Python would then ask `str` the other way round, and "transport" > "labels" by its letters.

    def __lt__(self, other: str) -> bool:
        return self._rank < Proof(other)._rank

    def __le__(self, other: str) -> bool:
        return self._rank <= Proof(other)._rank

    def __gt__(self, other: str) -> bool:
        return self._rank > Proof(other)._rank

    def __ge__(self, other: str) -> bool:
        return self._rank >= Proof(other)._rank

    @property
    def _rank(self) -> int:
        """More for the stronger."""
        return -list(Proof).index(self)


OnFailure = Literal["raise", "warn", "record", "repair"]
OnUnproven = Literal["raise", "warn", "record"]
Require = Literal["identity", "labels", "sample", "transport", "count"]
Padding = Literal["forbid", "trim"]
Scope = Literal["call", "session"]
DuplicateInputs = Literal["forbid", "allow"]


@dataclass(frozen=True, slots=True)
class Policy:
    """What the caller demands, and what shall happen if it is not met.

    Attributes:
        require: The weakest proof that may be called PASS.
        on_failure: What a FAIL does. ``repair`` puts rows back in order where
            that is unambiguous and raises where it is not.
        on_unproven: What an UNPROVEN does.
        padding: Whether known rows after the last label may be cut off.
        scope: Whether each call answers all labels, or the calls together do.
        duplicate_inputs: Whether the data is known to hold samples with equal
            inputs. Matters for proof ``labels`` only: equal rows are otherwise
            taken for a possible repetition.
        fail_fast: Stop a call at the first batch that proves a fault.
        content: Rows whose content is looked at: ``all``, or a share of them
            such as ``sample:0.01``.

    Raises:
        ConfigError: A value is not one of the words allowed.
    """

    require: Require = "labels"
    on_failure: OnFailure = "raise"
    on_unproven: OnUnproven = "warn"
    padding: Padding = "forbid"
    scope: Scope = "call"
    duplicate_inputs: DuplicateInputs = "forbid"
    fail_fast: bool = False
    content: str = ALL

    def __post_init__(self) -> None:
        allowed = {
            "require": Require,
            "on_failure": OnFailure,
            "on_unproven": OnUnproven,
            "padding": Padding,
            "scope": Scope,
            "duplicate_inputs": DuplicateInputs,
        }
        for name, words in allowed.items():
            check_choice(name, getattr(self, name), get_args(words))
        if not isinstance(self.fail_fast, bool):
            msg = f"fail_fast: expected True or False; found {str(self.fail_fast)[:60]!r}."
            raise ConfigError(msg)
        if self.fail_fast and self.on_failure == "repair":
            msg = "fail_fast: a call that is stopped cannot be repaired; expected on_failure raise, warn or record."
            raise ConfigError(msg)
        if self.fail_fast and self.scope == "session":
            msg = "fail_fast: only a call that answers all labels can be stopped; expected scope='call'."
            raise ConfigError(msg)
        if self.sampling is not None:
            self._refuse_with_sample()

    def _refuse_with_sample(self) -> None:
        """Options that need to know of every row which sample it is, or of each batch as it comes."""
        refused = {
            "on_failure": ("repair", "rows that were not looked at cannot be put right"),
            "padding": ("trim", "whether a row that was not looked at is padding is not known"),
            "scope": ("session", "rows are chosen by their place in one call that answers all labels"),
            "fail_fast": (True, "a call is stopped for what was seen of every batch"),
        }
        for name, (value, why) in refused.items():
            if getattr(self, name) == value:
                msg = f"content={self.content!r} with {name}={value!r}: {why}; leave one of them out (content='all')."
                raise ConfigError(msg)

    @property
    def sampling(self) -> Sampling | None:
        """Which rows ``content`` asks for; None: all of them."""
        return sampling_of(self.content)

    @property
    def required_proof(self) -> Proof:
        """``require`` as a proof level."""
        return Proof(self.require)

    def to_dict(self) -> dict[str, Any]:
        """The options by name, for the report."""
        return {item.name: getattr(self, item.name) for item in fields(self)}


def check_choice(option: str, value: Any, allowed: tuple[str, ...]) -> None:
    """Refuse a word that is not allowed, naming the nearest that is.

    Raises:
        ConfigError: ``value`` is not in ``allowed``.
    """
    if value in allowed:
        return
    msg = f"{option}: expected one of {', '.join(allowed)}; found {str(value)[:60]!r}.{nearest(value, allowed)}"
    raise ConfigError(msg)


def nearest(word: object, allowed: Sequence[str]) -> str:
    """`` Did you mean '…'?``, or nothing where no allowed word is near."""
    near = difflib.get_close_matches(str(word), allowed, n=1, cutoff=0.5)
    return f" Did you mean {near[0]!r}?" if near else ""
