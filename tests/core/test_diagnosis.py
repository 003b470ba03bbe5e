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
from evalguard.core.policy import Policy, Verdict
from evalguard.core.trace import SourceState, Trace
from tests.core import signatures
from tests.core.signatures import BATCHES, SIGNATURES, SIZES, Setting, cases, label_values, made, sizes_of, tags_of
from tests.core.streams import streams

SMALL = tuple(size for size in SIZES if size <= 1000)
LARGE = tuple(size for size in SIZES if size > 1000)
MAKERS = [pytest.param(maker, id=maker.__name__) for maker in SIGNATURES]


def named(case):
    return diagnose(case.trace, case.samples, case.labels)


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
def test_large_streams_are_told_as_well_as_small_ones(maker):
    expected, _ = SIGNATURES[maker]
    right = []
    for case in cases(maker, LARGE):
        causes = named(case)
        right.append(causes[0].cause.startswith(expected))
        assert [cause for cause in causes if cause.certain and not cause.cause.startswith(expected)] == []
    # One whole extra batch may be a wrapped stream or two replicas: nothing but `steps` tells them apart.
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


@pytest.mark.parametrize(
    ("maker", "kind", "words"),
    [
        (signatures.used_generator, "generator", "batches(...)"),
        (signatures.floor_steps, "generator", "steps=math.ceil(50 / 8)  # 7 batches"),
        (signatures.floor_len, "pydataset", "return 50 // 8  # Images"),
        (signatures.stateful_getitem, "pydataset", "[index * 8 : (index + 1) * 8]"),
        (signatures.leftover, "pydataset", "Images(..., workers=4)"),
        (signatures.dropped, "tf.data", "dataset.batch(8, drop_remainder=True)"),
        (signatures.ahead, "generator", "model.predict(gen, steps=2); model.predict(gen, steps=5)"),
        (signatures.shuffled, "pydataset", "Images(..., shuffle=False)"),
        (signatures.wrapped, "generator", "model.predict(batches, steps=7)[:50]"),
        (signatures.wrapped, "tf.data", "model.predict(dataset.repeat(), steps=7)"),
    ],
)
def test_a_remedy_names_the_source_its_steps_and_its_batches(maker, kind, words):
    case = maker(Setting(50, 8, kind, told=True))
    assert case is not None
    assert words in named(case)[0].remedy


# Kinds of source, with the class names that a trace holds.
KINDS = {
    "arrays": "ndarray",
    "batch": "ndarray",
    "generator": "batches",
    "pydataset": "Images",
    "tf.data": "_BatchDataset",
    "DataLoader": "DataLoader",
    "_BatchMapDataset": "_BatchMapDataset",
    "DistributedDataset": "DistributedDataset",
    "unknown": "unknown",
}


def of_kind(case, kind, type_name=None, method="predict", facts=None):
    """The same stream of another kind of source, with no more facts than these."""
    state = {"kind": kind, "type_name": type_name or KINDS[kind]}
    facts = dict(case.trace.source.facts) if facts is None else facts
    sources = tuple(replace(source, **state, facts=facts) for source in case.trace.sources)
    method = "predict_on_batch" if kind == "batch" else method
    return replace(case, kind=kind, trace=replace(case.trace, sources=sources, method=method))


def remedies_of(maker, kind, *, told=False, **more):
    case = maker(Setting(50, 8, kind, told=told))
    assert case is not None
    return {cause.cause: cause.remedy for cause in named(of_kind(case, kind, **more))}


def remedy_of(maker, kind, **more):
    expected = SIGNATURES[maker][0]
    (found,) = (remedy for name, remedy in remedies_of(maker, kind, **more).items() if name.startswith(expected))
    return found


