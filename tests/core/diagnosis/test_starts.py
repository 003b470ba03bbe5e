"""Streams that did not begin at sample 0."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalguard.core.diagnosis import starts
from evalguard.core.trace import SourceState
from tests.core import signatures
from tests.core.diagnosis.causes import first_cause, named, title, view_of
from tests.core.signatures import Setting, made


def test_a_second_call_that_begins_beyond_the_labels_is_ahead_where_the_history_says_so():
    samples = [*range(24), *[signatures.FOREIGN] * 24]
    first = SourceState("generator", "Batches", pulled=13, delivered=3)
    second = SourceState("generator", "Batches", calls_before=1, pulled_before=13, pulled=10, delivered=3)
    setting = Setting(48, 8, "generator", declared=True)
    cause = named(made(setting, samples, calls=(24, 24), sources=(first, second)))[0]
    assert cause.cause == "source ahead of the first call: prefetch past `steps`"
    assert cause.certain
    assert "call 1 begins beyond the last label instead of sample 24" in cause.evidence
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
        pytest.param([3, 4, 5], 0, 3, id="the-first-row-beyond-the-labels"),
        pytest.param([3, 4, 7, 1], 0, None, id="a-sample-beyond-the-end"),
        pytest.param([3, 4, 0, 9], 0, None, id="sample-0-and-a-row-beyond-the-labels"),
        pytest.param([3, 0, 9], 0, None, id="not-in-order"),
        pytest.param([5, 6], 0, None, id="beyond-the-labels"),
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
    assert (found.cause, found.certain) == (title("not_at_start"), used)
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
    assert (found.cause, found.certain) == (title("leftover"), True)
    assert "the first batch delivered is item 2 of Images" in found.evidence
    one_worker = {**facts, "workers": 1}
    assert starts.leftover(view_of(np.arange(16, 32), "pydataset", facts=one_worker, tags=tags)) is None


def test_items_that_keras_read_first_show_a_getitem_with_state():
    facts = {"workers": 1, "num_batches": 7, "stateful_getitem": True}
    found = starts.stateful_getitem(view_of(LATE, "pydataset", facts=facts))
    assert found is not None
    assert (found.cause, found.certain) == (title("stateful_getitem"), True)
    assert "that Keras 3 reads before the first one" in found.evidence
    assert "returned different data on a second call" in found.evidence


FOREIGN = signatures.FOREIGN
FIRST = SourceState("generator", "batches", pulled=5, delivered=2, pulled_before=3, facts={"steps": 2})
SECOND = SourceState("generator", "batches", calls_before=1, pulled_before=8, delivered=5, facts={"steps": 5})
TAKEN = "; the same object had emitted 5 batches by then, 2 of them delivered"


@pytest.mark.parametrize(
    ("calls", "sources", "certain", "evidence"),
    [
        pytest.param([(0, 16), (40, 50)], None, False, "call 1 begins with sample 40 instead of sample 16", id="jump"),
        pytest.param([(0, 16), (17, 33)], None, False, "call 1 begins with sample 17 instead of sample 16", id="row"),
        pytest.param([(0, 16), (16, 50)], None, None, "", id="goes-on"),
        pytest.param([(0, 16), (0, 16)], None, None, "", id="each-from-the-start"),
        pytest.param([(3, 16), (16, 26)], None, None, "", id="late-but-goes-on"),
        pytest.param([(0, 16), (16, 26), (30, 38)], None, False, "call 2 begins with sample 30 instead of sample 26",
                     id="in-the-third-call"),
        pytest.param([(0, 16), (40, 50), (3, 8)], None, False, "call 1 begins with sample 40 instead of sample 16",
                     id="two-jumps"),
        pytest.param([(0, 16), (0, 0), (20, 26)], None, False, "call 2 begins with sample 20 instead of sample 16",
                     id="an-empty-call"),
        pytest.param([(0, 0), (16, 32)], None, False, "call 1 begins with sample 16 instead of sample 0",
                     id="the-first-call-is-empty"),
        pytest.param([(30, 50), (1, 26)], None, False, "call 1 begins with sample 1 instead of sample 0", id="around"),
        pytest.param([(0, 16), (40, 56)], (FIRST, SECOND), True,
                     "call 1 begins with sample 40 instead of sample 16" + TAKEN, id="taken"),
        pytest.param([(0, 16), (48, 52)], (FIRST, SECOND), True,
                     "call 1 begins with sample 48 instead of sample 16" + TAKEN, id="to-the-end-and-beyond"),
        pytest.param([(0, 16), (50, 60)], (FIRST, SECOND), True,
                     "call 1 begins beyond the last label instead of sample 16" + TAKEN, id="beyond"),
        pytest.param([(0, 16), (0, 1)], (FIRST, SECOND), None, "", id="one-row-from-the-start"),
        pytest.param([(0, 16), (50, 60)], None, None, "", id="beyond-and-nothing-known"),
        pytest.param([(50, 60), (5, 16)], None, None, "", id="the-first-call-is-beyond"),
        pytest.param([(0, 16), (40, 50)], (replace(FIRST, delivered=5), SECOND), False,
                     "call 1 begins with sample 40 instead of sample 16" + TAKEN.replace("2 of", "5 of"),
                     id="all-delivered"),
    ],
)  # fmt: skip
def test_a_call_that_begins_beyond_the_end_of_the_one_before_is_named(calls, sources, certain, evidence):
    samples = np.concatenate([np.arange(*call) for call in calls])
    lengths = tuple(stop - start for start, stop in calls)
    given = {} if sources is None else {"sources": sources}
    found = starts.ahead(view_of(samples, calls=lengths, **given))
    assert (None if found is None else found.certain) == certain
    if found is not None:
        assert found.evidence == evidence
    assert starts.ahead(view_of(samples, "pydataset", calls=lengths)) is None


def test_calls_in_no_order_and_calls_of_other_rows_have_no_jump():
    assert starts.ahead(view_of([*range(16), 40, 3, 20], calls=(16, 3))) is None
    assert starts.ahead(view_of([*range(16), *range(40, 50)], calls=(16, 20))) is None


@pytest.mark.parametrize(
    ("sources", "before", "after"),
    [
        pytest.param((), "gen = source(...); model.predict(gen); model.predict(gen)", "source(...)", id="not-known"),
        pytest.param(
            (FIRST, SECOND), "gen = batches(...); model.predict(gen, steps=2); model.predict(gen, steps=5)",
            "batches(...), steps=7", id="two",
        ),
        pytest.param(
            (FIRST, SECOND, SECOND, replace(SECOND, facts={})),
            "gen = batches(...); model.predict(gen, steps=2); model.predict(gen, steps=5); model.predict(gen, steps=5)",
            "batches(...)", id="the-first-three",
        ),
    ],
)  # fmt: skip
def test_the_calls_are_named_as_they_were_made(sources, before, after):
    samples, calls = [*range(16), *range(20, 26)], (16, 6, *[0] * max(0, len(sources) - 2))
    found = starts.ahead(view_of(samples, calls=calls, sources=sources))
    assert found is not None
    assert found.remedy.splitlines()[0] == f"before: {before}"
    assert found.remedy.splitlines()[1].startswith(f"after:  model.predict({after})  # ")


ITEM = "; the first batch delivered is item {} of Images"


def tags_from(pull, rows=16):
    return np.asarray([(pull + row // 8 << 32) + row % 8 for row in range(rows)])


@pytest.mark.parametrize(
    ("start", "pull", "facts", "certain", "evidence"),
    [
        pytest.param(16, 0, {"steps": 2}, False, "the first row is sample 16", id="steps"),
        pytest.param(16, 0, {"validation_steps": 2}, False, "the first row is sample 16", id="validation-steps"),
        pytest.param(16, 0, {}, None, "", id="no-steps"),
        pytest.param(16, 0, {"leftover": True}, True, "the first row is sample 16", id="reported"),
        pytest.param(8, 1, {}, True, "the first row is sample 8" + ITEM.format(1), id="item"),
        pytest.param(16, 3, {}, None, "", id="another-item"),
        pytest.param(16, 3, {"steps": 2}, False,
                     "the first row is sample 16" + ITEM.format(3), id="another-in-steps"),
        pytest.param(13, 0, {"steps": 2}, None, "", id="no-whole-batch"),
        pytest.param(None, 0, {"leftover": True}, True, "the rows do not begin with the first batch", id="not-known"),
        pytest.param(None, 2, {}, True,
                     "the rows do not begin with the first batch" + ITEM.format(2),
                     id="not-known-but-the-item"),
        pytest.param(None, 0, {"steps": 2}, None, "", id="nothing-known"),
    ],
)  # fmt: skip
def test_what_a_queue_kept_is_recognised_by_items_or_steps(start, pull, facts, certain, evidence):
    for workers in (2, 4):
        parts = {"tags": tags_from(pull), "facts": {"workers": workers} | facts}
        found = starts.leftover(view_of(np.arange(16) + (start or 0), "pydataset", known=start is not None, **parts))
        assert (None if found is None else found.certain) == certain
        if found is not None:
            kept = f"; workers={workers}: the queue keeps what the previous call did not use"
            assert found.evidence == evidence + kept
    assert starts.leftover(view_of(np.arange(16), "pydataset", facts={"workers": 2, "leftover": True})) is None


AS_MANY = "all rows are {} samples ahead, as many as the {} reads before the first one"


@pytest.mark.parametrize(
    ("start", "kind", "facts", "certain", "evidence"),
    [
        (16, "pydataset", {}, False, AS_MANY.format(16, "2 batches that Keras 3")),
        (8, "pydataset", {}, False, AS_MANY.format(8, "1 batch that tf_keras")),
        (16, "unknown", {}, False, AS_MANY.format(16, "2 batches that Keras 3")),
        (8, "unknown", {}, None, ""),
        (24, "pydataset", {}, None, ""),
        (24, "pydataset", {"stateful_getitem": True}, False,
         "all rows are 24 samples ahead; `__getitem__` returned different data on a second call"),
        (24, "unknown", {"stateful_getitem": True}, None, ""),
        (16, "generator", {"stateful_getitem": True}, None, ""),
        (0, "pydataset", {"stateful_getitem": True}, None, ""),
    ],
)  # fmt: skip
def test_items_that_keras_read_first_are_one_or_two_batches(start, kind, facts, certain, evidence):
    samples = (np.arange(50) + start) % 50
    found = starts.stateful_getitem(view_of(samples, kind, facts=facts))
    assert (None if found is None else found.certain) == certain
    if found is not None:
        assert found.evidence == evidence


def test_a_getitem_with_state_is_not_certain_where_the_first_items_are_missing():
    facts = {"stateful_getitem": True}
    found = starts.stateful_getitem(view_of(np.arange(16, 32), "pydataset", facts=facts, tags=tags_from(2)))
    assert found is not None
    assert not found.certain


def test_a_stream_that_drops_its_partial_batch_may_begin_late_as_well():
    found = starts.not_at_start(view_of((np.arange(48) + 16) % 48))
    assert found is not None
    assert found.evidence.startswith("rows begin at sample 16 ")


@pytest.mark.parametrize(
    ("start", "kind", "facts", "found"),
    [
        pytest.param(16, "pydataset", {}, False, id="items-that-keras-read"),
        pytest.param(24, "pydataset", {}, True, id="other-items"),
        pytest.param(24, "pydataset", {"workers": 2, "steps": 3}, False, id="what-a-queue-kept"),
        pytest.param(24, "batch", {}, False, id="a-loop"),
        pytest.param(24, "tf.data", {}, True, id="a-dataset"),
    ],
)
def test_a_late_start_is_that_of_a_source_with_a_position(start, kind, facts, found):
    assert (starts.not_at_start(view_of((np.arange(50) + start) % 50, kind, facts=facts)) is not None) is found


@pytest.mark.parametrize(
    ("samples", "state", "known", "evidence"),
    [
        pytest.param([-2, -2, *range(48)], {}, True, None, id="not-used"),
        pytest.param([-2] * 50, {"started": True}, True, None, id="no-sample"),
        pytest.param([-2, 1, 0, *range(2, 49)], {"started": True}, True, None, id="in-another-order"),
        pytest.param(
            LATE, {"started": True}, True,
            "rows begin at sample 16 and continue in order; batches had been advanced before this call", id="advanced",
        ),
        pytest.param(
            LATE, {"started": True}, False, "batches had been advanced before this call", id="samples-are-not-known"
        ),
        pytest.param(LATE, {}, False, None, id="nothing-known"),
        pytest.param(
            LATE, {}, True,
            "rows begin at sample 16 and continue in order; the generator was new, so the reader inside it "
            "had been used before", id="a-new-generator",
        ),
    ],
)  # fmt: skip
def test_how_a_generator_was_used_before_is_said(samples, state, known, evidence):
    found = starts.not_at_start(view_of(samples, state=state, known=known))
    assert (None if found is None else found.evidence) == evidence
