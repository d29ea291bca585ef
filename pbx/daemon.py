"""The running PBX: the only place where concrete classes are wired together, and where wallclock and entropy enter.

    configuration → log → limits → store → directory → engine → App with registrar and CDRs → control socket

Started in this order and ended in the reverse one. `SIGTERM` and `SIGINT` drain, a second one ends at once; `SIGHUP`
reloads: everything is read and checked first, then swapped, so a bad file changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final, Literal

import uvloop

from media import Engine
from pbx import config, limits, programs, rates, retention, status, trace
from pbx.admission import Admission
from pbx.audit import Audit
from pbx.calls import Switchboard
from pbx.cdr import CdrSource, CdrWriter
from pbx.changes import reload_row
from pbx.collector import Collector
from pbx.commands import commands_of
from pbx.config import Config, RegistrarConfig
from pbx.control import Arguments, ControlServer
from pbx.decisions import ToMailbox, ToVoicemail
from pbx.dial_plan import warnings_of
from pbx.directory import Directory, LiveDirectory
from pbx.errors import ConfigError, StartError
from pbx.event_log import EventLog
from pbx.flows.hear_messages import hear_messages
from pbx.flows.leave_message import leave_message
from pbx.lamps import Lamps
from pbx.listeners import ListeningNetwork
from pbx.logs import LogSession
from pbx.mail_config import mail_warnings
from pbx.media_warnings import media_warnings
from pbx.output import Row
from pbx.persistence import BindingKeeper, CdrListener, restore_bindings, restored_state
from pbx.prompts import Prompts
from pbx.proxying import ProxyPlan
from pbx.recording_commands import AuditSource
from pbx.recording_housekeeping import open_recordings, sweep_recordings
from pbx.recording_rules import recorded_objects
from pbx.recordings import Recordings
from pbx.route_question import Question, route_rows
from pbx.secrets import load_key
from pbx.services_shown import conference_rows, desk_rows, log_out, parked_rows, queue_rows
from pbx.store.sqlite import SqliteStore
from pbx.tenant_state import LiveState
from pbx.tenants import TenantConfig
from pbx.tls import LiveTls, LoadedTls
from pbx.trunks import Trunks
from pbx.voicemail.mailboxes import Mailboxes
from pbx.voicemail.opening import open_mailboxes
from pbx.voicemail.operator import voicemail_rows
from pbx.voicemail.outbox import Outbox
from pbx.voicemail.smtp import conversation
from sipcore.aio.tcp import TcpLimits
from sipcore.entropy import SystemEntropy
from sipcore.guard import Guard, GuardPolicy
from sipcore.session_timer import SessionPolicy
from sipcore.strangers import StrangerPolicy
from voipat import App, CallState, KeepAlivePolicy, MemoryLocation, Origination, PromptSet, Registrar, events, reasons
from voipat._version import __version__
from voipat.recorder import Recorder

logger: Final = logging.getLogger("pbx.daemon")

TICK_S: Final = 1.0
SWEEP_INTERVAL_S: Final = 3600.0
TLS_RENEWAL_S: Final = 86400.0
SWEEP_PAUSE_S: Final = 0.5
FLUSH_BEFORE_LISTING_S: Final = 1.0
STORE_CLOSE_S: Final = 10.0
# Signs the Record-Route of proxied calls, so that they find their way after a restart too.
ROUTE_KEY: Final = "route.key"


def serve(path: Path, overrides: Sequence[str]) -> int:
    """Runs the daemon until a signal ends it; the exit status.

    Raises: ConfigError, StartError, StoreError.
    """
    loaded = config.load(path, overrides)
    log = LogSession(level=loaded.server.log.level, as_json=loaded.server.log.format == "json")
    hook, threading.excepthook = threading.excepthook, _log_thread_failure
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(Daemon(path.resolve(), tuple(overrides), loaded, log).run())
    finally:
        threading.excepthook = hook
        log.close()
    return 0


class StopSignals:
    """Asked once, the daemon drains; asked twice, it ends at once."""

    def __init__(self) -> None:
        self.drain = asyncio.Event()
        self.now = asyncio.Event()

    def request(self) -> None:
        """Somebody wants the daemon to end."""
        (self.now if self.drain.is_set() else self.drain).set()


class Daemon:
    """One daemon on one data directory; `run` is its life, the rest is what its operator may ask (`Running`)."""

    # Made in `_start`, in this order.
    _capacity: limits.Capacity
    _store: SqliteStore
    _control: ControlServer
    _location: MemoryLocation
    _registrar: Registrar
    _cdrs: CdrWriter
    _engine: Engine
    _network: ListeningNetwork
    _tls: LiveTls | None
    _recorder: Recorder
    _guard: Guard
    _trunks: Trunks
    _state: LiveState
    _board: Switchboard
    _mailboxes: Mailboxes
    _outbox: Outbox
    _audit: Audit
    _recordings: Recordings
    _app: App
    _lamps: Lamps
    _lag: status.LoopLag

    def __init__(self, path: Path, overrides: tuple[str, ...], loaded: Config, log: LogSession) -> None:
        self._path = path
        self._overrides = overrides
        self._config = self._at_start = loaded
        self._log = log
        self._started = time.monotonic()
        self._stop = StopSignals()
        self._ended = asyncio.Event()
        self._reloading = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._directory = LiveDirectory(_directory_of(loaded))

    async def run(self) -> None:
        """From start to end.

        Raises: StartError, StoreError.
        """
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(_log_loop_failure)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.request)
        loop.add_signal_handler(signal.SIGHUP, self._reload_by_signal)
        async with AsyncExitStack() as stack:
            await self._start(stack, loop)
            stack.callback(Collector(loop).close)
            _say(f"ready in {_seconds_since_process_start():.2f} s")
            logger.info("ready", extra={"version": __version__, "pid": os.getpid()})
            await self._until_stopped()
        logger.info("ended")

    async def _start(self, stack: AsyncExitStack, loop: asyncio.AbstractEventLoop) -> None:
        server = self._config.server
        _say(f"voipat {__version__}, data in {server.data}")
        self._capacity = self._derive_capacity()
        self._tls = self._load_tls()
        self._store = self._open_store()
        # Ended in the reverse order: the socket goes while the directory is ours, who waits is told when it is free.
        self._control = ControlServer(server.data, commands_of(self), end_with_asker=("call",))
        stack.push_async_callback(self._control.close)
        stack.callback(self._ended.set)
        stack.push_async_callback(self._close_store)
        stack.callback(self._control.retire)
        await self._start_calls(stack)
        await self._control.start()
        self._lag = status.LoopLag(loop)
        stack.callback(self._lag.close)
        stack.push_async_callback(self._end_tasks)
        self._spawn(self._every(TICK_S, self._tick))
        self._spawn(self._outbox.run())
        self._spawn(self._every(SWEEP_INTERVAL_S, self._sweep))
        self._spawn(self._every(TLS_RENEWAL_S, self._renew_tls))

    def _derive_capacity(self) -> limits.Capacity:
        server = self._config.server
        streams = any(listener.transport != "udp" for listener in server.listeners)
        descriptors = limits.raise_descriptor_limit()
        capacity = limits.derive_capacity(descriptors, server.media.low, server.media.high, streams=streams)
        if capacity.calls < 1:
            raise StartError(f"there is room for no call: {descriptors} descriptors, media on {server.media}")
        return capacity

    def _load_tls(self) -> LiveTls | None:
        loaded, server = config.load_tls(self._config, time.time()), self._config.server
        if loaded is None or server.tls is None:
            return None
        for problem in loaded.expired:
            self._warn(str(problem))
        for warning in loaded.warnings:
            self._warn(warning)
        return LiveTls(loaded, server.tls)

    def _open_store(self) -> SqliteStore:
        store = SqliteStore.open(self._config.server.data, wallclock=time.time)
        if self._config.tenants:
            store.save_tenants(self._config.tenants)
        else:
            # The store is the truth of the tenants; a file that names none leaves it so.
            self._config = self._at_start = replace(self._config, tenants=store.load_tenants())
            self._directory.swap(_directory_of(self._config))
        opening = store.opening
        if opening.moved_aside is not None:
            self._warn(f"the database was damaged and moved aside: {opening.moved_aside}")
        if opening.interrupted or opening.from_spool:
            found = {"interrupted": opening.interrupted, "from_spool": opening.from_spool}
            logger.warning("the last daemon ended without closing its calls", extra=found)
        return store

    async def _close_store(self) -> None:
        if not await asyncio.to_thread(self._store.close, STORE_CLOSE_S):
            self._warn("the disk did not take everything; what is left is in the spool for the next start")

    async def _start_calls(self, stack: AsyncExitStack) -> None:
        """Engine, registrar and App, in this order, with sockets open at the end.

        Raises: StartError.
        """
        server, media = self._config.server, self._config.server.media
        limits.check_media_address(media.address)
        self._location = MemoryLocation(BindingKeeper(self._store))
        restore_bindings(self._location, self._store, self._directory.current.tenants, time.time())
        self._cdrs = CdrWriter(self._store)
        self._recorder = Recorder()
        self._configure_recorder(self._config)
        engine = Engine(port_range=(media.low, media.high), media_timeout=server.media_timeout_s)
        self._engine = stack.enter_context(engine)
        self._network = ListeningNetwork(TcpLimits(connections=max(1, self._capacity.connections)), self._tls)
        self._registrar = Registrar(
            accounts=self._directory, location=self._location, keepalive=_keepalive_of(server.registrar)
        )
        trusted = [ip_network(text) for text in server.guard.trusted]
        strangers = StrangerPolicy(rate=server.guard.strangers, burst=3 * server.guard.strangers)
        self._guard = Guard(GuardPolicy(ban=server.guard.ban, strangers=strangers), trusted=trusted)
        self._state = restored_state(self._store, self._directory.current.tenants)
        self._app = App(
            listen=server.listen,
            registrar=self._registrar,
            media=str(media),
            engine=self._engine,
            entropy=SystemEntropy(),
            wallclock=time.time,
            network=self._network,
            guard=self._guard,
            recorder=self._recorder,
            prompts=PromptSet(folders=() if server.prompts is None else (server.prompts,)),
            drops_scanners=server.guard.scanners,
            advertised=server.advertised,
            advertised_on=dict(server.listen_advertised),
            local_networks=[ip_network(text) for text in server.local_networks],
            large_by_tcp=server.large_by_tcp,
            server=f"voipat/{__version__}",
            session=SessionPolicy(server.session_expires_s, server.min_se_s),
            srtp=self._directory.srtp,
            codecs=self._directory.codecs,
            beside=self._directory.beside,
            comfort_noise=self._directory.comfort_noise,
            proxy=ProxyPlan(self._directory, self._state, time.time).proxy(),
            route_secret=load_key(server.data / ROUTE_KEY, SystemEntropy().bytes),
        )
        self._trunks = Trunks(SystemEntropy(), self._directory.media_of_trunk)
        admission = Admission(self._capacity.calls)
        prompts = Prompts(server.prompts)
        self._audit = Audit(self._store, wallclock=time.time, random_bytes=os.urandom)
        self._recordings = self._open_recordings()
        self._board = Switchboard(
            self._directory,
            admission,
            trunks=self._trunks,
            state=self._state,
            prompts=prompts,
            chance=SystemEntropy(),
            recordings=self._recordings,
            audit=self._audit,
        )
        self._mailboxes = self._open_mailboxes()
        self._board.flows.add(ToMailbox, leave_message(self._mailboxes))
        self._board.flows.add(ToVoicemail, hear_messages(self._mailboxes))
        self._board.attach(self._app)
        self._lamps = Lamps(self._directory, self._mailboxes)
        self._mailboxes.on_changed(self._lamps.mailbox_changed)
        self._lamps.attach(self._app)
        self._lamps.follow(self._board.desk.parking)
        self._lamps.follow_people(self._board.desk.hot_desks)
        self._app.gate.emergency_numbers = self._directory.current.emergency_numbers
        self._trunks.configure(self._config.tenants)
        self._trunks.attach(self._app)
        self._app.subscribe(CdrListener(self._cdrs), CdrListener.EVENTS)
        self._app.subscribe(self._recordings.on_event, {events.RecordingEnded})
        self._app.subscribe(EventLog(self._log.handler.limit, time.time))
        await stack.enter_async_context(self._app)
        self._announce()
        plans = (text for tenant in self._config.tenants for text in warnings_of(tenant))
        open_keys = media_warnings(self._config.server, self._config.tenants)
        for warning in (*plans, *open_keys, *mail_warnings(self._config.server.mail, self._config.tenants)):
            self._warn(warning)

    def _open_mailboxes(self) -> Mailboxes:
        data = self._config.server.data
        mailboxes = open_mailboxes(data, self._store, self._state, wallclock=time.time, random_bytes=os.urandom)
        self._outbox = Outbox(
            self._store,
            mailboxes,
            self._directory,
            lambda: self._config.server.mail,
            wallclock=time.time,
            connect=conversation,
        )
        mailboxes.on_kept(self._outbox.put)
        self._outbox.recover(self._store.domains())
        if found := mailboxes.recover(self._store.domains()):
            logger.warning("messages that were cut short are kept", extra={"messages": found})
        return mailboxes

    def _open_recordings(self) -> Recordings:
        data = self._config.server.data
        found = open_recordings(data, self._store, self._audit, wallclock=time.time, random_bytes=os.urandom)
        if count := found.recover(self._store.domains()):
            logger.warning("recordings that were cut short are kept", extra={"recordings": count})
        return found

    def _configure_recorder(self, loaded: Config) -> None:
        muted = frozenset(tenant.domain for tenant in loaded.tenants if not tenant.trace)
        self._recorder.configure(enabled=loaded.server.trace, muted=muted)

    def _announce(self) -> None:
        """Says on the terminal where we listen and how much fits."""
        for transport in self._network.transports:
            _say(f"listening on {transport.name.lower()} {transport.local}")
        capacity, media = self._capacity, self._config.server.media
        _say(f"media on {media}, room for {capacity.calls} calls ({capacity.bound_by})")
        for warning in self._network.warnings():
            self._warn(warning)

    async def _until_stopped(self) -> None:
        """Returns when the daemon was asked to end and its calls are over, or was asked twice."""
        await self._stop.drain.wait()
        logger.info("draining", extra={"calls": len(self._app.calls), "limit_s": self._config.server.drain_s})
        draining = asyncio.create_task(self._app.drain(self._config.server.drain_s))
        at_once = asyncio.create_task(self._stop.now.wait())
        await asyncio.wait((draining, at_once), return_when=asyncio.FIRST_COMPLETED)
        for task in (draining, at_once):
            task.cancel()
        await asyncio.gather(draining, at_once, return_exceptions=True)

    # What goes on beside the calls

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _end_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _every(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        """Repeats the work; a failure of one round is logged and the next round comes."""
        while True:
            await asyncio.sleep(seconds)
            try:
                await work()
            except Exception:
                logger.exception("housekeeping failed")

    async def _tick(self) -> None:
        self._log.tick(time.time())
        self._cdrs.tick()
        self._recorder.forget_old()

    async def _sweep(self) -> None:
        while (await asyncio.to_thread(retention.sweep, self._store, retention.RetentionPolicy(), time.time())).more:
            await asyncio.sleep(SWEEP_PAUSE_S)
        tenants = self._config.tenants
        for domain in await asyncio.to_thread(sweep_recordings, self._recordings, self._store, tenants, time.time()):
            if await self._mailboxes.destroy_tenant(domain):
                self._audit.note(domain, "retention", "messages-deleted", domain)

    async def _renew_tls(self) -> None:
        """Session tickets get new keys each day (RFC 9325 §3.4); a certificate that was renewed is taken with them."""
        certificates = await asyncio.to_thread(config.load_tls, self._config, time.time())
        if self._tls is not None and certificates is not None:
            self._tls.use(certificates)

    def _warn(self, text: str) -> None:
        _say(f"warning: {text}")
        logger.warning("%s", text)

    # What the operator may ask

    @property
    def cdrs(self) -> CdrSource:
        """Where CDRs are read."""
        return self._store

    @property
    def recordings(self) -> Recordings:
        """What was recorded."""
        return self._recordings

    @property
    def audit_rows(self) -> AuditSource:
        """Where it is read who did what."""
        return self._store

    def flush(self) -> None:
        """Makes what has ended readable; a disk that is slow only makes the listing a little older."""
        self._store.flush(FLUSH_BEFORE_LISTING_S)

    async def reload(self, *, check: bool) -> Row:
        """Reads the configuration again; unless `check`, it is in force when this returns.

        Raises: ConfigError, and then nothing has changed.
        """
        async with self._reloading:
            loaded = self._with_stored(await asyncio.to_thread(config.load, self._path, self._overrides))
            return await self._replace(loaded, check=check)

    async def put(self, tenants: Sequence[TenantConfig]) -> None:
        """Puts other tenants in force. Raises: ConfigError, and then nothing has changed."""
        async with self._reloading:
            await self._replace(replace(self._config, tenants=tuple(tenants)), check=False)

    @property
    def tenants(self) -> Sequence[TenantConfig]:
        """The tenants in force."""
        return self._config.tenants

    @property
    def state(self) -> LiveState:
        """What was set by hand."""
        return self._state

    @property
    def listen(self) -> Sequence[str]:
        """Where we listen."""
        return self._config.server.listen

    async def _replace(self, loaded: Config, *, check: bool) -> Row:
        certificates = await asyncio.to_thread(_certificates, loaded)
        directory = await asyncio.to_thread(_directory_of, loaded)
        row = reload_row(self._config, loaded, started=self._at_start, applied=not check)
        if self._tls is not None and certificates is not None and self._tls.differs(certificates):
            row = {**row, "certificates": "new"}
        if not check:
            await asyncio.to_thread(self._store.save_tenants, loaded.tenants)
            self._audit_recording(loaded)
            if self._tls is not None and certificates is not None:
                self._tls.use(certificates)
            self._directory.swap(directory)
            self._board.desk.hot_desks.settle()
            self._trunks.configure(loaded.tenants)
            self._app.gate.emergency_numbers = self._directory.current.emergency_numbers
            self._log.set_level(loaded.server.log.level)
            self._configure_recorder(loaded)
            is_mail_new = self._config.server.mail != loaded.server.mail
            self._config = loaded
            if is_mail_new:
                self._outbox.wake()
            logger.info("configuration reloaded", extra=dict(row))
        return row

    def _audit_recording(self, loaded: Config) -> None:
        """Note what is recorded now and was not before (P-8)."""
        before = {tenant.domain: recorded_objects(tenant) for tenant in self._config.tenants}
        for tenant in loaded.tenants:
            new = recorded_objects(tenant) - before.get(tenant.domain, set())
            self._recordings.switched_on(tenant.domain, new)

    def _with_stored(self, loaded: Config) -> Config:
        """A file without tenants leaves those of the store in force."""
        return loaded if loaded.tenants else replace(loaded, tenants=self._store.load_tenants())

    def registrations(self, tenant: str | None) -> Iterable[Row]:
        """The bindings in force."""
        now = time.time()
        bindings = [binding for binding in self._location if tenant in (None, binding.tenant)]
        live = [binding for binding in bindings if binding.expires_at > now]
        return (status.registration_row(binding, now, self._registrar.is_reachable(binding)) for binding in live)

    def calls(self, tenant: str | None) -> Iterable[Row]:
        """The calls under way, by the leg that came in."""
        return [status.call_row(call) for call in self._app.calls if tenant in (None, call.tenant)]

    def conferences(self, tenant: str | None, room: str | None) -> Iterable[Row]:
        """The rooms that are open, or the members of one."""
        return conference_rows(self._app, tenant, room)

    def queues(self, tenant: str | None, number: str | None) -> Iterable[Row]:
        """The queues, or the callers and agents of one."""
        return queue_rows(self._board.desk, self._directory.current.tenants, tenant, number)

    def parked(self, tenant: str | None) -> Iterable[Row]:
        """The calls that wait in a park."""
        return parked_rows(self._board.desk, tenant)

    def desks(self, tenant: str | None) -> Iterable[Row]:
        """Who has logged in where."""
        return desk_rows(self._board.desk, tenant)

    def log_out(self, desk: str) -> Row | None:
        """Makes a desk nobody's; None when it is that already."""
        return log_out(self._board.desk, desk)

    def trunks(self, tenant: str | None) -> Iterable[Row]:
        """The trunks, by their state."""
        return self._trunks.status(tenant)

    def bans(self) -> Iterable[Row]:
        """The bans in force."""
        return [status.ban_row(*ban) for ban in self._guard.banned(self._app.driver.now())]

    def lift_ban(self, source: str) -> bool:
        """Lifts the bans of a source; False when there is none."""
        banned = any(each == source for each, _, _ in self._guard.banned(self._app.driver.now()))
        if banned:
            self._guard.forgive(source)
            logger.info("ban lifted", extra={"source": source})
        return banned

    def route(self, question: Question) -> Iterable[Row]:
        """What would happen to a call, by the routing that calls take and what is set by hand now."""
        return route_rows(self._directory.current, self._state, question)

    def voicemail(self, arguments: Arguments) -> AsyncIterator[Row]:
        """The messages of mailboxes; each look into one is audited."""
        return voicemail_rows(self._mailboxes, self._outbox, self._audit, arguments)

    def originate(self, caller: str, target: str, *, tenant: str | None, timeout: float) -> Origination:
        """Rings an extension and leads it on to the target. Raises: Rejected, ValueError without a tenant."""
        domain = tenant or self._config.server.default_tenant
        if domain is None:
            raise ValueError("there is no default tenant: --tenant says whose extension it is")
        return self._app.call(caller, target, tenant=domain, timeout=timeout)

    def hang_up(self, call: str) -> bool:
        """Ends the call; False when there is none of this id."""
        found = self._app.find_call(call)
        if found is None:
            return False
        found.end("server", reasons.OPERATOR)
        return True

    def traces(self, tenant: str | None, *, failed: bool, limit: int) -> Iterable[Row]:
        """What the flight recorder keeps, newest first."""
        return trace.trace_rows(self._recorder, tenant=tenant, failed=failed, limit=limit)

    def trace(self, call: str, *, messages: bool) -> Iterable[Row] | None:
        """The entries of one call; None when nothing is kept of it."""
        found = self._recorder.find(call)
        # At once: the call may go on while the client reads.
        return None if found is None else list(trace.entry_rows(found, self._recorder, messages=messages))

    def drain(self) -> Row:
        """Takes no new calls and ends with the last one; asked again it ends at once."""
        self._stop.request()
        return {"draining": True, "calls": len(self._app.calls), "limit_s": self._config.server.drain_s}

    def stats(self) -> Row:
        """What is counted, as one flat object."""
        app, calls = self._app, self._app.calls
        return {
            "version": __version__,
            "uptime_s": round(time.monotonic() - self._started, 1),
            "draining": self._stop.drain.is_set(),
            "calls": len(calls),
            "calls_answered": sum(call.state is CallState.ANSWERED for call in calls),
            "calls_limit": self._capacity.calls,
            "registrations": len(self._location),
            "transactions": app.endpoint.transaction_count,
            "dialogs": app.endpoint.dialog_count,
            "ports": self._engine.open_ports,
            "ports_free": self._engine.free_ports,
            "srtp_contexts": self._engine.srtp_contexts,
            "tcp_connections": self._network.connections,
            "udp_kernel_drops": self._network.drops,
            "engine_events_lost": self._engine.events_lost,
            "engine_late_ticks": self._engine.late_ticks,
            "engine_tick_p99_ms": watch.p99_ms if (watch := app.media_watch) is not None else 0.0,
            "engine_cpu_s": round(sum(self._engine.cpu_seconds), 2),
            "mail_waiting": len(self._outbox),
            "mail_sent": self._outbox.sent,
            "mail_given_up": self._outbox.given_up,
            "cdr_open_legs": self._cdrs.open_legs,
            "cdr_unsaved": self._cdrs.unsaved,
            **status.store_figures(self._store.health()),
            **status.prefixed("sip", app.endpoint.counters),
            **status.prefixed("driver", app.driver.counters),
            **status.prefixed("app", app.counters),
            **status.prefixed("trace", self._recorder.figures()),
            **self._log.counters,
            "control_refused": self._control.refused,
            "loop_lag_s": round(self._lag.worst_s, 4),
            "bans": len(self._guard.banned(app.driver.now())),
            "overload_shed": round(app.overload.shed, 2),
            "overload_late_s": round(app.overload.late_s, 4),
            "rss_kb": limits.resident_kb(),
            "descriptors": limits.open_descriptors(),
            "descriptors_limit": self._capacity.descriptors,
        }

    async def ended(self) -> None:
        """Returns when the data directory is free for another daemon."""
        await self._ended.wait()

    def _reload_by_signal(self) -> None:
        self._spawn(self._logged_reload())

    async def _logged_reload(self) -> None:
        try:
            await self.reload(check=False)
        except ConfigError as error:
            for problem in error.problems:
                logger.error("reload refused", extra={"problem": str(problem)})
        except Exception:
            logger.exception("reload failed, the configuration is as it was")


