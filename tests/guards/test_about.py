"""What reports name beside their verdict: model, place of the data, the caller's line."""

import gc
import inspect
import os
import runpy
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import evalguard
from evalguard.guards import about, call_line
from evalguard.guards.about import About, Origin

N = 8
X = np.arange(4 * N, dtype="float32").reshape(N, 4)
Y = np.arange(N) % 2
QUIET: Any = {"labels": Y, "mlflow": False, "on_failure": "record", "on_unproven": "record"}


def here(offset=0):
    """File and line of the test that calls this, as a report names it."""
    frame = inspect.currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return f"{Path(__file__).relative_to(Path.cwd())}:{frame.f_back.f_lineno + offset}"


@pytest.fixture(params=["keras", "tf_keras"])
def keras(request):
    return pytest.importorskip(request.param)


def built(keras):
    return keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(2, name="out")], name="digits")


def test_a_report_names_the_model_and_the_line_of_the_first_call(keras):
    model = built(keras)
    with evalguard.guard(**QUIET) as g:
        model.predict(X, verbose=0)
        line = here(-1)
    digest = about.weights_digest(model)
    assert g.report.model == {"name": "digits", "class": "Sequential", "parameters": 10, "weights_digest": digest}
    assert g.report.caller == {"line": line}


def test_a_model_is_not_built_for_its_number_of_parameters(keras):
    class Net(keras.Model):  # type: ignore[name-defined]
        def __init__(self):
            super().__init__(name="net")
            self.layer = keras.layers.Dense(3)

        def call(self, x):
            return self.layer(x)

    model = Net()
    facts = about.model_facts(model)
    assert facts == {"name": "net", "class": f"{__name__}.{Net.__qualname__}", "parameters": None}
    assert not model.layer.built
    with evalguard.guard(**QUIET) as g:
        model.predict(X, verbose=0)
    assert g.report.model["parameters"] == 15
    # Its weights are read after the call that made them.
    assert g.report.model["weights_digest"] == about.weights_digest(model)


def test_what_a_property_raises_reaches_nobody(monkeypatch):
    # The users' own code, not a fault of ours.
    monkeypatch.delenv("EVALGUARD_STRICT", raising=False)

    class Odd:
        built = True

        @property
        def name(self):
            return "odd"

        @property
        def weights(self):
            raise RuntimeError

    assert about.model_facts(Odd()) == {"name": "odd", "class": f"{__name__}.{Odd.__qualname__}", "parameters": None}
    assert about.model_facts(object())["name"] is None
    assert about.weights_digest(Odd()) == about.weights_digest(object()) == about.weights_digest(None) == ""


def test_several_models_are_named_together():
    seen = About(
        models={1: {"name": "a", "class": "A", "parameters": 2}, 2: {"name": "b", "class": "A", "parameters": 3}}
    )
    report = evalguard.check(indices=[0], labels=1)
    assert seen.named(report, (1, 2, 1)).model == {"name": "a, b", "class": "A", "parameters": 5}
    seen.models[2]["parameters"] = None
    assert seen.named(report, (1, 2)).model["parameters"] is None
    assert seen.named(report).model == {}


def test_the_model_whose_own_method_calls_others_is_the_one_that_was_called(keras):
    member = built(keras)

    class Ensemble(keras.Model):  # type: ignore[name-defined]
        def predict(self, x, **options):
            return member.predict(x, **options)

    with evalguard.guard(**QUIET) as g:
        Ensemble(name="ensemble").predict(X, verbose=0)
    assert g.report.model["name"] == "ensemble"


def test_a_call_in_a_thread_has_the_line_of_the_entry_where_no_line_of_the_caller_made_it():
    model = built(pytest.importorskip("keras"))
    with evalguard.wrap(model, **QUIET, scope="parts") as guarded:
        line = here(-1)
        thread = threading.Thread(target=guarded.predict, args=(X,), kwargs={"verbose": 0})
        thread.start()
        thread.join()
    assert guarded.report.caller == {"line": line}


def test_a_failed_entry_names_its_line():
    g = evalguard.guard(**{**QUIET, "labels": "nowhere.csv"})
    with pytest.raises(evalguard.LabelsError), g:
        pass
    assert g.report.caller["line"].startswith(str(Path(__file__).relative_to(Path.cwd())))


def test_check_names_its_line():
    report = evalguard.check(indices=[0, 1], labels=2)
    assert report.caller == {"line": here(-1)}
    assert report.model == {}


