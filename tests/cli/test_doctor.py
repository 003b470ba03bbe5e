"""``evalguard doctor`` and the distribution that provides the module: real ones in a folder on ``sys.path``."""

import functools
import shutil
import subprocess
import sys

import mlflow
import pytest

import evalguard
from evalguard.cli import doctor
from evalguard.tracking import spool
from tests.tracking.records import Store, record

MODULE_FILE = "evalguard/__init__.py"


def write(site, name, version, *files):
    """A distribution in ``site`` as pip leaves it."""
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "RECORD").write_text("".join(f"{file},,\n" for file in [*files, f"{info.name}/METADATA"]))
    for file in files:
        (site / file).parent.mkdir(exist_ok=True)
        (site / file).write_text("")


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a distribution where no other one can be seen."""
    site = tmp_path / "site-packages"
    monkeypatch.setattr(sys, "path", [str(site)])
    return functools.partial(write, site)


def test_the_own_distribution_alone_is_good(install):
    install("keras-evalguard", "0.1.0", MODULE_FILE)
    assert doctor.distribution() == doctor.DoctorFinding("distribution", good=True, text="keras-evalguard 0.1.0")


def test_a_checkout_without_an_installation_is_good_and_named(install):
    install("other", "1.0", "other/__init__.py")
    found = doctor.distribution()
    assert found.good
    folder = evalguard.__file__.removesuffix("/__init__.py")
    assert found.text == f"keras-evalguard is not installed; the module is imported from {folder}"


def test_a_foreign_distribution_beside_the_own_one_is_reported_with_the_next_step(install):
    install("keras-evalguard", "0.1.0", MODULE_FILE)
    install("evalguard", "0.1.0", MODULE_FILE)
    assert doctor.distribution() == doctor.DoctorFinding(
        "distribution",
        good=False,
        text="expected only keras-evalguard to provide the module 'evalguard', found evalguard 0.1.0 and "
        "keras-evalguard 0.1.0. Distributions with the same module overwrite each other's files: run "
        "`pip uninstall evalguard`, then `pip install .` in a checkout of evalguard",
    )


@pytest.mark.parametrize(
    ("name", "files"),
    [
        pytest.param("evalguard", [MODULE_FILE], id="same-name"),
        pytest.param("evalguard", ["_editable_impl_evalguard.pth"], id="editable"),
        pytest.param("some-fork", [MODULE_FILE], id="other-name"),
        pytest.param("some-fork", ["evalguard.py"], id="one-file-module"),
    ],
)
def test_a_foreign_distribution_alone_is_reported(install, name, files):
    install(name, "2.3", *files)
    found = doctor.distribution()
    assert not found.good
    assert f"found {name} 2.3. " in found.text
    assert f"`pip uninstall {name}`, then `pip install .`" in found.text


def test_several_foreign_distributions_are_uninstalled_at_once(install):
    install("evalguard", "0.1.0", MODULE_FILE)
    install("Some.Fork", "2.3", MODULE_FILE)
    text = doctor.distribution().text
    assert "found evalguard 0.1.0 and some-fork 2.3. " in text
    assert "`pip uninstall evalguard some-fork`" in text


def test_a_distribution_of_another_module_is_not_reported(install):
    install("keras-evalguard", "0.1.0", MODULE_FILE)
    install("evalguard-plugins", "1.0", "evalguard_plugins/__init__.py")
    assert doctor.distribution().good


@pytest.mark.parametrize("first", ["sys", "importlib_metadata"], ids=["python", "as-mlflow-loads-it"])
def test_a_distribution_without_metadata_is_passed_over(tmp_path, first):
    """As an interrupted `pip uninstall` leaves it: Python's finder gives no name, that of importlib_metadata raises."""
    site = tmp_path / "site-packages"
    write(site, "keras-evalguard", "0.1.0", MODULE_FILE)
    write(site, "evalguard", "0.1.0", MODULE_FILE)
    (site / "evalguard-0.1.0.dist-info" / "METADATA").unlink()
    # A finder cannot be removed again, so each is tried in a separate interpreter.
    program = (
        f"import sys, {first}; from evalguard.cli import doctor; sys.path[:] = sys.argv[1:]; "
        "print(doctor.distribution().text)"
    )
    command = [sys.executable, "-c", program, str(site)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "keras-evalguard 0.1.0\n", done.stderr


def test_the_command_fails_for_a_foreign_distribution(command, tmp_path, monkeypatch):
    write(tmp_path / "site", "some-fork", "7.8.9", MODULE_FILE)
    # After all others, because the doctor imports more than this.
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "site")])
    done = command("doctor")
    assert done.exit_code == 1, done.output
    assert "!! distribution: expected only keras-evalguard to provide the module 'evalguard', found" in done.output
    assert "some-fork 7.8.9" in done.output


