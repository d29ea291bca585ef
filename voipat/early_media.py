"""Whether what a gateway sends before the answer is heard: as it comes, never, or as P-Early-Media says (RFC 5009).

Carriers of the IMS send SDP in every 183 and say beside it whether the audio is meant for the caller: until it is, the
caller hears the ringing of its own phone, not silence. What was said last counts, in each early dialog for itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from sipcore.errors import NegotiationError, ParseError
from sipcore.events import DialogId
from sipcore.message import Message

if TYPE_CHECKING:
    from voipat.call import Call
    from voipat.legs import OutboundLeg
    from voipat.media_leg import MediaLeg

HEADER: Final = "P-Early-Media"
EarlyMediaRule = Literal["pass", "authorized", "none"]
# Directions as in SDP, seen from who sends the header.
_DIRECTIONS: Final = {"sendrecv": True, "sendonly": True, "recvonly": False, "inactive": False}


def asked(rule: EarlyMediaRule) -> tuple[tuple[str, str], ...]:
    """What an INVITE says so that the header comes."""
    return ((HEADER, "supported"),) if rule == "authorized" else ()


def told(invite: Message, body: bytes) -> tuple[tuple[str, str], ...]:
    """What a provisional response says to a caller whose INVITE asks for the header."""
    return ((HEADER, "sendrecv" if body else "inactive"),) if "supported" in _params(invite) else ()


class EarlyAuthority:
    """What a gateway allows of its early media, by early dialog (None: a peer without tags)."""

    __slots__ = ("_allowed", "_rule")

    def __init__(self, rule: EarlyMediaRule = "pass") -> None:
        self._rule: Final = rule
        self._allowed: dict[DialogId | None, bool] = {}

    @property
    def always(self) -> bool:
        """Whether it need not say so."""
        return self._rule == "pass"

    def says(self, dialog: DialogId | None, message: Message, stream: int) -> bool | None:
        """What a message says of the audio, the stream at this place of its description; None: nothing."""
        # RFC 5009 §8: each parameter is for one of the media lines, in their order.
        said = [_DIRECTIONS[param] for param in _params(message) if param in _DIRECTIONS]
        if self._rule != "authorized" or not said:
            return None
        self._allowed[dialog] = said[stream] if stream < len(said) else said[0]
        return self._allowed[dialog]

    def allows(self, dialog: DialogId | None) -> bool:
        """Whether the early media of this dialog is heard."""
        return self.always or self._allowed.get(dialog, False)


def hear_as_told(call: Call, leg: OutboundLeg, dialog: DialogId | None, message: Message) -> bool:
    """Hear this early dialog, or not, as a gateway's message says; False when it says nothing."""
    media, fork = call.media, call.fork
    if media is None or fork is None:
        return False
    is_allowed = leg.authority.says(dialog, message, 0 if media.negotiated is None else media.negotiated.stream)
    if is_allowed is None:
        return False
    if is_allowed and _is_described(media, leg.answers.of(dialog)):
        fork.progressed(call, 183, has_media=True)
    else:
        fork.hushed(call)
        fork.progressed(call, 180, has_media=False)
    return True


def _is_described(media: MediaLeg, description: bytes) -> bool:
    try:
        if description:
            media.read_answer(description)
    except (ParseError, NegotiationError):
        return False
    return bool(description)


def _params(message: Message) -> list[str]:
    return [param.strip().lower() for value in message.headers.get_all(HEADER) for param in value.split(",")]
