"""Public reports of labels that are shifted, and of a pandas index that nobody compares, rebuilt; some are sound.

Each function does what its reporter did, and returns the options of the guard and what is predicted.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import KFold, train_test_split

import evalguard
from evalguard import Verdict

STEPS, LENGTH = 120, 10
# Every value is another one, so that a model that returns its last input names the window.
SERIES = np.random.default_rng(0).permutation(STEPS).astype("float32")
CLASSES = np.random.default_rng(1).integers(0, 4, STEPS)
TABLE = pd.DataFrame({"x": np.arange(STEPS, dtype="float32"), "label": CLASSES})
HOURS = pd.date_range("2024-03-01", periods=STEPS, freq="h")
TRADING_DAYS = pd.bdate_range("2024-03-01", periods=STEPS)


def windows(data, targets, **options):
    return keras.utils.timeseries_dataset_from_array(
        data, targets, **{"sequence_length": LENGTH, "batch_size": 16, **options}
    )


def of_windows(labels, data=SERIES[:-LENGTH], targets=SERIES[LENGTH:], **options):
    return {"labels": labels}, windows(data, targets, **options)


TARGETS = SERIES[LENGTH:]
N_WINDOWS = len(TARGETS) - LENGTH + 1


# -- Shifts -----------------------------------------------------------------------------------------------------------


def last_labels():
    return of_windows(TARGETS[-N_WINDOWS:])


def first_labels():
    return of_windows(TARGETS[:N_WINDOWS])


def all_labels():
    return of_windows(TARGETS)


def targets_of_the_first_step():
    """The stream's target is the first step of the window, the label that of its last."""
    return of_windows(SERIES[LENGTH - 1 :], SERIES, SERIES)


def targets_of_the_last_step():
    return of_windows(SERIES[LENGTH - 1 :], SERIES, SERIES[LENGTH - 1 :])


def every_third_window():
    return of_windows(TARGETS[:N_WINDOWS:3], sequence_stride=3)


def every_second_step():
    rows = STEPS - (LENGTH - 1) * 2
    return of_windows(SERIES[(LENGTH - 1) * 2 :], SERIES, SERIES[:rows], sampling_rate=2)


def a_step_late():
    """Classes of a series; labels that were cut like the inputs of the next step."""
    return {"labels": CLASSES[1:]}, windows(SERIES[:-1], CLASSES[:-1], sequence_length=1)


def a_season_late():
    season = 48
    return {"labels": SERIES[season:]}, windows(SERIES[:-season], SERIES[:-season], sequence_length=1)


# -- Indexes ----------------------------------------------------------------------------------------------------------


def split_apart():
    _, x = train_test_split(TABLE[["x"]], test_size=0.5, random_state=1)
    _, y = train_test_split(TABLE["label"], test_size=0.5, random_state=2)
    return {"labels": y}, x


def split_together():
    _, x, _, y = train_test_split(TABLE[["x"]], TABLE["label"], test_size=0.5, random_state=1)
    return {"labels": y}, x


def sorted_by_a_column():
    options, x = split_together()
    return options, x.sort_values("x")


def labels_of_the_other_half():
    train, test = train_test_split(TABLE, test_size=0.5, random_state=1)
    return {"labels": train["label"]}, test[["x"]]


def rows_dropped_from_x():
    """``dropna`` of the inputs; the labels are cut to the same length."""
    x = TABLE[["x"]].drop(index=[50, 70]).iloc[10:]
    return {"labels": TABLE["label"].iloc[10 : 10 + len(x)]}, x


def rows_dropped_apart():
    """``dropna`` of the inputs, and of the labels."""
    return {"labels": TABLE["label"].drop(index=[60, 80]).iloc[10:]}, TABLE[["x"]].drop(index=[50, 70]).iloc[10:]


def rows_dropped_from_both():
    table = TABLE.drop(index=[50, 70]).iloc[10:]
    return {"labels": table["label"]}, table[["x"]]


def index_dropped_on_purpose():
    options, x = split_together()
    return options, x.reset_index(drop=True)


def index_dropped_by_a_scaler():
    options, x = split_together()
    return options, x.to_numpy()


def origins_and_targets_by_the_hour():
    y = pd.Series(CLASSES, index=HOURS)
    return {"labels": y.iloc[24:]}, pd.DataFrame({"x": SERIES}, index=HOURS).iloc[:-24]


def origins_and_targets_by_trading_day():
    y = pd.Series(CLASSES, index=TRADING_DAYS)
    return {"labels": y.iloc[1:]}, pd.DataFrame({"x": SERIES}, index=TRADING_DAYS).iloc[:-1]


def origins_and_targets_by_row():
    return {"labels": TABLE["label"].iloc[61:]}, TABLE[["x"]].iloc[60:-1]


def reference_sorted():
    table = TABLE.set_axis([f"subject {at:03}" for at in range(STEPS)]).sample(frac=1, random_state=2)
    return {"labels": table["label"], "reference": table[["x"]].sort_index()}, table["x"].to_numpy()[:, None]


@dataclass
class Report:
    """A public report.

    Attributes:
        cite: The threads, or why it is sound.
        build: Returns options and inputs.
        verdict: What the report says.
        proof: Its proof; empty: any.
        cause: How the first cause begins.
        found: What a finding says.
        fix: What the fix says.
        hazard: What the hazard says; none where this is empty.
    """

    cite: str
    build: Callable[[], Any]
    verdict: Verdict = Verdict.FAIL
    proof: str = ""
    cause: str = ""
    found: str = ""
    fix: str = ""
    hazard: str = ""


