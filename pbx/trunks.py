"""The trunks of every tenant: which one a request comes from, and the way out for a number.

Inbound, a trunk is known by address, port and certificate alone (security.md H11); numbers only tell apart trunks that
share these. Outbound, the trunks of a route are tried by priority, within one by chance as their weights say, skipping
those out of service or full; what is the trunk's own failure leads to the next, what its callee says does not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import ip_address
from typing import Final

from pbx.diversions import diversions_of
from pbx.identity import believed_number, number_of, outbound_names
from pbx.loop_guard import Transit, refuse_loop
from pbx.output import Row
from pbx.tenants import TenantConfig
from pbx.trunk_config import TrunkConfig
from pbx.trunk_line import TrunkLine
from pbx.trunk_watch import TrunkWatch
from sipcore.entropy import Entropy
from sipcore.flow import Flow, TlsFlow
from sipcore.message import Request
from sipcore.routing import SECURE
from sipcore.uri import Uri, escape_user
from voipat import App, Call, Gateway, LegMedia, Login, NoAnswer, Redirected, Rejected, TrunkIdentity, events, reasons

# A trunk on an address that does not even say 100 in this time is not there: RFC 3261 §17.2.1 wants it in 200 ms. One
# on a name may have to go from one dead address to another first, 4 s each.
SILENCE_S: Final = 1.5
SILENCE_OF_NAME_S: Final = 6.0

# The trunk failed, not the callee: the next one may do.
_ITS_OWN_FAULT: Final = frozenset(
    reason.id
    for reason in (
        reasons.TRUNK_UNAVAILABLE,
        reasons.TRUNK_SILENT,
        reasons.TRUNK_CREDENTIALS,
        reasons.UNREACHABLE,
        reasons.BAD_TARGET,
    )
)
_Place = tuple[int, int, int | None]


class Trunks:
    """Every trunk; a service of the App that it is attached to. `configure` takes a new configuration under way."""

    def __init__(self, entropy: Entropy, media: Callable[[str, str], LegMedia] | None = None) -> None:
        """`media` says, by tenant and trunk, how the media of its calls is to be; the App does where it is None."""
        self._entropy = entropy
        self._media = media
        self._lines: dict[tuple[str, str], TrunkLine] = {}
        self._by_place: dict[_Place, list[TrunkLine]] = {}
        self._lengths: tuple[tuple[int, int], ...] = ()
        self._networks: frozenset[tuple[int, int]] = frozenset()
        # None: to be gathered anew.
        self._learned_hosts: frozenset[str] | None = None
        self._places: dict[str, TrunkLine] = {}
        self._watches: dict[tuple[str, str], TrunkWatch] = {}
        self._transit = Transit()
        self._app: App | None = None

    # Life

    def configure(self, tenants: Iterable[TenantConfig]) -> None:
        """Put these trunks in force. Calls go on; a trunk that stays keeps its state."""
        wanted = {(tenant.domain, trunk.name): trunk for tenant in tenants for trunk in tenant.trunks}
        for key in [key for key in self._lines if key not in wanted]:
            del self._lines[key]
        for key, config in wanted.items():
            line = self._lines.get(key)
            if line is None:
                self._lines[key] = TrunkLine(
                    key[0], config, self._entropy.token(8), self._now, self._publish, self._forget_hosts
                )
            else:
                line.config = config
        self._index()
        self._watch()

    def attach(self, app: App) -> None:
        """Serve this App: know its calls from trunks, and while it is open watch over them."""
        app.identify_trunks(self.identify, self.may_be_at)
        app.subscribe(self._on_ended, (events.CallEnded,))
        app.add_service(self)

    async def start(self, app: App) -> None:
        """Begin to ask and to register. Called by the App."""
        self._app = app
        self._watch()

    async def stop(self) -> None:
        """Take our registrations back and ask no more. Called by the App."""
        self._app = None
        watches, self._watches = self._watches, {}
        await asyncio.gather(*(watch.close() for watch in watches.values()))

    # Inbound

    def identify(self, flow: Flow, request: Request) -> TrunkIdentity | None:
        """The trunk that a request comes from; None when it comes from none."""
        if not self._lines:
            return None
        user = number_of(request.uri)
        line = self._choose(self._at(flow), user)
        if line is None:
            return None
        called = number_of(request.to.uri) if user == line.token else user
        trusted = line.config.trusted
        diversions = diversions_of(request) if trusted else ()
        asserts_in = line.config.asserts_in
        caller = believed_number(request, asserts_in if trusted else None)
        authorizes = line.config.early_media == "authorized"
        return TrunkIdentity(
            line.tenant,
            caller,
            line.config.name,
            called,
            diversions,
            trusted,
            asserts_in,
            authorizes,
            login_of(line.config),
        )

    def may_be_at(self, host: str) -> bool:
        """Whether a trunk calls from this host, by whatever port and transport. As many look-ups as prefix lengths."""
        if self._learned_hosts is None:
            self._learned_hosts = frozenset(each for line in self._lines.values() for each, _ in line.learned)
        if host in self._learned_hosts:
            return True
        if not self._networks:
            return False
        return any(network in self._networks for network in self._around(host))

    @contextmanager
    def inbound(self, call: Call) -> Iterator[None]:
        """The place of a call that came from a trunk. Raises: Rejected."""
        identity = call.identity
        line = self._lines.get((identity.tenant, identity.trunk)) if isinstance(identity, TrunkIdentity) else None
        if line is None:
            yield
            return
        if call.transferred_by is None and not line.has_room():
            raise Rejected(reasons.TRUNK_LIMIT)
        line.take()
        try:
            yield
        finally:
            line.release()

    def of_leg(self, call: Call) -> TrunkConfig | None:
        """The trunk that a leg comes from or goes by; None for a phone's."""
        identity = call.identity
        line = self._places.get(call.id)
        if isinstance(identity, TrunkIdentity):
            line = self._lines.get((identity.tenant, identity.trunk))
        return None if line is None else line.config

    def _choose(self, found: Sequence[TrunkLine], user: str) -> TrunkLine | None:
        if len(found) == 1:
            return found[0]
        mine = [line for line in found if user == line.token or user in line.config.dids]
        return mine[0] if len(mine) == 1 else None

    def _at(self, flow: Flow) -> list[TrunkLine]:
        """Those that the longest network around the source has; an exact port before any port."""
        for network in self._around(flow.remote.host):
            for port in (flow.remote.port, None):
                if found := [line for line in self._by_place.get((*network, port), ()) if _fits(line.config, flow)]:
                    return found
        return [line for line in self._lines.values() if _has_learned(line, flow)]

    def _around(self, host: str) -> Iterator[tuple[int, int]]:
        """The networks around the host of each prefix length that trunks have, the longest first, as in `_Place`."""
        address = ip_address(host)
        number, bits = int(address), address.max_prefixlen
        for version, length in self._lengths:
            if version == address.version:
                yield version << 8 | length, number >> (bits - length) << (bits - length)

    def _index(self) -> None:
        places: dict[_Place, list[TrunkLine]] = {}
        lengths = set()
        for line in self._lines.values():
            for address in line.config.addresses:
                network = address.network
                lengths.add((network.version, network.prefixlen))
                place = (network.version << 8 | network.prefixlen, int(network.network_address), address.port)
                places.setdefault(place, []).append(line)
        self._by_place = places
        self._networks = frozenset((family, network) for family, network, _ in places)
        self._forget_hosts()
        self._lengths = tuple(sorted(lengths, key=lambda each: -each[1]))

    def _forget_hosts(self) -> None:
        self._learned_hosts = None

    # Outbound

    async def dial(
        self,
        call: Call,
        route_names: Sequence[str],
        number: str,
        *,
        timeout: float,
        caller_id: str | None = None,
        emergency: bool = False,
        ordered: bool = False,
    ) -> Call:
        """Call `number` (E.164 with its +, or what the country has) by one of the trunks that the route names.

        They are tried as they stand when they are `ordered`, by their own priorities and weights otherwise.
        An `emergency` call passes the limits of trunks, is tried at those out of service too, if last, and goes on to
        the next one whatever refusal comes back.
        Raises: Rejected with the last trunk's refusal, or when none is there or has room, or the call goes in a circle;
        NoAnswer, HungUp, Cancelled.
        """
        refuse_loop(call)
        with self._transit.passing(call):
            lines = self.to_try(call.tenant, route_names, ordered=ordered)
            if emergency:
                lines.sort(key=lambda line: (not line.in_service, not line.has_room()))
            return await self._by_one_of(call, lines, number, timeout, caller_id, emergency=emergency)

    async def _by_one_of(
        self,
        call: Call,
        lines: Sequence[TrunkLine],
        number: str,
        timeout: float,
        caller_id: str | None,
        *,
        emergency: bool,
    ) -> Call:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        reason = reasons.NO_TRUNK
        for line in lines:
            if not line.in_service or not line.has_room():
                call.note("trunk %s is %s", line.config.name, "full" if line.in_service else "out of service")
                if not emergency:
                    continue
            try:
                return await self._try(call, line, number, deadline - loop.time(), caller_id)
            except Redirected as moved:
                if line.config.redirects == "pass":
                    await _pass_on(call, moved)
                raise
            except Rejected as refused:
                call.note("trunk %s: %s %s", line.config.name, refused.reason.id, refused.reason.text)
                if refused.reason.id not in _ITS_OWN_FAULT and not (emergency and _may_go_on(call, refused)):
                    raise
                reason = refused.reason
            if loop.time() >= deadline:
                break
        raise Rejected(reason if reason.status == 503 else reasons.NO_TRUNK, by="callee") from None

    def to_try(self, tenant: str, names: Sequence[str], *, ordered: bool = False) -> list[TrunkLine]:
        """The trunks of a route, first that to try first: as named, or else by priority and chance as weights say."""
        named = [line for name in dict.fromkeys(names) if (line := self._lines.get((tenant, name))) is not None]
        if ordered:
            return named
        waiting = sorted(named, key=lambda line: line.config.priority)
        drawn: list[TrunkLine] = []
        while waiting:
            group = [line for line in waiting if line.config.priority == waiting[0].config.priority]
            chosen = self._draw(group)
            waiting.remove(chosen)
            drawn.append(chosen)
        return drawn

    def _draw(self, group: Sequence[TrunkLine]) -> TrunkLine:
        if len(group) == 1:
            return group[0]
        point = self._entropy.uniform(0.0, sum(line.config.weight for line in group))
        for line in group:
            point -= line.config.weight
            if point < 0.0:
                return line
        return group[-1]

    async def _try(self, call: Call, line: TrunkLine, number: str, timeout: float, caller_id: str | None) -> Call:
        gateway = gateway_of(line, number, call, caller_id)
        if self._media is not None:
            media = self._media(line.tenant, line.config.name)
            gateway = replace(gateway, **media.by_name())
        call.note("trunk %s: %s", line.config.name, gateway.uri)
        line.take()
        placed: Call | None = None
        try:
            placed = await call.dial(gateway, timeout=timeout)
        except Rejected as refused:
            if refused.reason.id in _ITS_OWN_FAULT:
                line.failed(f"{refused.reason.id} {refused.reason.text}")
            else:
                line.succeeded()
            raise
        finally:
            # Until the call ends, unless it has ended already.
            if placed is None or placed.outcome is not None:
                line.release()
            else:
                self._places[placed.id] = line
        line.succeeded()
        placed.variables["trunk"] = line.config.name
        placed.note_route(f"trunk {line.config.name}")
        return placed

    def _on_ended(self, event: events.Event) -> None:
        if isinstance(event, events.CallEnded) and (line := self._places.pop(event.id, None)) is not None:
            line.release()

    # What can be seen

    def status(self, tenant: str | None = None) -> list[Row]:
        """One row for each trunk."""
        return [line.row() for line in self._lines.values() if tenant in (None, line.tenant)]

    def line(self, tenant: str, name: str) -> TrunkLine | None:
        """One trunk as it is now."""
        return self._lines.get((tenant, name))

    def _watch(self) -> None:
        """Start the watches of new trunks, end those of trunks that are gone or changed."""
        if self._app is None:
            return
        for key, watch in list(self._watches.items()):
            if key not in self._lines or watch.config != self._lines[key].config:
                self._watches.pop(key).end()
        for key, line in self._lines.items():
            if key not in self._watches:
                self._watches[key] = TrunkWatch(self._app, line, self._entropy)

    def _publish(self, event: events.Event) -> None:
        if self._app is not None:
            self._app.publish(event)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def _may_go_on(call: Call, refused: Rejected) -> bool:
    """Whether an emergency call that this trunk refused may be taken by the next: who rang long enough has rung."""
    return call.outcome is None and not isinstance(refused, NoAnswer)


