"""What a tenant has agreed with a carrier: the `[[tenant.trunk]]` tables, read into frozen values.

A trunk is found for a call by its name, and a call is found to come from it by address, port and certificate: never by
anything that the message says (security.md H11).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from typing import Final

from pbx.config_table import Converter, Report, Table, flag, integer, one_of, seconds, text_like, text_of
from pbx.objects.media import MediaKeys, check_media
from pbx.objects.shape import read_keys
from pbx.toml_positions import KeyPath
from sipcore.routing import is_ip_literal
from voipat.connected import ASSERTED, PARTY_ID
from voipat.early_media import EarlyMediaRule

TRANSPORTS: Final = ("udp", "tcp", "tls")
DEFAULT_PORTS: Final = {"udp": 5060, "tcp": 5060, "tls": 5061}
CALLER_ID_POLICIES: Final = ("replace", "reject", "pass")
IDENTITIES: Final = ("none", "pai", "rpid")
REDIRECTS: Final = ("fail", "follow", "pass")
EARLY_MEDIA: Final[tuple[EarlyMediaRule, ...]] = ("pass", "authorized", "none")
DEFAULT_OPTIONS_S: Final = 30.0
LEAST_OPTIONS_S: Final = 5
DEFAULT_REGISTER_S: Final = 3600
MAX_CALLS: Final = 100_000
MAX_RULES: Final = 1000
MAX_DIDS: Final = 100_000

_NAME: Final = r"[0-9A-Za-z._-]{1,32}"
_HOST: Final = re.compile(
    r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*\.?"
)
_HOST_ALLOWED: Final = "a host such as 'sip.carrier.example', '192.0.2.7:5080' or '[2001:db8::7]'"
_NUMBER_ALLOWED: Final = "a number such as '+12025550100'; a list of allowed ones may end in '*'"
_ADDRESS_ALLOWED: Final = (
    "an address or network with or without a port: '192.0.2.7:5060', '192.0.2.0/28', '[2001:db8::/48]:5060'"
)


@dataclass(frozen=True, slots=True)
class TrunkAddress:
    """Where a trunk's requests come from: a network, and one port or (None) any."""

    network: IPv4Network | IPv6Network
    port: int | None = None

    def __str__(self) -> str:
        if self.port is None:
            return str(self.network)
        return f"[{self.network}]:{self.port}" if self.network.version == 6 else f"{self.network}:{self.port}"


@dataclass(frozen=True, slots=True)
class NumberRule:
    """Numbers that begin with `prefix` lose their first `strip` characters and then get `add` in front."""

    prefix: str = ""
    strip: int = 0
    add: str = ""

    def apply(self, number: str) -> str:
        """The number as the trunk wants it."""
        return self.add + number[self.strip :]


@dataclass(frozen=True, slots=True)
class TrunkConfig(MediaKeys):
    """One trunk of a tenant. `options_s` 0: never asked whether it is there; `max_calls`, `cps` None: no limit."""

    name: str
    host: str
    port: int | None = None
    transport: str = "udp"
    addresses: tuple[TrunkAddress, ...] = ()
    username: str = ""
    password: str = field(default="", repr=False)
    realm: str = ""
    domain: str = ""
    register: bool = False
    register_s: int = DEFAULT_REGISTER_S
    bulk: bool = False
    certificate_name: str = ""
    max_calls: int | None = None
    cps: int | None = None
    priority: int = 10
    weight: int = 10
    options_s: float = DEFAULT_OPTIONS_S
    caller_id: str = ""
    caller_ids: tuple[str, ...] = ()
    caller_id_policy: str = "replace"
    identity: str = "none"
    redirects: str = "fail"
    early_media: EarlyMediaRule = "pass"
    numbers: tuple[NumberRule, ...] = ()
    dids: tuple[str, ...] = ()

    @property
    def is_literal(self) -> bool:
        """Whether its host needs no DNS."""
        return is_ip_literal(self.host)

    @property
    def trusted(self) -> bool:
        """Whether names go to it, and are believed from it (RFC 3325 §3, Spec(T)), in the header `asserts_in`."""
        return self.identity != "none"

    @property
    def asserts_in(self) -> str:
        """P-Asserted-Identity, or Remote-Party-ID of before it."""
        return PARTY_ID if self.identity == "rpid" else ASSERTED

    def number(self, number: str) -> str:
        """What the trunk is given for `number`: by the first rule whose prefix fits."""
        for rule in self.numbers:
            if number.startswith(rule.prefix):
                return rule.apply(number)
        return number

    def allows_caller_id(self, number: str) -> bool:
        """Whether the carrier takes `number` as ours; without a list its DIDs and its own caller_id are."""
        allowed = self.caller_ids or (*self.dids, self.caller_id)
        return any(number.startswith(each[:-1]) if each.endswith("*") else number == each for each in allowed if each)


