"""The doors: decorator, context manager, wrapper, check; late labels, sessions, failures, results."""

import asyncio
import inspect
import json
import warnings

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
import tf_keras

import evalguard
from evalguard import Verdict, testing

N, BATCH = 50, 8
X = np.arange(N, dtype="float32")[:, None]
Y = np.arange(N) * 37 % 101 % 4
ALIGNED = testing.aligned_batches(N, BATCH)


@pytest.fixture(scope="module")
def model():
    inputs = keras.Input((1,))
    return keras.Model(inputs, keras.layers.Identity()(inputs))


def dataset(batches=ALIGNED, targets=False):
    return testing.as_tf_dataset(batches, lambda ids: (X[ids % N] + ids[:, None] // N * N, Y[ids % N])[: 1 + targets])


def faulty(fault="swapped_batches"):
    return dataset(testing.faulty_batches(fault, n=N, batch_size=BATCH))


def guard(**options):
    return evalguard.guard(**{"labels": Y, "mlflow": False, **options})


# -- the decorator ---------------------------------------------------------------


def test_a_decorated_function_keeps_its_signature_and_result(model):
    def evaluate(model: keras.Model, data: object, *, scale: float = 1.0) -> float:
        """Mean prediction."""
        return float(model.predict(data, verbose=0).mean() * scale)

    guarded = guard(reference=X)(evaluate)
    assert inspect.signature(guarded) == inspect.signature(evaluate)
    assert (guarded.__name__, guarded.__doc__) == ("evaluate", "Mean prediction.")
    assert guarded(model, dataset(), scale=2.0) == pytest.approx(N - 1)


def test_a_decorated_method_is_guarded(model):
    g = guard(reference=X, on_failure="record")

    class Evaluation:
        @g
        def run(self, data):
            return model.predict(data, verbose=0)

    Evaluation().run(dataset())
    Evaluation().run(faulty())
    assert [report.verdict for report in g.reports] == [Verdict.PASS, Verdict.FAIL]
    assert g.report.name.endswith("Evaluation.run")


def test_a_decorated_coroutine_is_guarded(model):
    g = guard(reference=X)

    @g
    async def evaluate():
        return model.predict(dataset(), verbose=0)

    assert len(asyncio.run(evaluate())) == N
    assert g.report.verdict is Verdict.PASS


def test_labels_may_be_an_argument_of_the_function(model):
    g = evalguard.guard(labels_argument="y_true", reference=X, mlflow=False)

    @g
    def evaluate(model, data, y_true):
        return model.predict(data, verbose=0)

    evaluate(model, dataset(), Y)
    evaluate(model, dataset(), y_true=list(Y))
    assert [report.counts["n_labels"] for report in g.reports] == [N, N]


def test_an_unknown_labels_argument_is_refused_when_decorating():
    with pytest.raises(evalguard.ConfigError, match=r"expected a parameter of .*evaluate; it has model, data"):

        @evalguard.guard(labels_argument="y_true")
        def evaluate(model, data): ...


# -- the context manager ---------------------------------------------------------


def test_a_failure_raises_with_report_and_predictions(model):
    with pytest.raises(evalguard.MisalignmentError) as caught, guard(reference=X):
        model.predict(faulty(), verbose=0)
    error = caught.value
    assert error.report.verdict is Verdict.FAIL
    assert error.predictions.shape == (N, 1), "hours of work are never lost to a raise"
    assert "16 of 50 predictions would be scored against another sample's label" in str(error)
    assert "row 0: prediction of sample 8, scored against label 0" in str(error)
    assert all(line.startswith("  ") for line in str(error).splitlines()[1:])


@pytest.mark.parametrize("action", ["warn", "record"])
def test_a_failure_that_does_not_raise_hands_back_the_predictions(model, action):
    g = guard(reference=X, on_failure=action)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with g:
            predictions = model.predict(faulty(), verbose=0)
    assert predictions[0, 0] == 8
    shown = [item for item in caught if item.category is evalguard.EvalGuardWarning]
    assert len(shown) == (action == "warn")
    if shown:
        assert shown[0].filename == __file__, "the warning must point at the caller's line"


def test_an_unproven_call_warns_by_default_and_raises_on_request(model):
    with pytest.warns(evalguard.EvalGuardWarning, match="nothing shows which sample each one is"), guard():
        model.predict(dataset(), verbose=0)
    with pytest.raises(evalguard.UnprovenError) as caught, guard(on_unproven="raise"):
        model.predict(dataset(), verbose=0)
    assert caught.value.predictions.shape == (N, 1)
    assert "to prove it: " in str(caught.value)


def test_a_weaker_proof_is_a_pass_where_it_is_enough(model):
    with guard(require="transport") as g:
        model.predict(dataset(), verbose=0)
    assert (g.report.verdict, g.report.proof) == (Verdict.PASS, "transport")


def test_a_guard_in_which_nothing_is_predicted_is_unproven():
    with guard(on_unproven="record") as g:
        pass
    assert g.report.verdict is Verdict.UNPROVEN
    assert "no guarded call was observed" in g.report.not_proven[0]


def test_labels_may_come_late(model):
    with evalguard.guard(reference=X, mlflow=False) as g:
        model.predict(dataset(), verbose=0)
        g.labels = Y
    assert g.report.verdict is Verdict.PASS
    found: dict[str, object] = {}
    with evalguard.guard(labels=lambda: found["y"], reference=X, mlflow=False) as g:
        model.predict(dataset(), verbose=0)
        found["y"] = Y
    assert g.report.verdict is Verdict.PASS


def test_a_guard_without_labels_says_so(model):
    with pytest.raises(evalguard.LabelsError, match="no labels"), evalguard.guard(mlflow=False):
        model.predict(dataset(), verbose=0)


def test_a_guard_can_be_entered_again_and_within_itself(model):
    g = guard(reference=X)
    with g:
        model.predict(dataset(), verbose=0)
        with g:
            model.predict(dataset(), verbose=0)
        model.predict(dataset(), verbose=0)
    with g:
        model.predict(dataset(), verbose=0)
    assert [report.verdict for report in g.reports] == [Verdict.PASS] * 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"require": "identty"}, "Did you mean 'identity'"),
        ({"on_failure": "rise"}, "Did you mean 'raise'"),
        ({"padding": True}, "padding: expected one of forbid, trim"),
        ({"drop_key": True}, "drop_key: expected key="),
        ({"labels_argument": "y"}, "expected one of them, found both"),
    ],
)
def test_a_wrong_option_is_refused_at_once(options, message):
    with pytest.raises(evalguard.ConfigError, match=message):
        guard(**options)


