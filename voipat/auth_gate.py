"""The gate: asked about every new request before any state is made of it (security.md H8-H12).

Default deny. Without credentials only these pass: OPTIONS to ourselves, requests within a dialog (the endpoint
knows the dialog or answers 481), and INVITE to a handler that was registered with `public=True`. SUBSCRIBE, MESSAGE,
PUBLISH and REFER are a user's: whom their From names has to prove it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from ipaddress import ip_address
from typing import Final

from sipcore.auth import DigestServer, Verified, Wrong, parse_digest
from sipcore.endpoint import Admit, Answer, Drop, Refuse, Relay, Verdict
from sipcore.errors import ParseError
from sipcore.flow import Address, Flow
from sipcore.guard import Admission, Guard
from sipcore.message import Request
from sipcore.names import METHODS
from sipcore.parser import parse_message
from sipcore.responding import refusal_bytes
from sipcore.uas import SCHEMES
from sipcore.uri import Uri, unescape
from voipat import events, reasons
from voipat.accounts import Accounts, Identity, TrunkIdentity
from voipat.overload import Kind, Overload
from voipat.reasons import Reason

ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, UPDATE, INFO, REFER, SUBSCRIBE, NOTIFY, MESSAGE, PUBLISH"
RETRY_AFTER_S = 10
# What users of ours may ask for outside of a call, as whoever they have proven to be.
FOR_USERS: Final = frozenset(("SUBSCRIBE", "MESSAGE", "PUBLISH", "REFER"))

# As the credentials of nearly all phones look; what looks otherwise is parsed.
_NONCE: Final = re.compile(rb'nonce="([0-9a-f]{48})"')
_REALM: Final = re.compile(rb'realm="([!#-~]{1,255})"')

# New requests that no call of ours needs.
_BEGINNINGS: Final = (b"INVITE ", b"OPTIONS ", b"SUBSCRIBE ", b"MESSAGE ", b"PUBLISH ")
_NEW: Final = (b"REGISTER ", *_BEGINNINGS)

# What scanners of SIPVicious and its like write into User-Agent when nobody changed it, in lower case.
SCANNERS: Final = (
    "friendly-scanner", "friendly-request", "sipvicious", "sundayddr", "sipcli", "sip-scan", "sipscan", "sivus",
    "vaxsipuseragent", "vaxipuseragent", "pplsip", "iwar", "smap",
)  # fmt: skip


class Gate:
    """Says who may in. `public` tells whether strangers may call that URI; `draining` refuses what is new."""

    def __init__(
        self,
        accounts: Accounts | None,
        digest: DigestServer,
        *,
        guard: Guard | None,
        public: Callable[[Uri], bool],
        publish: Callable[[events.Event], None],
        own_hosts: frozenset[str] = frozenset(),
        registers: bool = True,
    ) -> None:
        self._accounts = accounts
        self._digest = digest
        self.guard = guard
        self._public = public
        self._publish = publish
        self._own_hosts = own_hosts
        self.allow = ALLOW + ", REGISTER" if accounts is not None and registers else ALLOW
        self.draining = False
        # Set by the App that has them.
        self.overload: Overload | None = None
        # The To tag of what is refused unread, for as long as the process lives: the ACKs are known by it.
        self.refusal_tag = ""
        # Overload control has let in the message that is read now.
        self._is_let_in = False
        # Whether a user of a tenant (None: of nobody) has a phone at this host.
        self.is_registered: Callable[[Uri, str | None, str], bool] = _nobody_is
        self.drops_scanners = True
        # Whether who is of no domain of ours, nor of a trunk, is told so.
        self.answers_foreign = True
        self.capabilities: tuple[tuple[str, str], ...] = ()
        self.emergency_numbers: frozenset[str] = frozenset()
        self.trunk_of: Callable[[Flow, Request], TrunkIdentity | None] = _no_trunk
        # Whether a trunk may call from this host, by whatever port; asked in a flood: a look-up, and no more.
        self.is_trunk_host: Callable[[str], bool] = _no_trunk_host
        # Whether the requests of a domain are proxied, and whether strangers may send them to its users.
        self.proxies: Callable[[str], bool] | None = None
        self.proxies_strangers = False

    def __call__(self, request: Request, flow: Flow, now: float) -> Verdict:
        method = request.method
        if method != "REGISTER" and request.to.tag:
            return _IN_DIALOG
        if (early := self._judged_by_source(request, flow, now)) is not None:
            return early
        if method == "REGISTER" and self._accounts is not None:
            # RFC 3261 §10.3: the To field is the address of record, "a SIP or SIPS URI".
            is_address = request.to.uri.scheme in ("sip", "sips")
            refused = None if is_address else self._refuse(request, flow, reasons.BAD_ADDRESS_OF_RECORD)
            claimed = request.to.uri
            return refused or self._authenticate(request, claimed, self.domain_of(claimed, flow), flow, now)
        caller = request.from_.uri
        domain = self.domain_of(caller, flow)
        if self.proxies is not None and (relayed := self._relay(request, domain, flow, now)) is not None:
            return relayed
        if (refusal := self._unusable(request, flow)) is not None:
            return refusal
        if method == "OPTIONS":
            return self._options(request, flow)
        if self.draining:
            return self._draining(request, flow)
        if method in FOR_USERS:
            return self._authenticate(request, caller, domain, flow, now)
        return self._invite(request, domain, flow, now)

    def _draining(self, request: Request, flow: Flow) -> Refuse:
        return self._refuse(request, flow, reasons.DRAINING, ("Retry-After", str(RETRY_AFTER_S)))

    def _unusable(self, request: Request, flow: Flow) -> Verdict | None:
        is_for_users = request.method in FOR_USERS and self._accounts is not None
        if request.method not in ("INVITE", "OPTIONS") and not is_for_users:
            # RFC 3261 §21.5.2: 501 is for a method that is not recognized at all.
            reason = reasons.METHOD_NOT_ALLOWED if request.method in METHODS else reasons.METHOD_UNKNOWN
            return self._refuse(request, flow, reason, ("Allow", self.allow))
        if request.uri.scheme not in SCHEMES:
            return self._refuse(request, flow, reasons.UNKNOWN_SCHEME)
        return None

    def answers_stray(self, request: Request, flow: Flow, now: float) -> bool:
        """Whether a request that cannot be read, or belongs to no call, gets an answer."""
        if self.drops_scanners and is_scanner(request):
            return False
        return self.guard is None or self.guard.answers_stray(flow.remote.host, now)

    def unread(self, data: bytes, flow: Flow, now: float) -> bytes | None:
        """What this message gets without the endpoint: nothing, or a refusal; None: it is to be read.

        Refused here is only what would be challenged: there is no transaction of it, and no call.
        """
        self._is_let_in = False
        if data.startswith(b"ACK "):
            return b"" if self.refusal_tag and self.refusal_tag.encode() in data else None
        guard = self.guard
        if guard is not None and not guard.is_known(flow.remote.host, now) and self.ignores(data, flow, now):
            return b""
        overload = self.overload
        is_meant = overload is not None and overload.shed > Kind.CALL and self.refusal_tag
        if not is_meant or not data.startswith(b"INVITE ") or b"nonce=" in data or not is_new(data):
            return None
        return self._refusal(data, flow, now)

    def _refusal(self, data: bytes, flow: Flow, now: float) -> bytes | None:
        if flow.transport != "UDP" or (self.guard is not None and not self.guard.is_known(flow.remote.host, now)):
            return None
        try:
            request = parse_message(data)
        except ParseError:
            return None
        if not isinstance(request, Request) or self.overload is None or not self._only_challenges(request, flow):
            return None
        verdict = self._shed(self.overload, request, flow, now, is_trunk=False)
        if verdict is None:
            self._is_let_in = True
        if not isinstance(verdict, Refuse):
            return None if verdict is None else b""
        return refusal_bytes(request, flow, verdict.status, self.refusal_tag, verdict.headers)

    def _only_challenges(self, request: Request, flow: Flow) -> bool:
        """Whether an INVITE without credentials gets nothing but a challenge."""
        caller = request.from_.uri
        return (
            self.domain_of(caller, flow) is not None
            and bool(caller.user)
            and request.uri.scheme in SCHEMES
            and not self.draining
            and not is_scanner(request)
            and not self._public(request.uri)
            and self.trunk_of(flow, request) is None
        )

    def ignores(self, data: bytes, flow: Flow, now: float) -> bool:
        """Whether this datagram is dropped without being parsed; only what `__call__` would drop for its source is.

        Reading a request costs five times what receiving it does: in a flood that is what there is no time for.
        """
        guard, source = self.guard, flow.remote.host
        if not data.startswith(_NEW) or guard is None or flow.transport != "UDP" or guard.is_known(source, now):
            return False
        if not is_new(data) or not guard.ignores(source, now, lambda: self._is_plain(data, flow)):
            return False
        # A trunk's calls ask neither the budgets nor the bans, and anybody can forge what makes its address busy.
        return not (data.startswith(b"INVITE ") and self.is_trunk_host(source))

    def _is_plain(self, data: bytes, flow: Flow) -> bool:
        """Whether it is urgent to nobody: no call, and no answer to a challenge of ours."""
        if not data.startswith(b"REGISTER "):
            return False
        if b"nonce=" not in data:
            return True
        nonce, realm = _NONCE.search(data), _REALM.search(data)
        if nonce is None or realm is None:
            return False
        return not self._digest.made(nonce[1].decode(), realm[1].decode(), flow.remote.host)

    def domain_of(self, uri: Uri, flow: Flow) -> str | None:
        """The tenant that a URI belongs to; one of our own addresses stands for the default tenant."""
        if self._accounts is None:
            return None
        domain = self._accounts.domain(uri.host)
        if domain is None and self.is_own(uri.host, flow):
            domain = self._accounts.default_domain
        return domain

    def is_realm(self, realm: str) -> bool:
        """Whether we challenge with this realm: a domain as it is, not an address of ours."""
        return self._accounts is not None and self._accounts.domain(realm) == realm

    def tenants_of(self, data: bytes, flow: Flow) -> frozenset[str]:
        """The tenants that an INVITE names as caller or callee."""
        try:
            request = parse_message(data)
        except ParseError:
            return frozenset()
        if not isinstance(request, Request):
            return frozenset()
        named = (self.domain_of(uri, flow) for uri in (request.from_.uri, request.uri))
        return frozenset(domain for domain in named if domain is not None)

    def _is_registered(self, claimed: Uri, flow: Flow) -> bool:
        """Whether this address of record has a phone at the host that the request came from."""
        return self.is_registered(claimed, self.domain_of(claimed, flow), flow.remote.host)

    def is_own(self, host: str, flow: Flow) -> bool:
        """Whether `host` is an address of ours; behind a wildcard listener any literal may be one."""
        if host == flow.local.host or host in self._own_hosts:
            return True
        return flow.local.host in ("0.0.0.0", "::") and _is_literal(host)

    def _judged_by_source(self, request: Request, flow: Flow, now: float) -> Verdict | None:
        """What is clear before anybody's password is looked at; None: go on."""
        if self.drops_scanners and is_scanner(request):
            return _SCANNER
        trunk = self._from_trunk(request, flow) if request.method == "INVITE" else None
        admission = Admission.ADMITTED
        if trunk is None and self.guard is not None:
            admission = self._admission(self.guard, request, flow, now)
            if admission is not Admission.ADMITTED and admission is not Admission.FIRST:
                return self._limited(admission, flow)
        is_asked = admission is not Admission.FIRST and not self._is_let_in
        if is_asked and self.overload is not None and self.overload.is_watching:
            shed = self._shed(self.overload, request, flow, now, is_trunk=trunk is not None)
            if shed is not None:
                return shed
        return None if trunk is None else Admit(trunk)

    def _from_trunk(self, request: Request, flow: Flow) -> TrunkIdentity | None:
        """A call from a trunk: known by where it comes from, never by what it says (H11)."""
        if self.draining or request.uri.scheme not in SCHEMES:
            return None
        return self.trunk_of(flow, request)

    def _admission(self, guard: Guard, request: Request, flow: Flow, now: float) -> Admission:
        source, account = flow.remote.host, ""
        if guard.holds_registration(source, now):
            claimed = request.to.uri if request.method == "REGISTER" else request.from_.uri
            domain = self.domain_of(claimed, flow)
            if self.is_registered(claimed, domain, source):
                account = f"{claimed.user}@{domain}"
        if guard.passes(source, account, now):
            return Admission.ADMITTED
        return guard.admit(source, now, account=account, is_first=lambda: self._may_not_be_lost(request, flow, now))

    def _may_not_be_lost(self, request: Request, flow: Flow, now: float) -> bool:
        """A flood must not keep these from being answered. Who is connected is where it says, and asks only once."""
        return (
            flow.reliable
            or self._is_emergency(request)
            or self._answers_challenge(request, _claimed(request), flow, now)
        )

    def _is_emergency(self, request: Request) -> bool:
        return request.method == "INVITE" and request.uri.user in self.emergency_numbers

    def _shed(self, overload: Overload, request: Request, flow: Flow, now: float, *, is_trunk: bool) -> Verdict | None:
        """Refused without looking at passwords; nothing is published, because writing it down is work too."""
        kind = Kind.CALL if is_trunk else self._kind(request, flow, now)
        if kind is None or overload.admits(kind):
            return None
        is_told = is_trunk or kind >= Kind.KNOWN_CALL
        if not is_told and self.guard is not None and self.guard.leaves_waiting(flow.remote.host, now):
            # A refusal costs nearly what a challenge does: who sends a flood gets some, not one for each.
            return Drop("overload_unanswered")
        retry = ("Retry-After", str(overload.retry_after()))
        return Refuse(503, None, (retry, reasons.OVERLOADED.warning(str(flow.local))))

    def _kind(self, request: Request, flow: Flow, now: float) -> Kind | None:
        """What a new request is to overload control; None: it always passes."""
        method, claimed = request.method, _claimed(request)
        if method not in ("REGISTER", "INVITE"):
            return Kind.PROBE
        if self._is_emergency(request):
            return None
        answers = self._answers_challenge(request, claimed, flow, now)
        if answers or self._is_registered(claimed, flow):
            if method == "REGISTER":
                return None
            is_second = answers and not self._digest.was_used(request.headers.get_all("Authorization"))
            return Kind.CHALLENGED_CALL if is_second else Kind.KNOWN_CALL
        if self.guard is not None and self.guard.is_busy_stranger(flow.remote.host, now):
            # A flood: what it is made of says nothing of those who are waiting to be let in.
            return Kind.PROBE
        return Kind.REGISTRATION if method == "REGISTER" else Kind.CALL

    def _answers_challenge(self, request: Request, caller: Uri, flow: Flow, now: float) -> bool:
        """Whether the request carries a nonce of ours: the work of its first half would be lost."""
        credentials = request.headers.get_all("Authorization") or request.headers.get_all("Proxy-Authorization")
        domain = self.domain_of(caller, flow) if credentials else None
        return domain is not None and self._digest.issued(credentials, domain, flow.remote.host, now)

    def _options(self, request: Request, flow: Flow) -> Verdict:
        if self.draining:
            return self._draining(request, flow)
        if self.is_own(request.uri.host, flow) or self.domain_of(request.uri, flow) is not None:
            return Answer(200, self.capabilities)
        return self._refuse_foreign(request, flow, reasons.DOMAIN_NOT_SERVED)

    def _invite(self, request: Request, domain: str | None, flow: Flow, now: float) -> Verdict:
        """`domain` is that of the caller."""
        caller = request.from_.uri
        if domain is not None and caller.user:
            if "Authorization" not in request.headers and self._public(request.uri):
                return Admit()
            return self._authenticate(request, caller, domain, flow, now)
        if self._public(request.uri):
            return Admit()
        if is_anonymous(caller) and (asked := self.domain_of(request.uri, flow)) is not None:
            # RFC 3323 §4.1.1.3: who hides its name proves it all the same, to the domain that it calls.
            claimed = _claimed_user(request.headers.get_all("Authorization"))
            return self._authenticate(request, request.uri.replace(user=claimed), asked, flow, now)
        return self._refuse_foreign(request, flow, reasons.STRANGERS_NOT_SERVED)

    def _relay(self, request: Request, domain: str | None, flow: Flow, now: float) -> Verdict | None:
        """A request that passes through us; None when it is for the user agents here, and for ourselves.

        `domain` is that of the caller.
        """
        caller, proxies = request.from_.uri, self.proxies
        assert proxies is not None, "asked only where there is a proxy"
        if request.method == "OPTIONS" and not request.uri.user:
            return None
        if domain is None and self.proxies_strangers:
            served = self.domain_of(request.uri, flow)
            return None if served is None or not proxies(served) else Relay()
        if domain is None or not proxies(domain):
            return None
        if self.draining:
            return self._draining(request, flow)
        verdict = self._authenticate(request, caller, domain, flow, now, proxy=True)
        return Relay(verdict.identity) if isinstance(verdict, Admit) else verdict

    def _authenticate(
        self, request: Request, uri: Uri, domain: str | None, flow: Flow, now: float, *, proxy: bool = False
    ) -> Verdict:
        """401 (a proxy: 407) until the user that `uri` names, of that domain, has proven to be there."""
        accounts = self._accounts
        if domain is None or accounts is None:
            return self._refuse_foreign(request, flow, reasons.DOMAIN_NOT_SERVED)
        try:
            user = uri.user or ""
            user = unescape(user) if "%" in user else user
        except ParseError:
            user = ""
        source, guard, account = flow.remote.host, self.guard, f"{user}@{domain}"
        if guard is not None and guard.is_banned(source, account, now):
            return _BANNED
        credentials = request.headers.get_all("Proxy-Authorization" if proxy else "Authorization")
        algorithms = accounts.digest(domain, user)
        is_limited = False

        def ha1(username: str, algorithm: str) -> str | None:
            nonlocal is_limited
            is_limited = guard is not None and not guard.may_guess(source, f"{username}@{domain}", now)
            return None if is_limited else accounts.ha1(domain, username, algorithm)

        verdict = self._digest.verify(
            request, credentials, realm=domain, ha1=ha1, now=now, source=source, algorithms=algorithms
        )
        if type(verdict) is Verified:
            if guard is not None:
                guard.succeeded(source, account, now)
            if verdict.username != user:
                return self._refuse(request, flow, reasons.FOREIGN_IDENTITY)
            return Admit(Identity(domain, user))
        if is_limited:
            return self._too_many(flow)
        is_stale = bool(credentials) and type(verdict) is not Wrong and _names_realm(credentials, domain)
        if type(verdict) is Wrong:
            self._wrong(request, flow, domain, verdict.username, now)
        challenges = self._digest.challenge(domain, algorithms, now, source=source, stale=is_stale, proxy=proxy)
        return Refuse(407 if proxy else 401, None, (*challenges, _challenge_warning(flow.local)))

    def _wrong(self, request: Request, flow: Flow, domain: str, username: str, now: float) -> None:
        source, account = flow.remote.host, f"{username}@{domain}"
        is_ban = self.guard is not None and self.guard.failed(source, account, now)
        assert self._accounts is not None, "only accounts are challenged"
        known = any(self._accounts.ha1(domain, username, name) for name in ("MD5", "SHA-256"))
        reason = reasons.WRONG_CREDENTIALS if known else reasons.UNKNOWN_USER
        self._publish(events.RequestRefused(request.method, source, account, 401, reason.id, request.call_id))
        if is_ban:
            banned = reasons.SOURCE_BANNED.id
            self._publish(events.RequestRefused(request.method, source, account, 401, banned, request.call_id))

    def _limited(self, admission: Admission, flow: Flow) -> Verdict:
        if admission is Admission.BANNED:
            return _BANNED
        if admission is Admission.UNANSWERED and not flow.reliable:
            return _UNANSWERED
        return self._too_many(flow)

    def _too_many(self, flow: Flow) -> Refuse:
        return Refuse(
            503, None, (("Retry-After", str(RETRY_AFTER_S)), reasons.TOO_MANY_REQUESTS.warning(str(flow.local)))
        )

    def _refuse_foreign(self, request: Request, flow: Flow, reason: Reason) -> Verdict:
        refusal = self._refuse(request, flow, reason)
        return refusal if self.answers_foreign else _FOREIGN

    def _refuse(self, request: Request, flow: Flow, reason: Reason, *headers: tuple[str, str]) -> Refuse:
        account = str(request.from_.uri)[:128]
        self._publish(
            events.RequestRefused(request.method, flow.remote.host, account, reason.status, reason.id, request.call_id)
        )
        return Refuse(reason.status, None, (*headers, reason.warning(str(flow.local))))


