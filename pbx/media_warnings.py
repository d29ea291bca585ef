"""What of the encryption and codec keys in a configuration works otherwise than its writer may think."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pbx.objects.media import MediaKeys, missing_libraries, resolve
from pbx.tenants import TenantConfig
from sipcore.sdp_security import SrtpPolicy


def media_warnings(server: MediaKeys, tenants: Iterable[TenantConfig]) -> Iterator[str]:
    """For each trunk whose signalling anyone on the path reads, and each codec whose library is not here."""
    tenants = list(tenants)
    yield from _library_warnings(server, tenants)
    for tenant in tenants:
        for trunk in tenant.trunks:
            srtp = resolve(trunk, tenant, server).srtp
            if trunk.transport == "tls" or srtp.policy is SrtpPolicy.OFF:
                continue
            name = f"{tenant.domain}: trunk {trunk.name!r}"
            if srtp.sdes_over_plain:
                yield f"{name}: keys in SDP go over {trunk.transport}, whoever is on the path reads them"
            elif srtp.policy is SrtpPolicy.REQUIRED and srtp.exchange == "sdes":
                yield f'{name}: is offered DTLS-SRTP alone, keys in SDP need transport = "tls" or sdes_over_plain'


def _library_warnings(server: MediaKeys, tenants: Iterable[TenantConfig]) -> Iterator[str]:
    for name, keys in _places(server, tenants):
        for needed in missing_libraries(keys.codecs):
            yield f"{name}: codecs: {needed}; without it the codec is only passed on where both sides have it"


def _places(server: MediaKeys, tenants: Iterable[TenantConfig]) -> Iterator[tuple[str, MediaKeys]]:
    yield "server", server
    for tenant in tenants:
        yield tenant.domain, tenant
        yield from ((f"{tenant.domain}: extension {each.number!r}", each) for each in tenant.extensions.values())
        yield from ((f"{tenant.domain}: trunk {each.name!r}", each) for each in tenant.trunks)