def test_an_unknown_kind_of_source_is_named_with_the_known_ones(model):
    with (
        pytest.raises(evalguard.UnsupportedSourceError, match="no probe for zip; supported: arrays") as caught,
        guard(),
    ):
        model.predict(zip([X], [X], strict=True), verbose=0)
    assert isinstance(caught.value, TypeError)


def test_a_model_that_returns_another_number_of_rows_is_unproven():
    inputs = keras.Input((1,))
    halved = keras.Model(inputs, keras.layers.Lambda(lambda t: t[::2])(inputs))
    with guard(on_unproven="record", reference=X) as g:
        result = halved.predict(dataset(), verbose=0)
    assert g.report.verdict is Verdict.UNPROVEN
    assert f"the model returned {len(result)} rows for {N} rows fed" in g.report.not_proven[0]


# -- results -----------------------------------------------------------------------


def test_labels_index_and_keys_come_in_the_order_delivered(model):
    order = np.random.default_rng(0).permutation(N)
    labels = evalguard.Labels(values=Y, keys=np.array([f"s{i}" for i in range(N)]))
    with evalguard.guard(labels=labels, reference=X, on_failure="record", mlflow=False) as g:
        predictions = model.predict(dataset([order]), verbose=0)
    assert g.index is not None
    assert g.keys is not None
    assert np.array_equal(g.index, order)
    assert np.array_equal(g.y_true, Y[order])
    assert g.keys.tolist() == [f"s{i}" for i in order]
    frame = g.to_frame()
    assert list(frame.columns) == ["row", "sample", "key", "y_true", "prediction"]
    assert np.array_equal(frame["prediction"], predictions[:, 0])
    assert np.array_equal(frame["sample"], order)


