"""The decorator, the context manager and its variants."""

import asyncio
import inspect
import json
from typing import Any

import keras
import pytest

import evalguard
from evalguard import Verdict
from evalguard.errors import ArgumentError
from tests.guards.streams import N, X, Y, dataset, faulty, guard


def test_a_decorated_function_keeps_its_signature_and_result(model):
    def evaluate(model: keras.Model, data: object, *, scale: float = 1.0) -> float:
        """Mean prediction."""
        return float(model.predict(data, verbose=0).mean() * scale)

    guarded = guard(reference=X)(evaluate)
    assert inspect.signature(guarded) == inspect.signature(evaluate)
    assert (guarded.__name__, guarded.__doc__) == ("evaluate", "Mean prediction.")
    assert guarded(model, dataset(), scale=2.0) == pytest.approx(N - 1)


def test_a_decorated_function_has_the_guard_and_the_report_of_its_last_call(model):
    g = guard(reference=X, on_failure="record")

    def predicted(data):
        return model.predict(data, verbose=0)

    # Their type is that of the function, which has neither.
    first: Any = g(predicted)
    second: Any = g(predicted)
    assert (first.guard, first.report, second.report) == (g, None, None)
    first(faulty())
    second(dataset())
    assert (first.report.verdict, second.report.verdict) == (Verdict.FAIL, Verdict.PASS)
    assert (first.report, second.report) == g.reports
    y_pred = second(dataset())
    g.confirm(y_pred[::-1], Y)
    assert second.report is g.report
    assert second.report.verdict is Verdict.FAIL
    with pytest.raises(evalguard.UnprovenError):
        g.with_options(on_unproven="raise")(print)()
    with pytest.raises(TypeError):
        second()
    assert second.report is g.report
    assert second.report.verdict.value == "UNPROVEN"


def test_each_of_two_guards_around_a_function_has_its_reports(model):
    inner, outer = guard(reference=X), guard(reference=X, on_unproven="record")

    def evaluate(data):
        return model.predict(data, verbose=0)

    once: Any = inner(evaluate)
    twice: Any = outer(once)
    twice(dataset())
    assert (once.guard, twice.guard) == (inner, outer)
    assert (once.report, twice.report) == (inner.report, outer.report)
    assert not hasattr(evaluate, "guard")


def test_a_decorated_method_is_guarded(model):
    g = guard(reference=X, on_failure="record")

    class Evaluation:
        @g
        def run(self, data):
            return model.predict(data, verbose=0)

    Evaluation().run(dataset())
    Evaluation().run(faulty())
    assert [report.verdict for report in g.reports] == [Verdict.PASS, Verdict.FAIL]
    assert g.report.name.endswith("Evaluation.run")


def test_a_decorated_coroutine_is_guarded(model):
    g = guard(reference=X)

    @g
    async def evaluate():
        return model.predict(dataset(), verbose=0)

    assert len(asyncio.run(evaluate())) == N
    assert g.report.verdict is Verdict.PASS
    assert (vars(evaluate)["guard"], vars(evaluate)["report"]) == (g, g.report)


def test_labels_may_be_an_argument_of_the_function(model):
    g = evalguard.guard(labels_argument="y_true", reference=X, mlflow=False)

    @g
    def evaluate(model, data, y_true):
        return model.predict(data, verbose=0)

    evaluate(model, dataset(), Y)
    evaluate(model, dataset(), y_true=list(Y))
    assert [report.counts["n_labels"] for report in g.reports] == [N, N]


def test_an_unknown_labels_argument_is_refused_when_decorating():
    with pytest.raises(evalguard.ConfigError, match=r"expected a parameter of .*evaluate; it has model, data"):

        @evalguard.guard(labels_argument="y_true")
        def evaluate(model, data): ...


def test_a_guard_can_be_entered_again_and_within_itself(model):
    g = guard(reference=X)
    with g:
        model.predict(dataset(), verbose=0)
        with g:
            model.predict(dataset(), verbose=0)
        model.predict(dataset(), verbose=0)
    with g:
        model.predict(dataset(), verbose=0)
    assert [report.verdict for report in g.reports] == [Verdict.PASS] * 4


def test_a_weaker_proof_is_a_pass_where_it_is_enough(model):
    with guard(require="transport") as g:
        model.predict(dataset(), verbose=0)
    assert (g.report.verdict, g.report.proof) == (Verdict.PASS, "transport")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"require": "identty"}, "Did you mean 'identity'"),
        ({"on_failure": "rise"}, "Did you mean 'raise'"),
        ({"padding": True}, "padding: expected one of forbid, trim"),
        ({"drop_key": True}, "drop_key: expected key="),
        ({"labels_argument": "y"}, "expected one of them, found both"),
    ],
)
def test_a_wrong_option_is_refused_at_once(options, message):
    with pytest.raises(evalguard.ConfigError, match=message):
        guard(**options)


def test_a_report_is_plain_deterministic_json(model):
    with guard(reference=X, on_failure="record") as g:
        model.predict(faulty(), verbose=0)
    data = json.loads(g.report.to_json())
    assert data["verdict"] == "FAIL"
    assert evalguard.Report.from_dict(data).to_json() == g.report.to_json()


def test_a_variant_shares_the_labels_that_were_read(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("label\n" + "\n".join(map(str, Y)) + "\n")
    guard = evalguard.guard(labels=path, mlflow=False, on_unproven="record")
    variant = guard.with_options(on_failure="record")
    assert (guard.options.on_failure, variant.options.on_failure) == ("raise", "record")
    with guard:
        pass
    path.unlink()
    with variant:
        pass
    assert variant.labels is guard.labels
    assert (len(guard.reports), len(variant.reports)) == (1, 1)


def test_a_variant_with_other_labels_reads_its_own():
    guard = evalguard.guard(labels=Y, mlflow=False, on_unproven="record")
    other = guard.with_options(labels=Y[::-1])
    for one in (guard, other):
        with one:
            pass
    assert (guard.labels.values == Y).all()
    assert (other.labels.values == Y[::-1]).all()


def test_a_variant_may_take_back_to_the_default_what_was_given():
    assert evalguard.guard(require="count").with_options(require="labels").options.require == "labels"


def test_a_variant_is_checked_like_a_new_guard():
    with pytest.raises(ArgumentError, match="Did you mean 'require'"):
        evalguard.guard().with_options(requires="count")  # type: ignore[call-arg]
    with pytest.warns(DeprecationWarning, match="write duplicate_inputs=") as caught:
        evalguard.guard().with_options(equal_samples="allow")  # type: ignore[call-arg]
    assert caught[0].filename == __file__
