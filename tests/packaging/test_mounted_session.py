"""A session file that the proxy's user may not read, as a mounted one is when its owner is another user."""

import logging
import os
from pathlib import Path

import pytest

from augment_open_proxy.core.errors import ProxyError
from augment_open_proxy.server.provision import Ready, banner
from augment_open_proxy.settings import Settings
from augment_open_proxy.upstream.credentials import CredentialSource

pytestmark = pytest.mark.skipif(os.name != "posix", reason="files have no owner by number there")


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A session file that exists and cannot be read."""
    file = tmp_path / ".augment" / "session.json"
    file.parent.mkdir()
    file.write_text('{"accessToken": "t", "tenantURL": "https://tenant.example"}')

    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    return file


def complaint(home: Path) -> str:
    with pytest.raises(ProxyError) as caught:
        CredentialSource(None, None, None, home).current()
    return caught.value.problem.message


def test_the_message_says_whose_file_it_is_and_what_to_do(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = file.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    message = complaint(tmp_path)
    assert f"{file} cannot be read: Permission denied" in message
    assert f"it belongs to user {owner} and the proxy runs as user {owner + 1}" in message
    assert f"docker run --user {owner}," in message
    assert f"AOP_UID={owner} " in message


def test_the_banner_says_the_same(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not that there is none."""
    monkeypatch.setattr(os, "geteuid", lambda: file.stat().st_uid + 1)
    source = CredentialSource(None, None, None, tmp_path)
    ready = Ready(source.describe(), "/state", "memory", source.troubles)
    shown = banner(["http://127.0.0.1:7888"], ready, Settings(), demo=False)
    assert f"{file} cannot be read: Permission denied" in shown
    assert "docker run --user" in shown


def test_a_folder_that_cannot_be_entered_gives_the_owner_away(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = file.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    stat = Path.stat

    def enter(path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        if path == file:
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(Path, "stat", enter)
    assert f"run the proxy as user {owner} " in complaint(tmp_path)


def test_to_its_owner_another_user_is_not_suggested(file: Path, tmp_path: Path) -> None:
    message = complaint(tmp_path)
    assert "Permission denied" in message
    assert "--user" not in message


def test_the_log_says_it_once(file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = CredentialSource(None, None, None, tmp_path)
    with caplog.at_level(logging.WARNING):
        assert source.describe() is None
        assert source.describe() is None
    assert [record.getMessage() for record in caplog.records] == [f"{file} cannot be read: Permission denied"]
