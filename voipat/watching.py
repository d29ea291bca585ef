"""One subscription of a peer to something of ours: its NOTIFYs, their responses and its timers, in its dialog."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from math import inf
from typing import Protocol

from sipcore.errors import LocalProtocolError
from sipcore.events import DialogId, RequestFailed, ResponseReceived
from sipcore.message import Response
from sipcore.subscription import Action, EventField, NotifierSubscription
from voipat.exchange import Exchange

Headers = Sequence[tuple[str, str]]

# A watcher that wants to be left alone for longer than this has no use for a lamp.
MAX_RETRY_AFTER: float = 60.0


def _never() -> bool:
    return False


class Watched(Protocol):
    """What a subscription is to."""

    def render(self, watch: Watch) -> tuple[Headers, bytes]:
        """The headers and the body of a NOTIFY sent now."""

    def closed(self, watch: Watch) -> None:
        """The subscription is over."""


class Watch:
    """Runs a `NotifierSubscription`. `pace` may put off a NOTIFY; it then calls `send` when its turn has come.

    `is_away` is asked when nobody has answered: whether the watcher is to be waited for, until `came_back`.
    """

    def __init__(  # where, what, how often
        self,
        exchange: Exchange,
        dialog: DialogId,
        event: EventField,
        watched: Watched,
        *,
        loop: asyncio.AbstractEventLoop,
        interval: float = 0.0,
        pace: Callable[[Watch], None] | None = None,
        is_away: Callable[[], bool] = _never,
    ) -> None:
        self.dialog = dialog
        self.machine = NotifierSubscription(event, interval)
        self._exchange = exchange
        self._watched = watched
        self._loop = loop
        self._pace = pace
        self._is_away = is_away
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = inf
        exchange.endpoint.open_usage(dialog)

    @property
    def is_over(self) -> bool:
        """True when no NOTIFY will come any more but the last."""
        return self.machine.expires_at == inf

    # What happens

    def subscribed(self, expires: int) -> None:
        """Its SUBSCRIBE, or REFER, was accepted."""
        self._perform(self.machine.subscribed(expires, self._loop.time()))

    def changed(self) -> None:
        """What it watches has changed."""
        self._perform(self.machine.changed(self._loop.time()))

    def kept(self, expires: float) -> None:
        """It comes from a process before this one, and its watcher is away."""
        self._perform(self.machine.kept(expires, self._loop.time()))

    def came_back(self) -> None:
        """Who was away is there."""
        self._perform(self.machine.back(self._loop.time()))

    def end(self, reason: str) -> None:
        """Say a last time how it is, and that it is over."""
        self._perform(self.machine.end(reason, self._loop.time()))

    def drop(self) -> None:
        """Forget it without a word: the watcher came back under another dialog, or we end."""
        self._close()

    def send(self) -> None:
        """Send the NOTIFY that is due."""
        if self._watched is not _NOTHING:
            self._send()

    def on_response(self, event: ResponseReceived) -> None:
        """The response to our NOTIFY."""
        if event.response.status >= 200:
            self._answered(event.response.status, _retry_after(event.response))

    def on_failure(self, event: RequestFailed) -> None:
        """Nobody answered it."""
        if self._watched is not _NOTHING and self._is_away():
            self._perform(self.machine.away(self._loop.time()))
        else:
            self._answered(None, None)

    # What comes of it

    def _answered(self, status: int | None, retry_after: float | None) -> None:
        if self._watched is not _NOTHING:
            self._perform(self.machine.answered(status, self._loop.time(), retry_after=retry_after))

    def _perform(self, actions: tuple[Action, ...]) -> None:
        for action in actions:
            if action is Action.CLOSE:
                self._close()
                return
            if action is Action.NOTIFY and self._pace is not None:
                self._pace(self)
            elif action is not Action.REST:
                self._send()
        self._arm()

    def _send(self) -> None:
        field = self.machine.field(self._loop.time())
        headers, body = self._watched.render(self)
        lines = [("Event", str(self.machine.event)), ("Subscription-State", str(field)), *headers]
        try:
            self._exchange.send_in_dialog(self, self.dialog, "NOTIFY", lines, body)
        except LocalProtocolError:
            self._close()

    def _arm(self) -> None:
        due = self.machine.next_deadline()
        if due == self._timer_at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = due
        self._timer = None if due == inf else self._loop.call_at(due, self._due)

    def _due(self) -> None:
        self._timer, self._timer_at = None, inf
        self._perform(self.machine.due(self._loop.time()))

    def _close(self) -> None:
        watched, self._watched = self._watched, _NOTHING
        if watched is _NOTHING:
            return
        if self._timer is not None:
            self._timer.cancel()
        exchange = self._exchange
        exchange.driver.execute(exchange.endpoint.close_usage(self.dialog, exchange.now()))
        watched.closed(self)


class _Nothing:
    def render(self, watch: Watch) -> tuple[Headers, bytes]:
        return (), b""

    def closed(self, watch: Watch) -> None:
        """It is."""


_NOTHING: Watched = _Nothing()


def _retry_after(response: Response) -> float | None:
    text = (response.headers.get("Retry-After") or "").partition(";")[0].partition("(")[0].strip()
    return min(float(text), MAX_RETRY_AFTER) if text.isascii() and text.isdigit() and len(text) < 11 else None
