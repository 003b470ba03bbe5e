"""A call whose columns are kept in a file is judged as any other, and says what they take."""

import errno
import os
import tempfile

import keras
import numpy as np
import pytest

import evalguard
from evalguard import Verdict
from evalguard.core.columns import storage

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
def test_the_report_is_that_of_a_call_in_memory(model, monkeypatch, order, told, options):
    predictions, report, cost = judged(model, order, told, **options)
    monkeypatch.setattr(storage, "MAX_IN_MEMORY", 16)
    same, mapped, other_cost = judged(model, order, told, **options)
    assert np.array_equal(same, predictions)
    assert mapped == report
    assert other_cost["bytes"] == cost["bytes"]


def test_rows_in_order_take_almost_no_memory(model):
    _, report, cost = judged(model, np.arange(N), "index")
    assert report["verdict"] == "PASS"
    assert cost["bytes"] < 500


def test_a_full_disk_costs_no_prediction_and_no_verdict(model, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(storage, "MAX_IN_MEMORY", 16)
    monkeypatch.setattr(os, "posix_fallocate", full)
    _, report, _ = judged(model, ORDERS["shuffled"], "content")
    assert (report["verdict"], report["counts"]["misaligned"]) == (
        "FAIL",
        int((ORDERS["shuffled"] != np.arange(N)).sum()),
    )


def test_no_file_is_left_after_an_error(model, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(storage, "MAX_IN_MEMORY", 16)

    def broken():
        yield from list(loader(np.arange(N), "content"))[:50]
        msg = "the loader's own"
        raise RuntimeError(msg)

    with pytest.raises(Exception, match="the loader's own"):
        with evalguard.guard(labels=Y, reference=X, mlflow=False):
            model.predict(broken(), steps=-(-N // BATCH), verbose=0)
    assert not list(tmp_path.iterdir())


def test_epochs_of_fit_say_what_they_took(model):
    with evalguard.ValidationGuard(mlflow=False) as g:
        model.fit(X, Y, validation_data=(X, Y), epochs=2, verbose=0)
    assert g.report.verdict is Verdict.PASS
    assert g.report.cost["bytes"] >= 2 * 8 * N
