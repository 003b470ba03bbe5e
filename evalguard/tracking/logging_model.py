"""Whether MLflow itself calls the model."""

from __future__ import annotations

import inspect
import sys


def logs_a_model() -> bool:
    """Whether MLflow is logging a model: it then predicts on the input example, which is not an evaluation."""
    if "mlflow" not in sys.modules:
        return False
    # mlflow 3.17, models/model.py, has no flag for it. Only the frames of its two functions show that it predicts to
    # infer a signature.
    frame = inspect.currentframe()
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if module.startswith("mlflow.") and frame.f_code.co_name in {"log_model", "save_model"}:
            return True
        frame = frame.f_back
    return False
