"""A separate spool for every test."""

import pytest

from tests.tracking.records import Store


@pytest.fixture(autouse=True)
def _own_spool(tmp_path, monkeypatch):
    monkeypatch.setenv("EVALGUARD_SPOOL", str(tmp_path / "spool"))


@pytest.fixture
def store(mlflow_store):
    return Store(mlflow_store)


@pytest.fixture(params=["embedded", pytest.param("server", marks=pytest.mark.slow)])
def anywhere(request):
    """The embedded store, then the real server."""
    return Store(request.getfixturevalue("mlflow_store" if request.param == "embedded" else "mlflow_server"))
