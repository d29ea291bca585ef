"""The certificates of the configuration: where they are, whether they are good, and the contexts made of them.

The configuration names files and is read without looking at them (`read_pair`); `load` reads the files. A fault of a
file is told at the key that names it. What has expired is a fault for `voipat check` and for a reload, but not at a
start: the phones of the other transports should not go down with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from pbx.config_table import Problem, Table, absolute_path
from pbx.errors import ConfigError
from sipcore.aio.tls import Certificate, TlsContexts, TlsIdentities, TlsSource, check_pair

EXPIRES_SOON: Final = timedelta(days=14)
# Others of this machine may not read a key, its group may: Debian keeps them so for the group ssl-cert.
FORBIDDEN_MODE: Final = 0o027


@dataclass(frozen=True, slots=True)
class PairConfig:
    """A certificate with its chain and its key; `places` are where they stand in the configuration."""

    certificate: str
    key: str
    places: tuple[Problem, Problem] = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class TlsConfig:
    """The `[server.tls]` table: our pair, and the listeners that want a certificate of `client_ca` from clients."""

    pair: PairConfig
    client_ca: str | None = None
    mutual: tuple[str, ...] = ()
    client_ca_place: Problem | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class LoadedTls:
    """What the files came to. `prints` tells one generation from the next, `expired` is for who minds."""

    plain: TlsContexts
    mutual: TlsContexts | None
    prints: tuple[str, ...]
    warnings: tuple[str, ...]
    expired: tuple[Problem, ...]


class LiveTls:
    """The contexts of a running daemon's listeners, replaced as a whole."""

    def __init__(self, loaded: LoadedTls, config: TlsConfig) -> None:
        self._mutual_urls = config.mutual
        self._plain = TlsSource(loaded.plain)
        self._mutual = None if loaded.mutual is None else TlsSource(loaded.mutual)
        self._prints = loaded.prints

    def source(self, url: str) -> TlsSource:
        """Where the listener of this URL gets its contexts."""
        if self._mutual is not None and is_among(url, self._mutual_urls):
            return self._mutual
        return self._plain

    def differs(self, loaded: LoadedTls) -> bool:
        """Whether a certificate is another than that in force."""
        return self._prints != loaded.prints

    def use(self, loaded: LoadedTls) -> None:
        """Take these for every handshake from now on."""
        self._plain.current = loaded.plain
        if self._mutual is not None and loaded.mutual is not None:
            self._mutual.current = loaded.mutual
        self._prints = loaded.prints


def is_among(url: str, listed: Iterable[str]) -> bool:
    """Whether a listener is one of those listed, or one address of a wildcard among them."""
    _, _, port = url.rpartition(":")
    wildcard = "tls://[::]" if "[" in url else "tls://0.0.0.0"
    return url in listed or f"{wildcard}:{port}" in listed


def file_path(value: object) -> str:
    """The absolute path of a file; `~` is understood. Raises: ValueError, with what is allowed."""
    return absolute_path(value, "the absolute path of a PEM file such as '/etc/voipat/office.pem'")


def read_pair(table: Table) -> PairConfig:
    """`certificate` and `key` of a table; faults go to its report."""
    places = (table.place("certificate"), table.place("key"))
    return PairConfig(table.require("certificate", file_path, ""), table.require("key", file_path, ""), places)


def load(config: TlsConfig, tenants: Mapping[str, PairConfig], now: float) -> LoadedTls:
    """The files read, by tenant's domain, at the wallclock `now`. Blocks on the disk.

    Raises: ConfigError, with every file that cannot be used.
    """
    moment = datetime.fromtimestamp(now, UTC)
    own = _File(config.pair, moment)
    files = {domain: _File(pair, moment, domain) for domain, pair in tenants.items()}
    problems = [problem for file in (own, *files.values()) for problem in file.problems]
    if config.client_ca is not None and config.client_ca_place is not None:
        problems += _ca_problems(config.client_ca, config.client_ca_place)
    if problems:
        raise ConfigError(problems)
    by_name = _by_name(own, files)
    authority = None if config.client_ca is None else Path(config.client_ca)
    try:
        plain = TlsContexts(TlsIdentities(own.certificate, by_name))
        mutual = None if authority is None else TlsContexts(TlsIdentities(own.certificate, by_name, authority))
    except OSError as error:  # a file that was good a moment ago
        raise ConfigError([config.pair.places[0]._replace(reason=_reason(error))]) from None
    everyone = (own, *files.values())
    return LoadedTls(
        plain,
        mutual,
        prints=tuple(file.print for file in everyone),
        warnings=tuple(warning for file in everyone for warning in file.warnings),
        expired=tuple(problem for file in everyone for problem in file.expired),
    )


