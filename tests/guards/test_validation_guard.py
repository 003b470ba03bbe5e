"""``ValidationGuard``: each epoch of a ``fit`` scored on the first one's samples, or a FAIL that names the epochs."""

import functools
import gc
import inspect
import itertools
import json
import typing
import warnings
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import evalguard
from evalguard import MisalignmentError, UnprovenError, Verdict
from evalguard.capture.engines.callbacks import Hooks
from evalguard.tracking.slots import slots
from tests.capture.engines import patching
from tests.versions import KERAS

N, BATCH, STEPS, EPOCHS = 53, 8, 3, 3
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, 3)).astype("float32")
Y = np.arange(N, dtype="float32")
ENGINES = {"keras3": keras, "tf_keras": tf_keras}
FORMS = ["with", "callback", "both", "decorator"]


@pytest.fixture(scope="module", params=ENGINES)
def engine(request):
    return SimpleNamespace(name=request.param, keras=ENGINES[request.param])


def make_model(engine, rate=0.1, **options):
    kit = engine.keras
    kit.utils.set_random_seed(1)
    model = kit.Sequential([kit.Input((3,)), kit.layers.Dense(1)])
    model.compile(optimizer=kit.optimizers.SGD(rate), loss="mse", **options)
    return model


def rows(start):
    chosen = np.arange(start, min(N, start + BATCH))
    return X[chosen], Y[chosen]


STARTS = range(0, N, BATCH)


def dataset(engine, change=lambda x, _: x, **options):
    """Batches by number; ``change`` is told how often an item has been asked for."""
    base: Any = keras.utils.PyDataset if engine.name == "keras3" else tf_keras.utils.Sequence
    asked = []

    class Batches(base):
        def __len__(self):
            return len(STARTS)

        def __getitem__(self, number):
            asked.append(number)
            x, y = rows(STARTS[number])
            return change(x, len(asked)), y

    return Batches(**options) if engine.name == "keras3" else Batches()


def endless():
    """No batch comes twice: how far Keras reads ahead depends on the machine's load, so a cycle may happen to fit."""
    for count in itertools.count():
        x, y = rows(STARTS[count % len(STARTS)])
        yield (x, y) if count < len(STARTS) else (x + count, y + count)


def fit(model, engine, validation, workers=1, **options):
    call = {"epochs": EPOCHS, "verbose": 0, "validation_data": validation, **options}
    if engine.name == "tf_keras":
        call["workers"] = workers
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # Keras: super().__init__ of a dataset was not called
        return model.fit(X[:16], Y[:16], batch_size=BATCH, **call)


def guarded(form, model, engine, validation, given=None, **options):
    """Train under a guard in one of its forms; the guard and the history."""
    g = evalguard.ValidationGuard(mlflow=False, **{"on_failure": "record", "on_unproven": "record", **(given or {})})
    if form in {"callback", "both"}:
        options["callbacks"] = [*options.get("callbacks", []), g.callback()]
    if form == "callback":
        return g, fit(model, engine, validation, **options)
    if form == "decorator":
        return g, g(fit)(model, engine, validation, **options)
    with g:
        history = fit(model, engine, validation, **options)
    return g, history


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
    "part-of-a-shuffle": "reshuffled at each pass",
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


@pytest.mark.parametrize("form", FORMS[:2])
def test_the_source_is_asked_for_the_same_in_the_same_order(engine, form):
    asked: list[list[object]] = [[], []]
    runs: tuple[Any, ...] = (fit, functools.partial(guarded, form))
    for calls, run in zip(asked, runs, strict=True):
        source = dataset(engine)
        inner = type(source).__getitem__
        type(source).__getitem__ = lambda self, n, inner=inner, calls=calls: calls.append(n) or inner(self, n)
        run(make_model(engine), engine, source)
    assert asked[0] == asked[1]


def test_inputs_that_change_at_random_are_not_proven_and_targets_in_order_will_do_if_asked(engine):
    def source():
        return dataset(engine, lambda x, count: x + count)

    g, _ = guarded("with", make_model(engine), engine, source())
    assert g.report.verdict is Verdict.UNPROVEN
    assert "transformed at random" in g.report.not_proven[0]
    assert "require=" in g.report.advice
    g, _ = guarded("with", make_model(engine), engine, source(), {"require": "labels"})
    assert (g.report.verdict, g.report.proof) == (Verdict.PASS, "labels")


def test_one_validation_or_none_is_no_pass(engine):
    g, _ = guarded("with", make_model(engine), engine, (X, Y), epochs=1)
    assert g.report.verdict is Verdict.UNPROVEN
    assert "only one validation was observed (epoch 1)" in g.report.not_proven[0]
    g, _ = guarded("callback", make_model(engine), engine, None)
    assert "no validation inside `fit` was observed" in g.report.not_proven[0]
    with (
        pytest.raises(UnprovenError, match="no fit was observed"),
        evalguard.ValidationGuard(on_unproven="raise", mlflow=False),
    ):
        pass


