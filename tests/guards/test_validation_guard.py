"""``ValidationGuard``: each epoch of a ``fit`` is scored on the first one's samples, or a FAIL names the epochs."""

import inspect
import itertools
import typing
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import evalguard
from evalguard import Verdict
from evalguard.core.columns import storage
from evalguard.guards.dropped_options import DROPPED
from evalguard.tracking.slots import slots
from tests.capture.engines import patching
from tests.guards.fits import BATCH, ENGINES, EPOCHS, FORMS, STEPS, N, X, Y, dataset, endless, fit, guarded, make_model
from tests.versions import KERAS


def losses(engine, make, **options):
    """What each epoch's validation is worth to a model that does not learn: equal where the samples are."""
    model = make_model(engine, rate=0.0)
    return fit(model, engine, make(), **options).history["val_loss"]


DRIFTING = {
    "leftover-queue": (lambda: dataset(SimpleNamespace(name="keras3"), workers=2), {"validation_steps": STEPS}),
    "reused-generator": (endless, {"validation_steps": STEPS}),
    "part-of-a-shuffle": (
        lambda: tf.data.Dataset.from_tensor_slices((X, Y)).shuffle(N, seed=3).take(24).batch(BATCH),
        {},
    ),
}


CAUSES = {
    "leftover-queue": "leftover queue, `workers > 1` with `validation_steps`",
    "reused-generator": "iterator not at its start",
    "part-of-a-shuffle": "shuffled anew at each pass",
}


# tf_keras 2.21 empties its queue between epochs; sequence-workers-steps, below, holds it to that.
DRIFTS = [(kind, "with") for kind in DRIFTING] + [("reused-generator", form) for form in FORMS[1:]]
LATER = [(name, *drift) for name in ENGINES for drift in DRIFTS if (name, drift[0]) != ("tf_keras", "leftover-queue")]


@pytest.mark.parametrize(("engine", "kind", "form"), LATER, indirect=["engine"])
def test_a_later_epoch_on_other_samples_fails_and_is_named(engine, kind, form):
    make, options = DRIFTING[kind]
    worth = losses(engine, make, **options)
    drifted = [number for number, loss in enumerate(worth, 1) if loss != worth[0]]
    assert drifted
    g, _ = guarded(form, make_model(engine), engine, make(), **options)
    assert [report.verdict for report in g.reports] == [Verdict.FAIL]
    if kind != "part-of-a-shuffle":  # another pass may take another part
        assert f"epoch{'s' * (len(drifted) > 1)} {', '.join(map(str, drifted))} (" in g.report.headline
    assert g.report.diagnosis[0].cause == CAUSES[kind]
    assert [finding.reason for finding in g.report.findings] == ["validation_drift"]
    assert "val_*" in g.report.not_proven[0]
    assert not patching.active()


STEADY: dict[str, tuple[Any, dict[str, Any]]] = {
    "dataset": (dataset, {}),
    "dataset-steps": (dataset, {"validation_steps": STEPS}),
    "dataset-workers": (lambda engine: dataset(engine, **({"workers": 2} if engine.name == "keras3" else {})), {}),
    "sequence-workers-steps": (dataset, {"validation_steps": STEPS, "workers": 2}),
    "arrays": (lambda _: (X, Y), {}),
    "weighted": (lambda _: (X, Y, np.linspace(0, 1, N)), {}),
    "split": (lambda _: None, {"validation_split": 0.5}),
    "tf.data": (lambda _: tf.data.Dataset.from_tensor_slices((X, Y)).batch(BATCH), {}),
    "shuffled-whole": (lambda _: tf.data.Dataset.from_tensor_slices((X, Y)).shuffle(N).batch(BATCH), {}),
    "repeated": (lambda _: tf.data.Dataset.from_tensor_slices((X, Y)).batch(BATCH).repeat(), {"validation_steps": 5}),
}


