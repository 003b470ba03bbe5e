"""Addresses in the dashboard with a filter, and a saved view that shows the verdict's columns.

The default runs table shows no tag; a saved view does. MLflow keeps it as a tag of
the experiment in an undocumented form. evalguard writes that tag only on request,
only here, and the tests in a browser fail when the form changes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from evalguard.tracking.slots import FOLDER

# MLflow 3.17, mlflow/server/js/build: `mlflow.sharedViewState.<key>` holds name, createdAt, updatedAt and, as JSON in a
# string, the page state that `?viewStateShareKey=<key>` restores. A fixed key: saving again replaces the view.
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

# MLflow's filters have no OR, and no IN for tags (utils/search_utils.py, `VALID_TAG_COMPARATORS`): one address each.
# `!=` does not match runs without the tag, so the unguarded runs need `IS NULL`.
FILTERS: Mapping[str, str] = {
    "all runs": "",
    "proven": f"tags.`{FOLDER}.verdict` = 'PASS'",
    "not proven": f"tags.`{FOLDER}.verdict` != 'PASS'",
    "never guarded": f"tags.`{FOLDER}.verdict` IS NULL",
}


def address(server: str, experiment_id: str, filter_text: str = "") -> str:
    """Address of an experiment's runs in the dashboard, with a filter."""
    page = _runs_page(server, experiment_id)
    return f"{page}?searchFilter={quote(filter_text, safe='')}" if filter_text else page


def view_address(server: str, experiment_id: str) -> str:
    """Address of the experiment's saved view."""
    return f"{_runs_page(server, experiment_id)}?viewStateShareKey={VIEW_KEY}"


def _runs_page(server: str, experiment_id: str) -> str:
    return f"{server.rstrip('/')}/#/experiments/{experiment_id}/runs"


def view_tag(at_ms: int) -> tuple[str, str]:
    """Key and value of the experiment tag that holds the saved view."""
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
