"""Questions to MLflow, each answer with a deadline, each error in our words."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from evalguard.core.own_errors import swallow
from evalguard.errors import ConfigError, SinkError
from evalguard.tracking.client import StoreGoneError, client_of, redacted_uri, short_error
from evalguard.tracking.deadline import DeadlineExceeded, DeadlineRunner

PAGE = 1000
NOT_THERE = frozenset({"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"})


class Store:
    """An MLflow client of which every answer has a deadline.

    Attributes:
        tracking_uri: Server or store; by default MLflow's own.
        command: The command that asks, for messages.
    """

    def __init__(self, tracking_uri: str | None, timeout_s: float, command: str = "gate") -> None:
        if tracking_uri is None:
            import mlflow

            tracking_uri = mlflow.get_tracking_uri()
        self.tracking_uri, self.command = tracking_uri, command
        self._timeout_s = timeout_s
        self._runner = DeadlineRunner(tracking_uri)
        try:
            self._client = client_of(tracking_uri)
        except StoreGoneError as error:
            msg = f"{command}: {error}"
            raise SinkError(msg) from error

    def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of the client.

        Raises:
            LookupError: MLflow says that there is no such thing.
            SinkError: It gave no answer, or another error.
        """
        answer: list[Any] = []
        where = f"MLflow at {redacted_uri(self.tracking_uri)}"
        try:
            self._runner.do(lambda: answer.append(getattr(self._client, method)(*args, **kwargs)), self._timeout_s)
        except DeadlineExceeded:
            msg = f"{self.command}: {where} did not answer within {self._timeout_s:g} s"
            raise SinkError(msg) from None
        except Exception as error:
            swallow(error)
            if getattr(error, "error_code", "") in NOT_THERE:
                raise LookupError(short_error(error)) from error
            msg = f"{self.command}: {where} could not be asked: {short_error(error)}"
            raise SinkError(msg) from error
        return answer[0]

    def get_existing(self, what: str, method: str, *args: Any) -> Any:
        """What the caller named.

        Raises:
            ConfigError: It is not there.
        """
        try:
            found = self.call(method, *args)
        except LookupError as error:
            msg = f"{self.command}: expected {what} at {redacted_uri(self.tracking_uri)}, found none: {error}"
            raise ConfigError(msg) from error
        if found is None:
            msg = f"{self.command}: expected {what} at {redacted_uri(self.tracking_uri)}, found none"
            raise ConfigError(msg)
        return found

    def runs(self, text: str, experiment_ids: Sequence[str] | None = None) -> list[Any]:
        """All active runs that a filter finds; in every experiment, unless some are named."""
        if experiment_ids is None:
            experiment_ids = [item.experiment_id for item in self._pages("search_experiments")]
        return list(self._pages("search_runs", list(experiment_ids), filter_string=text))

    def _pages(self, method: str, *args: Any, **kwargs: Any) -> Iterable[Any]:
        token = None
        while True:
            page = self.call(method, *args, max_results=PAGE, page_token=token, **kwargs)
            yield from page
            token = page.token
            if not token:
                return

    def versions_of_run(self, run_id: str) -> list[Any]:
        """Model versions that were made from a run."""
        return list(self._pages("search_model_versions", filter_string=f"run_id = {quoted(run_id)}"))

    def content(self, run_id: str, path: str) -> bytes:
        """One artifact.

        Raises:
            LookupError: It is not there.
            SinkError: It could not be read.
        """
        with tempfile.TemporaryDirectory(prefix="evalguard-") as folder:
            found = Path(self.call("download_artifacts", run_id, path, folder))
            return found.read_bytes()


def quoted(text: str) -> str:
    """Text for a filter of MLflow, which has no escapes."""
    for quote in ("'", '"'):
        if quote not in text:
            return f"{quote}{text}{quote}"
    msg = f"a name with both kinds of quotes cannot be searched for: {text[:60]!r}"
    raise ConfigError(msg)
