"""Writes the two generated references of this folder: ``python.md``, and the keys in ``step-file.md``.

``make docs`` runs it. The page is made from signatures and docstrings, which griffe
parses; what a name is called, and that none is forgotten, is said here.
"""

from __future__ import annotations

import builtins
import enum
import inspect
import re
import sys
import textwrap
import types
import typing
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import griffe
import numpy as np

import evalguard
import evalguard.errors
import evalguard.testing
from evalguard.guards.results import Results
from evalguard.step.config.markdown import markdown as step_file_keys

DOCS = Path(__file__).parent
WIDTH = 100
PREFACE = """# Python reference

Every public name; all others may change without notice. `make docs` prints this page from signatures and docstrings.
[sources.md](sources.md) shows how to use them; `evalguard.__version__` is the version, as text.
"""
GROUPS: Mapping[str, tuple[str, ...]] = {
    "Guarding": (
        "guard",
        "GuardOptions",
        "MlflowTarget",
        "wrap",
        "check",
        "ValidationGuard",
        "Guard",
        "GuardedModel",
    ),
    "Labels and sources": ("Labels", "collecting", "tagged"),
    "Results": (
        "Report",
        "Finding",
        "Reason",
        "Cause",
        "MetricImpact",
        "Verdict",
        "Proof",
        "Policy",
        "key_digest",
        "Sink",
    ),
    "The gate": ("gate", "GateResult", "Evaluation"),
    "Errors": (
        "EvalGuardError",
        "AlignmentError",
        "MisalignmentError",
        "UnprovenError",
        "LabelsError",
        "ConfigError",
        "ArgumentError",
        "UnsupportedSourceError",
        "SinkError",
        "EvalGuardWarning",
    ),
}
TESTING = (
    "faulty_batches",
    "aligned_batches",
    "FAULTS",
    "as_generator",
    "as_pydataset",
    "as_sequence",
    "as_tf_dataset",
    "scenario",
    "SCENARIOS",
    "Scenario",
    "MemorySink",
)
# Called by operators, so each gets a line.
SPECIAL = ("__call__", "__bool__", "__len__")


def markdown() -> str:
    """The page ``python.md``.

    Raises:
        ValueError: A public name is in no group, or one in a group is not public.
    """
    named = {"__version__", *(name for names in GROUPS.values() for name in names)}
    for grouped, public in ((named, evalguard.__all__), (set(TESTING), evalguard.testing.__all__)):
        if grouped != set(public):
            msg = f"docs/make_references.py: expected each public name in a group; {sorted(grouped ^ set(public))}"
            raise ValueError(msg)
    groups = [(title, evalguard, names) for title, names in GROUPS.items()]
    groups.append(("Test kit: `evalguard.testing`", evalguard.testing, TESTING))
    lines = [PREFACE]
    anchors = Counter[str]()
    for title, module, names in groups:
        links = ", ".join(f"[{name}](#{_anchor(f'{module.__name__}.{name}', anchors)})" for name in names)
        lines.append(f"- {title}: {links}")
    lines.append("")
    for group in groups:
        lines += _group(*group)
    return "\n".join(lines).rstrip() + "\n"


def _anchor(heading: str, seen: Counter[str]) -> str:
    """Where a heading is found, as code-hosting sites have it: in small letters, the second of a name with a number."""
    anchor = re.sub(r"[^\w-]", "", heading.lower())
    seen[anchor] += 1
    return anchor if seen[anchor] == 1 else f"{anchor}-{seen[anchor] - 1}"


def _group(title: str, module: Any, names: tuple[str, ...]) -> Iterator[str]:
    yield f"## {title}\n"
    if title == "Errors":
        yield _text(_parsed(evalguard.errors.__doc__)[0].value) + "\n"
    if module is evalguard.testing:
        yield _text(_parsed(module.__doc__)[0].value) + "\n"
    for name in names:
        yield from _entry(f"{module.__name__}.{name}", getattr(module, name))


def _entry(name: str, value: Any) -> Iterator[str]:
    yield f"### `{name}`\n"
    if inspect.isclass(value):
        yield from _class(name, value)
    elif callable(value):
        yield from _callable(name.rpartition(".")[2], value)
    else:
        yield from _choices(value)


