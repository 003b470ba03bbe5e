"""Options without effect are accepted until 0.2, with a warning, in Python and in a step file."""

import re

import pytest

import evalguard
from evalguard import Verdict
from evalguard.guards.dropped_options import DROPPED
from evalguard.guards.options import option_names
from evalguard.step.config import read
from tests.guards.streams import X, Y, dataset, faulty

CONTENTS = ["all", "sample:0.01", None]
ALWAYS = "every row is always recognised by its content"
MEMORY = "deprecated and goes away in 0.2: it has no effect any more; columns above 256 MB are kept in a temporary file"
STEP = "version: 1\nmodel: {path: m.keras}\ndata: {arrays: x.npy}\nlabels: {path: y.npy}\nchecks: CHECKS\n"


def test_no_option_without_effect_is_an_option():
    assert not set(option_names()) & DROPPED.keys()


@pytest.mark.parametrize("content", CONTENTS)
def test_every_row_is_recognised_whatever_content_says(model, content):
    given = {"labels": Y, "reference": X, "content": content, "require": "sample", "mlflow": False}
    with pytest.warns(DeprecationWarning, match=re.escape(f"goes away in 0.2: {ALWAYS}")) as caught:
        g = evalguard.guard(**given, on_failure="record")
    assert caught[0].filename == __file__
    with g:
        model.predict(dataset(), verbose=0)
    assert (g.report.verdict, g.report.proof) == (Verdict.PASS, "identity")
    with g:
        model.predict(faulty("swapped_rows"), verbose=0)
    assert g.report.verdict is Verdict.FAIL


def test_a_variant_and_a_wrapped_model_accept_it_too():
    for make in (evalguard.guard().with_options, lambda **options: evalguard.wrap(None, **options).guard):
        with pytest.warns(DeprecationWarning, match="the option 'content' is deprecated") as caught:
            made = make(content="all", require="count")  # type: ignore[call-arg]
        assert (made.options.require, "content" in made.options.given()) == ("count", False)
        assert caught[0].filename == __file__


@pytest.mark.parametrize("content", CONTENTS)
def test_a_step_file_accepts_it_with_the_same_warning(tmp_path, content):
    path = tmp_path / "step.yaml"
    path.write_text(STEP.replace("CHECKS", f"{{content: '{content}', require: sample}}"))
    with pytest.warns(
        DeprecationWarning, match=re.escape(f"checks.content is deprecated and goes away in 0.2: {ALWAYS}")
    ):
        checks = read.read_all(path)[0].checks
    assert checks.model_dump(exclude_defaults=True) == {"require": "sample"}


@pytest.mark.parametrize("size", ["512 MiB", 1, None])
@pytest.mark.parametrize("make", [evalguard.guard, lambda **options: evalguard.wrap(None, **options)])
def test_trace_memory_warns_whatever_it_says(make, size):
    with pytest.warns(DeprecationWarning, match=f"the option 'trace_memory' is {MEMORY}") as caught:
        make(trace_memory=size)
    assert caught[0].filename == __file__


def test_a_guard_of_validations_accepts_trace_memory():
    with pytest.warns(DeprecationWarning, match=f"the option 'trace_memory' is {MEMORY}") as caught:
        evalguard.ValidationGuard(trace_memory="2 GB")
    assert caught[0].filename == __file__


def test_a_step_file_accepts_trace_memory(tmp_path):
    path = tmp_path / "step.yaml"
    path.write_text(STEP.replace("CHECKS", "{trace_memory: 512 MiB, require: count}"))
    with pytest.warns(DeprecationWarning, match=rf"checks\.trace_memory is {MEMORY}"):
        checks = read.read_all(path)[0].checks
    assert checks.model_dump(exclude_defaults=True) == {"require": "count"}
