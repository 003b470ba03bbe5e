"""The examples run as they are handed out, and the digits' loader says the truth about its order."""

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

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
def test_sample_indices_tell_which_images_a_batch_holds(tmp_path: Path, shuffle: bool) -> None:
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
