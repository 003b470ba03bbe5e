"""Attestations compared with files: the digests are those of the real files, and any change closes the gate."""

import hashlib
import io
import json
import shutil

import keras
import numpy as np
import pytest

import evalguard
from evalguard.errors import ConfigError

X = np.random.default_rng(0).normal(size=(40, 4)).astype("float32")
Y = (X.sum(axis=1) > 0).astype("int64")


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def saved(array):
    """The bytes that NumPy itself writes."""
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return hashlib.sha256(stream.getvalue()).hexdigest()


def batches(order):
    for start in range(0, len(order), 8):
        yield (X[order[start : start + 8]],)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])


@pytest.fixture(scope="module")
def evaluated(model, tmp_path_factory):
    """A whole evaluation on disk: model, labels, predictions in three forms, and the reports."""
    folder = tmp_path_factory.mktemp("evaluated")
    model.save(folder / "model.keras")
    (folder / "labels.csv").write_text("label\n" + "\n".join(map(str, Y)) + "\n")
    with evalguard.guard(
        labels=folder / "labels.csv",
        reference=X,
        mlflow=False,
        attest_files=[folder / "model.keras"],
        output=folder / "out",
        name="digits",
    ) as g:
        y_pred = model.predict(batches(np.arange(40)), steps=5, verbose=0)
    assert g.report.verdict is evalguard.Verdict.PASS
    np.save(folder / "predictions.npy", y_pred)
    np.savez_compressed(folder / "predictions.npz", y_pred)
    g.to_frame().to_parquet(folder / "predictions.parquet")
    return folder


@pytest.fixture
def folder(evaluated, tmp_path):
    return shutil.copytree(evaluated, tmp_path / "work")


def ask(folder, *names, **more):
    paths = [folder / name for name in names]
    return evalguard.gate(attestation=folder / "out" / "attestation.json", files=paths, **more)


def ask_some(folder, *names, **more):
    """The gate about some of the files: those that are not given do not matter."""
    return ask(folder, *names, allow_unchecked=True, **more)


def subjects(folder):
    statement = json.loads((folder / "out" / "attestation.json").read_text())
    return {item["name"]: item["digest"]["sha256"] for item in statement["subject"]}


# -- the statement -------------------------------------------------------------------------


def test_the_subjects_are_the_real_files(evaluated):
    assert subjects(evaluated) == {
        name: sha256(evaluated / name) for name in ("model.keras", "labels.csv", "predictions.npy")
    }


def test_labels_and_predictions_in_memory_are_named_as_they_would_be_saved(model, tmp_path):
    with evalguard.guard(labels=Y, reference=X, mlflow=False, output=tmp_path) as g:
        y_pred = model.predict(X, verbose=0)
    statement = json.loads((tmp_path / "attestation.json").read_text())
    found = {item["name"]: item["digest"]["sha256"] for item in statement["subject"]}
    assert found == {"labels.npy": saved(Y), "predictions.npy": saved(y_pred)}
    assert g.report.verdict is evalguard.Verdict.PASS


def test_the_parts_of_a_session_are_one_subject(model, tmp_path):
    with evalguard.guard(labels=Y, reference=X, scope="session", mlflow=False, output=tmp_path):
        parts = [model.predict(X[start : start + 20], verbose=0) for start in (0, 20)]
    statement = json.loads((tmp_path / "attestation.json").read_text())
    found = {item["name"]: item["digest"]["sha256"] for item in statement["subject"]}
    assert found["predictions.npy"] == saved(np.concatenate(parts))


def test_repaired_predictions_have_the_digest_of_what_was_returned(model, tmp_path):
    order = np.random.default_rng(1).permutation(40)
    with evalguard.guard(labels=Y, reference=X, on_failure="repair", mlflow=False, output=tmp_path):
        y_pred = model.predict(batches(order), steps=5, verbose=0)
    np.save(tmp_path / "predictions.npy", y_pred)
    question = {"attestation": tmp_path / "attestation.json", "files": [tmp_path / "predictions.npy"]}
    question |= {"allow_unchecked": True}
    assert evalguard.gate(**question).reasons == ("evaluation: the verdict is REPAIRED",)
    assert evalguard.gate(**question, accept=["REPAIRED"])