def test_the_label_of_a_foreign_row_is_masked(model):
    with guard(reference=X, on_failure="record") as g:
        model.predict(faulty("foreign_row"), verbose=0)
    assert g.y_true.mask.sum() == 1
    assert g.index is not None
    assert g.index[N // 2] < 0


def test_a_report_is_plain_deterministic_json(model):
    with guard(reference=X, on_failure="record") as g:
        model.predict(faulty(), verbose=0)
    data = json.loads(g.report.to_json())
    assert data["verdict"] == "FAIL"
    assert evalguard.Report.from_dict(data).to_json() == g.report.to_json()


def test_asking_for_a_report_too_early_says_so():
    with pytest.raises(LookupError, match="nothing has been judged yet"):
        _ = guard().report


# -- wrap and check ------------------------------------------------------------------


def test_a_wrapped_model_guards_predict_and_passes_the_rest_through(model):
    guarded = evalguard.wrap(model, labels=Y, reference=X, mlflow=False)
    assert len(guarded.predict(dataset(), verbose=0)) == N
    assert guarded.report.verdict is Verdict.PASS
    assert guarded.count_params() == model.count_params()
    assert guarded.name == model.name
    assert np.array_equal(guarded(X[:2]), X[:2])
    with pytest.raises(evalguard.MisalignmentError):
        guarded.predict(faulty(), verbose=0)


KEYED = pd.DataFrame({"id": ["a", "b"], "y": [0, 1]})


@pytest.mark.parametrize(
    ("options", "labels", "verdict"),
    [
        pytest.param({"indices": range(5)}, 5, Verdict.PASS, id="indices"),
        pytest.param({"indices": [0, 1, 3, 2, 4]}, list("abcde"), Verdict.FAIL, id="swapped"),
        pytest.param({"indices": [0, 1, 2]}, 5, Verdict.FAIL, id="short"),
        pytest.param({"keys": ["b", "a"], "labels_key": "id"}, KEYED, Verdict.FAIL, id="keys"),
        pytest.param({"keys": ["a", "b"], "labels_key": "id"}, KEYED, Verdict.PASS, id="keys-in-order"),
        pytest.param({"indices": [0, 1, 2, 0], "padding": "trim"}, 3, Verdict.PASS, id="padded"),
    ],
)
def test_check_judges_without_keras(options, labels, verdict):
    assert evalguard.check(labels=labels, **options).verdict is verdict


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        pytest.param(
            {"keys": ["a"], "labels": 1}, evalguard.LabelsError, "labels_key='column'", id="labels-without-keys"
        ),
        pytest.param({"indices": ["a"], "labels": 1}, evalguard.LabelsError, r"check\(keys=", id="names-as-indices"),
        pytest.param({"indices": [0], "keys": ["a"], "labels": 1}, TypeError, "found indices and keys", id="both"),
        pytest.param({"labels": 1}, TypeError, "found labels", id="neither"),
        pytest.param({"indices": [0]}, TypeError, "found indices", id="no-labels"),
        pytest.param({"index": [0], "labels": 1}, TypeError, "Did you mean 'indices'", id="misspelt"),
    ],
)
def test_check_says_what_it_expects(arguments, error, message):
    with pytest.raises(error, match=message):
        evalguard.check(**arguments)


def test_check_of_predicted_and_true_classes_is_an_error_that_names_the_way():
    y_pred, y_true = np.array([0, 1, 1, 2, 0, 2, 1, 0, 2]), np.array([0, 1, 2, 2, 0, 1, 1, 0, 2])
    with pytest.raises(evalguard.ConfigError, match=r"found 2 without a name.*evalguard\.guard\(labels=y_true\)"):
        evalguard.check(y_pred, y_true)
    with pytest.raises(evalguard.LabelsError, match="found 3 class numbers for 9 rows"):
        evalguard.check(indices=y_pred, labels=y_true)


def test_indices_of_a_shuffled_stream_are_not_taken_for_class_numbers():
    order = np.random.default_rng(0).permutation(90)
    assert evalguard.check(indices=order, labels=np.arange(90) % 10).verdict is Verdict.FAIL
    assert evalguard.check(indices=np.zeros(90, int), labels=np.arange(90)).verdict is Verdict.FAIL


