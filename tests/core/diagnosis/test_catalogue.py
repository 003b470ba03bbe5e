"""Remedies: two lines in the terms of the kind of source that was used, and of no other kind."""

from dataclasses import replace

import numpy as np
import pytest

from evalguard.core.diagnosis import catalogue, orders, starts
from evalguard.core.diagnosis.catalogue import UNKNOWN_CAUSE
from evalguard.core.trace import SourceState
from tests.core import signatures
from tests.core.diagnosis.causes import (
    KINDS,
    fix_of,
    in_terms,
    kinds_with,
    named,
    of_kind,
    remedies_of,
    remedy_of,
    view_of,
)
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
        (signatures.wrapped, "tf.data", "model.predict(dataset, steps=7)  # dataset.repeat()"),
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


VALUES_OF_FIXES = {
    "size": 9,
    "files": 3,
    "factor": 2,
    "once": "once",
    "dropping": ".filter(...)  # or .ignore_errors()",
}


@pytest.mark.parametrize(
    ("tables", "words", "kinds"),
    [
        ("shuffled permuted", "x = x[order]; y_true = y_true[order]; model.predict(x)", ["arrays"]),
        ("shuffled permuted", "loader reads in label order", ["batch"]),
        ("shuffled permuted", "Labels.collect(dataset)", IN_TF),
        ("shuffled permuted", "dataset  # without shuffle", ["_BatchMapDataset"]),
        ("shuffled permuted", "order = np.arange(50)", ["DataLoader", *OTHERS]),
        ("shuffled shuffle_argument", "(..., shuffle=False)", ["DataLoader", *OTHERS]),
        ("reshuffled", "Labels.collect(ds); model.predict(ds)", PIPELINES),
        ("window pool", "ds.shuffle(9)", IN_TF),
        ("window pool", "a shuffle buffer of 9", ["DataLoader", "_BatchMapDataset"]),
        ("window pool", "pool.imap(load, ids)", ["arrays", "batch", *OTHERS]),
        ("batches pool", "(load, num_parallel_calls=..., deterministic=True)", IN_TF),
        ("batches pool", "in_order=False)", ["DataLoader"]),
        ("batches pool", "x = np.concatenate(list(pool.imap(load, ids)))", ["arrays"]),
        ("batches pool", "for batch in pool.imap(load, ids): model.predict(batch)", ["batch"]),
        ("interleaved", "cycle_length=3", IN_TF),
        ("not_at_start", "dataset.skip(...)", PIPELINES),
        ("not_at_start", "DataLoader(new_reader())", ["DataLoader"]),
        ("unpaired", "tf.data.Dataset.zip((x, y))", IN_TF),
        ("unpaired", "x, y = x[order], y[order]", ["arrays"]),
        ("unpaired", "y[order[rows]]", ["batch", "_BatchMapDataset", "DataLoader", *OTHERS]),
        ("buffer", "return buffer.copy(), targets", ["pydataset"]),
        ("full_batches dropped", ".repeat()\ndataset.batch(8)  # one pass", PIPELINES),
        ("full_batches dropped", "while True: batch = []", ["generator", "unknown"]),
        (
            "full_batches dropped",
            "x = x[: 50 // 8 * 8]; model.predict(x)\nmodel.predict(x)  # all rows of x",
            ["arrays"],
        ),
        ("full_batches dropped", "drop_last=False", ["DataLoader"]),
        ("full_batches dropped", "loader keeps it", ["batch"]),
        ("dropped", "drop_remainder=True)\ndataset.batch(8)", PIPELINES),
        ("dropped", "drop_last=False", ["DataLoader"]),
        ("dropped", "model.predict(x)  # all rows of x", ["arrays"]),
        ("dropped", "loader keeps it", ["batch"]),
        ("dropped", "def __len__(self): return math.ceil(50 / 8)", ["pydataset"]),
        ("dropped", "if len(batch) == 8: yield batch", ["generator", "unknown"]),
        ("wrapped", "dataset.repeat()\nonce  # without", PIPELINES),
        ("wrapped", "for batch in loader])[:50]", ["batch"]),
        ("wrapped", ")[:50]  # and", [kind for kind in KINDS if kind not in PIPELINES]),
        ("copied", "use_multiprocessing=True", ["pydataset"]),
        ("copied", "num_workers=0", ["DataLoader"]),
        ("copied", "dataset.shard(2, reader)", IN_TF),
        ("copied", "dataset[reader::2]", ["_BatchMapDataset"]),
        ("copied", "paths[reader::2]", ["arrays", "batch", "generator", "unknown"]),
        ("left_out", "y_true = y_true[kept]", ["arrays"]),
        ("left_out", "dataset.filter(...)", PIPELINES),
        ("left_out", ".ignore_errors()", IN_TF),
        ("left_out", "except Exception: continue", ["batch", "generator", "pydataset", "DataLoader", "unknown"]),
    ],
)
def test_a_remedy_is_that_of_these_kinds_only(tables, words, kinds):
    found = kinds_with(
        words, *tables.split(), size=9, files=3, factor=2, once="once", dropping=".filter(...)  # or .ignore_errors()"
    )
    assert sorted(found) == sorted(kinds)


class AnyValue:
    def __format__(self, source):
        return f"<{source}>"


# What `remedy` and the recognisers give; a name that is not here is a mistake in causes.toml.
NAMES = """again all alone assigned batch by call called column dropping
factor factory files given in_order joined key label
labels_file n name of once options or_reference order parallel part parts pattern predictions predictions_key
reading read_labels read_predictions row rows rows_n several sign size step steps table times too which whole workers"""
VALUES = dict.fromkeys(NAMES.split(), AnyValue())
FIXES = [(table, kind) for table, text in catalogue.texts().items() for kind in text.get("fix", {})]


