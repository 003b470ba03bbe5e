"""One entry into a ``ValidationGuard``, or into a plain guard, around ``fit``."""

import json

import pytest

import evalguard
from evalguard import MisalignmentError, Verdict
from evalguard.capture.contract import CaptureOptions
from evalguard.core.policy import Policy
from evalguard.guards.fit_session import FitSession
from evalguard.guards.outcome import Kept, Outcomes
from tests.guards.fits import BATCH, EPOCHS, STEPS, X, Y, endless, fit, guarded, make_model


def test_a_fail_is_raised_when_the_block_ends_and_nothing_trained_is_lost(engine):
    history = None
    with pytest.raises(MisalignmentError, match="epochs 2, 3") as caught, evalguard.ValidationGuard(mlflow=False):
        history = fit(make_model(engine), engine, endless(), validation_steps=STEPS)
    assert history is not None
    assert caught.value.predictions is history


def test_two_fits_are_two_reports_and_both_are_recorded_before_one_raises(engine, tmp_path):
    guard = evalguard.ValidationGuard(mlflow=False, output=tmp_path, name="both")
    with pytest.raises(MisalignmentError), guard:
        fit(make_model(engine), engine, endless(), validation_steps=STEPS)
        fit(make_model(engine), engine, (X, Y))
    assert [report.verdict for report in guard.reports] == [Verdict.FAIL, Verdict.PASS]
    written = [json.loads((tmp_path / name).read_text()) for name in ("report.json", "report-2.json")]
    assert [report["verdict"] for report in written] == ["FAIL", "PASS"]
    assert "epochs 2, 3" in (tmp_path / "report.txt").read_text().replace("\n", " ")


def test_another_model_is_left_alone(engine):
    model, other = make_model(engine), make_model(engine)
    g, _ = guarded("with", other, engine, endless(), {"model": model}, validation_steps=STEPS)
    assert "no fit" in g.report.not_proven[0]
    g, _ = guarded("callback", other, engine, endless(), {"model": model}, validation_steps=STEPS)
    assert g.reports == ()


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


def session(**options):
    policy = Policy(on_unproven="record", **options)
    return FitSession(policy, CaptureOptions(), Outcomes("mine", policy, Kept()))


def test_only_fit_is_guarded_and_of_one_model_if_one_is_named():
    one = session()
    assert [method for method in ("fit", "predict", "evaluate", "__call__") if one.guards("any", method)] == ["fit"]
    one.model = "mine"
    assert [model for model in ("mine", "other") if one.guards(model, "fit")] == ["mine"]


def test_an_entry_without_fit_is_unproven_unless_a_callback_has_judged():
    empty, judged = session(), session()
    judged.outcomes.judged.append(evalguard.check(indices=[0], labels=1))
    for one in (empty, judged):
        one.end()
    assert [report.verdict for report in empty.outcomes.judged] == [Verdict.UNPROVEN]
    assert [report.verdict for report in judged.outcomes.judged] == [Verdict.PASS]


def test_what_fit_returns_is_returned_and_kept():
    class Model:
        name = "net"

    one = session()
    assert one.run(Model(), "fit", lambda _model, epochs: epochs * 2, (3,), {}) == 6
    one.end()
    assert one.outcomes.keep.last.predictions == 6
    assert one.fits == []
