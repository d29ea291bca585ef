"""What the PBX does with a call: who it is from, where it goes, whether there is room; the flows do the rest.

Outcomes need no code here: what a flow raises unwinds the handler and becomes the caller's response, cause and CDR.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Final, Protocol

from pbx.admission import SERVER, Admission, Limit
from pbx.audit import Audit
from pbx.decisions import FromExtension, FromTrunk, NoRoute, Source, ToConference, ToExtension, ToPage, ToTrunks
from pbx.directory import Directory, LiveDirectory
from pbx.flows.callbacks import Callbacks
from pbx.flows.in_call import in_call
from pbx.flows.meet import meet
from pbx.flows.paging import page
from pbx.flows.queue import PRIORITY
from pbx.flows.registry import built_in
from pbx.flows.visit import Chance, Desk, Flows, RecordingDesk, TrunkDialer, Visit
from pbx.hot_desks import HotDesks
from pbx.identity import connected_with
from pbx.moved import moved_to
from pbx.pace import Pace
from pbx.prompts import Prompts
from pbx.routing import route
from pbx.tenant_state import LiveState
from pbx.tenants import TenantConfig
from pbx.trunk_config import TrunkConfig
from sipcore.aio.entropy import SystemEntropy
from sipcore.uri import Uri
from voipat import App, Call, Placed, Rejected, TrunkIdentity, reasons
from voipat.connected import Connected

# What a caller who hides is called by phones and carriers (RFC 3323 §4.1.1.3).
_HIDDEN: Final = frozenset(("", "anonymous", "unknown", "unavailable", "restricted"))


class TrunkLines(TrunkDialer, Protocol):
    """The trunks, as the switchboard needs them."""

    def inbound(self, call: Call) -> AbstractContextManager[None]: ...

    def of_leg(self, call: Call) -> TrunkConfig | None: ...


class Switchboard:
    """Handles every call of the App it is attached to."""

    def __init__(
        self,
        directory: LiveDirectory,
        admission: Admission | None = None,
        *,
        trunks: TrunkLines | None = None,
        state: LiveState | None = None,
        prompts: Prompts | None = None,
        chance: Chance | None = None,
        recordings: RecordingDesk | None = None,
        audit: Audit | None = None,
    ) -> None:
        self._directory: Final = directory
        self._trunks: Final = trunks
        self._pace: Final = Pace()
        self.admission: Final = admission or Admission()
        self.state: Final = state or LiveState()
        self.desk: Final = Desk(
            self.state,
            self.admission,
            built_in(),
            chance or SystemEntropy(),
            HotDesks(directory, self.state),
            trunks,
            prompts or Prompts(),
            recordings,
            audit,
        )

    @property
    def flows(self) -> Flows:
        """Where a service registers the targets that it takes."""
        return self.desk.flows

    def attach(self, app: App) -> None:
        """Take the calls to every URI."""
        app.on_call("*")(self.handle)
        app.on_bridge(in_call(self.desk, self._directory))
        app.on_redirect, app.on_connected = self.on_redirect, self.on_connected
        app.admit_calls(self._admitted)
        self.desk.hot_desks.attach(app)
        self.desk.publish = app.publish
        self.desk.callbacks = callbacks = Callbacks(self.desk, self._directory, self._places_of_callback)
        app.add_service(callbacks)
        app.add_service(self.desk.alerts)
        self.flows.add(ToConference, meet(app))
        self.flows.add(ToPage, page(app))

    async def handle(self, call: Call) -> None:
        """One call from its INVITE to its end. Raises: CallOutcome."""
        # The snapshot of this moment: a reload changes nothing for a call that is under way.
        directory = self._directory.current
        if not directory.serves(call.tenant):
            raise Rejected(reasons.UNKNOWN_NUMBER)
        source, number, host = _asked(call)
        caller = _calling(call)
        decision = route(
            directory, call.tenant, number, call.started, source, host=host, state=self.state.tenant(call.tenant)
        )
        is_emergency = isinstance(decision.target, ToTrunks) and decision.target.emergency
        with self._places(call, directory, caller, free=is_emergency):
            call.note("admitted as call %d of %s", self.admission.calls, self.admission.max_calls or "any number")
            if decision.queue_priority:
                call.variables[PRIORITY] = str(decision.queue_priority)
            if decision.marked:
                call.note("the caller shows a number of ours and comes from outside")
            if isinstance(decision.target, NoRoute):
                reason = decision.target.reason
                call.note("routed nowhere: %s %s", reason.id, reason.text)
            if call.seat:
                call.note("made at the desk %s, where %s has logged in", call.seat, caller)
            visit = Visit(call, self.desk, directory, caller)
            visit.speak(call, visit.language_of(caller))
            await visit.go(decision)

    def on_connected(self, leg: Call, other: Call) -> Connected | None:
        """Whom the peer of a leg is told to talk with now."""
        tenant = self._directory.current.maybe_tenant(leg.tenant)
        if tenant is None:
            return None
        trunk = None if self._trunks is None else self._trunks.of_leg(leg)
        if trunk is None and (leg.gateway is not None or isinstance(leg.identity, TrunkIdentity)):
            return None
        return connected_with(tenant, trunk, other)

    def on_redirect(self, leg: Call, contacts: Sequence[Uri]) -> list[Placed]:
        """The extensions that a 3xx of an extension's phone leads to; the flows do the rest, or nobody does."""
        directory = self._directory.current
        if not directory.serves(leg.tenant):
            return []
        extension = directory.tenant(leg.tenant).extensions.get(leg.own_number)
        if extension is None:
            return []
        state = self.state.tenant(leg.tenant)
        found = moved_to(directory, leg, extension, contacts, hops=0, state=state)
        wanted = [each.target.extension for each in found if isinstance(each.target, ToExtension)]
        return [Placed(each.number, partial(self.admission.callee, leg.tenant, each)) for each in wanted]

    @contextmanager
    def _admitted(self, call: Call, caller: str) -> Iterator[None]:
        """A call that nobody dialled: refused before anybody's phone rings. Raises: Rejected."""
        directory = self._directory.current
        if not directory.serves(call.tenant) or caller not in directory.tenant(call.tenant).extensions:
            raise Rejected(reasons.UNKNOWN_NUMBER)
        state = self.state.tenant(call.tenant)
        target = route(directory, call.tenant, call.callee, call.started, FromExtension(caller), state=state).target
        if isinstance(target, NoRoute):
            raise Rejected(target.reason)
        with self._places(call, directory, caller, free=isinstance(target, ToTrunks) and target.emergency):
            yield

    def places_of(
        self, tenant: TenantConfig, caller: str, at: float, *, free: bool, unlimited: bool
    ) -> AbstractContextManager[None]:
        """A place under the limits of server, tenant and caller; the pace of the tenant is counted when this is called.

        `free`: none counts. `unlimited`: only the server's does. Entering raises Rejected, and so does this.
        """
        limits = _limits(tenant, caller, 0 if free else self.admission.max_calls, free=unlimited)
        rate = tenant.plan.limits.calls_per_second
        if not free and rate is not None and not self._pace.take(tenant.domain, rate, at):
            raise Rejected(reasons.TENANT_RATE)
        return self.admission.places(*limits)

    def _places_of_callback(self, call: Call) -> AbstractContextManager[None]:
        return self._places(call, self._directory.current, "", free=False)

    def _places(self, call: Call, directory: Directory, caller: str, *, free: bool) -> AbstractContextManager[None]:
        """The call's place under the limits of server, tenant, trunk and caller; an emergency call is only counted.

        Raises: Rejected.
        """
        # Who is transferred has its place already: that of the call that it is transferred out of.
        unlimited = free or call.transferred_by is not None
        places = self.places_of(directory.tenant(call.tenant), caller, call.started, free=free, unlimited=unlimited)
        if self._trunks is None or not isinstance(call.identity, TrunkIdentity):
            return places
        return _both(self._trunks.inbound(call), places)


