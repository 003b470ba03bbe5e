"""Kinds in which the rows are right and the labels are not, or keys do not meet."""

from __future__ import annotations

from contextlib import redirect_stdout
from dataclasses import replace
from functools import partial
from io import StringIO
from typing import Any

import numpy as np

from benchmarks.diagnosis.data import KEYED, WITH_REFERENCE, Data, Evaluation


def _in_stream(d: Data, y: Any, source: str = "") -> Evaluation:
    """The stream carries the targets ``d.y``; the labels are ``y``."""
    d = replace(d.only(*WITH_REFERENCE), with_y=True)
    return d.predicted(d.all, source or d.one_of("generator", "pydataset", "tf.data"), labels=d.labelled(y=y))


def shifted(d: Data) -> Evaluation:
    """Labels that begin some rows too early or too late, as those of windows."""
    k = int(d.rng.integers(1, max(2, min(12, d.n // 8))))
    longer = np.concatenate([d.y, d.rng.integers(0, d.y.max() + 1, k)])
    y = d.one_of(longer[k:], np.concatenate([longer[-k:], d.y[:-k]]))
    # The same values in another order are a label file that was rolled, too.
    d.needs(len(set(d.y.tolist())) > 2 and not np.array_equal(np.sort(y), np.sort(d.y)))
    made = _in_stream(d, y)
    if d.rng.integers(2):
        made.labels.pop("reference", None)
        made.labels.pop("labels_key", None)
    return made


def rows_shifted(d: Data) -> Evaluation:
    """Inputs that were cut at another row than the labels."""
    d = d.only("array", "list", "npy")
    k = int(d.rng.integers(1, d.n // 4))
    ids, cut = np.arange(d.n - k), d.one_of("inputs", "labels")
    if cut == "labels":
        return d.predicted(ids, "arrays", labels=d.labelled(ids + k))
    return d.predicted(ids + k, "arrays", labels=d.labelled(ids))


def codes_from_one(d: Data) -> Evaluation:
    """The label file numbers the classes from 1 on, the stream from 0."""
    d.needs(d.n >= 8 * (d.y.max() + 1) and len(set(d.y.tolist())) == d.y.max() + 1)
    return _in_stream(d, d.y + 1)


def encoder_fitted_again(d: Data) -> Evaluation:
    """Labels are numbered by the classes that occur in them."""
    gone = int(d.rng.integers(0, d.y.max()))
    y = d.y + (d.y >= gone)
    d = replace(d, y=y)
    d.needs(d.n >= 8 * (y.max() + 1) and len(set(y.tolist())) == y.max())
    return _in_stream(d, np.unique(y, return_inverse=True)[1])


def folder_lacks_a_class(d: Data) -> Evaluation:
    """The test folder has no image of one class, so the classes after it get other numbers than in training."""
    from keras.src.legacy.preprocessing.image import ImageDataGenerator
    from PIL import Image

    classes = ["ape", "bird", "cat", "dog", "eel", "fox"][: int(d.rng.integers(3, 7))]
    gone = int(d.rng.integers(len(classes) - 1))
    there = [name for number, name in enumerate(classes) if number != gone]
    for number in range(min(d.n, 40)):
        path = d.folder / "images" / there[number % len(there)] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixel = d.rng.integers(0, 256, (4, 1, 3)).astype(np.uint8)
        Image.fromarray(pixel).save(path)
    with redirect_stdout(StringIO()):  # it says how many it found
        made = ImageDataGenerator().flow_from_directory(
            d.folder / "images", target_size=(4, 1), batch_size=d.batch, class_mode="sparse", shuffle=False
        )
    return Evaluation(
        lambda model: model.predict(made, verbose=0),
        {"labels": made, "classes": classes},
        model="images",
    )


def keys_apart(d: Data) -> Evaluation:
    """Inputs are reordered, and the keys beside them are not."""
    order = d.rng.permutation(d.n)
    d.needs(not np.array_equal(order, d.all))
    return keyed_by(d, order)


def keyed_by(d: Data, order: Any) -> Evaluation:
    """The stream holds the keys in label order, beside inputs in this order; the reference is in label order."""
    d = d.only(KEYED)
    made = replace(d, x=d.x[order]).predicted(d.all, labels=d.labelled())
    return replace(made, options={**made.options, "reference": d.x})


def numbered_from_one(d: Data) -> Evaluation:
    """The row numbers of a database count from 1."""
    return numbered(d, 1)


def numbered(d: Data, first: int) -> Evaluation:
    """A PyDataset that states the label rows of each batch, counted from this number on."""
    d = replace(d.only("array", "list", "npy"), with_y=False)
    order = d.one_of(d.all, d.rng.permutation(d.n)) if first else d.all
    made, parts = d.pydataset(order), d.cut(order)
    type(made).sample_indices = lambda self, batch_index: parts[batch_index] + first
    given = d.labelled()
    if d.rng.integers(2):
        given.pop("reference")
    return Evaluation(lambda model: model.predict(made, verbose=0), given)


def older_version(d: Data) -> Evaluation:
    """Labels saved from an older version of the data: some keys went, others came."""
    d = d.only(KEYED)
    gone = np.sort(d.rng.choice(d.n, int(d.rng.integers(1, max(2, d.n // 8))), replace=False))
    kept = np.setdiff1d(d.all, gone)
    came = int(d.rng.integers(1, len(gone) + 2))
    older = (
        d.keys.max() + 1 + np.arange(came) if d.keys.dtype.kind == "i" else [f"old-{k:06d}.png" for k in range(came)]
    )
    keys = np.concatenate([d.keys[kept], older])
    y = np.concatenate([d.y[kept], np.zeros(came, np.int64)])
    # Both are in the order in which the samples were made: the old ones are not at the end.
    place = np.argsort(np.concatenate([kept, d.rng.uniform(0, d.n, came)]), kind="stable")
    given = {"labels": d.table(keys[place], y[place]), "labels_key": "id", "key": "id", "drop_key": True}
    return d.predicted(d.all, labels=given)


def older_order(d: Data) -> Evaluation:
    """The data was written to disk again, in another order; the labels are those of the old order."""
    order = d.rng.permutation(d.n)
    made = _in_stream(d, d.y[order], "tf.data")
    made.labels.pop("reference", None)
    made.labels.pop("labels_key", None)
    d.needs(len(set(d.y.tolist())) > 2)
    return made


def label_file_in_another_order(d: Data) -> Evaluation:
    """Inputs and reference are in one order, the file of labels is in another one."""
    d.needs(len(set(d.y.tolist())) > 2)
    return _in_stream(d, d.y[d.rng.permutation(d.n)])


def pairs_apart(d: Data) -> Evaluation:
    """Inputs and targets of the stream are shuffled separately."""
    d = replace(d.only(*WITH_REFERENCE), with_y=True)
    d.needs(len(set(d.y.tolist())) > 2)
    if d.rng.integers(2):

        def call(model: Any) -> Any:
            import tensorflow as tf

            numbers = tf.data.Dataset.range(d.n).shuffle(d.n)
            x, y = (numbers.map(partial(tf.gather, tf.constant(part))) for part in (d.x, d.y))
            return model.predict(tf.data.Dataset.zip((x, y)).batch(d.batch), verbose=0)

        return Evaluation(call, d.labelled())
    order = d.rng.permutation(d.n)
    apart = replace(d, x=d.x[order])
    return replace(d.predicted(d.all), call=apart.predicting(d.all, d.one_of("generator", "pydataset")))


def index_of_other_rows(d: Data) -> Evaluation:
    """A frame and a series that were shuffled apart."""
    import pandas as pd

    d = d.only("series")
    order = d.rng.permutation(d.n)
    frame = pd.DataFrame(d.x, index=d.keys).iloc[order]
    given = {"labels": pd.Series(d.y, index=d.keys)}
    return Evaluation(lambda model: model.predict(frame, batch_size=d.batch, verbose=0), given)


# -- Keys that differ -------------------------------------------------------------------------------------------------


def _other_keys(d: Data, ours: Any, theirs: Any) -> Evaluation:
    d = replace(d.only(KEYED), keys=np.asarray(ours))
    return d.predicted(d.all, labels=d.labelled(keys=np.asarray(theirs)))


def keys_with_a_prefix(d: Data) -> Evaluation:
    """One side has a folder, or a word, before each name."""
    names = [f"img_{number}.png" for number in d.rng.permutation(d.n).tolist()]
    more = [d.one_of("data/test/", "s3://bucket/", "test-") + name for name in names]
    more = [more[0].removesuffix(names[0]) + name for name in names]
    return _other_keys(d, *d.one_of((names, more), (more, names)))


def keys_with_a_suffix(d: Data) -> Evaluation:
    """One side has the ending of the files."""
    names = [f"scan{number}" for number in d.rng.permutation(d.n).tolist()]
    ending = d.one_of(".png", "_0", "-v2.jpg")
    more = [name + ending for name in names]
    return _other_keys(d, *d.one_of((names, more), (more, names)))


def keys_with_zeros(d: Data) -> Evaluation:
    """One side has numbers with zeros before them; some are long enough without."""
    numbers = d.rng.permutation(d.n).tolist()
    width = int(d.rng.integers(3, 7))
    short, long = [f"p{number}" for number in numbers], [f"p{number:0{width}d}" for number in numbers]
    return _other_keys(d, *d.one_of((short, long), (long, short)))


def keys_in_another_case(d: Data) -> Evaluation:
    """One side is in capitals."""
    names = [f"img_{number}.Png" for number in d.rng.permutation(d.n).tolist()]
    return _other_keys(d, names, [d.one_of(name.upper, name.upper)() for name in names])


def keys_of_another_type(d: Data) -> Evaluation:
    """One side has gone through a table with a missing value, which made numbers floats: ``12.0``."""
    numbers = d.rng.permutation(d.n) + 1
    as_floats = [f"{number}.0" for number in numbers.tolist()]
    as_text = [str(number) for number in numbers.tolist()]
    return _other_keys(d, *d.one_of((as_text, as_floats), (as_floats, as_text)))
