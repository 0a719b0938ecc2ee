"""The state folder keeps small private files, and works without a disk."""

import os
import stat
from pathlib import Path

import pytest

from augment_open_proxy.state import StateFolder

posix_modes = pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")


@pytest.fixture
def blocked(tmp_path: Path) -> Path:
    """A folder that nobody can make, root included: it would be below a file."""
    (tmp_path / "file").write_text("")
    return tmp_path / "file" / "state"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_is_written_is_read_by_the_next_process(tmp_path: Path) -> None:
    StateFolder(tmp_path / "a" / "b").write("secret", b"1\r\n2\n")
    assert StateFolder(tmp_path / "a" / "b").read("secret") == b"1\r\n2\n"


def test_a_file_that_was_never_written_is_none(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path / "state")
    assert folder.read("secret") is None
    assert folder.warning is None


def test_reading_and_describing_make_no_folder(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path / "state")
    folder.read("secret")
    assert folder.describe() == str(tmp_path / "state")
    assert folder.warning is None
    assert list(tmp_path.iterdir()) == []


@posix_modes
def test_folder_and_files_are_the_owners_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        StateFolder(tmp_path / "state").write("secret", b"x")
    finally:
        os.umask(before)
    assert mode(tmp_path / "state") == 0o700
    assert mode(tmp_path / "state" / "secret") == 0o600


@posix_modes
def test_a_file_that_others_could_read_is_replaced_by_one_they_cannot(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"old")
    (tmp_path / "secret").chmod(0o644)
    StateFolder(tmp_path).write("secret", b"new")
    assert (tmp_path / "secret").read_bytes() == b"new"
    assert mode(tmp_path / "secret") == 0o600


def test_nothing_but_the_file_is_left_behind(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)
    folder.write("secret", b"1")
    folder.write("secret", b"2")
    assert list(tmp_path.iterdir()) == [tmp_path / "secret"]


def test_a_write_that_fails_leaves_no_draft_and_the_content_in_memory(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    folder = StateFolder(tmp_path)
    folder.write("secret", b"x")
    assert list(tmp_path.iterdir()) == [tmp_path / "secret"]
    assert folder.read("secret") == b"x"


def test_without_a_folder_it_works_in_memory_and_says_so(blocked: Path) -> None:
    folder = StateFolder(blocked)
    assert folder.read("secret") is None
    folder.write("secret", b"x")
    assert folder.read("secret") == b"x"
    assert folder.warning is not None
    assert str(blocked) in folder.warning
    assert "AOP_STATE_DIR" in folder.warning


def test_it_says_so_once(blocked: Path) -> None:
    folder = StateFolder(blocked)
    folder.write("one", b"x")
    first = folder.warning
    folder.write("two", b"x")
    folder.describe()
    assert folder.warning is first


def test_describing_finds_out_before_anything_is_written(blocked: Path) -> None:
    folder = StateFolder(blocked)
    assert folder.describe() == "in memory only"
    assert folder.warning is not None


def test_a_file_that_cannot_be_read_counts_as_absent_with_a_warning(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    folder = StateFolder(tmp_path)
    assert folder.read("secret") is None
    assert folder.warning is not None


def test_once_the_folder_can_be_written_the_disk_is_used_again(blocked: Path) -> None:
    folder = StateFolder(blocked)
    folder.write("secret", b"1")
    blocked.parent.unlink()
    folder.write("secret", b"2")
    assert (blocked / "secret").read_bytes() == b"2"
    assert folder.read("secret") == b"2"
