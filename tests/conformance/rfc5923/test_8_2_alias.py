"""RFC 5923 §8.2: `alias` in Via asks in vain, as a connection that came to us is not the way to its address."""

from __future__ import annotations

import pytest

from sipcore.events import RequestReceived
from sipcore.message import Request
from tests.endpoints import Side, request_bytes


@pytest.mark.rfc(
    "5923",
    "8.2",
    "If the server chooses not to honor an aliased connection, the server MUST allow the request to proceed as though "
    "the 'alias' header field parameter was not present in the topmost Via header.",
)
@pytest.mark.parametrize("transport", ["TCP", "TLS"])
def test_a_request_that_asks_for_an_alias_is_served_as_one_that_does_not(transport: str) -> None:
    side = Side(transport=transport)
    plain = request_bytes("OPTIONS").replace(b"SIP/2.0/UDP", f"SIP/2.0/{transport}".encode())
    asking = plain.replace(b";branch=", b";alias;branch=")
    assert asking != plain
    side.receive(asking)
    event = side.event(RequestReceived)
    side.respond(event.transaction, 200)
    assert side.sent[-1].flow == side.flow
    assert b";alias" in side.sent[-1].data.split(b"\r\n")[1]
    request = Request("OPTIONS", f"sip:{side.flow.remote};transport={transport.lower()}")
    side.take(side.endpoint.send(side.endpoint.new_transaction(), request, side.now))
    assert side.sent[-1].flow.connection == 0
