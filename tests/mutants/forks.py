"""Each mutant in a process of its tests: forked after the slow imports, so that it costs little more than the tests."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import importlib
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from tempfile import TemporaryDirectory
from types import CodeType

from tests.mutants import operators

# Before a framework is imported, as in tests/conftest.py.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

# Rooms whose modules are changed, and what their tests import; `core` first, as it has to do without the frameworks.
ROOMS = {
    "evalguard/core": ("numpy", "pytest", "hypothesis.extra.numpy", "xxhash", "click.testing", "http.server"),
    "evalguard/capture/recording": ("tensorflow", "keras", "tf_keras"),
}
UNUSED = [f"-pno:{plugin}" for plugin in ("cacheprovider", "xdist", "anyio", "pytest_cov")]
# Hypothesis is imported before pytest could rewrite its asserts.
PYTEST = (
    "-x",
    "-q",
    "--no-header",
    *UNUSED,
    "-Wignore::pytest.PytestAssertRewriteWarning",
    "--hypothesis-profile=quick",
)
# A changed loop may allocate without end.
MAX_MEMORY = 6 << 30


@dataclass(frozen=True)
class Module:
    """A module that is changed.

    Attributes:
        root: The checkout.
        file: ``evalguard/core/checks.py``.
    """

    root: Path
    file: str

    @property
    def name(self) -> str:
        """``evalguard.core.checks``."""
        return self.file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def source(self) -> bytes:
        """As it is written."""
        return (self.root / self.file).read_bytes()

    @property
    def tests(self) -> list[Path]:
        """The test file of the same place (``tests/test_layout.py``); a package without one has those of its folder."""
        place = self.root / "tests" / "/".join(self.name.split(".")[1:])
        mirror = place.with_name(f"test_{place.name}.py")
        return [mirror] if mirror.is_file() else sorted(place.glob("test_*.py"))

    @property
    def version(self) -> str:
        """A digest of what results depend on, except for what the module and its tests import."""
        files = [self.root / self.file, *self.tests, Path(operators.__file__)]
        return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


def modules(root: Path, parts: list[str]) -> list[Module]:
    """The modules whose path contains one of ``parts``, or all."""
    files = [file.relative_to(root).as_posix() for room in ROOMS for file in sorted((root / room).rglob("*.py"))]
    return [Module(root, file) for file in files if not parts or any(part in file for part in parts)]


def prepare(module: Module) -> None:
    """Import what is slow, for all processes to come; nothing of evalguard, as it would be imported unchanged."""
    for room, names in ROOMS.items():
        for name in names:
            importlib.import_module(name)
        if module.file.startswith(room):
            break
    from hypothesis import Phase, settings

    # That an example fails is enough; a smaller one would take longer than all other tests.
    settings.register_profile("quick", deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate])
    # What exists now is not visited by the collectors of the processes, so that its memory stays shared.
    gc.collect()
    gc.freeze()


def outcomes(
    module: Module, sources: dict[str, bytes], jobs: int = 1, seconds: float = 600
) -> Iterator[tuple[str, int | None, str]]:
    """For each source of the module: its name, the exit status of its tests (None: too slow) and what they printed."""
    waiting = list(reversed(sources.items()))
    running: dict[int, tuple[str, float]] = {}
    with TemporaryDirectory() as folder:
        try:
            while waiting or running:
                while waiting and len(running) < jobs:
                    name, source = waiting.pop()
                    running[_start(module, source, folder)] = name, time.monotonic() + seconds
                time.sleep(0.005)
                for pid, (name, end) in list(running.items()):
                    done, code = os.waitpid(pid, os.WNOHANG)
                    if done or time.monotonic() > end:
                        del running[pid]
                        _stop(pid, ended=bool(done))
                        told = Path(folder, f"{pid}.txt").read_text(errors="replace")
                        yield name, os.waitstatus_to_exitcode(code) if done else None, told
        finally:
            for pid in running:
                _stop(pid)


def _stop(pid: int, ended: bool = False) -> None:
    """End a process and those that its tests started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    if not ended:
        os.waitpid(pid, 0)


def _start(module: Module, source: bytes, folder: str) -> int:
    if pid := os.fork():
        os.setpgid(pid, pid)
        return pid
    status = 1
    try:
        output = os.open(f"{folder}/{os.getpid()}.txt", os.O_WRONLY | os.O_CREAT)
        for stream, file in enumerate([os.open(os.devnull, os.O_RDONLY), output, output]):
            os.dup2(file, stream)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_DATA, (MAX_MEMORY, MAX_MEMORY))
        os.chdir(module.root)
        sys.path.insert(0, str(module.root))
        sys.meta_path.insert(0, _Changed(module, source))
        pytest = importlib.import_module("pytest")
        status = int(pytest.main([*PYTEST, f"--basetemp={folder}/{os.getpid()}", *map(str, module.tests)]))
    except BaseException:  # noqa: BLE001 - whatever it is, the tests have not passed
        traceback.print_exc()
    finally:
        os._exit(status)


class _Changed(SourceFileLoader):
    """Finds and loads one module, with other source."""

    def __init__(self, module: Module, source: bytes) -> None:
        super().__init__(module.name, str(module.root / module.file))
        self._source = source

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> ModuleSpec | None:
        return spec_from_file_location(name, self.path, loader=self) if name == self.name else None

    def get_code(self, fullname: str) -> CodeType:
        return compile(self._source, self.path, "exec", dont_inherit=True)
