"""``show_keys=False``: every byte that leaves evalguard is searched for keys that were planted.

What a user asks for by name keeps them: ``g.keys``, ``g.to_frame()`` and the predictions that a step writes.
"""

import logging
import pickle
import re
import shutil
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import evalguard
from evalguard import Labels, Verdict
from evalguard.core.report import Report
from evalguard.reporting import artifacts
from evalguard.reporting.file_sink import FileSink
from evalguard.reporting.svg import to_svg

# A part of every key, as text, number and date.
PLANTED = re.compile(rb"Ax7Q|9173\d\d|1931-0[1-9]", re.IGNORECASE)
N = 24
X = np.arange(2 * N, dtype="float32").reshape(N, 2)
Y = np.arange(N) * 5 % 3
TEXT = np.array([f"ward/Ax7Q_{number}.png" for number in range(N)])
NUMBERS = 917_300 + np.arange(N) * 3
DATES = np.datetime64("1931-01-01") + np.arange(N)
SHUFFLED = np.random.default_rng(5).permutation(N)


def table(keys: Any = TEXT, **options: Any) -> Labels:
    return Labels(values=np.arange(len(keys)) % 3, keys=np.asarray(keys), **options)


def leaks(report: Report, *more: object) -> list[str]:
    """Where a planted key is found in any form of a report, or in something else."""
    shown = {
        **artifacts(report, {"labels.csv": "0" * 64}),
        "markdown": report.to_markdown(),
        "frame": report._repr_html_(),
        "svg": to_svg(report),
        "repr": repr(report),
        "str": str(report),
        "pickle": pickle.dumps(report),
        **{str(number): item for number, item in enumerate(more)},
    }
    return [
        f"{name}: {found[0]!r}"
        for name, content in shown.items()
        if (found := PLANTED.search(content if isinstance(content, bytes) else str(content).encode()))
    ]


# -- Without a model --

CHECKS = {
    "another order": (TEXT[SHUFFLED], TEXT),
    "late": (np.roll(TEXT, 3), TEXT),
    "sorted by text": (np.sort(TEXT), TEXT),
    "sorted by number": (TEXT, np.sort(TEXT)),
    "numbers": (NUMBERS[::-1], NUMBERS),
    "numbers in order": (NUMBERS, NUMBERS[SHUFFLED]),
    "twice": (TEXT[[0, 0, *range(2, N)]], TEXT),
    "missing": (np.delete(TEXT, [3, 7]), TEXT),
    "missing at the end": (TEXT[:-3], TEXT),
    "foreign": ([*TEXT[:-2], "Ax7Q_x", "Ax7Q_y"], TEXT),
    "by a prefix": (TEXT, [f"Ax7Q-clinic/{key}" for key in TEXT]),
    "by a suffix": (TEXT, [f"{key}.Ax7Q" for key in TEXT]),
    "by case": ([key.upper() for key in TEXT], TEXT),
    "by the folder": ([key.rpartition("/")[2] for key in TEXT], TEXT),
    "by zeros": ([f"00{key}" for key in NUMBERS], NUMBERS.astype(str)),
    "by an offset": (NUMBERS + 1000, NUMBERS),
    "no common key": ([f"Ax7Q-{number}" for number in range(N)], TEXT),
    "text and numbers": (TEXT, NUMBERS),
}


# A report of these names no key anyway.
NAMES_NONE = {"missing at the end", "text and numbers"}


@pytest.mark.parametrize("case", CHECKS)
def test_a_report_of_keys_holds_none(case):
    keys, known = CHECKS[case]
    shown = evalguard.check(keys=keys, labels=table(known))
    assert case in NAMES_NONE or leaks(shown), "without the option they are there, or the search is blind"
    report = evalguard.check(keys=keys, labels=table(known), show_keys=False)
    assert leaks(report) == []
    assert report.options["show_keys"] is False
    assert (report.verdict, report.counts, report.proof) == (shown.verdict, shown.counts, shown.proof)
    assert [cause.cause for cause in report.diagnosis] == [cause.cause for cause in shown.diagnosis]
    for ours, theirs in zip(report.wrong_rows, shown.wrong_rows, strict=True):
        hidden = {part: evalguard.key_digest(theirs[part]) for part in ("sample_key", "label_key") if part in theirs}
        assert ours == {**theirs, **hidden}