@pytest.mark.parametrize(("table", "kind"), FIXES)
def test_each_fix_of_the_table_is_two_lines_that_differ_and_is_of_a_kind_that_exists(table, kind):
    before, after = (line.format(**VALUES) for line in catalogue.texts()[table]["fix"][kind])
    assert before != after
    views = [
        view_of(range(50), name, method=method, facts=facts, calls=calls)
        for name in KINDS
        for method, facts, calls in (
            ("evaluate", {}, (50,)),
            ("predict", {"workers": 2}, (25, 25)),
            ("check", {}, (50,)),
        )
    ]
    views += [replace(view, labels=replace(view.labels, keys=np.arange(50))) for view in views]
    views += [in_terms(view, of) for of in ("step", "command") for view in views]
    views += [replace(view, samples=None) for view in views]
    # Image iterators are known by their class, not by their kind.
    assert kind == "images" or any(kind in view.kinds for view in views)


def test_a_cause_that_is_not_known_says_so():
    named = [text["cause"] for name, text in catalogue.texts().items() if name.endswith("unknown")]
    assert len(named) == 2
    assert all(name.startswith(UNKNOWN_CAUSE) for name in named)


@pytest.mark.parametrize("maker", [signatures.wrapped, signatures.padded, signatures.sampler])
def test_extra_rows_are_not_cut_from_metric_values(maker):
    for cause, remedy in remedies_of(maker, "generator", method="evaluate").items():
        assert "padding='trim'" not in remedy, cause
        assert "[:50]" not in remedy, cause
    assert "trim" in "".join(remedies_of(maker, "generator").values())


@pytest.mark.parametrize("kind", KINDS)
def test_through_a_queue_several_workers_are_named_if_there_are_any(kind):
    before, after = fix_of(view_of(range(50), kind, facts={"workers": 4}), "queue")
    called = view_of(range(50), kind).called
    assert before == f"{called}  # workers=4"
    # A generator gets its workers from the call.
    alone = f"{called[:-1]}, workers=1)  # or " if kind == "generator" else f"{called}  # workers=1, or "
    assert after.startswith(alone)
    assert ("Sequence" in after) is (kind == "generator")
    assert "workers" not in "".join(fix_of(view_of(range(50), kind), "queue"))


@pytest.mark.parametrize("workers", [{"workers": 4}, {}])
def test_the_workers_of_a_queue_are_named_where_they_are_known(workers):
    remedy = remedy_of(signatures.unordered_queue, "generator", declared=True, facts=workers)
    assert ("# workers=4" in remedy) is bool(workers)


def test_a_generator_with_workers_gets_one_and_others_get_their_part():
    before, after = remedy_of(signatures.copied, "generator", facts={"workers": 2}).splitlines()
    assert before == "before: model.predict(batches, workers=2, use_multiprocessing=True)"
    assert after.startswith("after:  model.predict(batches, workers=1)")
    _, alone = remedy_of(signatures.copied, "generator", facts={}).splitlines()
    assert alone == "after:  parts = [read(paths[reader::2]) for reader in range(2)]"


@pytest.mark.parametrize("kind", KINDS)
def test_parts_of_several_calls_are_put_together_by_a_stride(kind):
    remedy = remedy_of(signatures.stride, kind)
    assert "after:  y_true[order]  # order = " in remedy or "whole[r::" in remedy


def test_a_generator_that_was_used_before_is_created_again():
    used = SourceState("generator", "batches", calls_before=1)
    view = view_of(range(3, 50))
    found = starts.not_at_start(replace(view, trace=replace(view.trace, sources=(used,))))
    assert "after:  model.predict(batches(...))" in found.remedy


@pytest.mark.parametrize("kind", ["DataLoader", "generator"])
def test_only_what_has_an_argument_to_shuffle_gets_it_in_its_remedy(kind):
    found = orders.shuffled(view_of(np.random.default_rng(0).permutation(50), kind))
    assert ("shuffle=False" in found.remedy) is (kind == "DataLoader")


@pytest.mark.parametrize(
    ("type_name", "made"),
    [("DirectoryIterator", "flow_from_directory"), ("NumpyArrayIterator", "flow"), ("Images", "Images")],
)
def test_a_source_is_made_by_its_factory(type_name, made):
    view = view_of(range(50), "pydataset", type_name=type_name)
    assert catalogue.factory(view) == made
    assert catalogue.is_image_iterator(view) is (made != "Images")
    assert not catalogue.is_image_iterator(view_of(range(50), "generator", type_name=type_name))


@pytest.mark.parametrize(("name", "given"), [("y.csv", "'y.csv'"), ("y_test", "y_true")])
def test_labels_are_named_as_they_were_given(name, given):
    case = signatures.label_file(Setting(50, 8, "generator", declared=True))
    assert case is not None
    remedy = named(replace(case, labels=replace(case.labels, name=name)))[0].remedy
    before, after = remedy.splitlines()
    assert before == f"before: labels={given}  # joined by position"
    assert after.startswith(f"after:  labels={'table' if given == 'y_true' else given}, key='id'  # ")


@pytest.mark.parametrize("by", [1, np.int64(1)])
def test_numbers_in_a_fix_have_their_noun_and_are_grouped_unless_they_are_code(by):
    view = view_of(range(2000), "generator", n=2000)
    assert fix_of(view, "labels_late", by=by)[1].startswith("evalguard.guard(labels=...)  # that begin 1 row earlier")
    assert fix_of(view, "others")[1].endswith("# only the 2,000 samples that the labels name")
    assert fix_of(view, "floor_steps", whole=1, all=2)[0] == "steps=2000 // 8  # 1 batch"