@pytest.mark.parametrize("form", FORMS[:2])
@pytest.mark.parametrize(
    ("options", "validated"),
    [
        ({"validation_freq": 2, "epochs": 5}, [2, 4]),
        ({"validation_freq": [1, 3]}, [1, 3]),
        ({"initial_epoch": 1}, [2, 3]),
    ],
)
def test_epochs_are_numbered_as_keras_does(engine, options, validated, form):
    g, _ = guarded(form, make_model(engine), engine, endless(), validation_steps=STEPS, **options)
    report = g.report
    assert len(report.calls) == len(validated)
    assert f"than epoch {validated[0]}:" in report.headline
    assert f"epoch{'s' * (len(validated) > 2)} {', '.join(map(str, validated[1:]))} (" in report.headline


@pytest.mark.parametrize("form", FORMS[:3])
def test_what_a_callback_evaluates_itself_is_not_the_validation(engine, form):
    other = (X[::-1][:10], Y[:10])
    calls = []

    def look(*_):
        calls.append(model.evaluate(*other, verbose=0))
        model.predict(X[:5], verbose=0)

    model = make_model(engine)
    own = engine.keras.callbacks.LambdaCallback(on_epoch_end=look)
    g, _ = guarded(form, model, engine, (X, Y), callbacks=[own])
    assert len(calls) == EPOCHS
    assert (g.report.verdict, g.report.calls) == (Verdict.PASS, (N,) * EPOCHS)


def test_a_fail_is_raised_when_the_block_ends_and_nothing_trained_is_lost(engine):
    history = None
    with pytest.raises(MisalignmentError, match="epochs 2, 3") as caught, evalguard.ValidationGuard(mlflow=False):
        history = fit(make_model(engine), engine, endless(), validation_steps=STEPS)
    assert history is not None
    assert caught.value.predictions is history


def test_as_a_callback_a_fail_comes_out_of_fit_with_its_history(engine):
    model = make_model(engine)
    with pytest.raises(MisalignmentError) as caught:
        fit(
            model,
            engine,
            endless(),
            validation_steps=STEPS,
            callbacks=[evalguard.ValidationGuard(mlflow=False).callback()],
        )
    assert caught.value.predictions is model.history
    assert len(model.history.history["val_loss"]) == EPOCHS


@pytest.mark.parametrize("form", FORMS[:2])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt], ids=["error", "interrupt"])
def test_the_users_own_exception_comes_through_and_no_patch_stays(engine, form, error):
    own = error("mine")

    def stop(epoch, _):
        if epoch == 1:
            raise own

    model = make_model(engine)
    breaks = engine.keras.callbacks.LambdaCallback(on_epoch_begin=stop)
    with pytest.raises(error, match="mine"):
        guarded(form, model, engine, (X, Y), callbacks=[breaks])
    assert not patching.active()
    if form == "callback":  # Keras tells no callback that fit has raised
        assert model.evaluate(X, Y, verbose=0) == model.evaluate(X, Y, verbose=0)
    assert not {"evaluate", "make_test_function"} & vars(model).keys()
    g, _ = guarded(form, model, engine, (X, Y))
    assert g.report.verdict is Verdict.PASS


def test_a_callback_that_is_freed_after_an_error_puts_the_model_back(engine):
    def stop(*_):
        raise RuntimeError

    model = make_model(engine)
    breaks = engine.keras.callbacks.LambdaCallback(on_epoch_end=stop)
    with pytest.raises(RuntimeError):
        fit(model, engine, (X, Y), callbacks=[evalguard.ValidationGuard(mlflow=False).callback(), breaks])
    gc.collect()
    assert "evaluate" not in vars(model)


def test_two_fits_are_two_reports_and_both_are_recorded_before_one_raises(engine, tmp_path):
    guard = evalguard.ValidationGuard(mlflow=False, output=tmp_path, name="both")
    with pytest.raises(MisalignmentError), guard:
        fit(make_model(engine), engine, endless(), validation_steps=STEPS)
        fit(make_model(engine), engine, (X, Y))
    assert [report.verdict for report in guard.reports] == [Verdict.FAIL, Verdict.PASS]
    written = [json.loads((tmp_path / name).read_text()) for name in ("report.json", "report-2.json")]
    assert [report["verdict"] for report in written] == ["FAIL", "PASS"]
    assert "epochs 2, 3" in (tmp_path / "report.txt").read_text().replace("\n", " ")


def test_what_is_beyond_the_memory_goes_to_disk(engine):
    few, many = (evalguard.ValidationGuard(mlflow=False, trace_memory=size) for size in (16, "1 MiB"))
    for guard in (few, many):
        with guard:
            fit(make_model(engine), engine, (X, Y))
        assert guard.report.verdict is Verdict.PASS
    assert few.report.cost["spilled_bytes"] > 0
    assert "spilled_bytes" not in many.report.cost
    with pytest.raises(evalguard.ConfigError, match="trace_memory: expected"):
        evalguard.ValidationGuard(trace_memory="much")


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
    assert taken <= inspect.signature(evalguard.guard).parameters.keys()


