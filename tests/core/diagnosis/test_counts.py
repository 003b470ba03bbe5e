"""Too many rows or too few: each recogniser alone, on its pattern and beside it."""

import numpy as np
import pytest

from evalguard.core.diagnosis import TOO_FEW, TOO_MANY, counts, diagnose
from tests.core.diagnosis.causes import title, view_of

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
        part(counts.floor_len, np.arange(48), "pydataset", certain=False, num_batches=6),
        part(counts.floor_len, np.arange(48), "pydataset", certain=False, num_batches=7),
        part(counts.dropped, np.arange(48), "tf.data", drop_remainder=True),
        part(counts.dropped, np.arange(48), "tf.data", certain=False),
        part(counts.few_steps, np.arange(24), steps=3, num_batches=7),
        part(counts.few_steps, np.arange(24), certain=False, steps=3),
        part(counts.left_out, np.delete(ALIGNED, [7, 20]), certain=False),
        part(counts.left_out, np.delete(ALIGNED, [7, 20]), "tf.data", leaves_out="`filter`"),
        part(counts.batch_left_out, np.delete(ALIGNED, range(16, 24)), "tf.data", ignores_batches=True),
        part(counts.others, [*range(48), FOREIGN, FOREIGN], certain=False),
    ],
)
def test_a_pattern_is_recognised_and_certain_only_with_the_fact_that_confirms_it(
    recogniser, samples, kind, facts, certain
):
    found = recogniser(view_of(samples, kind, facts=facts))
    assert found is not None
    assert found.cause == title(recogniser.__name__)
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


RANDOM = np.random.default_rng(0).permutation(50)
WITHOUT_BATCHES = np.zeros(0, np.int64)


@pytest.mark.parametrize(
    ("rows", "full", "n", "batch", "found"),
    [
        pytest.param(9, 8, 9, 8, True, id="one-row-of-the-next-pass"),
        pytest.param(8, 8, 9, 8, False, id="one-pass"),
        pytest.param(60, 48, 48, 8, False, id="no-partial-batch"),
        pytest.param(14, 7, 7, 8, False, id="less-than-a-batch"),
    ],
)
def test_a_partial_batch_is_thrown_away_where_the_next_pass_begins(rows, full, n, batch, found):
    assert (counts.full_batches(view_of(np.arange(rows) % full, n=n, batch=batch)) is not None) is found


def test_without_batches_no_partial_one_is_missing():
    for recogniser in (counts.full_batches, counts.sampler, counts.floor_steps, counts.few_steps):
        samples = np.arange(48) if recogniser in {counts.floor_steps, counts.few_steps} else np.arange(60) % 48
        assert (
            recogniser(view_of(samples, n=50, batch_sizes=WITHOUT_BATCHES, facts={"steps": 6, "replicas": 2})) is None
        )


@pytest.mark.parametrize(
    ("samples", "facts", "certain", "evidence"),
    [
        (np.arange(56) % 50, {"steps": 7}, True, ": after sample 49 come samples 0 to 5 again; 7 steps of 8 rows"),
        (np.arange(56) % 50, {"steps": 6}, False, ": after sample 49 come samples 0 to 5 again"),
        (np.arange(56) % 50, {"steps": 8}, False, ": after sample 49 come samples 0 to 5 again"),
        (np.arange(51) % 50, {"steps": 7}, True, ": after sample 49 come samples 0 to 0 again; 7 steps of 8 rows"),
        (np.arange(64) % 50, {"steps": 9}, False, ": after sample 49 come samples 0 to 13 again"),
        (np.arange(100) % 50, {}, False, ": after sample 49 come samples 0 to 49 again"),
        (np.r_[RANDOM, RANDOM[:6]], {"steps": 7}, False, "; 7 steps of 8 rows"),
        (np.r_[RANDOM, RANDOM[:6]], {}, None, ""),
        (np.r_[RANDOM, FOREIGN, RANDOM[:5]], {"steps": 7}, None, ""),
        (np.r_[RANDOM[:49], RANDOM[:7]], {"steps": 7}, None, ""),
        (np.arange(50), {"steps": 7}, None, ""),
    ],
)
def test_a_stream_that_starts_again_is_certain_where_its_steps_say_so(samples, facts, certain, evidence):
    found = counts.wrapped(view_of(samples, facts=facts))
    assert (None if found is None else found.certain) == certain
    if found is not None:
        assert found.evidence == f"{len(samples)} rows for 50 labels{evidence}"


FILL = ", which fill up the last batch of 8"


