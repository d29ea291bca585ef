"""Keeps the ways to the phones open, and knows which phones answer.

Asked are the phones that registered over UDP, whose way may end at a NAT or a firewall that forgets, and those on a
stream whose Contact is not the address they came from, so that a NAT is between. One timer for all: the bindings stand
in a ring, and as many are asked at each tick as lets every one have its turn once in an interval, never more.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from sipcore.errors import SipError
from sipcore.events import RequestFailed, ResponseReceived
from sipcore.message import Request
from sipcore.outputs import Transmit
from sipcore.uri import Uri
from voipat import events
from voipat.dialing import Target, target_of
from voipat.exchange import Exchange
from voipat.location import Binding

TICK_S: Final = 0.05
LONGEST_TICK_S: Final = 1.0
# After a loop that stood still: what was missed is not made up for at once.
MOST_TICKS_AT_ONCE: Final = 2
# RFC 5626 §3.5.1: what a phone answers on a stream, and nobody has to read in a datagram.
CRLF: Final = b"\r\n\r\n"
# These come from a proxy in between that did not reach the phone (RFC 3261 §21.4.9, RFC 5626 §11.2.1).
NOT_FROM_THE_PHONE: Final = (408, 430)

_Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class KeepAlivePolicy:
    """Each binding is asked every `interval_s`; after `failures` questions in a row without an answer it counts as
    unreachable. "crlf" keeps NATs open for less, but nobody answers it, so it finds no phone that is gone.
    """

    interval_s: float = 30.0
    method: Literal["options", "crlf"] = "options"
    failures: int = 3


class _Kept:
    """One binding in the ring; `binding` is None when it is gone and only waits for its turn to be dropped."""

    __slots__ = ("binding", "failures", "question")

    def __init__(self, binding: Binding) -> None:
        self.binding: Binding | None = binding
        self.failures = 0
        self.question: _Question | None = None


class _Question:
    """One OPTIONS that waits for its answer."""

    __slots__ = ("_keeper", "_kept")

    def __init__(self, keeper: KeepAlive, kept: _Kept) -> None:
        self._keeper = keeper
        self._kept = kept

    def on_response(self, event: ResponseReceived) -> None:
        """Whatever the phone says, it is there."""
        status = event.response.status
        if status in NOT_FROM_THE_PHONE:
            self.give_up()
        elif status >= 200:
            self._kept.question = None
            self._keeper.answered(self._kept)

    def on_failure(self, event: RequestFailed) -> None:
        """No answer at all."""
        self.give_up()

    def give_up(self) -> None:
        """Count it, once."""
        # Otherwise its turn came again before the transaction gave up, and it was counted then.
        if self._kept.question is self:
            self._kept.question = None
            self._keeper.unanswered(self._kept)


class KeepAlive:
    """The ring of bindings, its timer, and who did not answer."""

    def __init__(
        self,
        policy: KeepAlivePolicy,
        exchange: Exchange,
        loop: asyncio.AbstractEventLoop,
        publish: Callable[[events.Event], None],
    ) -> None:
        self._policy: Final = policy
        self._exchange = exchange
        self._loop = loop
        self._publish = publish
        self._kept: dict[_Key, _Kept] = {}
        self._ring: deque[_Kept] = deque()
        self._turns = 0.0
        self._ticked_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def changed(self, saved: Iterable[Binding], removed: Sequence[Binding]) -> None:
        """A REGISTER changed these bindings, or they expired; one that was renewed is reachable."""
        renewed = {_key(binding) for binding in saved if self._keep(binding)}
        for binding in removed:
            key = _key(binding)
            if key not in renewed:
                self._forget(key)

    def is_reachable(self, binding: Binding) -> bool | None:
        """None: nobody asks."""
        kept = self._kept.get(_key(binding))
        if kept is None or self._policy.method == "crlf":
            return None
        return kept.failures < self._policy.failures

    def close(self) -> None:
        """Ask no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._kept.clear()
        self._ring.clear()

    def answered(self, kept: _Kept) -> None:
        """The phone is there."""
        was_unreachable = kept.failures >= self._policy.failures
        kept.failures = 0
        binding = kept.binding
        if was_unreachable and binding is not None:
            self._publish(events.BindingReachable(binding.tenant, binding.aor, binding.contact, binding.received))

    def unanswered(self, kept: _Kept) -> None:
        """The phone did not answer one question."""
        kept.failures += 1
        binding = kept.binding
        if kept.failures == self._policy.failures and binding is not None:
            self._publish(
                events.BindingUnreachable(binding.tenant, binding.aor, binding.contact, binding.received, kept.failures)
            )

    def _keep(self, binding: Binding) -> bool:
        if not _is_asked(binding):
            return False
        key = _key(binding)
        kept = self._kept.get(key)
        if kept is not None:
            kept.binding = binding
            kept.question = None
            self.answered(kept)
            return True
        kept = self._kept[key] = _Kept(binding)
        self._ring.append(kept)
        if self._timer is None:
            self._turns, self._ticked_at = 0.0, self._loop.time()
            self._arm()
        return True

    def _forget(self, key: _Key) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            kept.binding = None

    def _arm(self) -> None:
        until_next = (1.0 - self._turns) * self._policy.interval_s / len(self._kept)
        self._timer = self._loop.call_later(min(max(until_next, TICK_S), LONGEST_TICK_S), self._tick)

    def _tick(self) -> None:
        self._timer = None
        now = self._loop.time()
        rate = len(self._kept) / self._policy.interval_s
        most = 1.0 + MOST_TICKS_AT_ONCE * TICK_S * rate
        self._turns = min(self._turns + (now - self._ticked_at) * rate, most)
        self._ticked_at = now
        while self._ring and self._turns >= 0.999999:
            kept = self._ring.popleft()
            if kept.binding is not None:
                self._turns -= 1.0
                self._ring.append(kept)
                self._ask(kept, kept.binding)
        if self._kept:
            self._arm()
        else:
            self._ring.clear()

    def _ask(self, kept: _Kept, binding: Binding) -> None:
        target = target_of(binding)
        if self._policy.method == "crlf":
            assert target.flow is not None, "a binding has its flow"
            self._exchange.driver.execute((Transmit(CRLF, target.flow),))
            return
        if kept.question is not None:
            self.unanswered(kept)
        question = kept.question = _Question(self, kept)
        try:
            self._exchange.send(question, _options(binding, target), target.flow)
        except SipError:
            question.give_up()


def _key(binding: Binding) -> _Key:
    return binding.tenant, binding.aor, binding.key


def _is_asked(binding: Binding) -> bool:
    if not binding.flow.reliable:
        return True
    return Uri.parse(binding.contact).host.strip("[]") != binding.flow.remote.host


def _options(binding: Binding, target: Target) -> Request:
    """RFC 3261 §11.1."""
    headers = [("Route", value) for value in target.path]
    headers += [("Max-Forwards", "70"), ("From", f"<sip:{binding.tenant}>"), ("Accept", "application/sdp")]
    return Request("OPTIONS", target.uri, headers)
