"""Another assignment of classes that explains the labels far better: found where it is true, and only there."""

import numpy as np
import pytest

from evalguard.guards.other_numbers import confusion, other_numbers, predicted_numbers
from tests.guards import classifiers

RNG = np.random.default_rng(5)


def found(predicted, labels):
    counts = confusion(np.asarray(predicted), np.asarray(labels))
    assert counts is not None
    return other_numbers(counts)


def noisy(labels, classes, share=0.1, seed=1):
    """The labels, some of them replaced."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random(len(labels)) < share, rng.integers(0, classes, len(labels)), labels)


@pytest.mark.parametrize("kind", [classifiers.random_shares, classifiers.weak_shares, classifiers.good_shares])
def test_no_random_weak_or_good_classifier_seems_to_be_numbered_otherwise(kind):
    assert classifiers.count(kind, 300, seed=7) == 0


def test_most_classifiers_with_renumbered_classes_are_found():
    """Some have no rows of some classes, or few."""
    rng = np.random.default_rng(7)
    assert sum(classifiers.seems_otherwise(rng, classifiers.renumbered_shares, rows=2000) for _ in range(100)) >= 60


@pytest.mark.parametrize("classes", [2, 3, 10, 50])
def test_numbers_that_are_moved_on_are_found_with_their_offset(classes):
    labels = np.arange(2000) * 7 % classes
    seen = found((noisy(labels, classes) + 1) % classes, labels)
    assert seen.class_of == {(label + 1) % classes: label for label in range(classes)}
    assert seen.better > 0.85
    assert seen.accuracy < 0.15
    assert seen.offset == 0  # the last class is where the first one was


def test_labels_that_count_from_one_have_an_offset():
    labels = np.arange(600) % 4
    seen = found(labels, labels + 1)
    assert (seen.class_of, seen.offset) == ({0: 1, 1: 2, 2: 3, 3: 4}, 1)


def test_a_test_set_without_the_first_class_has_an_offset():
    labels = np.arange(600) % 3
    seen = found(labels + 1, labels)
    assert (seen.class_of, seen.offset) == ({1: 0, 2: 1, 3: 2}, -1)


def test_two_classes_of_many_that_are_exchanged_are_found_alone():
    labels = np.arange(2000) % 10
    seen = found(np.where(labels == 3, 7, np.where(labels == 7, 3, noisy(labels, 10))), labels)
    assert seen.class_of == {3: 7, 7: 3}
    assert 0.6 < seen.accuracy < 0.8 < seen.better


@pytest.mark.parametrize(
    ("predicted", "labels"),
    [
        pytest.param(np.arange(400) % 5, np.arange(400) % 5, id="right"),
        pytest.param(np.ones(400, int), np.zeros(400, int), id="one-class-and-one-prediction"),
        pytest.param(np.ones(400, int), np.r_[np.zeros(390, int), np.ones(10, int)], id="constant"),
        pytest.param(
            np.r_[np.ones(200, int), np.full(200, 2)], np.r_[np.zeros(200, int), np.full(200, 2)], id="one-of-two"
        ),
        pytest.param(np.arange(12) % 2, 1 - np.arange(12) % 2, id="few-rows"),
        pytest.param(np.arange(400), np.arange(400)[::-1], id="all-different"),
        pytest.param(np.full(400, -0), np.full(400, -1), id="rows-without-a-class"),
    ],
)
def test_nothing_is_found_where_nothing_says_so(predicted, labels):
    counts = confusion(predicted, labels)
    assert counts is None or other_numbers(counts) is None


def test_two_confused_classes_that_the_test_set_lacks_are_no_other_numbers():
    """A model of many classes takes two of the tested ones for others, which are not tested: the rest is right."""
    labels = np.arange(2000) % 10
    predicted = np.where(labels == 3, 53, np.where(labels == 4, 54, labels))
    assert found(predicted, labels) is None


def test_the_result_does_not_depend_on_the_order_of_the_rows():
    labels = np.sort(np.arange(2000) % 4)
    assert found((labels + 1) % 4, labels) == found((labels + 1) % 4, labels)
    for rows in (slice(None), RNG.permutation(2000), np.arange(2000) % 2 * 1000 + np.arange(2000) // 2):
        assert found(((labels + 1) % 4)[rows], labels[rows]).class_of == {1: 0, 2: 1, 3: 2, 0: 3}


@pytest.mark.parametrize(
    ("output", "classes", "numbers"),
    [
        pytest.param(np.eye(3)[[2, 0, 1]], 3, [2, 0, 1], id="columns"),
        pytest.param(np.eye(5)[[4, 0]], 3, [4, 0], id="more-columns-than-classes"),
        pytest.param(np.asarray([[0.2], [0.7]]), 2, [0, 1], id="sigmoid"),
        pytest.param(np.asarray([0.2, 0.7]), 2, [0, 1], id="one-axis"),
        pytest.param(np.asarray([[-3.0], [4.0]]), 2, [0, 1], id="logits"),
        pytest.param(np.asarray([[3.0], [1.0]]), 4, [3, 1], id="numbers"),
        pytest.param(np.asarray([3, 1]), 4, [3, 1], id="integers"),
        pytest.param(np.asarray([[0.2], [0.7]]), 3, None, id="one-number-for-three-classes"),
        pytest.param(np.asarray([[np.nan], [0.7]]), 2, None, id="nan"),
        pytest.param(np.zeros((3, 2, 2)), 2, None, id="images"),
        pytest.param(np.zeros((3, 2000)), 2, None, id="too-many-columns"),
        pytest.param(np.asarray(["a"]), 2, None, id="text"),
        pytest.param(np.zeros((0, 1)), 2, None, id="no-rows"),
        pytest.param(np.zeros(()), 2, None, id="a-scalar"),
        pytest.param("text", 2, None, id="no-array"),
    ],
)
def test_the_class_of_each_row_is_known_for_outputs_of_classes_only(output, classes, numbers):
    seen = predicted_numbers(output, classes)
    assert (None if seen is None else seen.tolist()) == numbers


def test_numbers_that_are_too_large_are_no_classes():
    assert confusion(np.asarray([5000]), np.asarray([1])) is None


def test_the_counts_are_those_of_all_rows():
    predicted, labels = RNG.integers(0, 4, 100_000), RNG.integers(-1, 3, 100_000)
    counts = confusion(predicted, labels)
    assert counts is not None
    assert counts.shape == (2, 4, 4)
    assert counts.sum() == (labels >= 0).sum()
    assert counts.sum(axis=0)[2, 1] == ((predicted == 2) & (labels == 1)).sum()
    assert abs(counts[0].sum() - counts[1].sum()) < 3000


def test_the_trial_prints_its_counts(capsys):
    assert classifiers.main(5) == 0
    assert capsys.readouterr().out.startswith("hazards: 0 of 5 random classifiers, 0 of 5 weak ones, 0 of 5 good\n")
