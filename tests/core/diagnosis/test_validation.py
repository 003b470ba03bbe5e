"""Why later validations of one ``fit`` hold other samples, as the source shows it."""

import numpy as np
import pytest

from evalguard.core.diagnosis import validation
from tests.core.diagnosis.causes import view_of


def drift(kind, **facts):
    return validation.drift(view_of(np.arange(50), kind, method="fit", facts=facts))


@pytest.mark.parametrize(
    ("kind", "facts", "cause", "certain"),
    [
        pytest.param("pydataset", {"workers": 4, "steps": 2, "num_batches": 7}, "leftover queue", False, id="queue"),
        pytest.param(
            "pydataset", {"workers": 2, "steps": 1, "num_batches": 7}, "leftover queue", False, id="2-workers"
        ),
        pytest.param("pydataset", {"workers": 4, "num_batches": 7}, "cause unknown", False, id="steps-not-known"),
        pytest.param("generator", {"steps": 2}, "iterator not at its start", True, id="generator"),
        pytest.param("tf.data", {"reshuffled_each_pass": True}, "shuffled anew at each pass", True, id="reshuffled"),
        pytest.param("pydataset", {"shuffle": True, "steps": 2}, "`shuffle=True`", True, id="shuffle"),
        pytest.param("pydataset", {"workers": 1, "steps": 2, "num_batches": 7}, "cause unknown", False, id="1-worker"),
        pytest.param("pydataset", {"workers": 4, "steps": 7, "num_batches": 7}, "cause unknown", False, id="all-steps"),
        pytest.param("tf.data", {}, "cause unknown", False, id="nothing-known"),
    ],
)
def test_the_cause_follows_from_the_facts_about_the_source(kind, facts, cause, certain):
    found = drift(kind, **facts)
    assert found.cause.startswith(cause)
    assert found.certain is certain


@pytest.mark.parametrize(
    ("kind", "facts", "before", "after"),
    [
        (
            "pydataset", {"workers": 4, "steps": 2, "num_batches": 7},
            "model.fit(..., validation_data=Images(..., workers=4), validation_steps=2)",
            "model.fit(..., validation_data=Images(..., workers=1), validation_steps=2)",
        ),
        (
            "tf.data", {"reshuffled_each_pass": True},
            "model.fit(..., validation_data=ds.shuffle(...).take(n))",
            "model.fit(..., validation_data=ds.take(n))  # no shuffle: the order does not change any metric",
        ),
        (
            "pydataset", {"shuffle": True},
            "model.fit(..., validation_data=Images(..., shuffle=True))",
            "model.fit(..., validation_data=Images(..., shuffle=False))",
        ),
    ],
)  # fmt: skip
def test_the_remedy_is_a_line_of_fit(kind, facts, before, after):
    first, second = drift(kind, **facts).remedy.splitlines()
    assert first == f"before: {before}"
    assert second.startswith(f"after:  {after}")


@pytest.mark.parametrize(
    ("facts", "part", "reproduced"),
    [
        ({"reshuffled_each_pass": True}, "a part of it is another part each time", "keras 3.15"),
        ({"shuffle": True, "steps": 2}, "2 steps of it are another part each time", ""),
    ],
)
def test_the_evidence_of_a_shuffle_is_how_much_was_read(facts, part, reproduced):
    found = drift("pydataset", **facts)
    assert found.evidence.endswith(part)
    assert found.reproduced == reproduced
