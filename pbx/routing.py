"""Where a number goes: a pure function of the snapshot, the state, who calls, what was dialled, and when.

The order: emergency numbers, feature codes, extensions, the tenant's other numbers, outbound routes; for a call from a
trunk the tenant's own numbers (DIDs) alone: there is no way from one trunk to another. `Decision.steps` names every
rule that was tried. `voipat route` prints them; a real call takes the same way through here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from pbx.decisions import (
    Decision,
    FromExtension,
    FromMenu,
    FromTrunk,
    HangUp,
    NoRoute,
    OnBehalf,
    Source,
    Step,
    Target,
    ToDeskLogin,
    ToDeskLogout,
    ToExtension,
    ToFeature,
    ToIntercom,
    ToMailbox,
    ToMonitor,
    ToPickup,
    ToTrunks,
    ToVoicemail,
)
from pbx.dial_plan import EVERYTHING, DialPlan
from pbx.directory import Directory
from pbx.numbers import InvalidNumberError, normalise
from pbx.objects.features import WITH_NUMBER
from pbx.objects.lines import ClassOfService, Did, OutboundRoute
from pbx.objects.patterns import compiled
from pbx.objects.times import opening
from pbx.prefixes import PrefixTable, spread
from pbx.tenant_state import TenantState
from pbx.tenants import ExtensionConfig, TenantConfig
from sipcore.values import made_in_c
from voipat import reasons

# A call is forwarded so often at most.
MAX_HOPS: Final = 10
_NOBODY: Final = TenantState("")
NO_TABLE: Final = PrefixTable()
_FOR_EXTENSIONS: Final = (ToFeature, ToPickup, ToIntercom, ToMonitor, ToVoicemail, ToDeskLogin, ToDeskLogout)


@made_in_c
@dataclass(slots=True)
class _Routing:
    """One number on its way; `steps` grows as rules are tried."""

    tenant: TenantConfig
    plan: DialPlan
    state: TenantState
    source: Source
    at: float
    steps: list[Step] = field(default_factory=list)
    hops: int = 0
    queue_priority: int = 0

    def took(self, rule: str, why: str) -> None:
        self.steps.append(Step(rule, True, why))

    def passed(self, rule: str, why: str) -> None:
        self.steps.append(Step(rule, False, why))


def route(
    directory: Directory,
    tenant: str,
    number: str,
    at: float,
    source: Source,
    *,
    host: str | None = None,
    state: TenantState = _NOBODY,
) -> Decision:
    """The destination of `number`, dialled in `tenant` at the wallclock `at`; `host` is that of the request.

    Another tenant's domain is as unknown as any other (security.md H12).
    """
    found = directory.maybe_tenant(tenant)
    if found is None or (host is not None and host.lower() != tenant):
        return Decision(NoRoute(reasons.UNKNOWN_NUMBER), (Step("domain", False, "is not the caller's"),))
    routing = _Routing(found, directory.plan(tenant), state, source, at)
    if isinstance(source, OnBehalf):
        routing.hops = source.hops
    marked = False
    if isinstance(source, FromTrunk):
        target, marked = _from_trunk(routing, number, source)
    else:
        target = _dialled(routing, number)
    return Decision(target, tuple(routing.steps), marked, routing.queue_priority)


def call_back(
    directory: Directory, tenant: str, number: str, at: float, *, state: TenantState = _NOBODY
) -> ToExtension | ToTrunks | None:
    """The way back to a caller of the tenant, an extension or a number outside; None when there is none."""
    found = directory.maybe_tenant(tenant)
    if found is None or not number:
        return None
    routing = _Routing(found, directory.plan(tenant), state, OnBehalf(), at)
    extension = found.extensions.get(number)
    target = _outside(routing, _e164(routing, number)) if extension is None else ToExtension(extension)
    return target if isinstance(target, ToExtension | ToTrunks) else None


def on_cause(
    directory: Directory, tenant: str, extension: ExtensionConfig, cause: str, at: float, hops: int, state: TenantState
) -> Decision | None:
    """Where a call goes when the extension is busy, does not answer or is unreachable; None: the caller is told."""
    routing = _Routing(directory.tenant(tenant), directory.plan(tenant), state, OnBehalf(extension.number), at)
    routing.hops = hops
    target = _instead(routing, extension, cause)
    return None if target is None else Decision(target, tuple(routing.steps))


# Calls of phones, menus and the plan itself


def _dialled(routing: _Routing, number: str) -> Target:
    tenant = routing.tenant
    if not number:
        routing.passed("number", "nothing was dialled")
        return NoRoute(reasons.UNKNOWN_NUMBER)
    if isinstance(routing.source, FromMenu):
        return _from_menu(routing, number)
    emergency = tenant.plan.emergency.number_of(number)
    if emergency is not None:
        routing.took("emergency", f"{number} is the emergency number {emergency}")
        trunks, caller_id = tenant.plan.emergency.trunks, tenant.plan.emergency.caller_id
        return ToTrunks(emergency, trunks, caller_id, emergency=True, payer=_payer(routing))
    routing.passed("emergency", "is none of its numbers")
    return _code(routing, number) or _own_number(routing, number) or _outside(routing, number)


def _from_menu(routing: _Routing, number: str) -> Target:
    """A stranger in a menu dials extensions, never codes or trunks."""
    extension = routing.tenant.extensions.get(number)
    if extension is None:
        routing.passed("extension", f"{number} is none; a menu leads to extensions only")
        return NoRoute(reasons.UNKNOWN_NUMBER)
    routing.took("extension", number)
    return _to_extension(routing, extension)


def _code(routing: _Routing, number: str) -> Target | None:
    plan, caller = routing.plan, _payer(routing)
    target = plan.by_code.get(number) or _code_with_number(routing, number)
    if target is None:
        routing.passed("feature codes", "is none")
        return None
    if isinstance(target, _FOR_EXTENSIONS) and caller not in routing.tenant.extensions:
        routing.passed("feature codes", "only for extensions")
        return NoRoute(reasons.UNKNOWN_NUMBER)
    if target == ToFeature("voicemail"):
        routing.took("feature code", number)
        return ToVoicemail(caller)
    if isinstance(target, ToFeature) and isinstance(routing.source, OnBehalf):
        # It would be set for who calls.
        routing.passed("feature codes", "a forward sets nothing")
        return NoRoute(reasons.UNKNOWN_NUMBER)
    routing.took("feature code", number)
    return target


def _code_with_number(routing: _Routing, number: str) -> Target | None:
    features, extensions = routing.tenant.features, routing.tenant.extensions
    found = next(
        (name for name in WITH_NUMBER if (code := getattr(features, name)) is not None and number.startswith(code)), ""
    )
    rest = number[len(getattr(features, found)) :] if found else ""
    if not rest:
        return None
    if found == "forward_on":
        return ToFeature("forward_on", rest)
    if found == "desk_log_in":
        return ToDeskLogin(rest)
    if rest not in extensions:
        return None
    match found:
        case "directed_pickup":
            return ToPickup(rest)
        case "intercom":
            return ToIntercom(extensions[rest])
    return ToMonitor(extensions[rest])


def _own_number(routing: _Routing, number: str) -> Target | None:
    extension = routing.tenant.extensions.get(number)
    if extension is not None:
        routing.took("extension", number)
        return _to_extension(routing, extension)
    routing.passed("extensions", "is none")
    target = routing.plan.by_number.get(number)
    if target is None:
        routing.passed("numbers of the tenant", "is none")
        return None
    routing.took("number of the tenant", number)
    return target


def _to_extension(routing: _Routing, extension: ExtensionConfig) -> Target:
    """The extension, or what it set instead."""
    always = routing.state.forward(extension, "always")
    if always:
        routing.took("forward always", f"{extension.number} to {always}")
        return _forward(routing, extension, always)
    if routing.state.dnd(extension):
        routing.took("do not disturb", f"of {extension.number}")
        return _instead(routing, extension, "busy") or NoRoute(reasons.DO_NOT_DISTURB)
    return ToExtension(extension)


def _instead(routing: _Routing, extension: ExtensionConfig, cause: str) -> Target | None:
    """The forward for a cause, else the mailbox."""
    target = routing.state.forward(extension, cause)
    if target:
        routing.took(f"forward {cause}", f"{extension.number} to {target}")
        return _forward(routing, extension, target)
    if extension.mailbox is not None and extension.mailbox.enabled:
        routing.took("mailbox", f"of {extension.number}, {cause}")
        return ToMailbox(extension.number, cause)
    return None


def _forward(routing: _Routing, extension: ExtensionConfig, target: str) -> Target:
    """Follow a forward: what the extension may call itself, it may forward to."""
    routing.hops += 1
    if routing.hops > MAX_HOPS:
        routing.passed("forwards", f"more than {MAX_HOPS}")
        return NoRoute(reasons.CALL_LOOP)
    before, routing.source = routing.source, OnBehalf(extension.number, routing.hops)
    try:
        return follow(routing, target)
    finally:
        routing.source = before


def follow(routing: _Routing, target: str) -> Target:
    """A target as the configuration writes it."""
    if target == "hangup":
        return HangUp()
    if target.startswith("mailbox:"):
        return ToMailbox(target.removeprefix("mailbox:"))
    return _dialled(routing, target)


def target_of(
    directory: Directory, tenant: str, target: str, at: float, source: OnBehalf, *, state: TenantState
) -> Decision:
    """Where a target of the configuration leads now: `500`, `mailbox:1001`, `hangup`."""
    routing = _Routing(directory.tenant(tenant), directory.plan(tenant), state, source, at, hops=source.hops)
    return Decision(follow(routing, target), tuple(routing.steps))


# Out


def _outside(routing: _Routing, number: str) -> Target:
    allowed = _class_of(routing)
    refused: Target = NoRoute(reasons.UNKNOWN_NUMBER)
    for pattern, outbound in routing.plan.routes:
        rule = f"route {outbound.name}"
        if not pattern.matches(number):
            routing.passed(rule, f"{number} does not fit {pattern.text}")
            continue
        if (why := _closed_to(routing, outbound, allowed)) is not None:
            routing.passed(rule, why)
            refused = NoRoute(reasons.CLASS_OF_SERVICE)
            continue
        try:
            sent = _sent(routing, outbound, number)
        except InvalidNumberError as error:
            routing.passed(rule, str(error))
            refused = NoRoute(error.reason)
            continue
        # How a number is written opens nothing: one that is sent raw is looked at as E.164 too.
        reached = _e164(routing, sent) if outbound.raw else sent
        if (why := _too_far(routing, reached, allowed)) is not None:
            routing.passed(rule, why)
            return NoRoute(reasons.CLASS_OF_SERVICE)
        if not (trunks := _trunks_for(routing, outbound, sent)):
            routing.passed(rule, f"{sent} has none of the prefixes in {outbound.rates}")
            refused = NoRoute(reasons.UNKNOWN_NUMBER)
            continue
        routing.took(rule, f"{sent} by {', '.join(trunks)}")
        caller_id = outbound.caller_id or _caller_id(routing)
        return ToTrunks(sent, trunks, caller_id, payer=_payer(routing), ordered=bool(outbound.rates))
    if not routing.plan.routes:
        routing.passed("outbound routes", "there is none")
    return refused


def _trunks_for(routing: _Routing, outbound: OutboundRoute, sent: str) -> tuple[str, ...]:
    """The trunks to try, best first; without rates the route's own."""
    if not outbound.rates:
        return outbound.trunks
    table = routing.plan.rates.get(outbound.name, NO_TABLE)
    found = table.find(sent, lambda times: _is_open(routing, times)[0])
    ordered = spread(found, f"{sent} {routing.at!r}")
    return tuple(dict.fromkeys(trunk for each in ordered for trunk in each.trunks))


