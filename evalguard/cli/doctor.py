"""``evalguard doctor``: what is installed, what the spool holds, and which known defects of these versions apply."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import evalguard
from evalguard import __version__
from evalguard.tracking import spool
from evalguard.tracking.client import redacted_uri
from evalguard.tracking.could_record import ABSENT, is_absent, not_answering
from evalguard.tracking.target import absolute

# The name `evalguard` on the package index belongs to another project, which provides a module of the same name.
MODULE, DISTRIBUTION = "evalguard", "keras-evalguard"
LISTED = rf"(?m)^{MODULE}(?:/|\.py,|\s*$)"


@dataclass(frozen=True, slots=True)
class DoctorFinding:
    """One line of the output.

    Attributes:
        topic: What was checked.
        good: Whether nothing needs attention.
        text: What was found.
    """

    topic: str
    good: bool
    text: str


def examine() -> Iterator[DoctorFinding]:
    """Check everything and yield the findings; nothing is changed."""
    yield DoctorFinding(
        "python", good=sys.version_info >= (3, 11), text=f"{platform.python_version()}, {sys.executable}"
    )
    yield DoctorFinding("evalguard", good=True, text=__version__)
    yield distribution()
    checked = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    for name in checked["needed"]:
        version = _version(name)
        yield DoctorFinding(name, good=version is not None, text=version or "not installed; evalguard needs it")
    for name in checked["optional"]:
        yield DoctorFinding(name, good=True, text=_version(name) or "not installed")
    yield _backend()
    yield _spool()
    yield _store()
    for defect in checked["defects"]:
        version = _version(defect["package"])
        if version is not None and version.startswith(tuple(defect["versions"])):
            yield DoctorFinding(f"known: {defect['package']} {version}", good=True, text=defect["what"])


def distribution() -> DoctorFinding:
    """The distribution that provides the module; any but `keras-evalguard` is another project or an old checkout.

    It reads the file list of every installed distribution. That takes up to a second, so it is not done at import.
    """
    foreign = _providers()
    version = foreign.pop(DISTRIBUTION, None)
    own = [f"{DISTRIBUTION} {version}"] if version else []
    if not foreign:
        folder = Path(evalguard.__file__).parent
        text = own[0] if own else f"{DISTRIBUTION} is not installed; the module is imported from {folder}"
        return DoctorFinding("distribution", good=True, text=text)
    found = " and ".join([*(f"{name} {version}" for name, version in foreign.items()), *own])
    text = (
        f"expected only {DISTRIBUTION} to provide the module {MODULE!r}, found {found}. Distributions with the same "
        f"module overwrite each other's files: run `pip uninstall {' '.join(foreign)}`, then `pip install .` in a "
        "checkout of evalguard"
    )
    return DoctorFinding("distribution", good=False, text=text)


def _providers() -> dict[str, str]:
    """Name and version of each distribution that provides the module; the first on ``sys.path`` counts."""
    found: dict[str, str] = {}
    # Not `packages_distributions`. After MLflow has loaded importlib_metadata, whose finder replaces Python's own, it
    # raises if one distribution has no metadata, as after an interrupted uninstall.
    for item in importlib.metadata.distributions():
        try:
            name, version = item.metadata["Name"], item.version
        except (KeyError, OSError):
            continue
        name = re.sub(r"[-_.]+", "-", name or "").lower()
        # An editable install lists a .pth file and no module, so only its name can be compared.
        if name in (MODULE, DISTRIBUTION) or (name and _lists_the_module(item)):
            found.setdefault(name, version)
    return dict(sorted(found.items()))


def _lists_the_module(item: importlib.metadata.Distribution) -> bool:
    return any(re.search(LISTED, item.read_text(file) or "") for file in ("top_level.txt", "RECORD"))


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _backend() -> DoctorFinding:
    try:
        import keras

        backend = keras.config.backend()
    except Exception as error:  # noqa: BLE001 - any error of an installation is reported
        return DoctorFinding("engine", good=False, text=f"Keras cannot be imported: {type(error).__name__}: {error}")
    good = backend == "tensorflow"
    return DoctorFinding(
        "engine", good=good, text=f"Keras on {backend}" + ("" if good else "; rows are observed on tensorflow only")
    )


def _spool() -> DoctorFinding:
    try:
        found = spool.counted()
    except OSError as error:
        return DoctorFinding("spool", good=False, text=f"{spool.spool_directory()} cannot be read: {error}")
    return DoctorFinding("spool", good=found.empty, text=str(found))


def _store() -> DoctorFinding:
    import mlflow

    uri = absolute(mlflow.get_tracking_uri())
    why = not_answering(uri)
    text = why or f"{redacted_uri(uri)}: {ABSENT if is_absent(uri) else 'answers'}"
    return DoctorFinding("mlflow store", good=not why, text=text)