@pytest.mark.parametrize(
    ("file", "shown"),
    [
        ("{cwd}/sub/evaluate.py", "sub/evaluate.py"),
        ("{home}/lab/evaluate.py", "~/lab/evaluate.py"),
        ("/opt/evaluate.py", "/opt/evaluate.py"),
        ("evaluate.py", "evaluate.py"),
        ("<stdin>", "<stdin>"),
        ("/tmp/ipykernel_71/1.py", "notebook cell"),  # noqa: S108 - no file is made
    ],
)
def test_a_path_does_not_name_the_home_of_its_user(monkeypatch, tmp_path, file, shown):
    home, work = tmp_path / "home", tmp_path / "work"
    work.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(work)
    assert call_line.shown_path(file.format(cwd=work, home=home)) == shown


def test_a_working_directory_that_is_gone_costs_nothing(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert call_line.shown_path("/opt/evaluate.py") == "/opt/evaluate.py"
    os.chdir(tmp_path)


def test_a_script_is_named_as_it_was_started(tmp_path, monkeypatch):
    (tmp_path / "script.py").write_text("import evalguard\nreport = evalguard.check(indices=[0], labels=1)\n")
    monkeypatch.chdir(tmp_path)
    assert runpy.run_path("script.py", run_name="__main__")["report"].caller == {"line": "script.py:2"}


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("", {}),
        ("models:/digits/3", {"uri": "models:/digits/3", "version": "3"}),
        ("models:/digits@champion", {"uri": "models:/digits@champion"}),
        ("m-0a1b", {"uri": "models:/m-0a1b"}),
        ("runs:/0a1b/model", {"uri": "runs:/0a1b/model"}),
    ],
)
def test_an_address_in_mlflow_holds_a_version_where_that_is_fixed(uri, expected):
    assert about.of_uri(uri) == expected


def test_an_option_may_name_the_model():
    target = evalguard.MlflowTarget(model="models:/digits/3")
    g = evalguard.guard(**{**QUIET, "mlflow": target})
    with g:
        pass
    assert g.report.model == {"uri": "models:/digits/3", "version": "3"}


def test_the_attested_file_of_the_model_is_its_file_and_its_digest_is_the_one_that_was_made(tmp_path):
    (tmp_path / "model.keras").write_bytes(b"weights")
    path = str(tmp_path / "model.keras")
    assert about.of_files({"model.keras": "ab"}, [path, "labels.csv"]) == {"path": path, "digest": "ab"}
    assert about.of_files({}, [path]) == {"path": path}
    assert about.of_files({}, [path, "other.h5"]) == about.of_files({}, ["labels.csv"]) == {}


def test_what_was_stated_beforehand_counts_more_than_what_a_source_shows():
    seen = About(Origin({"path": "model.keras"}, "images", {"step": "step.yaml"}))
    seen.call()
    report = seen.named(evalguard.check(indices=[0], labels=1), place="elsewhere")
    assert (report.model, report.source["place"], report.caller) == (
        {"path": "model.keras"},
        "images",
        {"step": "step.yaml"},
    )


def test_a_mapped_file_and_an_image_iterator_show_their_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", X)
    assert about.place_of(np.load("x.npy", mmap_mode="r")) == "x.npy"
    assert about.place_of(X) == ""
    images = SimpleNamespace(index_array=None, _get_batches_of_transformed_samples=None, directory="images/test")
    assert about.place_of(images) == "images/test"
    assert about.place_of(SimpleNamespace(directory="not asked")) == ""


def test_labels_from_a_file_are_named_with_their_columns(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("labels.csv").write_text("id,digit\na,0\nb,1\n")
    report = evalguard.check(keys=["a", "b"], labels="labels.csv", labels_key="id")
    assert {name: report.labels[name] for name in ("path", "column", "key")} == {
        "path": "labels.csv", "column": "digit", "key": "id",
    }  # fmt: skip


def test_equal_weights_have_one_digest_whatever_their_names(keras, tmp_path):
    model, other = built(keras), keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(2, name="renamed")])
    digest = about.weights_digest(model)
    assert len(digest) == 16
    assert about.weights_digest(other) != digest
    other.set_weights(model.get_weights())
    assert about.weights_digest(other) == digest
    model.save(tmp_path / "model.keras")
    assert about.weights_digest(keras.models.load_model(tmp_path / "model.keras")) == digest
    kernel, bias = model.get_weights()
    for changed in ([kernel, bias + 1e-7], [kernel[::-1], bias], [kernel[:, ::-1], bias]):
        model.set_weights(changed)
        assert about.weights_digest(model) != digest


def test_both_keras_have_one_digest_of_equal_weights():
    ours, theirs = (built(pytest.importorskip(name)) for name in ("keras", "tf_keras"))
    theirs.set_weights(ours.get_weights())
    assert about.weights_digest(ours) == about.weights_digest(theirs)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_the_dtype_of_weights_counts(dtype):
    keras = pytest.importorskip("keras")
    found = set()
    for name in (dtype, "float32"):
        layer = keras.layers.Dense(2, dtype=name, kernel_initializer="ones")
        found.add(about.weights_digest(keras.Sequential([keras.Input((4,)), layer])))
    assert len(found - {""}) == 2


