"""A tenant with `calls = "proxied"`: its dial plan decides, its calls only pass."""

from __future__ import annotations

import pytest

from pbx.directory import Directory, LiveDirectory
from pbx.objects.plan import Plan, Settings
from pbx.proxying import ProxyPlan
from pbx.tenant_state import LiveState
from pbx.tenants import ExtensionConfig, FeaturesConfig, TenantConfig, ha1_of
from voipat import App, Registrar, events, reasons
from voipat.testing import SimWorld

DOMAIN = "pass.test"


def extension(number: str) -> ExtensionConfig:
    return ExtensionConfig(number, digest=("MD5",), ha1=(("MD5", ha1_of(number, DOMAIN, f"pw-{number}", "MD5")),))


def office(calls: str = "proxied") -> tuple[App, LiveState, list[events.CallEnded]]:
    numbers = ("1001", "1002")
    tenant = TenantConfig(
        DOMAIN,
        digest=("MD5",),
        extensions={number: extension(number) for number in numbers},
        features=FeaturesConfig(echo="*43"),
        plan=Plan(settings=Settings(calls=calls)),
    )
    directory = LiveDirectory(Directory((tenant,), default_tenant=DOMAIN))
    state = LiveState()
    proxy = ProxyPlan(directory, state, lambda: 1_790_000_000.0).proxy()
    app = App(listen="udp://127.0.0.1:5060", registrar=Registrar(accounts=directory), proxy=proxy)
    ended: list[events.CallEnded] = []
    app.subscribe(lambda event: ended.append(event) if isinstance(event, events.CallEnded) else None)
    return app, state, ended


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
