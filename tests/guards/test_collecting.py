"""Loops that predict and collect labels batch by batch: what they are given becomes the labels."""

import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

import evalguard
from evalguard import Proof, Verdict, testing
from tests.guards.streams import ALIGNED, BATCH, N, X, Y

QUIET = {"on_failure": "record", "on_unproven": "record", "mlflow": False}
PASSED = (Verdict.PASS, Proof.IDENTITY)
CALLS = {
    "predict": lambda model, x: model.predict(x, verbose=0),
    "predict_on_batch": lambda model, x: model.predict_on_batch(x),
    "__call__": lambda model, x: np.asarray(model(x)),
}


def make(ids):
    return X[ids], Y[ids]


def shuffled(seed=None):
    """Another order at each pass."""
    return tf.data.Dataset.from_tensor_slices((X, Y)).shuffle(N, seed=seed).batch(BATCH)


def overwriting():
    """Batches in one pair of arrays, overwritten for each batch."""
    x, y = np.zeros((BATCH, 1), "float32"), np.zeros(BATCH, Y.dtype)
    for start in range(0, N, BATCH):
        rows = min(BATCH, N - start)
        x[:rows], y[:rows] = X[start : start + rows], Y[start : start + rows]
        yield x[:rows], y[:rows]


SOURCES = {
    "tf.data": shuffled,
    "PyDataset": lambda: testing.as_pydataset(ALIGNED[::-1], make),
    "Sequence": lambda: testing.as_sequence(ALIGNED, make),
    "generator": lambda: testing.as_generator(ALIGNED, make),
    "function": lambda: lambda: testing.as_generator(ALIGNED, make),
    "overwriting": overwriting,
    "list of tuples": lambda: [make(ids) for ids in ALIGNED],
    "list of lists": lambda: [list(make(ids)) for ids in ALIGNED],
    "labels as lists": lambda: [(X[ids], Y[ids].tolist()) for ids in ALIGNED],
    "zip": lambda: zip([X[ids] for ids in ALIGNED], [Y[ids] for ids in ALIGNED], strict=True),
    "weights": lambda: [(*make(ids), np.ones(len(ids))) for ids in ALIGNED],
    "float64": lambda: [(X[ids].astype("float64") / 3, Y[ids]) for ids in ALIGNED],
}


@pytest.fixture(scope="module")
def model_of(engine):
    inputs = engine.keras.Input((1,))
    return engine.keras.Model(inputs, engine.keras.layers.Lambda(lambda rows: rows + 0)(inputs))


def one(g):
    (report,) = g.reports
    return report


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_each_label_of_a_loop_is_that_of_the_rows_it_came_with(model_of, source, call):
    predictions, labels = [], []
    with evalguard.guard(mlflow=False) as g:
        for x, y, *_ in g.collecting(source()):
            predictions.append(call(model_of, x))
            labels.append(np.array(y))
    assert (one(g).verdict, one(g).proof) == PASSED
    assert sorted(one(g).calls) == sorted(map(len, ALIGNED))
    assert np.array_equal(g.y_true, np.concatenate(labels))
    assert len(np.concatenate(predictions)) == N


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_batches_that_are_passed_to_a_guard_as_labels_are_read_when_it_ends(model_of, call):
    batches = evalguard.collecting(shuffled())
    guard = evalguard.guard(labels=batches, mlflow=False)
    for _ in range(2):
        with guard as g:
            for x, _ in batches:
                call(model_of, x)
        assert (g.report.verdict, g.report.counts["n_labels"]) == (Verdict.PASS, N)


def test_batches_that_were_read_before_the_guard_are_its_labels(model):
    batches = evalguard.collecting(shuffled())
    rows = np.concatenate([x for x, _ in batches])
    for given in (batches, batches.labels):
        with evalguard.guard(labels=given, mlflow=False) as g:
            model.predict(rows, verbose=0)
        assert (one(g).verdict, one(g).proof) == PASSED


