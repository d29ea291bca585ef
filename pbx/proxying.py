"""Tenants whose calls only pass: `calls = "proxied"`. The dial plan decides as for any other tenant.

A proxied call goes to the phones of an extension, or out by a trunk that takes calls without credentials; the dialog is
the phones' own. It takes its place under every limit that a bridged one has, from before it is forwarded until its BYE
has passed; a trunk's is that of the first one that is tried. What needs the call's media (menus, mailboxes, queues, the
echo test) needs a tenant that is bridged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import groupby

from pbx.calls import Switchboard
from pbx.decisions import FromExtension, NoRoute, ToExtension, ToTrunks
from pbx.directory import LiveDirectory
from pbx.outside import outside_place
from pbx.routing import route
from pbx.tenant_state import LiveState
from pbx.trunk_config import TrunkConfig
from pbx.trunk_line import TrunkLine
from pbx.trunks import Trunks
from sipcore.uri import Uri, escape_user
from voipat import Decision, Forward, Proxy, ProxyRequest, Reject, reasons


@dataclass(frozen=True, slots=True)
class _Planned(Forward):
    """What the plan says, and by which trunk first."""

    target: ToExtension | ToTrunks | None = None
    line: TrunkLine | None = None


class ProxyPlan:
    """The proxy's policy, by the snapshot in force; before `serve` there are no trunks, and no limits."""

    def __init__(self, directory: LiveDirectory, state: LiveState, wallclock: Callable[[], float]) -> None:
        self._directory = directory
        self._state = state
        self._wallclock = wallclock
        self._board: Switchboard | None = None
        self._trunks: Trunks | None = None

    def serve(self, board: Switchboard, trunks: Trunks) -> None:
        """Hold the limits of the board, and those of the trunks."""
        self._board, self._trunks = board, trunks

    def proxy(self) -> Proxy:
        """A proxy of the tenants that want one."""
        return Proxy(self.decide, serves=self.serves, admit=self.admit)

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
            case ToExtension():
                return _to_phones(request, decision.target)
            case ToTrunks():
                return self._to_trunks(tenant, decision.target)
            case NoRoute(reason):
                return Reject(reason)
        return Reject(reasons.NEEDS_BRIDGE)

    @contextmanager
    def admit(self, request: ProxyRequest, forward: Forward) -> Iterator[None]:
        """The place of a call. Raises: Rejected."""
        board = self._board
        if board is None or not isinstance(forward, _Planned):
            yield
            return
        tenant, at, target = self._directory.current.tenant(request.tenant), self._wallclock(), forward.target
        is_free = isinstance(target, ToTrunks) and target.emergency
        with ExitStack() as places:
            places.enter_context(board.places_of(tenant, request.caller, at, free=is_free, unlimited=is_free))
            if isinstance(target, ToExtension):
                places.enter_context(board.admission.callee(tenant.domain, target.extension))
            elif isinstance(target, ToTrunks) and not is_free:
                state = self._state.tenant(tenant.domain)
                places.enter_context(outside_place(board.admission, tenant, state, target.payer, at))
            if forward.line is not None:
                forward.line.take()
                places.callback(forward.line.release)
            yield

    def _to_trunks(self, tenant: str, target: ToTrunks) -> Decision:
        if self._trunks is None:
            return Reject(reasons.NO_TRUNK)
        lines = self._trunks.to_try(tenant, target.trunks, ordered=target.ordered)
        lines = [line for line in lines if not line.config.username]
        if not lines:
            return Reject(reasons.NEEDS_BRIDGE)
        if target.emergency:
            lines.sort(key=lambda line: (not line.in_service, not line.has_room()))
        else:
            lines = [line for line in lines if line.in_service and line.has_room()]
        if not lines:
            return Reject(reasons.NO_TRUNK)
        uris = [[_uri(line.config, target.number)] for line in lines]
        return _Planned(uris, ring_s=60.0, target=target, line=lines[0])


def _to_phones(request: ProxyRequest, target: ToExtension) -> Decision:
    bindings = request.bindings(target.extension.number)
    if not bindings:
        return Reject(reasons.NOT_REGISTERED)
    groups = [list(group) for _, group in groupby(bindings, key=lambda binding: binding.q)]
    return _Planned(groups, ring_s=target.extension.ring_s, target=target)


def _uri(trunk: TrunkConfig, number: str) -> Uri:
    return Uri(
        scheme="sip",
        user=escape_user(trunk.number(number)),
        host=trunk.host,
        port=trunk.port,
        params={} if trunk.transport == "udp" else {"transport": trunk.transport},
    )
