"""Remedies: two lines in the terms of the kind of source that was used, and of no other kind."""

from dataclasses import replace

import pytest

from evalguard.core.diagnosis import remedies
from evalguard.core.trace import SourceState
from tests.core import signatures
from tests.core.diagnosis.causes import KINDS, kinds_with, named, of_kind, remedy_of, view_of
from tests.core.signatures import SIGNATURES, Setting


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
    case = maker(Setting(50, 8, kind, declared=True))
    assert case is not None
    assert words in named(case)[0].remedy


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
        (signatures.label_file, "arrays", ["labels=y_true  # joined by position"]),
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
        for case in filter(None, (maker(Setting(50, 8, kind, declared=declared)) for declared in (True, False))):
            for cause in named(of_kind(case, kind, facts={})):
                said = " ".join(line.partition(":")[2] for line in cause.remedy.splitlines())
                assert [word for word in HAS_NOT[kind] if word in said] == [], cause


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("maker", SIGNATURES, ids=lambda maker: maker.__name__)
@pytest.mark.parametrize("declared", [True, False])
def test_a_remedy_is_two_lines_for_every_kind_of_source(maker, kind, declared):
    case = maker(Setting(50, 8, kind, declared=declared))
    for cause in () if case is None else named(of_kind(case, kind)):
        before, after = cause.remedy.splitlines()
        assert before.removeprefix("before: ") != after.removeprefix("after:  ")


def test_a_dataset_whose_items_change_gets_no_other_remedy():
    case = signatures.shuffled(Setting(50, 8, "pydataset", declared=False))
    assert case is not None
    cause = named(of_kind(case, "pydataset", facts={"stateful_getitem": True}))[0]
    assert cause.cause == "shuffled anew at each pass"
    assert "returned different data on a second call" in cause.remedy
    assert "on_epoch" not in cause.remedy


@pytest.mark.parametrize("declared", [True, False])
def test_an_image_iterators_labels_are_found_by_file(declared):
    remedy = remedy_of(signatures.sorted_as_text, "pydataset", declared=declared, type_name="DirectoryIterator")
    assert "table.set_index('file').loc[it.filenames, 'label']" in remedy
    assert "g.y_true" in remedy
    assert ("key='file'" in remedy) is not declared


def test_an_image_iterator_is_named_as_it_is_made():
    remedy = remedy_of(signatures.shuffled, "pydataset", declared=True, type_name="DirectoryIterator")
    assert "flow_from_directory(..., shuffle=False)" in remedy


def test_a_generator_expression_has_no_name_to_be_called_by():
    remedy = remedy_of(signatures.used_generator, "generator", declared=True, type_name="<genexpr>")
    assert "<genexpr>" not in remedy
    assert "model.predict(batches(...)" in remedy


def test_labels_of_a_file_are_named_by_it():
    case = signatures.label_file(Setting(50, 8, "generator", declared=True))
    assert case is not None
    remedy = named(replace(case, labels=replace(case.labels, name="labels.csv")))[0].remedy
    assert "labels='labels.csv', key='id'" in remedy


IN_TF = ["tf.data", "DistributedDataset"]
PIPELINES = ["tf.data", "_BatchMapDataset", "DistributedDataset"]
OTHERS = ["generator", "pydataset", "unknown"]