def _sent(routing: _Routing, outbound: OutboundRoute, number: str) -> str:
    """The number as the trunks are given it. Raises: InvalidNumberError."""
    rest = outbound.add + number[outbound.strip :]
    if outbound.raw or not routing.plan.has_country:
        return rest
    return normalise(routing.plan.number_plan, rest)


def _closed_to(routing: _Routing, outbound: OutboundRoute, allowed: ClassOfService) -> str | None:
    if not allowed.outside:
        return f"the class {allowed.name!r} may not call out"
    if outbound.classes and allowed.name not in outbound.classes:
        return f"is for the classes {', '.join(outbound.classes)}"
    if allowed.routes and outbound.name not in allowed.routes:
        return f"is none of the class {allowed.name!r}"
    if outbound.times:
        is_open, why = _is_open(routing, outbound.times)
        return None if is_open else why
    return None


def _too_far(routing: _Routing, number: str, allowed: ClassOfService) -> str | None:
    """Toll fraud goes abroad and to numbers that cost (security.md H20): neither is open by itself."""
    limits = routing.tenant.plan.limits
    if any(compiled(text).matches(number) for text in limits.premium) and not allowed.premium:
        return f"{number} is a premium number, and the class {allowed.name!r} may not call these"
    if not routing.plan.is_abroad(number):
        return None
    if not limits.international:
        return f"{number} is abroad, and limits.international is off"
    return None if allowed.international else f"{number} is abroad, and the class {allowed.name!r} may not call there"


