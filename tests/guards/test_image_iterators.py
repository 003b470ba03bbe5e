"""Image iterators of both Kerases over real PNG files: labels in the order of files, rows in any."""

import re
import warnings
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tf_keras
from keras.src.legacy.preprocessing.image import ImageDataGenerator as LegacyGenerator
from PIL import Image

import evalguard
from evalguard import Labels, LabelsError, Verdict

N, BATCH, CLASSES = 22, 4, 3
ENGINES = {
    "keras3": SimpleNamespace(keras=keras, images=LegacyGenerator),
    "tf_keras": SimpleNamespace(keras=tf_keras, images=tf_keras.preprocessing.image.ImageDataGenerator),
}
WAYS = ["directory", "frame", "arrays"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Image ``i`` is all of value ``i``, in the folder of its class; names sort otherwise than numbers."""
    root = tmp_path_factory.mktemp("images")
    for number in range(N):
        path = root / f"class{number % CLASSES}" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((6, 6, 3), number, np.uint8)).save(path)
    return root


@pytest.fixture(scope="module", params=ENGINES)
def engine(request):
    kit = ENGINES[request.param]
    inputs = kit.keras.Input((6, 6, 3))
    model = kit.keras.Model(inputs, kit.keras.layers.GlobalAveragePooling2D()(inputs))
    return SimpleNamespace(model=model, images=kit.images, name=request.param)


def listing(root):
    """Files class by class, as text, which is what Keras lists; known here without asking an iterator."""
    return sorted((f"class{n % CLASSES}/{n}.png" for n in range(N)), key=lambda name: name)


def number_of(name):
    return int(name.split("/")[1].removesuffix(".png"))


def iterator(engine, folder, way, **options):
    import pandas as pd

    names = listing(folder)
    made, common = engine.images(), {"batch_size": BATCH, **options}
    if way == "directory":
        return made.flow_from_directory(folder, target_size=(6, 6), class_mode="sparse", **common)
    if way == "frame":
        frame = pd.DataFrame({"filename": names, "class": [name.split("/")[0] for name in names]})
        return made.flow_from_dataframe(frame, folder, target_size=(6, 6), class_mode="sparse", **common)
    numbers = np.array([number_of(name) for name in names])
    pixels = np.broadcast_to(numbers[:, None, None, None], (N, 6, 6, 3)).astype("float32")
    return made.flow(pixels, numbers % CLASSES, **common)


def predict(engine, source):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # Keras: super().__init__ of a dataset was not called
        return engine.model.predict(source, verbose=0)


@pytest.mark.parametrize("way", WAYS)
def test_labels_are_in_the_order_of_files(engine, folder, way):
    source = iterator(engine, folder, way)
    index = source.batch_index, source.total_batches_seen
    labels = Labels.from_iterator(source)
    names = listing(folder)
    assert labels.values.tolist() == [number_of(name) % CLASSES for name in names]
    assert labels.keys is None if way == "arrays" else labels.keys.tolist() == names
    assert (source.batch_index, source.total_batches_seen) == index


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("given", ["from_iterator", "it", "classes", "none"])
@pytest.mark.parametrize("way", WAYS)
def test_a_shuffling_iterator_fails_and_one_in_order_passes_by_identity(engine, folder, way, shuffle, given):
    source = iterator(engine, folder, way, shuffle=shuffle, seed=1)
    classes = source.y if way == "arrays" else source.classes
    labels = {"from_iterator": Labels.from_iterator(source), "it": source, "classes": classes, "none": None}[given]
    with evalguard.guard(labels=labels, mlflow=False, on_failure="record") as g:
        rows = predict(engine, source)
    delivered = rows[:, 0].round().astype(int)
    in_order = np.array([number_of(name) for name in listing(folder)])
    assert g.report.proof == "identity"
    assert g.report.counts["misaligned"] == np.count_nonzero(delivered != in_order)
    assert (g.report.verdict is Verdict.FAIL) is shuffle
    assert (g.report.verdict is Verdict.PASS) is not shuffle
    assert g.y_true.tolist() == (delivered % CLASSES).tolist()
    if shuffle:
        assert "shuffle=True" in g.report.diagnosis[0].cause
        assert re.search(r"flow\w*\(\.\.\., shuffle=False\)", g.report.diagnosis[0].remedy)
    if given != "classes" and way != "arrays":
        assert [number_of(name) for name in g.keys] == delivered.tolist()


@pytest.mark.parametrize("key", [None, "file"])
@pytest.mark.parametrize("shuffle", [True, False])
def test_labels_with_files_in_another_order_are_compared_by_file(engine, folder, shuffle, key):
    """The iterator's own place of a file is no label row; without targets nothing else would contradict it."""
    import pandas as pd

    names = sorted(listing(folder), key=number_of)
    table = pd.DataFrame({"file": names, "label": range(N)})
    labels = table if key else Labels.of(table, label="label", key="file")
    options = {"label_column": "label", "key": key} if key else {}
    source = engine.images().flow_from_directory(
        folder, target_size=(6, 6), class_mode=None, batch_size=BATCH, shuffle=shuffle, seed=1
    )
    with evalguard.guard(labels=labels, mlflow=False, on_failure="record", **options) as g:
        delivered = predict(engine, source)[:, 0].round().astype(int)
    assert (g.report.verdict, g.report.proof) == (Verdict.FAIL, "identity")
    assert g.report.counts["misaligned"] == np.count_nonzero(delivered != np.arange(N))
    assert [number_of(name) for name in g.keys] == delivered.tolist() == g.y_true.tolist()
    assert shuffle or "set_index('file').loc[it.filenames, 'label']" in g.report.diagnosis[0].remedy


def test_labels_with_files_in_the_order_of_a_shuffle_pass_and_are_not_stopped_for_it(engine, folder):
    import pandas as pd

    options = {"target_size": (6, 6), "class_mode": None, "batch_size": BATCH, "seed": 3}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        first = engine.images().flow_from_directory(folder, **options)
        order = predict(engine, first)[:, 0].round().astype(int)
    table = pd.DataFrame({"file": [f"class{n % CLASSES}/{n}.png" for n in order], "label": order})
    source = engine.images().flow_from_directory(folder, **options)
    with evalguard.guard(labels=table, label_column="label", key="file", mlflow=False, fail_fast=True) as g:
        predict(engine, source)
    assert (g.report.verdict, g.report.proof) == (Verdict.PASS, "identity")


@pytest.mark.parametrize("names", ["as the iterator has them", "of other files"])
def test_labels_with_files_pass_only_if_the_files_are_theirs(engine, folder, names):
    import pandas as pd

    files = listing(folder) if names.startswith("as") else [f"elsewhere/{name}" for name in listing(folder)]
    table = pd.DataFrame({"file": files, "label": range(N)})
    source = engine.images().flow_from_directory(
        folder, target_size=(6, 6), class_mode=None, batch_size=BATCH, shuffle=False
    )
    with evalguard.guard(labels=table, label_column="label", key="file", mlflow=False, on_unproven="record") as g:
        predict(engine, source)
    assert g.report.verdict is (Verdict.PASS if names.startswith("as") else Verdict.UNPROVEN)


def test_repair_puts_shuffled_rows_in_the_order_of_files(engine, folder):
    source = iterator(engine, folder, "directory", seed=2)
    with evalguard.guard(labels=source, mlflow=False, on_failure="repair") as g:
        rows = predict(engine, source)
    assert g.report.verdict is Verdict.REPAIRED
    assert rows[:, 0].round().astype(int).tolist() == [number_of(name) for name in listing(folder)]


@pytest.mark.parametrize("mode", ["raw", "multi_output", None, "input", "categorical"])
def test_every_class_mode_of_a_data_frame(engine, folder, mode):
    import pandas as pd

    names = listing(folder)
    numbers = [number_of(name) for name in names]
    frame = pd.DataFrame({"filename": names, "a": numbers, "b": numbers[::-1], "class": [f"c{n % 3}" for n in numbers]})
    columns = {"raw": "a", "multi_output": ["a", "b"], "categorical": "class"}
    source = engine.images().flow_from_dataframe(
        frame, folder, y_col=columns.get(mode), class_mode=mode, target_size=(6, 6), batch_size=BATCH, shuffle=False
    )
    labels = Labels.from_iterator(source)
    if mode == "multi_output":
        assert isinstance(labels.values, dict)
        assert [labels.values[part].tolist() for part in ("0", "1")] == [numbers, numbers[::-1]]
    elif mode in {"raw", "categorical"}:
        assert labels.values.tolist() == (numbers if mode == "raw" else [n % 3 for n in numbers])
    else:
        assert labels.values is None
    if (engine.name, mode) == ("keras3", "multi_output"):
        return  # Keras 3.15 itself predicts no dataset whose targets are a list
    with evalguard.guard(labels=labels, mlflow=False) as g:
        predict(engine, source)
    assert (g.report.verdict, g.report.proof) == (Verdict.PASS, "identity")


def test_a_file_listed_twice_has_no_key_and_is_identified_by_position(engine, folder):
    import pandas as pd

    names = [*listing(folder), listing(folder)[0]]
    frame = pd.DataFrame({"filename": names, "class": [name.split("/")[0] for name in names]})
    source = engine.images().flow_from_dataframe(frame, folder, target_size=(6, 6), class_mode="sparse", shuffle=False)
    labels = Labels.from_iterator(source)
    assert (labels.keys, len(labels)) == (None, N + 1)
    with evalguard.guard(labels=labels, mlflow=False) as g:
        predict(engine, source)
    assert (g.report.verdict, g.report.proof) == (Verdict.PASS, "identity")


def test_what_holds_no_labels_is_refused(engine, folder):
    with pytest.raises(LabelsError, match="expected an image iterator"):
        Labels.from_iterator([1, 2])
    bare = engine.images().flow(np.zeros((3, 6, 6, 3), "float32"))
    with pytest.raises(LabelsError, match="found neither"):
        Labels.from_iterator(bare)


@pytest.mark.parametrize("shuffle", [True, False])
def test_files_in_another_order_than_the_labels_do_not_stop_a_call_before_all_are_known(engine, folder, shuffle):
    import pandas as pd

    table = pd.DataFrame({"file": sorted(listing(folder), key=number_of), "label": range(N)})
    source = engine.images().flow_from_directory(
        folder, target_size=(6, 6), class_mode=None, batch_size=BATCH, shuffle=shuffle, seed=1
    )
    options = {"label_column": "label", "key": "file", "fail_fast": True, "on_failure": "record"}
    with evalguard.guard(labels=table, mlflow=False, **options) as g:
        delivered = predict(engine, source)[:, 0].round().astype(int)
    assert g.report.verdict is Verdict.FAIL
    assert len(delivered) == N


def test_a_shuffling_iterator_is_stopped_by_its_own_labels(engine, folder):
    source = iterator(engine, folder, "directory", seed=1)
    with evalguard.guard(labels=source, mlflow=False, fail_fast=True, on_failure="record") as g:
        delivered = predict(engine, source)
    assert g.report.verdict is Verdict.FAIL
    assert len(delivered) == BATCH


@pytest.mark.parametrize("names", ["files", "classes"])
def test_a_row_has_the_name_of_its_file_with_any_labels(engine, folder, names):
    source = iterator(engine, folder, "directory", seed=1)
    labels = Labels.from_iterator(source) if names == "files" else source.classes
    with evalguard.guard(labels=labels, mlflow=False, on_failure="record") as g:
        delivered = predict(engine, source)[:, 0].round().astype(int)
    assert [number_of(name) for name in g.keys] == delivered.tolist()
    assert [found["identity"] for found in g.report.identities] == ["index"]


def test_the_weights_of_an_iterator_go_with_its_files(engine, folder):
    import pandas as pd

    names = listing(folder)
    weights = np.linspace(0.5, 2, N)
    frame = pd.DataFrame({"filename": names, "class": [name.split("/")[0] for name in names], "weight": weights})
    source = engine.images().flow_from_dataframe(
        frame, folder, weight_col="weight", target_size=(6, 6), class_mode="sparse", batch_size=BATCH, seed=1
    )
    with evalguard.guard(on_failure="record", mlflow=False) as g:
        rows = predict(engine, source)
    assert np.array_equal(g.sample_weight, weights[[names.index(name) for name in g.keys]])
    assert np.array_equal(rows[:, 0], [number_of(name) for name in g.keys])
    with evalguard.guard(sample_weight=2 * weights, on_failure="record", mlflow=False) as g:
        predict(engine, source)
    assert np.array_equal(g.sample_weight, 2 * weights[[names.index(name) for name in g.keys]])


def test_the_weights_of_a_part_of_the_arrays_are_not_taken(engine):
    """Keras keeps the weights of both parts, so they are not those of the rows."""
    pixels, classes = np.zeros((N, 6, 6, 3)), np.zeros(N)
    made = engine.images(validation_split=0.5)
    whole = made.flow(pixels, classes, sample_weight=np.ones(N))
    assert Labels.from_iterator(whole).weights.tolist() == [1.0] * N
    part = made.flow(pixels, classes, sample_weight=np.ones(N), subset="training")
    assert Labels.from_iterator(part).weights is None
