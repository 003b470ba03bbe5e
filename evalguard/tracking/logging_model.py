"""Whether MLflow itself makes a call of the model."""

from __future__ import annotations

import inspect
import sys


def logs_a_model() -> bool:
    """Whether MLflow is logging a model: it predicts on the input example then, and evaluates nothing."""
    if "mlflow" not in sys.modules:
        return False
    # MLflow has no flag for it; the frames of its two functions are all that shows (mlflow 3.17, models/model.py).
    frame = inspect.currentframe()
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if module.startswith("mlflow.") and frame.f_code.co_name in {"log_model", "save_model"}:
            return True
        frame = frame.f_back
    return False
