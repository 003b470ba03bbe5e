"""Fixes in the caller's words: what is really there, and no word that stands for something else."""

import pytest

from evalguard.core.diagnosis import catalogue
from evalguard.core.diagnosis.own_words import OwnWords, in_own_words, is_name
from evalguard.core.findings import Cause
from tests.core import signatures
from tests.core.diagnosis.causes import KINDS, named, of_kind
from tests.core.signatures import SIGNATURES, Setting

CALL = "net.predict(stream, steps=7, verbose=0)"
WORDS = OwnWords("evaluate.py:12", f"y_pred = {CALL}", CALL, "net", "stream", "y_test")


def said(before, after, words=WORDS, kind=""):
    remedy = in_own_words(
        Cause("c", certain=False, evidence="e", remedy=f"before: {before}\nafter:  {after}"), words, kind
    )
    lines = remedy.remedy.splitlines()
    return [lines[0].removeprefix("before: "), lines[1].removeprefix("after:  ")]


@pytest.mark.parametrize(
    ("before", "line", "expected"),
    [
        ("model.predict(x)", "evaluate.py:12", "model.predict(x)  # evaluate.py:12"),
        ("model(x)  # of one batch", "src/evaluate.py:7", "model(x)  # of one batch; src/evaluate.py:7"),
        ("model.predict(x)", "notebook cell:12", "model.predict(x)"),
        ("model.predict(x)", "<stdin>:1", "model.predict(x)"),
        ("model.predict(x)", "", "model.predict(x)"),
        ("x = x[order]", "evaluate.py:12", "x = x[order]"),
    ],
)
def test_the_line_of_the_call_stands_behind_it(before, line, expected):
    found = in_own_words(Cause("c", certain=False, evidence="e", remedy=f"before: {before}\nafter:  a"), OwnWords(line))
    assert found.remedy == f"before: {expected}\nafter:  a"
    assert in_own_words(found, OwnWords(line)) == found


@pytest.mark.parametrize(
    ("before", "after", "expected", "changed"),
    [
        pytest.param(
            "model.predict(gen, steps=7)  # gen = batches(...), used before",
            "model.predict(batches(...), steps=7)  # a new one",
            f"y_pred = {CALL}  # stream = batches(...), used before; evaluate.py:12",
            "y_pred = net.predict(batches(...), steps=7, verbose=0)  # a new one",
            id="another-source",
        ),
        pytest.param(
            "steps=50 // 8  # 6 batches",
            "steps=math.ceil(50 / 8)  # 7 batches",
            f"y_pred = {CALL}  # 6 batches; evaluate.py:12",
            "y_pred = net.predict(stream, steps=math.ceil(50 / 8), verbose=0)  # 7 batches",
            id="other-steps",
        ),
        pytest.param(
            "model.predict(batches, steps=7)",
            "model.predict(batches, steps=7)[:50]  # cut",
            f"y_pred = {CALL}  # evaluate.py:12",
            f"y_pred = {CALL}[:50]  # cut",
            id="its-rows",
        ),
        pytest.param(
            "model.predict(dataset, steps=7)",
            "model.predict(dataset)",
            f"y_pred = {CALL}  # evaluate.py:12",
            "y_pred = net.predict(stream, verbose=0)",
            id="without-steps",
        ),
        pytest.param(
            "model.predict(batches, workers=2)",
            "model.predict(batches, workers=1)",
            f"y_pred = {CALL}  # evaluate.py:12",
            "y_pred = net.predict(stream, steps=7, verbose=0, workers=1)",
            id="one-more-argument",
        ),
        pytest.param(
            "x = x[order]; model.predict(x)",
            "x = x[order]; y_true = y_true[order]; model.predict(x)  # or do not reorder x",
            f"stream = stream[order]; y_pred = {CALL}  # evaluate.py:12",
            f"stream = stream[order]; y_test = y_test[order]; y_pred = {CALL}  # or do not reorder stream",
            id="behind-other-statements",
        ),
        pytest.param(
            "gen = batches(...); model.predict(gen, steps=2); model.predict(gen, steps=5)",
            "model.predict(batches(...), steps=7)  # one call",
            "stream = batches(...); net.predict(stream, steps=2); net.predict(stream, steps=5)  # evaluate.py:12",
            "net.predict(batches(...), steps=7)  # one call",
            id="two-calls",
        ),
        pytest.param(
            "y_true = labels[...]  # in the order of labels",
            "y_true = labels.set_index('id').loc[keys]",
            "y_true = y_test[...]  # in the order of y_test",
            "y_true = y_test.set_index('id').loc[keys]",
            id="labels-as-a-table",
        ),
        pytest.param(
            "metric(y_true, y_pred)  # the labels of all",
            "metric(g.y_true, y_pred)  # not labels; labels.index",
            "metric(y_test, y_pred)  # the labels of all",
            "metric(g.y_true, y_pred)  # not labels; labels.index",
            id="words-that-are-no-names",
        ),
    ],
)
def test_the_fix_is_made_of_the_line_that_is_there(before, after, expected, changed):
    assert said(before, after, kind="arrays" if "x[order]" in before else "generator") == [expected, changed]


@pytest.mark.parametrize(
    "words",
    [
        OwnWords("evaluate.py:12"),
        OwnWords("evaluate.py:12", model="make()", source="x[::-1]"),
        OwnWords("evaluate.py:12", "net.predict(*given)", "net.predict(*given)"),
    ],
)
def test_what_is_no_name_replaces_none(words):
    lines = said(
        "x = x[order]; model.predict(x)", "x = x[order]; y_true = y_true[order]; model.predict(x)", words, "arrays"
    )
    assert "x = x[order]" in lines[0]
    assert "y_true = y_true[order]" in lines[1]
    assert lines[0].endswith("  # evaluate.py:12")


@pytest.mark.parametrize("words", [WORDS, OwnWords("a.py:1"), OwnWords("a.py:1", "m(b)", "m(b)", "m", "b"), OwnWords()])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("maker", SIGNATURES, ids=lambda maker: maker.__name__)
def test_every_fix_stays_two_lines_that_differ(maker, kind, words):
    case = maker(Setting(50, 8, kind, declared=True))
    for cause in () if case is None else named(of_kind(case, kind)):
        before, after = in_own_words(cause, words, kind).remedy.splitlines()
        assert before.startswith("before: ")
        assert after.startswith("after:  ")
        assert before.removeprefix("before: ") != after.removeprefix("after:  ")


# Code of a fix that is Python is still Python in the caller's words.
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("maker", SIGNATURES, ids=lambda maker: maker.__name__)
def test_no_fix_names_a_model_that_the_caller_has_not(maker, kind):
    case = maker(Setting(50, 8, kind, declared=True))
    for cause in () if case is None else named(of_kind(case, kind)):
        remedy = in_own_words(cause, WORDS, kind).remedy
        assert "model.predict" not in remedy
        assert "model(" not in remedy


@pytest.mark.parametrize(
    ("code", "name"), [("x", True), ("self.x", True), ("x[0]", False), ("f()", False), ("", False)]
)
def test_a_name_is_not_other_code(code, name):
    assert is_name(code) is name


def test_a_source_that_is_read_by_its_function_keeps_its_name():
    case = signatures.used_generator(Setting(50, 8, "generator", declared=True))
    assert case is not None
    remedy = in_own_words(named(case)[0], WORDS, "generator").remedy
    assert remedy.splitlines()[1].startswith("after:  y_pred = net.predict(batches(...), steps=7, verbose=0)")
    assert catalogue.texts()["not_at_start"]["cause"] == "iterator not at its start"
