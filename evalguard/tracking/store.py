"""Query MLflow, with a deadline for each answer and errors translated into those of evalguard."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from evalguard.core.own_errors import swallow
from evalguard.errors import ConfigError, SinkError
from evalguard.tracking.client import StoreGoneError, client_of, redacted_uri, short_error
from evalguard.tracking.deadline import DeadlineExceeded, DeadlineRunner, explanation

# Results in one page. MLflow allows more (mlflow 3.17, `*_MAX_RESULTS_THRESHOLD`), but a page of 1,000 runs with their
# tags arrives within the deadline.
PAGE = 1000
# Error codes that mean that an object does not exist; the second one is MLflow's answer to a malformed id
# (utils/validation.py, `_validate_run_id`).
NOT_THERE = frozenset({"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"})


class Store:
    """An MLflow client with a deadline for each answer.

    Attributes:
        tracking_uri: Tracking URI of the server or store; if None is passed, MLflow's own.
        command: Name of the evalguard command, for messages.
    """

    def __init__(self, tracking_uri: str | None, timeout_s: float, command: str = "gate") -> None:
        if tracking_uri is None:
            import mlflow

            tracking_uri = mlflow.get_tracking_uri()
        self.tracking_uri, self.command = tracking_uri, command
        self._timeout_s = timeout_s
        # A separate runner, so that the gate does not wait for a verdict that is being sent.
        self._runner = DeadlineRunner(tracking_uri)
        try:
            self._client = client_of(tracking_uri)
        except StoreGoneError as error:
            msg = f"{command}: {error}"
            raise SinkError(msg) from error

    def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of the client.

        Raises:
            LookupError: MLflow does not find the object.
            SinkError: MLflow did not answer, or answered with another error.
        """
        where = f"MLflow at {redacted_uri(self.tracking_uri)}"
        try:
            return self._runner.do(lambda: getattr(self._client, method)(*args, **kwargs), self._timeout_s)
        except DeadlineExceeded as error:
            why = f": {error}" if str(error) else ""
            msg = f"{self.command}: {where} did not answer within {self._timeout_s:g} s{why}"
            raise SinkError(msg) from None
        except Exception as error:
            swallow(error)
            if getattr(error, "error_code", "") in NOT_THERE:
                raise LookupError(short_error(error)) from error
            why = explanation(self.tracking_uri, error) or short_error(error)
            msg = f"{self.command}: {where} could not be queried: {why}"
            raise SinkError(msg) from error

    def get_existing(self, what: str, method: str, *args: Any) -> Any:
        """The object that the caller named.

        Raises:
            ConfigError: The object does not exist.
            SinkError: MLflow could not be queried.
        """
        try:
            found = self.call(method, *args)
        except LookupError as error:
            msg = f"{self.command}: expected {what} at {redacted_uri(self.tracking_uri)}, found none: {error}"
            raise ConfigError(msg) from error
        # `get_experiment_by_name` returns None where other methods raise (mlflow 3.17, rest_store.py).
        if found is None:
            msg = f"{self.command}: expected {what} at {redacted_uri(self.tracking_uri)}, found none"
            raise ConfigError(msg)
        return found

    def runs(self, text: str, experiment_ids: Sequence[str] | None = None) -> list[Any]:
        """All active runs that match a filter, in these experiments or in every active one."""
        if experiment_ids is None:
            experiment_ids = [item.experiment_id for item in self._pages("search_experiments")]
        return list(self._pages("search_runs", list(experiment_ids), filter_string=text))

    def _pages(self, method: str, *args: Any, **kwargs: Any) -> Iterable[Any]:
        # `results.token` is "" on the last page over REST and None with a local store.
        token = None
        while True:
            page = self.call(method, *args, max_results=PAGE, page_token=token, **kwargs)
            yield from page
            token = page.token
            if not token:
                return

    def versions_of_run(self, run_id: str) -> list[Any]:
        """Model versions that were registered from a run."""
        return list(self._pages("search_model_versions", filter_string=f"run_id = {quoted(run_id)}"))

    def content(self, run_id: str, path: str) -> bytes:
        """The content of one artifact.

        Raises:
            LookupError: The artifact does not exist.
            SinkError: The artifact could not be read.
        """
        # Into a folder that is removed, because `download_artifacts` itself would create one that stays.
        with tempfile.TemporaryDirectory(prefix="evalguard-") as folder:
            found = Path(self.call("download_artifacts", run_id, path, folder))
            return found.read_bytes()


def quoted(text: str) -> str:
    """Text in quotes for a filter of MLflow.

    Raises:
        ConfigError: The text contains both kinds of quotes.
    """
    # MLflow has no escape for quotes (mlflow 3.17, utils/search_utils.py, `_strip_quotes`).
    for quote in ("'", '"'):
        if quote not in text:
            return f"{quote}{text}{quote}"
    msg = f"expected a name with one kind of quotes, because MLflow cannot search for both; found {text[:60]!r}"
    raise ConfigError(msg)
