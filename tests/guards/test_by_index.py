"""A pandas index on both sides is a key: of one call, of parts and loops, beside a reference, and of files."""

import warnings
from types import SimpleNamespace

import keras
import numpy as np
import pandas as pd
import pytest
import tf_keras
from hypothesis import given
from hypothesis import strategies as st
from keras.src.legacy.preprocessing.image import ImageDataGenerator as LegacyGenerator
from PIL import Image

import evalguard
from evalguard import Labels, Verdict
from evalguard.core.judge import judge
from evalguard.core.key_differences import WITHOUT
from evalguard.core.label_table import LabelTable
from evalguard.core.policy import Policy
from evalguard.core.row_names import INTEGERS, TEXT, RowNames
from evalguard.core.trace import Trace
from evalguard.guards import by_index
from evalguard.reporting.text import to_text
from tests.guards.streams import identity_model

N = 40
X = np.arange(N, dtype="float32")[:, None]
Y = np.arange(N) * 7 % 5
IDS = np.random.default_rng(3).permutation(1000)[:N]
ORDER = np.random.default_rng(4).permutation(N)
QUIET = {"mlflow": False, "on_failure": "record", "on_unproven": "record"}


def frame(index=IDS, rows=slice(None)):
    return pd.DataFrame({"x": X[:, 0]}, index=index).iloc[rows]


def series(index=IDS, rows=slice(None)):
    return pd.Series(Y, index=index, name="label").iloc[rows]


def said(report):
    """What the report says of the key; None where it has none."""
    return {item["identity"]: item["says"] for item in report.identities if item["used"]}.get("key")


def judged(model, x, labels, **options):
    with evalguard.guard(labels=labels, **QUIET, **options) as g:
        model.predict(x, verbose=0)
    return g.report


MAKERS = {
    "integers": IDS,
    "text": [f"s{at}" for at in IDS],
    "times": pd.date_range("2024", periods=N, freq="36min")[ORDER],
    "zone": pd.date_range("2024", periods=N, tz="Asia/Tokyo")[ORDER],
    "range": pd.RangeIndex(100, 100 + N),
}


@pytest.mark.parametrize("index", MAKERS.values(), ids=MAKERS)
def test_one_index_on_both_sides_is_a_key(model, index):
    report = judged(model, frame(index), series(index))
    assert (report.verdict, report.proof) == (Verdict.PASS, "identity")
    assert said(report) == "index of pandas: aligned"
    assert "identity, key: index of pandas; predict over arrays" in to_text(report)
    assert [link.basis for link in report.chain if "key: index of pandas" in link.basis]
    report = judged(model, frame(index), series(index, ORDER))
    assert report.verdict is Verdict.FAIL
    assert report.counts["misaligned"] == np.count_nonzero(np.arange(N) != ORDER)
    assert {"sample_key", "label_key"} <= report.wrong_rows[0].keys()
    assert report.diagnosis[0].cause == "indexes of x and labels differ"
    assert "x.loc[labels.index]" in report.diagnosis[0].remedy


def test_partly_other_rows_are_a_fail_with_both(model):
    report = judged(model, frame(IDS), series(np.concatenate([IDS[:30], np.arange(2000, 2010)])))
    assert report.verdict is Verdict.FAIL
    assert (report.counts["foreign"], report.counts["missing"]) == (10, 10)
    assert f"'{IDS[30]}' in x, '2000' in the labels" in report.diagnosis[0].evidence
    assert "train_test_split(x, y)" in report.diagnosis[0].remedy


@pytest.mark.parametrize(
    ("x", "labels", "note"),
    [
        pytest.param(frame(range(100, 140)), series(range(1, 41)), "They differ by the offset -99", id="offset"),
        pytest.param(
            frame([f"{at}.png" for at in range(N)]),
            series([f"a/{at}.png" for at in range(N)]),
            "They differ by the prefix 'a/'",
            id="prefix",
        ),
        pytest.param(frame([f"a{at}" for at in IDS]), series([f"b{at}" for at in ORDER]), "Stream: 'a", id="nothing"),
    ],
)
def test_names_without_any_in_common_are_unproven_and_shown(model, x, labels, note):
    report = judged(model, x, labels)
    assert report.verdict is Verdict.UNPROVEN
    assert report.not_proven[0].startswith("key: index of pandas: no key in the stream matches a label key")
    assert note in report.not_proven[0]
    assert "labels.to_numpy()" in report.advice