def test_another_model_is_left_alone(engine):
    model, other = make_model(engine), make_model(engine)
    g, _ = guarded("with", other, engine, endless(), {"model": model}, validation_steps=STEPS)
    assert "no fit" in g.report.not_proven[0]
    g, _ = guarded("callback", other, engine, endless(), {"model": model}, validation_steps=STEPS)
    assert g.reports == ()


# -- A plain guard around fit -----------------------------------------------------------------------------------------


def test_a_plain_guard_fails_where_validation_on_its_own_samples_drifts(engine):
    scored = STEPS * BATCH
    with evalguard.guard(labels=Y[:scored], reference=X[:scored], mlflow=False, on_failure="record") as g:
        history = fit(make_model(engine), engine, endless(), validation_steps=STEPS)
        g_reports = len(g.reports)
    assert history.epoch == list(range(EPOCHS))
    assert g_reports == 1
    assert [(report.verdict, report.method) for report in g.reports] == [(Verdict.FAIL, "fit")]
    assert "epochs 2, 3" in g.report.headline


def test_a_plain_guard_acts_on_a_drift_when_it_ends_and_other_calls_are_judged_as_well(engine):
    scored, predicted = STEPS * BATCH, None
    with (
        pytest.raises(MisalignmentError, match="validated on other samples"),
        evalguard.guard(labels=Y[:scored], reference=X[:scored], mlflow=False) as g,
    ):
        model = make_model(engine)
        fit(model, engine, endless(), validation_steps=STEPS)
        predicted = model.predict(X[:scored], verbose=0)
    assert predicted is not None
    assert [report.verdict for report in g.reports] == [Verdict.FAIL, Verdict.PASS]


@pytest.mark.parametrize("reference", [X[:40], X[::-1][:24], None])
def test_a_plain_guard_says_nothing_of_validation_on_other_samples_than_its_own(engine, reference):
    labels = Y if reference is None else Y[: len(reference)]
    with evalguard.guard(labels=labels, reference=reference, mlflow=False, on_unproven="record") as g:
        fit(make_model(engine), engine, endless(), validation_steps=STEPS)
    assert [report.verdict for report in g.reports] == [Verdict.UNPROVEN]
    assert "no guarded call was observed" in g.report.not_proven[0]


@pytest.mark.parametrize("outer", ["guard", "validation"])
def test_both_guards_may_be_active_at_once(engine, outer):
    plain = evalguard.guard(labels=Y, reference=X, mlflow=False)
    watch = evalguard.ValidationGuard(mlflow=False, on_failure="record")
    first, second = (plain, watch) if outer == "guard" else (watch, plain)
    with first, second:
        model = make_model(engine)
        fit(model, engine, endless(), validation_steps=STEPS)
        model.predict(X, verbose=0)
    assert [report.verdict for report in plain.reports] == [Verdict.PASS]
    assert [report.verdict for report in watch.reports] == [Verdict.FAIL]


def test_a_callback_inside_a_plain_guard_sees_the_validation_too(engine):
    watch = evalguard.ValidationGuard(mlflow=False, on_failure="record")
    with evalguard.guard(labels=Y, reference=X, mlflow=False, on_unproven="record"):
        fit(make_model(engine), engine, endless(), validation_steps=STEPS, callbacks=[watch.callback()])
    assert [report.verdict for report in watch.reports] == [Verdict.FAIL]


# -- What this rests on in Keras --------------------------------------------------------------------------------------


def test_keras_asks_nothing_of_a_callback_that_ours_lacks(engine):
    base = engine.keras.callbacks.Callback
    asked = {name for name in vars(base) if name.startswith(("on_", "set_", "_implements_"))}
    assert asked <= set(dir(Hooks))
    for name in sorted(asked):
        wanted, ours = (inspect.signature(getattr(owner, name)) for owner in (base, Hooks))
        assert len(wanted.parameters) == len(ours.parameters), name


def test_keras_validates_by_evaluate_with_its_own_callback_list_and_keywords_only(engine):
    seen = []

    class Watched(engine.keras.Sequential):  # type: ignore[name-defined]
        def evaluate(self, *args, **kwargs):
            seen.append((args, kwargs))
            return super().evaluate(*args, **kwargs)

    model = Watched([engine.keras.Input((3,)), engine.keras.layers.Dense(1)])
    model.compile(loss="mse")
    fit(model, engine, (X, Y), epochs=2)
    assert [args for args, _ in seen] == [(), ()]
    assert all(isinstance(kwargs["callbacks"], engine.keras.callbacks.CallbackList) for _, kwargs in seen)
    assert all(kwargs["x"] is X for _, kwargs in seen)
