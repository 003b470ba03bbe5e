"""What every test gets: a quiet, offline environment, set before a framework is imported."""

import os

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_DISABLE_AGENT_HINT", "1")
# Calls that a test gave up go on in their threads: with jitter they draw from `random`, which Hypothesis notices.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER", "0")
# A developer's own tracking server and runs are none of a test's business.
for _name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"):
    os.environ.pop(_name, None)

# After the environment: what these make is shared by all tests of a process.
from hypothesis import settings  # noqa: E402 - after the environment is set

from tests.mlflow_stores import mlflow_server, mlflow_store, mlflow_template  # noqa: E402, F401

# A busy machine is slow, not wrong; and a run can be repeated as it was.
settings.register_profile("evalguard", deadline=None, derandomize=True)
settings.load_profile("evalguard")


def pytest_configure(config: pytest.Config) -> None:
    """Tests in a real browser need what a fresh machine lacks; they run when they are asked for."""
    config.addinivalue_line("markers", "browser: needs Chromium, some also npm; run by `pytest -m browser` only")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave browser tests out unless `-m` names them. Not by `-m` in addopts: the caller's own replaces that."""
    if "browser" in str(config.option.markexpr):
        return
    left_out = [item for item in items if item.get_closest_marker("browser")]
    if left_out:
        items[:] = [item for item in items if not item.get_closest_marker("browser")]
        config.hook.pytest_deselected(items=left_out)
