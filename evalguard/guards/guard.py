"""The doors of the guard: decorator, context manager, wrapped model. One controller behind them."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, ParamSpec, Self, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from evalguard.capture.contract import Wanted
from evalguard.core.columns.storage import TRACE_MEMORY, size_in_bytes
from evalguard.core.label_table import LabelTable
from evalguard.core.policy import EqualSamples, OnFailure, OnUnproven, Padding, Policy, Require, Scope
from evalguard.core.report import Report
from evalguard.core.sampling import ALL, nothing_to_compare
from evalguard.data.digests import files_sha256
from evalguard.errors import ConfigError, LabelsError, SinkError
from evalguard.guards.dispatch import Entry, model_classes
from evalguard.guards.metrics import metrics_of
from evalguard.guards.outcome import Outcome
from evalguard.guards.results import in_order
from evalguard.guards.session import Session
from evalguard.labels.labels import Labels
from evalguard.labels.reference import KnownReference, Reference
from evalguard.reporting.file_sink import FileSink
from evalguard.reporting.sink import Sink

P = ParamSpec("P")
R = TypeVar("R")
AnySession = TypeVar("AnySession", bound=Session)


class Guard:
    """Proves that predictions and external labels are one-to-one, for the calls made inside.

    Made by ``evalguard.guard``. The same object is a decorator and a context
    manager, and may be entered many times; labels and reference are read once.

    Attributes:
        report: Report of the last call, or of the last session.
        reports: All reports, oldest first.
        sink_errors: Records that could not be written.
    """

    def __init__(
        self,
        *,
        labels: Any = None,
        label: str | None = None,
        labels_from: str | None = None,
        reference: Any = None,
        key: str | Callable[[Any], Any] | None = None,
        strip_key: bool = False,
        fingerprint: Callable[[Any], Any] | None = None,
        pad_value: Any = None,
        trace_memory: int = TRACE_MEMORY,
        policy: Policy,
        model: Any = None,
        metrics: Any = None,
        name: str | None = None,
        mlflow: str | Literal[False] = "auto",
        mlflow_model: str | None = None,
        output: str | Path | None = None,
        files: Sequence[str | Path] = (),
        sinks: tuple[Sink, ...] = (),
    ) -> None:
        if labels is not None and labels_from is not None:
            msg = "labels and labels_from: expected one of them, found both"
            raise ConfigError(msg)
        if strip_key and not isinstance(key, str):
            msg = "strip_key: expected key='name of an entry of x' with it, found none"
            raise ConfigError(msg)
        self.policy = policy
        self.name = name
        self.sink_errors: list[SinkError] = []
        self._given, self._label, self._labels_from = labels, label, labels_from
        self._late: Any = None
        self._table: Labels | None = None
        self._key, self._strip_key = key, strip_key
        self._fingerprint, self._pad_value, self._trace_memory = fingerprint, pad_value, trace_memory
        self._reference_given = reference
        self._reference: Reference | None = None
        self._model, self._mlflow, self._output, self._sinks = model, mlflow, output, sinks
        self._mlflow_model = mlflow_model
        self._metrics = metrics_of(metrics)
        self._files, self._digests = tuple(files), dict[tuple[str | Path, ...], dict[str, str]]()
        self._outcomes: list[Outcome] = []
        self._fingerprinted: dict[Any, LabelTable] = {}
        # Entries of ``with``, by thread: the same guard may be entered in several at once.
        self._entries = threading.local()

    # -- results ---------------------------------------------------------------

    @property
    def reports(self) -> tuple[Report, ...]:
        """All reports of this guard, oldest first."""
        return tuple(outcome.report for outcome in self._outcomes)

    @property
    def report(self) -> Report:
        """The last report.

        Raises:
            LookupError: Nothing has been judged yet.
        """
        return self._last().report

    @property
    def index(self) -> NDArray[np.int64] | None:
        """Label row of each row handed back, int64, shape ``(n,)``; -1: none of them; None: not known."""
        samples = self._last().samples
        return None if samples is None else np.asarray(samples)

    @property
    def keys(self) -> NDArray[Any] | None:
        """Key of each row handed back, shape ``(n,)``; None where keys are not known."""
        outcome = self._last()
        if outcome.labels is None or outcome.labels.keys is None:
            return outcome.trace.keys if outcome.trace is not None else None
        keys: NDArray[Any] | None = in_order(outcome.labels.keys, self.index)
        return keys

    @property
    def y_true(self) -> Any:
        """Label of each row handed back, in their order; masked where a row is no labelled sample.

        None where neither the sample nor the stream's own target is known.
        """
        outcome = self._last()
        values = None if outcome.labels is None else outcome.labels.values
        if values is None:
            return None
        if self.index is not None:
            if isinstance(values, Mapping):
                return {part: in_order(array, self.index) for part, array in values.items()}
            return in_order(values, self.index)
        return outcome.trace.targets if outcome.trace is not None else None

    @property
    def labels(self) -> Any:
        """The labels, where they have been read; may be set before the guard ends."""
        return self._table if self._table is not None else self._late

    @labels.setter
    def labels(self, values: Any) -> None:
        self._late, self._table = values, None

    def to_frame(self) -> Any:
        """The last call as a pandas data frame: row, sample, key, y_true, prediction columns.

        Raises:
            LookupError: Nothing has been judged yet.
        """
        from evalguard.guards.frame import frame

        outcome = self._last()
        return frame(outcome.predictions, self.index, self.keys, self.y_true)

    def _last(self) -> Outcome:
        if not self._outcomes:
            msg = "nothing has been judged yet: make a guarded call, and leave the guard where labels come late"
            raise LookupError(msg)
        return self._outcomes[-1]

    # -- doors -----------------------------------------------------------------

    def __enter__(self) -> Self:
        entry = self._entered(self._given, self.name or "evaluation")
        entry.__enter__()
        self._entries.stack = [*getattr(self._entries, "stack", []), entry]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        entry = self._entries.stack.pop()
        entry.__exit__(kind, error, trace)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Guard every call of ``function``; its signature and type stay."""
        if self._labels_from is not None and self._labels_from not in inspect.signature(function).parameters:
            parameters = ", ".join(inspect.signature(function).parameters)
            name = function.__qualname__
            msg = f"labels_from={self._labels_from!r}: expected a parameter of {name}; it has {parameters}"
            raise ConfigError(msg)
        name = self.name or function.__qualname__

        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def guarded_async(*args: P.args, **kwargs: P.kwargs) -> Any:
                with self._entered(self._labels_of(function, args, kwargs), name):
                    return await function(*args, **kwargs)

            return cast("Callable[P, R]", guarded_async)

        @functools.wraps(function)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            with self._entered(self._labels_of(function, args, kwargs), name):
                return function(*args, **kwargs)

        return guarded

    def _labels_of(self, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        if self._labels_from is None:
            return self._given
        bound = inspect.signature(function).bind(*args, **kwargs)
        bound.apply_defaults()
        return bound.arguments[self._labels_from]

    # -- one entry ---------------------------------------------------------------

    def _entered(self, given: Any, name: str) -> Entry:
        """Guard what happens in the block; judge it at the end unless the caller's code raised."""
        return Entry(self._session(given, name), model_classes(self._model), self.sink_errors)

    def _session(self, given: Any, name: str) -> Session:
        table = self._read(given)
        own = self._labels_from is not None

        def find(last: bool) -> LabelTable | None:
            nonlocal table
            if table is None and not own and self._late is not None:
                table = self._table = Labels.of(self._late, label=self._label, key=self._key_column())
            if table is None and last and callable(given):
                table = Labels.of(given(), label=self._label, key=self._key_column())
            return table

        sinks = self._make_sinks(name)
        content = "always" if self._reference_given is not None or _has_content(table) else "targets"
        if content != "always" and self.policy.sampling is not None:
            raise nothing_to_compare(self.policy.content)
        session = Session(
            policy=self.policy,
            wanted=Wanted(content, self._key, self._strip_key, self._fingerprint, self._pad_value, self._trace_memory),
            name=name,
            find_labels=find,
            reference=self._make_reference(table),
            sinks=sinks,
            model=self._model,
            cache=self._fingerprinted,
            figures=self._metrics,
            labels_of=Labels.held_by,
            files=self._file_digests(given) if sinks else {},
        )
        return self._sharing(session)

    def _sharing(self, session: AnySession) -> AnySession:
        """The session, whose outcomes are this guard's as well."""
        session.outcomes = _Shared(self._outcomes)
        return session

    def _entered_here(self) -> bool:
        """Whether the calling thread is inside ``with`` of this guard."""
        return bool(getattr(self._entries, "stack", []))

    def _read(self, given: Any) -> Labels | None:
        if given is None or (callable(given) and not isinstance(given, LabelTable)):
            return self._table
        if given is self._given and self._table is not None:
            return self._table
        table = Labels.of(given, label=self._label, key=self._key_column())
        if given is self._given:
            self._table = table
        return table

    def _file_digests(self, given: Any) -> dict[str, str]:
        """The files that are judged, as they are at the first entry: name → SHA-256."""
        paths = (*self._files, *((given,) if isinstance(given, (str, Path)) else ()))
        if paths not in self._digests:
            self._digests[paths] = files_sha256(paths)
        return self._digests[paths]

    def _key_column(self) -> str | None:
        return self._key if isinstance(self._key, str) else None

    def _make_reference(self, table: LabelTable | None) -> Reference | None:
        given = self._reference_given
        if given is None:
            return None
        if isinstance(given, (str, Path)):
            given = self._reference_given = Labels.load(given)
        if isinstance(given, LabelTable):
            if given.fingerprints is None:
                msg = f"reference: {given.name} holds no fingerprints; make it with Labels.collect"
                raise LabelsError(msg)
            return KnownReference(given.fingerprints, given.spec)
        return Reference(
            given,
            None if table is None else len(table),
            part=self._fingerprint,
            pad_value=self._pad_value,
            drop=self._key_column(),
        )

    def _make_sinks(self, name: str) -> tuple[Sink, ...]:
        sinks = list(self._sinks)
        if self._output is not None:
            sinks.append(FileSink(self._output))
        if self._mlflow is not False:
            from evalguard.tracking.mlflow_sink import mlflow_sink

            sink = mlflow_sink(self._mlflow, model=self._mlflow_model)
            if sink is not None:
                sinks.append(sink)
        return tuple(sinks)


class _Shared(list[Outcome]):
    """A session's outcomes, which its guard keeps as well."""

    def __init__(self, guard: list[Outcome]) -> None:
        super().__init__()
        self._guard = guard

    def append(self, outcome: Outcome) -> None:
        super().append(outcome)
        self._guard.append(outcome)


def _has_content(table: LabelTable | None) -> bool:
    return table is not None and table.fingerprints is not None


def guard(
    *,
    labels: Any = None,
    label: str | None = None,
    labels_from: str | None = None,
    reference: Any = None,
    key: str | Callable[[Any], Any] | None = None,
    strip_key: bool = False,
    require: Require = "labels",
    on_failure: OnFailure = "raise",
    on_unproven: OnUnproven = "warn",
    padding: Padding = "forbid",
    scope: Scope = "call",
    equal_samples: EqualSamples = "forbid",
    fail_fast: bool = False,
    content: str = ALL,
    pad_value: Any = None,
    fingerprint: Callable[[Any], Any] | None = None,
    trace_memory: int | str = "1 GiB",
    model: Any = None,
    metrics: Any = None,
    name: str | None = None,
    mlflow: str | Literal[False] = "auto",
    mlflow_model: str | None = None,
    output: str | Path | None = None,
    files: Sequence[str | Path] = (),
    sinks: tuple[Sink, ...] = (),
) -> Guard:
    """Guard every ``predict`` of Keras models made in this context.

    Use it as a decorator or as a context manager::

        with evalguard.guard(labels=y_true, reference=x_test) as g:
            y_pred = model.predict(dataset)
        g.report.verdict

    Args:
        labels: External labels in label order: array, list, pandas object,
            mapping of arrays (several outputs), ``Labels``, path of a CSV,
            Parquet, JSONL or ``.npy`` file or of a manifest, an image
            iterator, or a callable asked when the guard ends. They may also be
            set as ``g.labels`` before it ends. By default those of the image
            iterator that is predicted, in its order of files.
        label: Column of the labels, where a table is given.
        labels_from: Name of the decorated function's argument that holds them.
        reference: Inputs in label order, to recognise each row by its content:
            arrays or nests, a callable from sample index to sample, a function
            that gives a new generator of batches, a dataset read once in
            order, or the path of a manifest.
        key: Entry of a dict ``x`` (and column of the labels) that names each
            sample, or a callable that takes the batch and returns its keys.
        strip_key: True: the model does not get that entry of ``x``, and the
            others as a dict still: an ``Input`` must have the name of each.
        require: Weakest proof that is a PASS.
        on_failure: What a FAIL does; ``repair`` hands back rows in label order
            where that is unambiguous.
        on_unproven: What an UNPROVEN does.
        padding: ``trim`` cuts known rows and declared dummies after the last label.
        scope: ``call``: each call answers all labels; ``session``: all calls
            of the guard together do, in order.
        equal_samples: ``allow`` where the data is known to hold samples with
            equal inputs.
        fail_fast: Stop ``predict`` and ``evaluate`` at the first batch that
            already proves a fault (a sample out of place or once more, a row
            too many, a target that is not the label); the report is on the
            rows up to there. Needs labels that are known beforehand.
        content: Rows that are recognised by their content: ``all``, or a share
            of them such as ``sample:0.01``, chosen by their place, where
            looking at each costs too much. The proof is then ``sample``. It is
            for ``predict`` with labels known beforehand; ``evaluate``, loops
            and labels that come late have all their rows looked at.
        pad_value: Value that pads rows (compared without it) and fills dummies.
        fingerprint: Callable that takes ``x`` and returns what identifies a row.
        trace_memory: What one call may keep in memory of its rows' tags, samples
            and fingerprints: bytes, or text such as ``512 MiB`` or ``2 GB``.
            Beyond it they go to a temporary file; rows in order take next to
            nothing.
        model: Guard this model only.
        metrics: Figures of which the report tells what a misalignment did to
            them: a name of ``keras.metrics`` (``accuracy``, ``auc``, ``mse``)
            or of scikit-learn (``sklearn:f1_macro``), a callable ``(y_true,
            y_pred) -> number``, several of them, or a mapping of name to one
            of them. After ``predict`` only.
        name: Name of the evaluation in reports and records; by default the
            decorated function's.
        mlflow: ``auto`` (the active run, or ``MLFLOW_RUN_ID``), a run id, or False.
        mlflow_model: The model that is evaluated, as MLflow keeps it: ``m-…`` or
            ``models:/NAME/VERSION``. Its page shows the verdict, and a gate on
            the version finds it. By default ``MLFLOW_ACTIVE_MODEL_ID``.
        output: Directory for the report's files.
        files: Files that are judged besides a labels file, such as the model's:
            ``attestation.json`` names them by SHA-256.
        sinks: Further places that reports go to.

    Returns:
        The guard.

    Raises:
        ConfigError: An option has a value that is not allowed.
        LabelsError: The labels cannot be used (on entry, before any prediction).
        MisalignmentError: A call failed, under ``on_failure="raise"``, or
            could not be repaired.
        UnprovenError: A call is unproven, under ``on_unproven="raise"``.
    """
    policy = Policy(require, on_failure, on_unproven, padding, scope, equal_samples, fail_fast, content)
    return Guard(
        labels=labels,
        label=label,
        labels_from=labels_from,
        reference=reference,
        key=key,
        strip_key=strip_key,
        fingerprint=fingerprint,
        pad_value=pad_value,
        trace_memory=size_in_bytes(trace_memory),
        policy=policy,
        model=model,
        metrics=metrics,
        name=name,
        mlflow=mlflow,
        mlflow_model=mlflow_model,
        output=output,
        files=files,
        sinks=sinks,
    )
