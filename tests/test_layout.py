"""How the package hangs together: which part may import which, and what importing it costs."""

import ast
import importlib
import inspect
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "evalguard"
TESTS = Path(__file__).resolve().parent

# Room (a module or folder of evalguard/) → the rooms it may import. Every arrow points down the table's reading
# order, so there is no cycle; a room that is not here fails the test: decide where it belongs, then add it.
ARROWS: dict[str, frozenset[str]] = {
    part: frozenset(below.split())
    for part, below in {
        "errors": "",
        "core": "errors",
        # Side by side: neither knows the other.
        "data": "errors core",
        "reporting": "errors core",
        # Side by side: none of these three knows the others, but the gate reads files of labels.
        "labels": "errors core data reporting",
        "capture": "errors core data reporting",
        "tracking": "errors core data reporting labels",
        "guards": "errors core data reporting labels capture tracking",
        "testing": "errors core data reporting capture",
        # The public names; the step and the command line are reached by running them.
        "__init__": "errors core reporting labels capture tracking guards",
        "step": "__init__ errors core data reporting labels capture tracking guards",
        "cli": "__init__ errors core data reporting labels capture tracking guards step",
        "__main__": "cli",
    }.items()
}

# Third parties a part may import, where there is a limit. The standard library is always allowed.
THIRD_PARTIES: dict[str, frozenset[str]] = {
    "errors": frozenset(),
    "core": frozenset({"numpy"}),
}

# Names that several modules define, and why that misleads no reader.
TWINS: dict[str, str] = {
    "PredictTap": "one for each engine: the same part of Keras 3 and of tf_keras",
    "TestTap": "one for each engine, as PredictTap",
    "Batches": "a type of the test kit, and a dataset inside the function of a scenario, whose reports show its name",
    "Int64": "the NumPy array type, under the same name in each module that uses it",
    "UInt64": "the NumPy array type, as Int64",
}
MAX_LINES, MAX_ENTRIES = 300, 14

FRAMEWORKS = ("tensorflow", "keras", "tf_keras", "mlflow", "pandas", "pyarrow", "duckdb")
# Slow to import, and needed by some evaluations only.
LATER = (*FRAMEWORKS, "importlib.metadata", "pydantic", "click", "rich", "jinja2", "scipy")


def module_name(path: Path, package: Path) -> str:
    """``evalguard.core.trace`` for ``evalguard/core/trace.py``."""
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_modules(tree: ast.AST, module: str, *, is_package: bool = False) -> Iterator[str]:
    """Every module imported anywhere below a node of a module's syntax tree, by its full name.

    ``from a import b`` gives ``a.b``: whether b is a module or a name in a, it is a's part that counts.
    ``importlib.import_module("a.b")`` and the ``"a.b:C"`` entries of a registry are imports too.
    """
    package = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=name, names=names, level=level):
                base = package[: len(package) - level + 1] if level else []
                stem = ".".join([*base, *([name] if name else [])])
                yield from (f"{stem}.{alias.name}" for alias in names)
            case ast.Constant(value=str(text)) if text.startswith("evalguard.") and text.count(":") == 1:
                target, _, name = text.partition(":")
                if all(word.isidentifier() for word in [*target.split("."), name]):
                    yield target
            case ast.Call(func=ast.Attribute(attr="import_module"), args=[ast.Constant(value=str(text)), *_]):
                yield text


def part_of(target: str) -> str:
    """The part an imported name belongs to: ``core`` for ``evalguard.core.trace``."""
    word = target.partition(".")[2].partition(".")[0]
    is_part = word in ARROWS or (PACKAGE / word).is_dir() or (PACKAGE / f"{word}.py").is_file()
    # `from evalguard import Verdict` gives "evalguard.Verdict", a public name of the package itself.
    return word if word and is_part else "__init__"


