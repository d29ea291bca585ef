"""Recordings of the PBX: in their tenant's directory, sealed, destroyed for good."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from media.errors import RecordingError, RecordingKeyError, RecordingMissingError
from media.sealed import Format
from pbx.recording_keys import FileTenantKeys
from pbx.recording_store import SealedRecordings


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