@pytest.mark.parametrize(
    ("tail", "kind", "certain", "evidence"),
    [
        ([49] * 6, "generator", True, "6 rows after the last label are copies of sample 49" + FILL),
        ([49] * 3, "generator", False, "3 rows after the last label are copies of sample 49"),
        ([49] * 14, "generator", False, "14 rows after the last label are copies of sample 49" + FILL),
        ([0, 0], "generator", False, "2 rows after the last label are copies of sample 0"),
        ([0], "arrays", False, "1 row after the last label are copies of sample 0"),
        ([1], "generator", False, "1 row after the last label are copies of sample 1"),
        ([0], "generator", None, ""),
        ([FOREIGN] * 6, "generator", None, ""),
        ([50] * 6, "generator", None, ""),
        ([49, 48], "generator", None, ""),
        ([], "generator", None, ""),
    ],
)
def test_rows_that_fill_up_a_batch_are_copies_of_one_sample(tail, kind, certain, evidence):
    found = counts.padded(view_of(np.r_[np.arange(50), tail], kind))
    assert (None if found is None else found.certain) == certain
    if found is not None:
        assert found.evidence == f"the {evidence}"


@pytest.mark.parametrize(("n", "extra", "certain"), [(50, 6, True), (54, 2, True), (48, 8, False), (55, 1, False)])
def test_copies_are_certain_where_they_are_several_and_less_than_a_batch(n, extra, certain):
    found = counts.padded(view_of([*range(n), *[n - 1] * extra], n=n))
    assert found is not None
    assert found.certain is certain
    assert counts.padded(view_of([*range(n), *[n - 1] * extra], n=n, known=False)) is None
    assert counts.padded(view_of([1, 0, *range(2, n), *[n - 1] * extra], n=n)) is None


@pytest.mark.parametrize("declared", [True, False])
def test_dummies_are_certain_where_all_are_declared(declared):
    padding = np.zeros(52, dtype=bool)
    padding[50:] = [True, declared]
    found = counts.padded(view_of([*range(50), -1, -1], padding=padding))
    assert (found is not None) is declared
    if found is not None:
        assert found.certain
        assert found.evidence == "the 2 rows after the last label are declared dummies"


@pytest.mark.parametrize(
    ("rows", "n", "batch", "facts", "certain", "replicas"),
    [
        pytest.param(64, 50, 8, {"replicas": 2}, True, 2, id="declared"),
        pytest.param(56, 50, 8, {"replicas": 7}, False, 7, id="less-than-a-batch"),
        pytest.param(64, 56, 8, {"replicas": 2}, True, 2, id="a-batch"),
        pytest.param(72, 50, 8, {"replicas": 3}, True, 3, id="three"),
        pytest.param(72, 50, 8, {"replicas": 2}, None, 0, id="another-number-of-replicas"),
        pytest.param(64, 50, 8, {}, False, 2, id="guessed"),
        pytest.param(64, 56, 8, {}, False, 2, id="guessed-from-a-batch"),
        pytest.param(72, 50, 8, {}, False, 3, id="guessed-three"),
        pytest.param(56, 50, 8, {}, None, 0, id="less-than-a-batch-says-nothing"),
        pytest.param(64, 50, 8, {"steps": 8}, None, 0, id="as-many-steps"),
        pytest.param(63, 50, 8, {}, None, 0, id="no-number-fits"),
        pytest.param(20, 10, 10, {"replicas": 2}, None, 0, id="each-sample-again"),
        pytest.param(50, 50, 8, {"replicas": 2}, None, 0, id="no-row-more"),
        pytest.param(48, 48, 8, {"replicas": 2}, None, 0, id="whole-batches"),
        pytest.param(64, 50, 8, {"replicas": 1}, False, 2, id="one-replica-says-nothing"),
    ],
)
def test_a_sampler_fills_up_the_batches_of_all_replicas(rows, n, batch, facts, certain, replicas):
    found = counts.sampler(view_of(np.arange(rows) % n, n=n, batch=batch, facts=facts))
    assert (None if found is None else found.certain) == certain
    if found is not None:
        extra = rows - n
        assert found.evidence == (
            f"the last {extra} rows are the first samples again: {extra} = (-{n}) mod ({replicas} replicas × {batch})"
        )


TWICE = np.arange(100) % 50
COPIED = "50 rows repeat a sample, each up to 2 times and each time in order"


