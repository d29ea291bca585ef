"""What the operator of a running PBX may ask, and what of it can be done without its life: see `pbx.daemon`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Final

from pbx import limits, status, trace
from pbx.cdr import CdrSource
from pbx.composition import Parts
from pbx.config import Config
from pbx.control import Arguments, ControlServer
from pbx.logs import LogSession
from pbx.output import Row
from pbx.recording_commands import AuditSource
from pbx.recordings import Recordings
from pbx.route_question import Question, route_rows
from pbx.services_shown import conference_rows, desk_rows, log_out, parked_rows, queue_rows
from pbx.tenant_state import LiveState
from pbx.tenants import TenantConfig
from pbx.voicemail.operator import voicemail_rows
from pbx.waiting_rows import message_rows
from voipat import CallState, Origination, reasons
from voipat._version import __version__

logger: Final = logging.getLogger("pbx.daemon")

FLUSH_BEFORE_LISTING_S: Final = 1.0


class StopSignals:
    """Asked once, the daemon drains; asked twice, it ends at once."""

    def __init__(self) -> None:
        self.drain = asyncio.Event()
        self.now = asyncio.Event()

    def request(self) -> None:
        """Somebody wants the daemon to end."""
        (self.now if self.drain.is_set() else self.drain).set()


class Answers:
    """By the parts that run; a daemon is this and its life."""

    # Made at the start.
    _parts: Parts
    _control: ControlServer
    _lag: status.LoopLag

    def __init__(self, loaded: Config, log: LogSession, *, monotonic: Callable[[], float]) -> None:
        self._config = loaded
        self._log = log
        self._monotonic = monotonic
        self._started = monotonic()
        self._stop = StopSignals()

    @property
    def cdrs(self) -> CdrSource:
        """Where CDRs are read."""
        return self._parts.store

    @property
    def recordings(self) -> Recordings:
        """What was recorded."""
        return self._parts.recordings

    @property
    def audit_rows(self) -> AuditSource:
        """Where it is read who did what."""
        return self._parts.store

    def flush(self) -> None:
        """Makes what has ended readable; a disk that is slow only makes the listing a little older."""
        self._parts.store.flush(FLUSH_BEFORE_LISTING_S)

    @property
    def tenants(self) -> Sequence[TenantConfig]:
        """The tenants in force."""
        return self._config.tenants

    @property
    def state(self) -> LiveState:
        """What was set by hand."""
        return self._parts.state

    @property
    def listen(self) -> Sequence[str]:
        """Where we listen."""
        return self._config.server.listen

    def registrations(self, tenant: str | None) -> Iterable[Row]:
        """The bindings in force."""
        now = self._parts.registrar.wallclock()
        bindings = [binding for binding in self._parts.location if tenant in (None, binding.tenant)]
        live = [binding for binding in bindings if binding.expires_at > now]
        return (status.registration_row(binding, now, self._parts.registrar.is_reachable(binding)) for binding in live)

    def calls(self, tenant: str | None) -> Iterable[Row]:
        """The calls under way, by the leg that came in."""
        return [status.call_row(call) for call in self._parts.app.calls if tenant in (None, call.tenant)]

    def conferences(self, tenant: str | None, room: str | None) -> Iterable[Row]:
        """The rooms that are open, or the members of one."""
        return conference_rows(self._parts.app, tenant, room)

    def queues(self, tenant: str | None, number: str | None) -> Iterable[Row]:
        """The queues, or the callers and agents of one."""
        return queue_rows(
            self._parts.board.desk,
            self._parts.directory.current.tenants,
            tenant,
            number,
            now=self._parts.app.wallclock(),
        )

    def parked(self, tenant: str | None) -> Iterable[Row]:
        """The calls that wait in a park."""
        return parked_rows(self._parts.board.desk, tenant)

    def desks(self, tenant: str | None) -> Iterable[Row]:
        """Who has logged in where."""
        return desk_rows(self._parts.board.desk, tenant)

    def log_out(self, desk: str) -> Row | None:
        """Makes a desk nobody's; None when it is that already."""
        return log_out(self._parts.board.desk, desk)

    def trunks(self, tenant: str | None) -> Iterable[Row]:
        """The trunks, by their state."""
        return self._parts.trunks.status(tenant)

    def bans(self) -> Iterable[Row]:
        """The bans in force."""
        return [status.ban_row(*ban) for ban in self._parts.guard.banned(self._parts.app.driver.now())]

    def lift_ban(self, source: str) -> bool:
        """Lifts the bans of a source; False when there is none."""
        banned = any(each == source for each, _, _ in self._parts.guard.banned(self._parts.app.driver.now()))
        if banned:
            self._parts.guard.forgive(source)
            logger.info("ban lifted", extra={"source": source})
        return banned

    def route(self, question: Question) -> Iterable[Row]:
        """What would happen to a call, by the routing that calls take and what is set by hand now."""
        return route_rows(self._parts.directory.current, self._parts.state, question)

    def voicemail(self, arguments: Arguments) -> AsyncIterator[Row]:
        """The messages of mailboxes; each look into one is audited."""
        return voicemail_rows(self._parts.mailboxes, self._parts.outbox, self._parts.audit, arguments)

    def messages(self, arguments: Arguments) -> AsyncIterator[Row]:
        """The text messages that wait for who is away."""
        return message_rows(self._parts.waiting, self._parts.audit, arguments)

    def originate(self, caller: str, target: str, *, tenant: str | None, timeout: float) -> Origination:
        """Rings an extension and leads it on to the target. Raises: Rejected, ValueError without a tenant."""
        domain = tenant or self._config.server.default_tenant
        if domain is None:
            raise ValueError("there is no default tenant: --tenant says whose extension it is")
        return self._parts.app.call(caller, target, tenant=domain, timeout=timeout)

    def hang_up(self, call: str) -> bool:
        """Ends the call; False when there is none of this id."""
        found = self._parts.app.find_call(call)
        if found is None:
            return False
        found.end("server", reasons.OPERATOR)
        return True

    def traces(self, tenant: str | None, *, failed: bool, limit: int) -> Iterable[Row]:
        """What the flight recorder keeps, newest first."""
        return trace.trace_rows(self._parts.recorder, tenant=tenant, failed=failed, limit=limit)

    def trace(self, call: str, *, messages: bool) -> Iterable[Row] | None:
        """The entries of one call; None when nothing is kept of it."""
        found = self._parts.recorder.find(call)
        # At once: the call may go on while the client reads.
        return None if found is None else list(trace.entry_rows(found, self._parts.recorder, messages=messages))

    def drain(self) -> Row:
        """Takes no new calls and ends with the last one; asked again it ends at once."""
        self._stop.request()
        return {"draining": True, "calls": len(self._parts.app.calls), "limit_s": self._config.server.drain_s}

    def stats(self) -> Row:
        """What is counted, as one flat object."""
        app, calls = self._parts.app, self._parts.app.calls
        return {
            "version": __version__,
            "uptime_s": round(self._monotonic() - self._started, 1),
            "draining": self._stop.drain.is_set(),
            "calls": len(calls),
            "calls_answered": sum(call.state is CallState.ANSWERED for call in calls),
            "calls_limit": self._parts.capacity.calls,
            "registrations": len(self._parts.location),
            "transactions": app.endpoint.transaction_count,
            "dialogs": app.endpoint.dialog_count,
            "ports": self._parts.engine.open_ports,
            "ports_free": self._parts.engine.free_ports,
            "srtp_contexts": self._parts.engine.srtp_contexts,
            "tcp_connections": self._parts.network.connections,
            "udp_kernel_drops": self._parts.network.drops,
            "engine_events_lost": self._parts.engine.events_lost,
            "media_workers": self._parts.engine.workers,
            "media_priority": self._parts.engine.scheduling.value,
            "engine_late_ticks": self._parts.engine.late_ticks,
            "engine_tick_p99_ms": watch.p99_ms if (watch := app.media_watch) is not None else 0.0,
            "engine_cpu_s": round(sum(self._parts.engine.cpu_seconds), 2),
            "messages_waiting": len(self._parts.waiting),
            "mail_waiting": len(self._parts.outbox),
            "mail_sent": self._parts.outbox.sent,
            "mail_given_up": self._parts.outbox.given_up,
            "cdr_open_legs": self._parts.cdrs.open_legs,
            "cdr_unsaved": self._parts.cdrs.unsaved,
            **status.store_figures(self._parts.store.health()),
            **status.prefixed("sip", app.endpoint.counters),
            **status.prefixed("driver", app.driver.counters),
            **status.prefixed("app", app.counters),
            **status.prefixed("trace", self._parts.recorder.figures()),
            **self._log.counters,
            "control_refused": self._control.refused,
            "loop_lag_s": round(self._lag.worst_s, 4),
            "bans": len(self._parts.guard.banned(app.driver.now())),
            "overload_shed": round(app.overload.shed, 2),
            "overload_late_s": round(app.overload.late_s, 4),
            "rss_kb": limits.resident_kb(),
            "descriptors": limits.open_descriptors(),
            "descriptors_limit": self._parts.capacity.descriptors,
        }
