"""The App: composition of endpoint, engine, registrar and handlers on one event loop.

Everything comes by argument; several Apps live in one process. One task per call, all in one TaskGroup: whatever a
handler raises is logged, answered with 500 or BYE, and costs that call only.
"""

from __future__ import annotations

import asyncio
import logging
import re
import signal
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import translate
from ipaddress import IPv4Network, IPv6Network
from math import inf
from time import time as system_wallclock  # noqa: TID251  # the default of embedders; everything else passes its own
from types import MappingProxyType, TracebackType
from typing import Any, Final, Protocol, Self

from media import Engine, FlightReceived, MediaTimeout, SourceLatched
from media.events import SpeakingChanged
from sipcore.aio.driver import Driver
from sipcore.aio.load_meter import LoadMeter
from sipcore.aio.resolver import Resolver
from sipcore.aio.udp import UdpTransport
from sipcore.auth import DigestServer
from sipcore.beside import KINDS
from sipcore.endpoint import Endpoint
from sipcore.entropy import Entropy, SystemEntropy
from sipcore.errors import ParseError
from sipcore.events import RequestReceived, ResponseReceived
from sipcore.flow import Address, Flow
from sipcore.guard import Guard
from sipcore.message import Request
from sipcore.outputs import Resolve
from sipcore.parser import parse_message
from sipcore.refer import Replaces, replaces_of
from sipcore.session_timer import SessionPolicy, TooSmall, grant
from sipcore.timers import Timers
from sipcore.uri import Uri, escape_user, unescape
from voipat import events, reasons
from voipat.accounts import Identity, TrunkIdentity
from voipat.advertising import Advertising
from voipat.asking import ask
from voipat.auth_gate import Gate
from voipat.bodies import ACCEPTABLE, ACCEPTED, ENCODINGS, UnsupportedBodyError, session_description
from voipat.call import DEFAULT_RING_S, Call, CallState, Parties, read_offer
from voipat.conference import DEFAULT_LIMIT, DEFAULT_RATE, Conference, Room
from voipat.connected import ConnectedPolicy
from voipat.errors import CallOutcome, Rejected
from voipat.exchange import Exchange
from voipat.leg_audio import LegCodecs
from voipat.legs import InboundLeg
from voipat.listeners import Listeners, MachineNetwork
from voipat.location import Binding
from voipat.media_leg import MediaPlane
from voipat.media_watch import MediaWatch
from voipat.messages import Message, MessageHandler, Messages, text_message
from voipat.network import NamingNetwork, Network, SocketNetwork
from voipat.originating import Admit, Origination, originate
from voipat.overload import Overload
from voipat.presence import Presence
from voipat.proxy import Proxy
from voipat.reasons import Reason
from voipat.recorder import Recorder
from voipat.redirecting import RedirectPolicy
from voipat.registrar import Registrar
from voipat.security import SrtpRules
from voipat.speech import PromptSet
from voipat.subscriptions import Notifier, Resource, Subscriptions
from voipat.switch import BridgeHandler, Handler, ReferPolicy, Switch
from voipat.transfer import find_replaced, replaces_handler

logger: Final = logging.getLogger("voipat")

ReplacesPolicy = Callable[[Call, Call], Reason | None]


class Service(Protocol):
    """What lives beside the calls: started when the App can send, stopped while it still can."""

    async def start(self, app: App) -> None: ...

    async def stop(self) -> None: ...


# RFC 3327, RFC 5626, RFC 5627: what a Require of a REGISTER may name.
SUPPORTED: Final = ("path", "outbound", "gruu", "replaces", "norefersub", "100rel", "timer", "from-change")
# BYEs and their responses at the end; longer, and the peer is gone.
CLOSE_S: Final = 1.5
# Expired bindings are swept in batches: lookups never see them anyway.
EXPIRY_STEP_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class _Route:
    pattern: re.Pattern[str]
    handler: Handler
    public: bool


