"""What happened, for CDRs, logs and listeners: frozen values, one per leg. `started`, `answered`, `ended`: wallclock.

A call has one leg that came in and one for each phone that was tried; `linked_id` is the id of the first, for all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from sipcore.values import value_object
from voipat.reasons import Disposition

LegName = Literal["a", "b"]
# Out of a conference: by itself, or with the end of its call, or thrown out.
LeftWhy = Literal["left", "ended", "kicked"]
QueueLeftWhy = Literal["answered", "abandoned", "elsewhere", "callback"]


@value_object(frozen=True, slots=True)
class Cause:
    """Why a leg ended: SIP status, Q.850 cause, our reason's id and its text."""

    sip: int
    q850: int
    id: str
    text: str


@value_object(frozen=True, slots=True)
class MediaFigures:
    """What came from the leg's peer, and what the peer reports of what it got (None: it never did).

    `loss` is a fraction of 1, `jitter_ms` that of RFC 3550, `mos` that of ITU-T G.107 (see media.quality).
    `crypto` is suite and key exchange ("AEAD_AES_128_GCM SDES"); None for plain RTP. `beside`: what was relayed beside
    the audio, with packets from and to the peer ("video H264 812/790, image t38 40/38").
    """

    codec: str | None = None
    packets_received: int = 0
    packets_sent: int = 0
    lost: int = 0
    loss: float = 0.0
    jitter_ms: float = 0.0
    mos: float | None = None
    loss_out: float | None = None
    jitter_out_ms: float | None = None
    mos_out: float | None = None
    round_trip_ms: float | None = None
    crypto: str | None = None
    beside: str | None = None


@value_object(frozen=True, slots=True)
class CallStarted:
    """A leg began: "a" came in, "b" is one attempt. `direction` is "inbound" or "outbound", seen from us."""

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
class CallRinging:
    """The first 180 or 183 of the leg."""

    id: str
    linked_id: str
    tenant: str
    ringing: float


@value_object(frozen=True, slots=True)
class CallAnswered:
    """The leg was answered: by us when it came in, by the peer when it is an attempt."""

    id: str
    linked_id: str
    tenant: str
    answered: float
    codec: str | None


@value_object(frozen=True, slots=True)
class CallRouted:
    """A flow sent the call to a target, in its own words."""

    id: str
    linked_id: str
    tenant: str
    target: str


@value_object(frozen=True, slots=True)
class CallEnded:
    """The leg is over. Durations are monotonic; `billable_s` is 0 without an answer."""

    id: str
    linked_id: str
    tenant: str
    leg: LegName
    direction: str
    caller: str
    callee: str
    call_id: str
    started: float
    answered: float | None
    ended: float
    duration_s: float
    billable_s: float
    disposition: Disposition
    hangup_by: str
    cause: Cause
    media: MediaFigures
    attempts: int


@value_object(frozen=True, slots=True)
class Registered:
    """A contact was registered, or refreshed."""

    tenant: str
    aor: str
    contact: str
    received: str
    transport: str
    user_agent: str
    expires_s: int
    is_refresh: bool


@value_object(frozen=True, slots=True)
class Unregistered:
    """A contact is gone; `why` is "removed", "expired" or "replaced"."""

    tenant: str
    aor: str
    contact: str
    why: str


@value_object(frozen=True, slots=True)
class BindingUnreachable:
    """A registered phone left so many keep-alives in a row unanswered; calls skip it."""

    tenant: str
    aor: str
    contact: str
    received: str
    failures: int


@value_object(frozen=True, slots=True)
class BindingReachable:
    """A phone that was unreachable answered, or registered again."""

    tenant: str
    aor: str
    contact: str
    received: str


@value_object(frozen=True, slots=True)
class TrunkRegistered:
    """How our registration at a trunk stands now: `registered`, `waiting` for another try, or `stopped`, because
    our credentials are refused. `status` is what the registrar said last, None for nothing."""

    tenant: str
    trunk: str
    state: str
    status: int | None


@value_object(frozen=True, slots=True)
class TrunkInService:
    """A trunk went out of service, or came back; `why` is for people."""

    tenant: str
    trunk: str
    in_service: bool
    why: str


