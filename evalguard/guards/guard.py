"""``guard``: the decorator and context manager. One session for each entry does the work.

Longer than 300 lines because each method has its documentation here.
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import replace
from types import TracebackType
from typing import Any, Never, ParamSpec, Self, TypeVar, Unpack, cast

from evalguard.capture.verify_model import ModelTests
from evalguard.core.label_changes import checksum
from evalguard.core.label_table import LabelTable
from evalguard.core.policy import listed
from evalguard.core.shown_keys import keys_shown
from evalguard.errors import ConfigError
from evalguard.guards.about import About, Origin, of_files, of_uri
from evalguard.guards.call_line import caller_place
from evalguard.guards.collecting import collecting_for, refuse_two_sources
from evalguard.guards.confirming import Confirmation
from evalguard.guards.dispatch import Entry, every_thread, model_classes
from evalguard.guards.inputs import GuardInputs
from evalguard.guards.judging import CallJudge
from evalguard.guards.options import (
    OF_INPUTS,
    GuardKeywords,
    GuardOptions,
    MlflowTarget,
    current_names,
    refuse_positional,
)
from evalguard.guards.outcome import Outcomes
from evalguard.guards.parts import Part, rows_of
from evalguard.guards.results import Results
from evalguard.guards.session import Session
from evalguard.labels.collecting import Collecting
from evalguard.reporting.file_sink import FileSink
from evalguard.reporting.sink import Sink
from evalguard.tracking.target import Target

P = ParamSpec("P")
R = TypeVar("R")


class Guard(Results):
    """Proves that predictions and external labels are one-to-one, for the calls made inside.

    Made by ``evalguard.guard``. The same object is a decorator and a context
    manager, and may be entered many times; labels and reference are read once.

    Attributes:
        options: The options, as given or by default.
        report: Report of the last call, or of the last session.
        reports: All reports, oldest first.
        sink_errors: Records that could not be written.
    """

    def __init__(self, options: GuardOptions, origin: Origin | None = None) -> None:
        super().__init__()
        self.options = options
        # What a step file knows of model, data and itself; None: the line of the call.
        self._origin = origin
        self._inputs = GuardInputs(options)
        # Entries of ``with`` that have not ended: the same guard may be entered in several threads at once.
        self._open: list[Entry] = []
        # The entry that each call of another thread has joined.
        self._joined: list[Entry] = []
        self._changed = threading.Condition()

    def with_options(self, **options: Unpack[GuardKeywords]) -> Guard:
        """A variant of this guard that keeps its own reports.

        The variant shares the labels and the reference that have been read,
        unless one of the options changes what they are.

        Args:
            **options: As for ``evalguard.guard``; the others stay as they are.

        Raises:
            ConfigError: An option has a value that is not allowed.
        """
        changed = current_names(options, stacklevel=3)
        variant = Guard(GuardOptions.of({**self.options.given(), **changed}), self._origin)
        if not OF_INPUTS & changed.keys():
            variant._inputs = self._inputs
        return variant

    @property
    def name(self) -> str | None:
        """Name of the evaluation, if one was given."""
        return self.options.name

    @property
    def labels(self) -> Any:
        """The labels, once they have been read; may be set before the guard ends."""
        return self._inputs.labels

    @labels.setter
    def labels(self, values: Any) -> None:
        self._inputs.set_late(values)

    def collecting(self, source: Any) -> Collecting:
        """Yield the batches of a source, and make their labels those of this entry: ``for x, y in g.collecting(ds)``.

        Several loops in one entry add up, in the order of their batches.

        Args:
            source: As for ``evalguard.collecting``; options such as ``key``
                are the guard's.

        Raises:
            ConfigError: This guard is not entered in this context, or has labels or a reference.
        """
        refuse_two_sources(self.options.labels, self.options.labels_argument, self.options.reference, self.labels)
        return collecting_for(self._kept, self.options, source)

    def __repr__(self) -> str:
        """``<Guard labels='labels.csv', require='identity': 2 reports, last FAIL>``."""
        options = repr(self.options).removeprefix("GuardOptions(").removesuffix(")")
        state = self._state()
        return f"<Guard {options}: {state}>" if options else f"<Guard: {state}>"

    def __enter__(self) -> Self:
        self._begin(self.entry())
        return self

    def _begin(self, entry: Entry) -> AbstractContextManager[Any]:
        """Begin the entry, which calls of other threads can join until it ends; return what ends it."""
        entry.__enter__()
        self._open.append(entry)
        if self._in_every_thread:
            every_thread.append((bare_model(self.options.model), self.joined))
        # Not a generator, for the reason that `Entry` gives.
        block = ExitStack()
        block.push(functools.partial(self._end, entry))
        return block

    @property
    def _in_every_thread(self) -> bool:
        return self.options.scope == "parts" and self.options.model is not None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The innermost of this context: other threads and coroutines have theirs.
        self._end(next(entry for entry in reversed(self._open) if entry.is_of_this_context()), kind, error, trace)

    def _end(
        self,
        entry: Entry,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            with self._changed:
                if self._in_every_thread:
                    every_thread.remove((bare_model(self.options.model), self.joined))
                self._open.remove(entry)
                # A call that ends later would not be judged.
                self._changed.wait_for(lambda: entry not in self._joined)
        except BaseException as interrupt:
            entry.__exit__(type(interrupt), interrupt, interrupt.__traceback__)
            raise
        entry.__exit__(kind, error, trace)

    # -- From the rows to the number --

    def confirm(self, y_pred: R, y_true: Any = None, sample_weight: Any = None) -> R:
        """State what is scored: these rows, in label order, against these labels.

        Each row must be one that a guarded call returned for the sample of its
        label; equal rows are interchangeable. Inside the block, the rows are
        judged when the block ends. After the block, the last entry is judged
        again: the new report replaces the recorded one, and the call raises or
        warns as the end of the block does.

        Args:
            y_pred: What is scored: array, tree of arrays or data frame, shape
                ``(n, ...)``. The dtype does not matter if the values are
                equal, nor do axes of length one. An average, an argmax or one
                column of several is another value: confirm before that step.
            y_true: The labels of the score, in the form of the guard's.
            sample_weight: Their weights, shape ``(n,)``.

        Returns:
            ``y_pred`` itself.

        Raises:
            MisalignmentError: After the block, as ``on_failure`` says.
            UnprovenError: After the block, as ``on_unproven`` says.
            LookupError: There is no block and nothing has been judged yet.
        """
        session = self._current()
        with keys_shown(self.options.show_keys):
            session.confirm(Confirmation.of(y_pred, y_true, sample_weight, keep=bool(session.judge.metrics)))
        return y_pred

    def part(self, rows: Any) -> Part:
        """Name the label rows that the calls inside ``with g.part(rows):`` answer, in their order.

        The caller declares these rows; an identity that is observed counts
        more. Enter it in the thread or task that makes the calls.

        Args:
            rows: A slice, a boolean mask of the labels, or indices, int, shape ``(n,)``.

        Raises:
            ValueError: They are not rows of the labels.
        """
        session = self._current()
        labels = session.find_labels(False)
        return Part(session, rows_of(rows, None if labels is None else len(labels)))

    def put_back(self, parts: Any) -> Any:
        """The rows of all parts as one result in label order, by what each row is.

        Args:
            parts: What guarded calls returned, each or some of them together, in any order.

        Returns:
            An array, or a tree of them as the model returns, with one row for each label.

        Raises:
            ValueError: A row was not returned by a guarded call, nothing shows
                which sample it is, or a label has no row or several.
        """
        with keys_shown(self.options.show_keys):
            return self._current().put_back(list(parts))

    def _current(self) -> Session:
        """The session of the innermost block of this context, else of the latest one."""
        for entry in reversed(self._open):
            if entry.is_of_this_context():
                return cast("Session", entry.session)
        if self._open:
            return cast("Session", self._open[-1].session)
        return cast("Session", self._judged().entry)

    def entry(self) -> Entry:
        """What ``with`` of the guard enters, for one call of a wrapped model."""
        return self._entry(self.options.labels, self.options.name or "evaluation")

    def joined(self) -> AbstractContextManager[Any] | None:
        """The block that a call of a wrapped model belongs to: that of its context, else the latest; None: no block."""
        with self._changed:
            if not self._open:
                return None
            if any(entry.is_of_this_context() for entry in self._open):
                return nullcontext()
            entry = self._open[-1]
            self._joined.append(entry)
        # Not a generator, for the reason that `Entry` gives.
        joined = ExitStack()
        joined.callback(self._leave, entry)
        joined.callback(entry.join())
        return joined

    def _leave(self, entry: Entry) -> None:
        with self._changed:
            self._joined.remove(entry)
            self._changed.notify_all()

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Guard every call of ``function``; its signature and type do not change.

        The returned function has the attributes ``guard``, this guard, and ``report``, the report of the last call that
        has ended; None before the first.
        """
        argument, name = self.options.labels_argument, self.options.name or function.__qualname__
        if argument is not None and argument not in inspect.signature(function).parameters:
            parameters = listed(inspect.signature(function).parameters, argument)
            msg = f"labels_argument={argument!r}: expected a parameter of {function.__qualname__}; it has {parameters}"
            raise ConfigError(msg)
        return guarded_function(
            function,
            functools.partial(self._kept.show_on, self),
            lambda args, kwargs: self._begin(self._entry(self._labels_of(function, args, kwargs), name)),
            self.confirm if self.options.returns == "predictions" else None,
        )

    def _labels_of(self, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """The labels of one call of a decorated function."""
        argument = self.options.labels_argument
        if argument is None:
            return self.options.labels
        bound = inspect.signature(function).bind(*args, **kwargs)
        # The labels may be the default of the argument.
        bound.apply_defaults()
        return bound.arguments[argument]

    def _entry(self, given: Any, name: str) -> Entry:
        """Guards what happens in the block, and judges it at the end unless the caller's code raised."""
        try:
            with keys_shown(self.options.show_keys):
                session = self._session(given, name)
        except BaseException as error:
            # If labels cannot be read, that is reported; else the report of an earlier entry would stay the last one.
            about = about_of(self.options, (), self._origin)
            Outcomes(name, self.options.policy, self._kept, about=about).failed(error)
            raise
        return Entry(session, model_classes(self.options.model), self.sink_errors)

    def _session(self, given: Any, name: str) -> Session:
        options, inputs = self.options, self._inputs
        collected = None
        if isinstance(given, Collecting):
            refuse_two_sources(options.reference, inputs.late)
            given, collected = None, given.from_now_on()
        table = inputs.read(given)
        # Without a reference, hashing every row would find nothing to compare with; rows of a stream with targets are
        # hashed all the same, to find repeated inputs.
        always = options.reference is not None or _has_content(table) or collected is not None
        sinks = sinks_of(options)
        # Digests are read before the call, so that a file changed meanwhile is not attested as the one judged.
        files = inputs.file_digests(given, options.attest_files) if sinks else {}
        named = {} if self._origin is None else self._origin.model
        # A model in MLflow goes by its address: its folder was hashed when it was loaded.
        files = {**files, named["uri"]: named["digest"]} if sinks and {"uri", "digest"} <= named.keys() else files
        judge = CallJudge(name, options.policy, inputs.reference(table), inputs.fingerprinted, options.metric_functions)
        judge.as_read = None if table is None else (table, checksum(table))
        judge.late_changed = lambda: inputs.late_watch.check()
        judge.class_names = options.class_names
        return Session(
            policy=options.policy,
            capture=options.capture("always" if always else "targets"),
            judge=judge,
            outcomes=Outcomes(
                name,
                options.policy,
                self._kept,
                sinks,
                files,
                about_of(options, sinks, self._origin, files),
            ),
            find_labels=inputs.finder(given, table),
            collected=collected,
            labels_come_late=table is None,
            labels_of_source=inputs.of_source,
            model=bare_model(options.model),
            model_tests=ModelTests() if options.verify_model else None,
        )


def guarded_function(
    function: Callable[P, R],
    show_on: Callable[[Any], None],
    enter: Callable[[Any, Any], AbstractContextManager[Any]],
    confirm: Callable[[Any], Any] | None = None,
) -> Callable[P, R]:
    """The function, plain or ``async``, with each call inside an entry.

    Args:
        function: Keeps its signature and type.
        show_on: Gives the function what its guard shows, now and after each call.
        enter: Takes the arguments and keyword arguments of a call, returns the entry.
        confirm: Takes what the function returns, before the entry ends.
    """
    # Calling a coroutine function returns before its body runs: the block must be around the `await`.
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def guarded_async(*args: P.args, **kwargs: P.kwargs) -> Any:
            try:
                with enter(args, kwargs):
                    result = await function(*args, **kwargs)
                    return result if confirm is None else confirm(result)
            finally:
                show_on(guarded_async)

        show_on(guarded_async)
        return cast("Callable[P, R]", guarded_async)

    @functools.wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            with enter(args, kwargs):
                result = function(*args, **kwargs)
                return result if confirm is None else cast("R", confirm(result))
        finally:
            show_on(guarded)

    show_on(guarded)
    return guarded


def bare_model(model: Any) -> Any:
    """The model itself, whose methods are guarded, if a wrapped model was given."""
    return getattr(model, "__wrapped__", model)


def _has_content(table: LabelTable | None) -> bool:
    return table is not None and table.fingerprints is not None


def sinks_of(options: GuardOptions) -> tuple[Sink, ...]:
    """Where the reports of an entry go.

    Args:
        options: ``sinks``, ``output`` and ``mlflow`` decide.
    """
    sinks = list(options.sinks)
    if options.output is not None:
        sinks.append(FileSink(options.output))
    # Importing the sink here keeps MLflow's modules out of guards that do not record there.
    if options.mlflow is not False:
        from evalguard.tracking.mlflow_sink import mlflow_sink

        target = options.mlflow if isinstance(options.mlflow, MlflowTarget) else MlflowTarget(options.mlflow)
        sink = mlflow_sink(target.run, model=target.model, signing_key=target.signing_key)
        if sink is not None:
            sinks.append(sink)
    return tuple(sinks)


def about_of(
    options: GuardOptions, sinks: Sequence[Sink], origin: Origin | None = None, files: Mapping[str, str] | None = None
) -> About:
    """What the reports of an entry name beside their verdict; called where the entry begins.

    Args:
        options: ``attest_files`` and ``mlflow`` may name the model.
        sinks: A run of MLflow may name it, too.
        origin: What is known besides; None: the line of the caller.
        files: Name of each attested file → its SHA-256.
    """
    named = options.mlflow.model if isinstance(options.mlflow, MlflowTarget) else None
    # Not by attribute: a sink of the user's may do anything when it is read.
    targets = (getattr(sink, "__dict__", {}).get("target") for sink in sinks)
    recorded = next((target.model for target in targets if isinstance(target, Target)), "")
    model = {**of_uri(named or recorded), **of_files(files or {}, options.attest_files)}
    if origin is None:
        place = caller_place()
        return About(Origin(model, caller={"line": place.line}), place)
    return About(replace(origin, model={**model, **origin.model}))


def guard(*positional: Never, **options: Unpack[GuardKeywords]) -> Guard:
    """Guard every ``predict`` of Keras models made in this context.

    Use it as a decorator or as a context manager::

        with evalguard.guard(labels=y_true, reference=x_test) as g:
            y_pred = model.predict(dataset)
        g.report.verdict

    Args:
        *positional: Not allowed; every option needs its name.
        **options: Those of ``evalguard.GuardOptions``, which documents each.

    Returns:
        The guard.

    Raises:
        ArgumentError: An option is unknown, or has no name.
        ConfigError: An option has a value that is not allowed.
        LabelsError: The labels cannot be used (on entry, before any prediction).
        MisalignmentError: A call failed, under ``on_failure="raise"``, or
            could not be repaired.
        UnprovenError: A call is unproven, under ``on_unproven="raise"``.
    """
    if positional and inspect.isroutine(positional[0]):
        # Also where it would take labels: a function as labels is called when the guard ends, and named `labels=`.
        refuse_positional("guard", positional, f"@evalguard.guard(labels=...) above {_name_of(positional[0])}")
    is_model = bool(positional) and hasattr(positional[0], "predict")
    refuse_positional("guard", positional, "evalguard.wrap(model, labels=...)" if is_model else "guard(labels=...)")
    return Guard(GuardOptions.of(options))


def _name_of(function: Any) -> str:
    return str(getattr(function, "__name__", "the function"))


# `help(evalguard.guard)` and editors that ask at run time show every option with its default.
guard.__signature__ = inspect.signature(GuardOptions).replace(return_annotation="Guard")  # type: ignore[attr-defined]