@pytest.mark.parametrize(("old", "new"), [("label", "label_column"), ("key", "labels_key")])
def test_check_takes_its_old_names_with_a_warning(old, new):
    table = pd.DataFrame({"id": ["a", "b"], "y": [0, 1]})
    names = {"label_column": "y", "labels_key": "id"}
    names[old] = names.pop(new)
    with pytest.warns(DeprecationWarning, match=f"'{old}' is deprecated.* write {new}=") as caught:
        assert evalguard.check(keys=["a", "b"], labels=table, **names).verdict is Verdict.PASS
    assert caught[0].filename == __file__


# -- sessions, padding, repair ---------------------------------------------------------


def test_several_calls_answer_the_labels_together(model):
    with guard(reference=X, scope="session") as g:
        for start in range(0, N, 20):
            model.predict(dataset([np.arange(start, min(start + 20, N))]), verbose=0)
    assert len(g.reports) == 1
    assert g.report.verdict is Verdict.PASS
    assert g.report.calls == (20, 20, 10)


def test_a_session_in_the_wrong_order_fails(model):
    with pytest.raises(evalguard.MisalignmentError) as caught, guard(reference=X, scope="session"):
        model.predict(dataset([np.arange(25, N)]), verbose=0)
        model.predict(dataset([np.arange(25)]), verbose=0)
    assert [len(part) for part in caught.value.predictions] == [25, 25]


def test_a_short_call_that_others_follow_names_the_option(model):
    with guard(reference=X, on_failure="record") as g:
        model.predict(dataset([np.arange(25)]), verbose=0)
        model.predict(dataset([np.arange(25, N)]), verbose=0)
    assert "scope='session'" in g.reports[-1].advice or "scope='session'" in " ".join(g.reports[-1].not_proven)


@pytest.mark.parametrize("extra", [[0, 0], [N - 1, N - 1], [3, 7]], ids=["first", "last", "any"])
@pytest.mark.parametrize("n", [1, 7, N])
def test_padding_with_known_samples_is_cut_on_request(model, n, extra):
    ids = np.concatenate([np.arange(n), np.minimum(extra, n - 1)])
    with evalguard.guard(labels=Y[:n], reference=X[:n], padding="trim", mlflow=False) as g:
        predictions = model.predict(dataset([ids]), verbose=0)
    assert g.report.verdict is Verdict.PASS
    assert g.report.counts["padding"] == 2
    assert np.array_equal(predictions, X[:n])
    with pytest.raises(evalguard.MisalignmentError, match="padding='trim'"):
        with evalguard.guard(labels=Y[:n], reference=X[:n], mlflow=False):
            model.predict(dataset([ids]), verbose=0)


def in_two_calls(model, ids):
    return [model.predict(dataset([part]), verbose=0) for part in (ids[:30], ids[30:])]


def in_a_loop(model, ids):
    return [model.predict_on_batch(X[part]) for part in (ids[:30], ids[30:])]


@pytest.mark.parametrize(("run", "scope"), [(in_two_calls, "session"), (in_a_loop, "call")])
def test_padding_that_the_caller_holds_already_is_told(model, run, scope):
    with guard(reference=X, padding="trim", scope=scope) as g:
        run(model, np.concatenate([np.arange(N), [0, 0]]))
    assert g.report.verdict is Verdict.PASS
    told = "what was returned before this verdict ends with 2 rows of padding: keep its first 50 rows"
    assert told in g.report.hazards


def test_padding_that_was_cut_is_not_told(model):
    with guard(reference=X, padding="trim") as g:
        model.predict(dataset([np.concatenate([np.arange(N), [0, 0]])]), verbose=0)
    assert not g.report.hazards


def test_declared_dummies_are_cut(model):
    padded = np.concatenate([X + 1, np.zeros((6, 1), "float32")])
    with guard(reference=X + 1, padding="trim", pad_value=0) as g:
        predictions = model.predict(tf.data.Dataset.from_tensor_slices(padded).batch(BATCH), verbose=0)
    assert g.report.verdict is Verdict.PASS
    assert len(predictions) == N