@pytest.mark.parametrize(("kind", "form"), [*((kind, "with") for kind in STEADY), ("dataset-steps", "callback")])
def test_the_same_samples_in_any_order_pass(engine, kind, form):
    make, options = STEADY[kind]
    g, _ = guarded(form, make_model(engine), engine, make(engine), **options)
    if engine.name == "keras3" and KERAS < (3, 7) and "validation_steps" in options:
        # These go on in each epoch where the one before stopped, with one worker too.
        assert g.report.verdict is Verdict.FAIL
        return
    assert (g.report.verdict, g.report.proof) == (Verdict.PASS, "identity"), g.report.to_json()
    scored = {"validation_split": 8, "validation_steps": options.get("validation_steps", 0) * BATCH}
    expected = next((scored[name] for name in options if name in scored), N)
    assert g.report.calls == (expected,) * EPOCHS
    assert (
        g.report.headline == f"PASS: {EPOCHS} validations were scored on the same {expected} samples (proof: identity)"
    )


@pytest.mark.parametrize(
    ("source", "kind", "form"),
    [
        *itertools.product(["arrays", "generator", "dataset"], ["plain"], FORMS[:2]),
        *itertools.product(["dataset"], ["jit_compile", "run_eagerly", "steps_per_execution"], FORMS[:1]),
    ],
)
def test_history_and_weights_are_the_same_to_the_bit(engine, source, kind, form):
    given = {"steps_per_execution": 2} if kind == "steps_per_execution" else {} if kind == "plain" else {kind: True}
    make = {"arrays": lambda: (X, Y), "generator": endless, "dataset": lambda: dataset(engine)}[source]
    # A generator that serves several epochs is not the same twice, guarded or not.
    options = {"validation_steps": 4, "epochs": 1} if source == "generator" else {}

    def stopping():
        return [engine.keras.callbacks.EarlyStopping(patience=2), engine.keras.callbacks.LambdaCallback()]

    bare, seen = make_model(engine, **given), make_model(engine, **given)
    plain = fit(bare, engine, make(), callbacks=stopping(), **options)
    _, watched = guarded(form, seen, engine, make(), callbacks=stopping(), **options)
    assert plain.history == watched.history
    assert plain.epoch == watched.epoch
    assert all(np.array_equal(a, b) for a, b in zip(bare.get_weights(), seen.get_weights(), strict=True))
    assert not {"evaluate", "make_test_function"} & vars(seen).keys()


def test_a_report_says_what_its_columns_take_in_memory_or_in_files(engine, monkeypatch):
    sizes = set()
    for limit in (1 << 20, 16):
        monkeypatch.setattr(storage, "MAX_IN_MEMORY", limit)
        with evalguard.ValidationGuard(mlflow=False) as g:
            fit(make_model(engine), engine, (X, Y))
        assert g.report.verdict is Verdict.PASS
        sizes.add(g.report.cost["bytes"])
    assert len(sizes) == 1
    assert min(sizes) > 8 * len(X)


def test_the_verdict_is_recorded_in_mlflow(engine, mlflow_store):
    import mlflow

    with mlflow.start_run() as run, evalguard.ValidationGuard(on_failure="record"):
        fit(make_model(engine), engine, endless(), validation_steps=STEPS)
    tags = mlflow.MlflowClient().get_run(run.info.run_id).data.tags
    assert tags["evalguard.verdict"] == "FAIL"
    # By this a gate tells it from an evaluation.
    assert slots(tags)["validation"].is_validation


def test_options_are_those_of_other_guards():
    words = typing.get_type_hints(evalguard.ValidationGuard.__init__)["on_failure"]
    assert set(typing.get_args(words)) == {"raise", "warn", "record"}
    with pytest.raises(evalguard.ConfigError, match="repair"):
        evalguard.ValidationGuard(on_failure="repair")
    with pytest.raises(evalguard.ConfigError, match="on_unproven"):
        evalguard.ValidationGuard(on_unproven="never")
    taken = inspect.signature(evalguard.ValidationGuard).parameters.keys()
    assert taken - DROPPED.keys() <= inspect.signature(evalguard.guard).parameters.keys()