def refused(work: Any) -> str:
    """The traceback of what is refused, as a log would hold it."""
    try:
        work()
    except evalguard.EvalGuardError:
        return traceback.format_exc()
    raise AssertionError


@pytest.mark.parametrize(
    "labels",
    [
        pd.DataFrame({"id": [*TEXT[:-1], TEXT[0]], "label": Y}),
        pd.DataFrame({"id": [*NUMBERS[:-1], NUMBERS[0]], "label": Y}),
        pd.DataFrame({"id": [*TEXT[:-1], None], "label": Y}),
    ],
    ids=["text", "numbers", "null"],
)
def test_a_refused_key_is_not_named(labels):
    options = {"keys": TEXT, "labels": labels, "labels_key": "id", "show_keys": False}
    assert not PLANTED.search(refused(lambda: evalguard.check(**options)).encode())
    guard = evalguard.guard(labels=labels, labels_key="id", show_keys=False, mlflow=False)
    assert not PLANTED.search(refused(guard.__enter__).encode())


# -- With a model --


@pytest.fixture(scope="module")
def model():
    inputs = keras.Input((2,))
    return keras.Model(inputs, keras.layers.Identity()(inputs))


@pytest.fixture(scope="module")
def keyed_model():
    inputs = {"x": keras.Input((2,), name="x"), "id": keras.Input((), dtype="int64", name="id")}
    return keras.Model(inputs, keras.layers.Identity()(inputs["x"]))


def evaluated(model: Any, source: Any, tmp_path: Path, caplog: Any, confirm: Any = None, **options: Any) -> Any:
    """The guard after a prediction; whatever it wrote, said or raised is searched."""
    caplog.set_level(logging.DEBUG)
    said = []
    for acts in ("record", "warn", "raise"):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            # Always a new guard: labels are read again.
            g = evalguard.guard(
                show_keys=False, mlflow=False, output=tmp_path / "out", on_failure=acts, on_unproven=acts, **options
            )
            try:
                with g:
                    y_pred = model.predict(source() if callable(source) else source, verbose=0)
                    if confirm is not None:
                        g.confirm(confirm(y_pred))
            except evalguard.EvalGuardError as error:
                said += [traceback.format_exc(), repr(error), pickle.dumps(error.report) if g.reports else ""]  # type: ignore[attr-defined]
            said += [str(item.message) for item in caught]
    said += [caplog.text, repr(g), *(path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file())]
    assert leaks(g.report, *said) == []
    return g


def batches(keys: Any, order: Any) -> Iterator[Any]:
    for start in range(0, len(order), 8):
        rows = order[start : start + 8]
        yield ({"x": X[rows], "id": keys[rows]},)


@pytest.mark.parametrize("order", [SHUFFLED, np.arange(N), np.arange(N) % 20, np.arange(N - 4)], ids=str)
def test_keys_of_a_stream_are_hidden(keyed_model, tmp_path, caplog, order):
    source = lambda: batches(NUMBERS, order)  # noqa: E731
    g = evaluated(keyed_model, source, tmp_path, caplog, labels=table(NUMBERS), key="id", reference=X if len(order) == N else None)  # noqa: E501  # fmt: skip
    assert g.keys.tolist() == NUMBERS[order].tolist(), "what is asked for by name"
    assert str(NUMBERS[order[0]]) in str(g.to_frame())


def test_keys_that_are_not_those_of_the_labels_are_hidden(keyed_model, tmp_path, caplog):
    source = lambda: batches(NUMBERS + 1, np.arange(N))  # noqa: E731
    g = evaluated(keyed_model, source, tmp_path, caplog, labels=table(NUMBERS), key="id")
    assert g.report.verdict is not Verdict.PASS


def test_an_input_that_holds_the_key_is_not_shown_where_it_differs(keyed_model, tmp_path, caplog):
    source = lambda: batches(NUMBERS, np.arange(N))  # noqa: E731
    reference = {"x": X + 0.5, "id": NUMBERS + 1}
    g = evaluated(keyed_model, source, tmp_path, caplog, labels=Y, reference=reference)
    assert g.report.verdict is Verdict.UNPROVEN
    assert "(hidden)" in g.report.to_json()


@pytest.mark.parametrize("confirm", [None, lambda y_pred: y_pred[::-1], lambda y_pred: y_pred], ids=["no", "wrong", "as is"])  # fmt: skip  # noqa: E501
def test_what_is_confirmed_is_shown_without_keys(model, tmp_path, caplog, confirm):
    frame = pd.DataFrame(X, index=TEXT)
    evaluated(model, frame, tmp_path, caplog, confirm, labels=pd.Series(Y, index=TEXT))


