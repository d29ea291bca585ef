"""Who sits at which phone: a person who is not there by the phone's own number (hot desks).

A call from that phone is the person's, and calls to the person ring there. What concerns the phone itself (its
registration, what it watches, whether it answers) stays the phone's.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from sipcore.fields import NameAddr
from sipcore.uri import Uri, escape_user
from sipcore.values import made_in_c
from voipat.accounts import Identity, TrunkIdentity


class Person(NamedTuple):
    """A user, and the name that others see."""

    user: str
    name: str | None = None


class Seats(Protocol):
    """Every answer comes from memory, at once."""

    def person_at(self, tenant: str, phone: str) -> Person | None:
        """Who sits at the phone of this user; None: the user itself."""

    def phone_of(self, tenant: str, user: str) -> str:
        """The user whose phones ring for this one: itself, unless it sits elsewhere."""


@made_in_c
class Caller(NamedTuple):
    """Whose a call or message is, and the user whose phone it came from, "" where it is the same."""

    identity: Identity | None
    from_: NameAddr
    seat: str = ""


def caller_of(seats: Seats | None, identity: Identity | None, from_: NameAddr) -> Caller:
    """Whose a request is that came with this identity; who hides stays hidden."""
    if seats is None or identity is None or isinstance(identity, TrunkIdentity):
        return Caller(identity, from_)
    person = seats.person_at(identity.tenant, identity.user)
    if person is None:
        return Caller(identity, from_)
    user = escape_user(person.user)
    shown = NameAddr(Uri("sip", user, identity.tenant), person.name)
    hides = from_.uri.user != escape_user(identity.user)
    return Caller(Identity(identity.tenant, person.user), from_ if hides else shown, identity.user)
