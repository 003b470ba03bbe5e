"""Models whose ``predict`` or ``evaluate`` is overridden: one call, compared with what the model computed."""

import numpy as np
import pytest

import evalguard
from evalguard import Verdict

N = 40
X = np.random.default_rng(3).normal(size=(N, 4)).astype("float32")
Y = np.arange(N)


def made(engine, predict, **methods):
    """A model of one dense layer with this ``predict``."""
    keras = pytest.importorskip(engine)
    inputs = keras.Input((4,))
    given = (inputs, keras.layers.Dense(3)(inputs))
    model = type("Own", (keras.Model,), {"predict": predict, **methods})(*given)
    model.compile(loss="mse")
    return model


def keras_predict(model, *args, **kwargs):
    return super(type(model), model).predict(*args, **kwargs)


def passes_on(self, *args, **kwargs):
    return keras_predict(self, *args, **kwargs)


def sorts(self, x, **kwargs):
    return np.sort(keras_predict(self, x, **kwargs), axis=0)


def reverses(self, x, **kwargs):
    return keras_predict(self, x, **kwargs)[::-1]


def puts_back(self, x, **kwargs):
    order = np.random.default_rng(1).permutation(len(x))
    return keras_predict(self, x[order], **kwargs)[np.argsort(order)]


def in_chunks(self, x, **kwargs):
    return np.concatenate([keras_predict(self, x[at : at + 16], **kwargs) for at in range(0, len(x), 16)])


def chunks_in_another_order(self, x, **kwargs):
    return np.concatenate([keras_predict(self, x[at : at + 20], **kwargs) for at in (0, 20)][::-1])


def of_unique_rows(self, x, **kwargs):
    rows, inverse = np.unique(x, axis=0, return_inverse=True)
    return keras_predict(self, rows, **kwargs)[inverse]


def classes(self, x, **kwargs):
    return keras_predict(self, x, **kwargs).argmax(axis=1)


def scaled(self, x, **kwargs):
    return keras_predict(self, x, **kwargs) * 2


def repeats(self, x, **kwargs):
    rows = keras_predict(self, x, **kwargs)
    return np.concatenate([rows[:1], rows[:-1]])


def shorter(self, x, **kwargs):
    return keras_predict(self, x, **kwargs)[:-1]


def by_hand(self, x, **_kwargs):
    return np.asarray(self(x))


BY_CONTENT = {
    passes_on: "PASS",
    reverses: "FAIL",
    puts_back: "PASS",
    in_chunks: "PASS",
    chunks_in_another_order: "FAIL",
    of_unique_rows: "PASS",
    classes: "UNPROVEN",
    scaled: "UNPROVEN",
    repeats: "FAIL",
    shorter: "UNPROVEN",
    by_hand: "PASS",
}


@pytest.mark.parametrize("engine", ["keras", "tf_keras"])
@pytest.mark.parametrize("predict", BY_CONTENT, ids=lambda predict: predict.__name__)
def test_what_an_overriding_predict_returns_is_judged_as_one_call(engine, predict):
    model = made(engine, predict)
    bare = model.predict(X, verbose=0)
    with evalguard.guard(labels=Y, reference=X, on_failure="record", on_unproven="record", mlflow=False) as g:
        predictions = model.predict(X, verbose=0)
    assert str(g.report.verdict) == BY_CONTENT[predict]
    assert len(g.reports) == 1
    np.testing.assert_array_equal(predictions, bare)
    np.testing.assert_array_equal(model.predict(X, verbose=0), bare)


