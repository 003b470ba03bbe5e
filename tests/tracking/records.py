"""Reports and runs to write, for the tests of the record in MLflow."""

import time
from dataclasses import replace
from types import SimpleNamespace

import evalguard
from evalguard.reporting import artifacts
from evalguard.tracking.mlflow_sink import MlflowSink
from evalguard.tracking.record import Record
from evalguard.tracking.target import Target

PASSED, FAILED = [0, 1, 2, 3, 4], [1, 0, 2, 3, 4]


def now_ms():
    return int(time.time() * 1000)


def report(delivered=PASSED, labels=5, name="digits", at=None):
    """A report of five samples: reordered rows are a FAIL."""
    judged = evalguard.check(indices=delivered, labels=labels, name=name)
    # As of rows that were observed: keys of finished predictions are declared, and the gate asks for more.
    return replace(judged, proof=evalguard.Proof.IDENTITY, checked_at_ms=at or now_ms())


def unproven(name="digits"):
    """The same five samples, of which only the transport is known."""
    return replace(report(name=name), verdict=evalguard.Verdict.UNPROVEN, proof=evalguard.Proof.TRANSPORT)


def write(sink, judged, name="digits"):
    """One whole evaluation."""
    sink.begin(name)
    sink.write(judged, artifacts(judged))


class Store:
    """A tracking URI with an experiment, and short ways to ask it."""

    def __init__(self, uri, experiment="evaluations"):
        from mlflow import MlflowClient

        self.uri = uri
        self.client = MlflowClient(tracking_uri=uri)
        self.experiment_id = self.client.get_experiment_by_name(experiment).experiment_id

    def run(self, **tags):
        return self.client.create_run(self.experiment_id, tags=tags or None).info.run_id

    def sink(self, run_id, model="", timeout_s=90.0):  # a busy machine is slow, not wrong
        return MlflowSink(Target(self.uri, run_id, model), timeout_s)

    def tags(self, run_id):
        return self.client.get_run(run_id).data.tags

    def metrics(self, run_id):
        return self.client.get_run(run_id).data.metrics

    def files(self, run_id, slot="digits"):
        found = self.client.list_artifacts(run_id, f"evalguard/{slot}")
        return {item.path.removeprefix(f"evalguard/{slot}/") for item in found}

    def whole(self, run_id):
        """Everything a user may have put into a run, or a sink may have changed."""
        run = self.client.get_run(run_id)
        return SimpleNamespace(
            status=run.info.status,
            stage=run.info.lifecycle_stage,
            end_time=run.info.end_time,
            name=run.info.run_name,
            params=run.data.params,
            tags={name: value for name, value in run.data.tags.items() if not name.startswith("evalguard.")},
            metrics={name: value for name, value in run.data.metrics.items() if not name.startswith("evalguard/")},
        )


def record(uri, run_id, verdict="FAIL", *, at=None, began=None, name="digits", mark="pending-a", files=True):
    """A record as the spool holds it."""
    at = now_ms() if at is None else at
    return Record(
        uri,
        run_id,
        name,
        {"verdict": verdict, "proof": "identity", "labels": "0123456789abcdef", "labels_name": "y", "model": ""},
        at - 10 if began is None else began,
        at,
        mark,
        {"violations": int(verdict == "FAIL"), "n_labels": 5, "n_predictions": 5},
        {"name": "y", "digest": "0123456789abcdef", "n": 5},
        {"report.json": b"{}"} if files else {},
    )
