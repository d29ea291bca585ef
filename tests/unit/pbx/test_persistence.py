"""Call events and bindings go to the store, and bindings come back from it."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pbx.cdr import CdrWriter, calls
from pbx.persistence import BindingKeeper, CdrListener, restore_bindings, stored_bindings
from pbx.store.base import BindingRecord, CdrFilter
from pbx.store.sqlite import SqliteStore
from sipcore.flow import Address, Flow
from voipat.events import CallAnswered, CallEnded, CallRinging, CallStarted, Cause, MediaFigures
from voipat.location import Binding, MemoryLocation

BEGIN = 1_800_000_000.0
FLOW = Flow("UDP", Address("127.0.0.1", 5060), Address("127.0.0.1", 5062))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore.open(tmp_path, wallclock=lambda: BEGIN)
    yield store
    store.close()


def test_the_events_of_a_leg_make_its_cdr(store: SqliteStore) -> None:
    listener = CdrListener(CdrWriter(store))
    leg = ("a1", "a1", "office.test", "a", "inbound", "1001", "1002", "c@host", BEGIN)
    listener(CallStarted(*leg))  # type: ignore[arg-type]  # the tuple's types are those of the fields
    listener(CallRinging("a1", "a1", "office.test", BEGIN + 1))
    listener(CallAnswered("a1", "a1", "office.test", BEGIN + 2, "PCMU"))
    media = MediaFigures(
        "PCMU", packets_received=500, packets_sent=499, lost=5, loss=0.01, jitter_ms=1.5, mos=4.1, loss_out=0.02
    )
    media = replace(media, jitter_out_ms=2.5, mos_out=4.0, round_trip_ms=30.0, crypto="AEAD_AES_256_GCM DTLS")
    cause = Cause(200, 16, "", "Normal call clearing")
    end = (BEGIN + 2, BEGIN + 12, 12.0, 10.0, "answered", "caller", cause, media, 1)
    listener(CallEnded(*leg, *end))  # type: ignore[arg-type]
    assert store.flush()
    (call,) = calls(store, CdrFilter())
    row = call.row()
    assert (row["disposition"], row["duration_s"], row["billable_s"], row["hangup_by"]) == (
        "answered",
        12.0,
        10.0,
        "caller",
    )
    assert row["cause"] == {"sip": 200, "q850": 16, "id": None}
    assert row["a_leg"] == {
        "call_id": "c@host",
        "codec": "PCMU",
        "packets": 500,
        "loss": 0.01,
        "jitter": 1.5,
        "mos": 4.1,
        "loss_out": 0.02,
        "jitter_out": 2.5,
        "mos_out": 4.0,
        "rtt": 30.0,
        "crypto": "AEAD_AES_256_GCM DTLS",
        "beside": None,
    }


def binding(user: str, *, expires_at: float = BEGIN + 60, user_agent: str = "phone/1") -> Binding:
    contact = f"<sip:{user}@127.0.0.1:5062>"
    return Binding("office.test", f"sip:{user}@office.test", contact, FLOW, "c1", 7, expires_at, user_agent=user_agent)


def test_bindings_come_back_as_they_were(store: SqliteStore) -> None:
    location = MemoryLocation(observer=BindingKeeper(store))
    first, second, third = binding("1001"), binding("1002", expires_at=BEGIN - 1), binding("1003", user_agent="\udcff")
    for each in (first, second, third):
        location.update(each.tenant, each.aor, [each], [])
    location.update(first.tenant, first.aor, [], [first])
    assert store.flush()
    assert list(stored_bindings(store, ["office.test", "empty.test"], BEGIN)) == [third]
    again = MemoryLocation()
    restore_bindings(again, store, ["office.test"], BEGIN)
    assert list(again) == [third]
    assert gc.isenabled()


def test_an_unreadable_row_is_left_out_and_told(store: SqliteStore, caplog: pytest.LogCaptureFixture) -> None:
    tenant = store.tenant("office.test")
    tenant.save_binding(BindingRecord("sip:1@office.test", "k", "<sip:1@x>", BEGIN + 60, {"transport": "UDP"}))
    BindingKeeper(store).binding_saved(binding("1002"))
    assert store.flush()
    with caplog.at_level(logging.ERROR):
        assert list(stored_bindings(store, ["office.test"], BEGIN)) == [binding("1002")]
    assert "cannot be read" in caplog.text
