"""Whether labels were changed since they were read."""

import numpy as np
import pytest

from evalguard.core.label_changes import ArrayWatch, checksum
from evalguard.core.label_table import LabelTable

N = 6


@pytest.mark.parametrize(
    "values",
    [
        np.arange(N),
        np.arange(N) / 3,
        np.eye(N),
        np.array(list("abcdef")),
        np.array(list("abcdef"), dtype=object),
        np.arange(2 * N)[::2],
        {"a": np.arange(N), "b": np.ones(N)},
    ],
)
def test_labels_in_another_order_have_another_checksum(values):
    table = LabelTable(values=values)
    before = checksum(table)
    assert checksum(table) == before
    array = values["a"] if isinstance(values, dict) else values
    array[:] = array[::-1].copy()
    assert checksum(table) != before


def test_weights_count_as_well():
    table = LabelTable(values=np.zeros(N), weights=np.arange(N, dtype="float64"))
    assert checksum(table) != checksum(LabelTable(values=np.zeros(N), weights=np.arange(N, dtype="float64")[::-1]))


def test_labels_in_a_file_are_not_read_for_it(tmp_path):
    np.save(tmp_path / "y.npy", np.arange(N))
    mapped = np.load(tmp_path / "y.npy", mmap_mode="r")
    assert checksum(LabelTable(values=mapped)) is None
    assert checksum(LabelTable(values=np.asarray(mapped)[1:])) is None


def test_labels_that_are_keys_only_have_nothing_that_is_scored():
    assert checksum(LabelTable(keys=np.array(["a", "b"]))) == 0


@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: {"a": x}, lambda x: (x, np.ones(N)), lambda x: [{"a": x}]])
def test_a_watch_notices_arrays_that_change_and_remembers_it(wrap):
    array = np.arange(N)
    watch = ArrayWatch(wrap(array))
    assert not watch.check()
    array[:] = array[::-1].copy()
    assert watch.check()
    array[:] = array[::-1].copy()
    assert watch.changed
    assert watch.check()


@pytest.mark.parametrize("given", [None, [1, 2], "labels.csv", np.array(3), lambda: None])
def test_what_is_no_array_of_rows_is_not_watched(given):
    assert not ArrayWatch(given).check()
