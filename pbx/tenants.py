"""A tenant is a SIP domain with its extensions and features; the realm is the domain and never changes.

No password is kept: reading an extension turns it into H(user:realm:password) (HA1, RFC 7616 §3.4.2) for each
digest algorithm that the extension may use.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from typing import Final

from pbx.config_table import Report, Table, flag, integer, one_of, seconds, text_like, text_of
from pbx.objects import shape
from pbx.objects.features import FeaturesConfig
from pbx.objects.media import MediaKeys, check_media
from pbx.objects.people import MONITOR, RECORD, Forwards, Mailbox
from pbx.objects.plan import Plan, check_plan, read_plan
from pbx.objects.shape import option, part
from pbx.objects.words import E164, LANGUAGE, NAME, NUMBER, NUMBER_ALLOWED, NUMBER_PATTERN, PIN, TEXT
from pbx.tls import PairConfig, read_pair
from pbx.trunk_config import TrunkConfig, read_trunks, refuse_clashes

DIGESTS: Final = ("MD5", "SHA-256")  # RFC 7616 §6.1, the two that DigestServer speaks
HA1_LENGTH: Final = {"MD5": 32, "SHA-256": 64}

DEFAULT_DIGEST: Final = ("SHA-256", "MD5")
DEFAULT_RING_S: Final = 30.0
MAX_CALLS_CEILING: Final = 100_000
MAX_RANGE: Final = 100_000  # extensions made by one "first-last" key
MIN_PASSWORD: Final = 6

_RANGE: Final = re.compile(r"(\d{1,12})-(\d{1,12})")
_DOMAIN: Final = r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*"
# The passwords of our own examples, and an extension that is its own password.
_SAMPLE: Final = "pass-{number}", "shop-{number}", "{number}"


@dataclass(frozen=True, slots=True)
class ExtensionConfig(MediaKeys):
    """One phone number with its credentials; `max_calls` None is no limit."""

    number: str
    name: str = option(TEXT, "")
    digest: tuple[str, ...] = DEFAULT_DIGEST
    max_calls: int | None = option(integer(1, MAX_CALLS_CEILING), None)
    ring_s: float = option(seconds(1, 3600), DEFAULT_RING_S)
    ha1: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    mailbox: Mailbox | None = part(Mailbox)
    forward: Forwards = part(Forwards, Forwards())
    dnd: bool = option(flag, False)
    busy_level: int | None = option(integer(1, MAX_CALLS_CEILING), None)
    caller_id: str = option(E164, "")
    hide_caller_id: bool = option(flag, False)
    pickup_group: str = option(NAME, "")
    transfer: bool = option(flag, False)
    intercom: bool = option(flag, False)
    monitor: str = option(MONITOR, "never")
    monitored: bool = option(flag, False)
    class_of_service: str = option(NAME, "")
    record: str = option(RECORD, "never")
    language: str = option(LANGUAGE, "")
    redirects: str = option(one_of("follow", "fail"), "follow")
    outside_calls: int | None = option(integer(1, MAX_CALLS_CEILING), None)
    outside_calls_per_minute: int | None = option(integer(1, MAX_CALLS_CEILING), None)
    desk: bool = option(flag, False)
    desk_pin: str = option(PIN, "", secret=True)


@dataclass(frozen=True, slots=True)
class TenantConfig(MediaKeys):
    """One SIP domain: everything that belongs to it hangs here."""

    domain: str
    digest: tuple[str, ...] = DEFAULT_DIGEST
    extensions: Mapping[str, ExtensionConfig] = field(default_factory=dict)
    features: FeaturesConfig = FeaturesConfig()
    trace: bool = True
    tls: PairConfig | None = None
    trunks: tuple[TrunkConfig, ...] = ()
    plan: Plan = Plan()


def ha1_of(username: str, realm: str, password: str, algorithm: str) -> str:
    """HA1 in lower-case hexadecimal (RFC 7616 §3.4.2)."""
    hasher = hashlib.md5 if algorithm == "MD5" else hashlib.sha256
    return hasher(f"{username}:{realm}:{password}".encode("utf-8", "surrogateescape")).hexdigest()


def sample_password(domain: str, extension: ExtensionConfig) -> str | None:
    """The well-known password that `extension` has, if it has one; found by its HA1."""
    for pattern in _SAMPLE:
        password = pattern.format(number=extension.number)
        for algorithm, digest in extension.ha1:
            if digest == ha1_of(extension.number, domain, password, algorithm):
                return password
    return None


def read_tenant(table: Table) -> TenantConfig:
    """The tenant described by one `[[tenant]]`; faults go to the table's report."""
    domain = table.require("domain", text_like(_DOMAIN, "a domain name such as 'office.test'"), "").lower()
    digest = _read_digest(table, DEFAULT_DIGEST)
    features = shape.read(FeaturesConfig, table.table("features"))
    extensions = _read_extensions(table, domain, digest)
    plan = read_plan(table)
    trace = table.take("trace", flag, True)
    tls = _read_tls(table.table("tls")) if "tls" in table else None
    trunks = read_trunks(table)
    media = shape.read_keys(MediaKeys, table)
    table.finish()
    mailboxes = {number for number, extension in extensions.items() if extension.mailbox is not None}
    check_plan(table, plan, features, extensions, mailboxes=mailboxes, trunks={trunk.name for trunk in trunks})
    _check_extensions(table, extensions, plan, mailboxes)
    tenant = TenantConfig(domain, digest, extensions, features, trace, tls, trunks, plan, **media)
    check_media(table, tenant)
    return tenant