@pytest.mark.parametrize(
    ("maker", "kind", "words"),
    [
        (signatures.shuffled, "arrays", ["x = x[order]", "y_true = y_true[order]"]),
        (signatures.shuffled, "batch", ["for batch in loader: model.predict_on_batch(batch)"]),
        (signatures.shuffled, "generator", ["order = rng.permutation(50)  # in batches"]),
        (signatures.shuffled, "pydataset", ["order = rng.permutation(50)  # in Images"]),
        (signatures.shuffled, "DataLoader", ["DataLoader(..., shuffle=True)", "DataLoader(..., shuffle=False)"]),
        (signatures.shuffled, "_BatchMapDataset", ["dataset.shuffle(...)"]),
        (signatures.dropped, "DataLoader", ["DataLoader(..., drop_last=True)", "DataLoader(..., drop_last=False)"]),
        (signatures.dropped, "_BatchMapDataset", ["dataset.batch(8, drop_remainder=True)"]),
        (signatures.dropped, "DistributedDataset", ["dataset.batch(8, drop_remainder=True)"]),
        (signatures.dropped, "arrays", ["x = x[: 50 // 8 * 8]"]),
        (signatures.dropped, "batch", ["loader drops its last, partial batch"]),
        (signatures.full_batches, "DataLoader", ["DataLoader(..., drop_last=False)"]),
        (signatures.full_batches, "tf.data", ["dataset.batch(8, drop_remainder=True).repeat()"]),
        (signatures.raced_batches, "arrays", ["x = np.concatenate(list(pool.imap_unordered(load, ids)))"]),
        (signatures.raced_batches, "batch", ["for batch in pool.imap(load, ids): model.predict_on_batch(batch)"]),
        (signatures.raced_batches, "DataLoader", ["in_order=False"]),
        (signatures.wrapped, "batch", ["np.concatenate([model.predict_on_batch(batch) for batch in loader])[:50]"]),
        (signatures.left_out, "arrays", ["y_true = y_true[kept]"]),
        (signatures.left_out, "tf.data", ["dataset.filter(...)"]),
        (signatures.unpaired, "arrays", ["x, y = x[order], y[order]"]),
        (signatures.copied, "DataLoader", ["DataLoader(dataset, num_workers=2)", "get_worker_info()"]),
        (signatures.stride, "arrays", ["y_true[order]"]),
        (signatures.label_file, "arrays", ["labels=y_true  # joined by place"]),
    ],
)
def test_a_remedy_is_one_that_this_kind_of_source_has(maker, kind, words):
    remedy = remedy_of(maker, kind, facts={})
    assert [word for word in words if word not in remedy] == [], remedy


# What a kind of source does not have, so that no remedy may name it.
HAS_NOT = {
    "arrays": ("shuffle=", "ndarray", ".batch(", "steps", "yield", "workers"),
    "batch": ("shuffle=", "ndarray", ".batch(", "steps", "yield", "workers"),
    "generator": (".batch(", "shuffle=", ".shuffle(", "drop_remainder", "ds.", "(ds)"),
    "pydataset": (".batch(", ".shuffle(", "on_epoch_begin", "drop_remainder", "yield", "used before)"),
    "DataLoader": (".batch(", ".shuffle(", "drop_remainder", "yield", "deterministic"),
    "_BatchMapDataset": ("shuffle=", "drop_last", "yield", "MapDataset", "deterministic", "tf."),
    "DistributedDataset": ("shuffle=", "drop_last", "yield", "Distributed"),
    "tf.data": ("shuffle=", "drop_last", "yield", "gen "),
}


@pytest.mark.parametrize("kind", HAS_NOT)
def test_no_remedy_names_what_this_kind_of_source_does_not_have(kind):
    # Two calls that go on where the other stopped are a generator's.
    for maker in set(SIGNATURES) - {signatures.ahead}:
        for case in filter(None, (maker(Setting(50, 8, kind, told=told)) for told in (True, False))):
            for cause in named(of_kind(case, kind, facts={})):
                said = " ".join(line.partition(":")[2] for line in cause.remedy.splitlines())
                assert [word for word in HAS_NOT[kind] if word in said] == [], cause


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("told", [True, False])
def test_a_remedy_is_two_lines_for_every_kind_of_source(maker, kind, told):
    case = maker(Setting(50, 8, kind, told=told))
    for cause in () if case is None else named(of_kind(case, kind)):
        before, after = cause.remedy.splitlines()
        assert before.removeprefix("before: ") != after.removeprefix("after:  ")


def test_a_dataset_whose_items_change_is_told_no_more_than_that():
    case = signatures.shuffled(Setting(50, 8, "pydataset", told=False))
    assert case is not None
    cause = named(of_kind(case, "pydataset", facts={"stateful_getitem": True}))[0]
    assert cause.cause == "shuffled anew at each pass"
    assert "an item asked for twice was not the same" in cause.remedy
    assert "on_epoch" not in cause.remedy


@pytest.mark.parametrize("told", [True, False])
def test_an_image_iterators_labels_are_found_by_file(told):
    remedy = remedy_of(signatures.sorted_as_text, "pydataset", told=told, type_name="DirectoryIterator")
    assert "table.set_index('file').loc[it.filenames, 'label']" in remedy
    assert "g.y_true" in remedy
    assert ("key='file'" in remedy) is not told


def test_an_image_iterator_is_named_as_it_is_made():
    remedy = remedy_of(signatures.shuffled, "pydataset", told=True, type_name="DirectoryIterator")
    assert "flow_from_directory(..., shuffle=False)" in remedy