@pytest.mark.parametrize(
    ("samples", "facts", "certain", "evidence"),
    [
        pytest.param(COPIES, {"workers": 2, "use_multiprocessing": True}, True, f"{COPIED}; 2 workers", id="processes"),
        pytest.param(COPIES, {"workers": 2}, False, f"{COPIED}; 2 workers", id="threads"),
        pytest.param(COPIES, {"workers": 3, "use_multiprocessing": True}, False, f"{COPIED}; 3 workers", id="others"),
        pytest.param(COPIES, {"workers": 1}, False, COPIED, id="one-worker"),
        pytest.param(COPIES, {"replicas": 2}, True, f"{COPIED}; 2 workers", id="replicas"),
        pytest.param(COPIES, {}, False, COPIED, id="not-known"),
        pytest.param(TWICE, {"workers": 2, "use_multiprocessing": True}, False, COPIED + "; 2 workers", id="passes"),
        pytest.param(TWICE, {"steps": 12}, False, COPIED, id="less-steps-than-two-passes"),
        pytest.param(TWICE, {"steps": 13}, None, "", id="two-passes-in-steps"),
        pytest.param(np.arange(80) % 50, {}, None, "", id="a-second-pass-that-ends"),
        pytest.param(np.r_[COPIES, FOREIGN], {}, None, "", id="a-foreign-row"),
        pytest.param(np.r_[COPIES, 50], {}, None, "", id="a-foreign-row-behind"),
        pytest.param(np.r_[COPIES, -1], {}, None, "", id="an-unidentified-row"),
        pytest.param(
            np.repeat(np.arange(50), 3), {}, False,
            "100 rows repeat a sample, each up to 3 times and each time in order", id="three-times",
        ),
        pytest.param(np.r_[COPIES[::-1]], {}, None, "", id="in-another-order"),
        pytest.param(np.r_[np.arange(50), np.arange(50)[::-1]], {}, None, "", id="the-second-time-in-another-order"),
        pytest.param(np.arange(50), {}, None, "", id="each-once"),
        pytest.param(
            COPIES[COPIES < 40], {}, False,
            "40 rows repeat a sample, each up to 2 times and each time in order; the last 10 samples never arrived",
            id="cut-short",
        ),
        pytest.param(
            np.r_[COPIES[COPIES < 40], 40], {}, False,
            "40 rows repeat a sample, each up to 2 times and each time in order; the last 9 samples never arrived",
            id="one-behind",
        ),
    ],
)  # fmt: skip
def test_copies_of_a_source_come_each_in_order(samples, facts, certain, evidence):
    found = counts.copied(view_of(samples, facts=facts))
    assert (None if found is None else found.certain) == certain
    if found is not None:
        assert found.evidence == evidence
    assert counts.copied(view_of(samples, facts=facts, known=False)) is None


@pytest.mark.parametrize(
    ("repeated", "batch", "found"),
    [
        pytest.param(16, 8, False, id="a-quarter"),
        pytest.param(17, 8, True, id="more-than-a-quarter"),
        pytest.param(20, 20, False, id="a-batch"),
        pytest.param(21, 20, True, id="more-than-a-batch"),
    ],
)
def test_copies_are_more_than_a_batch_and_a_quarter_of_the_rows(repeated, batch, found):
    # The first samples twice, in turn, then the others once.
    samples = np.r_[np.repeat(np.arange(repeated), 2), repeated : 50 if batch == 8 else 30]
    assert (counts.copied(view_of(samples, batch=batch)) is not None) is found


@pytest.mark.parametrize(("facts", "workers"), [({}, 2), ({"workers": 3}, 3)])
def test_the_remedy_names_as_many_readers_as_are_known(facts, workers):
    found = counts.copied(view_of(COPIES, "pydataset", facts=facts))
    assert found is not None
    assert f"workers={workers}, use_multiprocessing=True" in found.remedy


TAIL = "48 rows for 50 labels: 2 missing = 50 mod 8"


@pytest.mark.parametrize(
    ("recogniser", "kind", "facts", "known", "evidence"),
    [
        (counts.floor_steps, "generator", {"steps": 6}, True, f"{TAIL}, samples 48, 49; steps=6"),
        (counts.floor_steps, "generator", {"steps": 6}, False, f"{TAIL}; steps=6"),
        (counts.floor_steps, "generator", {}, True, f"{TAIL}, samples 48, 49"),
        (counts.floor_steps, "generator", {"drop_remainder": True}, True, None),
        (counts.floor_steps, "tf.data", {}, True, None),
        (
            counts.floor_len,
            "pydataset",
            {"num_batches": 6},
            True,
            f"{TAIL}, samples 48, 49; `len` of Images is 6 batches",
        ),
        (counts.floor_len, "pydataset", {"num_batches": 7}, True, f"{TAIL}, samples 48, 49"),
        (counts.floor_len, "pydataset", {"num_batches": 6, "steps": 6}, True, None),
        (counts.dropped, "tf.data", {}, True, f"{TAIL}, samples 48, 49"),
        (counts.dropped, "tf.data", {"steps": 6, "drop_remainder": True}, True, f"{TAIL}, samples 48, 49"),
        (counts.dropped, "tf.data", {"steps": 6}, True, None),
    ],
)
def test_the_rows_of_a_tail_are_named_with_what_explains_them(recogniser, kind, facts, known, evidence):
    found = recogniser(view_of(np.arange(48), kind, known=known, facts=facts))
    assert (None if found is None else found.evidence) == evidence


