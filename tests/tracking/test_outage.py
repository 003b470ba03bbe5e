"""A server that refuses, hangs, breaks or forbids, or a page in its place: no caller waits, nothing is lost."""

import os
import re
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

import evalguard
from evalguard.errors import SinkError
from evalguard.reporting import artifacts
from evalguard.tracking import spool
from evalguard.tracking.mlflow_sink import MlflowSink
from evalguard.tracking.new_run import NewRun
from evalguard.tracking.replay import replay
from evalguard.tracking.target import Target
from tests.mlflow_stores import Proxy, free_port, hanging
from tests.tracking.records import FAILED, Store, record, report

PROJECT = Path(__file__).parents[2]
DEADLINE_S, SLACK_S = 1.0, 2.0
LOGIN_PAGE = "<!DOCTYPE html><html><body>Sign in</body></html>"
BAD_GATEWAY = "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"


def always(answer):
    return lambda method, path: answer


def files_only(answer):
    return lambda method, path: answer if "/mlflow-artifacts/" in path else None


def after_the_tags(answer):
    """The connection is cut after the server accepted the verdict, which the client cannot know."""
    judged = []

    def fault(method, path):
        if path.endswith("/runs/log-batch"):
            judged.append(path)
        # The first batch is PENDING.
        return answer if len(judged) >= 2 else None

    return fault


FAULTS = [
    pytest.param(always("hang"), id="hangs"),
    pytest.param(always(500), id="answers-500"),
    pytest.param(always(503), id="answers-503"),
    pytest.param(always(401), id="wants-a-login"),
    pytest.param(always(403), id="forbids"),
    pytest.param(always((200, LOGIN_PAGE)), id="answers-a-login-page"),
    pytest.param(always((502, BAD_GATEWAY)), id="bad-gateway-page"),
    pytest.param(files_only(500), id="artifact-store-broken"),
    pytest.param(files_only("hang"), id="artifact-store-hangs"),
    pytest.param(after_the_tags("hang"), id="dies-between-tags-and-files"),
    pytest.param(after_the_tags("drop"), id="cut-off-after-each-answer"),
]


@pytest.fixture
def proxied(mlflow_server):
    """A working proxy before the real server, with a run of that server."""
    with Proxy(mlflow_server) as proxy:
        yield proxy, Store(mlflow_server)


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_no_caller_waits_longer_than_the_deadline_and_replay_completes_the_record(proxied, fault):
    proxy, real = proxied
    run, judged = real.run(), report(FAILED)
    proxy.fault = fault
    sink = MlflowSink(Target(proxy.uri, run), DEADLINE_S)
    start = time.monotonic()
    try:
        sink.begin("digits")
    except SinkError as error:
        assert "did not accept the PENDING mark" in str(error)  # noqa: PT017 - whether it fails depends on the fault
    with pytest.raises(SinkError, match=r"did not accept the verdict FAIL.*evalguard replay"):
        sink.write(judged, artifacts(judged))
    assert time.monotonic() - start < DEADLINE_S + SLACK_S
    (kept,) = spool.waiting()
    assert spool.read(kept).artifacts["report.json"] == judged.to_json().encode()

    # The server answers again. A thread that still retries has locked the record; replay waits, as another process
    # would, until the lock is released or the record is sent.
    proxy.fault = always(None)
    proxy.released.set()
    deadline = time.monotonic() + 60
    while list(spool.waiting()) and time.monotonic() < deadline:
        assert replay().failures == ()
        time.sleep(0.1)
    tags = real.tags(run)
    assert tags["evalguard.verdict"] == tags["evalguard.digits.verdict"] == "FAIL"
    assert {key.split(".")[1] for key in tags if key.startswith("evalguard.") and key.count(".") == 2} == {"digits"}
    assert real.metrics(run)["evalguard/violations"] == 1
    assert len(real.client.get_metric_history(run, "evalguard/violations")) == 1
    assert len(real.client.get_run(run).inputs.dataset_inputs) == 1
    assert real.files(run) == {*artifacts(judged), "record.json"} - {"report.txt"}


