"""`-q`: one line, and nothing of what MLflow, TensorFlow or the user's code prints."""

import subprocess
import sys

import pytest

PROGRAM = """
import logging, os, sys, warnings
from evalguard.cli.silence import silenced
from evalguard.errors import ConfigError

print("before")
with silenced() as said:
    print("python")
    print("python, to stderr", file=sys.stderr)
    os.write(1, b"c\\n")
    os.write(2, b"c, to stderr\\n")
    logging.basicConfig(level="INFO")
    logging.info("a logger")
    warnings.warn("a warning")
kept = said()
logging.info("a logger, later")
assert all(word in kept for word in ("python\\n", "python, to", "c\\n", "c, to", "a logger\\n", "a warning")), kept
assert "later" in said()
print("after")
error = {"own": ConfigError("own"), "other": ValueError("other"), "none": None}[sys.argv[1]]
try:
    with silenced():
        os.write(2, b"the reason\\n")
        if error is not None:
            raise error
except (ConfigError, ValueError):
    print("caught")
"""


@pytest.mark.parametrize(
    ("raised", "out", "err"), [("none", "", ""), ("own", "caught\n", ""), ("other", "caught\n", "the reason\n")]
)
def test_nothing_is_printed_inside_and_everything_outside(raised, out, err):
    done = subprocess.run([sys.executable, "-c", PROGRAM, raised], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == (f"before\nafter\n{out}", err)


def test_a_closed_stream_is_left_closed():
    program = "import os; os.close(2); from evalguard.cli.silence import silenced\nwith silenced(): print(1)\nprint(2)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "2\n")


@pytest.mark.slow
@pytest.mark.parametrize("loader", ["digits", "broken"])
def test_quiet_is_the_verdict_line_whatever_mlflow_and_tensorflow_print(forms, tmp_path, loader):
    (tmp_path / "loading.py").write_text((forms / "loading.py").read_text() + "\nprint('loading')\n")
    for name in ("pixels.npy", "labels.npy"):
        (tmp_path / name).write_bytes((forms / name).read_bytes())
    (tmp_path / "step.yaml").write_text(
        f"version: 1\nname: quiet\nmodel: {{call: 'loading:model'}}\nlabels: {{path: labels.npy}}\n"
        f"data: {{call: 'loading:digits', args: {{broken: {str(loader == 'broken').lower()}}}}}\n"
        "outputs: {directory: out}\nmlflow: {tracking_uri: 'sqlite:///new.db'}\n"
    )
    command = [sys.executable, "-m", "evalguard", "run", "step.yaml", "-q"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    if loader == "digits":
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == "quiet: PASS: all 75 predictions match their labels (proof: identity)\n"
    else:
        assert (done.returncode, done.stdout) == (3, "")
        assert "the disk is gone" in done.stderr
