"""Facts of calls become CDRs: one row per leg, one per call."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from pbx import cdr
from pbx.cdr import Cause, CdrWriter, LegAnswered, LegEnded, LegMedia, LegStarted
from pbx.store.base import CdrFilter
from pbx.store.sqlite import SqliteStore, StoreReader

BEGIN = 1_800_000_000.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore.open(tmp_path, wallclock=lambda: BEGIN)
    yield store
    store.close()


def started(
    leg_id: str, *, linked_id: str = "", tenant: str = "office.test", at: float = BEGIN, **changes: str
) -> LegStarted:
    return LegStarted(
        id=leg_id,
        linked_id=linked_id or leg_id,
        tenant=tenant,
        leg="b" if linked_id else "a",
        direction=changes.get("direction", "internal"),
        caller=changes.get("caller", "1001"),
        callee=changes.get("callee", "1002"),
        call_id=changes.get("call_id", f"{leg_id}@host"),
        started=at,
    )


def found(store: SqliteStore, **wanted: object) -> list[cdr.Cdr]:
    assert store.flush()
    return cdr.calls(store, CdrFilter(**wanted))  # type: ignore[arg-type]  # keywords of the filter


def test_an_answered_call_has_the_fields_of_the_contract(store: SqliteStore) -> None:
    writer = CdrWriter(store)
    writer.started(started("a1"))
    writer.started(started("b1", linked_id="a1", at=BEGIN + 1))
    writer.started(started("b2", linked_id="a1", at=BEGIN + 1))
    writer.ended(LegEnded("b2", BEGIN + 3, "cancelled", "system", Cause(487, 26, None)))
    writer.answered(LegAnswered("b1", BEGIN + 3, "PCMA"))
    writer.answered(LegAnswered("a1", BEGIN + 3.25, "PCMU"))
    writer.ended(LegEnded("b1", BEGIN + 63, "answered", "callee", Cause(200, 16), LegMedia("PCMA", 2999, 0.01, 2.5)))
    media = LegMedia("PCMU", 2990, 0.0, 1.5, mos=4.3, loss_out=0.02, jitter_out=3.0, mos_out=4.2, rtt=21.0)
    media = replace(media, crypto="AEAD_AES_128_GCM SDES", beside="video H264 812/790")
    writer.ended(LegEnded("a1", BEGIN + 63, "answered", "callee", Cause(200, 16, None), media))
    (call,) = found(store)
    assert call.row() == {
        "id": "a1",
        "linked_id": "a1",
        "tenant": "office.test",
        "direction": "internal",
        "caller": "1001",
        "callee": "1002",
        "started": "2027-01-15T08:00:00.000Z",
        "answered": "2027-01-15T08:00:03.250Z",
        "ended": "2027-01-15T08:01:03.000Z",
        "duration_s": 63.0,
        "billable_s": 59.75,
        "disposition": "answered",
        "hangup_by": "callee",
        "cause": {"sip": 200, "q850": 16, "id": None},
        "recording": None,
        "mos": 4.3,
        "a_leg": {
            "call_id": "a1@host",
            "codec": "PCMU",
            "packets": 2990,
            "loss": 0.0,
            "jitter": 1.5,
            "mos": 4.3,
            "loss_out": 0.02,
            "jitter_out": 3.0,
            "mos_out": 4.2,
            "rtt": 21.0,
            "crypto": "AEAD_AES_128_GCM SDES",
            "beside": "video H264 812/790",
        },
        "b_leg": {
            "call_id": "b1@host",
            "codec": "PCMA",
            "packets": 2999,
            "loss": 0.01,
            "jitter": 2.5,
            "mos": None,
            **dict.fromkeys(("loss_out", "jitter_out", "mos_out", "rtt", "crypto", "beside")),
        },
        "attempts": 2,
        "route": None,
    }
    assert [(leg.id, leg.a_leg is None, leg.disposition) for leg in cdr.legs(store, CdrFilter())] == [
        ("b2", True, "cancelled"),
        ("b1", True, "answered"),
        ("a1", False, "answered"),
    ]
    assert writer.open_legs == 0


def test_a_call_that_reached_nobody_has_no_b_leg(store: SqliteStore) -> None:
    writer = CdrWriter(store)
    writer.started(started("a1"))
    writer.ended(LegEnded("a1", BEGIN + 0.1, "failed", "system", Cause(404, 1, "VP-1203")))
    (call,) = found(store)
    assert (call.b_leg, call.attempts, call.answered, call.billable_s) == (None, 0, None, 0.0)
    assert call.cause == Cause(404, 1, "VP-1203")


def test_an_unanswered_call_shows_its_last_attempt(store: SqliteStore) -> None:
    writer = CdrWriter(store)
    writer.started(started("a1"))
    for place in (1, 2):
        writer.started(started(f"b{place}", linked_id="a1", at=BEGIN + place))
        writer.ended(LegEnded(f"b{place}", BEGIN + place + 0.5, "busy", "callee", Cause(486, 17)))
    writer.ended(LegEnded("a1", BEGIN + 3, "busy", "callee", Cause(486, 17, "VP-1100")))
    (call,) = found(store)
    assert call.attempts == 2
    assert call.b_leg is not None
    assert call.b_leg.call_id == "b2@host"


def test_durations_of_the_monotonic_clock_win(store: SqliteStore) -> None:
    writer = CdrWriter(store)
    writer.started(started("a1"))
    writer.answered(LegAnswered("a1", BEGIN + 1))
    writer.ended(LegEnded("a1", BEGIN - 3600, "answered", duration_s=10.0, billable_s=9.0))
    (call,) = found(store)
    assert (call.duration_s, call.billable_s) == (10.0, 9.0)


def test_a_wallclock_set_back_gives_no_negative_duration(store: SqliteStore) -> None:
    writer = CdrWriter(store)
    writer.started(started("a1"))
    writer.answered(LegAnswered("a1", BEGIN + 1))
    writer.ended(LegEnded("a1", BEGIN - 3600, "answered"))
    (call,) = found(store)
    assert (call.duration_s, call.billable_s) == (0.0, 0.0)


def test_facts_of_unknown_or_ended_legs_are_nothing(store: SqliteStore) -> None:
    writer = CdrWriter(store)
    writer.answered(LegAnswered("x", BEGIN))
    writer.ended(LegEnded("x", BEGIN, "failed"))
    writer.started(started("a1"))
    writer.ended(LegEnded("a1", BEGIN + 1, "busy"))
    writer.ended(LegEnded("a1", BEGIN + 2, "failed"))
    writer.answered(LegAnswered("a1", BEGIN + 2))
    assert [call.disposition for call in found(store)] == ["busy"]


def test_the_first_answer_counts(store: SqliteStore) -> None:
    writer = CdrWriter(store)
    writer.started(started("a1"))
    writer.answered(LegAnswered("a1", BEGIN + 1))
    writer.answered(LegAnswered("a1", BEGIN + 5))
    writer.ended(LegEnded("a1", BEGIN + 6, "answered"))
    assert [call.billable_s for call in found(store)] == [5.0]


def test_a_discarded_leg_leaves_nothing(store: SqliteStore) -> None:
    writer = CdrWriter(store)
    writer.started(started("a1"))
    assert store.flush()
    writer.discard("a1")
    assert found(store, under_way=True) == []


def test_calls_under_way_are_shown_only_when_asked_for(store: SqliteStore) -> None:
    writer = CdrWriter(store)
    writer.started(started("a1"))
    writer.answered(LegAnswered("a1", BEGIN + 1, "PCMU"))
    assert found(store) == []
    (call,) = found(store, under_way=True)
    assert (call.answered, call.ended, call.disposition) == (BEGIN + 1, None, None)


def test_filters_and_pages(store: SqliteStore) -> None:
    writer = CdrWriter(store)
    for place in range(10):
        caller = "1003" if place % 2 else "1001"
        writer.started(started(f"a{place}", at=BEGIN + place // 2, caller=caller, callee=str(2000 + place)))
        writer.ended(LegEnded(f"a{place}", BEGIN + place, "busy" if place == 4 else "failed"))
    newest_first = [f"a{place}" for place in reversed(range(10))]
    assert [call.id for call in found(store)] == newest_first
    assert [call.id for call in found(store, since=BEGIN + 1, until=BEGIN + 2)] == ["a3", "a2"]
    assert [call.id for call in found(store, caller="1003", limit=2)] == ["a9", "a7"]
    assert [call.id for call in found(store, callee="2005")] == ["a5"]
    assert [call.id for call in found(store, disposition="busy")] == ["a4"]
    walked: list[str] = []
    before = None
    while page := found(store, limit=3, before=before):
        walked += [call.id for call in page]
        before = (page[-1].started, page[-1].id)
    assert walked == newest_first


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (CdrFilter(), "cdrs_started"),
        (CdrFilter(since=BEGIN, until=BEGIN + 1), "cdrs_started"),
        (CdrFilter(before=(BEGIN, "a1"), under_way=True), "cdrs_started"),
        (CdrFilter(caller="1001", since=BEGIN), "cdrs_caller"),
        (CdrFilter(callee="1002"), "cdrs_callee"),
        (CdrFilter(disposition="busy"), "cdrs_disposition"),
    ],
)
def test_each_filter_enters_by_its_index(store: SqliteStore, wanted: CdrFilter, index: str) -> None:
    writer = CdrWriter(store)
    writer.started(started("a1"))
    writer.ended(LegEnded("a1", BEGIN + 1, "busy"))
    assert store.flush()
    plans: list[str] = []

    def explain(connection: Any, cursor: Any, statement: str, parameters: Any, *rest: object) -> None:
        if statement.startswith("SELECT"):
            (plan, *_) = connection.connection.dbapi_connection.execute("EXPLAIN QUERY PLAN " + statement, parameters)
            plans.append(plan[3])

    with StoreReader(store.directory) as reader:
        event.listen(reader.engine, "before_cursor_execute", explain)
        reader.tenant("office.test").calls(wanted)
    assert f"USING INDEX {index} (" in plans[0]
    assert all("USING INDEX cdrs_linked (" in plan for plan in plans[1:])


def test_a_tenant_sees_its_own(store: SqliteStore) -> None:
    writer = CdrWriter(store)
    for tenant, leg_id in (("office.test", "a1"), ("shop.test", "a2")):
        writer.started(started(leg_id, tenant=tenant))
        # A linked_id of another tenant's call ties nothing.
        writer.started(started(f"b-{leg_id}", linked_id="a1", tenant="shop.test"))
        writer.ended(LegEnded(f"b-{leg_id}", BEGIN + 1, "failed"))
        writer.ended(LegEnded(leg_id, BEGIN + 1, "failed"))
    assert store.flush()
    (call,) = cdr.calls(store, CdrFilter(), tenant="office.test")
    assert (call.id, call.attempts) == ("a1", 0)
    assert [call.id for call in cdr.calls(store, CdrFilter(), tenant="none.test")] == []
    assert [call.id for call in cdr.calls(store, CdrFilter())] == ["a2", "a1"]


HOSTILE = [
    "O'Reilly",
    "'; DROP TABLE cdrs; --",
    '" OR 1=1 --',
    "\x00nul\x00",
    "emoji \N{TELEPHONE RECEIVER} and \u202ertl",
    "bytes \udcff\udc80 that are no UTF-8",
    "a surrogate \ud800 alone",
    "%s :name ? ?1 {0}",
    "",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_a_stranger_sends_is_stored_as_it_came(store: SqliteStore, text: str) -> None:
    writer = CdrWriter(store)
    writer.started(started("a1", caller=text, callee=text, call_id=text))
    writer.ended(LegEnded("a1", BEGIN + 1, "failed"))
    (call,) = found(store)
    assert call.a_leg is not None
    values = (call.caller, call.callee, call.a_leg.call_id)
    for value in values:
        assert value.encode("utf-8", "surrogateescape") == text.encode(
            "utf-8", "surrogatepass" if "\ud800" in text else "surrogateescape"
        )
    assert len(found(store, caller=text)) == 1
