"""How keys are shown: as they are, or as salted digests where they may be personal.

Keys and the names of samples' files may name patients or users. Everything that
puts one into a sentence or a report calls ``shown_key``, and everything that
puts the text of another library's error there calls ``error_text`` or ``message_of``; so what
hides them is decided here, and renderers, sinks and logs need not know it.
"""

from __future__ import annotations

import hmac
import os
import secrets
import traceback
from contextvars import ContextVar
from types import TracebackType

from evalguard.core.visible import visible
from evalguard.errors import EvalGuardError

SHOW, SALT = "EVALGUARD_SHOW_KEYS", "EVALGUARD_KEY_SALT"
DIGITS = 12
MAX_KEY = 80
# What is left of a message that may name keys.
WITHHELD = "(message withheld: it may name keys)"
_HIDDEN = "_evalguard_hidden"
# A context variable, as `active_sessions` of the guards is one: other threads have guards with other options.
_shown: ContextVar[bool] = ContextVar("evalguard_keys_shown", default=True)
# Without it, digests of names could be looked up in a list of all names. One for a process, so that the owner can.
_random_salt = secrets.token_hex(16)


class keys_shown:  # noqa: N801 - reads as a statement: `with keys_shown(show_keys):`
    """Within the block keys are hidden if ``show`` is false, or if they were before."""

    # A class and not a generator, for the reason that `Entry` of the guards gives.
    __slots__ = ("_show", "_token")

    def __init__(self, show: bool) -> None:
        self._show = show

    def __enter__(self) -> None:
        """Hide them, or leave it as it is."""
        self._token = _shown.set(_shown.get() and self._show)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """As before; what the block raises keeps its message hidden."""
        if error is not None and hidden():
            error.__dict__[_HIDDEN] = True
        _shown.reset(self._token)


def hidden() -> bool:
    """Whether keys are hidden: by ``show_keys=False``, or by ``EVALGUARD_SHOW_KEYS=0`` in the environment."""
    return not _shown.get() or os.environ.get(SHOW, "").lower() in {"0", "false", "no"}


def shown_key(key: object, limit: int = MAX_KEY) -> str:
    """A key as a message shows it: visible characters, cut to ``limit``; its digest where keys are hidden."""
    return key_digest(key) if hidden() else visible(key, limit)


def stored_key(key: object) -> str:
    """A key as a report stores it: whole, as each form escapes it; its digest where keys are hidden."""
    return key_digest(key) if hidden() else str(key)


def shown_value(value: object) -> str:
    """A value of an input or label for a message; left out where keys are hidden, as it may be one."""
    return "(hidden)" if hidden() else str(value)


def key_digest(key: object) -> str:
    """The digest that stands for a key where keys are hidden: ``#`` and twelve hexadecimal digits.

    With the salt of the environment variable ``EVALGUARD_KEY_SALT`` it is the
    same in every process, so that the owner of the keys can look one up::

        [key for key in keys if evalguard.key_digest(key) == "#3f2a91c04b1e"]

    Without that variable each process has a random salt.

    Args:
        key: A key as the labels have it; 7 and ``"7"`` have one digest.
    """
    salt = os.environ.get(SALT) or _random_salt
    text = key.decode("utf-8", "backslashreplace") if isinstance(key, bytes) else str(key)
    found = hmac.new(salt.encode("utf-8", "surrogatepass"), text.encode("utf-8", "surrogatepass"), "sha256")
    return f"#{found.hexdigest()[:DIGITS]}"


def error_text(error: BaseException) -> str:
    """``TypeError: …``; without the message where keys are hidden."""
    return f"{type(error).__name__}: {message_of(error)}"


def message_of(error: BaseException) -> str:
    """What an error says; where keys are hidden only if it is evalguard's, whose messages hide them."""
    return WITHHELD if _is_hidden(error) and not isinstance(error, EvalGuardError) else str(error)


def trace_text(error: BaseException) -> str:
    """The traceback of an error; where keys are hidden without its causes and the messages of other libraries."""
    if not _is_hidden(error):
        return "".join(traceback.format_exception(error))
    return "".join([*traceback.format_tb(error.__traceback__), error_text(error), "\n"])


def _is_hidden(error: BaseException) -> bool:
    return hidden() or _HIDDEN in error.__dict__


def cause_of(error: BaseException) -> BaseException | None:
    """What an error is raised from: the one that it replaces; None where keys are hidden, as that would be shown."""
    return None if hidden() else error
