"""Taps: wrappers of a model's compiled functions, installed on one model and shared by the threads that guard it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from evalguard.capture.engines.patching import replace_on_instance
from evalguard.capture.recording.recorder import Recorder
from evalguard.capture.replicas import is_replicated

Recorders = dict[int, list[Recorder]]
_lock = threading.RLock()
# True in calls inside a guarded call, such as a callback that predicts: their rows are not those of the guarded call.
paused: ContextVar[bool] = ContextVar("evalguard_taps_paused", default=False)
_models: dict[int, _ModelTaps] = {}


def several_workers(model: Any) -> str:
    """Why rows cannot be observed if several worker processes share the work; empty if one process does it all.

    Each process receives only the rows of the replicas that run in it
    (``tf.distribute.MultiWorkerMirroredStrategy``).
    """
    if not is_replicated(model):
        return ""
    strategy = model.distribute_strategy
    # Not by class, because several strategies have worker processes (parameter servers, TPU pods). These two numbers
    # differ exactly if some replicas run elsewhere (tensorflow 2.21, distribute/collective_all_reduce_strategy.py).
    here, all_of_them = len(strategy.extended.worker_devices), strategy.num_replicas_in_sync
    if here >= all_of_them:
        return ""
    return (
        f"this process receives the rows of {here} of {all_of_them} replicas; "
        "pass the gathered predictions to evalguard.check()"
    )


class Tap:
    """Wraps a compiled function; removes tags and records what the model receives.

    Calls from threads that do not guard this model go directly to the function.
    """

    def __init__(self, function: Callable[[Any], Any], recorders: Recorders, model: Any) -> None:
        self.function = function
        self.model = model
        self._recorders = recorders

    def __call__(self, data: Any) -> Any:
        """Run one execution on batches without their tags."""
        # By thread, because two threads may predict with one model at a time, one of them guarded. A stack, because a
        # callback may predict inside a guarded `evaluate` of the same model.
        stack = self._recorders.get(threading.get_ident())
        if not stack or paused.get():
            return self.function(data)
        recorder = stack[-1]
        batches, outputs = self.feed(recorder, data)
        recorder.after_step(batches, outputs)
        if recorder.stopped:
            self.stop()
        return outputs

    def stop(self) -> None:
        """Make this execution the last of the call, as a callback would."""
        raise NotImplementedError

    def feed(self, recorder: Recorder, data: Any) -> tuple[list[Any], Any]:
        """Record the batches of one execution and compute on them; return the batches and the outputs."""
        raise NotImplementedError


class _Hook:
    """Wraps one function of one model in a tap, each time the model makes that function."""

    def __init__(self, model: Any, what: str, tap: type[Tap], recorders: Recorders) -> None:
        self.model, self.tap, self.recorders = model, tap, recorders
        self._made, self._maker = f"{what}_function", f"make_{what}_function"
        # The maker is replaced and not the function, because Keras makes the function later, inside `predict`, and
        # again after `compile()` (keras 3.15, backend/tensorflow/trainer.py:579; trainers/trainer.py:225).
        self._had = self._maker in vars(model)
        self._make = getattr(model, self._maker)
        setattr(model, self._maker, self._make_tapped)

    def _make_tapped(self, force: bool = False) -> Any:
        with _lock:
            # Untap first: the maker returns early if a function exists (backend/tensorflow/trainer.py:265), and would
            # keep the tap of an earlier call.
            self._untap()
            # `force` is passed only if True, because an overriding method need not accept it.
            self._make(force=force) if force else self._make()
            tap = self.tap(getattr(self.model, self._made), self.recorders, self.model)
            setattr(self.model, self._made, tap)
            # tf_keras assigns what the maker returns (tf_keras 2.21, engine/training.py:2640); Keras 3 ignores it.
            return tap

    def _untap(self) -> None:
        present = getattr(self.model, self._made, None)
        if isinstance(present, Tap):
            setattr(self.model, self._made, present.function)

    def remove(self) -> None:
        """Leave the model as an unguarded call would: with the function, and without the tap."""
        # The function stays, because the next `predict` would otherwise compile again.
        if self._had:
            setattr(self.model, self._maker, self._make)
        else:
            delattr(self.model, self._maker)
        self._untap()


class _Ahead:
    """Keras' epoch iterator with the tags removed, for a method that reads batches but does not feed them."""

    def __init__(self, epoch: Any, recorder: Recorder) -> None:
        self._epoch, self._recorder = epoch, recorder

    def __iter__(self) -> Iterator[Any]:
        return self._untagged(self._epoch)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._epoch, name)

    def enumerate_epoch(self) -> Iterator[Any]:
        """Return the same batches; Keras up to 3.6 calls this instead of ``iter``."""
        return self._untagged(self._epoch.enumerate_epoch())

    def _untagged(self, steps: Any) -> Iterator[Any]:
        # `(begin, end, iterator)`; the iterator may be a list of batches (keras 3.15, trainers/epoch_iterator.py:147).
        for *numbers, batches in steps:
            yield (*numbers, map(self._recorder.without_tag, batches))


class _Reader:
    """Passes ``_Ahead`` to one method of one model that has an epoch iterator as its argument ``iterator``."""

    def __init__(self, model: Any, method: str, recorders: Recorders) -> None:
        self._recorders = recorders
        self.remove = replace_on_instance(model, method, self._read)

    def _read(self, original: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        stack = self._recorders.get(threading.get_ident())
        if stack and kwargs.get("iterator") is not None:
            kwargs = {**kwargs, "iterator": _Ahead(kwargs["iterator"], stack[-1])}
        return original(*args, **kwargs)


class _ModelTaps:
    def __init__(self, model: Any, taps: Mapping[str, type[Tap]], readers: Sequence[str]) -> None:
        self.recorders: Recorders = {}
        self.users = 0
        self._hooks: list[_Hook | _Reader] = [_Hook(model, what, tap, self.recorders) for what, tap in taps.items()]
        self._hooks += [_Reader(model, method, self.recorders) for method in readers if hasattr(model, method)]

    def remove(self) -> None:
        """Remove the taps."""
        for hook in self._hooks:
            hook.remove()


@contextmanager
def tapped(
    model: Any, recorder: Recorder, taps: Mapping[str, type[Tap]], *, readers: Sequence[str] = ()
) -> Iterator[None]:
    """Observe this model's executions in this thread during the block.

    Args:
        model: A Keras model.
        recorder: Records what the model receives.
        taps: The tap for each function: keys ``predict`` and ``test``.
        readers: Methods that read batches from their argument ``iterator``, an epoch iterator.
    """
    thread = threading.get_ident()
    with _lock:
        # By id, because a Keras model may define __eq__ or be unhashable. The entry is removed while the model exists.
        installed = _models.get(id(model))
        if installed is None:
            installed = _models[id(model)] = _ModelTaps(model, taps, readers)
        installed.users += 1
        installed.recorders.setdefault(thread, []).append(recorder)
    try:
        yield
    finally:
        with _lock:
            stack = installed.recorders[thread]
            stack.remove(recorder)
            if not stack:
                del installed.recorders[thread]
            installed.users -= 1
            if installed.users == 0:
                del _models[id(model)]
                installed.remove()