def test_each_of_several_outputs_is_a_subject(tmp_path):
    inputs = keras.Input((4,))
    outputs = {"a": keras.layers.Dense(2)(inputs), "b": keras.layers.Dense(3)(inputs)}
    with evalguard.guard(labels=Y, reference=X, mlflow=False, output=tmp_path):
        y_pred = keras.Model(inputs, outputs).predict(X, verbose=0)
    statement = json.loads((tmp_path / "attestation.json").read_text())
    found = {item["name"]: item["digest"]["sha256"] for item in statement["subject"]}
    assert found["predictions/a.npy"] == saved(y_pred["a"])
    assert found["predictions/b.npy"] == saved(y_pred["b"])


def test_missing_files_are_reported_before_anything_is_predicted(tmp_path):
    with pytest.raises(ConfigError, match=r"expected a file at .*gone\.keras"):
        with evalguard.guard(labels=Y, mlflow=False, output=tmp_path, attest_files=[tmp_path / "gone.keras"]):
            pytest.fail("entered")


# -- the gate ----------------------------------------------------------------------------------


@pytest.mark.parametrize("predictions", ["predictions.npy", "predictions.npz", "predictions.parquet"])
def test_the_files_that_were_judged_open_the_gate(folder, predictions):
    result = ask(folder, "model.keras", "labels.csv", predictions)
    assert result.passed, result.reasons
    assert result.unchecked == ()
    assert set(result.files.values()) == {"model.keras", "labels.csv", "predictions.npy"}
    assert [(item.name, item.verdict) for item in result.evaluations] == [("digits", "PASS")]


def test_the_names_of_the_files_do_not_matter(folder):
    (folder / "model.keras").rename(folder / "best.bin")
    result = ask(folder, "best.bin", "labels.csv", "predictions.npy")
    assert result.passed, result.reasons
    assert result.files[str(folder / "best.bin")] == "model.keras"


def test_what_was_not_checked_closes_it_unless_that_is_allowed(folder):
    result = ask(folder, "model.keras")
    assert not result
    assert [reason.partition(":")[0] for reason in result.reasons] == ["labels.csv", "predictions.npy"]
    assert "none of the files is it or holds it" in result.reasons[0]
    allowed = ask_some(folder, "model.keras")
    assert (allowed.passed, allowed.unchecked) == (True, ("labels.csv", "predictions.npy"))


def flip_a_byte(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def swap_two_rows(path):
    array = np.load(path)
    array[[0, 1]] = array[[1, 0]]
    np.save(path, array)


def swap_two_lines(path):
    lines = path.read_text().splitlines()
    other = next(number for number, line in enumerate(lines[1:], 1) if line != lines[1])
    lines[1], lines[other] = lines[other], lines[1]
    path.write_text("\n".join(lines) + "\n")


def swap_two_rows_of_the_table(path):
    import pandas as pd

    table = pd.read_parquet(path)
    table.iloc[[1, 0, *range(2, len(table))]].to_parquet(path)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("model.keras", flip_a_byte),
        ("labels.csv", swap_two_lines),
        ("labels.csv", flip_a_byte),
        ("predictions.npy", swap_two_rows),
        ("predictions.parquet", swap_two_rows_of_the_table),
    ],
)
def test_a_file_changed_since_closes_it(folder, name, change):
    change(folder / name)
    result = ask_some(folder, "model.keras", "labels.csv", *{name} - {"model.keras", "labels.csv"})
    assert not result
    assert all(reason.startswith(str(folder / name)) for reason in result.reasons)
    assert "or was changed since" in " ".join(result.reasons)


def edit(path, change):
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def notes(data):
    return data["predicate"]["configuration"][0]["annotations"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda data: notes(data).update(verdict="FAIL"), "the verdict is FAIL"),
        (lambda data: notes(data).update(verdict="GOOD"), "the verdict is GOOD"),
        (lambda data: notes(data).pop("verdict"), "the verdict is missing"),
        (lambda data: data["predicate"].update(result="FAILED"), "result FAILED does not fit the verdict PASS"),
        (lambda data: data["predicate"].update(result="WARNED"), "result WARNED does not fit the verdict PASS"),
        (lambda data: notes(data).update(report_sha256="0" * 64), "report.json beside it is another report"),
    ],
)
def test_a_statement_that_does_not_say_passed_throughout_closes_it(folder, change, why):
    edit(folder / "out" / "attestation.json", change)
    assert why in " ".join(ask_some(folder, "model.keras").reasons)


def test_a_report_edited_beside_it_closes_it(folder):
    (folder / "out" / "report.json").write_text("{}")
    assert "report.json beside it is another report" in ask_some(folder, "model.keras").reasons[0]


