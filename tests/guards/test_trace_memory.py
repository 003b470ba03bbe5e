"""``trace_memory``: a call whose rows outgrow it is judged as any other, and says what it took."""

import errno
import tempfile

import keras
import numpy as np
import pytest

import evalguard
from evalguard import Verdict
from evalguard.step.config import read

N, BATCH = 500, 7
X = np.random.default_rng(0).normal(size=(N, 3)).astype("float32")
Y = np.arange(N) % 3
ORDERS = {
    "in order": np.arange(N),
    "shuffled": np.random.default_rng(1).permutation(N),
    "one repeated": np.r_[0, np.arange(N - 1)],
}


@pytest.fixture(scope="module")
def model():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3)])
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def loader(order, told):
    for start in range(0, N, BATCH):
        rows = order[start : start + BATCH]
        batch = (X[rows], Y[rows]) if told == "targets" else (X[rows],)
        yield evalguard.tagged(batch, index=rows) if told == "index" else batch


def judged(model, order, told, **options):
    given = {"labels": Y, "mlflow": False, "on_failure": "record", "on_unproven": "record", "name": "x"} | options
    if told == "content":
        given["reference"] = X
    with evalguard.guard(**given) as g:
        predictions = model.predict(loader(order, told), steps=-(-N // BATCH), verbose=0)
    body = g.report.to_dict()
    cost = body.pop("cost")
    return predictions, {**body, "checked_at_ms": 0}, cost


@pytest.mark.parametrize("told", ["index", "content", "targets"])
@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
@pytest.mark.parametrize("options", [{}, {"fail_fast": True}, {"scope": "session"}], ids=["plain", "fast", "session"])
def test_the_report_is_that_of_a_call_with_all_memory(model, order, told, options):
    predictions, report, cost = judged(model, order, told, **options)
    same, spilled, other_cost = judged(model, order, told, trace_memory=16, **options)
    assert np.array_equal(same, predictions)
    assert spilled == report
    assert "spilled_bytes" not in cost
    if told == "content" and not options:
        assert (other_cost["spilled_bytes"], cost["bytes"] - other_cost["bytes"]) == (8 * N, 8 * N)


def test_rows_in_order_take_almost_no_memory(model):
    _, report, cost = judged(model, np.arange(N), "index")
    assert report["verdict"] == "PASS"
    assert cost["bytes"] < 500


def test_a_full_disk_costs_no_prediction_and_no_verdict(model, monkeypatch):
    class Full:
        def __init__(self, **options):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", Full)
    _, report, cost = judged(model, ORDERS["shuffled"], "content", trace_memory=16)
    assert (report["verdict"], report["counts"]["misaligned"]) == (
        "FAIL",
        int((ORDERS["shuffled"] != np.arange(N)).sum()),
    )
    assert any("stayed in memory" in hazard and "No space left" in hazard for hazard in report["hazards"])
    assert "spilled_bytes" not in cost


def test_no_file_is_left_after_an_error(model, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def broken():
        yield from list(loader(np.arange(N), "content"))[:50]
        msg = "the loader's own"
        raise RuntimeError(msg)

    with pytest.raises(Exception, match="the loader's own"):
        with evalguard.guard(labels=Y, reference=X, trace_memory=16, mlflow=False):
            model.predict(broken(), steps=-(-N // BATCH), verbose=0)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("size", [0, "1 gigabyte", True, None])
def test_a_wrong_size_is_refused(size):
    with pytest.raises(evalguard.ConfigError, match="trace_memory: expected"):
        evalguard.guard(labels=Y, trace_memory=size)


@pytest.mark.parametrize(("text", "value"), [("512 MiB", "512 MiB"), ("2000000", 2_000_000)])
def test_a_step_file_says_it_by_the_same_name(tmp_path, text, value):
    path = tmp_path / "step.yaml"
    body = "version: 1\nmodel: {path: m.keras}\ndata: {arrays: x.npy}\nlabels: {path: y.npy}\n"
    path.write_text(body + f"checks: {{trace_memory: {text}}}\n")
    assert read.read(path).checks.trace_memory == value
    path.write_text(body + "checks: {trace_memory: much}\n")
    with pytest.raises(evalguard.ConfigError, match=r"checks\.trace_memory"):
        read.read(path)


def test_epochs_of_fit_say_what_they_took(model):
    with evalguard.ValidationGuard(mlflow=False) as g:
        model.fit(X, Y, validation_data=(X, Y), epochs=2, verbose=0)
    assert g.report.verdict is Verdict.PASS
    assert g.report.cost["bytes"] >= 2 * 8 * N