@pytest.mark.parametrize("maker", [signatures.wrapped, signatures.padded, signatures.sampler])
def test_rows_too_many_are_not_cut_from_figures(maker):
    for cause, remedy in remedies_of(maker, "generator", method="evaluate").items():
        assert "padding='trim'" not in remedy, cause
        assert "[:50]" not in remedy, cause


def test_a_generator_expression_has_no_name_to_be_called_by():
    remedy = remedy_of(signatures.used_generator, "generator", told=True, type_name="<genexpr>")
    assert "<genexpr>" not in remedy
    assert "model.predict(batches(...)" in remedy


def test_labels_of_a_file_are_named_by_it():
    case = signatures.label_file(Setting(50, 8, "generator", told=True))
    assert case is not None
    remedy = named(replace(case, labels=replace(case.labels, name="labels.csv")))[0].remedy
    assert "labels='labels.csv', key='id'" in remedy


# -- In the report ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("maker", MAKERS)
def test_the_report_of_each_fault_is_a_fail_that_names_the_cause(maker):
    expected, _ = SIGNATURES[maker]
    for case in cases(maker, (50,), (8,)):
        report = judge(case.trace, case.labels, Policy()).report
        assert report.verdict is Verdict.FAIL
        assert report.diagnosis[0].cause.startswith(expected)


def test_an_aligned_stream_has_no_cause():
    case = made(Setting(50, 8, "generator", told=True), np.arange(50))
    assert judge(case.trace, case.labels, Policy()).report.diagnosis == ()


# -- With samples unknown ---------------------------------------------------------------------------------------------


def unknown(case, **parts: Any):
    """The same stream, with nothing that tells the samples."""
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
        pytest.param(signatures.floor_len, "pydataset", True, id="__len__ rounded down"),
        pytest.param(signatures.wrapped, "generator", False, id="wrapped"),
    ],
)
def test_facts_name_the_cause_without_any_identity(maker, kind, certain):
    case = maker(Setting(50, 8, kind, told=True))
    assert case is not None
    causes = unknown(case)
    assert causes[0].cause.startswith(SIGNATURES[maker][0])
    assert causes[0].certain is certain


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("told", [True, False])
def test_without_identity_a_wrong_cause_is_never_certain(maker, told):
    expected, _ = SIGNATURES[maker]
    for case in cases(maker, SMALL, told=(told,)):
        causes = unknown(case)
        assert [cause for cause in causes if cause.certain and not cause.cause.startswith(expected)] == [], case


@pytest.mark.parametrize("shift", [1, -1, 8])
def test_labels_and_stream_that_are_shifted_are_not_said_to_be_the_fault_of_either(shift):
    values = np.random.default_rng(0).integers(0, 10, 50)
    trace = Trace(50, tags_of(sizes_of(50, 8)), targets=np.roll(values, -shift), batch_sizes=sizes_of(50, 8))
    (cause,) = diagnose(trace, None, LabelTable(values=values))
    assert cause.cause == "stream and labels shifted against each other"
    assert not cause.certain
    assert f"{abs(shift)} row" in cause.evidence
    assert ("ahead of" in cause.evidence) == (shift > 0)


# -- Told apart -------------------------------------------------------------------------------------------------------


def first_cause(samples, kind="generator", batch=8, n=50, facts=None, **parts):
    case = made(Setting(n, batch, kind, told=False), samples, facts=facts, **parts)
    return named(case)[0]


def test_a_shifted_label_file_is_told_from_a_shifted_stream():
    values = label_values(50)
    prints = (np.arange(50) + 10).astype(np.uint64)
    of_labels = first_cause(np.arange(50), labels=LabelTable(values=np.roll(values, 1), fingerprints=prints))
    assert of_labels.cause == "label file in another order than the stream"
    assert "label i + 1 fits row i" in of_labels.evidence
    of_stream = first_cause((np.arange(50) + 1) % 50)
    assert of_stream.cause == "iterator not at its start"


def test_other_labels_are_told_from_labels_in_another_order():
    prints = (np.arange(50) + 10).astype(np.uint64)
    values = np.where(np.arange(50) == 7, 11, label_values(50))
    cause = first_cause(np.arange(50), labels=LabelTable(values=values, fingerprints=prints))
    assert cause.cause == "label file holds other labels than the stream"
    assert not cause.certain


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"reshuffled_each_pass": True}, "shuffled anew at each pass"),
        ({}, "shuffled anew at each pass"),
        ({"reshuffled_each_pass": False}, "`shuffle=True`"),
        ({"reshuffled_each_pass": False, "shuffled_branches": 2}, "labels in the stream belong to other rows"),
    ],
)
def test_two_branches_of_a_shuffle_are_told_from_a_shuffle_at_each_pass(facts, expected):
    # The stream's targets are row numbers, so they cannot be compared with the classes.
    order = np.random.default_rng(3).permutation(50)
    cause = first_cause(order, "tf.data", facts=facts, targets=np.arange(50) + 100)
    assert cause.cause == expected


