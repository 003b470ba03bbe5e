"""Streams that did not begin at sample 0."""

from dataclasses import replace

import numpy as np

from evalguard.core.trace import SourceState
from tests.core import signatures
from tests.core.diagnosis.causes import first_cause, named
from tests.core.signatures import Setting, made


def test_a_second_call_that_begins_beyond_the_labels_is_ahead_where_the_history_says_so():
    samples = [*range(24), *[signatures.FOREIGN] * 24]
    first = SourceState("generator", "Batches", pulled=13, delivered=3)
    second = SourceState("generator", "Batches", calls_before=1, pulled_before=13, pulled=10, delivered=3)
    setting = Setting(48, 8, "generator", told=True)
    cause = named(made(setting, samples, calls=(24, 24), sources=(first, second)))[0]
    assert cause.cause == "source ahead of the first call: prefetch past `steps`"
    assert cause.certain
    assert "call 2 begins beyond the last label, where sample 24 was due" in cause.evidence
    assert "13 batches by then, of which 3 were delivered" in cause.evidence
    fresh = named(made(setting, samples, calls=(24, 24), sources=(first, replace(second, calls_before=0))))[0]
    assert fresh.cause.startswith("rows that are none of the labelled samples")


def test_more_rows_than_labels_and_a_late_start_are_both_seen_and_the_start_comes_first():
    state = {"handed_before": 1, "pulled_before": 9, "started": True}
    case = made(Setting(50, 8, "generator", told=True), (np.arange(56) + 22) % 50, facts={"steps": 7}, state=state)
    causes = named(case)
    assert causes[0].cause == "iterator not at its start"
    assert causes[0].certain
    assert "1 guarded call before, which took 9 batches" in causes[0].evidence
    assert "stream wrapped" in causes[1].cause


def test_a_used_generator_whose_rows_begin_at_sample_0_is_not_accused():
    state = {"handed_before": 1, "pulled_before": 7, "started": True}
    cause = first_cause(np.arange(48), facts={"steps": 6}, state=state)
    assert cause.cause == "`steps = N // batch_size`"
