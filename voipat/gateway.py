"""A way out that was agreed with somebody: a carrier's address, what we are called there, and our credentials.

Only here do credentials of ours leave (security.md H8): a challenge is answered when it is for the realm that was
agreed, came from the very host that the request went to, and the request was ours to this gateway. Phones get none.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from sipcore.auth import answer_challenge
from sipcore.entropy import Entropy
from sipcore.errors import RemoteProtocolError
from sipcore.events import ResponseReceived
from sipcore.fields import NameAddr
from sipcore.flow import Flow
from sipcore.message import Request
from sipcore.uri import Uri
from voipat.early_media import EarlyMediaRule
from voipat.security import SrtpRules


@dataclass(frozen=True, slots=True)
class Login:
    """Who we are to one realm, and to no other."""

    realm: str
    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Gateway:
    """Where `dial` sends an INVITE that no directory of ours knows. Without a flow, the URI or its route says where.

    `from_` is what the From field says; `headers` go into the INVITE as they are; a gateway that says nothing at all
    for `silence_s` counts as gone. `srtp`, `codecs` and `beside`: how secret its media is to
    be, which codecs and which streams beside the audio it may have, where that is not for the App to say.
    `redirects`: "follow" calls the contacts of its 3xx, without credentials; else `dial` raises `Redirected`.
    `early_media`: what it sends before the answer is heard, or ("authorized") only while its P-Early-Media says so, or
    ("none") never.
    `trusted`: it is told who is connected, and believed when it says so (RFC 3325), in the header `asserts_in`:
    P-Asserted-Identity, or Remote-Party-ID.
    """

    uri: Uri
    callee: str
    from_: NameAddr | None = None
    routes: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    flow: Flow | None = None
    login: Login | None = field(default=None, repr=False)
    silence_s: float | None = None
    srtp: SrtpRules | None = None
    codecs: tuple[str, ...] | None = None
    beside: tuple[str, ...] | None = None
    comfort_noise: bool | None = None
    redirects: Literal["follow", "fail"] = "fail"
    early_media: EarlyMediaRule = "pass"
    trusted: bool = False
    asserts_in: str = "P-Asserted-Identity"


def with_credentials(request: Request, event: ResponseReceived, login: Login, entropy: Entropy) -> Request | None:
    """The request once more, with the answer to a 401 or 407; None when this challenge must not or cannot be answered.

    It belongs to the same call and goes as a new transaction with the next CSeq (RFC 3261 §22.2).
    """
    sent_to = event.sent_to
    if sent_to is None or sent_to.host != event.flow.remote.host:
        return None
    names = ("WWW-Authenticate", "Proxy-Authenticate")
    challenges = [(name, value) for name in names for value in event.response.headers.get_all(name)]
    try:
        name, value = answer_challenge(
            challenges,
            method=request.method,
            uri=request.uri_text,
            username=login.username,
            password=login.password,
            cnonce=entropy.token(8),
            nc=1,
            body=request.body,
            realm=login.realm,
        )
    except RemoteProtocolError:
        return None
    again = request.copy()
    again.headers.remove("Via")
    again.headers.set("CSeq", f"{request.cseq.number + 1} {request.method}")
    again.headers.set(name, value)
    return again
