"""The gate over many runs on a real server on loopback, with signed and with plain records."""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.mlflow_stores import serving
from tests.tracking.records import record

RUNS, EVALUATIONS = 200, 5
BUDGET_S = 10.0


def fill(uri: str, name: str, runs: int, key: Any) -> None:
    """Runs with evaluations that pass, each with its record as a file; signed if there is a key."""
    from mlflow import MlflowClient

    from evalguard.tracking.chain import Before
    from evalguard.tracking.record import Record, own_slot, record_content, stated
    from evalguard.tracking.signing import sign
    from evalguard.tracking.slots import Slot, tags_of

    client = MlflowClient(tracking_uri=uri)
    experiment = client.create_experiment(name)
    before = ""
    for _ in range(runs):
        run = client.create_run(experiment).info.run_id
        tags: dict[str, str] = {}
        with tempfile.TemporaryDirectory() as folder:
            for number in range(EVALUATIONS):
                each: Record = record(  # type: ignore[no-untyped-call]
                    uri, run, "PASS", name=f"evaluation-{number}"
                )
                if key is not None:
                    payload = stated(each, each.name, Before(before).stated(each.fields))
                    envelope, before = sign(payload, key)
                    each = replace(each, envelope=envelope)
                own: Slot = own_slot(each, each.name)
                tags |= tags_of(own, tags)
                (Path(folder) / each.name).mkdir()
                (Path(folder) / each.name / "record.json").write_bytes(record_content(each, each.name))
            client.log_artifacts(run, folder, "evalguard")
        _log_tags(client, run, tags)


def _log_tags(client: Any, run: str, tags: dict[str, str]) -> None:
    from mlflow.entities import RunTag

    client.log_batch(run, tags=[RunTag(name, value) for name, value in tags.items() if value], synchronous=True)


def seconds(uri: str, name: str, **trust: Any) -> tuple[float, int]:
    """Seconds until the gate answers, and the number of evaluations that it saw."""
    from evalguard.tracking.gate.gate import gate

    start = time.perf_counter()
    result = gate(experiment=name, tracking_uri=uri, **trust)
    return time.perf_counter() - start, len(result.evaluations)


def main(runs: int = RUNS) -> int:
    """Print both times; 1 if the signed one is above the budget."""
    from evalguard.tracking.signing import new_key, signing_key

    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as uri:
        private, public, _ = new_key(Path(folder) / "ci.pem")
        found = {}
        for name, key in (("signed", signing_key(private)), ("plain", None)):
            fill(uri, name, runs, key)
            found[name], n = seconds(uri, name, **({"trust": public} if key else {}))
            print(f"{name}: {n:,} evaluations in {runs:,} runs: {found[name]:.1f} s", flush=True)
    print(f"budget {BUDGET_S:g} s where the envelopes are tags")
    return int(found["signed"] > BUDGET_S)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