def _choices(value: Mapping[str, Any]) -> Iterator[str]:
    """Functions by name, each with its first sentence."""
    rows = [(f"`{name}`", _cell(inspect.getdoc(function) or "")) for name, function in value.items()]
    yield from _table(("name", "what it is"), rows)


# -- Functions and classes ---------------------------------------------------------------------------------------------


def _callable(shown: str, value: Any, doc: str | None = None) -> Iterator[str]:
    sections = _parsed(doc or value.__doc__)
    signature = inspect.signature(value)
    if shown:
        gives = "" if inspect.isclass(value) else _gives(signature, value, shown.rpartition(".")[0])
        yield f"```python\n{_call(shown, signature)}{gives}\n```\n"
    yield from _sections(sections, signature, inspect.getmodule(value))


def _class(name: str, value: type) -> Iterator[str]:
    short = name.rpartition(".")[2]
    if issubclass(value, enum.Enum):
        words = [f"`{item.name}`" for item in value]
        yield _text(_parsed(value.__doc__)[0].value) + "\n"
        yield f"One of {', '.join(words)}.\n"
    elif issubclass(value, Exception):
        kinds = " and ".join(f"`{base.__name__}`" for base in value.__bases__)
        yield f"{_text(_parsed(value.__doc__)[0].value)} A kind of {kinds}.\n"
    else:
        # A protocol is implemented, not called.
        yield from _callable("" if getattr(value, "_is_protocol", False) else short, value)
        inherited = [section for owner in _own_classes(value)[1:] for section in _parsed(owner.__doc__)]
        raises = [section for section in inherited if section.kind is griffe.DocstringSectionKind.raises]
        yield from _sections(raises, inspect.signature(value), inspect.getmodule(value))
        public = [getattr(evalguard, base.__name__, None) for base in value.__bases__]
        yield from (
            f"A kind of `{base.__name__}`, with all that one has.\n" for base in public if base in value.__mro__[1:]
        )
    yield from _attributes(value)
    for member, function in _members(value):
        if _is_property(function):
            continue
        bound = getattr(value, member)
        doc = function.__func__.__doc__ if isinstance(function, (classmethod, staticmethod)) else function.__doc__
        yield f"#### `{short}.{member}`\n"
        # How an operator is called goes without saying.
        shown = "" if member in SPECIAL else f"{short}.{member}"
        yield from _callable(shown, _without_self(bound, function), doc)


def _members(value: type) -> list[tuple[str, Any]]:
    """Public properties and methods, in the order they are written in; hooks that only Keras calls are left out."""
    found: dict[str, Any] = {}
    for owner in _own_classes(value):
        for name, member in vars(owner).items():
            public = not name.startswith("_") or name in SPECIAL
            documented = inspect.isroutine(member) or isinstance(member, (property, classmethod, staticmethod))
            if public and documented and not _is_hook(value, name):
                found.setdefault(name, member)
    return list(found.items())


def _own_classes(value: type) -> list[type]:
    """The class and its bases that have no separate entry; private classes have none at all."""
    listed = [getattr(evalguard, name) for name in evalguard.__all__]
    return [owner for owner in value.__mro__ if owner is value or (_is_ours(owner) and owner not in listed)]


def _is_ours(owner: type) -> bool:
    return owner.__module__.startswith(("evalguard.core", Results.__module__)) and not owner.__name__.startswith("_")


def _is_hook(value: type, name: str) -> bool:
    return any(
        base.__module__.startswith("evalguard.capture.engines") and hasattr(base, name) for base in value.__mro__
    )


def _is_property(member: Any) -> bool:
    return isinstance(member, property)


def _without_self(bound: Any, member: Any) -> Any:
    """The function as it is called on an object."""
    if isinstance(member, (classmethod, staticmethod)):
        return bound
    signature = inspect.signature(bound)

    def call() -> None: ...

    call.__module__ = bound.__module__
    call.__signature__ = signature.replace(parameters=list(signature.parameters.values())[1:])  # type: ignore[attr-defined]
    return call


