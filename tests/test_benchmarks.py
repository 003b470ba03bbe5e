"""The benchmarks run, on very little data: their results are not tested."""

import itertools
import json
import statistics

import numpy as np
import pytest

from benchmarks import gpu, keyed, lockstep, overhead, pairs, plot, soak, subjects, tables, turns
from benchmarks.diagnosis import __main__ as diagnosis
from benchmarks.diagnosis.kinds import KINDS, Kind
from benchmarks.diagnosis.measure import Row, count, instance, measure, models, report_of
from benchmarks.diagnosis.twins import TWINS, WITHOUT
from evalguard.core.diagnosis import catalogue
from evalguard.core.findings import Cause
from evalguard.core.policy import Proof, Verdict
from evalguard.core.report import Report


@pytest.mark.slow
@pytest.mark.parametrize("guarded", [False, True])
def test_a_soak_run_measures_ten_points_of_its_call(guarded):
    run = soak.call(400, guarded=guarded)
    assert [point.batches for point in run.points] == [20, *range(40, 401, 40)]
    assert all(point.megabytes > 0 for point in run.points)
    assert (run.points[-1].guard_s > 0) is guarded
    assert (run.trace_mb > 0) is guarded


@pytest.mark.slow
@pytest.mark.parametrize("engine", [subjects.KERAS_3, subjects.TF_KERAS])
def test_every_line_with_a_budget_is_measured_and_proves_what_it_says(engine):
    cells = [cell for cell in overhead.cells(everything=False) if (cell.engine, cell.model) == (engine, subjects.MLP)]
    small = subjects.subject(engine, subjects.MLP, 12 * subjects.BATCH)
    costs = [overhead.measure(cell, small, 1, memory=False) for cell in cells]
    assert len(costs) >= len(subjects.KINDS)
    assert all(cost.ratio.ratio > 0 for cost in costs)


def flat(guard_us=4.0, megabytes=100.0, trace_mb=0.0, at_end_us=None, at_end_mb=0.0):
    """A call of 1,000 batches; the last three stretches and the last point may differ."""
    points, guard_s = [soak.Point(20, 0.1, 0.0, megabytes)], 0.0
    for number in range(1, 11):
        late = at_end_us is not None and number > 7
        guard_s += 100 * (at_end_us if late else guard_us) / 1e6
        points.append(soak.Point(100 * number, number, guard_s, megabytes + at_end_mb * (number == 10)))
    return soak.Soak(points, trace_mb)


@pytest.mark.parametrize(
    ("guarded", "status"),
    [
        pytest.param({}, 0, id="flat"),
        pytest.param({"at_end_us": 4.8}, 1, id="slower-at-the-end"),
        pytest.param({"at_end_mb": 20.0}, 1, id="memory-beyond-the-trace"),
        pytest.param({"at_end_mb": 20.0, "trace_mb": 20.0}, 0, id="memory-of-the-trace"),
        # Of 10 MB of trace a tenth was there at the warm-up: 17.5 MB are 8.5 beyond the rest.
        pytest.param({"at_end_mb": 17.5, "trace_mb": 10.0}, 1, id="trace-before-the-warm-up-does-not-count"),
    ],
)
def test_a_soak_run_is_judged_by_what_the_guard_alone_adds(guarded, status):
    assert soak.verdict(flat(guard_us=0.0), flat(**guarded)) == status


def timed(of_guarded, *, budget):
    """Pairs by a fake clock: a bare call takes one second, the guarded ones take ``of_guarded`` in turn."""
    now, of_guarded = [0.0], itertools.cycle(of_guarded)

    def call(seconds):
        now[0] = seconds

    return pairs.compare(
        lambda: call(1.0), lambda: call(next(of_guarded)), pairs=8, warmup=0, since=lambda start: now[0], budget=budget
    )


@pytest.mark.parametrize(
    ("of_guarded", "budget", "count"),
    [
        pytest.param([1.05, 1.06, 1.07], 1.15, 8, id="far-below"),
        pytest.param([1.25, 1.26, 1.27], 1.15, 8, id="far-above"),
        pytest.param([1.0, 1.15, 1.3], 1.15, 8 * pairs.MOST_TIMES, id="too-near-to-tell"),
        pytest.param([1.0, 1.15, 1.3], None, 8, id="no-budget"),
    ],
)
def test_more_pairs_are_timed_only_where_a_budget_is_near(of_guarded, budget, count):
    found = timed(of_guarded, budget=budget)
    assert found.pairs == count
    assert found.ratio == pytest.approx(of_guarded[1])


