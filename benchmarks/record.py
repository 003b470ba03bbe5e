"""What the record in MLflow costs: everything that one evaluation sends to a real server on loopback."""

from __future__ import annotations

import logging
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import evalguard
from evalguard.reporting import artifacts
from evalguard.tracking.mlflow_sink import MlflowSink
from evalguard.tracking.target import Target
from tests.mlflow_stores import serving

ROWS = 1797
BUDGET_MS = 100.0


def measurements(times: int) -> Iterator[tuple[str, float, str, float, bool]]:
    """Name, measured median, unit, budget, whether the budget is a least one; for a PASS and a FAIL.

    The server has one worker: with more, each request of a connection but the first waits some 40 ms for the
    network stack (uvicorn's issue 3149), with any client.

    Args:
        times: Records of each.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    from mlflow.tracking import MlflowClient

    orders = {"PASS": np.arange(ROWS), "FAIL": np.random.default_rng(0).permutation(ROWS)}
    with tempfile.TemporaryDirectory(prefix="evalguard-") as folder, serving(Path(folder)) as uri:
        os.environ["EVALGUARD_SPOOL"] = f"{folder}/spool"
        client: Any = MlflowClient(tracking_uri=uri)
        experiment = client.create_experiment("benchmark")
        for verdict, order in orders.items():
            report = evalguard.check(indices=order, labels=ROWS, name="digits")
            assert report.verdict.value == verdict
            rendered = artifacts(report, {"predictions.npy": "0" * 64})
            seconds = []
            for _ in range(times + 1):
                run_id = client.create_run(experiment).info.run_id
                start = time.perf_counter()
                sink = MlflowSink(Target(uri, run_id))
                sink.begin("digits")
                sink.write(report, rendered)
                seconds.append(time.perf_counter() - start)
                assert client.get_run(run_id).data.tags["evalguard.verdict"] == verdict
            # The first opens the connection.
            yield (
                f"record of a {verdict} in MLflow on loopback, one worker",
                statistics.median(seconds[1:]) * 1e3,
                "ms",
                BUDGET_MS,
                False,
            )
