"""Two tables compared with each other: every format, every fault, and files too large to be read whole."""

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet
import pytest

import evalguard
from evalguard.testing.streams import FAULTS, faulty_batches

N = 50


def write(path, table):
    """A table as CSV, Parquet, JSONL or an Arrow file."""
    if path.suffix == ".csv":
        pyarrow.csv.write_csv(table, path)
    elif path.suffix == ".parquet":
        pyarrow.parquet.write_table(table, path, row_group_size=16)
    elif path.suffix == ".arrow":
        with pa.ipc.new_file(str(path), table.schema) as writer:
            writer.write_table(table, max_chunksize=17)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    return path


def labels_table(n=N):
    return pa.table({"id": [f"sample {row:03d}" for row in range(n)], "label": np.arange(n) % 3})


def delivered_table(order):
    return pa.table({"id": [f"sample {row:03d}" for row in order], "score": np.linspace(0, 1, len(order))})


@pytest.mark.parametrize("form", ["csv", "parquet", "jsonl", "arrow"])
def test_rows_in_order_pass_in_every_format(tmp_path, command, form):
    delivered = write(tmp_path / f"out.{form}", delivered_table(range(N)))
    labels = write(tmp_path / f"labels.{form}", labels_table())
    done = command("check", delivered, labels, "--key", "id", "--json", "--label", "label")
    assert done.exit_code == 0, done.output
    report = json.loads(done.output)
    assert (report["verdict"], report["proof"], report["counts"]["n_predictions"]) == ("PASS", "declared", N)
    assert report["identities"] == [{"identity": "key", "says": "aligned", "used": True}]


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_fails_and_names_the_rows_that_are_wrong(tmp_path, command, fault):
    order = np.concatenate(faulty_batches(fault, n=N, batch_size=8))
    delivered = write(tmp_path / "out.csv", delivered_table(order))
    labels = write(tmp_path / "labels.parquet", labels_table())
    done = command("check", delivered, labels, "--key", "id", "--json", "--label", "label")
    assert done.exit_code == 1, done.output
    report = json.loads(done.output)
    expected = np.ones(len(order), dtype=bool)
    expected[:N] = order[:N] != np.arange(len(order))[:N]
    assert report["counts"]["misaligned"] == int(expected.sum())
    for entry in report["wrong_rows"]:
        assert entry["sample_key"] == f"sample {order[entry['row']]:03d}"
        if entry["row"] < N:
            assert entry["label_key"] == f"sample {entry['row']:03d}"


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        pytest.param(["a", "b", "a"], "found 1 repeated key; the first is 'a' at rows 0, 2", id="repeated"),
        pytest.param(["a", None, "c"], "row 1", id="null"),
        pytest.param(["a", "", "c"], "row 1", id="nameless"),
        pytest.param([], "", id="empty"),
    ],
)
def test_labels_that_cannot_be_used_end_in_2(tmp_path, command, ids, message):
    labels = write(tmp_path / "labels.csv", pa.table({"id": pa.array(ids, pa.string()), "label": [0] * len(ids)}))
    delivered = write(tmp_path / "out.csv", pa.table({"id": ["a", "b", "c"]}))
    done = command("check", delivered, labels, "--key", "id")
    assert done.exit_code == 2, done.output
    assert message in done.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no.csv", "labels.csv", "--key", "id"], "PREDICTIONS: expected a CSV, Parquet, JSONL, Arrow or .npy file at"),
        (["out.csv", "no.csv", "--key", "id"], "LABELS: expected a CSV, Parquet, JSONL, Arrow or .npy file at"),
        (["out.csv", "labels.csv"], "check: expected one of `--key` and `--index`"),
        (["out.csv", "labels.csv", "--key", "name"], "expected a column 'name', found columns 'id', 'score'"),
        (["out.csv", "labels.csv", "--index", "id"], "expected row numbers of the labels in id, found"),
        (["broken.parquet", "labels.csv", "--key", "id"], "expected a CSV, Parquet, JSONL or Arrow table, found in"),
    ],
)
def test_files_and_options_that_cannot_be_used_end_in_2(tmp_path, command, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "labels.csv", labels_table())
    write(tmp_path / "out.csv", delivered_table(range(N)))
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and no more")
    done = command("check", *arguments)
    assert done.exit_code == 2, done.output
    assert message in done.output