NAMES = [f"s{at}" for at in range(N)]


@pytest.mark.parametrize(
    ("x", "labels", "note"),
    [
        pytest.param(frame(), Y, "", id="labels-are-an-array"),
        pytest.param(X, series(), "", id="x-is-an-array"),
        pytest.param(frame().to_numpy(), series(), "", id="dropped"),
        pytest.param(frame().reset_index(drop=True), series(), "", id="reset-on-x"),
        pytest.param(frame(), series().reset_index(drop=True), "", id="reset-on-labels"),
        pytest.param(frame(np.arange(N)), series(IDS), "", id="default-as-numbers"),
        pytest.param(frame(rows=slice(N)).reset_index(drop=True)[:N], series(np.arange(N)), "", id="default"),
        pytest.param(frame(NAMES), series(), "text in the inputs, integers in the labels", id="names-and-numbers"),
        pytest.param(frame([str(at) for at in IDS]), series(), "text in the inputs, ", id="text-of-numbers"),
        pytest.param(
            frame(np.repeat(IDS[:20], 2)), series(np.repeat(IDS[:20], 2)), "found 20 repeated keys", id="repeated"
        ),
        pytest.param(frame(np.repeat(IDS[:20], 2)), series(), "names of the inputs repeat", id="repeated-in-x"),
        pytest.param(frame(X[:, 0] + 0.5), series(X[:, 0] + 0.5), "floating values", id="floats"),
        pytest.param(
            frame(["", *NAMES[1:]]), series(["", *NAMES[1:]]), "expected a key for each sample", id="empty-name"
        ),
        pytest.param(
            frame(pd.MultiIndex.from_product([["a", "b"], range(20)])),
            series(pd.MultiIndex.from_product([["a", "b"], range(20)])[::-1]),
            "tuples (a MultiIndex)",
            id="tuples",
        ),
        pytest.param(
            frame(pd.date_range("2024", periods=N)),
            series(pd.date_range("2024", periods=N, tz="UTC")),
            "times of a time zone",
            id="zone",
        ),
    ],
)
def test_where_the_index_is_not_used_the_place_stays_declared(model, x, labels, note):
    report = judged(model, x, labels)
    assert (report.verdict, report.proof) == (Verdict.PASS, "declared")
    assert said(report) is None
    assert not report.hazards
    assert len(report.not_proven) == bool(note)
    assert note in "".join(report.not_proven)


@pytest.mark.parametrize("ahead", ["1 hour", "40 days"])
def test_a_constant_horizon_is_a_hazard_and_no_fail(model, ahead):
    origins = pd.date_range("2024-03-01", periods=N, freq="h")
    report = judged(model, frame(origins), series(origins + pd.Timedelta(ahead)))
    assert (report.verdict, report.proof) == (Verdict.PASS, "declared")
    (hazard,) = report.hazards
    assert f"is {ahead} later" in hazard


def test_numbers_that_are_shifted_may_have_been_made_again(model):
    report = judged(model, frame(pd.RangeIndex(500, 500 + N)), series(pd.RangeIndex(503, 503 + N)))
    assert report.verdict is Verdict.UNPROVEN
    assert any("one of them was numbered again" in note for note in report.not_proven)


