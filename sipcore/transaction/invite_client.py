"""INVITE client transaction: RFC 3261 §17.1.1, with the Accepted state of RFC 6026 §7.2.

The table is the whole machine; `_enter` holds its timers. CANCELLED is RFC 3261 §9.1: once the CANCEL is out, a
peer that never sends its final response is given up after 64*T1.
"""

from __future__ import annotations

from math import inf
from typing import Final

from sipcore.timers import Timers
from sipcore.transaction import Action, Input, Machine, State, Transaction, Transitions

TRANSITIONS: Final[Transitions] = {
    (State.CALLING, Input.TIMER_A): (State.CALLING, (Action.RETRANSMIT,)),
    (State.CALLING, Input.TIMER_B): (State.TERMINATED, (Action.REPORT_TIMEOUT,)),
    (State.CALLING, Input.PROVISIONAL): (State.PROCEEDING, (Action.PASS_UP,)),
    (State.CALLING, Input.SUCCESS): (State.ACCEPTED, (Action.PASS_UP,)),
    (State.CALLING, Input.FAILURE): (State.COMPLETED, (Action.SEND_ACK, Action.PASS_UP)),
    (State.CALLING, Input.TRANSPORT_ERROR): (State.TERMINATED, (Action.REPORT_TRANSPORT_ERROR,)),
    (State.PROCEEDING, Input.PROVISIONAL): (State.PROCEEDING, (Action.PASS_UP,)),
    (State.PROCEEDING, Input.SUCCESS): (State.ACCEPTED, (Action.PASS_UP,)),
    (State.PROCEEDING, Input.FAILURE): (State.COMPLETED, (Action.SEND_ACK, Action.PASS_UP)),
    (State.PROCEEDING, Input.CANCELLED): (State.PROCEEDING, (Action.SEND_CANCEL,)),
    (State.PROCEEDING, Input.TIMER_B): (State.TERMINATED, (Action.REPORT_TIMEOUT,)),
    (State.PROCEEDING, Input.TRANSPORT_ERROR): (State.TERMINATED, (Action.REPORT_TRANSPORT_ERROR,)),
    # A forking proxy may repeat the 2xx: each one is answered with its own ACK by the transaction user.
    (State.ACCEPTED, Input.SUCCESS): (State.ACCEPTED, (Action.PASS_UP,)),
    (State.ACCEPTED, Input.TIMER_M): (State.TERMINATED, ()),
    (State.COMPLETED, Input.FAILURE): (State.COMPLETED, (Action.SEND_ACK,)),
    (State.COMPLETED, Input.TIMER_D): (State.TERMINATED, ()),
}


def _enter(transaction: Transaction, state: State, now: float) -> None:
    timers = transaction.timers
    if state is State.CALLING:
        transaction.expire_at = now + timers.timeout
        if not transaction.reliable:
            transaction.repeat(timers.t1, now)
    elif state is State.ACCEPTED:
        transaction.stop()
        transaction.expire_at = now + timers.timeout
    elif state is State.COMPLETED:
        transaction.stop()
        transaction.expire_at = now if transaction.reliable else now + timers.d
    else:
        transaction.stop()


def _longest_interval(_timers: Timers) -> float:
    # RFC 3261 §17.1.1.2: timer A doubles without T2 as its bound.
    return inf


INVITE_CLIENT: Final = Machine(
    name="INVITE client",
    client=True,
    initial=State.CALLING,
    transitions=TRANSITIONS,
    repeating={State.CALLING: Input.TIMER_A},
    expiring={
        State.CALLING: Input.TIMER_B,
        State.PROCEEDING: Input.TIMER_B,
        State.COMPLETED: Input.TIMER_D,
        State.ACCEPTED: Input.TIMER_M,
    },
    enter=_enter,
    longest_interval=_longest_interval,
)
