"""Samples that come again: which of several causes it is."""

from dataclasses import replace

import numpy as np
import pytest

from evalguard.core.diagnosis import counts, repeats
from tests.core.diagnosis.causes import title, view_of

ALIGNED = np.arange(50)


@pytest.mark.parametrize("samples", [[*range(24), *range(16, 50)], [*range(24), *range(18, 24), *range(24, 50)]])
def test_a_part_that_begins_before_the_end_of_the_one_before_it_was_predicted_twice(samples):
    view = view_of(np.asarray(samples))
    view = replace(view, trace=replace(view.trace, calls=(24, len(samples) - 24)))
    assert repeats.part_twice(view).cause == title("part_twice")
    later = replace(view, trace=replace(view.trace, calls=(20, len(samples) - 20)))
    assert repeats.part_twice(later) is None


@pytest.mark.parametrize(
    ("samples", "facts", "found"),
    [
        pytest.param(np.arange(100) % 50, {"repeat": 2}, True, id="twice"),
        pytest.param(np.arange(150) % 50, {"repeat": 3}, True, id="three-times"),
        pytest.param(np.arange(150) % 50, {"repeat": 2}, False, id="more-often-than-that"),
        pytest.param(np.arange(100) % 50, {}, False, id="no-repeat"),
        pytest.param(np.arange(100) % 50, {"repeat": 2, "steps": 13}, False, id="steps"),
        pytest.param(np.repeat(ALIGNED, 2), {"repeat": 2}, False, id="each-twice-in-a-row"),
    ],
)
def test_a_pipeline_that_repeats_is_named_where_it_explains_the_rows(samples, facts, found):
    view = view_of(samples, "tf.data", facts=facts)
    named = repeats.repeated(view)
    assert (named is not None) is found
    if named is not None:
        assert named.certain
        assert (counts.copied(view), counts.wrapped(view)) == (None, None)


@pytest.mark.parametrize(
    ("samples", "calls", "found"),
    [
        pytest.param(np.arange(100) % 50, (50, 50), True, id="two-calls"),
        pytest.param(np.arange(100) % 50, (30, 20) * 2, True, id="a-loop"),
        pytest.param(np.tile(ALIGNED[::-1], 3), (50,) * 3, True, id="three-times-in-another-order"),
        pytest.param(np.arange(100) % 50, (100,), False, id="one-call"),
        pytest.param(np.arange(100) % 50, (60, 40), False, id="a-call-goes-past-the-end"),
        pytest.param([*ALIGNED, *ALIGNED[::-1]], (50, 50), False, id="the-second-one-in-another-order"),
        pytest.param([*ALIGNED, *ALIGNED[:49]], (50, 49), False, id="not-all"),
    ],
)
def test_a_loop_that_ran_twice_is_named_and_never_certain(samples, calls, found):
    view = view_of(np.asarray(samples), "arrays")
    view = replace(view, trace=replace(view.trace, calls=calls))
    named = repeats.run_twice(view)
    assert (named is not None) is found
    if named is not None:
        assert not named.certain
        assert (counts.copied(view), counts.wrapped(view), repeats.part_twice(view)) == (None, None, None)


# -- Delivered twice --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        pytest.param(
            [*range(24), *range(16, 50)], "rows 24 to 31 are the same samples as the 8 rows before", id="batch"
        ),
        pytest.param([*range(24), *range(16, 40)], "rows 24 to 31", id="cut-by-steps"),
        pytest.param([*range(5), *range(3, 20), *range(15, 50)], "rows 5 to 6 are", id="two-parts"),
        pytest.param([*range(50), *range(45, 50)], "rows 50 to 54 are", id="the-last-part"),
        pytest.param([*range(8), *range(50)], "rows 8 to 15 are", id="the-first-part"),
    ],
)
@pytest.mark.parametrize("kind", ["generator", "pydataset", "arrays", "unknown"])
def test_rows_that_come_again_directly_behind_themselves_were_delivered_twice(samples, words, kind):
    found = repeats.delivered_twice(view_of(samples, kind, facts={}))
    assert found is not None
    assert (found.cause, found.certain) == (title("part_twice"), True)
    assert found.evidence.startswith(words)
    assert "come twice" in found.remedy


@pytest.mark.parametrize(
    "samples",
    [
        pytest.param(range(50), id="in-order"),
        pytest.param([*range(50), *range(12)], id="wrapped"),
        pytest.param([*range(50), 49, 49], id="padded"),
        pytest.param([*range(8), *range(8), *range(8, 16), *range(8, 16)], id="read-by-two"),
        pytest.param([*range(20), *range(30, 50), *range(40, 50)], id="and-some-left-out"),
        pytest.param([*range(5, 20), *range(15, 50)], id="not-at-the-start"),
        pytest.param([*range(20), *range(15, 49), -2], id="foreign"),
        pytest.param(np.repeat(np.arange(50), 2), id="each-twice"),
    ],
)
def test_other_repetitions_are_not_called_that(samples):
    assert repeats.delivered_twice(view_of(samples)) is None
    assert repeats.delivered_twice(view_of([*range(24), *range(16, 50)], calls=(24, 34))) is None
    assert repeats.delivered_twice(view_of([*range(24), *range(16, 50)], ordered=False)) is None