@pytest.mark.parametrize(
    ("predicted", "verdict"),
    [
        pytest.param(lambda x: x, Verdict.PASS, id="x"),
        pytest.param(lambda x: np.sort(x, axis=0)[::-1], Verdict.FAIL, id="sorted"),
        pytest.param(lambda x: x[:-1], Verdict.FAIL, id="a row left out"),
        pytest.param(lambda x: np.concatenate([x, x[-1:]]), Verdict.FAIL, id="a row repeated"),
        pytest.param(lambda x: x + 1000, Verdict.UNPROVEN, id="other values"),
    ],
)
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_loop_that_predicts_other_rows_than_it_got_is_no_pass(model, call, predicted, verdict):
    with evalguard.guard(**QUIET) as g:
        for x, _ in g.collecting(shuffled(1)):
            call(model, predicted(np.asarray(x)))
    assert one(g).verdict is verdict


def labels_then_predict(g, model, dataset):
    np.concatenate([y for _, y in g.collecting(dataset)])
    model.predict(dataset, verbose=0)


def predict_then_labels(g, model, dataset):
    model.predict(dataset, verbose=0)
    np.concatenate([y for _, y in g.collecting(dataset)])


def two_loops(g, model, dataset):
    for x, _ in dataset:
        model.predict(x, verbose=0)
    np.concatenate([y for _, y in g.collecting(dataset)])


def in_step(g, model, dataset):
    for (_, _), (x, _) in zip(g.collecting(dataset), dataset, strict=True):
        model.predict(x, verbose=0)


@pytest.mark.parametrize("passes", [labels_then_predict, predict_then_labels, in_step])
def test_a_second_pass_over_a_shuffled_dataset_fails(model, passes):
    with evalguard.guard(**QUIET) as g:
        passes(g, model, shuffled())
    assert one(g).verdict is Verdict.FAIL
    with evalguard.guard(**QUIET) as g:
        passes(g, model, tf.data.Dataset.from_tensor_slices((X, Y)).batch(BATCH))
    assert one(g).verdict is Verdict.PASS


def test_rows_predicted_before_the_first_collecting_are_never_a_pass_by_position(model):
    with evalguard.guard(**QUIET) as g:
        two_loops(g, model, shuffled())
    assert one(g).verdict is Verdict.UNPROVEN
    assert "g.collecting(dataset)" in one(g).advice


def test_all_batches_predicted_in_one_call_after_the_loop_are_judged(model):
    for order, verdict in ((slice(None), Verdict.PASS), (slice(None, None, -1), Verdict.FAIL)):
        with evalguard.guard(**QUIET) as g:
            rows = [x for x, _ in g.collecting(shuffled())]
            model.predict(np.concatenate(rows)[order], verbose=0)
        assert one(g).verdict is verdict


def test_a_loop_that_is_left_early_is_judged_on_what_it_was_given(model):
    with evalguard.guard(**QUIET) as g:
        for number, (x, _) in enumerate(g.collecting(shuffled().repeat())):
            model.predict(x, verbose=0)
            if number == 2:
                break
    assert (one(g).verdict, one(g).counts["n_labels"]) == (Verdict.PASS, 3 * BATCH)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_last_batch_with_which_the_loop_ends_is_left_out(model, call):
    with evalguard.guard(**QUIET) as g:
        for number, (x, _) in enumerate(g.collecting(shuffled())):
            if number == 3:
                break
            call(model, x)
    assert (one(g).verdict, one(g).counts["n_labels"]) == (Verdict.PASS, 3 * BATCH)


def test_a_single_batch_that_nothing_predicts_is_unproven(model):
    with evalguard.guard(**QUIET) as g:
        for _ in g.collecting(shuffled()):
            break
    assert one(g).verdict is Verdict.UNPROVEN


