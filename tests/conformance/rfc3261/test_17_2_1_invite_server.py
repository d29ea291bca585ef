"""RFC 3261 §17.2.1 and figure 7 as RFC 6026 changed it: the INVITE server transaction, UDP and TCP."""

from __future__ import annotations

import pytest

from sipcore.timers import Timers
from sipcore.transaction import Action, Input, State, Transaction
from sipcore.transaction.invite_server import INVITE_SERVER
from tests.clocks import run_out


def started(*, reliable: bool = False) -> Transaction:
    transaction = Transaction(INVITE_SERVER, Timers(), reliable=reliable)
    transaction.start(0.0)
    return transaction


@pytest.mark.rfc(
    "3261",
    "17.2.1",
    "The server transaction MUST generate a 100 (Trying) response unless it knows that the TU will generate a "
    "provisional or final response within 200 ms, in which case it MAY generate a 100 (Trying) response.",
)
@pytest.mark.parametrize("reliable", [False, True])
def test_100_is_sent_when_the_user_says_nothing_within_200_ms(reliable: bool) -> None:
    transaction = started(reliable=reliable)
    assert run_out(transaction, 60.0) == [(0.2, Action.SEND_TRYING)]
    assert transaction.state is State.PROCEEDING


@pytest.mark.rfc(
    "3261",
    "17.2.1",
    "The server transaction MUST generate a 100 (Trying) response unless it knows that the TU will generate a "
    "provisional or final response within 200 ms, in which case it MAY generate a 100 (Trying) response.",
)
def test_no_100_after_the_user_has_responded() -> None:
    transaction = started()
    assert transaction.step(Input.PROVISIONAL, 0.1) == (Action.SEND_RESPONSE,)
    assert run_out(transaction, 60.0) == []


@pytest.mark.rfc(
    "3261",
    "13.3.1.1",
    "To prevent cancellation, the UAS MUST send a non-100 provisional response at every minute, to handle the "
    "possibility of lost provisional responses.",
)
def test_a_provisional_response_is_repeated_every_minute() -> None:
    # "the UAS MUST send a non-100 provisional response at every minute, to handle the possibility of lost
    # provisional responses."
    transaction = started()
    transaction.step(Input.PROVISIONAL, 0.0)
    assert run_out(transaction, 200.0) == [(t, Action.SEND_RESPONSE) for t in (60.0, 120.0, 180.0)]


@pytest.mark.rfc(
    "3261",
    "17.2.1",
    'If a request retransmission is received while in the "Proceeding" state, the most recent provisional '
    "response that was received from the TU MUST be passed to the transport layer for retransmission.",
)
def test_a_repeated_invite_gets_the_most_recent_provisional_response() -> None:
    transaction = started()
    transaction.step(Input.PROVISIONAL, 0.1)
    assert transaction.step(Input.REQUEST, 0.5) == (Action.SEND_RESPONSE,)


@pytest.mark.rfc(
    "3261",
    "17.2.1",
    "If timer G fires, the response is passed to the transport layer once more for retransmission, and timer G is "
    'set to fire in MIN(2*T1, T2) seconds. … If timer H fires while in the "Completed" state, it implies that the '
    'ACK was never received. In this case, the server transaction MUST transition to the "Terminated" state, and '
    "MUST indicate to the TU that a transaction failure has occurred.",
)
def test_a_failure_is_repeated_by_timer_g_up_to_t2_until_timer_h() -> None:
    transaction = started()
    transaction.step(Input.FAILURE, 0.0)
    log = run_out(transaction)
    times = [t for t, action in log if action is Action.SEND_RESPONSE]
    assert times == [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert log[-1] == (32.0, Action.REPORT_TIMEOUT)


@pytest.mark.rfc(
    "3261",
    "17.2.1",
    'When the "Completed" state is entered, timer H MUST be set to fire in 64*T1 seconds for all transports.',
)
def test_over_a_reliable_transport_timer_g_does_not_run_but_timer_h_does() -> None:
    transaction = started(reliable=True)
    transaction.step(Input.FAILURE, 0.0)
    assert run_out(transaction) == [(32.0, Action.REPORT_TIMEOUT)]


@pytest.mark.rfc(
    "3261",
    "17.2.1",
    'If an ACK is received while the server transaction is in the "Completed" state, the server transaction MUST '
    'transition to the "Confirmed" state. As Timer G is ignored in this state, any retransmissions of the '
    "response will cease.",
)
def test_the_ack_ends_repetition_and_timer_i_absorbs_further_ones() -> None:
    transaction = started()
    transaction.step(Input.FAILURE, 0.0)
    assert transaction.step(Input.REQUEST, 0.3) == (Action.SEND_RESPONSE,)
    assert transaction.step(Input.ACK, 1.0) == ()
    assert (transaction.state, transaction.next_deadline()) == (State.CONFIRMED, 6.0)
    assert transaction.step(Input.ACK, 1.1) == ()
    assert transaction.step(Input.REQUEST, 1.1) == ()
    run_out(transaction)
    assert transaction.state is State.TERMINATED


@pytest.mark.rfc(
    "3261",
    "17.2.1",
    "When this state is entered, timer I is set to fire in T4 seconds for unreliable transports, and zero seconds "
    'for reliable transports. Once timer I fires, the server MUST transition to the "Terminated" state.',
)
def test_timer_i_is_zero_over_a_reliable_transport() -> None:
    transaction = started(reliable=True)
    transaction.step(Input.FAILURE, 0.0)
    transaction.step(Input.ACK, 1.0)
    assert transaction.state is State.TERMINATED
