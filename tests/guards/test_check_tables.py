"""Two tables compared with each other: every format, every fault, and files too large to be read whole."""

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet
import pytest
import xxhash

import evalguard
from evalguard.guards import check_tables
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


@pytest.fixture(params=["whole", "streamed"])
def size(request, monkeypatch):
    """Both ways of reading give the same report."""
    if request.param == "streamed":
        monkeypatch.setattr(check_tables, "STREAM_BYTES", 0)
        monkeypatch.setattr(check_tables, "CHUNK", 16)
    return request.param


@pytest.mark.parametrize("form", ["csv", "parquet", "jsonl", "arrow"])
def test_rows_in_order_pass_in_every_format(tmp_path, command, size, form):
    delivered = write(tmp_path / f"out.{form}", delivered_table(range(N)))
    labels = write(tmp_path / f"labels.{form}", labels_table())
    done = command("check", delivered, labels, "--key", "id", "--json", "--label", "label")
    assert done.exit_code == 0, done.output
    report = json.loads(done.output)
    assert (report["verdict"], report["proof"], report["counts"]["n_predictions"]) == ("PASS", "declared", N)
    assert report["identities"] == [{"identity": "key", "says": "aligned", "used": True}]


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_fails_and_names_the_rows_that_are_wrong(tmp_path, command, size, fault):
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


def test_both_ways_of_reading_give_the_same_report(tmp_path, monkeypatch):
    order = np.concatenate(faulty_batches("window_shuffled", n=N, batch_size=8))
    question = check_tables.TableCheck(
        write(tmp_path / "out.csv", delivered_table(order)), write(tmp_path / "labels.csv", labels_table()), key="id"
    )
    whole = check_tables.compare(question).to_dict()
    monkeypatch.setattr(check_tables, "STREAM_BYTES", 0)
    streamed = check_tables.compare(question).to_dict()
    for name in ("counts", "findings", "wrong_rows", "diagnosis", "verdict", "proof", "identities", "order", "plot"):
        assert whole[name] == streamed[name], name


@pytest.mark.parametrize("bad_seeds", [1, 99], ids=["once", "always"])
def test_equal_digests_are_no_proof(tmp_path, monkeypatch, bad_seeds):
    """Were the digest of every key its length, any stream would look aligned; the texts say no."""
    real = xxhash.xxh3_64_intdigest
    monkeypatch.setattr(check_tables, "STREAM_BYTES", 0)
    monkeypatch.setattr(
        "xxhash.xxh3_64_intdigest", lambda text, seed: text[-1] % 2 if seed < bad_seeds else real(text, seed)
    )
    labels = write(tmp_path / "labels.csv", pa.table({"id": ["a", "b"], "label": [0, 1]}))
    delivered = write(tmp_path / "out.csv", pa.table({"id": ["c", "b"]}))
    question = check_tables.TableCheck(delivered, labels, key="id")
    if bad_seeds == 1:
        report = check_tables.compare(question)
        assert report.verdict is evalguard.Verdict.FAIL
        assert report.counts["foreign"] == 1
    else:
        with pytest.raises(evalguard.ConfigError, match="expected keys with different 64-bit digests"):
            check_tables.compare(question)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        pytest.param(["a", "b", "a"], "1 keys are repeated, the first is 'a' at rows 0, 2", id="repeated"),
        pytest.param(["a", None, "c"], "rows 1", id="null"),
        pytest.param(["a", "", "c"], "rows 1", id="nameless"),
        pytest.param([], "", id="empty"),
    ],
)
def test_labels_that_cannot_be_used_end_in_2(tmp_path, command, size, ids, message):
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


def test_keys_may_be_called_otherwise_in_the_labels(tmp_path, command, size):
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
    assert "expected `--metric` and `--prediction COLUMN` together" in done.output


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
def test_the_gate_knows_the_labels_of_a_check_again(tmp_path, command, size, form, keys, values, monkeypatch):
    """The check records the digest that the gate computes from the file, streamed or not."""
    monkeypatch.setattr("evalguard.labels.streamed_digest.CHUNK", 16)
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
    assert f"judged against labels {expected}" in closed.output
