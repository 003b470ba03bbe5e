"""Evaluate the digits model through the guard twice: once rightly, once with a shuffling loader.

It runs what a user would run, ``evalguard run``, and succeeds only if the first
verdict is PASS and the second FAIL.
"""

import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
# What TensorFlow's C++ part writes before its log level applies; all else on stderr is shown.
STARTUP_NOISE = re.compile(r"WARNING: All log messages before absl|[IWE]\d{4} ")


@dataclass(frozen=True, slots=True)
class Scene:
    """One run of a step and what it has to show.

    Attributes:
        title: What this run is about.
        config: The step, relative to the project's root.
        verdict: The verdict it must reach.
        exit_code: The exit code that goes with it.
    """

    title: str
    config: str
    verdict: str
    exit_code: int


SCENES = (
    Scene("the loader keeps the order of the label file", "configs/digits.yaml", "PASS", 0),
    Scene("the loader shuffles at each pass", "configs/digits_broken.yaml", "FAIL", 1),
)


def main() -> int:
    """Play the scenes and sum up.

    Returns:
        0 if every scene ended as it should, else 1.
    """
    if run("-m", "examples.digits.prepare") != 0:
        print("\ndemo: preparing the data failed, see above", file=sys.stderr)
        return 1
    outcomes = [play(number, scene) for number, scene in enumerate(SCENES, start=1)]
    print("\n== what was expected, what came")
    for scene, (_, line) in zip(SCENES, outcomes, strict=True):
        print(f"  {scene.config:<28} {line}")
    for scene in SCENES:
        if report_path(scene).exists():
            print(f"  report: {os.path.relpath(report_path(scene))}")
    print(f"\nTo see both verdicts in MLflow, experiment evalguard-digits:\n  {how_to_open_mlflow()}")
    return 0 if all(good for good, _ in outcomes) else 1


def play(number: int, scene: Scene) -> tuple[bool, str]:
    """Run one scene: whether it went as expected, and a line that says how it went."""
    print(f"\n== {number}. {scene.title}\n$ evalguard run {scene.config}\n")
    report_path(scene).unlink(missing_ok=True)  # an earlier demo's report proves nothing
    exit_code = run("-m", "evalguard", "run", scene.config)
    verdict = read_verdict(report_path(scene))
    good = (verdict, exit_code) == (scene.verdict, scene.exit_code)
    expected = "" if good else f", but expected {scene.verdict}, exit code {scene.exit_code}"
    return good, f"{'ok ' if good else 'BAD'} {verdict}, exit code {exit_code}{expected}"


def run(*arguments: str) -> int:
    """Run this Python at the project's root, its stdout shown as it comes; returns the exit code."""
    sys.stdout.flush()
    environment = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"} | os.environ
    process = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True, check=False
    )
    for line in process.stderr.splitlines():
        if not STARTUP_NOISE.match(line):
            print(line, file=sys.stderr)
    return process.returncode


def report_path(scene: Scene) -> Path:
    """Where the scene's step says its reports go."""
    config = ROOT / scene.config
    directory: str = yaml.safe_load(config.read_text(encoding="utf-8"))["outputs"]["directory"]
    return (config.parent / directory / "report.json").resolve()


def read_verdict(path: Path) -> str:
    """The verdict in a report, or a remark where there is none."""
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["verdict"])
    except FileNotFoundError:
        return "no report"
    except (ValueError, KeyError, TypeError):
        return "unreadable report"


def how_to_open_mlflow() -> str:
    """What to do to see the store the runs were logged to: the environment's, or the one MLflow makes here."""
    uri = os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{os.path.relpath(ROOT / 'mlflow.db')}")
    if not uri.startswith("sqlite:"):
        return "open the server that MLFLOW_TRACKING_URI names"
    command = os.path.relpath(Path(sys.executable).with_name("mlflow"))
    return f"{shlex.join([command, 'ui', '--backend-store-uri', uri])}   and open http://127.0.0.1:5000"


if __name__ == "__main__":
    sys.exit(main())
