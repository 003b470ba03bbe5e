"""Batches that a strategy splits: the parts of the replicas of this process, in their order."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.distribute.values import PerReplica

from evalguard.capture.replicas import is_replicated, local_batches


@pytest.mark.parametrize(("replicas", "replicated"), [(1, False), (2, True), (8, True)])
def test_a_model_is_replicated_if_its_strategy_has_several_replicas(replicas, replicated):
    model = SimpleNamespace(distribute_strategy=SimpleNamespace(num_replicas_in_sync=replicas))
    assert is_replicated(model) is replicated


@pytest.mark.parametrize("model", [None, object(), SimpleNamespace(distribute_strategy=None)])
def test_a_model_without_a_strategy_is_not_replicated(model):
    assert not is_replicated(model)


def test_the_parts_have_the_structure_of_the_batch_and_what_is_not_split_is_in_each():
    x = PerReplica([tf.zeros((2, 1)), tf.ones((1, 1))])
    weight = np.float32(3)
    first, second = local_batches(({"x": x}, None, weight))
    assert first[0]["x"] is x.values[0]
    assert second[0]["x"] is x.values[1]
    assert [part[1:] for part in (first, second)] == [(None, weight)] * 2


def test_a_batch_that_is_not_split_is_its_own_part():
    data = (np.zeros((2, 1)), None)
    assert local_batches(data)[0] is data
