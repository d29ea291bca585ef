"""A way out that was agreed with somebody: a carrier's address, what we are called there, and our credentials.

Only here do credentials of ours leave (security.md H8): a challenge is answered when it is for the realm that was
agreed, came from the very host that the request went to, and the request was ours to this gateway. Phones get none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from sipcore.auth import answer_challenge, challenges_of, is_stale
from sipcore.entropy import Entropy
from sipcore.errors import RemoteProtocolError
from sipcore.events import ResponseReceived
from sipcore.fields import NameAddr
from sipcore.flow import Flow
from sipcore.message import Request
from sipcore.uri import Uri
from voipat.early_media import EarlyMediaRule
from voipat.security import SrtpRules

if TYPE_CHECKING:
    from voipat.reasons import Reason


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
    for `silence_s` counts as gone. `srtp`, `codecs`, `beside`, `dtmf_info`: how secret its media is to be, which codecs
    and streams beside the audio it may have, and whether digits in its INFOs are taken, where that is not for the App
    to say.
    `redirects`: "follow" calls the contacts of its 3xx, without credentials; else `dial` raises `Redirected`.
    `early_media`: what it sends before the answer is heard, or ("authorized") only while its P-Early-Media says so, or
    ("none") never.
    `trusted`: it is told who is connected, and believed when it says so (RFC 3325), in the header `asserts_in`:
    P-Asserted-Identity, or Remote-Party-ID. `on_busy` is told the seconds for which a 503 wants no more requests.
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
    dtmf_info: bool | None = None
    redirects: Literal["follow", "fail"] = "fail"
    early_media: EarlyMediaRule = "pass"
    trusted: bool = False
    asserts_in: str = "P-Asserted-Identity"
    on_busy: Callable[[float], None] | None = field(default=None, repr=False, compare=False)


class Credentials:
    """Answers the challenges of one gateway, for as long as a call with it lasts (RFC 3261 §22.2, RFC 7616 §3.4).

    `host`: where a challenge within the dialog has to come from. The peer's Contact says where our requests go there,
    and somebody whom it names is not the gateway.
    """

    __slots__ = ("_challenges", "_entropy", "_login", "_uses", "host", "reason")

    def __init__(self, login: Login, entropy: Entropy, host: str = "") -> None:
        self._login = login
        self._entropy = entropy
        self._challenges: list[tuple[str, str]] = []
        self._uses = 0
        self.host = host
        # What our BYE says, should it have to be sent once more.
        self.reason: Reason | None = None

    def hears(self, event: ResponseReceived, *, again: bool) -> bool:
        """Whether this is a challenge to answer; `again`: to a request that had some, which may be stale."""
        sent_to = event.sent_to
        if event.response.status not in (401, 407) or sent_to is None or sent_to.host != event.flow.remote.host:
            return False
        if self.host and sent_to.host != self.host:
            return False
        found = challenges_of(event.response)
        if again and not is_stale(found):
            return False
        if found != self._challenges:
            self._challenges, self._uses = found, 0
        return bool(found)

    def header(self, method: str, uri: str, body: bytes) -> tuple[str, str] | None:
        """The answer to the challenge heard last; None when there was none, or none for our realm."""
        self._uses += 1
        try:
            return answer_challenge(
                self._challenges,
                method=method,
                uri=uri,
                username=self._login.username,
                password=self._login.password,
                cnonce=self._entropy.token(8),
                nc=self._uses,
                body=body,
                realm=self._login.realm,
            )
        except RemoteProtocolError:
            return None


def once_more(request: Request, credentials: Credentials | None) -> Request | None:
    """An INVITE as a new transaction of the same call, with the next CSeq (RFC 3261 §8.1.3.5, §22.2).

    `credentials`: what it is to have, each time by a new use of the nonce; None when they answer no challenge.
    """
    again = request.copy()
    again.headers.remove("Via")
    again.headers.set("CSeq", f"{request.cseq.number + 1} {request.method}")
    if credentials is None:
        return again
    header = credentials.header(request.method, request.uri_text, request.body)
    if header is None:
        return None
    again.headers.set(*header)
    return again
