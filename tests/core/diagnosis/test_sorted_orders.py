"""Rows in another sort order, or read in strides."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalguard.core.diagnosis import sorted_orders
from evalguard.core.diagnosis.sorted_orders import _ascends, sorted_otherwise, stride
from evalguard.core.label_table import LabelTable
from tests.core.diagnosis.causes import title, view_of
from tests.core.key_columns import report
from tests.core.signatures import label_values

AS_TEXT = np.asarray(sorted(range(50), key=str))
SHUFFLED = np.random.default_rng(1).permutation(50)


def keyed(samples, keys):
    view = view_of(samples)
    return replace(view, labels=replace(view.labels, keys=np.asarray(keys)))


@pytest.mark.parametrize(
    ("samples", "keys", "words"),
    [
        pytest.param(AS_TEXT, [f"{n}.png" for n in range(50)], "in order of text ('1.png' before '10.png')", id="text"),
        pytest.param(
            np.argsort(AS_TEXT), [f"{n}.png" for n in AS_TEXT], "keys in order of number ('1.png' before '2.png')",
            id="number",
        ),
        pytest.param(range(49, -1, -1), range(49, -1, -1), "the labels in order of number, backwards", id="integers"),
    ],
)  # fmt: skip
def test_keys_that_the_stream_sorts_in_another_way_are_certain(samples, keys, words):
    found = sorted_otherwise(keyed(samples, keys))
    assert found is not None
    assert (found.cause, found.certain) == (title("sorted_otherwise"), True)
    assert words in found.evidence


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        pytest.param(AS_TEXT, "the stream would be sorted as text if rows were named 0 to 49", id="from-0"),
        pytest.param(np.argsort(AS_TEXT), "the labels would be sorted as text if rows were named 0 to 49", id="labels"),
        pytest.param(
            np.asarray(sorted(range(50), key=lambda n: str(n + 1))), "if rows were named 1 to 50", id="from-1"
        ),
        pytest.param(np.argsort(label_values(50), kind="stable"), "7 classes one by one", id="classes"),
    ],
)
def test_row_numbers_and_classes_are_likely(samples, words):
    found = sorted_otherwise(view_of(samples))
    assert found is not None
    assert not found.certain
    assert words in found.evidence


@pytest.mark.parametrize("recogniser", [sorted_otherwise, stride])
@pytest.mark.parametrize("samples", [np.arange(50), SHUFFLED, np.roll(np.arange(50), 5), np.arange(5)[::-1]])
def test_another_order_is_not_recognised(recogniser, samples):
    assert recogniser(view_of(samples)) is None


@pytest.mark.parametrize("step", [2, 3, 7])
def test_shards_that_were_concatenated_are_a_stride(step):
    parts = [np.arange(first, 50, step) for first in range(step)]
    found = stride(view_of(np.concatenate(parts)))
    assert found is not None
    assert found.cause == f"stride of {step}: shards or ranks put one behind the other"
    assert not found.certain
    calls = tuple(map(len, parts))
    by_calls = stride(view_of(np.concatenate(parts), calls=calls))
    assert by_calls is not None
    assert by_calls.certain
    assert by_calls.evidence.endswith(f"one for each of the {step} calls")


def test_long_strides_are_files_read_in_turn():
    order = np.concatenate([np.arange(first, 50, 25) for first in range(25)])
    found = stride(view_of(order))
    assert found is not None
    assert found.cause == title("interleaved")
    assert "2 files of up to 25 rows in turn" in found.evidence


@given(st.lists(st.integers(0, 4), max_size=9), st.integers(1, 3))
def test_values_ascend_as_python_sees_it_for_any_chunk(values, size):
    order = np.arange(len(values))[::-1]
    taken = [values[row] for row in order.tolist()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evalguard.core.columns.chunks.ROWS", size)
        assert _ascends(np.asarray(values, dtype=np.int64), order) is (taken == sorted(taken))


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["a10", "a2", "a3", "a4", "a5", "a6"], "text ('a10' before 'a2'), the labels in order of number"),
        (["a1", "a2", "a3", "a4", "a5", "a10"], "number ('a1' before 'a2'), the labels in order of text"),
        (["a1", "a01", "a2", "a3", "a4", "a5"], "number ('a1' before 'a01'), the labels in order of number, backwards"),
        (["a1", "a2", "a3", "a4", "a5", "a6"], "text ('a1' before 'a2'), the labels in order of text, backwards"),
        ([f"{'a' * 60}{n}" for n in range(6)], f"('{'a' * 39} before '{'a' * 39})"),
        (["a3", "a1", "a2", "a5", "a4", "a10"], None),
        (["a1", "a2", "a3", "a4", "a5"], None),
    ],
)  # fmt: skip
def test_the_order_of_the_labels_is_said_beside_that_of_the_stream(names, words):
    def by_number(name):
        return int(name[1:])

    # The labels list the same names in another order: by number, by text, or backwards.
    other = names[::-1]
    if words and words.endswith(("in order of number", "in order of text")):
        other = sorted(names, key=by_number if words.endswith("number") else None)
    view = view_of([other.index(name) for name in names], n=len(names))
    found = sorted_otherwise(replace(view, labels=replace(view.labels, keys=np.asarray(other))))
    assert (found is None) == (words is None)
    if found is not None:
        assert words in found.evidence


def test_a_stream_in_the_order_of_the_labels_is_not_sorted_otherwise():
    assert sorted_otherwise(keyed(np.arange(50), np.arange(50))) is None


@pytest.mark.parametrize("n", [7, 9, 10])
def test_few_rows_have_no_numbers_that_are_sorted_as_text(n):
    samples = np.arange(n)
    samples[[1, 5]] = samples[[5, 1]]
    assert sorted_otherwise(view_of(samples, n=n, labels=LabelTable(values=np.arange(n)))) is None


def test_one_row_in_the_position_of_a_text_order_is_not_enough():
    samples = SHUFFLED.copy()
    at = int(np.flatnonzero(samples == 2)[0])
    samples[[10, at]] = samples[[at, 10]]
    assert sorted_otherwise(view_of(samples)) is None


CLASSES = label_values(50)
TEXT_RANK = np.argsort(AS_TEXT)


@pytest.mark.parametrize(
    ("values", "samples", "found"),
    [
        pytest.param(CLASSES, np.lexsort((np.arange(50), CLASSES)), True, id="by-number"),
        pytest.param(CLASSES, np.lexsort((TEXT_RANK, CLASSES)), True, id="by-text"),
        pytest.param(CLASSES, np.lexsort((-np.arange(50), CLASSES)), False, id="backwards"),
        pytest.param(np.stack([CLASSES] * 2, 1), np.lexsort((np.arange(50), CLASSES)), False, id="several-columns"),
        pytest.param({"a": CLASSES}, np.lexsort((np.arange(50), CLASSES)), False, id="named"),
        pytest.param(np.repeat([0, 1], 25), np.lexsort((TEXT_RANK, np.repeat([0, 1], 25))), False, id="labels-as-well"),
    ],
)
def test_classes_one_by_one_are_those_of_a_listing_of_directories(values, samples, found):
    cause = sorted_otherwise(view_of(samples, labels=LabelTable(values=values), targets=None))
    assert (cause is not None) is found
    if cause is not None:
        assert f"{len(np.unique(values))} classes one by one" in cause.evidence


@pytest.mark.parametrize(
    ("samples", "n", "cause"),
    [
        pytest.param([0, 2, 4, 1, 3, 5], 6, "stride of 2", id="six-rows"),
        pytest.param([0, 2, 1, 3], 4, None, id="few-rows"),
        pytest.param([*range(0, 48, 2), *range(1, 48, 2)], 50, None, id="not-all-rows"),
        pytest.param([0, 4, 1, 5, 2, 3], 6, None, id="more-blocks-than-half-of-the-rows"),
        pytest.param(np.concatenate([np.arange(first, 49, 7) for first in range(7)]), 49, "stride of 7", id="square"),
        pytest.param(np.r_[0, 2, 1, 3:50], 50, None, id="another-order"),
        pytest.param(np.r_[1, 3, 0, 2, 4:50], 50, None, id="not-from-the-start"),
    ],
)
def test_a_stride_goes_through_all_rows_in_blocks(samples, n, cause):
    found = stride(view_of(samples, n=n))
    assert (found is None) == (cause is None)
    if found is not None:
        assert found.cause == f"{cause}: shards or ranks put one behind the other"


def test_files_read_in_turn_are_likely_and_counted():
    order = np.concatenate([np.arange(first, 50, 25) for first in range(25)])
    found = stride(view_of(order, "tf.data"))
    assert found is not None
    assert not found.certain
    assert "cycle_length=2" in found.remedy


@pytest.mark.parametrize(("most", "found"), [(40, True), (39, False)])
def test_the_order_of_very_many_texts_is_not_tried(monkeypatch, most, found):
    monkeypatch.setattr(sorted_orders, "MAX_TEXTS", most)
    keys = [str(number) for number in range(40)]
    causes = report(sorted(keys), keys, np.asarray)["diagnosis"]
    assert any("keys in order of text" in cause["evidence"] for cause in causes) is found


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("turned", [False, True])
def test_rows_without_names_are_ordered_by_code_that_gives_the_order_of_the_stream(first, turned):
    as_text = np.array(sorted(range(30), key=lambda row: str(row + first)))
    samples = np.argsort(as_text) if turned else as_text
    assert ordered_by_fix(view_of(samples, n=30)) == samples.tolist()


def test_rows_without_names_are_ordered_by_class():
    values = np.array([2, 0, 1, 2, 1, 0, 0, 2, 1, 1, 0, 2] * 2)
    for samples in (np.argsort(values, kind="stable"), np.array(sorted(range(24), key=lambda n: (values[n], str(n))))):
        found = view_of(samples, n=24, targets=values[samples], labels=LabelTable(values))
        assert ordered_by_fix(found, y_true=values) == samples.tolist()


@pytest.mark.parametrize("keys", [None, np.array([f"{row * 7 % 50:02}" for row in range(50)])])
def test_labels_sorted_by_class(keys):
    y = np.random.default_rng(3).integers(0, 4, 50)
    order = np.argsort(y, kind="stable")
    found = view_of(np.argsort(order), labels=LabelTable(y[order], keys), targets=y)
    found = sorted_otherwise(found)
    assert found is not None
    assert (found.cause, found.certain) == (title("sorted_otherwise"), False)
    assert found.evidence.startswith("the labels go through 4 classes one by one")
    assert ("joined by key" in found.remedy) is (keys is None)


@pytest.mark.parametrize("block", [1, 3])
def test_files_of_one_class_that_are_read_in_turn_are_not_sorted(block):
    y = np.arange(48) // block % 4
    order = np.argsort(y, kind="stable")
    assert sorted_otherwise(view_of(np.argsort(order), n=48, labels=LabelTable(y[order]), targets=y)) is None


def ordered_by_fix(view, **names):
    """The order that the proposed line computes."""
    remedy = sorted_orders.sorted_otherwise(view).remedy
    assert ".loc[" not in remedy
    code = remedy.partition("# order = ")[2].partition(";")[0]
    order = eval(code, {"np": np, **names})  # noqa: S307 - the proposed line
    return np.asarray(order).tolist()
