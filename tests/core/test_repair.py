"""Repair gives exactly the aligned predictions, or refuses: whatever is moved, repeated or lost."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from evalguard.core import repair
from evalguard.core.judge import judge
from evalguard.core.label_table import LabelTable
from evalguard.core.policy import Policy
from evalguard.core.trace import UNKNOWN, Trace
from evalguard.guards import predictions

N_MAX = 12


def answer(sample):
    """The prediction of a sample in any row."""
    return sample * 10 + 1


@st.composite
def deliveries(draw):
    """Samples as delivered, with moves, losses, repetitions, foreign and unknown rows."""
    n = draw(st.integers(1, N_MAX))
    rows = draw(st.lists(st.integers(-1, n + 1), min_size=0, max_size=2 * n))
    if draw(st.booleans()):
        rows = draw(st.permutations(range(n))) + draw(st.lists(st.integers(0, n - 1), max_size=3))
    return n, np.asarray(rows, dtype=np.int64)


def outcome(n, samples, result, again=None):
    trace = Trace(len(samples), np.full(len(samples), UNKNOWN), index=samples)
    judgement = judge(trace, LabelTable(values=np.arange(n)), Policy())
    return predictions.repaired(result, judgement, n, again)


@settings(max_examples=300, deadline=None)
@given(deliveries())
def test_repair_returns_the_aligned_predictions_or_refuses(delivery):
    n, samples = delivery
    result = {"a": answer(samples)[:, None], "b": answer(samples).astype("float32")}
    fixed = outcome(n, samples, result)
    seen = set(samples.tolist())
    possible = bool(len(samples)) and seen == set(range(n))
    if not possible:
        assert isinstance(fixed, str)
        assert fixed
        return
    assert isinstance(fixed, predictions.Repaired)
    assert np.array_equal(fixed.predictions["a"], answer(np.arange(n))[:, None])
    assert np.array_equal(fixed.predictions["b"], answer(np.arange(n)).astype("float32"))
    assert fixed.steps["duplicates"] == len(samples) - n


@settings(max_examples=200, deadline=None)
@given(deliveries(), st.integers(0, 2 * N_MAX))
def test_a_repetition_with_another_prediction_is_refused(delivery, at):
    n, samples = delivery
    result = answer(samples).astype("float32")
    repeated = [row for row in range(len(samples)) if samples[row] in samples[:row]]
    if not repeated:
        return
    result[repeated[at % len(repeated)]] += 1
    assert isinstance(outcome(n, samples, result), str)


@settings(max_examples=200, deadline=None)
@given(deliveries())
def test_missing_samples_are_predicted_again_where_they_can_be(delivery):
    n, samples = delivery
    asked = []

    def again(rows):
        asked.extend(rows.tolist())
        return answer(rows)

    fixed = outcome(n, samples, answer(samples), again)
    if isinstance(fixed, str):
        known = (samples >= 0) & (samples < n)
        assert not len(samples) or not known.all()
        return
    assert np.array_equal(fixed.predictions, answer(np.arange(n)))
    assert asked == sorted(set(range(n)) - set(samples.tolist()))
    assert fixed.steps["predicted_again"] == len(asked)


def test_a_plan_names_why_it_refuses():
    assert repair.plan(None, 3).refused == "nothing shows which sample each row is"
    assert repair.plan(np.array([0, -1, 2]), 3).refused == "not identified: 1 row"
    assert repair.plan(np.array([0, 7, 8]), 3).refused == "not among the labelled samples: 2 rows"


def test_a_plan_that_is_refused_takes_no_row():
    for samples in (None, np.array([0, -1, 2]), np.array([0, 7, 8])):
        plan = repair.plan(samples, 3)
        assert [part.tolist() for part in (plan.take, plan.duplicates, plan.firsts, plan.missing)] == [[], [], [], []]
        assert plan.moved == 0


def test_a_plan_names_the_row_of_each_sample_and_the_samples_that_are_missing():
    plan = repair.plan(np.array([0, 3, 1, 3]), 5)
    assert plan.take.tolist() == [0, 2, -1, 1, -1]
    assert plan.missing.tolist() == [2, 4]
    assert plan.moved == 2
    assert (plan.duplicates.tolist(), plan.firsts.tolist()) == ([3], [1])
    assert repair.plan(np.arange(3), 3).moved == 0
    assert repair.plan(np.array([2, 0, 1]), 3).moved == 3


def test_a_summary_says_what_was_done():
    steps = {"moved": 1200, "duplicates": 0, "padding": 4, "predicted_again": 0}
    assert repair.summary(steps) == "1,200 rows reordered, 4 padding rows removed"
