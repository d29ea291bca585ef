"""A phone answers 3xx: which of its contacts the call may go to. Only what its tenant has inside: a phone, or who got
hold of one, must not send calls to where they cost (security.md H20)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from pbx.decisions import (
    Decision,
    OnBehalf,
    ToAnnouncement,
    ToConference,
    ToExtension,
    ToGroup,
    ToMailbox,
    ToMenu,
    ToQueue,
)
from pbx.directory import Directory
from pbx.identity import number_of
from pbx.routing import route
from pbx.tenant_state import TenantState
from pbx.tenants import ExtensionConfig
from sipcore.uri import Uri
from voipat import Call
from voipat.redirecting import is_own

_INSIDE: Final = (ToExtension, ToGroup, ToQueue, ToMenu, ToMailbox, ToConference, ToAnnouncement)


def moved_to(
    directory: Directory,
    leg: Call,
    extension: ExtensionConfig,
    contacts: Sequence[Uri],
    *,
    hops: int,
    state: TenantState,
) -> Iterator[Decision]:
    """Where the contacts of a 3xx lead, for those that may be followed, best first."""
    if extension.redirects != "follow":
        return
    for contact in contacts:
        if not is_own(leg, contact):
            leg.note("not followed: %s is nobody of %s", contact, leg.tenant)
            continue
        source = OnBehalf(extension.number, hops)
        found = route(directory, leg.tenant, number_of(contact), leg.started, source, state=state)
        if isinstance(found.target, _INSIDE):
            yield found
        else:
            leg.note("not followed: %s leads out of %s", contact, leg.tenant)
