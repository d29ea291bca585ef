"""Calls that pass through `voipat.Proxy`: the phones' own dialog, their own media, and a CDR of ours."""

from __future__ import annotations

import pytest

from sipcore.entropy import Entropy
from voipat import App, Proxy, ProxyRequest, Registrar, Reject, events, reasons
from voipat.proxy import Decision, to_registered
from voipat.testing import SimWorld

PASSWORDS = {"1001": "one-secret", "1002": "two-secret"}


def office(proxy: Proxy) -> tuple[App, list[events.Event]]:
    registrar = Registrar("office.test", password_of=PASSWORDS.get)
    app = App(listen="udp://127.0.0.1:5060", registrar=registrar, proxy=proxy)
    seen: list[events.Event] = []
    app.subscribe(seen.append)
    return app, seen


def ended(seen: list[events.Event]) -> list[events.CallEnded]:
    return [each for each in seen if isinstance(each, events.CallEnded)]


@pytest.mark.rfc(
    "3261",
    "10.1",
    "The only requirement is that a registrar for some domain MUST be able to read and write data to the location "
    "service, and a proxy or a redirect server for that domain MUST be capable of reading that same data.",
)
@pytest.mark.rfc("3261", "16", "When stateful, a proxy is purely a SIP transaction processing engine.")
@pytest.mark.parametrize("loss", [0.0, 0.05])
def test_a_registered_phone_is_called_through_the_proxy(loss: float) -> None:
    app, seen = office(Proxy())
    with SimWorld(app, seed=3, loss=loss) as world:
        world.phone("sip:1002@office.test").register().answers(after=1.0)
        call = world.phone("sip:1001@office.test").dial("1002", after=1.0).hangs_up(after=5.0)
        world.run()
        assert call.was_answered
        assert world.leaks() == []
    [leg] = ended(seen)
    assert (leg.caller, leg.callee, leg.disposition, leg.hangup_by) == ("1001", "1002", "answered", "caller")
    assert 4.0 < leg.billable_s < 8.0


def test_what_a_phone_proves_itself_by_goes_no_further_than_the_proxy() -> None:
    app, _ = office(Proxy())
    with SimWorld(app, seed=3) as world:
        callee = world.phone("sip:1002@office.test").register().answers(after=1.0)
        call = world.phone("sip:1001@office.test").dial("1002", after=1.0).hangs_up(after=5.0)
        world.run()
        assert call.was_answered
        ladder = world.network.ladder
        passed = [rung for rung in ladder if world.network.name_of(rung.destination) == callee.name]
        assert {"INVITE", "ACK", "BYE"} <= {rung.kind for rung in passed}
        assert any(b"Proxy-Authorization" in rung.data for rung in ladder if rung.kind == "ACK")
        assert not any(b"Proxy-Authorization" in rung.data for rung in passed)
        assert world.leaks() == []


def test_the_callee_hangs_up() -> None:
    app, seen = office(Proxy())
    with SimWorld(app, seed=3) as world:
        world.phone("sip:1002@office.test").register().answers(after=1.0, hangs_up_after=2.0)
        world.phone("sip:1001@office.test").dial("1002", after=1.0)
        world.run()
        assert world.leaks() == []
    assert [each.hangup_by for each in ended(seen)] == ["callee"]


class OneCallId:
    """The randomness of a phone that gives each of its calls the same Call-ID."""

    def __init__(self, inner: Entropy) -> None:
        self._inner = inner

    def token(self, octets: int) -> str:
        return "the-only-one" if octets == 12 else self._inner.token(octets)

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)


