"""RFC 4320 §4: provisional responses and 408 in the non-INVITE server transaction."""

from __future__ import annotations

import pytest

from sipcore.errors import LocalProtocolError
from sipcore.events import RequestReceived
from sipcore.timers import Timers
from sipcore.transaction import Action, Transaction
from sipcore.transaction.noninvite_server import NONINVITE_SERVER
from tests.clocks import run_out
from tests.endpoints import Side, request_bytes


@pytest.mark.rfc(
    "4320",
    "4.1",
    "An SIP element MUST NOT respond to a non-INVITE request with a Status-Code of 100 over any unreliable "
    "transport, such as UDP, before the amount of time it takes a client transaction's Timer E to be reset to T2. … "
    "Without regard to transport, an SIP element MUST respond to a non-INVITE request with a Status-Code of 100 if "
    "it has not otherwise responded after the amount of time it takes a client transaction's Timer E to be reset to "
    "T2.",
)
def test_100_is_sent_when_timer_e_of_the_client_has_reached_t2() -> None:
    # "MUST respond to a non-INVITE request with a Status-Code of 100 if it has not otherwise responded after the
    # amount of time it takes a client transaction's Timer E to be reset to T2"
    assert Timers().until_trying == 3.5
    transaction = Transaction(NONINVITE_SERVER, Timers(), reliable=False)
    transaction.start(0.0)
    assert run_out(transaction) == [(3.5, Action.SEND_TRYING), (32.0, Action.REPORT_TIMEOUT)]


@pytest.mark.rfc(
    "4320",
    "4.1",
    "An SIP element MUST NOT send any provisional response with a Status-Code other than 100 to a non-INVITE request.",
)
def test_no_provisional_response_but_100_can_be_sent() -> None:
    side = Side()
    side.receive(request_bytes("OPTIONS"))
    with pytest.raises(LocalProtocolError):
        side.respond(side.event(RequestReceived).transaction, 180)


@pytest.mark.rfc(
    "4320",
    "4.2",
    "A transaction-stateful SIP element MUST NOT send a response with Status-Code of 408 to a non-INVITE request.",
)
def test_408_is_never_sent_to_a_noninvite_request() -> None:
    side = Side()
    side.receive(request_bytes("OPTIONS"))
    side.respond(side.event(RequestReceived).transaction, 408)
    side.receive(request_bytes("OPTIONS"))
    assert side.labels() == []
    assert side.leaks() == (0, 0)


@pytest.mark.rfc(
    "4320",
    "4.2",
    "A transaction-stateful SIP proxy MUST NOT send any response to a non-INVITE request unless it has a matching "
    "server transaction that is not in the Terminated state.",
)
def test_a_response_that_comes_after_64_t1_is_not_sent() -> None:
    side = Side()
    side.receive(request_bytes("OPTIONS"))
    transaction = side.event(RequestReceived).transaction
    assert side.advance(32.0) == [(3.5, "100 OPTIONS")]
    side.labels()
    assert side.respond(transaction, 200) == []
    assert side.endpoint.counters["responses_late"] == 1
    assert side.endpoint.transaction_count == 0
