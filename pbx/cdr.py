"""Call detail records: facts of a call come in as they happen, one row per leg goes to the store.

A leg is written when it starts and when it is answered, so that a crash leaves its row to be closed at the next
start, and completed at its end. The event loop only hands rows over; the store makes them durable (principle 8).
Only authenticated calls are started here: a request that never authenticated leaves nothing.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, Protocol

from pbx.basics import Disposition
from pbx.output import rfc3339
from pbx.store.base import CdrFilter, LegName, LegRecord, TenantReader, TenantStore
from sipcore.values import value_object

# A call may be forwarded ten times and a caller press two hundred keys.
MAX_ROUTE: Final = 400
# Of the wallclock against the monotonic one, between two ticks: what is less is bent by NTP and not set.
SET_S: Final = 0.5


@value_object(frozen=True, slots=True)
class Cause:
    """Why a leg ended: SIP status, Q.850 cause and the id of our reason."""

    sip: int | None = None
    q850: int | None = None
    id: str | None = None


@value_object(frozen=True, slots=True)
class LegMedia:
    """What was received from the leg's peer; `loss` a fraction of 1, `jitter` and `rtt` in milliseconds.

    `loss_out`, `jitter_out`, `mos_out`: of what the peer got, by its own reports. `crypto`: suite and key exchange;
    None is plain RTP. `beside`: what was relayed beside the audio, with packets from and to the peer.
    """

    codec: str | None = None
    packets: int | None = None
    loss: float | None = None
    jitter: float | None = None
    mos: float | None = None
    loss_out: float | None = None
    jitter_out: float | None = None
    mos_out: float | None = None
    rtt: float | None = None
    crypto: str | None = None
    beside: str | None = None


@value_object(frozen=True, slots=True)
class LegStarted:
    """A leg began: "a" came in, "b" is an attempt. The first leg's `linked_id` is its own id."""

    id: str
    linked_id: str
    tenant: str
    leg: LegName
    direction: str
    caller: str
    callee: str
    call_id: str
    started: float


@value_object(frozen=True, slots=True)
class LegAnswered:
    """The leg's peer was answered, or answered."""

    id: str
    answered: float
    codec: str | None = None


@value_object(frozen=True, slots=True)
class LegEnded:
    """The leg is over. Durations by the monotonic clock; without them the wallclock's difference is taken."""

    id: str
    ended: float
    disposition: Disposition
    hangup_by: str | None = None
    cause: Cause = Cause()
    media: LegMedia = LegMedia()
    duration_s: float | None = None
    billable_s: float | None = None
    recording: str | None = None


class TenantStores(Protocol):
    """The part of `Store` that CDRs need."""

    def tenant(self, domain: str) -> TenantStore: ...

    def mark_alive(self) -> None: ...

    def mark_clock_set(self, wallclock: float) -> None: ...


