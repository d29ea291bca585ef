"""Who calls whom, and how far a call is."""

from __future__ import annotations

from enum import Enum

from sipcore.errors import ParseError
from sipcore.uri import Uri, unescape
from sipcore.values import value_object
from voipat import events


class CallState(Enum):
    """How far a call is."""

    TRYING = "trying"
    RINGING = "ringing"
    ANSWERED = "answered"
    ENDED = "ended"


@value_object(frozen=True, slots=True)
class Parties:
    """Who calls whom, as the CDR says it. `linked_id` is the id of the call's first leg."""

    id: str
    linked_id: str
    tenant: str
    caller: str
    callee: str

    @property
    def leg(self) -> events.LegName:
        """The first of its call, or one that was called for it."""
        return "a" if self.id == self.linked_id else "b"


@value_object(frozen=True, slots=True)
class Role:
    """Who calls whom, as a handler sees it."""

    to: Uri
    from_: Uri
    caller: str
    callee: str
    transferred_by: str | None = None


def user_of(uri: Uri) -> str:
    """The user part, unescaped; the host of a URI without one."""
    try:
        return unescape(uri.user) if uri.user else uri.host
    except ParseError:
        return uri.user or uri.host
