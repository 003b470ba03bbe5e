"""The stream's own targets, compared with the labels in any form that both may have."""

from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalguard.core import checks, target_comparison
from tests.core.streams import streams

LABELS = np.asarray([0, 2, 1, 2])


ONE_HOT = np.eye(3)[LABELS]


ALIKE = [
    pytest.param(LABELS, LABELS, id="equal"),
    pytest.param(LABELS.astype("float32"), LABELS, id="class numbers as floats"),
    pytest.param(LABELS[:, None], LABELS, id="a column"),
    pytest.param(LABELS, LABELS[:, None, None], id="a column of columns"),
    pytest.param(ONE_HOT, LABELS, id="one-hot targets"),
    pytest.param(LABELS.astype("float32"), ONE_HOT, id="one-hot labels"),
    pytest.param(ONE_HOT.astype("float32"), ONE_HOT, id="both one-hot"),
    pytest.param(ONE_HOT.astype(bool), LABELS, id="one-hot of booleans"),
    pytest.param(
        np.asarray([0.1, 0.2, 0.3, 1 / 3], "float32"), np.asarray([0.1, 0.2, 0.3, 1 / 3]), id="cast to float32"
    ),
    pytest.param(
        np.asarray([0.1, 0.2, 0.3, 1 / 3], "float16"), np.asarray([0.1, 0.2, 0.3, 1 / 3]), id="cast to float16"
    ),
    pytest.param(np.asarray([1.0, np.nan, 3, 4]), np.asarray([1, np.nan, 3, 4], "float32"), id="NaN"),
    pytest.param(np.asarray([b"a", b"b", b"a", b"c"]), np.asarray(["a", "b", "a", "c"]), id="bytes and text"),
    pytest.param(np.asarray([b"a", "b", b"a", "c"], object), np.asarray(["a", "b", "a", "c"]), id="objects and text"),
    pytest.param(np.asarray(["é".encode(), b"e"] * 2, object), np.asarray(["é", "e"] * 2), id="UTF-8"),
    pytest.param(np.asarray([True, False, True, False]), np.asarray([1, 0, 1, 0]), id="booleans"),
    pytest.param(LABELS.astype("uint64"), LABELS, id="unsigned"),
    pytest.param((LABELS,), LABELS, id="a tuple of one"),
    pytest.param([LABELS], {"y": LABELS}, id="a list of one and a mapping of one"),
    pytest.param(LABELS, {"y": LABELS}, id="an array and a mapping of one"),
    pytest.param({"y": LABELS}, LABELS, id="a mapping of one and an array"),
    pytest.param({"b": ONE_HOT, "a": LABELS}, {"a": LABELS, "b": LABELS}, id="mappings by name"),
    pytest.param((LABELS, ONE_HOT), {"a": LABELS, "b": LABELS}, id="a tuple and a mapping by order"),
    pytest.param({"y": LABELS}, MappingProxyType({"y": LABELS}), id="a mapping that is no dict"),
    pytest.param(np.stack([LABELS, LABELS], 1), np.stack([LABELS, LABELS], 1), id="two numbers a row"),
]


@pytest.mark.parametrize(("targets", "values"), ALIKE)
def test_equal_targets_are_equal_in_any_form(targets, values):
    comparison = target_comparison.compare_labels(targets, values)
    assert (comparison.comparable, comparison.rows.tolist(), comparison.why_not) == (True, [], "")


def _turned(targets):
    if isinstance(targets, dict):
        return {name: _turned(part) for name, part in targets.items()}
    if isinstance(targets, (tuple, list)):
        return type(targets)(_turned(part) for part in targets)
    return targets[[0, 1, 3, 2]]


@pytest.mark.parametrize(("targets", "values"), ALIKE)
def test_two_swapped_targets_are_found_in_any_form(targets, values):
    assert target_comparison.compare_labels(_turned(targets), values).rows.tolist() == [2, 3]


