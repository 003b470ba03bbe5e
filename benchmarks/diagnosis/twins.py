"""For each kind of fault its twin: the same evaluation with the fix applied, and the words of the fix that say so.

``WITHOUT`` has the kinds and causes that have none, with the reason.

Longer than 300 lines because there is one for each kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmarks.diagnosis import counting, labelling, moving, negatives, ordering, validating
from benchmarks.diagnosis.data import KEYED, WITH_REFERENCE, Data, Evaluation

Maker = Callable[[Data], Evaluation]


@dataclass(frozen=True, slots=True)
class Twin:
    """An evaluation without the fault.

    Attributes:
        mended: Makes it of random data.
        words: The proposed fix holds one of these: they name what ``mended`` does differently.
    """

    mended: Maker
    words: tuple[str, ...]


# -- The source -------------------------------------------------------------------------------------------------------


def _new_generator(d: Data) -> Evaluation:
    return d.predicted(d.all, "generator")


def _by_index(d: Data) -> Evaluation:
    return d.predicted(d.all, "pydataset")


def _whole_dataset(d: Data) -> Evaluation:
    return d.predicted(d.all, "tf.data")


def _copies(d: Data) -> Evaluation:
    d = d.only(*WITH_REFERENCE)
    buffer = np.zeros((d.batch, *d.x.shape[1:]), d.x.dtype)

    def batches() -> Iterator[Any]:
        for ids in d.cut(d.all):
            part = buffer[: len(ids)]
            part[:] = d.x[ids]
            yield (part.copy(),)

    return Evaluation(lambda model: model.predict(batches(), steps=d.steps, verbose=0), d.labelled())


def _all_steps(d: Data) -> Evaluation:
    return Evaluation(lambda model: model.predict(d.endless(), steps=d.steps, verbose=0), d.labelled())


def _each_its_part(d: Data) -> Evaluation:
    def call(model: Any) -> Any:
        import tensorflow as tf

        base = d.dataset()
        rows = tf.data.Dataset.range(2).interleave(lambda reader: base.shard(2, reader), cycle_length=2, block_length=1)
        return model.predict(rows.batch(d.batch), verbose=0)

    return Evaluation(call, d.labelled())


def _same_batch_goes_on(d: Data) -> Evaluation:
    def batches() -> Iterator[Any]:
        at = 0
        while True:
            yield d.rows(np.arange(at, min(at + d.batch, d.n)))
            at = (at + d.batch) if at + d.batch < d.n else 0

    return Evaluation(lambda model: model.predict(batches(), steps=d.steps, verbose=0), d.labelled())


def _trimmed(d: Data) -> Evaluation:
    extra = -d.n % d.batch
    made = d.predicted([*range(d.n), *range(extra)], "generator")
    return replace(made, options={**made.options, "padding": "trim"})


def _bad_sample_only(d: Data) -> Evaluation:
    d = replace(d.only(*WITH_REFERENCE), with_y=False)
    bad = d.n // 2
    kept = np.delete(d.all, bad)

    def call(model: Any) -> Any:
        import tensorflow as tf

        def load(number: Any, row: Any) -> Any:
            tf.debugging.assert_none_equal(number, tf.constant(bad, tf.int64))
            return tf.identity(row)

        rows = tf.data.Dataset.zip((tf.data.Dataset.range(d.n), d.dataset())).map(load)
        return model.predict(rows.ignore_errors().batch(d.batch), verbose=0)

    return Evaluation(call, d.labelled(kept))


def _labels_of_the_rest(d: Data) -> Evaluation:
    kept = np.delete(d.all, d.n // 2)
    return d.predicted(kept, labels=d.labelled(kept))


def _labels_of_the_part(d: Data) -> Evaluation:
    part = np.arange(d.n // 4, d.n - 3)
    return d.predicted(part, labels=d.labelled(part))


def _resumed_behind_what_is_done(d: Data) -> Evaluation:
    d = d.only(*WITH_REFERENCE)
    done = d.batch * (d.n // d.batch // 2)

    def call(model: Any) -> Any:
        parts = d.cut(np.arange(done)) + d.cut(np.arange(done, d.n))
        return np.concatenate([model.predict(d.x[ids], verbose=0) for ids in parts])

    return Evaluation(call, d.labelled(), {"scope": "session"})


def _windows_with_their_labels(d: Data) -> Evaluation:
    return counting.windows(d, lambda number: d.y[:number])


def _gathered_and_cut(d: Data) -> Evaluation:
    return replace(counting.sampler_padding(d), options={"padding": "trim"})


def _an_empty_list(d: Data) -> Evaluation:
    return d.only(*WITH_REFERENCE).predicted(d.all, "loop")


# -- The order --------------------------------------------------------------------------------------------------------


def _not_shuffled_images(d: Data) -> Evaluation:
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    pixels = np.repeat(d.x.astype("float32")[:, :, None, None], 3, axis=3)
    d.needs(len(np.unique(pixels, axis=0)) == d.n)
    made = ImageDataGenerator().flow(pixels, d.y, batch_size=d.batch, shuffle=False)
    return Evaluation(
        lambda model: model.predict(made, verbose=0), {"labels": d.y, "reference": pixels}, model="images"
    )


def _labels_in_its_order(d: Data) -> Evaluation:
    order = d.rng.permutation(d.n)
    return d.predicted(order, labels=d.labelled(order))


def _in_order_of_submission(d: Data) -> Evaluation:
    def batches() -> Iterator[Any]:
        with ThreadPoolExecutor(2) as pool:
            yield from pool.map(d.rows, d.cut(d.all))

    return Evaluation(lambda model: model.predict(batches(), steps=d.steps, verbose=0), d.labelled())


def _one_file_after_the_other(d: Data) -> Evaluation:
    bounds = np.linspace(0, d.n, 4).astype(int)

    def call(model: Any) -> Any:
        import tensorflow as tf

        base, ends = d.dataset(), tf.constant(bounds, tf.int64)
        files = tf.data.Dataset.range(3)
        rows = files.flat_map(lambda number: base.skip(ends[number]).take(ends[number + 1] - ends[number]))
        return model.predict(rows.batch(d.batch), verbose=0)

    return Evaluation(call, d.labelled())


def _put_back(d: Data, parts: list[Any]) -> Evaluation:
    """Parts that are predicted one by one, each row at its own place in what is scored."""
    d = d.only(*WITH_REFERENCE)

    def call(model: Any) -> Any:
        found = [model.predict(d.x[part], batch_size=d.batch, verbose=0) for part in parts]
        whole = np.empty_like(np.concatenate(found))
        for part, rows in zip(parts, found, strict=True):
            whole[part] = rows
        return whole

    return Evaluation(call, d.labelled(), {"scope": "parts"}, confirmed=True)


def _shards_put_back(d: Data) -> Evaluation:
    return _put_back(d, [np.arange(rank, d.n, 3) for rank in range(3)])


def _folds_put_back(d: Data) -> Evaluation:
    return _put_back(d, np.array_split(d.rng.permutation(d.n), 4))


def _back_in_place(d: Data) -> Evaluation:
    rows = np.concatenate([np.delete(d.all, [3, 7]), [3, 7]])
    return d.predicted(np.sort(rows))


def _own_labels(d: Data) -> Evaluation:
    d = d.only(KEYED)
    made = d.predicted(d.all, d.one_of("generator", "tf.data"), labels=d.labelled(d.rng.permutation(d.n)))
    return replace(made, options={"on_failure": "repair"})


def _parts_in_order(d: Data) -> Evaluation:
    d = d.only(*WITH_REFERENCE)
    parts = np.array_split(d.all, 5)

    def call(model: Any) -> Any:
        with ThreadPoolExecutor(2) as pool:
            return np.concatenate(list(pool.map(lambda part: model.predict_on_batch(d.x[part]), parts)))

    return Evaluation(call, d.labelled(), {"scope": "parts", "model": "given"}, confirmed=True)


def _left_as_returned(d: Data) -> Evaluation:
    made = d.only(*WITH_REFERENCE).predicted(d.all, "arrays")
    return replace(made, confirmed=True)


# -- The labels -------------------------------------------------------------------------------------------------------


def _its_own_labels(d: Data) -> Evaluation:
    d = replace(d.only(*WITH_REFERENCE), with_y=True)
    return d.predicted(d.all, d.one_of("generator", "pydataset", "tf.data"))


def _joined_by_key(d: Data) -> Evaluation:
    d = d.only(KEYED)
    return d.predicted(d.all, d.one_of("generator", "pydataset", "tf.data"))


def _numbered_from_zero(d: Data) -> Evaluation:
    return labelling.numbered(d, 0)


def _keys_with_their_rows(d: Data) -> Evaluation:
    return labelling.keyed_by(d, d.all)


def _collected(d: Data) -> Evaluation:
    import evalguard

    d = replace(d.only(*WITH_REFERENCE), with_y=True)
    made = d.dataset(d.rng.permutation(d.n)).batch(d.batch)
    return Evaluation(lambda model: model.predict(made, verbose=0), {"labels": evalguard.Labels.collect(made)})


def _one_slice(d: Data) -> Evaluation:
    d = d.only("array", "list", "npy")
    ids = np.arange(3, d.n)
    return d.predicted(ids, "arrays", labels=d.labelled(ids))


def _one_index(d: Data) -> Evaluation:
    import pandas as pd

    frame = pd.DataFrame(d.x, index=d.keys)
    labels = pd.Series(d.y, index=d.keys).iloc[d.rng.permutation(d.n)]
    return Evaluation(
        lambda model: model.predict(frame.loc[labels.index], batch_size=d.batch, verbose=0), {"labels": labels}
    )


def _names_of_training(d: Data) -> Evaluation:
    words = np.asarray(["ape", "bird", "cat", "dog", "eel", "fox", "gnu", "hen", "ibis", "jay"])
    d = replace(d.only("array"), with_y=True)
    given = {**d.labelled(), "labels": words[d.y], "classes": words[: max(3, d.y.max() + 1)].tolist()}
    d.needs(d.y.max() == 2)  # as many names as the model has outputs
    return d.predicted(d.all, d.one_of("generator", "tf.data"), labels=given)


# -- Behind the source ------------------------------------------------------------------------------------------------


def _asked_by_one(d: Data) -> Evaluation:
    return moving.asked_by(d, 1)


def _computed_row_by_row(d: Data) -> Evaluation:
    return moving.verified(d)


def _returned_as_computed(d: Data) -> Evaluation:
    return moving.overriding(d, "returns as computed")


def _names_with_zeros(d: Data) -> Evaluation:
    return moving.saved(d, "part_{:03}.npy")


def _parts_predicted_in_order(d: Data) -> Evaluation:
    return moving.predicted_by_part(d, np.arange(4))


def _both_in_label_order(d: Data) -> Evaluation:
    return moving.two_members(d, d.all)


def _scored_with_its_labels(d: Data) -> Evaluation:
    return moving.scored_with(d, d.y)


def _reference_in_label_order(d: Data) -> Evaluation:
    return moving.referred(d, d.all)


# -- The validations of a fit -----------------------------------------------------------------------------------------


def _validated_on_all(d: Data) -> Evaluation:
    d = validating.of_targets(d)
    return validating.validated(d, d.pydataset(d.all))


def _validated_on_the_first(d: Data) -> Evaluation:
    d = validating.of_targets(d)
    return validating.validated(d, d.dataset().take(d.n // 2).batch(d.batch))


def _validated_on_some_steps(d: Data) -> Evaluation:
    d = validating.of_targets(d)
    return validating.validated(d, d.pydataset(d.all), validation_steps=validating.some_steps(d))


def _validated_on_arrays(d: Data) -> Evaluation:
    d = validating.of_targets(d)
    return validating.validated(d, d.rows(d.all))


TWINS: Mapping[Maker, Twin] = {
    counting.reused_generator: Twin(_new_generator, ("a new one for each call",)),
    counting.generator_for_two_calls: Twin(_all_steps, ("one call, or a new source",)),
    counting.item_that_reads_on: Twin(_by_index, ("self.rows[index * ",)),
    counting.one_buffer: Twin(_copies, ("buffer.copy()",)),
    counting.dropped_remainder: Twin(_whole_dataset, ("dataset.batch(",)),
    counting.dropped_in_each_file: Twin(_whole_dataset, ("may be short", "of each file")),
    counting.floor_steps: Twin(_all_steps, ("math.ceil(",)),
    counting.floor_length: Twin(_by_index, ("math.ceil(",)),
    counting.too_few_steps: Twin(_all_steps, ("math.ceil(",)),
    counting.unreadable: Twin(_labels_of_the_rest, ("remove the labels of these samples too", "keep the same labels")),
    counting.bad_batch: Twin(_bad_sample_only, (".ignore_errors().batch(",)),
    counting.fewer_windows: Twin(_windows_with_their_labels, ("[::sequence_stride][:len(y_pred)]",)),
    counting.past_the_end: Twin(_trimmed, ("padding='trim'",)),
    counting.repeated: Twin(_whole_dataset, ("dataset  # one pass",)),
    counting.padded: Twin(_trimmed, ("padding='trim'",)),
    counting.thrown_away: Twin(_same_batch_goes_on, ("the next pass continues the same batch",)),
    counting.every_worker_reads_all: Twin(_each_its_part, (".shard(",)),
    counting.sampler_padding: Twin(_gathered_and_cut, ("padding='trim'",)),
    counting.part_again: Twin(_resumed_behind_what_is_done, ("go on behind the rows that are there",)),
    counting.batch_again: Twin(_new_generator, ("each row once",)),
    counting.other_samples_too: Twin(_labels_of_the_part, ("samples that the labels name",)),
    ordering.shuffling_pydataset: Twin(_by_index, ("shuffle=False",)),
    ordering.shuffling_dataset: Twin(_whole_dataset, ("ds without shuffle",)),
    ordering.image_generator: Twin(_not_shuffled_images, ("shuffle=False",)),
    ordering.known_seed: Twin(_labels_in_its_order, ("y_true[order]", "labels in its order")),
    ordering.shuffle_buffer: Twin(_whole_dataset, ("ds  # without shuffle",)),
    ordering.completed_first: Twin(_in_order_of_submission, ("pool.imap(load, ids)",)),
    ordering.files_in_turn: Twin(_one_file_after_the_other, ("files.flat_map(read)",)),
    ordering.rank_by_rank: Twin(_shards_put_back, ("whole[r::",)),
    ordering.partitions: Twin(_back_in_place, ("back in label order",)),
    ordering.retried_at_the_end: Twin(_back_in_place, ("each back to its own place",)),
    ordering.sorted_by_length: Twin(negatives.sorted_and_put_back, ("[np.argsort(order)]",)),
    ordering.labels_sorted_by_name: Twin(_own_labels, ("on_failure='repair'",)),
    ordering.keyed_in_another_order: Twin(_own_labels, ("on_failure='repair'",)),
    ordering.text_and_numbers: Twin(_labels_in_its_order, ("loc[ids_as_streamed, 'label']",)),
    ordering.two_listings: Twin(_joined_by_key, ("paired by name",)),
    ordering.class_by_class: Twin(_labels_in_its_order, ("loc[ids_as_streamed, 'label']", "[order]")),
    ordering.labels_class_by_class: Twin(_joined_by_key, ("joined by key", "loc[ids_as_streamed, 'label']")),
    ordering.backwards: Twin(_back_in_place, ("in label order", "do not reverse x")),
    ordering.rolled: Twin(_labels_in_its_order, ("y_true[np.r_[",)),
    ordering.parts_as_text: Twin(_back_in_place, ("parts_in_label_order",)),
    ordering.sorted_in_batches: Twin(
        _back_in_place, ("in label order", "rows as they come", "in the order of the rows")
    ),
    ordering.order_not_inverse: Twin(negatives.sorted_and_put_back, ("[np.argsort(order)]",)),
    ordering.folds_joined: Twin(_folds_put_back, ("each fold at its rows",)),
    ordering.parts_as_completed: Twin(_parts_in_order, ("in the order of submission",)),
    ordering.sorted_after_predict: Twin(_left_as_returned, ("leave the rows where predict returned them",)),
    ordering.fold_left_out: Twin(_folds_put_back, ("together they hold every label",)),
    labelling.shifted: Twin(_its_own_labels, ("labels=", "labels = ")),
    labelling.rows_shifted: Twin(_one_slice, ("the same slice of both",)),
    labelling.codes_from_one: Twin(_names_of_training, ("labels=names, classes=",)),
    labelling.encoder_fitted_again: Twin(_names_of_training, ("labels=names, classes=",)),
    labelling.folder_lacks_a_class: Twin(_names_of_training, ("labels that are names",)),
    labelling.older_version: Twin(_joined_by_key, ("written again from the data of today",)),
    labelling.older_order: Twin(_collected, ("evalguard.Labels.collect(",)),
    labelling.label_file_in_another_order: Twin(_joined_by_key, ("joined by key",)),
    labelling.pairs_apart: Twin(_its_own_labels, ("in the same order", "one element holds both")),
    labelling.index_of_other_rows: Twin(_one_index, (".loc[labels.index]",)),
    labelling.numbered_from_one: Twin(_numbered_from_zero, ("return rows - 1",)),
    labelling.keys_apart: Twin(_keys_with_their_rows, ("in the same order", "one element holds both")),
    labelling.keys_with_a_prefix: Twin(_joined_by_key, ("table['id'] = ",)),
    labelling.keys_with_a_suffix: Twin(_joined_by_key, ("table['id'] = ",)),
    labelling.keys_with_zeros: Twin(_joined_by_key, ("table['id'] = ",)),
    labelling.keys_in_another_case: Twin(_joined_by_key, ("table['id'] = ",)),
    labelling.keys_of_another_type: Twin(_joined_by_key, ("table['id'] = ",)),
    moving.asked_by_two: Twin(_asked_by_one, ("workers=1",)),
    moving.rows_moved_in_model: Twin(_computed_row_by_row, ("computed row by row",)),
    moving.rows_moved_after_model: Twin(_returned_as_computed, ("in the order of x",)),
    moving.parts_sorted_by_name: Twin(_names_with_zeros, ("list the parts in the order of the labels",)),
    moving.parts_in_another_order: Twin(_parts_predicted_in_order, ("predict the parts in the order of the labels",)),
    moving.member_in_another_order: Twin(_both_in_label_order, ("each in the order of the labels",)),
    moving.scored_with_other_labels: Twin(_scored_with_its_labels, ("if the scored ones are right",)),
    moving.reference_in_another_order: Twin(_reference_in_label_order, ("reference.loc[labels.index]",)),
    validating.validation_left_in_a_queue: Twin(_validated_on_all, ("the whole set each time",)),
    validating.validation_of_one_generator: Twin(_validated_on_all, ("a PyDataset start again at each epoch",)),
    validating.validation_part_of_a_shuffle: Twin(_validated_on_the_first, ("ds.take(n)",)),
    validating.validation_shuffled: Twin(_validated_on_some_steps, ("shuffle=False",)),
    validating.validation_drawn: Twin(_validated_on_arrays, ("validate on arrays",)),
    negatives.subset: Twin(_labels_of_the_part, ("those of the samples that are predicted",)),
    negatives.fold: Twin(_labels_of_the_part, ("those of the samples that are predicted",)),
    negatives.skipped: Twin(_labels_of_the_part, ("those of the samples that are predicted",)),
    negatives.taken: Twin(_labels_of_the_part, ("those of the samples that are predicted",)),
    negatives.one_shard: Twin(_labels_of_the_part, ("those of the samples that are predicted",)),
    negatives.loop_run_twice: Twin(_an_empty_list, ("parts = []",)),
}

# Kinds of evaluations and names of causes that have no twin, and why.
WITHOUT: Mapping[str, str] = {
    "two_rows_swapped": "nothing shows why they are swapped, so the report names no fix that could be applied",
    "two_classes_swapped": "nothing shows which of the two sides is wrong",
    "labels_corrected": "nothing shows which of the two sides is wrong",
    "labels_of_another_iterator": "any cause that is not certain is right, so there is no one fix",
    "snapshot": "the fault is in an earlier pass, which the guard has not seen",
    "right_but_odd": "it is right as it is",
    "unknown": "it says that no cause is known, so there is no fix to apply",
    "other_labels": "labels that differ in some rows are a hazard and no fault: it is named beside another cause only",
}
