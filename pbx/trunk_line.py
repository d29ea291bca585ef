"""One trunk as it is now: its calls, whether it is in service, and what it did last.

In service until `FAILURES` failures in a row, whether of a call or of an OPTIONS, and again with the first success. One
that is not asked by OPTIONS is tried again after a while.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import Final

from pbx.output import Row
from pbx.trunk_config import TrunkConfig
from sipcore.flow import Address
from voipat import events

logger: Final = logging.getLogger("pbx.trunks")

FAILURES: Final = 3
# A trunk that nobody asks for by OPTIONS proves itself by a call: one is let through after so long.
RETRY_S: Final = 30.0
# RFC 3261 §21.5.4: who says 503 with Retry-After gets no request before; but nobody is believed for longer than this.
MAX_REST_S: Final = 600.0
# What a registrar may teach us of where its calls come from.
MAX_LEARNED: Final = 16


def _nobody(event: events.Event) -> None:
    """Until somebody wants to know."""


def _nothing() -> None:
    """Until somebody wants to know."""


class TrunkLine:
    """State and counters of a trunk. `token` is the user part of our Contact there, which no other trunk has."""

    def __init__(
        self,
        tenant: str,
        config: TrunkConfig,
        token: str,
        now: Callable[[], float],
        publish: Callable[[events.Event], None] = _nobody,
        on_learned: Callable[[], None] = _nothing,
    ) -> None:
        self.publish: Final = publish
        self._on_learned: Final = on_learned
        self.tenant = tenant
        self.config = config
        self.token: Final = token
        self.calls = 0
        self.registration = ""
        self.learned: list[tuple[str, int | None]] = []
        self.service_route: tuple[str, ...] = ()
        self.counters: Final[Counter[str]] = Counter()
        self.last = ""
        self._now = now
        self._failures = 0
        self._is_out = False
        self._retry_at = 0.0
        self._rests_until = 0.0
        self._allowed_at = 0.0

    # In service

    @property
    def in_service(self) -> bool:
        """Whether calls may go there."""
        if self._now() < self._rests_until:
            return False
        if not self._is_out:
            return True
        return self.config.options_s == 0 and self._now() >= self._retry_at

    def succeeded(self) -> None:
        """It reacted."""
        self._failures = 0
        self.last = "answered"
        if self._is_out:
            self._is_out = False
            logger.warning("trunk is back", extra=self._names())
            self.publish(events.TrunkInService(self.tenant, self.config.name, True, self.last))

    def failed(self, why: str) -> None:
        """It did not react, or could not; `why` is for people."""
        self._failures += 1
        self.counters["failures"] += 1
        self.last = why
        self._retry_at = self._now() + RETRY_S
        if self._failures >= FAILURES and not self._is_out:
            self._is_out = True
            logger.warning("trunk is out of service", extra={**self._names(), "why": why})
            self.publish(events.TrunkInService(self.tenant, self.config.name, False, why))

    def rest(self, seconds: float) -> None:
        """It wants no more requests for so long."""
        self._rests_until = self._now() + min(seconds, MAX_REST_S)

    # Room

    def has_room(self) -> bool:
        """Whether one more call may go there now; takes nothing."""
        config = self.config
        if config.max_calls is not None and self.calls >= config.max_calls:
            return False
        # As many at once as in a second; then one each 1/cps.
        return config.cps is None or self._allowed_at <= self._now() + 1.0 - 1.0 / config.cps + 1e-9

    def take(self) -> None:
        """One call more; give it back by `release`."""
        self.calls += 1
        self.counters["calls"] += 1
        if self.config.cps is not None:
            self._allowed_at = max(self._allowed_at, self._now()) + 1.0 / self.config.cps

    def release(self) -> None:
        """The call is over."""
        assert self.calls > 0, "released once for each take"
        self.calls -= 1

    # Where it calls from

    def learn(self, source: Address, *, port: bool) -> None:
        """A registrar that accepted us sends our calls from where it answers."""
        found = (source.host, source.port if port else None)
        if found not in self.learned:
            self.learned = [*self.learned[-MAX_LEARNED + 1 :], found]
            self._on_learned()

    def row(self) -> Row:
        """For `voipat trunks`."""
        config = self.config
        return {
            "tenant": self.tenant,
            "trunk": config.name,
            "host": config.host if config.port is None else str(Address(config.host, config.port)),
            "transport": config.transport,
            "state": "out" if self._is_out else "in",
            "registration": self.registration or None,
            "calls": self.calls,
            "max_calls": config.max_calls,
            "cps": config.cps,
            "priority": config.priority,
            "weight": config.weight,
            "placed": self.counters["calls"],
            "failures": self.counters["failures"],
            "last": self.last or None,
        }

    def _names(self) -> dict[str, str]:
        return {"tenant": self.tenant, "trunk": self.config.name}
