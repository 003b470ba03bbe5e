"""Query MLflow, with a deadline for each answer and errors translated into those of evalguard."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from evalguard.core.own_errors import not_ours, swallow
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
        # Separate runners, so that the gate does not wait for a verdict that is being sent; one for each thread.
        self._runners = threading.local()
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
        return self._ask(lambda: getattr(self._client, method)(*args, **kwargs))

    def _ask(self, question: Callable[[], Any]) -> Any:
        where = f"MLflow at {redacted_uri(self.tracking_uri)}"
        try:
            return self._runner().do(question, self._timeout_s)
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

    def _runner(self) -> DeadlineRunner:
        if not hasattr(self._runners, "runner"):
            self._runners.runner = DeadlineRunner(self.tracking_uri)
        found: DeadlineRunner = self._runners.runner
        return found

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

    def runs(self, text: str, experiment_ids: Sequence[str] | None = None, *, deleted: bool = False) -> list[Any]:
        """All active runs that match a filter, in these experiments or in every active one.

        Args:
            text: The filter.
            experiment_ids: Where to search.
            deleted: Also those that were deleted, and those of deleted experiments, which MLflow keeps until they are
                purged.
        """
        from mlflow.entities import ViewType

        view = ViewType.ALL if deleted else ViewType.ACTIVE_ONLY
        if experiment_ids is None:
            experiment_ids = [item.experiment_id for item in self._pages("search_experiments", view_type=view)]
        return list(self._pages("search_runs", list(experiment_ids), filter_string=text, run_view_type=view))

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

    def _of_mlflow(self, function: Callable[..., Any], **arguments: Any) -> Any:
        with not_ours():
            return function(**arguments, tracking_uri=self.tracking_uri)

    # By the run's address and not by its id: with the id, MLflow asks for the run and for a logged model first (mlflow
    # 3.17, runs_artifact_repo.py), four requests instead of one.

    def folders(self, run: Any, path: str) -> list[str]:
        """Names of the folders in a folder of a run's files.

        Raises:
            LookupError, SinkError: It could not be listed.
        """
        from mlflow.artifacts import list_artifacts

        address = f"{run.info.artifact_uri}/{path}"
        listed = self._ask(lambda: self._of_mlflow(list_artifacts, artifact_uri=address))
        return [item.path.rpartition("/")[2] for item in listed if item.is_dir]

    def content(self, run: Any, path: str) -> bytes:
        """The content of one file of a run.

        Raises:
            LookupError: The file does not exist.
            SinkError: The file could not be read.
        """
        from mlflow.artifacts import download_artifacts

        address = f"{run.info.artifact_uri}/{path}"
        # Into a folder that is removed, because `download_artifacts` itself would create one that stays.
        with tempfile.TemporaryDirectory(prefix="evalguard-") as folder:
            found = self._ask(lambda: self._of_mlflow(download_artifacts, artifact_uri=address, dst_path=folder))
            return Path(found).read_bytes()


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
