"""The control socket's commands over a daemon that is a fake."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

import pytest

from pbx.cdr import CdrSource
from pbx.commands import commands_of
from pbx.control import ControlError
from pbx.errors import ConfigError
from pbx.output import Row
from pbx.route_question import Question
from pbx.store.base import BindingRecord, CdrFilter, LegRecord, TenantReader


class Legs:
    """A source of CDRs: `count` one-legged calls, the newest first."""

    domain = "office.test"

    def __init__(self, count: int) -> None:
        self.count = count

    def tenant(self, domain: str) -> TenantReader:
        return self

    def domains(self) -> Sequence[str]:
        return [self.domain]

    def load_state(self) -> list[tuple[str, str, str]]:
        return []

    def load_bindings(self) -> list[BindingRecord]:
        return []

    def calls(self, wanted: CdrFilter) -> list[list[LegRecord]]:
        return [[leg] for leg in self.legs(wanted)]

    def legs(self, wanted: CdrFilter) -> list[LegRecord]:
        newest = int(wanted.before[0]) if wanted.before else self.count + 1
        numbers = range(newest - 1, max(0, newest - 1 - wanted.limit), -1)
        return [LegRecord(str(n), str(n), "office.test", "a", "internal", "1", "2", float(n), "c") for n in numbers]


class FakeDaemon:
    def __init__(self) -> None:
        self.flushed = 0
        self.calls_up = ["c1"]

    def registrations(self, tenant: str | None) -> Iterable[Row]:
        return [{"tenant": tenant}]

    def calls(self, tenant: str | None) -> Iterable[Row]:
        return [{"id": call} for call in self.calls_up]

    def trunks(self, tenant: str | None) -> Iterable[Row]:
        return [{"trunk": "carrier", "tenant": tenant}]

    def bans(self) -> Iterable[Row]:
        return [{"source": "192.0.2.1", "account": None, "left_s": 60}]

    def lift_ban(self, source: str) -> bool:
        return source == "192.0.2.1"

    async def voicemail(self, arguments: Mapping[str, object]) -> AsyncIterator[Row]:
        yield {"action": arguments.get("action")}

    def stats(self) -> Row:
        return {"calls": len(self.calls_up)}

    def hang_up(self, call: str) -> bool:
        return call in self.calls_up

    def traces(self, tenant: str | None, *, failed: bool, limit: int) -> Iterable[Row]:
        return [{"tenant": tenant, "failed": failed, "limit": limit}]

    async def messages(self, arguments: Mapping[str, object]) -> AsyncIterator[Row]:
        yield {"asked": dict(arguments)}

    def trace(self, call: str, *, messages: bool) -> Iterable[Row] | None:
        return [{"id": call, "messages": messages}] if call in self.calls_up else None

    async def reload(self, *, check: bool) -> Row:
        if not check:
            raise ConfigError([])
        return {"applied": False}

    def route(self, question: Question) -> Iterable[Row]:
        return [{"number": question.number, "from": question.caller}]

    def drain(self) -> Row:
        return {"draining": True}

    async def ended(self) -> None:
        return None

    def flush(self) -> None:
        self.flushed += 1

    @property
    def cdrs(self) -> CdrSource:
        return Legs(2500)


def answer(command: str, **arguments: object) -> list[Row]:
    async def collect() -> list[Row]:
        return [row async for row in commands_of(FakeDaemon())[command](arguments)]

    return asyncio.run(collect())


def test_each_listing_answers_rows() -> None:
    assert answer("registrations", tenant="office.test") == [{"tenant": "office.test"}]
    assert answer("calls") == [{"id": "c1"}]
    assert answer("trunks") == [{"trunk": "carrier", "tenant": None}]
    assert answer("stats") == [{"calls": 1}]


def test_hangup_of_an_unknown_call_exits_with_3() -> None:
    assert answer("hangup", id="c1") == [{"id": "c1", "hung_up": True}]
    with pytest.raises(ControlError) as caught:
        answer("hangup", id="c2")
    assert caught.value.exit_status == 3


def test_bans_are_listed_and_lifted_and_an_unknown_source_exits_with_3() -> None:
    assert answer("bans") == [{"source": "192.0.2.1", "account": None, "left_s": 60}]
    assert answer("bans", lift="192.0.2.1") == [{"source": "192.0.2.1", "lifted": True}]
    with pytest.raises(ControlError) as refused:
        answer("bans", lift="192.0.2.2")
    assert refused.value.exit_status == 3


def test_a_refused_reload_exits_with_2() -> None:
    assert answer("reload", check=True) == [{"applied": False}]
    with pytest.raises(ControlError) as caught:
        answer("reload")
    assert caught.value.exit_status == 2


def test_drain_waits_for_the_end_when_asked() -> None:
    assert answer("drain") == [{"draining": True}]
    assert answer("drain", wait=True) == [{"draining": True}, {"ended": True}]


@pytest.mark.parametrize(("limit", "count"), [(5, 5), (1000, 1000), (1001, 1001), (10_000, 2500)])
def test_cdrs_come_in_pages_up_to_the_limit_without_a_gap(limit: int, count: int) -> None:
    rows = answer("cdr", limit=limit)
    assert [row["id"] for row in rows] == [str(2500 - n) for n in range(count)]


@pytest.mark.parametrize("arguments", [{"since": "soon"}, {"limit": True}, {"disposition": "eaten"}])
def test_a_filter_that_makes_no_sense_is_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        answer("cdr", **arguments)


def test_trace_lists_what_is_kept_or_tells_one_call() -> None:
    assert answer("trace") == [{"tenant": None, "failed": False, "limit": 100}]
    assert answer("trace", failed=True, tenant="office.test", limit=5) == [
        {"tenant": "office.test", "failed": True, "limit": 5}
    ]
    assert answer("trace", call="c1", messages=True) == [{"id": "c1", "messages": True}]
    with pytest.raises(ControlError) as caught:
        answer("trace", call="c2")
    assert caught.value.exit_status == 3
