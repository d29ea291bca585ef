"""The ladder: every message that a simulated network carried, as plain text, and a digest of the whole run.

    0.000 alice → voipat  INVITE sip:1002@office.test
    0.010 voipat → alice  401 Unauthorized (INVITE)
    0.020 alice → voipat  ACK sip:1002@office.test  lost

Times are those of sending. The digest covers time, addresses, fate and bytes of everything sent, RTP too: two runs
with the same digest did the same.
"""

from __future__ import annotations

import hashlib
import struct
from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

from sipcore.flow import Address
from voipat.trace import kind_of, summary

# A week-long run must not fill the memory with its ladder; the digest covers what falls off the end.
KEPT_MESSAGES = 20_000


class Rung(NamedTuple):
    """One message on the wire; `fate` is empty, or says what the network did to it ("lost", "duplicated" …)."""

    time: float
    source: Address
    destination: Address
    data: bytes
    fate: str = ""

    @property
    def kind(self) -> str:
        """ "INVITE" for a request, "200 INVITE" for a response."""
        return kind_of(self.data)


class Ladder:
    """What was sent, in order; `name_of` gives a node's name for its address."""

    def __init__(self, name_of: Callable[[Address], str], *, keep: int = KEPT_MESSAGES) -> None:
        self._name_of = name_of
        self._rungs: deque[Rung] = deque(maxlen=keep)
        self._digest = hashlib.blake2b(digest_size=16)
        self.messages = 0

    def __iter__(self) -> Iterator[Rung]:
        return iter(self._rungs)

    def add(self, rung: Rung) -> None:
        """Record a SIP message."""
        self.messages += 1
        self._rungs.append(rung)
        self.add_media(rung)

    def add_media(self, rung: Rung) -> None:
        """Count a packet in the digest without a line of its own."""
        head = f"{rung.source} {rung.destination} {rung.fate} {len(rung.data)} "
        self._digest.update(struct.pack("!d", rung.time) + head.encode() + rung.data)

    def digest(self) -> str:
        """The digest of everything so far, as hex."""
        return self._digest.copy().hexdigest()

    def lines(self, *, times: bool = True, uris: bool = True) -> list[str]:
        """One line a message; without `times` and `uris` it is what a test compares with its own text."""
        return [self._line(rung, times=times, uris=uris) for rung in self._rungs]

    def text(self, *, times: bool = True, uris: bool = True) -> str:
        """The ladder as one text."""
        dropped = self.messages - len(self._rungs)
        lead = [f"({dropped} earlier messages are not kept)"] if dropped else []
        return "\n".join([*lead, *self.lines(times=times, uris=uris)])

    def _line(self, rung: Rung, *, times: bool, uris: bool) -> str:
        time = f"{rung.time:9.3f} " if times else ""
        way = f"{self._name_of(rung.source)} → {self._name_of(rung.destination)}"
        fate = f"  {rung.fate}" if rung.fate else ""
        return f"{time}{way}  {summary(rung.data, uris=uris)}{fate}"
