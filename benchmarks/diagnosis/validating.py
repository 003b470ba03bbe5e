"""Kinds in which the validations of one ``fit`` hold other samples from epoch to epoch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from benchmarks.diagnosis.data import WITH_REFERENCE, Data, Evaluation


def validated(d: Data, source: Any, **options: Any) -> Evaluation:
    """A ``fit`` whose epochs are validated on this source."""

    def call(model: Any) -> Any:
        return model.fit(d.x[:4], d.y[:4], epochs=2, validation_data=source, verbose=0, **options)

    return Evaluation(call, {}, model="trained", validates=True)


def of_targets(d: Data) -> Data:
    """The data as ``fit`` takes it: inputs and targets."""
    return replace(d.only(*WITH_REFERENCE), with_y=True)


def some_steps(d: Data) -> int:
    """A number of steps: more than the two that Keras 3 reads first and shows again, and no pass ends behind them."""
    d.needs(d.steps >= 12)
    return int(d.rng.integers(3, d.steps // 2))


def validation_left_in_a_queue(d: Data) -> Evaluation:
    """``workers=2`` and ``validation_steps``: a validation begins with what the last one left in the queue."""
    d = of_targets(d)
    return validated(d, d.pydataset(d.all, workers=2), validation_steps=some_steps(d))


def validation_of_one_generator(d: Data) -> Evaluation:
    """All epochs read on in one generator."""
    d = of_targets(d)
    return validated(d, d.endless(), validation_steps=some_steps(d))


def validation_part_of_a_shuffle(d: Data) -> Evaluation:
    """``shuffle(n).take(k)``: another part at each epoch."""
    d = of_targets(d)
    return validated(d, d.dataset().shuffle(d.n).take(d.n // 2).batch(d.batch))


def validation_shuffled(d: Data) -> Evaluation:
    """A PyDataset with ``shuffle=True`` of which each epoch takes some steps."""
    d = of_targets(d)
    made = d.pydataset(d.all)
    parts = d.cut(d.rng.permutation(d.n))
    made.shuffle = True

    def shuffle(self: Any) -> None:
        del self
        parts[:] = d.cut(d.rng.permutation(d.n))

    type(made).__getitem__ = lambda self, index: d.rows(parts[index])
    type(made).on_epoch_end = shuffle
    return validated(d, made, validation_steps=some_steps(d))


def validation_drawn(d: Data) -> Evaluation:
    """A PyDataset that draws the samples of each batch."""
    d = of_targets(d)
    made = d.pydataset(d.all)
    type(made).__getitem__ = lambda self, index: d.rows(d.rng.choice(d.n, d.batch))
    return validated(d, made)