def test_keys_may_be_called_otherwise_in_the_labels(tmp_path, command):
    labels = write(tmp_path / "labels.csv", labels_table().rename_columns(["file", "label"]))
    delivered = write(tmp_path / "out.csv", delivered_table(range(N)))
    assert command("check", delivered, labels, "--key", "id", "--labels-key", "file").exit_code == 0
    delivered = write(tmp_path / "out.csv", delivered_table(range(N - 1, -1, -1)))
    assert command("check", delivered, labels, "--key", "id", "--labels-key", "file").exit_code == 1
    done = command("check", delivered, labels, "--index", "id", "--labels-key", "file")
    assert done.exit_code == 2
    assert "expected `--key` with `--labels-key`" in done.output


def test_metrics_are_reported_as_scored_and_after_realignment(tmp_path, command):
    order = [1, 0, *range(2, N)]
    truth = np.arange(N) % 2
    labels = write(tmp_path / "labels.csv", pa.table({"id": [f"{row}" for row in range(N)], "label": truth}))
    columns = {"id": [f"{row}" for row in order], "p0": 1.0 - truth[order], "p1": 1.0 * truth[order]}
    delivered = write(tmp_path / "out.csv", pa.table(columns))
    arguments = ("--key", "id", "--prediction", "p0", "--prediction", "p1", "--metric", "accuracy", "--json")
    done = command("check", delivered, labels, *arguments)
    assert done.exit_code == 1, done.output
    figures = json.loads(done.output)["impact"]["accuracy"]
    assert figures["as_scored"] == pytest.approx(1 - 2 / N)
    assert figures["realigned"] == pytest.approx(1.0)
    done = command("check", delivered, labels, "--key", "id", "--metric", "accuracy")
    assert done.exit_code == 2
    assert "expected `--prediction COLUMN` with `--metric`" in done.output


def test_row_numbers_come_from_a_column_or_an_array(tmp_path, command):
    labels = tmp_path / "labels.npy"
    np.save(labels, np.arange(N) % 3)
    np.save(tmp_path / "rows.npy", np.arange(N))
    assert command("check", tmp_path / "rows.npy", labels).exit_code == 0
    np.save(tmp_path / "rows.npy", np.roll(np.arange(N), 1))
    done = command("check", tmp_path / "rows.npy", labels, "--output", tmp_path / "out", "-q")
    assert done.exit_code == 1
    assert done.output.startswith("rows.npy: FAIL")
    assert json.loads((tmp_path / "out" / "report.json").read_text())["counts"]["misaligned"] == N
    assert (tmp_path / "out" / "junit.xml").is_file()
    write(tmp_path / "rows.csv", pa.table({"sample": np.arange(N)}))
    assert command("check", tmp_path / "rows.csv", labels, "--index", "sample").exit_code == 0