def test_a_batch_that_was_yielded_and_not_predicted_is_missing(model):
    with evalguard.guard(**QUIET) as g:
        for number, (x, _) in enumerate(g.collecting(shuffled())):
            if number != 3:
                model.predict(x, verbose=0)
    assert (one(g).verdict, one(g).counts["missing"]) == (Verdict.FAIL, BATCH)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("first", CALLS.values(), ids=[f"first {name}" for name in CALLS])
@pytest.mark.parametrize("rows", [np.full((1, 1), -1, "float32"), X[:BATCH]], ids=["dummy", "samples"])
def test_a_short_call_before_the_loop_is_a_warm_up(model, rows, first, call):
    batches = evalguard.collecting(shuffled())
    for given in ({}, {"labels": batches}):
        with evalguard.guard(mlflow=False, **given) as g:
            first(model, rows)
            for x, _ in batches if given else g.collecting(shuffled()):
                call(model, x)
        assert (one(g).verdict, one(g).counts["n_predictions"]) == (Verdict.PASS, N)


@pytest.mark.parametrize(("rows", "verdict"), [(X[:BATCH], Verdict.UNPROVEN), (X, Verdict.FAIL)], ids=["part", "whole"])
def test_a_call_before_a_loop_that_leaves_a_label_out_is_judged(model, rows, verdict):
    with evalguard.guard(**QUIET) as g:
        model.predict(rows, verbose=0)
        for number, (x, _) in enumerate(g.collecting(shuffled())):
            if number:
                model.predict(x, verbose=0)
    assert one(g).verdict is verdict


def test_two_loops_in_one_entry_add_up_and_the_next_entry_begins_with_nothing(model):
    with evalguard.guard(mlflow=False) as g:
        for part in (ALIGNED[4:], ALIGNED[:4]):
            for x, _ in g.collecting([make(ids) for ids in part]):
                model.predict_on_batch(x)
    assert (g.report.verdict, g.report.counts["n_labels"]) == (Verdict.PASS, N)
    assert np.array_equal(g.y_true, Y[np.concatenate([*ALIGNED[4:], *ALIGNED[:4]])])
    with g:
        for x, _ in g.collecting([make(ids) for ids in ALIGNED[:2]]):
            model.predict_on_batch(x)
    assert (g.report.verdict, g.report.counts["n_labels"]) == (Verdict.PASS, 2 * BATCH)
    assert g.labels is None


def test_two_loops_in_turn_add_up_in_the_order_of_their_batches(model):
    with evalguard.guard(mlflow=False) as g:
        odd, even = (g.collecting([make(ids) for ids in part]) for part in (ALIGNED[1::2], ALIGNED[::2]))
        for (x, _), (other, _) in zip(even, odd, strict=False):
            model.predict_on_batch(x)
            model.predict_on_batch(other)
        model.predict_on_batch(X[ALIGNED[-1]])
    assert one(g).verdict is Verdict.PASS
    assert np.array_equal(g.y_true, Y)


def test_methods_of_one_loop_may_change(model):
    with evalguard.guard(mlflow=False) as g:
        for number, (x, _) in enumerate(g.collecting(shuffled())):
            list(CALLS.values())[number % 3](model, x)
    assert (one(g).verdict, len(one(g).calls)) == (Verdict.PASS, len(ALIGNED))


def test_several_models_in_one_loop_are_judged_one_by_one(model):
    other = keras.models.clone_model(model)
    with evalguard.guard(**QUIET) as g:
        for x, _ in g.collecting(shuffled()):
            model.predict(x, verbose=0)
            other.predict(np.asarray(x)[::-1], verbose=0)
    assert [report.verdict for report in g.reports] == [Verdict.PASS, Verdict.FAIL]


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize(("step", "verdict"), [(1, Verdict.PASS), (-1, Verdict.FAIL)])
def test_a_loop_for_each_model_adds_up(model, call, step, verdict):
    models = (model, keras.models.clone_model(model))
    with evalguard.guard(**QUIET) as g:
        for at, each in enumerate(models):
            for x, _ in g.collecting(shuffled(at)):
                call(each, np.asarray(x)[:: step if at else 1])
    assert (one(g).verdict, one(g).counts["n_labels"]) == (verdict, 2 * N)


