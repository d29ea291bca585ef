"""RFC 3261 §17.1.2 and figure 6: the non-INVITE client transaction, UDP and TCP."""

from __future__ import annotations

import pytest

from sipcore.timers import Timers
from sipcore.transaction import Action, Input, State, Transaction
from sipcore.transaction.noninvite_client import NONINVITE_CLIENT
from tests.clocks import run_out


def started(*, reliable: bool = False) -> Transaction:
    transaction = Transaction(NONINVITE_CLIENT, Timers(), reliable=reliable)
    transaction.start(0.0)
    return transaction


@pytest.mark.rfc(
    "3261",
    "17.1.2.2",
    "When entering this state, the client transaction SHOULD set timer F to fire in 64*T1 seconds. The request MUST "
    "be passed to the transport layer for transmission. If an unreliable transport is in use, the client transaction "
    "MUST set timer E to fire in T1 seconds. If timer E fires while still in this state, the timer is reset, but "
    "this time with a value of MIN(2*T1, T2).",
)
def test_timer_e_doubles_up_to_t2_and_timer_f_ends_it_at_32_s() -> None:
    log = run_out(started())
    times = [t for t, action in log if action is Action.RETRANSMIT]
    assert times == [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert log[-1] == (32.0, Action.REPORT_TIMEOUT)


@pytest.mark.rfc(
    "3261",
    "17.1.2.2",
    "If an unreliable transport is in use, the client transaction MUST set timer E to fire in T1 seconds.",
)
def test_over_a_reliable_transport_only_timer_f_runs() -> None:
    assert run_out(started(reliable=True)) == [(32.0, Action.REPORT_TIMEOUT)]


@pytest.mark.rfc(
    "3261",
    "17.1.2.2",
    'If Timer E fires while in the "Proceeding" state, the request MUST be passed to the transport layer for '
    "retransmission, and Timer E MUST be reset with a value of T2 seconds. If timer F fires while in the "
    '"Proceeding" state, the TU MUST be informed of a timeout, and the client transaction MUST transition to the '
    "terminated state.",
)
def test_in_proceeding_timer_e_goes_on_at_t2_and_timer_f_still_ends_it() -> None:
    transaction = started()
    assert transaction.step(Input.PROVISIONAL, 0.1) == (Action.PASS_UP,)
    log = run_out(transaction)
    assert [t for t, a in log if a is Action.RETRANSMIT] == [0.5, 4.5, 8.5, 12.5, 16.5, 20.5, 24.5, 28.5]
    assert log[-1] == (32.0, Action.REPORT_TIMEOUT)


@pytest.mark.rfc(
    "3261",
    "17.1.2.2",
    'If a final response (status codes 200-699) is received while in the "Proceeding" state, the response MUST be '
    'passed to the TU, and the client transaction MUST transition to the "Completed" state. … If Timer K fires '
    'while in this state, the client transaction MUST transition to the "Terminated" state.',
)
@pytest.mark.parametrize("final", [Input.SUCCESS, Input.FAILURE])
def test_a_final_response_is_passed_up_once_and_its_copies_absorbed_for_timer_k(final: Input) -> None:
    transaction = started()
    assert transaction.step(final, 1.0) == (Action.PASS_UP,)
    assert transaction.step(final, 2.0) == ()
    assert (transaction.state, transaction.next_deadline()) == (State.COMPLETED, 6.0)
    run_out(transaction)
    assert transaction.state is State.TERMINATED


@pytest.mark.rfc(
    "3261",
    "17.1.2.2",
    'Once the client transaction enters the "Completed" state, it MUST set Timer K to fire in T4 seconds for '
    "unreliable transports, and zero seconds for reliable transports.",
)
def test_timer_k_is_zero_over_a_reliable_transport() -> None:
    transaction = started(reliable=True)
    transaction.step(Input.SUCCESS, 1.0)
    assert transaction.state is State.TERMINATED


@pytest.mark.rfc(
    "3261",
    "17.1.4",
    "The client transaction SHOULD inform the TU that a transport failure has occurred, and the client "
    'transaction SHOULD transition directly to the "Terminated" state.',
)
def test_a_transport_error_is_reported_and_ends_it() -> None:
    transaction = started()
    assert transaction.step(Input.TRANSPORT_ERROR, 0.2) == (Action.REPORT_TRANSPORT_ERROR,)
    assert transaction.state is State.TERMINATED