def test_stretches_of_a_call_take_turns(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("benchmarks.turns.time.perf_counter", lambda: now[0])
    timed = turns.Turns(5)
    for _ in range(4):
        timed.begin()
        for number in range(21):
            second, last = timed.step()
            assert second is timed.second(number)
            assert last is (number % 5 == 4)
            now[0] += 1.25 if second else 1.0
    found = timed.ratio()
    assert found.ratio == pytest.approx(1.25)
    assert found.first == pytest.approx(5.0)
    assert found.pairs == 8
    timed.forget()
    with pytest.raises(statistics.StatisticsError):
        timed.ratio()


def stepping(order, name, steps=4):
    """A call that does nothing but say whose step it is."""

    def call(callback):
        for step in range(steps):
            callback.on_predict_batch_begin(step)
            order.append(name)
            callback.on_predict_batch_end(step)
        callback.on_predict_end()

    return call


@pytest.mark.parametrize("first", [0, 1])
def test_two_calls_take_turns_step_by_step(first):
    order: list[int] = []
    seconds = lockstep.together([stepping(order, 0), stepping(order, 1)], first)
    assert order == [first, 1 - first] * 4
    assert [len(each) for each in seconds] == [4, 4]


@pytest.mark.parametrize("at", [0, 2, 4])
def test_a_call_that_fails_keeps_the_other_from_waiting(at):
    def failing(callback):
        for step in range(4):
            callback.on_predict_batch_begin(step)
            if step == at:
                raise KeyError(step)
            callback.on_predict_batch_end(step)
        raise KeyError(at)

    with pytest.raises(KeyError, match=str(at)):
        lockstep.together([stepping([], 0), failing], 0)


def test_steps_of_two_calls_are_compared_step_by_step():
    # Of twelve calls: a step of one second, and one that is now and then disturbed; the second way takes a tenth more,
    # and half a second for what it does in the last step only.
    disturbed = [5.0 if call % 6 == 0 else 1.0 for call in range(12)]
    seconds = [[[1.0, bare, 1.0], [1.1, bare + 0.1, 1.6]] for bare in disturbed]
    found = lockstep.ratio_of(seconds)
    assert found.first == pytest.approx(3.0)
    assert found.second == pytest.approx(3.8)
    assert found.ratio == pytest.approx(3.8 / 3.0)
    assert found.pairs == 12


def test_the_plot_shows_each_ratio(tmp_path):
    def row(source, proof, ratio, budget):
        return {
            "what": f"Keras 3, no-op MLP, predict, {source}, {proof}",
            "engine": "Keras 3",
            "model": "no-op MLP",
            "method": "predict",
            "source": source,
            "proof": proof,
            "ratio": ratio,
            "low": ratio - 0.01,
            "high": ratio + 0.01,
            "budget": budget,
        }

    rows = [
        row("arrays", "transport", 1.02, 1.15),
        row("arrays", "content", 1.04, None),
        row("tf.data", "labels", 1, None),
    ]
    results, picture = tmp_path / "results.json", tmp_path / "picture.svg"
    results.write_text(json.dumps({"measured_on": {"keras": "3", "tensorflow": "2", "cores": 2}, "rows": rows}))
    assert plot.main([str(results), str(picture)]) == 0
    drawn = picture.read_text()
    assert drawn.count("<circle") >= 3
    assert all(row["what"] in drawn for row in rows)


@pytest.fixture(scope="module")
def known():
    return models()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_first_cause_of_each_kind_is_right_and_none_that_is_wrong_is_certain(known, kind):
    row = measure(kind, 2, known)
    assert (row.instances, row.right, row.certain_wrong) == (2, 2, 0), diagnosis.line_of(row)


@pytest.mark.slow
@pytest.mark.parametrize("make", TWINS, ids=lambda make: make.__name__)
def test_the_fix_of_a_fault_names_what_its_twin_does_and_the_twin_is_right(known, tmp_path, make):
    kind, twin = next(kind for kind in KINDS if kind.make is make), TWINS[make]
    for number, folder in enumerate((tmp_path / "first", tmp_path / "second")):
        folder.mkdir()
        fix = report_of(instance(kind, number, folder)[1], known).diagnosis[0].remedy.partition("after:")[2]
        assert any(words in fix for words in twin.words), fix
        mended = report_of(instance(Kind(twin.mended, ()), number, folder)[1], known)
        assert mended.verdict in {Verdict.PASS, Verdict.REPAIRED}, mended
        assert (mended.diagnosis == ()) is (mended.verdict is Verdict.PASS)


def causes_of(kind):
    """Names of the causes in causes.toml that begin as the kind's words do; in braces stand values of a report."""
    texts = {name: text["cause"].partition("{")[0] for name, text in catalogue.texts().items() if "cause" in text}
    for words in kind.causes:
        whole = {name for name, text in texts.items() if text.startswith(words)}
        yield from whole or {name for name, text in texts.items() if words.startswith(text)}


def test_every_kind_and_every_cause_has_a_twin_or_a_reason_why_it_has_none():
    with_twin = [kind for kind in KINDS if kind.make in TWINS]
    assert {kind.make for kind in with_twin} == TWINS.keys()
    causes = {name for name, text in catalogue.texts().items() if "cause" in text}
    without = {kind.name for kind in KINDS if kind not in with_twin}
    without |= causes - {name for kind in with_twin for name in causes_of(kind)}
    assert without == WITHOUT.keys()


def named(*causes, verdict=Verdict.FAIL):
    found = tuple(Cause(name, certain, "", "") for name, certain in causes)
    return Report(verdict=verdict, proof=Proof.IDENTITY, counts={}, diagnosis=found)


KIND = next(kind for kind in KINDS if kind.name == "shuffling_pydataset")
NEGATIVE = next(kind for kind in KINDS if kind.name == "subset")
RIGHT = next(kind for kind in KINDS if kind.name == "right_but_odd")


@pytest.mark.parametrize(
    ("kind", "report", "right", "certain", "certain_wrong"),
    [
        pytest.param(KIND, named(("`shuffle=True`", True)), 1, 1, 0, id="right"),
        pytest.param(KIND, named(("`shuffle=True`", False), ("stride of 3", True)), 1, 0, 1, id="another-is-certain"),
        pytest.param(KIND, named(("stride of 3", False)), 0, 0, 0, id="wrong"),
        pytest.param(KIND, named(verdict=Verdict.UNPROVEN), 0, 0, 0, id="none"),
        pytest.param(NEGATIVE, named((NEGATIVE.causes[0], False)), 1, 0, 0, id="negative"),
        pytest.param(NEGATIVE, named((NEGATIVE.causes[0], True)), 1, 1, 1, id="negative-and-certain"),
        pytest.param(RIGHT, named(verdict=Verdict.PASS), 1, 0, 0, id="no-fault"),
        pytest.param(RIGHT, named(("`shuffle=True`", False)), 0, 0, 0, id="false-alarm"),
    ],
)
def test_causes_are_counted(kind, report, right, certain, certain_wrong):
    row = Row(kind)
    count(row, 0, report)
    assert (row.instances, row.right, row.certain, row.certain_wrong) == (1, right, certain, certain_wrong)
    assert (row.examples == [0]) is (not right or certain_wrong > 0)


@pytest.mark.parametrize(
    ("rows", "holds"),
    [
        ([Row(KIND, 20, 20)] * 10, True),
        ([*[Row(KIND, 20, 20)] * 9, Row(KIND, 20, 17)], True),
        ([*[Row(KIND, 20, 20)] * 9, Row(KIND, 20, 16)], False),
        ([Row(KIND, 20, 19)] * 10, False),
        ([*[Row(KIND, 20, 20)] * 9, Row(KIND, 20, 20, certain_wrong=1)], False),
    ],
)
def test_the_budgets_hold_of_all_kinds_and_of_each(rows, holds):
    assert diagnosis.verdict(rows)[1] is holds


def test_a_keyed_call_is_measured_bare_and_guarded():
    seconds, megabytes = keyed.beyond(3000, pairs=1)
    assert np.isfinite([seconds, megabytes]).all()


@pytest.mark.slow
def test_larger_models_are_measured_on_the_device_that_there_is(capsys):
    gpu.main(["--seconds", "4", "--models", "conv net", "--batches", "8"])
    first, _, *lines = capsys.readouterr().out.splitlines()
    assert first.startswith("Keras ")
    assert " ".join(lines).count("conv net") == len(gpu.KINDS)


@pytest.mark.slow
def test_check_is_measured_beside_duckdb_where_both_find_the_same(capsys):
    tables.main(["--rows", "3000", "--pairs", "1"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0].split()[0] for line in lines[1:]] == ["integers"] * 3 + ["text"] * 3
    assert all("holds" in line or "BROKEN" in line for line in lines[1:])
