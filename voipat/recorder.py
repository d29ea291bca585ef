"""The flight recorder: what each call's peers said, and what we decided, in memory of bounded size.

Messages are kept as they are after TLS, as references to the bytes that came or went; nothing is parsed, copied or
formatted before somebody asks (`voipat.trace`). An INVITE opens a trace under its Call-ID; the events of the call
name it, and join the other legs to it. RTP is never kept.

Whatever comes, memory ends at the numbers of `RecorderLimits`: within a call the middle goes first, and of the calls
those that nobody was let in with, then those that ended well, then those that failed, then the oldest that is up.
"""

from __future__ import annotations

import re
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from math import inf
from typing import Final, NamedTuple

from sipcore.flow import Flow
from sipcore.parser import call_id_written
from sipcore.values import made_in_c
from voipat import events

_OTHER_CALL_ID: Final = re.compile(rb"\n(?:call-id|i)[ \t]*:[ \t]*([^\r\n]*)", re.IGNORECASE)

# What one entry costs beyond the bytes of its message: the list's four places, the time, a flow of its own.
ENTRY_COST: Final = 256
_FIELDS: Final = 4
# How often the end of a call looks for what is too old.
FORGET_INTERVAL_S: Final = 10.0

_COUNTERS: Final = ("entries_omitted", "calls_pushed_out")

# Ends that nobody has to explain.
_ORDINARY: Final = frozenset({"VP-4001"})


@dataclass(frozen=True, slots=True)
class RecorderLimits:
    """How much is kept, and for how long.

    Per call `entries` and `bytes_of_call`, of which the first `first_entries` stay; `total_bytes` for all; so many
    calls that ended well, that failed, and INVITEs that never became a call; seconds after the end.
    """

    entries: int = 256
    first_entries: int = 32
    bytes_of_call: int = 256 * 1024
    total_bytes: int = 64 * 1024 * 1024
    ended: int = 1000
    failed: int = 2000
    refused: int = 500
    ended_s: float = 3600.0
    failed_s: float = 86_400.0


class Fate(Enum):
    """How far a traced call is; what is up is LIVE, an INVITE that never became a call is REFUSED."""

    REFUSED = "refused"
    LIVE = "live"
    ENDED = "ended"
    FAILED = "failed"

    # Members are single: that of Enum is written in Python, and each call asks for it a dozen times.
    __hash__ = object.__hash__


@made_in_c
class Note(NamedTuple):
    """A decision: `text` with places for `values`, as %-formatting has them. Put together when it is read."""

    text: str
    values: tuple[object, ...] = ()

    def __str__(self) -> str:
        return self.text % self.values if self.values else self.text


Decision = Note | events.CallEvent | events.RequestRefused
_OF_A_LEG: Final = (
    events.CallRinging,
    events.CallAnswered,
    events.CallTransferred,
    events.CallTaken,
    events.CallEnded,
)


@made_in_c
class Entry(NamedTuple):
    """A message that came (`sent` False) or went (True) on `flow`, or a decision (`sent` None, no flow)."""

    time: float
    sent: bool | None
    flow: Flow | None
    what: bytes | Decision