def _class_of(routing: _Routing) -> ClassOfService:
    """The class of who pays; without one, everything that the tenant allows but premium numbers."""
    extension = routing.tenant.extensions.get(_payer(routing))
    name = "" if extension is None else extension.class_of_service
    return routing.plan.classes.get(name, EVERYTHING)


def _payer(routing: _Routing) -> str:
    source = routing.source
    return source.number if isinstance(source, FromExtension | OnBehalf) else ""


def _caller_id(routing: _Routing) -> str:
    extension = routing.tenant.extensions.get(_payer(routing))
    return "" if extension is None else extension.caller_id


def _is_open(routing: _Routing, name: str) -> tuple[bool, str]:
    times = routing.plan.times[name]
    by_hand = routing.state.override(times, routing.at)
    if by_hand is not None:
        return by_hand, f"{name} is turned to {'open' if by_hand else 'closed'} by hand"
    zone = routing.tenant.plan.settings.time_zone
    found = opening(times, routing.at, time_zone=zone, holidays=routing.plan.holidays)
    return found.is_open, f"{name} is {'open' if found.is_open else 'closed'}: {found.why}"


# In


def _from_trunk(routing: _Routing, number: str, source: FromTrunk) -> tuple[Target, bool]:
    refusal, marked = _screened(routing, source)
    if refusal is not None:
        return refusal, marked
    called = _e164(routing, number)
    for pattern, did in routing.plan.dids:
        why = _not_this(did, called, pattern.matches(called), _e164(routing, source.number), source.trunk)
        if why is not None:
            routing.passed(f"did {did.number}", why)
            continue
        routing.took(f"did {did.number}", did.target)
        routing.queue_priority = did.queue_priority
        return _did_target(routing, did), marked
    if not routing.plan.dids:
        routing.passed("dids", "there is none")
    return NoRoute(reasons.UNKNOWN_NUMBER), marked


