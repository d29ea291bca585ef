"""Behind a 1:1 NAT a listener tells its peers another address: Via, Contact and SDP, and Record-Route of the proxy."""

from __future__ import annotations

import pytest

from sipcore.message import Request
from sipcore.parser import parse_message
from voipat import App, Call, Proxy, Registrar
from voipat.testing import SimWorld

pytestmark = pytest.mark.usefixtures("nothing_left")

PUBLIC = "203.0.113.7"
LISTEN = ("udp://127.0.0.1:5060", "udp://10.9.9.9:5060")


@pytest.mark.parametrize("is_proxy", [False, True])
def test_a_callee_is_told_the_address_of_the_listener_that_it_is_reached_by(is_proxy: bool, seed: int) -> None:
    app = App(
        listen=LISTEN,
        registrar=Registrar("office.test", password_of={"1001": "one", "1002": "two"}.get),
        proxy=Proxy() if is_proxy else None,
        advertised_on={"127.0.0.1": PUBLIC, "10.9.9.9": "203.0.113.9"},
    )

    async def ring(call: Call) -> None:
        await call.bridge(await call.dial(call.callee))

    app.on_call("sip:*@office.test")(ring)
    with SimWorld(app, seed=seed) as world:
        alice, bob = (world.phone(f"sip:{name}@office.test").register() for name in (1001, 1002))
        world.run(until=1.0)
        bob.answers(after=0.5)
        call = alice.dial("1002").hangs_up(after=0.5)
        world.run(until=4.0)
        invite = next(
            message
            for rung in world.network.ladder
            if rung.kind == "INVITE" and rung.destination == bob.address
            for message in [parse_message(rung.data)]
        )
        assert isinstance(invite, Request) and call.was_answered
        assert str(invite.via.sent_by) == f"{PUBLIC}:5060"
        if is_proxy:
            assert all(PUBLIC in route for route in invite.headers.get_all("Record-Route"))
            assert invite.headers.get_all("Record-Route")
        else:
            assert invite.contact is not None and invite.contact.uri.host == PUBLIC
            assert f"c=IN IP4 {PUBLIC}".encode() in invite.body
