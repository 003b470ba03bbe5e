"""``content="sample:…"``: some rows, chosen by position, are recognised, and no more is claimed than that."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

import evalguard
from evalguard import Verdict
from evalguard.capture.recording.fingerprints import FingerprintColumn
from evalguard.core.sampling import Sampling
from evalguard.data.fingerprint import row_fingerprints
from evalguard.errors import ConfigError
from evalguard.guards.errors import MisalignmentError
from evalguard.labels.reference import Reference
from evalguard.step.config import read

N, BATCH, SHARE = 300, 7, 0.05
X = np.random.default_rng(0).normal(size=(N, 3)).astype("float32")
Y = np.arange(N) % 3
CHOSEN = Sampling(SHARE).of(N)
LEFT_OUT = np.setdiff1d(np.arange(N), CHOSEN)


def moved(*pairs):
    order = np.arange(N)
    for one, other in pairs:
        order[[one, other]] = other, one
    return order


IN_ORDER, SHUFFLED = np.arange(N), np.random.default_rng(1).permutation(N)
ONE_CHOSEN, NONE_CHOSEN = moved((CHOSEN[3], LEFT_OUT[9])), moved((LEFT_OUT[0], LEFT_OUT[9]))


@pytest.fixture(scope="module")
def model():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3)])
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


class Pieces(keras.utils.PyDataset):
    """Batches of these rows."""

    def __init__(self, order, **options):
        super().__init__(**options)
        self.order = order

    def __len__(self):
        return -(-N // BATCH)

    def __getitem__(self, number):
        return (X[self.order[number * BATCH : (number + 1) * BATCH]],)


def generator(order):
    for start in range(0, N, BATCH):
        yield (X[order[start : start + BATCH]],)


SOURCES = {
    "arrays": lambda order: X[order],
    "generator": generator,
    "tf.data": lambda order: tf.data.Dataset.from_tensor_slices(X[order]).batch(BATCH),
    "PyDataset": Pieces,
    "threads": lambda order: Pieces(order, workers=2),
}
REFERENCES = {
    "array": lambda: X,
    "float64": lambda: X.astype("float64"),
    "list of arrays": lambda: [X],
    "by index": lambda: lambda index: X[index],
    "generator": lambda: lambda: generator(IN_ORDER),
    "tf.data": lambda: SOURCES["tf.data"](IN_ORDER),
    "tensor": lambda: tf.constant(X),
    "PyDataset": lambda: Pieces(IN_ORDER),
    "list": lambda: X.tolist(),
}


def judged(model, source, **options):
    given = {
        "labels": Y,
        "reference": X,
        "content": f"sample:{SHARE}",
        "require": "sample",
        "mlflow": False,
        "on_failure": "record",
        "on_unproven": "record",
    }
    steps = -(-N // BATCH) if hasattr(source, "send") else None
    with evalguard.guard(**given | options) as g:
        model.predict(source, steps=steps, verbose=0)
    return g.report


# -- Each kind of source -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_a_stream_in_order_is_a_pass_of_a_sample_and_by_default_unproven(model, source):
    report = judged(model, source(IN_ORDER))
    assert (report.verdict, report.proof) == (Verdict.PASS, "sample")
    assert report.headline.startswith(f"PASS: {len(CHOSEN)} of {N} predictions")
    report = judged(model, source(IN_ORDER), require="labels")
    assert (report.verdict, report.proof) == (Verdict.UNPROVEN, "sample")
    assert 'require="sample"' in report.advice


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
@pytest.mark.parametrize("order", [ONE_CHOSEN, SHUFFLED], ids=["one chosen row moved", "shuffled"])
def test_a_chosen_row_at_another_index_is_a_fault(model, source, order):
    report = judged(model, source(order))
    assert report.verdict is Verdict.FAIL
    wrong = int(np.count_nonzero(order[CHOSEN] != CHOSEN))
    (finding,) = report.findings
    assert (finding.reason, finding.count, report.counts["misaligned"]) == ("sampled_content", wrong, wrong)
    assert finding.message.startswith(f"at least {wrong} rows")
    assert report.headline == (
        f"FAIL: at least {wrong} of {N} predictions would be scored against another sample's label"
    )
    assert [row["row"] for row in report.wrong_rows] == [row for row in CHOSEN.tolist() if order[row] != row][:20]


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_rows_that_were_not_hashed_are_not_claimed(model, source):
    report = judged(model, source(NONE_CHOSEN))
    assert (report.verdict, report.proof) == (Verdict.PASS, "sample")
    assert judged(model, source(NONE_CHOSEN), content="all").verdict is Verdict.FAIL


def test_a_generator_that_had_been_started_is_right_where_its_rows_are(model):
    def after_a_header():
        yield None
        yield from generator(IN_ORDER)

    source = after_a_header()
    next(source)
    assert judged(model, source).verdict is Verdict.PASS
    source = after_a_header()
    next(source)
    assert judged(model, source, content="all", reference=None, require="transport").verdict is Verdict.FAIL


def test_rows_that_were_not_all_recorded_are_no_sample():
    contents = FingerprintColumn(sampling=Sampling(SHARE))
    contents.add(X[:10], np.asarray)
    assert contents.sampled(11) is None
    sampled = contents.sampled(10)
    assert sampled is not None
    assert sampled.positions.tolist() == Sampling(SHARE).of(10).tolist()


def test_a_batch_too_few_is_a_fault(model):
    report = judged(model, X[:-BATCH])
    assert report.verdict is Verdict.FAIL
    assert report.counts["missing"] == BATCH


def test_large_batches_are_treated_as_small_ones():
    wide = np.random.default_rng(0).normal(size=(60, 3000)).astype("float32")
    model = keras.Sequential([keras.Input((3000,)), keras.layers.Dense(1)])
    order = np.r_[1, 0, np.arange(2, 60)]
    for rows, verdict in ((np.arange(60), Verdict.PASS), (order, Verdict.FAIL)):
        batches = tf.data.Dataset.from_tensor_slices(wide[rows]).batch(20)
        report = judged(model, batches, labels=np.arange(60), reference=wide)
        assert report.verdict is verdict


@given(st.permutations(range(40)))
def test_any_order_that_moves_a_chosen_row_is_a_fault_and_any_other_is_no_identity(order):
    x, order = X[:40], np.asarray(order)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    report = judged(model, x[order], labels=Y[:40], reference=x)
    chosen = Sampling(SHARE).of(40)
    right = (order[chosen] == chosen).all()
    assert (report.verdict, report.proof) == ((Verdict.PASS, "sample") if right else (Verdict.FAIL, report.proof))
    assert report.proof != "identity"


def test_other_data_are_no_fault_and_no_proof(model):
    report = judged(model, generator(IN_ORDER), reference=X + 1)
    assert (report.verdict, report.proof) == (Verdict.UNPROVEN, "transport")
    assert "the preprocessing differs" in " ".join(report.not_proven)


def test_arrays_prove_nothing_by_position_where_the_reference_is_other_data(model):
    report = judged(model, X, reference=X + 1)
    assert (report.verdict, report.proof) == (Verdict.UNPROVEN, "transport")


@pytest.mark.parametrize("order", [IN_ORDER, ONE_CHOSEN], ids=["in order", "one chosen row moved"])
def test_an_index_is_identity_unless_a_chosen_row_contradicts_it(model, order):
    def claims():
        for number, (x,) in enumerate(generator(order)):
            yield evalguard.tagged((x,), index=np.arange(number * BATCH, number * BATCH + len(x)))

    report = judged(model, claims())
    assert report.proof == "identity"
    assert report.verdict is (Verdict.PASS if order is IN_ORDER else Verdict.FAIL)


def test_text_and_rows_of_different_lengths_are_sampled_as_well():
    rows = tf.ragged.constant([[float(number)] * (1 + number % 4) for number in range(60)])
    summed = keras.Sequential([keras.layers.Lambda(lambda x: tf.reduce_sum(tf.cast(x, "float32"), 1, keepdims=True))])
    order = np.r_[1, 0, np.arange(2, 60)]
    for delivered, verdict in ((np.arange(60), Verdict.PASS), (order, Verdict.FAIL)):
        ds = tf.data.Dataset.from_tensor_slices(tf.gather(rows, delivered)).batch(7)
        report = judged(summed, ds, labels=np.arange(60), reference=[np.asarray(row) for row in rows])
        assert report.verdict is verdict
    words = np.asarray([f"word {number}" for number in range(60)])
    length = keras.Sequential([keras.layers.Lambda(lambda x: tf.cast(tf.strings.length(x), "float32"))])
    for delivered, verdict in ((np.arange(60), Verdict.PASS), (order, Verdict.FAIL)):
        ds = tf.data.Dataset.from_tensor_slices(words[delivered]).batch(7)
        assert judged(length, ds, labels=np.arange(60), reference=words).verdict is verdict


# -- The reference -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reference", REFERENCES.values(), ids=REFERENCES)
@pytest.mark.parametrize("order", [IN_ORDER, SHUFFLED], ids=["in order", "shuffled"])
def test_any_reference_is_compared_place_by_place(model, reference, order):
    report = judged(model, generator(order), reference=reference())
    assert report.verdict is (Verdict.PASS if order is IN_ORDER else Verdict.FAIL)


def test_only_chosen_samples_are_asked_for(model):
    asked = []

    def sample(index):
        asked.append(index)
        return X[index]

    assert judged(model, generator(IN_ORDER), reference=sample).verdict is Verdict.PASS
    assert asked == CHOSEN.tolist()
    assert judged(model, generator(ONE_CHOSEN), reference=sample).verdict is Verdict.FAIL
    assert asked == CHOSEN.tolist() * 2


def counted():
    """A list, and ``row_fingerprints`` that adds to it how many rows it hashes."""
    hashed = []

    def counting(x, **options):
        rows, specs = row_fingerprints(x, **options)
        hashed.append(len(rows))
        return rows, specs

    return hashed, counting


def test_only_chosen_rows_of_an_array_are_hashed(monkeypatch):
    hashed, counting = counted()
    monkeypatch.setattr("evalguard.labels.reference.row_fingerprints", counting)
    sampled = Reference(X, N).sampled(Sampling(SHARE))
    assert sum(hashed) == len(CHOSEN)
    assert sampled.positions.tolist() == CHOSEN.tolist()
    assert sampled.fingerprints.tolist() == row_fingerprints(X)[0][CHOSEN].tolist()


def test_only_chosen_rows_of_a_stream_are_hashed(model, monkeypatch):
    hashed, counting = counted()
    monkeypatch.setattr("evalguard.data.fingerprint.row_fingerprints", counting)
    monkeypatch.setattr("evalguard.capture.recording.fingerprints.row_fingerprints", counting)
    assert judged(model, generator(IN_ORDER)).verdict is Verdict.PASS
    # The last row of what is recorded together may be the last of all.
    assert sum(hashed) <= len(CHOSEN) + len(hashed)
    assert sum(hashed) < N // 5


def test_a_reference_of_another_length_is_refused(model):
    with pytest.raises(evalguard.LabelsError, match=f"one row for each of the {N} labels, found {N - 1}"):
        judged(model, generator(IN_ORDER), reference=X[:-1])


@pytest.mark.parametrize("how", ["collected", "manifest"])
@pytest.mark.parametrize("order", [IN_ORDER, ONE_CHOSEN, SHUFFLED], ids=["in order", "one", "shuffled"])
def test_collected_labels_and_manifests_are_compared_with(model, tmp_path, how, order):
    labels = evalguard.Labels.collect(tf.data.Dataset.from_tensor_slices((X, Y)).batch(BATCH))
    options = {"labels": labels, "reference": None}
    if how == "manifest":
        labels.save(tmp_path / "labels.parquet")
        options = {"reference": tmp_path / "labels.parquet"}
    report = judged(model, generator(order), **options)
    assert report.verdict is (Verdict.PASS if order is IN_ORDER else Verdict.FAIL)
    assert report.proof != "identity"


# -- Where a place says nothing ----------------------------------------------------------------------------------------


def test_all_rows_of_evaluate_and_of_a_loop_are_hashed(model):
    options = {"labels": Y, "reference": X, "content": "sample:0.05", "mlflow": False}
    with evalguard.guard(**options) as g:
        model.evaluate(X[SHUFFLED], Y[SHUFFLED], verbose=0)
    assert (g.report.verdict, g.report.proof) == (Verdict.PASS, "identity")
    with evalguard.guard(**options) as g:
        for (x,) in generator(IN_ORDER):
            model.predict_on_batch(x)
    assert (g.report.verdict, g.report.proof) == (Verdict.PASS, "identity")
    with pytest.raises(MisalignmentError), evalguard.guard(**options):
        for (x,) in generator(NONE_CHOSEN):
            model(x)


def test_all_rows_are_hashed_where_labels_come_late(model):
    with evalguard.guard(reference=X, content="sample:0.05", mlflow=False) as g:
        model.predict(X, verbose=0)
        g.labels = Y
    assert (g.report.verdict, g.report.proof) == (Verdict.PASS, "identity")


@pytest.mark.parametrize("labels", [Y, None], ids=["labels", "none"])
def test_a_sample_needs_something_to_be_compared_with(labels):
    with (
        pytest.raises(ConfigError, match=r"expected inputs in label order to compare rows with, found none\. Give"),
        evalguard.guard(labels=labels, content="sample:0.1", mlflow=False),
    ):
        pass


def test_a_step_file_takes_the_same_words(tmp_path):
    path = tmp_path / "step.yaml"
    body = "version: 1\nmodel: {path: m.keras}\ndata: {call: 'a:b'}\nlabels: {path: l.csv, label: y}\n"
    path.write_text(body + "checks: {content: 'sample:0.01', require: sample}\n")
    checks = read.read(path).checks
    assert (checks.content, checks.require) == ("sample:0.01", "sample")
    path.write_text(body + "checks: {content: 'sample:2'}\n")
    with pytest.raises(
        ConfigError, match=r"checks\.content.*expected all, or a share of the rows such as sample:0\.01"
    ):
        read.read(path)