def test_a_generator_that_ended_did_not_lose_its_tail_to_steps():
    assert counts.floor_steps(view_of(np.arange(48), state={"exhausted": True})) is None
    assert counts.dropped(view_of(np.arange(48), state={"exhausted": True})) is not None


@pytest.mark.parametrize(
    ("samples", "found"),
    [
        pytest.param(np.arange(48), True, id="in-order"),
        pytest.param(np.r_[1, 0, 2:48], True, id="another-order"),
        pytest.param(np.delete(np.arange(50), [3, 4]), False, id="other-samples"),
        pytest.param([*range(47), 0], False, id="one-again"),
        pytest.param([*range(47), FOREIGN], False, id="a-foreign-row"),
        pytest.param([*range(47), -1], False, id="an-unidentified-row"),
        pytest.param(np.arange(47), False, id="one-row-less"),
        pytest.param(np.arange(50), False, id="all"),
        pytest.param(np.arange(58) % 50, False, id="more"),
    ],
)
def test_a_tail_is_missing_where_all_other_samples_are_there_once(samples, found):
    assert (counts.floor_steps(view_of(samples, facts={"steps": 6})) is not None) is found


@pytest.mark.parametrize(
    ("samples", "facts", "certain"),
    [
        pytest.param(np.arange(24), {"steps": 3, "num_batches": 7}, True, id="in-order"),
        pytest.param(np.arange(24), {"steps": 3}, False, id="perhaps-it-had-no-more"),
        pytest.param(np.arange(24), {"steps": 3, "num_batches": 3}, None, id="it-had-no-more"),
        pytest.param([*range(16), *range(24, 32)], {"steps": 3, "num_batches": 7}, None, id="not-the-first-samples"),
        pytest.param(np.arange(24)[::-1], {"steps": 3}, False, id="another-order"),
        pytest.param(np.arange(24), {}, None, id="no-steps"),
        pytest.param(np.arange(48), {"steps": 6}, None, id="a-tail"),
        pytest.param(np.arange(56) % 50, {"steps": 7}, None, id="more"),
        pytest.param([*range(23), 0], {"steps": 3}, None, id="one-again"),
        pytest.param([*range(23), FOREIGN], {"steps": 3}, None, id="a-foreign-row"),
        pytest.param([*range(23), -1], {"steps": 3}, None, id="an-unidentified-row"),
        pytest.param([], {"batch_size": 8}, None, id="no-rows"),
    ],
)
def test_steps_that_are_too_few_are_those_of_the_rows(samples, facts, certain):
    found = counts.few_steps(view_of(samples, facts=facts))
    assert (None if found is None else found.certain) == certain
    if found is not None:
        assert found.evidence == "3 steps of 8 rows are 24 of 50 labels"


def test_more_rows_are_not_too_few_steps_where_samples_are_not_known():
    assert counts.few_steps(view_of(np.arange(56) % 50, known=False, facts={"steps": 7})) is None


def test_one_sample_is_a_tail():
    found = counts.floor_steps(view_of(np.arange(48), n=49, facts={"steps": 6}))
    assert found is not None
    assert found.evidence == "48 rows for 49 labels: 1 missing = 49 mod 8, samples 48; steps=6"


@pytest.mark.parametrize(("steps", "found"), [(11, True), (12, False)])
def test_a_second_pass_that_steps_ask_for_is_no_copy(steps, found):
    view = view_of(np.arange(96) % 48, n=48, facts={"steps": steps})
    assert (counts.copied(view) is not None) is found


