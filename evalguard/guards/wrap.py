"""One model, guarded."""

from __future__ import annotations

import copy
import functools
import operator
from contextlib import nullcontext
from dataclasses import replace
from types import TracebackType
from typing import Any, Never, Self, Unpack

from evalguard.core.policy import Verdict
from evalguard.core.report import Report
from evalguard.core.visible import visible
from evalguard.errors import ConfigError
from evalguard.guards.guard import Guard
from evalguard.guards.options import GuardOptions, WrapKeywords, refuse_positional
from evalguard.labels.collecting import Collecting

WRAPPED = ("predict", "evaluate", "predict_on_batch", "test_on_batch")
MAX_NAME = 60
# Attributes of the wrapper; all others are the model's.
OWN = ("guard", "raise_for_verdict", "report", "verdict")


# Not a subclass of `keras.Model`: its `__setattr__` tracks every layer that is assigned (keras 3.15, layers/layer.py),
# so the wrapped model would become a layer of this one, with its weights counted there.
class GuardedModel:
    """A model whose ``predict`` and ``evaluate`` are guarded; everything else is the model's own.

    Attributes are read, set and deleted on the model, except the four that are
    listed here. ``isinstance(w, keras.Model)`` is True, and ``w == model``.
    ``w(x)`` calls the model, guarded only inside ``with``. Saving, cloning,
    copying and pickling give the bare model, without a guard: a guard belongs
    to one model in one process.

    Attributes:
        guard: The guard, with ``reports``, ``index``, ``y_true``,
            ``sample_weight``.
        __wrapped__: The bare model, for a function that does not take the wrapper.
    """

    # No `__dict__`: `vars(w)` are the model's.
    __slots__ = ("__weakref__", "_evalguard_model", "guard")

    guard: Guard
    _evalguard_model: Any

    def __init__(self, model: Any, guard: Guard) -> None:
        for name, value in (("_evalguard_model", model), ("guard", guard)):
            object.__setattr__(self, name, value)

    @property  # type: ignore[misc]  # that of `object` can be set
    def __class__(self) -> Any:
        # `isinstance` asks it, in Keras as well; `type(w)` is the wrapper's.
        return type(self._evalguard_model)

    def __getattr__(self, name: str) -> Any:
        # Not an attribute of the class: `inspect` would take the class for a wrapper, too.
        if name == "__wrapped__":
            return self._evalguard_model
        value = getattr(self._evalguard_model, name)
        if name not in WRAPPED:
            return value

        @functools.wraps(value)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            block = self.guard.joined()
            options = self.guard.options
            collects = isinstance(options.labels, Collecting)
            if block is None and (options.scope != "call" or collects):
                together = "labels=collecting(...)" if collects else f"scope={options.scope!r}"
                msg = (
                    f"{together}: expected the calls inside `with evalguard.wrap(model, ...) as model:`, which "
                    "judges them together when the block ends; found a call outside of it"
                )
                raise ConfigError(msg)
            with block or self.guard.entry():
                # Looked up again: the patch of the class exists only while the guard is active.
                return getattr(self._evalguard_model, name)(*args, **kwargs)

        return guarded

    def __setattr__(self, name: str, value: Any) -> None:
        if name in OWN:
            object.__setattr__(self, name, value)
        else:
            setattr(self._evalguard_model, name, value)

    def __delattr__(self, name: str) -> None:
        if name in OWN:
            msg = f"{name!r} is an attribute of the wrapper and cannot be deleted"
            raise AttributeError(msg)
        delattr(self._evalguard_model, name)

    # Python looks up special methods on the class, so `__getattr__` does not pass these through.

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the model itself, guarded only inside ``with``."""
        with self.guard.joined() or nullcontext():
            return self._evalguard_model(*args, **kwargs)

    def __enter__(self) -> Self:
        """Begin a block: what is called in it is judged as in ``with guard(...)``, also in other threads."""
        self.guard.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.guard.__exit__(kind, error, trace)

    def __repr__(self) -> str:
        """``<GuardedModel of Functional 'digits': <Guard …>>``."""
        model = self._evalguard_model
        # Not its `repr`, which may be of any length.
        name = getattr(model, "name", None)
        named = f" {visible(name, MAX_NAME)!r}" if isinstance(name, str) else ""
        return f"<GuardedModel of {type(model).__name__}{named}: {self.guard!r}>"

    def __dir__(self) -> list[str]:
        # Reading the others raises a LookupError before the first report, and `mock` reads all of them.
        return sorted({*dir(self._evalguard_model), *OWN[: None if self.guard.reports else 2]})

    def __eq__(self, other: object) -> bool:
        equal: bool = self._evalguard_model == bare(other)
        return equal

    def __hash__(self) -> int:
        return hash(self._evalguard_model)

    def __copy__(self) -> Any:
        return copy.copy(self._evalguard_model)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return copy.deepcopy(self._evalguard_model, memo)

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        # The first of a tuple that holds the model: what is unpickled is that very model.
        return operator.itemgetter(0), ((self._evalguard_model,),)

    @property
    def report(self) -> Report:
        """The last report.

        Raises:
            LookupError: Nothing has been judged yet.
        """
        return self.guard.report

    @property
    def verdict(self) -> Verdict:
        """``guard.verdict``: the worst verdict of the last call, or of the last block.

        Raises:
            LookupError: Nothing has been judged yet.
        """
        return self.guard.verdict

    def raise_for_verdict(self) -> None:
        """Raise the error of ``verdict``, as ``guard.raise_for_verdict()`` does.

        Raises:
            MisalignmentError: The verdict is FAIL.
            UnprovenError: The verdict is UNPROVEN.
            LookupError: Nothing has been judged yet.
        """
        self.guard.raise_for_verdict()


def bare(model: Any) -> Any:
    """The model itself, where it is a wrapped one."""
    return model.__wrapped__ if type(model) is GuardedModel else model


def wrap(model: Any, *positional: Never, **options: Unpack[WrapKeywords]) -> GuardedModel:
    """Guard one model's ``predict`` and ``evaluate``; everything else passes through.

    Each call is judged by itself, in every thread. With ``with``, what is
    called in the block is judged as by ``guard``: loops of
    ``predict_on_batch`` together, and with ``scope="session"`` or ``"parts"`` all calls::

        with evalguard.wrap(model, labels=y_true, scope="session") as guarded:
            parts = [guarded.predict(x) for x in (first, second)]
        guarded.raise_for_verdict()

    Calls through the wrapper in other threads belong to the block, and its end
    waits for them.

    Args:
        model: A Keras model, of Keras 3 or of tf_keras.
        *positional: Not allowed; every option needs its name.
        **options: Those of ``evalguard.GuardOptions``, except ``model``.

    Returns:
        A model to use instead of this one; its ``report`` is that of the last
        call. ``predict_on_batch`` and ``test_on_batch`` are guarded, too; outside
        of a block each call is judged separately.

    Raises:
        ArgumentError: An option is unknown, or has no name.
        ConfigError: An option has a value that is not allowed. Or a call was
            made outside of a block although ``scope`` is not ``call``, or the
            labels are ``collecting(...)``.
    """
    refuse_positional("wrap", positional, "wrap(model, labels=...)")
    checked = GuardOptions.of(options, without=frozenset({"model"}))
    model = bare(model)
    return GuardedModel(model, Guard(replace(checked, model=model)))
