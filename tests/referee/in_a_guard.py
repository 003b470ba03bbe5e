"""A pytest plugin: writes down how each test came out; runs each inside a guard if asked to.

Loaded by ``run_referee.py`` with ``-p in_a_guard``, for tests that know nothing
of evalguard.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

import evalguard
from evalguard.capture.engines import keras3, patching
from evalguard.guards import dispatch
from evalguard.guards.calls import CALL

# What differs from one run to the next in a message: addresses, seconds, temporary names.
UNSTEADY = re.compile(r"0x[0-9a-f]+|\d+(\.\d+)?m?s\b|/tmp/\S+|_\d+\b")
# How the recorder reports an error that it did not expect: "TypeError while a batch was recorded: ...".
UNEXPECTED = re.compile(r"\b\w+ while (a )?batch|\b\w+ during the fail-fast check")

WORST = ("failed", "skipped", "passed")


class Notes:
    """What happened, for the file that ``--outcomes`` names."""

    def __init__(self) -> None:
        self.outcomes: dict[str, list[str]] = {}
        self.methods: Counter[str] = Counter()
        self.verdicts: Counter[str] = Counter()
        self.trouble: Counter[str] = Counter()

    def test(self, report: pytest.TestReport) -> None:
        """A phase of a test is over; the worst phase is the outcome."""
        name = UNSTEADY.sub("*", report.nodeid.partition("::")[2] or "the file itself")
        before = self.outcomes.get(name)
        if before is None or WORST.index(report.outcome) < WORST.index(before[0]):
            crash = getattr(report.longrepr, "reprcrash", None)
            why = UNSTEADY.sub("*", crash.message) if crash else ""
            self.outcomes[name] = [report.outcome, why]

    def guard(self, watch: evalguard.Guard) -> None:
        """A guarded test is over."""
        for report in watch.reports:
            if report.method != "check":  # nothing was called
                self.methods[report.method] += 1
                self.verdicts[report.verdict.value] += 1
                self.trouble.update(UNSTEADY.sub("*", why)[:300] for why in report.not_proven if is_ours(why))


def is_ours(why: str) -> bool:
    """Whether evalguard itself was in trouble, and did not only lack evidence."""
    return "evalguard could not" in why or "could not be tagged" in why or bool(UNEXPECTED.search(why))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--outcomes", type=Path, required=True)
    parser.addoption("--guarded", action="store_true")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[NOTES] = Notes()


NOTES = pytest.StashKey[Notes]()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    import keras

    # Some tests train a model and print what it predicts when they fail: the same numbers in both runs.
    keras.utils.set_random_seed(1)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    if not item.config.getoption("guarded"):
        return (yield)
    # Labels with fingerprints, so that rows are hashed; none of them matches, so every check runs.
    labels = evalguard.Labels(values=np.zeros(1), fingerprints=np.zeros(1, np.uint64))
    guard = evalguard.guard(labels=labels, on_failure="record", on_unproven="record", mlflow=False)
    try:
        with trainers_are_models(), guard:
            return (yield)
    finally:
        item.config.stash[NOTES].guard(guard)


@contextmanager
def trainers_are_models() -> Iterator[None]:
    """Guard every model with Keras' trainer: some models in Keras' tests are layers with a trainer, no ``keras.Model``.

    A trainer has no ``__call__``: that is guarded on ``keras.Model``.
    """
    import keras
    from keras.src.backend.tensorflow.trainer import TensorFlowTrainer

    methods = tuple(method for method in dispatch.METHODS if method != CALL)
    patching.install(keras.Model, (CALL,), dispatch.dispatch)
    try:
        with (
            mock.patch.object(keras3, "model_class", return_value=TensorFlowTrainer),
            mock.patch.object(dispatch, "METHODS", methods),
        ):
            yield
    finally:
        patching.remove(keras.Model, (CALL,))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    item.config.stash[NOTES].test(report)
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    path: Path = session.config.getoption("outcomes")
    path.write_text(json.dumps(vars(session.config.stash[NOTES])), encoding="utf-8")
