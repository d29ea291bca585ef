"""Ringing several phones at once for one call: the first answer wins, the others are cancelled (RFC 3261 §16.7)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from media import MediaError
from sipcore.errors import LocalProtocolError, NegotiationError, ParseError, SipError
from sipcore.fields import NameAddr
from sipcore.flow import Address, Flow
from sipcore.message import Request
from sipcore.proxy import FLOW_SILENCE_S
from sipcore.routing import SECURE
from sipcore.sdp import MediaDescription, RtpFormat
from sipcore.uri import Uri, escape_user, unescape
from sipcore.values import value_object
from voipat import reasons
from voipat.answering import agree_with, hush, offered, offered_beside, relay_progress
from voipat.auth_gate import ALLOW, is_anonymous
from voipat.auto_answer import auto_answer_headers
from voipat.connected import identity_of, number_told
from voipat.early_media import EarlyAuthority, asked
from voipat.errors import NoAnswer, Redirected, Rejected
from voipat.gateway import Credentials, Gateway
from voipat.gruu import device_of
from voipat.leg_rules import LEG_MEDIA
from voipat.legs import SDP, InboundLeg, OutboundLeg
from voipat.location import Binding
from voipat.outcomes import best_refusal, reason_of_negotiation
from voipat.parties import Parties
from voipat.reasons import Reason
from voipat.redirecting import MAX_CONTACTS, MAX_FOLLOWED, Placed, targets_of
from voipat.waiting import tell_taken

if TYPE_CHECKING:
    from voipat.call import Call

DialTarget = str | Uri | Binding | Gateway

MAX_FORWARDS: Final = 70
# RFC 3261 §19.1.2: the port of a sip URI that names none.
DEFAULT_PORT: Final = 5060
# One INVITE must not become a storm of them.
MAX_TARGETS: Final = 32


@value_object(frozen=True, slots=True)
class Target:
    """Where one INVITE goes: Request-URI, flow (None: find the way by the URI), whom it is for, routes."""

    uri: Uri
    flow: Flow | None
    callee: str
    path: tuple[str, ...] = ()
    gateway: Gateway | None = None
    # Other flows of the same phone (RFC 5626 §5.3), to be tried when this one leads nowhere.
    others: tuple[Target, ...] = ()
    user_agent: str = ""


Headers = tuple[tuple[str, str], ...]

# What routes, identifies and describes a request is ours to write; everything else a program may add.
_OURS: Final = frozenset(
    (
        "via",
        "v",
        "from",
        "f",
        "to",
        "t",
        "call-id",
        "i",
        "cseq",
        "contact",
        "m",
        "max-forwards",
        "route",
        "record-route",
        "content-type",
        "c",
        "content-length",
        "l",
        "content-encoding",
        "e",
        "content-disposition",
        "allow",
        "supported",
        "k",
        "require",
        "proxy-require",
        "session-expires",
        "x",
        "min-se",
        "authorization",
        "proxy-authorization",
        "rack",
        "replaces",
        "user-agent",
        "timestamp",
    )
)
_HEADER: Final = re.compile(r"[A-Za-z0-9.!%*_+`'~-]{1,64}")
MAX_ADDED: Final = 32
LONGEST_VALUE: Final = 1024


def added_headers(headers: Sequence[tuple[str, str]]) -> Headers:
    """Headers of a program for an INVITE. Raises: ValueError for what is none, or ours to write."""
    for name, value in headers:
        if not _HEADER.fullmatch(name) or name.lower() in _OURS:
            raise ValueError(f"{name!r} is no header that can be added")
        if len(value) > LONGEST_VALUE or not value.isprintable():
            raise ValueError(f"the value of {name} has line ends or control characters, or is over {LONGEST_VALUE}")
    if len(headers) > MAX_ADDED:
        raise ValueError(f"more than {MAX_ADDED} headers")
    return tuple(headers)


class _Shared:
    """A place that several attempts hold together: the last one gives it back."""

    def __init__(self, place: ExitStack, holders: int) -> None:
        self._place = place
        self._holders = holders

    def give_back(self) -> None:
        self._holders -= 1
        if not self._holders:
            self._place.close()


class Fork:
    """The attempts of one `dial`."""

    def __init__(
        self, caller: Call, targets: Sequence[Target], headers: Headers = (), auto_answer: bool = False
    ) -> None:
        self._caller = caller
        self.headers: Final = headers
        self.auto_answer: Final = auto_answer
        self._targets = targets[:MAX_TARGETS]
        self._open: list[Call] = []
        self._others: dict[Call, tuple[Target, ...]] = {}
        self._refusals: list[tuple[Reason, str]] = []
        # Contacts of 3xx to be tried when this one fails, what was tried at all, and how many of them by 3xx.
        self._next: dict[Call, tuple[DialTarget | Placed, ...]] = {}
        self._tried: list[tuple[str, Flow | None]] = []
        self._followed = 0
        # What the targets of 3xx take for as long as a phone of theirs has the call.
        self._places: dict[Call, ExitStack] = {}
        # Users a phone of whom refused.
        self._refusing: set[str] = set()
        # Where those are who were redirected in vain.
        self.moved_to: tuple[Uri, ...] = ()
        self._waiter: asyncio.Future[None] | None = None
        self._is_starting = True
        self.winner: Call | None = None
        self.is_claimed = False

    @property
    def caller(self) -> Call:
        """For whom it rings."""
        return self._caller

    @property
    def size(self) -> int:
        """How many phones it rings."""
        return len(self._targets)

    def start(self, waiter: asyncio.Future[None]) -> None:
        """Send every INVITE; the waiter is done at the answer, or when all have refused."""
        self._waiter = waiter
        for target in self._targets:
            self._try(target)
        self._is_starting = False
        self._wake_when_done()

    def expire(self) -> None:
        """Nobody picked up in time."""
        if self.winner is None:
            self._refusals = [(reasons.NO_ANSWER, "server")]
            self._refusing -= {each.own_number for each in self._open}
            self._cancel_all(reasons.NO_ANSWER)
            self._wake_when_done()

    def close(self) -> None:
        """`dial` is over: cancel what still rings."""
        outcome = self._caller.outcome
        if outcome is None:
            self._cancel_all(reasons.CALLER_GAVE_UP)
        else:
            self._cancel_all(outcome.reason, by=outcome.by)

    @property
    def refusing(self) -> frozenset[str]:
        """The users whose phones refused, all that rang."""
        return frozenset(self._refusing)

    def best_refusal(self) -> tuple[Reason, str]:
        """Why nobody took the call, and whose doing it was."""
        found = best_refusal([reason for reason, _ in self._refusals])
        return found, next((by for reason, by in self._refusals if reason is found), "server")

    def progressed(self, attempt: Call, status: int, *, has_media: bool) -> None:
        """A phone rings, or sends early media."""
        relay_progress(self._caller, attempt, status, has_media=has_media)

    def hushed(self, attempt: Call) -> None:
        """Its early media is not to be heard any more."""
        hush(self._caller, attempt)

    def answered(self, attempt: Call) -> None:
        """A phone answered: the first one wins."""
        if attempt in self._open:
            self._open.remove(attempt)
        if self.winner is not None or self.is_claimed or self._caller.ended is not None:
            attempt.end("server", reasons.COMPLETED_ELSEWHERE)
            return
        self.winner = attempt
        self._cancel_all(reasons.COMPLETED_ELSEWHERE)
        self._wake_when_done()

    async def pick_up(self, call: Call) -> None:
        """Somebody else takes the call, by a call of his own (RFC 3891). Raises: Rejected for who comes second."""
        if self.is_claimed or self.winner is not None or self._caller.ended is not None:
            raise Rejected(reasons.BUSY)
        self.is_claimed = True
        try:
            call.answering.formats = offered(self._caller)
            await call.answer()
        finally:
            self.is_claimed = False
        if self._caller.outcome is not None:
            call.end("server", reasons.CALLER_GAVE_UP)
            return
        self.winner = call
        self._caller.adopt_again(call)
        tell_taken(self._caller, call)
        self._cancel_all(reasons.COMPLETED_ELSEWHERE)
        self._wake_when_done()

    def take_place(self, attempt: Call) -> ExitStack:
        """What a call that a 3xx led to has taken; whoever asks gives it back."""
        return self._places.pop(attempt, None) or ExitStack()

    def ended(self, attempt: Call) -> None:
        """A phone refused, or the attempt was cancelled."""
        self._caller.release(attempt)
        with self.take_place(attempt) as place:
            if attempt in self._open:
                self._open.remove(attempt)
                self._go_on(attempt, place)
                self._wake_when_done()

    def _go_on(self, attempt: Call, place: ExitStack) -> None:
        """Try what is left to try after this attempt."""
        others = self._others.pop(attempt, ())
        if others and attempt.outcome is not None and attempt.outcome.reason is reasons.UNREACHABLE:
            again = self._try(replace(others[0], others=others[1:]))
            if again is not None:
                self._places[again] = place.pop_all()
            return
        assert attempt.outcome is not None, "an ended call has its outcome"
        waiting = self._next.pop(attempt, ())
        follows = attempt.outcome.status < 600 and self.winner is None
        if not (follows and self._follow(attempt, waiting)) or not attempt.moved_to:
            self._refusals.append((attempt.outcome.reason, attempt.outcome.by))
            self._refusing.add(attempt.own_number)
        if attempt.outcome.status >= 600:
            # RFC 3261 §16.7 step 5: a 6xx ends the search, for one user: who declines speaks for no colleague.
            self._cancel_all(reasons.ALL_REFUSED, user=attempt.own_number)

    def _follow(self, attempt: Call, waiting: tuple[DialTarget | Placed, ...]) -> bool:
        """Go where a 3xx sends the call, or on to the next contact of an earlier one (RFC 3261 §8.1.3.4).

        False when it leads nowhere.
        """
        asked, targets = len(self._refusals), (*(targets_of(attempt) if attempt.moved_to else ()), *waiting)
        for place, wanted in enumerate(targets, 1):
            opened = self._ring_instead(wanted)
            if opened:
                # The rest is for when this one refuses.
                self._next[opened[0]] = targets[place:]
                return True
        self.moved_to = (*self.moved_to, *attempt.moved_to)[:MAX_CONTACTS]
        return len(self._refusals) > asked

    def _ring_instead(self, wanted: DialTarget | Placed) -> list[Call]:
        """Ring one target of a 3xx, if there is a place for it: the attempts at its phones, which share the place."""
        with ExitStack() as place:
            try:
                if isinstance(wanted, Placed):
                    place.enter_context(wanted.place())
                    wanted = wanted.target
                targets = self._new_targets(wanted)
            except Rejected as refused:
                self._refusals.append((refused.reason, refused.by))
                return []
            tried = [self._try(target) for target in targets]
            opened = [attempt for attempt in tried if attempt is not None]
            if opened:
                shared = _Shared(place.pop_all(), len(opened))
                for attempt in opened:
                    self._places[attempt] = ExitStack()
                    self._places[attempt].callback(shared.give_back)
        return opened

    def _new_targets(self, wanted: DialTarget) -> list[Target]:
        """Where a target of a 3xx is, but for what was tried. Raises: Rejected."""
        found = [each for each in resolve_targets(self._caller, wanted) if _key(each) not in self._tried]
        if not found or self._followed >= MAX_FOLLOWED:
            self._caller.note("%s goes no further: its redirects lead in a circle, or are too many", self._caller.id)
            return []
        self._followed += 1
        for target in found:
            self._caller.note("%s follows a redirect to %s", self._caller.id, target.uri)
        return found

    def _try(self, target: Target) -> Call | None:
        """Send one INVITE; the attempt, if it is under way."""
        self._tried.append(_key(target))
        try:
            attempt = _place(self._caller, target, self)
        except Rejected as refused:
            self._refusals.append((refused.reason, refused.by))
            return None
        if attempt.outcome is None:
            self._open.append(attempt)
            if target.others:
                self._others[attempt] = target.others
            return attempt
        if target.others and attempt.outcome.reason is reasons.UNREACHABLE:
            return self._try(replace(target.others[0], others=target.others[1:]))
        self._refusals.append((attempt.outcome.reason, attempt.outcome.by))
        return None

    def _cancel_all(self, reason: Reason, *, by: str = "server", user: str | None = None) -> None:
        """End what is open, or of it what rings this user."""
        attempts = [each for each in self._open if user in (None, each.own_number)]
        self._open = [each for each in self._open if each not in attempts]
        for attempt in attempts:
            attempt.end(by, reason)

    def _wake_when_done(self) -> None:
        waiter = self._waiter
        if self._is_starting or waiter is None or waiter.done():
            return
        if self.winner is not None or not self._open:
            waiter.set_result(None)


def _key(target: Target) -> tuple[str, Flow | None]:
    return str(target.uri), target.flow


async def ring(caller: Call, fork: Fork, timeout: float) -> Call:
    """Ring all targets of a fork until one answers. Raises: Rejected, NoAnswer, Redirected, HungUp, Cancelled."""
    timer = caller.switch.alarms.call_later(timeout, fork.expire)
    waiter = caller.new_waiter()
    try:
        fork.start(waiter)
        if not waiter.done():
            await waiter
        caller.raise_if_ended()
        return _taken(caller, fork)
    finally:
        timer.cancel()
        caller.no_longer_wakes(waiter)
        fork.close()


def _taken(caller: Call, fork: Fork) -> Call:
    winner = fork.winner
    if winner is None:
        reason, by = fork.best_refusal()
        if reason is reasons.REDIRECTED:
            raise Redirected(reason, fork.moved_to, by=by)
        if reason is reasons.NO_ANSWER:
            raise NoAnswer(reason, by=by, refused=fork.refusing)
        raise Rejected(reason, by=by)
    assert winner.media is not None, "an answered call has a port"
    agree_with(caller, winner.media)
    return winner


def resolve_targets(caller: Call, targets: DialTarget | Sequence[DialTarget]) -> list[Target]:
    """Every contact that the targets stand for. Raises: Rejected."""
    wanted: Iterable[DialTarget] = [targets] if isinstance(targets, str | Uri | Binding | Gateway) else targets
    found: list[Target] = []
    skipped: list[Binding] = []
    for target in wanted:
        found += _resolve(caller, target, skipped)
    if not found:
        raise Rejected(reasons.NO_REACHABLE_PHONE if skipped else reasons.NOT_REGISTERED)
    return found


def _resolve(caller: Call, target: DialTarget, skipped: list[Binding]) -> list[Target]:
    if isinstance(target, Binding):
        return [target_of(target)]
    if isinstance(target, Gateway):
        return [Target(target.uri, target.flow, target.callee, target.routes, target)]
    if isinstance(target, str):
        if ":" not in target:
            # Who called a GRUU of this user means one device (RFC 5627 §5.2).
            device = device_of(caller.role.to) if unescape(caller.role.to.user or "") == target else None
            return _registered(caller, caller.tenant, target, skipped, device)
        try:
            target = Uri.parse(target)
        except ParseError as error:
            raise Rejected(reasons.BAD_TARGET) from error
    if target.scheme not in ("sip", "sips"):
        raise Rejected(reasons.BAD_TARGET)
    flow = caller.leg.flow
    domain = None if flow is None else caller.switch.domain_of(target, flow)
    if domain is None:
        return [Target(target, None, target.user or target.host)]
    if domain != caller.tenant and caller.tenant:
        # H12: another tenant's users are reached as strangers' are, never through the directory.
        raise Rejected(reasons.UNKNOWN_NUMBER)
    return _registered(caller, domain, unescape(target.user or ""), skipped, device_of(target))


def _registered(
    caller: Call, tenant: str, user: str, skipped: list[Binding], device: str | None = None
) -> list[Target]:
    """The phones of a user; those that do not answer are `skipped`, so that nobody waits for them."""
    reachable: list[Binding] = []
    bindings = caller.switch.lookup(tenant, user)
    if device is not None:
        bindings = [binding for binding in bindings if binding.instance == device]
    if bindings and caller.role.to.scheme == "sips":
        # RFC 5630 §3.1: TLS on every hop, or no call.
        bindings = [binding for binding in bindings if binding.flow.transport in SECURE]
        if not bindings:
            raise Rejected(reasons.NO_SECURE_PHONE)
    for binding in bindings:
        if caller.switch.is_reachable(binding) is False:
            skipped.append(binding)
        else:
            reachable.append(binding)
    return [_with_other_flows(flows, user) for flows in _by_device(reachable)]


def _by_device(bindings: Sequence[Binding]) -> list[list[Binding]]:
    """The flows of each phone."""
    devices: dict[str, list[Binding]] = {}
    for binding in bindings:
        devices.setdefault(binding.device, []).append(binding)
    return list(devices.values())


def _with_other_flows(flows: Sequence[Binding], callee: str) -> Target:
    """RFC 5626 §5.3: one of them at a time; the newest is the likeliest to work."""
    first, *others = (target_of(binding, callee) for binding in flows)
    return replace(first, others=tuple(others)) if others else first


def target_of(binding: Binding, callee: str = "") -> Target:
    """Where a request to the phone of a binding goes; `callee` is who sits there, where that is not the user of it."""
    uri = Uri.parse(binding.contact)
    if uri.headers:
        uri = uri.replace(headers={})
    callee = callee or binding.aor.partition(":")[2].partition("@")[0]
    return Target(uri, flow_to(binding, uri), callee, binding.path, user_agent=binding.user_agent)


def flow_to(binding: Binding, uri: Uri) -> Flow:
    """The flow of a call to the binding: that of its REGISTER, which is open through any NAT (RFC 5626, RFC 3581).

    A UDP phone whose contact names the address that it registered from sits behind no NAT, and the port that it
    names is meant: some send from one port and listen on another.
    """
    flow = binding.flow
    if flow.reliable or binding.reg_id or uri.host.strip("[]") != flow.remote.host:
        return flow
    port = uri.port or DEFAULT_PORT
    return flow if port == flow.remote.port else replace(flow, remote=Address(flow.remote.host, port))


def _place(caller: Call, target: Target, fork: Fork) -> Call:
    """Send one INVITE. Raises: Rejected."""
    from voipat.call import Call

    switch = caller.switch
    forwards = _forwards(caller)
    identifier = switch.entropy.token(8)
    parties = Parties(identifier, caller.linked_id, caller.tenant, caller.role.caller, target.callee)
    leg = OutboundLeg(switch.exchange, target.flow)
    attempt = Call(switch, leg, parties, to=target.uri, caller=caller.role.from_)
    if target.gateway is not None:
        for name in LEG_MEDIA:
            setattr(attempt, name, getattr(target.gateway, name))
    attempt.acquaintance.knows = number_told(identity_of(caller))
    try:
        body = _offer(attempt, offered(caller), offered_beside(caller))
        headers = (*attempt.session.request_headers(), *fork.headers)
        if fork.auto_answer and target.gateway is None:
            headers += auto_answer_headers(caller.tenant or caller.from_.host, target.user_agent)
        request = _invite(caller, target, forwards, leg, body, headers)
    except (SipError, MediaError, Rejected) as error:
        # The caller has not adopted it: nobody else closes its port.
        if attempt.media is not None:
            attempt.media.close()
        if isinstance(error, LocalProtocolError):
            caller.note("%s cannot be called: %s", target.callee, error)
            raise Rejected(reasons.BAD_TARGET) from error
        raise
    if target.gateway is not None:
        if target.gateway.login is not None:
            leg.credentials = Credentials(target.gateway.login, switch.entropy)
        leg.authority = EarlyAuthority(target.gateway.early_media)
        attempt.gateway = target.gateway
        if target.gateway.silence_s is not None:
            leg.silence = switch.loop.call_later(target.gateway.silence_s, attempt.end, "server", reasons.TRUNK_SILENT)
    elif target.others:
        leg.silence = switch.loop.call_later(FLOW_SILENCE_S, attempt.end, "server", reasons.UNREACHABLE)
    caller.adopt(attempt)
    attempt.publish_start()
    attempt.note_port()
    attempt.fork = fork
    try:
        leg.invite(attempt, request)
    except SipError:
        attempt.end("server", reasons.BAD_TARGET, by_peer=True)
    return attempt


def _offer(attempt: Call, formats: Sequence[RtpFormat], beside: Sequence[MediaDescription]) -> bytes:
    media = attempt.open_media()
    try:
        if not formats and beside:
            return media.offer_fax(beside[0], replaces=True)
        wanted = media.codecs.offered(formats)
        if not wanted:
            raise NegotiationError("no codec in common")
        return media.offer(wanted, beside=beside)
    except NegotiationError as error:
        raise Rejected(reason_of_negotiation(error)) from error


def _invite(  # each a part of the message
    caller: Call,
    target: Target,
    forwards: int,
    leg: OutboundLeg,
    body: bytes,
    added: Headers,
) -> Request:
    """Nothing of the caller's own message but the name: topology hiding (RFC 7092)."""
    role = caller.role
    host = caller.tenant or role.from_.host
    # RFC 3323 §4.1.1.3: a caller who hides stays hidden.
    from_host = role.from_.host if is_anonymous(role.from_) else host
    from_ = caller.shown_as or NameAddr(Uri("sip", role.from_.user, from_host), caller.display_name)
    to = NameAddr(Uri("sip", escape_user(target.callee), host) if target.flow is not None else target.uri)
    more: tuple[tuple[str, str], ...] = ()
    if (gateway := target.gateway) is not None:
        from_, to = gateway.from_ or from_, NameAddr(target.uri)
        more = (*gateway.headers, *asked(gateway.early_media))
    leg.call_id = caller.switch.entropy.token(16)
    headers = [
        ("Max-Forwards", str(forwards)),
        *(("Route", value) for value in target.path),
        ("From", str(from_)),
        ("To", str(to)),
        ("Call-ID", leg.call_id),
        ("Allow", ALLOW),
        *added,
        # RFC 6228 §4: a proxy may tell of each phone that refuses.
        ("Supported", "199"),
        *more,
        SDP,
    ]
    return Request("INVITE", target.uri, headers, body)


def _forwards(caller: Call) -> int:
    leg = caller.leg
    received = leg.request.max_forwards if isinstance(leg, InboundLeg) else None
    forwards = MAX_FORWARDS if received is None else min(received, MAX_FORWARDS) - 1
    if forwards < 1:
        raise Rejected(reasons.TOO_MANY_HOPS)
    return forwards
