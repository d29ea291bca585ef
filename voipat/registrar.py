"""The registrar of RFC 3261 §10.3. One REGISTER changes all that it asks for, or nothing.

Contacts are compared as URIs (§19.1.4), or by `+sip.instance` and `reg-id` (RFC 5626), so that a phone that comes
back with another port replaces itself. Calls go to the flow that the REGISTER came on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from email.utils import formatdate
from typing import Final

from sipcore.entropy import Entropy
from sipcore.errors import ParseError
from sipcore.fields import NameAddr, qvalue
from sipcore.flow import Flow
from sipcore.message import Request
from sipcore.routing import SECURE
from sipcore.uri import Uri
from sipcore.values import made_in_c
from voipat import events, reasons
from voipat.accounts import DEFAULT_DIGEST, Accounts, Identity, PasswordAccounts
from voipat.exchange import Exchange
from voipat.gruu import Gruus
from voipat.keepalive import KeepAlive, KeepAlivePolicy
from voipat.location import Binding, Location, MemoryLocation, expiry_of, key_of
from voipat.outbound import has_option, outbound_of
from voipat.reasons import Reason

logger: Final = logging.getLogger("voipat")

Headers = list[tuple[str, str]]

# RFC 3261 §10.3 step 6 treats a malformed interval as one hour.
MALFORMED_EXPIRES: Final = 3600
# Text of a peer that is kept for hours: with ten contacts of this size an AOR stays under 20 kB.
MAX_CONTACT: Final = 1024
MAX_TEXT: Final = 128
MAX_PATH: Final = 4


@dataclass(frozen=True, slots=True)
class RegistrarPolicy:
    """Seconds, and how many contacts an AOR may have; then the oldest goes, or the newcomer is refused with 403."""

    default_expires: int = 3600
    min_expires: int = 60
    max_expires: int = 7200
    max_contacts: int = 10
    replace_oldest: bool = False


class _Refused(Exception):
    def __init__(self, reason: Reason, headers: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(reason.id)
        self.reason = reason
        self.headers = headers


@made_in_c
@dataclass(slots=True)
class _Change:
    """What one REGISTER does to an AOR."""

    saved: list[Binding]
    removed: list[Binding]
    left: list[Binding]


class Registrar:
    """Keeps the bindings of one or more domains.

    Give `password_of` (user → password) or `ha1_of` (user, algorithm → HA1) for the domains, or `accounts`. With
    `keepalive` the phones are asked whether they are still there, and calls skip those that are not.
    """

    def __init__(
        self,
        domain: str | Sequence[str] = (),
        *,
        password_of: Callable[[str], str | None] | None = None,
        ha1_of: Callable[[str, str], str | None] | None = None,
        digest: Sequence[str] = DEFAULT_DIGEST,
        accounts: Accounts | None = None,
        location: Location | None = None,
        policy: RegistrarPolicy | None = None,
        keepalive: KeepAlivePolicy | None = None,
    ) -> None:
        domains = [domain] if isinstance(domain, str) else domain
        self.accounts: Accounts = accounts or PasswordAccounts(
            domains, password_of=password_of, ha1_of=ha1_of, digest=digest
        )
        self.password_of = password_of
        self.location: Location = MemoryLocation() if location is None else location
        self._policy = policy or RegistrarPolicy()
        self._wallclock: Callable[[], float] = lambda: 0.0
        self._publish: Callable[[events.Event], None] = _nobody
        self._date = (0, "")
        self._keepalive_policy = keepalive
        self._keepalive: KeepAlive | None = None
        self.gruus: Gruus | None = None

    def start(
        self,
        wallclock: Callable[[], float],
        publish: Callable[[events.Event], None],
        entropy: Entropy | None = None,
    ) -> None:
        """Called by the App that serves this registrar: where time comes from, and who is told.

        With `entropy` phones get addresses of their own (GRUU).
        """
        self.gruus = None if entropy is None else Gruus(entropy, self.lookup)
        self._wallclock = wallclock
        self._publish = publish

    def keep_alive(self, exchange: Exchange, loop: asyncio.AbstractEventLoop) -> None:
        """Called by the App when it can send: ask the phones from now on, if the policy wants it."""
        if self._keepalive_policy is not None:
            self._keepalive = KeepAlive(self._keepalive_policy, exchange, loop, self._publish)
            self._keepalive.changed(self.location, ())

    def stop(self) -> None:
        """Called by the App at its end."""
        if self._keepalive is not None:
            self._keepalive.close()
            self._keepalive = None

    def is_reachable(self, binding: Binding) -> bool | None:
        """Whether the phone answers; None when it is not asked."""
        return None if self._keepalive is None else self._keepalive.is_reachable(binding)

    async def bindings(self, user: str) -> Sequence[Binding]:
        """The live bindings of a user ("1001", of the first domain) or an AOR ("sip:1001@example.com")."""
        domain = self.accounts.default_domain or ""
        if user.startswith("sip:"):
            uri = Uri.parse(user)
            domain, user = self.accounts.domain(uri.host) or "", uri.user or ""
        return self.lookup(domain, user)

    def lookup(self, tenant: str, user: str) -> Sequence[Binding]:
        """The live bindings of a tenant's user."""
        return self.location.bindings(tenant, f"sip:{user}@{tenant}", self._wallclock())

    def contact_at(self, text: str) -> str | None:
        """The contact of the device that a GRUU of these domains names; None when it is none, or nobody is there."""
        uri = Uri.parse(text)
        domain = self.accounts.domain(uri.host)
        named = None if domain is None or self.gruus is None else self.gruus.resolve(domain, uri)
        if domain is None or named is None:
            return None
        user, instance = named
        return next((each.contact for each in self.lookup(domain, user) if each.instance == instance), None)

    def expire(self) -> None:
        """Forget what has expired."""
        expired = self.location.expire(self._wallclock())
        if expired and self._keepalive is not None:
            self._keepalive.changed((), expired)
        for binding in expired:
            self._publish(events.Unregistered(binding.tenant, binding.aor, binding.contact, "expired"))

    def clock_was_set(self, by: float) -> None:
        """The wallclock stepped by so many seconds: what was granted lasts as long as it was granted for."""
        logger.warning("the clock was set by %+.1f s: %d bindings move with it", by, len(self.location))
        phones: dict[tuple[str, str], list[Binding]] = {}
        for each in self.location:
            phones.setdefault((each.tenant, each.aor), []).append(replace(each, expires_at=each.expires_at + by))
        for (tenant, aor), moved in phones.items():
            self.location.update(tenant, aor, moved, ())

    def wallclock(self) -> float:
        """The time in which bindings end."""
        return self._wallclock()

    def register(self, request: Request, flow: Flow, identity: Identity) -> tuple[int, Headers, Reason | None]:
        """Status, headers and, for a refusal, the reason of the response to a REGISTER of this identity."""
        wallclock = self._wallclock()
        aor = f"sip:{identity.user}@{identity.tenant}"
        try:
            left = self._update(request, flow, identity.tenant, aor, wallclock)
        except _Refused as refused:
            return refused.reason.status, list(refused.headers), refused.reason
        except ParseError:
            return reasons.BAD_CONTACT.status, [], reasons.BAD_CONTACT
        gruus = self.gruus if request.headers.has_element("Supported", "gruu") else None
        headers: Headers = []
        for binding in left:
            headers.append(("Contact", _contact_value(binding, wallclock, gruus)))
        for binding in left:
            if binding.reg_id and binding.call_id == request.call_id:
                # RFC 5626 §6: "the registrar MUST include the 'outbound' option-tag in a Require header field".
                headers.append(("Require", "outbound"))
                break
        # RFC 3327 §5.3: the UA learns of the path that was stored.
        if "Path" in request.headers:
            headers += [("Path", value) for value in request.headers.get_all("Path")[:MAX_PATH]]
        headers.append(("Date", self._date_text(wallclock)))
        return 200, headers, None

    def _update(self, request: Request, flow: Flow, tenant: str, aor: str, wallclock: float) -> Sequence[Binding]:
        before = self.location.bindings(tenant, aor, wallclock)
        if "Contact" not in request.headers:
            return before
        if request.contact_is_star:
            change = self._remove_all(request, before)
        else:
            change = self._change(request, flow, tenant, aor, before, wallclock)
        self.location.update(tenant, aor, change.saved, change.removed)
        self._tell(change, before, wallclock)
        if self._keepalive is not None:
            self._keepalive.changed(change.saved, change.removed)
        return change.left

    def _remove_all(self, request: Request, before: Sequence[Binding]) -> _Change:
        # §10.2.2: "The REGISTER-specific Contact header field value of "*" applies to all registrations, but it
        # MUST NOT be used unless the Expires header field is present with a value of "0"".
        if request.contacts or len(request.headers.get_all("Contact")) > 1 or request.expires != 0:
            raise _Refused(reasons.CONTACT_STAR)
        for binding in before:
            _check_order(request, binding)
        return _Change([], list(before), [])

    def _change(
        self, request: Request, flow: Flow, tenant: str, aor: str, before: Sequence[Binding], wallclock: float
    ) -> _Change:
        change = _Change([], [], list(before))
        for contact in request.contacts:
            if "reg-id" in contact.params:
                is_outbound, refusal = outbound_of(request)
                if refusal is not None:
                    raise _Refused(refusal)
                if not (is_outbound and _is_reg_id(contact.params["reg-id"] or "")):
                    # RFC 5626 §6: "the registrar MUST ignore the reg-id parameter"; so is one that is no number of §10.
                    contact = _without_reg_id(contact)  # the same one, read differently
            self._apply(contact, request, flow, tenant, aor, change, wallclock)
        if change.saved and len(change.left) > self._policy.max_contacts:
            self._make_room(change)
        return change

    def _apply(
        self,
        contact: NameAddr,
        request: Request,
        flow: Flow,
        tenant: str,
        aor: str,
        change: _Change,
        wallclock: float,
    ) -> None:
        expires = self._expires(contact, request)
        if "+sip.instance" in contact.params and has_option(request, "gruu") and contact.uri.equivalent(Uri.parse(aor)):
            raise _Refused(reasons.CONTACT_IS_AOR)  # RFC 5627 §5.1
        binding = _binding(contact, request, flow, tenant, aor, wallclock + expires)
        for other in tuple(change.left):
            if not _is_same(other, binding, contact.uri):
                continue
            change.left.remove(other)
            if other in change.saved:
                change.saved.remove(other)
            else:
                _check_order(request, other)
                change.removed.append(other)
        if expires:
            change.left.append(binding)
            change.saved.append(binding)

    def _make_room(self, change: _Change) -> None:
        if not self._policy.replace_oldest or len(change.saved) > self._policy.max_contacts:
            raise _Refused(reasons.TOO_MANY_CONTACTS)
        old = sorted((binding for binding in change.left if binding not in change.saved), key=expiry_of)
        for binding in old[: len(change.left) - self._policy.max_contacts]:
            change.left.remove(binding)
            change.removed.append(binding)

    def _expires(self, contact: NameAddr, request: Request) -> int:
        text = contact.params.get("expires")
        if text is None:
            header = request.expires
            expires = self._policy.default_expires if header is None else header
        else:
            expires = int(text) if text.isascii() and text.isdigit() and len(text) < 11 else MALFORMED_EXPIRES
        # §10.3 step 7: the registrar may refuse an interval that is "greater than zero AND smaller than one hour".
        if 0 < expires < min(self._policy.min_expires, 3600):
            raise _Refused(reasons.TOO_BRIEF, (("Min-Expires", str(self._policy.min_expires)),))
        return min(expires, self._policy.max_expires)

    def _tell(self, change: _Change, before: Sequence[Binding], wallclock: float) -> None:
        known = set(map(key_of, before))
        renewed = set(map(key_of, change.saved))
        for binding in change.removed:
            if binding.key not in renewed:
                self._publish(events.Unregistered(binding.tenant, binding.aor, binding.contact, "removed"))
        for binding in change.saved:
            self._publish(
                events.Registered(
                    tenant=binding.tenant,
                    aor=binding.aor,
                    contact=binding.contact,
                    received=str(binding.flow.remote),
                    transport=binding.flow.transport,
                    user_agent=binding.user_agent,
                    expires_s=round(binding.expires_at - wallclock),
                    is_refresh=binding.key in known,
                )
            )

    def _date_text(self, wallclock: float) -> str:
        second = int(wallclock)
        if self._date[0] != second:
            self._date = (second, formatdate(second, usegmt=True))
        return self._date[1]


