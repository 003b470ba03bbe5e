"""Public reports of classes that mean others, rebuilt, and set-ups beside them that are right: no FAIL and no hazard.

The models are right in each row, by the class numbers of their training. An image of class k is grey of 20 k.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from keras.src.legacy.preprocessing.image import ImageDataGenerator
from PIL import Image
from sklearn.preprocessing import LabelEncoder

import evalguard
from evalguard import Verdict
from evalguard.core.findings import Reason
from evalguard.guards.predicted_classes import SEEM

ANIMALS = ["bird", "cat", "dog", "frog"]
DIGITS = [str(number) for number in range(12)]
REVIEWS = ["neg", "pos"]
EACH = 12
N = 90


def classes_of(n_classes: int, rows: int = N) -> Any:
    return np.arange(rows) * 37 % 101 % n_classes


def scores(numbers: Any, n_classes: int) -> Any:
    """What a model returns that is right in each row: the models over arrays return their input."""
    noise = np.random.default_rng(0).random((len(numbers), n_classes)) * 0.4
    return (np.eye(n_classes)[numbers] + noise).astype("float32")


def echo(columns: int) -> Any:
    inputs = keras.Input((columns,))
    return keras.Model(inputs, keras.layers.Identity()(inputs))


def of_grey(n_classes: int) -> Any:
    """The class of grey g is that k for which 40 k g - 400 k^2 is largest."""
    inputs = keras.Input((4, 4, 3))
    dense = keras.layers.Dense(n_classes)
    model = keras.Model(inputs, dense(keras.layers.GlobalAveragePooling2D()(inputs)))
    k = np.arange(n_classes)
    dense.set_weights([np.tile(40 / 3 * k, (3, 1)), -400.0 * k**2])
    return model


def folder(root: Path, names: list[str], without: tuple[str, ...] = ()) -> Path:
    """A folder of images for each class, those that lack some left out."""
    for number, name in enumerate(names):
        for image in range(0 if name in without else EACH):
            path = root / name / f"{number}_{image}.png"
            path.parent.mkdir(exist_ok=True, parents=True)
            Image.fromarray(np.full((4, 4, 3), 20 * number + image % 5, np.uint8)).save(path)
    return root


def flow(root: Path, **options: Any) -> Any:
    options = {"class_mode": "sparse", "shuffle": False, "batch_size": 8, **options}
    return ImageDataGenerator().flow_from_directory(root, target_size=(4, 4), **options)


@dataclass
class Setup:
    """An evaluation.

    Attributes:
        model: Returns a score for each class, by the numbers of training.
        x: What it predicts.
        options: What this user gives the guard.
    """

    model: Any
    x: Any
    options: dict[str, Any]


def a_class_is_lacking(root: Path, **options: Any) -> Setup:
    test = flow(folder(root, ANIMALS, without=("bird",)), **options)
    return Setup(of_grey(4), test, {"labels": test, "classes": ANIMALS})


def a_class_is_lacking_and_names_are_not_given(root: Path) -> Setup:
    setup = a_class_is_lacking(root)
    return Setup(setup.model, setup.x, {})


def a_class_is_lacking_and_listed(root: Path) -> Setup:
    return a_class_is_lacking(root, classes=ANIMALS)


def the_last_class_is_lacking(root: Path) -> Setup:
    test = flow(folder(root, ANIMALS, without=("frog",)))
    return Setup(of_grey(4), test, {"labels": test, "classes": ANIMALS})


def the_last_class_is_lacking_and_names_are_not_given(root: Path) -> Setup:
    return Setup(of_grey(4), flow(folder(root, ANIMALS, without=("frog",))), {})


def numbers_as_text(root: Path, **options: Any) -> Setup:
    test = flow(folder(root, DIGITS), **options)
    return Setup(of_grey(12), test, {"labels": test.classes, "classes": DIGITS})


def numbers_as_text_without_names(root: Path) -> Setup:
    setup = numbers_as_text(root)
    return Setup(setup.model, setup.x, {"labels": setup.options["labels"]})


def numbers_in_their_order(root: Path) -> Setup:
    return numbers_as_text(root, classes=DIGITS)


def scored_by_the_other_folder(root: Path) -> Setup:
    train, test = flow(folder(root / "train", ANIMALS)), flow(folder(root / "test", ANIMALS, without=("cat",)))
    return Setup(of_grey(4), test, {"labels": test.classes, "classes": train.class_indices})


def mapped_to_the_other_folder(root: Path) -> Setup:
    setup = scored_by_the_other_folder(root)
    number_of = setup.options["classes"]
    labels = np.asarray([number_of[name.partition("/")[0]] for name in setup.x.filenames])
    return Setup(setup.model, setup.x, {**setup.options, "labels": labels})


def names_of_files(root: Path) -> Setup:
    """A table of names beside a shuffled iterator over the files."""
    setup = a_class_is_lacking(root, shuffle=True, class_mode="categorical")
    files = sorted(setup.x.filenames, reverse=True)
    table = pd.DataFrame({"file": files, "animal": [name.partition("/")[0] for name in files]})
    more = {"labels": table, "label_column": "animal", "labels_key": "file", "on_failure": "repair"}
    return Setup(setup.model, setup.x, {"classes": ANIMALS, **more})


def encoded(root: Path, *, again: bool, targets: bool) -> Setup:
    del root
    encoder = LabelEncoder().fit(ANIMALS)
    numbers = classes_of(3) + 1  # no bird in the test set
    names = np.asarray(ANIMALS)[numbers]
    labels = LabelEncoder().fit_transform(names) if again else encoder.transform(names)
    x = scores(numbers, 4)
    stream = keras_stream(x, encoder.transform(names)) if targets else x
    return Setup(echo(4), stream, {"labels": labels, "reference": x})


def keras_stream(x: Any, y: Any) -> Any:
    class Stream(keras.utils.PyDataset):
        def __len__(self) -> int:
            return -(-len(x) // 16)

        def __getitem__(self, number: int) -> Any:
            rows = slice(number * 16, number * 16 + 16)
            return x[rows], y[rows]

    return Stream()


def encoder_fitted_again(root: Path) -> Setup:
    return encoded(root, again=True, targets=True)


def encoder_fitted_again_beside_arrays(root: Path) -> Setup:
    return encoded(root, again=True, targets=False)


def encoder_kept(root: Path) -> Setup:
    return encoded(root, again=False, targets=True)


def image_dataset(root: Path, **options: Any) -> Any:
    options = {"image_size": (4, 4), "batch_size": 8, "seed": 3, "verbose": False, **options}
    return keras.utils.image_dataset_from_directory(root, **options)


def dataset_of_another_order(root: Path) -> Setup:
    ds = image_dataset(folder(root, ANIMALS), class_names=ANIMALS[::-1], shuffle=False)
    return Setup(of_grey(4), ds, {"labels": evalguard.Labels.collect(ds), "classes": ANIMALS})


def dataset_of_the_same_order(root: Path) -> Setup:
    ds = image_dataset(folder(root, ANIMALS), shuffle=False, label_mode="categorical")
    return Setup(of_grey(4), ds, {"labels": evalguard.Labels.collect(ds), "classes": ANIMALS})


def dataset_with_a_list_of_labels(root: Path) -> Setup:
    """Its ``class_names`` are folders, and its labels are not."""
    folder(root / "images", ANIMALS)
    numbers = np.repeat(np.arange(4), EACH).tolist()
    ds = image_dataset(root, labels=numbers, shuffle=False)
    return Setup(of_grey(4), ds, {"labels": evalguard.Labels.collect(ds), "classes": ANIMALS})


def texts(root: Path) -> Setup:
    for number, name in enumerate(REVIEWS):
        (root / name).mkdir(parents=True)
        for file in range(20 + 5 * number):
            (root / name / f"{file}.txt").write_text(["bad", "good"][number])
    ds = keras.utils.text_dataset_from_directory(root, shuffle=False, batch_size=8, verbose=False)
    inputs = keras.Input((), dtype="string")
    lookup = keras.layers.StringLookup(vocabulary=["bad", "good"], num_oov_indices=0, output_mode="one_hot")
    return Setup(keras.Model(inputs, lookup(inputs)), ds, {"labels": evalguard.Labels.collect(ds), "classes": REVIEWS})


RELATIONS = ["contradiction", "neutral", "entailment"]


def numbers_of_another_card(root: Path) -> Setup:
    """The model's card numbers the relations otherwise than the dataset's."""
    del root
    numbers = classes_of(3)
    return Setup(echo(3), scores(numbers, 3), {"labels": 2 - numbers})


def names_by_the_card(root: Path) -> Setup:
    del root
    numbers = classes_of(3)
    return Setup(echo(3), scores(numbers, 3), {"labels": np.asarray(RELATIONS)[numbers], "classes": RELATIONS})


def opposite(root: Path) -> Setup:
    del root
    numbers = classes_of(2)
    return Setup(echo(1), np.where(numbers == 1, 0.1, 0.8).astype("float32")[:, None], {"labels": numbers})


def not_opposite(root: Path) -> Setup:
    setup = opposite(root)
    return Setup(setup.model, 1 - setup.x, setup.options)


def counted_from_one(root: Path) -> Setup:
    del root
    numbers = classes_of(5)
    return Setup(echo(5), keras_stream(scores(numbers, 5), numbers), {"labels": numbers + 1})


def counted_from_one_with_a_column_more(root: Path) -> Setup:
    """Column 0 is of no class, as some networks have it for the background."""
    del root
    numbers = classes_of(5) + 1
    return Setup(echo(6), keras_stream(scores(numbers, 6), numbers), {"labels": numbers})


def in_files(root: Path) -> Setup:
    root.mkdir(exist_ok=True)
    numbers = classes_of(4)
    pd.DataFrame({"label": np.asarray(ANIMALS)[numbers]}).to_csv(root / "labels.csv")
    x = scores(numbers, 4)
    return Setup(echo(4), keras_stream(x, np.eye(4)[numbers]), {"labels": root / "labels.csv", "label_column": "label"})


FAULTS: dict[Callable[..., Setup], tuple[str, bool]] = {
    # Whether it is a FAIL, as both numberings are known; else it is a hazard.
    a_class_is_lacking: ("keras-team/keras#6075, GoogleCloudPlatform/community#1632", True),
    a_class_is_lacking_and_names_are_not_given: ("ultralytics/ultralytics#13936", False),
    numbers_as_text: ("sniper0110/IntroductionToTensorflow2#1, pytorch/vision#714", True),
    numbers_as_text_without_names: ("NVIDIA/DIGITS#665, modestyachts/ImageNetV2#10", False),
    scored_by_the_other_folder: ("keras-team/keras#6075, sebastianbk/finetuned-resnet50-keras#5", True),
    encoder_fitted_again: ("scikit-learn/scikit-learn#10324, logicalclocks/hopsworks-tutorials#81", True),
    encoder_fitted_again_beside_arrays: ("scikit-learn/scikit-learn#18961", False),
    dataset_of_another_order: ("keras-team/keras-preprocessing#211, deeplearning4j/DataVec#105", True),
    numbers_of_another_card: ("huggingface/optimum#197, huggingface/transformers#14230", False),
    opposite: ("amaiya/ktrain#277", False),
    counted_from_one: ("rstudio/keras3#465, imfing/audio-classification#5", True),
}
SOUND = {
    a_class_is_lacking_and_listed: "the fix of keras-team/keras#6075",
    the_last_class_is_lacking: "classes behind the others change no number",
    the_last_class_is_lacking_and_names_are_not_given: "the same",
    numbers_in_their_order: "the fix of sniper0110/IntroductionToTensorflow2#1",
    mapped_to_the_other_folder: "keras-team/keras#6075: labels by the numbers of training",
    names_of_files: "labels that are names need no numbers",
    encoder_kept: "the fix of scikit-learn/scikit-learn#10324",
    dataset_of_the_same_order: "image_dataset_from_directory, one-hot",
    dataset_with_a_list_of_labels: "tensorflow/tensorflow#44752",
    texts: "text_dataset_from_directory",
    names_by_the_card: "the fix of huggingface/optimum#197",
    not_opposite: "the fix of amaiya/ktrain#277",
    counted_from_one_with_a_column_more: "keras-team/keras-io#313",
    in_files: "a column of names, in sorted order",
}


def judged(setup: Setup) -> Any:
    options = {"on_failure": "record", "on_unproven": "record", "mlflow": False, **setup.options}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # Keras: super().__init__ of a dataset was not called
        g = SimpleNamespace(report=None)
        try:
            with evalguard.guard(**options) as g:  # type: ignore[assignment]
                setup.model.predict(setup.x, verbose=0)
        except evalguard.MisalignmentError as error:
            return error.report
    return g.report


@pytest.mark.parametrize("make", FAULTS, ids=lambda make: make.__name__)
def test_classes_that_mean_others_are_a_fail_or_a_hazard(make, tmp_path):
    cite, known = FAULTS[make]
    report = judged(make(tmp_path / "data"))
    if known:
        assert report.verdict is Verdict.FAIL, (cite, report.headline)
        assert {finding.reason for finding in report.findings} == {Reason.CLASSES}, cite
        assert report.diagnosis[0].cause.startswith(("classes numbered otherwise", "codes differ")), cite
    else:
        assert report.verdict is Verdict.PASS, (cite, report.headline)
        assert any(hazard.startswith(SEEM) for hazard in report.hazards), cite


@pytest.mark.parametrize("make", SOUND, ids=lambda make: make.__name__)
def test_what_is_right_gets_no_fail_and_no_hazard(make, tmp_path):
    report = judged(make(tmp_path / "data"))
    assert report.verdict in {Verdict.PASS, Verdict.REPAIRED}, (SOUND[make], report.headline, report.not_proven)
    assert [hazard for hazard in report.hazards if "class" in hazard or "names" in hazard] == [], SOUND[make]
