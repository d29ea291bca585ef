"""RFC 6026 §7: the Accepted state of both INVITE transactions."""

from __future__ import annotations

import pytest

from sipcore.events import RequestReceived, ResponseReceived
from sipcore.timers import Timers
from sipcore.transaction import Action, Input, State, Transaction
from sipcore.transaction.invite_client import INVITE_CLIENT
from sipcore.transaction.invite_server import INVITE_SERVER
from tests.clocks import run_out
from tests.endpoints import Side, request_bytes


@pytest.mark.rfc(
    "6026",
    "8.5",
    "If, while in the 'Proceeding' state, the TU passes a 2xx response to the server transaction, the server "
    "transaction MUST pass this response to the transport layer for transmission.",
)
@pytest.mark.rfc(
    "6026",
    "7.1",
    "… issues a 2xx response for this transaction while the state machine is in the 'Proceeding' state, the state "
    "machine MUST transition to the 'Accepted' state and set Timer L to 64*T1, where T1 is the round-trip time "
    "estimate defined …",
)
@pytest.mark.parametrize("reliable", [False, True])
def test_the_server_absorbs_repeated_invites_after_the_2xx_until_timer_l(reliable: bool) -> None:
    transaction = Transaction(INVITE_SERVER, Timers(), reliable=reliable)
    transaction.start(0.0)
    assert transaction.step(Input.SUCCESS, 1.0) == (Action.SEND_RESPONSE,)
    assert transaction.step(Input.REQUEST, 1.5) == ()
    assert transaction.step(Input.ACK, 1.6) == (Action.PASS_UP,)
    assert (transaction.state, transaction.next_deadline()) == (State.ACCEPTED, 33.0)
    run_out(transaction)
    assert transaction.state is State.TERMINATED


@pytest.mark.rfc("6026", "8.9", "If there is a match, the response MUST be passed to that transaction.")
@pytest.mark.rfc(
    "6026",
    "6",
    "An element sending or receiving a 2xx to an INVITE transaction MUST NOT destroy any matching INVITE "
    "transaction state.",
)
@pytest.mark.rfc(
    "6026",
    "7.2",
    "If a 2xx response is received while the client INVITE state machine is in the 'Calling' or 'Proceeding' "
    "states, it MUST transition to the 'Accepted' state, pass the 2xx response to the TU, and set Timer M to 64*T1.",
)
@pytest.mark.parametrize("reliable", [False, True])
def test_2xx_retransmissions_reach_the_core_until_timer_m(reliable: bool) -> None:
    transaction = Transaction(INVITE_CLIENT, Timers(), reliable=reliable)
    transaction.start(0.0)
    assert transaction.step(Input.SUCCESS, 1.0) == (Action.PASS_UP,)
    assert transaction.step(Input.SUCCESS, 1.5) == (Action.PASS_UP,)
    assert transaction.step(Input.FAILURE, 1.6) == ()
    assert (transaction.state, transaction.next_deadline()) == (State.ACCEPTED, 33.0)
    run_out(transaction)
    assert transaction.state is State.TERMINATED


@pytest.mark.rfc(
    "6026",
    "8.7",
    'The purpose of the "Accepted" state is to absorb retransmissions of an accepted INVITE request.',
)
def test_a_repeated_invite_after_the_2xx_makes_no_second_call() -> None:
    side = Side()
    side.receive(request_bytes("INVITE"))
    side.respond(side.event(RequestReceived).transaction, 200)
    side.labels()
    side.names()
    side.receive(request_bytes("INVITE"))
    assert (side.labels(), side.names()) == ([], [])


@pytest.mark.rfc("6026", "8.2", "If none is found, the element MUST NOT forward the response.")
def test_a_stray_2xx_after_timer_m_is_dropped_and_counted() -> None:
    side = Side()
    side.send()
    success = side.peer_response(200)
    side.receive(success)
    side.ack(side.event(ResponseReceived).dialog)
    side.advance(40.0)
    side.labels()
    side.receive(success)
    assert side.labels() == []
    assert side.endpoint.counters["responses_stray"] == 1


@pytest.mark.rfc(
    "6026",
    "8.8",
    "If those should all fail, … the server transaction SHOULD inform the TU that a failure has occurred, and MUST "
    "remain in the current state.",
)
@pytest.mark.parametrize(
    ("given", "state"),
    [((Input.PROVISIONAL,), State.PROCEEDING), ((Input.FAILURE,), State.COMPLETED), ((Input.SUCCESS,), State.ACCEPTED)],
)
def test_a_server_transaction_whose_response_was_not_sent_stays_where_it_is(
    given: tuple[Input, ...], state: State
) -> None:
    transaction = Transaction(INVITE_SERVER, Timers(), reliable=False)
    transaction.start(0.0)
    for each in given:
        transaction.step(each, 1.0)
    before = transaction.next_deadline()
    assert transaction.step(Input.TRANSPORT_ERROR, 1.0) == ()
    assert (transaction.state, transaction.next_deadline()) == (state, before)
