"""A server that refuses, hangs, breaks or forbids: no caller waits, nothing is lost, replay completes the record."""

import os
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
from evalguard.tracking.replay import replay
from evalguard.tracking.target import Target
from tests.mlflow_stores import Proxy, free_port, hanging
from tests.tracking.records import FAILED, Store, report

PROJECT = Path(__file__).parents[2]
DEADLINE_S, SLACK_S = 1.0, 2.0


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
