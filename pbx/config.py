"""The configuration: one TOML file and the `--set` overrides, read into frozen values or refused as a whole.

`load` collects every fault before it raises `ConfigError`; each prints as `file:line: key: reason` (the file of
an override is `--set` and its line the number of the override). What `load` accepts, the daemon can run.
"""

from __future__ import annotations

import ipaddress
import os
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from pbx import tls
from pbx.basics import data_directory
from pbx.config_table import (
    Problem,
    Raw,
    Report,
    Table,
    absolute_path,
    flag,
    integer,
    ip_address,
    network,
    one_of,
    plain,
    seconds,
    shown,
    text_of,
)
from pbx.errors import ConfigError
from pbx.mail_config import MailConfig, read_mail
from pbx.objects import shape
from pbx.objects.media import MediaKeys, check_media, resolve
from pbx.retention import DEFAULT_RETENTION, RetentionConfig
from pbx.tenants import TenantConfig, read_tenants, sample_password
from pbx.tls import LoadedTls, TlsConfig, file_path, read_pair
from pbx.toml_positions import KeyPath
from sipcore.sdp_security import SrtpPolicy

KEEPALIVES: Final = ("options", "crlf")
LEAST_KEEPALIVE_S: Final = 5
LOG_LEVELS: Final = ("debug", "info", "warning", "error")
LOG_FORMATS: Final = ("logfmt", "json")
DEFAULT_PORTS: Final = {"udp": 5060, "tcp": 5060, "tls": 5061}
# A call has two legs, each an RTP and an RTCP port.
PORTS_PER_CALL: Final = 4
LOWEST_MEDIA_PORT: Final = 1024
MAX_PASSWORDS_NAMED: Final = 3  # sample passwords shown one by one before "and n more"


@dataclass(frozen=True, slots=True)
class Listener:
    """One SIP listening point: transport "udp", "tcp" or "tls", an IP literal, a port (0: any free one).

    `advertised`: the address that its peers are told instead of `host`, "" when it has none of its own.
    """

    transport: str
    host: str
    port: int
    advertised: str = ""

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return ipaddress.ip_address(self.host).is_loopback

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.transport}://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class MediaConfig:
    """Where RTP and RTCP are received: one address and the ports from `low` to `high`, both included."""

    address: str = "127.0.0.1"
    low: int = 20000
    high: int = 29999

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.low}-{self.high}"


@dataclass(frozen=True, slots=True)
class GuardConfig:
    """The defence against scanners: whether sources are banned, and the networks that never are.

    With `scanners`, requests whose User-Agent names a known scanner get no answer; without `foreign`, those of nobody's
    domain. `strangers`: answers a second to all those together who are not registered.
    """

    ban: bool = True
    trusted: tuple[str, ...] = ()
    scanners: bool = True
    foreign: bool = True
    strangers: int = 1000


@dataclass(frozen=True, slots=True)
class RegistrarConfig:
    """How phones are asked whether they are still there: every so many seconds (0: never), and how."""

    keepalive_s: float = 30.0
    keepalive: str = "options"
    keepalive_failures: int = 3


@dataclass(frozen=True, slots=True)
class LogConfig:
    """How much is logged, and how a line is written."""

    level: str = "info"
    format: str = "logfmt"