LOGIN = r"set or correct MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
KINDS = [
    pytest.param(401, rf"it refuses the login \(status 401\); {LOGIN}", id="401"),
    pytest.param(403, rf"it refuses the login \(status 403\); {LOGIN}", id="403"),
    pytest.param((401, "You are not authenticated"), rf"it refuses .*{LOGIN}", id="401-as-mlflow-says-it"),
    pytest.param((403, BAD_GATEWAY), rf"it refuses .*{LOGIN}", id="403-page"),
    pytest.param(
        (200, LOGIN_PAGE), r"another service answers at that address \(an HTML page, status 200\)", id="login-page"
    ),
    pytest.param((404, BAD_GATEWAY), r"another service answers .*\(an HTML page, status 404\)", id="404-page"),
    pytest.param(
        (502, BAD_GATEWAY),
        r"a proxy before MLflow, or another service, answers at that address \(an HTML page, status 502\)",
        id="bad-gateway",
    ),
    pytest.param((200, "pong"), r"another service answers at that address \(no JSON, status 200\)", id="other-text"),
    pytest.param(503, "it answers with status 503", id="503"),
    pytest.param("hang", r"no answer within [\d.]+ s", id="hangs"),
]


# With MLflow's own number of attempts, and with one.
@pytest.mark.parametrize("retries", [None, "0"])
@pytest.mark.parametrize(("fault", "said"), KINDS)
def test_the_kind_of_an_outage_is_named_in_time_and_nothing_is_lost(monkeypatch, fault, said, retries):
    if retries is not None:
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", retries)
    for new_run in (None, NewRun("digits")):
        with Proxy("http://127.0.0.1:9") as proxy:
            proxy.fault = always(fault)
            sink = MlflowSink(Target(proxy.uri, "" if new_run else "0" * 32, new_run=new_run), 2.0)
            start = time.monotonic()
            with pytest.raises(SinkError, match=rf"MLflow at {proxy.uri} did not accept the verdict PASS.*: {said}"):
                sink.write(report(), {})
            assert time.monotonic() - start < 2.0 + SLACK_S
            (kept,) = spool.waiting()
            record = spool.read(kept)
            assert (record.verdict, record.new_run is None) == ("PASS", new_run is None)
            kept.unlink()


@pytest.mark.parametrize(("fault", "said"), KINDS[:7])
def test_replay_names_the_kind_and_does_not_wait_for_retries(fault, said):
    with Proxy("http://127.0.0.1:9") as proxy:
        proxy.fault = always(fault)
        for run in ("0" * 32, "1" * 32):
            spool.put(record(proxy.uri, run))
        start = time.monotonic()
        done = replay()
        assert time.monotonic() - start < DEADLINE_S + SLACK_S
        (failure,) = done.failures
        assert re.search(said, str(failure)), failure
        assert len(proxy.seen) == 1
    assert spool.counted().waiting == 2


def test_a_run_that_this_user_may_not_write_to_does_not_delay_the_others():
    """As a server with permissions for each experiment answers."""
    allowed, forbidden = "a" * 32, "f" * 32
    with Proxy("http://127.0.0.1:9") as proxy:
        forbids = (403, '{"error_code": "PERMISSION_DENIED", "message": "Permission denied"}')
        proxy.fault = lambda method, path: forbids if path.endswith(forbidden) else (200, "{}")
        for at, run in enumerate((forbidden, allowed)):
            spool.put(record(proxy.uri, run, at=at))
        first, second = (str(failure) for failure in replay().failures)
    permission = r"it refuses this user \(PERMISSION_DENIED\); give this user the permission to edit, or"
    assert re.search(rf"run {forbidden} .*{permission} {LOGIN}", first)
    assert f"run {allowed} at" in second


@pytest.mark.parametrize("kind", ["refused", "hanging"])
def test_a_server_that_is_not_there_costs_the_deadline_once(kind):
    with hanging() as hung:
        uri = hung if kind == "hanging" else f"http://127.0.0.1:{free_port()}"
        sink = MlflowSink(Target(uri, "0" * 32), timeout_s=0.5)
        start = time.monotonic()
        with pytest.raises(SinkError, match=r"MLflow at .* did not accept the PENDING mark within 0.5 s"):
            sink.begin("digits")
        for delivered in (FAILED, range(5)):
            with pytest.raises(SinkError, match=r"It is kept in .*; `evalguard replay` sends it"):
                sink.write(report(delivered), {})
        assert time.monotonic() - start < 0.5 + SLACK_S
    assert [spool.read(path).verdict for path in spool.waiting()] == ["FAIL", "PASS"]


