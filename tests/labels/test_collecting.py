"""A loop's batches as they are, and what is kept of them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import evalguard
from evalguard import Labels, LabelsError, UnsupportedSourceError, testing

X = np.arange(20, dtype="float32")[:, None] * 1.5
Y = np.arange(20) % 3
BATCHES = testing.aligned_batches(20, 6)
EXPECTED_ROWS = r"expected batches \(x, y\) with one label for each of the {} rows of x, found {}"


def batches():
    return [(X[ids], Y[ids]) for ids in BATCHES]


class Counted:
    """A source that counts what was taken from it, and says how many batches there are."""

    def __init__(self):
        self.made, self.opened = [], 0

    def __len__(self):
        return len(BATCHES)

    def __iter__(self):
        self.opened += 1
        for batch in batches():
            self.made.append(batch)
            yield batch


def test_a_loop_gets_the_very_batches_and_none_is_read_ahead():
    source = Counted()
    collecting = evalguard.collecting(source)
    assert len(collecting) == len(BATCHES)
    assert source.opened == 0
    loop = iter(collecting)
    for number in range(1, 3):
        assert next(loop) is source.made[-1]
        assert len(source.made) == number
        assert len(collecting.labels) == 6 * number


@pytest.mark.parametrize("kind", [list, tuple, dict])
def test_batches_keep_their_type(kind):
    x = {"a": X[:6]} if kind is dict else X[:6]
    batch = [x, Y[:6]] if kind is list else (x, Y[:6])
    (given,) = evalguard.collecting([batch])
    assert given is batch
    assert given[0] is x


def test_tensors_of_a_dataset_stay_tensors():
    dataset = tf.data.Dataset.from_tensor_slices((X, Y)).batch(6)
    collecting = evalguard.collecting(dataset)
    assert len(collecting) == len(dataset)
    assert all(isinstance(part, tf.Tensor) for batch in collecting for part in batch)


def test_a_source_of_unknown_length_has_none_here():
    for source in (iter(batches()), tf.data.Dataset.from_generator(batches, output_types=("float32", "int64"))):
        with pytest.raises(TypeError):
            len(evalguard.collecting(source))
        list(evalguard.collecting(source))


def test_it_collects_what_labels_collect_does():
    dataset = tf.data.Dataset.from_tensor_slices(({"x": X, "id": np.arange(20)}, {"a": Y, "b": X})).batch(6)
    collecting = evalguard.collecting(dataset, key="id", name="test part")
    list(collecting)
    labels = Labels.collect(dataset, key="id", name="test part")
    assert isinstance(collecting.labels, Labels)
    assert collecting.labels.digest == labels.digest
    assert (collecting.labels.name, collecting.labels.spec) == ("test part", labels.spec)
    assert np.array_equal(collecting.labels.fingerprints, labels.fingerprints)


def test_nothing_that_is_kept_shares_memory_with_the_loop():
    collecting = evalguard.collecting(batches())
    for x, y in collecting:
        x[:], y[:] = -1, -1
    assert np.array_equal(collecting.labels.values, Y)
    reference = Labels.collect(batches)
    assert np.array_equal(collecting.labels.fingerprints, reference.fingerprints)


def test_each_pass_adds_its_batches():
    collecting = evalguard.collecting(batches())
    for _ in range(2):
        list(collecting)
    assert np.array_equal(collecting.labels.values, np.tile(Y, 2))


@pytest.mark.parametrize(
    ("y", "values"),
    [
        pytest.param([0, 1, 2], [0, 1, 2], id="numbers"),
        pytest.param([np.int64(0), np.int64(1), np.int64(2)], [0, 1, 2], id="numpy numbers"),
        pytest.param(("a", "b", "c"), ["a", "b", "c"], id="names"),
        pytest.param([[0, 1], [1, 0], [1, 1]], [[0, 1], [1, 0], [1, 1]], id="rows"),
    ],
)
def test_labels_may_be_lists(y, values):
    for given, read in ((y, lambda found: found), ({"a": y}, lambda found: found["a"])):
        collecting = evalguard.collecting([(X[:3], given)])
        list(collecting)
        assert np.array_equal(read(collecting.labels.values), values)


def test_labels_of_several_outputs_may_be_a_list_of_arrays():
    collecting = evalguard.collecting([(X[:3], [Y[:3], X[:3]])])
    list(collecting)
    assert {name: len(part) for name, part in collecting.labels.values.items()} == {"0": 3, "1": 3}


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        pytest.param((X[:3], Y[:2]), EXPECTED_ROWS.format(3, 2), id="too few labels"),
        pytest.param((X[0], 1), EXPECTED_ROWS.format(1, "a scalar"), id="one sample"),
        pytest.param((X[:3], {"a": Y[:3], "b": Y[:2]}), EXPECTED_ROWS.format(3, "(3, 2|2, 3)"), id="one output"),
        pytest.param(X[:3], r"expected batches \(x, y\), found one without y \(ndarray\)", id="no labels"),
        pytest.param({"x": X, "y": Y}, r"found one without y \(dict\); map the source to pairs", id="dict"),
    ],
)
def test_a_batch_that_is_no_pair_is_refused_before_it_is_yielded(batch, message):
    given: list[object] = []
    with pytest.raises(LabelsError, match=message):
        given.extend(evalguard.collecting([batch]))
    assert given == []


def test_numbers_of_rows_that_are_equal_over_all_batches_only_are_refused_by_collect():
    with pytest.raises(LabelsError, match=EXPECTED_ROWS.format(3, 2)):
        Labels.collect(lambda: iter([(X[:3], Y[:2]), (X[3:5], Y[2:5])]))


def test_a_pydataset_ends_where_it_says_also_in_releases_where_it_is_no_iterable(monkeypatch):
    monkeypatch.delattr(keras.utils.PyDataset, "__iter__", raising=False)

    class Slices(keras.utils.PyDataset):
        def __len__(self):
            return 2

        def __getitem__(self, index):
            return X[index * 6 : index * 6 + 6], Y[index * 6 : index * 6 + 6]

    assert len(list(evalguard.collecting(Slices()))) == 2


def test_a_source_with_items_only_is_read_as_a_loop_reads_it():
    class Items:
        def __getitem__(self, index):
            return batches()[index]

    assert len(list(evalguard.collecting(Items()))) == len(BATCHES)


def test_what_no_loop_can_read_is_refused():
    with pytest.raises(UnsupportedSourceError, match="that a for loop can read, found int"):
        list(evalguard.collecting(3))
