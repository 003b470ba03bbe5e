"""The Sequence that tf_keras receives: its length and hook are those of the caller's."""

import numpy as np
import tf_keras

from evalguard.capture.probes.tagged_sequence import TaggedSequence


class Items(tf_keras.utils.Sequence):
    ended = 0

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return (np.full((2, 1), index),)

    def on_epoch_end(self):
        self.ended += 1


def test_tf_keras_takes_it_for_a_sequence_of_the_same_items_and_hooks():
    inner = Items()
    outer = TaggedSequence(inner)
    assert isinstance(outer, tf_keras.utils.Sequence)
    assert len(outer) == 2
    assert [outer.batches.identify(item)[0].tolist() for item in (outer[0], outer[1])] == [[[0], [0]], [[1], [1]]]
    outer.on_epoch_end()
    assert inner.ended == 1
