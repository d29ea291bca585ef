"""A registration of ours at somebody's registrar: RFC 3261 §10.2 as a UAC, with RFC 6140 (bulk) and RFC 3608.

    state        input        next         action
    idle         start        registering  send
    registering  challenged   registering  send with credentials (once a nonce; again when it was only stale)
                 too brief    registering  send with what Min-Expires asks for
                 accepted     registered   wait for the time to refresh
                 refused      waiting      wait; after `MAX_REFUSALS` of them stopped: no account is locked out by us
                 failed       waiting      wait as Retry-After says, else twice as long each time (RFC 5626 §4.5)
    registered,
    waiting      due          registering  send
    any          stop         removing     send Expires: 0 when something is registered, else removed

Every request is sent to the registrar's name: where that leads is looked up anew each time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from math import inf
from typing import Final

from sipcore.auth import answer_challenge, challenges_of, is_stale
from sipcore.entropy import Entropy
from sipcore.errors import ParseError, RemoteProtocolError
from sipcore.events import ResponseReceived
from sipcore.message import Request, Response
from sipcore.routing import OWN_ADDRESS
from sipcore.uri import Uri

# Refusals of our credentials in a row that end it.
MAX_REFUSALS: Final = 3
# A registrar whose nonces are stale at once, or that raises Min-Expires each time, is not followed for ever.
MAX_STEPS: Final = 4
LONGEST_EXPIRES: Final = 86_400
# RFC 5626 §4.5: base and ceiling of the time between attempts; and what a Retry-After may ask for at most.
BASE_RETRY_S: Final = 30.0
MAX_RETRY_S: Final = 1800.0
# What keeps a registrar that grants a second from being asked each second.
LEAST_REFRESH_S: Final = 5.0
MAX_SERVICE_ROUTES: Final = 4

# Nothing that comes by itself: somebody has to look at the account (RFC 3261 §21.4.4, §21.4.5).
_REFUSALS: Final = frozenset((401, 403, 404, 407))


class RegistrationState(Enum):
    """How far it is."""

    IDLE = "idle"
    REGISTERING = "registering"
    REGISTERED = "registered"
    WAITING = "waiting"
    STOPPED = "stopped"
    REMOVING = "removing"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Account:
    """What is registered where. `contact_user` is the user part of our Contact; with `bulk` there is none (RFC 6140).

    `realm` is the only one that gets an answer to its challenge.
    """

    registrar: Uri
    aor: Uri
    username: str
    realm: str
    password: str = field(repr=False)
    contact_user: str = ""
    expires: int = 3600
    bulk: bool = False


class Registration:
    """One account's registration. Verbs return the REGISTER to send, or None: then `due` says when to go on."""

    def __init__(self, account: Account, entropy: Entropy) -> None:
        self.account: Final = account
        self.state = RegistrationState.IDLE
        self.due = inf
        self.status: int | None = None
        self.service_route: tuple[str, ...] = ()
        self.expires_at = -inf
        self._entropy = entropy
        self._call_id = entropy.token(16)
        self._tag = entropy.token(8)
        self._cseq = 0
        self._asked = account.expires
        self._challenges: list[tuple[str, str]] = []
        self._nonce_count = 0
        self._steps = 0
        self._refusals = 0
        self._failures = 0

    def start(self, now: float) -> Request | None:
        """Register."""
        return self._begin(now)

    def handle_timeout(self, now: float) -> Request | None:
        """Refresh, or try again, when that is due."""
        if now < self.due or self.state not in (RegistrationState.REGISTERED, RegistrationState.WAITING):
            return None
        return self._begin(now)

    def stop(self, now: float) -> Request | None:
        """Take the registration back."""
        self.due = inf
        is_registered = self.expires_at > now
        self.state = RegistrationState.REMOVING if is_registered else RegistrationState.REMOVED
        self._steps = 0
        return self._request() if is_registered else None

    def receive(self, event: ResponseReceived, now: float) -> Request | None:
        """Take the final response to the last REGISTER."""
        response = event.response
        self.status = response.status
        if response.status in (401, 407) and (again := self._answer(event)) is not None:
            return again
        if self.state is RegistrationState.REMOVING:
            self.state = RegistrationState.REMOVED
            return None
        if response.status == 423 and (again := self._ask_for_longer(response)) is not None:
            return again
        if 200 <= response.status < 300:
            self._accept(response, now)
        elif response.status in _REFUSALS:
            self._refuse(now)
        else:
            self._wait(now, retry_after(response))
        return None

    def failed(self, now: float) -> None:
        """No final response came, or the registrar's name leads nowhere."""
        self.status = None
        if self.state is RegistrationState.REMOVING:
            self.state = RegistrationState.REMOVED
        else:
            self._wait(now, None)

    def is_registered(self, now: float) -> bool:
        """Whether the registrar still has us, also while it is asked anew."""
        return self.expires_at > now

    # Steps

    def _begin(self, now: float) -> Request:
        self.state = RegistrationState.REGISTERING
        self.due = inf
        self._steps = 0
        return self._request()

    def _answer(self, event: ResponseReceived) -> Request | None:
        """The REGISTER with credentials; None when they were given and refused, or this is nobody's to ask for them."""
        sent_to = event.sent_to
        if sent_to is None or sent_to.host != event.flow.remote.host:
            return None
        found = challenges_of(event.response)
        was_refused = bool(self._challenges) and not is_stale(found)
        self._steps += 1
        if self._steps > MAX_STEPS or (was_refused and self._steps > 1):
            self._challenges = []
            return None
        self._challenges, self._nonce_count = found, 0
        try:
            return self._request()
        except RemoteProtocolError:
            self._challenges = []
            return None

    def _ask_for_longer(self, response: Response) -> Request | None:
        """RFC 3261 §10.2.8: 423 says the least that it takes."""
        text = response.headers.get("Min-Expires") or ""
        least = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
        self._steps += 1
        if not self._asked < least <= LONGEST_EXPIRES or self._steps > MAX_STEPS:
            return None
        self._asked = least
        return self._request()

    def _accept(self, response: Response, now: float) -> None:
        granted = float(granted_seconds(response, self._is_ours, self._asked))
        self.state = RegistrationState.REGISTERED
        self._refusals = self._failures = 0
        self.expires_at = now + granted
        self.due = now + _refresh_after(granted, self._entropy)
        # RFC 3608 §5.1: each 200 says it anew; without the header there is none.
        self.service_route = tuple(response.headers.get_all("Service-Route")[:MAX_SERVICE_ROUTES])

    def _is_ours(self, uri: Uri) -> bool:
        return "bnc" in uri.params if self.account.bulk else uri.user == self.account.contact_user

    def _refuse(self, now: float) -> None:
        self._refusals += 1
        self.expires_at = -inf
        if self._refusals >= MAX_REFUSALS:
            self.state, self.due = RegistrationState.STOPPED, inf
        else:
            self._wait(now, None)

    def _wait(self, now: float, retry_after: float | None) -> None:
        self.state = RegistrationState.WAITING
        self._failures += 1
        longest = min(MAX_RETRY_S, BASE_RETRY_S * 2.0 ** (self._failures - 1))
        # "between 50 and 100 %": not everybody comes back at the same moment.
        delay = self._entropy.uniform(0.5 * longest, longest)
        if retry_after is not None:
            delay = max(min(retry_after, MAX_RETRY_S), 1.0) + self._entropy.uniform(0.0, 1.0)
        self.due = now + delay

    # The request

    def _request(self) -> Request:
        """Raises: RemoteProtocolError when none of the challenges is for us."""
        account = self.account
        self._cseq += 1
        contact = f"<sip:{OWN_ADDRESS};bnc>" if account.bulk else f"<sip:{account.contact_user}@{OWN_ADDRESS}>"
        # RFC 6140 §5.2: who does not know bulk registration must refuse and not register one contact.
        gin = [("Require", "gin"), ("Proxy-Require", "gin")] if account.bulk else []
        lines = [
            ("From", f"<{account.aor}>;tag={self._tag}"),
            ("To", f"<{account.aor}>"),
            ("Call-ID", self._call_id),
            ("CSeq", f"{self._cseq} REGISTER"),
            ("Contact", contact),
            ("Expires", str(0 if self.state is RegistrationState.REMOVING else self._asked)),
            ("Supported", "path, gin" if account.bulk else "path"),
            *gin,
        ]
        request = Request("REGISTER", account.registrar, lines)
        if self._challenges:
            request.headers.set(*self._credentials(request))
        return request

    def _credentials(self, request: Request) -> tuple[str, str]:
        account = self.account
        self._nonce_count += 1
        return answer_challenge(
            self._challenges,
            method="REGISTER",
            uri=request.uri_text,
            username=account.username,
            password=account.password,
            cnonce=self._entropy.token(8),
            nc=self._nonce_count,
            realm=account.realm,
        )


def retry_after(response: Response) -> float | None:
    """The seconds of Retry-After, None without; it may have a comment and parameters (RFC 3261 §20.33)."""
    text = (response.headers.get("Retry-After") or "").partition(";")[0].partition("(")[0].strip()
    return float(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _refresh_after(granted: float, entropy: Entropy) -> float:
    """Well before the end: a tenth is left, at least half of a short one, and not everybody at one moment."""
    share = 0.5 if granted < 120.0 else 0.9
    return max(granted * share * entropy.uniform(0.9, 1.0), LEAST_REFRESH_S)


def granted_seconds(response: Response, is_ours: Callable[[Uri], bool], asked: int) -> int:
    """RFC 3261 §10.2.4: what our own Contact says, then Expires, then what was asked for."""
    found: int | None = None
    try:
        for contact in response.contacts:
            text = contact.params.get("expires") or ""
            if is_ours(contact.uri) and text.isascii() and text.isdigit():
                found = int(text[:10])
        found = response.expires if found is None else found
    except ParseError:
        pass
    return min(asked if found is None else found, LONGEST_EXPIRES)