NEW = {
    "O": pd.Index(["Ax7Q_new", "Ax7Q_newer"]),
    "i": pd.Index([917_398, 917_399]),
    "M": pd.DatetimeIndex(DATES[:2] + 200),
}


@pytest.mark.parametrize("index", [TEXT, NUMBERS, pd.DatetimeIndex(DATES)], ids=["text", "numbers", "dates"])
@pytest.mark.parametrize("of", ["another order", "other rows", "reference", "weights", "unlike"])
def test_the_pandas_index_is_hidden(model, tmp_path, caplog, index, of):
    index = pd.Index(index)
    others = {
        "another order": (index[SHUFFLED], index),
        "other rows": (index, index[SHUFFLED][2:].append(NEW[index.dtype.kind])),
        "unlike": (pd.Index([f"Ax7Q+{number}" for number in range(N)]), index.astype(str)),
    }
    rows, named = others.get(of, (index, index))
    options: dict[str, Any] = {"labels": pd.Series(Y, index=named)}
    if of == "reference":
        options["reference"] = pd.DataFrame(X, index=index[SHUFFLED])
    if of == "weights":
        options["sample_weight"] = pd.Series(np.ones(N), index=index[SHUFFLED])
        guard = evalguard.guard(**options, show_keys=False, mlflow=False)
        assert not PLANTED.search(refused(guard.__enter__).encode())
        return
    evaluated(model, pd.DataFrame(X, index=rows), tmp_path, caplog, **options)


def test_the_files_of_an_image_iterator_are_hidden(tmp_path, caplog):
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    for number in range(N):
        path = tmp_path / "images" / f"class{number % 3}" / f"Ax7Q_{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4, 3), number, np.uint8)).save(path)
    inputs = keras.Input((4, 4, 3))
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(inputs))

    def source() -> Any:
        made = ImageDataGenerator()
        return made.flow_from_directory(tmp_path / "images", (4, 4), class_mode="sparse", batch_size=5, seed=1)

    g = evaluated(model, source, tmp_path, caplog)
    assert g.report.verdict is Verdict.FAIL
    assert g.report.wrong_rows[0]["sample_key"].startswith("#")
    by_name = pd.Series(np.arange(N) % 3, index=[f"other/Ax7Q_{number}.jpg" for number in range(N)])
    evaluated(model, source, tmp_path, caplog, labels=by_name)


def test_the_error_of_a_user_s_own_code_passes_unchanged_and_is_kept_out_of_the_report(model, tmp_path, caplog):
    def metric(y_true: Any, y_pred: Any) -> float:
        return float("Ax7Q")

    g = evaluated(model, X, tmp_path, caplog, labels=Y, metrics=metric)
    assert "ValueError" in str(g.report.impact)

    def source() -> Iterator[Any]:
        yield (X[:8],)
        yield (float("Ax7Q"),)

    with pytest.raises(Exception, match="Ax7Q"), evalguard.guard(labels=Y, show_keys=False, mlflow=False) as g:
        model.predict(source(), verbose=0)
    assert leaks(g.report) == []


def test_a_wrapped_model_and_a_variant_hide_keys(keyed_model):
    guarded = evalguard.wrap(keyed_model, labels=table(NUMBERS), key="id", show_keys=False, on_failure="record", mlflow=False)  # fmt: skip  # noqa: E501
    guarded.predict(batches(NUMBERS, SHUFFLED), verbose=0)
    assert guarded.verdict is Verdict.FAIL
    assert leaks(guarded.report) == []
    g = guarded.guard.with_options(show_keys=True)
    with g:
        keyed_model.predict(batches(NUMBERS, SHUFFLED), verbose=0)
    assert leaks(g.report)


# -- The command line --