def read_trunks(tenant: Table) -> tuple[TrunkConfig, ...]:
    """The trunks of one tenant; faults go to the table's report."""
    trunks: dict[str, TrunkConfig] = {}
    for table in tenant.tables("trunk"):
        trunk = _read_trunk(table)
        if trunk.name in trunks:
            table.refuse("name", f"{trunk.name!r} is the name of an earlier trunk")
        trunks[trunk.name] = trunk
    return tuple(trunks.values())


def refuse_clashes(trunks: Sequence[tuple[KeyPath, TrunkConfig]], report: Report) -> None:
    """Report trunks whose requests could not be told apart: one address, one port, and no number that says which.

    Trunks on one address differ by port, by the certificate's name, or each has `dids` that the other has not.
    """
    seen: dict[tuple[TrunkAddress, str], list[TrunkConfig]] = {}
    for path, trunk in trunks:
        for index, address in enumerate(trunk.addresses):
            others = seen.setdefault((address, trunk.certificate_name), [])
            if any(not trunk.dids or not other.dids or set(trunk.dids) & set(other.dids) for other in others):
                reason = f"{address} is that of an earlier trunk too; give each its own port, or dids of its own"
                given = (*path, "addresses", index)
                report.add(given, reason)
            others.append(trunk)


def _read_trunk(table: Table) -> TrunkConfig:
    limit: Converter[int | None] = integer(1, MAX_CALLS)
    port: int | None = None
    transport = table.take("transport", one_of(*TRANSPORTS), "udp")
    host, port = table.require("host", _host_port, ("invalid", port))
    number = text_like(r"\+?[0-9]{1,32}", _NUMBER_ALLOWED)
    numbers = text_like(r"\+?[0-9]{1,32}\*?|\+\*", _NUMBER_ALLOWED)
    trunk = TrunkConfig(
        name=table.require("name", text_like(_NAME, "up to 32 letters, digits or any of . _ - in quotes"), ""),
        host=host,
        port=port,
        transport=transport,
        addresses=table.take_list("addresses", _address, _default_addresses(host, port, transport)),
        username=table.take("username", text_of, ""),
        password=table.take("password", text_of, "", secret=True),
        realm=table.take("realm", text_of, "" if is_ip_literal(host) else host),
        domain=table.take("domain", _plain_host, "") or host,
        register=table.take("register", flag, False),
        register_s=table.take("register_s", integer(60, 86_400), DEFAULT_REGISTER_S),
        bulk=table.take("bulk", flag, False),
        certificate_name=table.take("certificate_name", _plain_host, ""),
        max_calls=table.take("max_calls", limit, None),
        cps=table.take("cps", limit, None),
        priority=table.take("priority", integer(0, 65_535), 10),
        weight=table.take("weight", integer(0, 65_535), 10),
        options_s=table.take("options_s", seconds(0, 3600), DEFAULT_OPTIONS_S),
        caller_id=table.take("caller_id", number, ""),
        caller_ids=table.take_list("caller_ids", numbers, ()),
        caller_id_policy=table.take("caller_id_policy", one_of(*CALLER_ID_POLICIES), "replace"),
        identity=table.take("identity", one_of(*IDENTITIES), "none"),
        redirects=table.take("redirects", one_of(*REDIRECTS), "fail"),
        early_media=table.take("early_media", one_of(*EARLY_MEDIA), "pass"),
        numbers=_read_rules(table),
        dids=table.take_list("dids", number, ()),
        **read_keys(MediaKeys, table),
    )
    _check(trunk, table)
    check_media(table, trunk)
    table.finish()
    return trunk


