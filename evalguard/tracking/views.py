"""Addresses of MLflow's dashboard with a filter, and a saved view with the columns of the verdict.

The default table of runs shows no tags; a saved view does. MLflow stores it as a tag
of the experiment in an undocumented format. evalguard writes that tag only on
request, and the tests in a browser fail if the format changes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from evalguard.tracking.slots import FOLDER

# `mlflow.sharedViewState.<key>` holds name, createdAt, updatedAt and, as JSON in a string, the page state that
# `?viewStateShareKey=<key>` restores (mlflow 3.17, mlflow/server/js/build). With a fixed key, saving again replaces the
# view.
VIEW_TAG, VIEW_KEY = "mlflow.sharedViewState.", "evalguard"
VIEW_NAME = "evalguard verdicts"
# Column → width in pixels, in the order shown; the first and the last two are MLflow's own.
ORDER = {
    "1": 60,
    "attributes.`Run Name`": 190,
    f"tags.`{FOLDER}.verdict`": 150,
    f"tags.`{FOLDER}.proof`": 130,
    f"tags.`{FOLDER}.reason`": 150,
    f"metrics.`{FOLDER}/misaligned`": 180,
    f"metrics.`{FOLDER}/n_predictions`": 200,
    f"tags.`{FOLDER}.cause`": 210,
    f"tags.`{FOLDER}.labels`": 160,
    "runDateAndNestInfo": 150,
    "duration": 80,
}
COLUMNS = tuple(name for name in ORDER if FOLDER in name)

# One address for each filter, because filters have no OR, and no IN for tags (utils/search_utils.py,
# `VALID_TAG_COMPARATORS`). `!=` does not match runs without the tag, so unguarded runs need `IS NULL`.
FILTERS: Mapping[str, str] = {
    "all runs": "",
    "proven": f"tags.`{FOLDER}.verdict` = 'PASS'",
    "not proven": f"tags.`{FOLDER}.verdict` != 'PASS'",
    "never guarded": f"tags.`{FOLDER}.verdict` IS NULL",
}


def address(server: str, experiment_id: str, filter_text: str = "") -> str:
    """Address of an experiment's runs in the dashboard, with a filter if one is given."""
    page = _runs_page(server, experiment_id)
    return f"{page}?searchFilter={quote(filter_text, safe='')}" if filter_text else page


def view_address(server: str, experiment_id: str) -> str:
    """Address of the experiment's saved view."""
    return f"{_runs_page(server, experiment_id)}?viewStateShareKey={VIEW_KEY}"


def _runs_page(server: str, experiment_id: str) -> str:
    return f"{server.rstrip('/')}/#/experiments/{experiment_id}/runs"


def view_tag(at_ms: int) -> tuple[str, str]:
    """Key and value of the experiment tag that holds the saved view.

    Args:
        at_ms: When it is saved, milliseconds since the epoch.
    """
    state: dict[str, Any] = {
        "searchFilter": "",
        "orderByKey": "attributes.start_time",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": list(COLUMNS),
        "columnOrder": list(ORDER),
        "columnWidths": ORDER,
    }
    view = {"name": VIEW_NAME, "createdAt": at_ms, "updatedAt": at_ms, "state": json.dumps(state)}
    return VIEW_TAG + VIEW_KEY, json.dumps(view)