def test_one_side_that_was_numbered_again_before_both_were_split_is_no_fault(model):
    table = pd.DataFrame({"x": X[:, 0], "label": Y}, index=np.arange(N) * 3 // 2 + 5)
    renumbered = pd.DataFrame({"x": X[:, 0]})
    rows = np.random.default_rng(4).permutation(N)[: N // 2]
    for options in ({}, {"reference": renumbered.iloc[rows]}):
        report = judged(model, renumbered.iloc[rows], table["label"].iloc[rows], **options)
        assert report.verdict is Verdict.PASS


def test_numbers_of_an_index_repair_nothing(model):
    # A new frame in another order has the same numbers as an old one that was shuffled before.
    old, renumbered = series(np.random.default_rng(5).permutation(N)), frame(np.arange(N))
    rows = np.random.default_rng(6).permutation(N)
    with pytest.raises(evalguard.MisalignmentError, match="may have been reset on one side"):
        with evalguard.guard(labels=old.iloc[rows], on_failure="repair", mlflow=False):
            model.predict(renumbered.iloc[rows], verbose=0)


def test_frames_that_are_passed_together_in_several_orders_are_no_pass(model):
    inputs = [keras.Input((1,)), keras.Input((1,))]
    both = keras.Model(inputs, keras.layers.Add()(inputs))
    for order, verdict in ((slice(None), Verdict.PASS), (slice(None, None, -1), Verdict.UNPROVEN)):
        assert judged(both, [frame(), frame().iloc[order]], series()).verdict is verdict


@pytest.mark.parametrize("rows", [slice(None), ORDER], ids=["equal", "another-order"])
def test_weights_with_the_index_of_other_rows_are_refused(model, rows):
    weights = pd.Series(np.arange(N) + 1.0, index=IDS)
    if isinstance(rows, slice):
        assert judged(model, frame(), series(), sample_weight=weights).verdict is Verdict.PASS
        # Nothing names the rows of these.
        for unnamed in (weights.to_numpy()[::-1], weights.sort_values().reset_index(drop=True)):
            assert judged(model, frame(), series(), sample_weight=unnamed).verdict is Verdict.PASS
        return
    with pytest.raises(evalguard.LabelsError, match=r"pass weights.loc\[labels.index\]"):
        judged(model, frame(), series(), sample_weight=weights.iloc[rows])


def test_pairs_of_evaluate_are_compared_in_their_order(model):
    model.compile(loss="mse")
    times = pd.date_range("2024-03-01", periods=N, freq="h")
    rows = np.random.default_rng(7).permutation(N)
    labels = series(times + pd.Timedelta("1h"))
    for order in (np.arange(N), rows):
        with evalguard.guard(labels=labels, **QUIET) as g:
            model.evaluate(frame(times).iloc[order], labels, verbose=0)
        assert (g.report.verdict is Verdict.PASS) is (order is not rows)


@pytest.mark.parametrize("labels", ["frame", "column", "outputs", "late", "argument"])
def test_labels_have_an_index_wherever_they_come_from(model, labels):
    table = pd.DataFrame({"label": Y, "other": Y}, index=IDS).iloc[ORDER]
    if labels == "argument":
        guarded = evalguard.guard(labels_argument="y", **QUIET)

        @guarded
        def evaluate(y):
            return model.predict(frame(), verbose=0), y

        evaluate(table["label"])
        report = guarded.report
    elif labels == "late":
        with evalguard.guard(**QUIET) as g:
            model.predict(frame(), verbose=0)
            g.labels = table["label"]
        report = g.report
    else:
        given = {"frame": table[["label"]], "column": table, "outputs": {"0": table["label"]}}[labels]
        report = judged(model, frame(), given, label_column="label" if labels == "column" else None)
    assert report.verdict is Verdict.FAIL
    assert said(report)


def test_the_digest_of_labels_is_the_same_with_and_without_their_index(model):
    with_index, without = (judged(model, frame(), labels).labels for labels in (series(), Y))
    assert with_index["digest"] == without["digest"]


def test_rows_are_put_in_the_order_of_the_index_on_request(model):
    with evalguard.guard(labels=series(rows=ORDER), mlflow=False, on_failure="repair") as g:
        rows = model.predict(frame(), verbose=0)
    assert g.report.verdict is Verdict.REPAIRED
    assert np.array_equal(rows, X[ORDER])


def test_evaluate_scores_rows_by_their_index():
    model = identity_model()
    model.compile(loss="mse")
    for labels, verdict in (
        (series(), Verdict.PASS),
        (series(rows=ORDER), Verdict.PASS),
        (series(rows=slice(30)), "x"),
    ):
        with evalguard.guard(labels=labels, **QUIET) as g:
            model.evaluate(frame(), Y, verbose=0)
        assert g.report.verdict is (Verdict.FAIL if verdict == "x" else verdict)
    # Pairs that do not belong together.
    with evalguard.guard(labels=series(), **QUIET) as g:
        model.evaluate(frame(rows=ORDER), Y, verbose=0)
    assert g.report.verdict is Verdict.FAIL


@given(st.lists(st.integers(0, 9), min_size=1, max_size=7), st.lists(st.integers(0, 9), min_size=1, max_size=7))
def test_an_identity_is_proven_only_where_both_have_the_same_names_in_order(ours, theirs):
    """Whatever the two hold, a PASS says that they are equal, or that the place is declared."""
    n = len(ours)
    trace = Trace(n, np.full(n, -1), np.arange(n), index_source="position", row_names=names_of(ours))
    labels = LabelTable(values=np.arange(len(theirs)) % 2, row_names=names_of(theirs))
    report = judge(*by_index.by_index(trace, labels), Policy()).report
    usable = all(len(set(names)) == len(names) and names != [*range(len(names))] for names in (ours, theirs))
    assert (report.proof == "identity" and report.verdict is Verdict.PASS) == (usable and ours == theirs)
    assert not report.hazards
    if usable and ours != theirs:
        assert report.verdict is not Verdict.PASS
    elif report.verdict is Verdict.UNPROVEN:
        # A name comes twice, and most others are those of the labels.
        equal = [one == other for one, other in zip(ours, theirs, strict=True)]
        assert n / 2 < sum(equal) < n
        assert min(len(set(ours)), len(set(theirs))) < n
    else:
        assert report.verdict is (Verdict.PASS if len(ours) == len(theirs) else Verdict.FAIL)


def names_of(values):
    return RowNames(INTEGERS, np.array(values), len(values))


# -- What was asked for is never replaced -----------------------------------------------------------------------------


def test_a_reference_decides_and_an_index_beside_it_does_not(model):
    other = IDS[::-1]
    report = judged(model, frame(other), series(), reference=X)
    assert (report.verdict, report.proof) == (Verdict.PASS, "identity")
    report = judged(model, frame(other), series(), reference=X + 1000)
    assert report.verdict is Verdict.UNPROVEN


@pytest.mark.parametrize("rows", [slice(None), ORDER], ids=["equal", "another"])
def test_the_index_of_a_reference_is_that_of_the_labels(model, rows):
    report = judged(model, X, series(), reference=frame(rows=rows))
    assert report.verdict is (Verdict.PASS if isinstance(rows, slice) else Verdict.FAIL)
    generator = ((X[rows][at : at + 8],) for at in range(0, N, 8))
    with evalguard.guard(labels=series(), reference=frame(rows=rows), **QUIET) as g:
        model.predict(generator, verbose=0)
    assert g.report.verdict is report.verdict
    if report.verdict is Verdict.FAIL:
        assert g.report.diagnosis[0].cause == "indexes of the reference and labels differ"
        assert [link.link for link in g.report.chain if link.status == "broken"] == ["labels"]


def test_the_index_of_other_labels_is_compared_again(model):
    g = evalguard.guard(reference=frame(), **QUIET)
    for rows, verdict in ((slice(None), Verdict.PASS), (slice(None, None, -1), Verdict.FAIL)):
        # The same values in another index.
        g.labels = pd.Series(np.zeros(N), index=IDS[rows])
        with g:
            model.predict(X, verbose=0)
        assert g.report.verdict is verdict


def test_keys_decide(engine):
    inputs = {"id": engine.keras.Input((1,), name="id"), "x": engine.keras.Input((1,), name="x")}
    model = engine.keras.Model(inputs, inputs["x"] + 0 * inputs["id"])
    table = pd.DataFrame({"id": np.arange(N) + 1, "label": Y}, index=IDS[::-1])
    x = {"id": pd.DataFrame({"id": table["id"].to_numpy()}, index=IDS), "x": frame()}
    report = judged(model, x, table, key="id", label_column="label")
    assert (report.verdict, report.proof, said(report)) == (Verdict.PASS, "identity", "aligned")
    # Labels without keys: their index has them, if it has all of them.
    keyed = table.set_index("id")["label"]
    report = judged(model, x, keyed, key="id")
    assert (report.verdict, said(report)) == (Verdict.PASS, "index of pandas: aligned")
    assert judged(model, x, keyed.iloc[::-1], key="id").verdict is Verdict.FAIL
    for others in (keyed.set_axis(keyed.index + 7), keyed.set_axis([f"s{at}" for at in range(N)]), keyed.to_numpy()):
        report = judged(model, x, others, key="id")
        assert report.verdict is Verdict.UNPROVEN
        assert "the labels have no keys" in report.not_proven[0]


# -- Several calls ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scored", ["put back", "joined"])
def test_parts_are_known_by_their_index(model, scored):
    folds = np.array_split(ORDER, 4)
    oof = np.zeros((N, 1), "float32")
    with evalguard.guard(labels=series(), scope="parts", **QUIET) as g:
        for fold in folds:
            oof[fold] = model.predict(frame(rows=fold), verbose=0)
        g.confirm(oof if scored == "put back" else oof[ORDER], Y)
    assert g.report.verdict is (Verdict.PASS if scored == "put back" else Verdict.FAIL)
    assert g.report.proof == "identity"


@pytest.mark.parametrize("method", ["predict", "predict_on_batch"])
@pytest.mark.parametrize("labels", ["same", "another", "default"])
def test_a_loop_over_parts_of_a_frame(model, method, labels):
    index = np.arange(N) if labels == "default" else IDS
    with evalguard.guard(labels=series(index, ORDER if labels == "another" else slice(None)), **QUIET) as g:
        parts = [getattr(model, method)(frame(index).iloc[at : at + 16]) for at in range(0, N, 16)]
    # Another order may be undone later, and so may that of short calls.
    passes = labels == "same" and method == "predict_on_batch"
    assert g.report.verdict is (Verdict.PASS if passes else Verdict.UNPROVEN)
    if labels != "default":
        g.confirm(g.put_back(parts))
        assert (g.report.verdict, g.report.proof) == (Verdict.PASS, "identity")
    assert (said(g.report) is None) is (labels == "default")


def test_several_models_may_answer_the_same_rows(model):
    others = identity_model()
    with evalguard.guard(labels=series(), scope="parts", **QUIET) as g:
        first = model.predict(frame(), verbose=0)
        others.predict(frame(rows=ORDER), verbose=0)
        g.confirm(first)
    assert (g.report.verdict, g.report.proof) == (Verdict.PASS, "identity")
    with evalguard.guard(labels=series(), scope="parts", **QUIET) as g:
        g.confirm(model.predict(frame(np.repeat(IDS[:20], 2)), verbose=0))
    assert g.report.verdict is Verdict.UNPROVEN


# -- Files ------------------------------------------------------------------------------------------------------------

IMAGES, CLASSES = 12, 3
FILES = sorted(f"class{number % CLASSES}/{number}.png" for number in range(IMAGES))
ENGINES = {"keras3": LegacyGenerator, "tf_keras": tf_keras.preprocessing.image.ImageDataGenerator}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("images")
    for name in FILES:
        (root / name).parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((6, 6, 3), int(name[7:-4]), np.uint8)).save(root / name)
    return root


@pytest.fixture(scope="module", params=ENGINES)
def images(request):
    kit = tf_keras if request.param == "tf_keras" else __import__("keras")
    inputs = kit.Input((6, 6, 3))
    return SimpleNamespace(
        model=kit.Model(inputs, kit.layers.GlobalAveragePooling2D()(inputs)), generator=ENGINES[request.param]()
    )


def of_files(images, folder, labels, **options):
    source = images.generator.flow_from_directory(
        folder, target_size=(6, 6), class_mode=None, batch_size=5, **{"shuffle": False, **options}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # Keras: super().__init__ of a dataset was not called
        return judged(images.model, source, labels)


def labels_of(names):
    return pd.Series([int(name[name.rindex("/") + 1 :].partition(".")[0]) for name in names], index=names)


def test_an_index_of_files_is_compared_with_those_of_an_iterator(images, folder):
    report = of_files(images, folder, labels_of(FILES))
    assert (report.verdict, report.proof) == (Verdict.PASS, "identity")
    by_number = sorted(FILES, key=lambda name: int(name[7:-4]))
    report = of_files(images, folder, labels_of(by_number))
    assert report.verdict is Verdict.FAIL
    assert said(report).startswith("index of pandas: ")
    shuffled = of_files(images, folder, labels_of(FILES), shuffle=True, seed=1)
    assert shuffled.verdict is Verdict.FAIL
    assert "shuffle=True" in shuffled.diagnosis[0].cause
    assert of_files(images, folder, labels_of([*FILES[1:], "class0/99.png"])).verdict is Verdict.FAIL


@pytest.mark.parametrize("way", ["prefix", "no folder", "no ending"])
def test_files_in_another_spelling(images, folder, way):
    spell = {
        "prefix": lambda name: f"test/{name}",
        "no folder": lambda name: name.rpartition("/")[2],
        "no ending": lambda name: name.rpartition(".")[0],
    }[way]
    labels = labels_of(FILES)
    in_order, reversed_ = (part.set_axis([spell(name) for name in part.index]) for part in (labels, labels[::-1]))
    # They are in the iterator's order, so nothing is wrong.
    report = of_files(images, folder, in_order)
    assert (report.verdict, report.proof) == (Verdict.PASS, "identity")
    assert "They differ by the " in report.not_proven[0]
    report = of_files(images, folder, reversed_)
    assert report.verdict is Verdict.UNPROVEN
    assert "They differ by the " in report.not_proven[0]


def test_an_index_of_other_things_than_files_is_not_compared(images, folder):
    values = labels_of(FILES).to_numpy()
    for index, notes in ((IDS[:IMAGES], 0), ([f"patient {at}" for at in range(IMAGES)], 1), (range(IMAGES), 0)):
        report = of_files(images, folder, pd.Series(values, index=index))
        assert (report.verdict, report.proof) == (Verdict.PASS, "identity")
        assert len(report.not_proven) == notes


def test_an_index_of_parts_of_which_nothing_is_listed_is_left_alone():
    labels = LabelTable(values=np.arange(3), row_names=RowNames(TEXT, np.array(["a", "b", "c"], object), 3))
    untagged = Trace(3, np.full(3, -1))
    assert by_index.named_by_files([untagged], labels) is labels
    assert by_index.named_by_files([untagged], None) is None
    listed = Trace(3, np.full(3, -1), keys=np.array(["x/c", "x/a", "x/b"]), index_source="listed")
    assert by_index.named_by_files([listed], labels).keys is not None
    assert len(WITHOUT)


def test_labels_without_a_key_to_compare_keep_their_index():
    assert len(Labels.of(series()).row_names) == N
    assert Labels.of(Y).row_names is None
    assert Labels.of(pd.DataFrame({"label": Y, "id": IDS}), key="id").keys.tolist() == IDS.tolist()


class Polars:
    """What a frame of polars has of one of pandas."""

    def __init__(self, table):
        self.columns, self._table = list(table), table

    def get_column(self, name):
        return pd.Series(self._table[name])

    __getitem__ = get_column


def test_a_frame_without_an_index_has_a_column_of_keys():
    labels = Labels.of(Polars({"label": Y, "id": IDS}), label="label", key="id")
    assert (labels.keys.tolist(), labels.values.tolist(), labels.row_names) == (IDS.tolist(), Y.tolist(), None)
