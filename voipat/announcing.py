"""The events of an App, and who is told of them."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from typing import Final

from voipat import events

logger: Final = logging.getLogger("voipat")


class Announcer:
    """Tells its listeners every event at once and in order; one that fails costs nobody else anything."""

    def __init__(self) -> None:
        self._listeners: list[tuple[events.Listener, frozenset[type] | None]] = []
        # By the event's class, found at its first event: most listeners want few classes.
        self._told: dict[type, list[events.Listener]] = {}
        self.counters: Final[Counter[str]] = Counter()

    def subscribe(self, listener: events.Listener, kinds: Iterable[type] | None = None) -> None:
        """As `App.subscribe`."""
        self._listeners.append((listener, None if kinds is None else frozenset(kinds)))
        self._told.clear()

    def publish(self, event: events.Event) -> None:
        """Tell the listeners."""
        kind = type(event)
        told = self._told.get(kind)
        if told is None:
            told = self._told[kind] = [each for each, kinds in self._listeners if kinds is None or kind in kinds]
        for listener in told:
            try:
                listener(event)
            except Exception:
                self.counters["listener_errors"] += 1
                logger.exception("bug: a listener failed at %s", kind.__name__)
