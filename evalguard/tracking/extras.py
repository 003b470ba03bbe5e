"""Write what follows the verdict if the server still answers: dataset, metrics, logged model."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any

from evalguard.core.own_errors import swallow
from evalguard.tracking.client import log, short_error
from evalguard.tracking.lineage import lineage
from evalguard.tracking.record import Record
from evalguard.tracking.slots import FOLDER, Slot, number, tags_of

# mlflow 3.17, utils/validation.py: a longer digest, name or key raises, and so does a larger batch.
MAX_DIGEST, MAX_DATASET_NAME = 36, 500
MAX_METRIC, MAX_BATCH = 250, 1000


def write_extras(client: Any, record: Record, own: Slot) -> None:
    """Write what MLflow's pages show beside the verdict. The gate reads none of it, so each part may fail."""
    _try("dataset", lambda: _write_dataset(client, record))
    _try("metrics", lambda: _write_metrics(client, record, own.name))
    model_id = _try("model", lambda: _model_id(client, record.fields.get("model", "")))
    if model_id:
        _try("model", lambda: _write_model(client, record, own, model_id))


def _dataset(record: Record) -> tuple[str, str] | None:
    digest = str(record.labels.get("digest") or "")[:MAX_DIGEST]
    name = str(record.labels.get("name") or "labels")[:MAX_DATASET_NAME]
    return (name, digest) if digest else None


def _write_dataset(client: Any, record: Record) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    found = _dataset(record)
    if found is None:
        return
    name, digest = found
    profile = json.dumps({"num_rows": record.labels.get("n")})
    # The context of an input is written once and cannot be changed (mlflow 3.17, sqlalchemy_store.py,
    # `_log_inputs_impl`), so it holds the role of the labels and not the verdict.
    dataset = Dataset(name, digest, "local", json.dumps({"uri": name}), profile=profile)
    client.log_inputs(record.run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "eval")])])


def _write_metrics(client: Any, record: Record, slot: str) -> None:
    """Write the metrics before and after realignment: ``evalguard/<slot>/<metric>/as_scored`` and others."""
    from mlflow.entities import Metric

    # MLflow allows these characters only (mlflow 3.17, utils/validation.py, `validate_param_and_metric_name`).
    values = {
        re.sub(r"[^/\w.\- ]", "_", f"{FOLDER}/{slot}/{name}", flags=re.ASCII)[:MAX_METRIC]: value
        for name, value in record.metrics.items()
    }
    before = client.get_run(record.run_id).data.metrics
    # Values of an earlier evaluation of this name are set to NaN, because MLflow cannot delete a metric.
    old = (name for name, value in before.items() if name.startswith(f"{FOLDER}/{slot}/") and not math.isnan(value))
    values |= {name: math.nan for name in old if name not in values}
    metrics = [Metric(name, value, record.checked_at_ms, 0) for name, value in values.items()]
    for start in range(0, len(metrics), MAX_BATCH):
        client.log_batch(record.run_id, metrics=metrics[start : start + MAX_BATCH], synchronous=True)


def _model_id(client: Any, model: str) -> str:
    """Id of the logged model that ``m-…``, ``models:/m-…`` or ``models:/NAME/VERSION`` names; empty without one."""
    name = model.removeprefix("models:/")
    if "/" not in name:
        return name
    registered, _, version = name.rpartition("/")
    return lineage(client.get_model_version, registered, version).model_id


def _write_model(client: Any, record: Record, own: Slot, model_id: str) -> None:
    from mlflow.entities import Metric

    name, digest = _dataset(record) or (None, None)
    # The model's page shows the metrics with its `model_id` and their dataset, but not the tags of a run. Counts that
    # are not known are left out, because NaN would be stored as 0 (mlflow 3.17, sqlalchemy_store.py,
    # `_log_model_metrics`).
    metrics = [
        Metric(f"{FOLDER}/{count}", float(value), record.checked_at_ms, 0, model_id, name, digest, record.run_id)
        for count, value in record.counts.items()
    ]
    if metrics:
        client.log_batch(record.run_id, metrics=metrics, synchronous=True)
    model_tags = client.get_logged_model(model_id).tags
    # A model may be evaluated in several runs, so a record that is sent late must not replace a later evaluation.
    if number(model_tags.get(f"{FOLDER}.{own.name}.checked_at_ms", "")) <= own.checked_at_ms:
        client.set_logged_model_tags(model_id, tags_of(own, model_tags))


def _try(what: str, work: Callable[[], Any]) -> Any:
    """Do optional work and return its result; if the server refuses it, log a warning and return None."""
    try:
        return work()
    except Exception as error:  # noqa: BLE001 - any error of a store: the verdict is already written
        swallow(error)
        log.warning("evalguard: the %s was not written to MLflow: %s", what, short_error(error))
        return None
