"""Metrics by name: which function a name stands for, and which names are refused."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import sklearn.metrics as sk

from evalguard.errors import ConfigError
from evalguard.guards.metrics import metrics_of

Y = np.array([0, 1, 2, 1])
P = np.eye(3)[[0, 2, 2, 1]]


def backend(get):
    """A Keras with one metric, ``mse``."""
    return SimpleNamespace(__name__="keras", metrics=SimpleNamespace(get=get, mse=lambda y_true, y_pred: 0.5))


@pytest.fixture
def only(monkeypatch):
    """Makes one of the Keras packages, or none, look imported."""

    def choose(name=None, get=None):
        for one in ("keras", "tf_keras"):
            monkeypatch.delitem(sys.modules, one, raising=False)
        if name:
            monkeypatch.setitem(sys.modules, name, backend(get))

    return choose


def score(given, y=Y, p=P):
    (metric,) = metrics_of(given)
    if metric.fit is not None:
        y, p, _ = metric.fit(y, p)
    return float(np.mean(metric.function(y, p)))


@pytest.mark.parametrize(
    ("name", "by_hand"),
    [
        ("sklearn:accuracy", sk.accuracy_score(Y, P.argmax(1))),
        ("sklearn:accuracy_score", sk.accuracy_score(Y, P.argmax(1))),
        ("sklearn:f1_macro", sk.f1_score(Y, P.argmax(1), average="macro")),
        ("sklearn:recall_weighted", sk.recall_score(Y, P.argmax(1), average="weighted")),
        ("sklearn:mean_absolute_error", np.mean(np.abs(Y - P.argmax(1)))),
        ("sklearn:log_loss", sk.log_loss(Y, P)),
    ],
)
def test_a_name_of_scikit_learn_gets_classes_or_scores_as_that_metric_needs(name, by_hand):
    assert score(name) == pytest.approx(by_hand)


def test_one_probability_is_a_class_above_a_half_and_not_at_it():
    assert score("sklearn:accuracy", np.array([1, 0, 0]), np.array([[0.6], [0.5], [0.4]])) == 1.0


def test_words_as_labels_need_the_names_of_the_classes():
    with pytest.raises(ConfigError, match=r"expected labels as numbers.* pass classes=\[...\]"):
        score("sklearn:accuracy", np.array(["a", "b", "c", "b"]))


@pytest.mark.parametrize(
    ("given", "row_mean"), [("acc", True), ("sklearn:accuracy", True), ("sklearn:f1_macro", False)]
)
def test_only_known_means_over_rows_have_bounds(only, given, row_mean):
    only()
    assert metrics_of(given)[0].row_mean is row_mean


def test_a_name_is_not_checked_where_that_would_import_keras(only):
    only()
    assert metrics_of("no such metric")[0].name == "no such metric"
    assert not {"keras", "tf_keras"} & sys.modules.keys()


def raises(_name):
    raise ValueError


@pytest.mark.parametrize(
    ("package", "get"),
    [
        pytest.param("keras", raises, id="keras-raises"),
        pytest.param("tf_keras", lambda name: name, id="tf_keras-returns-the-name"),
        pytest.param("tf_keras", lambda _: None, id="nothing"),
    ],
)
def test_an_unknown_name_is_refused_before_anything_runs(only, package, get):
    only(package, get)
    with pytest.raises(ConfigError, match="Did you mean 'mse'"):
        metrics_of("mee")


def test_a_metric_that_needs_arguments_is_refused_by_name(only):
    def needs_arguments(_name):
        raise TypeError

    only("keras", needs_arguments)
    with pytest.raises(ConfigError, match="metrics: expected one of"):
        metrics_of("mean_io_u")


def test_a_keras_metric_is_used_as_a_copy():
    class Counting:
        """Like a metric object of Keras: it accumulates."""

        name = "counting"

        def __init__(self):
            self.seen = 0

        @classmethod
        def from_config(cls, _config):
            return cls()

        def get_config(self):
            return {}

        def update_state(self, y_true, _y_pred):
            self.seen += len(y_true)

        def result(self):
            return self.seen

        def __call__(self, *_args):
            raise AssertionError

    mine = Counting()
    assert score(mine) == score(mine) == len(Y)
    assert mine.seen == 0


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (None, []),
        (np.mean, ["mean"]),
        ({"mine": np.mean, "other": "sklearn:accuracy"}, ["mine", "other"]),
        ((np.mean, np.max), ["mean", "max"]),
    ],
)
def test_one_several_or_named_metrics(given, names):
    assert [metric.name for metric in metrics_of(given)] == names


def test_two_metrics_of_one_name_are_refused():
    with pytest.raises(ConfigError, match="expected each name once, found mean, mean; use a mapping"):
        metrics_of([np.mean, np.mean])
