"""``ValidationGuard.callback()``: one of the callbacks of ``fit``, which leaves the model as it was."""

import gc
import inspect
from types import SimpleNamespace

import pytest

import evalguard
from evalguard import MisalignmentError, Verdict
from evalguard.capture.contract import CaptureOptions
from evalguard.capture.engines.callbacks import Hooks
from evalguard.core.policy import Policy
from evalguard.guards.fit_callback import FitCallback
from evalguard.guards.fit_session import FitSession
from evalguard.guards.outcome import Kept, Outcomes
from tests.capture.engines import patching
from tests.guards.fits import EPOCHS, FORMS, STEPS, X, Y, endless, fit, guarded, make_model


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


def test_a_callback_that_is_freed_after_an_error_puts_the_model_back(engine):
    def stop(*_):
        raise RuntimeError

    model = make_model(engine)
    breaks = engine.keras.callbacks.LambdaCallback(on_epoch_end=stop)
    with pytest.raises(RuntimeError):
        fit(model, engine, (X, Y), callbacks=[evalguard.ValidationGuard(mlflow=False).callback(), breaks])
    gc.collect()
    assert "evaluate" not in vars(model)


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


def test_a_callback_inside_a_plain_guard_sees_the_validation_too(engine):
    watch = evalguard.ValidationGuard(mlflow=False, on_failure="record")
    with evalguard.guard(labels=Y, reference=X, mlflow=False, on_unproven="record"):
        fit(make_model(engine), engine, endless(), validation_steps=STEPS, callbacks=[watch.callback()])
    assert [report.verdict for report in watch.reports] == [Verdict.FAIL]


def test_keras_asks_nothing_of_a_callback_that_ours_lacks(engine):
    base = engine.keras.callbacks.Callback
    asked = {name for name in vars(base) if name.startswith(("on_", "set_", "_implements_"))}
    assert asked <= set(dir(Hooks))
    for name in sorted(asked):
        wanted, ours = (inspect.signature(getattr(owner, name)) for owner in (base, Hooks))
        assert len(wanted.parameters) == len(ours.parameters), name


class Keeper:
    """Keeps reports as a ``ValidationGuard`` does."""

    def __init__(self, model=None):
        self.sink_errors, self.kept, self.entered, self.model = [], Kept(), False, model

    def session(self):
        policy = Policy(on_unproven="record")
        return FitSession(policy, CaptureOptions(), Outcomes("mine", policy, self.kept), self.model)

    def is_entered(self):
        return self.entered


class Plain:
    """Calls its callback as ``fit`` of Keras does, and evaluates itself in between."""

    history = "history"

    def __init__(self, callback):
        self.callback = callback

    def fit(self, error=None):
        self.callback.set_model(self)
        self.callback.on_train_begin()
        during = "evaluate" in vars(self)
        self.callback.on_epoch_begin(0)
        assert self.evaluate(3) == 6, "an evaluation that is not the validation passes through"
        if error is not None:
            raise error
        self.callback.on_train_end()
        return during

    def evaluate(self, x):
        return x * 2


def test_the_model_is_observed_during_fit_and_left_as_it_was():
    keeper = Keeper()
    model = Plain(FitCallback(keeper))
    assert model.fit()
    assert "evaluate" not in vars(model)
    assert keeper.kept.last.predictions == "history"


@pytest.mark.parametrize(
    "keeper",
    [
        pytest.param(lambda: SimpleNamespace(session=Keeper().session, is_entered=lambda: True), id="with-around-it"),
        pytest.param(lambda: Keeper("another model"), id="another-model"),
    ],
)
def test_a_fit_that_is_not_to_be_observed_is_not(keeper):
    model = Plain(FitCallback(keeper()))
    assert not model.fit()


def test_after_a_fit_that_raised_the_first_evaluate_restores_the_model():
    model = Plain(FitCallback(Keeper()))
    with pytest.raises(KeyError):
        model.fit(KeyError())
    assert "evaluate" in vars(model)
    assert model.evaluate(4) == 8
    assert "evaluate" not in vars(model)


def test_a_callback_that_is_freed_restores_the_model():
    model = Plain(FitCallback(Keeper()))
    with pytest.raises(KeyError):
        model.fit(KeyError())
    model.callback = None
    gc.collect()
    assert "evaluate" not in vars(model)


def test_a_callback_is_used_again_after_a_fit_that_raised():
    keeper = Keeper()
    model = Plain(FitCallback(keeper))
    with pytest.raises(KeyError):
        model.fit(KeyError())
    assert model.fit()
    assert len(keeper.kept.reports) == 1
    assert "evaluate" not in vars(model)


def test_errors_of_sinks_reach_the_guard_also_where_a_fail_is_raised(monkeypatch):
    def failing(self, outcome):
        self.sink_errors.append("down")
        raise ArithmeticError

    keeper = Keeper()
    monkeypatch.setattr(Outcomes, "finish", failing)
    with pytest.raises(ArithmeticError):
        Plain(FitCallback(keeper)).fit()
    assert keeper.sink_errors == ["down"]
