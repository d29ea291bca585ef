"""The machine that runs the tables: steps, clocks, absorption."""

from __future__ import annotations

from math import inf

import pytest

from sipcore.routing import next_hop
from sipcore.timers import Timers
from sipcore.transaction import Action, Alternatives, Input, Machine, State, Transaction
from sipcore.transaction.invite_client import INVITE_CLIENT
from sipcore.transaction.invite_server import INVITE_SERVER
from sipcore.transaction.noninvite_client import NONINVITE_CLIENT
from sipcore.transaction.noninvite_server import NONINVITE_SERVER
from sipcore.uri import Uri

MACHINES = [INVITE_CLIENT, NONINVITE_CLIENT, INVITE_SERVER, NONINVITE_SERVER]


def machine_id(machine: Machine) -> str:
    return machine.name


@pytest.mark.parametrize("machine", MACHINES, ids=machine_id)
def test_every_input_in_every_state_is_in_the_table_or_absorbed(machine: Machine) -> None:
    for state in State:
        for input_ in Input:
            transaction = Transaction(machine, Timers(), reliable=False)
            transaction.state = state
            actions = transaction.step(input_, 1.0)
            expected = machine.transitions.get((state, input_))
            if expected is None:
                assert (transaction.state, actions) == (state, ())
            else:
                assert (transaction.state, actions) == expected


@pytest.mark.parametrize("machine", MACHINES, ids=machine_id)
def test_every_state_can_be_left_by_a_timer_or_waits_for_the_user(machine: Machine) -> None:
    waits_for_peer_or_user = {(INVITE_CLIENT.name, State.PROCEEDING), (INVITE_SERVER.name, State.PROCEEDING)}
    reached = {state for state, _ in machine.transitions.values()} | {machine.initial}
    for state in reached - {State.TERMINATED}:
        transaction = Transaction(machine, Timers(), reliable=False)
        transaction.state = state
        machine.enter(transaction, state, 0.0)
        if (machine.name, state) in waits_for_peer_or_user or state is State.PROCEEDING:
            continue
        assert transaction.next_deadline() < inf, state


@pytest.mark.parametrize("machine", MACHINES, ids=machine_id)
def test_every_timer_named_for_a_state_has_a_transition(machine: Machine) -> None:
    for table in (machine.repeating, machine.expiring):
        for state, timer in table.items():
            assert (state, timer) in machine.transitions


@pytest.mark.parametrize("machine", MACHINES, ids=machine_id)
def test_a_terminated_transaction_has_no_timer(machine: Machine) -> None:
    transaction = Transaction(machine, Timers(), reliable=False)
    transaction.start(0.0)
    for state, input_ in machine.transitions:
        transaction = Transaction(machine, Timers(), reliable=False)
        transaction.start(0.0)
        transaction.state = state
        transaction.step(input_, 1.0)
        if transaction.state is State.TERMINATED:
            assert transaction.next_deadline() == inf


def test_handle_timeout_before_its_time_does_nothing() -> None:
    transaction = Transaction(INVITE_CLIENT, Timers(), reliable=False)
    transaction.start(0.0)
    assert transaction.handle_timeout(0.4) == ()


def test_a_late_driver_fires_a_timer_once_not_once_per_interval_missed() -> None:
    transaction = Transaction(INVITE_CLIENT, Timers(), reliable=False)
    transaction.start(0.0)
    assert transaction.handle_timeout(10.0) == (Action.RETRANSMIT,)
    assert transaction.next_deadline() == 11.0


def test_give_up_after_leaves_a_nearer_end_alone() -> None:
    transaction = Transaction(INVITE_CLIENT, Timers(), reliable=True)
    transaction.start(0.0)
    transaction.give_up_after(100.0, 0.0)
    assert transaction.next_deadline() == 32.0


