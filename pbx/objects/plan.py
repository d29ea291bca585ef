"""The plan of a tenant: its objects but extensions and trunks, read together, checked against each other."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pbx.config_table import Report, Table, integer, one_of
from pbx.objects.features import WITH_NUMBER, FeaturesConfig
from pbx.objects.groups import Announcement, Conference, Menu, Page, Park, Program, Queue, RingGroup
from pbx.objects.lines import (
    ClassOfService,
    Did,
    Emergency,
    HotDesking,
    Limits,
    Monitoring,
    OutboundRoute,
    RecordingRule,
    Screening,
)
from pbx.objects.patterns import compiled
from pbx.objects.shape import Pairs, option, pairs, plain, read, read_keys, restore, secrets_of
from pbx.objects.times import Times
from pbx.objects.words import DAY, LANGUAGE, TEXT, ZONE, prompt_or_silence

# Lists of tables: the key in the file, the kind, and the key that names one of them.
KINDS: Final[dict[str, tuple[type[Any], str]]] = {
    "menu": (Menu, "number"),
    "ring_group": (RingGroup, "number"),
    "queue": (Queue, "number"),
    "conference": (Conference, "number"),
    "park": (Park, "number"),
    "page": (Page, "number"),
    "announcement": (Announcement, "number"),
    "program": (Program, "number"),
    "times": (Times, "name"),
    "did": (Did, "number"),
    "route": (OutboundRoute, "name"),
    "class": (ClassOfService, "name"),
    "recording": (RecordingRule, "name"),
}
# Single tables of a tenant.
SINGLES: Final[dict[str, type[Any]]] = {
    "emergency": Emergency,
    "screening": Screening,
    "limits": Limits,
    "monitoring": Monitoring,
    "hot_desking": HotDesking,
}


# Ended and begun here, with their media; or passed through (pbx.proxying).
PROXIED: Final = "proxied"
CALLS: Final = ("bridged", PROXIED)


@dataclass(frozen=True, slots=True)
class Settings:
    """What holds for the whole tenant."""

    language: str = option(LANGUAGE, "en")
    time_zone: str = option(ZONE, "UTC")
    country_code: str = option(TEXT, "")
    holidays: Pairs = pairs(DAY, TEXT)
    calls: str = option(one_of(*CALLS), "bridged")
    # Text messages to who is away: how long, and how many for each extension; 0: none.
    messages_days: int = option(integer(0, 365), 7)
    messages_kept: int = option(integer(0, 1000), 100)
    # Heard by who is put on hold; "": whoever holds says so to the other phone.
    music: str = option(prompt_or_silence, "music")


@dataclass(frozen=True, slots=True)
class Plan:
    """Every object of a tenant by its kind; a kind's objects in the order of the file."""

    settings: Settings = Settings()
    menus: tuple[Menu, ...] = ()
    ring_groups: tuple[RingGroup, ...] = ()
    queues: tuple[Queue, ...] = ()
    conferences: tuple[Conference, ...] = ()
    parks: tuple[Park, ...] = ()
    pages: tuple[Page, ...] = ()
    announcements: tuple[Announcement, ...] = ()
    programs: tuple[Program, ...] = ()
    times: tuple[Times, ...] = ()
    dids: tuple[Did, ...] = ()
    routes: tuple[OutboundRoute, ...] = ()
    classes: tuple[ClassOfService, ...] = ()
    recordings: tuple[RecordingRule, ...] = ()
    emergency: Emergency = Emergency()
    screening: Screening = Screening()
    limits: Limits = Limits()
    monitoring: Monitoring = Monitoring()
    hot_desking: HotDesking = HotDesking()

    def of_kind(self, kind: str) -> tuple[Any, ...]:
        """The objects of a kind as `KINDS` calls it."""
        found: tuple[Any, ...] = getattr(self, PLURALS[kind])
        return found

    def numbers(self) -> Iterator[tuple[str, str]]:
        """Every number that can be dialled, with the kind of its object."""
        for kind, (_, key) in KINDS.items():
            if key == "number" and kind != "did":
                yield from ((one.number, kind) for one in self.of_kind(kind))
        for park in self.parks:
            yield from ((number, "park slot") for number in park.numbers)


# Keys that name extensions, and nothing else that can be called.
_EXTENSIONS_ALONE: Final = {"queue": ("agents",), "page": ("members", "callers"), "recording": ("extensions",)}