def _certificates(loaded: Config) -> LoadedTls | None:
    """The certificates of a configuration that is to be in force. Raises: ConfigError, also for one that expired."""
    certificates = config.load_tls(loaded, time.time())
    if certificates is not None and certificates.expired:
        raise ConfigError(certificates.expired)
    return certificates


def _keepalive_of(registrar: RegistrarConfig) -> KeepAlivePolicy | None:
    if not registrar.keepalive_s:
        return None
    method: Literal["options", "crlf"] = "crlf" if registrar.keepalive == "crlf" else "options"
    return KeepAlivePolicy(registrar.keepalive_s, method, registrar.keepalive_failures)


def _directory_of(loaded: Config) -> Directory:
    """Raises: ConfigError for a program that cannot be run, rates that cannot be read. Blocks."""
    server, tenants = loaded.server, loaded.tenants
    found, tables = programs.load(tenants), rates.load(tenants)
    return Directory(tenants, default_tenant=server.default_tenant, media=server, programs=found, rates=tables)


def _say(line: str) -> None:
    """A line for whoever started the daemon; nobody has to be there."""
    with suppress(OSError):
        print(line, flush=True)


def _seconds_since_process_start() -> float:
    """How long ago the kernel started this process; the import of everything is part of a start."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    started = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started


def _log_thread_failure(failure: threading.ExceptHookArgs) -> None:
    thread = failure.thread.name if failure.thread is not None else None
    logger.critical("a thread ended by a bug", exc_info=failure.exc_value, extra={"thread_of": thread})


def _log_loop_failure(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    logger.error("bug in a callback: %s", context.get("message"), exc_info=context.get("exception"))