@pytest.mark.parametrize("fault", ["swapped_rows", "foreign_row", "skipped_batch"])
def test_padding_never_hides_a_fault(model, fault):
    ids = np.concatenate([*testing.faulty_batches(fault, n=N, batch_size=BATCH), np.zeros(16, int)])
    with guard(reference=X, padding="trim", on_failure="record") as g:
        model.predict(dataset([ids]), verbose=0)
    assert g.report.verdict is Verdict.FAIL


def test_padding_with_unknown_rows_fails(model):
    with guard(reference=X, padding="trim", on_failure="record") as g:
        model.predict(dataset([np.append(np.arange(N), N + 9)]), verbose=0)
    assert g.report.verdict is Verdict.FAIL
    assert g.report.counts["foreign"] == 1


def test_every_output_of_a_model_is_cut_and_repaired():
    inputs = keras.Input((1,))
    double = keras.Model(inputs, {"a": inputs * 1.0, "b": inputs * 2.0})
    order = np.random.default_rng(1).permutation(N)
    with guard(reference=X, on_failure="repair") as g:
        result = double.predict(dataset([order]), verbose=0)
    assert g.report.verdict is Verdict.REPAIRED
    assert np.array_equal(result["a"], X)
    assert np.array_equal(result["b"], X * 2)
    with guard(reference=X, padding="trim"):
        result = double.predict(dataset([np.append(np.arange(N), 0)]), verbose=0)
    assert {name: len(rows) for name, rows in result.items()} == {"a": N, "b": N}


@pytest.mark.parametrize("fault", ["swapped_batches", "swapped_rows", "shuffled", "repeated_batch", "wrapped_tail"])
def test_a_repairable_fault_is_repaired_to_the_bits_of_an_aligned_run(model, fault):
    aligned = model.predict(dataset(), verbose=0)
    with guard(reference=X, on_failure="repair") as g:
        repaired = model.predict(faulty(fault), verbose=0)
    assert g.report.verdict is Verdict.REPAIRED
    assert repaired.tobytes() == aligned.tobytes()
    assert g.report.repair["summary"]
    assert np.array_equal(g.y_true, Y)


@pytest.mark.parametrize("fault", ["foreign_row", "skipped_batch", "dropped_tail"])
def test_what_cannot_be_repaired_without_guessing_is_refused(model, fault):
    with pytest.raises(evalguard.MisalignmentError, match="not repaired: ") as caught:
        with guard(reference=X, on_failure="repair"):
            model.predict(faulty(fault), verbose=0)
    assert caught.value.report.verdict is Verdict.FAIL


def test_missing_samples_of_an_array_are_predicted_again():
    keras.utils.set_random_seed(3)
    inputs = keras.Input((6,))
    dense = keras.Model(inputs, keras.layers.Dense(5, activation="tanh")(inputs))
    features = np.random.default_rng(0).normal(size=(N, 6)).astype("float32")
    aligned = dense.predict(features, batch_size=BATCH, verbose=0)
    with guard(on_failure="repair") as g:
        repaired = dense.predict(features, batch_size=BATCH, steps=4, verbose=0)
    assert g.report.verdict is Verdict.REPAIRED
    assert g.report.repair["predicted_again"] == N - 32
    assert repaired.tobytes() == aligned.tobytes()


def test_repetitions_with_other_predictions_are_refused():
    class Noisy(keras.Model):
        def call(self, x):
            return x + tf.random.uniform(tf.shape(x))

    with pytest.raises(evalguard.MisalignmentError, match="some have other predictions"):
        with guard(reference=X, on_failure="repair"):
            Noisy().predict(faulty("repeated_batch"), verbose=0)


@pytest.mark.filterwarnings("ignore:The structure of `inputs` doesn't match")
@pytest.mark.parametrize("engine", [keras, tf_keras], ids=["keras", "tf_keras"])
@pytest.mark.parametrize("takes", ["dict", "named", "other"])
def test_what_is_left_beside_the_key_is_a_dict_by_name(engine, takes):
    """As docs/sources.md says; what Keras refuses without a guard it refuses here."""
    inputs = engine.layers.Input((1,), name="other" if takes == "other" else "x")
    model = engine.Model({"x": inputs} if takes == "dict" else inputs, engine.layers.Activation("linear")(inputs))
    ids = np.array([f"id{row}" for row in range(N)])
    stream = tf.data.Dataset.from_tensor_slices({"id": ids, "x": X}).batch(BATCH)
    g = guard(labels=evalguard.Labels(values=Y, keys=ids), key="id", drop_key=True)
    try:
        model.predict({"x": X}, verbose=0)
    except ValueError:
        assert takes == "other"
        with pytest.raises(ValueError, match="input"), g:
            model.predict(stream, verbose=0)
        return
    with g:
        predictions = model.predict(stream, verbose=0)
    assert (g.report.verdict, g.report.proof) == (Verdict.PASS, "identity")
    assert np.array_equal(predictions, X)