async def _pass_on(call: Call, moved: Redirected) -> None:
    """Let the caller call again what the carrier says, as a number of its own tenant: routed and limited as any other.

    One that was answered before, by a menu, cannot. Raises: the call's outcome.
    """
    numbers = [number_of(each) for each in moved.contacts if each.user]
    if call.answered is None and call.direction == "inbound" and numbers:
        await call.redirect(*numbers)
        await call.hung_up()


def gateway_of(line: TrunkLine, number: str, call: Call | None, caller_id: str | None) -> Gateway:
    """The way to `number` by this trunk. Raises: Rejected when the trunk does not take the caller's number."""
    config = line.config
    names = outbound_names(config, call, caller_id)
    return Gateway(
        uri=trunk_uri(config, config.number(number)),
        callee=number,
        from_=names.from_,
        headers=names.headers,
        routes=line.service_route,
        login=login_of(config),
        silence_s=SILENCE_S if config.is_literal else SILENCE_OF_NAME_S,
        trusted=config.trusted,
        asserts_in=config.asserts_in,
        redirects="follow" if config.redirects == "follow" else "fail",
        early_media=config.early_media,
        on_busy=line.rest,
    )


def login_of(config: TrunkConfig) -> Login | None:
    """What the trunk's challenges are answered with."""
    return Login(config.realm, config.username, config.password) if config.username else None


def trunk_uri(config: TrunkConfig, number: str | None) -> Uri:
    """The trunk's address, with a number as its user (RFC 3261 §19.1.6: `user=phone`)."""
    params: dict[str, str | None] = {} if config.transport == "udp" else {"transport": config.transport}
    if number is None:
        return Uri("sip", None, config.host, config.port, params=params)
    return Uri("sip", escape_user(number), config.host, config.port, params={**params, "user": "phone"})


def _fits(config: TrunkConfig, flow: Flow) -> bool:
    if (config.transport == "tls") is not (flow.transport in SECURE):
        return False
    if not config.certificate_name:
        return True
    return isinstance(flow, TlsFlow) and config.certificate_name in (name.lower() for name in flow.names)


def _has_learned(line: TrunkLine, flow: Flow) -> bool:
    if not line.learned or not _fits(line.config, flow):
        return False
    host, port = flow.remote
    return (host, port) in line.learned or (host, None) in line.learned
