"""Which guard gets a call, and which calls pass through, with a model that is no Keras model."""

import contextvars
import importlib
import sys
import threading

import pytest

from evalguard.core.policy import Policy
from evalguard.core.trace import FIT
from evalguard.errors import SinkError
from evalguard.guards import dispatch as module
from evalguard.guards.dispatch import Entry, dispatch
from evalguard.guards.outcome import Kept


class Outcomes:
    def __init__(self):
        self.judged, self.sink_errors, self.events, self.keep = [], [SinkError("down")], [], Kept()

    def begin(self):
        self.events.append("begin")

    def failed(self, error):
        self.events.append(type(error).__name__)


class Session:
    """Records the methods it was given."""

    policy = Policy()

    def __init__(self, takes=("predict", "evaluate", FIT), priority=()):
        self.takes, self.priority_methods = takes, priority
        self.outcomes, self.ran = Outcomes(), []

    def guards(self, model, method):
        return method in self.takes

    def run(self, model, method, original, args, kwargs, part_of=None):
        self.ran.append(method)
        return original(model, *args, **kwargs)

    def end(self):
        self.outcomes.events.append("end")
        self.outcomes.judged.append("report")

    def end_early(self):
        self.outcomes.events.append("end early")


class Model:
    """Has the methods that are patched."""

    def predict(self, x):
        return x

    def fit(self, x):
        return self.evaluate(x)

    def evaluate(self, x):
        return self.predict(x) + 1

    predict_on_batch = test_on_batch = __call__ = predict


def enter(session, errors=None):
    return Entry(session, (Model,), [] if errors is None else errors)


def test_the_innermost_guard_gets_a_call_once():
    outer, inner = Session(), Session()
    with enter(outer), enter(inner):
        assert Model().predict(1) == 1
    Model().predict(2)
    assert (outer.ran, inner.ran) == ([], ["predict"])


def test_a_guard_that_does_not_take_the_call_leaves_it_to_the_next():
    outer, inner = Session(), Session(takes=())
    with enter(outer), enter(inner):
        Model().predict(1)
    assert outer.ran == ["predict"]


def test_a_session_with_priority_takes_its_method_from_an_inner_one():
    outer, inner = Session(priority=(FIT,)), Session()
    with enter(outer), enter(inner):
        Model().fit(1)
        Model().predict(1)
    assert (outer.ran, inner.ran) == ([FIT], ["predict"])


def test_calls_inside_a_guarded_call_pass_through():
    session = Session()
    with enter(session):
        assert Model().evaluate(1) == 2
    assert session.ran == ["evaluate"]


def test_a_call_is_guarded_again_after_one_that_raised():
    session = Session()
    with enter(session):
        with pytest.raises(TypeError):
            Model().predict()  # type: ignore[call-arg]
        Model().predict(1)
    assert session.ran == ["predict", "predict"]


def test_mlflow_s_own_call_of_the_model_passes_through(monkeypatch):
    monkeypatch.setattr(module, "logs_a_model", lambda: True)
    session = Session()
    with enter(session):
        assert Model().predict(1) == 1
    assert session.ran == []


def test_other_threads_are_not_guarded_unless_they_get_the_context():
    session = Session()
    with enter(session):
        plain = threading.Thread(target=Model().predict, args=(1,))
        given = threading.Thread(target=contextvars.copy_context().run, args=(Model().predict, 1))
        for thread in (plain, given):
            thread.start()
            thread.join()
    assert session.ran == ["predict"]


def test_the_class_is_as_before_after_the_last_guard():
    before = {name: vars(Model)[name] for name in module.METHODS}
    with enter(Session()):
        with enter(Session()):
            assert vars(Model)["predict"] is not before["predict"]
        assert vars(Model)["predict"] is not before["predict"]
    assert {name: vars(Model)[name] for name in module.METHODS} == before


def test_judging_happens_after_the_class_was_restored():
    class Predicting(Session):
        def end(self):
            self.outcomes.events.append(Model().predict(7))

    session = Predicting()
    with enter(session):
        pass
    assert session.outcomes.events == ["begin", 7]
    assert session.ran == []


@pytest.mark.parametrize(
    ("judged", "events"),
    [([], ["begin", "end early", "ZeroDivisionError"]), (["report"], ["begin", "end early"])],
    ids=["nothing", "a-verdict"],
)
def test_an_error_of_the_caller_is_recorded_unless_a_verdict_is(judged, events):
    session = Session()
    errors: list[SinkError] = []
    session.outcomes.judged += judged
    with pytest.raises(ZeroDivisionError), enter(session, errors):
        1 / 0  # noqa: B018 - raises
    assert session.outcomes.events == events
    assert [str(error) for error in errors] == ["down"]


def test_an_error_in_judging_is_raised_and_recorded():
    class Broken(Session):
        def end(self):
            raise LookupError

    session = Broken()
    with pytest.raises(LookupError), enter(session):
        pass
    assert session.outcomes.events == ["begin", "LookupError"]


def test_no_session_is_active_after_the_block_even_where_the_class_stays_patched():
    ended = Session()
    with enter(ended):
        pass
    assert dispatch(Model(), "predict", lambda _model, x: x, (1,), {}) == 1
    assert ended.ran == []


def test_dispatch_without_a_guard_is_the_original():
    assert dispatch(Model(), "predict", lambda _model, x: x * 2, (3,), {}) == 6


@pytest.mark.parametrize(("imported", "expected"), [({"keras": 1}, []), ({}, ["keras"])])
def test_keras_is_imported_only_if_no_keras_is(monkeypatch, imported, expected):
    asked: list[str] = []
    monkeypatch.setattr(sys, "modules", imported)
    monkeypatch.setattr(importlib, "import_module", asked.append)
    monkeypatch.setattr(module, "ENGINES", ())
    assert module.model_classes(None) == ()
    assert asked == expected