def test_an_alignment_error_is_raised_although_the_server_is_down(monkeypatch):
    import keras

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    inputs = keras.Input((1,))
    model = keras.Model(inputs, keras.layers.Identity()(inputs))
    x = np.arange(6, dtype="float32")[:, None]
    with pytest.warns(evalguard.EvalGuardWarning, match="did not accept"), pytest.raises(evalguard.MisalignmentError):
        with evalguard.guard(labels=range(6), reference=x, mlflow="0" * 32):
            model.predict(x[::-1].copy(), verbose=0)
    assert [spool.read(path).verdict for path in spool.waiting()] == ["FAIL"]


def test_a_server_that_is_down_changes_neither_predictions_nor_verdict(monkeypatch):
    import keras

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    inputs = keras.Input((1,))
    model = keras.Model(inputs, keras.layers.Identity()(inputs))
    x = np.arange(6, dtype="float32")[:, None]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", evalguard.EvalGuardWarning)
        with evalguard.guard(labels=range(6), reference=x, mlflow="0" * 32) as g:
            y = model.predict(x, verbose=0)
    assert g.report.verdict is evalguard.Verdict.PASS
    assert np.array_equal(y, x)
    assert len(g.sink_errors) == 2


@pytest.mark.slow
def test_nothing_is_sent_while_predicting(proxied):
    import keras

    proxy, real = proxied
    during: list[int] = []

    def batches():
        before = len(proxy.seen)
        for start in range(0, 6, 2):
            time.sleep(0.05)
            yield (x[start : start + 2],)
        during.append(len(proxy.seen) - before)

    inputs = keras.Input((1,))
    model = keras.Model(inputs, keras.layers.Identity()(inputs))
    x = np.arange(6, dtype="float32")[:, None]
    sink = MlflowSink(Target(proxy.uri, real.run()))
    with evalguard.guard(labels=range(6), reference=x, mlflow=False, sinks=(sink,)):
        model.predict(batches(), verbose=0)
    assert during == [0]
    assert len(proxy.seen) > 5


# Everything that `pip install mlflow` brings and `pip install mlflow-skinny` does not.
NOT_IN_SKINNY = {
    *("sqlalchemy", "alembic", "flask", "flask_cors", "pandas", "sklearn", "scipy", "matplotlib", "pyarrow"),
    *("gunicorn", "waitress", "docker", "graphene", "huey", "skops", "aiohttp"),
}

SKINNY = """
import sys
from importlib.machinery import PathFinder

class Skinny(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.split(".")[0] in {names} else PathFinder.find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Skinny
from tests.tracking.records import FAILED, report
from evalguard.reporting import artifacts
from evalguard.tracking.mlflow_sink import MlflowSink
from evalguard.tracking.target import Target

from evalguard.tracking.gate.gate import gate

for delivered, slot in ((range(5), "right"), (FAILED, "wrong")):
    sink, judged = MlflowSink(Target({uri!r}, {run!r})), report(delivered)
    sink.begin(slot)
    sink.write(judged, artifacts(judged))
result = gate(run={run!r}, tracking_uri={uri!r})
assert {{item.name: item.refused for item in result.evaluations}} == {{
    "right": (), "wrong": ("the verdict is FAIL (reordered)",)
}}, result
assert not set(sys.modules) & {names}, set(sys.modules) & {names}
"""


@pytest.mark.slow
def test_the_record_needs_no_more_of_mlflow_than_its_client(mlflow_server):
    store = Store(mlflow_server)
    run = store.run()
    program = SKINNY.format(names=NOT_IN_SKINNY, uri=mlflow_server, run=run)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT, env=dict(os.environ), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert store.tags(run)["evalguard.verdict"] == "FAIL"
    assert "report.json" in store.files(run, "wrong")