NAMES = [f"sample {row:03d}" for row in range(N)]
KEYS: dict[str, list[Any]] = {
    "text": NAMES,
    "numbers": list(range(100, 100 + N)),
    "digits": [f"{row:04d}" for row in range(N)],
    "hashes, some above int64": [row * (2**64 // N) for row in range(N)],
    "wider further down": [f"{'x' * row}{row}" for row in range(N)],
}
VALUES: dict[str, list[Any]] = {
    "int": [row % 3 for row in range(N)],
    "float, from a later row on": [0] * 40 + [0.5] * (N - 40),
    "text": [f"class {row % 3}" for row in range(N)],
    "bool": [row % 2 == 0 for row in range(N)],
    "lists": [[row, row + 1] for row in range(N)],
}


@pytest.mark.parametrize(
    ("form", "values"),
    [
        (form, values)
        for form in ("csv", "parquet", "jsonl", "arrow")
        for values in VALUES
        if (form, values) != ("csv", "lists")
    ],
)
@pytest.mark.parametrize("keys", KEYS)
def test_the_gate_knows_the_labels_of_a_check_again(tmp_path, command, form, keys, values):
    """The check records the digest that the gate computes from the file."""
    names = pa.array(KEYS[keys], pa.uint64()) if keys.startswith("hashes") else KEYS[keys]
    labels = write(tmp_path / f"labels.{form}", pa.table({"id": names, "label": VALUES[values], "more": range(N)}))
    delivered = write(tmp_path / f"out.{form}", pa.table({"id": names}))
    done = command("check", delivered, labels, "--key", "id", "--output", tmp_path / "out", "--json")
    assert done.exit_code == 0, done.output
    expected = evalguard.Labels.read(labels, key="id").digest
    assert json.loads(done.output)["labels"]["digest"] == expected
    # Keys of finished predictions are declared, and the gate asks for more.
    gate = ("gate", "--attestation", tmp_path / "out" / "attestation.json", "--require", "declared", "--key", "id")
    asked = (*gate, "--labels")
    assert command(*asked, labels, delivered, labels).exit_code == 0
    other = write(tmp_path / f"other.{form}", pa.table({"id": names, "label": VALUES[values][::-1], "more": range(N)}))
    closed = command(*asked, other, delivered)
    assert closed.exit_code == 1
    assert f"found {expected}" in closed.output


def judged(tmp_path, command, labels, delivered, form="parquet", key="id", keys=None):
    """The output and exit code of a check of two tables with these columns of keys."""
    values = pa.array(np.arange(len(labels)) % 2)
    write(tmp_path / f"labels.{form}", pa.table({keys or key: labels, "label": values}))
    write(tmp_path / f"out.{form}", pa.table({key: delivered, "score": pa.array(np.ones(len(delivered)))}))
    more = ["--labels-key", keys] if keys else []
    return command(
        "check", tmp_path / f"out.{form}", tmp_path / f"labels.{form}", "--key", key, *more, "--label", "label"
    )


@pytest.mark.parametrize(
    "key", ['a"b', "a'; drop table predicted; --", "ours.key", "key", "rowid", "piece", "select", "a.b"]
)
@pytest.mark.parametrize("form", ["csv", "parquet", "jsonl", "arrow"])
def test_the_name_of_a_column_is_no_sql(tmp_path, command, key, form):
    names = pa.array(["b", "a", "c"])
    assert judged(tmp_path, command, names, names, form, key).exit_code == 0
    assert judged(tmp_path, command, names, names[::-1], form, key).exit_code == 1


@pytest.mark.parametrize("form", ["csv", "parquet", "arrow"])
def test_names_of_columns_that_differ_in_case_are_two_columns(tmp_path, command, form):
    ids, other = pa.array(["a", "b"]), pa.array(["x", "x"])
    labels = write(tmp_path / f"labels.{form}", pa.table({"ID": other, "id": ids, "label": [0, 1]}))
    delivered = write(tmp_path / f"out.{form}", pa.table({"Id": ids, "id": ids}))
    assert command("check", delivered, labels, "--key", "id", "--label", "label").exit_code == 0
    assert "2 keys" not in (done := command("check", delivered, labels, "--key", "Id", "--labels-key", "ID")).output
    assert (done.exit_code, "the first is 'x' at rows 0, 1" in done.output) == (2, True)


@pytest.mark.parametrize("form", ["csv", "parquet", "jsonl", "arrow"])
@pytest.mark.parametrize(
    "key", ["one\nline\r\n,and another", "é漢\U0001f600", "'quoted'", '"', " ", "\t", "NULL?", "a" * 5000]
)
def test_any_text_is_a_key(tmp_path, command, form, key):
    names = pa.array(["first", key, "last"])
    assert judged(tmp_path, command, names, names, form).exit_code == 0
    assert judged(tmp_path, command, names, pa.array(["first", key + "x", "last"]), form).exit_code == 1


@pytest.mark.parametrize("form", ["csv", "parquet", "jsonl", "arrow"])
def test_one_row_is_a_table(tmp_path, command, form):
    one = pa.array(["only"])
    assert judged(tmp_path, command, one, one, form).exit_code == 0
    done = judged(tmp_path, command, one, one[:0], form)
    assert done.exit_code == 2
    assert "PREDICTIONS: expected" in done.output


def test_a_repeated_prediction_is_a_duplicate(tmp_path, command):
    done = judged(tmp_path, command, pa.array(["a", "b", "c"]), pa.array(["a", "b", "b"]), form="csv")
    assert done.exit_code == 1
    assert "duplicate" in done.output


def test_keys_that_match_no_label_prove_nothing_and_are_shown(tmp_path, command):
    done = judged(tmp_path, command, pa.array(["a.png", "b.png"]), pa.array(["a", "b"]))
    assert done.exit_code == 3
    assert "They differ by the suffix '.png'" in " ".join(done.output.split())


def test_a_csv_of_integers_is_compared_with_integers_if_all_are_written_as_such(tmp_path, command):
    labels = write(tmp_path / "labels.parquet", pa.table({"id": [7, 8, 2**62], "label": [0, 1, 0]}))
    (tmp_path / "out.csv").write_text(f"id,score\n7,1\n8,1\n{2**62},1\n")
    assert command("check", tmp_path / "out.csv", labels, "--key", "id").exit_code == 0
    (tmp_path / "out.csv").write_text(f"id,score\n7,1\n008,1\n{2**62},1\n")
    done = command("check", tmp_path / "out.csv", labels, "--key", "id")
    assert done.exit_code == 2
    assert "found text in PREDICTIONS, such as '008', and integers in labels.parquet, such as 7." in done.output


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("ragged.csv", "id,score\na,1\nb,2,3\n"),
        ("empty.csv", ""),
        ("mixed.jsonl", '{"id": "a"}\n{"id": 7}\n'),
        ("latin.csv", "id,score\n\xe9,1\n".encode("latin-1")),
    ],
)
def test_a_file_that_cannot_be_read_ends_in_2(tmp_path, command, name, content):
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    labels = write(tmp_path / "labels.csv", labels_table())
    for first, second in ((tmp_path / name, labels), (labels, tmp_path / name)):
        done = command("check", first, second, "--key", "id", "--label", "label" if second == labels else "score")
        assert done.exit_code == 2, done.output
        assert "expected a CSV, Parquet, JSONL or Arrow table, found in" in done.output


