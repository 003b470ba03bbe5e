"""What every test gets: a quiet, offline environment, set before a framework is imported."""

import os

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_DISABLE_AGENT_HINT", "1")
# Calls that a test gave up go on in their threads: with jitter they draw from `random`, which Hypothesis notices.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER", "0")
# An internal error, which a user's evaluation survives, fails a test; programs that tests start inherit this.
os.environ["EVALGUARD_STRICT"] = "1"
# A test must not write to a developer's own tracking server or runs.
for _name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"):
    os.environ.pop(_name, None)

# After the environment: what these make is shared by all tests of a process.
from hypothesis import settings  # noqa: E402 - after the environment is set

from tests.command_line import command, forms  # noqa: E402, F401
from tests.mlflow_stores import mlflow_server, mlflow_store, mlflow_template  # noqa: E402, F401

# A busy machine is slow, not wrong; and a run can be repeated as it was.
settings.register_profile("evalguard", deadline=None, derandomize=True)
settings.load_profile("evalguard")


# What a fresh machine lacks; these tests run when they are asked for.
ON_REQUEST = {
    "browser": "needs Chromium, some also npm; run by `pytest -m browser` only",
    "pipelines": "needs DVC, Airflow or KFP in a separate environment; run by `make pipelines` only",
}


def pytest_configure(config: pytest.Config) -> None:
    """Tell pytest the markers of tests that run on request."""
    for marker, why in ON_REQUEST.items():
        config.addinivalue_line("markers", f"{marker}: {why}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave them out unless `-m` names them. Not by `-m` in addopts: the caller's own replaces that."""
    unasked = [marker for marker in ON_REQUEST if marker not in str(config.option.markexpr)]
    left_out = [item for item in items if any(item.get_closest_marker(marker) for marker in unasked)]
    if left_out:
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)
