"""Event subscriptions of RFC 6665 without I/O: the notifier's and the subscriber's machine, and their header fields.

Both tables are the whole machine: `step` takes what happened and says what to do. Times are the owner's: it asks
`next_deadline` and calls `due`. At most one NOTIFY of a subscription is under way, and what changes meanwhile goes
into the next one, so that however often a state changes, a watcher gets the newest one at a bounded rate (§4.2.2).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, auto
from math import inf
from typing import Final

from sipcore.errors import ParseError
from sipcore.fields import format_params, parse_params

# §8.4: event packages and their parameters are tokens; longer ones are nobody's.
MAX_PACKAGE: Final = 64


@dataclass(frozen=True, slots=True)
class EventField:
    """The Event header (§8.2.1): package and `id`, which alone tell subscriptions of one dialog apart."""

    package: str
    id: str | None = None

    @classmethod
    def parse(cls, text: str) -> EventField:
        """Raises: ParseError."""
        package, _, rest = text.partition(";")
        package = package.strip().lower()
        if not package or len(package) > MAX_PACKAGE or any(char in package for char in ' \t",<>@'):
            raise ParseError("unreadable Event")
        params = parse_params(";" + rest) if rest.strip() else {}
        return cls(package, params.get("id"))

    def __str__(self) -> str:
        return self.package if self.id is None else f"{self.package};id={self.id}"


@dataclass(frozen=True, slots=True)
class SubscriptionStateField:
    """The Subscription-State header (§4.1.3): "active", "pending" or "terminated"."""

    state: str
    expires: int | None = None
    reason: str | None = None
    retry_after: int | None = None

    @classmethod
    def parse(cls, text: str) -> SubscriptionStateField:
        """Raises: ParseError."""
        state, _, rest = text.partition(";")
        params = parse_params(";" + rest) if rest.strip() else {}
        if not state.strip():
            raise ParseError("unreadable Subscription-State")
        return cls(
            state.strip().lower(),
            _seconds(params.get("expires")),
            params.get("reason"),
            _seconds(params.get("retry-after")),
        )

    def __str__(self) -> str:
        values = {"expires": self.expires, "reason": self.reason, "retry-after": self.retry_after}
        return self.state + format_params({name: str(value) for name, value in values.items() if value is not None})


def _seconds(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 11 else None


# The notifier


class Delivery(IntEnum):
    """Where the NOTIFYs of one subscription are."""

    IDLE = auto()  # The watcher has the newest state.
    SENDING = auto()  # A NOTIFY waits for its response.
    SENDING_STALE = auto()  # So, and the state has changed since.
    SENDING_LAST = auto()  # So, and the subscription has ended since.
    RESTING = auto()  # The interval between two NOTIFYs.
    RESTING_STALE = auto()
    ENDING = auto()  # The last NOTIFY waits for its response.
    TERMINATED = auto()


class Input(IntEnum):
    SUBSCRIBED = auto()  # A SUBSCRIBE was accepted.
    CHANGED = auto()
    DELIVERED = auto()
    POSTPONED = auto()  # The watcher cannot take it now (503, 491 and the like with Retry-After).
    REFUSED = auto()  # 481, another refusal, or no answer: the watcher is gone.
    RESTED = auto()
    ENDED = auto()


class Action(IntEnum):
    NOTIFY = auto()
    NOTIFY_LAST = auto()
    REST = auto()
    CLOSE = auto()


_D, _I, _A = Delivery, Input, Action

NOTIFIER_TRANSITIONS: Final[dict[tuple[Delivery, Input], tuple[Delivery, tuple[Action, ...]]]] = {
    # §4.2.1.3: "notifiers MUST send a NOTIFY message immediately upon accepting a subscription", so a SUBSCRIBE does
    # not wait for the interval; but it does for a NOTIFY under way.
    (_D.IDLE, _I.SUBSCRIBED): (_D.SENDING, (_A.NOTIFY,)),
    (_D.RESTING, _I.SUBSCRIBED): (_D.SENDING, (_A.NOTIFY,)),
    (_D.RESTING_STALE, _I.SUBSCRIBED): (_D.SENDING, (_A.NOTIFY,)),
    (_D.SENDING, _I.SUBSCRIBED): (_D.SENDING_STALE, ()),
    (_D.IDLE, _I.CHANGED): (_D.SENDING, (_A.NOTIFY,)),
    (_D.SENDING, _I.CHANGED): (_D.SENDING_STALE, ()),
    (_D.RESTING, _I.CHANGED): (_D.RESTING_STALE, ()),
    (_D.SENDING, _I.DELIVERED): (_D.RESTING, (_A.REST,)),
    (_D.SENDING_STALE, _I.DELIVERED): (_D.RESTING_STALE, (_A.REST,)),
    (_D.SENDING_LAST, _I.DELIVERED): (_D.ENDING, (_A.NOTIFY_LAST,)),
    (_D.SENDING, _I.POSTPONED): (_D.RESTING_STALE, (_A.REST,)),
    (_D.SENDING_STALE, _I.POSTPONED): (_D.RESTING_STALE, (_A.REST,)),
    (_D.SENDING_LAST, _I.POSTPONED): (_D.ENDING, (_A.NOTIFY_LAST,)),
    (_D.RESTING, _I.RESTED): (_D.IDLE, ()),
    (_D.RESTING_STALE, _I.RESTED): (_D.SENDING, (_A.NOTIFY,)),
    (_D.IDLE, _I.ENDED): (_D.ENDING, (_A.NOTIFY_LAST,)),
    (_D.RESTING, _I.ENDED): (_D.ENDING, (_A.NOTIFY_LAST,)),
    (_D.RESTING_STALE, _I.ENDED): (_D.ENDING, (_A.NOTIFY_LAST,)),
    (_D.SENDING, _I.ENDED): (_D.SENDING_LAST, ()),
    (_D.SENDING_STALE, _I.ENDED): (_D.SENDING_LAST, ()),
    # §4.2.2: a watcher that answers 481, or not at all, has no subscription any more.
    (_D.SENDING, _I.REFUSED): (_D.TERMINATED, (_A.CLOSE,)),
    (_D.SENDING_STALE, _I.REFUSED): (_D.TERMINATED, (_A.CLOSE,)),
    (_D.SENDING_LAST, _I.REFUSED): (_D.TERMINATED, (_A.CLOSE,)),
    (_D.ENDING, _I.REFUSED): (_D.TERMINATED, (_A.CLOSE,)),
    (_D.ENDING, _I.DELIVERED): (_D.TERMINATED, (_A.CLOSE,)),
    (_D.ENDING, _I.POSTPONED): (_D.TERMINATED, (_A.CLOSE,)),
}


@dataclass(slots=True)
class NotifierSubscription:
    """One subscription as its notifier keeps it. `interval` is the least time between two NOTIFYs."""

    event: EventField
    interval: float
    state: Delivery = Delivery.IDLE
    expires_at: float = inf
    rests_until: float = inf
    reason: str = "timeout"

    def subscribed(self, expires: int, now: float) -> tuple[Action, ...]:
        """A SUBSCRIBE was answered with 2xx: the NOTIFY is due. With 0 it is the last one (§4.4.3, a fetch)."""
        if expires <= 0:
            return self.end("timeout", now)
        self.expires_at = now + expires
        return self._step(Input.SUBSCRIBED, now)

    def changed(self, now: float) -> tuple[Action, ...]:
        """The state that is watched is another one."""
        return self._step(Input.CHANGED, now)

    def answered(self, status: int | None, now: float, *, retry_after: float | None = None) -> tuple[Action, ...]:
        """The final response to the NOTIFY under way; None when there was none."""
        if status is not None and status < 300:
            return self._step(Input.DELIVERED, now)
        if status is not None and retry_after is not None and status != 481:
            actions = self._step(Input.POSTPONED, now)
            self.rests_until = max(self.rests_until, now + retry_after) if self.rests_until < inf else inf
            return actions
        return self._step(Input.REFUSED, now)

    def away(self, now: float) -> tuple[Action, ...]:
        """The NOTIFY under way found no way to the watcher: what is new waits for `back`, or until the end."""
        if self.state is Delivery.SENDING_LAST:
            return self._step(Input.REFUSED, now)
        actions = self._step(Input.POSTPONED, now)
        self.rests_until = inf
        return actions

    def kept(self, expires: float, now: float) -> tuple[Action, ...]:
        """It was opened in a process before this one, and its watcher is not there yet."""
        self.expires_at = now + expires
        self.state = Delivery.RESTING_STALE
        return ()

    def back(self, now: float) -> tuple[Action, ...]:
        """The watcher is there: the NOTIFY is due, after the one under way."""
        return self._step(Input.SUBSCRIBED, now)

    def end(self, reason: str, now: float) -> tuple[Action, ...]:
        """It is over for a reason of §4.1.3: "timeout", "noresource", "deactivated", "rejected"."""
        actions = self._step(Input.ENDED, now)
        if self.state in (Delivery.ENDING, Delivery.SENDING_LAST):
            self.reason = reason
            self.expires_at = inf
        return actions

    def next_deadline(self) -> float:
        """When `due` has something to do."""
        return min(self.expires_at, self.rests_until)

    def due(self, now: float) -> tuple[Action, ...]:
        """Time has passed."""
        if now >= self.expires_at:
            return self.end("timeout", now)
        if now >= self.rests_until:
            self.rests_until = inf
            return self._step(Input.RESTED, now)
        return ()

    def field(self, now: float) -> SubscriptionStateField:
        """The Subscription-State of a NOTIFY sent now."""
        if self.state in (Delivery.ENDING, Delivery.TERMINATED):
            return SubscriptionStateField("terminated", reason=self.reason)
        return SubscriptionStateField("active", expires=max(round(self.expires_at - now), 0))

    def _step(self, input_: Input, now: float) -> tuple[Action, ...]:
        transition = NOTIFIER_TRANSITIONS.get((self.state, input_))
        if transition is None:  # late or of no consequence: absorbed in every state
            return ()
        self.state, actions = transition
        self.rests_until = now + self.interval if Action.REST in actions else inf if actions else self.rests_until
        return actions


# The subscriber


class Wait(IntEnum):
    """What a subscriber waits for."""

    NOTIFY = auto()  # §4.1.2.4: until the first NOTIFY there is no subscription, whatever the response said.
    CHANGES = auto()
    REFRESH = auto()  # A SUBSCRIBE in the dialog waits for its response.
    END = auto()  # One with Expires 0 was sent; its NOTIFY is awaited.
    OVER = auto()


class Heard(IntEnum):
    ACCEPTED = auto()
    REFUSED = auto()  # A final failure of our SUBSCRIBE.
    ACTIVE = auto()  # A NOTIFY: active or pending.
    TERMINATED = auto()  # A NOTIFY: terminated.
    REFRESH_DUE = auto()
    SILENCE = auto()  # Timer N, or the time granted is over.
    LEAVE = auto()


class Do(IntEnum):
    REFRESH = auto()
    UNSUBSCRIBE = auto()
    CLOSE = auto()


_W, _H = Wait, Heard

SUBSCRIBER_TRANSITIONS: Final[dict[tuple[Wait, Heard], tuple[Wait, tuple[Do, ...]]]] = {
    (_W.NOTIFY, _H.ACTIVE): (_W.CHANGES, ()),
    (_W.NOTIFY, _H.REFUSED): (_W.OVER, (Do.CLOSE,)),
    (_W.NOTIFY, _H.SILENCE): (_W.OVER, (Do.CLOSE,)),
    (_W.NOTIFY, _H.LEAVE): (_W.OVER, (Do.CLOSE,)),
    (_W.CHANGES, _H.REFRESH_DUE): (_W.REFRESH, (Do.REFRESH,)),
    (_W.CHANGES, _H.SILENCE): (_W.OVER, (Do.CLOSE,)),
    (_W.CHANGES, _H.LEAVE): (_W.END, (Do.UNSUBSCRIBE,)),
    (_W.REFRESH, _H.ACCEPTED): (_W.CHANGES, ()),
    # §4.1.2.3: 481 and the failures of RFC 5057 end it; of another the old time still counts, and nobody asks again.
    (_W.REFRESH, _H.REFUSED): (_W.OVER, (Do.CLOSE,)),
    (_W.REFRESH, _H.SILENCE): (_W.OVER, (Do.CLOSE,)),
    (_W.REFRESH, _H.LEAVE): (_W.END, (Do.UNSUBSCRIBE,)),
    (_W.END, _H.SILENCE): (_W.OVER, (Do.CLOSE,)),
    (_W.END, _H.REFUSED): (_W.OVER, (Do.CLOSE,)),
} | {(wait, _H.TERMINATED): (_W.OVER, (Do.CLOSE,)) for wait in (_W.NOTIFY, _W.CHANGES, _W.REFRESH, _W.END)}


@dataclass(slots=True)
class SubscriberSubscription:
    """One subscription as its subscriber keeps it. `timer_n` is 64*T1 (§4.1.2.4)."""

    expires: int
    timer_n: float = 32.0
    state: Wait = Wait.NOTIFY
    refresh_at: float = inf
    silent_at: float = inf
    reason: str | None = field(default=None)

    def start(self, now: float) -> None:
        """The SUBSCRIBE goes out."""
        self.silent_at = now + self.timer_n

    def answered(self, status: int | None, now: float, *, expires: int | None = None) -> tuple[Do, ...]:
        """The final response to a SUBSCRIBE of ours; None when there was none."""
        if status is None or status >= 300:
            return self._step(Heard.REFUSED)
        if expires is not None and self.state is not Wait.END:
            self._granted(expires, now)
        return self._step(Heard.ACCEPTED)

    def notified(self, state: SubscriptionStateField, now: float) -> tuple[Do, ...]:
        """A NOTIFY came; "pending" and states that we do not know are as "active" (§4.1.3)."""
        if state.state == "terminated":
            self.reason = state.reason
            return self._step(Heard.TERMINATED)
        actions = self._step(Heard.ACTIVE)
        if self.state is not Wait.END:
            self._granted(self.expires if state.expires is None else state.expires, now)
        return actions

    def leave(self, now: float) -> tuple[Do, ...]:
        """We have seen enough."""
        self.silent_at = now + self.timer_n
        self.refresh_at = inf
        return self._step(Heard.LEAVE)

    def next_deadline(self) -> float:
        """When `due` has something to do."""
        return min(self.refresh_at, self.silent_at)

    def due(self, now: float) -> tuple[Do, ...]:
        """Time has passed."""
        if now >= self.silent_at:
            self.silent_at = self.refresh_at = inf
            return self._step(Heard.SILENCE)
        if now >= self.refresh_at:
            self.refresh_at = inf
            return self._step(Heard.REFRESH_DUE)
        return ()

    def _granted(self, expires: int, now: float) -> None:
        # Timer N counts until the first NOTIFY, however the 2xx speaks.
        if self.state is not Wait.NOTIFY:
            self.silent_at = now + expires
            self.refresh_at = now + max(expires - 5.0, expires * 0.8)

    def _step(self, heard: Heard) -> tuple[Do, ...]:
        transition = SUBSCRIBER_TRANSITIONS.get((self.state, heard))
        if transition is None:
            return ()
        self.state, actions = transition
        return actions