PLURALS: Final[dict[str, str]] = dict(
    zip(
        KINDS,
        ("menus", "ring_groups", "queues", "conferences", "parks", "pages", "announcements", "programs", "times",
         "dids", "routes", "classes", "recordings"),
        strict=True,
    )
)  # fmt: skip


def read_plan(table: Table) -> Plan:
    """The plan in a `[[tenant]]`; faults go to the table's report."""
    settings = Settings(**read_keys(Settings, table))
    country = settings.country_code
    if country and not (country.startswith("+") and country[1:].isdigit() and 1 < len(country) < 5):
        table.refuse("country_code", f"{country!r} is not allowed, give a country's code such as '+1'")
    lists: dict[str, Any] = {PLURALS[kind]: _read_list(table, kind, shape, key) for kind, (shape, key) in KINDS.items()}
    singles: dict[str, Any] = {kind: read(shape, table.table(kind)) for kind, shape in SINGLES.items()}
    return Plan(settings, **lists, **singles)


def check_plan(
    table: Table,
    plan: Plan,
    features: FeaturesConfig,
    extensions: Container[str],
    *,
    mailboxes: Container[str],
    trunks: Container[str],
) -> None:
    """Refuse what two objects claim, and what names an object that is not there.

    `mailboxes`: the extensions that have one.
    """
    _check_numbers(table, plan, features, extensions)
    _check_targets(table, plan, features, extensions, mailboxes)
    _check_extensions(table, plan, extensions)
    _check_names(table, plan, trunks)


def plain_plan(plan: Plan, *, secrets: bool = True) -> dict[str, Any]:
    """The plan as the file has it."""
    found = plain(plan.settings)
    for kind in KINDS:
        if objects := plan.of_kind(kind):
            found[kind] = [plain(one, secrets=secrets) for one in objects]
    found |= {kind: values for kind in SINGLES if (values := plain(getattr(plan, kind)))}
    return found


def secrets_of_plan(plan: Plan) -> dict[str, Any]:
    """The secret keys, by kind and place in its list."""
    found: dict[str, Any] = {}
    for kind in KINDS:
        secrets = [secrets_of(one) for one in plan.of_kind(kind)]
        if any(secrets):
            found[kind] = secrets
    return found


def restore_plan(values: dict[str, Any], secrets: dict[str, Any]) -> Plan:
    """The plan that `plain_plan` and `secrets_of_plan` took apart."""
    lists: dict[str, Any] = {}
    for kind, (shape, _) in KINDS.items():
        objects = values.get(kind, [])
        apart = secrets.get(kind) or [{}] * len(objects)
        lists[PLURALS[kind]] = tuple(restore(shape, one, own) for one, own in zip(objects, apart, strict=True))
    singles: dict[str, Any] = {kind: restore(shape, values.get(kind, {})) for kind, shape in SINGLES.items()}
    return Plan(restore(Settings, values), **lists, **singles)


def _read_list(table: Table, kind: str, shape: type[Any], key: str) -> tuple[Any, ...]:
    found, names = [], set()
    for entry in table.tables(kind):
        one = read(shape, entry)
        name = getattr(one, key)
        # A DID may be there twice: for other callers, by another trunk.
        if name in names and kind != "did":
            entry.refuse(key, f"{name!r} is described twice")
        names.add(name)
        found.append(one)
    return tuple(found)


def _places(plan: Plan, kind: str) -> Iterator[tuple[int, Any]]:
    return enumerate(plan.of_kind(kind))


def _check_numbers(table: Table, plan: Plan, features: FeaturesConfig, extensions: Container[str]) -> None:
    """A number has one owner."""
    owners: dict[str, str] = {}
    for name, code in features.codes.items():
        if code in extensions:
            table.refuse("features", f"the code {code!r} of {name} is also an extension")
        other = owners.setdefault(code, name)
        if other != name:
            table.refuse("features", f"the code {code!r} of {name} is also that of {other}")
    _check_prefixes(table, features)
    for times in plan.times:
        if (override := times.override_code) is not None:
            if override in owners or override in extensions:
                table.refuse("times", f"the override_code {override!r} of {times.name} is in use")
            owners[override] = times.name
    for number, kind in plan.numbers():
        if number in extensions:
            table.refuse(kind.split()[0], f"the number {number!r} is also an extension")
        elif number in owners:
            table.refuse(kind.split()[0], f"the number {number!r} is also that of {owners[number]}")
        owners[number] = kind


