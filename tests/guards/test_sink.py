"""A user's sink: an object with the three methods of ``evalguard.Sink``."""

from pathlib import Path

import keras
import numpy as np
import pytest

import evalguard
from evalguard.reporting.file_sink import FileSink
from evalguard.testing import MemorySink
from evalguard.tracking.mlflow_sink import MlflowSink
from evalguard.tracking.target import Target


class Lines:
    """Inherits from nothing."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def begin(self, name: str) -> None:
        self.lines.append(f"begin {name}")

    def write(self, report: evalguard.Report, artifacts: object) -> None:
        self.lines.append(f"{report.verdict} {report.name}")

    def failed(self, error: BaseException) -> None:
        self.lines.append(type(error).__name__)


def sinks(folder: Path) -> tuple[evalguard.Sink, ...]:
    """mypy checks that each of these is one."""
    return Lines(), MemorySink(), FileSink(folder), MlflowSink(Target("", ""))


def test_any_object_with_the_three_methods_is_a_sink(tmp_path):
    methods = {name for name in vars(evalguard.Sink) if not name.startswith("_")}
    assert methods == {"begin", "write", "failed"}
    for sink in sinks(tmp_path):
        assert all(callable(getattr(sink, name)) for name in methods)


def test_a_guard_writes_to_a_users_sink():
    x, sink = np.arange(6, dtype="float32")[:, None], Lines()
    model = keras.Sequential([keras.Input((1,)), keras.layers.Identity()])
    with evalguard.guard(labels=np.arange(6), reference=x, mlflow=False, name="digits", sinks=(sink,)):
        model.predict(x, verbose=0)
    with pytest.raises(ZeroDivisionError):
        with evalguard.guard(labels=np.arange(6), reference=x, mlflow=False, name="again", sinks=(sink,)):
            1 / 0  # noqa: B018 - raises
    assert sink.lines == ["begin digits", "PASS digits", "begin again", "ZeroDivisionError"]
