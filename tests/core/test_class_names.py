"""Names of classes by number: how they are given, and labels that are names as numbers."""

import numpy as np
import pandas as pd
import pytest

from evalguard.core import class_names
from evalguard.core.class_names import ClassNames, names_by_output
from evalguard.errors import ConfigError

ANIMALS = ClassNames(("bird", "cat", "dog"))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(["cat", "dog"], {"": ("cat", "dog")}, id="list"),
        pytest.param(("cat", "dog"), {"": ("cat", "dog")}, id="tuple"),
        pytest.param(np.asarray(["cat", "dog"]), {"": ("cat", "dog")}, id="array"),
        pytest.param(np.asarray(["cat", "dog"], object), {"": ("cat", "dog")}, id="classes-of-an-encoder"),
        pytest.param(pd.Index(["cat", "dog"]), {"": ("cat", "dog")}, id="index"),
        pytest.param({"dog": 1, "cat": 0}, {"": ("cat", "dog")}, id="class-indices"),
        pytest.param({"dog": np.int64(1), "cat": 0}, {"": ("cat", "dog")}, id="numbers-of-numpy"),
        pytest.param({"a": ["cat", "dog"], "b": {"x": 0}}, {"a": ("cat", "dog"), "b": ("x",)}, id="by-output"),
        pytest.param(None, {}, id="nothing"),
    ],
)
def test_names_are_given_by_number_or_by_output(given, expected):
    assert {output: names.names for output, names in names_by_output(given).items()} == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param("cat", "classes: expected a list of names by class number, found str", id="one-text"),
        pytest.param(3, "classes: expected a list of names by class number, found int", id="a-number"),
        pytest.param([], "found no name", id="empty"),
        pytest.param({}, "found no name", id="empty-mapping"),
        pytest.param([0, 1], "expected names as text.*found '0' \\(int\\)", id="numbers"),
        pytest.param(["cat", None], "found 'None' \\(NoneType\\)", id="none"),
        pytest.param(["cat", "dog", "cat"], "expected each name once, found 'cat' twice", id="repeated"),
        pytest.param({"cat": 0, "dog": 2}, "expected the numbers 0 to 1, each once; found \\[0, 2\\]", id="gap"),
        pytest.param({"cat": 0, "dog": 0}, "expected the numbers 0 to 1, each once", id="one-number-twice"),
        pytest.param({"a": ["x"], "b": 3}, r"classes\['b'\]: expected a list of names", id="output-without-a-list"),
        pytest.param({"a": ["x", "x"]}, r"classes\['a'\]: expected each name once", id="repeated-in-an-output"),
    ],
)
def test_what_is_no_list_of_names_is_refused(given, message):
    with pytest.raises(ConfigError, match=message):
        names_by_output(given)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        pytest.param(np.asarray(["a", "b"]), True, id="text"),
        pytest.param(np.asarray([["a"], ["b"]]), True, id="a-column"),
        pytest.param(np.asarray(["a", b"b"], object), True, id="objects"),
        pytest.param(np.asarray([b"a"]), True, id="bytes"),
        pytest.param(np.asarray(["a", 1], object), False, id="mixed"),
        pytest.param(np.asarray([["a", "b"]]), False, id="two-a-row"),
        pytest.param(np.asarray([1, 2]), False, id="numbers"),
        pytest.param(["a"], False, id="a-list"),
        pytest.param(np.asarray("a"), False, id="a-scalar"),
    ],
)
def test_labels_are_names_if_each_row_is_one_text(values, text):
    assert class_names.is_text(values) is text


@pytest.mark.parametrize("kind", ["U", "S", "O"])
def test_names_become_numbers(kind, monkeypatch):
    monkeypatch.setattr("evalguard.core.columns.chunks.ROWS", 2)
    values = np.asarray(["dog", "bird", "cat", "emu", "dog"], kind)
    assert class_names.numbers_of(values, ANIMALS).tolist() == [2, 0, 1, class_names.NO_NAME, 2]
    assert class_names.distinct_names(values) == ["bird", "cat", "dog", "emu"]


