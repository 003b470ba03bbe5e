"""One model, guarded."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any, Unpack

from evalguard.core.report import Report
from evalguard.guards.guard import Guard
from evalguard.guards.options import GuardOptions, WrapKeywords

WRAPPED = ("predict", "evaluate", "predict_on_batch", "test_on_batch")


# Not a subclass of `keras.Model`: its `__setattr__` tracks every layer that is assigned (keras 3.15, layers/layer.py),
# so the wrapped model would become a layer of this one, with its weights counted there.
class GuardedModel:
    """A model whose ``predict`` and ``evaluate`` are guarded; everything else is the model's own.

    Attributes:
        guard: The guard, with ``report``, ``reports``, ``index``, ``y_true``.
    """

    def __init__(self, model: Any, guard: Guard) -> None:
        self.guard = guard
        self._model = model

    def __repr__(self) -> str:
        """``<GuardedModel of <Functional name=…>: <Guard …>>``."""
        return f"<GuardedModel of {self._model!r}: {self.guard!r}>"

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._model, name)
        if name not in WRAPPED:
            return value

        @functools.wraps(value)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            with self.guard:
                # Looked up again: the patch of the class exists only while the guard is active.
                return getattr(self._model, name)(*args, **kwargs)

        return guarded

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the model itself, unguarded."""
        # Python looks up special methods on the class, so `__getattr__` does not pass this one through.
        return self._model(*args, **kwargs)

    @property
    def report(self) -> Report:
        """The last report.

        Raises:
            LookupError: Nothing has been judged yet.
        """
        return self.guard.report


def wrap(model: Any, **options: Unpack[WrapKeywords]) -> GuardedModel:
    """Guard one model's ``predict`` and ``evaluate``; everything else passes through.

    Args:
        model: A Keras model, of Keras 3 or of tf_keras.
        **options: Those of ``evalguard.GuardOptions``, but for ``model``.

    Returns:
        A model to use instead of this one; its ``report`` is that of the last
        call. ``predict_on_batch`` and ``test_on_batch`` are guarded too, each
        call by itself.

    Raises:
        ConfigError: An option is unknown, or has a value that is not allowed.
    """
    checked = GuardOptions.of(options, without=frozenset({"model"}))
    return GuardedModel(model, Guard(replace(checked, model=model)))
