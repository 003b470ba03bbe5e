"""Verdicts, proofs, and what a caller demands of them."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Literal, get_args, get_type_hints

from evalguard.core.shown_keys import hidden
from evalguard.errors import ConfigError


class Verdict(StrEnum):
    """The result of judging one call or session, best first."""

    PASS = "PASS"  # noqa: S105 - not a password
    REPAIRED = "REPAIRED"
    UNPROVEN = "UNPROVEN"
    FAIL = "FAIL"

    def __bool__(self) -> bool:
        """Refuse, as four values are not a truth value.

        Raises:
            TypeError: Always; ``if verdict:`` would be true for FAIL.
        """
        msg = "a verdict is not a truth value: compare with Verdict.PASS"
        raise TypeError(msg)


class Proof(StrEnum):
    """How the alignment was established, strongest first.

    ``<``, ``<=``, ``>`` and ``>=`` compare strength: ``report.proof >= Proof.LABELS``. Either side may be a word of
    ``require``; any other text raises ``ValueError``.
    """

    IDENTITY = "identity"
    LABELS = "labels"
    # Only in records made before 0.2: some rows, sampled by position, were recognised by their content.
    SAMPLE = "sample"
    DECLARED = "declared"
    TRANSPORT = "transport"
    COUNT = "count"
    NONE = "none"

    # All four are defined, as those of `str` compare letters. They raise for a word that is no proof: after
    # NotImplemented Python would call the reflected method of `str`, and "transport" > "labels" by letters.

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
        """Higher for a stronger proof."""
        return -list(Proof).index(self)


# A longer list of names is cut to those that are nearest to the word that was given.
MAX_LISTED = 6
NEAR = 3

OnFailure = Literal["raise", "warn", "record", "repair"]
OnUnproven = Literal["raise", "warn", "record"]
# `sample` still admits records made before 0.2, see `Proof.SAMPLE`.
Require = Literal["identity", "labels", "sample", "declared", "transport", "count"]
Padding = Literal["forbid", "trim"]
Scope = Literal["call", "session", "parts"]
DuplicateInputs = Literal["forbid", "allow"]
Returns = Literal["predictions"] | None
Order = Literal["same", "any"]


@dataclass(frozen=True, slots=True)
class Policy:
    """What the caller requires, and what happens if it is not met.

    Attributes:
        require: The weakest proof that may be called PASS.
        on_failure: What a FAIL does. ``repair`` reorders the rows if that is
            unambiguous and raises if it is not.
        on_unproven: What an UNPROVEN does.
        padding: Whether known rows after the last label may be removed.
        scope: Whether each call answers all labels, or all calls together, in order or as parts in any order.
        duplicate_inputs: Whether the data is known to hold samples with equal
            inputs. Matters for proof ``labels`` only: without it, equal rows
            count as a possible repetition.
        fail_fast: Stop a call at the first batch that proves a fault.
        show_keys: Whether reports and messages show keys, or salted digests of them.

    Raises:
        ConfigError: A value is not one of the allowed words.
    """

    require: Require = "declared"
    on_failure: OnFailure = "raise"
    on_unproven: OnUnproven = "warn"
    padding: Padding = "forbid"
    scope: Scope = "call"
    duplicate_inputs: DuplicateInputs = "forbid"
    fail_fast: bool = False
    show_keys: bool = True

    def __post_init__(self) -> None:
        for name, allowed in get_type_hints(Policy).items():
            if words := get_args(allowed):
                check_choice(name, getattr(self, name), words)
        for name in ("fail_fast", "show_keys"):
            if not isinstance(getattr(self, name), bool):
                msg = f"{name}: expected True or False; found {str(getattr(self, name))[:60]!r}."
                raise ConfigError(msg)
        if self.fail_fast and self.on_failure == "repair":
            msg = "fail_fast: a stopped call cannot be repaired; expected on_failure raise, warn or record."
            raise ConfigError(msg)
        if self.fail_fast and self.scope != "call":
            msg = "fail_fast: only a call that predicts all labels can be stopped; expected scope='call'."
            raise ConfigError(msg)

    @property
    def required_proof(self) -> Proof:
        """``require`` as a proof level."""
        return Proof(self.require)

    def to_dict(self) -> dict[str, Any]:
        """The options by name, for the report; whether keys are shown only where they are not."""
        given = {item.name: getattr(self, item.name) for item in fields(self)}
        del given["show_keys"]
        return given if self.show_keys and not hidden() else {**given, "show_keys": False}


def check_choice(option: str, value: Any, allowed: tuple[str, ...]) -> None:
    """Refuse a word that is not allowed, and name the nearest allowed one.

    Raises:
        ConfigError: ``value`` is not in ``allowed``.
    """
    if value not in allowed:
        msg = f"{option}: expected one of {listed(allowed, value)}; found {str(value)[:60]!r}.{nearest(value, allowed)}"
        raise ConfigError(msg)


def nearest(word: object, allowed: Sequence[str], renamed: Mapping[str, str] = MappingProxyType({})) -> str:
    """`` Did you mean '…'?``; empty if no allowed word is near.

    Args:
        word: What was given.
        allowed: What is allowed.
        renamed: Old names → the allowed ones: a word near an old name means the new one.
    """
    near = difflib.get_close_matches(str(word), [*allowed, *renamed], n=1, cutoff=0.5)
    return f" Did you mean {renamed.get(near[0], near[0])!r}?" if near else ""


def listed(names: Iterable[object], word: object = "", show: Callable[[object], str] = str) -> str:
    """Names for a message; of more than six the three that are nearest to a word, and how many there are besides.

    Args:
        names: In the order in which they are shown.
        word: What was given instead of one of them.
        show: How each is written.
    """
    found = [*names]
    if len(found) > MAX_LISTED:
        near = difflib.get_close_matches(str(word), [*map(str, found)], n=NEAR, cutoff=0.4)
        # The first ones, where fewer are near.
        chosen = sorted(found, key=lambda name: near.index(str(name)) if str(name) in near else NEAR)[:NEAR]
        return f"{', '.join(map(show, chosen))} and {len(found) - NEAR:,} more"
    return ", ".join(map(show, found))
