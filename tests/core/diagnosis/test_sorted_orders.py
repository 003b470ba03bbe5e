"""Rows in another sort order, or read in strides."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalguard.core.diagnosis import sorted_orders
from evalguard.core.diagnosis.sorted_orders import ascends, sorted_otherwise, stride
from tests.core.diagnosis.causes import view_of
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
        pytest.param(np.argsort(SHUFFLED), SHUFFLED, "in order of number, the labels do not", id="integers"),
    ],
)  # fmt: skip
def test_keys_that_the_stream_sorts_in_another_way_are_certain(samples, keys, words):
    found = sorted_otherwise(keyed(samples, keys))
    assert found is not None
    assert (found.cause, found.certain) == (sorted_orders.SORTED, True)
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
    assert found.cause == sorted_orders.INTERLEAVED
    assert "2 files of up to 25 rows in turn" in found.evidence


@given(st.lists(st.integers(0, 4), max_size=9), st.booleans(), st.integers(1, 3))
def test_values_ascend_as_python_sees_it_for_any_chunk(values, strictly, size):
    order = np.arange(len(values))[::-1]
    taken = [values[row] for row in order.tolist()]
    expected = taken == sorted(taken) and (not strictly or len(set(taken)) == len(taken))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evalguard.core.columns.chunks.ROWS", size)
        assert ascends(np.asarray(values, dtype=np.int64), order, strictly=strictly) is expected
