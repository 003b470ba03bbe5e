"""Which rows are their own, which are other rows, and which are neither."""

import numpy as np

from evalguard.capture.moved_rows import FAR, FAR_IN_HALF_PRECISION, DeliveredRows


def compare(kept, again, source, *, far=FAR, strict=False):
    return DeliveredRows(np.asarray(kept)).compare(np.asarray(again), np.asarray(source), far=far, strict=strict)


FLOATS = np.random.default_rng(0).normal(size=(12, 3))
IN_ORDER = np.arange(12)


def test_rows_within_the_tolerance_are_their_own():
    noise = np.random.default_rng(1).uniform(-1, 1, FLOATS.shape)
    assert compare(FLOATS, FLOATS + 4e-7 * noise, IN_ORDER) == 0
    assert compare(FLOATS, FLOATS + 1e-3 * noise, IN_ORDER) == -1
    assert compare(FLOATS, FLOATS[::-1] + 4e-7 * noise, IN_ORDER) == 12


def test_nan_and_infinite_values_are_equal_to_themselves():
    kept = np.where(FLOATS > 1, np.nan, np.where(FLOATS < -1, np.inf, FLOATS))
    assert compare(kept, kept, IN_ORDER) == 0
    assert compare(kept, kept[::-1], IN_ORDER) == 12


def test_one_large_value_does_not_hide_that_others_moved():
    kept = np.where(IN_ORDER[:, None] == 4, 1e9, FLOATS)
    swapped = kept[[1, 0, *range(2, 12)]]
    assert compare(kept, swapped, IN_ORDER) == 2
    sparse = np.where(FLOATS < 1.5, 0, FLOATS)
    assert compare(sparse, sparse * (1 + 4e-7), IN_ORDER) == 0
    assert compare(np.zeros((12, 3)), FLOATS, IN_ORDER) == -1


def test_rows_that_are_near_one_another_moved_unless_half_precision_explains_it():
    kept = 1 + IN_ORDER[:, None] * 1e-3
    assert compare(kept, kept[::-1], IN_ORDER) == 12
    assert compare(kept, kept[::-1], IN_ORDER, far=FAR_IN_HALF_PRECISION) == -1
    assert compare(FLOATS, FLOATS[::-1], IN_ORDER, far=FAR_IN_HALF_PRECISION) == 12


def test_a_row_that_flips_between_two_classes_did_not_move():
    classes = np.arange(12) % 4
    flipped = np.where(IN_ORDER == 5, 3, classes)
    assert compare(classes, flipped, IN_ORDER) == -1
    assert compare(classes, classes[::-1], IN_ORDER) > 0
    assert compare(classes, classes[::-1], IN_ORDER, strict=True) == -1


def test_a_few_rows_that_meet_others_by_chance_did_not_move():
    again = FLOATS + 1
    again[3] = FLOATS[7]
    assert compare(FLOATS, again, IN_ORDER) == -1
    # Most of them do: a row that came from elsewhere is not against it.
    again = FLOATS[np.r_[11, 0:11]]
    again[0] = 0
    assert compare(FLOATS, again, IN_ORDER) == 11
