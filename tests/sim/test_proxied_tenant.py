"""A tenant with `calls = "proxied"`: its dial plan decides, its calls only pass."""

from __future__ import annotations

from typing import Any

import pytest

from pbx.admission import Admission
from pbx.calls import Switchboard
from pbx.directory import Directory, LiveDirectory
from pbx.objects.lines import Emergency, Limits, OutboundRoute
from pbx.objects.plan import Plan, Settings
from pbx.proxying import ProxyPlan
from pbx.tenant_state import LiveState
from pbx.tenants import ExtensionConfig, FeaturesConfig, TenantConfig, ha1_of
from pbx.trunk_config import TrunkConfig
from pbx.trunks import Trunks
from sipcore.entropy import SeededEntropy
from voipat import App, Registrar, events, reasons
from voipat.testing import SimWorld

DOMAIN = "pass.test"


def extension(number: str) -> ExtensionConfig:
    return ExtensionConfig(number, digest=("MD5",), ha1=(("MD5", ha1_of(number, DOMAIN, f"pw-{number}", "MD5")),))


def office(calls: str = "proxied", **limits: int) -> tuple[App, LiveState, list[events.CallEnded]]:
    app, state, ended, _, _ = limited_office(calls, **limits)
    return app, state, ended


def limited_office(
    calls: str = "proxied", *, trunks: tuple[TrunkConfig, ...] = (), **limits: int
) -> tuple[App, LiveState, list[events.CallEnded], Switchboard, Trunks]:
    """Numbers that begin with 9 go out by the trunks."""
    numbers = ("1001", "1002", "1003")
    names = tuple(trunk.name for trunk in trunks)
    tenant = TenantConfig(
        DOMAIN,
        digest=("MD5",),
        extensions={number: extension(number) for number in numbers},
        features=FeaturesConfig(echo="*43"),
        trunks=trunks,
        plan=Plan(
            settings=Settings(calls=calls, country_code="+1"),
            routes=(OutboundRoute(name="out", pattern="9X.", trunks=names, strip=1),) if names else (),
            limits=Limits(**limits),
            emergency=Emergency(numbers=("112",), trunks=names),
        ),
    )
    directory = LiveDirectory(Directory((tenant,), default_tenant=DOMAIN))
    state = LiveState()
    plan = ProxyPlan(directory, state, lambda: 1_790_000_000.0)
    app = App(listen="udp://127.0.0.1:5060", registrar=Registrar(accounts=directory), proxy=plan.proxy())
    lines = Trunks(SeededEntropy(1))
    lines.configure([tenant])
    board = Switchboard(directory, Admission(), trunks=lines, state=state)
    plan.serve(board, lines)
    ended: list[events.CallEnded] = []
    app.subscribe(lambda event: ended.append(event) if isinstance(event, events.CallEnded) else None)
    return app, state, ended, board, lines


def trunk(name: str, host: str, **keys: Any) -> TrunkConfig:
    return TrunkConfig(name, host, domain="carrier.test", options_s=0.0, **keys)


def test_a_call_between_extensions_passes_with_the_phones_own_dialog() -> None:
    app, _, ended = office()
    with SimWorld(app, seed=5) as world:
        bob = world.phone(f"sip:1002@{DOMAIN}", password="pw-1002").register().answers(after=1.0)
        alice = world.phone(f"sip:1001@{DOMAIN}", password="pw-1001")
        call = alice.dial("1002", after=1.0).hears(bob.tone).hangs_up(after=3.0)
        world.run()
        assert call.was_answered
        assert list(app.calls) == []
        assert world.leaks() == []
    assert [(each.caller, each.callee, each.disposition) for each in ended] == [("1001", "1002", "answered")]


@pytest.mark.rfc("3261", "13.2.1", "in the first reliable non-failure message")
def test_a_late_offer_passes_to_the_callee_who_makes_it() -> None:
    """Where calls only pass, the callee offers what it has; where they are bridged we do (decision 12)."""
    app, _, _ = office()
    with SimWorld(app, seed=5) as world:
        bob = world.phone(f"sip:1002@{DOMAIN}", password="pw-1002").register().answers(after=1.0)
        alice = world.phone(f"sip:1001@{DOMAIN}", password="pw-1001")
        call = alice.dial("1002", after=1.0, late_offer=True).hears(bob.tone).hangs_up(after=3.0)
        world.run()
        assert call.was_answered and not call.unmet and world.leaks() == []
        assert bob.received[0].request is not None and bob.received[0].request.body == b""


def test_the_dial_plan_decides_as_for_any_tenant() -> None:
    app, state, ended = office()
    state.tenant(DOMAIN).set("1002", "dnd", "on")
    with SimWorld(app, seed=5) as world:
        world.phone(f"sip:1002@{DOMAIN}", password="pw-1002").register().answers(after=1.0)
        alice = world.phone(f"sip:1001@{DOMAIN}", password="pw-1001")
        calls = [alice.dial(number, after=1.0 + at) for at, number in enumerate(("1002", "4711", "*43"))]
        world.run()
        assert [call.status for call in calls] == [486, 404, 501]
    assert [each.cause.id for each in ended] == [
        reasons.DO_NOT_DISTURB.id,
        reasons.UNKNOWN_NUMBER.id,
        reasons.NEEDS_BRIDGE.id,
    ]