@pytest.mark.parametrize(
    ("function", "given", "words", "kinds"),
    [
        ("shuffled", {"declared": False}, "x = x[order]; y_true = y_true[order]; model.predict(x)", ["arrays"]),
        ("shuffled", {"declared": False}, "loader reads in label order", ["batch"]),
        ("shuffled", {"declared": False}, "Labels.collect(dataset)", IN_TF),
        ("shuffled", {"declared": False}, "dataset  # without shuffle", ["_BatchMapDataset"]),
        ("shuffled", {"declared": False}, "(..., shuffle=False)", ["DataLoader"]),
        ("shuffled", {"declared": False}, "order = np.arange(50)", OTHERS),
        ("shuffled", {"declared": True}, "(..., shuffle=False)", ["generator", "pydataset", "DataLoader", "unknown"]),
        ("reshuffled", {}, "Labels.collect(ds); model.predict(ds)", PIPELINES),
        ("window", {"size": 9}, "ds.shuffle(9)", IN_TF),
        ("window", {"size": 9}, "a shuffle buffer of 9", ["DataLoader", "_BatchMapDataset"]),
        ("window", {"size": 9}, "pool.imap(load, ids)", ["arrays", "batch", *OTHERS]),
        (
            "batches_overtake",
            {},
            "(load, num_parallel_calls=..., deterministic=True)",
            IN_TF,
        ),
        ("batches_overtake", {}, "in_order=False)", ["DataLoader"]),
        ("batches_overtake", {}, "x = np.concatenate(list(pool.imap(load, ids)))", ["arrays"]),
        ("batches_overtake", {}, "for batch in pool.imap(load, ids): model.predict(batch)", ["batch"]),
        ("interleaved", {"files": 3}, "cycle_length=3", IN_TF),
        ("not_at_start", {}, "gen = source(...), used before", ["unknown"]),
        ("not_at_start", {}, "dataset.skip(...)", PIPELINES),
        ("not_at_start", {}, "DataLoader(new_reader())", ["DataLoader"]),
        ("unpaired", {}, "tf.data.Dataset.zip((x, y))", IN_TF),
        ("unpaired", {}, "x, y = x[order], y[order]", ["arrays"]),
        ("unpaired", {}, "y[order[rows]]", ["batch", "_BatchMapDataset", "DataLoader", *OTHERS]),
        ("buffer", {}, "return buffer.copy(), targets", ["pydataset"]),
    ],
)
def test_a_remedy_is_that_of_these_kinds_only(function, given, words, kinds):
    found = kinds_with(words, lambda view: getattr(remedies, function)(view, **given))
    assert sorted(found) == sorted(kinds)


@pytest.mark.parametrize("kind", KINDS)
def test_through_a_queue_several_workers_are_named_if_there_are_any(kind):
    lines = remedies.queue(view_of(range(50), kind, facts={"workers": 4}))
    called = view_of(range(50), kind).called
    assert lines["before"] == f"{called}  # workers=4"
    assert lines["after"].startswith(f"{called}  # workers=1, or ")
    assert ("Sequence" in lines["after"]) is (kind == "generator")
    assert "workers" not in "".join(remedies.queue(view_of(range(50), kind)).values())


@pytest.mark.parametrize("kind", KINDS)
def test_parts_of_several_calls_are_put_together_by_a_stride(kind):
    view = view_of(range(50), kind, calls=(25, 25))
    assert ("whole[r::2] = parts[r]" in remedies.stride(view, 2)["after"]) is (kind != "batch")
    assert remedies.stride(view_of(range(50), kind), 2)["after"].startswith("y_true[order]  # order = ")


def test_a_generator_that_was_used_before_is_created_again():
    used = SourceState("generator", "batches", calls_before=1)
    view = replace(view_of(range(50)), trace=replace(view_of(range(50)).trace, sources=(used,)))
    assert remedies.not_at_start(view)["after"].startswith("model.predict(batches(...))")


@pytest.mark.parametrize(
    ("type_name", "made"),
    [("DirectoryIterator", "flow_from_directory"), ("NumpyArrayIterator", "flow"), ("Images", "Images")],
)
def test_a_source_is_made_by_its_factory(type_name, made):
    view = view_of(range(50), "pydataset", type_name=type_name)
    assert remedies.factory(view) == made
    assert remedies.is_image_iterator(view) is (made != "Images")
    assert not remedies.is_image_iterator(view_of(range(50), "generator", type_name=type_name))


@pytest.mark.parametrize(("name", "given"), [("y.npy", "'y.npy'"), ("y_test", "y_true")])
def test_labels_are_named_as_they_were_given(name, given):
    view = view_of(range(50))
    view = replace(view, labels=replace(view.labels, name=name))
    assert remedies.given_labels(view) == given
    lines = remedies.label_file(view)
    assert lines["before"] == f"labels={given}  # joined by position"
    assert lines["after"].startswith(f"labels={'table' if given == 'y_true' else given}, key='id'  # ")