@contextmanager
def _both(first: AbstractContextManager[None], second: AbstractContextManager[None]) -> Iterator[None]:
    with first, second:
        yield


def _asked(call: Call) -> tuple[Source, str, str | None]:
    """By whose right, what was dialled, and the host that it was dialled at."""
    identity, role = call.identity, call.role
    dialled = role.callee if role.to.user else ""
    if role.transferred_by is not None:
        # Who transfers sends the other where its own extension may call, and pays: no right is borrowed.
        return FromExtension(role.transferred_by), dialled, role.to.host
    if isinstance(identity, TrunkIdentity):
        number = "" if identity.user.lower() in _HIDDEN else identity.user
        return FromTrunk(identity.trunk, number), identity.did, None
    return FromExtension(role.caller), dialled, role.to.host


def _calling(call: Call) -> str:
    """The extension that calls; who transfers a call from outside acts for it."""
    if isinstance(call.identity, TrunkIdentity):
        return call.role.transferred_by or ""
    return call.role.caller


def _limits(tenant: TenantConfig, caller: str, server: int, *, free: bool) -> list[Limit]:
    extension = tenant.extensions.get(caller)
    own = None if extension is None or free else extension.max_calls
    of_tenant = None if free else tenant.plan.limits.max_calls
    found = [
        Limit(SERVER, server or None, reasons.SERVER_FULL),
        Limit((tenant.domain,), of_tenant, reasons.TENANT_LIMIT),
    ]
    if caller:
        found.append(Limit((tenant.domain, "extension", caller), own, reasons.CALLER_LIMIT))
    return found
