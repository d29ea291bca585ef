"""R6: all phones of an operator register at once after a power cut, on a modelled server, while people call.

A message costs four times what it does (`modelled_server`), so that 50,000 phones within a minute and twenty calls a
second are more than the core can do. What is too much is refused with a Retry-After, which spreads the phones out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import pytest

from tests.sim.modelled_server import T1, ModelledServer, _Call
from voipat.overload import Kind

PHONES: Final = 50_000
MINUTE_S: Final = 60.0
CALLS_A_SECOND: Final = 20.0
# Each of its two messages: without credentials, and with them.
REGISTER_MS: Final = 4 * 0.134


@dataclass(slots=True)
class Avalanche(ModelledServer):
    """Phones that register: challenged, then with credentials; refused, again when they were told."""

    registered: list[float] = field(default_factory=list)
    retries: list[float] = field(default_factory=list)
    set_up: list[float] = field(default_factory=list)
    _began: dict[int, tuple[float, _Call]] = field(default_factory=dict)

    def power_is_back(self, phones: int, seconds: float) -> None:
        """So many come for the first time within so many seconds, at random."""
        for _ in range(phones):
            self._at(self._random.uniform(0.0, seconds), self._come)

    def _come(self, now: float) -> None:
        self._ask(now, "register", _Call("register"))

    def _ask(self, now: float, message: str, phone: _Call, again_s: float = T1) -> None:
        """Into the queue, and again after a while when there is no answer (RFC 3261 §17.1.2.2, timer E)."""
        self._queue.append((now, message, phone))

        def repeat(now: float) -> None:
            if phone.stage == message:
                self.told["registrations repeated"] += 1
                self._ask(now, message, phone, min(2 * again_s, 4.0))

        self._at(now + again_s, repeat)

    def _serve(self, arrived: float, message: str, call: _Call) -> None:
        if message.startswith("register"):
            self._serve_registration(arrived, message, call)
            return
        if message == call.stage == "first":
            self._began[id(call)] = arrived, call
        ModelledServer._serve(self, arrived, message, call)

    def _serve_registration(self, arrived: float, message: str, phone: _Call) -> None:
        self.waits.append((self.now, self.now - arrived))
        if message != phone.stage:
            self._work(self.refusal_ms)
        elif message == "register with credentials":
            # Who answers our challenge was let in.
            phone.stage = "registered"
            self._work(REGISTER_MS)
            self.registered.append(self.now)
        elif self.overload.is_watching and not self.overload.admits(Kind.REGISTRATION):
            phone.stage = "refused"
            self._work(self.refusal_ms)
            self.retries.append(self.now + self.overload.retry_after())
            self._at(self.retries[-1], self._come)
        else:
            phone.stage = "register with credentials"
            self._work(REGISTER_MS)
            self._at(self.now, lambda now: self._ask(now, phone.stage, phone))

    def _follow(self, message: str, call: _Call) -> None:
        if message == "200":
            self.set_up.append(self.now - self._began.pop(id(call))[0])
        ModelledServer._follow(self, message, call)


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [MINUTE_S, 20.0], ids=["within a minute", "within twenty seconds"])
def test_fifty_thousand_phones_are_registered_within_three_minutes_and_calls_do_not_wait(seconds: float) -> None:
    server = Avalanche(hold_s=5.0)
    server.power_is_back(PHONES, seconds)
    server.run(lambda now: CALLS_A_SECOND, 180.0)
    assert len(server.registered) == PHONES and max(server.registered) <= 180.0
    set_up = sorted(server.set_up)
    assert len(set_up) > 0.95 * CALLS_A_SECOND * 175.0, "calls go on meanwhile"
    assert set_up[len(set_up) * 99 // 100] < 0.5
    # Nobody waits so long that it repeats, and who was refused comes back spread over a time.
    assert server.told["registrations repeated"] < 0.01 * PHONES
    assert server.told["refused"] == server.told["refused later"] == 0, "no call is refused for the phones' sake"
    assert server.retries
    spread = [sum(second <= at < second + 1.0 for at in server.retries) for second in range(180)]
    assert max(spread) < 0.1 * PHONES


def test_a_storm_that_the_core_can_take_refuses_nobody() -> None:
    server = Avalanche(hold_s=5.0)
    server.power_is_back(5_000, 10.0)
    server.run(lambda now: CALLS_A_SECOND, 12.0)
    assert len(server.registered) == 5_000 and not server.retries
