"""Non-INVITE client transaction: RFC 3261 §17.1.2. The table is the whole machine; `_enter` holds its timers."""

from __future__ import annotations

from typing import Final

from sipcore.timers import Timers
from sipcore.transaction import Action, Input, Machine, State, Transaction, Transitions

TRANSITIONS: Final[Transitions] = {
    (State.TRYING, Input.TIMER_E): (State.TRYING, (Action.RETRANSMIT,)),
    (State.TRYING, Input.TIMER_F): (State.TERMINATED, (Action.REPORT_TIMEOUT,)),
    (State.TRYING, Input.PROVISIONAL): (State.PROCEEDING, (Action.PASS_UP,)),
    (State.TRYING, Input.SUCCESS): (State.COMPLETED, (Action.PASS_UP,)),
    (State.TRYING, Input.FAILURE): (State.COMPLETED, (Action.PASS_UP,)),
    (State.TRYING, Input.TRANSPORT_ERROR): (State.TERMINATED, (Action.REPORT_TRANSPORT_ERROR,)),
    (State.PROCEEDING, Input.TIMER_E): (State.PROCEEDING, (Action.RETRANSMIT,)),
    (State.PROCEEDING, Input.TIMER_F): (State.TERMINATED, (Action.REPORT_TIMEOUT,)),
    (State.PROCEEDING, Input.PROVISIONAL): (State.PROCEEDING, (Action.PASS_UP,)),
    (State.PROCEEDING, Input.SUCCESS): (State.COMPLETED, (Action.PASS_UP,)),
    (State.PROCEEDING, Input.FAILURE): (State.COMPLETED, (Action.PASS_UP,)),
    (State.PROCEEDING, Input.TRANSPORT_ERROR): (State.TERMINATED, (Action.REPORT_TRANSPORT_ERROR,)),
    (State.COMPLETED, Input.TIMER_K): (State.TERMINATED, ()),
}


def _enter(transaction: Transaction, state: State, now: float) -> None:
    timers = transaction.timers
    if state is State.TRYING:
        transaction.expire_at = now + timers.timeout
        if not transaction.reliable:
            transaction.repeat(timers.t1, now)
    elif state is State.PROCEEDING:
        # RFC 3261 §17.1.2.2: timer E goes on, and is set to T2 each time it fires; timer F goes on.
        transaction.interval = timers.t2
    elif state is State.COMPLETED:
        transaction.stop()
        transaction.expire_at = now if transaction.reliable else now + timers.t4
    else:
        transaction.stop()


def _longest_interval(timers: Timers) -> float:
    return timers.t2


NONINVITE_CLIENT: Final = Machine(
    name="non-INVITE client",
    client=True,
    initial=State.TRYING,
    transitions=TRANSITIONS,
    repeating={State.TRYING: Input.TIMER_E, State.PROCEEDING: Input.TIMER_E},
    expiring={State.TRYING: Input.TIMER_F, State.PROCEEDING: Input.TIMER_F, State.COMPLETED: Input.TIMER_K},
    enter=_enter,
    longest_interval=_longest_interval,
)
