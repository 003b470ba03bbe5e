"""``evalguard doctor`` and the distribution that provides the module: real ones in a folder on ``sys.path``."""

import functools
import subprocess
import sys

import pytest

import evalguard
from evalguard.cli import doctor

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
