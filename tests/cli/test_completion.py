"""Shells complete the command line: bash itself completes, with the printed script."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from evalguard.cli.app import SHELLS, cli

ROOT = Path(__file__).resolve().parents[2]
# What bash does at the tab key: the words of the line, the one the cursor is in, then the function.
TAB = """
source script
complete -p evalguard
compopt() { echo "files: $*" >&2; }
COMP_WORDS=(evalguard "$@") COMP_CWORD=$#
_evalguard_completion evalguard
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def tab(tmp_path):
    (tmp_path / "script").write_text(CliRunner().invoke(cli, ["--completion", "bash"]).output)
    command = tmp_path / "evalguard"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m evalguard "$@"\n')
    command.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}

    def complete(*words):
        line = ("bash", "-c", TAB, "bash", *words)
        done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
        registered, *found = done.stdout.splitlines()
        assert registered.endswith("-F _evalguard_completion evalguard")
        return {word for word in found if word}, " ".join(done.stderr.split())

    return complete


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param(["ch"], {"check"}, id="a-command"),
        pytest.param(["re"], {"report", "replay"}, id="several"),
        pytest.param(["run", "--dr"], {"--dry-run"}, id="an-option"),
        pytest.param(["check", "--require", "i"], {"identity"}, id="a-value"),
        pytest.param(["schema", "re"], {"report", "reference"}, id="an-argument"),
        pytest.param(["--completion", ""], set(SHELLS), id="shells"),
        pytest.param(["run", "--nothing"], set(), id="nothing"),
    ],
)
def test_bash_completes(tab, words, expected):
    found, said = tab(*words)
    assert (found, said) == (expected, "")


@pytest.mark.slow
def test_bash_completes_files_for_file_arguments(tab):
    assert tab("run", "st") == (set(), "files: -o default")


@pytest.mark.parametrize(("shell", "start"), [("bash", "_evalguard_completion()"), ("zsh", "#compdef evalguard")])
def test_the_script_is_printed_alone(shell, start):
    done = CliRunner().invoke(cli, ["--completion", shell])
    assert done.exit_code == 0
    assert done.output.startswith(start)


def test_another_shell_is_refused():
    done = CliRunner().invoke(cli, ["--completion", "tcsh"])
    assert done.exit_code == 2
    assert "'bash', 'zsh', 'fish'" in done.output
