"""RFC 3261 §17.1.1 and figure 5: the INVITE client transaction, UDP and TCP."""

from __future__ import annotations

import pytest

from sipcore.timers import Timers
from sipcore.transaction import Action, Input, State, Transaction
from sipcore.transaction.invite_client import INVITE_CLIENT
from tests.clocks import run_out


def started(*, reliable: bool = False) -> Transaction:
    transaction = Transaction(INVITE_CLIENT, Timers(), reliable=reliable)
    transaction.start(0.0)
    return transaction


@pytest.mark.rfc(
    "3261",
    "17.1.1.2",
    "For any transport, the client transaction MUST start timer B with a value of 64*T1 seconds … When timer A "
    "fires, the client transaction MUST retransmit the request by passing it to the transport layer, and MUST reset "
    "the timer with a value of 2*T1.",
)
def test_an_unanswered_invite_is_sent_seven_times_and_given_up_at_32_s() -> None:
    # "This value SHOULD be doubled ... so that the request is retransmitted at intervals T1, 2*T1, 4*T1"; the
    # doubling has no T2 as its bound.
    log = run_out(started())
    assert [t for t, action in log if action is Action.RETRANSMIT] == [0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert log[-1] == (32.0, Action.REPORT_TIMEOUT)


@pytest.mark.rfc(
    "3261",
    "17.1.1.2",
    "If a reliable transport is being used, the client transaction SHOULD NOT start timer A … For any transport, the "
    "client transaction MUST start timer B with a value of 64*T1 seconds",
)
def test_over_a_reliable_transport_timer_a_must_not_start_but_timer_b_does() -> None:
    assert run_out(started(reliable=True)) == [(32.0, Action.REPORT_TIMEOUT)]


@pytest.mark.rfc(
    "3261",
    "17.1.1.2",
    'If the client transaction receives a provisional response while in the "Calling" state, it transitions to '
    'the "Proceeding" state. In the "Proceeding" state, the client transaction SHOULD NOT retransmit the request '
    "any longer. Furthermore, the provisional response MUST be passed to the TU.",
)
def test_a_provisional_response_ends_retransmission_and_timer_b() -> None:
    transaction = started()
    assert transaction.step(Input.PROVISIONAL, 0.1) == (Action.PASS_UP,)
    assert transaction.state is State.PROCEEDING
    assert run_out(transaction) == []
    assert transaction.step(Input.PROVISIONAL, 90.0) == (Action.PASS_UP,)


@pytest.mark.rfc(
    "6026",
    "8.4",
    "When in either the 'Calling' or 'Proceeding' states, reception of a response with status code from 300-699 "
    "MUST cause the client transaction to transition to 'Completed'.",
)
@pytest.mark.rfc(
    "3261",
    "17.1.1.2",
    'Any retransmissions of the final response that are received while in the "Completed" state MUST cause the ACK '
    "to be re-passed to the transport layer for retransmission, but the newly received response MUST NOT be passed "
    "up to the TU.",
)
@pytest.mark.parametrize("provisional_first", [False, True])
def test_a_failure_is_acknowledged_and_passed_up_once_then_only_acknowledged(provisional_first: bool) -> None:
    transaction = started()
    if provisional_first:
        transaction.step(Input.PROVISIONAL, 0.1)
    assert transaction.step(Input.FAILURE, 1.0) == (Action.SEND_ACK, Action.PASS_UP)
    assert transaction.step(Input.FAILURE, 1.5) == (Action.SEND_ACK,)
    assert transaction.state is State.COMPLETED
    assert transaction.next_deadline() == 33.0  # timer D: "at least 32 seconds for unreliable transports"
    run_out(transaction)
    assert transaction.state is State.TERMINATED


@pytest.mark.rfc(
    "3261",
    "17.1.1.2",
    'The client transaction SHOULD start timer D when it enters the "Completed" state, with a value of at least '
    "32 seconds for unreliable transports, and a value of zero seconds for reliable transports.",
)
def test_timer_d_is_zero_over_a_reliable_transport() -> None:
    transaction = started(reliable=True)
    assert transaction.step(Input.FAILURE, 1.0) == (Action.SEND_ACK, Action.PASS_UP)
    assert transaction.state is State.TERMINATED


@pytest.mark.rfc(
    "3261",
    "17.1.4",
    "The client transaction SHOULD inform the TU that a transport failure has occurred, and the client "
    'transaction SHOULD transition directly to the "Terminated" state.',
)
@pytest.mark.parametrize("provisional_first", [False, True])
def test_a_transport_error_is_reported_and_ends_it(provisional_first: bool) -> None:
    transaction = started()
    if provisional_first:
        transaction.step(Input.PROVISIONAL, 0.1)
    assert transaction.step(Input.TRANSPORT_ERROR, 0.2) == (Action.REPORT_TRANSPORT_ERROR,)
    assert transaction.state is State.TERMINATED


@pytest.mark.rfc(
    "3261",
    "9.1",
    "If there is no final response for the original request in 64*T1 seconds …, the client SHOULD then consider the "
    "original transaction cancelled and SHOULD destroy the client transaction handling the original request.",
)
def test_a_cancelled_invite_that_gets_no_final_response_is_given_up_after_64_t1() -> None:
    transaction = started()
    transaction.step(Input.PROVISIONAL, 0.1)
    assert transaction.step(Input.CANCELLED, 5.0) == (Action.SEND_CANCEL,)
    assert run_out(transaction) == [(37.0, Action.REPORT_TIMEOUT)]


@pytest.mark.rfc(
    "3261",
    "9.1",
    "If no provisional response has been received, the CANCEL request MUST NOT be sent; rather, the client MUST "
    "wait for the arrival of a provisional response before sending the request. If the original request has "
    "generated a final response, the CANCEL SHOULD NOT be sent.",
)
@pytest.mark.parametrize("state", [State.CALLING, State.COMPLETED, State.ACCEPTED, State.TERMINATED])
def test_cancel_is_nothing_before_a_provisional_and_after_a_final_response(state: State) -> None:
    transaction = started()
    transaction.state = state
    assert transaction.step(Input.CANCELLED, 1.0) == ()
