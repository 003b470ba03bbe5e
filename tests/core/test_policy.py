"""Verdicts, proofs and options."""

import operator

import pytest

from evalguard.core.policy import Policy, Proof, Verdict, listed
from evalguard.errors import ConfigError


@pytest.mark.parametrize("verdict", Verdict)
def test_a_verdict_is_not_a_truth_value(verdict):
    with pytest.raises(TypeError, match=r"compare with Verdict\.PASS"):
        bool(verdict)
    with pytest.raises(TypeError, match="not a truth value"):
        assert not verdict


def test_proofs_are_ordered_by_strength():
    assert Proof.NONE < Proof.COUNT < Proof.TRANSPORT < Proof.DECLARED < Proof.SAMPLE < Proof.LABELS < Proof.IDENTITY
    assert [str(proof) for proof in Proof] == ["identity", "labels", "sample", "declared", "transport", "count", "none"]
    assert sorted(Proof) == list(reversed(Proof))
    assert (max(Proof), min(Proof)) == (Proof.IDENTITY, Proof.NONE)


@pytest.mark.parametrize(
    ("names", "word", "shown"),
    [
        (["id", "label"], "lable", "'id', 'label'"),
        ([f"c{n}" for n in range(6)], "c9", "'c0', 'c1', 'c2', 'c3', 'c4', 'c5'"),
        ([*"abcdefg", "label", "labels"], "lable", "'label', 'labels', 'a' and 6 more"),
        ([*range(10)], 7, "7, 0, 1 and 7 more"),
        ([f"c{n}" for n in range(2000)], "", "'c0', 'c1', 'c2' and 1,997 more"),
        ([], "x", ""),
    ],
)
def test_a_long_list_of_names_is_cut_to_those_that_are_near(names, word, shown):
    assert listed(names, word, repr) == shown


@pytest.mark.parametrize("right", Proof)
@pytest.mark.parametrize("left", Proof)
def test_operators_compare_the_strength_of_proofs_and_of_their_words(left, right):
    strength = {proof: -number for number, proof in enumerate(Proof)}
    for compare in (operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne):
        expected = compare(strength[left], strength[right])
        assert compare(left, right) is expected
        # On the right, too: `str` would compare letters, if it were asked.
        assert compare(left, right.value) is expected
        assert compare(left.value, right) is expected


@pytest.mark.parametrize("other", ["", "label", "IDENTITY", "zzz", 3, None])
@pytest.mark.parametrize("compare", [operator.lt, operator.le, operator.gt, operator.ge])
def test_what_is_no_proof_has_no_strength(compare, other):
    with pytest.raises(ValueError, match="is not a valid Proof"):
        compare(Proof.LABELS, other)
    with pytest.raises(ValueError, match="is not a valid Proof"):
        compare(other, Proof.LABELS)
    assert other != Proof.LABELS


@pytest.mark.parametrize("require", ["identity", "labels", "sample", "declared", "transport", "count"])
def test_every_word_of_require_is_a_proof(require):
    assert Policy(require=require).required_proof is Proof(require)


@pytest.mark.parametrize(
    ("option", "value", "nearest"),
    [
        ("scope", "part", "'parts'"),
        ("require", "label", "'labels'"),
        ("on_failure", "rise", "'raise'"),
        ("on_unproven", "recrod", "'record'"),
        ("padding", "trimmed", "'trim'"),
        ("scope", "sesion", "'session'"),
        ("duplicate_inputs", True, None),
        ("require", "none", None),
        ("require", None, None),
    ],
)
def test_a_word_that_is_not_allowed_is_refused_with_the_nearest_that_is(option, value, nearest):
    with pytest.raises(ConfigError) as caught:
        Policy(**{option: value})
    assert str(caught.value).startswith(f"{option}: expected one of ")
    assert ("Did you mean" in str(caught.value)) == (nearest is not None)
    assert nearest is None or f"Did you mean {nearest}?" in str(caught.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param({"on_failure": "repair"}, "a stopped call cannot be repaired", id="repair"),
        pytest.param({"scope": "session"}, "expected scope='call'", id="session"),
        pytest.param({"scope": "parts"}, "expected scope='call'", id="parts"),
        pytest.param({"fail_fast": "yes"}, "expected True or False; found 'yes'", id="text"),
    ],
)
def test_a_call_is_not_stopped_where_all_of_it_is_needed(options, words):
    with pytest.raises(ConfigError, match=words):
        Policy(**{"fail_fast": True, **options})


def test_a_call_can_be_stopped_otherwise():
    assert Policy(fail_fast=True, on_failure="record").fail_fast
    assert not Policy(on_failure="repair", scope="session").fail_fast
    assert not Policy(on_failure="repair", scope="parts").fail_fast


def test_options_are_in_the_report_by_name():
    assert Policy(padding="trim").to_dict() == {
        "require": "declared",
        "on_failure": "raise",
        "on_unproven": "warn",
        "padding": "trim",
        "scope": "call",
        "duplicate_inputs": "forbid",
        "fail_fast": False,
    }
