"""Hazards: reported for an unsafe source, and only for that."""

import numpy as np
import pytest

from evalguard.core.evidence import gather
from evalguard.core.hazards import hazards, of_targets
from evalguard.core.label_table import LabelTable
from evalguard.core.policy import Policy
from evalguard.core.trace import SourceState, Trace


def reported(state, *, passed=True, ordered=True):
    return hazards(Trace(4, np.arange(4), sources=(state,), ordered=ordered), passed=passed)


def pydataset(**facts):
    return SourceState("pydataset", "Images", pulled=4, delivered=4, facts=facts)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (
            SourceState("generator", "batches", pulled=5, delivered=3),
            "2 more batches were taken from the generator batches",
        ),
        (SourceState("generator", "batches", exhausted=True), "has ended"),
        (SourceState("generator", "batches", started=True), "not at its start"),
        (SourceState("generator", "batches", calls_before=1), "not at its start"),
        (pydataset(workers=4, steps=3, num_batches=7), "stopped after 3 of 7 batches"),
        (pydataset(workers=2, steps=1, num_batches=7), "stopped after 1 of 7 batches"),
        (pydataset(shuffle=True), "has shuffle=True"),
        (
            pydataset(stateful_getitem=True, workers=4),
            "different data on a second call, and 4 workers call it",
        ),
        (pydataset(stateful_getitem=True, workers=2), "and 2 workers call it"),
        (SourceState("tf.data", "_BatchDataset", facts={"reshuffled_each_pass": True}), "reshuffled at each pass"),
    ],
)
def test_an_unsafe_source_is_reported(state, words):
    (hazard,) = reported(state)
    assert words in hazard


@pytest.mark.parametrize(
    "state",
    [
        SourceState(),
        SourceState("generator", "batches", pulled=3, delivered=3),
        SourceState("pydataset", "Images", pulled=9, delivered=3, exhausted=True, calls_before=3),
        pydataset(workers=4, steps=7, num_batches=7),
        pydataset(workers=1, steps=3, num_batches=7),
        pydataset(workers=4, num_batches=7),
        pydataset(stateful_getitem=True, workers=1),
        pydataset(shuffle=False, stateful_getitem=False, workers=4),
        SourceState("tf.data", "_BatchDataset", facts={"reshuffled_each_pass": False, "shuffle_buffer": 9}),
    ],
)
def test_a_safe_source_is_not_reported(state):
    assert reported(state) == ()


@pytest.mark.parametrize("state", [pydataset(shuffle=True), pydataset(stateful_getitem=True, workers=4)])
def test_after_a_failure_the_diagnosis_names_these_instead(state):
    assert reported(state, passed=False) == ()


def test_shuffling_is_no_hazard_where_order_does_not_matter():
    assert reported(pydataset(shuffle=True), ordered=False) == ()


@pytest.mark.parametrize(
    ("targets", "words"),
    [
        pytest.param([0, 1, 1, 0], (), id="equal"),
        pytest.param([-1, 1, 1, -1], ("another encoding of the labels (-1 for 0)",), id="signs"),
        pytest.param([5, 7, 7, 5], ("another encoding of the labels (5 for 0, 7 for 1)",), id="other-numbers"),
        pytest.param([1, 0, 0, 0], ("are the classes of the labels, but not each as often",), id="other-samples"),
        pytest.param([0.5, 1.5, 2.5, 3.5], ("another quantity than the labels",), id="another-quantity"),
    ],
)
def test_targets_in_another_encoding_are_named(targets, words):
    trace = Trace(4, np.arange(4), targets=np.asarray(targets))
    found = of_targets(gather(trace, LabelTable(values=np.asarray([0, 1, 1, 0])), Policy()))
    assert len(found) == len(words)
    assert all(word in hazard for hazard, word in zip(found, words, strict=True))