def test_the_shape_of_weights_counts():
    keras = pytest.importorskip("keras")
    sizes = [(2, 6), (3, 4), (4, 3)]
    found = {
        about.weights_digest(
            keras.Sequential(
                [keras.Input((one,)), keras.layers.Dense(other, use_bias=False, kernel_initializer="ones")]
            )
        )
        for one, other in sizes
    }
    assert len(found) == 3


def test_a_model_without_weights_has_no_digest(keras):
    plain = keras.Sequential([keras.layers.Input((4,)), keras.layers.Flatten()])
    assert about.weights_digest(plain) == ""
    with evalguard.guard(**QUIET) as g:
        plain.predict(X, verbose=0)
    assert "weights_digest" not in g.report.model


def test_each_report_has_the_weights_that_it_was_made_with(keras):
    model = built(keras)
    model.compile("sgd", "mse")
    with evalguard.guard(**QUIET) as g:
        model.predict(X, verbose=0)
        before = about.weights_digest(model)
        model.fit(X, np.zeros((N, 2)), verbose=0)
        model.evaluate(X, np.zeros((N, 2)), verbose=0)
    after = about.weights_digest(model)
    assert before != after
    assert [report.model["weights_digest"] for report in g.reports] == [before, after]
    # What is judged again by what is scored is about the same weights.
    with evalguard.guard(**QUIET) as g:
        y_pred = model.predict(X, verbose=0)
        changed(model)
        g.confirm(y_pred=y_pred, y_true=Y)
    assert g.report.model["weights_digest"] == after
    wrapped = evalguard.wrap(model, **QUIET)
    for _ in range(2):
        wrapped.predict(X, verbose=0)
        assert wrapped.report.model["weights_digest"] == about.weights_digest(model)
        changed(model)


def changed(model):
    model.set_weights([weight + 1 for weight in model.get_weights()])


@pytest.mark.parametrize("scope", ["call", "session"])
@pytest.mark.parametrize("method", ["predict_on_batch", "predict"])
@pytest.mark.parametrize("when", ["never", "within", "after"])
def test_weights_that_change_before_a_loop_is_judged_are_not_those_that_predicted(keras, scope, method, when):
    model = built(keras)
    with evalguard.guard(**QUIET, scope=scope) as g:
        for start in range(0, N, 2):
            getattr(model, method)(X[start : start + 2])
            if when == "within" and start == 2:
                changed(model)
        if when == "after":
            changed(model)
    expected = about.weights_digest(model) if when == "never" else None
    assert [report.model.get("weights_digest") for report in g.reports] == [expected]


def test_a_warm_up_before_training_does_not_hide_the_weights(keras):
    model = built(keras)
    with evalguard.guard(**QUIET) as g:
        model.predict(X[:1], verbose=0)
        changed(model)
        model.predict(X, verbose=0)
        assert g.report.model["weights_digest"] == about.weights_digest(model)


def test_a_digest_changes_neither_weights_nor_random_numbers(keras):
    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dropout(0.5), keras.layers.Dense(2)])
    weights = model.get_weights()
    first = [about.weights_digest(model) for _ in range(3)]
    found = np.asarray(model(X, training=True))
    # Dropout has drawn numbers, and its state is no weight.
    assert len({*first, about.weights_digest(model)}) == 1
    assert all(np.array_equal(*pair) for pair in zip(weights, model.get_weights(), strict=True))
    keras.utils.set_random_seed(3)
    again = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dropout(0.5), keras.layers.Dense(2)])
    assert np.array_equal(found, np.asarray(again(X, training=True)))


def test_weights_that_cannot_be_read_cost_no_verdict(monkeypatch):
    def deleted(_):
        msg = "Array has been deleted."
        raise RuntimeError(msg)

    model = built(pytest.importorskip("keras"))
    with evalguard.guard(**QUIET) as g:
        expected = model.predict(X, verbose=0)
    known = g.report
    # A buffer that was given to another computation, a device that is gone.
    monkeypatch.setattr(type(model.weights[0]), "numpy", deleted)
    with evalguard.guard(**QUIET) as g:
        found = model.predict(X, verbose=0)
    assert np.array_equal(found, expected)
    assert g.report.verdict is known.verdict
    assert g.report.model == {name: known.model[name] for name in ("name", "class", "parameters")}


def test_several_models_have_several_digests_and_one_that_is_gone_has_none():
    models = [built(pytest.importorskip("keras")) for _ in range(2)]
    seen = About()
    for number, model in enumerate(models):
        seen.see(model, number)
    assert seen.weights_digest([0, 1, 0], at_end=False) == ", ".join(map(about.weights_digest, models))
    del models[1], model
    gc.collect()
    assert seen.weights_digest([0, 1], at_end=False) == ""
    assert len(seen.weights_digest([0], at_end=True)) == 16