def test_metrics_of_batches_are_judged_by_their_rows(model):
    model.compile(loss="mse")
    for step, verdict in ((1, Verdict.PASS), (-1, Verdict.FAIL)):
        with evalguard.guard(**QUIET) as g:
            for x, y in g.collecting(shuffled(1)):
                model.test_on_batch(np.asarray(x), np.asarray(y)[::step])
        assert one(g).verdict is verdict


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_labels_may_be_a_dict_of_outputs_and_x_a_dict_with_a_key(call):
    inputs = {"a": keras.Input((1,), name="a"), "b": keras.Input((1,), name="b")}
    rows = keras.layers.Add()(list(inputs.values()))
    model = keras.Model(inputs, {"p": rows, "q": keras.layers.Identity()(rows)})
    data = {"a": X, "b": -X / 7, "id": np.array([f"k{i}" for i in range(N)])}
    dataset = tf.data.Dataset.from_tensor_slices((data, {"p": Y, "q": np.eye(4)[Y]})).shuffle(N).batch(BATCH)
    with evalguard.guard(mlflow=False, key="id", drop_key=True) as g:
        for x, _ in g.collecting(dataset):
            call(model, x)
    assert (one(g).verdict, one(g).proof) == PASSED
    assert np.array_equal(g.y_true["q"].argmax(1), g.y_true["p"])
    assert np.array_equal(g.y_true["p"], Y[[int(key[1:]) for key in g.keys]])


