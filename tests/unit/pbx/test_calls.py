"""The switchboard: the contract's outcomes, limits, and a reload under a call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pbx.admission import Admission
from pbx.calls import Switchboard
from pbx.directory import Directory, LiveDirectory
from pbx.objects.features import FeaturesConfig
from pbx.tenants import ExtensionConfig, TenantConfig, ha1_of
from voipat import App, Registrar, events
from voipat.testing import Phone, SimWorld

DOMAIN = "office.test"


def tenant(max_calls: int | None = None, *, count: int = 3) -> TenantConfig:
    numbers = [str(1001 + index) for index in range(count)]
    extensions = {
        number: ExtensionConfig(
            number,
            digest=("MD5",),
            max_calls=max_calls,
            ring_s=10.0,
            ha1=(("MD5", ha1_of(number, DOMAIN, "pw", "MD5")),),
        )
        for number in numbers
    }
    return TenantConfig(DOMAIN, ("MD5",), extensions, FeaturesConfig(echo="*43"))


class Office:
    def __init__(self, world: SimWorld, live: LiveDirectory, board: Switchboard, told: list[events.Event]) -> None:
        self.world = world
        self.live = live
        self.board = board
        self.told = told

    def phone(self, number: str, host: str = DOMAIN) -> Phone:
        phone = self.world.phone(f"sip:{number}@{host}", password="pw").register(refresh=False)
        self.world.run(until=self.world.now + 0.2)
        return phone

    @property
    def first_legs(self) -> list[tuple[str, int, str]]:
        ends = [event for event in self.told if isinstance(event, events.CallEnded) and event.leg == "a"]
        return [(end.disposition, end.cause.sip, end.cause.id) for end in ends]


@contextmanager
def office(max_calls: int | None = None, *, server_limit: int = 0) -> Iterator[Office]:
    live = LiveDirectory(Directory([tenant(max_calls)], default_tenant=DOMAIN))
    app = App(registrar=Registrar(accounts=live))
    board = Switchboard(live, Admission(server_limit))
    board.attach(app)
    told: list[events.Event] = []
    app.subscribe(told.append)
    with SimWorld(app) as world:
        yield Office(world, live, board, told)
        assert world.leaks() == [] and board.admission.calls == 0


@pytest.mark.parametrize(
    ("manners", "outcome"),
    [
        ("answers", ("answered", 200, "VP-4001")),
        ("refuses", ("busy", 486, "VP-3004")),
        ("rings", ("no_answer", 480, "VP-3003")),
        ("", ("failed", 480, "VP-3002")),
    ],
)
def test_the_outcomes_of_the_contract(manners: str, outcome: tuple[str, int, str]) -> None:
    with office() as o:
        caller = o.phone("1001")
        if manners:
            getattr(o.phone("1002"), manners)()
        call = caller.dial("1002")
        if manners == "answers":
            call.hangs_up(after=3.0)
        o.world.run()
        assert o.first_legs == [outcome]
        assert call.responses[-1].status == outcome[1] or manners == "answers"


def test_an_unknown_number_is_404_and_a_caller_who_gives_up_487() -> None:
    with office() as o:
        caller = o.phone("1001")
        o.phone("1002").rings()
        caller.dial("1999")
        caller.dial("1002", after=1.0).cancels(after=2.0)
        o.world.run()
        assert o.first_legs == [("failed", 404, "VP-3001"), ("cancelled", 487, "VP-4003")]


def test_who_never_authenticated_leaves_no_cdr() -> None:
    with office() as o:
        call = o.world.phone("sip:1001@office.test", password="wrong").dial("1002")
        o.world.run()
        assert call.status == 401 and o.first_legs == []
        assert [event.reason for event in o.told if isinstance(event, events.RequestRefused)] == ["VP-1002"]


def test_a_phone_set_up_with_the_servers_address_belongs_to_the_default_tenant() -> None:
    with office() as o:
        caller = o.phone("1001", host="127.0.0.1")
        o.phone("1002").answers()
        call = caller.dial("1002").hangs_up(after=2.0)
        o.world.run()
        assert call.was_answered and o.first_legs == [("answered", 200, "VP-4001")]


def test_the_echo_code_echoes_at_once() -> None:
    with office() as o:
        caller = o.phone("1001")
        call = caller.dial("*43").hangs_up(after=2.0)
        o.world.run()
        assert call.heard.tone() == caller.tone


@pytest.mark.parametrize(("limits", "status", "reason"), [((1, 0), 503, "VP-2003"), ((None, 1), 503, "VP-2002")])
def test_a_call_too_many_is_refused(limits: tuple[int | None, int], status: int, reason: str) -> None:
    with office(limits[0], server_limit=limits[1]) as o:
        caller = o.phone("1001")
        caller.dial("*43").hangs_up(after=5.0)
        second = caller.dial("*43", after=1.0)
        o.world.run()
        assert (second.status, second.warning_ids) == (status, [reason])


def test_an_extension_at_its_limit_is_busy() -> None:
    with office(1) as o:
        first, other = o.phone("1001"), o.phone("1003")
        o.phone("1002").answers()
        first.dial("1002").hangs_up(after=5.0)
        second = other.dial("1002", after=2.0)
        o.world.run()
        assert (second.status, second.warning_ids) == (486, ["VP-2004"])
        assert o.first_legs[0] == ("busy", 486, "VP-2004")


def test_a_reload_changes_nothing_for_a_call_under_way() -> None:
    with office() as o:
        caller = o.phone("1001")
        o.phone("1002").answers(after=1.0)
        call = caller.dial("1002").hangs_up(after=5.0)
        o.world.run(until=o.world.now + 0.5)
        o.live.swap(Directory([tenant(count=1)], default_tenant=DOMAIN))
        later = caller.dial("1002", after=3.0)
        o.world.run()
        assert call.was_answered and later.status == 404
