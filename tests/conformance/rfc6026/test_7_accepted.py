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


@pytest.mark.rfc("6026", "7.1")
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


@pytest.mark.rfc("6026", "7.2")
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


@pytest.mark.rfc("6026", "7.1")
def test_a_repeated_invite_after_the_2xx_makes_no_second_call() -> None:
    side = Side()
    side.receive(request_bytes("INVITE"))
    side.respond(side.event(RequestReceived).transaction, 200)
    side.labels()
    side.names()
    side.receive(request_bytes("INVITE"))
    assert (side.labels(), side.names()) == ([], [])


@pytest.mark.rfc("6026", "8.8")
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
