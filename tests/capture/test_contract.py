"""The tag of a batch, and the stream of batches that have none."""

import numpy as np
import pytest

from evalguard.capture.contract import NOT_OBSERVED, BatchTag, Untagged
from evalguard.core.trace import ALTERED, UNKNOWN, row_tag


@pytest.mark.parametrize(
    ("tag", "first"),
    [
        pytest.param(NOT_OBSERVED, UNKNOWN, id="not-observed"),
        pytest.param(BatchTag(0), 0, id="first-batch"),
        pytest.param(BatchTag(3), row_tag(3), id="whole-batch"),
        pytest.param(BatchTag(3, first_row=5), row_tag(3, 5), id="part-of-a-batch"),
        pytest.param(BatchTag(altered=True), ALTERED, id="altered"),
    ],
)
def test_a_trace_has_the_tag_of_the_first_row(tag, first):
    assert tag.first_tag == first


@pytest.mark.parametrize(
    ("samples", "states"), [(None, False), ([3, 1], True), ([3, UNKNOWN], False), ([UNKNOWN, 3], False)]
)
def test_samples_are_stated_where_every_row_has_one(samples, states):
    assert BatchTag(0, None if samples is None else np.array(samples)).states_samples is states


def test_a_stream_without_tags_changes_nothing_and_observes_nothing():
    stream, data = Untagged(), (object(),)
    batch, tag = stream.identify(data)
    assert batch is stream.without_tag(data) is data
    assert tag is NOT_OBSERVED
    assert stream.intact() == []
