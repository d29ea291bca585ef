"""What of the encryption keys in a configuration works otherwise than its writer may think."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pbx.objects.media import MediaKeys, resolve
from pbx.tenants import TenantConfig
from sipcore.sdp_security import SrtpPolicy


def media_warnings(server: MediaKeys, tenants: Iterable[TenantConfig]) -> Iterator[str]:
    """For each trunk whose signalling anyone on the path reads."""
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
