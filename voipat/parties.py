"""Who calls whom, and how far a call is."""

from __future__ import annotations

from enum import Enum

from sipcore.errors import ParseError
from sipcore.uri import Uri, escape_user, telephone_number, unescape
from sipcore.values import value_object
from voipat import events, reasons
from voipat.errors import Rejected


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


def name_of(uri: Uri) -> str:
    """The user part, unescaped; "" for none."""
    try:
        return unescape(uri.user or "")
    except ParseError:
        return uri.user or ""


def user_of(uri: Uri) -> str:
    """The user part, unescaped; the host of a URI without one."""
    user = uri.user
    return user if user and "%" not in user else name_of(uri) or uri.host


def as_sip(uri: Uri, domain: str) -> Uri:
    """A telephone number as a SIP URI, of `domain` where it has none (RFC 3261 §19.1.6); any other URI as it is."""
    number = telephone_number(uri)
    if number is None:
        return uri
    if uri.scheme == "tel":
        return Uri("sip", escape_user(number), domain, params={"user": "phone"})
    return uri if number == uri.user else uri.replace(user=escape_user(number))


def address_of(target: str | Uri, domain: str) -> Uri:
    """A URI, or a number in this domain. Raises: ParseError."""
    if isinstance(target, Uri):
        return target
    return Uri.parse(target if ":" in target else f"sip:{escape_user(target)}@{domain}")


def called_by(target: str | Uri, domain: str) -> Uri:
    """Whom to call. Raises: Rejected for what is no address."""
    try:
        return address_of(target, domain)
    except ParseError as error:
        raise Rejected(reasons.BAD_TARGET) from error
