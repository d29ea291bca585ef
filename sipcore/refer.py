"""REFER (RFC 3515), Replaces (RFC 3891) and the sipfrag that tells how a transfer goes (RFC 3420, RFC 5589).

Values only: who may transfer whom, and what comes of it, is the transaction user's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from sipcore.dialog import DialogView
from sipcore.errors import ParseError
from sipcore.fields import NameAddr, parse_params
from sipcore.message import REASONS, Request
from sipcore.uri import Uri, unescape

SIPFRAG: Final = "message/sipfrag;version=2.0"
# A Refer-To becomes a Request-URI and maybe a header: longer ones are nobody's.
MAX_REFER_TO: Final = 2048

_STATUS_LINE: Final = re.compile(rb"\ASIP/2\.0 ([1-6][0-9]{2})(?: |\r|\n|\Z)")
# RFC 3986 unreserved: what stands bare in a header of a URI; `%` for all else, so that `;` and `=` survive as text.
_BARE: Final = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.!~*'()")


@dataclass(frozen=True, slots=True)
class Replaces:
    """The dialog to take the place of, as the receiver sees it: `to_tag` is its own (§3: "the to-tag parameter is

    compared to the local tag, and the from-tag parameter [...] to the remote tag").
    """

    call_id: str
    to_tag: str
    from_tag: str
    early_only: bool = False

    @classmethod
    def parse(cls, text: str) -> Replaces:
        """Raises: ParseError."""
        call_id, _, rest = text.partition(";")
        params = parse_params(";" + rest) if rest.strip() else {}
        to_tag, from_tag = params.get("to-tag"), params.get("from-tag")
        if not call_id.strip() or not to_tag or not from_tag:
            # §6.1: "A Replaces header field MUST contain exactly one to-tag and exactly one from-tag".
            raise ParseError("a Replaces needs a Call-ID, a to-tag and a from-tag")
        return cls(call_id.strip(), to_tag, from_tag, "early-only" in params)

    @classmethod
    def of(cls, dialog: DialogView) -> Replaces:
        """What a third party writes to take our place in `dialog`: seen by our peer, whose tag is the to-tag."""
        return cls(dialog.call_id, dialog.remote_tag or "", dialog.local_tag)

    def __str__(self) -> str:
        early = ";early-only" if self.early_only else ""
        return f"{self.call_id};to-tag={self.to_tag};from-tag={self.from_tag}{early}"


@dataclass(frozen=True, slots=True)
class ReferTo:
    """Whom the transferee is to call: the URI without what only we may say, and the Replaces escaped in it."""

    uri: Uri
    replaces: Replaces | None = None

    @classmethod
    def parse(cls, text: str) -> ReferTo:
        """Raises: ParseError; `status_hint` 416 for what cannot be called, 603 for another method than INVITE."""
        if len(text) > MAX_REFER_TO:
            raise ParseError("a Refer-To longer than any address", status_hint=414)
        uri = NameAddr.parse(text).uri
        if uri.scheme not in ("sip", "sips", "tel"):
            raise ParseError(f"{uri.scheme}: cannot be referred to", status_hint=416)
        if (uri.params.get("method") or "INVITE").upper() != "INVITE":
            raise ParseError("only INVITE is referred to", status_hint=603)
        replaces = None
        for name, value in uri.headers.items():
            if name.lower() == "replaces":
                if replaces is not None:
                    raise ParseError("two Replaces in a Refer-To")
                replaces = Replaces.parse(unescape(value))
        # Other headers in the URI (From, Route, Subject) would speak in our name: RFC 3261 §19.1.5 lets us ignore them.
        params = {name: value for name, value in uri.params.items() if name != "method"}
        return cls(uri.replace(headers={}, params=params), replaces)

    def __str__(self) -> str:
        if self.replaces is None:
            return f"<{self.uri}>"
        return f"<{self.uri.replace(headers={'Replaces': escape_header(str(self.replaces))})}>"


def escape_header(text: str) -> str:
    """A header's value as it stands in a URI (RFC 3261 §19.1.1: hvalue)."""
    return "".join(chr(b) if b in _BARE else f"%{b:02X}" for b in text.encode("utf-8", "surrogateescape"))


def refer_to_of(request: Request) -> ReferTo:
    """The one Refer-To of a REFER. Raises: ParseError (RFC 3515 §2.4.2: none, or more than one, is a 400)."""
    values = request.headers.lines("Refer-To")
    if len(values) != 1:
        raise ParseError(f"a REFER has one Refer-To, not {len(values)}")
    return ReferTo.parse(values[0])


def replaces_of(request: Request) -> Replaces | None:
    """The Replaces of an INVITE. Raises: ParseError (RFC 3891 §3: more than one is a 400)."""
    values = request.headers.lines("Replaces")
    if not values:
        return None
    if len(values) > 1:
        raise ParseError("more than one Replaces")
    return Replaces.parse(values[0])


def wants_subscription(request: Request) -> bool:
    """RFC 4488 §4: False when the REFER says `Refer-Sub: false`."""
    return (request.headers.get("Refer-Sub") or "").partition(";")[0].strip().lower() != "false"


def sipfrag(status: int) -> bytes:
    """The body of the NOTIFY: RFC 3515 §2.4.5, "the body MUST begin with a SIP Response Status-Line"."""
    return f"SIP/2.0 {status} {REASONS.get(status, 'Unknown')}\r\n".encode()


def sipfrag_status(body: bytes) -> int:
    """The status that a NOTIFY tells. Raises: ParseError."""
    found = _STATUS_LINE.match(body)
    if found is None:
        raise ParseError("a sipfrag begins with a status line")
    return int(found[1])
