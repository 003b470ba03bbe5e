"""Two tables that do not match: the line that the report proposes is run, and the tables that it writes match."""

import shlex
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from evalguard import Verdict
from evalguard.guards.check_tables import TableCheck, compare

N = 40
NAMES = [f"scan{number * 37 % 101}" for number in range(N)]
PREDICTIONS = pd.DataFrame({"image": NAMES, "score": np.linspace(0, 1, N)})
LABELS = pd.DataFrame({"file": NAMES, "label": np.arange(N) % 3})


def report_of(folder, predictions="predictions.csv", labels="labels.csv"):
    return compare(TableCheck(folder / predictions, folder / labels, key="image", labels_key="file", label="label"))


def mended(tmp_path, predictions, labels):
    """The report of the tables, and the folder in which the line that it proposes was run."""
    predictions.to_csv(tmp_path / "predictions.csv", index=False)
    labels.to_csv(tmp_path / "labels.csv", index=False)
    report = report_of(tmp_path)
    assert report.verdict is not Verdict.PASS
    line = report.diagnosis[0].remedy.partition("after:")[2].strip()
    assert line.startswith("python -c ")
    command = [sys.executable, *shlex.split(line, comments=True)[1:]]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    return report.diagnosis[0].cause, tmp_path


@pytest.mark.parametrize("labels", [LABELS.sort_values("file"), LABELS.sample(frac=1, random_state=1)])
def test_tables_in_another_order_are_joined_by_key(tmp_path, labels):
    cause, folder = mended(tmp_path, PREDICTIONS, labels)
    assert cause.startswith("keyed data in another order")
    scored = pd.read_csv(folder / "scored.csv")
    assert scored["image"].tolist() == scored["file"].tolist() == NAMES
    assert scored["label"].tolist() == LABELS["label"].tolist()


def test_tables_that_are_each_sorted_are_joined_by_key(tmp_path):
    by_number = PREDICTIONS.sort_values("image", key=lambda names: names.str[4:].astype(int))
    cause, folder = mended(tmp_path, by_number, LABELS.sort_values("file"))
    assert cause.startswith("labels in another sort order")
    scored = pd.read_csv(folder / "scored.csv")
    assert (scored["image"] == scored["file"]).all()


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda names: "data/" + names, id="prefix"),
        pytest.param(lambda names: names + ".png", id="suffix"),
        pytest.param(lambda names: names.str.upper(), id="case"),
        pytest.param(lambda names: "scan" + names.str[4:].str.zfill(5), id="zeros"),
    ],
)
def test_keys_that_differ_are_mended_in_a_file_that_matches(tmp_path, change):
    cause, folder = mended(tmp_path, PREDICTIONS, LABELS.assign(file=change(LABELS["file"])))
    assert cause.startswith("keys differ by ")
    assert report_of(folder, labels="labels_mended.csv").verdict is Verdict.PASS


def test_numbers_that_became_floats_are_mended(tmp_path):
    numbers = pd.Series(range(100, 100 + N))
    predictions = PREDICTIONS.assign(image=numbers)
    cause, folder = mended(
        tmp_path, predictions, LABELS.assign(file=numbers.astype(str) + ".0x").replace("x", "", regex=True)
    )
    assert cause == "keys differ by their type"
    assert report_of(folder, labels="labels_mended.csv").verdict is Verdict.PASS


@pytest.mark.parametrize(("kept", "named"), [(slice(5, 25), "subset"), ([*range(7), *range(8, N)], "samples left out")])
def test_labels_of_a_part_are_those_of_its_rows(tmp_path, kept, named):
    cause, folder = mended(tmp_path, PREDICTIONS.iloc[kept], LABELS)
    assert cause.startswith(named)
    assert report_of(folder, labels="labels_of_predictions.csv").verdict is Verdict.PASS


def test_rows_that_come_several_times_are_left_once(tmp_path):
    cause, folder = mended(tmp_path, pd.concat([PREDICTIONS] * 2), LABELS)
    assert cause.startswith("source copied")
    assert report_of(folder, predictions="predictions_once.csv").verdict is Verdict.PASS
