"""What predictions show of the classes, without a model; tests/guards/test_class_numbers.py has them behind one."""

import numpy as np
import pytest

from evalguard.core.class_names import ClassNames
from evalguard.core.label_table import LabelTable
from evalguard.guards.class_numbers import class_numbers
from evalguard.guards.other_numbers import columns_of
from evalguard.guards.predicted_classes import SEEM, hazards_of, names_of_rows

N = 200
LABELS = LabelTable(values=np.arange(N) % 4)
MOVED_ON = np.eye(4)[(np.arange(N) + 1) % 4]


@pytest.mark.parametrize(
    ("samples", "found"),
    [
        pytest.param(range(N), True, id="in-order"),
        pytest.param(np.arange(N), True, id="listed"),
        pytest.param(np.where(np.arange(N) % 9 == 0, -1, np.arange(N)), True, id="some-not-known"),
        pytest.param(np.full(N, -1), False, id="not-known"),
        pytest.param((np.arange(N) + 1) % N, False, id="of-other-rows"),
        pytest.param(None, False, id="nothing"),
    ],
)
def test_each_row_is_compared_with_its_label(samples, found):
    hazards = hazards_of(class_numbers({}, LABELS), MOVED_ON, samples, LABELS)
    assert [hazard.startswith(SEEM) for hazard in hazards] == [True] * found


def test_rows_of_padding_are_left_out():
    padded = np.concatenate([MOVED_ON, MOVED_ON[:7]])
    assert len(hazards_of(class_numbers({}, LABELS), padded, range(N), LABELS)) == 1


def test_labels_without_values_show_nothing():
    keys = LabelTable(keys=np.arange(N))
    assert hazards_of(class_numbers({}, keys), MOVED_ON, range(N), keys) == ()


@pytest.mark.parametrize(("shape", "columns"), [((3, 4), 4), ((3, 1), 1), ((3,), 1), ((3, 2, 2), 0), ((), 0)])
def test_columns_are_those_of_one_row_for_each_sample(shape, columns):
    assert columns_of(np.zeros(shape)) == columns


def test_masked_rows_and_numbers_without_a_name_give_no_name():
    names = ClassNames(("a", "b"))
    masked = np.ma.MaskedArray([0, 1, 1], mask=[False, False, True])
    assert names_of_rows(masked, names).tolist() == ["a", "b", None]
    assert names_of_rows(np.asarray([0, 5]), names).tolist() == ["a", None]
    texts = np.ma.MaskedArray(["x", "y"], mask=[True, False])
    assert names_of_rows(texts, names).tolist() == [None, "y"]
    assert names_of_rows(np.asarray([[0.2], [0.9]]), names).tolist() == ["a", "b"]
    assert names_of_rows(np.zeros((3, 5)), names) is None