def _attributes(value: type) -> Iterator[str]:
    """What a docstring says of attributes, and properties."""
    rows: dict[str, tuple[str, str]] = {}
    for owner in _own_classes(value):
        annotations = vars(owner).get("__annotations__", {})
        for section in _parsed(owner.__doc__):
            if section.kind is griffe.DocstringSectionKind.attributes:
                for item in section.value:
                    kind = _kind(annotations.get(item.name, ""), sys.modules[owner.__module__])
                    rows.setdefault(item.name, (kind, item.description))
    for name, member in _members(value):
        if _is_property(member):
            annotation = inspect.signature(member.fget).return_annotation
            told = [_told(section) for section in _parsed(member.__doc__)]
            rows[name] = (_kind(annotation, inspect.getmodule(member.fget)), " ".join(told))
    cells = [(f"`{name}`", kind, _cell(told)) for name, (kind, told) in rows.items()]
    if cells:
        yield from _table(("attribute", "type", ""), cells)


def _told(section: Any) -> str:
    if section.kind is griffe.DocstringSectionKind.raises:
        return " ".join(f"Raises `{item.annotation}`: {item.description}" for item in section.value)
    return str(section.value)


# -- Sections of a docstring -------------------------------------------------------------------------------------------


def _parsed(doc: str | None) -> list[Any]:
    text = griffe.Docstring(inspect.cleandoc(doc or ""))
    return text.parse("google", warnings=False, returns_named_value=False, returns_multiple_items=False)


def _sections(sections: list[Any], signature: inspect.Signature, module: Any) -> Iterator[str]:
    kinds = griffe.DocstringSectionKind
    for section in sections:
        if section.kind is kinds.text:
            yield _text(section.value) + "\n"
        elif section.kind is kinds.parameters:
            rows = [_parameter(item.name, item.description, signature, module) for item in section.value]
            yield from _table(("argument", "type", "default", ""), rows)
        elif section.kind is kinds.returns:
            told = [": ".join(filter(None, (item.annotation, item.description))) for item in section.value]
            yield f"**Returns** {_cell(' '.join(told))}\n"
        elif section.kind is kinds.raises:
            yield from (f"- **Raises** `{item.annotation}`: {_cell(item.description)}" for item in section.value)
            yield ""


def _parameter(name: str, told: str, signature: inspect.Signature, module: Any) -> tuple[str, str, str, str]:
    if name.lstrip("*") not in signature.parameters:
        # Keywords that the signature spells out.
        return f"`{name}`", "", "", _cell(told)
    item = signature.parameters[name.lstrip("*")]
    needed = item.default is item.empty and not name.startswith("*")
    default = "needed" if needed else "" if item.default is item.empty else f"`{_shown(item.default)}`"
    return f"`{name}`", _kind(item.annotation, module), default, _cell(told)


def _call(name: str, signature: inspect.Signature) -> str:
    """How it is called: names and defaults, as many as fit on two lines."""
    words: list[str] = []
    star = False
    for item in signature.parameters.values():
        if item.kind is item.KEYWORD_ONLY and not star:
            words.append("*")
        star = star or item.kind in (item.KEYWORD_ONLY, item.VAR_POSITIONAL)
        prefix = str(item).partition(item.name)[0]  # stars
        default = "" if item.default is item.empty else f"={_shown(item.default)}"
        words.append(f"{prefix}{item.name}{default}")
    indent = " " * (len(name) + 1)
    lines = textwrap.wrap(f"{name}({', '.join(words)})", WIDTH, subsequent_indent=indent, break_on_hyphens=False)
    while len(lines) > 2:
        words.pop()
        told = f"{name}({', '.join([*words, '...'])})"
        lines = textwrap.wrap(told, WIDTH, subsequent_indent=indent, break_on_hyphens=False)
    return "\n".join(lines)


