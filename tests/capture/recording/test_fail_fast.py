"""A call that cannot become right any more is stopped at the batch that proves it; any other runs to its end."""

import keras
import numpy as np
import pytest
import tf_keras

import evalguard
from evalguard.capture.contract import BatchTag, CaptureOptions
from evalguard.capture.recording.fail_fast import FailFastCheck
from evalguard.capture.recording.recorder import Recorder
from evalguard.core.label_table import LabelTable
from evalguard.core.trace import UNKNOWN
from evalguard.data.fingerprint import row_fingerprints
from evalguard.errors import ConfigError

N, BATCH = 60, 5
STEPS = N // BATCH
X = np.random.default_rng(0).normal(size=(N, 3)).astype("float32")
Y = np.arange(N)


@pytest.fixture(params=[pytest.param(keras, id="keras"), pytest.param(tf_keras, id="tf_keras")])
def engine(request):
    return request.param


def make_model(engine):
    model = engine.Sequential([engine.Input((3,)), engine.layers.Dense(2)])
    model.compile(loss=engine.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def loader(order, told, pulled):
    for step in range(STEPS):
        rows = order[step * BATCH : (step + 1) * BATCH]
        pulled.append(step)
        batch = (X[rows], Y[rows] % 2) if told == "targets" else (X[rows],)
        yield evalguard.tagged(batch, index=rows) if told == "index" else batch


def swapped(at):
    """Rows of one batch in another order."""
    order = np.arange(N)
    order[[at * BATCH, at * BATCH + 1]] = order[[at * BATCH + 1, at * BATCH]]
    return order


def repeated(at):
    """A batch that holds a sample of the batch before it, or of itself."""
    order = np.arange(N)
    order[at * BATCH + 1] = order[max(0, at * BATCH - 1)]
    return order


def options(told):
    given = {"labels": Y % 2 if told == "targets" else Y, "mlflow": False, "fail_fast": True}
    return given | ({"reference": X} if told == "content" else {})


@pytest.mark.parametrize("told", ["content", "index", "targets"])
@pytest.mark.parametrize("at", [0, STEPS // 2, STEPS - 1], ids=["first", "middle", "last"])
def test_the_call_ends_with_the_batch_that_proves_the_fault(engine, told, at):
    with evalguard.guard(**options(told), on_failure="record") as g:
        rows = make_model(engine).predict(loader(swapped(at), told, []), steps=STEPS, verbose=0)
    assert len(rows) == (at + 1) * BATCH
    assert g.report.verdict == "FAIL"
    assert g.report.counts["missing"] is None
    assert {finding.reason for finding in g.report.findings} <= {"reordered", "label_disagreement"}
    assert any(f"stopped after {(at + 1) * BATCH} of {N} rows" in note for note in g.report.not_proven)


@pytest.mark.parametrize("told", ["content", "index"])
def test_a_source_that_skips_a_batch_fails_where_it_does(engine, told):
    order = np.concatenate([np.arange(2 * BATCH), np.arange(3 * BATCH, N)])
    with evalguard.guard(**options(told), on_failure="record") as g:
        rows = make_model(engine).predict(loader(order, told, []), steps=STEPS - 1, verbose=0)
    assert len(rows) == 3 * BATCH
    assert g.report.verdict == "FAIL"
    assert [(finding.reason, finding.count) for finding in g.report.findings] == [("reordered", BATCH)]
    assert g.report.findings[0].message == f"{BATCH} rows are out of position"


def test_the_source_is_asked_for_little_more(engine):
    pulled: list[int] = []
    with evalguard.guard(**options("content"), on_failure="record"):
        make_model(engine).predict(loader(swapped(1), "content", pulled), steps=STEPS, verbose=0)
    assert len(pulled) < STEPS


def test_the_error_carries_what_was_predicted_so_far(engine):
    with pytest.raises(evalguard.MisalignmentError, match="stopped after 10 of 60 rows") as raised:
        with evalguard.guard(**options("content")):
            make_model(engine).predict(loader(swapped(1), "content", []), steps=STEPS, verbose=0)
    assert len(raised.value.predictions) == 2 * BATCH


@pytest.mark.parametrize("told", ["content", "index", "targets"])
def test_what_is_right_runs_to_its_end_with_the_same_bits(engine, told):
    model = make_model(engine)
    bare = model.predict(loader(np.arange(N), told, []), steps=STEPS, verbose=0)
    with evalguard.guard(**options(told)) as g:
        rows = model.predict(loader(np.arange(N), told, []), steps=STEPS, verbose=0)
    assert np.array_equal(rows, bare)
    assert g.report.verdict == "PASS"


def test_the_next_call_is_not_stopped(engine):
    model = make_model(engine)
    with evalguard.guard(**options("content"), on_failure="record") as g:
        model.predict(loader(swapped(0), "content", []), steps=STEPS, verbose=0)
        model.predict(loader(np.arange(N), "content", []), steps=STEPS, verbose=0)
    assert [report.verdict for report in g.reports] == ["FAIL", "PASS"]


@pytest.mark.parametrize("told", ["content", "index"])
def test_evaluate_stops_at_a_sample_that_comes_again(engine, told):
    def source(order):
        return ((batch[0], np.zeros(BATCH, "int64")) for batch in loader(order, "content", []))

    def tagged_source(order):
        for step, batch in enumerate(source(order)):
            yield evalguard.tagged(batch, index=order[step * BATCH : (step + 1) * BATCH])

    model, make = make_model(engine), tagged_source if told == "index" else source
    given = options(told) | {"labels": np.zeros(N, "int64")}
    with evalguard.guard(**given, on_failure="record") as g:
        model.evaluate(make(repeated(3)), steps=STEPS, verbose=0)
        model.evaluate(make(np.arange(N)[::-1]), steps=STEPS, verbose=0)
    assert [report.verdict for report in g.reports] == ["FAIL", "PASS"]
    assert g.reports[0].counts["n_predictions"] == 4 * BATCH


def test_equal_samples_are_no_fault(engine):
    x = X.copy()
    x[::2] = x[0]
    with evalguard.guard(labels=Y, reference=x, mlflow=False, fail_fast=True) as g:
        make_model(engine).predict(((x[at : at + BATCH],) for at in range(0, N, BATCH)), steps=STEPS, verbose=0)
    assert g.report.verdict == "PASS"


def test_rows_beyond_the_labels_stop_the_call_unless_they_may_be_padding():
    def endless():
        while True:
            yield from loader(np.arange(N), "content", [])

    for padding, verdict, rows in (("forbid", "FAIL", N + BATCH), ("trim", "PASS", N)):
        with evalguard.guard(**options("content"), padding=padding, on_failure="record") as g:
            predicted = make_model(keras).predict(endless(), steps=STEPS + 2, verbose=0)
        assert (g.report.verdict, len(predicted)) == (verdict, rows)


@pytest.mark.parametrize("other", [{"on_failure": "repair"}, {"scope": "session"}, {"fail_fast": "yes"}])
def test_what_cannot_go_together_is_refused(other):
    with pytest.raises(ConfigError, match="fail_fast"):
        evalguard.guard(labels=Y, **{"fail_fast": True, **other})


ROWS = np.arange(12, dtype="float32").reshape(4, 3)
CONTENT = row_fingerprints(ROWS)[0]
NAMES = np.array(["a", "b", "c", "d"])


def fault(labels, tag=None, x=None, y=None, *, ordered=True, **given):
    """What the check says of one batch."""
    check = FailFastCheck(lambda _: labels, ordered=ordered, padding=False)
    recorder = Recorder(CaptureOptions(**given), fail_fast_check=check)
    x = ROWS if x is None else x
    recorder.record((x,) if y is None else (x, y), tag or BatchTag())
    assert not recorder.problem
    return check(recorder)


def test_a_batch_that_changed_on_its_way_is_a_fault():
    labels = LabelTable(values=np.arange(4))
    assert fault(labels, BatchTag(0, altered=True)) == (
        "rows that changed between the source and the model in rows 0 to 3"
    )
    assert fault(labels, BatchTag(0)) == ""


@pytest.mark.parametrize(
    ("keys", "stated", "sample"),
    [
        pytest.param(NAMES, None, None, id="in-order"),
        pytest.param(NAMES[[1, 0, 2, 3]], None, 1, id="keys-in-another-order"),
        pytest.param(NAMES[[1, 0, 2, 3]], [1, 0, 2, 3], 1, id="and-samples-as-well"),
        pytest.param(NAMES[[1, 0, 2, 3]], [0, 1, 2, 3], None, id="the-source-counts-in-its-own-list"),
        pytest.param(None, [2, 1, 0, 3], 2, id="samples-only"),
        pytest.param(NAMES[[2, 1, 0, 3]], [2, 1, 0, 3], 2, id="samples-and-keys"),
    ],
)
def test_keys_of_the_source_are_believed_where_its_samples_do_not_contradict(keys, stated, sample):
    tag = BatchTag(0, keys=keys, samples=None if stated is None else np.array(stated))
    expected = "" if sample is None else f"sample {sample} at the position of sample 0 in rows 0 to 3"
    assert fault(LabelTable(values=np.arange(4), keys=NAMES), tag) == expected


def test_without_keys_of_the_labels_those_of_the_source_say_nothing():
    tag = BatchTag(0, keys=NAMES[::-1], samples=np.array([1, 0, 2, 3]))
    assert fault(LabelTable(values=np.arange(4)), tag).startswith("sample 1 at the position of sample 0")


def test_keys_that_the_user_names_are_believed_whatever_the_source_states():
    labels = LabelTable(values=np.arange(4), keys=NAMES)
    x = {"id": NAMES[[1, 0, 2, 3]], "x": ROWS}
    assert fault(labels, BatchTag(0, samples=np.arange(4)), x, key="id").startswith("sample 1 at the position of")


@pytest.mark.parametrize("sample", range(4))
def test_each_sample_is_recognised_by_its_content(sample):
    labels = LabelTable(values=np.arange(4), fingerprints=CONTENT)
    order = np.roll(np.arange(4), -sample)
    found = fault(labels, x=ROWS[order], content="always")
    assert found == (f"sample {sample} at the position of sample 0 in rows 0 to 3" if sample else "")


def test_rows_of_unknown_content_are_no_fault():
    labels = LabelTable(values=np.arange(4), fingerprints=CONTENT)
    for number in range(1, 50):
        assert fault(labels, x=ROWS + 100 * number, content="always") == ""


def test_sample_0_out_of_position_is_a_fault():
    tag = BatchTag(0, samples=np.array([UNKNOWN, 0, UNKNOWN, -2]))
    found = fault(LabelTable(values=np.arange(4)), tag)
    assert found == "sample 0 at the position of sample 1 in rows 0 to 3"


@pytest.mark.parametrize(
    ("targets", "wrong"),
    [
        pytest.param([1, 0, 2, 3], "", id="of-equal-inputs-exchanged"),
        pytest.param([1, 0, 3, 2], "targets that differ from the labels (2 of 4) in rows 0 to 3", id="of-others-too"),
    ],
)
@pytest.mark.parametrize("ordered", [True, False])
def test_targets_of_equal_inputs_are_judged_at_the_end(targets, wrong, ordered):
    x = ROWS[[0, 0, 2, 3]]
    labels = LabelTable(values=np.arange(4), fingerprints=row_fingerprints(x)[0])
    assert fault(labels, x=x, y=np.array(targets), ordered=ordered, content="always") == wrong


@pytest.mark.parametrize(
    ("samples", "targets", "wrong"),
    [
        pytest.param([3, 2, 1, 0], [3, 2, 1, 0], "", id="right"),
        pytest.param(
            [3, 2, 1, 0], [3, 2, 1, 1], "targets that differ from the labels (1 of 4) in rows 0 to 3", id="wrong"
        ),
        pytest.param([3, 2, 1, UNKNOWN], [3, 2, 0, 1], "", id="not-all-known"),
        pytest.param(None, [3, 2, 1, 1], "", id="not-known"),
    ],
)
def test_without_order_targets_are_compared_where_every_sample_is_known(samples, targets, wrong):
    tag = BatchTag(0, samples=None if samples is None else np.array(samples))
    assert fault(LabelTable(values=np.arange(4)), tag, y=np.array(targets), ordered=False) == wrong
