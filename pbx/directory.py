"""Tenants and extensions as calls see them: one immutable snapshot in memory, swapped whole at a reload.

Nothing here waits for the disk (architecture, principle 7). A domain is compared without case (RFC 3261
§19.1.4); the user part, which is the extension's number, with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Final

from pbx.dial_plan import DialPlan
from pbx.errors import UnknownTenantError
from pbx.objects.media import MediaKeys, resolve
from pbx.objects.plan import PROXIED
from pbx.prefixes import PrefixTable
from pbx.programs import NO_PROGRAMS, Programs
from pbx.rates import NO_RATES, Rates
from pbx.tenants import ExtensionConfig, TenantConfig
from voipat import Call, LegMedia, TrunkIdentity


class Directory:
    """An immutable snapshot of every tenant."""

    __slots__ = ("_plans", "_server", "_tenants", "default_tenant", "domain", "leg_media", "programs", "proxied")

    def __init__(
        self,
        tenants: Iterable[TenantConfig] = (),
        *,
        default_tenant: str | None = None,
        media: MediaKeys = MediaKeys(),  # noqa: B008  # frozen
        programs: Programs = NO_PROGRAMS,
        rates: Rates = NO_RATES,
    ) -> None:
        """`media` are the keys of the server, which tenants inherit; `programs` those of `pbx.programs.load`.

        `rates` are those of `pbx.rates.load`.
        """
        self.programs: Final = programs
        self._tenants = {tenant.domain: tenant for tenant in tenants}
        # The canonical name of the tenant when a host is its domain, in whatever case; else None.
        self.domain: Final[Callable[[str], str | None]] = _Domains({name: name for name in self._tenants}).__getitem__
        tables: dict[str, dict[str, PrefixTable]] = {}
        for (domain, route), table in rates.items():
            tables.setdefault(domain, {})[route] = table
        self._plans = {domain: DialPlan(tenant, tables.get(domain)) for domain, tenant in self._tenants.items()}
        # Whose calls are proxied.
        self.proxied: Final = frozenset(
            domain for domain, tenant in self._tenants.items() if tenant.plan.settings.calls == PROXIED
        )
        self.default_tenant = default_tenant
        self._server = media
        # Of extensions and trunks by name, as far as it was asked for.
        self.leg_media: dict[tuple[str, str, str], LegMedia] = {}

    def media_of_extension(self, domain: str, number: str) -> LegMedia:
        """How the media of a phone is to be; of who is no extension, as the tenant says."""
        tenant = self._tenants.get(domain)
        extension = None if tenant is None else tenant.extensions.get(number)
        return self._resolved(("extension", domain, "" if extension is None else number), extension, tenant)

    def media_of_trunk(self, domain: str, name: str) -> LegMedia:
        """How the media of a trunk's calls is to be."""
        tenant = self._tenants.get(domain)
        trunks = () if tenant is None else tenant.trunks
        trunk = next((trunk for trunk in trunks if trunk.name == name), None)
        return self._resolved(("trunk", domain, name), trunk, tenant)

    def _resolved(self, key: tuple[str, str, str], own: MediaKeys | None, tenant: TenantConfig | None) -> LegMedia:
        found = self.leg_media.get(key)
        if found is None:
            found = resolve(*(keys for keys in (own, tenant, self._server) if keys is not None))
            if tenant is not None:
                self.leg_media[key] = found
        return found

    @property
    def tenants(self) -> Mapping[str, TenantConfig]:
        """Every tenant by its domain, in the order of the configuration."""
        return MappingProxyType(self._tenants)

    def tenant(self, domain: str) -> TenantConfig:
        """The tenant that serves `domain`.

        Raises: UnknownTenantError.
        """
        tenant = self._tenants.get(domain) or self._tenants.get(domain.lower())
        if tenant is None:
            raise UnknownTenantError(domain)
        return tenant

    def plan(self, domain: str) -> DialPlan:
        """The dial plan of a tenant that is served, by its canonical name."""
        return self._plans[domain]

    @property
    def emergency_numbers(self) -> frozenset[str]:
        """What anybody here dials for help, with and without an access code."""
        found = (tenant.plan.emergency for tenant in self._tenants.values())
        return frozenset(access + number for one in found for number in one.numbers for access in ("", *one.access))

    def maybe_tenant(self, domain: str) -> TenantConfig | None:
        """The tenant that serves `domain`, if one does."""
        return self._tenants.get(domain) or self._tenants.get(domain.lower())

    def serves(self, domain: str) -> bool:
        """Whether `domain` is one of ours."""
        return domain in self._tenants or domain.lower() in self._tenants

    def extension(self, domain: str, number: str) -> ExtensionConfig | None:
        """The extension `number` of `domain`, if there is one."""
        tenant = self._tenants.get(domain) or self._tenants.get(domain.lower())
        return None if tenant is None else tenant.extensions.get(number)

    def ha1(self, domain: str, username: str, algorithm: str) -> str | None:
        """HA1 of the user for the digest algorithm; None for an unknown user or one not allowed to use it."""
        extension = self.extension(domain, username)
        if extension is None:
            return None
        for name, value in extension.ha1:
            if name == algorithm and name in extension.digest:
                return value
        return None

    def digest(self, domain: str, username: str | None = None) -> tuple[str, ...]:
        """The digest algorithms to offer, in order; an unknown user is offered the tenant's, as most are."""
        tenant = self.tenant(domain)
        extension = None if username is None else tenant.extensions.get(username)
        return tenant.digest if extension is None else extension.digest


class _Domains(dict[str, str | None]):
    """By name as it is written nearly always: asked a dozen times a call, which C does without calling us."""

    def __missing__(self, host: str) -> str | None:
        return self.get(host.lower())


class LiveDirectory:
    """The snapshot in force: `voipat.Accounts` of the daemon. Calls under way keep what they took from `current`."""

    __slots__ = ("current", "digest", "domain", "ha1")

    def __init__(self, directory: Directory) -> None:
        self._take(directory)

    def _take(self, directory: Directory) -> None:
        self.current = directory
        # The snapshot's own, which each request asks several times.
        self.domain: Callable[[str], str | None] = directory.domain
        self.ha1: Callable[[str, str, str], str | None] = directory.ha1
        self.digest: Callable[[str, str | None], tuple[str, ...]] = directory.digest

    @property
    def default_domain(self) -> str | None:
        """The tenant that requests to one of our own addresses belong to."""
        return self.current.default_tenant

    def media_of_trunk(self, domain: str, name: str) -> LegMedia:
        """As `Directory.media_of_trunk`, of the snapshot in force."""
        return self.current.media_of_trunk(domain, name)

    def media_of(self, call: Call) -> LegMedia:
        """What the media of this leg must and may be."""
        identity = call.identity
        if isinstance(identity, TrunkIdentity):
            return self.current.media_of_trunk(identity.tenant, identity.trunk)
        directory, tenant, number = self.current, call.tenant, call.own_number
        return directory.leg_media.get(("extension", tenant, number)) or directory.media_of_extension(tenant, number)

    def swap(self, directory: Directory) -> Directory:
        """Put `directory` in force at once; returns the one before."""
        before = self.current
        self._take(directory)
        return before
