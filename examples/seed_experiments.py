"""The order in which Keras takes samples from a generator, experiment by experiment, through the guard.

The model returns its input, so a prediction names its sample: 0 to 9. g(b) is an
endless generator over them that collects samples into batches of b in a list
that survives the end of a pass; h(b) clears that list at each pass. All of it
runs on Keras 3 and on tf_keras; "-" stands where one has no such thing.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from functools import cache, partial
from typing import Any, Literal

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

import keras
import numpy as np
import tf_keras

import evalguard

N = 10
PRIME = 13
ENGINES = {"keras": keras, "tf_keras": tf_keras}


# -- Sources ----------------------------------------------------------------------------------------------------------


def column(samples: Iterable[int]) -> Any:
    """Inputs of some samples: their own numbers, float32, shape ``(n, 1)``."""
    return np.array([*samples], dtype="float32")[:, None]


def g(size: int) -> Iterator[Any]:
    """Endless; what is left of a pass is filled up from the next one."""
    batch: list[int] = []
    while True:
        for sample in range(N):
            batch.append(sample)
            if len(batch) == size:
                yield (column(batch),)
                batch = []


def h(size: int) -> Iterator[Any]:
    """Endless; what is left of a pass is thrown away."""
    while True:
        batch: list[int] = []
        for sample in range(N):
            batch.append(sample)
            if len(batch) == size:
                yield (column(batch),)
                batch = []


def slow_g(size: int) -> Iterator[Any]:
    """``g`` as slow as a real loader, so that each of several workers gets a share."""
    for batch in g(size):
        time.sleep(0.1)
        yield batch


def with_targets(size: int) -> Iterator[Any]:
    """One pass, each sample with its target."""
    for start in range(0, N, size):
        samples = range(start, min(start + size, N))
        yield column(samples), column(samples)


def padded(n: int, size: int) -> Iterator[Any]:
    """One pass over ``n`` samples, and copies of the first one up to a multiple of the batch."""
    samples = [*range(n), *[0] * (-n % size)]
    for start in range(0, len(samples), size):
        yield (column(samples[start : start + size]),)


def by_threads(*, targets: bool) -> Iterator[Any]:
    """One pass; two threads load samples, and each is taken as it is ready. Every other one takes longer."""

    def load(sample: int) -> int:
        time.sleep(0.05 * (sample % 2 == 0))
        return sample

    with ThreadPoolExecutor(2) as pool:
        for start in range(0, N, 5):
            jobs = [pool.submit(load, sample) for sample in range(start, start + 5)]
            samples = [job.result() for job in as_completed(jobs)]
            yield (column(samples), column(samples)) if targets else (column(samples),)


class Numbered(tf_keras.utils.Sequence):
    """Asked for batches by number, so any worker may answer."""

    def __len__(self) -> int:
        return -(-N // 3)

    def __getitem__(self, index: int) -> Any:
        return (column(range(3 * index, min(3 * index + 3, N))),)


# -- What came out ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Seen:
    """What a guarded call gave.

    Attributes:
        rows: Sample of each row delivered.
        verdict: What the guard says; ``refused`` where Keras refused the call.
        why: The likely cause, and what else is worth knowing.
        counts: Those of the report's counts that are not zero.
    """

    rows: tuple[int, ...]
    verdict: str
    why: str
    counts: Mapping[str, int] = field(default_factory=dict)


def in_short(report: Any) -> str:
    """Cause, padding and hazards in a few words."""
    notes = [cause.cause for cause in report.diagnosis[:1]]
    if report.counts["padding"]:
        notes.append(f"{report.counts['padding']} rows of padding")
    notes += [f"hazard: {hazard.partition(':')[0]}" for hazard in report.hazards]
    return "; ".join(notes)


# -- The experiments --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Experiment:
    """One or two calls with one kind of source, and the guard's verdict.

    Attributes:
        name: For the table.
        source: Makes what is predicted.
        verdicts: By engine, what each call must come to; an engine that has
            no such thing is left out.
        steps: Number of batches asked for.
        options: Options of the call, on tf_keras.
        method: The model's.
        labels: Labels of each call.
        padding: Option of the guard.
        shared: The second call gets the source of the first.
    """

    name: str
    source: Callable[[], Any]
    verdicts: Mapping[str, tuple[str, ...]]
    steps: int
    options: Mapping[str, Any] = field(default_factory=dict)
    method: str = "predict"
    labels: Sequence[int] = range(N)
    padding: Literal["forbid", "trim"] = "forbid"
    shared: bool = False

    def run(self, engine: str) -> list[Seen]:
        """Make the calls."""
        model, source = identity(engine), self.source()
        arguments = {"steps": self.steps, **(self.options if engine == "tf_keras" else {})}
        if "generator" not in self.method:
            arguments["verbose"] = 0
        seen = []
        for number in range(len(self.verdicts[engine])):
            given = source if self.shared or number == 0 else self.source()
            seen.append(self.guarded(model, given, arguments))
        return seen

    def guarded(self, model: Any, source: Any, arguments: Mapping[str, Any]) -> Seen:
        """Make one call under a guard that knows the inputs in label order."""
        guard = evalguard.guard(
            labels=np.array(self.labels),
            reference=column(self.labels),
            padding=self.padding,
            on_failure="record",
            mlflow=False,
        )
        try:
            with guard:
                result = getattr(model, self.method)(source, **arguments)
        except ValueError as refusal:
            return Seen((), "refused", str(refusal).partition(". ")[0])
        # `evaluate` returns metrics: only the guard knows which samples they are of.
        report = guard.report
        rows = result[:, 0] if report.method == "predict" else np.asarray(guard.index)
        counts = {name: count for name, count in report.counts.items() if count}
        return Seen(tuple(int(row) for row in rows), report.verdict.value, in_short(report), counts)


@cache
def identity(engine: str) -> Any:
    """A model that returns its input."""
    keras_like = ENGINES[engine]
    x = keras_like.Input((1,))
    model = keras_like.Model(x, keras_like.layers.Activation("linear")(x))
    model.compile(loss="mse")
    return model


def both(*verdicts: str) -> dict[str, tuple[str, ...]]:
    """The same on both engines."""
    return dict.fromkeys(ENGINES, verdicts)


def tf_only(*verdicts: str) -> dict[str, tuple[str, ...]]:
    """Keras 3 has no such thing."""
    return {"tf_keras": verdicts}


QUEUE = "max_queue_size"
TWICE = (*range(N), *range(4))
FEW = range(3)
PROCESSES = {"workers": 4, "use_multiprocessing": True}
NO_QUEUE = {"keras": ("PASS", "FAIL"), "tf_keras": ("refused", "refused")}
SEVENS, THREES = partial(g, 7), partial(g, 3)
THREADS = partial(by_threads, targets=False)
PAIRS, PAIRS_BY_THREADS = partial(with_targets, 3), partial(by_threads, targets=True)

EXPERIMENTS = (
    Experiment("g(7), queue 10", SEVENS, both("FAIL"), 2),
    Experiment("g(7), queue 10, padding='trim'", SEVENS, both("PASS"), 2, padding="trim"),
    Experiment("g(7), queue 10, 14 labels", SEVENS, both("PASS"), 2, labels=TWICE),
    Experiment("g(7), queue 1", SEVENS, tf_only("FAIL"), 2, {QUEUE: 1}),
    Experiment("g(7), queue 1, padding='trim'", SEVENS, tf_only("PASS"), 2, {QUEUE: 1}, padding="trim"),
    Experiment("g(7), queue 1, 14 labels", SEVENS, tf_only("PASS"), 2, {QUEUE: 1}, labels=TWICE),
    Experiment("threads inside, labels outside", THREADS, both("FAIL"), 2),
    Experiment("threads that give x and y", PAIRS_BY_THREADS, both("PASS"), 2, method="evaluate"),
    Experiment("two calls, a new g(3) each", THREES, both("PASS", "PASS"), 1, labels=FEW),
    Experiment("two calls, one g(3), queue 0", THREES, NO_QUEUE, 1, {QUEUE: 0}, labels=FEW, shared=True),
    Experiment("two calls, one g(3), queue 5", THREES, tf_only("PASS", "FAIL"), 1, {QUEUE: 5}, labels=FEW, shared=True),
    Experiment("h(7)", partial(h, 7), both("FAIL"), 2),
    Experiment("padded to batches of 4", partial(padded, N, 4), both("PASS"), 3, padding="trim"),
    Experiment(
        "padded, a prime number", partial(padded, PRIME, 4), both("PASS"), 4, labels=range(PRIME), padding="trim"
    ),
    Experiment("predict_generator, queue 5", PAIRS, tf_only("PASS"), 4, {QUEUE: 5}, method="predict_generator"),
    Experiment("evaluate_generator, queue 5", PAIRS, tf_only("PASS"), 4, {QUEUE: 5}, method="evaluate_generator"),
    Experiment("four processes, a Sequence", Numbered, tf_only("PASS"), 4, PROCESSES),
    Experiment("four processes, a generator", partial(slow_g, 3), tf_only("FAIL"), 4, PROCESSES),
)


# -- The table --------------------------------------------------------------------------------------------------------


def main() -> int:
    """Run the experiments and print the table.

    Returns:
        0 if every verdict is the one expected, else 1.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=[*ENGINES], help="one engine only; by default both")
    parser.add_argument("--json", action="store_true", help="one JSON object a line instead of the table")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", r".*_generator` is deprecated", UserWarning)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # one model for batches of all sizes: it is traced often
    show = print_json if arguments.json else print_line
    if not arguments.json:
        print(f"{'experiment':<30} {'engine':<9} {'rows delivered':<22} {'verdict':<9} cause")
    wrong = 0
    for experiment in EXPERIMENTS:
        for engine in [arguments.engine] if arguments.engine else ENGINES:
            expected = experiment.verdicts.get(engine, ())
            seen = experiment.run(engine) if expected else []
            show(experiment, engine, seen)
            wrong += tuple(call.verdict for call in seen) != expected
    if not arguments.json:
        print(f"\n{'every verdict as expected' if not wrong else f'{wrong} experiments did not come out as expected'}")
    return 1 if wrong else 0


def print_line(experiment: Experiment, engine: str, seen: list[Seen]) -> None:
    """One line a call."""
    for number, call in enumerate(seen or [Seen((), "-", "")]):
        name = experiment.name if number == 0 else "  second call"
        print(f"{name:<30} {engine:<9} {spans(call.rows):<22} {call.verdict:<9} {call.why}".rstrip(), flush=True)


def print_json(experiment: Experiment, engine: str, seen: list[Seen]) -> None:
    """One line an experiment."""
    calls = [asdict(call) for call in seen]
    print(json.dumps({"experiment": experiment.name, "engine": engine, "calls": calls}), flush=True)


def spans(rows: Sequence[int]) -> str:
    """``0..9 0..3``; samples that do not go up by one stand alone."""
    found: list[list[int]] = []
    for row in rows:
        if found and row == found[-1][-1] + 1:
            found[-1].append(row)
        else:
            found.append([row])
    return " ".join(str(span[0]) if len(span) == 1 else f"{span[0]}..{span[-1]}" for span in found) or "-"


if __name__ == "__main__":
    sys.exit(main())