@pytest.mark.parametrize(
    ("samples", "certain"),
    [
        pytest.param(np.delete(ALIGNED, [7, 20]), True, id="two"),
        pytest.param(np.delete(ALIGNED, [48]), True, id="the-last-but-one"),
        pytest.param(np.delete(ALIGNED, [7, 49]), True, id="also-at-the-end"),
        pytest.param([*np.delete(ALIGNED, [7, 20]), FOREIGN], False, id="and-a-foreign-row"),
        pytest.param([*np.delete(ALIGNED, [7, 20]), 49], None, id="and-one-repeated"),
        pytest.param([*np.delete(ALIGNED, [7, 20]), -1], None, id="and-an-unidentified-row"),
        pytest.param(np.delete(ALIGNED, [7, 20])[::-1], None, id="in-another-order"),
        pytest.param(np.delete(ALIGNED, range(40, 48)), None, id="a-whole-batch"),
        pytest.param([], None, id="all"),
        pytest.param(ALIGNED, None, id="none"),
    ],
)
def test_samples_are_left_out_where_the_others_are_in_order(samples, certain):
    found = counts.left_out(view_of(samples, facts={"leaves_out": "`filter`"}))
    assert (None if found is None else found.certain) == certain
    assert counts.left_out(view_of(samples, known=False)) is None


def test_samples_are_left_out_where_no_batches_are_known():
    found = counts.left_out(view_of(np.delete(ALIGNED, range(8, 16)), batch_sizes=WITHOUT_BATCHES))
    assert found is not None
    assert "8 samples never arrived: 8, 9, 10, 11, 12, …" in found.evidence


def test_rows_of_another_selection_are_named():
    found = counts.others(view_of([*range(48), FOREIGN, 99]))
    assert found is not None
    assert found.evidence == (
        "2 rows are not among the labelled samples (rows 48, 49), and 2 labelled samples never arrived"
    )


# -- The rest of each file --------------------------------------------------------------------------------------------

IN_EACH = np.concatenate([np.arange(24), np.arange(30, 62), np.arange(69, 117)])
IN_FULL = np.concatenate([np.arange(24), np.arange(30, 62), np.arange(69, 117), np.arange(120, 128)])


@pytest.mark.parametrize(("samples", "n"), [(IN_EACH, 120), (IN_FULL, 128)], ids=["to-the-end", "last-file-is-whole"])
@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("tf.data", "part.batch(8, drop_remainder=True)"),
        ("generator", "of each file, in batches"),
        ("pydataset", "math.ceil(len(part) / 8)"),
        ("arrays", "parts.append(part)"),
    ],
)
def test_the_rest_of_each_file_is_dropped(samples, n, kind, words):
    for facts in ({}, {"drop_remainder": True}):
        view = view_of(samples, kind, n=n, facts=facts)
        found = diagnose(view.trace, view.samples, view.labels)[0]
        assert (found.cause, found.certain) == (title("dropped"), bool(facts))
        assert f"{n - len(samples)} samples never arrived: 3 times fewer than 8" in found.evidence
        assert words in found.remedy


@pytest.mark.parametrize(
    "samples",
    [
        pytest.param(np.arange(112), id="one-file"),
        pytest.param(np.delete(np.arange(120), range(24, 33)), id="more-than-a-batch"),
        pytest.param(np.delete(np.arange(120), [20, 21, 50]), id="not-behind-whole-batches"),
        pytest.param(np.delete(np.arange(120), [24]), id="perhaps-by-chance"),
        pytest.param(IN_EACH[::-1], id="in-another-order"),
        pytest.param([*IN_EACH, 5], id="repeated"),
    ],
)
def test_other_samples_that_are_missing_are_not_the_rest_of_each_file(samples):
    assert counts.dropped_in_each(view_of(samples, n=120)) is None
    assert counts.dropped_in_each(view_of(IN_EACH, n=120, ordered=False)) is None
    assert counts.dropped_in_each(view_of(IN_EACH, n=120, facts={"leaves_out": "`filter`"})) is None
    assert counts.dropped_in_each(view_of(IN_EACH, n=120, batch_sizes=WITHOUT_BATCHES)) is None


def test_of_two_files_only_a_pipeline_that_drops_batches_shows_it():
    samples = np.concatenate([np.arange(64), np.arange(70, 118)])
    assert counts.dropped_in_each(view_of(samples, "tf.data", n=120)) is None
    found = counts.dropped_in_each(view_of(samples, "tf.data", n=120, facts={"drop_remainder": True}))
    assert found is not None
    assert not found.certain


def test_the_length_of_an_iterator_of_keras_is_right():
    found = view_of(np.arange(48), "pydataset", facts={"num_batches": 6})
    assert counts.floor_len(found) is not None
    iterator = view_of(np.arange(48), "pydataset", facts={"num_batches": 6}, type_name="DataFrameIterator")
    assert counts.floor_len(iterator) is None