@lru_cache(maxsize=256)
def _challenge_warning(local: Address) -> tuple[str, str]:
    return reasons.AUTHENTICATION_REQUIRED.warning(str(local))


_IN_DIALOG = Admit()
_BANNED = Drop("guard_banned")
_UNANSWERED = Drop("guard_unanswered")
_FOREIGN = Drop("foreign")


def _claimed(request: Request) -> Uri:
    """Who sends it, as it says."""
    return request.to.uri if request.method == "REGISTER" else request.from_.uri


def is_new(data: bytes) -> bool:
    """Whether a datagram is plainly a request outside of any dialog; False for all that needs a closer look."""
    if data.startswith(b"REGISTER "):
        return True
    if not data.startswith(_BEGINNINGS):
        return False
    to = data.find(b"\r\nTo:")
    # No second spelling of the line may hide a tag.
    return to > 0 and b"tag" not in data[to : data.find(b"\r\n", to + 2)].lower() and b"\r\n " not in data


def is_anonymous(uri: Uri) -> bool:
    """Whether it hides who it is (RFC 3323 §4.1.1.3)."""
    return uri.host.lower() == "anonymous.invalid"


def _claimed_user(credentials: list[str]) -> str | None:
    parsed = (parse_digest(value) for value in credentials)
    return next((params["username"] for params in parsed if params is not None and "username" in params), None)


_SCANNER = Drop("scanners")


def is_scanner(request: Request) -> bool:
    """Whether the request says itself that it comes from a scanner."""
    agent = request.headers.get("User-Agent")
    return agent is not None and agent.lower().startswith(SCANNERS)


def _nobody_is(user: Uri, tenant: str | None, host: str) -> bool:
    return False


def _no_trunk(flow: Flow, request: Request) -> TrunkIdentity | None:
    return None


def _no_trunk_host(host: str) -> bool:
    return False


def _names_realm(credentials: list[str], realm: str) -> bool:
    parsed = (parse_digest(value) for value in credentials)
    return any(params is not None and params.get("realm") == realm for params in parsed)


def _is_literal(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
