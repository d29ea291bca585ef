"""What a call is: who calls whom, how far it is, whom it dialled, and who waits for its end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from media.prompts import Source
from sipcore.fields import NameAddr
from sipcore.sdp import SessionDescription
from sipcore.uri import Uri, escape_user
from voipat import events
from voipat.accounts import Identity, TrunkIdentity
from voipat.answering import Answering
from voipat.connected import Acquaintance
from voipat.errors import CallOutcome
from voipat.legs import InboundLeg, OutboundLeg
from voipat.media_leg import MediaLeg
from voipat.music import Music
from voipat.parties import CallState, Parties, Role, user_of
from voipat.reasons import Reason
from voipat.security import SrtpRules
from voipat.switch import Switch
from voipat.waiting import wake

if TYPE_CHECKING:
    from voipat.bridge import Bridge
    from voipat.call import Call
    from voipat.consulting import Consultation
    from voipat.dialing import Fork
    from voipat.gateway import Gateway
    from voipat.transfer import Progress, Referral, Transfer


class CallFacts:
    """What a handler reads of its call, and what the modules of this package keep of it."""

    # Places of their own for what every call has: a dict of so many keys takes three times that.
    __slots__ = (
        *("_answered_now", "_attempted", "_attempts", "_parties", "_started_now", "_waiters"),
        *("acquaintance", "aftermath", "answered", "answering", "bridge_", "direction", "display_name", "ended"),
        *("fork", "hangup_by", "id", "identity", "leg", "linked_id", "media", "music", "offer", "on_hold", "outcome"),
        *("own_number", "refers", "role", "seat", "started", "state", "switch", "task", "tenant"),
        *("variables", "was_acknowledged"),
        "__dict__",
    )

    # What few calls have is said here, and takes room only in these.

    # Who those that it dials are told that calls, where that is not the caller itself.
    shown_as: NameAddr | None = None
    # What this leg's media must be, its only codecs (() are all), the streams beside the audio, whether its pauses are
    # comfort noise and digits in its INFOs are taken, where that is not for the App to say.
    srtp: SrtpRules | None = None
    codecs: Sequence[str] | None = None
    beside: Sequence[str] | None = None
    comfort_noise: bool | None = None
    dtmf_info: bool | None = None

    # For the modules of this package:

    # The call without a phone that this one was dialled for.
    origin: Call | None = None
    # Whether a re-INVITE of ours is on its way that makes up for what the 183 said.
    agrees = False
    was_referred = False  # a REFER came in this dialog, whatever became of it
    # While it is away from a bridge to talk with a target.
    consulting: Consultation | None = None
    # Where an attempt at a gateway goes.
    gateway: Gateway | None = None
    # Where a 3xx says that the callee is, best first.
    moved_to: tuple[Uri, ...] = ()
    # While somebody transfers this call; a REFER of ours.
    transfer_: Transfer | None = None
    referral_: Referral | None = None
    recordings = 0  # begun until now

    def __init__(
        self, switch: Switch, leg: InboundLeg | OutboundLeg, parties: Parties, *, to: Uri, caller: Uri
    ) -> None:
        # What this call shares with the others of its App, and its signalling; for the modules of this package.
        self.switch: Final = switch
        self.leg: Final = leg
        self._parties = parties
        self.id: Final = parties.id
        # The id of the call's first leg: its own for a call that came in, until it is one with another (`switch.join`).
        self.linked_id = parties.linked_id
        # The domain that the caller belongs to, "" for a stranger; the user whose phone this leg goes to.
        self.tenant: Final = parties.tenant
        is_inbound = isinstance(leg, InboundLeg)
        self.direction: Final = "inbound" if is_inbound else "outbound"
        self.own_number: Final = parties.caller if is_inbound else parties.callee
        # Who calls whom, as handlers see it: a transfer changes it, never the CDR's parties.
        self.role = Role(to, caller, parties.caller, parties.callee)
        self.display_name: str | None = None
        self.identity: Identity | None = None
        # The user whose phone it came from, where another one sits at it (`voipat.seats`).
        self.seat = ""
        # What its peer hears while it is held, by us or by the other side of a bridge; None: that is passed on instead.
        self.on_hold: Source | Music | None = None
        self.music: asyncio.Task[None] | None = None
        self.was_acknowledged = False
        # Why a handler that just returns hangs up: the other side of the last bridge did.
        self.aftermath: tuple[str, Reason] | None = None
        # What flows tell each other of the call.
        self.variables: Final[dict[str, str]] = {}
        self.state = CallState.TRYING
        self.started: Final = switch.wallclock()
        self.answered: float | None = None
        self.ended: float | None = None
        self.outcome: CallOutcome | None = None
        self.hangup_by: str | None = None
        self.media: MediaLeg | None = None
        self.offer: SessionDescription | None = None
        self.answering: Final = Answering()
        self.acquaintance: Final = Acquaintance(parties.callee if is_inbound else parties.caller)
        self.bridge_: Bridge | None = None
        self.fork: Fork | None = None
        # What its handler runs in.
        self.task: asyncio.Task[Any] | None = None
        # The subscriptions of those who transferred its peer.
        self.refers: list[Progress] = []
        self._started_now = switch.loop.time()
        self._answered_now: float | None = None
        self._waiters: list[asyncio.Future[None]] = []
        self._attempts: list[Call] = []
        self._attempted = 0

    @property
    def to(self) -> Uri:
        """Whom the call is for."""
        return self.role.to

    @property
    def from_(self) -> Uri:
        return self.role.from_

    @property
    def caller(self) -> str:
        return self.role.caller

    @property
    def callee(self) -> str:
        return self.role.callee

    @property
    def transferred_by(self) -> str | None:
        """The user who transferred the call to its present target; None for a call that nobody transferred."""
        return self.role.transferred_by

    @property
    def may_refer(self) -> bool:
        """Whether its peer is a phone of ours, which may ask for a transfer: never a stranger, never a trunk."""
        if not self.tenant or self.gateway is not None:
            return False
        if isinstance(self.leg, OutboundLeg):
            return self.leg.flow is not None
        return self.identity is not None and not isinstance(self.identity, TrunkIdentity)

    @property
    def call_id(self) -> str:
        """The SIP Call-ID of this leg."""
        return self.leg.call_id

    def header(self, name: str) -> str | None:
        """The first value of a header of the INVITE that came in."""
        return self.leg.request.headers.get(name) if isinstance(self.leg, InboundLeg) else None

    def header_values(self, name: str) -> Sequence[str]:
        """Every value of a header of the INVITE that came in."""
        return self.leg.request.headers.get_all(name) if isinstance(self.leg, InboundLeg) else ()

    def note(self, text: str, *values: object) -> None:
        """Put a decision into the call's trace: `text` with places for `values`, as %-formatting has them."""
        self.switch.recorder.note(self.id, text, *values)

    def note_route(self, target: str) -> None:
        """Say in the trace, in the events and so in the CDR where the call is sent."""
        self.note("goes to %s", target)
        self.switch.publish(events.CallRouted(self.id, self.linked_id, self.tenant, target))

    def note_port(self) -> None:
        """Say in the trace which port the call's media has."""
        if self.media is not None:
            self.note("%s has media port %d", self.id, self.media.port.rtp_port)

    @property
    def is_held(self) -> bool:
        """Whether we hold its peer, by `hold`."""
        return self.media is not None and not self.media.own_direction.receives

    @property
    def held_by_peer(self) -> bool:
        """Whether its peer holds us: sendonly, inactive, or the address 0.0.0.0 of RFC 2543."""
        media = self.media
        return (
            self.answered is not None and media is not None and media.negotiated is not None and media.negotiated.held
        )

    # The calls that it dialled

    @property
    def attempts(self) -> Sequence[Call]:
        """The calls that it dialled and that have not ended."""
        return tuple(self._attempts)

    @property
    def attempted(self) -> int:
        """How many phones and trunks it has called."""
        return self._attempted

    def adopt(self, attempt: Call) -> None:
        """Count an attempt of this call, and own it until it ends."""
        self._attempts.append(attempt)
        self._attempted += 1

    def adopt_again(self, attempt: Call) -> None:
        """Own a call that is up already until it ends."""
        self._attempts.append(attempt)

    def release(self, attempt: Call) -> None:
        """The attempt has ended."""
        if attempt in self._attempts:
            self._attempts.remove(attempt)

    # Who it is for the next handler

    def take_role(self, target: Uri, *, by: Call) -> None:
        """Be a caller who has dialled `target`, sent there by the peer of `by`."""
        flow = self.leg.flow
        domain = None if flow is None else self.switch.domain_of(target, flow)
        to = target if domain is None else target.replace(host=domain, port=None)
        from_, number = self.from_, self.own_number
        if isinstance(self.leg, OutboundLeg):
            from_ = Uri("sip", escape_user(number), self.tenant or self.from_.host)
            self.display_name = None
        self.role = Role(to, from_, number, user_of(to), by.own_number)

    def take_part(self, *, shown: str) -> None:
        """Be a call without a phone, for which others are dialled: they show this."""
        self.role = Role(self.to, self.from_, shown, self.callee)

    # How far it is

    def mark_ringing(self) -> None:
        """Somebody is alerted."""
        if self.state is CallState.TRYING:
            self.state = CallState.RINGING
            self.switch.publish(events.CallRinging(self.id, self.linked_id, self.tenant, self.switch.wallclock()))

    def mark_answered(self) -> None:
        """It is up."""
        self.state = CallState.ANSWERED
        self.answered = self.switch.wallclock()
        self._answered_now = self.switch.loop.time()
        codec = None if self.media is None else self.media.codec
        self.switch.publish(events.CallAnswered(self.id, self.linked_id, self.tenant, self.answered, codec))

    def joined(self, since: Call | None = None) -> None:
        """A call without a phone counts as answered when the two that it was made for talk, or as `since` was."""
        if self.answered is None and self.outcome is None:
            self.mark_answered()
            if since is not None:
                self.answered, self._answered_now = since.answered, since._answered_now

    def publish_start(self, call_id: str = "") -> None:
        """Tell that this leg is there; `call_id` for one that has no dialog."""
        parties = self._parties
        self.switch.publish(
            events.CallStarted(
                id=parties.id,
                linked_id=parties.linked_id,
                tenant=parties.tenant,
                leg=parties.leg,
                direction=self.direction,
                caller=parties.caller,
                callee=parties.callee,
                call_id=call_id or self.call_id,
                started=self.started,
            )
        )

    def publish_end(self, was_answered: bool, reason: Reason, figures: events.MediaFigures) -> None:
        """Tell how this leg ended."""
        assert self.ended is not None and self.outcome is not None, "set by end"
        now = self.switch.loop.time()
        parties = self._parties
        self.switch.publish(
            events.CallEnded(
                id=parties.id,
                linked_id=parties.linked_id,
                tenant=parties.tenant,
                leg=parties.leg,
                direction=self.direction,
                caller=parties.caller,
                callee=parties.callee,
                call_id=self.call_id,
                started=self.started,
                answered=self.answered,
                ended=self.ended,
                duration_s=now - self._started_now,
                billable_s=0.0 if self._answered_now is None else now - self._answered_now,
                disposition="answered" if was_answered else reason.disposition,
                hangup_by=self.hangup_by or "server",
                cause=events.Cause(self.outcome.status, reason.q850, reason.id, reason.text),
                media=figures,
                attempts=self._attempted,
            )
        )

    # Who waits for its end

    def raise_if_ended(self) -> None:
        """Raises: how it ended, once it has."""
        if self.outcome is not None:
            raise self.outcome

    def new_waiter(self) -> asyncio.Future[None]:
        """A future that is done at the latest when the call ends."""
        waiter: asyncio.Future[None] = self.switch.loop.create_future()
        self._waiters.append(waiter)
        return waiter

    async def wait(self, waiter: asyncio.Future[None]) -> None:
        """Wait for a future of `new_waiter`, which the call then has no use for any more. Raises: HungUp."""
        try:
            await waiter
        finally:
            self.no_longer_wakes(waiter)
        self.raise_if_ended()

    def wakes(self, waiter: asyncio.Future[None]) -> None:
        """The end of this call wakes the waiter too."""
        self._waiters.append(waiter)

    def no_longer_wakes(self, waiter: asyncio.Future[None]) -> None:
        """It has no use for it."""
        if waiter in self._waiters:
            self._waiters.remove(waiter)

    def wake(self, *, unwind: bool) -> None:
        """The call is over: whoever waits goes on; with `unwind` so does a handler that waits for something else."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            wake(waiter)
        task = self.task
        if unwind and not waiters and task is not None and task is not asyncio.current_task(self.switch.loop):
            # It waits for something that is no verb of the call: hang-up unwinds it from there too.
            task.cancel()
