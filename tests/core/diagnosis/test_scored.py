"""Causes of rows that are scored elsewhere than they were returned."""

from dataclasses import replace

import numpy as np
import pytest

from evalguard.core.diagnosis import diagnose, scored
from evalguard.core.diagnosis.view import View
from tests.core.diagnosis.causes import title, view_of

N = 50
ORDER = np.random.default_rng(0).permutation(N)


def view(samples, source=None, **parts):
    """Rows of these samples, in the order of the score; row i was returned as row ``source[i]``."""
    made = view_of(np.asarray(samples), n=N)
    if source is not None:
        source = np.asarray(source)
        parts = {"scored_from": source, "rearranged": int((source != np.arange(N)).sum()), **parts}
    return View(replace(made.trace, **parts), made.labels, made.samples)


def named(seen):
    return [cause.cause for cause in diagnose(seen.trace, seen.samples, seen.labels)]


def test_the_order_instead_of_its_inverse():
    # Returned row i is sample ORDER[i]; scored row i is returned row ORDER[i].
    seen = view(ORDER[ORDER], ORDER)
    cause = scored.order_not_inverse(seen)
    assert (cause.cause, cause.certain) == (title("order_not_inverse"), True)
    assert named(seen) == [title("order_not_inverse")]
    assert "[np.argsort(order)]" in cause.remedy


@pytest.mark.parametrize(
    ("samples", "source"),
    [
        (np.arange(N), np.argsort(ORDER)),
        (ORDER, np.arange(N)),
        (ORDER, ORDER),
        (np.roll(ORDER, 1), np.roll(np.arange(N), 1)),
        (ORDER[[0, *range(N - 1)]], [0, *range(N - 1)]),
    ],
    ids=["put-back", "not-moved", "of-aligned-rows", "rolled", "repeated"],
)
def test_another_order_is_not_that(samples, source):
    assert scored.order_not_inverse(view(samples, source)) is None
    assert scored.order_not_inverse(view(samples)) is None


def parts(order, **more):
    """Five parts of ten rows, joined in this order of calls."""
    source = np.concatenate([np.arange(number * 10, number * 10 + 10) for number in order])
    return view(ORDER[source], source, **{"parts": (10,) * 5, "rearranged": N, **more})


@pytest.mark.parametrize(
    ("order", "more", "name"),
    [
        (range(5), {"index_source": "part", "index": ORDER}, "parts_not_put_back"),
        (range(4, -1, -1), {}, "parts_in_another_order"),
        ([1, 2, 3, 4, 0], {}, "parts_in_another_order"),
        ([1, 2, 3, 4, 0], {"in_threads": True, "ended": (9.0, 1.0, 2.0, 3.0, 4.0)}, "parts_as_completed"),
        ([1, 2, 3, 4, 0], {"in_threads": True, "ended": (1.0, 2.0, 3.0, 4.0, 5.0)}, "parts_in_another_order"),
        ([1, 2, 3, 4, 0], {"in_threads": True, "ended": (9.0, 1.0, 3.0, 2.0, 4.0)}, "parts_as_completed"),
        (range(5), {"in_threads": True, "ended": (1.0, 2.0, 3.0, 4.0, 5.0)}, "parts_as_completed"),
    ],
)
def test_whole_parts_one_after_the_other(order, more, name):
    seen = parts(order, **more)
    cause = scored.joined_parts(seen)
    assert (cause.cause, cause.certain) == (title(name), True)
    assert named(seen) == [title(name)]
    assert cause.evidence.startswith("5 parts stand whole one after the other, in the order of calls ")


def test_parts_in_the_order_of_their_calls_are_likely_folds_unless_the_caller_names_their_rows():
    for more in ({}, {"index_source": "part", "index": np.where(ORDER < 10, -1, ORDER)}, {"index": ORDER}):
        cause = scored.joined_parts(parts(range(5), **more))
        assert (cause.cause, cause.certain) == (title("parts_not_put_back"), False)


def test_batches_of_a_loop_whose_rows_have_no_order_are_no_folds():
    seen = parts(range(5))
    sources = (replace(seen.trace.source, kind="batch"),)
    cause = scored.joined_parts(View(replace(seen.trace, sources=sources), seen.labels, seen.samples))
    assert (cause.cause, cause.certain) == (title("shuffled"), False)
    assert "loader reads in label order" in cause.remedy


def test_parts_of_consecutive_samples_are_no_folds():
    samples = np.concatenate([np.arange(number * 10, number * 10 + 10) for number in (1, 0, 4, 2, 3)])
    cause = scored.joined_parts(view(samples, np.arange(N), parts=(10,) * 5, rearranged=N))
    assert (cause.cause, cause.certain) == (title("parts_in_another_order"), False)
    assert cause.evidence.endswith("in the order of calls 0, 1, 2, 3, 4, which begin with samples 10, 0, 40, 20, 30")
    assert "g.put_back(parts)" in cause.remedy
    # Parts of one row each are consecutive in any order.
    assert scored.joined_parts(view(ORDER, np.arange(N), parts=(1,) * N)).cause == title("parts_not_put_back")


def test_rows_inside_a_part_that_moved_are_not_whole_parts():
    source = np.arange(N)
    source[:2] = [1, 0]
    assert scored.joined_parts(view(source, source, parts=(10,) * 5)) is None
    assert scored.joined_parts(view(source, source, parts=(N,))) is None
    assert scored.joined_parts(view(source)) is None
    assert named(view(source, source, parts=(10,) * 5)) == [title("moved_before_the_score")]


def test_a_part_that_stands_twice_is_not_whole():
    assert scored.joined_parts(parts([0, 1, 0, 3, 4])) is None


def test_parts_that_were_never_predicted():
    seen = view(np.arange(40), ended=(1.0,) * 4)
    assert named(seen) == [title("parts_missing")]
    assert "4 calls returned rows of 40 of the 50 samples" in scored.missing_parts(seen).evidence
    assert "np.array_split(np.arange(50), k)" in scored.missing_parts(seen).remedy
    assert scored.missing_parts(view(np.arange(40))) is None
    assert scored.missing_parts(view(np.arange(N), ended=(1.0,))) is None
    assert scored.missing_parts(view(np.arange(40), ended=(1.0,), confirmed=True)) is None


def test_labels_that_are_not_the_guards():
    cause = scored.other_labels(view(np.arange(N)))
    assert (cause.cause, cause.certain) == (title("other_labels_scored"), True)


def test_rows_that_moved_say_nothing_about_the_source():
    seen = view(np.arange(N)[::-1], np.arange(N)[::-1])
    (cause,) = diagnose(seen.trace, seen.samples, seen.labels)
    assert (cause.cause, cause.certain) == (title("moved_before_the_score"), True)
    assert cause.evidence == "50 rows of what is scored stand elsewhere than guarded calls returned them"