def wrong_imports(source: str, module: str, *, is_package: bool = False) -> list[str]:
    """Sentences, one for each import that points the wrong way."""
    part = module.split(".")[1] if "." in module else "__init__"
    if part not in ARROWS:
        return [f"{module}: the part {part!r} is not in ARROWS"]
    tree = ast.parse(source)
    complaints = []
    for target in imported_modules(tree, module, is_package=is_package):
        top = target.split(".")[0]
        if top == "evalguard":
            allowed = {part} | ARROWS[part]
            if part_of(target) not in allowed:
                complaints.append(f"{module} imports {target}: {part} may import {sorted(ARROWS[part]) or 'nothing'}")
        elif part in THIRD_PARTIES and top not in sys.stdlib_module_names | THIRD_PARTIES[part]:
            complaints.append(f"{module} imports {target}: {part} may use {sorted(THIRD_PARTIES[part]) or 'no one'}")
    return complaints


def test_imports_follow_the_arrows() -> None:
    files = sorted(PACKAGE.rglob("*.py"))
    assert files
    complaints = [
        complaint
        for path in files
        for complaint in wrong_imports(
            path.read_text(encoding="utf-8"), module_name(path, PACKAGE), is_package=path.name == "__init__.py"
        )
    ]
    assert not complaints, "\n".join(complaints)


def test_the_arrows_have_no_cycle_and_name_only_parts_in_the_table() -> None:
    seen: set[str] = set()
    remaining = dict(ARROWS)
    while ready := [part for part, below in remaining.items() if below <= seen]:
        seen.update(ready)
        for part in ready:
            del remaining[part]
    assert not remaining


@pytest.mark.parametrize(
    ("module", "source"),
    [
        pytest.param("evalguard.core.trace", "import tensorflow", id="core-takes-a-framework"),
        pytest.param("evalguard.core.trace", "def f():\n    import xxhash", id="inside-a-function"),
        pytest.param("evalguard.core.trace", "from evalguard.capture.probes import arrays", id="core-looks-up"),
        pytest.param("evalguard.core.trace", "from evalguard import Verdict", id="core-takes-the-public-names"),
        pytest.param("evalguard.core.trace", "from ..guards.guard import Guard", id="relative"),
        pytest.param("evalguard.core.trace", "from .. import guards", id="relative-to-the-package"),
        pytest.param("evalguard.labels.labels", "from ..capture.tags import tagged", id="labels-take-capture"),
        pytest.param(
            "evalguard.capture.engines.keras3", "import evalguard.tracking.slots", id="capture-takes-tracking"
        ),
        pytest.param(
            "evalguard.reporting.file_sink",
            "if TYPE_CHECKING:\n    from evalguard.capture.probes.base import Probe",
            id="for-its-type-only",
        ),
        pytest.param("evalguard.guards.guard", "from evalguard.step import run", id="guard-takes-the-step"),
        pytest.param("evalguard.core.trace", 'X = "evalguard.capture.probes.arrays:ArrayProbe"', id="registry-entry"),
        pytest.param(
            "evalguard.core.trace", 'importlib.import_module("evalguard.tracking.mlflow_sink")', id="import-module-call"
        ),
        pytest.param(
            "evalguard.errors",
            "if TYPE_CHECKING:\n    from evalguard.core.report import Report",
            id="errors-look-up-for-a-type",
        ),
        pytest.param("evalguard.nowhere", "import json", id="part-without-a-place"),
    ],
)
def test_an_import_against_the_arrows_is_seen(module: str, source: str) -> None:
    assert wrong_imports(source, module)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        pytest.param("evalguard.core.trace", "import json\nimport numpy as np", id="core-and-numpy"),
        pytest.param(
            "evalguard.core.trace", "from . import label_table\nfrom .label_table import LabelTable", id="siblings"
        ),
        pytest.param(
            "evalguard.guards.guard", "from evalguard.capture.engines import keras3", id="guard-takes-an-engine"
        ),
        pytest.param(
            "evalguard.capture.probes.tf_data", "def f():\n    import tensorflow as tf", id="probe-and-its-framework"
        ),
    ],
)
def test_an_import_along_the_arrows_is_let_through(module: str, source: str) -> None:
    assert wrong_imports(source, module) == []


def test_one_module_knows_duckdb() -> None:
    found = [
        module
        for path in sorted(PACKAGE.rglob("*.py"))
        if "duckdb"
        in imported_modules(ast.parse(path.read_text(encoding="utf-8")), module := module_name(path, PACKAGE))
    ]
    assert found == ["evalguard.data.stored_keys"]


