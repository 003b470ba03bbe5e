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


KNOWN: tuple[Known, ...] = (
    Known(
        "tf_keras draws other random numbers",
        "the guard compiles its own step, and tf.random keeps its state in the compiled function",
        lambda program, breach: breach.law == "c" and "draws other numbers inside" in breach.what,
    ),
)


def known_as(program: Program, breach: Breach) -> Known | None:
    """The kind of a breach, or None."""
    return next((known for known in KNOWN if known.fits(program, breach)), None)
