"""A share of the rows, sampled by position: which rows, and what may be claimed about the others."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evalguard.core.judge import judge
from evalguard.core.label_table import LabelTable
from evalguard.core.matching import COMPARABLE_SHARE, compare_sampled
from evalguard.core.policy import Policy, Proof, Verdict
from evalguard.core.sampling import RowSampler, SampledRows, Sampling, sampling_of
from evalguard.core.trace import UNKNOWN, Trace
from evalguard.errors import ConfigError

SHARES = st.sampled_from([0.001, 0.05, 0.3, 0.999])


def content_of(samples):
    return (np.asarray(samples) + 1000).astype(np.uint64)


def drawn(samples, share):
    """The chosen rows of a stream of these samples."""
    positions = Sampling(share).of(len(samples))
    return SampledRows(positions, content_of(samples)[positions], len(samples))


def trace_of(samples, share, **parts):
    rows = np.arange(len(samples))
    return Trace(len(samples), rows, sampled=drawn(samples, share), **parts)


def labels_for(n, share, whole=True, keys=False):
    return LabelTable(
        values=np.arange(n),
        keys=np.asarray([f"id{sample}" for sample in range(n)]) if keys else None,
        fingerprints=content_of(range(n)) if whole else None,
        sampled=None if whole else drawn(range(n), share),
    )


# -- Which rows --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.001, 0.01, 0.2, 0.9])
def test_about_as_many_rows_are_chosen_as_asked_for(share):
    positions = Sampling(share).of(200_000)
    assert len(positions) == pytest.approx(200_000 * share, rel=0.15)
    assert (np.diff(positions) > 0).all()
    # Evenly over the stream.
    assert np.histogram(positions, 4)[0] == pytest.approx([len(positions) / 4] * 4, rel=0.3)


@given(st.integers(1, 5000), SHARES)
@example(70_000, 0.001)
def test_the_first_and_the_last_row_are_always_chosen(n, share):
    positions = Sampling(share).of(n)
    assert (positions[0], positions[-1]) == (0, n - 1)
    assert len(set(positions.tolist())) == len(positions)


def test_which_rows_are_chosen_is_the_same_every_time():
    assert Sampling(0.01).of(1000).tolist() == Sampling(0.01).of(1000).tolist()
    assert Sampling(0.01).of(500)[:-1].tolist() == [row for row in Sampling(0.01).of(1000).tolist() if row < 499]


@given(st.lists(st.integers(0, 40), max_size=12), SHARES)
@example([0], 0.3)
@example([3, 0, 4, 0], 0.001)
def test_how_rows_are_cut_into_batches_does_not_matter(sizes, share):
    n = sum(sizes)
    draw, start, hashed = RowSampler(Sampling(share)), 0, 0
    for size in sizes:
        rows = draw.choose(size)
        hashed += len(rows)
        draw.put(content_of(start + rows))
        start += size
    found = draw.sampled()
    if not n:
        assert found is None
        return
    assert found is not None
    assert found.positions.tolist() == Sampling(share).of(n).tolist()
    assert found.fingerprints.tolist() == content_of(found.positions).tolist()
    # The last row of each batch may have been the last of all.
    assert hashed <= len(found.positions) + len(sizes)


def test_the_option_is_read():
    assert sampling_of("all") is None
    assert sampling_of("sample:0.01") == sampling_of("sample:.01") == Sampling(0.01)


@pytest.mark.parametrize(
    "content", ["sample", "sample:0", "sample:0.0", "sample:1.0", "sample:2", "sample:-.1", None, 0.1]
)
def test_anything_else_is_refused(content):
    with pytest.raises(ConfigError, match=r"content: expected 'all', or a share .*'sample:0\.01'; found"):
        Policy(content=content)


@pytest.mark.parametrize(
    "other", [{"on_failure": "repair"}, {"padding": "trim"}, {"scope": "session"}, {"fail_fast": True}], ids=str
)
def test_what_a_sample_cannot_honour_is_refused(other):
    (name,) = other
    with pytest.raises(ConfigError, match=f"content='sample:0.1' with {name}="):
        Policy(content="sample:0.1", **other)
    assert Policy(content="all", **other).sampling is None


# -- What may be claimed -----------------------------------------------------------------------------------------------


@given(st.integers(1, 60).flatmap(lambda n: st.permutations(range(n))), SHARES, st.booleans(), st.booleans())
@example([1, 0], 0.001, False, True)
@example([0, 2, 1, 3], 0.001, False, True)
@example([*(row ^ 1 for row in range(50)), 50], 0.999, False, False)
def test_a_chosen_row_that_moved_is_a_fault_and_no_sample_is_ever_identity(order, share, whole, again):
    n = len(order)
    labels = labels_for(n, share, whole)
    if not whole and again:  # as the guard does if almost no row is in position
        labels = LabelTable(values=labels.values, fingerprints=content_of(range(n)), sampled=labels.sampled)
    trace = trace_of(order, share)
    report = judge(trace, labels, Policy(require="sample", content="sample:0.1")).report
    chosen = trace.sampled.positions
    moved = [row for row in chosen.tolist() if order[row] != row]
    assert report.proof != "identity"
    if not moved:
        assert (report.verdict, report.proof) == (Verdict.PASS, "sample")
        assert judge(trace, labels, Policy()).report.verdict is Verdict.UNPROVEN
        return
    assert report.verdict is not Verdict.PASS
    assert report.proof == "transport", "what a chosen row contradicts is not shown"
    if whole or again or len(chosen) - len(moved) > COMPARABLE_SHARE * len(chosen):
        assert report.verdict is Verdict.FAIL
        assert report.counts["misaligned"] == len(moved) == report.violations
        assert report.headline.startswith(f"FAIL: at least {len(moved):,} of {n:,} predictions")


def test_the_report_says_how_many_rows_were_checked_and_what_may_be_missed():
    report = judge(trace_of(range(1797), 0.01), labels_for(1797, 0.01), Policy(require="sample")).report
    k = len(Sampling(0.01).of(1797))
    assert report.headline == (
        f"PASS: {k} of 1,797 predictions, sampled by position, match their labels; the others were not checked "
        "(proof: sample)"
    )
    note = report.not_proven[0]
    assert f"{k} of 1,797 rows, sampled by position, are the samples of their labels" in note
    assert f"1 row in 100 at random is missed with probability {(1 - k / 1797) ** 18:.2g}" in note


def test_the_probability_is_no_less_than_how_often_faults_are_missed():
    n, rng = 1000, np.random.default_rng(0)
    trace = trace_of(range(n), 0.05)
    chosen = np.zeros(n, dtype=bool)
    chosen[trace.sampled.positions] = True
    missed = np.mean([not chosen[rng.choice(n, 10, replace=False)].any() for _ in range(4000)])
    compared = compare_sampled(trace, labels_for(n, 0.05))
    assert compared is not None
    assert missed == pytest.approx(compared.miss_probability(), abs=0.04)


@pytest.mark.parametrize("n", [59, 61])
def test_another_number_of_rows_is_a_fault_even_if_all_chosen_ones_are_right(n):
    report = judge(trace_of(range(n), 0.3), labels_for(60, 0.3, whole=False), Policy(require="count")).report
    assert report.verdict is Verdict.FAIL
    assert "count" in {finding.reason for finding in report.findings}


def test_a_reference_that_no_row_matches_shows_nothing():
    report = judge(trace_of(range(500, 560), 0.3), labels_for(60, 0.3), Policy(require="sample")).report
    assert (report.verdict, report.proof) == (Verdict.UNPROVEN, "transport")
    assert "almost none of the sampled rows match (0 of " in report.not_proven[0]


def test_swapped_samples_of_equal_content_are_no_fault():
    equal = SampledRows(Sampling(0.3).of(60), np.full(len(Sampling(0.3).of(60)), 7, np.uint64), 60)
    labels = LabelTable(values=np.arange(60), sampled=equal)
    trace = Trace(60, np.full(60, UNKNOWN), sampled=equal)
    assert judge(trace, labels, Policy(require="sample")).report.verdict is Verdict.PASS


def test_rows_that_were_not_all_observed_are_no_proof():
    trace = trace_of(range(60), 0.3, unobserved="something was lost")
    report = judge(trace, labels_for(60, 0.3), Policy(require="sample")).report
    assert report.verdict is Verdict.UNPROVEN


def test_rows_reordered_behind_the_source_are_a_fault_even_if_the_sampled_rows_are_right():
    tags = np.arange(60)
    tags[[30, 31]] = 31, 30
    trace = Trace(60, tags, sampled=drawn(range(60), 0.001))
    report = judge(trace, labels_for(60, 0.001), Policy(require="sample")).report
    assert [finding.reason for finding in report.findings] == ["transport"]


@pytest.mark.parametrize("stated", ["index", "keys"])
@pytest.mark.parametrize("wrong", [False, True])
def test_what_a_source_states_is_identity_unless_a_sampled_row_contradicts_it(stated, wrong):
    parts = {"index": np.arange(60)} if stated == "index" else {"keys": np.asarray([f"id{row}" for row in range(60)])}
    order = np.arange(60)
    if wrong:
        order[[0, 5]] = 5, 0
    trace = trace_of(order, 0.001, **parts)
    report = judge(trace, labels_for(60, 0.001, keys=True), Policy(require="identity")).report
    assert report.proof is Proof.IDENTITY
    assert report.verdict is (Verdict.FAIL if wrong else Verdict.PASS)
    if wrong:
        assert [finding.reason for finding in report.findings] == ["identities_disagree"]
        assert "at 1 of 2 sampled rows (first: row 0)" in report.findings[0].message


def test_a_key_that_says_so_itself_is_one_finding_not_two():
    order = np.arange(60)
    order[[0, 5]] = 5, 0
    trace = trace_of(order, 0.001, keys=np.asarray([f"id{row}" for row in order]))
    report = judge(trace, labels_for(60, 0.001, keys=True), Policy()).report
    assert [finding.reason for finding in report.findings] == ["reordered"]
    assert report.headline.startswith("FAIL: 2 of 60 predictions")


def test_targets_of_a_stream_prove_more_only_where_equal_inputs_are_known_of():
    trace = trace_of(range(60), 0.3, targets=np.arange(60))
    labels = labels_for(60, 0.3)
    assert judge(trace, labels, Policy()).report.proof == "sample"
    assert judge(trace, labels, Policy(duplicate_inputs="allow")).report.proof == "labels"
