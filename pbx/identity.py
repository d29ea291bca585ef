"""Who a call says it is from, across the edge of trust: RFC 3323, RFC 3325, RFC 5806.

    from →            a phone, a trunk without trust        a trunk with identity = "pai"
    what is believed  From                                  P-Asserted-Identity before From, Diversion
    → to              phone: From, nothing else             trunk without trust: From; with it: From, PAI, Diversion
    hidden            From anonymous, no PAI, no Diversion  From anonymous; PAI with `Privacy: id`
    connected         phone: PAI and Remote-Party-ID        trunk with identity = "pai": PAI of a number that it allows

With identity = "rpid" Remote-Party-ID stands in the place of P-Asserted-Identity, its `privacy` in that of Privacy.

Nothing that came in goes on by itself: the other leg's headers are written here, from what is believed.
"""

from __future__ import annotations

from dataclasses import dataclass

from pbx.diversions import shortened
from pbx.tenants import TenantConfig
from pbx.trunk_config import TrunkConfig
from sipcore.errors import ParseError
from sipcore.fields import NameAddr
from sipcore.message import Request
from sipcore.uri import Uri, escape_user, telephone_number, unescape
from voipat import Call, Rejected, TrunkIdentity, reasons
from voipat.connected import (
    ANONYMOUS,
    ASSERTED,
    PARTY_ID,
    Connected,
    asserted_in,
    asserts_in,
    identity_of,
    kind_of_peer,
    party_id,
    wants_privacy,
)


@dataclass(frozen=True, slots=True)
class Names:
    """What an INVITE to a trunk says of the caller."""

    from_: NameAddr
    headers: tuple[tuple[str, str], ...] = ()


def outbound_names(config: TrunkConfig, call: Call | None, caller_id: str | None) -> Names:
    """From, P-Asserted-Identity, Privacy and Diversion for this trunk.

    Raises: Rejected when the caller's number is not allowed there and is not to be replaced.
    """
    shown = None if call is None or caller_id else call.shown_as
    own = "" if call is None else call.caller
    number = _allowed(config, caller_id or (own if shown is None else number_of(shown.uri)))
    hidden = call is not None and is_hidden(call)
    headers: list[tuple[str, str]] = []
    if config.trusted and number and config.asserts_in == PARTY_ID:
        headers.append((PARTY_ID, party_id(_asserted(config, number)[0], "calling", hidden=hidden)))
    elif config.trusted and number:
        headers += [(ASSERTED, str(value)) for value in _asserted(config, number)]
        if hidden:
            headers.append(("Privacy", "id"))
    if config.trusted and call is not None:
        headers += [("Diversion", value) for value in _diversions(config, call)]
    if hidden:
        return Names(ANONYMOUS, tuple(headers))
    name = None if call is None or caller_id else call.display_name
    name = name if shown is None else shown.display_name
    return Names(NameAddr(Uri("sip", escape_user(number) or None, config.domain), name), tuple(headers))


def connected_with(tenant: TenantConfig, trunk: TrunkConfig | None, other: Call) -> Connected | None:
    """Whom a peer is told to talk with, when `other` is joined to it (RFC 4916); None: nothing.

    A phone is told anybody's number and the name of an extension. A trunk (`trunk`) is told a number that it takes as
    ours: that of an extension is not, its `caller_id` may be.
    """
    found = identity_of(other)
    number = number_of(found.name.uri)
    extension = None if other.gateway is not None else tenant.extensions.get(number)
    if trunk is None:
        if extension is None:
            return found
        return Connected(NameAddr(found.name.uri, extension.name or found.name.display_name), found.hidden)
    shown = number if extension is None else extension.caller_id
    if not trunk.trusted or not shown or not (trunk.caller_id_policy == "pass" or trunk.allows_caller_id(shown)):
        return None
    hidden = found.hidden or (extension is not None and extension.hide_caller_id)
    return Connected(_asserted(trunk, shown)[0], hidden)


def is_hidden(call: Call) -> bool:
    """Whether the caller wants to stay unknown to the callee (RFC 3323 §4)."""
    if call.from_.host.lower() == "anonymous.invalid" or call.from_.user == "anonymous":
        return True
    if wants_privacy(call.header("Privacy")):
        return True
    if kind_of_peer(call) != "trunk" or asserts_in(call) != PARTY_ID:
        return False
    found = asserted_in(call.header_values, PARTY_ID)
    return found is not None and found.hidden


def believed_number(request: Request, header: str | None) -> str:
    """The calling number: what a peer within the trust domain asserts in this header, else what From claims."""
    found = None if header is None else asserted_in(request.headers.get_all, header)
    return number_of(request.from_.uri if found is None else found.name.uri)


def number_of(uri: Uri) -> str:
    """The user part without escapes, and without the parameters and separators of telephone numbers (RFC 3966)."""
    number = telephone_number(uri)
    if number is not None:
        return number
    try:
        return unescape((uri.user or "").partition(";")[0])
    except ParseError:
        return uri.user or ""


def _allowed(config: TrunkConfig, number: str) -> str:
    if config.caller_id_policy == "pass" or (number and config.allows_caller_id(number)):
        return number or config.caller_id
    if config.caller_id_policy == "reject":
        raise Rejected(reasons.CALLER_ID_REFUSED)
    return config.caller_id or next(iter(config.dids), "") or config.username


def _asserted(config: TrunkConfig, number: str) -> list[NameAddr]:
    """RFC 3325 §9.1: one SIP URI, and with it the same number as a tel URI."""
    values = [NameAddr(Uri("sip", escape_user(number), config.domain))]
    if number.startswith("+"):
        values.append(NameAddr(Uri("tel", number, "")))
    return values


def _diversions(config: TrunkConfig, call: Call) -> tuple[str, ...]:
    """RFC 5806: a call that came in by a trunk and leaves by one was diverted by the number that it came to."""
    identity = call.identity
    if not isinstance(identity, TrunkIdentity):
        return ()
    value = NameAddr(Uri("sip", escape_user(identity.did) or None, config.domain))
    return shortened([f"{value};reason=unknown", *identity.diversions])
