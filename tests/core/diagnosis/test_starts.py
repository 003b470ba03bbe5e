"""Streams that did not begin at sample 0."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalguard.core.diagnosis import starts
from evalguard.core.trace import SourceState
from tests.core import signatures
from tests.core.diagnosis.causes import first_cause, named, view_of
from tests.core.signatures import Setting, made


def test_a_second_call_that_begins_beyond_the_labels_is_ahead_where_the_history_says_so():
    samples = [*range(24), *[signatures.FOREIGN] * 24]
    first = SourceState("generator", "Batches", pulled=13, delivered=3)
    second = SourceState("generator", "Batches", calls_before=1, pulled_before=13, pulled=10, delivered=3)
    setting = Setting(48, 8, "generator", declared=True)
    cause = named(made(setting, samples, calls=(24, 24), sources=(first, second)))[0]
    assert cause.cause == "source ahead of the first call: prefetch past `steps`"
    assert cause.certain
    assert "call 2 begins beyond the last label instead of sample 24" in cause.evidence
    assert "13 batches by then, 3 of them delivered" in cause.evidence
    fresh = named(made(setting, samples, calls=(24, 24), sources=(first, replace(second, calls_before=0))))[0]
    assert fresh.cause.startswith("rows that are none of the labelled samples")


def test_more_rows_than_labels_and_a_late_start_are_both_seen_and_the_start_comes_first():
    state = {"calls_before": 1, "pulled_before": 9, "started": True}
    case = made(Setting(50, 8, "generator", declared=True), (np.arange(56) + 22) % 50, facts={"steps": 7}, state=state)
    causes = named(case)
    assert causes[0].cause == "iterator not at its start"
    assert causes[0].certain
    assert "1 earlier guarded call took 9 batches" in causes[0].evidence
    assert "stream wrapped" in causes[1].cause


def test_a_used_generator_whose_rows_begin_at_sample_0_is_not_accused():
    state = {"calls_before": 1, "pulled_before": 7, "started": True}
    cause = first_cause(np.arange(48), facts={"steps": 6}, state=state)
    assert cause.cause == "`steps = N // batch_size`"


@given(st.integers(1, 12), st.data())
def test_an_offset_is_that_of_rows_that_count_up_around_the_end(n, data):
    start = data.draw(st.integers(0, n - 1))
    rows = np.arange(start, start + data.draw(st.integers(1, 2 * n))) % n
    assert starts.offset(rows, n) == (start or None)
    broken = rows.copy()
    broken[data.draw(st.integers(1, len(rows))) - 1] += n + 1
    assert starts.offset(broken, n) is None or len(rows) == 1 or starts.offset(broken, n) == start


@pytest.mark.parametrize(
    ("rows", "full", "expected"),
    [
        pytest.param([3, 4, -2, 9], 0, 3, id="rows-beyond-the-labels"),
        pytest.param([3, 0, 1], 4, 3, id="a-stream-of-4-that-starts-again"),
        pytest.param([3, 0, 1], 0, None, id="no-such-stream"),
        pytest.param([0, 1, 2], 0, None, id="no-offset"),
        pytest.param([], 0, None, id="no-row"),
    ],
)
def test_after_the_last_sample_come_the_first_or_foreign_rows(rows, full, expected):
    assert starts.offset(np.asarray(rows, dtype=np.int64), 5, full) == expected


LATE = (np.arange(50) + 16) % 50
RECOGNISERS = [starts.ahead, starts.leftover, starts.stateful_getitem, starts.not_at_start]


@pytest.mark.parametrize("recogniser", RECOGNISERS, ids=lambda recogniser: recogniser.__name__)
@pytest.mark.parametrize(
    "samples", [np.arange(50), np.random.default_rng(0).permutation(50)], ids=["aligned", "random"]
)
def test_nothing_is_recognised_without_an_offset(recogniser, samples):
    state = {"started": True, "calls_before": 1, "pulled_before": 2}
    for kind in ("generator", "pydataset"):
        assert recogniser(view_of(samples, kind, facts={"workers": 1, "steps": 7}, state=state)) is None


@pytest.mark.parametrize("used", [True, False])
def test_a_late_start_is_certain_where_the_generator_was_used_before(used):
    state = {"calls_before": 2, "pulled_before": 2} if used else {}
    found = starts.not_at_start(view_of(LATE, state=state))
    assert found is not None
    assert (found.cause, found.certain) == (starts.NOT_AT_START, used)
    history = "2 earlier guarded calls took 2 batches from batches"
    assert found.evidence.startswith("rows begin at sample 16 and continue in order; ")
    assert (history in found.evidence) is used


def test_an_array_has_no_late_start():
    assert starts.not_at_start(view_of(LATE, "arrays")) is None


def test_rows_beyond_the_labels_before_the_first_sample_show_a_used_generator():
    lead = view_of([-2, -2, *range(48)], state={"started": True})
    found = starts.not_at_start(lead)
    assert found is not None
    assert found.evidence.startswith("2 rows beyond the last label, followed by samples 0, 1, …; ")


def test_a_queue_with_leftovers_is_certain_where_the_first_item_shows_it():
    facts = {"workers": 4, "steps": 2, "num_batches": 7}
    tags = np.asarray([(pull << 32) + row for pull in range(2, 4) for row in range(8)])
    found = starts.leftover(view_of(np.arange(16, 32), "pydataset", facts=facts, tags=tags))
    assert found is not None
    assert (found.cause, found.certain) == (starts.LEFTOVER, True)
    assert "the first batch delivered is item 2 of Images" in found.evidence
    one_worker = {**facts, "workers": 1}
    assert starts.leftover(view_of(np.arange(16, 32), "pydataset", facts=one_worker, tags=tags)) is None


def test_items_that_keras_read_first_show_a_getitem_with_state():
    facts = {"workers": 1, "num_batches": 7, "stateful_getitem": True}
    found = starts.stateful_getitem(view_of(LATE, "pydataset", facts=facts))
    assert found is not None
    assert (found.cause, found.certain) == (starts.STATEFUL, True)
    assert "that Keras 3 reads before the first one" in found.evidence
    assert "returned different data on a second call" in found.evidence
