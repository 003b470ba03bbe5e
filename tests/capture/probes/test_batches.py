"""A single batch that the caller passes: nothing identifies it but its content and its keys."""

import numpy as np
import pytest
import tensorflow as tf

from evalguard.capture.contract import NOT_OBSERVED
from evalguard.capture.probes.batches import BatchProbe


def test_a_batch_of_the_callers_is_passed_on_without_a_tag():
    x = np.zeros((2, 1))
    probe = BatchProbe(x, {"x": x})
    assert probe.source is x
    assert probe.kind == "batch"
    assert probe.stream.identify((x,))[1] is NOT_OBSERVED


@pytest.mark.parametrize(("form", "changes"), [(np.asarray, True), (tf.constant, False)])
def test_a_batch_that_is_overwritten_while_the_model_is_traced_is_noticed(form, changes):
    x = np.zeros((2, 1), "float32")
    stream = BatchProbe(x, {"x": x}).stream
    stream.identify((form(x),))
    x += 1
    assert stream.intact() == [not changes]
    assert stream.intact() == []
