"""Tags of a run: what they say of its evaluations, computed by hand and by the code."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalguard.core.policy import Verdict
from evalguard.tracking.note import BEGIN, END, block, with_block
from evalguard.tracking.slots import (
    FIELDS,
    MAX_TAG,
    RANK,
    Slot,
    number,
    run_counts,
    run_tags,
    slots,
    slug,
    tags_of,
    worst,
)

VERDICTS = st.sampled_from(RANK)
NAMES = st.from_regex(r"[\w\-]{1,12}", fullmatch=True)
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=MAX_TAG)


def slot(name="digits", verdict="PASS", at=1, **more):
    return Slot(name, {"verdict": verdict, "checked_at_ms": str(at), "record": "r", "labels": "abc", **more})


def test_every_verdict_has_a_rank():
    assert {verdict.value for verdict in Verdict} < set(RANK)


@given(st.dictionaries(NAMES, st.fixed_dictionaries(dict.fromkeys(FIELDS, TEXTS)), max_size=4))
def test_what_is_written_as_tags_is_read_from_them(fields):
    written = {name: Slot(name, values) for name, values in fields.items()}
    tags = {key: value for item in written.values() for key, value in item.to_tags().items()}
    tags |= {"mlflow.note.content": "x", "evalguard.verdict": "PASS", "evalguard.a.b.verdict": "PASS"}
    assert slots(tags) == written


@given(
    st.dictionaries(NAMES, st.fixed_dictionaries(dict.fromkeys(FIELDS, TEXTS)), min_size=1, max_size=4), st.booleans()
)
def test_evaluations_that_are_written_one_after_the_other_are_read_again(fields, alone):
    tags: dict[str, str] = {}
    for name, values in fields.items():
        tags |= tags_of(Slot(name, values), tags, alone=alone)
    assert {name: dict(found.fields) for name, found in slots(tags).items()} == fields
    assert run_tags(slots(tags)).items() <= tags.items()


def test_a_run_of_one_evaluation_shows_each_field_once():
    one = slot(reason="count", counts="violations=2")
    tags = tags_of(one, {}, alone=True)
    assert {name for name in tags if name.count(".") > 1} == set()
    assert (tags["evalguard.evaluation"], tags["evalguard.counts"]) == ("digits", "violations=2")
    both = tags | tags_of(slot("other", at=2), tags, alone=True)
    assert {name: found["verdict"] for name, found in slots(both).items()} == {"digits": "PASS", "other": "PASS"}
    assert slots(both)["digits"]["counts"] == "violations=2"
    assert (both["evalguard.evaluation"], both["evalguard.counts"]) == ("", "")
    # In a run of others, another process may write at the same time.
    assert "evalguard.digits.verdict" in tags_of(one, {})


@given(st.lists(VERDICTS, min_size=1, max_size=6))
def test_a_run_is_a_pass_exactly_when_all_its_evaluations_are(verdicts):
    present = {f"e{number}": slot(f"e{number}", verdict) for number, verdict in enumerate(verdicts)}
    shown = run_tags(present)["evalguard.verdict"]
    assert (shown == "PASS") == (set(verdicts) == {"PASS"})
    assert (shown == "FAIL") == ("FAIL" in verdicts)
    assert shown in verdicts


@pytest.mark.parametrize("verdict", ["", "pass", "GOOD", "PASS "])
def test_an_unknown_verdict_is_the_worst(verdict):
    present = {"a": slot("a", "UNPROVEN"), "b": slot("b", verdict)}
    assert worst(present).name == "b"


def test_the_run_shows_the_later_of_two_equally_bad_evaluations():
    present = {"a": slot("a", "FAIL", at=5, reason="count"), "b": slot("b", "FAIL", at=4, reason="missing")}
    assert run_tags(present)["evalguard.reason"] == "count"


def test_the_counts_of_a_run_are_the_sum_over_its_evaluations():
    present = {"a": slot("a", counts="violations=2 n_labels=10"), "b": slot("b", counts="violations=1 n_labels=5")}
    assert run_counts(present | {"c": slot("c", "PENDING")}) == {"violations": 3, "n_labels": 15}


def test_a_count_that_an_evaluation_does_not_know_is_known_of_the_run_only_where_another_one_found_something():
    known = slot("a", counts="violations=2 missing=0 n_labels=10")
    unknown = slot("b", "UNPROVEN", counts="n_labels=5")
    assert run_counts({"a": known, "b": unknown}) == {"violations": 2, "n_labels": 15}
    assert run_counts({"b": unknown}) == {"n_labels": 5}
    assert run_counts({"b": slot("b", "ERROR")}) == {}


def test_the_run_names_the_models_of_all_its_evaluations():
    present = {"a": slot("a", model="m-2"), "b": slot("b", model="m-1"), "c": slot("c", "FAIL", model="")}
    assert run_tags(present)["evalguard.model"] == "m-1,m-2"


@given(st.text())
def test_a_slug_is_part_of_a_tag_and_of_a_path(name):
    made = slug(name)
    assert 0 < len(made) <= 80
    assert set(made) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


@pytest.mark.parametrize(("text", "value"), [("12", 12), ("", 0), ("-3", 0), ("1e3", 0), ("٣", 0), ("9" * 30, 0)])
def test_an_edited_number_is_not_an_error(text, value):
    assert number(text) == value


# -- the note -----------------------------------------------------------------------


def test_the_note_is_three_lines_with_verdict_labels_and_link():
    failed = slot(
        verdict="FAIL",
        proof="identity",
        reason="reordered",
        cause="shuffled",
        labels_name="y.csv",
        counts="n_labels=9 n_predictions=9",
    )
    lines = block({"digits": failed}, "#/experiments/1/runs/r", "report.html").split("\n")
    assert len(lines) == 3
    assert lines[0].startswith(
        "**evalguard: FAIL**, digits (9 predictions, reordered, proof identity), cause: shuffled"
    )
    assert lines[1].startswith("9 labels: y.csv, digest abc")
    assert lines[2] == "[Report](#/experiments/1/runs/r/artifacts/evalguard/digits/report.html)"


@pytest.mark.parametrize(
    "hostile", ["<script>alert(1)</script>", "![x](http://evil)", "<!-- evalguard:end -->", "`\n#"]
)
def test_a_hostile_name_is_inert_in_the_note(hostile):
    text = block({"digits": slot(labels_name=hostile, reason=hostile)}, "#/x", "report.html")
    assert "<" not in text
    assert "![" not in text
    assert len(text.split("\n")) == 3


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=30))
def test_the_users_own_text_stays_whatever_we_write(before, after, ours):
    ours = ours.replace(END, "")
    first = with_block(f"{before}{BEGIN}old{END}{after}", ours)
    assert first.startswith(before.split(BEGIN)[0])
    assert first.endswith(after)
    plain = before.replace(BEGIN, "")
    once = with_block(plain, "one")
    assert once.startswith(plain)
    assert with_block(once, "two") == once.replace("one", "two") if "one" not in plain else True


def test_the_note_is_written_once_however_often_it_is_written():
    text = with_block(with_block("mine", "a"), "b")
    assert text == f"mine\n\n{BEGIN}\nb\n{END}"
