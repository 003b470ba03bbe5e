"""What most tests of guards take."""

import importlib
from types import SimpleNamespace
from typing import Any

import pytest

from tests.guards.streams import identity_model


@pytest.fixture
def model() -> Any:
    """Returns its input."""
    return identity_model()


@pytest.fixture(scope="module", params=["keras3", "tf_keras"])
def engine(request: pytest.FixtureRequest) -> SimpleNamespace:
    """Each Keras; imported here, so that tests without it stay fast."""
    name = {"keras3": "keras"}.get(request.param, request.param)
    return SimpleNamespace(name=request.param, keras=importlib.import_module(name))
