"""Labels files at hand: read with the columns that the evaluation was given, and only then."""

from dataclasses import replace
from pathlib import Path

import pytest

import evalguard
from evalguard.core.policy import Proof
from evalguard.errors import ConfigError, LabelsError
from evalguard.reporting import artifacts
from evalguard.tracking.gate.labels_at_hand import labels_asked, other_labels
from tests.tracking.records import Store, now_ms


@pytest.fixture
def labels(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("id,digit,site\n7,1,3\n8,0,3\n")
    return path


def judged(labels, **options):
    options = {"label_column": "digit", "labels_key": "id", **options}
    report = evalguard.check(keys=[7, 8], labels=labels, name="digits", **options)
    assert report.verdict is evalguard.Verdict.PASS
    return replace(report, proof=Proof.IDENTITY, checked_at_ms=now_ms())


def record(store, report):
    run = store.run()
    sink = store.sink(run)
    sink.begin("digits")
    sink.write(report, artifacts(report))
    return run


@pytest.fixture
def ask(mlflow_store, labels):
    """The gate about an evaluation of the labels, with a file."""

    def asked(report=None, path=labels, **more):
        run = record(Store(mlflow_store), report or judged(labels))
        return evalguard.gate(run=run, tracking_uri=mlflow_store, labels=path, **more)

    return asked


def test_a_file_is_read_as_it_was_evaluated(ask, labels):
    result = ask()
    assert result.passed, result.reasons
    assert result.notes == (
        f"{labels} was read as evaluated: label='digit' and key='id'; --label can name another column",
    )
    result = ask(label_column="digit")
    assert (result.passed, result.notes) == (True, ())


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param("id,digit,site\n7,0,3\n8,1,3\n", "label='digit' and key='id'), found", id="other-labels"),
        pytest.param("id,digit,site\n8,1,3\n7,0,3\n", "label='digit' and key='id'), found", id="other-keys"),
        pytest.param("id,label,site\n7,0,3\n8,0,3\n", "label='label' and key='id'), found", id="a-column-of-labels"),
        pytest.param("id,number,site\n7,1,3\n8,0,3\n", "could not be read with label='digit'", id="no-such-column"),
        pytest.param("id,digit,site\n7,1,3\n7,0,3\n", "expected each key once", id="a-repeated-key"),
        pytest.param("", "could not be read with label='digit'", id="empty"),
    ],
)
def test_other_labels_close_the_gate_with_what_the_evaluation_had(ask, tmp_path, text, why):
    path = tmp_path / "other.csv"
    path.write_text(text)
    result = ask(path=path)
    assert not result
    assert why in result.reasons[0], result.reasons
    assert "the evaluation had" in result.reasons[0]
    assert "labels.csv with label='digit' and key='id'; name the columns of the file by --label" in result.reasons[0]


def test_labels_and_keys_that_were_exchanged_do_not_open_the_gate(ask, tmp_path):
    """What would be scored are the ids."""
    path = tmp_path / "values.csv"
    path.write_text("id,label\n7,1\n8,0\n")
    exchanged = evalguard.check(keys=[1, 0], labels=path, label_column="id", labels_key="label", name="digits")
    assert exchanged.verdict is evalguard.Verdict.PASS
    result = ask(replace(exchanged, proof=Proof.IDENTITY, checked_at_ms=now_ms()), path=path)
    assert not result
    assert "with label='id' and key='label'" in result.reasons[0]


def test_each_of_several_files_and_digests_needs_an_evaluation(ask, labels, tmp_path):
    (tmp_path / "other.csv").write_text("digit\n5\n")
    digest = evalguard.Labels.read(labels, label="digit", key="id").digest
    assert ask(path=[labels], labels_digest=digest)
    for result in (
        ask(path=[tmp_path / "other.csv", labels]),
        ask(path=[tmp_path / "other.csv"]),
        ask(path=[tmp_path / "other.csv"], labels_digest=digest),
    ):
        assert any(f"no evaluation on the labels of {tmp_path / 'other.csv'}" in reason for reason in result.reasons)


def test_labels_whose_keys_identified_no_row_have_an_order(ask, labels, tmp_path):
    by_index = evalguard.check(indices=[0, 1], labels=labels, name="digits", label_column="digit", labels_key="id")
    by_index = replace(by_index, proof=Proof.IDENTITY, checked_at_ms=now_ms())
    moved = tmp_path / "moved.csv"
    moved.write_text("id,digit,site\n8,0,3\n7,1,3\n")
    assert ask(by_index)
    assert "labels in another order, and no key identified the rows" in " ".join(ask(by_index, moved).reasons)
    assert ask(path=moved), "a key identified the rows"


def test_the_report_beside_an_attestation_names_the_columns(labels, tmp_path):
    report = judged(labels)
    rendered = artifacts(report, {"labels.csv": "0" * 64})
    for name in ("attestation.json", "report.json"):
        (tmp_path / name).write_text(rendered[name])
    asked = {"attestation": tmp_path / "attestation.json", "files": [labels], "allow_unchecked": True}
    (why,) = evalguard.gate(**asked, labels=labels).reasons
    assert why.startswith(f"{labels}: "), "only the file, whose digest is made up, is wrong"
    other = tmp_path / "other.csv"
    other.write_text("id,digit,site\n7,0,3\n8,0,3\n", encoding="utf-8")
    assert any(f"of {other} with" in why for why in evalguard.gate(**asked, labels=[labels, other]).reasons)
    (tmp_path / "report.json").unlink()
    assert any("could not be read" in why for why in evalguard.gate(**asked, labels=labels).reasons)


@pytest.mark.parametrize("stated", [{"column": 3}, {"column": {"a": 3}}, {"key": ["id"]}, {}], ids=str)
def test_columns_that_no_evaluation_can_have_named_are_ignored(tmp_path, stated):
    path = tmp_path / "labels.csv"
    path.write_text("label\n1\n")
    digest = evalguard.Labels.read(path).digest
    assert other_labels(labels_asked([], path, None, None), digest, stated) == []


def test_no_record_is_read_if_a_digest_is_enough(labels):
    def unread():
        pytest.fail("read")

    asked = labels_asked(["0" * 16], labels, None, None)
    assert other_labels(asked, "0" * 16, unread) == []
    assert other_labels(labels_asked([], (), None, None), "0" * 16, unread) == []


def test_files_that_are_not_there_and_columns_they_do_not_have_are_wrong_questions(labels):
    with pytest.raises(ConfigError, match=r"expected a file of labels at gone\.csv"):
        evalguard.gate(run="a", labels=Path("gone.csv"))
    with pytest.raises(LabelsError, match="expected a column 'nowhere'"):
        evalguard.gate(run="a", labels=labels, labels_key="nowhere")