def test_no_distribution_is_read_at_import():
    """Reading the file list of every distribution takes up to a second."""
    program = "import sys, evalguard, evalguard.cli; print('evalguard.cli.doctor' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize(
    ("names", "text", "steps"),
    [
        ([], "0 waiting, 0 refused by their server, 0 not readable as records", ""),
        (["1{}"], "1 waiting, 0 refused", "; send them: evalguard replay"),
        (["1{}.refused", "2{}.refused"], "0 waiting, 2 refused", "; send them: evalguard replay"),
        (["1{}.corrupt"], "0 refused by their server, 1 not readable as records", "; remove the files *.corrupt"),
    ],
)
def test_every_file_in_the_spool_is_counted(tmp_path, monkeypatch, names, text, steps):
    monkeypatch.setenv("EVALGUARD_SPOOL", str(tmp_path))
    for name in names:
        spool.put(record("http://x", "r")).rename(tmp_path / name.format(spool.SUFFIX))
    (found,) = (item for item in doctor.examine() if item.topic == "spool")
    assert found.good is not bool(names)
    assert text in found.text
    assert found.text.partition("; ")[1:] == steps.partition("; ")[1:]


def test_replay_and_doctor_agree_on_what_waits_before_and_after(command, tmp_path, monkeypatch, mlflow_store):
    run = Store(mlflow_store).run()
    gone = Store(mlflow_store).run()
    Store(mlflow_store).client.delete_run(gone)
    for each in (record(mlflow_store, run), record(mlflow_store, gone), record("http://127.0.0.1:9", run)):
        spool.put(each)
    (tmp_path / "spool" / f"1{spool.SUFFIX}").write_text("no record")

    def spool_of_doctor():
        (line,) = (line for line in command("doctor").stdout.splitlines() if "spool: " in line)
        return line.removeprefix("!! spool: ")

    assert spool_of_doctor().startswith(f"{tmp_path}/spool: 3 waiting, 0 refused by their server, 1 not readable as")
    done = command("replay")
    assert done.exit_code == 4
    sent, held = done.stdout.splitlines()
    assert sent == "1 sent"
    assert held == f"spool {spool_of_doctor()}"
    assert "spool: 1 waiting, 1 refused by their server, 1 not readable as records; send them: evalguard replay" in held


@pytest.mark.parametrize(
    ("store", "text"),
    [
        ("a%20b.db?timeout=9", ": answers"),
        ("{folder}/a%20b.db?timeout=9", ": answers"),
        ("absent.db?timeout=9", ": does not exist yet; the first run creates it"),
    ],
)
def test_a_store_is_found_by_its_quoted_path_and_with_options(tmp_path, monkeypatch, mlflow_template, store, text):
    shutil.copy(mlflow_template, tmp_path / "a b.db")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(mlflow, "get_tracking_uri", lambda: f"sqlite:///{store.format(folder=tmp_path)}")
    (found,) = (item for item in doctor.examine() if item.topic == "mlflow store")
    assert found.good
    assert found.text.endswith(text), found.text
    assert [path.name for path in tmp_path.iterdir()] == ["a b.db"]