def test_too_many_names_are_no_classes():
    assert class_names.distinct_names(np.arange(2000).astype(str)) is None


def test_a_missing_name_lists_both_sides_and_the_nearest():
    text = class_names.missing_names(["Cat"], ANIMALS, ["bird", "Cat"], "labels.csv")
    assert text == (
        "labels.csv: expected names in classes= ('bird', 'cat', 'dog'), found 'Cat'; "
        "the labels have 'Cat', 'bird'. Did you mean 'cat'?"
    )


def test_long_lists_are_cut_to_what_is_near():
    many = ClassNames(tuple(f"class {number:03}" for number in range(200)))
    text = class_names.missing_names(["klass 150"], many, many.names, "labels")
    assert "'class 150'" in text
    assert "and 194 more" in text
    assert len(text) < 500


def test_the_classes_that_are_numbered_otherwise_are_named_with_both_numbers():
    folder = ClassNames(("cat", "dog"), "class_indices of DirectoryIterator")
    assert class_names.numbered_otherwise(folder, ANIMALS, [0, 1]) == [0, 1]
    assert class_names.numbered_otherwise(ANIMALS, ANIMALS, [0, 1, 2, 7]) == []
    assert class_names.translation(folder, ANIMALS).tolist() == [1, 2]
    assert class_names.translation(ANIMALS, folder).tolist() == [class_names.NO_NAME, 0, 1]
    text = class_names.otherwise_text("the labels", folder, ANIMALS, [0, 1])
    assert text == (
        "the labels number the classes otherwise than classes=: 'cat' is 0 in class_indices of DirectoryIterator and 1 "
        "in classes=, 'dog' is 1 and 2"
    )


def test_names_are_shown_with_their_numbers():
    assert class_names.numbered(ANIMALS) == "'bird' 0, 'cat' 1, 'dog' 2"
    assert class_names.numbered(ClassNames(tuple("abcdefgh"))).endswith("'f' 5 and 2 more")
    assert (ANIMALS.name(1), ANIMALS.name(9)) == ("'cat'", "9")


@pytest.mark.parametrize(
    ("values", "numbers"),
    [
        pytest.param(np.asarray([2, 0, 1]), [2, 0, 1], id="integers"),
        pytest.param(np.asarray([[2], [0]]), [2, 0], id="a-column"),
        pytest.param(np.asarray([2.0, -1.0]), [2, -1], id="whole-floats"),
        pytest.param(np.asarray([True, False]), [1, 0], id="booleans"),
        pytest.param(np.eye(3)[[2, 0]], [2, 0], id="one-hot"),
        pytest.param(np.asarray([0.5, 1.0]), None, id="floats"),
        pytest.param(np.asarray([np.nan, 1.0]), None, id="nan"),
        pytest.param(np.asarray([np.inf, 1.0]), None, id="infinity"),
        pytest.param(np.asarray([[1, 1], [0, 1]]), None, id="several-classes-a-row"),
        pytest.param(np.asarray([1 << 20]), None, id="too-large"),
        pytest.param(np.zeros((2, 3, 3)), None, id="masks"),
        pytest.param(np.zeros(0), None, id="no-rows"),
        pytest.param(np.asarray(["a"]), None, id="text"),
        pytest.param([1, 2], None, id="a-list"),
    ],
)
def test_labels_are_class_numbers_if_they_are_whole_or_one_hot(values, numbers):
    found = class_names.class_numbers_in(values)
    assert (None if found is None else found.tolist()) == numbers


def test_the_numbers_that_are_there_are_listed():
    assert class_names.numbers_present(np.asarray([3, 0, -1, 3])) == [0, 3]
    assert class_names.numbers_present(np.asarray([-1])) == []