def _did_target(routing: _Routing, did: Did) -> Target:
    target = did.target
    if did.times:
        is_open, why = _is_open(routing, did.times)
        routing.steps.append(Step(f"times {did.times}", is_open, why))
        target = did.target if is_open else did.closed
    routing.source = OnBehalf()
    return follow(routing, target)


def _not_this(did: Did, called: str, fits: bool, caller: str, trunk: str) -> str | None:
    if not fits:
        return f"{called} does not fit"
    if did.trunk and did.trunk != trunk:
        return f"is for calls by the trunk {did.trunk}"
    if did.callers and not any(compiled(text).matches(caller) for text in did.callers):
        return f"the caller {caller or 'is unknown and'} is none of its callers"
    return None


def _screened(routing: _Routing, source: FromTrunk) -> tuple[Target | None, bool]:
    """Whether the caller is refused; whether it shows a number of ours."""
    screening = routing.tenant.plan.screening
    if not source.number:
        if screening.anonymous == "reject":
            routing.took("screening", "the caller is anonymous")
            return NoRoute(reasons.ANONYMOUS_REFUSED), False
        return None, False
    caller = _e164(routing, source.number)
    for text in screening.block:
        if compiled(text).matches(caller):
            routing.took("screening", f"{caller} fits the blocked {text}")
            return NoRoute(reasons.CALLER_BLOCKED), False
    ours = source.number in routing.tenant.extensions or any(p.matches(caller) for p, _ in routing.plan.dids)
    if ours and screening.own_numbers == "reject":
        routing.took("screening", f"{caller} is a number of ours and comes from outside")
        return NoRoute(reasons.CALLER_BLOCKED), True
    return None, ours and screening.own_numbers == "mark"


def _e164(routing: _Routing, number: str) -> str:
    if not number or not routing.plan.has_country:
        return number
    try:
        return normalise(routing.plan.number_plan, number)
    except InvalidNumberError:
        return number
