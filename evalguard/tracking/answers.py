"""Who answers at the address of a tracking server: MLflow, something else, or nothing."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from evalguard.core.own_errors import not_ours, swallow

# Longest time to wait for this one answer, seconds.
ANSWER_S = 2.5
# Listing experiments needs a login where there is one, and no permission: what a user may not read is left out.
ENDPOINT = "/api/2.0/mlflow/experiments/search"
# MLflow's words for the states 401 and 403 (mlflow 3.17, exceptions.py, ERROR_CODE_TO_HTTP_STATUS).
REFUSED = frozenset({"UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED", "PERMISSION_DENIED"})
LOGIN = "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"


def obstacle(server: str, seconds: float = ANSWER_S) -> str:
    """Why MLflow cannot be reached at this address, and what to do; empty if it answers, or if that is not known.

    The answer has no more than one attempt. MLflow's client repeats a request for minutes, and its errors do not
    show what answered.

    Args:
        server: Tracking URI; of a store that is no HTTP server, nothing is asked.
        seconds: Longest time to wait.
    """
    if urlsplit(server).scheme not in {"http", "https"}:
        return ""
    # The user's login, certificates and headers, as MLflow's client would send them.
    from mlflow.utils import credentials, rest_utils

    ask: Any = rest_utils.http_request
    login: Any = credentials.get_default_host_creds
    options: dict[str, Any] = {"json": {"max_results": 1}, "max_retries": 0, "raise_on_status": False}
    try:
        with not_ours():
            found = ask(login(server), ENDPOINT, "POST", timeout=seconds, **options)
    except Exception as error:  # noqa: BLE001 - any error of the network
        swallow(error)
        return _no_connection(str(error), seconds)
    return _answered(found.status_code, found.text)


def _no_connection(text: str, seconds: float) -> str:
    if "timed out" in text:
        return f"no answer within {seconds:g} s; check that MLflow runs there"
    # urllib3 names the system's own error last.
    why = re.findall(r"\[Errno -?\d+\] ([\w ]+)", text)
    return f"no connection ({why[-1]}); start the server, or correct MLFLOW_TRACKING_URI" if why else ""


def _answered(status: int, text: str) -> str:
    if status in {401, 403}:
        return f"it refuses the login (status {status}); set or correct {LOGIN}"
    if not text.lstrip().startswith("{"):
        what = "an HTML page" if text.lstrip().startswith("<") else "no JSON"
        whose = "a proxy before MLflow, or another service," if status >= 500 else "another service"
        return f"{whose} answers at that address ({what}, status {status}); check MLFLOW_TRACKING_URI and the proxy"
    return f"it answers with status {status}" if status >= 400 else ""


def refusal(error: BaseException) -> str:
    """What to do about an error by which MLflow refuses the user's login or permission; empty for other errors."""
    code = getattr(error, "error_code", None)
    if code not in REFUSED:
        return ""
    permission = "give this user the permission to edit, or " if code == "PERMISSION_DENIED" else ""
    return f"it refuses this user ({code}); {permission}set or correct {LOGIN}"