class Trace:
    """One call with all its legs, or an INVITE that never became one. `started` is wallclock, the rest loop time."""

    __slots__ = (
        *("_entries", "call", "call_ids", "end", "ended_at", "fate", "first", "is_muted", "legs", "omitted"),
        *("refusal", "size", "start", "started"),
    )

    def __init__(self, call_id: bytes, now: float, wallclock: float) -> None:
        # Flat, four places an entry: a tuple for each would be one more object for the collector to walk.
        self._entries: list[object] = []
        self.call_ids = [call_id]
        self.legs: list[str] = []
        self.call = ""
        self.first = now
        self.started = wallclock
        self.ended_at = now
        self.fate = Fate.REFUSED
        self.start: events.CallStarted | None = None
        self.end: events.CallEnded | None = None
        self.refusal: events.RequestRefused | None = None
        self.is_muted = False
        self.omitted = 0
        self.size = 0

    @property
    def id(self) -> str:
        """The call's id; the Call-ID of an INVITE that never became a call."""
        return self.call or self.call_ids[0].decode("utf-8", "surrogateescape")

    @property
    def tenant(self) -> str:
        return "" if self.start is None else self.start.tenant

    def wallclock(self, time: float) -> float:
        """UTC seconds of an entry's time."""
        return self.started + time - self.first

    def __len__(self) -> int:
        return len(self._entries) // _FIELDS

    def __iter__(self) -> Iterator[Entry]:
        places = iter(self._entries)
        for time, sent, flow, what in zip(places, places, places, places, strict=True):
            shown = Note(*what) if type(what) is tuple else what
            yield Entry(time, sent, flow, shown)  # type: ignore[arg-type]  # the places of one entry


