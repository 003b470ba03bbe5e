"""Where evalguard runs: the software that takes part, and the caller's own frame."""

from __future__ import annotations

import inspect
import sys


def versions() -> dict[str, str]:
    """Versions of the software that took part; only what is imported is asked."""
    # Not at the top: it would be the slowest of all imports of `import evalguard`.
    from importlib import metadata

    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in ("evalguard", "keras", "tensorflow", "tf_keras", "numpy", "mlflow"):
        if name in sys.modules:
            # Some installations have no `__version__`, others no metadata (a source tree on the path): try both.
            version = getattr(sys.modules[name], "__version__", None)
            found[name] = str(version or metadata.version(name))
    return found


def stacklevel() -> int:
    """Frames up to the first one outside evalguard and Keras' own wrappers."""
    # `contextlib` because a decorated generator or an `ExitStack` lies between the caller and the guard.
    level, frame = 1, inspect.currentframe()
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] in {"evalguard", "contextlib"}:
        frame, level = frame.f_back, level + 1
    return max(1, level - 1)
