"""`Call.transfer`: the caller's phone is asked to call the target, or is connected by us."""

from __future__ import annotations

from typing import Literal

import pytest

from tests.unit.voipat.test_app import PASSWORD
from voipat import App, Call, Registrar, Rejected
from voipat.testing import SimWorld


def app_of(how: Literal["refer", "bridge"], refused: list[str]) -> App:
    app = App(registrar=Registrar("example.com", password_of=lambda user: PASSWORD, digest=["MD5"]))

    @app.on_call("sip:9@*")
    async def menu(call: Call) -> None:
        await call.answer()
        try:
            await call.transfer("b", how=how, timeout=20.0)
        except Rejected as rejected:
            refused.append(rejected.reason.id)

    @app.on_call("*")
    async def switch(call: Call) -> None:
        await call.bridge(await call.dial(call.to.user or ""))

    return app


@pytest.mark.rfc(
    "3515",
    "2.4.4",
    "The NOTIFY mechanism defined in [2] MUST be used to inform the agent sending the REFER of the status of the "
    "reference.",
)
@pytest.mark.parametrize(("how", "accepts"), [("refer", True), ("refer", False), ("bridge", True)])
def test_the_caller_reaches_the_target_whichever_way(how: Literal["refer", "bridge"], accepts: bool) -> None:
    """A phone that takes REFER calls itself; one that does not, and any with "bridge", is connected here."""
    with SimWorld(app_of(how, [])) as world:
        alice, bob = (world.phone(f"sip:{name}@example.com", password=PASSWORD).register() for name in ("a", "b"))
        world.run(until=1.0)
        if accepts:
            alice.accepts_refer()
        bob.answers(after=2.0)
        first = alice.dial("9")
        world.run(until=6.0)
        by_phone = how == "refer" and accepts
        assert first.is_over is by_phone and len(bob.received) == 1
        talking = alice.calls[-1] if by_phone else first
        assert talking.heard.hears(bob.tone, since=world.now - 0.5)
        assert bob.received[0].heard.hears(alice.tone, since=world.now - 0.5)
        bob.received[0].hang_up()
        world.run()
        assert world.leaks() == []


@pytest.mark.rfc(
    "3515",
    "2.4.5",
    'Each NOTIFY MUST contain a body of type "message/sipfrag". The body of a NOTIFY MUST begin with a SIP '
    "Response Status-Line.",
)
def test_a_target_that_refuses_is_told_to_the_handler() -> None:
    refused: list[str] = []
    with SimWorld(app_of("refer", refused)) as world:
        alice, bob = (world.phone(f"sip:{name}@example.com", password=PASSWORD).register() for name in ("a", "b"))
        world.run(until=1.0)
        alice.accepts_refer()
        bob.refuses(486)
        alice.dial("9")
        world.run()
        assert refused == ["VP-6008"] and world.leaks() == []