def test_keys_of_an_array_and_of_a_manifest_are_keys(tmp_path, command):
    names = np.array(["b", "a", "c"])
    evalguard.Labels(values=np.arange(3), keys=names).save(tmp_path / "labels.parquet")
    for keys, code in ((names, 0), (names[::-1], 1)):
        np.save(tmp_path / "keys.npy", keys)
        done = command("check", tmp_path / "keys.npy", tmp_path / "labels.parquet", "--key", "id")
        assert done.exit_code == code, done.output
    evalguard.Labels(values=np.arange(3)).save(tmp_path / "labels.parquet")
    done = command("check", tmp_path / "keys.npy", tmp_path / "labels.parquet", "--key", "id")
    assert done.exit_code == 2
    assert "expected labels with keys" in done.output


def test_only_the_columns_that_are_needed_are_read(tmp_path, command):
    """A column that is not asked for may hold what cannot be read."""
    labels = write(tmp_path / "labels.csv", labels_table())
    rows = "".join(f"sample {row:03d},{'1' if row < 40 else 'text'}\n" for row in range(N))
    (tmp_path / "out.csv").write_text(f"id,score\n{rows}")
    assert command("check", tmp_path / "out.csv", labels, "--key", "id", "--label", "label").exit_code == 0


def test_the_cause_is_found_in_the_keys(tmp_path, command, monkeypatch):
    labels, delivered = pa.array([str(row) for row in range(40)]), pa.array(sorted(str(row) for row in range(40)))
    done = judged(tmp_path, command, labels, delivered)
    assert (done.exit_code, "keys in order of text" in " ".join(done.output.split())) == (1, True), done.output
    monkeypatch.setattr("evalguard.core.diagnosis.sorted_orders.MAX_TEXTS", 39)
    done = judged(tmp_path, command, labels, delivered)
    assert (done.exit_code, "keys in order of text" in " ".join(done.output.split())) == (1, False), done.output


def tables(tmp_path, order, *, beside=None, predicted=None):
    """Two tables, predictions in this order, with a column of labels beside them where it is given."""
    columns = {"id": [f"sample {row:03d}" for row in order]}
    columns |= {name: values for name, values in (("label", beside), ("predicted", predicted)) if values is not None}
    return write(tmp_path / "out.csv", pa.table(columns)), write(tmp_path / "labels.parquet", labels_table())


ORDERS = {
    "the same": (range(N), 0, {}),
    "another order": (np.random.default_rng(0).permutation(N), 0, {}),
    "one row missing": ([*range(7), *range(8, N)][::-1], 1, {"missing": 1}),
    "one row twice": ([*range(N), 7][::-1], 1, {"duplicate": 1}),
    "one row twice, one missing": ([3, *range(4, N), 0, 1, 3], 1, {"missing": 1, "duplicate": 1}),
    "one row of no label": ([*range(N), N + 3][::-1], 1, {"foreign": 1}),
}