@pytest.mark.parametrize(
    ("predict", "verdict", "proof"),
    [
        (passes_on, "PASS", "declared"),
        (reverses, "FAIL", "declared"),
        # The rows of an array that the method made are not those of the caller's at their places.
        (puts_back, "UNPROVEN", "count"),
        (in_chunks, "UNPROVEN", "count"),
        (classes, "UNPROVEN", "count"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_without_an_identity_nothing_more_is_claimed_than_is_seen(predict, verdict, proof):
    model = made("keras", predict)
    with evalguard.guard(labels=Y, on_failure="record", on_unproven="record", mlflow=False) as g:
        model.predict(X, verbose=0)
    assert (str(g.report.verdict), str(g.report.proof)) == (verdict, proof)


def test_the_returned_link_is_broken_and_the_fed_one_is_not():
    model = made("keras", reverses)
    with evalguard.guard(labels=Y, reference=X, on_failure="record", mlflow=False) as g:
        model.predict(X, verbose=0)
    status = {link.link: link.status for link in g.report.chain}
    assert (status["fed"], status["returned"]) == ("proven", "broken")


def test_rows_that_moved_after_the_model_can_be_put_back():
    model = made("keras", reverses)
    with evalguard.guard(labels=Y, reference=X, on_failure="repair", mlflow=False) as g:
        predictions = model.predict(X, verbose=0)
    assert g.report.verdict is Verdict.REPAIRED
    np.testing.assert_array_equal(predictions, model.predict(X, verbose=0)[::-1])


def test_rows_that_are_sorted_by_each_output_are_not_seen():
    # Each output is sorted by itself, so no row is one that the model computed.
    model = made("keras", sorts)
    with evalguard.guard(labels=Y, reference=X, on_failure="record", on_unproven="record", mlflow=False) as g:
        model.predict(X, verbose=0)
    assert g.report.verdict is Verdict.UNPROVEN


def test_an_override_that_came_after_the_guard_is_not_seen():
    with evalguard.guard(labels=Y, reference=X, on_failure="record", on_unproven="record", mlflow=False) as g:
        made("keras", reverses).predict(X, verbose=0)
    assert (str(g.report.verdict), str(g.report.proof)) == ("UNPROVEN", "count")
    assert "predict of Own is overridden in a way that hides its result" in g.report.not_proven[0]


def test_what_is_patched_is_restored():
    model = made("keras", reverses)
    before = vars(type(model))["predict"]
    with evalguard.guard(labels=Y, reference=X, on_failure="record", mlflow=False):
        assert vars(type(model))["predict"] is not before
        with evalguard.guard(labels=Y, reference=X, on_failure="record", mlflow=False):
            model.predict(X, verbose=0)
        model.predict(X, verbose=0)
    assert vars(type(model))["predict"] is before


def test_an_error_of_an_override_comes_through():
    def fails(_self, _x, **_kwargs):
        raise ZeroDivisionError

    model = made("keras", fails)
    with pytest.raises(ZeroDivisionError), evalguard.guard(labels=Y, reference=X, mlflow=False):
        model.predict(X, verbose=0)


def test_an_overriding_evaluate_is_one_call_whatever_it_calls():
    def evaluate(self, x, y, **kwargs):
        return super(type(self), self).evaluate(x, y, **kwargs)

    model = made("keras", passes_on, evaluate=evaluate)
    with evalguard.guard(labels=np.stack([Y] * 3, axis=1), reference=X, on_failure="record", mlflow=False) as g:
        model.evaluate(X, np.stack([Y] * 3, axis=1), verbose=0)
    assert (g.report.verdict, g.report.method, len(g.reports)) == (Verdict.PASS, "evaluate", 1)


def asks(inner, how):
    """A model whose ``predict`` returns what another model predicts, changed by ``how``."""
    return made("keras", lambda _self, x, **kwargs: how(inner, x, kwargs))


@pytest.mark.parametrize(
    ("how", "verdict"),
    [
        pytest.param(lambda inner, x, more: inner.predict(x, **more), "PASS", id="as it is"),
        pytest.param(lambda inner, x, more: inner.predict(x, **more)[::-1], "FAIL", id="reversed"),
        pytest.param(lambda inner, x, _: np.asarray(inner(x))[::-1], "FAIL", id="called and reversed"),
        pytest.param(lambda inner, x, more: in_chunks_of(inner, x, more), "PASS", id="in chunks"),
        pytest.param(
            lambda inner, x, more: (inner.predict(x, **more) + inner.predict(x, **more)) / 2,
            "UNPROVEN",
            id="mean of two",
        ),
        pytest.param(lambda _inner, x, _: np.zeros((len(x), 3)), "UNPROVEN", id="without a model"),
        pytest.param(lambda inner, x, more: (row for row in inner.predict(x, **more)), "UNPROVEN", id="later"),
    ],
)
def test_what_another_model_predicts_inside_an_overriding_predict_is_a_part_of_it(how, verdict):
    model = asks(made("keras", passes_on), how)
    with evalguard.guard(labels=Y, reference=X, on_failure="record", on_unproven="record", mlflow=False) as g:
        model.predict(X, verbose=0)
    assert [str(report.verdict) for report in g.reports] == [verdict]


def in_chunks_of(inner, x, more):
    return np.concatenate([inner.predict(x[at : at + 16], **more) for at in range(0, len(x), 16)])


def test_a_result_that_is_made_after_the_call_is_not_seen():
    def later(self, x, **kwargs):
        yield from keras_predict(self, x, **kwargs)[::-1]

    model = made("keras", later)
    with evalguard.guard(labels=Y, reference=X, on_failure="record", on_unproven="record", mlflow=False) as g:
        rows = np.stack(list(model.predict(X, verbose=0)))
    assert rows.shape == (N, 3)
    assert {str(report.verdict) for report in g.reports} == {"UNPROVEN"}


def test_an_overriding_call_is_not_seen():
    import keras

    class Backwards(keras.Model):
        def __call__(self, *args, **kwargs):
            return super().__call__(*args, **kwargs)[::-1]

    inputs = keras.Input((4,))
    model = Backwards(inputs, keras.layers.Dense(3)(inputs))
    with evalguard.guard(labels=Y, reference=X, on_failure="record", on_unproven="record", mlflow=False) as g:
        model(X)
    assert g.report.verdict is Verdict.UNPROVEN


def test_calls_of_a_callback_are_no_rows_of_the_call():
    import keras

    model = made("keras", passes_on)

    class Predicts(keras.callbacks.Callback):
        def on_test_end(self, logs=None):
            self.model.predict(X[:8], verbose=0)

    y = np.stack([Y] * 3, axis=1)
    with evalguard.guard(labels=y, reference=X, on_failure="record", mlflow=False) as g:
        model.evaluate(X, y, verbose=0, callbacks=[Predicts()])
    assert [str(report.verdict) for report in g.reports] == ["PASS"]


def test_labels_follow_the_rows_that_were_put_back():
    model = made("keras", puts_back)
    with evalguard.guard(labels=Y, reference=X, mlflow=False) as g:
        model.predict(X, verbose=0)
    assert g.y_true.tolist() == Y.tolist()
    assert g.index.tolist() == list(range(N))


@pytest.mark.parametrize("kind", [property, staticmethod, classmethod])
def test_what_is_no_plain_method_works_as_it_does_bare(kind):
    import keras

    own = kind(lambda *_args: (lambda *_a, **_k: 7) if kind is property else 7)
    model = type("Own", (keras.Model,), {"predict": own})()
    with evalguard.guard(labels=Y, on_failure="record", on_unproven="record", mlflow=False) as g:
        assert model.predict(X) == 7
    assert g.report.verdict is Verdict.UNPROVEN


def test_outputs_of_float64_are_compared_in_float64():
    def backwards(self, x, **kwargs):
        return keras_predict(self, x, **kwargs)[::-1]

    import keras

    times = 1.7e9 + 0.5 * np.arange(N)[:, None]
    inputs = keras.Input((1,), dtype="float64")
    model = type("Own", (keras.Model,), {"predict": backwards})(inputs, keras.layers.Identity(dtype="float64")(inputs))
    dataset = __import__("tensorflow").data.Dataset.from_tensor_slices((times,)).batch(8)
    with evalguard.guard(labels=Y, reference=times, on_failure="record", mlflow=False) as g:
        model.predict(dataset, verbose=0)
    assert g.report.verdict is Verdict.FAIL


def test_a_callback_that_keeps_the_outputs_changes_nothing():
    import keras

    model = made("keras", passes_on)
    kept = []

    class Keeps(keras.callbacks.Callback):
        def on_predict_batch_end(self, _batch, logs=None):
            kept.append(logs["outputs"])

    with evalguard.guard(labels=Y, reference=X, on_failure="record", mlflow=False) as g:
        model.predict(X, verbose=0, callbacks=[Keeps()])
    assert g.report.verdict is Verdict.PASS
    assert len(kept) == 2


@pytest.mark.parametrize("fed", [X, X[::-1]], ids=["aligned", "reversed"])
def test_rows_that_an_overriding_evaluate_predicts_are_judged_in_their_order(fed):
    def evaluate(self, x, y, **kwargs):
        return {"error": float(np.abs(self.predict(x, **kwargs).sum(axis=1) - y).mean())}

    model = made("keras", passes_on, evaluate=evaluate)
    with evalguard.guard(labels=Y, reference=X, on_failure="record", on_unproven="record", mlflow=False) as g:
        model.evaluate(fed, Y, verbose=0)
    # What it scores them against is not seen.
    assert [str(report.verdict) for report in g.reports] == ["PASS" if fed is X else "FAIL", "UNPROVEN"]


def test_a_mixin_that_moves_rows_is_seen():
    import keras

    class Backwards:
        def predict(self, *args, **kwargs):
            return super().predict(*args, **kwargs)[::-1]  # type: ignore[misc]

    inputs = keras.Input((4,))
    model = type("Mixed", (Backwards, keras.Model), {})(inputs, keras.layers.Dense(3)(inputs))
    with evalguard.guard(labels=Y, reference=X, on_failure="record", mlflow=False) as g:
        model.predict(X, verbose=0)
    assert g.report.verdict is Verdict.FAIL
    assert vars(Backwards)["predict"].__qualname__.endswith("Backwards.predict")


def test_what_wraps_the_method_inside_the_guard_is_not_seen():
    import keras

    model = made("keras", passes_on)
    plain = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    with evalguard.guard(labels=Y, reference=X, on_failure="record", on_unproven="record", mlflow=False) as g:
        plain.predict(X, verbose=0)
        with pytest.MonkeyPatch.context() as patch:
            original = keras.Model.predict
            patch.setattr(keras.Model, "predict", lambda *args, **kwargs: original(*args, **kwargs)[::-1])
            plain.predict(X, verbose=0)
        patched = vars(plain)
        patched["predict"] = lambda *args, **kwargs: model.predict(*args, **kwargs)
        plain.predict(X, verbose=0)
    assert [str(report.verdict) for report in g.reports] == ["PASS", "UNPROVEN", "PASS"]