class CdrWriter:
    """Turns facts into rows. Lives on the event loop; no verb waits."""

    def __init__(self, store: TenantStores) -> None:
        self._store = store
        self._ahead: float | None = None  # the wallclock of the monotonic one
        self._set_at = 0.0
        self._open: dict[str, LegRecord] = {}
        self.unsaved = 0  # rows that the store's full queue refused; nothing else loses one

    @property
    def open_legs(self) -> int:
        """Legs started and not ended."""
        return len(self._open)

    def started(self, fact: LegStarted) -> None:
        """Journal the leg."""
        self._save(
            LegRecord(
                id=fact.id,
                linked_id=fact.linked_id,
                tenant=fact.tenant,
                leg=fact.leg,
                direction=fact.direction,
                caller=fact.caller,
                callee=fact.callee,
                started=fact.started,
                call_id=fact.call_id,
            )
        )

    def answered(self, fact: LegAnswered) -> None:
        """Journal the answer; the first one counts."""
        leg = self._open.get(fact.id)
        if leg is not None and leg.answered is None:
            self._save(leg._replace(answered=fact.answered, codec=fact.codec))

    def recorded(self, leg_id: str, recording: str) -> None:
        """Journal where the leg is recorded; the latest recording counts."""
        leg = self._open.get(leg_id)
        if leg is not None:
            self._save(leg._replace(recording=recording))

    def routed(self, leg_id: str, target: str) -> None:
        """The call goes to a target of the plan now; saved with the next row of the leg."""
        leg = self._open.get(leg_id)
        if leg is not None:
            route = target if leg.route is None else f"{leg.route} > {target}"
            self._open[leg_id] = leg._replace(route=route[:MAX_ROUTE])

    def ended(self, fact: LegEnded) -> None:
        """Complete the leg's CDR. A second end of the same leg is nothing."""
        leg = self._open.pop(fact.id, None)
        if leg is None:
            return
        answered = leg.answered
        duration = fact.ended - leg.started if fact.duration_s is None else fact.duration_s
        billable = fact.billable_s if answered is not None else 0.0
        if billable is None:
            billable = fact.ended - (answered or fact.ended)
        self._save(
            leg._replace(
                ended=fact.ended,
                duration_s=round(max(0.0, duration), 3),
                billable_s=round(max(0.0, billable), 3),
                disposition=fact.disposition,
                hangup_by=fact.hangup_by,
                cause_sip=fact.cause.sip,
                cause_q850=fact.cause.q850,
                cause_id=fact.cause.id,
                recording=fact.recording or leg.recording,
                mos=fact.media.mos,
                codec=fact.media.codec or leg.codec,
                packets=fact.media.packets,
                loss=fact.media.loss,
                jitter=fact.media.jitter,
                loss_out=fact.media.loss_out,
                jitter_out=fact.media.jitter_out,
                mos_out=fact.media.mos_out,
                rtt=fact.media.rtt,
                crypto=fact.media.crypto,
                beside=fact.media.beside,
            ),
            is_open=False,
        )

    def joined(self, linked_id: str, by: str) -> None:
        """Two calls became one (transfer, pickup, park): the open legs of `linked_id` belong to the call `by` now."""
        for leg in [leg for leg in self._open.values() if leg.linked_id == linked_id and linked_id != by]:
            self._save(leg._replace(linked_id=by))

    def discard(self, leg_id: str) -> None:
        """Take back a leg that should leave no CDR."""
        leg = self._open.pop(leg_id, None)
        if leg is not None:
            self._store.tenant(leg.tenant).discard_leg(leg_id)

    def tick(self, wallclock: float, monotonic: float) -> None:
        """Once a second: with calls up, note that we live. A crash closes their CDRs at the last such time."""
        ahead = wallclock - monotonic
        by = 0.0 if self._ahead is None else ahead - self._ahead
        self._ahead = ahead
        if self._open:
            if abs(by) > SET_S:
                self._clock_was_set(wallclock, by)
            self._store.mark_alive()

    def _clock_was_set(self, to: float, by: float) -> None:
        """Journal how long each leg has lasted: after a crash its stamps and the last tick are of different clocks."""
        before, counted_from, self._set_at = to - by, self._set_at, to
        self._store.mark_clock_set(to)

        def lasted(since: float | None, counted: float | None) -> float | None:
            """Since then; or since the clock was set before, when so much was counted."""
            if counted is not None:
                return max(counted + before - counted_from, 0.0)
            return None if since is None else max(before - since, 0.0)

        for leg in list(self._open.values()):
            duration, billable = lasted(leg.started, leg.duration_s), lasted(leg.answered, leg.billable_s)
            self._save(leg._replace(duration_s=duration, billable_s=billable))

    def _save(self, leg: LegRecord, *, is_open: bool = True) -> None:
        if is_open:
            self._open[leg.id] = leg
        if not self._store.tenant(leg.tenant).save_leg(leg):
            self.unsaved += 1


@value_object(frozen=True, slots=True)
class CdrLeg:
    """One side of a CDR."""

    call_id: str
    codec: str | None = None
    packets: int | None = None
    loss: float | None = None
    jitter: float | None = None
    mos: float | None = None
    loss_out: float | None = None
    jitter_out: float | None = None
    mos_out: float | None = None
    rtt: float | None = None
    crypto: str | None = None
    beside: str | None = None


@value_object(frozen=True, slots=True)
class Cdr:
    """One call (its answered, otherwise its last b_leg), or in the legs view one leg."""

    id: str
    linked_id: str
    tenant: str
    direction: str
    caller: str
    callee: str
    started: float
    answered: float | None
    ended: float | None
    duration_s: float | None
    billable_s: float | None
    disposition: str | None
    hangup_by: str | None
    cause: Cause
    recording: str | None
    mos: float | None
    a_leg: CdrLeg | None
    b_leg: CdrLeg | None
    attempts: int
    route: str | None = None

    def row(self) -> dict[str, object]:
        """As the command line prints it: the contract's fields in its order, times as RFC 3339 in UTC."""
        return {
            "id": self.id,
            "linked_id": self.linked_id,
            "tenant": self.tenant,
            "direction": self.direction,
            "caller": self.caller,
            "callee": self.callee,
            "started": _moment(self.started),
            "answered": _moment(self.answered),
            "ended": _moment(self.ended),
            "duration_s": self.duration_s,
            "billable_s": self.billable_s,
            "disposition": self.disposition,
            "hangup_by": self.hangup_by,
            "cause": {"sip": self.cause.sip, "q850": self.cause.q850, "id": self.cause.id},
            "recording": self.recording,
            "mos": self.mos,
            "a_leg": _leg_row(self.a_leg),
            "b_leg": _leg_row(self.b_leg),
            "attempts": self.attempts,
            "route": self.route,
        }


