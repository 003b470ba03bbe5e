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


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        pytest.param("{}", "{:03}", id="zeros-of-labels"),
        pytest.param("{:03}", "{}", id="zeros-of-predictions"),
        pytest.param("{:02}", "img/{:02}", id="prefix"),
        pytest.param("{:03}.png", "{:03}.txt", id="ending"),
        pytest.param("SCAN{}", "Scan{}", id="case"),
    ],
)
def test_keys_that_pandas_reads_as_numbers_stay_text(tmp_path, ours, theirs):
    predictions, labels = (list(map(form.format, range(N))) for form in (ours, theirs))
    cause, folder = mended(tmp_path, PREDICTIONS.assign(image=predictions), LABELS.assign(file=labels))
    assert cause.startswith("keys differ by ")
    assert report_of(folder, labels="labels_mended.csv").verdict is Verdict.PASS


def test_labels_of_a_part_keep_the_zeros_of_their_keys(tmp_path):
    names = [f"{number:04}" for number in range(N)]
    _, folder = mended(tmp_path, PREDICTIONS.assign(image=names).iloc[5:25], LABELS.assign(file=names))
    assert report_of(folder, labels="labels_of_predictions.csv").verdict is Verdict.PASS


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


# -- By the number of the label row --

INDEXED = pd.DataFrame({"row": np.random.default_rng(1).permutation(N), "score": np.linspace(0, 1, N)})


def by_row(folder, predictions, name="predictions.csv"):
    """The report of predictions that name their label row."""
    if name.endswith(".npy"):
        np.save(folder / name, predictions["row"].to_numpy())
    else:
        predictions.to_csv(folder / name, index=False)
    index = None if name.endswith(".npy") else "row"
    # Not the names: they would be keys.
    (folder / "labels.csv").write_text(LABELS[["label"]].to_csv(index=False))
    return compare(TableCheck(folder / name, folder / "labels.csv", index=index, label="label"))


def run(report, folder):
    line = report.diagnosis[0].remedy.partition("after:")[2].strip()
    command = [sys.executable, *shlex.split(line, comments=True)[1:]]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


@pytest.mark.parametrize("name", ["predictions.csv", "predictions.npy", "it's the $1st.csv"])
def test_rows_that_name_their_label_are_joined_by_it(tmp_path, name):
    report = by_row(tmp_path, INDEXED, name)
    assert report.diagnosis[0].cause == "`shuffle=True`"
    run(report, tmp_path)
    scored = pd.read_csv(tmp_path / "scored.csv")
    assert scored["row"].tolist() == INDEXED["row"].tolist()
    assert scored["label"].tolist() == LABELS["label"].iloc[INDEXED["row"]].tolist()


@pytest.mark.parametrize("rows", [np.arange(N)[5:25], [*range(7), *range(8, N)]], ids=["subset", "left out"])
def test_rows_of_a_part_are_joined_by_their_number(tmp_path, rows):
    run(by_row(tmp_path, INDEXED.iloc[: len(rows)].assign(row=rows)), tmp_path)
    assert pd.read_csv(tmp_path / "scored.csv")["label"].tolist() == LABELS["label"].iloc[rows].tolist()


def test_rows_of_other_samples_are_left_out(tmp_path):
    more = pd.DataFrame({"row": [N, N + 5], "score": [0.0, 0.0]})
    report = by_row(tmp_path, pd.concat([INDEXED.sort_values("row"), more]))
    assert report.diagnosis[0].cause.startswith("rows that are none of the labelled samples")
    run(report, tmp_path)
    assert by_row(tmp_path, pd.read_csv(tmp_path / "predictions_of_labels.csv")).verdict is Verdict.PASS


@pytest.mark.parametrize("name", ["predictions.csv", "predictions.npy"])
def test_row_numbers_from_1_are_numbered_from_0(tmp_path, name):
    report = by_row(tmp_path, INDEXED.sort_values("row").assign(row=np.arange(1, N + 1)), name)
    assert [cause.cause for cause in report.diagnosis] == ["row numbers count from 1"]
    run(report, tmp_path)
    assert by_row(tmp_path, pd.read_csv(tmp_path / "predictions_from_0.csv")).verdict is Verdict.PASS


def test_rows_that_were_written_twice_are_left_once(tmp_path):
    cause, folder = mended(tmp_path, PREDICTIONS.iloc[[*range(20), *range(12, N)]], LABELS)
    assert cause == "part predicted twice"
    assert report_of(folder, predictions="predictions_once.csv").verdict is Verdict.PASS


def test_rows_in_any_order_that_come_twice_are_shown(tmp_path):
    PREDICTIONS.iloc[[*range(20), *range(15, N)]].to_csv(tmp_path / "predictions.csv", index=False)
    LABELS.to_csv(tmp_path / "labels.csv", index=False)
    tables = TableCheck(tmp_path / "predictions.csv", tmp_path / "labels.csv", "image", "file", order="any")
    report = compare(tables)
    assert report.headline == f"FAIL: {N + 5} predictions for {N} labels: 5 rows too many"
    (cause,) = report.diagnosis
    assert cause.cause == f"cause unknown, pattern: 5 rows repeated: '{NAMES[15]}', '{NAMES[16]}', '{NAMES[17]}', …"
    line = cause.remedy.partition("after:")[2].strip()
    command = [sys.executable, *shlex.split(line, comments=True)[1:]]
    shown = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert all(name in shown for name in NAMES[15:20])
    assert len(shown.splitlines()) == 11


@pytest.mark.parametrize(("again", "cause"), [(range(3), "stream wrapped"), ([4] * 3, "padded to whole batches")])
def test_rows_after_the_last_label_are_cut(tmp_path, again, cause):
    PREDICTIONS.iloc[[*range(N), *again]].to_csv(tmp_path / "predictions.csv", index=False)
    LABELS.to_csv(tmp_path / "labels.csv", index=False)
    report = report_of(tmp_path)
    assert report.diagnosis[0].cause.startswith(cause)
    before, after = report.diagnosis[0].remedy.splitlines()
    assert before.endswith("evalguard check predictions.csv labels.csv --key image --labels-key file --label label")
    assert f"--padding trim  # and score its first {N} rows" in after
    trimmed = TableCheck(
        tmp_path / "predictions.csv", tmp_path / "labels.csv", "image", "file", label="label", padding="trim"
    )
    assert compare(trimmed).verdict is Verdict.PASS
