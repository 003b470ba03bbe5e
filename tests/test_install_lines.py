"""Every line that installs evalguard installs this project: `evalguard` on the package index is another one."""

import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OURS, FOREIGN = "keras-evalguard", "evalguard"

# `pip install …`, also as items of a list: "-m", "pip", "install", … `uninstall` is not one of the words.
COMMAND = re.compile(
    r"""(?P<tick>`[%!]?(?:python\S*\s+-m\s+)?)?
    \b(?:(?:pip[\d.]*|pipx|uv|poetry|pdm|conda|mamba|micromamba)(?:["',\s]+(?:pip|tool))?
    (?:["',\s]+-[-\w=]+)*["',\s]+(?:install|add|inject|upgrade)|uvx|pipx["',\s]+run)\b""",
    re.VERBOSE,
)
# A requirement wherever it stands: with extras, a version or an address.
PINNED = re.compile(
    r"""(?<![\w./-])evalguard\s*
    (?:\[[a-z0-9,\ _-]+\](?=[\s"'`=<>~!;,)\]]|$)
    |(?:===?|[~<>!]=|[<>])\s*\d|@\s*(?:git\+|https?:|file:)|=\s*["'][\^~*\d])""",
    re.MULTILINE | re.VERBOSE,
)
# Names of lists of requirements, in Python, TOML, YAML and JSON.
LIST = re.compile(
    r"\b(?:packages_to_install|\w*requirements|install_requires|[\w-]*dependencies|deps)[\"']?\s*[=:]\s*"
    r"[\[({](?P<items>[^\])}]*)[\])}]"
)
# An item of a YAML list, or a line of a requirements file.
ITEM = re.compile(r"^\s*-\s+[\"']?evalguard[\"']?\s*(?:#.*)?$", re.MULTILINE)
LINE = re.compile(r"^evalguard\s*(?:[#;].*)?$", re.MULTILINE)


def joined(text: str) -> str:
    """A text without the line breaks that do not end a command."""
    text = text.replace("\\n", "\n")  # a notebook's cells are JSON
    text = re.sub(r"\\[ \t]*\n", " ", text)
    # "pip install " on one line and "evalguard" on the next are one string in Python.
    return re.sub(r"""(["'])[ \t]*\n[ \t]*[rbfu]*\1""", "", text)


def commands(text: str) -> Iterator[tuple[str, list[str]]]:
    """Every command that installs something: as it is written, and its arguments without quotes."""
    text = joined(text)
    for match in COMMAND.finditer(text):
        # Prose may be wrapped inside of backticks; elsewhere a command ends with its line.
        rest = re.split("`" if match["tick"] else r"[`;&|#\n]", text[match.end() :], maxsplit=1)[0]
        words = (word.strip("\"'`,(){}:") for word in rest.split())
        yield " ".join((match[0] + rest).split()), [word for word in words if word]


def project(word: str) -> str:
    """``keras-evalguard`` for ``Keras_EvalGuard[keras2]>=0.1``; as it stands for a path."""
    name = re.match(r"[A-Za-z0-9._-]*[A-Za-z0-9](?![\w./-]*/)", word)
    return re.sub(r"[-_.]+", "-", name[0]).lower() if name else word


def of_a_checkout(words: list[str]) -> bool:
    return any(re.fullmatch(r"\.(?:\[.+\])?", word) for word in words)


def foreign_installs(text: str, name: str = "README.md") -> list[str]:
    """What would install the other project, as it is written."""
    found = [command for command, words in commands(text) if FOREIGN in map(project, words)]
    found += [match[0].strip() for match in PINNED.finditer(text)]
    for match in LIST.finditer(text):
        items = re.split(r"[,\n]", match["items"])
        found += [" ".join(match[0].split()) for item in items if item.partition("#")[0].strip(" \t\"'") == FOREIGN]
    found += [match[0].strip() for match in ITEM.finditer(text)]
    if "requirements" in name or "constraints" in name:
        found += [match[0].strip() for match in LINE.finditer(text)]
    return found


def without_a_checkout_first(text: str) -> list[str]:
    """Commands that install `keras-evalguard`, where the one before is not `pip install .`: it is not published yet."""
    found: list[str] = []
    before: list[str] = []
    for command, words in commands(text):
        if OURS in map(project, words) and not of_a_checkout(before):
            found.append(command)
        before = words
    return found


def text_files() -> dict[str, str]:
    """The text of every tracked file, by its path; of every file in an unpacked sdist, which has no git.

    This file is left out: it holds what must be found.
    """
    if (ROOT / ".git").exists():
        command = ["git", "ls-files", "-z"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        paths = [ROOT / name for name in done.stdout.split("\0") if name]
    else:
        paths = [path for path in ROOT.rglob("*") if not path.relative_to(ROOT).parts[0].startswith(".")]
    texts = {}
    for path in paths:
        if path.is_file() and path != Path(__file__).resolve():
            try:
                texts[path.relative_to(ROOT).as_posix()] = path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue  # a picture
    return texts


def test_no_file_installs_the_project_of_the_same_name() -> None:
    found = {name: foreign_installs(text, name) for name, text in text_files().items()}
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_every_file_installs_a_checkout_before_the_distribution_that_is_not_published() -> None:
    found = {name: without_a_checkout_first(text) for name, text in text_files().items()}
    assert {name: lines for name, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        "docs/getting-started.md",
        "docs/sources.md",
        "examples/pipelines/github_actions/evaluate.yml",
        "examples/pipelines/kfp/component.py",
    ],
)
def test_a_page_that_installs_evalguard_has_both_ways(name: str) -> None:
    words = [words for _, words in commands((ROOT / name).read_text(encoding="utf-8"))]
    assert any(map(of_a_checkout, words))
    assert any(OURS in map(project, line) for line in words)


