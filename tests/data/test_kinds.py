"""Kinds of sources, asked with real objects of each framework: each is of one kind only."""

import sys
import types

import keras
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import tensorflow as tf
import tf_keras

from evalguard.data import kinds

X = np.arange(12, dtype="float32").reshape(6, 2)
IMAGES = np.zeros((4, 8, 8, 3), "float32")


class Items(keras.utils.PyDataset):
    # As arrays have them: the class decides, not the attributes.
    shape = (6, 2)

    def __array__(self):
        return X

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return (X,)


class Sequence(tf_keras.utils.Sequence):
    def __len__(self):
        return 1

    def __getitem__(self, index):
        return (X,)


def image_iterator(library):
    module = keras.src.legacy.preprocessing.image if library is keras else tf_keras.preprocessing.image
    return module.ImageDataGenerator().flow(IMAGES, batch_size=2)


PREDICATES = {
    "arrays": kinds.is_arrays,
    "dataset": kinds.is_tf_dataset,
    "pydataset": kinds.is_pydataset,
    "sequence": kinds.is_sequence,
    "generator": kinds.is_generator,
    "iterator": kinds.is_iterator,
    "image iterator": kinds.is_image_iterator,
}
ARRAYS = {
    "array": X,
    "tensor": tf.constant(X),
    "variable": tf.Variable(X),
    "data frame": pd.DataFrame(X),
    "series": pd.Series([1, 2]),
    "ragged": tf.ragged.constant([[1], []]),
    "sparse": tf.sparse.from_dense(X),
    "scipy": scipy.sparse.csr_matrix(X),
    "tree": {"a": X, "b": (tf.constant(X), [pd.DataFrame(X)])},
}


@pytest.mark.parametrize("x", ARRAYS.values(), ids=ARRAYS)
def test_arrays_tensors_and_tables_are_arrays_only(x):
    assert [name for name, predicate in PREDICATES.items() if predicate(x)] == ["arrays"]


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        pytest.param(lambda: tf.data.Dataset.from_tensors(X), ["dataset"], id="tf.data"),
        pytest.param(Items, ["pydataset"], id="pydataset"),
        pytest.param(Sequence, ["sequence"], id="sequence"),
        pytest.param(lambda: (X for _ in range(2)), ["generator", "iterator"], id="generator"),
        pytest.param(lambda: iter([X]), ["iterator"], id="iterator"),
        pytest.param(lambda: iter(tf.data.Dataset.from_tensors(X)), ["iterator"], id="iterator-of-tf.data"),
        pytest.param(lambda: image_iterator(keras), ["pydataset", "iterator", "image iterator"], id="images-keras"),
        pytest.param(
            lambda: image_iterator(tf_keras), ["sequence", "iterator", "image iterator"], id="images-tf_keras"
        ),
    ],
)
def test_a_source_is_of_its_kinds_only(make, expected):
    assert [name for name, predicate in PREDICATES.items() if predicate(make())] == expected


@pytest.mark.parametrize("x", [None, (), {}, [1.0, 2.0], "text", 3, object(), {"a": X, "b": "text"}, [X, object()]])
def test_other_objects_are_not_arrays(x):
    assert not kinds.is_arrays(x)


@pytest.mark.parametrize("missing", ["tensorflow", "keras", "tf_keras"])
def test_without_a_framework_no_object_is_of_its_kind(monkeypatch, missing):
    sources = [tf.data.Dataset.from_tensors(X), Items(), Sequence()]
    monkeypatch.delitem(sys.modules, missing)
    found = [kinds.is_tf_dataset(sources[0]), kinds.is_pydataset(sources[1]), kinds.is_sequence(sources[2])]
    assert found == [name != missing for name in ("tensorflow", "keras", "tf_keras")]
    assert missing not in sys.modules
    assert kinds.is_arrays(X)


def instance(name, module, base=object):
    return types.new_class(name, (base,), exec_body=lambda scope: scope.update(__module__=module))()


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param(instance("DataLoader", "torch.utils.data.dataloader"), True, id="torch"),
        pytest.param(instance("MapDataset", "grain._src.python.dataset.dataset"), True, id="grain"),
        pytest.param(
            instance("Mine", "my.module", type(instance("DataLoader", "torch.utils.data.dataloader"))),
            True,
            id="subclass",
        ),
        pytest.param(instance("DataLoader", "my.module"), False, id="another-class-of-this-name"),
        pytest.param(instance("Dataset", "torch.utils.data.dataset"), False, id="another-class-of-torch"),
        pytest.param(X, False, id="array"),
    ],
)
def test_loaders_without_room_for_a_tag_are_recognised_by_class_and_module(source, expected):
    assert kinds.is_untaggable(source) is expected


def test_a_distributed_dataset_cannot_carry_a_tag():
    dataset = tf.distribute.get_strategy().experimental_distribute_dataset(tf.data.Dataset.range(4).batch(2))
    assert kinds.is_untaggable(dataset) is not kinds.is_tf_dataset(dataset)


@pytest.mark.parametrize("library", [keras, tf_keras])
def test_files_are_named_in_their_own_order_however_they_are_shuffled(tmp_path, library):
    for label, name in (("b", "2.png"), ("a", "10.png"), ("a", "1.png")):
        (tmp_path / label).mkdir(exist_ok=True)
        keras.utils.save_img(tmp_path / label / name, IMAGES[0])
    module = keras.src.legacy.preprocessing.image if library is keras else tf_keras.preprocessing.image
    iterator = module.ImageDataGenerator().flow_from_directory(tmp_path, target_size=(8, 8), shuffle=True, seed=1)
    names = kinds.file_names(iterator)
    assert names is not None
    assert names.tolist() == ["a/1.png", "a/10.png", "b/2.png"]


@pytest.mark.parametrize("name", ["index_array", "_get_batches_of_transformed_samples"])
def test_one_of_the_two_attributes_does_not_make_an_image_iterator(name):
    assert not kinds.is_image_iterator(types.SimpleNamespace(**{name: None}))


def test_iterators_of_arrays_and_other_sources_have_no_files():
    assert kinds.file_names(image_iterator(keras)) is None
    assert kinds.file_names(X) is None
    named = Items()
    named.filenames = ["a.png"]
    assert kinds.file_names(named) is None


@pytest.mark.parametrize("names", [None, [], "ab", [1, 2], ("a", 2)])
def test_a_dataset_without_a_list_of_names_has_none(names):
    dataset = tf.data.Dataset.range(3)
    assert kinds.class_names(dataset) is None
    dataset.class_names = names
    assert kinds.class_names(dataset) is None


def test_names_are_those_of_the_source_by_number():
    dataset = tf.data.Dataset.range(3)
    dataset.class_names = ["b", "a"]
    found = kinds.class_names(dataset)
    assert found is not None
    assert (found.names, found.source, found.certain) == (("b", "a"), "class_names of RangeDataset", False)
    assert kinds.class_names(np.zeros(3)) is None


@pytest.mark.parametrize("indices", [{"a": 0, "b": 2}, {"a": 0, "b": 0}, ["a", "b"], None])
def test_an_image_iterator_with_odd_numbers_names_none(indices):
    iterator = types.SimpleNamespace(index_array=None, _get_batches_of_transformed_samples=None, class_indices=indices)
    assert kinds.class_names(iterator) is None
