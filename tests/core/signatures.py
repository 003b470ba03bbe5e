"""One maker of traces per row of the signature table: what a fault leaves behind, at any size.

A maker returns None if the fault has no effect at that size: no tail is dropped
if the batch size divides the rows. *Declared* cases hold the fact that confirms
the cause; the others hold the pattern only. No maker uses the code under test.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.core.label_table import LabelTable
from evalguard.core.trace import ROW_BITS, UNKNOWN, SourceState, Trace

Ids = NDArray[np.int64]

SIZES = (10, 13, 50, 997, 10_000, 100_000)
BATCHES = (3, 8, 32)
FOREIGN = -2


@dataclass(frozen=True, eq=False)
class Case:
    """A faulty stream.

    Attributes:
        signature: Name of its maker.
        kind: Kind of source.
        declared: The confirming fact is among the facts.
        trace: What a guard would have observed.
        samples: Sample of each row.
        labels: The labels.
        certain: The cause must be named as certain.
    """

    signature: str
    kind: str
    declared: bool
    trace: Trace
    samples: Ids
    labels: LabelTable
    certain: bool = False


@dataclass(frozen=True)
class Setting:
    """Where to make a fault."""

    n: int
    batch: int
    kind: str
    declared: bool

    @property
    def rng(self) -> np.random.Generator:
        return np.random.default_rng([self.n, self.batch])

    @property
    def steps(self) -> int:
        """Steps that cover all rows."""
        return math.ceil(self.n / self.batch)


def sizes_of(rows: int, batch: int) -> Ids:
    """Rows of each batch; the last one may be short."""
    return np.asarray([min(batch, rows - start) for start in range(0, rows, batch)], dtype=np.int64)


def tags_of(sizes: Sequence[int] | Ids) -> Ids:
    """Tags of batches delivered as they were pulled."""
    sizes = np.asarray(sizes)
    starts = np.repeat(np.cumsum(sizes) - sizes, sizes)
    return (np.repeat(np.arange(len(sizes)), sizes) << ROW_BITS) + np.arange(int(sizes.sum())) - starts


def label_values(n: int) -> Ids:
    """Ten classes, not sorted."""
    return np.arange(n) * 37 % 101 % 10


def made(
    setting: Setting,
    samples: Any,
    *,
    facts: dict[str, Any] | None = None,
    state: dict[str, Any] | None = None,
    certain: bool | None = None,
    sizes: Ids | None = None,
    labels: LabelTable | None = None,
    **parts: Any,
) -> Case:
    """A case of these samples; facts hold in either case, ``state`` too."""
    samples = np.asarray(samples, dtype=np.int64)
    sizes = sizes_of(len(samples), setting.batch) if sizes is None else sizes
    sources = parts.pop("sources", None)
    if sources is None:
        names = {"generator": "batches", "pydataset": "Images", "tf.data": "_BatchDataset", "arrays": "ndarray"}
        known = {"pulled": len(sizes), "delivered": len(sizes), **(state or {})}
        sources = (SourceState(setting.kind, names.get(setting.kind, "Source"), facts=facts or {}, **known),)
    values = label_values(setting.n)
    safe = np.clip(samples, 0, setting.n - 1)
    arrays: dict[str, Any] = {
        "tags": tags_of(sizes),
        "fingerprints": (samples + 10).astype(np.uint64),
        "targets": np.where((samples >= 0) & (samples < setting.n), values[safe], 0),
        "batch_sizes": sizes,
        **parts,
    }
    if labels is None:
        labels = LabelTable(values=values, fingerprints=(np.arange(setting.n) + 10).astype(np.uint64))
    trace = Trace(len(samples), sources=sources, **arrays)
    return Case(
        "", setting.kind, setting.declared, trace, samples, labels, setting.declared if certain is None else certain
    )


# -- The stream did not begin at its start ----------------------------------------------------------------------------


def used_generator(s: Setting) -> Case | None:
    start = int(s.rng.integers(1, s.n))
    rows = s.n if s.n % 2 else s.steps * s.batch
    state = {"started": True, "calls_before": 1, "pulled_before": -(-start // s.batch)} if s.declared else {}
    return made(s, (np.arange(rows) + start) % s.n, facts={"steps": -(-rows // s.batch)}, state=state)


def stateful_getitem(s: Setting) -> Case | None:
    if 2 * s.batch >= s.n:
        return None
    facts = {"workers": 1, "num_batches": s.steps, "stateful_getitem": s.declared}
    return made(s, (np.arange(s.n) + 2 * s.batch) % s.n, facts=facts)


def ahead(s: Setting) -> Case | None:
    """Two calls of one generator, which pulled further than it delivered."""
    first = max(1, s.steps // 3)
    extra = 1 + s.n % 3
    start = (first + extra) * s.batch
    if start >= s.n:
        return None
    second = -(-(s.n - first * s.batch) // s.batch)
    calls = (first * s.batch, s.n - first * s.batch)
    samples = np.concatenate([np.arange(calls[0]), (np.arange(calls[1]) + start) % s.n])
    sources: tuple[SourceState, ...] = ()
    if s.declared:
        sources = (
            SourceState("generator", "batches", pulled=first + extra, delivered=first, facts={"steps": first}),
            SourceState(
                "generator", "batches", started=True, calls_before=1, pulled_before=first + extra,
                pulled=second + 1, delivered=second, facts={"steps": second},
            ),
        )  # fmt: skip
    sizes = np.concatenate([sizes_of(rows, s.batch) for rows in calls])
    tags = np.concatenate([tags_of(sizes_of(rows, s.batch)) for rows in calls])
    return made(s, samples, sources=sources, calls=calls, sizes=sizes, tags=tags)


def leftover(s: Setting) -> Case | None:
    steps = max(1, s.steps // 3)
    start = steps * s.batch
    if start >= s.n or steps == s.n // s.batch:  # steps rounded down would be a second fault
        return None
    rows = min(start, s.n)
    facts = {"workers": 4, "steps": steps, "num_batches": s.steps}
    sizes = sizes_of(rows, s.batch)
    tags = tags_of(sizes) + (steps << ROW_BITS) if s.declared else np.full(rows, UNKNOWN)
    return made(s, (np.arange(rows) + start) % s.n, facts=facts, sizes=sizes, tags=tags)


# -- Too many rows ----------------------------------------------------------------------------------------------------


def wrapped(s: Setting) -> Case | None:
    rows = (s.n // s.batch + 1) * s.batch
    if rows >= 2 * s.n:
        return None
    facts = {"steps": rows // s.batch} if s.declared else {}
    return made(s, np.arange(rows) % s.n, facts=facts)


def padded(s: Setting) -> Case | None:
    extra = -s.n % s.batch
    if extra < 2 or s.batch > s.n:
        return None
    filler = 0 if s.n % 2 else s.n - 1
    return made(s, [*range(s.n), *[filler] * extra], certain=True)


def declared_dummies(s: Setting) -> Case | None:
    extra = -s.n % s.batch
    if not extra or not s.declared:
        return None
    padding = np.arange(s.n + extra) >= s.n
    return made(s, [*range(s.n), *[FOREIGN] * extra], padding=padding, certain=True)


def full_batches(s: Setting) -> Case | None:
    full = s.n - s.n % s.batch
    if full in (0, s.n):
        return None
    rows = s.steps * s.batch
    return made(s, np.arange(rows) % full, facts={"steps": s.steps} if s.declared else {}, certain=True)


def sampler(s: Setting) -> Case | None:
    for replicas in (2, 3, 4):
        extra = -s.n % (replicas * s.batch)
        if s.batch <= extra < s.n:
            facts = {"replicas": replicas} if s.declared else {}
            return made(s, np.arange(s.n + extra) % s.n, facts=facts)
    return None


def copied(s: Setting) -> Case | None:
    """Each worker reads a whole copy; batches arrive as soon as they are ready."""
    workers = 2 + s.n % 2
    if s.steps < 2 * workers:
        return None
    starts = np.repeat(np.arange(0, s.n, s.batch), workers)
    rows = [np.arange(start, min(start + s.batch, s.n)) for start in starts.tolist()]
    if s.n % 3:  # as many steps as there are batches
        rows = rows[: s.steps]
    facts = {"workers": workers, "use_multiprocessing": True} if s.declared else {}
    if s.declared and s.n % 3:
        facts["steps"] = s.steps
    return made(s, np.concatenate(rows), facts=facts, sizes=np.asarray([len(part) for part in rows]))


# -- Too few rows -----------------------------------------------------------------------------------------------------


def _tail_cut(s: Setting, **facts: Any) -> Case | None:
    full = s.n - s.n % s.batch
    return None if full in (0, s.n) else made(s, np.arange(full), facts=facts)


def floor_steps(s: Setting) -> Case | None:
    return _tail_cut(s, **({"steps": s.n // s.batch} if s.declared else {}))


def floor_len(s: Setting) -> Case | None:
    case = _tail_cut(s, workers=1, **({"num_batches": s.n // s.batch} if s.declared else {}))
    # A source of fewer samples has as many batches.
    return None if case is None else replace(case, certain=False)


def dropped(s: Setting) -> Case | None:
    return _tail_cut(s, **({"drop_remainder": True} if s.declared else {}))


def few_steps(s: Setting) -> Case | None:
    steps = s.n // s.batch // 2
    facts = {"steps": steps, "num_batches": s.steps}
    return made(s, np.arange(steps * s.batch), facts=facts) if steps and s.declared else None


def left_out(s: Setting) -> Case | None:
    """One sample in seven cannot be read, the first and the last one can."""
    kept = np.delete(np.arange(s.n), 1 + s.rng.choice(s.n - 2, max(1, s.n // 7), replace=False))
    lost = np.setdiff1d(np.arange(s.n), kept)
    if (np.diff(lost) == 1).all() and len(lost) % s.batch == 0:
        return None
    facts = {"leaves_out": "`filter`"} if s.declared else {}
    tags = tags_of(sizes_of(len(kept), s.batch)) if s.declared else np.full(len(kept), UNKNOWN)
    return made(s, kept, tags=tags, facts=facts)


# -- Another order ----------------------------------------------------------------------------------------------------


def raced_batches(s: Setting) -> Case | None:
    """Four workers inside the source: a batch may be overtaken by the three behind it."""
    if s.steps < 3:
        return None
    late = np.arange(s.steps) + s.rng.uniform(0, 4, s.steps)
    order = np.argsort(late, kind="stable")
    if (order == np.arange(s.steps)).all():
        order[[0, 1]] = order[[1, 0]]
    batches = [np.arange(start * s.batch, min((start + 1) * s.batch, s.n)) for start in order.tolist()]
    return made(s, np.concatenate(batches), sizes=np.asarray([len(part) for part in batches]), certain=False)


def unordered_queue(s: Setting) -> Case | None:
    """The same, behind the source: the tags come out of order as well."""
    case = raced_batches(s)
    if case is None or not s.declared:
        return None
    tags = (case.samples // s.batch << ROW_BITS) + case.samples % s.batch
    return made(s, case.samples, sizes=case.trace.batch_sizes, tags=tags)


def window(s: Setting) -> Case | None:
    """A shuffle buffer of a quarter of the rows, 1,000 at most."""
    size = min(1000, max(2, s.n // 4))
    buffer, order = list(range(size)), []
    picks = s.rng.integers(size, size=s.n).tolist()
    for sample in range(size, s.n):
        pick = picks[sample]
        order.append(buffer[pick])
        buffer[pick] = sample
    order += s.rng.permutation(buffer).tolist()
    if order == list(range(s.n)):
        return None
    return made(s, order, facts={"shuffle_buffer": size, "reshuffled_each_pass": False} if s.declared else {})


def _permuted(s: Setting) -> Ids:
    return s.rng.permutation(s.n)


def shuffled(s: Setting) -> Case | None:
    return made(s, _permuted(s), facts={"shuffle": True} if s.declared else {})


def shuffled_batches(s: Setting) -> Case | None:
    """The list of batches is shuffled, not the rows inside."""
    if s.steps < 12:
        return None
    batches = [np.arange(i * s.batch, min((i + 1) * s.batch, s.n)) for i in s.rng.permutation(s.steps).tolist()]
    facts = {"shuffle": True} if s.declared else {}
    return made(s, np.concatenate(batches), sizes=np.asarray([len(part) for part in batches]), facts=facts)


def reshuffled(s: Setting) -> Case | None:
    return made(s, _permuted(s), facts={"reshuffled_each_pass": True} if s.declared else {})


def sorted_as_text(s: Setting) -> Case | None:
    """Files ``1.png`` to ``n.png`` read in order of text, labels by number; or the other way round."""
    names = [f"{number + 1}.png" for number in range(s.n)]
    as_text = np.asarray(sorted(range(s.n), key=names.__getitem__))
    samples = as_text if s.n % 2 else np.argsort(as_text)
    keys = np.asarray(names)[np.arange(s.n) if s.n % 2 else as_text]
    plain = LabelTable(values=label_values(s.n), fingerprints=(np.arange(s.n) + 10).astype(np.uint64))
    labels = LabelTable(plain.values, keys if s.declared else None, plain.fingerprints)
    return made(s, samples, labels=labels)


def listed_by_class(s: Setting) -> Case | None:
    """One directory per class."""
    return None if s.declared else made(s, np.argsort(label_values(s.n), kind="stable"))


def stride(s: Setting) -> Case | None:
    shards = 2 + s.batch % 3
    if s.n < 3 * shards:
        return None
    parts = [np.arange(first, s.n, shards) for first in range(shards)]
    calls = tuple(len(part) for part in parts)
    sizes = np.concatenate([sizes_of(rows, s.batch) for rows in calls])
    tags = np.concatenate([tags_of(sizes_of(rows, s.batch)) for rows in calls])
    whole = {"calls": calls, "sizes": sizes, "tags": tags} if s.declared else {}
    return made(s, np.concatenate(parts), **whole)


# -- Rows paired with the wrong labels --------------------------------------------------------------------------------


def label_file(s: Setting) -> Case | None:
    """The file is shifted, or shuffled."""
    values = label_values(s.n)
    values = np.roll(values, 1) if s.n % 2 else s.rng.permutation(values)
    if (values == label_values(s.n)).all():
        return None
    prints = (np.arange(s.n) + 10).astype(np.uint64)
    labels = LabelTable(values=values, fingerprints=prints if s.declared else None)
    return made(s, np.arange(s.n), labels=labels, index=np.arange(s.n))


def unpaired(s: Setting) -> Case | None:
    """Inputs were shuffled, the targets beside them were not."""
    facts = {"shuffled_branches": 2, "reshuffled_each_pass": False} if s.declared else {}
    return made(s, _permuted(s), targets=label_values(s.n), facts=facts)


Maker = Callable[[Setting], Case | None]

# Maker → the cause that must come first, and the kinds of source that can have that fault.
SIGNATURES: dict[Maker, tuple[str, tuple[str, ...]]] = {
    used_generator: ("iterator not at its start", ("generator",)),
    stateful_getitem: ("`__getitem__` depends on more than its index", ("pydataset",)),
    ahead: ("source ahead of the first call: prefetch past `steps`", ("generator",)),
    leftover: ("leftover queue", ("pydataset",)),
    wrapped: ("stream wrapped", ("generator", "tf.data")),
    padded: ("padded to whole batches", ("generator", "pydataset", "tf.data", "arrays")),
    declared_dummies: ("padded to whole batches", ("generator", "pydataset")),
    full_batches: ("partial batch thrown away at each pass", ("generator",)),
    sampler: ("sampler padding across replicas", ("generator", "tf.data")),
    copied: ("source copied per worker", ("generator",)),
    floor_steps: ("`steps = N // batch_size`", ("generator",)),
    floor_len: ("`__len__` rounds down", ("pydataset",)),
    dropped: ("partial batch dropped", ("tf.data",)),
    few_steps: ("`steps` too small", ("generator", "tf.data")),
    left_out: ("samples left out by the source", ("generator", "pydataset", "tf.data")),
    raced_batches: ("parallel work inside the source", ("generator", "pydataset", "tf.data")),
    unordered_queue: ("unordered queue", ("generator", "pydataset")),
    window: ("shuffle buffer, or a parallel map", ("generator", "tf.data")),
    shuffled: ("`shuffle=True`", ("generator", "pydataset", "arrays")),
    shuffled_batches: ("`shuffle=True`", ("generator", "pydataset")),
    reshuffled: ("shuffled anew at each pass", ("tf.data",)),
    sorted_as_text: ("labels in another sort order", ("generator", "pydataset", "tf.data", "arrays")),
    listed_by_class: ("labels in another sort order", ("pydataset", "tf.data")),
    stride: ("stride of", ("generator", "tf.data")),
    label_file: ("label file in another order", ("generator", "pydataset", "tf.data", "arrays")),
    unpaired: ("labels in the stream belong to other rows", ("tf.data",)),
}


def cases(
    maker: Maker,
    sizes: Sequence[int] = SIZES,
    batches: Sequence[int] = BATCHES,
    declared: Sequence[bool] = (True, False),
) -> Iterator[Case]:
    """All cases of one fault."""
    for n in sizes:
        for batch in batches:
            for kind in SIGNATURES[maker][1]:
                for fact in declared:
                    case = maker(Setting(n, batch, kind, fact))
                    if case is not None:
                        yield case
