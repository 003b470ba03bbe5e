"""PyDatasets and Sequences: what is known of them, and which samples their items state."""

import keras
import numpy as np
import pytest
import tf_keras

from evalguard.capture.probes.pydataset import PyDatasetProbe, SequenceProbe

X = np.arange(12, dtype="float32").reshape(6, 2)


class Items(keras.utils.PyDataset):
    shuffle = True

    def __len__(self):
        return 3

    def __getitem__(self, index):
        return (X[2 * index : 2 * index + 2],)


class Stating(Items):
    def sample_indices(self, index):
        return [5 - 2 * index, 4 - 2 * index]


class OldItems(tf_keras.utils.Sequence):
    __len__, __getitem__ = Items.__len__, Items.__getitem__


def numbers(probe, *indices):
    items = [probe.source[index] for index in indices]
    return [probe.stream.identify(item)[1].number for item in items]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("use_multiprocessing", [True, False])
def test_items_have_their_number_and_options_are_those_of_the_dataset(workers, use_multiprocessing):
    source = Items(workers=workers, use_multiprocessing=use_multiprocessing, max_queue_size=4)
    probe = PyDatasetProbe(source, {})
    assert numbers(probe, 0, 1, 0, 1, 2)[-1] == 2
    # What worker processes are asked for is not known here; their batches carry a tag.
    assert len(probe.source[0]) == (2 if use_multiprocessing else 1)
    state = probe.state(delivered=2)
    assert state.pulled == (None if use_multiprocessing else 3)
    assert state.facts == {
        "workers": workers,
        "use_multiprocessing": use_multiprocessing,
        "max_queue_size": 4,
        "num_batches": 3,
        "stateful_getitem": False,
        "shuffle": True,
    }


@pytest.mark.parametrize("use_multiprocessing", [True, False])
def test_items_state_the_samples_that_the_dataset_names(use_multiprocessing):
    probe = PyDatasetProbe(Stating(workers=1, use_multiprocessing=use_multiprocessing), {})
    assert probe.index_source == "stated"
    for index in (0, 2):
        tag = probe.stream.identify(probe.source[index])[1]
        assert tag.samples.tolist() == Stating.sample_indices(None, index)


def test_tf_keras_gets_workers_and_queue_from_the_call():
    source = OldItems()
    probe = SequenceProbe(source, {"workers": 3, "use_multiprocessing": True})
    assert numbers(probe, 0, 1) == [0, 1]
    assert len(probe.source) == 3
    assert probe.settings() == {
        "workers": 3,
        "use_multiprocessing": True,
        "max_queue_size": 10,
        "num_batches": 3,
    }
    assert type(SequenceProbe(source, {}).source[0]) is np.ndarray
