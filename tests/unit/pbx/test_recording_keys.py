"""Keys of recordings: made once, bound to their tenant, gone when they are destroyed."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from media.errors import RecordingKeyError
from media.sealed import Format, SealedReader, SealedWriter
from pbx.errors import SecretError
from pbx.recording_keys import FileTenantKeys


def keys(path: Path) -> FileTenantKeys:
    return FileTenantKeys(path / "keys", os.urandom)


def test_a_key_is_found_again_after_a_restart(tmp_path: Path) -> None:
    made = keys(tmp_path).make("office.test", "abc")
    assert len(made) == 32 and keys(tmp_path).find("office.test", "abc") == made
    assert made not in b"".join(path.read_bytes() for path in tmp_path.rglob("*.key"))


def test_every_file_is_for_our_user_alone(tmp_path: Path) -> None:
    keys(tmp_path).make("office.test", "abc")
    modes = {path.stat().st_mode & 0o077 for path in (tmp_path / "keys").rglob("*")}
    assert modes == {0}
    (tmp_path / "keys" / "t-office.test" / "abc.key").chmod(0o640)
    with pytest.raises(RecordingKeyError, match="chmod 600"):
        keys(tmp_path).find("office.test", "abc")
    (tmp_path / "keys" / "master.key").chmod(0o644)
    with pytest.raises(SecretError, match="chmod 600"):
        keys(tmp_path)


def test_a_key_does_not_fit_another_tenant_or_recording(tmp_path: Path) -> None:
    one = keys(tmp_path)
    one.make("office.test", "abc")
    one.make("shop.test", "abc")
    folder = tmp_path / "keys"
    (folder / "t-shop.test" / "abc.key").write_bytes((folder / "t-office.test" / "abc.key").read_bytes())
    with pytest.raises(RecordingKeyError):
        one.find("shop.test", "abc")
    with pytest.raises(RecordingKeyError, match="this name"):
        one.make("office.test", "abc")


@pytest.mark.parametrize(("tenant", "name"), [("a.test", "../x"), ("a.test", ""), ("", "x"), ("a.test", "a/b")])
def test_a_name_that_is_a_path_is_refused(tmp_path: Path, tenant: str, name: str) -> None:
    with pytest.raises(RecordingKeyError):
        keys(tmp_path).make(tenant, name)


def test_a_tenant_named_like_a_path_stays_in_the_directory(tmp_path: Path) -> None:
    keys(tmp_path).make("../../x", "a")
    assert [path.name for path in tmp_path.iterdir()] == ["keys"]


def test_who_destroys_the_key_has_destroyed_the_recording_in_every_copy(tmp_path: Path) -> None:
    one, path = keys(tmp_path), tmp_path / "r"
    for name in ("a", "b"):
        form = Format(8000, 1)
        writer = SealedWriter(
            tmp_path / name, one, tenant="office.test", object_id=name, form=form, random_bytes=os.urandom
        )
        writer.write(bytes(1600))
        writer.close()
    path.write_bytes((tmp_path / "a").read_bytes())  # a backup
    assert one.destroy("office.test", "a") and not one.destroy("office.test", "a")
    for copy in (path, tmp_path / "a"):
        with pytest.raises(RecordingKeyError):
            SealedReader(copy, one)
    SealedReader(tmp_path / "b", one).close()
    assert one.destroy_tenant("office.test") == 1
    with pytest.raises(RecordingKeyError):
        SealedReader(tmp_path / "b", one)
    assert one.destroy_tenant("office.test") == 0


def test_a_key_that_a_full_disk_cut_short_is_not_in_the_way_of_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = keys(tmp_path)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            one.make("office.test", "abc")
    assert one.make("office.test", "abc") == one.find("office.test", "abc")
    assert one.destroy_tenant("office.test") == 1
    assert not list((tmp_path / "keys").glob("t-*"))
