"""The Reason header field (RFC 3326), in requests and in responses (RFC 6432): why a call ends, by protocol.

Reason: SIP ;cause=200 ;text="Call completed elsewhere", Q.850 ;cause=26
"""

from __future__ import annotations

import re
from typing import Final

from sipcore.message import Message

SIP: Final = "SIP"
Q850: Final = "Q.850"

_PROTOCOL = re.compile(r"\s*([A-Za-z0-9.!%*_+`'~-]+)\s*(?:;|$)")
_CAUSE = re.compile(r";\s*cause\s*=\s*([0-9]{1,4})\s*(?:;|$)", re.IGNORECASE)
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')


def causes_of(message: Message) -> dict[str, int]:
    """The cause of each protocol (upper case) that a message names; one value for each (§2), so that the first counts.

    A value without a cause, or one that cannot be read, says nothing.
    """
    found: dict[str, int] = {}
    for value in message.headers.get_all("Reason"):
        bare = _QUOTED.sub("", value)
        protocol, cause = _PROTOCOL.match(bare), _CAUSE.search(bare)
        if protocol is not None and cause is not None:
            found.setdefault(protocol[1].upper(), int(cause[1]))
    return found


def q850_cause(message: Message) -> int | None:
    """The cause of Q.850, 1 to 127; None when the message has none."""
    cause = causes_of(message).get(Q850)
    return cause if cause is not None and 1 <= cause <= 127 else None


def is_completed_elsewhere(message: Message) -> bool:
    """Whether a CANCEL or BYE says that somebody else has taken the call, so that it was not missed here."""
    causes = causes_of(message)
    return causes.get(SIP) == 200 or causes.get(Q850) == 26