def _by_name(own: _File, files: Mapping[str, _File]) -> dict[str, Certificate]:
    """Which certificate a client gets for the name it asks for: a tenant's domain before names in certificates."""
    found = {domain: file.certificate for domain, file in files.items()}
    for file in files.values():
        for name in file.names:
            if "*" not in name and name not in own.names:
                found.setdefault(name, file.certificate)
    return found


class _File:
    """One pair of files, as it is on the disk now."""

    def __init__(self, pair: PairConfig, now: datetime, domain: str | None = None) -> None:
        self.certificate = Certificate(Path(pair.certificate), Path(pair.key))
        self.problems: list[Problem] = []
        self.expired: list[Problem] = []
        self.warnings: list[str] = []
        self.names: tuple[str, ...] = ()
        self.print = ""
        self._pair = pair
        for path, place in zip((pair.certificate, pair.key), pair.places, strict=True):
            if reason := _unreadable(Path(path)):
                self.problems.append(place._replace(reason=f"{path} {reason}"))
        if not self.problems:
            self._read(now, domain)

    def _read(self, now: datetime, domain: str | None) -> None:
        at_certificate, at_key = self._pair.places
        try:
            leaf = x509.load_pem_x509_certificates(self.certificate.chain.read_bytes())[0]
        except ValueError:
            reason = f"{self._pair.certificate} holds no PEM certificate"
            self.problems.append(at_certificate._replace(reason=reason))
            return
        try:
            check_pair(self.certificate)
        except OSError as error:
            self.problems.append(at_key._replace(reason=f"{self._pair.key} {_reason(error)}"))
            return
        self.names = _dns_names(leaf)
        self.print = leaf.fingerprint(SHA256()).hex()
        self._check_dates(leaf, now)
        self.warnings += _warnings(self._pair, self.names, domain)

    def _check_dates(self, leaf: x509.Certificate, now: datetime) -> None:
        place, path = self._pair.places[0], self._pair.certificate
        first, last = leaf.not_valid_before_utc, leaf.not_valid_after_utc
        if now > last:
            self.expired.append(place._replace(reason=f"{path} expired on {last:%Y-%m-%d}"))
        elif now < first:
            self.expired.append(place._replace(reason=f"{path} is not valid before {first:%Y-%m-%d %H:%M} UTC"))
        elif last - now < EXPIRES_SOON:
            self.warnings.append(f"{path} expires on {last:%Y-%m-%d}")


def _warnings(pair: PairConfig, names: tuple[str, ...], domain: str | None) -> Iterator[str]:
    mode = Path(pair.key).stat().st_mode
    if mode & FORBIDDEN_MODE:
        yield f"{pair.key} has mode {mode & 0o777:o}: others can read or change this key, chmod 640 or 600"
    if domain is not None and domain not in names:
        # RFC 5922 §7.2 for phones: a wildcard must not match, so it does not count here either.
        yield f"{pair.certificate} does not name {domain}: phones that check it will not connect"


def _dns_names(leaf: x509.Certificate) -> tuple[str, ...]:
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    return tuple(name.lower() for name in names.get_values_for_type(x509.DNSName))


def _ca_problems(path: str, place: Problem) -> list[Problem]:
    reason = _unreadable(Path(path))
    if not reason:
        try:
            x509.load_pem_x509_certificates(Path(path).read_bytes())
        except ValueError:
            reason = "holds no PEM certificate"
    return [place._replace(reason=f"{path} {reason}")] if reason else []


def _unreadable(path: Path) -> str:
    """Why a file cannot be read; empty when it can."""
    try:
        path.read_bytes()
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return ""


def _reason(error: OSError) -> str:
    """What OpenSSL does not like about a key, as the end of a line."""
    reason = str(getattr(error, "reason", "") or "")
    if reason == "KEY_VALUES_MISMATCH":
        return "is not the key of the certificate"
    if "password" in str(error):
        return "is protected by a password; give it without one, readable only by voipat"
    return "holds no PEM key" if not reason else f"cannot be used: {reason.lower().replace('_', ' ')}"
