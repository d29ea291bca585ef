"""SRTP as calls see it: what phones with and without keys are answered, and how the refusals read."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sipcore.sdp_security import CryptoSuite, LocalSecurity, SrtpPolicy
from voipat import App, Call, Registrar, events
from voipat.security import SrtpRules
from voipat.testing import SimWorld

KEYS = LocalSecurity(SrtpPolicy.REQUIRED, ((CryptoSuite("AES_CM_128_HMAC_SHA1_80", 30), bytes(range(30))),), sdes=True)


def make_app(told: list[events.Event], rules: SrtpRules) -> App:
    app = App(registrar=Registrar("example.com", password_of=lambda user: "secret", digest=["MD5"]), srtp=rules)
    app.subscribe(told.append)

    @app.on_call("sip:*@*", public=True)
    async def switch(call: Call) -> None:
        await call.bridge(await call.dial("sip:bob@example.com"))

    return app


def ends(told: list[events.Event]) -> list[events.CallEnded]:
    return [event for event in told if isinstance(event, events.CallEnded)]


@pytest.mark.rfc("4568", "5.1.2")
def test_keys_in_the_offer_are_answered_with_keys_and_the_end_says_so(seed: int) -> None:
    told: list[events.Event] = []
    with SimWorld(make_app(told, SrtpRules(SrtpPolicy.REQUIRED, sdes_over_plain=True)), seed=seed) as world:
        alice, bob = (world.phone(f"sip:{name}@example.com", password="secret") for name in ("alice", "bob"))
        alice.security = bob.security = KEYS
        for phone in (alice, bob):
            phone.register(refresh=False)
        world.run(until=1.0)
        bob.answers(after=0.5)
        call = alice.dial("bob").hangs_up(after=2.0)
        world.run()
        assert call.was_answered and call.audio is not None and call.audio.security is not None
        assert bob.received[0].audio is not None and bob.received[0].audio.security is not None
        assert {end.media.crypto for end in ends(told)} == {"AES_CM_128_HMAC_SHA1_80 SDES"}
        assert world.leaks() == []


def test_a_plain_offer_is_refused_where_secrecy_is_required_and_nothing_rings(seed: int) -> None:
    told: list[events.Event] = []
    with SimWorld(make_app(told, SrtpRules(SrtpPolicy.REQUIRED, sdes_over_plain=True)), seed=seed) as world:
        alice, bob = (world.phone(f"sip:{name}@example.com", password="secret") for name in ("alice", "bob"))
        for phone in (alice, bob):
            phone.register(refresh=False)
        world.run(until=1.0)
        call = alice.dial("bob")
        world.run()
        world.settle()
        assert (call.status, call.warning_ids, bob.received) == (488, ["VP-3019"], [])
        assert world.leaks() == []


def test_a_downgrade_within_the_call_is_refused_and_the_call_goes_on(seed: int) -> None:
    told: list[events.Event] = []
    with SimWorld(make_app(told, SrtpRules(sdes_over_plain=True)), seed=seed) as world:
        alice, bob = (world.phone(f"sip:{name}@example.com", password="secret") for name in ("alice", "bob"))
        alice.security = bob.security = KEYS
        for phone in (alice, bob):
            phone.register(refresh=False)
        world.run(until=1.0)
        bob.answers()
        call = alice.dial("bob")
        world.run(until=3.0)
        before = call.audio
        call._local = replace(call._local, security=None)
        call.hold()
        world.run(until=5.0)
        refused = b"".join(rung.data for rung in world.network.ladder if rung.data.startswith(b"SIP/2.0 488"))
        assert b"VP-3019" in refused
        assert (call.is_over, call.audio) == (False, before)
        call.hang_up()
        world.run()
        assert {end.media.crypto for end in ends(told)} == {"AES_CM_128_HMAC_SHA1_80 SDES"}
        assert world.leaks() == []
