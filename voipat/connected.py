"""Connected identity: a peer is told whom it talks with now, after pickup, transfer, parking, a forward or a redirect.

| peer                        | before the answer | in the call: by UPDATE                                      |
|-----------------------------|-------------------|-------------------------------------------------------------|
| a phone of ours             | in our responses  | P-Asserted-Identity, Remote-Party-ID; else by re-INVITE     |
| a trunk that is trusted     | in our responses  | P-Asserted-Identity, Privacy, or Remote-Party-ID; else not  |
| any other trunk, a stranger | nothing           | nothing                                                     |

RFC 4916 changes From, for who says `from-change`; the headers of RFC 3325 and its draft are what phones and carriers
know. Nothing is said when the peer knows already. Who wants to stay unknown (RFC 3323) does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, Literal

from sipcore.errors import ParseError
from sipcore.fields import NameAddr
from sipcore.message import Message as SipMessage
from sipcore.uri import Uri, escape_user, unescape
from sipcore.values import value_object
from voipat.accounts import TrunkIdentity
from voipat.auth_gate import is_anonymous
from voipat.changes import Message
from voipat.legs import InboundLeg, OutboundLeg

if TYPE_CHECKING:
    from voipat.call import Call

# RFC 3323 §4.1.1.3.
ANONYMOUS: Final = NameAddr(Uri("sip", "anonymous", "anonymous.invalid"), "Anonymous")
ASSERTED: Final = "P-Asserted-Identity"
PARTY_ID: Final = "Remote-Party-ID"
Party = Literal["calling", "called"]
_HIDING: Final = frozenset(("id", "user", "header", "session"))


@value_object(frozen=True, slots=True)
class Connected:
    """Who is at the other end; a `hidden` one is told to nobody but a trusted trunk."""

    name: NameAddr
    hidden: bool = False


# Asked with a leg and the one that it is joined with; None: its peer is told nothing.
ConnectedPolicy = Callable[["Call", "Call"], "Connected | None"]


def wants_privacy(privacy: str | None) -> bool:
    """What a Privacy header says; values are separated by semicolons (RFC 3323 §4.2)."""
    if not privacy:
        return False
    wanted = {value.strip().lower() for value in privacy.split(";")}
    return "none" not in wanted and not _HIDING.isdisjoint(wanted)


class Acquaintance:
    """What the two ends of a leg know of each other."""

    __slots__ = ("asserted", "connected", "hides", "knows", "says_so")

    def __init__(self, knows: str) -> None:
        # The number that the peer believes to talk with, "" for somebody unknown; whom it was told of last.
        self.knows = knows
        self.connected: Connected | None = None
        # Whether our responses to the INVITE name that one, as it is another than who was called.
        self.says_so = False
        # Who the peer says it is, on a trusted trunk, and whether that is for nobody else.
        self.asserted: NameAddr | None = None
        self.hides = False


def kind_of_peer(call: Call) -> Literal["phone", "trunk", "other"]:
    """How far a peer is trusted with who somebody is."""
    leg, identity = call.leg, call.identity
    if isinstance(leg, OutboundLeg):
        if call.gateway is not None:
            return "trunk" if call.gateway.trusted else "other"
        return "phone" if call.tenant and leg.flow is not None else "other"
    if isinstance(identity, TrunkIdentity):
        return "trunk" if identity.trusted else "other"
    return "phone" if identity is not None else "other"


def identity_of(call: Call) -> Connected:
    """Who is at the end of a leg, as its peer has said or its number is."""
    leg, known = call.leg, call.acquaintance
    hidden = known.hides
    if isinstance(leg, InboundLeg):
        hidden = hidden or is_anonymous(leg.request.from_.uri) or wants_privacy(call.header("Privacy"))
    if call.shown_as is not None:
        return Connected(call.shown_as)
    if known.asserted is not None:
        return Connected(known.asserted, hidden)
    uri = Uri("sip", escape_user(call.own_number), call.tenant or call.from_.host)
    return Connected(NameAddr(uri, call.display_name), hidden)


def number_told(connected: Connected) -> str:
    """What a display shows of somebody, "" for one who is hidden."""
    if connected.hidden:
        return ""
    uri = connected.name.uri
    user = uri.user or ""
    try:
        user = user.partition(";")[0]
        return (unescape(user) if "%" in user else user) or uri.host
    except ParseError:
        return uri.user or uri.host


def tell(call: Call, other: Call) -> None:
    """Let the peer of `call` know who is at the end of `other`, unless it does."""
    if other.gateway is not None and other.acquaintance.asserted is None and call.answered is None:
        # Who dialled a number outside knows it as it was dialled.
        return
    policy = call.switch.connected
    found = identity_of(other) if policy is None else policy(call, other)
    if found is not None:
        set_connected(call, found)


def set_connected(call: Call, connected: Connected) -> None:
    """As `Call.set_connected`."""
    kind, known, number = kind_of_peer(call), call.acquaintance, number_told(connected)
    if kind == "other" or call.outcome is not None or number == known.knows:
        return
    known.connected, known.knows = connected, number
    call.note("%s is connected with %s", call.id, number or "somebody unknown")
    if call.answered is None:
        known.says_so = True
    else:
        call.changes.add(_Update(call, by_invite=kind == "phone"))


def response_headers(call: Call) -> tuple[tuple[str, str], ...]:
    """What our responses to the INVITE say of who is connected, when that is not who was called."""
    return identity_headers(call) if call.acquaintance.says_so else ()


def identity_headers(call: Call) -> tuple[tuple[str, str], ...]:
    """What a message to the peer says of who it is connected with."""
    connected, kind = call.acquaintance.connected, kind_of_peer(call)
    if connected is None or kind == "other":
        return ()
    party: Party = "called" if isinstance(call.leg, InboundLeg) else "calling"
    if kind == "trunk":
        if asserts_in(call) == PARTY_ID:
            return ((PARTY_ID, party_id(connected.name, party, hidden=connected.hidden)),)
        privacy = (("Privacy", "id"),) if connected.hidden else ()
        return ((ASSERTED, str(connected.name)), *privacy)
    name = ANONYMOUS if connected.hidden else connected.name
    asserted = () if connected.hidden else ((ASSERTED, str(name)),)
    return (*asserted, (PARTY_ID, party_id(name, party, hidden=connected.hidden)))


def party_id(name: NameAddr, party: Party, *, hidden: bool) -> str:
    """A value of Remote-Party-ID (draft-ietf-sip-privacy-04), of somebody whom we know."""
    return f"{name};party={party};screen=yes;privacy={'full' if hidden else 'off'}"


def asserts_in(call: Call) -> str:
    """The header in which the trunk of a leg is told names and tells them."""
    if isinstance(call.leg, OutboundLeg):
        return ASSERTED if call.gateway is None else call.gateway.asserts_in
    return call.identity.asserts_in if isinstance(call.identity, TrunkIdentity) else ASSERTED


def asserted_in(values_of: Callable[[str], Sequence[str]], header: str) -> Connected | None:
    """Whom a trusted peer's message, given by its values of a header, names in P-Asserted-Identity or Remote-Party-ID.

    A Remote-Party-ID of `screen=no` is the sender's own word, and no better than From.
    """
    hidden = wants_privacy(";".join(values_of("Privacy")))
    for value in values_of(header):
        try:
            name = NameAddr.parse(value)
        except ParseError:
            continue
        if name.uri.scheme not in ("sip", "sips", "tel") or not name.uri.user:
            continue
        if header == PARTY_ID:
            if (name.params.get("screen") or "").lower() == "no":
                continue
            hidden = hidden or (name.params.get("privacy") or "off").lower().strip('"') not in ("off", "none")
        return Connected(NameAddr(name.uri, name.display_name), hidden)
    return None


def learn(call: Call, message: SipMessage) -> bool:
    """Take who the peer of a trusted trunk's leg says it is; whether that is somebody new."""
    found = asserted_in(message.headers.get_all, asserts_in(call)) if kind_of_peer(call) == "trunk" else None
    known = call.acquaintance
    if found is None or (found.name, found.hidden) == (known.asserted, known.hides):
        return False
    known.asserted, known.hides = found.name, found.hidden
    return True


class _Update:
    """UPDATE, or a re-INVITE that changes nothing for a phone that does not take it."""

    def __init__(self, call: Call, *, by_invite: bool) -> None:
        self._call = call
        self._by_invite = by_invite

    def message(self) -> Message | None:
        call = self._call
        connected, dialog, session = call.acquaintance.connected, call.leg.dialog, call.session
        if connected is None or dialog is None:
            return None
        if session.takes_from_change:
            name = ANONYMOUS if connected.hidden else connected.name
            call.switch.exchange.endpoint.set_local_identity(dialog, name)
        headers = identity_headers(call)
        if session.takes_update:
            return Message("UPDATE", headers)
        if not self._by_invite or call.media is None or call.media.negotiated is None:
            return None
        return Message("INVITE", headers, call.media.offer_unchanged())

    def done(self, status: int) -> None:
        """A peer that takes no UPDATE after all shows who it has shown before."""
