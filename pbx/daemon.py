"""The running PBX, from its start to its end: where the time enters; its parts are made by `pbx.composition`.

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
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import uvloop

from media import MediaError
from pbx import _heap, config, limits, programs, rates, retention, status
from pbx.changes import reload_row
from pbx.collector import Collector
from pbx.commands import commands_of
from pbx.composition import Parts
from pbx.config import Config
from pbx.control import ControlServer
from pbx.dial_plan import warnings_of
from pbx.directory import Directory, LiveDirectory
from pbx.errors import ConfigError, StartError
from pbx.event_log import EventLog
from pbx.logs import LogSession
from pbx.mail_config import mail_warnings
from pbx.media_warnings import media_warnings
from pbx.object_commands import ChangeOfTenants
from pbx.output import Row
from pbx.recording_housekeeping import sweep_recordings
from pbx.recording_rules import recorded_objects
from pbx.running import Answers
from pbx.store.sqlite import SqliteStore
from pbx.tls import LiveTls, LoadedTls
from voipat._version import __version__

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


class Daemon(Answers):
    """One daemon on one data directory: its life, and what its operator may ask."""

    # Made in `_start`.
    _store: SqliteStore
    _tls: LiveTls | None

    def __init__(self, path: Path, overrides: tuple[str, ...], loaded: Config, log: LogSession) -> None:
        super().__init__(loaded, log, monotonic=time.monotonic)
        self._path = path
        self._overrides = overrides
        self._at_start = loaded
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
            _heap.settle()
            stack.callback(Collector(loop).close)
            _say(f"ready in {_seconds_since_process_start():.2f} s")
            logger.info("ready", extra={"version": __version__, "pid": os.getpid()})
            await self._until_stopped()
        logger.info("ended")

    async def _start(self, stack: AsyncExitStack, loop: asyncio.AbstractEventLoop) -> None:
        server = self._config.server
        _say(f"voipat {__version__}, data in {server.data}")
        capacity = self._derive_capacity()
        self._tls = self._load_tls()
        self._store = self._open_store()
        # Ended in the reverse order: the socket goes while the directory is ours, who waits is told when it is free.
        self._control = ControlServer(server.data, commands_of(self), end_with_asker=("call",))
        stack.push_async_callback(self._control.close)
        stack.callback(self._ended.set)
        stack.push_async_callback(self._close_store)
        stack.callback(self._control.retire)
        self._parts = Parts(
            self._config,
            directory=self._directory,
            store=self._store,
            capacity=capacity,
            tls=self._tls,
            mail=lambda: self._config.server.mail,
            wallclock=time.time,
            stack=stack,
        )
        self._parts.app.subscribe(EventLog(self._log.handler.limit, time.time))
        await stack.enter_async_context(self._parts.app)
        self._announce()
        await self._control.start()
        self._lag = status.LoopLag(loop)
        stack.callback(self._lag.close)
        stack.push_async_callback(self._end_tasks)
        self._spawn(self._every(TICK_S, self._tick))
        self._spawn(self._parts.outbox.run())
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
            self._config = self._at_start = _with_tenants_of(store, self._config)
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

    def _announce(self) -> None:
        """Says on the terminal where we listen, how much fits, and what of the configuration is doubtful."""
        for transport in self._parts.network.transports:
            _say(f"listening on {transport.name.lower()} {transport.local}")
        capacity, server, tenants = self._parts.capacity, self._config.server, self._config.tenants
        _say(f"media on {server.media}, room for {capacity.calls} calls ({capacity.bound_by})")
        engine = self._parts.engine
        logger.info("media", extra={"workers": engine.workers, "priority": engine.scheduling.value})
        plans = (text for tenant in tenants for text in warnings_of(tenant))
        mail = mail_warnings(server.mail, tenants)
        for warning in (*self._parts.network.warnings(), *plans, *media_warnings(server, tenants), *mail):
            self._warn(warning)

    async def _until_stopped(self) -> None:
        """Returns when the daemon was asked to end and its calls are over, or was asked twice."""
        await self._stop.drain.wait()
        logger.info("draining", extra={"calls": len(self._parts.app.calls), "limit_s": self._config.server.drain_s})
        draining = asyncio.create_task(self._parts.app.drain(self._config.server.drain_s))
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
        now = time.time()
        self._log.tick(now)
        self._parts.cdrs.tick(now, asyncio.get_running_loop().time())
        self._parts.recorder.forget_old()

    async def _sweep(self) -> None:
        if count := self._parts.waiting.sweep():
            logger.info("messages that nobody fetched are gone", extra={"messages": count})
        tenants = self._config.tenants
        gone = await asyncio.to_thread(sweep_recordings, self._parts.recordings, self._store, tenants, time.time())
        policy = retention.policy_of(self._config.server.retention, tenants, gone)
        while (await asyncio.to_thread(retention.sweep, self._store, policy, time.time())).more:
            await asyncio.sleep(SWEEP_PAUSE_S)
        for domain in gone:
            self._parts.outbox.forget_tenant(domain)
            self._parts.state.forget(domain)
            try:
                destroyed = await self._parts.mailboxes.destroy_tenant(domain)
            except (OSError, MediaError) as error:
                logger.error("messages of a tenant that is gone are still on the disk: %s", error)
                continue
            if destroyed:
                self._parts.audit.note(domain, "retention", "messages-deleted", domain)

    async def _renew_tls(self) -> None:
        """Session tickets get new keys each day (RFC 9325 §3.4); a certificate that was renewed is taken with them."""
        certificates = await asyncio.to_thread(config.load_tls, self._config, time.time())
        if self._tls is not None and certificates is not None:
            self._tls.use(certificates)

    def _warn(self, text: str) -> None:
        _say(f"warning: {text}")
        logger.warning("%s", text)

    # What the operator may ask

    async def reload(self, *, check: bool) -> Row:
        """Reads the configuration again; unless `check`, it is in force when this returns.

        Raises: ConfigError, and then nothing has changed.
        """
        async with self._reloading:
            loaded = await asyncio.to_thread(config.load, self._path, self._overrides)
            if not loaded.tenants:
                loaded = await asyncio.to_thread(_with_tenants_of, self._store, loaded)
            return await self._replace(loaded, check=check)

    async def change(self, make: ChangeOfTenants) -> None:
        """Puts in force what `make` makes of the tenants.

        Raises: ConfigError and what `make` does, and then nothing has changed.
        """
        async with self._reloading:
            before = self._config.tenants
            tenants = await asyncio.to_thread(make, before)
            if tenants is not before:
                await asyncio.to_thread(config.check_stored, self._config.server, tenants)
                await self._replace(replace(self._config, tenants=tuple(tenants)), check=False)

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
            before = self._directory.current
            self._directory.swap(directory)
            self._parts.app.subscriptions.review()
            self._parts.lamps.reloaded(before)
            self._parts.board.desk.hot_desks.settle()
            self._parts.take(loaded)
            self._log.set_level(loaded.server.log.level)
            is_mail_new = self._config.server.mail != loaded.server.mail
            self._config = loaded
            if is_mail_new:
                self._parts.outbox.wake()
            logger.info("configuration reloaded", extra=dict(row))
        return row

    def _audit_recording(self, loaded: Config) -> None:
        """Note what is recorded now and was not before (P-8)."""
        before = {tenant.domain: recorded_objects(tenant) for tenant in self._config.tenants}
        for tenant in loaded.tenants:
            new = recorded_objects(tenant) - before.get(tenant.domain, set())
            self._parts.recordings.switched_on(tenant.domain, new)

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


def _with_tenants_of(store: SqliteStore, loaded: Config) -> Config:
    """Raises: ConfigError, for tenants that this server would not take from a file."""
    tenants = store.load_tenants()
    config.check_stored(loaded.server, tenants)
    return replace(loaded, tenants=tenants)


def _certificates(loaded: Config) -> LoadedTls | None:
    """The certificates of a configuration that is to be in force. Raises: ConfigError, also for one that expired."""
    certificates = config.load_tls(loaded, time.time())
    if certificates is not None and certificates.expired:
        raise ConfigError(certificates.expired)
    return certificates


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
