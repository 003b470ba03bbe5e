"""The examples run unchanged, and the digits' loader reports its real order."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbclient
import nbformat
import numpy as np
import pytest
import yaml
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]


def run_python(*arguments: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    """Run this interpreter in ``cwd`` on the checkout; its output is in the assertion if it fails."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(cwd), str(ROOT)])}
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_the_quickstart_runs(tmp_path: Path) -> None:
    process = run_python(str(ROOT / "examples" / "quickstart.py"), cwd=tmp_path)
    assert process.returncode == 0, process.stdout + process.stderr
    assert "FAIL" in process.stdout + process.stderr  # it shows what a broken stream looks like


@pytest.mark.slow
def test_the_notebook_goes_from_a_wrong_metric_to_the_fix(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    notebook = nbformat.read(ROOT / "examples" / "wrong_evaluation.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "the notebook is kept without its outputs"
    nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    printed, pages = [], []
    for output in (output for cell in notebook.cells for output in cell.get("outputs", [])):
        printed += [output["text"]] if output.get("name") == "stdout" else []
        pages += [output["data"]["text/html"]] if output["output_type"] == "execute_result" else []
    wrong, right = (float(found) for found in re.findall(r"^accuracy: (.*)", "".join(printed), re.MULTILINE))
    assert wrong < 0.3 < 0.9 < right
    assert "`shuffle=True` (certain)" in "".join(printed)
    assert [re.findall(r"FAIL|PASS", page)[0] for page in pages] == ["FAIL", "PASS"]
    # In a separate frame: the page is an attribute, and its style does not reach the notebook.
    assert all(re.fullmatch(r'<iframe sandbox="" [^<>]*></iframe>', page) for page in pages)


def write_digits(folder: Path, values: list[int]) -> Path:
    """A tiny folder as `prepare` makes it: image i is uniformly grey, value ``values[i]``."""
    with (folder / "labels_test.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["file", "label"])
        for i, value in enumerate(values):
            Image.fromarray(np.full((8, 8), value, dtype=np.uint8)).save(folder / f"{i}.png")
            writer.writerow([f"{i}.png", value % 10])
    return folder


@pytest.mark.parametrize("shuffle", [False, True], ids=["in-order", "shuffled"])
def test_sample_indices_are_those_of_the_images_in_a_batch(tmp_path: Path, shuffle: bool) -> None:
    from examples.digits import loader

    values = list(range(0, 230, 10))
    source = loader.test_images(shuffle=shuffle, batch_size=5, work=str(write_digits(tmp_path, values)))
    orders = []
    for _ in range(3):
        pixels = np.concatenate([source[i] for i in range(len(source))])
        order = np.concatenate([source.sample_indices(i) for i in range(len(source))])
        assert order.dtype == np.int64
        # The image itself says which one it is: its grey value.
        np.testing.assert_array_equal(np.rint(pixels[:, 0, 0, 0] * 255), np.array(values)[order])
        assert sorted(order) == list(range(len(values)))
        orders.append(tuple(order))
        source.on_epoch_end()
    assert len(set(orders)) == (3 if shuffle else 1)
    assert (orders[0] == tuple(range(len(values)))) is not shuffle


def test_the_two_configurations_differ_only_in_the_shuffling() -> None:
    good, broken = (
        yaml.safe_load((ROOT / "configs" / name).read_text(encoding="utf-8"))
        for name in ("digits.yaml", "digits_broken.yaml")
    )
    assert good["data"]["args"].pop("shuffle") is False
    assert broken["data"]["args"].pop("shuffle") is True
    for config in (good, broken):
        assert config["outputs"]["directory"].endswith(f"/{config.pop('name')}")
        del config["outputs"]
    assert good == broken


@pytest.mark.slow
def test_the_demo_ends_with_a_pass_and_a_fail_and_prepares_once(tmp_path: Path) -> None:
    for folder in ("examples", "configs"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("work", "__pycache__"))
    process = run_python("examples/digits/demo.py", cwd=tmp_path)
    assert process.returncode == 0, process.stdout + process.stderr
    assert "ok  PASS, exit code 0" in process.stdout
    assert "ok  FAIL, exit code 1" in process.stdout
    assert "Traceback" not in process.stdout + process.stderr
    again = run_python("-m", "examples.digits.prepare", cwd=tmp_path)
    assert again.stdout.startswith("digits: already there")


TENS, SEVENS = [*range(10)], [*range(7)]
WRAPPED, AHEAD, NOT_AT_START = "stream wrapped", "hazard: the source is ahead", "iterator not at its start"
CUT = {"n_predictions": 10, "padding": 4}
FOUR_OVER = {"duplicate": 4, "n_predictions": 14}

# Experiment → Keras 3, tf_keras → for each call the rows, the verdict, a part of what is said, and some of the counts.
# Written down from what is known of Keras and from the rules of order, not from the example.
Calls = list[tuple[list[int] | None, str, str, dict[str, int]]]
EXPERIMENTS: dict[str, list[Calls]] = {
    "g(7), queue 10": [[([*TENS, 0, 1, 2, 3], "FAIL", WRAPPED, FOUR_OVER)]] * 2,
    "g(7), queue 10, padding='trim'": [[(TENS, "PASS", "4 rows of padding", CUT)]] * 2,
    "g(7), queue 10, 14 labels": [[([*TENS, 0, 1, 2, 3], "PASS", "", {"n_labels": 14})]] * 2,
    "g(7), queue 1": [[], [([*TENS, 0, 1, 2, 3], "FAIL", WRAPPED, FOUR_OVER)]],
    "g(7), queue 1, padding='trim'": [[], [(TENS, "PASS", "4 rows of padding", CUT)]],
    "g(7), queue 1, 14 labels": [[], [([*TENS, 0, 1, 2, 3], "PASS", "", {"n_labels": 14})]],
    "threads inside, labels outside": [[(None, "FAIL", "inside the source", {})]] * 2,
    "threads that give x and y": [[(None, "PASS", "", {"n_labels": 10, "n_predictions": 10})]] * 2,
    # On a busy machine the thread that fills tf_keras' queue may come too late to ask for anything ahead.
    "two calls, a new g(3) each": [
        [([0, 1, 2], "PASS", AHEAD, {}), ([0, 1, 2], "PASS", "", {})],
        [([0, 1, 2], "PASS", "", {})] * 2,
    ],
    "two calls, one g(3), queue 0": [
        [([0, 1, 2], "PASS", AHEAD, {}), ([6, 7, 8], "FAIL", NOT_AT_START, {})],
        [([], "refused", "Expected max_queue_size to be positive", {})] * 2,
    ],
    "two calls, one g(3), queue 5": [
        [],
        # How far ahead the queue is filled by then, [9, 0, 1] as a rule, is up to that thread, too.
        [([0, 1, 2], "PASS", "", {}), (None, "FAIL", NOT_AT_START, {})],
    ],
    "h(7)": [[(SEVENS * 2, "FAIL", "partial batch thrown away", {"missing": 3, "duplicate": 7})]] * 2,
    "padded to batches of 4": [[(TENS, "PASS", "2 rows of padding", {"padding": 2})]] * 2,
    "padded, a prime number": [[([*range(13)], "PASS", "3 rows of padding", {"padding": 3})]] * 2,
    "predict_generator, queue 5": [[], [(TENS, "PASS", "", {})]],
    "evaluate_generator, queue 5": [[], [(TENS, "PASS", "", {})]],
    "four processes, a Sequence": [[], [(TENS, "PASS", "", {})]],
    "four processes, a generator": [[], [(None, "FAIL", "copied per worker", {})]],
}


@pytest.mark.slow
def test_every_seed_experiment_comes_out_as_known() -> None:
    process = run_python("examples/seed_experiments.py", "--json", cwd=ROOT)
    assert process.returncode == 0, process.stdout + process.stderr
    assert "Traceback" not in process.stderr, process.stderr  # forked workers have nothing to say
    lines = [json.loads(line) for line in process.stdout.splitlines()]
    seen = {(line["experiment"], line["engine"]): line["calls"] for line in lines}
    assert seen.keys() == {(name, engine) for name in EXPERIMENTS for engine in ("keras", "tf_keras")}
    for (name, engine), calls in seen.items():
        expected = EXPERIMENTS[name][engine == "tf_keras"]
        assert len(calls) == len(expected), (name, engine, calls)
        for call, (rows, verdict, said, counts) in zip(calls, expected, strict=True):
            assert rows is None or call["rows"] == rows, (name, engine, call)
            assert call["verdict"] == verdict, (name, engine, call)
            assert said in call["why"], (name, engine, call)
            assert counts.items() <= call["counts"].items(), (name, engine, call)


def test_the_table_of_experiments_shows_runs_of_samples() -> None:
    from examples.seed_experiments import spans

    assert [spans(rows) for rows in ([], [4], [0, 1, 2], [1, 0, 3, 4])] == ["-", "4", "0..2", "1 0 3..4"]