@pytest.mark.parametrize("order", ORDERS)
def test_in_any_order_each_label_needs_one_row(tmp_path, command, order):
    rows, code, wrong = ORDERS[order]
    done = command("check", *tables(tmp_path, rows), "--key", "id", "--order", "any", "--json")
    report = json.loads(done.output)
    assert done.exit_code == code, done.output
    found = {name: report["counts"][name] for name in ("missing", "duplicate", "foreign")}
    assert found == {"missing": 0, "duplicate": 0, "foreign": 0} | wrong
    assert (report["counts"]["misaligned"], report["order"]) == (None, None)
    links = {link["link"]: link for link in report["chain"]}
    assert links["confirmed"]["status"] == "declared"
    assert "order: any" in links["confirmed"]["basis"]
    assert report["options"]["order"] == "any"


def test_metrics_in_any_order_are_those_of_the_joined_rows(tmp_path, command):
    order = np.random.default_rng(0).permutation(N)
    predicted = order % 3
    predicted[0] = (predicted[0] + 1) % 3
    given = (*tables(tmp_path, order, predicted=predicted), "--key", "id", "--prediction", "predicted")
    metric = ("--metric", "accuracy", "--json")
    report = json.loads(command("check", *given, *metric, "--order", "any").output)
    assert report["impact"]["accuracy"]["as_scored"] == pytest.approx(1 - 1 / N)
    report = json.loads(command("check", *given, *metric).output)
    assert report["impact"]["accuracy"]["as_scored"] < 0.6
    assert report["impact"]["accuracy"]["realigned"] == pytest.approx(1 - 1 / N)
    assert report["advice"].startswith("--order any")


@pytest.mark.parametrize("how", ["same", "any"])
def test_a_label_column_in_both_tables_is_compared(tmp_path, command, how):
    order = np.arange(N) if how == "same" else np.random.default_rng(0).permutation(N)
    asked = ("--key", "id", "--label", "label", "--order", how, "--json")
    right = json.loads(command("check", *tables(tmp_path, order, beside=order % 3), *asked).output)
    assert (right["verdict"], right["counts"]["label_disagreements"]) == ("PASS", 0)
    shifted = command("check", *tables(tmp_path, order, beside=np.roll(order % 3, 1)), *asked)
    assert shifted.exit_code == 1
    assert "--prediction label" in json.loads(shifted.output)["diagnosis"][0]["remedy"]
    few = order % 3
    few[3] = (few[3] + 1) % 3
    other = json.loads(command("check", *tables(tmp_path, order, beside=few), *asked).output)
    assert (other["verdict"], other["counts"]["label_disagreements"]) == ("UNPROVEN", 1)
    assert any("--prediction label" in note for note in other["not_proven"])
    # What was predicted is not compared, nor is a column that nobody named.
    for options in (("--prediction", "label", *asked), ("--key", "id", "--order", how, "--json")):
        report = json.loads(command("check", *tables(tmp_path, order, beside=few), *options).output)
        assert (report["verdict"], report["counts"]["label_disagreements"]) == ("PASS", None)


def test_python_has_the_same_options(tmp_path):
    labels = evalguard.Labels(values=np.arange(N) % 3, keys=np.arange(N) * 2)
    order = np.random.default_rng(0).permutation(N)
    report = evalguard.check(keys=order * 2, labels=labels, order="any", targets=order % 3)
    assert (str(report.verdict), str(report.proof), report.counts["label_disagreements"]) == ("PASS", "declared", 0)
    assert str(evalguard.check(indices=order, labels=N, order="any").verdict) == "PASS"
    assert str(evalguard.check(indices=order[1:], labels=N, order="any").verdict) == "FAIL"
    report = evalguard.check(keys=order * 2, labels=labels, order="any", targets=order[::-1] % 3)
    assert str(report.verdict) == "FAIL"
    with pytest.raises(evalguard.ConfigError, match="order: expected one of same, any; found 'no'"):
        evalguard.check(keys=order, labels=labels, order="no")
    with pytest.raises(evalguard.ConfigError, match="no end to be cut"):
        evalguard.check(keys=order, labels=labels, order="any", padding="trim")
    with pytest.raises(evalguard.LabelsError, match="targets: expected one for each of the 50 rows, found 3"):
        evalguard.check(keys=order * 2, labels=labels, targets=[1, 2, 3])