@dataclass(frozen=True, slots=True)
class ServerConfig(MediaKeys):
    """The `[server]` table. `session_expires_s` and `min_se_s`: the session timer of each leg (RFC 4028; 0: none)."""

    data: Path
    listen: tuple[str, ...] = ("udp://127.0.0.1:5060", "tcp://127.0.0.1:5060")
    # What `?advertised=` of a listener says, by the listener's address.
    listen_advertised: tuple[tuple[str, str], ...] = ()
    media: MediaConfig = MediaConfig()
    advertised: str | None = None
    local_networks: tuple[str, ...] = ()
    large_by_tcp: bool = True
    default_tenant: str | None = None
    prompts: Path | None = None
    drain_s: float = 30.0
    media_timeout_s: float = 30.0
    # Threads that carry media, 0: one for each core that this process may use, but for the one of signalling.
    media_workers: int = 0
    media_realtime: bool = True
    session_expires_s: int = 1800
    min_se_s: int = 90
    trace: bool = True
    guard: GuardConfig = GuardConfig()
    registrar: RegistrarConfig = RegistrarConfig()
    log: LogConfig = LogConfig()
    tls: TlsConfig | None = None
    mail: MailConfig | None = None
    retention: RetentionConfig = DEFAULT_RETENTION

    @property
    def listeners(self) -> tuple[Listener, ...]:
        """`listen`, taken apart."""
        return tuple(parse_listener(url) for url in self.listen)


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that the daemon is told."""

    server: ServerConfig
    tenants: tuple[TenantConfig, ...] = ()


def load(path: Path, overrides: Sequence[str] = (), *, environ: Mapping[str, str] = os.environ) -> Config:
    """The configuration in the file `path` with the `key=value` `overrides` applied.

    Raises: ConfigError, with every fault that was found.
    """
    return parse(read_text(path), overrides, file=str(path), environ=environ)


def read_text(path: Path) -> str:
    """What the file `path` says, without the mark that editors of Windows put in front of UTF-8.

    Raises: ConfigError.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ConfigError([Problem(str(path), 1, "file", f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError([Problem(str(path), line, "file", "is not UTF-8")]) from None


def parse(
    text: str, overrides: Sequence[str] = (), *, file: str = "<config>", environ: Mapping[str, str] = os.environ
) -> Config:
    """As `load`, from text; `file` is the name shown in errors."""
    text = text.replace("\r\n", "\n")
    report = Report(file, text)
    try:
        report.document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([_syntax_problem(file, text, str(error))]) from None
    for number, override in enumerate(overrides, start=1):
        _apply_override(report, override, number)
    config = _read(report, environ)
    if report.problems:
        raise ConfigError(sorted(report.problems, key=lambda problem: (problem.file, problem.line)))
    return config


def parse_listener(value: object) -> Listener:
    """The listener written as `udp://127.0.0.1:5060`; `localhost` and a missing port are understood.

    Behind a 1:1 NAT `udp://10.0.0.5:5060?advertised=203.0.113.7`.
    Raises: ValueError, with what is allowed.
    """
    allowed = "a listener such as 'udp://127.0.0.1:5060' or 'tcp://[::1]:5060' (an address, not a name)"
    try:
        url = urlsplit(text_of(value))
        host = "127.0.0.1" if url.hostname == "localhost" else str(ipaddress.ip_address(url.hostname or ""))
        port = DEFAULT_PORTS[url.scheme] if url.port is None else url.port
    except (ValueError, KeyError):
        raise ValueError(allowed) from None
    if url.scheme not in DEFAULT_PORTS or url.path or url.fragment or url.username is not None:
        raise ValueError(allowed)
    return Listener(url.scheme, host, port, _advertised_in(url.query, host) if url.query else "")


def _advertised_in(query: str, host: str) -> str:
    allowed = f"after '?' give advertised=ADDRESS, an IPv{6 if ':' in host else 4} address as the listener's"
    key, _, value = query.partition("=")
    try:
        public = str(ipaddress.ip_address(value.strip("[]")))
    except ValueError:
        raise ValueError(allowed) from None
    if key != "advertised" or (":" in public) != (":" in host):
        raise ValueError(allowed)
    return public


def parse_media(value: object) -> MediaConfig:
    """The media range written as `127.0.0.1:20000-29999`.

    Raises: ValueError, with what is allowed.
    """
    allowed = f"an address and ports such as '127.0.0.1:20000-29999', ports {LOWEST_MEDIA_PORT} to 65535"
    try:
        host, _, ports = text_of(value).rpartition(":")
        low, high = (int(port) for port in ports.split("-"))
        address = str(ipaddress.ip_address(host.removeprefix("[").removesuffix("]")))
    except ValueError:
        raise ValueError(allowed) from None
    if not LOWEST_MEDIA_PORT <= low <= high <= 65535:
        raise ValueError(allowed)
    if high - low + 1 < PORTS_PER_CALL:
        raise ValueError(f"at least {PORTS_PER_CALL} ports, which is one call")
    return MediaConfig(address, low, high)


def load_tls(config: Config, now: float) -> LoadedTls | None:
    """The certificates that the configuration names, read at the wallclock `now`; None without TLS. Blocks.

    Raises: ConfigError, with every file that cannot be used.
    """
    if config.server.tls is None:
        return None
    pairs = {tenant.domain: tenant.tls for tenant in config.tenants if tenant.tls is not None}
    return tls.load(config.server.tls, pairs, now)


def needs_restart(old: Config, new: Config) -> tuple[str, ...]:
    """The keys that differ and that a reload cannot change in a running daemon."""
    fixed: tuple[str, ...] = (
        "listen",
        "media",
        "media_timeout_s",
        "media_workers",
        "media_realtime",
        "session_expires_s",
        "min_se_s",
        "advertised",
        "local_networks",
        "large_by_tcp",
        "data",
        "guard",
        "registrar",
        "prompts",
    )
    keys = [f"server.{key}" for key in fixed if getattr(old.server, key) != getattr(new.server, key)]
    if old.server.listen_advertised != new.server.listen_advertised and "server.listen" not in keys:
        keys.append("server.listen")
    if old.server.log.format != new.server.log.format:
        keys.append("server.log.format")
    if _mutual(old.server) != _mutual(new.server):
        keys.append("server.tls.mutual")
    return tuple(keys)


def _mutual(server: ServerConfig) -> tuple[str, ...]:
    return () if server.tls is None else server.tls.mutual


def _read(report: Report, environ: Mapping[str, str]) -> Config:
    root = Table(report.document, (), report)
    server_table = root.table("server")
    server = _read_server(server_table, environ)
    tenants = read_tenants(root.tables("tenant"), report)
    root.finish()
    if not report.problems:
        _check_ports(server, server_table)
        _check_together(server, tenants, report)
    return Config(server, tenants)


def check_stored(server: ServerConfig, tenants: Sequence[TenantConfig]) -> None:
    """Refuses tenants of the store that a file with this `[server]` could not have.

    Raises: ConfigError.
    """
    report = Report("the store", "")
    report.document = {"tenant": [{"domain": tenant.domain} for tenant in tenants]}
    _check_together(server, tenants, report)
    if report.problems:
        raise ConfigError(report.problems)


def _check_together(server: ServerConfig, tenants: Sequence[TenantConfig], report: Report) -> None:
    _check_default_tenant(server, tenants, report)
    _check_samples(server, tenants, report)
    _check_tls(server, tenants, report)
    _check_proxied(server, tenants, report)


def _read_server(table: Table, environ: Mapping[str, str]) -> ServerConfig:
    default = ServerConfig(data=data_directory(environ))
    listeners = table.take_list("listen", parse_listener, default.listeners)
    listen = tuple(str(listener) for listener in listeners)
    told = {(listener.host, listener.advertised) for listener in listeners if listener.advertised}
    if len({host for host, _ in told}) < len(told):
        table.refuse("listen", "gives one address two advertised ones")
    if not listen:
        table.refuse("listen", "an empty list is not allowed, give at least one listener")
    elif len({*listen}) < len(listen):
        table.refuse("listen", "names a listener twice")
    advertised: str | None = None
    server = ServerConfig(
        data=Path(table.take("data", _directory, str(default.data))),
        listen=listen,
        listen_advertised=tuple(sorted(told)),
        media=table.take("media", parse_media, default.media),
        advertised=table.take("advertised", ip_address, "") or advertised,
        local_networks=table.take_list("local_networks", network, ()),
        large_by_tcp=table.take("large_by_tcp", flag, True),
        default_tenant=table.take("default_tenant", text_of, "").lower() or None,
        prompts=Path(prompts) if (prompts := table.take("prompts", _directory, "")) else None,
        drain_s=table.take("drain_s", seconds(0, 86400), default.drain_s),
        media_timeout_s=table.take("media_timeout_s", seconds(0, 86400), default.media_timeout_s),
        media_workers=table.take("media_workers", integer(0, 64), default.media_workers),
        media_realtime=table.take("media_realtime", flag, default.media_realtime),
        session_expires_s=table.take("session_expires_s", _session_expires, default.session_expires_s),
        min_se_s=table.take("min_se_s", _min_se, default.min_se_s),
        trace=table.take("trace", flag, default.trace),
        guard=_read_guard(table.table("guard")),
        registrar=_read_registrar(table.table("registrar")),
        log=_read_log(table.table("log")),
        tls=_read_tls(table.table("tls")) if "tls" in table else None,
        mail=read_mail(table.table("mail")) if "mail" in table else None,
        retention=shape.read(RetentionConfig, table.table("retention")),
        **shape.read_keys(MediaKeys, table),
    )
    check_media(table, server)
    table.finish()
    return server


def _session_expires(value: object) -> int:
    """0 for no timer of ours, else what RFC 4028 §4 allows."""
    found = int(seconds(0, 86400)(value))
    if 0 < found < 90:
        raise ValueError("0 (no timer) or seconds from 90, the smallest that RFC 4028 allows, to 86400")
    return found


def _min_se(value: object) -> int:
    return int(seconds(90, 86400)(value))


def _read_tls(table: Table) -> TlsConfig:
    found = TlsConfig(
        pair=read_pair(table),
        client_ca=table.take("client_ca", file_path, "") or None,
        mutual=table.take_list("mutual", lambda value: str(parse_listener(value)), ()),
        client_ca_place=table.place("client_ca"),
    )
    if found.mutual and found.client_ca is None:
        table.refuse("mutual", "needs client_ca, the authority that clients must have their certificate from")
    table.finish()
    return found


def _read_guard(table: Table) -> GuardConfig:
    guard = GuardConfig(
        ban=table.take("ban", flag, True),
        trusted=table.take_list("trusted", network, ()),
        scanners=table.take("scanners", flag, True),
        foreign=table.take("foreign", flag, True),
        strangers=table.take("strangers", integer(10, 100_000), GuardConfig().strangers),
    )
    table.finish()
    return guard


def _read_registrar(table: Table) -> RegistrarConfig:
    default = RegistrarConfig()
    registrar = RegistrarConfig(
        keepalive_s=table.take("keepalive_s", seconds(0, 3600), default.keepalive_s),
        keepalive=table.take("keepalive", one_of(*KEEPALIVES), default.keepalive),
        keepalive_failures=table.take("keepalive_failures", integer(1, 100), default.keepalive_failures),
    )
    if 0 < registrar.keepalive_s < LEAST_KEEPALIVE_S:
        table.refuse("keepalive_s", f"less than {LEAST_KEEPALIVE_S} s is not allowed, give 0 to ask never")
    table.finish()
    return registrar


def _read_log(table: Table) -> LogConfig:
    log = LogConfig(
        level=table.take("level", one_of(*LOG_LEVELS), "info"),
        format=table.take("format", one_of(*LOG_FORMATS), "logfmt"),
    )
    table.finish()
    return log


def _directory(value: object) -> str:
    return absolute_path(value, "an absolute directory such as '/var/lib/voipat' or '~/voipat'")


def _check_default_tenant(server: ServerConfig, tenants: Iterable[TenantConfig], report: Report) -> None:
    domains = [tenant.domain for tenant in tenants]
    if domains and server.default_tenant is not None and server.default_tenant not in domains:
        known = ", ".join(repr(domain) for domain in domains) or "none yet"
        report.add(("server", "default_tenant"), f"{shown(server.default_tenant)} is no tenant, known: {known}")


def _check_ports(server: ServerConfig, table: Table) -> None:
    media = server.media
    wildcards = ("0.0.0.0", "::")
    for index, listener in enumerate(server.listeners):
        shared = listener.host == media.address or listener.host in wildcards or media.address in wildcards
        if shared and listener.transport == "udp" and media.low <= listener.port <= media.high:
            reason = f"port {listener.port} of {listener} lies in the media range {media}"
            table.report.add((*table.path, "listen", index), reason)


def _check_tls(server: ServerConfig, tenants: Iterable[TenantConfig], report: Report) -> None:
    has_tls = server.tls is not None
    for index, listener in enumerate(server.listeners):
        if listener.transport == "tls" and not has_tls:
            report.add(("server", "listen", index), f"{listener} needs a certificate and a key in server.tls")
    for index, url in enumerate(_mutual(server)):
        if url not in server.listen:
            report.add(("server", "tls", "mutual", index), f"{shown(url)} is none of server.listen")
    for index, tenant in enumerate(tenants):
        if tenant.tls is not None and not has_tls:
            report.add(("tenant", index, "tls"), "needs server.tls, for clients that do not say which tenant they want")


def _check_proxied(server: ServerConfig, tenants: Iterable[TenantConfig], report: Report) -> None:
    """Promises that nobody could keep: of calls that only pass the media never comes here, and every INFO goes on."""
    for index, tenant in enumerate(tenants):
        if tenant.plan.settings.calls != "proxied":
            continue
        legs = [resolve(one, tenant, server) for one in (*tenant.extensions.values(), *tenant.trunks)]
        cannot = 'cannot be kept for calls that only pass (calls = "proxied")'
        if any(leg.srtp.policy is SrtpPolicy.REQUIRED for leg in legs):
            report.add(("tenant", index, "srtp" if tenant.srtp else "calls"), f'srtp = "required" {cannot}')
        if not all(leg.dtmf_info for leg in legs):
            key = "calls" if tenant.dtmf_info is None else "dtmf_info"
            report.add(("tenant", index, key), f"dtmf_info = false {cannot}")


def _check_samples(server: ServerConfig, tenants: Iterable[TenantConfig], report: Report) -> None:
    """Passwords that are printed in our examples must never be reachable from a network."""
    opened = [listener for listener in server.listeners if not listener.loopback]
    if not opened:
        return
    found = [
        (_extension_path(report.document, index, extension.number), extension.number)
        for index, tenant in enumerate(tenants)
        for extension in tenant.extensions.values()
        if sample_password(tenant.domain, extension) is not None
    ]
    reason = f"has a sample password while {opened[0]} can be reached from other machines, give it its own"
    for path, number in found[:MAX_PASSWORDS_NAMED]:
        report.add(path, f"extension {number} {reason}")
    if more := found[MAX_PASSWORDS_NAMED:]:
        report.add(more[0][0], f"extension {more[0][1]} and {len(more) - 1} after it: each {reason}")


def _extension_path(document: Mapping[str, Any], tenant: int, number: str) -> KeyPath:
    """Where an extension is described: in the list of objects, or in the short table (a range: the table itself)."""
    for index, entry in enumerate(document["tenant"][tenant].get("extension", ())):
        if entry.get("number") == number:
            return ("tenant", tenant, "extension", index)
    return ("tenant", tenant, "extensions", number)


def _syntax_problem(file: str, text: str, message: str) -> Problem:
    """`tomllib` ends its messages with "(at line 3, column 5)" or "(at end of document)"."""
    reason, _, place = message.rpartition(" (at ")
    words = place.rstrip(")").replace(",", "").split()
    line = int(words[1]) if words[:1] == ["line"] else text.count("\n") + 1
    return Problem(file, line, "syntax", reason or message)


def _apply_override(report: Report, override: str, number: int) -> None:
    """Put one `key=value` into the document; intermediate tables appear as needed."""
    key, equals, value = override.partition("=")
    if not equals or not key.strip():
        report.problems.append(Problem("--set", number, plain(override), "is not allowed, give key=value"))
        return
    names = _override_names(report.document, key.strip())
    path: KeyPath = ()
    place: Any = report.document
    for name in names[:-1]:
        place = _step(place, name)
        path = (*path, name)
        if not isinstance(place, dict | list):
            break
    if not isinstance(place, dict):
        reason = "there is no such tenant" if names[0] == "tenant" and len(path) < 3 else "leads through no table"
        report.problems.append(Problem("--set", number, plain(key.strip()), reason))
        return
    place[names[-1]] = Raw(value)
    if names[-1] == "password":
        place.pop("ha1", None)  # what the former password left
    report.overridden[tuple(names)] = number


def _step(place: Any, name: str | int) -> Any:
    """The table called `name` inside `place`, made when absent; None when something else is there."""
    if isinstance(name, int):
        return place[name]
    if not isinstance(place, dict):
        return None
    inner = place.setdefault(name, {})
    if isinstance(inner, str):
        # An extension in its short form, a number and its password, becomes a table.
        inner = place[name] = {"password": inner}
    return inner if isinstance(inner, dict | list) else None


def _override_names(document: Mapping[str, Any], key: str) -> list[str | int]:
    """The path of a dotted key; in a list of tables the one that is called so: `tenant.office.test.digest`."""
    names: list[str | int] = []
    place: Any = document
    rest = key
    while rest:
        if isinstance(place, list) and (found := _element(place, rest)):
            index, name = found
            names.append(index)
            place, rest = place[index], rest[len(name) + 1 :]
            continue
        name, _, rest = rest.partition(".")
        names.append(name)
        place = place.get(name) if isinstance(place, dict) else None
    return names


def _called(table: object) -> object:
    """What names one of a list of tables."""
    if not isinstance(table, dict):
        return None
    return table.get("domain") or table.get("number") or table.get("name")


def _element(tables: Sequence[Any], rest: str) -> tuple[int, str] | None:
    """Index and name of the table whose domain or number begins the dotted key `rest`."""
    for index, table in enumerate(tables):
        name = _called(table)
        if isinstance(name, str) and rest.startswith(f"{name}."):
            return index, name
    return None
