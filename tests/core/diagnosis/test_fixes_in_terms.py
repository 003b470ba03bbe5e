"""Fixes for a step are YAML that the step file accepts, those for ``evalguard check`` are commands that run."""

import ast
import shlex
from dataclasses import replace

import numpy as np
import pytest
import yaml

from evalguard.cli.commands import check
from evalguard.core.diagnosis import catalogue
from evalguard.core.diagnosis.catalogue import FixNumber
from evalguard.core.trace import Trace
from evalguard.step.config.step_file import Step
from evalguard.step.fix_lines import written
from tests.core import signatures
from tests.core.diagnosis.causes import fix_of, in_terms, named, of_kind, view_of
from tests.core.signatures import SIGNATURES, Setting

STEP_KINDS = {"step", "rows in a step", "unnamed rows in a step", "unnamed in a step", "step with workers"}
COMMAND_KINDS = {"command", "command by row"}
BARE = {"version": 1, "model": {"path": "model.keras"}, "data": {"table": "rows.csv"}, "labels": {"path": "labels.csv"}}
# What the user's own code is called with or returns is mended there.
IN_PYTHON = {"return"}
VALUES = {
    **{
        name: FixNumber(7)
        for name in ("all", "batch", "by", "factor", "n", "row", "rows_n", "steps", "whole", "workers")
    },
    "called": "data: {table: rows.csv}",
    "column": "file",
    "given": "'labels.csv'",
    "label": "label",
    "which": "'a', 'b'",
    "again": "rows 8 to 15",
    "or_reference": "; checks.reference shows which of the two is wrong",
    "labels_file": "labels.csv",
    "options": " --key id",
    "predictions": "p.csv",
    "predictions_key": "id",
    "read_labels": "pd.read_csv('labels.csv')",
    "read_predictions": "pd.read_csv('p.csv')",
    "assigned": "table['file'] = table['file'].str.removeprefix('a/')",
}


def fixes(kinds):
    texts = catalogue.texts().items()
    return [(table, kind) for table, text in texts for kind in text.get("fix", {}) if kind in kinds]


def python_code(command):
    """The code of a ``python -c``, as a shell passes it on."""
    python, option, code = shlex.split(command, comments=True)
    assert (python, option) == ("python", "-c")
    return code


def is_shell(line):
    """Whether a line is a command that its program accepts."""
    program, *arguments = shlex.split(line, comments=True)
    if program == "python":
        ast.parse(python_code(line))
    elif program == "evalguard":
        assert check.make_context("check", arguments[1:]).params["predictions"]
    return program in {"python", "evalguard", "paste"}


@pytest.mark.parametrize(
    "given", [{}, {"checks": {"require": "identity", "padding": "forbid"}, "predict": {"steps": 2}}]
)
@pytest.mark.parametrize(("table", "kind"), fixes(STEP_KINDS))
def test_each_fix_of_a_step_is_a_section_that_the_step_file_accepts(table, kind, given):
    for line, changed in zip(catalogue.texts()[table]["fix"][kind], (False, True), strict=True):
        code, _, comment = written(given, line.format(**VALUES), changed).partition("  # ")
        if code.split()[0] in IN_PYTHON:
            continue
        ((section, options),) = yaml.safe_load(code).items()
        step = Step.model_validate({**BARE, section: options})
        removed = {name for name, value in yaml.safe_load(line.format(**VALUES))[section].items() if value is None}
        assert given.get(section, {}).keys() - removed <= getattr(step, section).model_fields_set
        assert not comment.startswith("python") or is_shell(comment)


@pytest.mark.parametrize(("table", "kind"), fixes(COMMAND_KINDS))
def test_each_fix_of_a_check_is_a_command(table, kind):
    assert all(is_shell(line.format(**VALUES)) for line in catalogue.texts()[table]["fix"][kind])


# A step predicts with one call, and evalguard makes the batches of what it reads.
NOT_OF_FILES = ("source ahead", "partial batch thrown away", "unordered queue")


@pytest.mark.parametrize("maker", SIGNATURES, ids=lambda maker: maker.__name__)
@pytest.mark.parametrize("kind", ["arrays", "tf.data"])
def test_a_step_that_reads_a_file_has_no_fix_in_python(maker, kind):
    for declared in (True, False):
        case = maker(Setting(50, 8, kind, declared=declared))
        for known in () if case is None else (case, replace(case, samples=None)):
            for cause in named(in_terms(of_kind(known, kind), "step")):
                if cause.cause.startswith(NOT_OF_FILES):
                    continue
                lines = [line.partition(":")[2].partition("  # ")[0] for line in cause.remedy.splitlines()]
                assert all(isinstance(yaml.safe_load(line), dict) for line in lines), cause


@pytest.mark.parametrize("keyed", [True, False])
@pytest.mark.parametrize("maker", SIGNATURES, ids=lambda maker: maker.__name__)
def test_a_check_of_tables_has_fixes_for_a_shell_only(maker, keyed):
    case = maker(Setting(50, 8, "unknown", declared=False))
    if case is None:
        return
    names = np.array([f"scan{number:03d}" for number in np.random.default_rng(1).permutation(50)])
    rows = np.array([names[sample] if 0 <= sample < 50 else f"new{sample}" for sample in case.samples])
    given = {"keys": rows} if keyed else {"index": case.samples}
    trace = Trace(len(rows), np.full(len(rows), -1), method="check", **given)
    case = replace(case, trace=trace, labels=replace(case.labels, keys=names if keyed else None))
    for cause in named(in_terms(case, "command")):
        before, after = cause.remedy.splitlines()
        assert is_shell(before.removeprefix("before: ")), cause
        assert is_shell(after.removeprefix("after:  ")), cause
    for cause in named(case):
        assert "model.predict" not in cause.remedy, cause


@pytest.mark.parametrize("name", ["it's.csv", 'a "b".csv', "$HOME.csv", "`id`.csv", "a b.csv", "back\\slash.csv"])
def test_a_shell_changes_nothing_in_a_name(name):
    read = catalogue.reader(name)
    view = in_terms(view_of(range(50)), "command", read_predictions=read, predictions=shlex.quote(name))
    before, after = fix_of(view, "in_label_order")
    assert shlex.split(before, comments=True)[2] == name
    code = ast.walk(ast.parse(python_code(after)))
    assert name in {part.value for part in code if isinstance(part, ast.Constant)}


@pytest.mark.parametrize("column", ["it's", 'the "id"', "$id", "a b", "id: 1, x", "{n}", "back\\slash", "#"])
def test_any_name_of_a_column_is_quoted(column):
    for of in ("step", "command"):
        view = in_terms(view_of(range(50)), of, predictions_key=column)
        view = replace(
            view, labels=replace(view.labels, keys=np.arange(50), origin=replace(view.labels.origin, key_column=column))
        )
        _, after = fix_of(view, "keyed_order")
        assert of == "step" or is_shell(after)


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("y.csv", "pd.read_csv('y.csv')"),
        ("y.parquet", "pd.read_parquet('y.parquet')"),
        ("y.jsonl", "pd.read_json('y.jsonl', lines=True)"),
        ("y.npy", "pd.DataFrame({'label': list(np.load('y.npy'))})"),
    ],
)
def test_a_table_is_read_by_pandas(name, read):
    assert catalogue.reader(name, "label") == read


def test_a_function_of_a_step_is_mended_in_python():
    case = signatures.shuffled(Setting(50, 8, "pydataset", declared=True))
    assert case is not None
    (cause, *_) = named(in_terms(case, "function"))
    assert "shuffle=False" in cause.remedy