def test_a_second_call_that_begins_beyond_the_labels_is_ahead_where_the_history_says_so():
    samples = [*range(24), *[signatures.FOREIGN] * 24]
    first = SourceState("generator", "Batches", pulled=13, delivered=3)
    second = SourceState("generator", "Batches", calls_before=1, pulled_before=13, pulled=10, delivered=3)
    setting = Setting(48, 8, "generator", told=True)
    cause = named(made(setting, samples, calls=(24, 24), sources=(first, second)))[0]
    assert cause.cause == "source ahead of the first call: prefetch past `steps`"
    assert cause.certain
    assert "call 2 begins beyond the last label, where sample 24 was due" in cause.evidence
    assert "13 batches by then, of which 3 were delivered" in cause.evidence
    fresh = named(made(setting, samples, calls=(24, 24), sources=(first, replace(second, calls_before=0))))[0]
    assert fresh.cause.startswith("rows that are none of the labelled samples")


def test_more_rows_than_labels_and_a_late_start_are_both_seen_and_the_start_comes_first():
    state = {"handed_before": 1, "pulled_before": 9, "started": True}
    case = made(Setting(50, 8, "generator", told=True), (np.arange(56) + 22) % 50, facts={"steps": 7}, state=state)
    causes = named(case)
    assert causes[0].cause == "iterator not at its start"
    assert causes[0].certain
    assert "1 guarded call before, which took 9 batches" in causes[0].evidence
    assert "stream wrapped" in causes[1].cause


def test_a_shuffled_stream_that_is_also_cut_names_both():
    order = np.random.default_rng(0).permutation(50)[:48]
    causes = named(made(Setting(50, 8, "pydataset", told=True), order, facts={"shuffle": True, "num_batches": 6}))
    assert [cause.cause.split(":")[0] for cause in causes] == ["`shuffle=True`", "`__len__` rounds down"]


def test_a_certain_cause_comes_before_a_more_specific_one_that_is_only_likely():
    order = np.random.default_rng(0).permutation(50)
    causes = named(
        made(Setting(50, 8, "pydataset", told=True), order, facts={"shuffle": True}, targets=label_values(50))
    )
    assert [(cause.cause, cause.certain) for cause in causes] == [
        ("`shuffle=True`", True),
        ("labels in the stream belong to other rows", False),
    ]


@pytest.mark.parametrize("maker", [signatures.used_generator, signatures.sorted_as_text, signatures.stride])
def test_an_order_that_is_explained_is_not_called_random_as_well(maker):
    for case in cases(maker, (50,)):
        assert [cause.cause for cause in named(case) if "shuffle" in cause.cause] == []


def test_batches_that_changed_places_with_rows_out_of_order_inside_are_not_whole():
    batches = signatures.raced_batches(Setting(50, 8, "generator", told=False))
    assert batches is not None
    samples = batches.samples.copy()
    samples[[2, 3]] = samples[[3, 2]]
    sizes = batches.trace.batch_sizes
    cause = named(made(Setting(50, 8, "generator", told=False), samples, sizes=sizes))[0]
    assert not cause.cause.startswith("parallel work inside the source")


def test_a_used_generator_whose_rows_begin_at_sample_0_is_not_accused():
    state = {"handed_before": 1, "pulled_before": 7, "started": True}
    cause = first_cause(np.arange(48), facts={"steps": 6}, state=state)
    assert cause.cause == "`steps = N // batch_size`"


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        pytest.param([49, *range(1, 49), 0], "rows 0 and 49 changed places", id="two rows exchanged"),
        pytest.param([*range(8), *range(16, 50)], "8 samples left out from row 8 on", id="a batch skipped"),
        pytest.param([*range(16), *range(8, 50)], "8 rows come again from row 16 on", id="a batch repeated"),
        pytest.param(range(30), "the first 30 rows are right, and the last 20 are missing", id="cut short"),
        pytest.param([*range(8), *range(8), *range(16, 50)], "8 samples left out and 8 rows repeated", id="both"),
    ],
)
def test_where_nothing_fits_the_pattern_is_described(samples, words):
    cause = first_cause(list(samples), "pydataset")
    assert cause.cause.startswith("cause unknown, pattern: ")
    assert words in cause.cause
    assert not cause.certain


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
    case = signatures.used_generator(Setting(50, 8, "generator", told=True))
    assert case is not None
    assert named(case)[0].cause == "iterator not at its start"


def test_sizes_and_batches_are_as_many_as_promised():
    assert min(SIZES) == 10
    assert max(SIZES) == 10**5
    assert len(BATCHES) >= 3
