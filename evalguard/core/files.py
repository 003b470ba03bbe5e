"""Files written whole: a reader sees the old file or the new one, never a part of it.

It is in `core`, as `data` (tables) and `reporting` (reports) both write files and
do not import each other.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

# Mode of a report: others may read it, whatever the umask of the evaluating process.
FOR_ALL = 0o644
# Mode of files that name samples and wait to be sent.
FOR_OWNER = 0o600


@contextlib.contextmanager
def whole_file(path: Path, mode: int | None = None) -> Iterator[BinaryIO]:
    """Open a file that replaces ``path`` at the end of the block; if the block raises, ``path`` stays as it was.

    Links are followed. A pipe or a device such as ``/dev/stdout`` cannot be
    replaced, so it is written to directly.

    Args:
        path: Its folder must exist.
        mode: Permissions; None for those of the replaced file, or those of the
            umask if the file is new.

    Raises:
        OSError: The file could not be written.
    """
    # Checked before links are followed: /dev/stdout leads to a name that no file has.
    if path.exists() and not path.is_file():
        with path.open("wb") as stream:
            yield stream
        return
    path = path.resolve()
    if mode is None and path.exists():
        mode = stat.S_IMODE(path.stat().st_mode)
    # Not tempfile.mkstemp, which ignores the umask. In the same folder, as a rename must not cross file systems.
    temporary = path.with_name(f".{path.name}.{os.urandom(8).hex()[:8]}")
    try:
        # "x": never write into a file or link that somebody else created there.
        with open(temporary, "xb", opener=_private if mode is not None else None) as stream:
            yield stream
            stream.flush()
            # Before the rename: otherwise a power cut may leave the new name without content.
            os.fsync(stream.fileno())
        if mode is not None:
            temporary.chmod(mode)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync(path.parent)


def write_whole(path: Path, content: str | bytes, mode: int | None = None) -> None:
    """Write a file completely or not at all; see ``whole_file``.

    Raises:
        OSError: The file could not be written.
    """
    with whole_file(path, mode) as stream:
        stream.write(as_bytes(content))


def as_bytes(content: str | bytes) -> bytes:
    """Text as UTF-8; lone surrogates, as in file names of another encoding, are escaped."""
    return content if isinstance(content, bytes) else content.encode("utf-8", "backslashreplace")


def _private(name: str, flags: int) -> int:
    return os.open(name, flags, FOR_OWNER)


def _sync(folder: Path) -> None:
    """Make the rename itself survive a power cut, on systems that can open a folder."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