SCRAMBLED = np.random.default_rng(7).permutation(N)


def loop_of_predict_on_batch(model, g):
    return np.concatenate([model.predict_on_batch(X[rows]) for rows in np.split(SCRAMBLED, 2)])


def loop_of_calls(model, g):
    return np.concatenate([model(X[rows]) for rows in np.split(SCRAMBLED, 2)])


def one_batch(model, g):
    return model.predict_on_batch(X[SCRAMBLED])


def one_call_of_a_model(model, g):
    return np.asarray(model(X[SCRAMBLED]))


def labels_come_late(model, g):
    predictions = model.predict(dataset([SCRAMBLED]), verbose=0)
    g.labels = Y
    return predictions


def one_part(model, g):
    return model.predict(dataset([SCRAMBLED]), verbose=0)


@pytest.mark.parametrize(
    ("done", "options", "words"),
    [
        (loop_of_predict_on_batch, {}, "handed back batch by batch"),
        (loop_of_calls, {}, "handed back batch by batch"),
        (one_batch, {}, "handed back batch by batch"),
        (one_call_of_a_model, {}, "handed back batch by batch"),
        (labels_come_late, {"labels": None}, "returned before the labels were known"),
        (one_part, {"scope": "session"}, "parts of a session were returned before its end"),
    ],
)
def test_rows_that_the_caller_has_already_are_not_said_to_be_repaired(model, done, options, words):
    g = guard(reference=X, on_failure="repair", **options)
    with pytest.raises(evalguard.MisalignmentError, match=f"not repaired: .*{words}.*g.index") as caught, g:
        predictions = done(model, g)
    assert caught.value.report.verdict is Verdict.FAIL
    assert "scope='call'" not in str(caught.value)
    put_right = np.empty_like(predictions)
    put_right[g.index] = predictions
    assert np.array_equal(put_right, X)
    assert np.array_equal(g.y_true, Y[SCRAMBLED])


# -- content ----------------------------------------------------------------------------


def test_the_label_file_is_told_from_the_stream(model):
    shifted = np.roll(Y, 1)
    with evalguard.guard(labels=shifted, reference=X, on_failure="record", mlflow=False) as g:
        model.predict(dataset(targets=True), verbose=0)
    assert g.report.verdict is Verdict.FAIL
    assert g.report.stages == {"source": "right", "transport": "right", "labels": "wrong"}
    assert g.report.counts["misaligned"] == 0
    assert g.report.counts["label_disagreements"] == np.count_nonzero(shifted != Y)
    rolled = np.roll(np.arange(N), 1)
    with guard(reference=X, on_failure="record") as g:
        model.predict(dataset([rolled], targets=True), verbose=0)
    assert g.report.stages["source"] == "wrong"
    assert g.report.counts["misaligned"] == N


def test_equal_samples_are_interchangeable_and_counted(model):
    x = X.copy()
    x[10:20] = 5.0
    data = tf.data.Dataset.from_tensor_slices(x).batch(BATCH)
    with guard(reference=x) as g:
        model.predict(data, verbose=0)
    assert g.report.verdict is Verdict.PASS
    assert g.report.counts["equal_samples"] == 10


def test_equal_rows_do_not_prove_by_labels_unless_the_data_is_known_to_hold_them(model):
    x = X.copy()
    x[1] = x[0]
    data = tf.data.Dataset.from_tensor_slices((x, Y)).batch(BATCH)
    with guard(on_unproven="record") as g:
        model.predict(data, verbose=0)
    assert g.report.verdict is Verdict.UNPROVEN
    assert 'duplicate_inputs="allow"' in g.report.advice
    with guard(duplicate_inputs="allow") as g:
        model.predict(data, verbose=0)
    assert (g.report.verdict, g.report.proof) == (Verdict.PASS, "labels")


