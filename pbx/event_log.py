"""Call and registration events as log lines: each with tenant and call id, a call's legs joined by `linked`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from pbx.logs import CAUSE_FIELD, RateLimit
from voipat.events import (
    BindingReachable,
    BindingUnreachable,
    CallAnswered,
    CallEnded,
    CallEvent,
    CallRinging,
    CallStarted,
    ConferenceEvent,
    ConferenceJoined,
    ConferenceLeft,
    ConferenceSpeaking,
    Event,
    MediaInTime,
    MediaLate,
    QueueEvent,
    QueueJoined,
    QueueLeft,
    RecordingEnded,
    RecordingEvent,
    RecordingStarted,
    Registered,
    RequestRefused,
    Unregistered,
)

logger: Final = logging.getLogger("pbx.calls")


class EventLog:
    """A listener that logs each event, unless the log's rate limit would leave its line out anyway.

    The limit is asked first: at a hundred calls a second nineteen lines in twenty were made only to be thrown away,
    and that was a tenth of a call's CPU time.
    """

    def __init__(self, limit: RateLimit, wallclock: Callable[[], float]) -> None:
        self._limit = limit
        self._wallclock = wallclock

    def __call__(self, event: Event) -> None:
        kind = type(event)
        is_detail = event.is_refresh if isinstance(event, Registered) else kind in _DETAILS
        if is_detail and not logger.isEnabledFor(logging.DEBUG):
            return
        if not self._limit.refuses(kind.__name__, self._wallclock()):
            log_event(event)


# What comes with every call is for debugging only, and so is every refresh.
_DETAILS: Final = frozenset((CallRinging, ConferenceSpeaking))


def log_event(event: Event) -> None:
    """One line for the event; ringing and refreshed registrations only when debugging."""
    match event:
        case CallStarted():
            _call(event, "call started", leg=event.leg, caller=event.caller, callee=event.callee, sip=event.call_id)
        case CallRinging():
            logger.debug("ringing", extra=_ids(event))
        case CallAnswered():
            _call(event, "call answered", codec=event.codec)
        case CallEnded():
            _ended(event)
        case Registered():
            level = logging.DEBUG if event.is_refresh else logging.INFO
            fields = {"contact": event.contact, "received": event.received, "user_agent": event.user_agent}
            logger.log(level, "registered", extra={**_where(event), **fields})
        case Unregistered():
            fields = {"contact": event.contact, "why": event.why}
            logger.info("unregistered", extra={**_where(event), **fields})
        case BindingUnreachable():
            unanswered = {"contact": event.contact, "received": event.received, "failures": event.failures}
            logger.warning("phone unreachable", extra={**_where(event), **unanswered})
        case BindingReachable():
            logger.info("phone reachable again", extra={**_where(event), "contact": event.contact})
        case RecordingStarted() | RecordingEnded():
            _recording(event)
        case ConferenceJoined() | ConferenceLeft() | ConferenceSpeaking():
            _conference(event)
        case QueueJoined() | QueueLeft():
            _queue(event)
        case MediaLate() | MediaInTime():
            _media(event)
        case RequestRefused():
            refused: dict[str, object] = {"account": event.account, "status": event.status, "reason": event.reason}
            source: dict[str, object] = {CAUSE_FIELD: _cause(event), "source": event.source}
            logger.warning("%s refused", event.method, extra={**source, **refused})


def _recording(event: RecordingEvent) -> None:
    if isinstance(event, RecordingStarted):
        logger.info("recording started", extra={**_ids(event), "path": event.path})
        return
    facts = {"path": event.path, "seconds": round(event.seconds, 2), "problem": event.problem or None}
    level = logging.WARNING if event.is_partial else logging.INFO
    logger.log(level, "recording ended", extra={**_ids(event), **facts})


def _media(event: MediaLate | MediaInTime) -> None:
    if isinstance(event, MediaLate):
        logger.warning("media is late, new calls are refused", extra={"p99_ms": event.p99_ms})
    else:
        logger.info("media is in time again", extra={"seconds": round(event.seconds, 1)})


def _ended(event: CallEnded) -> None:
    cause, media = event.cause, event.media
    _call(
        event,
        "call ended",
        leg=event.leg,
        disposition=event.disposition,
        hangup_by=event.hangup_by,
        sip=cause.sip,
        q850=cause.q850,
        reason=cause.id,
        billable_s=round(event.billable_s, 3),
        packets=media.packets_received,
        loss=round(media.loss, 4),
        jitter_ms=round(media.jitter_ms, 2),
        mos=media.mos,
        mos_out=media.mos_out,
        crypto=media.crypto,
        beside=media.beside,
    )


def _conference(event: ConferenceEvent) -> None:
    facts: dict[str, object] = {**_ids(event), "conference": event.conference}
    match event:
        case ConferenceJoined():
            logger.info("joined a conference", extra={**facts, "members": event.members})
        case ConferenceLeft():
            logger.info("left a conference", extra={**facts, "members": event.members, "why": event.why})
        case ConferenceSpeaking():
            logger.debug("speaks in a conference", extra={**facts, "speaking": event.speaking})


def _queue(event: QueueEvent) -> None:
    facts: dict[str, object] = {**_ids(event), "queue": event.queue}
    if isinstance(event, QueueJoined):
        logger.info("waits in a queue", extra={**facts, "waiting": event.waiting, "priority": event.priority})
    else:
        left = {"why": event.why, "agent": event.agent or None, "wait_s": round(event.wait_s, 1)}
        logger.info("waits no more", extra={**facts, **left})


def _call(event: CallStarted | CallAnswered | CallEnded, message: str, **fields: object) -> None:
    logger.info(message, extra={**_ids(event), **fields})


def _ids(event: CallEvent | RecordingEvent | ConferenceEvent | QueueEvent) -> dict[str, object]:
    ids: dict[str, object] = {CAUSE_FIELD: _cause(event), "tenant": event.tenant, "call": event.id}
    if event.linked_id != event.id:
        ids["linked"] = event.linked_id
    return ids


def _where(event: Registered | Unregistered | BindingUnreachable | BindingReachable) -> dict[str, object]:
    return {CAUSE_FIELD: _cause(event), "tenant": event.tenant, "aor": event.aor}


def _cause(event: Event) -> str:
    """What the rate limit counts: each kind of event by itself, so that a flood of starts hides no end."""
    return type(event).__name__
