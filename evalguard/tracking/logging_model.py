"""Whether MLflow itself calls the model."""

from __future__ import annotations

import inspect
import sys


def logs_a_model() -> bool:
    """Whether MLflow is logging a model: it then predicts on the input example, which is not an evaluation."""
    if "mlflow" not in sys.modules:
        return False
    # MLflow predicts to infer a signature and has no flag for it (mlflow 3.17, models/model.py). Only the frames of
    # these two functions show it.
    frame = inspect.currentframe()
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if module.startswith("mlflow.") and frame.f_code.co_name in {"log_model", "save_model"}:
            return True
        frame = frame.f_back
    return False