class CdrSource(Protocol):
    """Anything that reads a store: the daemon's own or, when it is down, a `StoreReader`."""

    def tenant(self, domain: str) -> TenantReader: ...

    def domains(self) -> Sequence[str]: ...


def call_view(legs: Sequence[LegRecord]) -> Cdr:
    """One call from its legs, the first leg in front."""
    first, attempts = legs[0], legs[1:]
    # Who came for the call with a call of his own is as good as one who was called.
    reached = [leg for leg in attempts if leg.answered is not None] or attempts
    b_leg = reached[-1] if reached else None
    recording = first.recording or (b_leg.recording if b_leg is not None else None)
    return _cdr(first, a_leg=first, b_leg=b_leg, attempts=sum(leg.leg == "b" for leg in attempts), recording=recording)


def leg_view(leg: LegRecord) -> Cdr:
    """One leg by itself."""
    is_first = leg.leg == "a"
    sides = {"a_leg": leg if is_first else None, "b_leg": None if is_first else leg}
    return _cdr(leg, **sides, attempts=0 if is_first else 1, recording=leg.recording)


def calls(source: CdrSource, wanted: CdrFilter, *, tenant: str | None = None) -> list[Cdr]:
    """One CDR per call, newest first; of every tenant when none is named. Blocks on the disk."""
    return _newest(source, wanted, tenant, lambda reader: map(call_view, reader.calls(wanted)))


def legs(source: CdrSource, wanted: CdrFilter, *, tenant: str | None = None) -> list[Cdr]:
    """One CDR per leg, newest first; of every tenant when none is named. Blocks on the disk."""
    return _newest(source, wanted, tenant, lambda reader: map(leg_view, reader.legs(wanted)))


def _newest(
    source: CdrSource, wanted: CdrFilter, tenant: str | None, read: Callable[[TenantReader], Iterator[Cdr]]
) -> list[Cdr]:
    """Each tenant is asked by itself: there is no query over all of them."""
    domains = source.domains() if tenant is None else [tenant]
    pages = (list(read(source.tenant(domain))) for domain in domains)
    return heapq.nlargest(wanted.limit, (cdr for page in pages for cdr in page), key=lambda cdr: (cdr.started, cdr.id))


def _cdr(
    leg: LegRecord, *, a_leg: LegRecord | None, b_leg: LegRecord | None, attempts: int, recording: str | None
) -> Cdr:
    return Cdr(
        id=leg.id,
        linked_id=leg.linked_id,
        tenant=leg.tenant,
        direction=leg.direction,
        caller=leg.caller,
        callee=leg.callee,
        started=leg.started,
        answered=leg.answered,
        ended=leg.ended,
        duration_s=leg.duration_s,
        billable_s=leg.billable_s,
        disposition=leg.disposition,
        hangup_by=leg.hangup_by,
        cause=Cause(leg.cause_sip, leg.cause_q850, leg.cause_id),
        recording=recording,
        mos=leg.mos,
        a_leg=_side(a_leg),
        b_leg=_side(b_leg),
        attempts=attempts,
        route=leg.route,
    )


def _side(leg: LegRecord | None) -> CdrLeg | None:
    if leg is None:
        return None
    return CdrLeg(
        call_id=leg.call_id,
        codec=leg.codec,
        packets=leg.packets,
        loss=leg.loss,
        jitter=leg.jitter,
        mos=leg.mos,
        loss_out=leg.loss_out,
        jitter_out=leg.jitter_out,
        mos_out=leg.mos_out,
        rtt=leg.rtt,
        crypto=leg.crypto,
        beside=leg.beside,
    )


def _leg_row(leg: CdrLeg | None) -> Mapping[str, object] | None:
    if leg is None:
        return None
    return {
        "call_id": leg.call_id,
        "codec": leg.codec,
        "packets": leg.packets,
        "loss": leg.loss,
        "jitter": leg.jitter,
        "mos": leg.mos,
        "loss_out": leg.loss_out,
        "jitter_out": leg.jitter_out,
        "mos_out": leg.mos_out,
        "rtt": leg.rtt,
        "crypto": leg.crypto,
        "beside": leg.beside,
    }


def _moment(wallclock: float | None) -> str | None:
    return None if wallclock is None else rfc3339(datetime.fromtimestamp(wallclock, UTC))
