"""RFC 5923 §8.3: what waits on a connection that is closed is given up at once, on either side of it."""

from __future__ import annotations

import pytest

from sipcore.events import RequestFailed, RequestReceived
from tests.endpoints import Side, request_bytes


@pytest.mark.rfc(
    "5923",
    "8.3",
    "Before closing a TLS connection, the initiator of the closure MUST either wait for any outstanding SIP "
    "transactions to complete, or explicitly abandon them.",
)
def test_transactions_of_a_connection_that_closes_are_abandoned() -> None:
    side = Side(transport="TLS")
    ours = side.send("OPTIONS")
    side.receive(request_bytes("OPTIONS").replace(b"SIP/2.0/UDP", b"SIP/2.0/TLS"))
    theirs = side.event(RequestReceived).transaction
    side.take(side.endpoint.flow_lost(side.flow, side.now))
    assert side.event(RequestFailed).transaction == ours
    sent = len(side.sent)
    side.respond(theirs, 200)
    assert all(each.flow != side.flow for each in side.sent[sent:])
    side.advance(side.now + 60.0)
    assert side.leaks() == (0, 0)
