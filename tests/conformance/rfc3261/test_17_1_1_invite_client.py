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


@pytest.mark.rfc("3261", "17.1.1.2")
def test_an_unanswered_invite_is_sent_seven_times_and_given_up_at_32_s() -> None:
    # "This value SHOULD be doubled ... so that the request is retransmitted at intervals T1, 2*T1, 4*T1"; the
    # doubling has no T2 as its bound.
    log = run_out(started())
    assert [t for t, action in log if action is Action.RETRANSMIT] == [0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert log[-1] == (32.0, Action.REPORT_TIMEOUT)


@pytest.mark.rfc("3261", "17.1.1.2")
def test_over_a_reliable_transport_timer_a_must_not_start_but_timer_b_does() -> None:
    assert run_out(started(reliable=True)) == [(32.0, Action.REPORT_TIMEOUT)]


@pytest.mark.rfc("3261", "17.1.1.2")
def test_a_provisional_response_ends_retransmission_and_timer_b() -> None:
    transaction = started()
    assert transaction.step(Input.PROVISIONAL, 0.1) == (Action.PASS_UP,)
    assert transaction.state is State.PROCEEDING
    assert run_out(transaction) == []
    assert transaction.step(Input.PROVISIONAL, 90.0) == (Action.PASS_UP,)


@pytest.mark.rfc("3261", "17.1.1.2")
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


@pytest.mark.rfc("3261", "17.1.1.2")
def test_timer_d_is_zero_over_a_reliable_transport() -> None:
    transaction = started(reliable=True)
    assert transaction.step(Input.FAILURE, 1.0) == (Action.SEND_ACK, Action.PASS_UP)
    assert transaction.state is State.TERMINATED


@pytest.mark.rfc("3261", "17.1.4")
@pytest.mark.parametrize("provisional_first", [False, True])
def test_a_transport_error_is_reported_and_ends_it(provisional_first: bool) -> None:
    transaction = started()
    if provisional_first:
        transaction.step(Input.PROVISIONAL, 0.1)
    assert transaction.step(Input.TRANSPORT_ERROR, 0.2) == (Action.REPORT_TRANSPORT_ERROR,)
    assert transaction.state is State.TERMINATED


@pytest.mark.rfc("3261", "9.1")
def test_a_cancelled_invite_that_gets_no_final_response_is_given_up_after_64_t1() -> None:
    transaction = started()
    transaction.step(Input.PROVISIONAL, 0.1)
    assert transaction.step(Input.CANCELLED, 5.0) == (Action.SEND_CANCEL,)
    assert run_out(transaction) == [(37.0, Action.REPORT_TIMEOUT)]


@pytest.mark.rfc("3261", "9.1")
@pytest.mark.parametrize("state", [State.CALLING, State.COMPLETED, State.ACCEPTED, State.TERMINATED])
def test_cancel_is_nothing_before_a_provisional_and_after_a_final_response(state: State) -> None:
    transaction = started()
    transaction.state = state
    assert transaction.step(Input.CANCELLED, 1.0) == ()