LATE = "the labels are {} late, label i is target i + "
REPORTS = (
    Report(
        "keras-team/keras#21305, MLBazaar/MLPrimitives#136",
        last_labels,
        cause="labels shifted by 9",
        found=LATE.format("9 rows") + "9",
        fix="targets[::sequence_stride][:len(y_pred)]",
    ),
    Report("sound: the fix of keras-team/keras#21305", first_labels, Verdict.PASS, "labels"),
    Report("tensorflow/tensorflow#60135", all_labels, cause="fewer windows than labels", fix="[:len(y_pred)]"),
    Report(
        "tensorflow/tensorflow#40343, keras-team/keras-preprocessing#66",
        targets_of_the_first_step,
        cause="labels shifted by 9",
        found=LATE.format("9 rows") + "9",
    ),
    Report("sound: keras-team/keras#17410", targets_of_the_last_step, Verdict.PASS, "labels"),
    Report("sound: a stride", every_third_window, Verdict.PASS, "labels"),
    Report("keras-team/keras-preprocessing#66: a sampling rate", every_second_step, cause="labels shifted by 18"),
    Report("keras-team/keras#2856, jaungiers' LSTM#10: `y[1:]`", a_step_late, cause="labels shifted by 1"),
    Report("Nixtla/neuralforecast#727: a season", a_season_late, cause="labels shifted by 48"),
    Report(
        "udacity/sdc-issue-reports#1326, HazyResearch/meerkat#106",
        split_apart,
        cause="indexes of x and labels differ",
        fix="train_test_split(x, y)",
    ),
    Report("sound: one split", split_together, Verdict.PASS, "identity"),
    Report(
        "scikit-learn/scikit-learn#25419",
        sorted_by_a_column,
        proof="identity",
        cause="indexes of x and labels differ",
        fix="x.loc[labels.index]",
    ),
    Report("mindsdb/mindsdb_native#519", labels_of_the_other_half, Verdict.UNPROVEN),
    # The labels may as well have been numbered again, without the gaps.
    Report("statsmodels/statsmodels#206", rows_dropped_from_x, Verdict.UNPROVEN),
    Report("statsmodels/statsmodels#206, of each", rows_dropped_apart, cause="indexes of x and labels differ"),
    Report("sound: rows dropped from both", rows_dropped_from_both, Verdict.PASS, "identity"),
    Report("sound: pycaret/pycaret#1218", index_dropped_on_purpose, Verdict.PASS, "declared"),
    Report("sound: kgdunn/process-improve#228", index_dropped_by_a_scaler, Verdict.PASS, "declared"),
    Report(
        "sound: ibm-granite-community/granite-timeseries-cookbook#28",
        origins_and_targets_by_the_hour,
        Verdict.PASS,
        "declared",
        hazard="is 1 day later than",
    ),
    Report(
        "sound: Nixtla/mlforecast#108",
        origins_and_targets_by_trading_day,
        Verdict.PASS,
        "declared",
        hazard="is the one 1 row after",
    ),
    # Without times nothing says that other numbers are meant.
    Report("Nixtla/mlforecast#108, by row", origins_and_targets_by_row, Verdict.UNPROVEN),
    Report("IBM/AutoXAI4Omics#58", reference_sorted, cause="indexes of the reference and labels differ"),
)


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: report.build.__name__)
def test_the_guard_says_what_is_off_and_what_is_not(report):
    options, x = report.build()
    shape = x.element_spec[0].shape[1:] if hasattr(x, "element_spec") else (1,)
    inputs = keras.Input(shape)
    model = keras.Model(inputs, inputs[:, -1:])
    with evalguard.guard(**options, on_failure="record", on_unproven="record", mlflow=False) as g:
        model.predict(x, verbose=0)
    judged = g.report
    assert judged.verdict is report.verdict, (report.cite, judged.headline, judged.not_proven)
    assert report.proof in {"", str(judged.proof)}
    if judged.verdict is Verdict.FAIL:
        assert judged.diagnosis[0].cause.startswith(report.cause)
        assert any(report.found in finding.message for finding in judged.findings)
        assert report.fix in judged.diagnosis[0].remedy
    assert len(judged.hazards) == bool(report.hazard)
    assert report.hazard in "".join(judged.hazards)


def test_folds_of_a_table_are_known_by_its_index():
    """IBM/lale#734: predictions of a fold have a range, its rows have the index of the table."""
    table = TABLE.set_axis([f"s{at}" for at in range(STEPS)])
    inputs = keras.Input((1,))
    model = keras.Model(inputs, keras.layers.Identity()(inputs))
    folds = [test for _, test in KFold(4, shuffle=True, random_state=1).split(table)]
    for put_back, verdict in ((True, Verdict.PASS), (False, Verdict.FAIL)):
        oof = np.zeros((STEPS, 1), "float32")
        quiet = {"on_failure": "record", "on_unproven": "record", "mlflow": False}
        with evalguard.guard(labels=table["label"], scope="parts", **quiet) as g:
            parts = [model.predict(table[["x"]].iloc[fold], verbose=0) for fold in folds]
            oof[np.concatenate(folds) if put_back else np.arange(STEPS)] = np.concatenate(parts)
            g.confirm(oof, CLASSES)
        assert (g.report.verdict, g.report.proof) == (verdict, "identity")