def test_a_tenant_that_says_nothing_is_bridged() -> None:
    app, _, _ = office("bridged")
    with SimWorld(app, seed=5) as world:
        call = world.phone(f"sip:1001@{DOMAIN}", password="pw-1001").dial("1002")
        world.run()
        assert call.status == 404


def test_a_proxied_call_takes_its_place_under_the_limits_until_it_ends() -> None:
    app, _, ended, board, _ = limited_office(max_calls=1)
    with SimWorld(app, seed=5) as world:
        world.phone(f"sip:1002@{DOMAIN}", password="pw-1002").register().answers(after=1.0)
        alice = world.phone(f"sip:1001@{DOMAIN}", password="pw-1001")
        other = world.phone(f"sip:1003@{DOMAIN}", password="pw-1003")
        first = alice.dial("1002", after=1.0).hangs_up(after=3.0)
        second = other.dial("1002", after=3.0)
        third = other.dial("1002", after=8.0).cancels(after=0.5)
        fourth = other.dial("1002", after=10.0).hangs_up(after=1.0)
        world.run()
        assert (first.was_answered, second.status, third.was_answered, fourth.was_answered) == (True, 503, False, True)
        assert board.admission.calls == 0
        assert world.leaks() == []
    assert next(each.cause.id for each in ended if each.caller == "1003") == reasons.TENANT_LIMIT.id


def test_what_calls_to_the_outside_may_cost_holds_for_proxied_ones() -> None:
    app, _, ended, board, lines = limited_office(trunks=(trunk("one", "10.0.0.1"),), outside_calls_per_day=2)
    with SimWorld(app, seed=5) as world:
        world.phone("sip:carrier@carrier.test", password="").answers(after=0.5)
        alice = world.phone(f"sip:1001@{DOMAIN}", password="pw-1001")
        calls = [alice.dial("92025550123", after=1.0 + 4.0 * at).hangs_up(after=1.0) for at in range(3)]
        help_ = alice.dial("112", after=20.0).hangs_up(after=1.0)
        world.run()
        assert [call.was_answered for call in (*calls, help_)] == [True, True, False, True]
        assert (board.admission.calls, [row["calls"] for row in lines.status()]) == (0, [0])
        assert world.leaks() == []
    assert [each.cause.id for each in ended if each.disposition == "failed"] == [reasons.OUTSIDE_LIMIT.id]


def test_a_proxied_call_goes_by_a_trunk_that_is_in_service_and_has_room() -> None:
    trunks = (
        trunk("full", "10.0.0.1", priority=1, max_calls=1),
        trunk("dead", "10.0.0.9", priority=2),
        trunk("good", "10.0.0.2", priority=3),
    )
    app, _, _, _, lines = limited_office(trunks=trunks)
    with SimWorld(app, seed=5) as world:
        full = world.phone("sip:carrier@carrier.test", password="", name="full").answers(after=0.5)
        good = world.phone("sip:carrier@carrier.test", password="", name="good").answers(after=0.5)
        dead = lines.line(DOMAIN, "dead")
        assert dead is not None
        world.at(0.5, lambda: [dead.failed("no answer") for _ in range(3)])
        alice, bob = (world.phone(f"sip:{number}@{DOMAIN}", password=f"pw-{number}") for number in (1001, 1002))
        first = alice.dial("92025550123", after=1.0).hangs_up(after=9.0)
        second = bob.dial("92025550124", after=3.0).hangs_up(after=1.0)
        world.run()
        assert first.was_answered and second.was_answered
        assert (len(full.received), len(good.received)) == (1, 1)
        assert [row["calls"] for row in lines.status()] == [0, 0, 0]
        assert world.leaks() == []


@pytest.mark.parametrize("timer", [True, False])
def test_a_call_whose_two_phones_died_gives_its_place_back(timer: bool) -> None:
    app, _, ended, board, _ = limited_office(max_calls=1)
    session = (("Session-Expires", "600;refresher=uac"), ("Require", "timer")) if timer else ()
    with SimWorld(app, seed=5) as world:
        bob = world.phone(f"sip:1002@{DOMAIN}", password="pw-1002").register(refresh=False).answers(after=1.0)
        bob.on_call(lambda call: setattr(call, "answer_headers", session))
        alice = world.phone(f"sip:1001@{DOMAIN}", password="pw-1001", name="alice")
        world.talk = lambda call: 0.0
        alice.dial("1002", after=1.0).hangs_up(after=20_000.0)
        world.run(until=10.0)
        for name in ("alice", bob.name):
            world.network.cut_off(name)
        world.run(until=500.0)
        assert board.admission.calls == 1
        world.run(until=700.0)
        assert board.admission.calls == (0 if timer else 1)
        world.run(until=15_000.0)
        assert board.admission.calls == 0
        assert len(ended) == (1 if timer else 0)
    # The end of the server is the end of what it sees.
    assert [(each.cause.id, each.disposition) for each in ended] == [(reasons.END_NOT_SEEN.id, "answered")]
