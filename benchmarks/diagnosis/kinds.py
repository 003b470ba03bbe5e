"""All kinds, each with the cause that is right.

The causes are those that the maker of the fault would name. Where two names are true of the same evaluation, both
are listed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.diagnosis import counting, labelling, moving, negatives, ordering, validating
from benchmarks.diagnosis.data import Data, Evaluation

RIGHT = "(no cause: it is right)"
ANY = "(any cause that is not certain)"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of evaluation.

    Attributes:
        make: Makes one of random data.
        causes: How the first cause must begin: one of these.
        negative: Any certain cause is wrong.
    """

    make: Callable[[Data], Evaluation]
    causes: tuple[str, ...]
    negative: bool = False

    @property
    def name(self) -> str:
        """The name of its maker."""
        return self.make.__name__


def _faults(*pairs: tuple[Callable[[Data], Evaluation], str | tuple[str, ...]]) -> tuple[Kind, ...]:
    return tuple(Kind(make, (causes,) if isinstance(causes, str) else causes) for make, causes in pairs)


COUNTING = _faults(
    (counting.reused_generator, "iterator not at its start"),
    (counting.generator_for_two_calls, "source ahead of the first call"),
    (counting.item_that_reads_on, "`__getitem__` depends on more than its index"),
    (counting.one_buffer, "the source fills its array again"),
    (counting.dropped_remainder, "partial batch dropped"),
    (counting.dropped_in_each_file, "partial batch dropped"),
    (counting.floor_steps, "`steps = N // batch_size`"),
    (counting.floor_length, "`__len__` rounds down"),
    (counting.too_few_steps, "`steps` too small"),
    (counting.unreadable, "samples left out by the source"),
    (counting.bad_batch, "whole batch left out"),
    (counting.fewer_windows, "fewer windows than labels"),
    (counting.past_the_end, "stream wrapped"),
    (counting.repeated, "dataset repeated"),
    (counting.padded, "padded to whole batches"),
    (counting.thrown_away, "partial batch thrown away"),
    (counting.every_worker_reads_all, "source copied per worker"),
    (counting.sampler_padding, "sampler padding across replicas"),
    (counting.part_again, "part predicted twice"),
    (counting.batch_again, "part predicted twice"),
    (counting.other_samples_too, "rows that are none of the labelled samples"),
)
ORDERING = _faults(
    (ordering.shuffling_pydataset, "`shuffle=True`"),
    (ordering.shuffling_dataset, "shuffled anew at each pass"),
    (ordering.image_generator, "`shuffle=True`"),
    (ordering.known_seed, "`shuffle=True`"),
    (ordering.shuffle_buffer, "shuffle buffer"),
    (ordering.completed_first, "parallel work inside the source"),
    (ordering.files_in_turn, "several files read in turn"),
    (ordering.rank_by_rank, "stride of "),
    # One worker after the other in turn is a stride as well.
    (ordering.partitions, ("partitions put one behind the other", "stride of ")),
    (ordering.retried_at_the_end, "retried at the end"),
    (ordering.sorted_by_length, "sorted by length"),
    (ordering.labels_sorted_by_name, "keyed data in another order"),
    (ordering.keyed_in_another_order, "keyed data in another order"),
    (ordering.text_and_numbers, "labels in another sort order"),
    (ordering.two_listings, "two listings, each sorted by its own names"),
    (ordering.class_by_class, "labels in another sort order"),
    (ordering.backwards, "rows in the reverse order of the labels"),
    (ordering.rolled, "parts joined in another order"),
    (ordering.parts_as_text, "parts joined in another order"),
    (ordering.sorted_in_batches, "rows moved inside their batch"),
    (ordering.labels_class_by_class, "labels in another sort order"),
    (ordering.order_not_inverse, "put back with the order instead of its inverse"),
    (ordering.folds_joined, "folds joined in fold order"),
    (ordering.parts_as_completed, "parts joined in the order of completion"),
    (ordering.sorted_after_predict, "rows moved between `predict` and the score"),
    (ordering.fold_left_out, "parts that were never predicted"),
)
LABELLING = _faults(
    (labelling.shifted, "labels shifted by"),
    (labelling.rows_shifted, "inputs shifted by"),
    (labelling.codes_from_one, "codes differ"),
    (labelling.encoder_fitted_again, "codes differ"),
    (labelling.folder_lacks_a_class, "classes numbered otherwise"),
    (labelling.older_version, "labels of another version"),
    (labelling.older_order, "labels of another version"),
    (labelling.label_file_in_another_order, "label file in another order than the stream"),
    (labelling.pairs_apart, "labels in the stream belong to other rows"),
    (labelling.index_of_other_rows, "indexes of x and labels differ"),
    (labelling.numbered_from_one, "row numbers count from 1"),
    (labelling.keys_apart, "keys in the stream belong to other rows"),
    (labelling.keys_with_a_prefix, "keys differ by a prefix"),
    (labelling.keys_with_a_suffix, "keys differ by a suffix"),
    (labelling.keys_with_zeros, "keys differ by zero padding"),
    (labelling.keys_in_another_case, "keys differ by upper and lower case"),
    (labelling.keys_of_another_type, "keys differ by their type"),
)
MOVING = _faults(
    (moving.asked_by_two, "unordered queue between source and model"),
    (moving.rows_moved_in_model, "the model moves rows"),
    (moving.rows_moved_after_model, "rows moved between the model and the caller"),
    (moving.parts_sorted_by_name, "parts joined in another order"),
    (moving.parts_in_another_order, "parts joined in another order"),
    (moving.member_in_another_order, "one of several calls was fed in another order"),
    (moving.scored_with_other_labels, "scored against other labels"),
    (moving.reference_in_another_order, "indexes of the reference and labels differ"),
)
VALIDATING = _faults(
    (validating.validation_left_in_a_queue, "leftover queue"),
    (validating.validation_of_one_generator, "iterator not at its start"),
    (validating.validation_part_of_a_shuffle, "shuffled anew at each pass"),
    (validating.validation_shuffled, "`shuffle=True`"),
    (validating.validation_drawn, "cause unknown, pattern: later validations"),
)
SUBSET = ("subset of the labelled samples",)
NEGATIVES = (
    Kind(negatives.subset, SUBSET, negative=True),
    Kind(negatives.fold, SUBSET, negative=True),
    Kind(negatives.skipped, SUBSET, negative=True),
    Kind(negatives.taken, SUBSET, negative=True),
    Kind(negatives.one_shard, SUBSET, negative=True),
    Kind(negatives.two_rows_swapped, ("cause unknown, pattern: rows ",), negative=True),
    Kind(negatives.two_classes_swapped, ("codes differ",), negative=True),
    Kind(negatives.labels_corrected, (ANY,), negative=True),
    Kind(negatives.loop_run_twice, ("loop run twice",), negative=True),
    Kind(negatives.labels_of_another_iterator, (ANY,), negative=True),
    Kind(negatives.snapshot, ("`shuffle=True`",), negative=True),
    Kind(negatives.right_but_odd, (RIGHT,), negative=True),
)
KINDS = (*COUNTING, *ORDERING, *LABELLING, *MOVING, *VALIDATING, *NEGATIVES)
