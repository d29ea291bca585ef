"""Emergency calls: past every limit of trunks too, by one that seems down, and told to the people in the house."""

from __future__ import annotations

import logging

import pytest

from pbx.audit import Audit
from pbx.store.base import AuditRecord
from pbx.trunk_line import FAILURES, TrunkLine
from pbx.waiting_messages import WaitingMessages
from tests.sim.office import MemoryStore
from tests.sim.plan_office import DOMAIN, EXAMPLE, PlanOffice
from tests.sim.test_trunk_calls import invites
from tests.sim.trunk_office import TrunkOffice, trunk
from voipat import App, Call, events
from voipat.testing import PhoneCall, SimWorld

LAST = 'trunks = ["carrier"]\n\n[[tenant.times]]'


def office_with(keys: str) -> str:
    """The example with more keys of `[tenant.emergency]`."""
    assert EXAMPLE.count(LAST) == 1
    return EXAMPLE.replace(LAST, f'trunks = ["carrier"]\n{keys}\n\n[[tenant.times]]')


class Stretcher(TrunkOffice):
    """Every call is one to 112, by every trunk."""

    async def handle(self, call: Call) -> None:
        names = [config.name for config in self.configs]
        await call.bridge(await self.trunks.dial(call, names, "112", timeout=20.0, emergency=True))


def goes_out_of_service(line: TrunkLine) -> None:
    for _ in range(FAILURES):
        line.failed("silent")


def calls_for_help(office: TrunkOffice, number: int = 1001, after: float = 0.0) -> PhoneCall:
    return office.phone(number).register().dial("112", after=after)


@pytest.mark.parametrize("limit", [{"max_calls": 1}, {"cps": 1}])
def test_a_full_trunk_takes_an_emergency_call(seed: int, limit: dict[str, int]) -> None:
    with Stretcher([trunk("one", **limit)], seed=seed) as office:
        office.carriers["one"].answers(after=0.1)
        calls = [calls_for_help(office, number).hangs_up(after=5.0) for number in (1001, 1002)]
        office.world.run()
        assert all(call.was_answered for call in calls)


def test_the_limits_of_trunks_hold_for_other_calls_beside_it(seed: int) -> None:
    text = EXAMPLE.replace('host = "127.0.0.1:5090"', 'host = "127.0.0.1:5090"\nmax_calls = 1')
    with PlanOffice(text, seed=seed) as office:
        office.carrier.answers(after=0.5)
        caller, other = office.phone(1005), office.phone(1006)
        caller.dial("92025550123").hangs_up(after=20.0)
        help_ = other.dial("112", after=2.0).hangs_up(after=5.0)
        refused = other.dial("92025550123", after=12.0)
        office.run()
        assert help_.was_answered and refused.status == 503
        assert office.rung == ["+12025550123", "112"]


def test_a_trunk_with_room_comes_before_one_that_is_full_or_out_of_service(seed: int) -> None:
    names = [trunk("out", priority=1), trunk("full", priority=2, max_calls=1), trunk("free", priority=3)]
    with Stretcher(names, seed=seed) as office:
        for carrier in office.carriers.values():
            carrier.answers(after=0.1)
        out, full = office.trunks.line(DOMAIN, "out"), office.trunks.line(DOMAIN, "full")
        assert out is not None and full is not None
        office.world.loop.call_soon(goes_out_of_service, out)
        full.take()
        call = calls_for_help(office).hangs_up(after=1.0)
        office.world.run()
        full.release()
        assert call.was_answered
        assert [len(invites(office, name)) for name in ("out", "full", "free")] == [0, 0, 1]


def test_a_trunk_out_of_service_is_tried_when_there_is_no_other(seed: int) -> None:
    with Stretcher([trunk("one", options_s=30.0)], seed=seed) as office:
        office.carriers["one"].answers(after=0.1)
        line = office.trunks.line(DOMAIN, "one")
        assert line is not None
        office.world.loop.call_soon(goes_out_of_service, line)
        office.world.run(until=0.1)
        assert line.row()["state"] == "out"
        call = calls_for_help(office).hangs_up(after=1.0)
        office.world.run(until=20.0)
        assert call.was_answered


@pytest.mark.parametrize("status", [403, 404, 486, 503, 603])
def test_a_refusal_of_one_trunk_leads_to_the_next(seed: int, status: int) -> None:
    with Stretcher([trunk("one", priority=1), trunk("two", priority=2)], seed=seed) as office:
        office.carriers["one"].refuses(status)
        office.carriers["two"].answers(after=0.1)
        call = calls_for_help(office).hangs_up(after=1.0)
        office.world.run()
        assert call.was_answered and len(invites(office, "two")) == 1


def test_who_gives_up_rings_no_second_trunk(seed: int) -> None:
    with Stretcher([trunk("one", priority=1), trunk("two", priority=2)], seed=seed) as office:
        office.carriers["one"].rings()
        call = calls_for_help(office)
        office.world.run(until=3.0)
        call.hang_up()
        office.world.run()
        assert invites(office, "two") == []


class AuditRows:
    def __init__(self) -> None:
        self.rows: list[AuditRecord] = []

    def tenant(self, domain: str) -> AuditRows:
        return self

    def save_audit(self, record: AuditRecord) -> bool:
        self.rows.append(record)
        return True


class Watched(PlanOffice):
    """The office with an audit and messages to who is away."""

    def __init__(self, text: str, *, seed: int) -> None:
        self.rows = AuditRows()
        super().__init__(text, seed=seed)

    def _make_app(self, world: SimWorld) -> App:
        app = super()._make_app(world)
        clock = world.wallclock
        WaitingMessages(MemoryStore(DOMAIN), self.directory, wallclock=clock, random_bytes=bytes).attach(app)
        self.board.desk.audit = Audit(self.rows, wallclock=clock, random_bytes=bytes)
        return app


def test_the_extensions_in_notify_are_told_at_once_and_who_is_away_later(seed: int) -> None:
    with Watched(office_with('notify = ["1002", "1004"]'), seed=seed) as office:
        office.carrier.answers(after=5.0)
        reception, caller = office.phone(1002), office.phone(1003)
        call = caller.dial("9112").hangs_up(after=2.0)
        office.world.run(until=office.world.now + 2.0)
        (told,) = reception.messages
        assert told.body.decode() == "Emergency call: 1003 calls 112, 2026-01-01 01:00:00"
        assert told.from_.uri.user == "1003", "who answers the message reaches who calls for help"
        assert not call.was_answered, "nobody waits for the message"
        guard = office.phone(1004)
        office.run()
        assert call.was_answered and [each.body for each in guard.messages] == [told.body]
        (event,) = (each for each in office.told if isinstance(each, events.EmergencyCalled))
        assert (event.tenant, event.caller, event.number) == (DOMAIN, "1003", "112")
        assert [(row.actor, row.action, row.object) for row in office.rows.rows] == [
            ("1003", "emergency-called", "112")
        ]


def test_nobody_is_told_of_other_calls_and_the_call_goes_out_when_nobody_can_be_told(
    seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    with PlanOffice(office_with('notify = ["1002"]'), seed=seed) as office:
        office.carrier.answers(after=0.5)
        caller = office.phone(1003)
        caller.dial("92025550123").hangs_up(after=1.0)
        office.run()
        assert not any(isinstance(each, events.EmergencyCalled) for each in office.told)
        with caplog.at_level(logging.ERROR, "pbx.alerts"):
            call = caller.dial("112").hangs_up(after=1.0)
            office.run()
        assert call.was_answered
        assert [record.message for record in caplog.records] == ["nobody was told of an emergency call"]