def import_time_statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that run when a module is imported: none inside functions or ``if TYPE_CHECKING:``."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        yield node
        for name in ("body", "orelse", "finalbody", "handlers"):
            typing_only = isinstance(node, ast.If) and name == "body" and "TYPE_CHECKING" in ast.unparse(node.test)
            if not typing_only:
                yield from import_time_statements(getattr(node, name, []))


def imports_at_import_time(source: str, module: str, known: frozenset[str], *, is_package: bool = False) -> set[str]:
    """The modules among ``known`` that importing a module imports by name.

    The packages above them do not count: Python runs those before the module in any case.
    """
    found = set()
    for statement in import_time_statements(ast.parse(source).body):
        if isinstance(statement, ast.Import | ast.ImportFrom):
            for target in imported_modules(statement, module, is_package=is_package):
                found.add(target if target in known else target.rpartition(".")[0])
    return (found & known) - {module}


def modules_in_circles(imports: dict[str, set[str]]) -> dict[str, list[str]]:
    """The modules that import one another in a circle, or import such modules → what they import of those."""
    remaining = dict(imports)
    while ready := [module for module, below in remaining.items() if not below & remaining.keys()]:
        for module in ready:
            del remaining[module]
    return {module: sorted(below & remaining.keys()) for module, below in remaining.items()}


def test_no_modules_import_one_another_in_a_circle() -> None:
    files = {module_name(path, PACKAGE): path for path in PACKAGE.rglob("*.py")}
    assert len(files) > 100
    imports = {
        module: imports_at_import_time(
            path.read_text(encoding="utf-8"), module, frozenset(files), is_package=path.name == "__init__.py"
        )
        for module, path in files.items()
    }
    assert any(imports.values())
    assert modules_in_circles(imports) == {}


@pytest.mark.parametrize(
    ("first", "second", "in_a_circle"),
    [
        pytest.param("from evalguard.core.b import B", "import evalguard.core.a", True, id="both-at-the-top"),
        pytest.param("from .b import B", "from . import a", True, id="relative"),
        pytest.param("class A:\n    from . import b", "try:\n    from . import a\nexcept E: ...", True, id="nested"),
        pytest.param("from . import b", "def f():\n    from . import a", False, id="one-inside-a-function"),
        pytest.param("from . import b", "if TYPE_CHECKING:\n    from . import a", False, id="one-for-its-type-only"),
        pytest.param("from . import b", "from evalguard import core", False, id="their-package"),
    ],
)
def test_a_circle_of_imports_is_found(first: str, second: str, *, in_a_circle: bool) -> None:
    sources = {"evalguard.core.a": first, "evalguard.core.b": second}
    imports = {name: imports_at_import_time(text, name, frozenset(sources)) for name, text in sources.items()}
    assert bool(modules_in_circles(imports)) is in_a_circle