def _gives(signature: inspect.Signature, value: Any, owner: str) -> str:
    """`` -> Report`` where that is the name of a class."""
    annotation = signature.return_annotation
    name = owner if annotation == "Self" else annotation if isinstance(annotation, str) else ""
    known = name == owner or hasattr(builtins, name) or inspect.isclass(getattr(inspect.getmodule(value), name, None))
    return f" -> {name}" if known and name not in ("", "None", "Any") else ""


def _shown(default: Any) -> str:
    if inspect.isfunction(default) or inspect.isclass(default):
        return str(default.__name__)
    return "..." if "factory" in repr(default) else repr(default).replace("'", '"')


def _kind(annotation: Any, module: Any) -> str:
    """A type in words that fit into a table."""
    if annotation in ("", inspect.Parameter.empty, "Any", None, Any):
        return ""
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    parts = [_part(part, module) for part in _alternatives(text.removeprefix("typing."))]
    return " or ".join(dict.fromkeys(part for part in parts if part))


def _part(text: str, module: Any) -> str:
    if text in ("None", "Any"):
        return ""
    literal = re.fullmatch(r"Literal\[(.+)\]", text)
    if literal:
        return ", ".join(f"`{word.strip()}`" for word in literal[1].split(","))
    named = getattr(module, text, None)
    if typing.get_origin(named) is typing.Literal:
        return ", ".join(f'`"{word}"`' for word in typing.get_args(named))
    if isinstance(named, types.UnionType):
        return " or ".join(f"`{_name(item)}`" for item in typing.get_args(named))
    if text.startswith("Callable") or typing.get_origin(named) is Callable:
        return "callable"
    words = re.sub(r"\w+", lambda word: _name(getattr(module, word[0], None)) or word[0], text)
    return f"`{words}`".replace("|", "\\|")


def _name(kind: Any) -> str:
    """A class by its name, what stands for an array as ``NDArray``; empty for all else."""
    origin = typing.get_origin(kind)
    if origin is np.ndarray:
        return "NDArray"
    return str(getattr(origin or kind, "__name__", "")) if isinstance(origin or kind, type) else ""


def _alternatives(text: str) -> list[str]:
    """``a | b`` apart, but not inside brackets."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "[(") - (letter in "])")
        if letter == "|" and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


# -- Markdown ----------------------------------------------------------------------------------------------------------


def _text(text: str) -> str:
    """A docstring's prose: code marked as Markdown has it, blocks after ``::`` fenced."""
    told: list[str] = []
    code = False
    for paragraph in re.split(r"\n{2,}", text.strip()):
        if paragraph.startswith("    "):
            body = inspect.cleandoc("\n" + paragraph)
            if code and told and told[-1].endswith("\n```"):
                told[-1] = f"{told[-1].removesuffix('```')}\n{body}\n```"
            else:
                told.append(f"```{_language(body)}\n{body}\n```")
            code = True
            continue
        words = _inline(" ".join(paragraph.split()))
        code = False
        if words != "::":
            told.append(words.removesuffix(":") if words.endswith("::") else words)
    return "\n\n".join(told)


def _language(body: str) -> str:
    return "text" if "├" in body else "python"


def _inline(text: str) -> str:
    return text.replace("``", "`")


def _cell(text: str) -> str:
    return _inline(" ".join(text.split())).replace("|", "\\|")


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    # A column in which nothing stands is left out.
    kept = [at for at in range(len(head)) if any(row[at] for row in rows)]
    yield "| " + " | ".join(head[at] for at in kept).rstrip() + " |"
    yield "|" + "---|" * len(kept)
    for row in rows:
        yield re.sub(r"(?<=\|)  (?=\|)", " ", "| " + " | ".join(row[at] for at in kept) + " |")
    yield ""


def main() -> None:
    """Write both pages."""
    (DOCS / "python.md").write_text(markdown(), encoding="utf-8")
    page = DOCS / "step-file.md"
    words = "What follows is printed by `evalguard schema reference`.\n\n"
    head, found, _ = page.read_text(encoding="utf-8").partition(words)
    if not found:
        msg = f"{page}: expected the line {words.strip()!r}, after which the reference stands"
        raise ValueError(msg)
    page.write_text(head + words + step_file_keys(), encoding="utf-8")


if __name__ == "__main__":
    main()
