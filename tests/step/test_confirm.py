"""``confirm`` of a step: what its own function scores is matched with what `predict` returned."""

import json

import pytest

from tests.step import digits

STEP = """\
version: 1
name: scored
model: {path: model.keras}
data: {call: loading:digits}
labels: {path: labels.npy}
confirm: CONFIRM
outputs: {directory: out}
mlflow: {enabled: false}
"""
MORE = """
def as_returned(y_pred):
    return y_pred

def with_labels(y_pred, reverse=False):
    return {"y_pred": y_pred[::-1] if reverse else y_pred, "y_true": Y}

def against_others(y_pred):
    return {"y_pred": y_pred, "y_true": np.roll(Y, 1)}

def averaged(y_pred):
    return (y_pred + y_pred[::-1]) / 2

def raises(y_pred):
    raise RuntimeError("the table is gone")

def misspelt(y_pred):
    return {"y_pred": y_pred, "labels": Y}

def last_rows_first():
    return Digits(np.arange(75)[::-1])

def turned(y_pred):
    return {"y_pred": y_pred[::-1], "y_true": Y}
"""


@pytest.fixture
def folder(forms, tmp_path):
    copy = digits.copied(forms, tmp_path / "digits")
    (copy / "loading.py").write_text((copy / "loading.py").read_text() + MORE)
    return copy


def run(folder, command, confirm, *more):
    (folder / "step.yaml").write_text(STEP.replace("CONFIRM", confirm))
    done = command("run", folder / "step.yaml", "-q", *more)
    report = folder / "out" / "report.json"
    return done, json.loads(report.read_text()) if report.is_file() else None


@pytest.mark.parametrize(
    ("confirm", "code", "verdict", "status"),
    [
        ("{call: loading:as_returned}", 0, "PASS", "declared"),
        ("{call: loading:with_labels}", 0, "PASS", "proven"),
        ("{call: loading:with_labels, args: {reverse: true}}", 1, "FAIL", "broken"),
        ("{call: loading:against_others}", 1, "FAIL", "broken"),
        ("{call: loading:averaged}", 3, "UNPROVEN", "not seen"),
    ],
)
def test_what_the_function_returns_is_confirmed(folder, command, confirm, code, verdict, status):
    done, report = run(folder, command, confirm)
    assert (done.exit_code, report["verdict"]) == (code, verdict), done.output
    assert report["chain"][-1]["link"] == "confirmed"
    assert report["chain"][-1]["status"] == status


def test_rows_that_the_function_puts_back_are_a_pass(folder, command):
    done, report = run(folder, command, "{call: loading:turned}", "--set", "data={call: 'loading:last_rows_first'}")
    assert (done.exit_code, report["verdict"], report["proof"]) == (0, "PASS", "identity"), done.output


@pytest.mark.parametrize(
    ("function", "said"),
    [("raises", "RuntimeError: the table is gone"), ("misspelt", "unexpected keyword argument 'labels'")],
)
def test_a_function_that_raises_leaves_the_scores_unproven(folder, command, function, said):
    done, report = run(folder, command, f"{{call: 'loading:{function}'}}")
    assert (done.exit_code, report["verdict"], report["chain"][-1]["status"]) == (3, "UNPROVEN", "not seen")
    assert said in done.output


def test_a_function_that_raises_does_not_hide_a_fail(folder, command):
    done, report = run(folder, command, "{call: loading:raises}", "--set", "data.args.swapped=true")
    assert (done.exit_code, report["verdict"]) == (1, "FAIL"), done.output


def test_a_function_that_does_not_exist_is_wrong_input(folder, command):
    done, report = run(folder, command, "{call: loading:nowhere}")
    assert (done.exit_code, report) == (2, None)
    assert "confirm: expected an importable 'loading:nowhere'" in done.output


def test_a_step_has_no_parts(folder, command):
    done, report = run(folder, command, "{call: loading:as_returned}", "--set", "checks.scope=parts")
    assert (done.exit_code, report) == (2, None)
    assert "'call' or 'session'" in done.output