def defined_names(source: str) -> set[str]:
    """The classes of a module at any depth, and its type aliases (assigned names in CamelCase)."""
    tree = ast.parse(source)
    classes = {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    targets = [target for node in tree.body if isinstance(node, ast.Assign) for target in node.targets]
    assigned = {target.id for target in targets if isinstance(target, ast.Name)}
    return classes | {name for name in assigned if re.fullmatch(r"_?[A-Z]\w*[a-z]\w*", name)}


def test_each_class_and_type_alias_has_a_name_of_only_one_meaning() -> None:
    where: dict[str, list[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for name in defined_names(path.read_text(encoding="utf-8")):
            where.setdefault(name, []).append(str(path.relative_to(PACKAGE)))
    assert len(where) > 100
    twins = {name: paths for name, paths in where.items() if len(paths) > 1}
    assert {name: paths for name, paths in twins.items() if name not in TWINS} == {}
    assert set(TWINS) - set(twins) == set(), "listed, but now of one module only: take them off the list"


def test_a_name_of_two_meanings_is_found() -> None:
    assert defined_names("class A: ...\nPage = dict[str, int]\nMAX = 3\ndef f():\n    class Page2: ...") == {
        "A",
        "Page",
        "Page2",
    }


def test_a_long_module_says_why_it_is_long() -> None:
    long = {
        str(path.relative_to(PACKAGE)): ast.get_docstring(ast.parse(text)) or ""
        for path in sorted(PACKAGE.rglob("*.py"))
        if len((text := path.read_text(encoding="utf-8")).splitlines()) > MAX_LINES
    }
    sentence = rf"Longer than {MAX_LINES} lines because \w+ \w+"
    assert [name for name, docstring in long.items() if not re.search(sentence, docstring)] == []


def test_the_package_has_few_entries_at_its_top() -> None:
    entries = {path.name for path in PACKAGE.iterdir()} - {"py.typed", "__pycache__"}
    assert entries
    assert len(entries) <= MAX_ENTRIES, f"{sorted(entries)}: which room does the new one belong to?"


def has_code(path: Path) -> bool:
    """Whether a module holds anything but its docstring."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return any(not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)) for node in body)


def file_of_tests(module: Path) -> Path:
    """``core/columns/test_chunks.py`` for ``core/columns/chunks.py``; ``core/test_diagnosis.py`` for that package."""
    module = module.relative_to(PACKAGE)
    named = module.parent if module.stem == "__init__" else module.with_suffix("")
    return named.with_name(f"test_{named.name}.py")


@pytest.mark.parametrize("room", ["capture", "core", "data", "guards"])
def test_every_module_of_these_rooms_has_a_test_file(room: str) -> None:
    modules = [path for path in sorted((PACKAGE / room).rglob("*.py")) if path.name != "__init__.py" or has_code(path)]
    assert modules
    missing = [f"tests/{test}" for test in map(file_of_tests, modules) if not (TESTS / test).is_file()]
    assert not missing, "\n".join(missing)


@pytest.mark.parametrize(
    ("module", "test"),
    [
        ("core/trace.py", "core/test_trace.py"),
        ("core/columns/chunks.py", "core/columns/test_chunks.py"),
        ("core/diagnosis/__init__.py", "core/test_diagnosis.py"),
    ],
)
def test_a_module_has_its_test_file_in_the_same_place(module: str, test: str) -> None:
    assert file_of_tests(PACKAGE / module) == Path(test)


def test_importing_evalguard_loads_no_framework_and_nothing_slow() -> None:
    program = f"import sys, json, evalguard; print(json.dumps([m for m in {LATER} if m in sys.modules]))"
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert json.loads(output) == []


def test_every_exported_name_resolves_and_is_exported_once() -> None:
    evalguard = importlib.import_module("evalguard")
    assert len(set(evalguard.__all__)) == len(evalguard.__all__)
    assert [name for name in evalguard.__all__ if not hasattr(evalguard, name)] == []


def test_every_public_attribute_is_exported() -> None:
    """A name one can reach but that ``__all__`` hides is public by accident."""
    evalguard = importlib.import_module("evalguard")
    reachable = {
        name for name, value in vars(evalguard).items() if not name.startswith("_") and not inspect.ismodule(value)
    }
    assert reachable - set(evalguard.__all__) == set()


def test_every_module_of_guards_has_a_test_file_of_the_same_name() -> None:
    modules = {path.stem for path in (PACKAGE / "guards").glob("*.py")} - {"__init__"}
    tests = {path.stem.removeprefix("test_") for path in (PACKAGE.parent / "tests" / "guards").glob("test_*.py")}
    assert modules
    assert modules - tests == set()


def public_objects() -> list[tuple[str, object]]:
    """The classes and functions of ``__all__``, by name."""
    evalguard = importlib.import_module("evalguard")
    objects = [(name, getattr(evalguard, name)) for name in evalguard.__all__]
    return [(name, value) for name, value in objects if inspect.isclass(value) or inspect.isroutine(value)]


def test_every_public_name_is_documented() -> None:
    objects = public_objects()
    assert objects
    # Not inspect.getdoc, which would count a base class's docstring; and not the one that a dataclass makes up.
    bare = [
        name
        for name, value in objects
        if not (value.__doc__ or "").strip() or (value.__doc__ or "").startswith(f"{name}(")
    ]
    assert bare == []


def test_every_public_method_is_documented() -> None:
    bare = [
        f"{name}.{attribute}"
        for name, value in public_objects()
        if inspect.isclass(value)
        for attribute, member in vars(value).items()
        if not attribute.startswith("_")
        and (inspect.isroutine(member) or isinstance(member, property | staticmethod | classmethod))
        and not (member.__doc__ or "").strip()
    ]
    assert bare == []
