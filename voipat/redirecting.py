"""3xx, both ways: what a caller is told by `Call.redirect`, and where a call goes that a phone or trunk redirects.

A phone may send a call to the users of its own tenant and nowhere else, a trunk where its `redirects` says; no contact
is tried twice, and one `dial` follows so many at most (RFC 3261 §8.1.3.4). What is not followed is `Redirected`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from sipcore.errors import ParseError
from sipcore.fields import NameAddr, qvalue
from sipcore.message import Response
from sipcore.uri import Uri, escape_user
from voipat import reasons
from voipat.legs import InboundLeg

if TYPE_CHECKING:
    from voipat.call import Call
    from voipat.dialing import DialTarget


@dataclass(frozen=True, slots=True)
class Placed:
    """Whom to ring instead, and the place that it takes from its INVITE on while one of its phones has the call.

    Entering `place` raises Rejected when there is none.
    """

    target: DialTarget
    place: Callable[[], AbstractContextManager[object]]


# Whom to ring instead, in the same `dial`: asked with the leg that was redirected and its contacts, best first.
RedirectPolicy = Callable[["Call", Sequence[Uri]], Sequence["DialTarget | Placed"]]

# Contacts of one response that are looked at, and those that one `dial` follows, over all of its legs.
MAX_CONTACTS: Final = 8
MAX_FOLLOWED: Final = 8

_FOLLOWED_SCHEMES: Final = ("sip", "sips", "tel")
# RFC 3261 §21.3: 305 names a proxy and 380 another service; neither is another place of the callee.
_MOVED: Final = (300, 301, 302)


def contacts_of(response: Response) -> tuple[Uri, ...]:
    """Where a 300, 301 or 302 says that the callee is, by `q`; () for other responses."""
    if response.status not in _MOVED:
        return ()
    try:
        found = response.contacts[:MAX_CONTACTS]
    except ParseError:
        return ()
    usable = [each for each in found if each.uri.scheme in _FOLLOWED_SCHEMES]
    return tuple(dict.fromkeys(each.uri for each in sorted(usable, key=_q, reverse=True)))


def _q(contact: NameAddr) -> float:
    return qvalue(contact.params.get("q"), 0.0)


def targets_of(attempt: Call) -> list[DialTarget | Placed]:
    """Whom to ring for a leg that was redirected."""
    contacts, gateway, switch = attempt.moved_to, attempt.gateway, attempt.switch
    if gateway is not None:
        if gateway.redirects != "follow":
            return []
        # Never with our credentials, whoever may be there (security.md H8).
        usable = (each for each in contacts if each.scheme != "tel" and not each.headers)
        return [replace(gateway, uri=each, routes=(), flow=None, login=None) for each in usable]
    if switch.on_redirect is not None:
        return list(switch.on_redirect(attempt, contacts))
    return [each for each in contacts if is_own(attempt, each)]


def is_own(attempt: Call, contact: Uri) -> bool:
    """Whether a contact is a user of the tenant that the leg belongs to."""
    flow = attempt.leg.flow
    if flow is None or not attempt.tenant or contact.scheme not in ("sip", "sips"):
        return False
    return attempt.switch.domain_of(contact, flow) == attempt.tenant


def redirect(call: Call, targets: Sequence[str | Uri], *, is_permanent: bool) -> None:
    """As `Call.redirect`, of a call whose INVITE waits for its answer. Raises: ValueError."""
    leg = call.leg
    if not isinstance(leg, InboundLeg) or leg.is_final:
        raise ValueError("only a call that came in and was not answered can be redirected")
    contacts = [_contact(call, target) for target in targets[:MAX_CONTACTS]]
    if not contacts:
        raise ValueError("a call is redirected to one target at least")
    by = NameAddr(Uri("sip", escape_user(call.callee), call.tenant or call.to.host))
    values = [f"<{uri}>;q={1.0 - place / 10:.1f}" for place, uri in enumerate(contacts)]
    leg.final_headers = (
        *(("Contact", value) for value in values),
        ("Diversion", f"{by};reason=unconditional"),
    )
    reason = reasons.SENT_ELSEWHERE
    call.end("server", reason, status=301 if is_permanent else reason.status, by_handler=True)


def _contact(call: Call, target: str | Uri) -> Uri:
    if isinstance(target, Uri):
        uri = target
    else:
        try:
            uri = Uri.parse(target if ":" in target else f"sip:{escape_user(target)}@{call.tenant or call.to.host}")
        except ParseError as error:
            raise ValueError(f"{target!r} is no address to redirect to") from error
    if uri.scheme not in _FOLLOWED_SCHEMES:
        raise ValueError(f"{uri} is no address to redirect to: sip, sips or tel")
    return uri
