"""A judged call is recorded first, then raised or warned about."""

import json
import warnings
from typing import Any

import keras
import pytest

import evalguard
from evalguard import Verdict
from evalguard.core.policy import Policy
from evalguard.errors import SinkError
from evalguard.guards.outcome import Kept, Outcome, Outcomes, already_returned, refused
from evalguard.testing import MemorySink
from tests.guards.streams import N, X, dataset, faulty, guard


def test_a_failure_raises_with_report_and_predictions(model):
    with pytest.raises(evalguard.MisalignmentError) as caught, guard(reference=X):
        model.predict(faulty(), verbose=0)
    error = caught.value
    assert error.report.verdict is Verdict.FAIL
    assert error.predictions.shape == (N, 1), "hours of work are never lost to a raise"
    assert "16 of 50 predictions would be scored against another sample's label" in str(error)
    assert "row 0: prediction of sample 8, scored against label 0" in str(error)
    assert all(line.startswith("  ") for line in str(error).splitlines()[1:])


@pytest.mark.parametrize("action", ["warn", "record"])
def test_a_failure_that_does_not_raise_returns_the_predictions(model, action):
    g = guard(reference=X, on_failure=action)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with g:
            predictions = model.predict(faulty(), verbose=0)
    assert predictions[0, 0] == 8
    shown = [item for item in caught if item.category is evalguard.EvalGuardWarning]
    assert len(shown) == (action == "warn")
    if shown:
        assert shown[0].filename == __file__, "the warning must point at the caller's line"


def test_an_unproven_call_warns_by_default_and_raises_on_request(model):
    with pytest.warns(evalguard.EvalGuardWarning, match=r"UNPROVEN: .*50 predictions"), guard():
        model.predict(dataset(), verbose=0)
    with pytest.raises(evalguard.UnprovenError) as caught, guard(on_unproven="raise"):
        model.predict(dataset(), verbose=0)
    assert caught.value.predictions.shape == (N, 1)
    assert "to prove it: " in str(caught.value)


def test_a_failure_is_on_disk_and_in_mlflow_when_the_exception_arrives(model, tmp_path, monkeypatch):
    import mlflow

    uri = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("EVALGUARD_SPOOL", str(tmp_path / "spool"))
    client = mlflow.MlflowClient(tracking_uri=uri)
    run = client.create_run(client.create_experiment("e", artifact_location=str(tmp_path / "files")))
    seen = []

    class Watching(keras.callbacks.Callback):
        def on_predict_batch_end(self, batch, logs=None):
            seen.append(client.get_run(run.info.run_id).data.tags["evalguard.verdict"])

    options = {"reference": X, "mlflow": run.info.run_id, "output": tmp_path / "out", "name": "digits"}
    with guard(**options):
        try:
            model.predict(faulty(), verbose=0, callbacks=[Watching()])
        except evalguard.MisalignmentError:
            found = client.get_run(run.info.run_id).data
            assert found.tags["evalguard.verdict"] == "FAIL"
            assert found.metrics["evalguard/misaligned"] == 16
            on_disk = json.loads((tmp_path / "out" / "report.json").read_text())
            assert on_disk["verdict"] == "FAIL"
        else:
            pytest.fail("a FAIL must raise")
    assert set(seen) == {"PENDING"}, "while the model predicts, the run says PENDING"


def outcome(order=(1, 0, 2), result=None):
    return Outcome(evalguard.check(indices=order, labels=3), None, None, result)


def outcomes(*sinks, **policy):
    return Outcomes("digits", Policy(**policy), Kept(), sinks)


def test_every_sink_gets_the_same_rendering_before_the_error_is_raised():
    seen: list[Any] = []

    class Keeping(MemorySink):
        def write(self, report, artifacts):
            seen.append((self, artifacts))

    first, second = Keeping(), Keeping()
    kept = outcomes(first, second)
    with pytest.raises(evalguard.MisalignmentError) as caught:
        kept.finish(outcome(result="rows"))
    assert [sink for sink, *_ in seen] == [first, second]
    assert seen[0][1] is seen[1][1]
    assert caught.value.predictions == "rows"
    assert caught.value.report is kept.judged[0] is kept.keep.reports[0]


@pytest.mark.parametrize(
    ("order", "policy", "error"),
    [
        ((1, 0, 2), {"on_failure": "raise"}, evalguard.MisalignmentError),
        ((1, 0, 2), {"on_failure": "repair"}, evalguard.MisalignmentError),
        ((1, 0, 2), {"on_failure": "record"}, None),
        ((0, 1, 2), {"on_failure": "raise", "on_unproven": "raise"}, None),
    ],
)
def test_only_a_fail_acts_by_on_failure(order, policy, error):
    if error is None:
        outcomes(**policy).act(outcome(order))
        return
    with pytest.raises(error):
        outcomes(**policy).act(outcome(order))


@pytest.mark.parametrize("method", ["begin", "write", "failed"])
def test_a_sink_that_fails_changes_nothing_and_the_others_are_written(method):
    def down(*_args):
        msg = "server down"
        raise SinkError(msg)

    broken, works = MemorySink(), MemorySink()
    setattr(broken, method, down)
    kept = outcomes(broken, works, on_failure="record")

    def run():
        kept.begin()
        kept.finish(outcome())
        kept.failed(KeyError())

    with pytest.warns(evalguard.EvalGuardWarning, match="server down"):
        run()
    assert [str(error) for error in kept.sink_errors] == ["server down"]
    assert (works.begun, len(works.reports), len(works.errors)) == (["digits"], 1, 1)


def test_a_defect_of_a_users_sink_is_not_hidden():
    class Broken(MemorySink):
        def write(self, report, artifacts):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        outcomes(Broken(), on_failure="record").finish(outcome())


def test_a_refused_repair_keeps_the_verdict_and_says_why():
    again = refused(outcome(result="rows"), "2 rows repeat")
    assert again.report.verdict is Verdict.FAIL
    assert again.report.repair == {"summary": "", "refused": "2 rows repeat"}
    assert again.predictions == "rows"


@pytest.mark.parametrize(
    ("method", "scope", "n_calls", "words"),
    [
        ("predict_on_batch", "call", 1, "batch by batch"),
        ("__call__", "session", 3, "batch by batch"),
        ("predict", "session", 3, "parts of a session"),
        ("predict", "call", 1, "before the labels were known"),
        ("predict", "call", 3, "batch by batch"),
    ],
)
def test_rows_that_were_returned_already_are_said_to_be(method, scope, n_calls, words):
    assert words in already_returned(method, scope, n_calls)
