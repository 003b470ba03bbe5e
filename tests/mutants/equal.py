"""Mutants that do what the module does, or what is as good: no test can fail on them, or none should."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Equal:
    """Mutants of one line.

    Attributes:
        module: ``core/checks.py``, below ``evalguard/``.
        line: The line, without the spaces around it.
        changes: As the list of survivors shows them; none for every change of this line.
        why: Why the change makes no difference.
    """

    module: str
    line: str
    changes: tuple[str, ...]
    why: str

    def fits(self, file: str, line: str, change: str) -> bool:
        """Whether a change of a line is one of these."""
        here = file == f"evalguard/{self.module}" and line.strip() == self.line
        return here and (not self.changes or change in self.changes)


EQUAL: tuple[Equal, ...] = ()