class App:
    """A SIP server made of handlers. `async with app` serves; `run()` does it until a signal ends the process.

    `listen`: URLs like "udp://127.0.0.1:5060"; 0.0.0.0 and [::] stand for every address of the machine, followed as
    they change. `media`: "ADDRESS:LOW-HIGH" for the engine that is made when none is given; of a given engine only the
    address counts, and it is not closed here; a wildcard stands for the address that the call's signalling came to.
    `advertised`: the address to write into SIP and SDP where it is not the local one; peers in `local_networks` are
    told the local one all the same. `advertised_on`: the same by the local address, or 0.0.0.0 and ::.
    `large_by_tcp`: requests over 1300 bytes leave UDP (RFC 3261 §18.1.1).
    `own_hosts`: more names of ours that stand for the default domain.
    `session`: the session timer that each leg asks for (RFC 4028).
    `srtp`: how secret media is to be, for all or leg by leg; where both sides can, when nothing is given.
    `codecs`: the only ones that a leg may have, in the order in which they are offered; none named are all.
    `beside`: the streams beside the audio that are relayed: "video", "text", "image" (fax); each other has port 0.
    `comfort_noise`: pauses of what is encoded here are RFC 3389's, where the other side takes that.
    `prompts`: what `Call.say` says; the shipped English set when none is given.
    `proxy`: lets the calls of its tenants pass through instead of ending them here; `route_secret` (32 octets) signs
    its Record-Route, and the same one after a restart keeps the dialogs of before.
    `on_refer`: asked with the phone's call and the target when a phone transfers; a Reason refuses. `on_replaces`:
    asked with the new call and the one whose place it wants (pickup, attended transfer); a Reason refuses.
    `on_redirect`: asked with the leg to a phone that answered 3xx and its contacts, best first; whom to ring instead,
    as `Placed` when that takes a place somewhere. Without it, those contacts that are users of the leg's own tenant.
    `on_connected`: asked with a leg and the one that it is joined with; whom its peer is told to talk with, None for
    nobody.
    """

    _on_bridge: BridgeHandler | None = None
    _admit: Admit | None = None

    def __init__(  # noqa: PLR0913  # the composition: every part by name
        self,
        *,
        listen: str | Sequence[str] = "udp://127.0.0.1:5060",
        registrar: Registrar | None = None,
        media: str = "127.0.0.1:20000-29999",
        engine: Engine | None = None,
        entropy: Entropy | None = None,
        wallclock: Callable[[], float] | None = None,
        network: Network | None = None,
        guard: Guard | None = None,
        timers: Timers | None = None,
        recorder: Recorder | None = None,
        drops_scanners: bool = True,
        advertised: str | None = None,
        advertised_on: Mapping[str, str] | None = None,
        local_networks: Sequence[IPv4Network | IPv6Network] = (),
        large_by_tcp: bool = True,
        own_hosts: Sequence[str] = (),
        server: str = "voipat",
        prompts: PromptSet | None = None,
        proxy: Proxy | None = None,
        route_secret: bytes = b"",
        on_refer: ReferPolicy | None = None,
        on_replaces: ReplacesPolicy | None = None,
        on_redirect: RedirectPolicy | None = None,
        on_connected: ConnectedPolicy | None = None,
        session: SessionPolicy | None = None,
        srtp: SrtpRules | Callable[[Call], SrtpRules] | None = None,
        codecs: Sequence[str] | Callable[[Call], Sequence[str]] = (),
        beside: Sequence[str] | Callable[[Call], Sequence[str]] = KINDS,
        comfort_noise: bool | Callable[[Call], bool] = False,
    ) -> None:
        self._listen = (listen,) if isinstance(listen, str) else tuple(listen)
        self._media_address, self._media_range = _parse_media(media)
        self._engine = engine
        self._owns_engine = engine is None
        self._entropy = entropy or SystemEntropy()
        self._wallclock = wallclock or system_wallclock
        self._network: Network = network or SocketNetwork()
        self._advertising = Advertising(advertised, local_networks, advertised_on or {})
        self._large_by_tcp = large_by_tcp
        self._registrar = registrar
        self._routes: list[_Route] = []
        self.recorder: Final = Recorder() if recorder is None else recorder
        self._listeners: list[tuple[events.Listener, frozenset[type] | None]] = [
            (self.recorder.on_event, self.recorder.EVENTS)
        ]
        # By the event's class, found at its first event: most listeners want few classes.
        self._told: dict[type, list[events.Listener]] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._switch: Switch | None = None
        self._idle = asyncio.Event()
        self._expiry: asyncio.TimerHandle | None = None
        self._expires_at = inf
        self._reads_engine = False
        self._sockets: Listeners | None = None
        self._resolver: Resolver | None = None
        self._guard = guard
        self._timers = timers or Timers()
        self._drops_scanners = drops_scanners
        self._meter: LoadMeter | None = None
        self.media_watch: MediaWatch | None = None
        self._is_simulated = False
        self._server = server
        self._trunk_of: Callable[[Flow, Request], TrunkIdentity | None] | None = None
        self._services: list[Service] = []
        self._prompts = prompts or PromptSet()
        self._session = session or SessionPolicy()
        self._proxy = proxy
        self._route_secret = route_secret
        self._on_refer, self.on_redirect, self.on_connected = on_refer, on_redirect, on_connected
        self._on_message: MessageHandler | None = None
        # Set by what is attached to it.
        self.presence: Presence | None = None
        self.subscriptions: Final = Subscriptions(
            lambda event: self.gate.domain_of(event.request.uri, event.flow), self._lookup
        )
        self._on_replaces = on_replaces
        self._srtp = _rules(SrtpRules() if srtp is None else srtp)
        self._codecs, self._beside = _leg_codecs(codecs), _leg_streams(beside)
        self._comfort_noise = comfort_noise if callable(comfort_noise) else lambda call: comfort_noise
        self._own_hosts = frozenset(own_hosts) | self._advertising.addresses
        self._compose()

    def simulate(self, *, network: Network, engine: Engine, entropy: Entropy, wallclock: Callable[[], float]) -> None:
        """Put an App that was made for production into a simulated world, before it is entered."""
        self._network, self._engine, self._entropy, self._wallclock = network, engine, entropy, wallclock
        self._owns_engine = False
        self._is_simulated = True
        self._compose()

    def _compose(self) -> None:
        """What is made of entropy."""
        self.gate = Gate(
            None if self._registrar is None else self._registrar.accounts,
            DigestServer(self._entropy.bytes(32), self._entropy),
            guard=self._guard,
            public=self._is_public,
            publish=self.publish,
            own_hosts=self._own_hosts,
        )
        self.overload = self.gate.overload = Overload(self._entropy)
        self.gate.is_registered = self._is_registered
        self.gate.capabilities = self._capabilities()
        self.gate.drops_scanners = self._drops_scanners
        if self._trunk_of is not None:
            self.gate.trunk_of = self._trunk_of
        self.endpoint = Endpoint(
            entropy=self._entropy,
            gate=self.gate,
            answers_stray=self.gate.answers_stray,
            timers=self._timers,
            advertised=self._advertise if self._advertising.addresses else None,
            contact_at=None if self._registrar is None else self._registrar.contact_at,
            large_by_tcp=self._large_by_tcp,
            server=self._server,
            supported=SUPPORTED,
            route_secret=self._route_secret,
        )
        self.exchange = Exchange(self.endpoint, self._on_request, self.recorder)
        self.messages = Messages(self.exchange, self._lookup, self._beside_calls)
        self.messages.handler = self._on_message
        if self._proxy is not None:
            self.gate.proxies = self._proxy.serves
            self.gate.proxies_strangers = self._proxy.public
            self.exchange.on_relayed = self._proxy.on_event

    def _capabilities(self) -> tuple[tuple[str, str], ...]:
        """RFC 3261 §11.2: what a response to OPTIONS should have."""
        return (
            ("Allow", self.gate.allow),
            ("Accept", ACCEPTED),
            ("Accept-Encoding", ENCODINGS),
            ("Accept-Language", "en"),
            ("Supported", ", ".join(SUPPORTED)),
            ("Allow-Events", self.subscriptions.packages),
        )

    # Handlers and listeners

    def on_call(self, pattern: str, *, public: bool = False) -> Callable[[Handler], Handler]:
        """Let a function handle calls to the URIs that match: `*` and `?` as in a shell, "sip:user@host".

        The first match in the order of registration takes the call. Without `public`, only callers who
        authenticated get through.
        """

        def register(handler: Handler) -> Handler:
            self._routes.append(_Route(re.compile(translate(pattern)), handler, public))
            return handler

        return register

    def on_bridge(self, handler: BridgeHandler) -> BridgeHandler:
        """Let an async function see to each conversation, from when two calls are joined until they are parted.

        It is cancelled then. For codes that are pressed within a call, and recordings; a function that is not async and
        returns None lets the bridge alone. The calls' own verbs work in it, as `bridge.codes`, `bridge.apart` do.
        """
        self._on_bridge = handler
        if self._switch is not None:
            self._switch.on_bridge = handler
        return handler

    def on_message(self, handler: MessageHandler) -> MessageHandler:
        """Let a function take the messages of users: None when it is delivered, else why not. Without one they go to

        the phones of their recipient; a function may call `deliver` for that.
        """
        self._on_message = self.messages.handler = handler
        return handler

    def notifier(self, notifier: Notifier) -> Notifier:
        """Let users watch something: an event package (RFC 6665)."""
        self.subscriptions.add(notifier)
        self.gate.capabilities = self._capabilities()
        return notifier

    def identify_trunks(self, trunk_of: Callable[[Flow, Request], TrunkIdentity | None]) -> None:
        """Let calls in without credentials that `trunk_of` knows by where they came from, as `call.identity`."""
        self._trunk_of = self.gate.trunk_of = trunk_of

    def add_service(self, service: Service) -> None:
        """Let `service` live as long as the App is open."""
        self._services.append(service)

    async def ask(self, request: Request, *, flow: Flow | None = None) -> ResponseReceived | None:
        """Send a request outside of any call; its final response, or None when there was none."""
        return await ask(self.exchange, request, flow)

    def conference(
        self, name: str, *, tenant: str | None = None, limit: int = DEFAULT_LIMIT, rate: int = DEFAULT_RATE
    ) -> Conference:
        """A room in which calls hear each other: `async with app.conference("room-7") as conference`.

        Without a `tenant` it is that of the first call that joins. `limit` (members) and `rate` (8000, 16000 or 48000
        samples a second) are what the first who opens it says. Raises: ValueError.
        """
        if self._switch is None:
            raise ValueError("conferences live between the start and the end of the App")
        return Conference(self._switch, name, tenant=tenant, limit=limit, rate=rate)

    def subscribe(self, listener: events.Listener, kinds: Iterable[type] | None = None) -> None:
        """Tell `listener` every event of `voipat.events`, or those of the classes in `kinds`, at once and in order."""
        self._listeners.append((listener, None if kinds is None else frozenset(kinds)))
        self._told.clear()

    def publish(self, event: events.Event) -> None:
        """Tell the listeners; one that fails costs nobody else anything."""
        kind = type(event)
        told = self._told.get(kind)
        if told is None:
            told = self._told[kind] = [each for each, kinds in self._listeners if kinds is None or kind in kinds]
        for listener in told:
            try:
                listener(event)
            except Exception:
                self.exchange.counters["listener_errors"] += 1
                logger.exception("bug: a listener failed at %s", type(event).__name__)

    # What can be seen

    @property
    def calls(self) -> Sequence[Call]:
        """The calls under way, each by the leg that came in."""
        return () if self._switch is None else tuple(self._switch.calls.values())

    @property
    def conferences(self) -> Sequence[Room]:
        """The rooms that are open."""
        return () if self._switch is None else tuple(self._switch.rooms.values())

    def call(self, caller: str, target: str | Uri, *, tenant: str, timeout: float = DEFAULT_RING_S) -> Origination:
        """Ring the phones of a user; who answers is led on as if he had dialled the target.

        `call = await app.call("1001", "1002", tenant="office.test")` is his call, which goes on by itself. To stop
        waiting, or `hang_up` of what this returns, ends it. Raises: Rejected for a target that is no URI; when awaited
        Rejected and NoAnswer, when no phone of the user takes the call; ValueError before the start of the App.
        """
        if self._switch is None or self.gate.draining:
            raise ValueError("calls are made between the start and the end of the App")
        return originate(self._switch, caller, target, tenant=tenant, timeout=timeout, admit=self._admit)

    def admit_calls(self, admit: Admit) -> None:
        """Let `admit(call, caller)` hold the places of a call that nobody dialled, from before it rings to its answer.

        What it raises, a Rejected, refuses the call. Its handler then takes its places as that of any other call.
        """
        self._admit = admit

    def find_call(self, identifier: str) -> Call | None:
        """A call under way by its id."""
        return None if self._switch is None else self._switch.calls.get(identifier)

    @property
    def registrar(self) -> Registrar | None:
        return self._registrar

    @property
    def engine(self) -> Engine:
        """The media engine, from the start on."""
        assert self._engine is not None, "made at the start"
        return self._engine

    @property
    def driver(self) -> Driver:
        """The driver, from the start on."""
        return self.exchange.driver

    @property
    def counters(self) -> Mapping[str, int]:
        """Counters of this App; those of the endpoint and the driver are theirs."""
        mine = Counter(self.exchange.counters)
        if self._switch is not None:
            mine.update(self._switch.counters)
            mine.update(self._switch.media.counters)
        mine.update(self.overload.counters)
        mine.update(self.subscriptions.counters)
        return MappingProxyType(mine)

    # Life

    async def __aenter__(self) -> Self:
        """Open the sockets and serve. Raises: OSError, ValueError."""
        loop = asyncio.get_running_loop()
        if self._engine is None:
            self._engine = Engine(port_range=self._media_range)
        # A simulated network has no DNS but its own.
        self._resolver = Resolver(self._entropy) if isinstance(self._network, MachineNetwork) else None
        resolve: Callable[[Resolve], None] | None = None if self._resolver is None else self._resolver.resolve
        if isinstance(self._network, NamingNetwork):
            resolve = self._network.resolving(lambda query, found: self.driver.resolved(query, found))
        driver = Driver(self.endpoint, on_event=self.exchange.on_event, loop=loop, resolve=resolve)
        if self._resolver is not None:
            self._resolver.attach(driver)
        self.exchange.attach(driver)
        driver.observer = self.recorder
        driver.ignores = self.gate.ignores
        self.recorder.start(loop.time, self._wallclock, self._tenants_of)
        self._switch = Switch(
            loop=loop,
            exchange=self.exchange,
            media=MediaPlane(
                self._engine,
                self._entropy,
                bind=self._media_address,
                advertising=self._advertising,
                source=self._network.source_address if isinstance(self._network, MachineNetwork) else None,
                codecs=self._codecs,
                rules=self._srtp,
                beside=self._beside,
                comfort_noise=self._comfort_noise,
                loop=loop,
            ),
            entropy=self._entropy,
            wallclock=self._wallclock,
            publish=self.publish,
            lookup=self._lookup,
            is_reachable=_unknown if self._registrar is None else self._registrar.is_reachable,
            domain_of=self.gate.domain_of,
            recorder=self.recorder,
            spawn=self._spawn,
            handler_of=self._handler_of,
            run_handler=self._run_handler,
            forget=self._forget,
            on_refer=self._on_refer,
            on_bridge=self._on_bridge,
            on_redirect=self.on_redirect,
            connected=self.on_connected,
            prompts=self._prompts,
            session=self._session,
        )
        if self._proxy is not None:
            self._proxy.attach(self._switch)
        self._idle.set()
        self.gate.draining = False
        if self._registrar is not None:
            self._registrar.start(self._wallclock, self.publish, self._entropy)
            if self._guard is not None:
                # Whose phones were registered before the start is no stranger.
                for binding in self._registrar.location:
                    self._note_registration(self._guard, binding.flow, (binding,), loop.time())
        self._tasks = asyncio.TaskGroup()
        await self._tasks.__aenter__()
        try:
            await self._open_listeners(driver)
        except BaseException:
            await self._shut()
            raise
        if self._engine.fileno() >= 0:
            loop.add_reader(self._engine.fileno(), self.poll_media)
            self._reads_engine = True
            self.poll_media()
        if isinstance(self._network, MachineNetwork):
            self._meter = LoadMeter(loop, self._udp_sockets, self.overload.sample)
            self.media_watch = MediaWatch(loop, lambda: self.engine.lateness, self.overload.refuse_calls, self.publish)
        self._schedule_expiry()
        if self._registrar is not None:
            self._registrar.keep_alive(self.exchange, loop)
        self.subscriptions.start(self.exchange, loop)
        for service in self._services:
            await service.start(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the calls that are up, wait a moment for their BYEs, close everything."""
        self.gate.draining = True
        for service in reversed(self._services):
            await service.stop()
        self.subscriptions.stop()
        for call in self.calls:
            call.end("server", reasons.SHUTDOWN)
        assert self._tasks is not None, "entered before"
        await self._tasks.__aexit__(kind, error, traceback)
        await self._until_quiet(CLOSE_S)
        await self._shut()

    def run(self) -> None:
        """Serve until SIGINT or SIGTERM; the first lets calls finish for half a minute, the second does not."""
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._serve_until_signalled())

    async def drain(self, limit: float = 30.0) -> None:
        """Take no new calls (503), let those under way finish for `limit` seconds, then hang up."""
        self.gate.draining = True
        with suppress(TimeoutError):
            async with asyncio.timeout(limit):
                await self._idle.wait()
        for call in self.calls:
            call.end("server", reasons.SHUTDOWN)
        await self._idle.wait()

    def poll_media(self) -> None:
        """Take the engine's events; called by the loop, or by whoever steps a manual clock."""
        switch = self._switch
        if switch is None:
            return
        for event in switch.media.engine.drain():
            call = switch.media.owners.get(event.port.id)
            if call is not None and isinstance(event, MediaTimeout):
                call.on_media_timeout()
            elif call is not None and isinstance(event, FlightReceived):
                if call.media is not None:
                    call.media.receive_flight(event.port, event.data, event.source)
            elif call is not None and isinstance(event, SourceLatched):
                call.note("%s has media from %s:%d", call.id, *event.address)
            elif call is not None and isinstance(event, SpeakingChanged):
                if call.media is not None and call.media.seat is not None:
                    call.media.seat.spoke(event.speaking)
            elif call is not None:
                call.playback.on_event(event)

    async def _open_listeners(self, driver: Driver) -> None:
        if isinstance(self._network, MachineNetwork):
            self.endpoint.choose_source_by(self._network.source_address)
        self._sockets = Listeners(driver, self._network, self._listen)
        await self._sockets.open()

    def _udp_sockets(self) -> list[UdpTransport]:
        return [transport for transport in self.driver.transports if isinstance(transport, UdpTransport)]

    async def _until_quiet(self, limit: float) -> None:
        """Wait for the answers to our BYEs and CANCELs."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + limit
        while self.endpoint.dialog_count and loop.time() < deadline:
            await asyncio.sleep(0.02)

    async def _shut(self) -> None:
        assert self._engine is not None, "made at the start"
        if self._registrar is not None:
            self._registrar.stop()
        if self._expiry is not None:
            self._expiry.cancel()
        if self._meter is not None:
            self._meter.close()
        if self.media_watch is not None:
            self.media_watch.close()
        self._expires_at = inf
        if self._reads_engine:
            asyncio.get_running_loop().remove_reader(self._engine.fileno())
            self._reads_engine = False
        if self._sockets is not None:
            await self._sockets.close()
        if self._resolver is not None:
            await self._resolver.close()
        await self.driver.close()
        if self._switch is not None:
            self._switch.media.close()
        if self._owns_engine:
            self._engine.close()
            self._engine = None
        self._switch = None

    async def _serve_until_signalled(self) -> None:
        loop = asyncio.get_running_loop()
        signalled = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, signalled.set)
        async with self:
            await signalled.wait()
            signalled.clear()
            async with asyncio.TaskGroup() as group:
                draining = group.create_task(self.drain())
                again = group.create_task(signalled.wait())
                await asyncio.wait((draining, again), return_when=asyncio.FIRST_COMPLETED)
                draining.cancel()
                again.cancel()

    # Requests

    def _on_request(self, event: RequestReceived) -> None:
        method = event.request.method
        if method == "INVITE":
            self._receive_invite(event)
        elif method == "REGISTER":
            self._receive_register(event)
        elif method == "SUBSCRIBE" and isinstance(event.identity, Identity):
            self.subscriptions.receive(event)
        elif method == "MESSAGE" and isinstance(event.identity, Identity):
            self.messages.receive(event, event.identity, self._canonical(event.request.uri, event.flow))
        elif method == "PUBLISH" and isinstance(event.identity, Identity):
            self._receive_publish(event, event.identity)
        elif method == "REFER":
            # RFC 3515 lets anybody be referred; what a user of ours may transfer is a call of his.
            self.exchange.refuse(event, reasons.NO_TRANSFER)
        else:
            self.exchange.refuse(event, reasons.METHOD_NOT_ALLOWED, (("Allow", self.gate.allow),))

    async def deliver(self, message: Message) -> Reason | None:
        """Send a message to every phone of its recipient; None when one took it, else why none did."""
        return await self.messages.deliver(message)

    async def send_message(self, tenant: str, sender: str, recipient: str, text: str) -> Reason | None:
        """Send text to the phones of a user; None when one took it, else why none did. Raises: ValueError, too long."""
        return await self.messages.deliver(text_message(tenant, sender, recipient, text))

    def _receive_publish(self, event: RequestReceived, identity: Identity) -> None:
        if self.presence is None:
            self.exchange.refuse(event, reasons.UNKNOWN_PACKAGE, (("Allow-Events", self.subscriptions.packages),))
            return
        to = self._canonical(event.request.uri, event.flow)
        self.presence.receive(self.exchange, event, identity, Resource(to.host, _user_of(to)), self._entropy)

    def has_phone(self, resource: Resource) -> bool:
        """Whether a phone is registered for a user."""
        return bool(self._lookup(resource.tenant, resource.user))

    def _receive_register(self, event: RequestReceived) -> None:
        assert self._registrar is not None and isinstance(event.identity, Identity), "the gate admits no other"
        status, headers, reason = self._registrar.register(event.request, event.flow, event.identity)
        if reason is not None:
            headers.append(reason.warning(str(event.flow.local)))
        self.exchange.respond(event.transaction, status, headers)
        if reason is None:
            identity = event.identity
            bindings = self._registrar.lookup(identity.tenant, identity.user)
            if bindings and self.gate.guard is not None:
                self._note_registration(self.gate.guard, event.flow, bindings, self.driver.now())
            phones = [each for each in bindings if each.flow is event.flow or each.flow == event.flow]
            self.subscriptions.tell_phones(Resource(identity.tenant, identity.user), phones)
        if event.flow.reliable:
            self.driver.authenticated(event.flow)
        self._schedule_expiry()

    def _note_registration(self, guard: Guard, flow: Flow, bindings: Sequence[Binding], now: float) -> None:
        left = max([binding.expires_at for binding in bindings]) - self._wallclock()
        guard.registered(flow.remote.host, now + left)

    def _receive_invite(self, event: RequestReceived) -> None:
        assert self._switch is not None and self._tasks is not None, "requests come between start and end"
        request = event.request
        if not _accepts_sdp(request):
            self.exchange.refuse(event, reasons.UNACCEPTABLE_ANSWER)
            return
        if isinstance(verdict := grant(request, self._session), TooSmall):
            self.exchange.refuse(event, reasons.SESSION_TOO_SHORT, (("Min-SE", str(verdict.min_se)),))
            return
        try:
            offer = read_offer(session_description(request))
        except UnsupportedBodyError:
            self.exchange.refuse(event, reasons.UNKNOWN_BODY, ACCEPTABLE)
            return
        except ParseError:
            self.exchange.refuse(event, reasons.BAD_DESCRIPTION)
            return
        replaced = None
        if "Replaces" in request.headers:
            replaced = self._replaced(self._switch, event)
            if replaced is None:
                return
        call = self._new_call(self._switch, event)
        call.offer = offer
        self._switch.calls[call.id] = call
        self._idle.clear()
        handler = self._handler(call) if replaced is None else self._replaces(call, *replaced)
        self._tasks.create_task(self._serve(call, handler))

    def _replaced(self, switch: Switch, event: RequestReceived) -> tuple[Call, Replaces] | None:
        """The call whose place an INVITE wants, of its own tenant; None when it was refused."""
        try:
            replaces = replaces_of(event.request)
        except ParseError:
            self.exchange.refuse(event, reasons.BAD_REFER)
            return None
        identity = event.identity
        known = isinstance(identity, Identity) and not isinstance(identity, TrunkIdentity)
        found = None
        if replaces is not None and isinstance(identity, Identity) and known:
            found = find_replaced(switch, identity.tenant, replaces)
        if found is None or replaces is None:
            self.exchange.refuse(event, reasons.NO_SUCH_CALL)
            return None
        return found, replaces

    def _replaces(self, call: Call, replaced: Call, replaces: Replaces) -> Handler:
        refusal = None if self._on_replaces is None else self._on_replaces(call, replaced)
        handler = replaces_handler(replaced, replaces) if refusal is None else refusal
        return _rejects(handler) if isinstance(handler, Reason) else handler

    def _new_call(self, switch: Switch, event: RequestReceived) -> Call:
        request = event.request
        identity = event.identity if isinstance(event.identity, Identity) else None
        to, caller = self._canonical(request.uri, event.flow), request.from_.uri
        identifier = self._entropy.token(8)
        tenant = "" if identity is None else identity.tenant
        parties = Parties(
            identifier,
            identifier,
            tenant,
            identity.user if identity is not None else _user_of(caller),
            _user_of(to),
        )
        leg = InboundLeg(self.exchange, event)
        call = Call(switch, leg, parties, to=to, caller=caller)
        leg.open(call)
        call.identity = identity
        call.display_name = request.from_.display_name
        call.publish_start()
        return call

    def _canonical(self, uri: Uri, flow: Flow) -> Uri:
        """Our own address in a URI stands for the default domain."""
        domain = self.gate.domain_of(uri, flow)
        gruus = None if self._registrar is None else self._registrar.gruus
        if domain is not None and gruus is not None and (found := gruus.resolve(domain, uri)) is not None:
            # A temporary GRUU names nobody to others, and one device of a user to us.
            user, instance = found
            uri = uri.replace(user=escape_user(user), params={**uri.params, "gr": instance.strip("<>")})
        return uri if domain is None or domain == uri.host else uri.replace(host=domain, port=None)

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        assert self._tasks is not None, "calls live between start and end"
        self._idle.clear()
        return self._tasks.create_task(coroutine)

    def _beside_calls(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Work that a drain does not wait for."""
        assert self._tasks is not None, "requests come between start and end"
        return self._tasks.create_task(coroutine)

    async def _serve(self, call: Call, handler: Handler | None) -> None:
        call.task = asyncio.current_task()
        await self._run_handler(call, handler)

    async def _run_handler(self, call: Call, handler: Handler | None) -> CallOutcome | None:
        """The boundary of one call: whatever its handler does ends here; a call that is another's by now stays up."""
        outcome: CallOutcome | None = None
        failure: Reason | None = None
        try:
            if call.state is not CallState.ENDED:
                await (handler or _reject_unknown)(call)
        except CallOutcome as raised:
            outcome = raised
        except asyncio.CancelledError:
            failure = reasons.SHUTDOWN
        except Exception:
            self.exchange.counters["handler_errors"] += 1
            logger.exception(
                "the handler of a call failed",
                extra={"call": call.id, "tenant": call.tenant, "call_id": call.call_id},
            )
            failure = reasons.INTERNAL_ERROR
        if call.task is asyncio.current_task():
            if failure is not None:
                call.end("server", failure, by_handler=True)
            call.settle(outcome)
            self._forget(call)
        if outcome is not None:
            # The traceback holds this frame, and the frame the outcome: only the collector would find them.
            outcome.__traceback__ = None
        return outcome if failure is None else Rejected(failure)

    def _forget(self, call: Call) -> None:
        assert self._switch is not None, "calls end before the App"
        self._switch.calls.pop(call.id, None)
        if not self._switch.calls:
            self._idle.set()

    def _handler(self, call: Call) -> Handler | None:
        return self._handler_for(call.to, is_known=call.identity is not None)

    def _handler_of(self, call: Call) -> Handler | None:
        """The handler of a transferred call, which has the rights of who transferred it."""
        return self._handler_for(call.to, is_known=True)

    def _handler_for(self, to: Uri, *, is_known: bool) -> Handler | None:
        text = f"{to.scheme}:{_user_of(to)}@{to.host}"
        for route in self._routes:
            if route.pattern.match(text) and (route.public or is_known):
                return route.handler
        return None

    def _is_public(self, uri: Uri) -> bool:
        if not any(route.public for route in self._routes):
            return False
        text = f"{uri.scheme}:{_user_of(uri)}@{uri.host}"
        return any(route.public and route.pattern.match(text) for route in self._routes)

    def _tenants_of(self, data: bytes, flow: Flow) -> frozenset[str]:
        """The tenants that an INVITE names as caller or callee."""
        try:
            request = parse_message(data)
        except ParseError:
            return frozenset()
        if not isinstance(request, Request):
            return frozenset()
        named = (self.gate.domain_of(uri, flow) for uri in (request.from_.uri, request.uri))
        return frozenset(domain for domain in named if domain is not None)

    def _is_registered(self, uri: Uri, flow: Flow) -> bool:
        """Whether this address of record has a phone at the host that the request came from."""
        domain, host = self.gate.domain_of(uri, flow), flow.remote.host
        return any(each.flow.remote.host == host for each in self._lookup(domain or "", _user_of(uri)))

    def _lookup(self, tenant: str, user: str) -> Sequence[Binding]:
        return () if self._registrar is None else self._registrar.lookup(tenant, user)

    def _advertise(self, flow: Flow) -> Address:
        return Address(self._advertising.towards(flow.remote.host, flow.local.host), flow.local.port)

    def _schedule_expiry(self) -> None:
        """Set the timer for the earliest expiry, unless one that is no later is set."""
        due = None if self._registrar is None else self._registrar.location.next_expiry()
        if due is None or due >= self._expires_at or self._switch is None:
            return
        if self._expiry is not None:
            self._expiry.cancel()
        self._expires_at = due
        delay = max(due - self._wallclock(), 0.0) + EXPIRY_STEP_S
        self._expiry = self._switch.loop.call_later(delay, self._expire)

    def _expire(self) -> None:
        assert self._registrar is not None, "scheduled only with one"
        self._expires_at = inf
        self._registrar.expire()
        self._schedule_expiry()


def _accepts_sdp(request: Request) -> bool:
    """RFC 3261 §20.1: without the header application/sdp is accepted; with an empty one nothing is."""
    if "Accept" not in request.headers:
        return True
    types = {value.partition(";")[0].strip().lower() for value in request.headers.get_all("Accept")}
    return not types.isdisjoint(("application/sdp", "application/*", "*/*"))


def _rejects(reason: Reason) -> Handler:
    async def reject(call: Call) -> None:
        await call.reject(reason)

    return reject


async def _reject_unknown(call: Call) -> None:
    await call.reject(reasons.UNKNOWN_NUMBER)


def _rules(srtp: SrtpRules | Callable[[Call], SrtpRules]) -> Callable[[Call], SrtpRules]:
    return (lambda call: srtp) if isinstance(srtp, SrtpRules) else srtp


def _leg_codecs(codecs: Sequence[str] | Callable[[Call], Sequence[str]]) -> Callable[[Call], Sequence[str]]:
    if callable(codecs):
        return codecs
    LegCodecs(codecs)  # said here and now, not at the first call
    return lambda call: codecs


def _leg_streams(beside: Sequence[str] | Callable[[Call], Sequence[str]]) -> Callable[[Call], Sequence[str]]:
    if callable(beside):
        return beside
    if unknown := [kind for kind in beside if kind not in KINDS]:
        raise ValueError(f"{unknown[0]!r} is no stream beside the audio: {', '.join(KINDS)}")
    return lambda call: beside


def _unknown(binding: Binding) -> bool | None:
    """Without a registrar no phone is asked."""
    return None


def _user_of(uri: Uri) -> str:
    """The user part, unescaped; the host of a URI without one."""
    try:
        return unescape(uri.user) if uri.user else uri.host
    except ParseError:
        return uri.user or uri.host


def _parse_media(text: str) -> tuple[str, tuple[int, int]]:
    """ "ADDRESS:LOW-HIGH". Raises: ValueError."""
    address, _, ports = text.rpartition(":")
    low, dash, high = ports.partition("-")
    if not address or not dash or not low.isdigit() or not high.isdigit():
        raise ValueError(f"{text}: media is ADDRESS:LOW-HIGH")
    return address.strip("[]"), (int(low), int(high))
