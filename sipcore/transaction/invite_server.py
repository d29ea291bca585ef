"""INVITE server transaction: RFC 3261 §17.2.1, with the Accepted state of RFC 6026 §7.1.

The table is the whole machine; `_enter` holds its timers. TIMER_TRYING is the 200 ms of §17.2.1 after which the
transaction sends 100 on its own; whatever the transaction user sends first stops it. TIMER_REFRESH is the minute
of §13.3.1.1 after which a provisional response is repeated, so that no proxy on the way cancels a long ringing.
"""

from __future__ import annotations

from typing import Final

from sipcore.timers import Timers
from sipcore.transaction import Action, Input, Machine, State, Transaction, Transitions

TRANSITIONS: Final[Transitions] = {
    (State.TRYING, Input.TIMER_TRYING): (State.PROCEEDING, (Action.SEND_TRYING,)),
    # A caller that already repeats its INVITE is not kept waiting for the rest of the 200 ms.
    (State.TRYING, Input.REQUEST): (State.PROCEEDING, (Action.SEND_TRYING,)),
    (State.TRYING, Input.PROVISIONAL): (State.PROCEEDING, (Action.SEND_RESPONSE,)),
    (State.TRYING, Input.SUCCESS): (State.ACCEPTED, (Action.SEND_RESPONSE,)),
    (State.TRYING, Input.FAILURE): (State.COMPLETED, (Action.SEND_RESPONSE,)),
    (State.PROCEEDING, Input.REQUEST): (State.PROCEEDING, (Action.SEND_RESPONSE,)),
    (State.PROCEEDING, Input.PROVISIONAL): (State.PROCEEDING, (Action.SEND_RESPONSE,)),
    (State.PROCEEDING, Input.TIMER_REFRESH): (State.PROCEEDING, (Action.SEND_RESPONSE,)),
    (State.PROCEEDING, Input.SUCCESS): (State.ACCEPTED, (Action.SEND_RESPONSE,)),
    (State.PROCEEDING, Input.FAILURE): (State.COMPLETED, (Action.SEND_RESPONSE,)),
    # RFC 6026 §7.1: Accepted absorbs INVITEs (the core repeats the 2xx) and lets the ACK pass to the core.
    (State.ACCEPTED, Input.SUCCESS): (State.ACCEPTED, (Action.SEND_RESPONSE,)),
    (State.ACCEPTED, Input.ACK): (State.ACCEPTED, (Action.PASS_UP,)),
    (State.ACCEPTED, Input.TIMER_L): (State.TERMINATED, ()),
    (State.COMPLETED, Input.REQUEST): (State.COMPLETED, (Action.SEND_RESPONSE,)),
    (State.COMPLETED, Input.TIMER_G): (State.COMPLETED, (Action.SEND_RESPONSE,)),
    (State.COMPLETED, Input.ACK): (State.CONFIRMED, ()),
    (State.COMPLETED, Input.TIMER_H): (State.TERMINATED, (Action.REPORT_TIMEOUT,)),
    (State.CONFIRMED, Input.TIMER_I): (State.TERMINATED, ()),
}


def _enter(transaction: Transaction, state: State, now: float) -> None:
    timers = transaction.timers
    if state is State.TRYING:
        transaction.expire_at = now + timers.trying
        return
    transaction.stop()
    if state is State.PROCEEDING:
        transaction.expire_at = now + timers.refresh
    elif state is State.ACCEPTED:
        transaction.expire_at = now + timers.timeout
    elif state is State.COMPLETED:
        transaction.expire_at = now + timers.timeout
        if not transaction.reliable:
            transaction.repeat(timers.t1, now)
    elif state is State.CONFIRMED:
        transaction.expire_at = now if transaction.reliable else now + timers.t4


def _longest_interval(timers: Timers) -> float:
    return timers.t2


INVITE_SERVER: Final = Machine(
    name="INVITE server",
    client=False,
    initial=State.TRYING,
    transitions=TRANSITIONS,
    repeating={State.COMPLETED: Input.TIMER_G},
    expiring={
        State.TRYING: Input.TIMER_TRYING,
        State.PROCEEDING: Input.TIMER_REFRESH,
        State.ACCEPTED: Input.TIMER_L,
        State.COMPLETED: Input.TIMER_H,
        State.CONFIRMED: Input.TIMER_I,
    },
    enter=_enter,
    longest_interval=_longest_interval,
)