def searched(folder: Path, allowed: tuple[str, ...] = ()) -> list[str]:
    """Files below a folder that hold a planted key."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name not in allowed]
    assert files
    return [str(path) for path in files if PLANTED.search(path.read_bytes())]


@pytest.mark.parametrize("case", [*CHECKS, "key twice", "null"])
def test_check_of_two_tables_hides_keys(command, tmp_path, case):
    others = {"key twice": (TEXT, [*TEXT[:-1], TEXT[0]]), "null": (TEXT, [*TEXT[:-1], None])}
    keys, known = {**CHECKS, **others}[case]
    for suffix in ("csv", "parquet"):
        paths = [tmp_path / f"{name}.{suffix}" for name in ("predictions", "labels")]
        for path, column in zip(paths, (keys, known), strict=True):
            frame = pd.DataFrame({"id": column, "label": np.arange(len(column)) % 3})
            frame.to_csv(path, index=False) if suffix == "csv" else frame.to_parquet(path)
        for more in ([], ["--json"], ["-q"]):
            result = command("check", *paths, "--key", "id", "--hide-keys", "--output", tmp_path / "out", *more)
            assert result.exit_code in {0, 1, 2, 3}, result.output
            assert not PLANTED.search(result.output.encode()), result.output
    if (tmp_path / "out").exists():
        assert searched(tmp_path / "out") == []


def test_a_table_that_cannot_be_read_is_not_quoted(command, tmp_path):
    (tmp_path / "predictions.csv").write_text("id,label\nAx7Q_1,0\nAx7Q_2,1,2,3\n")
    (tmp_path / "labels.csv").write_text("id,label\nAx7Q_1,0\n")
    paths = tmp_path / "predictions.csv", tmp_path / "labels.csv"
    assert PLANTED.search(command("check", *paths, "--key", "id").output.encode())
    result = command("check", *paths, "--key", "id", "--hide-keys")
    assert result.exit_code == 2
    assert not PLANTED.search(result.output.encode()), result.output


STEP = """
version: 1
name: wards
model: {path: model.keras}
data: {images: listed.csv, column: file, key: file}
labels: {path: labels.csv, label: label, key: file}
metrics: [accuracy]
outputs: {directory: out, show_keys: false}
"""


@pytest.fixture(scope="module")
def wards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wards")
    for number in range(N):
        path = folder / "ward" / f"Ax7Q_{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((4, 4, 3), number, np.uint8)).save(path)
    inputs = keras.Input((4, 4, 3))
    outputs = keras.layers.Dense(3, activation="softmax")(keras.layers.Flatten()(inputs))
    keras.Model(inputs, outputs).save(folder / "model.keras")
    (folder / "step.yaml").write_text(STEP)
    return folder


@pytest.mark.parametrize("case", ["right", "another order", "missing", "unlike", "no file", "no image"])
def test_a_step_and_its_record_in_mlflow_hold_no_key(command, tmp_path, wards, case):
    shutil.copytree(wards, tmp_path / "wards")
    folder = tmp_path / "wards"
    listed = pd.DataFrame({"file": TEXT})
    labels = pd.DataFrame({"file": TEXT, "label": Y})
    labels = labels.iloc[SHUFFLED] if case == "another order" else labels.iloc[:-2] if case == "missing" else labels
    labels["file"] = [f"x{name}" for name in labels["file"]] if case == "unlike" else labels["file"]
    if case == "no file":
        (folder / TEXT[3]).unlink()
    if case == "no image":
        (folder / TEXT[3]).write_text("nothing")
    listed.to_csv(folder / "listed.csv", index=False)
    labels.to_csv(folder / "labels.csv", index=False)
    for arguments in (["--dry-run"], ["--progress", "plain"], ["-q"]):
        result = command("run", folder / "step.yaml", *arguments)
        assert not PLANTED.search(result.output.encode()), result.output
    assert result.exit_code in {0, 1, 2, 3}
    if (folder / "out").exists():
        assert searched(folder / "out", allowed=("predictions.parquet",)) == []
    # Tags, metrics and artifacts: the file of the store, and the folders of its artifacts.
    recorded = [path for path in tmp_path.iterdir() if path.name in {"mlflow.db", "mlruns", "spool", "mlartifacts"}]
    for path in recorded:
        assert path.is_dir() or not PLANTED.search(path.read_bytes())
        assert not path.is_dir() or not any(path.rglob("*.*")) or searched(path) == []
    if case in {"another order", "right"}:
        assert (tmp_path / "mlflow.db").stat().st_size


def test_files_are_written_without_keys_by_a_sink_of_the_user_s(tmp_path):
    report = evalguard.check(keys=TEXT[::-1], labels=table(), show_keys=False)
    FileSink(tmp_path).write(report, artifacts(report))
    report.save(tmp_path / "all")
    assert searched(tmp_path) == []
