"""Too many rows or too few: each recogniser alone, on its pattern and beside it."""

import numpy as np
import pytest

from evalguard.core.diagnosis import TOO_FEW, TOO_MANY, counts
from tests.core.diagnosis.causes import view_of

FOREIGN = -2
ALIGNED = np.arange(50)
COPIES = np.concatenate([np.repeat([np.arange(start, min(start + 8, 50))], 2, 0).ravel() for start in range(0, 50, 8)])


def part(recogniser, samples, kind="generator", certain=True, **facts):
    return pytest.param(recogniser, np.asarray(samples), kind, facts, certain, id=f"{recogniser.__name__}-{certain}")


@pytest.mark.parametrize(
    ("recogniser", "samples", "kind", "facts", "certain"),
    [
        part(counts.full_batches, np.arange(56) % 48),
        part(counts.wrapped, np.arange(56) % 50, steps=7),
        part(counts.wrapped, np.arange(56) % 50, certain=False),
        part(counts.padded, [*range(50), *[49] * 6]),
        part(counts.padded, [*range(50), *[49] * 3], certain=False),
        part(counts.sampler, np.arange(64) % 50, replicas=2),
        part(counts.sampler, np.arange(64) % 50, certain=False),
        part(counts.copied, COPIES, workers=2, use_multiprocessing=True),
        part(counts.copied, COPIES, certain=False),
        part(counts.floor_steps, np.arange(48), steps=6),
        part(counts.floor_steps, np.arange(48), certain=False),
        part(counts.floor_len, np.arange(48), "pydataset", num_batches=6),
        part(counts.floor_len, np.arange(48), "pydataset", certain=False, num_batches=7),
        part(counts.dropped, np.arange(48), "tf.data", drop_remainder=True),
        part(counts.dropped, np.arange(48), "tf.data", certain=False),
        part(counts.few_steps, np.arange(24), steps=3),
        part(counts.left_out, np.delete(ALIGNED, [7, 20])),
        part(counts.others, [*range(48), FOREIGN, FOREIGN], certain=False),
    ],
)
def test_a_pattern_is_recognised_and_certain_only_with_the_fact_that_confirms_it(
    recogniser, samples, kind, facts, certain
):
    found = recogniser(view_of(samples, kind, facts=facts))
    assert found is not None
    assert found.cause == getattr(counts, recogniser.__name__.upper())
    assert found.certain is certain
    assert any(letter.isdigit() for letter in found.evidence)


@pytest.mark.parametrize("recogniser", [*TOO_MANY, *TOO_FEW], ids=lambda recogniser: recogniser.__name__)
@pytest.mark.parametrize(
    "samples",
    [pytest.param(ALIGNED, id="aligned"), pytest.param(np.roll(ALIGNED, 3), id="rolled")],
)
def test_nothing_is_recognised_where_each_sample_arrives_once(recogniser, samples):
    for kind in ("generator", "pydataset", "tf.data", "arrays"):
        assert recogniser(view_of(samples, kind, facts={"steps": 7, "num_batches": 7})) is None


@pytest.mark.parametrize(
    ("recogniser", "samples", "kind", "facts"),
    [
        pytest.param(counts.floor_steps, np.arange(48), "generator", {"steps": 7}, id="enough-steps"),
        pytest.param(counts.floor_steps, np.arange(47), "generator", {}, id="not-a-tail"),
        pytest.param(counts.floor_len, np.arange(48), "generator", {}, id="not-a-pydataset"),
        pytest.param(counts.dropped, np.arange(48), "pydataset", {}, id="a-pydataset"),
        pytest.param(counts.few_steps, np.arange(24), "generator", {"steps": 4}, id="other-steps"),
        pytest.param(counts.padded, [*range(50), 0], "generator", {}, id="one-copy-of-sample-0"),
        pytest.param(counts.sampler, np.arange(53) % 50, "generator", {}, id="less-than-a-batch"),
        pytest.param(counts.left_out, np.delete(ALIGNED, range(8, 16)), "generator", {}, id="a-whole-batch"),
        pytest.param(counts.left_out, np.arange(40), "generator", {}, id="the-end"),
        pytest.param(counts.others, [FOREIGN] * 50, "generator", {}, id="every-row"),
    ],
)
def test_a_pattern_beside_it_is_not_recognised(recogniser, samples, kind, facts):
    assert recogniser(view_of(np.asarray(samples), kind, facts=facts)) is None


def test_evidence_names_samples_and_keys():
    found = counts.left_out(view_of(np.delete(ALIGNED, [7, 20])))
    assert found is not None
    assert found.evidence == "2 samples never arrived: 7, 20"
    full = counts.full_batches(view_of(np.arange(56) % 48))
    assert full is not None
    assert full.evidence.endswith("so the last 2 samples are never emitted")


def test_tails_and_wraps_are_recognised_by_numbers_alone_where_samples_are_unknown():
    short = counts.floor_steps(view_of(np.arange(48), known=False, facts={"steps": 6}))
    long = counts.wrapped(view_of(np.arange(56) % 50, known=False, facts={"steps": 7}))
    assert short is not None
    assert long is not None
    assert (short.certain, long.certain) == (True, False)
    assert counts.wrapped(view_of(np.arange(56) % 50, known=False)) is None
