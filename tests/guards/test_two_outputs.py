"""Labels of a model with two outputs, in every form, against targets in every form."""

from typing import Any

import numpy as np
import pytest

import evalguard
from evalguard import Verdict

N, BATCH = 40, 8
X = np.random.default_rng(0).normal(size=(N, 3)).astype("float32")
KINDS, AMOUNTS = np.arange(N) % 3, (np.arange(N) * 7 % 11).astype("float32")
NAMED = {"kind": KINDS, "amount": AMOUNTS}
REVERSED = dict(reversed(NAMED.items()))


@pytest.fixture(scope="module")
def two_outputs(engine):
    """Neither order of its names is that of the alphabet and of the labels at once."""
    layers = engine.keras.layers
    inputs = engine.keras.Input((3,))
    outputs = [layers.Dense(3, activation="softmax", name="kind")(inputs), layers.Dense(1, name="amount")(inputs)]
    model = engine.keras.Model(inputs, outputs)
    model.compile("sgd", loss={"kind": "sparse_categorical_crossentropy", "amount": "mse"})
    return model


def batches(targets: Any) -> Any:
    for start in range(0, N, BATCH):
        rows = slice(start, start + BATCH)
        if isinstance(targets, dict):
            yield X[rows], {name: part[rows] for name, part in targets.items()}
        else:
            yield X[rows], tuple(part[rows] for part in targets)


@pytest.mark.parametrize("method", ["predict", "evaluate"])
@pytest.mark.parametrize("targets", [(KINDS, AMOUNTS), NAMED, REVERSED], ids=["tuple", "named", "reversed"])
@pytest.mark.parametrize(
    ("labels", "verdict"),
    [
        pytest.param([KINDS, AMOUNTS], Verdict.PASS, id="list"),
        pytest.param((KINDS, AMOUNTS), Verdict.PASS, id="tuple"),
        pytest.param(NAMED, Verdict.PASS, id="named"),
        pytest.param(REVERSED, Verdict.PASS, id="reversed"),
        # Another quantity contradicts nothing, and proves nothing.
        pytest.param((AMOUNTS, KINDS), Verdict.UNPROVEN, id="of-the-other-output"),
        pytest.param({"kind": AMOUNTS, "amount": KINDS}, Verdict.UNPROVEN, id="under-the-other-name"),
        pytest.param({**NAMED, "kind": np.roll(KINDS, 1)}, Verdict.FAIL, id="shifted"),
        pytest.param([KINDS, np.roll(AMOUNTS, 1)], Verdict.FAIL, id="list-with-one-shifted"),
    ],
)
def test_labels_of_two_outputs_are_matched_by_name_then_by_order(two_outputs, method, targets, labels, verdict):
    with evalguard.guard(labels=labels, mlflow=False, on_failure="record", on_unproven="record") as g:
        getattr(two_outputs, method)(batches(targets), verbose=0)
    assert g.report.verdict is verdict


@pytest.mark.parametrize("labels", [[KINDS, AMOUNTS], REVERSED], ids=["list", "reversed"])
def test_a_call_that_is_right_is_not_stopped(two_outputs, labels):
    for targets in ((KINDS, AMOUNTS), NAMED):
        with evalguard.guard(labels=labels, mlflow=False, fail_fast=True) as g:
            two_outputs.predict(batches(targets), verbose=0)
        assert g.report.verdict is Verdict.PASS


def test_targets_of_a_list_in_arrays_are_matched_too(two_outputs):
    with evalguard.guard(labels=REVERSED, mlflow=False) as g:
        two_outputs.evaluate(X, [KINDS, AMOUNTS], verbose=0)
    assert g.report.verdict is Verdict.PASS
