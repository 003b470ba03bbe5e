"""Remedies for missing and repeated rows."""

import numpy as np
import pytest

from evalguard.core.diagnosis import remedies_for_counts
from tests.core import signatures
from tests.core.diagnosis.causes import KINDS, kinds_with, remedies_of, view_of


@pytest.mark.parametrize("maker", [signatures.wrapped, signatures.padded, signatures.sampler])
def test_extra_rows_are_not_cut_from_metric_values(maker):
    for cause, remedy in remedies_of(maker, "generator", method="evaluate").items():
        assert "padding='trim'" not in remedy, cause
        assert "[:50]" not in remedy, cause


FUNCTIONS = [
    pytest.param(lambda view: remedies_for_counts.full_batches(view, 8), id="full_batches"),
    pytest.param(lambda view: remedies_for_counts.dropped(view, 8), id="dropped"),
    pytest.param(lambda view: remedies_for_counts.floor_len(view, 8), id="floor_len"),
    pytest.param(remedies_for_counts.wrapped, id="wrapped"),
    pytest.param(remedies_for_counts.padded, id="padded"),
    pytest.param(remedies_for_counts.gathered, id="gathered"),
    pytest.param(lambda view: remedies_for_counts.copied(view, 2), id="copied"),
    pytest.param(remedies_for_counts.left_out, id="left_out"),
    pytest.param(remedies_for_counts.others, id="others"),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_two_lines_differ_for_every_kind_of_source(function, kind):
    found = function(view_of(np.arange(50), kind))
    assert sorted(found) == ["after", "before"]
    assert found["before"] != found["after"]


@pytest.mark.parametrize("method", ["evaluate", "test_on_batch"])
@pytest.mark.parametrize(
    "function", [remedies_for_counts.wrapped, remedies_for_counts.padded, remedies_for_counts.gathered]
)
def test_metrics_that_are_computed_cannot_be_trimmed(function, method):
    assert "trim" not in function(view_of(np.arange(50), method=method))["after"]
    assert "trim" in function(view_of(np.arange(50)))["after"]


def test_a_generator_with_workers_gets_one_and_others_get_their_part():
    workers = remedies_for_counts.copied(view_of(np.arange(50), facts={"workers": 2}), 2)
    assert workers["before"] == "model.predict(batches, workers=2, use_multiprocessing=True)"
    assert workers["after"].startswith("model.predict(batches, workers=1)")
    alone = remedies_for_counts.copied(view_of(np.arange(50)), 2)
    assert alone["after"] == "parts = [read(paths[reader::2]) for reader in range(2)]"


PIPELINES = ["tf.data", "_BatchMapDataset", "DistributedDataset"]
IN_TF = ["tf.data", "DistributedDataset"]


@pytest.mark.parametrize(
    ("function", "words", "kinds"),
    [
        ("full_batches", ".repeat()\ndataset.batch(8)  # one pass", PIPELINES),
        ("full_batches", "while True: batch = []", ["generator", "unknown"]),
        ("full_batches", "x = x[: 50 // 8 * 8]; model.predict(x)\nmodel.predict(x)  # all rows of x", ["arrays"]),
        ("full_batches", "drop_last=False", ["DataLoader"]),
        ("full_batches", "loader keeps it", ["batch"]),
        ("dropped", "drop_remainder=True)\ndataset.batch(8)", PIPELINES),
        ("dropped", "drop_last=False", ["DataLoader"]),
        ("dropped", "model.predict(x)  # all rows of x", ["arrays"]),
        ("dropped", "loader keeps it", ["batch"]),
        ("dropped", "def __len__(self): return math.ceil(50 / 8)", ["pydataset"]),
        ("dropped", "if len(batch) == 8: yield batch", ["generator", "unknown"]),
        ("wrapped", "model.predict(dataset.repeat())\nmodel.predict(dataset)  # one pass", PIPELINES),
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
def test_a_remedy_for_counts_is_that_of_these_kinds_only(function, words, kinds):
    number = {"full_batches": (8,), "dropped": (8,), "copied": (2,)}.get(function, ())
    assert kinds_with(words, lambda view: getattr(remedies_for_counts, function)(view, *number)) == kinds