@pytest.mark.parametrize(
    ("targets", "values"),
    [
        pytest.param(None, LABELS, id="no targets"),
        pytest.param(LABELS, None, id="no labels"),
        pytest.param(np.ones((4, 2, 2)), LABELS, id="masks and class numbers"),
        pytest.param(np.full((4, 3), 1 / 3), LABELS, id="probabilities and class numbers"),
        pytest.param(LABELS, np.asarray(["a", "b", "c", "d"]), id="numbers and names"),
        pytest.param((LABELS, LABELS), LABELS, id="two outputs and one column"),
        pytest.param({"a": LABELS}, {"b": LABELS}, id="other names"),
        pytest.param((LABELS, LABELS), {"a": LABELS}, id="two outputs and one named column"),
        pytest.param(np.asarray(["a", 1], object), np.asarray(["a", "1"]), id="names beside numbers, and text"),
        pytest.param(np.asarray([[1, 0], [0.5, 0.5]]), LABELS[:2], id="a class and a probability"),
        pytest.param(np.asarray([[1, 0], [1, 1]]), LABELS[:2], id="one class and several"),
    ],
)
def test_what_cannot_be_compared_says_so_and_is_no_fault(targets, values):
    comparison = target_comparison.compare_labels(targets, values)
    assert not comparison.comparable
    assert comparison.why_not
    assert comparison.rows.size == 0
    assert checks.check_labels(comparison) is None


def test_what_is_absent_is_named():
    assert target_comparison.compare_labels(None, LABELS).why_not == "the stream carries no targets"
    assert target_comparison.compare_labels(LABELS, None).why_not == "no label values"


def test_a_value_on_one_side_only_is_a_difference():
    assert target_comparison.compare_labels(np.asarray([1, np.nan, 3]), np.asarray([1.0, 2, 3])).rows.tolist() == [1]
    assert target_comparison.compare_labels(np.asarray([1.0, 2, 3]), np.asarray([1, np.nan, 3])).rows.tolist() == [1]


def test_classes_and_probabilities_of_the_same_shape_differ():
    comparison = target_comparison.compare_labels(ONE_HOT, np.full((4, 3), 1 / 3))
    assert (comparison.comparable, comparison.rows.tolist()) == (True, [0, 1, 2, 3])


GROUPS = np.asarray([7, 7, 9, 9, 9], dtype=np.uint64)
ZEROS = [[0, 0]] * 3


@pytest.mark.parametrize(
    ("targets", "values", "alike"),
    [
        pytest.param([2, 1, 3, 4, 5], [1, 2, 3, 4, 5], [1, 1, 1, 1, 1], id="one-pair-exchanged"),
        pytest.param([2, 2, 4, 5, 3], [1, 2, 3, 4, 5], [0, 0, 1, 1, 1], id="another-count"),
        pytest.param([3, 2, 1, 4, 5], [1, 2, 3, 4, 5], [0, 0, 0, 0, 0], id="between-groups"),
        pytest.param([np.nan, 1, 3, 4, 5], [1, np.nan, 3, 4, 5], [1, 1, 1, 1, 1], id="no-number"),
        pytest.param(["b", "a", "c", "c", "d"], ["a", "b", "c", "d", "c"], [1, 1, 1, 1, 1], id="text"),
        pytest.param(np.eye(5)[[1, 0, 2, 3, 4]], [0, 1, 2, 3, 4], [1, 1, 1, 1, 1], id="one-hot"),
        pytest.param([[1, 2], [3, 4], *ZEROS], [[3, 4], [1, 2], *ZEROS], [1, 1, 1, 1, 1], id="rows"),
        pytest.param([[1, 4], [3, 2], *ZEROS], [[3, 4], [1, 2], *ZEROS], [0, 0, 1, 1, 1], id="parts-of-rows"),
    ],
)
def test_in_a_group_the_labels_may_come_in_any_order(targets, values, alike):
    rows, same_in_groups = np.arange(5), target_comparison.same_in_groups
    targets, values = np.asarray(targets), np.asarray(values)
    assert same_in_groups(targets, values, rows, rows, GROUPS).tolist() == alike
    two = {"a": targets, "b": np.zeros(5)}, {"a": values, "b": np.zeros(5)}
    assert same_in_groups(*two, rows, rows, GROUPS).tolist() == alike
    assert same_in_groups(targets, values, rows[:0], rows[:0], GROUPS[:0]).tolist() == []
    assert same_in_groups(targets, values[::-1], rows, rows[::-1], GROUPS).tolist() == alike


