"""Fixtures for tests of the step and of commands: the command line in this process, and the digits it evaluates."""

import sys

import pytest
from click.testing import CliRunner


@pytest.fixture(scope="session")
def forms(tmp_path_factory):
    """The digits in every form; not to be changed."""
    from tests.step import digits

    return digits.write(tmp_path_factory.mktemp("digits"))


@pytest.fixture
def command(monkeypatch, tmp_path):
    """The command line, in this process; MLflow's store and spool belong to the test."""
    from evalguard.cli.app import cli

    monkeypatch.chdir(tmp_path)  # where MLflow puts artifacts
    monkeypatch.setenv("EVALGUARD_SPOOL", str(tmp_path / "spool"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")

    def invoke(*arguments):
        # Each test has a separate module of that name.
        sys.modules.pop("loading", None)
        return CliRunner().invoke(cli, [str(argument) for argument in arguments])

    return invoke
