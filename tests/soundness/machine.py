"""A Hypothesis state machine that writes evaluation programs."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.soundness.programs import KEYS, LOOPS, METRICS, NAMING, Call, Parts, Program
from tests.soundness.sources import CUT

# At most three calls, two further entries, and one to begin.
STEPS = 6
SIZES = ((12, 4), (11, 4), (12, 12), (9, 2), (13, 5))


def parts_of(order: list[int], size: int) -> Parts:
    """Samples cut into batches."""
    return tuple(tuple(order[at : at + size]) for at in range(0, len(order), size))


def lying(lie: str, n: int, size: int, seed: int) -> Parts:
    """Batches that lie in a way: ``none`` are the samples in order."""
    order, draw = list(range(n)), random.Random(seed)  # noqa: S311 - not for secrets
    parts = list(parts_of(order, size))
    match lie:
        case "permuted":
            draw.shuffle(order)
        case "swapped":
            first, second = draw.sample(order, 2)
            order[first], order[second] = second, first
        case "shifted":
            by = draw.randint(1, n - 1)
            order = order[by:] + order[:by]
        case "skipped_row":
            del order[draw.randrange(n)]
        case "repeated_row":
            at = draw.randrange(n)
            order.insert(at, order[at])
        case "replaced_row":
            # One sample comes twice, another not at all: the number of rows is right.
            order[draw.randrange(n)] = draw.randrange(n)
        case "foreign_row":
            order[draw.randrange(n)] = n + draw.randrange(3)
        case "wrapped":
            order += order[: draw.randint(1, size)]
        case "skipped_batch" if len(parts) > 1:
            del parts[draw.randrange(len(parts))]
            return tuple(parts)
        case "repeated_batch":
            at = draw.randrange(len(parts))
            return (*parts[:at], parts[at], *parts[at:])
        case "batch_order":
            draw.shuffle(parts)
            return tuple(parts)
        case "half":
            order = order[: n // 2]
        case "other_half":
            order = order[n // 2 :]
    return parts_of(order, size)


LIES = (
    "permuted", "swapped", "shifted", "skipped_row", "repeated_row", "replaced_row", "foreign_row", "wrapped",
    "skipped_batch", "repeated_batch", "batch_order",
)  # fmt: skip
# Half of all calls have no fault, so that false alarms are looked for as often as false passes.
SOME_LIE = st.one_of(st.just("none"), st.sampled_from(LIES))
TF_SOURCES = ("tf_tensors", "tf_mapped", "tf_cached", "tf_shuffled", "tf_dropping", "tf_repeated", "tf_generator")
PLAIN_SOURCES = ("generator", "pydataset", "pydataset_threads", "array", "frame", *TF_SOURCES)
rarely = st.sampled_from((True, False, False, False))


@st.composite
def worlds(draw: Callable[..., Any]) -> Program:
    """A program without its calls."""
    n, batch = draw(st.sampled_from(SIZES))
    images = draw(st.sampled_from((True, *[False] * 9)))
    if images:
        labels = draw(st.sampled_from(("iterator", "given", "file")))
        return Program(
            engine=draw(st.sampled_from(("keras", "tf_keras"))),
            n=n,
            batch=batch,
            labels=labels,
            identity="key" if labels == "file" else "none",
            images=True,
            on_failure=draw(st.sampled_from(("record", "repair"))),
            used_as=draw(st.sampled_from(("with", "decorator", "wrap"))),
        )
    identity = draw(
        st.sampled_from(
            ("none", "none", "reference", "reference", "reference_function", "collected", "key", "key_function",
             "key_padded", "index", "index")
        )
    )  # fmt: skip
    if identity == "collected":
        labels, reused_buffer = "collected", draw(rarely)
    elif identity in KEYS:
        labels, reused_buffer = "file", False
    else:
        labels, reused_buffer = draw(st.sampled_from(("given", "given", "file", "late"))), draw(rarely)
    used_as = draw(st.sampled_from(("with", "with", "decorator", "wrap", "nested")))
    world = Program(
        engine=draw(st.sampled_from(("keras", "keras", "tf_keras"))),
        n=n,
        batch=batch,
        values=draw(st.sampled_from(("distinct", "distinct", "distinct", "twins", "twins", "blank", "blank", "close"))),
        targets=draw(st.sampled_from(("classes", "classes", "numbers"))),
        # Late labels are set on one guard, inside its block.
        labels="given" if labels == "late" and used_as in {"wrap", "nested"} else labels,
        identity=identity,
        reused_buffer=reused_buffer,
        model=draw(
            st.sampled_from(
                ("echo",) * 5
                + ("collide",) * 2
                + ("two_outputs", "constant", "reversing", "put_back", "chunks", "inner_reverse", "noisy")
            )
        ),
        on_failure=draw(st.sampled_from(("record", "record", "repair"))),
        scope=draw(st.sampled_from(("call", "call", "session"))),
        require=draw(st.sampled_from(("declared", "labels", "transport", "count"))),
        used_as=used_as,
    )
    if world.values == "close":
        # Arrays and what Python emits are cast to float32 by Keras.
        world = replace(world, model="echo", reused_buffer=False)
    return replace(world, values="distinct") if world.values == "close" and identity == "index" else world


SOURCES_OF = {
    "index": ("generator", "pydataset", "pydataset_threads"),
    "none": (*PLAIN_SOURCES, "endless"),
}
RACY_SOURCES = frozenset({"generator", "pydataset", "pydataset_threads", "tf_generator", "endless"})


@st.composite
def calls_of(
    draw: Callable[..., Any], world: Program, before: Call | None, lie: str = "", together: bool = False
) -> Call:
    """A call that fits a world and the call before.

    Args:
        draw: Given by Hypothesis.
        world: The program without calls.
        before: The call before in the same entry.
        lie: See ``lying``; empty: any.
        together: The call runs at the same time as another: it is a ``predict`` with another source.
    """
    seed = draw(st.integers(0, 999))
    if world.images:
        lie = draw(st.sampled_from(("none", "shuffled")))
        return Call(source="images", parts=lying("none", world.n, world.batch, 0), lie=lie)
    methods = ("predict",) * 6 + ("evaluate",) * 2 + tuple(LOOPS)
    if together or world.model == "chunks":
        methods = ("predict",)
    elif world.model in {"two_outputs", "noisy"}:
        methods = ("predict", "predict_on_batch", "call")
    method = draw(st.sampled_from(methods))
    sources = TF_SOURCES[:-1] if world.values == "close" else SOURCES_OF.get(world.identity, PLAIN_SOURCES)
    if world.values == "close" and method in LOOPS:
        method = "predict"
    source = "batches" if method in LOOPS else draw(st.sampled_from(sources))
    if method not in LOOPS and (world.model == "chunks" or (world.keyed and source == "frame")):
        source = "array"
    if source == "pydataset_threads" and world.engine == "tf_keras":
        # At the end of each call tf_keras waits five seconds for its workers (2.21, utils/data_utils.py, `stop`).
        source = "pydataset"
    if source == "endless" and (method != "predict" or together):
        source = "generator"
    lie = lie or draw(SOME_LIE)
    parts = lying(lie, world.n, world.batch, seed)
    if source in CUT:
        parts = parts_of([sample for rows in parts for sample in rows], world.batch)
    y = draw(st.sampled_from(("none", "same", "same", "encoded", "placeholder", "label_order")))
    if method in METRICS and y == "none":
        y = "same"
    call = Call(
        method=method,
        source=source,
        parts=parts,
        lie=lie,
        y=y,
        scale=draw(st.sampled_from((1, 1, 1, 1, 2))),
        dtype=draw(st.sampled_from(("float32", "float32", "float32", "float64"))),
        thread=not together and draw(st.sampled_from((True, *[False] * 7))),
        slow=20 if together and before is None else 0,
    )
    if world.values == "close":
        call = replace(call, dtype="float64")
    if source == "array" and method == "predict" and world.model == "echo" and len(parts) > 1 and draw(rarely):
        call = replace(call, steps=draw(st.integers(1, len(parts) - 1)))
    # Which rows such a source feeds is a race: only outputs that name their sample tell.
    if source in RACY_SOURCES and world.model in NAMING and method == "predict":
        if draw(rarely):
            reused = draw(st.sampled_from((1, 2, 5)))
            call = replace(call, reused=reused, dtype=draw(st.sampled_from(("float32", "float32", "float16"))))
        elif world.identity == "index":
            call = replace(call, moving=draw(st.booleans()))
        if before is not None and source == before.source == "endless" and draw(st.booleans()):
            call = replace(before, again=True)
    return call


class Evaluations(RuleBasedStateMachine):
    """Writes one program."""

    # Called with each program; an attribute, because Hypothesis makes the machines.
    work: Callable[[Program], None]

    def __init__(self) -> None:
        super().__init__()
        self.world = Program()
        self.wanted = 0
        self.together = False
        self.entries: list[list[Call]] = [[]]

    @initialize(world=worlds(), wanted=st.sampled_from((1, 1, 1, 2, 2, 3)))
    def begin(self, world: Program, wanted: int) -> None:
        """A model, labels and a guard."""
        self.world, self.wanted = world, wanted

    def _left(self) -> int:
        return self.wanted - sum(map(len, self.entries))

    @precondition(lambda self: self._left() > 0)
    @rule(data=st.data())
    def call(self, data: st.DataObject) -> None:
        """One more call."""
        entry = self.entries[-1]
        entry.append(data.draw(calls_of(self.world, entry[-1] if entry else None)))

    @precondition(lambda self: self._left() > 1 and self.world.scope == "session" and not self.world.images)
    @rule(data=st.data(), swapped=st.booleans(), together=st.sampled_from((True, False, False)))
    def halves(self, data: st.DataObject, swapped: bool, together: bool) -> None:
        """The labels are answered in two calls, one after the other or at the same time."""
        entry = self.entries[-1]
        together = together and not entry and self._left() == self.wanted == 2
        first = None
        for lie in ("other_half", "half") if swapped else ("half", "other_half"):
            first = data.draw(calls_of(self.world, first, lie, together))
            entry.append(first)
        self.together = together

    @precondition(lambda self: self._left() > 0 and bool(self.entries[-1]))
    @rule()
    def enter_again(self) -> None:
        """The calls that follow are made in another entry of the same guard."""
        self.entries.append([])

    @precondition(lambda self: self._left() == 0)
    @rule()
    def nothing_more(self) -> None:
        """Hypothesis takes a fixed number of steps."""

    def teardown(self) -> None:
        """Hand the program on."""
        entries = tuple(tuple(entry) for entry in self.entries if entry)
        program = replace(self.world, together=self.together, entries=entries)
        if entries:
            self.work(program)
