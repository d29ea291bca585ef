"""One call on its way through the plan: the snapshot it is pinned to, what it may use, and how it goes on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from pbx.admission import Admission
from pbx.alerts import Alerts
from pbx.audit import Audit
from pbx.decisions import Decision, HangUp, NoRoute, OnBehalf, Target, describe
from pbx.directory import Directory
from pbx.hot_desks import HotDesks
from pbx.music import Musics
from pbx.objects.groups import Queue
from pbx.parking import Parking
from pbx.prompts import Prompt, Prompts
from pbx.queues import Place, Queues
from pbx.routing import MAX_HOPS, target_of
from pbx.tenant_state import LiveState, TenantState
from pbx.tenants import TenantConfig
from voipat import Call, Music, RecordingStore, Rejected, reasons
from voipat.events import Event
from voipat.speech import LANGUAGES

# A caller who presses keys goes on for as long as he likes, but not for ever.
MAX_KEYS: Final = 200

Flow = Callable[["Visit", Any], Awaitable[None]]


def _nobody_hears(event: Event) -> None:
    """Until the desk is that of an App."""


class TrunkDialer(Protocol):
    """The way out."""

    async def dial(
        self,
        call: Call,
        route_names: Sequence[str],
        number: str,
        *,
        timeout: float,
        caller_id: str | None = None,
        emergency: bool = False,
        ordered: bool = False,
    ) -> Call: ...


class RecordingDesk(Protocol):
    """Where recordings go."""

    def begin(
        self, tenant: str, *, linked_id: str, leg: str, owner: str, rule: str, caller: str, callee: str
    ) -> RecordingStore:
        """What the next recording of a call is written into."""
        ...

    def forget(self, tenant: str, draft: RecordingStore) -> None:
        """The recording did not begin: nothing is left of it."""
        ...


class CallbackDesk(Protocol):
    """Who calls those back that leave a queue and keep their place."""

    def promise(self, tenant: str, queue: Queue, place: Place) -> Callable[[], None]:
        """Keep the place of a caller who is still at the telephone; what this returns is called when he is not."""
        ...


class Chance(Protocol):
    """Where random order comes from."""

    def uniform(self, low: float, high: float) -> float: ...


class Flows:
    """Which flow takes which kind of target."""

    def __init__(self, flows: Mapping[type[Any], Flow]) -> None:
        self._flows = dict(flows)

    def add(self, kind: type[Any], flow: Flow) -> None:
        """Let `flow` take every target of this kind."""
        self._flows[kind] = flow

    def find(self, target: Target) -> Flow | None:
        """The flow of a target; None when the service is not installed."""
        return self._flows.get(type(target))


@dataclass(slots=True)
class Desk:
    """What the flows of one PBX share."""

    state: LiveState
    admission: Admission
    flows: Flows
    chance: Chance
    hot_desks: HotDesks
    trunks: TrunkDialer | None = None
    prompts: Prompts = field(default_factory=Prompts)
    recordings: RecordingDesk | None = None
    audit: Audit | None = None
    alerts: Alerts = field(default_factory=Alerts)
    parking: Parking = field(default_factory=Parking)
    queues: Queues = field(default_factory=Queues)
    callbacks: CallbackDesk | None = None
    # Where flows tell what happens.
    publish: Callable[[Event], None] = _nobody_hears
    musics: Musics = field(default_factory=Musics)
    # Who of a rollover group was rung last, by tenant and group.
    last_rung: dict[tuple[str, str], str] = field(default_factory=dict)


@dataclass(slots=True)
class Visit:
    """One call. A reload changes nothing for it: `directory` is the snapshot of its beginning."""

    call: Call
    desk: Desk
    directory: Directory
    caller: str = ""  # the extension that calls, "" for one from outside
    hops: int = 0
    keys: int = 0

    @property
    def tenant(self) -> TenantConfig:
        """The caller's tenant."""
        return self.directory.tenant(self.call.tenant)

    @property
    def state(self) -> TenantState:
        """What is set by hand in this tenant."""
        return self.desk.state.tenant(self.call.tenant)

    @property
    def at(self) -> float:
        """The wallclock by which the plan decides: that of the call's beginning."""
        return self.call.started

    def prompt(self, name: str, *, number: str = "") -> Prompt:
        """A prompt in the language of an extension, or else of the tenant."""
        return self.desk.prompts.find(name, self.language_of(number or self.caller))

    def music(self, name: str) -> Music:
        """The stream of that name, for the caller to wait with."""
        return self.desk.musics.of(self.prompt(name))

    def language_of(self, number: str) -> str:
        """The language of an extension, or else of the tenant."""
        tenant = self.tenant
        extension = tenant.extensions.get(number)
        return (extension.language if extension is not None else "") or tenant.plan.settings.language

    def note_audit(self, actor: str, action: str, what: str, *, allowed: bool = True) -> None:
        """Write down who did what, or was refused it."""
        if self.desk.audit is not None:
            self.desk.audit.note(self.call.tenant, actor, action, what, allowed=allowed)

    def speak(self, call: Call, language: str) -> None:
        """Let what is said in a call be in this language, where it has rules."""
        wanted = language.partition("-")[0]
        if wanted != call.prompts.language and wanted in LANGUAGES:
            call.prompts = call.prompts.in_language(wanted)

    async def follow(self, target: str, *, payer: str = "") -> None:
        """Go on at a target of the configuration, on behalf of `payer` or the tenant."""
        self.hops += 1
        if self.hops > MAX_HOPS:
            raise Rejected(reasons.CALL_LOOP)
        source = OnBehalf(payer, self.hops)
        await self.go(target_of(self.directory, self.call.tenant, target, self.at, source, state=self.state))

    def pressed(self) -> None:
        """The caller chose: forwards are counted anew. Raises: Rejected for one who never ends."""
        self.hops = 0
        self.keys += 1
        if self.keys > MAX_KEYS:
            raise Rejected(reasons.CALL_LOOP)

    async def go(self, decision: Decision) -> None:
        """Do what was decided. Raises: CallOutcome."""
        for step in decision.steps:
            self.call.note("%s %s: %s", "took" if step.took else "passed", step.rule, step.why)
        target = decision.target
        self.call.note_route(describe(target))
        if isinstance(target, NoRoute):
            raise Rejected(target.reason)
        if isinstance(target, HangUp):
            await self.call.hangup(reasons.TURNED_AWAY)
            return
        flow = self.desk.flows.find(target)
        if flow is None:
            raise Rejected(reasons.SERVICE_MISSING)
        await flow(self, target)
