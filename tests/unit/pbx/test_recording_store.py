"""Recordings of the PBX: in their tenant's directory, sealed, destroyed for good."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from media.errors import RecordingError, RecordingKeyError, RecordingLinkError, RecordingMissingError
from media.sealed import Format
from pbx.recording_keys import FileTenantKeys
from pbx.recording_store import SealedRecordings

FORM = Format(8000, 1)


@pytest.fixture
def store(tmp_path: Path) -> SealedRecordings:
    return SealedRecordings(tmp_path / "recordings", FileTenantKeys(tmp_path / "keys", os.urandom), os.urandom)


def test_a_recording_is_read_by_its_tenant_alone(store: SealedRecordings) -> None:
    file = store.create("office.test", "c1-1", Format(8000, 1))
    file.write(b"\1\0" * 8000)
    file.close()
    path = Path(store.place("office.test", "c1-1"))
    assert path.exists() and b"RIFF" not in path.read_bytes()
    with store.open("office.test", "c1-1") as reader:
        assert b"".join(reader.read()) == b"\1\0" * 8000
    with pytest.raises(RecordingMissingError):
        store.open("shop.test", "c1-1")


def test_what_is_destroyed_is_gone_and_stays_gone(store: SealedRecordings, tmp_path: Path) -> None:
    file = store.create("office.test", "c1-1", Format(8000, 1))
    file.close()
    path = Path(store.place("office.test", "c1-1"))
    backup = path.read_bytes()
    assert store.destroy("office.test", "c1-1") and not store.destroy("office.test", "c1-1")
    path.write_bytes(backup)
    with pytest.raises(RecordingKeyError):
        store.open("office.test", "c1-1")


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", ""])
def test_a_name_that_is_a_path_is_refused(store: SealedRecordings, name: str) -> None:
    with pytest.raises(RecordingError):
        store.create("office.test", name, Format())


def kept(store: SealedRecordings, tenant: str, name: str) -> Path:
    file = store.create(tenant, name, FORM)
    file.write(b"\1\0" * 8000)
    file.close()
    return Path(store.place(tenant, name))


def test_a_recording_that_is_a_link_is_neither_read_nor_finished_nor_written(
    store: SealedRecordings, tmp_path: Path
) -> None:
    path = kept(store, "office.test", "c1-1")
    elsewhere = tmp_path / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    before = elsewhere.read_bytes()
    for attempt in (store.open, store.finish):
        with pytest.raises(RecordingLinkError, match=r"c1-1\.sealed: a symbolic link is not followed"):
            attempt("office.test", "c1-1")
    for target in (elsewhere, tmp_path / "new"):
        other = Path(store.place("office.test", "c1-2"))
        other.symlink_to(target)
        with pytest.raises(RecordingLinkError):
            store.create("office.test", "c1-2", FORM)
        other.unlink()
    assert store.destroy("office.test", "c1-1") and not path.is_symlink()
    assert elsewhere.read_bytes() == before and not (tmp_path / "new").exists()


def test_a_tenants_folder_that_is_a_link_is_refused_and_what_it_leads_to_stays(
    store: SealedRecordings, tmp_path: Path
) -> None:
    path = kept(store, "shop.test", "c1-1")
    folder = tmp_path / "recordings" / "t-office.test"
    folder.symlink_to(path.parent)
    for attempt in (store.open, store.finish, store.destroy):
        with pytest.raises(RecordingLinkError):
            attempt("office.test", "c1-1")
    for whole in (store.names, store.has_any):
        with pytest.raises(RecordingLinkError):
            whole("office.test")
    with pytest.raises(RecordingLinkError):
        store.create("office.test", "c1-2", FORM)
    with pytest.raises(RecordingLinkError):
        store.destroy_tenant("office.test")
    folder.unlink()
    folder.symlink_to(tmp_path / "nowhere")
    with pytest.raises(RecordingLinkError):
        store.create("office.test", "c1-2", FORM)
    assert not (tmp_path / "nowhere").exists() and store.names("shop.test") == ["c1-1"]
    with store.open("shop.test", "c1-1") as reader:
        assert reader.seconds == 1.0


def test_keys_in_a_folder_that_is_a_link_are_not_touched(store: SealedRecordings, tmp_path: Path) -> None:
    kept(store, "shop.test", "c1-1")
    (tmp_path / "keys" / "t-office.test").symlink_to(tmp_path / "keys" / "t-shop.test")
    for attempt in (lambda: store.destroy("office.test", "c1-1"), lambda: store.destroy_tenant("office.test")):
        with pytest.raises(RecordingKeyError, match="symbolic link"):
            attempt()
    with pytest.raises(RecordingKeyError, match="symbolic link"):
        store.create("office.test", "c1-2", FORM)
    with store.open("shop.test", "c1-1") as reader:
        assert reader.seconds == 1.0