def test_each_call_has_its_cdr_though_the_caller_gives_all_the_same_call_id() -> None:
    app, seen = office(Proxy())
    with SimWorld(app, seed=3) as world:
        world.phone("sip:1002@office.test").register().answers(after=1.0)
        alice = world.phone("sip:1001@office.test")
        alice.entropy = OneCallId(alice.entropy)  # type: ignore[assignment]  # what it does not say itself, the other does
        alice.dial("1002", after=1.0).hangs_up(after=9.0)
        alice.dial("1002", after=3.0).hangs_up(after=3.0)
        world.run()
        assert world.leaks() == []
    assert [(each.disposition, each.hangup_by, round(each.billable_s)) for each in ended(seen)] == [
        ("answered", "caller", 3),
        ("answered", "caller", 9),
    ]


def test_nobody_registered_is_refused_with_a_reason() -> None:
    app, seen = office(Proxy())
    with SimWorld(app, seed=3) as world:
        call = world.phone("sip:1001@office.test").dial("1002")
        world.run()
        assert call.status == reasons.NOT_REGISTERED.status
        assert world.leaks() == []
    assert [each.cause.id for each in ended(seen)] == [reasons.NOT_REGISTERED.id]


def test_two_phones_of_one_user_ring_and_the_slower_one_stops() -> None:
    app, seen = office(Proxy())
    with SimWorld(app, seed=3) as world:
        fast = world.phone("sip:1002@office.test").register().answers(after=1.0)
        slow = world.phone("sip:1002@office.test").register().answers(after=9.0)
        call = world.phone("sip:1001@office.test").dial("1002", after=1.0).hangs_up(after=3.0)
        world.run()
        assert call.was_answered
        assert fast.received[0].was_answered
        assert not slow.received[0].was_answered
        assert world.leaks() == []
    assert len(ended(seen)) == 1


def test_the_caller_gives_up() -> None:
    app, seen = office(Proxy())
    with SimWorld(app, seed=3) as world:
        world.phone("sip:1002@office.test").register().answers(after=20.0)
        call = world.phone("sip:1001@office.test").dial("1002", after=1.0).cancels(after=3.0)
        world.run()
        assert not call.was_answered
        assert world.leaks() == []
    assert [(each.disposition, each.cause.sip) for each in ended(seen)] == [("failed", 487)]


def test_a_policy_sees_who_calls_whom_and_decides() -> None:
    asked: list[ProxyRequest] = []

    def policy(request: ProxyRequest) -> Decision:
        asked.append(request)
        return Reject(reasons.DECLINED) if request.callee == "1003" else to_registered(request)

    app, _ = office(Proxy(policy))
    with SimWorld(app, seed=3) as world:
        call = world.phone("sip:1001@office.test").dial("1003")
        world.run()
        assert call.status == 603
    assert [(each.method, each.tenant, each.caller, each.callee) for each in asked] == [
        ("INVITE", "office.test", "1001", "1003")
    ]


def test_a_policy_that_fails_costs_one_call_its_500() -> None:
    def policy(request: ProxyRequest) -> Decision:
        raise RuntimeError("a bug of the user's")

    app, _ = office(Proxy(policy))
    with SimWorld(app, seed=3) as world:
        call = world.phone("sip:1001@office.test").dial("1002")
        world.run()
        assert call.status == 500
        assert app.exchange.counters["handler_errors"] == 1
        assert world.leaks() == []


def test_strangers_do_not_pass() -> None:
    app, _ = office(Proxy())
    with SimWorld(app, seed=3) as world:
        world.phone("sip:1002@office.test").register()
        call = world.phone("sip:mallory@elsewhere.example").dial("sip:1002@office.test", after=1.0)
        world.run()
        assert call.status == 403


def test_a_tenant_that_is_not_served_is_bridged_as_before() -> None:
    app, _ = office(Proxy(serves=lambda domain: False))

    @app.on_call("*")
    async def handler(call: object) -> None:
        await call.bridge(await call.dial("1002"))  # type: ignore[attr-defined]

    with SimWorld(app, seed=3) as world:
        world.phone("sip:1002@office.test").register().answers(after=1.0)
        call = world.phone("sip:1001@office.test").dial("1002", after=1.0).hangs_up(after=2.0)
        world.run()
        assert call.was_answered
        assert world.leaks() == []
