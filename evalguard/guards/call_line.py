"""Where the caller's code makes a call, and what it names there.

Nothing is read when the call is made: its place is kept, and the lines of its
source are read for a report that proposes a fix. Code without source (an
interpreter, a zipped package), or whose source has changed, has a place only.
"""

from __future__ import annotations

import ast
import inspect
import linecache
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import CodeType

from evalguard.core.diagnosis.own_words import OwnWords, is_name
from evalguard.core.own_errors import swallow
from evalguard.core.shown_keys import hidden

# Packages between the caller's line and a guard. Those of threads, because a model's method may be what a thread runs.
BETWEEN = frozenset(
    {"evalguard", "keras", "tf_keras", "tensorflow", "mlflow", "contextlib", "threading", "concurrent", "asyncio"}
)
# Lines of source that a call may take, and characters of the line that a fix shows.
MOST_LINES, LONGEST = 8, 110


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the caller's code.

    Attributes:
        line: ``evaluate.py:12``; empty where no code of the caller made the call.
        code: The code that runs there.
        at: The instruction of it that makes the call.
    """

    line: str = ""
    code: CodeType | None = None
    at: int = 0


def caller_place() -> Place:
    """The innermost place outside evalguard and the frameworks."""
    frame = inspect.currentframe()
    while frame is not None:
        if str(frame.f_globals.get("__name__", "")).partition(".")[0] not in BETWEEN:
            line = f"{shown_path(frame.f_code.co_filename)}:{frame.f_lineno}"
            return Place(line, frame.f_code, frame.f_lasti)
        frame = frame.f_back
    return Place()


def shown_path(file: str) -> str:
    """A path relative to the working directory, where it is below it; the name of the user's home is left out."""
    # IPython runs a cell from a temporary file, whose name says nothing.
    if "ipykernel_" in file or file.startswith("<ipython-input"):
        return "notebook cell"
    for base, instead in ((Path.cwd, Path()), (Path.home, Path("~"))):
        try:
            return str(instead / Path(file).relative_to(base()))
        # Another folder, no file at all (`<stdin>`), a working directory that was deleted, no home.
        except (ValueError, OSError, RuntimeError):
            continue
    return file


def own_words(place: Place, entry: Place, method: str) -> OwnWords:
    """What the caller names where a call was made; only its line where there is no source.

    Args:
        place: Where the call was made.
        entry: Where the labels were given: the ``with`` of a guard, ``wrap``, ``check``.
        method: The method that was called.
    """
    try:
        found, named = _call_at(place), _labels_at(entry)
    except Exception as error:  # noqa: BLE001 - nothing depends on it
        swallow(error)
        return OwnWords(place.line)
    if found is None:
        return OwnWords(place.line, labels=named)
    call, line, text = found
    # A file that was changed since it was imported has another call there, or none.
    if not isinstance(call.func, ast.Attribute) or call.func.attr != method:
        if method != "__call__":
            return OwnWords(place.line, labels=named)
        model = call.func
    else:
        model = call.func.value
    quoted = line if _may_be_shown(line) and line.count(text) == 1 else ""
    return OwnWords(
        place.line,
        quoted,
        text if quoted else "",
        model=ast.unparse(model) if _may_be_shown(ast.unparse(model)) else "",
        source=source if (source := _argument(call, "x", 0) or "") and _may_be_shown(source) else "",
        labels=named,
    )


def _may_be_shown(text: str) -> bool:
    """Whether a line may be shown: keys are shown anyway, or it has no text and no number that could be one."""
    plain = is_name(text) or not any(char in "'\"" or char.isdigit() for char in text)
    return len(text) <= LONGEST and (plain or not hidden())


def _call_at(place: Place) -> tuple[ast.Call, str, str] | None:
    """The call at a place, its line and its text in it; None where there is no source, or no call."""
    if place.code is None:
        return None
    first, last, begin, end = next(islice(place.code.co_positions(), place.at // 2, None), (None,) * 4)
    if first is None or last is None or begin is None or end is None or last - first >= MOST_LINES:
        return None
    lines = [line.encode() for line in linecache.getlines(place.code.co_filename)[first - 1 : last]]
    if len(lines) != last - first + 1:
        return None
    whole = lines[0].decode().strip()
    lines[-1] = lines[-1][:end]
    lines[0] = lines[0][begin:]
    text = b"".join(lines).decode()
    try:
        call = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError):
        return None
    if not isinstance(call, ast.Call):
        return None
    if first < last:
        text = ast.unparse(call)
        return call, text, text
    return call, _without_comment(whole) or text, text


def _labels_at(place: Place) -> str:
    """The variable that a statement passes as `labels`; empty where it passes none, or something else."""
    if place.code is None:
        return ""
    if (call := _call_at(place)) is not None:
        trees: Sequence[ast.AST] = [call[0]]
    else:  # `with`, whose instruction stands for all of its block
        first = int(place.line.rpartition(":")[2]) - 1
        lines = linecache.getlines(place.code.co_filename)[first : first + MOST_LINES]
        starts = (textwrap.dedent("".join(lines[: number + 1])) for number in range(len(lines)))
        trees = [tree for start in starts for block in ("", "    pass\n") if (tree := _parsed(start + block))][:1]
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    given = {named for made in calls if (named := _argument(made, "labels"))}
    return next(filter(is_name, given), "") if len(given) == 1 else ""


def _parsed(code: str) -> ast.Module | None:
    try:
        return ast.parse(code)
    except (SyntaxError, ValueError):
        return None


def _without_comment(line: str) -> str:
    """A line of code; empty if it is not one whole, simple statement."""
    parsed = _parsed(line)
    if parsed is None or len(parsed.body) != 1 or hasattr(parsed.body[0], "body"):
        return ""
    return line.encode()[: parsed.body[0].end_col_offset].decode()


def _argument(call: ast.Call, name: str, position: int | None = None) -> str | None:
    """An argument as it is written; None if it is not given."""
    if position is not None and len(call.args) > position:
        return None if any(isinstance(part, ast.Starred) for part in call.args) else ast.unparse(call.args[position])
    return next((ast.unparse(given.value) for given in call.keywords if given.arg == name), None)
