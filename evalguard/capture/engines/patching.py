"""Replace methods of a Keras model class while at least one guard is active.

The replacement asks the calling context whether a guard is active there and
calls the original directly if not, so other threads are not affected. The last
guard to leave restores the class exactly.
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

Dispatch = Callable[[Any, str, Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]

_lock = threading.Lock()
_patches: dict[tuple[type, str], _Patch] = {}


class _Patch:
    def __init__(self, owner: type, method: str, dispatch: Dispatch, *, overrides: bool) -> None:
        self.owner, self.method, self.overrides = owner, method, overrides
        self.users = 0
        # None if the method is inherited (keras.Model has `predict` from its trainer). The replacement is then deleted
        # at the end: setattr would hide a later patch of the base class.
        self._own = vars(owner).get(method)
        original = getattr(owner, method)

        @functools.wraps(original)
        def replacement(model: Any, *args: Any, **kwargs: Any) -> Any:
            return dispatch(model, method, original, args, kwargs)

        self.replacement = replacement
        setattr(owner, method, replacement)

    def remove(self) -> None:
        # Another library may have wrapped the replacement meanwhile. Removing it would remove that wrapper, too, so it
        # stays; it calls the original once no guard is active.
        if vars(self.owner).get(self.method) is not self.replacement:
            return
        if self._own is None:
            delattr(self.owner, self.method)
        else:
            setattr(self.owner, self.method, self._own)


def install(owner: type, methods: tuple[str, ...], dispatch: Dispatch, *, overrides: bool = False) -> None:
    """Replace the methods, or count one more user of the replacement.

    Args:
        owner: The class.
        methods: Names of its methods.
        dispatch: Called instead of them, with the original.
        overrides: The class overrides these methods of Keras' own class.
    """
    with _lock:
        for method in methods:
            patch = _patches.get((owner, method))
            if patch is None:
                patch = _patches[owner, method] = _Patch(owner, method, dispatch, overrides=overrides)
            patch.users += 1


def remove(owner: type, methods: tuple[str, ...]) -> None:
    """Count one user less; for the last one, restore the original methods."""
    with _lock:
        for method in methods:
            patch = _patches[owner, method]
            patch.users -= 1
            if patch.users == 0:
                del _patches[owner, method]
                patch.remove()


def overrides(owner: type, methods: Sequence[str]) -> Iterator[tuple[type, tuple[str, ...]]]:
    """Yield each class, mixins included, that overrides some of the methods of ``owner``, with their names."""
    seen, waiting = {owner}, [owner]
    while waiting:
        subclasses: list[type] = type.__subclasses__(waiting.pop())
        for subclass in subclasses:
            if subclass in seen:
                continue
            seen.add(subclass)
            waiting.append(subclass)
            for base in subclass.__mro__[: subclass.__mro__.index(owner)]:
                # Anything else than a function, such as a property, is not replaced, so its calls are not guarded.
                names = tuple(name for name in methods if inspect.isfunction(vars(base).get(name)))
                if names and (base is subclass or base not in seen):
                    seen.add(base)
                    yield base, names


def is_seen(model: Any, method: str) -> bool:
    """Whether a call of this method reaches the replacement of Keras' own method, because nothing overrides it."""
    owner = next(owner for owner in type(model).__mro__ if method in vars(owner))
    patch = _patches.get((owner, method))
    seen = patch is not None and method not in vars(model) and vars(owner)[method] is patch.replacement
    return seen and patch is not None and not patch.overrides


def replace_on_instance(instance: Any, method: str, through: Callable[..., Any]) -> Callable[[], None]:
    """Send calls of one object's method through another function.

    Args:
        instance: The object; its class is not changed.
        method: Name of the method.
        through: Called with the original, the arguments and the keyword arguments.

    Returns:
        A function that restores the object; calling it twice has no further effect.
    """
    # `had` decides between setattr and delattr at the end. A bound method stored on its own instance would be a
    # reference cycle, which keeps the model in memory until the garbage collector runs.
    original, had = getattr(instance, method), method in vars(instance)

    @functools.wraps(original)
    def replacement(*args: Any, **kwargs: Any) -> Any:
        return through(original, args, kwargs)

    setattr(instance, method, replacement)

    def undo() -> None:
        if vars(instance).get(method) is not replacement:
            return
        if had:
            setattr(instance, method, original)
        else:
            delattr(instance, method)

    return undo
