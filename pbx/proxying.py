"""Tenants whose calls only pass: `calls = "proxied"`. The dial plan decides as for any other tenant.

A proxied call goes to the phones of an extension, or out by a trunk that takes calls without credentials; the dialog is
the phones' own. What needs the call's media (menus, mailboxes, queues, the echo test) needs a tenant that is bridged.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby

from pbx.decisions import FromExtension, NoRoute, ToExtension, ToTrunks
from pbx.directory import LiveDirectory
from pbx.routing import route
from pbx.tenant_state import LiveState
from pbx.tenants import TenantConfig
from pbx.trunk_config import TrunkConfig
from sipcore.uri import Uri, escape_user
from voipat import Decision, Forward, Proxy, ProxyRequest, Reject, reasons


class ProxyPlan:
    """The proxy's policy, by the snapshot in force."""

    def __init__(self, directory: LiveDirectory, state: LiveState, wallclock: Callable[[], float]) -> None:
        self._directory = directory
        self._state = state
        self._wallclock = wallclock

    def proxy(self) -> Proxy:
        """A proxy of the tenants that want one."""
        return Proxy(self.decide, serves=self.serves)

    def serves(self, domain: str) -> bool:
        """Whether the tenant's calls are proxied."""
        return domain in self._directory.current.proxied

    def decide(self, request: ProxyRequest) -> Decision:
        """Where the request goes, by the dial plan of the caller's tenant."""
        tenant, directory = request.tenant, self._directory.current
        if not directory.serves(tenant):
            return Reject(reasons.UNKNOWN_NUMBER)
        source = FromExtension(request.caller)
        decision = route(directory, tenant, request.callee, self._wallclock(), source, state=self._state.tenant(tenant))
        match decision.target:
            case ToExtension(extension):
                return _to_phones(request, extension.number, extension.ring_s)
            case ToTrunks(number, names):
                return _to_trunks(directory.tenant(tenant), number, names)
            case NoRoute(reason):
                return Reject(reason)
        return Reject(reasons.NEEDS_BRIDGE)


def _to_phones(request: ProxyRequest, number: str, ring_s: float) -> Decision:
    bindings = request.bindings(number)
    if not bindings:
        return Reject(reasons.NOT_REGISTERED)
    return Forward([list(group) for _, group in groupby(bindings, key=lambda binding: binding.q)], ring_s=ring_s)


def _to_trunks(tenant: TenantConfig, number: str, names: tuple[str, ...]) -> Decision:
    by_name = {trunk.name: trunk for trunk in tenant.trunks}
    wanted = [by_name[name] for name in names if name in by_name and not by_name[name].username]
    if not wanted:
        return Reject(reasons.NEEDS_BRIDGE)
    return Forward([[_uri(trunk, number)] for trunk in wanted], ring_s=60.0)


def _uri(trunk: TrunkConfig, number: str) -> Uri:
    return Uri(
        scheme="sip",
        user=escape_user(trunk.number(number)),
        host=trunk.host,
        port=trunk.port,
        params={} if trunk.transport == "udp" else {"transport": trunk.transport},
    )
