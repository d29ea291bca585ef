"""X3: many phones behind one address, one of which has a wrong password: it is banned, and nobody else notices."""

from __future__ import annotations

import pytest

from sipcore.flow import Address
from sipcore.guard import Guard
from voipat import App, Call, Registrar
from voipat.testing import SimWorld

pytestmark = pytest.mark.usefixtures("nothing_left")

NAT, GOOD, BAD = "198.51.100.1", [str(number) for number in range(1001, 1051)], "1099"


def test_one_phone_with_a_wrong_password_costs_the_others_nothing(seed: int) -> None:
    guard = Guard()
    app = App(registrar=Registrar("office.test", password_of=lambda user: f"pass-{user}"), guard=guard)

    async def ring(call: Call) -> None:
        await call.bridge(await call.dial(call.callee))

    app.on_call("sip:*@office.test")(ring)
    with SimWorld(app, seed=seed) as world:
        phones = [
            world.phone(f"sip:{user}@office.test", at=Address(NAT, 20000 + 10 * at)).register(expires=60)
            for at, user in enumerate(GOOD)
        ]
        bad = world.phone(f"sip:{BAD}@office.test", password="wrong", at=Address(NAT, 30000))
        for at, phone in enumerate(phones):
            phone._rtp_port = 40000 + 100 * at  # one host has each port once
            phone.answers(after=0.5)
        for second in range(40):
            world.at(2.0 + second, bad.register)
        calls = [
            phones[second % 50].dial(GOOD[(second + 7) % 50], after=2.5 + second).hangs_up(after=3.0)
            for second in range(0, 40, 3)
        ]
        world.run(until=45.0)
        [(source, account, left)] = guard.banned(world.now)
        assert (source, account) == (NAT, f"{BAD}@office.test") and 0.0 < left < 60.0
        refused = [
            rung for rung in world.network.ladder if rung.kind == "401 REGISTER" and rung.destination.port == 30000
        ]
        assert len(refused) == 1 + 11, "ten and what was forgiven meanwhile; then silence"
        # All of them have come again by then, and once more.
        world.run(until=100.0)
        assert all(call.was_answered for call in calls)
        bindings = [app.registrar.lookup("office.test", user) for user in GOOD] if app.registrar is not None else []
        assert (
            all(len(each) == 1 and each[0].expires_at > world.wallclock() for each in bindings) and len(bindings) == 50
        )
        for phone in [*phones, bad]:
            phone.stop_refreshing()
        world.run()