class Recorder:
    """Records every call of one App. `observe` is the driver's hook, `on_event` a listener of `voipat.events`."""

    # What `on_event` wants to hear of.
    EVENTS: Final = frozenset(
        {
            events.CallStarted,
            events.CallRinging,
            events.CallAnswered,
            events.CallTransferred,
            events.CallTaken,
            events.CallEnded,
            events.RequestRefused,
        }
    )

    def __init__(self, limits: RecorderLimits | None = None) -> None:
        self.limits: Final = limits or RecorderLimits()
        self.counters: Final[Counter[str]] = Counter()
        self._now: Callable[[], float] = float
        self._wallclock: Callable[[], float] = float
        self._tenants_of: Callable[[bytes, Flow], frozenset[str]] = lambda data, flow: frozenset()
        self._enabled = True
        self._muted: frozenset[str] = frozenset()
        # For the path of each message.
        self._max_places = self.limits.entries * _FIELDS
        self._max_bytes = self.limits.bytes_of_call
        self._max_total = self.limits.total_bytes
        self.clear()

    # Life

    def start(
        self,
        now: Callable[[], float],
        wallclock: Callable[[], float],
        tenants_of: Callable[[bytes, Flow], frozenset[str]],
    ) -> None:
        """Begin anew with these clocks; `tenants_of` says whom an INVITE concerns before it is a call."""
        self._now, self._wallclock, self._tenants_of = now, wallclock, tenants_of
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._by_call_id: dict[bytes, Trace] = {}
        self._by_leg: dict[str, Trace] = {}
        self._kept: dict[Fate, OrderedDict[Trace, None]] = {fate: OrderedDict() for fate in Fate}
        self._last: Trace | None = None
        self._size = 0
        self._forget_at = -inf

    def configure(self, *, enabled: bool, muted: frozenset[str] = frozenset()) -> None:
        """Switch it on or off, and off for the tenants in `muted`; what is kept of them is forgotten."""
        self._enabled, self._muted = enabled, muted
        if not enabled:
            self.clear()
        for trace in list(self):
            if trace.tenant in muted:
                self._forget(trace)

    # What is kept

    @property
    def size(self) -> int:
        """Bytes that the traces take, by our own reckoning."""
        return self._size

    def __len__(self) -> int:
        return sum(len(kept) for kept in self._kept.values())

    def __iter__(self) -> Iterator[Trace]:
        """Every trace, the calls that are up first; of each kind the oldest first."""
        for fate in (Fate.LIVE, Fate.FAILED, Fate.ENDED, Fate.REFUSED):
            yield from (trace for trace in self._kept[fate] if not trace.is_muted)

    def figures(self) -> dict[str, int]:
        """What the recorder holds and what it could not keep."""
        return {"calls": len(self), "bytes": self._size, **{name: self.counters[name] for name in _COUNTERS}}

    def find(self, name: str) -> Trace | None:
        """The trace of a call by its id, the id of one of its legs, or a Call-ID."""
        trace = self._by_leg.get(name)
        if trace is None:
            trace = self._by_call_id.get(name.encode("utf-8", "surrogateescape"))
        return None if trace is None or trace.is_muted else trace

    # What comes in

    def observe(self, data: bytes, flow: Flow, sent: bool, now: float) -> None:
        """A message came (`sent` False) or goes."""
        if data.startswith(b"REGISTER "):
            self._last = None
            return
        call_id = call_id_written(data)
        trace = self._by_call_id.get(call_id)
        if trace is None and (call_id[:1] <= b" " or data.startswith(b"INVITE ")):
            trace = self._missed(call_id, data, flow, now)
        self._last = trace
        if trace is None or trace.is_muted:
            return
        entries = trace._entries
        entries += (now, sent, flow, data)
        size = len(data) + ENTRY_COST
        trace.size += size
        self._size += size
        if trace.size > self._max_bytes or len(entries) > self._max_places:
            self._shorten(trace)
        if self._size > self._max_total:
            self._make_room()

    def dropped(self, reason: str) -> None:
        """The message that came last gets no reaction."""
        if self._last is not None:
            self._decide(self._last, ("dropped: %s", (reason,)))

    def note(self, leg: str, text: str, *values: object) -> None:
        """A decision about the call with this leg: `text` with places for `values`, as %-formatting has them."""
        trace = self._by_leg.get(leg)
        if trace is None or trace.is_muted:
            return
        entries = trace._entries
        entries += (self._now(), None, None, (text, values))
        trace.size += ENTRY_COST
        self._size += ENTRY_COST
        if trace.size > self._max_bytes or len(entries) > self._max_places:
            self._shorten(trace)

    def on_event(self, event: events.Event) -> None:
        """Name the traces, join the legs, and see when a call has ended."""
        if isinstance(event, events.CallStarted):
            self._started(event)
        elif isinstance(event, events.RequestRefused):
            self._refused(event)
        elif isinstance(event, _OF_A_LEG):
            trace = self._by_leg.get(event.id)
            if trace is not None:
                self._decide(trace, event)
                if isinstance(event, events.CallEnded) and event.leg == "a" and trace.call == event.id:
                    self._ended(trace, event)

    def forget_old(self) -> None:
        """Forget what ended longer ago than the limits say."""
        now, limits = self._now(), self.limits
        self._forget_at = now + FORGET_INTERVAL_S
        ages = ((Fate.ENDED, limits.ended_s), (Fate.REFUSED, limits.failed_s), (Fate.FAILED, limits.failed_s))
        for fate, age in ages:
            kept = self._kept[fate]
            while kept and (oldest := next(iter(kept))).ended_at < now - age:
                self._forget(oldest)

    # The traces

    def _missed(self, call_id: bytes, data: bytes, flow: Flow, now: float) -> Trace | None:
        """The trace of a message whose Call-ID, as it is written, has none: found otherwise, opened, or None."""
        if not self._enabled:
            return None
        if call_id:
            call_id = call_id.strip()
        else:
            found = _OTHER_CALL_ID.search(data)
            call_id = b"" if found is None else found.group(1).strip()
        trace = self._by_call_id.get(call_id)
        if trace is not None or not call_id or not data.startswith(b"INVITE "):
            return trace
        if self._muted and not self._muted.isdisjoint(self._tenants_of(data, flow)):
            return None
        return self._open(call_id, now)

    def _open(self, call_id: bytes, now: float) -> Trace:
        trace = Trace(call_id, now, self._wallclock())
        self._by_call_id[call_id] = trace
        self._keep(trace, Fate.REFUSED)
        return trace

    def _started(self, event: events.CallStarted) -> None:
        if not self._enabled:
            return
        call_id = event.call_id.encode("utf-8", "surrogateescape")
        trace = self._by_leg.get(event.linked_id) if event.leg == "b" else self._incoming(call_id)
        if trace is None:
            return
        trace.legs.append(event.id)
        self._by_leg[event.id] = trace
        if event.leg == "b":
            trace.call_ids.append(call_id)
            self._by_call_id[call_id] = trace
        elif not trace.call:
            trace.call, trace.start = event.id, event
            if event.tenant in self._muted:
                self._mute(trace)
            self._keep(trace, Fate.LIVE)
        self._decide(trace, event)

    def _incoming(self, call_id: bytes) -> Trace:
        """The trace that an incoming call's INVITE is in; a new one when its Call-ID served a call that has ended."""
        trace = self._by_call_id.get(call_id)
        if trace is None:
            return self._open(call_id, self._now())
        if trace.end is None:
            return trace
        invite = trace._entries[-_FIELDS:]
        del trace._entries[-_FIELDS:]
        fresh = self._open(call_id, self._now())
        fresh._entries += invite
        moved = min(trace.size, _size_of(invite[-1]))
        trace.size -= moved
        fresh.size += moved
        return fresh

    def _refused(self, event: events.RequestRefused) -> None:
        if event.method != "INVITE" or not event.call_id:
            return
        trace = self._by_call_id.get(event.call_id.encode("utf-8", "surrogateescape"))
        if trace is not None:
            trace.refusal = event
            self._decide(trace, event)

    def _ended(self, trace: Trace, event: events.CallEnded) -> None:
        trace.end = event
        trace.ended_at = self._now()
        if trace.is_muted:
            self._forget(trace)
            return
        is_ordinary = event.disposition != "failed" and (event.disposition != "answered" or event.cause.id in _ORDINARY)
        self._keep(trace, Fate.ENDED if is_ordinary else Fate.FAILED)
        if trace.ended_at >= self._forget_at:
            self.forget_old()

    def _decide(self, trace: Trace, what: object) -> None:
        if trace.is_muted:
            return
        trace._entries += (self._now(), None, None, what)
        trace.size += ENTRY_COST
        self._size += ENTRY_COST
        if trace.size > self._max_bytes or len(trace._entries) > self._max_places:
            self._shorten(trace)

    def _mute(self, trace: Trace) -> None:
        """Keep the names, so that no message opens it again, and nothing else."""
        trace.is_muted = True
        trace._entries.clear()
        self._size -= trace.size
        trace.size = 0

    # Bounds

    def _keep(self, trace: Trace, fate: Fate) -> None:
        self._kept[trace.fate].pop(trace, None)
        trace.fate = fate
        kept = self._kept[fate]
        kept[trace] = None
        limits = self.limits
        room = {Fate.REFUSED: limits.refused, Fate.ENDED: limits.ended, Fate.FAILED: limits.failed}.get(fate)
        if room is not None and len(kept) > room:
            self._forget(next(iter(kept)))

    def _shorten(self, trace: Trace) -> None:
        """Take entries out of the middle, or the newest while there is no middle."""
        entries, limits = trace._entries, self.limits
        while len(entries) > self._max_places or trace.size > self._max_bytes:
            place = min(limits.first_entries * _FIELDS, len(entries) - _FIELDS)
            size = _size_of(entries[place + _FIELDS - 1])
            del entries[place : place + _FIELDS]
            trace.size -= size
            self._size -= size
            trace.omitted += 1
            self.counters["entries_omitted"] += 1

    def _make_room(self) -> None:
        for fate in (Fate.REFUSED, Fate.ENDED, Fate.FAILED, Fate.LIVE):
            kept = self._kept[fate]
            while kept and self._size > self.limits.total_bytes:
                self.counters["calls_pushed_out"] += 1
                self._forget(next(iter(kept)))

    def _forget(self, trace: Trace) -> None:
        self._kept[trace.fate].pop(trace, None)
        self._size -= trace.size
        trace.size = 0
        for call_id in trace.call_ids:
            if self._by_call_id.get(call_id) is trace:
                del self._by_call_id[call_id]
        for leg in trace.legs:
            if self._by_leg.get(leg) is trace:
                del self._by_leg[leg]


def _size_of(what: object) -> int:
    return ENTRY_COST + (len(what) if isinstance(what, bytes) else 0)
