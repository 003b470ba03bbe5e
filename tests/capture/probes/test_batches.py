"""A single batch that the caller passes: nothing identifies it but its content and its keys."""

import numpy as np

from evalguard.capture.contract import NOT_OBSERVED
from evalguard.capture.probes.batches import BatchProbe


def test_a_batch_of_the_callers_is_passed_on_without_a_tag():
    x = np.zeros((2, 1))
    probe = BatchProbe(x, {"x": x})
    assert probe.source is x
    assert probe.kind == "batch"
    assert probe.stream.identify((x,))[1] is NOT_OBSERVED
