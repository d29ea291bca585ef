"""The composition root: the only place where concrete classes are wired together, and where entropy enters.

The daemon brings the time.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from contextlib import AsyncExitStack
from ipaddress import ip_network
from typing import Final, Literal

from media import Engine
from pbx import limits
from pbx.admission import Admission
from pbx.audit import Audit
from pbx.calls import Switchboard
from pbx.cdr import CdrWriter
from pbx.config import Config, GuardConfig, RegistrarConfig
from pbx.decisions import ToMailbox, ToVoicemail
from pbx.directory import LiveDirectory
from pbx.flows.hear_messages import hear_messages
from pbx.flows.leave_message import leave_message
from pbx.hours_lamps import HoursLamps
from pbx.lamps import Lamps
from pbx.listeners import ListeningNetwork
from pbx.mail_config import MailConfig
from pbx.persistence import BindingKeeper, CdrListener, StoredSubscriptions, restore_bindings, restored_state
from pbx.prompts import Prompts
from pbx.proxying import ProxyPlan
from pbx.recording_housekeeping import open_recordings
from pbx.recordings import Recordings
from pbx.secrets import load_key
from pbx.store.sqlite import SqliteStore
from pbx.tls import LiveTls
from pbx.trunks import Trunks
from pbx.voicemail.mailboxes import Mailboxes
from pbx.voicemail.opening import open_mailboxes
from pbx.voicemail.outbox import Outbox
from pbx.voicemail.smtp import conversation
from pbx.waiting_messages import WaitingMessages
from sipcore.aio.entropy import SystemEntropy
from sipcore.aio.tcp import TcpLimits
from sipcore.guard import Guard, GuardPolicy
from sipcore.session_timer import SessionPolicy
from sipcore.strangers import StrangerPolicy
from voipat import App, KeepAlivePolicy, MemoryLocation, PromptSet, Registrar, events
from voipat._version import __version__
from voipat.recorder import Recorder

logger: Final = logging.getLogger("pbx.daemon")

# Signs the Record-Route of proxied calls, so that they find their way after a restart too.
ROUTE_KEY: Final = "route.key"


class Parts:
    """What takes calls, wired together; nothing listens before `app` is entered.

    `mail` says how mail goes out now. Raises: StartError, StoreError, OSError.
    """

    def __init__(
        self,
        loaded: Config,
        *,
        directory: LiveDirectory,
        store: SqliteStore,
        capacity: limits.Capacity,
        tls: LiveTls | None,
        mail: Callable[[], MailConfig | None],
        wallclock: Callable[[], float],
        stack: AsyncExitStack,
    ) -> None:
        server = loaded.server
        self._wallclock = wallclock
        limits.check_media_address(server.media.address)
        self.capacity: Final = capacity
        self.store: Final = store
        self.directory: Final = directory
        self.location: Final = MemoryLocation(BindingKeeper(store))
        restore_bindings(self.location, store, directory.current.tenants, wallclock())
        self.registrar: Final = Registrar(
            accounts=directory, location=self.location, keepalive=_keepalive_of(server.registrar)
        )
        self.cdrs: Final = CdrWriter(store)
        self.recorder: Final = Recorder()
        self.engine: Final = stack.enter_context(
            Engine(
                workers=server.media_workers or max(1, len(os.sched_getaffinity(0)) - 1),
                port_range=(server.media.low, server.media.high),
                media_timeout=server.media_timeout_s,
                realtime=server.media_realtime,
            )
        )
        self.network: Final = ListeningNetwork(TcpLimits(connections=max(1, capacity.connections)), tls)
        self.guard: Final = _guard_of(server.guard)
        # Also of tenants that are gone: who comes back within 30 days has what was set by hand.
        self.state: Final = restored_state(store, store.domains())
        self.proxied: Final = ProxyPlan(directory, self.state, wallclock)
        self.app: Final = self._make_app(loaded)
        self.trunks: Final = Trunks(SystemEntropy(), directory.media_of_trunk)
        self.audit: Final = Audit(store, wallclock=wallclock, random_bytes=os.urandom)
        self.recordings: Final = _open_recordings(loaded, store, self.audit, wallclock)
        self.board: Final = self._make_board(loaded)
        self.proxied.serve(self.board, self.trunks)
        self.waiting: Final = WaitingMessages(store, directory, wallclock=wallclock, random_bytes=os.urandom)
        self.waiting.recover(store.domains())
        self.mailboxes, self.outbox = self._open_mailboxes(loaded, mail)
        self.lamps: Final = Lamps(directory, self.mailboxes)
        self.hours_lamps: Final = HoursLamps(directory, self.state, self.lamps)
        self._connect(loaded)

    def _make_app(self, loaded: Config) -> App:
        server, directory = loaded.server, self.directory
        return App(
            listen=server.listen,
            registrar=self.registrar,
            media=str(server.media),
            engine=self.engine,
            entropy=SystemEntropy(),
            wallclock=self._wallclock,
            network=self.network,
            guard=self.guard,
            recorder=self.recorder,
            prompts=PromptSet(folders=() if server.prompts is None else (server.prompts,)),
            drops_scanners=server.guard.scanners,
            answers_foreign=server.guard.foreign,
            advertised=server.advertised,
            advertised_on=dict(server.listen_advertised),
            local_networks=[ip_network(text) for text in server.local_networks],
            large_by_tcp=server.large_by_tcp,
            server=f"voipat/{__version__}",
            session=SessionPolicy(server.session_expires_s, server.min_se_s),
            leg_media=directory.media_of,
            proxy=self.proxied.proxy(),
            subscriptions=StoredSubscriptions(self.store, directory.current.tenants),
            route_secret=load_key(server.data / ROUTE_KEY, SystemEntropy().bytes),
        )

    def _make_board(self, loaded: Config) -> Switchboard:
        return Switchboard(
            self.directory,
            Admission(self.capacity.calls),
            trunks=self.trunks,
            state=self.state,
            prompts=Prompts(loaded.server.prompts),
            chance=SystemEntropy(),
            recordings=self.recordings,
            audit=self.audit,
        )

    def _open_mailboxes(self, loaded: Config, mail: Callable[[], MailConfig | None]) -> tuple[Mailboxes, Outbox]:
        store, data = self.store, loaded.server.data
        mailboxes = open_mailboxes(data, store, self.state, wallclock=self._wallclock, random_bytes=os.urandom)
        outbox = Outbox(
            *(store, mailboxes, self.directory, mail),
            wallclock=self._wallclock,
            monotonic=asyncio.get_running_loop().time,
            connect=conversation,
        )
        mailboxes.on_kept(outbox.put)
        outbox.recover(store.domains())
        if found := mailboxes.recover(store.domains()):
            logger.warning("messages that were cut short are kept", extra={"messages": found})
        return mailboxes, outbox

    def _connect(self, loaded: Config) -> None:
        """Who hears of whom."""
        app, board = self.app, self.board
        board.flows.add(ToMailbox, leave_message(self.mailboxes))
        board.flows.add(ToVoicemail, hear_messages(self.mailboxes))
        board.attach(app)
        self.mailboxes.on_changed(self.lamps.mailbox_changed)
        self.waiting.attach(app)
        self.lamps.attach(app)
        self.lamps.follow(board.desk.parking)
        self.lamps.follow_people(board.desk.hot_desks)
        app.add_service(self.hours_lamps)
        self.take(loaded)
        self.trunks.attach(app)
        app.subscribe(CdrListener(self.cdrs), CdrListener.EVENTS)
        app.subscribe(self.recordings.on_event, {events.RecordingEnded})

    def take(self, loaded: Config) -> None:
        """Let what is not read from the directory be as a configuration says."""
        self.trunks.configure(loaded.tenants)
        self.hours_lamps.refresh()
        self.app.gate.emergency_numbers = self.directory.current.emergency_numbers
        muted = frozenset(tenant.domain for tenant in loaded.tenants if not tenant.trace)
        self.recorder.configure(enabled=loaded.server.trace, muted=muted)


def _guard_of(wanted: GuardConfig) -> Guard:
    strangers = StrangerPolicy(rate=wanted.strangers, burst=3 * wanted.strangers)
    trusted = [ip_network(text) for text in wanted.trusted]
    return Guard(GuardPolicy(ban=wanted.ban, strangers=strangers), trusted=trusted)


def _open_recordings(loaded: Config, store: SqliteStore, audit: Audit, wallclock: Callable[[], float]) -> Recordings:
    data = loaded.server.data
    found = open_recordings(data, store, audit, wallclock=wallclock, random_bytes=os.urandom)
    if count := found.recover(store.domains()):
        logger.warning("recordings that were cut short are kept", extra={"recordings": count})
    return found


def _keepalive_of(registrar: RegistrarConfig) -> KeepAlivePolicy | None:
    if not registrar.keepalive_s:
        return None
    method: Literal["options", "crlf"] = "crlf" if registrar.keepalive == "crlf" else "options"
    return KeepAlivePolicy(registrar.keepalive_s, method, registrar.keepalive_failures)
