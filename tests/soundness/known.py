"""What breaks the laws today, one line a kind. A breach that is none of these is a failure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.soundness.programs import Program
from tests.soundness.trial import Breach


@dataclass(frozen=True)
class Known:
    """A kind of breach.

    Attributes:
        name: A few words.
        why: The reason.
        fits: Whether a breach is of this kind.
    """

    name: str
    why: str
    fits: Callable[[Program, Breach], bool]


def _has(program: Program, **fields: object) -> bool:
    """Whether some call of the program has these values."""
    return any(all(getattr(call, name) == value for name, value in fields.items()) for call in program.calls)


KNOWN: tuple[Known, ...] = (
    Known(
        "a call `model(x)` is taken for a warm-up",
        "a single one of a part of the samples beside other calls, or a first one on rows of no sample",
        lambda program, breach: (
            _has(program, method="call")
            and (breach.law == "reports" or (breach.law == "a" and breach.unit is not None))
            and (breach.unit is None or len(breach.unit.rows) > program.n)
        ),
    ),
)


def known_as(program: Program, breach: Breach) -> Known | None:
    """The kind of a breach, or None."""
    return next((known for known in KNOWN if known.fits(program, breach)), None)