def test_equal_inputs_with_other_labels_are_interchangeable(model):
    with evalguard.guard(mlflow=False) as g:
        for x, _ in g.collecting([(X[:8] // 4, Y[:8]), (X[:8] // 4, Y[8:16])]):
            model.predict(x, verbose=0)
    assert one(g).verdict is Verdict.PASS


def test_a_part_of_the_inputs_may_identify_rows(model):
    with evalguard.guard(mlflow=False, fingerprint=lambda x: np.round(x)) as g:
        for x, _ in g.collecting(shuffled()):
            model.predict(x, verbose=0)
    assert (one(g).verdict, one(g).proof) == PASSED


def test_a_decorated_function_collects_as_well(model):
    guard = evalguard.guard(**QUIET)

    def reverse(dataset):
        for x, _ in guard.collecting(dataset):
            model.predict(np.asarray(x)[::-1], verbose=0)

    with pytest.raises(evalguard.ConfigError, match="found one outside"):
        evalguard.guard(**QUIET)(reverse)(shuffled())
    guard(reverse)(shuffled(1))
    assert guard.report.verdict is Verdict.FAIL


def test_labels_as_an_argument_may_be_collected_ones(model):
    guard = evalguard.guard(labels_argument="batches", **QUIET)

    @guard
    def evaluate(batches):
        for x, _ in batches:
            model.predict(x, verbose=0)

    evaluate(evalguard.collecting(shuffled()))
    assert guard.report.verdict is Verdict.PASS


def test_a_wrapped_model_collects_inside_a_block_only(model):
    with evalguard.wrap(model, mlflow=False) as guarded:
        for x, _ in guarded.guard.collecting(shuffled()):
            guarded.predict(x, verbose=0)
    assert guarded.verdict is Verdict.PASS
    batches = evalguard.collecting(shuffled())
    guarded = evalguard.wrap(model, labels=batches, mlflow=False)
    with pytest.raises(evalguard.ConfigError, match=r"labels=collecting\(\.\.\.\): expected the calls inside"):
        guarded.predict(next(iter(batches))[0], verbose=0)
    with guarded:
        for x, _ in batches:
            guarded(x)
    assert guarded.verdict is Verdict.PASS


@pytest.mark.parametrize("given", [{"labels": Y}, {"reference": X}, {"labels": lambda: Y}, {"labels_argument": "y"}])
def test_labels_or_a_reference_beside_it_are_refused(given):
    guard = evalguard.guard(mlflow=False, **given)
    if "labels_argument" in given:
        guard(lambda y: None)
    with pytest.raises(evalguard.ConfigError, match="expected neither labels nor a reference beside it"):
        guard.collecting(shuffled())


def test_labels_that_are_set_beside_it_are_refused_when_the_guard_ends(model):
    with pytest.raises(evalguard.ConfigError, match="expected neither labels"), evalguard.guard(mlflow=False) as g:
        for x, _ in g.collecting(shuffled()):
            model.predict(x, verbose=0)
        g.labels = Y
    assert g.report.verdict is Verdict.UNPROVEN
    with pytest.raises(evalguard.ConfigError, match="expected neither labels"):
        evalguard.guard(labels=evalguard.collecting([]), reference=X, mlflow=False).__enter__()


def test_collecting_is_refused_outside_of_the_guard_and_in_another_thread():
    guard, found = evalguard.guard(mlflow=False, on_unproven="record"), []

    def elsewhere():
        try:
            guard.collecting([])
        except evalguard.ConfigError as error:
            found.append(str(error))

    elsewhere()
    with guard, evalguard.guard(labels=Y, **QUIET):
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        guard.collecting([make(ALIGNED[0])])
        list(guard.collecting([make(ALIGNED[0])]))
    assert len(found) == 2
    assert all("inside `with evalguard.guard(...) as g:`" in message for message in found)


def test_a_loop_without_a_batch_has_no_labels():
    with pytest.raises(evalguard.LabelsError, match="expected at least one batch, found none"):
        with evalguard.guard(mlflow=False) as g:
            list(g.collecting([]))
    assert g.report.verdict is Verdict.UNPROVEN


def test_what_a_loop_has_returned_is_not_repaired(model):
    with pytest.raises(evalguard.MisalignmentError), evalguard.guard(on_failure="repair", mlflow=False) as g:
        for x, _ in g.collecting(shuffled(1)):
            model.predict(np.asarray(x)[::-1], verbose=0)
    assert "returned batch by batch" in str(g.report.repair)
    assert "g.collecting(dataset)" in g.report.advice


@pytest.mark.parametrize("call", ["predict_on_batch", "__call__"])
def test_a_loop_with_lists_that_come_late_names_collecting(model, call):
    def loop(**options):
        with evalguard.guard(**QUIET, **options) as g:
            labels = []
            for x, y in shuffled(1):
                CALLS[call](model, x)
                labels.append(y)
            g.labels = np.concatenate(labels)
        return one(g)

    unproven, failed = loop(), loop(reference=X)
    assert (unproven.verdict, failed.verdict) == (Verdict.UNPROVEN, Verdict.FAIL)
    for report in (unproven, failed):
        assert report.advice.startswith("for x, y in g.collecting(dataset)")
    assert "reference" not in failed.advice


def test_predict_in_a_loop_with_lists_that_come_late_names_collecting(model):
    def loop(**options):
        with evalguard.guard(**QUIET, **options) as g:
            for x, _ in shuffled(1):
                model.predict(x, verbose=0)
            g.labels = Y
        return g.reports

    assert "g.collecting(dataset)" in loop()[0].advice
    for options in ({}, {"reference": X}):
        (report,) = loop(scope="session", **options)
        assert report.advice.startswith("for x, y in g.collecting(dataset)")


@pytest.mark.parametrize("call", CALLS)
def test_the_order_within_the_array_of_a_call_proves_no_transport(model_of, call):
    """A row that the loop exchanges may be a random transformation, too; its array arrived in order either way."""
    options = {**QUIET, "require": "transport"}
    with evalguard.guard(**options) as g:
        for x, _ in g.collecting([make(np.arange(BATCH))]):
            x[::2] += N
            CALLS[call](model_of, x)
    assert (g.report.verdict, g.report.proof) == (Verdict.UNPROVEN, Proof.COUNT)
