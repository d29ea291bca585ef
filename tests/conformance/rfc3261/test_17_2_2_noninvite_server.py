"""RFC 3261 §17.2.2 and figure 8: the non-INVITE server transaction, UDP and TCP."""

from __future__ import annotations

import pytest

from sipcore.timers import Timers
from sipcore.transaction import Action, Input, State, Transaction
from sipcore.transaction.noninvite_server import NONINVITE_SERVER
from tests.clocks import run_out


def started(*, reliable: bool = False) -> Transaction:
    transaction = Transaction(NONINVITE_SERVER, Timers(), reliable=reliable)
    transaction.start(0.0)
    return transaction


@pytest.mark.rfc("3261", "17.2.2", 'Once in the "Trying" state, any further request retransmissions are discarded.')
def test_a_repeated_request_is_discarded_before_any_response() -> None:
    assert started().step(Input.REQUEST, 0.5) == ()


@pytest.mark.rfc(
    "3261",
    "17.2.2",
    'While in the "Completed" state, the server transaction MUST pass the final response to the transport layer '
    "for retransmission whenever a retransmission of the request is received.",
)
@pytest.mark.parametrize("final", [Input.SUCCESS, Input.FAILURE])
def test_a_repeated_request_gets_the_final_response_again_until_timer_j(final: Input) -> None:
    transaction = started()
    assert transaction.step(final, 1.0) == (Action.SEND_RESPONSE,)
    assert transaction.step(Input.REQUEST, 2.0) == (Action.SEND_RESPONSE,)
    assert (transaction.state, transaction.next_deadline()) == (State.COMPLETED, 33.0)
    run_out(transaction)
    assert transaction.state is State.TERMINATED


@pytest.mark.rfc(
    "3261",
    "17.2.2",
    "Any other final responses passed by the TU to the server transaction MUST be discarded while in the "
    '"Completed" state.',
)
def test_further_final_responses_of_the_user_are_discarded() -> None:
    transaction = started()
    transaction.step(Input.SUCCESS, 1.0)
    assert transaction.step(Input.FAILURE, 1.1) == ()


@pytest.mark.rfc(
    "3261",
    "17.2.2",
    'When the server transaction enters the "Completed" state, it MUST set Timer J to fire in 64*T1 seconds for '
    "unreliable transports, and zero seconds for reliable transports.",
)
def test_timer_j_is_zero_over_a_reliable_transport() -> None:
    transaction = started(reliable=True)
    transaction.step(Input.SUCCESS, 1.0)
    assert transaction.state is State.TERMINATED
