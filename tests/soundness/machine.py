"""A Hypothesis state machine that writes evaluation programs."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.soundness import loops
from tests.soundness.programs import KEYS, LOOPS, METRICS, NAMING, Call, Confirm, Parts, Program, Rows
from tests.soundness.scripts import CLASSES
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
        case "slid":
            # As windows that begin later: the last rows are no labelled samples.
            by = draw.randint(1, n // 2)
            order = list(range(by, n + by))
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
    "permuted", "swapped", "shifted", "slid", "skipped_row", "repeated_row", "replaced_row", "foreign_row", "wrapped",
    "skipped_batch", "repeated_batch", "batch_order",
)  # fmt: skip
# Half of all calls have no fault, so that false alarms are looked for as often as false passes.
SOME_LIE = st.one_of(st.just("none"), st.sampled_from(LIES))
TF_SOURCES = ("tf_tensors", "tf_mapped", "tf_cached", "tf_shuffled", "tf_dropping", "tf_repeated", "tf_generator")
PLAIN_SOURCES = ("generator", "pydataset", "pydataset_threads", "array", "frame", *TF_SOURCES)
# What a loop can read batches from.
LOOP_SOURCES = tuple(source for source in PLAIN_SOURCES if source not in {"array", "frame"})
rarely = st.sampled_from((True, False, False, False))
# About a quarter of the programs confirm something, or make their calls in parts.
confirms_or_parts = rarely


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
    if draw(st.sampled_from((True, *[False] * 7))):
        return looping(draw, n, batch)
    if draw(st.sampled_from((True, *[False] * 11))):
        return of_pandas(draw, n, batch)
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
    if world.values == "close" and identity == "index":
        world = replace(world, values="distinct")
    if draw(confirms_or_parts):
        return confirming(draw, world)
    if world.targets == "classes" and world.labels in {"given", "late", "file"} and draw(rarely):
        return replace(world, classes=draw(st.sampled_from(tuple(CLASSES))))
    return world


def of_pandas(draw: Callable[..., Any], n: int, batch: int) -> Program:
    """A world of frames and labels that have an index."""
    return Program(
        engine=draw(st.sampled_from(("keras", "tf_keras"))),
        n=n,
        batch=batch,
        values=draw(st.sampled_from(("distinct", "distinct", "twins"))),
        targets=draw(st.sampled_from(("classes", "numbers"))),
        identity="pandas",
        index=draw(
            st.sampled_from(("same", "same", "same", "offset", "times", "next_time", "default", "partly", "text"))
        ),
        model=draw(st.sampled_from(("echo", "echo", "collide", "two_outputs", "reversing", "put_back"))),
        on_failure=draw(st.sampled_from(("record", "record", "repair"))),
        scope=draw(st.sampled_from(("call", "call", "session"))),
        require=draw(st.sampled_from(("declared", "declared", "labels", "transport"))),
        used_as=draw(st.sampled_from(("with", "decorator", "wrap"))),
    )


def looping(draw: Callable[..., Any], n: int, batch: int) -> Program:
    """A world whose calls are loops that are given their labels."""
    return Program(
        engine=draw(st.sampled_from(("keras", "keras", "tf_keras"))),
        n=n,
        batch=batch,
        values=draw(st.sampled_from(("distinct", "distinct", "distinct", "twins", "blank"))),
        targets=draw(st.sampled_from(("classes", "numbers"))),
        labels=draw(st.sampled_from(("loop", "loop", "batches"))),
        identity=draw(st.sampled_from(("none", "none", "none", "key"))),
        model=draw(st.sampled_from(("echo",) * 4 + ("two_outputs", "reversing", "put_back", "noisy"))),
        scope=draw(st.sampled_from(("call", "call", "session"))),
        require=draw(st.sampled_from(("declared", "declared", "labels", "transport", "count"))),
        used_as=draw(st.sampled_from(("with", "with", "decorator"))),
    )


def confirming(draw: Callable[..., Any], world: Program) -> Program:
    """A world in which calls are parts, or what is scored is confirmed; ``scored`` gives the rest."""
    scope = draw(st.sampled_from(("call", "session", "parts", "parts", "parts")))
    model = "echo" if world.model == "inner_reverse" else world.model
    pool = scope == "parts" and model != "noisy" and draw(rarely)
    return replace(
        world,
        scope=scope,
        model=model,
        weighted=world.labels in {"given", "file", "collected"} and draw(rarely),
        # What was repaired is known from outputs that name it.
        on_failure=world.on_failure if model in NAMING else "record",
        require=draw(st.sampled_from((world.require, "declared"))),
        pool=pool,
        confirms=((Confirm(),),),
    )


SOURCES_OF = {
    "index": ("generator", "pydataset", "pydataset_threads"),
    "pandas": ("frame",),
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
    if world.loops:
        return loop_of(draw, world, lie or draw(SOME_LIE), seed)
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
    if source == "endless" and (method != "predict" or together or world.pool):
        source = "generator"
    lie = lie or draw(SOME_LIE)
    parts = lying(lie, world.n, world.batch, seed)
    if source in CUT:
        parts = parts_of([sample for rows in parts for sample in rows], world.batch)
    y = draw(st.sampled_from(("none", "same", "same", "same", "encoded", "placeholder", "label_order", "late")))
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
    if world.weighted and (
        method == "test_on_batch" or (method == "evaluate" and source in {"generator", "pydataset"})
    ):
        call = replace(call, weights=draw(st.sampled_from(("none", "right", "right", "moved"))))
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


def loop_of(draw: Callable[..., Any], world: Program, lie: str, seed: int) -> Call:
    """A loop that is given its labels; whatever the order of its source, what it predicts is or is not what it got."""
    source = draw(st.sampled_from(LOOP_SOURCES))
    if world.keyed:
        # A key that comes twice is an error.
        source = "tf_tensors" if source == "tf_repeated" else source
        lie = lie if lie not in {"repeated_row", "replaced_row", "wrapped", "repeated_batch"} else "permuted"
    parts = lying(lie, world.n, world.batch, seed)
    if source in CUT:
        parts = parts_of([sample for rows in parts for sample in rows], world.batch)
    fed: Parts = ()
    # Which samples such a source gives at a step is not known before.
    if source not in {"tf_shuffled", "tf_repeated", "tf_dropping"} and draw(st.booleans()):
        fed = loops.fed_otherwise(draw(st.sampled_from(loops.FED)), parts, world.n, seed)
    # tf.data pulls batches in advance: which rows a loop is given is then a race.
    one_by_one = source in {"generator", "pydataset"}
    return Call(
        method=draw(st.sampled_from(("predict", "predict", "predict_on_batch", "call"))),
        source=source,
        parts=parts,
        lie=lie,
        y=draw(st.sampled_from(("same", "same", "same", "encoded", "label_order"))),
        dtype=draw(st.sampled_from(("float32", "float32", "float32", "float64"))),
        reused=draw(st.sampled_from((1, 2, 5))) if one_by_one and draw(rarely) else 0,
        fed=fed,
        stops=draw(st.integers(1, len(parts) - 1)) if len(parts) > 1 and draw(rarely) else 0,
    )


FOLDS = ("contiguous", "scattered", "shuffled", "overlapping", "missing")


def folds_of(kind: str, n: int, k: int, seed: int) -> list[list[int]]:
    """The samples of each of ``k`` calls that answer the labels together, in any order of calls."""
    order, draw = list(range(n)), random.Random(seed)  # noqa: S311 - not for secrets
    if kind != "contiguous":
        draw.shuffle(order)
    size = -(-n // k)
    folds = [order[at : at + size] for at in range(0, n, size)]
    if kind == "overlapping":
        folds = [[*fold, *draw.sample(order, 2)] for fold in folds]
    if kind == "missing":
        folds[0] = folds[0][1:]
    if kind != "shuffled":
        folds = [sorted(fold) for fold in folds]
    draw.shuffle(folds)
    return folds


def scored(world: Program, entries: tuple[tuple[Call, ...], ...], seed: int) -> Program:
    """The program, with what is confirmed in each entry, and who makes its calls."""
    draw = random.Random(seed)  # noqa: S311 - not for secrets
    where = draw.choice(("inside", "inside", "after", "returned" if world.used_as == "decorator" else "inside"))
    if world.used_as == "wrap" and world.scope == "call":
        # There is no block.
        where = "after"
    names = world.scope == "parts" and world.identity in {"none", "reference"} and draw.random() < 0.4
    made = []
    for entry in entries:
        scale = entry[0].scale if draw.random() < 0.3 else 1
        calls = [replace(call, scale=scale, steps=0) for call in entry]
        for at, call in enumerate(calls):
            rows = [sample for part in call.parts for sample in part]
            if world.pool:
                call = replace(call, thread=False, slow=0, delay=draw.choice((0, 0, 5, 20)))
            elif world.scope == "parts" and world.used_as != "wrap" and at and not call.again:
                call = replace(call, model=int(draw.random() < 0.3))
            if names and max(rows, default=0) < world.n:
                call = replace(call, named=_named(draw, tuple(rows)))
            calls[at] = call
        made.append(tuple(calls))
    confirms = tuple(_confirms(draw, world, entry, where) for entry in made)
    if where == "returned" and not all(confirms):
        confirms = tuple(tuple(replace(each, where="inside") for each in entry) for entry in confirms)
    if draw.random() < 0.1:
        confirms = ()
    return replace(world, entries=tuple(made), confirms=confirms if any(confirms) else ())


def loops_scored(world: Program, entries: tuple[tuple[Call, ...], ...], seed: int) -> Program:
    """The program, with what is confirmed after the loops of each entry."""
    draw = random.Random(seed)  # noqa: S311 - not for secrets
    if world.labels == "batches":
        # One source is collected, and each pass over it is an entry's.
        entries = entries[:1]
    if world.labels == "batches" or world.keyed:
        entries = tuple(entry[:1] for entry in entries)
    n_rows = [sum(len(rows) for call in entry for rows in call.parts) for entry in entries]
    confirms = tuple(loops.confirms_of(draw, rows, world.model) for rows in n_rows)
    return replace(world, entries=entries, confirms=confirms if any(confirms) else ())


def _named(draw: random.Random, rows: Rows) -> Rows:
    kind = draw.choice(("right", "right", "right", "reversed", "turned", "short"))
    return {"right": rows, "reversed": rows[::-1], "turned": rows[1:] + rows[:1], "short": rows[:-1]}[kind]


def _confirms(draw: random.Random, world: Program, entry: tuple[Call, ...], where: str) -> tuple[Confirm, ...]:
    with_rows = [at for at, call in enumerate(entry) if call.method not in METRICS]
    if world.used_as == "wrap" and world.scope == "call":
        with_rows = [at for at in with_rows if at == len(entry) - 1 and entry[at].method not in LOOPS]
    if not with_rows:
        return ()
    lengths = [sum(map(len, entry[at].parts)) for at in with_rows]
    whole = [at for at, length in zip(with_rows, lengths, strict=True) if length >= world.n]
    if whole and (world.scope != "parts" or len(whole) == len(with_rows)):
        chosen: list[Rows] = [(draw.choice(whole),)]
        if len(whole) > 1 and where != "returned" and draw.random() < 0.4:
            chosen = [(at,) for at in whole]
    else:
        order = tuple(with_rows)
        if draw.random() < 0.3:
            order = tuple(draw.sample(with_rows, len(with_rows)))
        # In which order they ended is known inside a decorated function only.
        known = world.pool and len(with_rows) == len(entry) and (world.used_as != "decorator" or where != "after")
        completed = known and draw.random() < 0.5
        chosen = [() if completed else order]
    return tuple(_confirm(draw, world, entry, of, where) for of in chosen)


def _confirm(draw: random.Random, world: Program, entry: tuple[Call, ...], of: Rows, where: str) -> Confirm:
    y_true = draw.choice(("none",) * 8 + ("right",) * 9 + ("reversed", "shifted", "encoded", "short"))
    if where != "returned" and draw.random() < 0.2:
        return Confirm(of=of, y_true=y_true, weights=_weights(draw, world, where), where=where, put_back=True)
    rows = [_emitted(world, entry[at]) for at in of]
    flat = [sample for each in rows for sample in each]
    n = len(flat) or world.n
    inverse = [flat.index(sample) if sample in flat else draw.randrange(n) for sample in range(world.n)]
    lies = {
        "order": [sample % n for sample in flat],
        "permuted": draw.sample(range(n), n),
        "swapped": [inverse[1], inverse[0], *inverse[2:]],
        "repeated": [inverse[0], inverse[0], *inverse[2:]],
        "lost": inverse[:-1],
        "added": [*inverse, inverse[0]],
    }
    kind = draw.choice(("inverse",) * 9 + ("as_is",) * 4 + tuple(lies))
    take = {"inverse": inverse, "as_is": []}.get(kind) if kind not in lies else lies[kind]
    forms = ["same"] * 9 + ["float64", "axes"] + ["float16"] * (world.values != "close")
    if world.model == "two_outputs":
        forms += ["first", "first", "apart", "apart"]
    else:
        forms += ["list", "frame"]
    forms += ["doubled", "rounded", "argmax"]
    return Confirm(
        of=of,
        take=tuple(take or ()) if of else (),
        form=draw.choice(forms),
        y_true="none" if where == "returned" else y_true,
        weights=_weights(draw, world, where),
        where=where,
    )


def _weights(draw: random.Random, world: Program, where: str) -> str:
    if where == "returned" or draw.random() < (0.3 if world.weighted else 0.95):
        return "none"
    return draw.choice(("right",) * 6 + ("reversed", "shifted", "scaled", "short"))


def _emitted(world: Program, call: Call) -> list[int]:
    rows = [sample for part in call.parts for sample in part]
    if call.source == "tf_dropping":
        rows = rows[: len(rows) // world.batch * world.batch]
    return rows[::-1] if world.model == "reversing" and call.method == "predict" else rows


class Evaluations(RuleBasedStateMachine):
    """Writes one program."""

    # Called with each program; an attribute, because Hypothesis makes the machines.
    work: Callable[[Program], None]

    def __init__(self) -> None:
        super().__init__()
        self.world = Program()
        self.wanted = self.seed = 0
        self.together = False
        self.entries: list[list[Call]] = [[]]

    @initialize(world=worlds(), wanted=st.sampled_from((1, 1, 1, 2, 2, 3)), seed=st.integers(0, 9999))
    def begin(self, world: Program, wanted: int, seed: int) -> None:
        """A model, labels and a guard."""
        self.world, self.wanted, self.seed = world, wanted, seed
        if world.scope == "parts":
            self.wanted = max(wanted, 2)

    def _left(self) -> int:
        return self.wanted - sum(map(len, self.entries))

    @precondition(lambda self: self._left() > 1 and self.world.scope == "parts" and not self.entries[-1])
    @rule(data=st.data(), kind=st.sampled_from(FOLDS), seed=st.integers(0, 999))
    def folds(self, data: st.DataObject, kind: str, seed: int) -> None:
        """The labels are answered in parts, one for each of the calls that are left."""
        entry = self.entries[-1]
        for fold in folds_of(kind, self.world.n, self._left(), seed):
            made = data.draw(calls_of(self.world, entry[-1] if entry else None, "fold"))
            entry.append(replace(made, parts=parts_of(fold, self.world.batch), again=False))

    @precondition(lambda self: self._left() > 0)
    @rule(data=st.data())
    def call(self, data: st.DataObject) -> None:
        """One more call."""
        entry = self.entries[-1]
        entry.append(data.draw(calls_of(self.world, entry[-1] if entry else None)))

    @precondition(
        lambda self: self._left() > 1 and self.world.scope == "session" and not (self.world.images or self.world.loops)
    )
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
        if entries and self.world.loops:
            program = loops_scored(program, entries, self.seed)
        if self.world.confirms:
            program = scored(program, entries, self.seed)
        if entries:
            self.work(program)