def test_outputs_are_exchanged_together():
    """One output in another order and the other not: no exchange of two whole samples."""
    rows, groups, values = np.arange(2), GROUPS[:2], {"a": np.asarray([1, 2]), "b": np.asarray([3, 4])}
    for b, alike in (([4, 3], True), ([3, 4], False)):
        targets = {"a": np.asarray([2, 1]), "b": np.asarray(b)}
        assert target_comparison.same_in_groups(targets, values, rows, rows, groups).tolist() == [alike] * 2


def test_objects_are_not_looked_into():
    objects, rows = np.asarray([1, "a"], dtype=object), np.arange(2)
    assert not target_comparison.same_in_groups(objects, objects, rows, rows, GROUPS[:2]).any()


@pytest.mark.parametrize("size", [1, 2, 4])
def test_targets_are_one_hot_in_every_chunk_or_not_at_all(size, monkeypatch):
    monkeypatch.setattr("evalguard.core.columns.chunks.ROWS", size)
    targets = np.asarray([[1, 0], [0, 1], [0.5, 0.5], [0.2, 0.8]])
    assert not target_comparison.compare_labels(targets, np.asarray([0, 1, 0, 1])).comparable


@pytest.mark.parametrize(
    ("targets", "values"),
    [
        pytest.param(np.zeros(0), LABELS, id="nothing delivered"),
        pytest.param(np.zeros((0, 3)), ONE_HOT, id="nothing of a matrix delivered"),
    ],
)
def test_no_rows_are_no_disagreement(targets, values):
    assert target_comparison.compare_labels(targets, values).rows.tolist() == []


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=30))
def test_the_rows_that_differ_are_those_that_differ(pairs):
    targets, values = np.asarray(pairs).T
    expected = [row for row, (target, value) in enumerate(pairs) if target != value]
    assert target_comparison.compare_labels(targets, values).rows.tolist() == expected
    assert target_comparison.compare_labels(np.eye(5, dtype="float32")[targets], values).rows.tolist() == expected
    finding = checks.check_labels(target_comparison.compare_labels(targets, values))
    assert (finding.count if finding else 0) == len(expected)


@given(streams(unknown=True), st.integers(0, 2**32))
def test_targets_can_be_compared_with_the_label_of_the_rows_own_sample(stream, seed):
    samples, n = stream
    rng = np.random.default_rng(seed)
    values, targets = rng.integers(0, 3, n), rng.integers(0, 3, len(samples))
    expected = [
        row for row, sample in enumerate(samples.tolist()) if 0 <= sample < n and targets[row] != values[sample]
    ]
    assert target_comparison.compare_labels(targets, values, samples).rows.tolist() == expected


@pytest.mark.parametrize(
    ("targets", "values", "same"),
    [
        pytest.param([2, 0, 1], [0, 1, 2], True, id="another-order"),
        pytest.param([2, 0, 0], [0, 1, 2], False, id="another-value"),
        pytest.param([0, 0, 1], [0, 1, 1], False, id="another-number-of-each"),
        pytest.param([0, 1], [0, 1, 1], False, id="another-length"),
        pytest.param(np.eye(3)[[2, 0, 1]], [0, 1, 2], True, id="one-hot"),
        pytest.param(np.ones((3, 2)), np.ones((3, 2)), False, id="two-numbers-a-row"),
        pytest.param(["a", "b"], [0, 1], False, id="names-and-numbers"),
    ],
)
def test_the_same_values_in_any_order_are_the_same_multiset(targets, values, same):
    assert target_comparison.same_multiset(np.asarray(targets), np.asarray(values)) is same


def test_several_outputs_are_no_one_multiset():
    assert not target_comparison.same_multiset((LABELS, LABELS), (LABELS, LABELS))
    assert not target_comparison.same_multiset({"a": LABELS}, {"b": LABELS})
    assert target_comparison.same_multiset({"a": LABELS}, {"a": LABELS[::-1]})


