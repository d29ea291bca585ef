"""The App: composition of endpoint, engine, registrar and handlers on one event loop.

Everything comes by argument; several Apps live in one process. One task per call, all in one TaskGroup: whatever a
handler raises is logged, answered with 500 or BYE, and costs that call only.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from ipaddress import IPv4Network, IPv6Network
from time import time as system_wallclock  # noqa: TID251  # the default of embedders; everything else passes its own
from types import MappingProxyType, TracebackType
from typing import Final, Self

from media import Engine
from sipcore.aio.driver import Driver
from sipcore.aio.entropy import SystemEntropy
from sipcore.aio.load_meter import LoadMeter
from sipcore.aio.resolver import Resolver
from sipcore.aio.udp import UdpTransport
from sipcore.auth import DigestServer
from sipcore.beside import KINDS
from sipcore.endpoint import Endpoint
from sipcore.entropy import Entropy
from sipcore.events import RequestReceived, ResponseReceived
from sipcore.flow import Address, Flow
from sipcore.guard import Guard
from sipcore.message import Request
from sipcore.outputs import Resolve
from sipcore.session_timer import SessionPolicy
from sipcore.timers import Timers
from sipcore.uri import Uri
from voipat import events, reasons
from voipat.accounts import Identity, TrunkIdentity
from voipat.advertising import Advertising
from voipat.announcing import Announcer
from voipat.asking import ask
from voipat.auth_gate import Gate
from voipat.bodies import ACCEPTED, ENCODINGS
from voipat.call import DEFAULT_RING_S, Call
from voipat.conference import DEFAULT_LIMIT, DEFAULT_RATE, Conference, Room
from voipat.connected import ConnectedPolicy
from voipat.exchange import Exchange
from voipat.handling import Handling
from voipat.intake import Intake, ReplacesPolicy
from voipat.kept_subscriptions import SubscriptionKeeper
from voipat.leg_rules import LegMedia, media_rules
from voipat.listeners import Listeners, MachineNetwork
from voipat.location import Binding
from voipat.media_plane import MediaPlane, parse_media
from voipat.media_watch import MediaWatch
from voipat.messages import Message, MessageHandler, Messages, text_message
from voipat.network import NamingNetwork, Network, SocketNetwork
from voipat.originating import Admit, Origination, Reach, originate, ringing
from voipat.overload import Overload
from voipat.parties import user_of
from voipat.presence import Presence
from voipat.proxy import Proxy
from voipat.reasons import Reason
from voipat.recorder import Recorder
from voipat.redirecting import RedirectPolicy
from voipat.refusals import refusal_headers
from voipat.registrar import Registrar
from voipat.registrations import Registrations
from voipat.routes import Routes
from voipat.seats import Seats
from voipat.security import SrtpRules
from voipat.serving import Service, serve_until_signalled
from voipat.speech import PromptSet
from voipat.subscriptions import Notifier, Resource, Subscriptions
from voipat.switch import BridgeHandler, Handler, ReferPolicy, Switch

logger: Final = logging.getLogger("voipat")


# RFC 3327, RFC 5626, RFC 5627: what a Require of a REGISTER may name.
SUPPORTED: Final = ("path", "outbound", "gruu", "replaces", "norefersub", "100rel", "timer", "from-change")
# BYEs and their responses at the end; longer, and the peer is gone.
CLOSE_S: Final = 1.5


def _anywhere(host: str) -> bool:
    return True


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
    `dtmf_info`: whether digits that a leg sends in an INFO are taken, like those in its media; else it hears 415.
    `leg_media`: these five at one question, leg by leg, and not by themselves.
    `prompts`: what `Call.say` says; the shipped English set when none is given.
    `proxy`: lets the calls of its tenants pass through instead of ending them here; `route_secret` (32 octets) signs
    its Record-Route, and the same one after a restart keeps the dialogs of before.
    `on_refer`: asked with the phone's call and the target when a phone transfers; a Reason refuses. `on_replaces`:
    asked with the new call and the one whose place it wants (pickup, attended transfer); a Reason refuses.
    `on_redirect`: asked with the leg to a phone that answered 3xx and its contacts, best first; whom to ring instead,
    as `Placed` when that takes a place somewhere. Without it, those contacts that are users of the leg's own tenant.
    `subscriptions`: keeps who watches what, so that lamps go on after a restart.
    `on_connected`: asked with a leg and the one that it is joined with; whom its peer is told to talk with, None for
    nobody.
    """

    _on_bridge: BridgeHandler | None = None
    _on_message: MessageHandler | None = None
    _admit: Admit | None = None
    _trunk_of: Callable[[Flow, Request], TrunkIdentity | None] | None = None
    # Set by what is attached to it.
    presence: Presence | None = None
    # Between the start and the end:
    media_watch: MediaWatch | None = None
    _switch: Switch | None = None
    _sockets: Listeners | None = None
    _resolver: Resolver | None = None
    _meter: LoadMeter | None = None
    _reads_engine = False

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
        answers_foreign: bool = True,
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
        dtmf_info: bool | Callable[[Call], bool] = True,
        leg_media: Callable[[Call], LegMedia] | None = None,
        subscriptions: SubscriptionKeeper | None = None,
    ) -> None:
        self._listen = (listen,) if isinstance(listen, str) else tuple(listen)
        self._media_address, self._media_range = parse_media(media)
        self._engine, self._owns_engine = engine, engine is None
        self._entropy, self._wallclock = entropy or SystemEntropy(), wallclock or system_wallclock
        self._network: Network = network or SocketNetwork()
        self._advertising = Advertising(advertised, local_networks, advertised_on or {})
        self._own_hosts = frozenset(own_hosts) | self._advertising.addresses
        self._endpoint = partial(
            Endpoint, timers=timers or Timers(), large_by_tcp=large_by_tcp, server=server, route_secret=route_secret
        )
        self._guard, self._answered = guard, (drops_scanners, answers_foreign)
        self._session, self._prompts, self._proxy = session or SessionPolicy(), prompts or PromptSet(), proxy
        self._rules = leg_media or media_rules(
            srtp=srtp, codecs=codecs, beside=beside, comfort_noise=comfort_noise, dtmf_info=dtmf_info
        )
        self._on_refer, self._on_replaces = on_refer, on_replaces
        self.on_redirect, self.on_connected = on_redirect, on_connected
        self.recorder: Final = Recorder() if recorder is None else recorder
        self._announcer = Announcer()
        self.subscribe(self.recorder.on_event, self.recorder.EVENTS)
        self._routes = Routes()
        self._services: list[Service] = []
        self._keeper = subscriptions
        self.subscriptions: Final = Subscriptions(
            lambda event: self.gate.domain_of(event.request.uri, event.flow),
            lambda tenant, user: self._registrations.lookup(tenant, user),
            lambda identity: self._registrations.knows(identity),
        )
        self._registrations = Registrations(registrar, self.subscriptions, guard)
        self._compose()

    def simulate(self, *, network: Network, engine: Engine, entropy: Entropy, wallclock: Callable[[], float]) -> None:
        """Put an App that was made for production into a simulated world, before it is entered."""
        self._network, self._engine, self._entropy, self._wallclock = network, engine, entropy, wallclock
        self._owns_engine = False
        self._compose()

    def _compose(self) -> None:
        """What is made of entropy."""
        registrar = self.registrar
        self.gate = Gate(
            None if registrar is None else registrar.accounts,
            DigestServer(self._entropy.bytes(32), self._entropy),
            guard=self._guard,
            public=self._routes.is_public,
            publish=self._announcer.publish,
            own_hosts=self._own_hosts,
        )
        self.overload = self.gate.overload = Overload(self._entropy)
        self.gate.refusal_tag = self._entropy.token(8)
        self.gate.is_registered = self._registrations.is_registered
        self.gate.capabilities = self._capabilities()
        self.gate.drops_scanners, self.gate.answers_foreign = self._answered
        if self._trunk_of is not None:
            self.gate.trunk_of = self._trunk_of
        self.endpoint = self._endpoint(
            entropy=self._entropy,
            supported=SUPPORTED,
            gate=self.gate,
            answers_stray=self.gate.answers_stray,
            advertised=self._advertise if self._advertising.addresses else None,
            contact_at=None if registrar is None else registrar.contact_at,
            refusal_headers=refusal_headers,
        )
        self.exchange = Exchange(self.endpoint, self._on_request, self.recorder)
        self._handling = Handling(self.exchange)
        self._intake = Intake(
            self.exchange,
            self._handling,
            self._routes,
            canonical=self._canonical,
            caller_of=self._registrations.caller_of,
            on_replaces=self._on_replaces,
        )
        self.messages = Messages(self.exchange, self._registrations.phones_of, self._handling.spawn_beside)
        self.messages.handler = self._on_message
        if self._proxy is not None:
            self.gate.proxies = self._proxy.serves
            self.gate.proxies_strangers = self._proxy.public
            self.exchange.on_relayed = self._proxy.on_event
            self.endpoint.consumes_credentials(self.gate.is_realm)

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
        authenticated get through. Raises: ValueError for a pattern that no URI matches.
        """

        def register(handler: Handler) -> Handler:
            self._routes.add(pattern, handler, public=public)
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
        """Let a function take the messages of users: None when it is delivered, `Kept.FOR_LATER`, else why not.

        Without one they go to the phones of their recipient; a function may call `deliver` for that.
        """
        self._on_message = self.messages.handler = handler
        return handler

    def notifier(self, notifier: Notifier) -> Notifier:
        """Let users watch something: an event package (RFC 6665)."""
        self.subscriptions.add(notifier)
        self.gate.capabilities = self._capabilities()
        return notifier

    def identify_trunks(
        self,
        trunk_of: Callable[[Flow, Request], TrunkIdentity | None],
        is_trunk_host: Callable[[str], bool] = _anywhere,
    ) -> None:
        """Let calls in without credentials that `trunk_of` knows by where they came from, as `call.identity`.

        `is_trunk_host` says of a host whether `trunk_of` may know one there: in a flood calls of others are not read.
        """
        self._trunk_of = self.gate.trunk_of = trunk_of
        self.gate.is_trunk_host = is_trunk_host

    def seat(self, seats: Seats) -> None:
        """Let people sit at phones that are not theirs."""
        self._registrations.seats = seats

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
        self._announcer.subscribe(listener, kinds)

    def publish(self, event: events.Event) -> None:
        """Tell the listeners; one that fails costs nobody else anything."""
        self._announcer.publish(event)

    # What can be seen

    @property
    def calls(self) -> Sequence[Call]:
        """The calls under way, each by the leg that came in."""
        return tuple(self._handling.calls.values())

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
        return self.originate(caller, target, tenant=tenant, reach=ringing(caller, timeout, self._admit))

    def originate(
        self, caller: str, target: str | Uri, *, tenant: str, reach: Reach, then: Handler | None = None
    ) -> Origination:
        """As `call`, for any caller: `reach(first)` dials for the call `first` and returns the one that was answered.

        `then` takes that call in place of the target's handler.
        """
        if self._switch is None or self.gate.draining:
            raise ValueError("calls are made between the start and the end of the App")
        return originate(self._switch, caller, target, tenant=tenant, reach=reach, then=then)

    def admit_calls(self, admit: Admit) -> None:
        """Let `admit(call, caller)` hold the places of a call that nobody dialled, from before it rings to its answer.

        What it raises, a Rejected, refuses the call. Its handler then takes its places as that of any other call.
        """
        self._admit = admit

    def find_call(self, identifier: str) -> Call | None:
        """A call under way by its id."""
        return self._handling.calls.get(identifier)

    @property
    def registrar(self) -> Registrar | None:
        return self._registrations.registrar

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
        mine.update(self._announcer.counters)
        mine.update(self.overload.counters)
        mine.update(self.subscriptions.counters)
        return MappingProxyType(mine)

    # Life

    async def __aenter__(self) -> Self:
        """Open the sockets and serve. Raises: OSError, ValueError."""
        loop = asyncio.get_running_loop()
        if self._engine is None:
            self._engine = Engine(port_range=self._media_range)
        driver = self._attach_driver(loop)
        self._switch = self._make_switch(loop, self._engine)
        if self._proxy is not None:
            self._proxy.attach(self._switch)
        self.gate.draining = False
        self._registrations.start(loop, self._wallclock, self._announcer.publish, self._entropy)
        await self._handling.open()
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
        self._registrations.serve(self.exchange, loop)
        self.subscriptions.start(self.exchange, loop, self._wallclock, self._keeper)
        for service in self._services:
            await service.start(self)
        return self

    def _attach_driver(self, loop: asyncio.AbstractEventLoop) -> Driver:
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
        driver.unread = self.gate.unread
        self.recorder.start(loop.time, self._wallclock, self.gate.tenants_of)
        return driver

    def _make_switch(self, loop: asyncio.AbstractEventLoop, engine: Engine) -> Switch:
        return Switch(
            loop=loop,
            exchange=self.exchange,
            media=MediaPlane(
                engine,
                self._entropy,
                bind=self._media_address,
                advertising=self._advertising,
                source=self._network.source_address if isinstance(self._network, MachineNetwork) else None,
                rules=self._rules,
                loop=loop,
            ),
            entropy=self._entropy,
            wallclock=self._wallclock,
            publish=self._announcer.publish,
            lookup=self._registrations.phones_of,
            is_reachable=self._registrations.is_reachable,
            domain_of=self.gate.domain_of,
            recorder=self.recorder,
            calls=self._handling.calls,
            spawn=self._handling.spawn,
            handler_of=self._intake.handler_of,
            run_handler=self._handling.run,
            forget=self._handling.forget,
            on_refer=self._on_refer,
            on_bridge=self._on_bridge,
            on_redirect=self.on_redirect,
            connected=self.on_connected,
            prompts=self._prompts,
            session=self._session,
        )

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
        if self._proxy is not None:
            self._proxy.detach()
        await self._handling.close(kind, error, traceback)
        await self._until_quiet(CLOSE_S)
        await self._shut()

    def run(self) -> None:
        """Serve until SIGINT or SIGTERM; the first lets calls finish for half a minute, the second does not."""
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve_until_signalled(self))

    async def drain(self, limit: float = 30.0) -> None:
        """Take no new calls (503), let those under way finish for `limit` seconds, then hang up."""
        self.gate.draining = True
        with suppress(TimeoutError):
            async with asyncio.timeout(limit):
                await self._handling.idle.wait()
        for call in self.calls:
            call.end("server", reasons.SHUTDOWN)
        await self._handling.idle.wait()

    def poll_media(self) -> None:
        """Take the engine's events; called by the loop, or by whoever steps a manual clock."""
        if self._switch is not None:
            self._switch.media.deliver_events()

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
        self._registrations.stop()
        if self._meter is not None:
            self._meter.close()
        if self.media_watch is not None:
            self.media_watch.close()
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

    # Requests

    def _on_request(self, event: RequestReceived) -> None:
        method = event.request.method
        if method == "INVITE":
            assert self._switch is not None, "requests come between start and end"
            self._intake.receive(self._switch, event)
        elif method == "REGISTER":
            self._registrations.receive(self.exchange, event)
        elif method == "SUBSCRIBE" and isinstance(event.identity, Identity):
            self.subscriptions.receive(event)
        elif method == "MESSAGE" and isinstance(event.identity, Identity):
            sender = self._registrations.caller_of(event).identity or event.identity
            self.messages.receive(event, sender, self._canonical(event.request.uri, event.flow))
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
        self.presence.receive(self.exchange, event, identity, Resource(to.host, user_of(to)), self._entropy)

    def has_phone(self, resource: Resource) -> bool:
        """Whether a phone is registered for a user."""
        return bool(self._registrations.phones_of(resource.tenant, resource.user))

    def phones_of(self, resource: Resource) -> Sequence[Binding]:
        """The registered phones of a user."""
        return self._registrations.lookup(resource.tenant, resource.user)

    def wallclock(self) -> float:
        """What stamps and the expiry of bindings go by."""
        return self._wallclock()

    def _canonical(self, uri: Uri, flow: Flow) -> Uri:
        """Our own address in a URI stands for the default domain."""
        return self._registrations.canonical(uri, self.gate.domain_of(uri, flow))

    def _advertise(self, flow: Flow) -> Address:
        return Address(self._advertising.towards(flow.remote.host, flow.local.host), flow.local.port)