@value_object(frozen=True, slots=True)
class RequestRefused:
    """The gate let a request not in. `account` is what it said, unproven; `reason` is the id for the log."""

    method: str
    source: str
    account: str
    status: int
    reason: str
    call_id: str = ""


@value_object(frozen=True, slots=True)
class RecordingStarted:
    """A call is recorded from now on; `path` is what its store calls the recording."""

    id: str
    linked_id: str
    tenant: str
    path: str
    started: float


@value_object(frozen=True, slots=True)
class RecordingEnded:
    """The recording is on the disk. `is_partial`: something is missing of it, and `problem` says why."""

    id: str
    linked_id: str
    tenant: str
    path: str
    ended: float
    seconds: float
    is_partial: bool
    problem: str


@value_object(frozen=True, slots=True)
class CallTransferred:
    """The leg `id` talks to somebody else now. `transferor` is the leg that asked for it; `joined` the `linked_id` of

    another call whose legs belong to `linked_id` from now on (an attended transfer), "" when there is none.
    """

    id: str
    linked_id: str
    tenant: str
    transferor: str
    transferee: str
    target: str
    moved: float
    joined: str = ""


@value_object(frozen=True, slots=True)
class CallTaken:
    """The call `linked_id` was taken by a caller who came for it, out of a park or where it rang: his leg is `id`, and

    the legs of his own call `joined` belong to `linked_id` from now on.
    """

    id: str
    linked_id: str
    tenant: str
    joined: str
    moved: float


@value_object(frozen=True, slots=True)
class ConferenceJoined:
    """A call is in a conference, which has so many `members` now."""

    id: str
    linked_id: str
    tenant: str
    conference: str
    members: int
    joined: float


@value_object(frozen=True, slots=True)
class ConferenceLeft:
    """A call is in it no more; `members` are left."""

    id: str
    linked_id: str
    tenant: str
    conference: str
    members: int
    why: LeftWhy
    left: float


@value_object(frozen=True, slots=True)
class ConferenceSpeaking:
    """A member began to speak, or was silent for half a second."""

    id: str
    linked_id: str
    tenant: str
    conference: str
    speaking: bool


@value_object(frozen=True, slots=True)
class QueueJoined:
    """A caller waits in a queue, where `waiting` do now; `priority` is the caller's."""

    id: str
    linked_id: str
    tenant: str
    queue: str
    waiting: int
    priority: int
    joined: float


@value_object(frozen=True, slots=True)
class QueueLeft:
    """Who waited for `wait_s` waits no more: `agent` answered, or the caller left, went on elsewhere, or is to be

    called back.
    """

    id: str
    linked_id: str
    tenant: str
    queue: str
    why: QueueLeftWhy
    agent: str
    wait_s: float
    left: float


@value_object(frozen=True, slots=True)
class EmergencyCalled:
    """`caller` calls the emergency number `number`."""

    id: str
    linked_id: str
    tenant: str
    caller: str
    number: str
    called: float


@value_object(frozen=True, slots=True)
class CountryCalled:
    """`caller` calls `number`, in a country that nobody of the tenant has called: its code is "49", or "1876"."""

    id: str
    linked_id: str
    tenant: str
    caller: str
    number: str
    country: str
    called: float


@value_object(frozen=True, slots=True)
class MediaLate:
    """The media engine's ticks of 20 ms come so late that it is heard; new calls are refused meanwhile."""

    p99_ms: float


@value_object(frozen=True, slots=True)
class MediaInTime:
    """They come in time again; `seconds` it took."""

    seconds: float


RecordingEvent = RecordingStarted | RecordingEnded
CallEvent = CallStarted | CallRinging | CallAnswered | CallRouted | CallEnded | CallTransferred | CallTaken
ConferenceEvent = ConferenceJoined | ConferenceLeft | ConferenceSpeaking
QueueEvent = QueueJoined | QueueLeft
Event = (
    CallEvent
    | RecordingEvent
    | ConferenceEvent
    | QueueEvent
    | EmergencyCalled
    | CountryCalled
    | Registered
    | Unregistered
    | BindingUnreachable
    | BindingReachable
    | TrunkRegistered
    | TrunkInService
    | RequestRefused
    | MediaLate
    | MediaInTime
)
Listener = Callable[[Event], None]