def _check_extensions(
    table: Table, extensions: Mapping[str, ExtensionConfig], plan: Plan, mailboxes: Container[str]
) -> None:
    classes = {one.name for one in plan.classes}
    for number, extension in extensions.items():
        for cause, target in shape.plain(extension.forward).items():
            if target.startswith("mailbox:") and target.removeprefix("mailbox:") not in mailboxes:
                table.refuse("extensions", f"{number}: forward.{cause}: {target!r} is no mailbox of this tenant")
        name = extension.class_of_service
        if name and name not in classes:
            table.refuse("extensions", f"{number}: {name!r} is no class of this tenant")
        if extension.desk and extension.desk_pin:
            table.refuse("extensions", f"{number}: desk and desk_pin: a desk is no person that logs in at one")
        if extension.desk and plan.settings.calls == "proxied":
            table.refuse("extensions", f"{number}: desk needs calls = 'bridged'")


def _read_tls(table: Table) -> PairConfig:
    pair = read_pair(table)
    table.finish()
    return pair


def _read_digest(table: Table, default: tuple[str, ...]) -> tuple[str, ...]:
    digest = table.take_list("digest", one_of(*DIGESTS), default)
    if not digest:
        table.refuse("digest", "an empty list is not allowed, give one or both of 'SHA-256', 'MD5' in order")
    elif len(set(digest)) < len(digest):
        table.refuse("digest", "names an algorithm twice")
    return digest or default


def _read_extensions(tenant: Table, domain: str, digest: tuple[str, ...]) -> dict[str, ExtensionConfig]:
    """Both forms: `[[tenant.extension]]` objects, and the short table `[tenant.extensions]` of number = password."""
    extensions: dict[str, ExtensionConfig] = {}
    for entry in tenant.tables("extension"):
        number = entry.require("number", NUMBER, "")
        _add_extension(extensions, entry, number, domain, digest)
    short = tenant.table("extensions")
    for key, value in short.items():
        values = {"password": value} if isinstance(value, str) else value
        if not isinstance(values, dict):
            short.refuse(key, "the value is not allowed, give a password in quotes or a table")
            continue
        for number in _numbers(key, short):
            entry = Table(values, (*short.path, key), short.report)
            _add_extension(extensions, entry, number, domain, digest)
    return extensions


def _add_extension(
    extensions: dict[str, ExtensionConfig], entry: Table, number: str, domain: str, digest: tuple[str, ...]
) -> None:
    if number in extensions:
        entry.report.add(entry.path, f"the extension {number} is described twice")
    else:
        extensions[number] = _read_extension(entry, number, domain, digest)


def _numbers(key: str, table: Table) -> list[str]:
    """The numbers that a key stands for: itself, or all of a range "1001-1010" of equally long numbers."""
    if match := _RANGE.fullmatch(key):
        first, last = match.groups()
        count = int(last) - int(first) + 1
        if len(first) != len(last) or not 0 < count <= MAX_RANGE:
            table.refuse(key, f"not a range of 1 to {MAX_RANGE} numbers of one length, such as '1001-1010'")
            return []
        return [str(number).zfill(len(first)) for number in range(int(first), int(last) + 1)]
    if not re.fullmatch(NUMBER_PATTERN, key):
        table.refuse(key, f"not an extension, give {NUMBER_ALLOWED}")
        return []
    return [key]


def _read_extension(table: Table, number: str, domain: str, tenant_digest: tuple[str, ...]) -> ExtensionConfig:
    digest = _read_digest(table, tenant_digest)
    keys = shape.read_keys(ExtensionConfig, table)
    extension = ExtensionConfig(number, digest=digest, ha1=_read_secret(table, number, domain, digest), **keys)
    check_media(table, extension)
    table.finish()
    return extension


def _read_secret(table: Table, number: str, domain: str, digest: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """HA1 by algorithm, from `password` (`{number}` in it is the extension's own) or from a table `ha1`."""
    given = table.table("ha1") if "ha1" in table else None
    if ("password" in table) == (given is not None):
        table.report.add(table.path, "needs one of password and ha1")
    if given is not None:
        table.take("password", text_of, "", secret=True)
        return _read_ha1(given, digest)
    allowed = f"at least {MIN_PASSWORD} characters in quotes"
    password = table.take("password", text_like(rf"(?s).{{{MIN_PASSWORD},256}}", allowed), "", secret=True)
    password = password.replace("{number}", number)
    return tuple((algorithm, ha1_of(number, domain, password, algorithm)) for algorithm in digest)


def _read_ha1(table: Table, digest: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    pairs = []
    # In the order of `digest`, as those that are made of a password.
    for algorithm in (*digest, *(name for name in DIGESTS if name not in digest)):
        length = HA1_LENGTH[algorithm]
        convert = text_like(f"[0-9a-fA-F]{{{length}}}", f"{length} hexadecimal digits")
        value = table.take(algorithm, convert, "", secret=True)
        if algorithm in digest and algorithm not in table:
            table.refuse(algorithm, f"is missing, because digest lists {algorithm}")
        if value:
            pairs.append((algorithm, value.lower()))
    table.finish()
    return tuple(pairs)


def read_tenants(tables: list[Table], report: Report) -> tuple[TenantConfig, ...]:
    """Every tenant; two of one domain are a fault."""
    tenants: dict[str, TenantConfig] = {}
    for table in tables:
        tenant = read_tenant(table)
        if tenant.domain in tenants:
            report.add((*table.path, "domain"), f"{tenant.domain!r} is the domain of an earlier tenant")
        tenants[tenant.domain] = tenant
    refuse_clashes(
        [
            (("tenant", index, "trunk", number), trunk)
            for index, tenant in enumerate(tenants.values())
            for number, trunk in enumerate(tenant.trunks)
        ],
        report,
    )
    return tuple(tenants.values())