def _nobody(event: events.Event) -> None:
    """Until an App serves the registrar."""


def _check_order(request: Request, binding: Binding) -> None:
    # §10.3 step 7: with the same Call-ID the CSeq must be higher; "if not, the update MUST be aborted".
    if binding.call_id == request.call_id and request.cseq.number <= binding.cseq:
        raise _Refused(reasons.OUT_OF_ORDER)


def _is_same(binding: Binding, newcomer: Binding, uri: Uri) -> bool:
    if newcomer.instance and binding.instance:
        return binding.key == newcomer.key
    if binding.contact == newcomer.contact:
        return True
    return Uri.parse(binding.contact).equivalent(uri)


def _binding(contact: NameAddr, request: Request, flow: Flow, tenant: str, aor: str, expires_at: float) -> Binding:
    text = str(contact.uri)
    if contact.uri.scheme not in ("sip", "sips") or len(text) > MAX_CONTACT:
        raise _Refused(reasons.BAD_CONTACT)
    if contact.uri.scheme == "sips" and flow.transport not in SECURE:
        # RFC 5630 §3.1: what reaches it would not be protected as its address says.
        raise _Refused(reasons.BAD_CONTACT)
    params = contact.params
    binding = Binding(
        tenant=tenant,
        aor=aor,
        contact=text,
        flow=flow,
        call_id=request.call_id[:MAX_CONTACT],
        cseq=request.cseq.number,
        expires_at=expires_at,
        q=qvalue(params.get("q")),
        user_agent=(request.headers.get("User-Agent") or "")[:MAX_TEXT],
    )
    instance = params.get("+sip.instance")
    if instance:
        binding = replace(binding, instance=instance.strip('"')[:MAX_TEXT], reg_id=(params.get("reg-id") or "")[:10])
    if "Path" in request.headers:
        binding = replace(
            binding, path=tuple(value[:MAX_CONTACT] for value in request.headers.get_all("Path")[:MAX_PATH])
        )
    return binding


def _is_reg_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= MAX_TEXT and 0 < int(text) < 2**31


def _without_reg_id(contact: NameAddr) -> NameAddr:
    params = {name: value for name, value in contact.params.items() if name != "reg-id"}
    return NameAddr(contact.uri, contact.display_name, params)


def _contact_value(binding: Binding, wallclock: float, gruus: Gruus | None) -> str:
    left = max(0, round(binding.expires_at - wallclock))
    q = "" if binding.q == 1.0 else f";q={binding.q:g}"
    instance = f';+sip.instance="{binding.instance}"' if binding.instance else ""
    reg_id = f";reg-id={binding.reg_id}" if binding.reg_id else ""
    own = "" if gruus is None else gruus.params(binding)
    return f"<{binding.contact}>{q}{instance}{reg_id}{own};expires={left}"
