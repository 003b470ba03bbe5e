"""Random evaluation programs: what one consists of, and the script that it is.

A program is data that fits on one line of JSON. ``script`` writes it as Python
that runs alone, and the laws run that same text, so what is printed of a
failure is what failed. Nothing in here asks evalguard what is right: that
follows from how the program is written, see ``oracle``.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

Rows = tuple[int, ...]
Parts = tuple[Rows, ...]

# Outputs that name their sample: the oracle reads which rows came out. `noisy` adds less than 1 to whole numbers.
NAMING = frozenset({"echo", "two_outputs", "reversing", "put_back", "chunks", "inner_reverse", "noisy"})
LOOPS = {"predict_on_batch": "rows", "test_on_batch": "metrics", "call": "rows"}
METRICS = frozenset({"evaluate", "test_on_batch"})
KEYS = frozenset({"key", "key_function", "key_padded"})
# What is scored holds the same values, of every output or of the first one. The others are other values, most often.
LOSSLESS = frozenset({"same", "float64", "float16", "axes", "list", "frame", "first"})


@dataclass(frozen=True)
class Call:
    """One call of the model, or one loop over single batches.

    Attributes:
        method: ``predict``, ``evaluate``, ``predict_on_batch``, ``test_on_batch`` or ``call``.
        source: What is passed as ``x``, see ``SOURCES``.
        parts: The samples of each batch, as the source emits them; a number from ``n`` on is no labelled sample.
        lie: How ``parts`` came about; for statistics only.
        y: What the stream holds beside ``x``: ``none``, ``same`` (the sample's own target), ``encoded`` (another
            encoding of it), ``placeholder``, ``label_order`` (the labels in order, whatever ``x`` is), ``late`` (that
            of the sample after it, as of windows in a series).
        weights: Sample weights beside ``y``, where the model scores: ``none``, ``right``, ``moved`` (those of the next
            sample).
        scale: Inputs are multiplied by it on their way into the stream.
        dtype: dtype of the inputs in the stream.
        reused: How many arrays the source fills in turn, also with keys and targets; 0: each batch is new.
        moving: The array of stated indices is overwritten after it was returned.
        again: The source object of the call before is passed again.
        steps: Only so many batches of an array are asked for; 0: all.
        slow: Milliseconds that each batch of the source takes.
        thread: The call is made in another thread, and waited for.
        model: Number of the model: of several, the second one has no guard that is of one model.
        named: Label rows that ``part`` names for the call.
        delay: Milliseconds that its thread waits before it, where calls run freely.
        fed: The samples that a loop that is given its labels predicts at each step, instead of those that it got; an
            empty step predicts nothing. Empty: what it got.
        stops: Number of the batch with which such a loop breaks; 0: it does not.
    """

    method: str = "predict"
    source: str = "generator"
    parts: Parts = ()
    lie: str = "none"
    y: str = "none"
    weights: str = "none"
    scale: int = 1
    dtype: str = "float32"
    reused: int = 0
    moving: bool = False
    again: bool = False
    steps: int = 0
    slow: int = 0
    thread: bool = False
    model: int = 0
    named: Rows = ()
    delay: int = 0
    fed: Parts = ()
    stops: int = 0


@dataclass(frozen=True)
class Confirm:
    """What is scored after the calls of an entry.

    Attributes:
        of: Calls, by number in the entry, whose rows are joined in this order; empty: in the order in which they ended.
        take: Which of these rows are scored, in this order, counted round; empty: all as they are.
        form: ``same``, ``float64``, ``float16``, ``axes`` (more of length one), ``list`` (of one output), ``frame``;
            of several outputs the ``first``, or all, one of them in another order (``apart``); other values:
            ``doubled``, ``rounded``, ``argmax``.
        y_true: ``none``, ``right``, ``reversed``, ``shifted``, ``encoded`` (another encoding), ``short``.
        weights: ``none``, ``right``, ``reversed``, ``shifted``, ``scaled``, ``short``.
        where: ``inside`` the block, ``after`` it, or ``returned`` by the decorated function.
        put_back: The rows are those of ``put_back``, which gets the calls in this order.
    """

    of: Rows = (0,)
    take: Rows = ()
    form: str = "same"
    y_true: str = "none"
    weights: str = "none"
    where: str = "inside"
    put_back: bool = False


@dataclass(frozen=True)
class Program:
    """A whole evaluation.

    Attributes:
        engine: ``keras`` or ``tf_keras``.
        n: Labelled samples.
        batch: Rows in a batch.
        values: ``distinct``; ``twins``: samples 2k and 2k+1 have equal inputs; ``blank``: every third sample is zero;
            ``close``: float64, and nearly all are equal in float32.
        targets: ``classes`` (three) or ``numbers`` (all different).
        labels: Where the labels come from: ``given``, ``late``, ``file``, ``collected``, ``iterator``; a loop that is
            given them: ``loop``, by ``g.collecting``, or ``batches``, by ``evalguard.collecting``.
        weighted: The labels have sample weights.
        identity: ``none``, ``reference``, ``reference_function``, ``collected``, ``key``, ``key_function``,
            ``key_padded`` (keys that match nothing), ``index``, ``pandas`` (an index of frames and of labels).
        index: That of the labels, where ``x`` has one that names its samples: ``same``, ``offset`` (each name is the
            next sample's), ``times`` (another time of the same sample), ``next_time`` (that of the next one),
            ``default``, ``partly`` (some other names), ``text`` (the same in another type).
        classes: Class labels: ``named`` (as text, with the names in order), ``permuted`` (in another order than the
            stream has), ``sorted`` (text alone, whose order is that of the numbers), ``unsorted`` (text alone, whose
            order is not), ``from_one`` (numbers that begin at 1 beside names), ``longer`` (the names have one more),
            ``missing`` (they lack one), ``renamed`` (they have another one instead); empty: numbers.
        reused_buffer: What is read once, labels or reference, comes in one array that is overwritten each time.
        model: See ``MODELS``.
        on_failure: ``record`` or ``repair``.
        scope: ``call``, ``session`` or ``parts``.
        require: Weakest proof that is a PASS.
        used_as: ``with``, ``decorator``, ``wrap``, ``nested``.
        images: The source is an iterator over a folder of images in two classes; nothing but ``predict`` is called.
        together: The calls of an entry run at the same time (``asyncio.gather``).
        entries: The calls of each entry into the guard.
        pool: The calls of an entry run freely in threads; the guard is of their model.
        confirms: What is scored in each entry; empty: nothing is confirmed.
    """

    engine: str = "keras"
    n: int = 12
    batch: int = 4
    values: str = "distinct"
    targets: str = "classes"
    labels: str = "given"
    weighted: bool = False
    identity: str = "none"
    index: str = ""
    classes: str = ""
    reused_buffer: bool = False
    model: str = "echo"
    on_failure: str = "record"
    scope: str = "call"
    require: str = "declared"
    used_as: str = "with"
    images: bool = False
    together: bool = False
    entries: tuple[tuple[Call, ...], ...] = field(default=((),))
    pool: bool = False
    confirms: tuple[tuple[Confirm, ...], ...] = ()

    @property
    def lacking(self) -> tuple[str, ...]:
        """The names of classes that the guard is given, where the labels have a name that is none of them."""
        return {"missing": ("a", "b"), "renamed": ("a", "b", "C")}.get(self.classes, ())

    @property
    def calls(self) -> tuple[Call, ...]:
        """All calls, in the order made."""
        return tuple(call for entry in self.entries for call in entry)

    def confirms_of(self, entry: int) -> tuple[Confirm, ...]:
        """What is scored in an entry."""
        return self.confirms[entry] if self.confirms else ()

    @property
    def keyed(self) -> bool:
        """Whether ``x`` is a dict that holds a key beside the inputs."""
        return self.identity in KEYS and not self.images

    @property
    def loops(self) -> bool:
        """Whether the calls are loops that are given their labels."""
        return self.labels in {"loop", "batches"}

    @property
    def has_twins(self) -> bool:
        """Whether some samples have equal inputs."""
        return self.values in {"twins", "blank"}

    @property
    def dtype(self) -> str:
        """dtype of the inputs, and of the model."""
        return "float64" if self.values == "close" else "float32"

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> Program:
        """The program of such a line."""
        found = json.loads(line)
        entries = tuple(
            tuple(
                Call(
                    **{
                        **call,
                        "parts": tuple(map(tuple, call["parts"])),
                        "fed": tuple(map(tuple, call.get("fed", ()))),
                        "named": tuple(call.get("named", ())),
                    }
                )
                for call in entry
            )
            for entry in found["entries"]
        )
        confirms = tuple(
            tuple(Confirm(**{**each, "of": tuple(each["of"]), "take": tuple(each["take"])}) for each in entry)
            for entry in found.get("confirms", ())
        )
        return cls(**{**found, "entries": entries, "confirms": confirms})


def targets_of(program: Program, call: Call) -> Parts:
    """The samples whose targets the stream holds beside each batch."""
    if call.y == "late":
        return tuple(tuple(sample + 1 for sample in rows) for rows in call.parts)
    if call.y != "label_order":
        return call.parts
    at, found = 0, []
    for rows in call.parts:
        found.append(tuple((at + place) % program.n for place in range(len(rows))))
        at += len(rows)
    return tuple(found)
