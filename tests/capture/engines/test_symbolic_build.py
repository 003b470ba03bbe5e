"""What Keras builds a model from under a strategy is the caller's own batch: nothing of ours rides in it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parent / "builds.py"


@pytest.fixture(scope="module", params=["one-keras", "mirrored-keras", "mirrored-tf_keras"])
def told(request):
    command = [sys.executable, "-W", "ignore", str(PROGRAM), *request.param.split("-")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == 2 * 6
    return lines


def test_a_model_is_built_from_the_same_batch_as_bare(told):
    for line in told:
        assert line["guarded"]["forms"] == line["bare"]["forms"], line
        assert line["guarded"]["left"] == line["bare"]["left"] == [], line
        assert not line["patched"], line


def test_the_metrics_of_a_model_that_is_not_built_are_the_same_and_judged(told):
    for line in told:
        assert line["guarded"]["figures"] == line["bare"]["figures"], line
        whole = line["source"] not in {"tf.data, one step", "generator"}
        assert (line["verdict"], line["proof"]) == ("PASS" if whole else "FAIL", "identity"), line