@pytest.mark.parametrize("size", [1, 2, 3])
def test_rows_that_differ_are_found_at_the_end_of_any_chunk(size, monkeypatch):
    monkeypatch.setattr("evalguard.core.columns.chunks.ROWS", size)
    comparison = target_comparison.compare_labels(np.asarray([0, 1, 9, 3, 9]), np.arange(5))
    assert comparison.rows.tolist() == [2, 4]
    swapped = target_comparison.compare_labels(np.asarray([1, 0, 9]), np.arange(5), np.asarray([1, 0, 2]))
    assert swapped.rows.tolist() == [2]


@pytest.mark.parametrize("targets", ["int64", "uint64"])
@pytest.mark.parametrize("labels", ["int64", "uint64"])
def test_integers_of_any_types_are_compared_exactly(targets, labels):
    large = 2**53
    comparison = target_comparison.compare_labels(np.asarray([large + 1, 5], targets), np.asarray([large, 5], labels))
    assert comparison.rows.tolist() == [0]
    assert not target_comparison.same_multiset(np.asarray([large + 1], targets), np.asarray([large], labels))


A, B = np.asarray([0, 1]), np.asarray([2, 3])
IN_ORDER, NAMED = {"0": A, "1": B}, {"b": B, "a": A}


@pytest.mark.parametrize(
    ("values", "targets", "outputs", "expected"),
    [
        pytest.param(NAMED, (A, B), ("a", "b"), {"a": A, "b": B}, id="targets in order get the names of the labels"),
        pytest.param(NAMED, [A, B], ("a", "b"), {"a": A, "b": B}, id="a list, too"),
        pytest.param(IN_ORDER, NAMED, ("a", "b"), (A, B), id="named targets get the order of the labels"),
        pytest.param({"p": A, "q": B}, (A, B), ("a", "b"), (A, B), id="names of no output: by order"),
        pytest.param(IN_ORDER, (A, B), ("a", "b"), (A, B), id="both in order"),
        pytest.param(NAMED, NAMED, ("a", "b"), NAMED, id="both named"),
        pytest.param(IN_ORDER, {"p": A, "q": B}, ("a", "b"), {"p": A, "q": B}, id="targets of other names"),
        pytest.param(NAMED, (A, B), (), (A, B), id="a model whose outputs are not known"),
        pytest.param(NAMED, (A, B, A), ("a", "b"), (A, B, A), id="targets of another number"),
        pytest.param({"a": A}, None, ("a",), None, id="no targets"),
        pytest.param(A, {"a": A}, ("a",), {"a": A}, id="one output"),
    ],
)
def test_targets_take_the_form_of_the_labels(values, targets, outputs, expected):
    found = target_comparison.in_form_of(values, targets, outputs)
    assert type(found) is type(expected)
    assert target_comparison.compare_labels(found, expected).rows.size == 0
    if isinstance(expected, dict):
        assert list(found) == list(expected)


BLOCKS = np.repeat(np.arange(4), 6)


@pytest.mark.parametrize(
    ("labels", "samples", "mapping", "shift"),
    [
        pytest.param(BLOCKS + 1, None, {0: 1, 1: 2, 2: 3, 3: 4}, 0, id="numbers-from-one-in-blocks"),
        pytest.param(np.roll(BLOCKS, -6), None, {}, -6, id="blocks-that-moved"),
        pytest.param(np.roll(BLOCKS, -6), np.arange(24), {0: 1, 1: 2, 2: 3, 3: 0}, 0, id="blocks-of-known-samples"),
        pytest.param(np.append(BLOCKS[2:], [7, 8]), None, {}, -2, id="early"),
    ],
)
def test_other_numbers_are_what_explains_every_row(labels, samples, mapping, shift):
    found = target_comparison.compare_labels(BLOCKS, labels, samples)
    found = target_comparison.as_one_quantity(found, BLOCKS, labels, samples)
    assert (found.comparable, found.mapping, found.shift) == (True, mapping, shift)
