"""The PyDataset that Keras 3 receives: its options and hooks are those of the caller's."""

import keras
import numpy as np
import pytest

from evalguard.capture.probes.tagged_pydataset import TaggedPyDataset


class Items(keras.utils.PyDataset):
    def __init__(self, **options):
        super().__init__(**options)
        self.heard: list[str] = []

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return (np.full((2, 1), index),)

    def on_epoch_begin(self):
        self.heard.append("begin")

    def on_epoch_end(self):
        self.heard.append("end")


def test_options_are_read_from_the_inner_dataset_at_each_call():
    inner = Items(workers=2, max_queue_size=3)
    outer = TaggedPyDataset(inner)
    assert (outer.workers, outer.use_multiprocessing, outer.max_queue_size, outer.num_batches) == (2, False, 3, 2)
    inner.workers, inner.use_multiprocessing = 1, True
    assert (outer.workers, outer.use_multiprocessing) == (1, True)


def test_hooks_reach_the_inner_dataset():
    inner = Items()
    outer = TaggedPyDataset(inner)
    outer.on_epoch_begin()
    outer.on_epoch_end()
    assert inner.heard == ["begin", "end"]


def test_a_dataset_without_an_end_has_no_number_of_batches():
    class Endless(Items):
        num_batches = None

    assert TaggedPyDataset(Endless()).num_batches is None


@pytest.mark.parametrize("may_digest", [True, False])
def test_keras_takes_it_for_a_pydataset_with_the_same_items(may_digest):
    outer = TaggedPyDataset(Items(), may_digest=may_digest)
    assert isinstance(outer, keras.utils.PyDataset)
    assert outer.batches.identify(outer[1])[0][0].tolist() == [[1], [1]]
