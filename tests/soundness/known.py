"""What breaks the laws today, one line a kind. A breach that is none of these is a failure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import permutations

from tests.soundness import oracle
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


def _in_another_order(program: Program, breach: Breach) -> bool:
    """Whether the calls, put together in some other order, are what the verdict says: right, or wrong."""
    if breach.unit is None or breach.law not in {"a", "b"}:
        return False
    orders = [replace(breach.unit, spans=spans) for spans in permutations(breach.unit.spans)]
    return any(oracle.right(program, unit) is (breach.law == "a") for unit in orders)


KNOWN: tuple[Known, ...] = (
    Known(
        "the stream's targets are another quantity than the labels",
        "another encoding or a placeholder counts as a contradiction, also where identity is proven",
        lambda program, breach: (
            breach.law == "b"
            and "label_disagreement" in breach.what
            and (_has(program, y="encoded") or _has(program, y="placeholder"))
        ),
    ),
    Known(
        "rows of calls in several threads are put together in another order than the calls were made",
        "what the caller does with returned rows is not observed; calls of a session count in the order of their start",
        lambda program, breach: program.together and _in_another_order(program, breach),
    ),
    Known(
        "a call `model(x)` is taken for a warm-up",
        "a single one of a part of the samples beside other calls, or a first one on rows of no sample",
        lambda program, breach: (
            _has(program, method="call")
            and (breach.law == "reports" or (breach.law == "a" and breach.unit is not None))
            and (breach.unit is None or len(breach.unit.rows) > program.n)
        ),
    ),
    Known(
        "tf_keras draws other random numbers",
        "the guard compiles its own step, and tf.random keeps its state in the compiled function",
        lambda program, breach: breach.law == "c" and "draws other numbers inside" in breach.what,
    ),
)


def known_as(program: Program, breach: Breach) -> Known | None:
    """The kind of a breach, or None."""
    return next((known for known in KNOWN if known.fits(program, breach)), None)