def _check_prefixes(table: Table, features: FeaturesConfig) -> None:
    """`*8` and `*81…`: a code that takes a number must not begin another code."""
    for name in WITH_NUMBER:
        prefix = getattr(features, name)
        for other, code in features.codes.items():
            if prefix is not None and other != name and code.startswith(prefix):
                table.refuse("features", f"the code {prefix!r} of {name} begins {code!r} of {other}")


def _check_targets(
    table: Table, plan: Plan, features: FeaturesConfig, extensions: Container[str], mailboxes: Container[str]
) -> None:
    known = {number for number, _ in plan.numbers()} | set(features.dialled.values())

    def check(path: tuple[str | int, ...], name: str) -> None:
        number = name.removeprefix("mailbox:")
        if name in ("", "hangup") or (number == name and _dials(plan, number, known)):
            return
        if number not in extensions:
            table.report.add((*table.path, *path), f"{name!r} leads nowhere: no such number in this tenant")
        elif number != name and number not in mailboxes:
            table.report.add((*table.path, *path), f"{name!r} leads nowhere: the extension has no mailbox")

    for kind in ("menu", "ring_group", "queue", "park", "announcement"):
        for index, one in _places(plan, kind):
            check((kind, index, "otherwise"), one.otherwise)
    for index, menu in _places(plan, "menu"):
        for key, name in menu.keys:
            check(("menu", index, "keys", key), name)
    for index, did in _places(plan, "did"):
        check(("did", index, "target"), did.target)
        check(("did", index, "closed"), did.closed)
    for index, group in _places(plan, "ring_group"):
        for place, member in enumerate(group.members):
            if member not in extensions and not _is_outside(plan, member, known):
                path = (*table.path, "ring_group", index, "members", place)
                table.report.add(path, f"{member!r} is neither an extension of this tenant nor a number outside")


def _is_outside(plan: Plan, number: str, known: Container[str]) -> bool:
    """Whether it is a number that a route takes, and no call for help."""
    return number not in known and _dials(plan, number, known) and plan.emergency.number_of(number) is None


def _check_extensions(table: Table, plan: Plan, extensions: Container[str]) -> None:
    """Agents, whose phones answer by themselves and who makes them, who is told of what, who is recorded."""

    def check(path: tuple[str | int, ...], numbers: Sequence[str]) -> None:
        for place, number in enumerate(numbers):
            if number not in extensions:
                table.report.add((*table.path, *path, place), f"{number!r} is no extension of this tenant")

    check(("emergency", "notify"), plan.emergency.notify)
    check(("limits", "notify"), plan.limits.notify)
    for kind, keys in _EXTENSIONS_ALONE.items():
        for index, one in _places(plan, kind):
            for key in keys:
                check((kind, index, key), getattr(one, key))


def _dials(plan: Plan, number: str, known: Container[str]) -> bool:
    outside = (route.pattern for route in plan.routes)
    return number in known or any(compiled(text).matches(number) for text in outside if text)


def _check_names(table: Table, plan: Plan, trunks: Container[str]) -> None:
    times = {one.name for one in plan.times}
    classes = {one.name for one in plan.classes}
    routes = {one.name for one in plan.routes}
    report: Report = table.report

    def check(path: tuple[str | int, ...], names: Sequence[str], known: Container[str], what: str) -> None:
        for name in names:
            if name and name not in known:
                report.add((*table.path, *path), f"{name!r} is no {what} of this tenant")

    for kind in ("did", "route"):
        for index, one in _places(plan, kind):
            check((kind, index, "times"), [one.times], times, "times")
    for index, route in _places(plan, "route"):
        check(("route", index, "classes"), route.classes, classes, "class")
        check(("route", index, "trunks"), route.trunks, trunks, "trunk")
        if bool(route.trunks) == bool(route.rates):
            report.add((*table.path, "route", index), "needs one of trunks and rates")
    for index, did in _places(plan, "did"):
        check(("did", index, "trunk"), [did.trunk], trunks, "trunk")
    for index, rule in _places(plan, "recording"):
        check(("recording", index, "trunks"), rule.trunks, trunks, "trunk")
        check(("recording", index, "queues"), rule.queues, {one.number for one in plan.queues}, "queue")
    for index, one in _places(plan, "class"):
        check(("class", index, "routes"), one.routes, routes, "route")
    check(("emergency", "trunks"), plan.emergency.trunks, trunks, "trunk")
    if plan.emergency.numbers and not plan.emergency.trunks:
        report.add((*table.path, "emergency"), "names no trunk: emergency calls would go nowhere")
