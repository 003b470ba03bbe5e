"""Tags kept in runs are judged as the plain ones would be."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalguard.capture.contract import BatchTag
from evalguard.capture.recording.tag_log import TagColumn
from evalguard.core.judge import judge
from evalguard.core.label_table import LabelTable
from evalguard.core.policy import Policy
from evalguard.core.trace import ALTERED, UNKNOWN, SourceState, Trace, row_tag


@st.composite
def calls(draw):
    """Batches as an engine records them: whole or a part, samples or none; and what they are row by row."""
    log = TagColumn()
    tags: list[int] = []
    index: list[int] = []
    sizes: list[int] = []
    at = 0
    aligned = draw(st.booleans())
    for number in range(draw(st.integers(1, 8))):
        size = draw(st.integers(1, 6))
        kind = draw(st.sampled_from(["whole", "part", "samples"])) if not aligned else "samples"
        pull = number if aligned else draw(st.sampled_from([number, number + 1, UNKNOWN, ALTERED]))
        first = 3 if kind == "part" and pull >= 0 else 0
        rows = [row_tag(pull, first + row) if pull >= 0 else pull for row in range(size)]
        samples = [UNKNOWN] * size
        known = BatchTag(pull if pull >= 0 else None, first_row=first, altered=pull == ALTERED)
        if kind == "samples":
            samples = (
                list(range(at, at + size))
                if aligned
                else draw(st.lists(st.integers(0, 30), min_size=size, max_size=size))
            )
            known = replace(known, samples=np.array(samples))
        log.add(known, size)
        tags, index, sizes, at = [*tags, *rows], [*index, *samples], [*sizes, size], at + size
    return log, tags, index, sizes


@given(calls(), st.integers(1, 30), st.booleans(), st.sampled_from(["identity", "labels", "transport"]), st.data())
def test_a_folded_call_is_judged_as_the_plain_one(call, n_labels, ordered, require, data):
    log, tags, index, sizes = call
    n_labels = data.draw(st.sampled_from([n_labels, len(tags)]))
    rows = len(tags)
    targets = data.draw(st.sampled_from([None, np.arange(rows), np.arange(rows)[::-1], np.zeros(rows)]))
    stated = log.index()
    folded = Trace(
        rows, log.tags(), stated, targets=targets, batch_sizes=log.sizes, ordered=ordered, sources=(SourceState(),)
    )
    plain = replace(
        folded,
        tags=np.array(tags, dtype=np.int64),
        index=np.array(index, dtype=np.int64) if any(sample != UNKNOWN for sample in index) else None,
        batch_sizes=np.array(sizes),
    )
    labels, policy = LabelTable(values=np.arange(n_labels)), Policy(require=require)
    one, other = judge(folded, labels, policy), judge(plain, labels, policy)
    assert one.report.to_dict() == other.report.to_dict()
    assert np.array_equal(one.samples, other.samples) if one.samples is not None else other.samples is None
    assert folded.transport_intact == plain.transport_intact


def test_a_batch_that_changed_is_marked_in_all_its_rows_and_says_nothing():
    log = TagColumn()
    for pull in range(3):
        log.add(BatchTag(pull, np.arange(2) + 2 * pull), 2)
    assert not log.any_changed
    log.mark_changed(2)
    assert log.any_changed is True
    assert np.asarray(log.tags())[2:4].tolist() == [ALTERED] * 2
    assert np.asarray(log.index()).tolist() == [0, 1, UNKNOWN, UNKNOWN, 4, 5]


def test_tags_that_cannot_be_believed_are_not_known():
    log = TagColumn()
    log.add(BatchTag(0), 3)
    assert log.tags(trusted=False).tolist() == [UNKNOWN] * 3


@pytest.mark.parametrize("told", ["batches", "rows", "samples"])
def test_many_batches_in_order_take_a_few_bytes(told):
    log = TagColumn()
    for pull in range(100_000):
        if told == "rows":
            tag = BatchTag(0, first_row=32 * pull)
        else:
            tag = BatchTag(pull, np.arange(32 * pull, 32 * pull + 32) if told == "samples" else None)
        log.add(tag, 32)
    trace = Trace(log.n_rows, log.tags(), log.index(), batch_sizes=log.sizes)
    assert trace.n_bytes < 500
    assert trace.n_rows == len(trace.tags) == 3_200_000


def test_samples_of_another_number_than_the_rows_say_nothing():
    log = TagColumn()
    log.add(BatchTag(0, np.arange(2)), 2)
    log.add(BatchTag(1, np.arange(3)), 2)
    assert np.asarray(log.index()).tolist() == [0, 1, UNKNOWN, UNKNOWN]


def test_parts_of_batches_are_kept_row_by_row_with_the_batches_before():
    log = TagColumn()
    for tag, size in [(BatchTag(0), 2), (BatchTag(1), 1), (BatchTag(1, first_row=1), 2), (BatchTag(), 1)]:
        log.add(tag, size)
    assert np.asarray(log.tags()).tolist() == [0, 1, row_tag(1), row_tag(1, 1), row_tag(1, 2), UNKNOWN]
    assert np.asarray(log.sizes).tolist() == [2, 1, 2, 1]
    assert (len(log), log.n_rows) == (4, 6)


def test_the_first_batch_is_kept_row_by_row_as_well_if_a_part_came_before():
    log = TagColumn()
    log.add(BatchTag(0, first_row=2), 2)
    log.add(BatchTag(0), 2)
    assert np.asarray(log.tags()).tolist() == [2, 3, 0, 1]


def test_batches_without_a_tag_are_kept_as_batches():
    log = TagColumn()
    for _ in range(10_000):
        log.add(BatchTag(), 32)
    trace = Trace(log.n_rows, log.tags(), batch_sizes=log.sizes)
    assert set(np.asarray(trace.tags).tolist()) == {UNKNOWN}
    assert trace.n_bytes < 72 * 10_000
