"""Hazards: told where the source is unsafe, and only there."""

import numpy as np
import pytest

from evalguard.core.hazards import hazards
from evalguard.core.trace import SourceState, Trace


def told(state, *, passed=True, ordered=True):
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
        (SourceState("generator", "batches", exhausted=True), "is spent"),
        (SourceState("generator", "batches", started=True), "not at its start"),
        (SourceState("generator", "batches", calls_before=1), "not at its start"),
        (pydataset(workers=4, steps=3, num_batches=7), "stopped after 3 of 7 batches"),
        (pydataset(shuffle=True), "says shuffle=True"),
        (pydataset(stateful_getitem=True, workers=4), "asked for again, and 4 workers ask for items in any order"),
        (SourceState("tf.data", "_BatchDataset", facts={"reshuffled_each_pass": True}), "shuffled anew at each pass"),
    ],
)
def test_a_source_that_is_unsafe_is_told(state, words):
    (hazard,) = told(state)
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
def test_a_source_that_is_safe_is_not_accused(state):
    assert told(state) == ()


@pytest.mark.parametrize("state", [pydataset(shuffle=True), pydataset(stateful_getitem=True, workers=4)])
def test_what_a_failed_call_shows_by_its_rows_is_told_by_its_cause_instead(state):
    assert told(state, passed=False) == ()


def test_shuffling_is_no_hazard_where_order_does_not_matter():
    assert told(pydataset(shuffle=True), ordered=False) == ()
