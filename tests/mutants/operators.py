"""The small changes that are made to a module, one at a time: each is a mutant, and a test should fail on it."""

from __future__ import annotations

import ast
import re
from bisect import bisect
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

PAIRS = (
    ("<", "<="), (">", ">="), ("==", "!="), ("in", "not in"), ("is", "is not"), ("and", "or"),
    ("+", "-"), ("*", "//"), ("&", "|"), ("<<", ">>"), ("+=", "-="), ("*=", "//="), ("&=", "|="), ("<<=", ">>="),
    ("min", "max"), ("any", "all"), ("minimum", "maximum"),
)  # fmt: skip
CHANGED = {old: new for pair in PAIRS for old, new in (pair, pair[::-1])} | {"/": "*", "%": "//"}
NAMES = frozenset({"min", "max", "any", "all", "minimum", "maximum"})
# Fields that say what something is, not what it does.
LEFT_ALONE = frozenset({"annotation", "returns", "decorator_list"})
# To negate a comparison by one of these is to change its operator, which is a mutant already.
NEGATED_ANYWAY = (ast.Eq, ast.NotEq, ast.In, ast.NotIn, ast.Is, ast.IsNot)


@dataclass(frozen=True)
class Mutant:
    """A module with one change.

    Attributes:
        line: Where it is, counted from 1.
        change: In words; a number follows where the same change is possible at several positions of that line.
        start: First byte of what is replaced.
        stop: The byte after it.
        text: What is there instead.
    """

    line: int
    change: str
    start: int
    stop: int
    text: str

    @property
    def name(self) -> str:
        """Line and change; no two mutants of a module have the same."""
        return f"{self.line}: {self.change}"

    def applied(self, source: bytes) -> bytes:
        """The changed module."""
        return source[: self.start] + self.text.encode() + source[self.stop :]


def mutants(source: bytes) -> list[Mutant]:
    """All mutants of a module, by position."""
    seen: Counter[str] = Counter()
    numbered = []
    for mutant in sorted(_Maker(source).of(ast.parse(source)), key=lambda each: (each.start, each.stop)):
        seen[mutant.name] += 1
        times = seen[mutant.name]
        numbered.append(mutant if times == 1 else replace(mutant, change=f"{mutant.change} ({times})"))
    return numbered


class _Maker:
    """Positions of the syntax tree as bytes of the source: what is not changed stays as it is written."""

    def __init__(self, source: bytes) -> None:
        self.source = source
        self.lines = [0]
        for line in source.splitlines(keepends=True):
            self.lines.append(self.lines[-1] + len(line))

    def of(self, node: ast.AST) -> Iterator[Mutant]:
        """The mutants of a node and of everything in it."""
        if _is_left_alone(node):
            return
        yield from self._here(node)
        for name, value in ast.iter_fields(node):
            if name not in LEFT_ALONE and not (name in {"test", "body"} and _is_for_types(node)):
                for part in value if isinstance(value, list) else [value]:
                    if isinstance(part, ast.AST):
                        yield from self.of(part)

    def _here(self, node: ast.AST) -> Iterator[Mutant]:
        match node:
            case ast.Compare(left=left, comparators=others):
                yield from self._between(left, *others)
                yield from (self._text(each) for each in (left, *others) if _is_text(each))
            case ast.BoolOp(values=values):
                yield from self._between(*values)
            case ast.BinOp(left=left, right=right):
                yield from self._between(left, right)
            case ast.UnaryOp(op=ast.Not() | ast.Invert(), operand=operand):
                start = self._start(node)
                word = "not" if self.source[start : start + 1] == b"n" else "~"
                yield self._at(start, start + len(word), "", f"`{word}` before `{self._first_line(operand)}` goes")
            case ast.Constant(value=bool(value)):
                yield self._whole(node, str(not value))
            case ast.Constant(value=int(value)):
                yield self._whole(node, str(value + 1))
            case ast.MatchValue(value=value) | ast.Subscript(slice=value) if _is_text(value):
                yield self._text(value)
            case ast.Name(id=name, ctx=ast.Load()) | ast.Attribute(attr=name, ctx=ast.Load()) if name in NAMES:
                yield self._at(self._stop(node) - len(name), self._stop(node), CHANGED[name])
            case ast.Return(value=ast.expr() as value) if not _is_empty(value):
                yield self._whole(value, "None", "`return` returns None")
            case ast.Expr() | ast.AugAssign() | ast.Continue() | ast.Break() | ast.Raise():
                yield self._whole(node, "pass", f"`{self._first_line(node)}` becomes `pass`")
                if isinstance(node, ast.AugAssign):
                    yield from self._between(node.target, node.value)
            case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test) if not _is_for_types(node):
                yield from self._negated(test)
            case ast.comprehension(ifs=tests):
                for test in tests:
                    yield from self._negated(test)

    def _negated(self, test: ast.expr) -> Iterator[Mutant]:
        simple = isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], NEGATED_ANYWAY)
        if not simple and not (isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)):
            text = self.source[self._start(test) : self._stop(test)].decode()
            yield self._whole(test, f"(not ({text}))", f"`{self._first_line(test)}` is negated")

    def _between(self, *operands: ast.AST) -> Iterator[Mutant]:
        for left, right in pairwise(operands):
            start = self._stop(left)
            # Only brackets, spaces and the operator are between two operands.
            found = re.search(r"not\s+in|is\s+not|\w+|[^\s\w()]+", self.source[start : self._start(right)].decode())
            if found and (new := CHANGED.get(" ".join(found[0].split()))):
                yield self._at(start + found.start(), start + found.end(), new)

    def _text(self, node: ast.AST) -> Mutant:
        return self._whole(node, repr(f"{ast.literal_eval(ast.unparse(node))}?"))

    def _whole(self, node: ast.AST, text: str, change: str = "") -> Mutant:
        return self._at(self._start(node), self._stop(node), text, change)

    def _at(self, start: int, stop: int, text: str, change: str = "") -> Mutant:
        change = change or f"`{self.source[start:stop].decode()}` becomes `{text}`"
        return Mutant(bisect(self.lines, start), change, start, stop, text)

    def _start(self, node: ast.AST) -> int:
        return self.lines[getattr(node, "lineno", 1) - 1] + int(getattr(node, "col_offset", 0))

    def _stop(self, node: ast.AST) -> int:
        return self.lines[getattr(node, "end_lineno", 1) - 1] + int(getattr(node, "end_col_offset", 0))

    def _first_line(self, node: ast.AST) -> str:
        first, *more = self.source[self._start(node) : self._stop(node)].decode().splitlines()
        return f"{first} …" if more else first


def _is_left_alone(node: ast.AST) -> bool:
    match node:
        # In an f-string, positions are wrong before Python 3.12; and messages are not tested word by word.
        case ast.JoinedStr() | ast.Import() | ast.ImportFrom() | ast.Expr(value=ast.Constant()):
            return True
        # `zip(…, strict=True)` is an assertion: it never fails.
        case ast.keyword(arg="strict"):
            return True
        case ast.ClassDef(bases=bases):
            return any("Protocol" in ast.unparse(base) for base in bases)
        case ast.FunctionDef(decorator_list=decorators):
            return any("overload" in ast.unparse(decorator) for decorator in decorators)
        case ast.Assign(targets=[ast.Name(id="__all__" | "__slots__")]):
            return True
    return False


def _is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _is_empty(node: ast.expr) -> bool:
    """None, or as false as None."""
    return not node.value if isinstance(node, ast.Constant) else not getattr(node, "elts", True)
