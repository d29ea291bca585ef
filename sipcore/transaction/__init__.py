"""One transaction of RFC 3261 §17, driven by the table of its machine.

The four tables are in `invite_client`, `noninvite_client`, `invite_server` and `noninvite_server`; each says what
an input does in a state. Every change of `state` goes through `step`. An input that the table does not know in
this state is absorbed: a late or repeated message is no error.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple

from sipcore.events import TransactionId
from sipcore.flow import Flow
from sipcore.timers import Clock, Timers

if TYPE_CHECKING:
    from sipcore.dialog import Dialog
    from sipcore.locate import Target
    from sipcore.message import Request
    from sipcore.routing import NextHop

HeaderPairs = Sequence[tuple[str, str]]


class State(IntEnum):
    """States of all four machines, by their names in RFC 3261 §17 and RFC 6026."""

    CALLING = 0
    TRYING = 1
    PROCEEDING = 2
    COMPLETED = 3
    CONFIRMED = 4
    ACCEPTED = 5
    TERMINATED = 6


class Input(IntEnum):
    """What can happen to a transaction: a message from the peer or the transaction user, a timer, the transport."""

    PROVISIONAL = 0
    SUCCESS = 1
    FAILURE = 2
    REQUEST = 3
    ACK = 4
    CANCELLED = 5
    TRANSPORT_ERROR = 6
    TIMER_A = 7
    TIMER_B = 8
    TIMER_D = 9
    TIMER_E = 10
    TIMER_F = 11
    TIMER_G = 12
    TIMER_H = 13
    TIMER_I = 14
    TIMER_J = 15
    TIMER_K = 16
    TIMER_L = 17
    TIMER_M = 18
    TIMER_TRYING = 19
    TIMER_UNANSWERED = 20
    TIMER_REFRESH = 21


class Action(IntEnum):
    """What the owner of the transaction does about it."""

    RETRANSMIT = 0
    PASS_UP = 1
    SEND_ACK = 2
    SEND_RESPONSE = 3
    SEND_TRYING = 4
    SEND_CANCEL = 5
    REPORT_TIMEOUT = 6
    REPORT_TRANSPORT_ERROR = 7


Transitions = Mapping[tuple[State, Input], tuple[State, tuple[Action, ...]]]


@dataclass(frozen=True, slots=True, eq=False)
class Machine:
    """One of the four machines: its table, the timer that fires in a state, and what entering a state sets."""

    name: str
    client: bool
    initial: State
    transitions: Transitions
    repeating: Mapping[State, Input]
    expiring: Mapping[State, Input]
    enter: Callable[[Transaction, State, float], None]
    longest_interval: Callable[[Timers], float]


class Alternatives(NamedTuple):
    """Targets of a request that are left to try, and whether its Contact is ours to write for each.

    With `after_refusal` the first one is for UDP, should the TCP connection be refused that only the size asked for.
    """

    hop: NextHop
    targets: Sequence[Target]
    adds_contact: bool
    after_refusal: bool = False


class Transaction(Clock):
    """A machine under way, and what its owner (`sipcore.uac`, `sipcore.uas`) keeps with it.

    Two clocks are enough for the machine: one repeats (A, E, G), one ends a state (B, D, F, H … M).
    """

    __slots__ = (
        "acks",
        "alternatives",
        "cancel_headers",
        "cseq",
        "data",
        "dialog",
        "flow",
        "forks",
        "id",
        "in_dialog",
        "key",
        "local_tag",
        "machine",
        "merge_key",
        "method",
        "relay",
        "reliable",
        "request",
        "silent",
        "state",
        "timers",
    )

    def __init__(self, machine: Machine, timers: Timers, *, reliable: bool) -> None:
        self.machine = machine
        self.timers = timers
        self.reliable = reliable
        self.state = machine.initial
        self.id = TransactionId(0)
        self.key: tuple[Hashable, ...] = ()
        self.method = ""
        self.cseq = 0
        self.request: Request | None = None
        self.flow: Flow | None = None
        # The bytes to repeat: our request, our last response, or nothing yet.
        self.data = b""
        self.dialog: Dialog | None = None
        # Client: nothing is reported to the transaction user (CANCEL, the BYE after 481).
        self.silent = False
        # INVITE client: the dialogs that its responses made and the ACKs to them (None: not sent yet), both by
        # remote tag; the headers of a CANCEL that waits for a provisional response.
        self.forks: dict[str, Dialog] | None = None
        self.acks: dict[str, tuple[bytes, Flow] | None] | None = None
        self.cancel_headers: HeaderPairs | None = None
        # Client: where the request goes when this target fails.
        self.alternatives: Alternatives | None = None
        # A proxy's: the branch that it is (client), or the response context that it has (server); see `sipcore.proxy`.
        self.relay: Any = None
        # Server: our tag in To, whether the request came within a dialog (its failure then does not end that), and
        # the key under which a merged request finds this one.
        self.local_tag = ""
        self.in_dialog = False
        self.merge_key: tuple[str, str, int, str] | None = None

    def start(self, now: float) -> None:
        """Set the timers of the initial state."""
        self.machine.enter(self, self.state, now)

    def step(self, input_: Input, now: float) -> tuple[Action, ...]:
        """Make one transition; the actions are the caller's to carry out."""
        transition = self.machine.transitions.get((self.state, input_))
        if transition is None:
            return ()
        state, actions = transition
        if state is not self.state:
            self.state = state
            self.machine.enter(self, state, now)
            if self.expire_at <= now:
                # Timers D, I, J and K are zero on a reliable transport.
                self.state = State.TERMINATED
            if self.state is State.TERMINATED:
                self.stop()
        elif input_ is Input.CANCELLED:
            self.expire_at = now + self.timers.timeout
        elif input_ is Input.TIMER_REFRESH:
            self.expire_at = now + self.timers.refresh
        return actions

    def handle_timeout(self, now: float) -> tuple[Action, ...]:
        """Fire the timer that is due, if one is."""
        if now >= self.expire_at:
            self.expire_at = inf
            return self.step(self.machine.expiring[self.state], now)
        if now >= self.repeat_at:
            self.interval = min(self.interval * 2, self.machine.longest_interval(self.timers))
            self.repeat_at = now + self.interval
            return self.step(self.machine.repeating[self.state], now)
        return ()
