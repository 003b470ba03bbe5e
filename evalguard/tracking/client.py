"""A client for an MLflow store, and which of its errors are permanent."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from evalguard.core.own_errors import not_ours
from evalguard.errors import EvalGuardError

# Errors for which a second attempt gets the same answer. For a deleted run and for a malformed id, MLflow answers
# INVALID_PARAMETER_VALUE (mlflow 3.17, sqlalchemy_store.py, `_check_run_is_active`; utils/validation.py,
# `_validate_run_id`).
PERMANENT_ERRORS = frozenset({"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "INVALID_STATE"})


log = logging.getLogger("evalguard")


def client_of(tracking_uri: str) -> Any:
    """A client for an explicit store.

    Raises:
        StoreGoneError: The store is an sqlite file that does not exist.
    """
    # MLflow creates a missing database without a message (mlflow 3.17, SqlAlchemyStore.__init__). With a typing error
    # in the path, the gate would query an empty store, and the run of a verdict would not be in it.
    path = sqlite_path(tracking_uri)
    if path is not None and not path.exists():
        msg = f"expected an MLflow store at {path}, found none there"
        raise StoreGoneError(msg)
    return new_client(tracking_uri)


def new_client(tracking_uri: str) -> Any:
    """A client for an explicit store; MLflow creates a missing sqlite file."""
    # Imported here, because the import of mlflow takes 1.2 s and 170 MB, and a guard without a run does not need it.
    from mlflow.tracking import MlflowClient

    with not_ours():
        return _Client(MlflowClient(tracking_uri=tracking_uri))


class _Client:
    """MLflow's client; errors that its methods raise are marked as not ours."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            with not_ours():
                return method(*args, **kwargs)

        return call


class StoreGoneError(EvalGuardError):
    """The store is a file that does not exist."""

    error_code = "RESOURCE_DOES_NOT_EXIST"


def sqlite_path(tracking_uri: str) -> Path | None:
    """The file of an sqlite store; None for other stores."""
    if not tracking_uri.startswith("sqlite:///"):
        return None
    return Path(unquote(tracking_uri.removeprefix("sqlite:///").partition("?")[0]))


def short_error(error: BaseException) -> str:
    """Type and first line of an error, up to 200 characters."""
    text = str(error).splitlines()[0] if str(error) else ""
    return f"{type(error).__name__}: {text}"[:200]


def is_permanent_error(error: BaseException) -> bool:
    """Whether the server refuses for good, because the run is deleted or never existed."""
    return getattr(error, "error_code", None) in PERMANENT_ERRORS


def redacted_uri(tracking_uri: str) -> str:
    """A tracking URI without user name and password."""
    scheme, separator, rest = tracking_uri.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}"
