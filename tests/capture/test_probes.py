"""Which probe a source gets: the first of the table of its Keras that knows it."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from evalguard.capture.probes import KERAS3, TF_KERAS, probe_for
from evalguard.capture.probes.base import PassiveProbe


class Items(keras.utils.PyDataset):
    pass


class OldItems(tf_keras.utils.Sequence):
    pass


def nothing():
    yield from ()


@pytest.mark.parametrize(
    ("source", "table", "name"),
    [
        pytest.param(np.zeros(3), KERAS3, "ArraysProbe", id="array"),
        pytest.param({"a": np.zeros(3)}, TF_KERAS, "ArraysProbe", id="dict-of-arrays"),
        pytest.param(tf.data.Dataset.range(3), KERAS3, "TfDataProbe", id="dataset"),
        pytest.param(Items(), KERAS3, "PyDatasetProbe", id="pydataset"),
        pytest.param(OldItems(), TF_KERAS, "SequenceProbe", id="sequence"),
        pytest.param(nothing(), KERAS3, "GeneratorProbe", id="generator"),
        pytest.param(iter([1]), TF_KERAS, "IteratorProbe", id="iterator"),
    ],
)
def test_a_source_has_the_probe_of_its_kind(source, table, name):
    assert probe_for(source, table).__name__ == name


@pytest.mark.parametrize("source", [iter([1]), 5, ["a", "b"], OldItems()])
def test_a_source_of_an_unknown_kind_is_passed_on_as_it_is(source):
    probe = probe_for(source)(source, {})
    assert (type(probe), probe.kind, probe.source) == (PassiveProbe, type(source).__name__, source)


@pytest.mark.parametrize("table", [KERAS3, TF_KERAS])
def test_every_probe_of_a_table_can_be_imported(table):
    for predicate, path in table:
        assert probe_for("any", ((lambda _: True, path),)).__module__ == path.partition(":")[0]
        assert not predicate("text")
