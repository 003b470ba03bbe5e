"""A call that cannot become right any more is stopped at the batch that proves it; any other runs to its end."""

import keras
import numpy as np
import pytest
import tf_keras

import evalguard
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
    assert g.report.counts["missing"] == 0
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