def test_a_reference_of_another_preprocessing_is_unproven_with_the_first_difference(model):
    with guard(reference=X, on_unproven="record") as g:
        model.predict(dataset().map(lambda x: x / 255.0 + 0.1), verbose=0)
    assert g.report.verdict is Verdict.UNPROVEN
    text = " ".join(g.report.not_proven)
    assert "row 0: 1 of 1 values differ" in text
    assert "another preprocessing" in text


def test_a_reference_that_changes_at_each_reading_is_called_random(model):
    rng = np.random.default_rng(0)
    with guard(reference=lambda index: X[index] + rng.normal(size=1), on_unproven="record") as g:
        model.predict(dataset(), verbose=0)
    assert g.report.verdict is Verdict.UNPROVEN
    assert "transformed at random" in " ".join(g.report.not_proven)


def test_an_index_that_rides_with_the_wrong_row_is_found(model):
    def lying():
        for ids in ALIGNED:
            yield evalguard.tagged((X[ids[::-1]],), index=ids)

    with guard(reference=X, on_failure="record") as g:
        model.predict(lying(), steps=len(ALIGNED), verbose=0)
    assert g.report.verdict is Verdict.FAIL
    assert any("the index belongs to another row" in finding.message for finding in g.report.findings)
    assert [item["identity"] for item in g.report.identities] == ["content", "index"]


REFERENCES = {
    "float64": lambda: X.astype("float64"),
    "integers": lambda: X.astype("int64"),
    "scalars": lambda: X[:, 0],
    "tensor": lambda: tf.constant(X),
    "list": lambda: X.tolist(),
    "by-index": lambda: lambda index: X[index],
    "generator-factory": lambda: lambda: testing.as_generator(ALIGNED, lambda ids: (X[ids], Y[ids])),
    "pydataset": lambda: testing.as_pydataset(ALIGNED, lambda ids: (X[ids],)),
    "tf.data": lambda: tf.data.Dataset.from_tensor_slices((X, Y)).batch(13),
    "frame": lambda: pd.DataFrame(X),
}


@pytest.mark.parametrize("kind", REFERENCES)
def test_a_reference_may_come_in_many_forms(model, kind):
    with guard(reference=REFERENCES[kind]()) as g:
        model.predict(dataset(), verbose=0)
    assert (g.report.verdict, g.report.proof) == (Verdict.PASS, "identity")
    with guard(reference=REFERENCES[kind](), on_failure="record") as g:
        model.predict(faulty(), verbose=0)
    assert g.report.verdict is Verdict.FAIL


def test_a_reference_of_another_length_is_refused(model):
    with pytest.raises(evalguard.LabelsError, match="one row for each of the 50 labels, found 49"):
        with guard(reference=X[:-1]):
            model.predict(dataset(), verbose=0)


# -- the record -------------------------------------------------------------------------


def test_a_failure_is_on_disk_and_in_mlflow_when_the_exception_arrives(model, tmp_path, monkeypatch):
    import mlflow

    uri = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("EVALGUARD_SPOOL", str(tmp_path / "spool"))
    client = mlflow.MlflowClient(tracking_uri=uri)
    run = client.create_run(client.create_experiment("e", artifact_location=str(tmp_path / "files")))
    seen = []

    class Watching(keras.callbacks.Callback):
        def on_predict_batch_end(self, batch, logs=None):
            seen.append(client.get_run(run.info.run_id).data.tags["evalguard.verdict"])

    options = {"reference": X, "mlflow": run.info.run_id, "output": tmp_path / "out", "name": "digits"}
    with guard(**options):
        try:
            model.predict(faulty(), verbose=0, callbacks=[Watching()])
        except evalguard.MisalignmentError:
            found = client.get_run(run.info.run_id).data
            assert found.tags["evalguard.verdict"] == "FAIL"
            assert found.metrics["evalguard/misaligned"] == 16
            on_disk = json.loads((tmp_path / "out" / "report.json").read_text())
            assert on_disk["verdict"] == "FAIL"
        else:
            pytest.fail("a FAIL must raise")
    assert set(seen) == {"PENDING"}, "nothing but PENDING stands there while predicting"