def test_a_new_transaction_knows_nothing_yet() -> None:
    new = Transaction(INVITE_CLIENT, Timers(), reliable=False)
    assert (new.id, new.key, new.method, new.cseq, new.data, new.local_tag) == (0, (), "", 0, b"", "")
    assert (new.silent, new.in_dialog, new.next_deadline()) == (False, False, inf)


def test_the_first_target_was_not_refused_by_anyone() -> None:
    hop = next_hop(Uri.parse("sip:10.0.0.1"))
    assert Alternatives(hop, (), adds_contact=True).after_refusal is False


@pytest.mark.rfc("3261", "17.1.1.2", 'If the client transaction is still in the "Calling')
def test_of_two_timers_the_nearer_is_due_and_the_end_beats_a_repetition() -> None:
    """RFC 3261 §17.1.1.2: "If the client transaction is still in the "Calling" state when timer B fires, the client
    transaction SHOULD inform the TU that a timeout has occurred"; no repetition goes out at that moment."""
    transaction = Transaction(INVITE_CLIENT, Timers(), reliable=False)
    transaction.start(0.0)
    assert (transaction.next_deadline(), transaction.expire_at) == (0.5, 32.0)
    transaction.repeat(32.0, 0.0)
    assert transaction.handle_timeout(32.0) == (Action.REPORT_TIMEOUT,)
    assert transaction.state is State.TERMINATED


def test_give_up_after_ends_a_state_that_nothing_else_would() -> None:
    transaction = Transaction(INVITE_CLIENT, Timers(), reliable=True)
    transaction.start(0.0)
    transaction.step(Input.PROVISIONAL, 1.0)
    assert transaction.next_deadline() == inf
    transaction.give_up_after(10.0, 1.0)
    assert transaction.next_deadline() == 11.0


@pytest.mark.parametrize("machine", [INVITE_CLIENT, NONINVITE_CLIENT, INVITE_SERVER, NONINVITE_SERVER])
def test_a_machine_knows_its_side(machine: Machine) -> None:
    assert machine.client is machine.name.endswith("client")


@pytest.mark.parametrize("again", [Input.REQUEST, Input.PROVISIONAL])
def test_an_invite_that_rings_goes_on_ringing(again: Input) -> None:
    transaction = Transaction(INVITE_SERVER, Timers(), reliable=False)
    transaction.start(0.0)
    transaction.step(Input.PROVISIONAL, 0.1)
    for moment in (0.2, 0.3):
        assert transaction.step(again, moment) == (Action.SEND_RESPONSE,)
        assert transaction.state is State.PROCEEDING


def test_after_the_final_response_a_request_is_repeated_no_more() -> None:
    transaction = Transaction(NONINVITE_CLIENT, Timers(), reliable=False)
    transaction.start(0.0)
    transaction.step(Input.FAILURE, 1.0)
    assert transaction.next_deadline() == 1.0 + Timers().t4
    assert transaction.handle_timeout(2.0) == ()


@pytest.mark.parametrize(
    ("machine", "inputs"),
    [
        (INVITE_CLIENT, (Input.FAILURE,)),
        (NONINVITE_CLIENT, (Input.SUCCESS,)),
        (INVITE_SERVER, (Input.FAILURE, Input.ACK)),
        (NONINVITE_SERVER, (Input.FAILURE,)),
    ],
)
def test_over_a_reliable_transport_nothing_is_due_after_the_end(machine: Machine, inputs: tuple[Input, ...]) -> None:
    transaction = Transaction(machine, Timers(), reliable=True)
    transaction.start(0.0)
    for each in inputs:
        transaction.step(each, 1.0)
    assert (transaction.state, transaction.next_deadline()) == (State.TERMINATED, inf)
    assert transaction.handle_timeout(1.0) == ()


def test_a_request_that_nobody_looked_at_for_a_minute_is_given_up() -> None:
    transaction = Transaction(NONINVITE_SERVER, Timers(), reliable=False)
    transaction.start(0.0)
    transaction.handle_timeout(60.0)
    assert (transaction.state, transaction.next_deadline()) == (State.TERMINATED, inf)
