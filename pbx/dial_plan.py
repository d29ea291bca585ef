"""A tenant's plan as routing reads it: every number by its owner, patterns in the order of who wins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pbx.decisions import (
    Target,
    ToAnnouncement,
    ToConference,
    ToDeskLogin,
    ToDeskLogout,
    ToEcho,
    ToFeature,
    ToGroup,
    ToMenu,
    ToOverride,
    ToPage,
    ToPark,
    ToParkSlot,
    ToPickup,
    ToProgram,
    ToQueue,
    ToVoicemail,
)
from pbx.numbers import NANP, NumberPlan
from pbx.objects.lines import ClassOfService, Did, OutboundRoute
from pbx.objects.patterns import Pattern, compiled
from pbx.objects.times import Times, opening
from pbx.prefixes import PrefixTable
from pbx.tenants import TenantConfig

# How an object of a kind is called as the target of a call.
_TARGETS: Final[Mapping[str, Any]] = {
    "menu": ToMenu,
    "ring_group": ToGroup,
    "queue": ToQueue,
    "conference": ToConference,
    "announcement": ToAnnouncement,
    "program": ToProgram,
    "park": ToPark,
    "page": ToPage,
}
EVERYTHING: Final = ClassOfService("", international=True)


class DialPlan:
    """Made once for a snapshot. Nothing in it changes."""

    __slots__ = (
        *("_country", "by_code", "by_number", "classes", "dids"),
        *("holidays", "number_plan", "rates", "routes", "times"),
    )

    def __init__(self, tenant: TenantConfig, rates: Mapping[str, PrefixTable] | None = None) -> None:
        """`rates` by the name of the route."""
        plan = tenant.plan
        self.rates: Final = rates or {}
        self.by_code: Final = dict(_codes(tenant))
        self.by_number: Final[dict[str, Target]] = {
            one.number: _TARGETS[kind](one) for kind in _TARGETS for one in plan.of_kind(kind)
        }
        self.by_number.update((slot, ToParkSlot(park, slot)) for park in plan.parks for slot in park.numbers)
        self.times: Final[dict[str, Times]] = {one.name: one for one in plan.times}
        self.classes: Final[dict[str, ClassOfService]] = {one.name: one for one in plan.classes}
        self.holidays: Final = dict(plan.settings.holidays)
        self.dids: Final[tuple[tuple[Pattern, Did], ...]] = _ordered(plan.dids, "number")
        self.routes: Final[tuple[tuple[Pattern, OutboundRoute], ...]] = _ordered(plan.routes, "pattern")
        self._country: Final = plan.settings.country_code.removeprefix("+")
        self.number_plan: Final = number_plan(self._country, tenant)

    @property
    def has_country(self) -> bool:
        """Whether numbers can be made E.164."""
        return bool(self._country)

    def is_open(self, times: Times, at: float, tenant: TenantConfig) -> bool:
        """Whether hours are open by the configuration alone."""
        zone = tenant.plan.settings.time_zone
        return opening(times, at, time_zone=zone, holidays=self.holidays).is_open

    def is_abroad(self, number: str) -> bool:
        """Whether a number in E.164 belongs to another country; all are, when the tenant has none.

        Then a number with the international prefix of most countries is one too (ITU-T E.123 and E.164 recommend 00).
        """
        if not self._country:
            return number.startswith(("+", "00"))
        return number.startswith("+") and not number.startswith(f"+{self._country}")


def number_plan(country: str, tenant: TenantConfig) -> NumberPlan:
    """How the tenant's country writes numbers."""
    emergency = frozenset(tenant.plan.emergency.numbers)
    if country == "1":
        return NumberPlan("1", NANP.international, NANP.national, NANP.area, NANP.subscriber, emergency)
    return NumberPlan(country, emergency=emergency)


def warnings_of(tenant: TenantConfig) -> Iterator[str]:
    """What of the plan can never be reached."""
    for kind, key in (("did", "number"), ("route", "pattern")):
        ordered = _ordered(tenant.plan.of_kind(kind), key)
        for place, (pattern, one) in enumerate(ordered):
            for earlier, other in ordered[:place]:
                if _always_wins(other) and earlier.covers(pattern):
                    name, by = (getattr(each, "name", "") or getattr(each, key) for each in (one, other))
                    yield f"{tenant.domain}: {kind} {name!r} is never reached, {kind} {by!r} takes all its numbers"
                    break
    if tenant.plan.routes and not tenant.plan.emergency.numbers:
        yield f"{tenant.domain}: there are routes out and no emergency.numbers: nobody can call for help"
    plan = DialPlan(tenant)
    for route in tenant.plan.routes:
        if route.pattern in tenant.extensions or route.pattern in plan.by_number or route.pattern in plan.by_code:
            yield f"{tenant.domain}: route {route.name!r} is never reached, {route.pattern} is a number of the tenant"


def _always_wins(one: Did | OutboundRoute) -> bool:
    """Whether nothing but the number decides about it."""
    if isinstance(one, Did):
        return not one.trunk and not one.callers
    return not one.times and not one.classes and not one.rates


def _ordered(objects: tuple[Any, ...], key: str) -> tuple[tuple[Pattern, Any], ...]:
    found = [(compiled(getattr(one, key)), one) for one in objects]
    # `sorted` is stable: of equals the one written first. A rule with a condition is asked before one without.
    return tuple(sorted(found, key=lambda pair: (-pair[1].priority, pair[0].rank, _always_wins(pair[1]))))


def _codes(tenant: TenantConfig) -> Iterator[tuple[str, Target]]:
    for name, code in tenant.features.dialled.items():
        yield code, _code_target(name)
    for times in tenant.plan.times:
        if times.override_code is not None:
            yield times.override_code, ToOverride(times)


def _code_target(name: str) -> Target:
    match name:
        case "echo":
            return ToEcho()
        case "voicemail":
            return ToFeature("voicemail")
        case "voicemail_ask":
            return ToVoicemail()
        case "group_pickup":
            return ToPickup()
        case "desk_log_in":
            return ToDeskLogin()
        case "desk_log_out":
            return ToDeskLogout()
    return ToFeature(name)
