"""Non-INVITE server transaction: RFC 3261 §17.2.2 as RFC 4320 changed it.

The table is the whole machine; `_enter` holds its timers. RFC 4320 §4.1: the only provisional response is 100,
sent when a client's timer E has grown to T2; §4.2: a response that did not come within 64*T1 is never sent, since
the client has given up (TIMER_UNANSWERED).
"""

from __future__ import annotations

from typing import Final

from sipcore.timers import Timers
from sipcore.transaction import Action, Input, Machine, State, Transaction, Transitions

TRANSITIONS: Final[Transitions] = {
    (State.TRYING, Input.TIMER_TRYING): (State.PROCEEDING, (Action.SEND_TRYING,)),
    (State.TRYING, Input.TIMER_UNANSWERED): (State.TERMINATED, (Action.REPORT_TIMEOUT,)),
    (State.TRYING, Input.PROVISIONAL): (State.PROCEEDING, (Action.SEND_RESPONSE,)),
    (State.TRYING, Input.SUCCESS): (State.COMPLETED, (Action.SEND_RESPONSE,)),
    (State.TRYING, Input.FAILURE): (State.COMPLETED, (Action.SEND_RESPONSE,)),
    (State.PROCEEDING, Input.REQUEST): (State.PROCEEDING, (Action.SEND_RESPONSE,)),
    (State.PROCEEDING, Input.TIMER_UNANSWERED): (State.TERMINATED, (Action.REPORT_TIMEOUT,)),
    (State.PROCEEDING, Input.PROVISIONAL): (State.PROCEEDING, (Action.SEND_RESPONSE,)),
    (State.PROCEEDING, Input.SUCCESS): (State.COMPLETED, (Action.SEND_RESPONSE,)),
    (State.PROCEEDING, Input.FAILURE): (State.COMPLETED, (Action.SEND_RESPONSE,)),
    (State.COMPLETED, Input.REQUEST): (State.COMPLETED, (Action.SEND_RESPONSE,)),
    (State.COMPLETED, Input.TIMER_J): (State.TERMINATED, ()),
}


def _enter(transaction: Transaction, state: State, now: float) -> None:
    timers = transaction.timers
    if state is State.TRYING:
        transaction.expire_at = now + timers.timeout
        transaction.repeat(timers.until_trying, now)
    elif state is State.PROCEEDING:
        transaction.repeat_at = float("inf")
    else:
        transaction.stop()
        if state is State.COMPLETED:
            transaction.expire_at = now if transaction.reliable else now + timers.timeout


def _longest_interval(timers: Timers) -> float:
    return timers.t2


NONINVITE_SERVER: Final = Machine(
    name="non-INVITE server",
    client=False,
    initial=State.TRYING,
    transitions=TRANSITIONS,
    repeating={State.TRYING: Input.TIMER_TRYING},
    expiring={
        State.TRYING: Input.TIMER_UNANSWERED,
        State.PROCEEDING: Input.TIMER_UNANSWERED,
        State.COMPLETED: Input.TIMER_J,
    },
    enter=_enter,
    longest_interval=_longest_interval,
)
