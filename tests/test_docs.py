"""docs/ does what it says: its Python and its commands are run in order, its reference is the one of the models."""

import importlib.util
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

import evalguard
from docs import make_references
from evalguard.cli.app import cli
from evalguard.core.policy import Proof
from evalguard.step.config.markdown import markdown
from evalguard.step.config.read import read_all
from evalguard.step.exit_codes import DoctorExit, ExitCode, GateExit, ViewExit

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
RECIPES = [*sorted((DOCS / "recipes").glob("*.md")), DOCS / "right-rows-wrong-number.md"]
BLOCK = re.compile(
    r"^```(?P<language>\w+)(?: exit=(?P<code>\d)| needs=(?P<needs>\S+))?\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)


def anchor_of(title: str) -> str:
    """Where a heading is found on a page, as code-hosting sites have it."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


@pytest.mark.slow
def test_getting_started_gets_started(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "docs"}
    shown = ""
    blocks = list(BLOCK.finditer((DOCS / "getting-started.md").read_text(encoding="utf-8")))
    assert len(blocks) == 11
    for block in blocks:
        if block["language"] == "python":
            exec(compile(block["text"], "getting-started.md", "exec"), namespace)  # noqa: S102 - our own page
        elif block["language"] == "text":
            assert block["text"] in shown
        else:
            (command,) = block["text"].splitlines()
            name, *arguments = shlex.split(command, comments=True)
            assert name == "evalguard"
            done = CliRunner().invoke(cli, arguments)
            assert done.exit_code == int(block["code"] or 0), (command, done.output)
            shown = "\n".join(line.partition(": ")[2] for line in done.output.splitlines()) + "\n"
    assert (tmp_path / "evalguard-out" / "predictions.parquet").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("page", ["python-guide.md", "gate.md"])
def test_the_python_of_a_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "docs"}
    blocks = [
        block for block in BLOCK.finditer((DOCS / page).read_text(encoding="utf-8")) if block["language"] == "python"
    ]
    assert blocks
    for block in blocks:
        exec(compile(block["text"], page, "exec"), namespace)  # noqa: S102 - our own page


@pytest.mark.slow
def test_what_is_proven_is_what_the_page_says(capsys):
    namespace: dict[str, object] = {"__name__": "docs"}
    blocks = list(BLOCK.finditer((DOCS / "proofs.md").read_text(encoding="utf-8")))
    languages = [block["language"] for block in blocks]
    assert languages == ["python", *["python", "text"] * 5]
    for block in blocks:
        if block["language"] == "python":
            exec(compile(block["text"], "proofs.md", "exec"), namespace)  # noqa: S102 - our own page
        else:
            assert capsys.readouterr().out == block["text"]


@pytest.mark.slow
@pytest.mark.parametrize("page", RECIPES, ids=lambda page: page.stem)
def test_a_recipe_prints_what_its_page_says(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "docs"}
    text = page.read_text(encoding="utf-8")
    shown = ""
    for block in BLOCK.finditer(text):
        if block["language"] == "text":
            assert shown == block["text"]
        else:
            # Blank lines in front, so that a traceback names the page's own line.
            code = "\n" * text.count("\n", 0, block.start("text")) + block["text"]
            exec(compile(code, page.name, "exec"), namespace)  # noqa: S102 - our own page
            shown = capsys.readouterr().out
    assert shown


# An image iterator is a PyDataset whose base class was never told its options.
@pytest.mark.filterwarnings(r"ignore:Your `PyDataset` class should call:UserWarning")
@pytest.mark.slow
def test_each_kind_of_source_is_guarded_as_its_page_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "docs"}
    page, shown = (DOCS / "sources.md").read_text(encoding="utf-8"), ""
    for block in BLOCK.finditer(page):
        if block["language"] == "text":
            assert shown == block["text"]
        elif all(importlib.util.find_spec(name) for name in (block["needs"] or "").split(",") if name):
            # Blank lines in front, so that a traceback names the page's own line.
            code = "\n" * page.count("\n", 0, block.start("text")) + block["text"]
            exec(compile(code, "sources.md", "exec"), namespace)  # noqa: S102 - our own page
            shown = capsys.readouterr().out


def test_each_kind_of_source_is_in_the_table_of_its_page():
    page = (DOCS / "sources.md").read_text(encoding="utf-8")
    anchors = re.findall(r"^\| .* \| \[.*?\]\(#(.+?)\) \|", page, re.MULTILINE)
    assert anchors == [anchor_of(title) for title in re.findall(r"^## (.+)$", page, re.MULTILINE)]


def test_every_proof_is_on_its_page():
    page = (DOCS / "proofs.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == list(Proof)


def test_the_reference_is_that_of_the_models():
    page = (DOCS / "step-file.md").read_text(encoding="utf-8")
    assert page.endswith(markdown()), "make it again: make docs"


def test_the_python_reference_is_that_of_the_docstrings():
    assert (DOCS / "python.md").read_text(encoding="utf-8") == make_references.markdown(), "make it again: make docs"


def test_a_public_name_without_a_place_in_the_reference_is_noticed(monkeypatch):
    monkeypatch.setattr("evalguard.__all__", [*evalguard.__all__, "new"])
    with pytest.raises(ValueError, match="new"):
        make_references.markdown()


def test_make_docs_writes_both_references(tmp_path, monkeypatch):
    before = (DOCS / "step-file.md").read_text(encoding="utf-8")
    (tmp_path / "step-file.md").write_text(before.replace("| `path` |", "| `old` |"), encoding="utf-8")
    monkeypatch.setattr(make_references, "DOCS", tmp_path)
    make_references.main()
    for page in ("step-file.md", "python.md"):
        assert (tmp_path / page).read_text(encoding="utf-8") == (DOCS / page).read_text(encoding="utf-8")


def test_the_step_files_of_the_reference_are_valid(tmp_path):
    blocks = [
        block["text"] for block in BLOCK.finditer((DOCS / "step-file.md").read_text()) if block["language"] == "yaml"
    ]
    assert len(blocks) == 2
    for text in blocks:
        path = tmp_path / "step.yaml"
        path.write_text(text)
        assert read_all(path)


@pytest.mark.parametrize(
    ("table", "codes", "arguments"),
    [
        pytest.param("`evalguard run`, `evalguard check`", ExitCode, (), id="run-and-check"),
        pytest.param("`evalguard gate`", GateExit, ("gate",), id="gate"),
        pytest.param("`evalguard view`", ViewExit, ("view",), id="view"),
        pytest.param("`evalguard doctor`", DoctorExit, ("doctor",), id="doctor"),
    ],
)
def test_each_exit_code_means_the_same_on_its_page_and_in_the_help(table, codes, arguments):
    page = (DOCS / "exit-codes.md").read_text(encoding="utf-8")
    section = page.partition(f"| code | {table} |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| (\d) \| ([^|]+) \|", section, re.MULTILINE)
    assert [int(number) for number, _ in rows] == [code.value for code in codes]
    told = CliRunner().invoke(cli, [*arguments, "--help"]).output
    for (_, said), code in zip(rows, codes, strict=True):
        assert said.startswith(code.meaning)
        assert f"  {code.value}  {code.meaning}\n" in told


def test_every_command_ends_with_a_code_of_the_one_list():
    numbers = re.compile(r"\breturn \d|sys\.exit\(\d")
    assert [path.name for path in (ROOT / "evalguard" / "cli").glob("*.py") if numbers.search(path.read_text())] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_within_a_page_lead_to_a_heading(page):
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    anchors: list[str] = []
    for title in re.findall(r"^#+ (.+)$", text, re.MULTILINE):
        before = [anchor for anchor in anchors if re.fullmatch(re.escape(anchor_of(title)) + r"(-\d+)?", anchor)]
        anchors.append(anchor_of(title) + (f"-{len(before)}" if before else ""))
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= set(anchors)


def test_every_page_is_in_the_index():
    listed = re.findall(r"^\| \[(.+?)\]\(\1\) \|", (DOCS / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted(str(page.relative_to(DOCS)) for page in PAGES if page.name != "README.md")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target
