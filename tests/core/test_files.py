"""A file is written whole or not at all."""

import os
import re
import stat
import threading
from pathlib import Path

import pytest

from evalguard.core.files import FOR_ALL, FOR_OWNER, whole_file, write_whole

PACKAGE = Path(__file__).resolve().parents[2] / "evalguard"
FULL = OSError(28, "No space left on device")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "report.json"
    path.write_text("old")
    return path


def test_the_old_file_is_there_until_the_new_one_is_whole(path):
    with whole_file(path) as stream:
        stream.write(b"new")
        stream.flush()
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert names(path.parent) == ["report.json"]


@pytest.mark.parametrize("error", [FULL, KeyboardInterrupt()], ids=["full-disk", "interrupt"])
def test_a_block_that_raises_leaves_the_old_file_and_no_other(path, error):
    with pytest.raises(type(error)), whole_file(path) as stream:
        stream.write(b"ne")
        raise error
    assert path.read_text() == "old"
    assert names(path.parent) == ["report.json"]


@pytest.mark.parametrize("fails", ["os.fsync", "pathlib.Path.replace"])
def test_what_fails_after_the_last_byte_leaves_the_old_file_and_no_other(path, monkeypatch, fails):
    def full(*_):
        raise FULL

    monkeypatch.setattr(fails, full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, "new")
    assert path.read_text() == "old"
    assert names(path.parent) == ["report.json"]


def test_the_content_is_on_disk_before_the_name_and_the_name_before_the_end(path, monkeypatch):
    done, fsync, replace = [], os.fsync, Path.replace

    def record_fsync(handle):
        state = os.fstat(handle)
        done.append("folder" if stat.S_ISDIR(state.st_mode) else f"{state.st_size} bytes")
        fsync(handle)

    def record_replace(temporary, target):
        done.append("name")
        return replace(temporary, target)

    monkeypatch.setattr("os.fsync", record_fsync)
    monkeypatch.setattr("pathlib.Path.replace", record_replace)
    write_whole(path, "new content")
    assert done == ["11 bytes", "name", "folder"]


def test_no_file_stays_open(path):
    def lowest_free():
        handle = os.dup(0)
        os.close(handle)
        return handle

    before = lowest_free()
    write_whole(path, "new")
    assert lowest_free() == before


def test_the_error_of_the_block_is_raised_also_where_the_temporary_file_is_gone(path):
    with pytest.raises(OSError, match="No space left"), whole_file(path):
        (temporary,) = set(path.parent.iterdir()) - {path}
        temporary.unlink()
        raise FULL


def test_a_folder_that_is_missing_is_not_made(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_whole(tmp_path / "typo" / "report.json", "new")
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("before", "given", "expected"),
    [
        pytest.param(None, None, 0o640, id="new-file-as-the-umask-says"),
        pytest.param(0o600, None, 0o600, id="mode-of-the-file-replaced"),
        pytest.param(0o644, None, 0o644, id="mode-of-the-file-replaced-whatever-the-umask"),
        pytest.param(0o644, FOR_OWNER, 0o600, id="for-the-owner"),
        pytest.param(None, FOR_ALL, 0o644, id="for-all"),
    ],
)
def test_permissions(tmp_path, before, given, expected):
    path = tmp_path / "report.json"
    if before is not None:
        path.touch()
        path.chmod(before)
    umask = os.umask(0o027)
    try:
        write_whole(path, "new", given)
    finally:
        os.umask(umask)
    assert mode_of(path) == expected


def test_what_is_for_its_owner_is_never_readable_by_others(path):
    with whole_file(path, FOR_OWNER):
        (temporary,) = set(path.parent.iterdir()) - {path}
        assert mode_of(temporary) == FOR_OWNER


def test_a_link_stays_a_link_and_its_target_is_replaced(path):
    link = path.with_name("latest.json")
    link.symlink_to(path)
    write_whole(link, "new")
    assert link.is_symlink()
    assert path.read_text() == "new"


def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path):
    pipe, found = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: found.append(pipe.read_bytes()))
    reader.start()
    write_whole(pipe, "new")
    reader.join()
    assert found == [b"new"]
    assert pipe.is_fifo()


def test_text_that_utf8_cannot_hold_is_escaped(path):
    write_whole(path, "name: \udc80")
    assert path.read_bytes() == b"name: \\udc80"


def test_nothing_else_in_the_package_writes_files():
    # What is written into a temporary folder, and read by MLflow's client only, need not be whole.
    elsewhere = {"core/files.py", "tracking/send.py"}
    writes = re.compile(r"\.write_text\(|\.write_bytes\(|mkstemp|NamedTemporaryFile|open\([^)]*[\"'][wxa]b?[\"']")
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if writes.search(path.read_text(encoding="utf-8"))
    }
    assert found == elsewhere