def _read_rules(table: Table) -> tuple[NumberRule, ...]:
    digits = text_like(r"\+?[0-9*#]{0,32}", "digits, with or without '+' in front")
    rules = []
    for entry in table.tables("numbers"):
        rule = NumberRule(
            prefix=entry.take("prefix", digits, ""),
            strip=entry.take("strip", integer(0, 32), 0),
            add=entry.take("add", digits, ""),
        )
        entry.finish()
        rules.append(rule)
    if len(rules) > MAX_RULES:
        table.refuse("numbers", f"more than {MAX_RULES} rules are not allowed")
    return tuple(rules)


def _check(trunk: TrunkConfig, table: Table) -> None:
    if bool(trunk.username) != bool(trunk.password):
        table.refuse("password" if trunk.username else "username", "is missing, username and password go together")
    if trunk.password and not trunk.realm:
        # Without it anybody who answers from there would get a digest of the password to guess at (H8).
        table.refuse("realm", "is missing: credentials are only ever given to the realm that is named here")
    if trunk.register and not trunk.username:
        table.refuse("register", "needs username and password")
    if trunk.bulk and not trunk.register:
        table.refuse("bulk", "needs register = true")
    if 0 < trunk.options_s < LEAST_OPTIONS_S:
        table.refuse("options_s", f"less than {LEAST_OPTIONS_S} s is not allowed, give 0 to ask never")
    if (
        trunk.caller_id_policy != "pass"
        and trunk.caller_ids
        and trunk.caller_id
        and not trunk.allows_caller_id(trunk.caller_id)
    ):
        table.refuse("caller_id", "is none of caller_ids")
    if len(trunk.dids) > MAX_DIDS:
        table.refuse("dids", f"more than {MAX_DIDS} numbers are not allowed")
    if trunk.certificate_name and trunk.transport != "tls":
        table.refuse("certificate_name", 'needs transport = "tls"')


def _default_addresses(host: str, port: int | None, transport: str) -> tuple[TrunkAddress, ...]:
    """A trunk on an IP address is heard from there; one on a name says where from."""
    if not is_ip_literal(host):
        return ()
    # A stream comes from a port of its own choice.
    known = (port or DEFAULT_PORTS[transport]) if transport == "udp" else None
    return (TrunkAddress(ipaddress.ip_network(host), known),)


def _host_port(value: object) -> tuple[str, int | None]:
    text = text_of(value)
    host, port = _split_port(text, _HOST_ALLOWED)
    if ":" in host or is_ip_literal(host):
        try:
            return str(ipaddress.ip_address(host)), port
        except ValueError:
            raise ValueError(_HOST_ALLOWED) from None
    if not _HOST.fullmatch(host) or re.fullmatch(r"[0-9.]+", host):
        raise ValueError(_HOST_ALLOWED)
    return host.lower().rstrip("."), port


def _plain_host(value: object) -> str:
    host, port = _host_port(value)
    if port is not None:
        raise ValueError("a host without a port")
    return host


def _address(value: object) -> TrunkAddress:
    host, port = _split_port(text_of(value), _ADDRESS_ALLOWED)
    try:
        return TrunkAddress(ipaddress.ip_network(host), port)
    except ValueError:
        raise ValueError(_ADDRESS_ALLOWED) from None


def _split_port(text: str, allowed: str) -> tuple[str, int | None]:
    """`host`, `host:port`, `[v6]`, `[v6]:port`, and an IPv6 address without brackets."""
    match = re.fullmatch(r"\[([^\]]+)\](?::(\d{1,5}))?|([^:\[\]]+)(?::(\d{1,5}))?|([0-9A-Fa-f:.]+(?:/\d{1,3})?)", text)
    if match is None:
        raise ValueError(allowed)
    host = match[1] or match[3] or match[5]
    port = match[2] or match[4]
    if port is not None and not 0 < int(port) < 65536:
        raise ValueError(allowed)
    return host, None if port is None else int(port)
