"""The same labels have one digest, by every way in which they reach a report."""

import json

import keras
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
import yaml
from click.testing import CliRunner

import evalguard
from evalguard.cli.app import cli
from evalguard.data.stored_keys import KeyedFile, key_store
from evalguard.labels.labels import Labels
from evalguard.step.run import run_all

N = 12
RNG = np.random.default_rng(3)
IDS = {"integers": RNG.permutation(100)[:N] - 20, "text": np.asarray([f"é_{row * 37 % 101}" for row in range(N)])}
VALUES = {
    "classes": np.arange(N) % 3,
    "fractions": np.arange(N) / 8 - 0.5,
    "text": np.asarray(["cat", "dog", "fox"] * 4),
}


@pytest.fixture(params=IDS)
def ids(request):
    return IDS[request.param]


@pytest.fixture(params=VALUES)
def values(request):
    return VALUES[request.param]


def forms(frame, folder):
    """What ``Labels.of`` takes for the labels in a frame, each in another container and dtype."""
    number = frame["label"].dtype.kind in "if"
    small = frame.astype({"label": "float32" if frame["label"].dtype.kind == "f" else "int32"}) if number else frame
    small.to_parquet(folder / "small.parquet", index=False)
    frame.to_csv(folder / "labels.csv", index=False)
    frame.to_json(folder / "labels.jsonl", orient="records", lines=True)
    frame.to_parquet(folder / "labels.parquet", index=False)
    coded = pa.table({name: pa.array(frame[name]).dictionary_encode() for name in frame})
    pa.parquet.write_table(coded, folder / "coded.parquet")
    yield from (folder / name for name in ("labels.csv", "labels.jsonl", "labels.parquet", "small.parquet"))
    yield folder / "coded.parquet"
    yield from (frame, small, frame.convert_dtypes(), frame.astype("category"), frame.astype(object))


def test_one_digest_in_every_container_and_order(tmp_path, ids, values):
    frame = pd.DataFrame({"id": ids, "label": values})
    expected = Labels(values=values, keys=ids).digest
    for number, order in enumerate((np.arange(N), RNG.permutation(N), np.argsort(ids))):
        folder = tmp_path / str(number)
        folder.mkdir()
        for form in forms(frame.iloc[order].reset_index(drop=True), folder):
            labels = Labels.of(form, label="label", key="id")
            assert labels.digest == expected, form
            labels.save(folder / "manifest.parquet")
            assert Labels.load(folder / "manifest.parquet").digest == expected, form
        for path in (folder / "labels.csv", folder / "labels.parquet"):
            with key_store() as store:
                kept = Labels.of(KeyedFile(store, "labelled", path, path.name, ("id",)), label="label", key="id")
                assert kept.digest == expected
    changed = frame.assign(label=np.roll(values, 1))
    assert (
        {Labels.of(form, label="label", key="id").digest for form in forms(changed, tmp_path)}
        == {Labels(values=np.roll(values, 1), keys=ids).digest}
        != {expected}
    )


def test_guard_check_and_step_name_the_same_labels(tmp_path, ids):
    x = RNG.normal(size=(N, 2)).astype("float32")
    order = RNG.permutation(N)
    labels = pd.DataFrame({"id": ids, "label": VALUES["classes"]}).iloc[order]
    labels.to_parquet(tmp_path / "labels.parquet", index=False)
    pd.DataFrame({"id": ids, "a": x[:, 0], "b": x[:, 1]}).to_csv(tmp_path / "rows.csv", index=False)
    expected = Labels(values=VALUES["classes"], keys=ids).digest
    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.Dense(3)(inputs))
    model.save(tmp_path / "model.keras")

    keyed = {"labels": labels, "label_column": "label", "labels_key": "id", "on_failure": "record"}
    with evalguard.guard(**keyed, on_unproven="record", mlflow=False) as g:
        model.predict(x, verbose=0)
    report = evalguard.check(keys=ids, labels=labels, label_column="label", labels_key="id", order="any")
    found = [g.report.labels["digest"], report.labels["digest"]]

    described = {
        "version": 1,
        "name": "same",
        "model": {"path": "model.keras"},
        "data": {"table": "rows.csv", "key": "id"},
        "labels": {"path": "labels.parquet", "key": "id"},
        "mlflow": {"enabled": False},
    }
    (tmp_path / "step.yaml").write_text(yaml.safe_dump(described))
    (result,) = run_all(tmp_path / "step.yaml")
    assert result.report is not None, result.message
    found.append(result.report.labels["digest"])

    command = ["check", "rows.csv", "labels.parquet", "--key", "id", "--label", "label", "--order", "any"]
    command = [str(tmp_path / word) if "." in word else word for word in command]
    done = CliRunner().invoke(cli, [*command, "--output", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    found.append(
        evalguard.Report.from_dict(json.loads((tmp_path / "out" / "report.json").read_text())).labels["digest"]
    )
    assert found == [expected] * 4
