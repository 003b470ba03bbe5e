"""The index of frames and series as it is read: its kind, a copy of its names, and what is no name."""

import numpy as np
import pandas as pd
import pytest

from evalguard.core.row_names import INTEGERS, SEVERAL_ORDERS, TEXT, TIMES
from evalguard.data.pandas_index import index_of

DAYS = pd.date_range("2024-03-01", periods=3)
LETTERS = ["a", "b", "c"]


def frame(index=None):
    return pd.DataFrame({"x": [1.0, 2.0, 3.0]}, index=index)


@pytest.mark.parametrize(
    ("index", "kind"),
    [
        pytest.param(None, INTEGERS, id="default"),
        pytest.param(pd.RangeIndex(5, 8), INTEGERS, id="range"),
        pytest.param([7, 3, 5], INTEGERS, id="integers"),
        pytest.param(pd.Index([7, 3, 5], dtype="uint64"), INTEGERS, id="unsigned"),
        pytest.param(pd.Index([7, 3, 5], dtype="Int64"), INTEGERS, id="nullable"),
        pytest.param(pd.Index([7, 3, 2**63], dtype="uint64"), "integer values", id="too-large"),
        pytest.param(LETTERS, TEXT, id="text"),
        pytest.param(pd.Index(LETTERS, dtype=object), TEXT, id="objects"),
        pytest.param(DAYS, TIMES, id="times"),
        pytest.param(DAYS.tz_localize("Europe/Berlin"), "times of a time zone", id="time-zone"),
        pytest.param([1.5, 2.5, 3.5], "floating values", id="floats"),
        pytest.param(["a", None, "c"], "missing values", id="null"),
        pytest.param([pd.NaT, *DAYS[1:]], "missing values", id="not-a-time"),
        pytest.param(["a", 1, "c"], "mixed-integer values", id="mixed"),
        pytest.param(pd.MultiIndex.from_product([LETTERS, [1]]), "tuples (a MultiIndex)", id="tuples"),
        pytest.param(pd.period_range("2024-03", periods=3, freq="M"), "period values", id="periods"),
        pytest.param(pd.CategoricalIndex(LETTERS), "categorical values", id="categories"),
    ],
)
def test_each_kind_has_a_name(index, kind):
    found = index_of(frame(index))
    assert (found.kind, len(found)) == (kind, 3)
    assert found.comparable == (kind in {INTEGERS, TEXT, TIMES, "times of a time zone"})
    assert found.by_default == (index is None)
    if found.comparable and kind != "times of a time zone":
        assert [*found.keys()] == [*(frame(index).index.to_numpy())]


def test_times_of_a_zone_are_compared_as_instants():
    berlin, utc = (DAYS.tz_localize("Europe/Berlin").tz_convert(zone) for zone in ("Europe/Berlin", "UTC"))
    assert np.array_equal(index_of(frame(berlin)).keys(), index_of(frame(utc)).keys())


@pytest.mark.parametrize(
    "structure",
    [None, np.zeros(3), [1, 2, 3], "labels.csv", {"a": np.zeros(3)}, [frame(LETTERS)] * 65, 7],
    ids=["nothing", "array", "list", "text", "mapping", "a-long-list", "number"],
)
def test_what_has_none(structure):
    assert index_of(structure) is None


def test_of_several_parts_those_with_names_must_be_equal():
    named, unnamed, other = frame(LETTERS), frame(), frame(LETTERS[::-1])
    assert [*index_of({"a": unnamed, "b": [named, np.zeros(3)], "c": named["x"]}).keys()] == LETTERS
    assert index_of((named, other)).kind == SEVERAL_ORDERS
    assert index_of((named, frame(["a", "b", "d"]))) is None
    assert index_of([unnamed, unnamed]).by_default


def test_the_names_are_a_copy():
    memory = np.array([7, 3, 5])
    held = frame(pd.Index(memory, copy=False))
    found = index_of(held)
    memory[:] = 0
    assert found.keys().tolist() == [7, 3, 5]


def test_very_long_names_are_not_compared(monkeypatch):
    monkeypatch.setattr("evalguard.data.pandas_index.MAX_CHARACTERS", 8)
    assert index_of(frame(LETTERS)).comparable
    assert index_of(frame(["a", "b", "ccc"])).kind == "long text"


def test_an_index_that_cannot_be_read_costs_nothing(monkeypatch):
    monkeypatch.setattr(pd.DataFrame, "index", property(lambda _: 1 / 0))
    assert index_of(pd.DataFrame({"x": [1]})) is None