def test_the_distribution_has_its_own_name_and_keeps_module_and_command() -> None:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert pyproject["project"]["name"] == OURS
    assert list(pyproject["project"]["scripts"]) == ["evalguard"]
    assert [Path(package).name for package in pyproject["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]] == [
        "evalguard"
    ]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("pip install evalguard", id="plain"),
        pytest.param("pip install evalguard          # in a checkout: pip install .", id="with-a-comment"),
        pytest.param("in an empty folder (`pip install evalguard`)", id="inline"),
        pytest.param('`pip install "evalguard[keras2]"`; all the above', id="extra"),
        pytest.param("pip install -q --no-deps pandas 'evalguard>=0.1'", id="after-options"),
        pytest.param("pip install EvalGuard", id="not-normalised"),
        pytest.param("python3 -m pip install -U evalguard", id="module"),
        pytest.param("pip --no-input install evalguard", id="option-before-the-command"),
        pytest.param("pip3.11 install evalguard\n", id="versioned-pip"),
        pytest.param("uv pip install evalguard", id="uv-pip"),
        pytest.param("uv add evalguard", id="uv-add"),
        pytest.param("uvx evalguard run step.yaml", id="uvx"),
        pytest.param("pipx run evalguard gate", id="pipx-run"),
        pytest.param("poetry add evalguard", id="poetry"),
        pytest.param("conda install -c conda-forge evalguard", id="conda"),
        pytest.param("Install it (`pip install\nevalguard`), then", id="wrapped-prose"),
        pytest.param("pip install \\\n    evalguard", id="continued-line"),
        pytest.param("'pip install -q evalguard; status=0; evalguard run'", id="shell-in-a-string"),
        pytest.param('msg = "pip install "\n    "evalguard"', id="string-in-two-parts"),
        pytest.param("- run: pip install evalguard && evalguard run x.yaml", id="workflow"),
        pytest.param('["python", "-m", "pip", "install", "evalguard"]', id="arguments-of-a-process"),
        pytest.param('"!pip install evalguard\\n",', id="notebook"),
        pytest.param("%pip install evalguard", id="notebook-magic"),
        pytest.param("evalguard==0.1.0", id="pinned"),
        pytest.param("  evalguard ~= 0.1", id="compatible"),
        pytest.param('dependencies = ["evalguard[png]", "x"]', id="toml-with-an-extra"),
        pytest.param('evalguard = "^0.1"', id="poetry-table"),
        pytest.param("evalguard @ git+https://example.org/evalguard", id="address"),
        pytest.param('@dsl.component(packages_to_install=["pandas", "evalguard"])', id="kfp-packages"),
        pytest.param(
            'log_model(model, pip_requirements=[\n    "mlflow",\n    "evalguard",\n])', id="mlflow-requirements"
        ),
        pytest.param('PythonVirtualenvOperator(requirements=["evalguard"])', id="airflow-requirements"),
        pytest.param("additional_dependencies: [evalguard]", id="yaml-flow"),
        pytest.param("dependencies:\n  - pip:\n    - evalguard\n", id="conda-environment"),
    ],
)
def test_an_install_of_the_project_of_the_same_name_is_found(text: str) -> None:
    assert foreign_installs(text)


def test_a_bare_line_of_a_requirements_file_is_found() -> None:
    assert foreign_installs("pandas\nevalguard  # the guard\n", "requirements-dev.txt")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("pip install .", id="checkout"),
        pytest.param('pip install ".[keras2]" pandas', id="checkout-with-an-extra"),
        pytest.param('pip install "keras-evalguard[keras2]>=0.1"', id="ours"),
        pytest.param("pip install keras_evalguard", id="ours-not-normalised"),
        pytest.param("pip install dist/evalguard-0.1.0-py3-none-any.whl", id="file"),
        pytest.param("pip install . && evalguard run step.yaml", id="then-run"),
        pytest.param("`pip install .` in a checkout of evalguard", id="prose"),
        pytest.param("`pip uninstall evalguard`", id="uninstall"),
        pytest.param('dependencies = ["keras-evalguard"]', id="ours-in-a-list"),
        pytest.param('evalguard = "evalguard.cli:main"', id="script"),
        pytest.param('packages = ["evalguard"] # of the wheel', id="packages-of-a-wheel"),
        pytest.param("uses: example/evalguard@v1", id="action"),
        pytest.param("import evalguard\n", id="import"),
    ],
)
def test_another_line_is_let_through(text: str) -> None:
    assert foreign_installs(text) == []


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("pip install keras-evalguard", id="alone"),
        pytest.param("pip install keras-evalguard  # or: pip install .", id="wrong-order"),
        pytest.param(
            "pip install . pandas\npip install mlflow\npip install 'keras-evalguard[png]'", id="not-beside-it"
        ),
    ],
)
def test_the_unpublished_distribution_first_is_found(text: str) -> None:
    assert without_a_checkout_first(text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("pip install .  # once it is published: pip install keras-evalguard", id="comment"),
        pytest.param(
            "`pip install -e '.[png]'` in a checkout, later `pip install 'keras-evalguard[png]'`", id="extras"
        ),
        pytest.param("pip install pandas", id="none"),
    ],
)
def test_the_checkout_first_is_let_through(text: str) -> None:
    assert without_a_checkout_first(text) == []
