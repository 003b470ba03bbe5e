"""Causes: for every row of the signature table the right one first, and a wrong one never certain."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalguard.core import diagnosis
from evalguard.core.diagnosis import diagnose
from evalguard.core.diagnosis.view import View
from evalguard.core.judge import judge
from evalguard.core.label_table import LabelTable
from evalguard.core.own_errors import STRICT, OwnError
from evalguard.core.policy import Policy, Verdict
from evalguard.core.trace import SourceState, Trace
from tests.core import signatures
from tests.core.diagnosis.causes import named
from tests.core.signatures import BATCHES, SIGNATURES, SIZES, Setting, cases, label_values, made, sizes_of, tags_of
from tests.core.streams import streams

SMALL = tuple(size for size in SIZES if size <= 1000)
LARGE = tuple(size for size in SIZES if size > 1000)
MAKERS = [pytest.param(maker, id=maker.__name__) for maker in SIGNATURES]


@pytest.mark.parametrize("maker", MAKERS)
def test_the_cause_of_each_fault_is_named_first(maker):
    expected, _ = SIGNATURES[maker]
    found = [(case, named(case)) for case in cases(maker, SMALL)]
    assert len(found) >= 10
    for case, causes in found:
        assert causes[0].cause.startswith(expected), (case, causes)


@pytest.mark.parametrize("maker", MAKERS)
def test_a_wrong_cause_is_never_certain_and_the_right_one_is_where_the_fact_is_known(maker):
    expected, _ = SIGNATURES[maker]
    for case in cases(maker, SMALL):
        causes = named(case)
        assert [cause for cause in causes if cause.certain and not cause.cause.startswith(expected)] == []
        assert causes[0].certain == case.certain, (case, causes)


@pytest.mark.slow
@pytest.mark.parametrize("maker", MAKERS)
def test_causes_of_large_streams_are_named_as_well_as_those_of_small_ones(maker):
    expected, _ = SIGNATURES[maker]
    right = []
    for case in cases(maker, LARGE):
        causes = named(case)
        right.append(causes[0].cause.startswith(expected))
        assert [cause for cause in causes if cause.certain and not cause.cause.startswith(expected)] == []
    # One whole extra batch may be a wrapped stream or two replicas: only `steps` distinguishes them.
    assert np.mean(right) >= 0.75 if maker is signatures.wrapped else all(right)


def test_across_the_whole_set_the_right_cause_is_first_in_nearly_all():
    right = [
        named(case)[0].cause.startswith(SIGNATURES[maker][0]) for maker in SIGNATURES for case in cases(maker, SMALL)
    ]
    assert len(right) > 800
    assert np.mean(right) >= 0.95


@pytest.mark.parametrize("maker", MAKERS)
def test_evidence_has_numbers_and_a_remedy_two_lines_in_the_users_own_terms(maker):
    for case in cases(maker, SMALL[:2]):
        cause = named(case)[0]
        assert any(letter.isdigit() for letter in cause.evidence)
        before, after = cause.remedy.splitlines()
        assert before.startswith("before: ")
        assert after.startswith("after:  ")
        assert before.removeprefix("before: ") != after.removeprefix("after:  ")


# -- In the report ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("maker", MAKERS)
def test_the_report_of_each_fault_is_a_fail_that_names_the_cause(maker):
    expected, _ = SIGNATURES[maker]
    for case in cases(maker, (50,), (8,)):
        report = judge(case.trace, case.labels, Policy()).report
        assert report.verdict is Verdict.FAIL
        assert report.diagnosis[0].cause.startswith(expected)


def test_an_aligned_stream_has_no_cause():
    case = made(Setting(50, 8, "generator", declared=True), np.arange(50))
    assert judge(case.trace, case.labels, Policy()).report.diagnosis == ()


# -- With samples unknown ---------------------------------------------------------------------------------------------


def unknown(case, **parts: Any):
    """The same stream without any identity."""
    trace = replace(case.trace, fingerprints=None, **parts)
    return diagnose(trace, None, LabelTable(values=case.labels.values))


@pytest.mark.parametrize(
    ("maker", "kind", "certain"),
    [
        pytest.param(signatures.used_generator, "generator", True, id="a used generator"),
        pytest.param(signatures.shuffled, "pydataset", True, id="shuffle=True"),
        pytest.param(signatures.reshuffled, "tf.data", True, id="shuffled anew at each pass"),
        pytest.param(signatures.unordered_queue, "generator", True, id="an unordered queue"),
        pytest.param(signatures.leftover, "pydataset", True, id="a leftover queue"),
        pytest.param(signatures.floor_steps, "generator", True, id="steps rounded down"),
        pytest.param(signatures.dropped, "tf.data", True, id="drop_remainder"),
        pytest.param(signatures.floor_len, "pydataset", False, id="__len__ rounded down"),
        pytest.param(signatures.wrapped, "generator", False, id="wrapped"),
    ],
)
def test_facts_name_the_cause_without_any_identity(maker, kind, certain):
    case = maker(Setting(50, 8, kind, declared=True))
    assert case is not None
    causes = unknown(case)
    assert causes[0].cause.startswith(SIGNATURES[maker][0])
    assert causes[0].certain is certain


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("declared", [True, False])
def test_without_identity_a_wrong_cause_is_never_certain(maker, declared):
    expected, _ = SIGNATURES[maker]
    for case in cases(maker, SMALL, declared=(declared,)):
        causes = unknown(case)
        assert [cause for cause in causes if cause.certain and not cause.cause.startswith(expected)] == [], case


# -- Several causes ---------------------------------------------------------------------------------------------------


def test_a_shuffled_stream_that_is_also_cut_names_both():
    order = np.random.default_rng(0).permutation(50)[:48]
    causes = named(made(Setting(50, 8, "pydataset", declared=True), order, facts={"shuffle": True, "num_batches": 6}))
    assert [cause.cause.split(":")[0] for cause in causes] == ["`shuffle=True`", "`__len__` rounds down"]


def test_a_certain_cause_comes_before_a_more_specific_one_that_is_only_likely():
    order = np.random.default_rng(0).permutation(50)
    causes = named(
        made(Setting(50, 8, "pydataset", declared=True), order, facts={"shuffle": True}, targets=label_values(50))
    )
    assert [(cause.cause, cause.certain) for cause in causes] == [
        ("`shuffle=True`", True),
        ("labels in the stream belong to other rows", False),
    ]


@pytest.mark.parametrize("maker", [signatures.used_generator, signatures.sorted_as_text, signatures.stride])
def test_an_order_that_is_explained_is_not_called_random_as_well(maker):
    for case in cases(maker, (50,)):
        assert [cause.cause for cause in named(case) if "shuffle" in cause.cause] == []


@given(streams(unknown=True), st.data())
def test_any_stream_gets_at_least_one_cause_and_no_recogniser_fails(stream, data):
    samples, n = stream
    kinds = ["generator", "pydataset", "tf.data", "arrays", "unknown"]
    names = [
        "shuffle",
        "shuffled_branches",
        "workers",
        "use_multiprocessing",
        "steps",
        "num_batches",
        "stateful_getitem",
        "leftover",
    ]
    values = st.none() | st.booleans() | st.integers(0, 5) | st.just("odd")
    facts = data.draw(st.dictionaries(st.sampled_from([*names, "reshuffled_each_pass", "replicas"]), values))
    source = SourceState(data.draw(st.sampled_from(kinds)), "Source", started=data.draw(st.booleans()), facts=facts)
    sizes = sizes_of(len(samples), data.draw(st.integers(1, 4)))
    trace = Trace(
        len(samples),
        tags_of(sizes),
        targets=data.draw(st.sampled_from([None, samples % 3])),
        batch_sizes=data.draw(st.sampled_from([sizes, sizes[:0]])),
        sources=data.draw(st.sampled_from([(), (source,)])),
        ordered=data.draw(st.booleans()),
    )
    known = data.draw(st.sampled_from([samples, None]))
    labels = LabelTable(values=np.arange(n) % 3, keys=data.draw(st.sampled_from([None, np.arange(n).astype(str)])))
    view = View(trace, labels, known)
    groups = (diagnosis.STARTS, diagnosis.TOO_MANY, diagnosis.KNOWN_ORDERS, diagnosis.RANDOM_ORDERS, diagnosis.TOO_FEW)
    for recognise in (*(one for group in groups for one in group), *diagnosis.LABELLING):
        recognise(view)
    assert 1 <= len(diagnose(trace, known, labels)) <= diagnosis.MAX_CAUSES


def test_a_recogniser_that_fails_costs_neither_the_verdict_nor_the_other_causes(monkeypatch):
    def broken(view):
        raise ZeroDivisionError(view)

    monkeypatch.setattr(diagnosis, "STARTS", (broken, *diagnosis.STARTS))
    case = signatures.used_generator(Setting(50, 8, "generator", declared=True))
    assert case is not None
    # Strict mode raises the error; without it the recogniser is left out.
    with pytest.raises(OwnError):
        named(case)
    monkeypatch.delenv(STRICT)
    assert named(case)[0].cause == "iterator not at its start"


def test_sizes_and_batches_are_as_many_as_promised():
    assert min(SIZES) == 10
    assert max(SIZES) == 10**5
    assert len(BATCHES) >= 3
