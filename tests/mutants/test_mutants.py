"""Mutation testing itself: which changes are made, and which of them are reported."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutants.equal import EQUAL
from tests.mutants.operators import mutants

ROOT = Path(__file__).resolve().parents[2]


def changed(source):
    """Every changed form of a source."""
    return [mutant.applied(source.encode()).decode() for mutant in mutants(source.encode())]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a < b <= c", ["a <= b <= c", "a < b < c"]),
        ("a > b >= c", ["a >= b >= c", "a > b > c"]),
        ("a == b", ["a != b"]),
        ("(a) != (b)", ["(a) == (b)"]),
        ("a in b", ["a not in b"]),
        ("a not  in b", ["a in b"]),
        ("a is None", ["a is not None"]),
        ("a is not None", ["a is None"]),
        ("a and b and c", ["a or b and c", "a and b or c"]),
        ("a or b", ["a and b"]),
        ("a = not b", ["a =  b"]),
        ("a + b - c", ["a - b - c", "a + b + c"]),
        ("a * b // c", ["a // b // c", "a * b * c"]),
        ("(a + ~b) & c | d", ["(a - ~b) & c | d", "(a + b) & c | d", "(a + ~b) | c | d", "(a + ~b) & c & d"]),
        ("a = -1", ["a = -2"]),
        ("f(x=True)", ["f(x=False)"]),
        ('a == "é"', ['a != "é"', "a == 'é?'"]),
        ('a["x"]', ["a['x?']"]),
        ('a = min("x")', ['a = max("x")']),
        ("a = b.any()", ["a = b.all()"]),
        ("a = np.maximum(b, c)", ["a = np.minimum(b, c)"]),
        ("a = [b for c in d if e]", ["a = [b for c in d if (not (e))]"]),
        ("a = b if c else d", ["a = b if (not (c)) else d"]),
        ("def f():\n    return a", ["def f():\n    return None"]),
        ("if a:\n    raise b", ["if (not (a)):\n    raise b", "if a:\n    pass"]),
        ("if not a:\n    del b", ["if  a:\n    del b"]),
        ("while a:\n    continue", ["while (not (a)):\n    continue", "while a:\n    pass"]),
        ("é = 'é'; a += b", ["é = 'é'; pass", "é = 'é'; a -= b"]),
        ("a = b if (\n c or d\n) else e", ["a = b if (\n (not (c or d))\n) else e", "a = b if (\n c and d\n) else e"]),
    ],
)  # fmt: skip
def test_a_source_is_changed_in_one_position_at_a_time(source, expected):
    # A statement that is an expression can also go as a whole.
    assert [each for each in changed(source) if each != "pass"] == expected


@pytest.mark.parametrize(
    "source",
    [
        pytest.param('"""A docstring: 1 < 2."""', id="docstring"),
        pytest.param("def f():\n    'A docstring.'\n    return None", id="docstring-of-a-function"),
        pytest.param("def f(a: int | None = None) -> Literal[1] | None: ...", id="annotations"),
        pytest.param("a: Literal[1]", id="annotation-of-a-name"),
        pytest.param("from __future__ import annotations\nimport a.b\nfrom a import min", id="imports"),
        pytest.param("@dataclass(frozen=True)\nclass A: ...", id="arguments-of-a-decorator"),
        pytest.param("if TYPE_CHECKING:\n    a = 1", id="for-types-only"),
        pytest.param("class A(Protocol[T]):\n    a = 1", id="protocol"),
        pytest.param("@overload\ndef f(a=1): ...", id="overload"),
        pytest.param("a = zip(b, c, strict=True)", id="strict-zip"),
        pytest.param('__all__ = ["a"] + b\n__slots__ = ("a", 1)', id="lists-of-names"),
        pytest.param('a = f"{b + 1} rows"', id="f-string"),
        pytest.param('a = "text"', id="text-that-nothing-is-compared-with"),
        pytest.param("def f():\n    return ()", id="what-is-as-false-as-none"),
    ],
)
def test_what_is_left_alone(source):
    assert changed(source) == []


def test_where_there_are_types_only_the_rest_is_still_changed():
    assert changed("if TYPE_CHECKING:\n    a = 1\nelse:\n    a = 2") == [
        "if TYPE_CHECKING:\n    a = 1\nelse:\n    a = 3"
    ]


def test_no_two_mutants_of_a_line_have_the_same_name():
    names = [mutant.name for mutant in mutants(b"a = b\nc = [1, 1]")]
    assert names == ["2: `1` becomes `2`", "2: `1` becomes `2` (2)"]


def test_every_mutant_listed_as_equal_exists():
    for equal in EQUAL:
        source = ROOT.joinpath("evalguard", equal.module).read_bytes()
        lines = source.decode().splitlines()
        found = {
            mutant.change
            for mutant in mutants(source)
            if equal.fits(f"evalguard/{equal.module}", lines[mutant.line - 1], mutant.change)
        }
        assert found, f"{equal.module} has no such line any more: {equal.line}"
        assert set(equal.changes) <= found, f"{equal.module}: {equal.line}"


@pytest.fixture
def project(tmp_path):
    """A checkout with one module, whose tests do not ask what happens at 10."""
    module = tmp_path / "evalguard" / "core" / "tiny.py"
    tests = tmp_path / "tests" / "core" / "test_tiny.py"
    for file in (module, tests):
        file.parent.mkdir(parents=True)
    module.write_text("def is_large(number):\n    return number > 10\n")
    tests.write_text(
        "from evalguard.core.tiny import is_large\n\n\n"
        "def test_large():\n    assert is_large(12)\n    assert not is_large(9)\n"
    )
    return tmp_path


def run(project, *options):
    command = [sys.executable, "-m", "tests.mutants", "--root", project, "--jobs", "2", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_mutant_on_which_no_test_fails_is_reported_and_finished_ones_are_not_run_again(project):
    done = run(project)
    assert done.returncode == 1, done.stderr
    assert "    1 of    3 killed   33%  evalguard/core/tiny.py" in done.stdout
    assert "evalguard/core/tiny.py:2: `>` becomes `>=`\n    return number > 10" in done.stdout
    assert "1 of 3 mutants killed (33.3%)" in done.stdout
    record = project / ".mutants" / "evalguard.core.tiny.jsonl"
    version, *lines = map(json.loads, record.read_text().splitlines())
    assert {"mutant": "2: `return` returns None", "killed": True, "by": "test"} in lines

    # As if the run had been stopped after the first mutant, which now is one that was killed.
    first = {"mutant": "2: `>` becomes `>=`", "killed": True, "by": "timeout"}
    record.write_text(json.dumps(version) + "\n" + json.dumps(first) + '\n{"mutant": "2: `10\n')
    assert "2 of 3 mutants killed" in run(project).stdout
    assert list(map(json.loads, record.read_text().splitlines()[:2])) == [version, first]
    assert len(record.read_text().splitlines()) == 5

    # Other tests: everything runs again.
    tests = project / "tests" / "core" / "test_tiny.py"
    tests.write_text(tests.read_text() + "    assert not is_large(10)\n    assert is_large(11)\n")
    assert "0 of 0 mutants killed" in run(project, "--survivors").stdout
    done = run(project)
    assert done.returncode == 0
    assert "3 of 3 mutants killed" in done.stdout


@pytest.mark.slow
def test_tests_that_fail_without_a_change_say_nothing_about_mutants(project):
    project.joinpath("evalguard", "core", "tiny.py").write_text("def is_large(number):\n    return number > 20\n")
    done = run(project)
    assert done.returncode == 2
    assert "fail without a change" in done.stderr
    assert "assert is_large(12)" in done.stderr


@pytest.mark.slow
def test_tests_that_do_not_import_the_module_say_nothing_about_mutants(project):
    project.joinpath("tests", "core", "test_tiny.py").write_text("def test_nothing(): ...")
    done = run(project)
    assert done.returncode == 2
    assert "they import something else" in done.stderr


def test_mutants_can_be_listed(project):
    listed = run(project, "--list", "core/tiny")
    assert listed.returncode == 0, listed.stderr
    assert "evalguard/core/tiny.py:2: `10` becomes `11`" in listed.stdout.splitlines()