def test_a_failed_evaluation_is_stated_as_failed(model, tmp_path):
    order = np.random.default_rng(1).permutation(40)
    with evalguard.guard(labels=Y, reference=X, on_failure="record", mlflow=False, output=tmp_path / "out"):
        y_pred = model.predict(batches(order), steps=5, verbose=0)
    np.save(tmp_path / "predictions.npy", y_pred)
    result = ask_some(tmp_path, "predictions.npy")
    assert result.reasons == ("evaluation: the verdict is FAIL",)


def test_labels_and_age_are_demanded_of_a_statement_too(folder):
    digest = evalguard.Labels.read(folder / "labels.csv").digest
    assert ask_some(folder, "model.keras", labels_digest=digest, max_age="1h")
    assert not ask_some(folder, "model.keras", labels_digest="0" * 16)
    edit(folder / "out" / "attestation.json", lambda data: notes(data).update(checked_at_ms="1"))
    assert "older than allowed" in ask_some(folder, "model.keras", max_age="1h").reasons[0]


def test_a_statement_of_a_weaker_proof_than_asked_for_closes_it(model, tmp_path):
    with evalguard.guard(labels=Y, require="transport", mlflow=False, output=tmp_path / "out") as g:
        y_pred = model.predict(batches(np.arange(40)), steps=5, verbose=0)
    assert (g.report.verdict, g.report.proof) == (evalguard.Verdict.PASS, "transport")
    np.save(tmp_path / "predictions.npy", y_pred)
    assert ask_some(tmp_path, "predictions.npy").reasons == ("evaluation: proof transport, weaker than labels",)
    assert ask_some(tmp_path, "predictions.npy", require="transport")
    edit(tmp_path / "out" / "attestation.json", lambda data: notes(data).update(proof="identity"))
    told = ask_some(tmp_path, "predictions.npy").reasons
    assert told == ("evaluation: proof is identity, and transport in report.json beside it",)
    (tmp_path / "out" / "report.json").unlink()
    edit(tmp_path / "out" / "attestation.json", lambda data: notes(data).pop("proof"))
    assert "proof missing, weaker than labels" in ask_some(tmp_path, "predictions.npy").reasons[0]


def test_a_verdict_edited_in_the_statement_alone_is_seen_by_the_report_beside_it(model, tmp_path):
    order = np.random.default_rng(1).permutation(40)
    with evalguard.guard(labels=Y, reference=X, on_failure="record", mlflow=False, output=tmp_path / "out"):
        y_pred = model.predict(batches(order), steps=5, verbose=0)
    np.save(tmp_path / "predictions.npy", y_pred)
    edit(tmp_path / "out" / "attestation.json", lambda data: notes(data).update(verdict="PASS"))
    edit(tmp_path / "out" / "attestation.json", lambda data: data["predicate"].update(result="PASSED"))
    told = ask_some(tmp_path, "predictions.npy").reasons
    assert told == ("evaluation: verdict is PASS, and FAIL in report.json beside it",)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "{}", '{"_type": "x", "predicateType": "y", "subject": [], "predicate": {}}']
)
def test_a_file_that_is_no_statement_is_named(folder, text):
    (folder / "out" / "attestation.json").write_text(text)
    with pytest.raises(ConfigError, match=r"attestation\.json: expected"):
        ask(folder, "model.keras")


def test_a_name_that_is_stated_twice_is_refused(folder):
    """One of the two would not be compared."""
    edit(folder / "out" / "attestation.json", lambda data: data["subject"].append(data["subject"][0]))
    with pytest.raises(ConfigError, match="two subjects of one name"):
        ask(folder, "model.keras", "labels.csv", "predictions.npy")


@pytest.mark.parametrize("name", ["cut.npz", "cut.npy", "cut.parquet"])
def test_a_file_that_cannot_be_read_is_named(folder, name):
    (folder / name).write_bytes(b"PK\x03\x04")
    with pytest.raises(ConfigError, match=rf"^file {name}: expected .*, found in "):
        ask(folder, name)


def test_a_statement_of_another_kind_is_named(folder):
    edit(folder / "out" / "attestation.json", lambda data: data.update(predicateType="https://slsa.dev/provenance/v1"))
    with pytest.raises(ConfigError, match=r"found 'https://in-toto\.io/Statement/v1' with 'https://slsa\.dev"):
        ask(folder, "model.keras")


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ({"files": ["a"], "run": "b"}, "found only one of the two"),
        ({"attestation": "a"}, "found only one of the two"),
        ({"attestation": "a", "run": "b", "files": ["c"]}, "found run and attestation"),
    ],
)
def test_a_statement_and_files_go_together(question, message):
    with pytest.raises(ConfigError, match=message):
        evalguard.gate(**question)
