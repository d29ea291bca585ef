"""Who watches what: SUBSCRIBE answered and NOTIFYs sent for the event packages of an App (RFC 6665).

A `Notifier` says what a resource's state is; an App tells the watchers. Watchers are of the resource's own tenant. All
that they can make grow has a limit and an answer, and however often states change, NOTIFYs leave at a bounded rate,
each with the newest state.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, Protocol

from sipcore.errors import ParseError
from sipcore.events import DialogId, RequestFailed, RequestReceived, ResponseReceived
from sipcore.fields import NameAddr
from sipcore.flow import Flow
from sipcore.message import Request
from sipcore.subscription import EventField
from sipcore.uri import Uri, escape_user
from sipcore.values import made_in_c
from voipat import reasons
from voipat.accounts import Identity
from voipat.bodies import accepts
from voipat.dialing import target_of
from voipat.exchange import Exchange
from voipat.kept_subscriptions import KeptSubscription, SubscriptionKeeper, number_by_clock
from voipat.location import Binding
from voipat.parties import name_of
from voipat.reasons import Reason
from voipat.watching import Headers, Watch

MAX_SUBSCRIPTIONS: Final = 100_000
MAX_OF_WATCHER: Final = 500
MAX_OF_RESOURCE: Final = 5_000
# NOTIFYs a second of a whole App, and how many may leave at once: a restarted office must not be a flood.
NOTIFY_RATE: Final = 500.0
NOTIFY_BURST: Final = 50


@made_in_c
class Resource(NamedTuple):
    """What is watched: a user of a tenant."""

    tenant: str
    user: str

    @property
    def uri(self) -> Uri:
        return Uri("sip", escape_user(self.user), self.tenant)


class Document(Protocol):
    """A state whose NOTIFYs build on each other (dialog-info): `before` is what the watcher was told last."""

    def render(self, version: int, before: Document | None) -> bytes: ...


State = bytes | Document


@dataclass(eq=False)
class Notifier:
    """One event package. `state_of` gives the state of a resource, None when there is no such thing (404).

    `unsolicited` tells registered phones of the resource's own user too, without a SUBSCRIBE (RFC 3842 §4.1 allows for
    it; many phones expect it), at each REGISTER and change. `own_user_only`: nobody else may watch. `interval`: least
    seconds between two NOTIFYs to a watcher.
    """

    package: str
    content_type: str
    state_of: Callable[[Resource], State | None]
    interval: float = 0.5
    default_expires: int = 3600
    min_expires: int = 60
    max_expires: int = 7200
    unsolicited: bool = False
    own_user_only: bool = False
    table: Subscriptions | None = None

    @property
    def watched(self) -> bool:
        """Whether anybody watches anything of any package: before that no change needs to be told."""
        return self.unsolicited or (self.table is not None and bool(self.table.watched))

    def changed(self, resource: Resource) -> None:
        """Tell everybody who watches the resource."""
        table = self.table
        if table is not None and (self.unsolicited or (self.package, resource) in table.watched):
            table.changed(self, resource)

    def tell_phones(self, resource: Resource, state: State) -> None:
        """Tell this to the phones of the resource's own user which do not watch it."""
        if self.table is not None:
            self.table.tell_own(self, resource, state)


Key = tuple[Identity, str, str, Resource]


class Subscriptions:
    """The table of an App. `lookup` gives the bindings of (tenant, user), `knows` whether there is a user."""

    def __init__(
        self,
        domain_of: Callable[[RequestReceived], str | None],
        lookup: Callable[[str, str], Sequence[Binding]],
        knows: Callable[[Identity], bool] = lambda identity: True,
    ) -> None:
        self._domain_of = domain_of
        self._knows = knows
        self._lookup = lookup
        self._notifiers: dict[str, Notifier] = {}
        # All, and those that last, by who watches what: a phone that was restarted replaces its own.
        self._open_ones: set[Subscription] = set()
        self._by_key: dict[Key, Subscription] = {}
        self.watched: dict[tuple[str, Resource], set[Subscription]] = {}
        self._by_watcher: Counter[Identity] = Counter()
        self._queue: deque[Watch] = deque()
        self._tokens = float(NOTIFY_BURST)
        self._filled_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._owed: dict[tuple[str, Resource], asyncio.TimerHandle] = {}
        self.counters: Counter[str] = Counter()
        self._exchange: Exchange | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wallclock: Callable[[], float] = lambda: 0.0
        self._keeper: SubscriptionKeeper | None = None
        # Watchers whose connection is gone, by tenant, user and contact, until they register.
        self._away: dict[tuple[str, str, str], set[Subscription]] = {}

    def add(self, notifier: Notifier) -> None:
        """Serve a package."""
        self._notifiers[notifier.package] = notifier
        notifier.table = self

    @property
    def packages(self) -> str:
        """The value of Allow-Events."""
        return ", ".join(sorted({*self._notifiers, "refer"}))

    def __len__(self) -> int:
        return len(self._open_ones)

    def start(
        self,
        exchange: Exchange,
        loop: asyncio.AbstractEventLoop,
        wallclock: Callable[[], float],
        keeper: SubscriptionKeeper | None = None,
    ) -> None:
        """Called by the App when it can send. The watchers of the process before are told how it is now."""
        self._exchange, self._loop, self._wallclock, self._keeper = exchange, loop, wallclock, keeper
        self._filled_at = loop.time()
        if keeper is None:
            return
        for kept in keeper.kept_subscriptions():
            try:
                is_open = self._reopen(kept)
            except ParseError:
                is_open = False
            if not is_open:
                keeper.subscription_removed(kept.tenant, kept.id)

    def stop(self) -> None:
        """Called by the App at its end: no watcher is told anything; those that are kept go on at the next start."""
        self._keeper = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for owed in self._owed.values():
            owed.cancel()
        self._owed.clear()
        self._queue.clear()
        for subscription in tuple(self._open_ones):
            subscription.watch.drop()

    def review(self) -> None:
        """Other users, other things to watch: it is over for who watches what is gone, or is gone himself."""
        for (package, resource), watching in tuple(self.watched.items()):
            if self._notifiers[package].state_of(resource) is None:
                for subscription in tuple(watching):
                    subscription.watch.end("noresource")
        strangers = {identity for identity in self._by_watcher if not self._knows(identity)}
        for subscription in [each for each in self._open_ones if strangers and each.key[0] in strangers]:
            subscription.watch.end("rejected")

    # SUBSCRIBE

    def receive(self, event: RequestReceived) -> None:
        """Answer a SUBSCRIBE outside of a dialog, of somebody who has proven who he is."""
        exchange, identity = self.exchange, event.identity
        assert isinstance(identity, Identity) and event.dialog is not None, "the gate admits no other"
        try:
            field = EventField.parse(event.request.headers.get("Event") or "")
            expires = event.request.expires
        except ParseError:
            exchange.refuse(event, reasons.BAD_SUBSCRIBE)
            return
        notifier = self._notifiers.get(field.package)
        if notifier is None:
            exchange.refuse(event, reasons.UNKNOWN_PACKAGE, (("Allow-Events", self.packages),))
            return
        resource = Resource(self._domain_of(event) or "", name_of(event.request.uri))
        wanted = notifier.default_expires if expires is None else min(expires, notifier.max_expires)
        refusal = self._refusal(event.request, notifier, resource, identity, wanted)
        if refusal is not None:
            headers = (("Min-Expires", str(notifier.min_expires)),) if refusal.status == 423 else ()
            exchange.refuse(event, refusal, headers if refusal.status != 503 else (("Retry-After", "60"),))
            return
        contact = event.request.contact
        key = (identity, str(event.request.from_.uri if contact is None else contact.uri), notifier.package, resource)
        self._open(key, notifier, event, field, wanted)

    def _refusal(
        self, request: Request, notifier: Notifier, resource: Resource, identity: Identity, expires: int
    ) -> Reason | None:
        if resource.tenant != identity.tenant or notifier.state_of(resource) is None:
            # H12: another tenant's users are as unknown as nobody's.
            return reasons.UNKNOWN_NUMBER
        if notifier.own_user_only and identity.user != resource.user:
            return reasons.NOT_YOURS_TO_WATCH
        if 0 < expires < notifier.min_expires:
            return reasons.TOO_BRIEF
        if not accepts(request, notifier.content_type, otherwise=True):
            return reasons.UNACCEPTABLE_STATE
        if len(self._open_ones) >= MAX_SUBSCRIPTIONS:
            return reasons.TOO_MANY_SUBSCRIPTIONS
        of_resource = len(self.watched.get((notifier.package, resource), ()))
        if self._by_watcher[identity] >= MAX_OF_WATCHER or of_resource >= MAX_OF_RESOURCE:
            return reasons.TOO_MANY_SUBSCRIPTIONS
        return None

    def _open(self, key: Key, notifier: Notifier, event: RequestReceived, field: EventField, expires: int) -> None:
        # RFC 6665 §4.4.3: one that only asks once leaves the others as they are.
        before = self._by_key.get(key) if expires else None
        if before is not None:
            # The phone was restarted: what it has forgotten must not pile up here.
            self.counters["subscriptions_replaced"] += 1
            before.watch.drop()
        assert event.dialog is not None and self._loop is not None, "looked at before"
        subscription = Subscription(self, key, notifier, event.dialog, field, self._loop)
        if expires:
            self._by_key[key] = subscription
        self._enter(subscription)
        self.exchange.respond(event.transaction, 200, (("Expires", str(expires)),))
        subscription.watch.subscribed(expires)
        self.keep(subscription, expires)

    def _reopen(self, kept: KeptSubscription) -> bool:
        """Go on with a subscription of the process before; False when there is nothing to go on with.

        Raises: ParseError for an event that cannot be read, and then no dialog is opened.
        """
        assert self._loop is not None, "called by start"
        wallclock = self._wallclock()
        resource, left = Resource(kept.tenant, kept.user), kept.expires_at - wallclock
        notifier = self._notifiers.get(kept.package)
        identity = Identity(kept.tenant, kept.watcher)
        if notifier is None or not self._knows(identity) or left <= 0 or len(self._open_ones) >= MAX_SUBSCRIPTIONS:
            return False
        event = EventField.parse(kept.event)
        number = max(kept.dialog.local_cseq, number_by_clock(wallclock))
        dialog = self.exchange.endpoint.restore_dialog(replace(kept.dialog, local_cseq=number))
        if dialog is None:
            return False
        key = (identity, kept.contact, kept.package, resource)
        subscription = Subscription(self, key, notifier, dialog, event, self._loop)
        subscription.tag, subscription.version = kept.id, number
        self._by_key[key] = subscription
        self._enter(subscription)
        self.counters["subscriptions_restored"] += 1
        watch = subscription.watch
        if notifier.state_of(resource) is None:
            watch.kept(left)
            watch.end("noresource")
        elif kept.dialog.flow.reliable:
            # Its connection ended with the process before; the phone opens the next one, which it registers on.
            watch.kept(left)
            self._wait_for(subscription)
        else:
            watch.subscribed(max(round(left), 1))
        return True

    def _enter(self, subscription: Subscription) -> None:
        key = subscription.key
        self._open_ones.add(subscription)
        self.watched.setdefault((key[2], key[3]), set()).add(subscription)
        self._by_watcher[key[0]] += 1
        self.exchange.dialogs[subscription.watch.dialog] = subscription

    def keep(self, subscription: Subscription, expires: int) -> None:
        """It was accepted, or refreshed: whoever keeps it has it as it is now."""
        if self._keeper is None or not expires or self._by_key.get(subscription.key) is not subscription:
            return
        dialog = self.exchange.endpoint.save_dialog(subscription.watch.dialog)
        identity, contact, package, resource = subscription.key
        if dialog is None or type(identity) is not Identity:
            return
        subscription.tag = dialog.local_tag
        self._keeper.subscription_saved(
            KeptSubscription(
                id=dialog.local_tag,
                tenant=resource.tenant,
                watcher=identity.user,
                contact=contact,
                package=package,
                user=resource.user,
                event=str(subscription.watch.machine.event),
                expires_at=self._wallclock() + expires,
                dialog=dialog,
            )
        )

    def clock_was_set(self) -> None:
        """The wallclock stepped: what is kept lasts as long as it was granted for."""
        if self._loop is not None:
            now = self._loop.time()
            for subscription in self._open_ones:
                if subscription.tag:
                    self.keep(subscription, max(round(subscription.watch.machine.expires_at - now), 1))

    def forget(self, subscription: Subscription) -> None:
        """It is over."""
        key = subscription.key
        self.exchange.dialogs.pop(subscription.watch.dialog, None)
        self._open_ones.discard(subscription)
        if self._by_key.get(key) is subscription:
            del self._by_key[key]
        watching = self.watched.get((key[2], key[3]), set())
        watching.discard(subscription)
        if not watching:
            self.watched.pop((key[2], key[3]), None)
        self._by_watcher[key[0]] -= 1
        if self._by_watcher[key[0]] <= 0:
            del self._by_watcher[key[0]]
        self.heard_of(subscription)
        if subscription.tag and self._keeper is not None:
            self._keeper.subscription_removed(key[0].tenant, subscription.tag)

    # Who is away

    def follow(self, subscription: Subscription) -> None:
        """Take the connection that its phone has registered on since, when its own is gone."""
        endpoint, dialog = self.exchange.endpoint, subscription.watch.dialog
        if not endpoint.has_lost_flow(dialog):
            return
        identity, contact = subscription.key[:2]
        for binding in self._lookup(identity.tenant, identity.user):
            if binding.contact == contact and binding.flow.connection:
                endpoint.move_dialog(dialog, binding.flow)
                return

    def waits_for(self, subscription: Subscription) -> bool:
        """Nobody answered a NOTIFY: whether that is because the connection of its watcher is gone."""
        if not self.exchange.endpoint.has_lost_flow(subscription.watch.dialog):
            return False
        self._wait_for(subscription)
        return True

    def _wait_for(self, subscription: Subscription) -> None:
        self._away.setdefault(_place_of(subscription), set()).add(subscription)

    def heard_of(self, subscription: Subscription) -> None:
        """Its watcher is not waited for any more: it has spoken, or the subscription is over."""
        place = _place_of(subscription)
        waiting = self._away.get(place)
        if waiting is not None:
            waiting.discard(subscription)
            if not waiting:
                del self._away[place]

    def _reconnect(self, resource: Resource, binding: Binding) -> None:
        for subscription in self._away.pop((*resource, binding.contact), ()):
            self.exchange.endpoint.move_dialog(subscription.watch.dialog, binding.flow)
            subscription.watch.came_back()

    # NOTIFY

    @property
    def exchange(self) -> Exchange:
        assert self._exchange is not None, "works between the start and the end of its App"
        return self._exchange

    def changed(self, notifier: Notifier, resource: Resource) -> None:
        """Tell the watchers of a resource; nothing before the start and after the end."""
        if self._exchange is None:
            return
        for subscription in tuple(self.watched.get((notifier.package, resource), ())):
            subscription.watch.changed()
        if notifier.unsolicited:
            self._owe(notifier, resource)

    def _owe(self, notifier: Notifier, resource: Resource) -> None:
        """The resource's own phones hear of it too, once an interval with the newest state."""
        key = (notifier.package, resource)
        if key not in self._owed and self._loop is not None:
            self._owed[key] = self._loop.call_later(notifier.interval, self._pay, notifier, resource)

    def _pay(self, notifier: Notifier, resource: Resource) -> None:
        del self._owed[(notifier.package, resource)]
        state = notifier.state_of(resource)
        if state is not None:
            self.tell_own(notifier, resource, state)

    def tell_own(self, notifier: Notifier, resource: Resource, state: State) -> None:
        """Tell the phones of the resource's own user, unless they watch him anyway; nothing before the start."""
        if self._exchange is not None:
            for binding in self._lookup(resource.tenant, resource.user):
                self._tell(notifier, resource, state, binding)

    def tell_phones(self, resource: Resource, bindings: Sequence[Binding], flow: Flow) -> None:
        """A REGISTER came on `flow`: its phones hear of their own user, unless they watch him anyway."""
        if self._away:
            for binding in bindings:
                if binding.flow == flow and flow.connection:
                    self._reconnect(resource, binding)
        for notifier in self._notifiers.values():
            if notifier.unsolicited and (state := notifier.state_of(resource)) is not None:
                for binding in bindings:
                    if binding.flow == flow:
                        self._tell(notifier, resource, state, binding)

    def _tell(self, notifier: Notifier, resource: Resource, state: State, binding: Binding) -> None:
        watchers = self.watched.get((notifier.package, resource), ())
        if any(each.key[1] == binding.contact for each in watchers):
            return
        target = target_of(binding)
        own = NameAddr(resource.uri)
        headers = [("Route", value) for value in target.path]
        headers += [
            ("From", str(own)),
            ("To", str(own)),
            ("Event", notifier.package),
            ("Subscription-State", "active"),
            ("Content-Type", notifier.content_type),
        ]
        body = state if isinstance(state, bytes) else state.render(0, None)
        self.counters["notifies_unsolicited"] += 1
        self.exchange.send(_Unheard(), Request("NOTIFY", target.uri, headers, body), target.flow)

    def pace(self, watch: Watch) -> None:
        """Send the NOTIFY now or when its turn comes."""
        assert self._loop is not None, "watches are made after the start"
        if not self._queue and self._take():
            self.counters["notifies_sent"] += 1
            watch.send()
            return
        self._queue.append(watch)
        if self._timer is None:
            self._timer = self._loop.call_later(1 / NOTIFY_RATE, self._next)

    def _next(self) -> None:
        self._timer = None
        while self._queue and self._take():
            self.counters["notifies_sent"] += 1
            self._queue.popleft().send()
        if self._queue and self._loop is not None:
            self._timer = self._loop.call_later(NOTIFY_BURST / NOTIFY_RATE / 2, self._next)

    def _take(self) -> bool:
        assert self._loop is not None, "after the start"
        now = self._loop.time()
        self._tokens = min(self._tokens + (now - self._filled_at) * NOTIFY_RATE, float(NOTIFY_BURST))
        self._filled_at = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


class Subscription:
    """One watcher of one resource: the user of its dialog."""

    def __init__(  # who, what, where
        self,
        table: Subscriptions,
        key: Key,
        notifier: Notifier,
        dialog: DialogId,
        field: EventField,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.key = key
        self._table = table
        self._notifier = notifier
        # What its keeper knows it by, "" when nobody keeps it.
        self.tag = ""
        self.version = 0
        self._before: Document | None = None
        self.watch = Watch(
            table.exchange,
            dialog,
            field,
            self,
            loop=loop,
            interval=notifier.interval,
            pace=table.pace,
            is_away=lambda: table.waits_for(self),
        )

    def render(self, watch: Watch) -> tuple[Headers, bytes]:
        """The state as it is now."""
        self._table.follow(self)
        state = self._notifier.state_of(self.key[3])
        headers = (("Content-Type", self._notifier.content_type),)
        if state is None:
            return (), b""
        if isinstance(state, bytes):
            return headers, state
        body = state.render(self.version, self._before)
        self.version, self._before = self.version + 1, state
        return headers, body

    def closed(self, watch: Watch) -> None:
        """The subscription is over."""
        self._table.forget(self)

    def on_request(self, event: RequestReceived) -> None:
        """A refresh, or the end (RFC 6665 §4.2.1.1)."""
        exchange, notifier = self._table.exchange, self._notifier
        if event.request.method != "SUBSCRIBE":
            exchange.refuse(event, reasons.NO_SUCH_SUBSCRIPTION)
            return
        try:
            expires = event.request.expires
            same = EventField.parse(event.request.headers.get("Event") or "") == self.watch.machine.event
        except ParseError:
            exchange.refuse(event, reasons.BAD_SUBSCRIBE)
            return
        wanted = notifier.default_expires if expires is None else min(expires, notifier.max_expires)
        if not same or self.watch.is_over:
            exchange.refuse(event, reasons.NO_SUCH_SUBSCRIPTION)
        elif 0 < wanted < notifier.min_expires:
            exchange.refuse(event, reasons.TOO_BRIEF, (("Min-Expires", str(notifier.min_expires)),))
        else:
            exchange.respond(event.transaction, 200, (("Expires", str(wanted)),))
            # RFC 4235 §4.1: the answer to a SUBSCRIBE is the full state.
            self._before = None
            self._table.heard_of(self)
            self.watch.subscribed(wanted)
            self._table.keep(self, wanted)

    def on_ack(self, request: Request) -> None:
        """No INVITE here."""

    def on_ack_timeout(self) -> None:
        """No INVITE here."""

    def on_dialog_ended(self) -> None:
        """The dialog goes with its only usage."""
        self.watch.drop()


def _place_of(subscription: Subscription) -> tuple[str, str, str]:
    identity, contact = subscription.key[:2]
    return identity.tenant, identity.user, contact


class _Unheard:
    """Waits for a response that changes nothing: a phone that takes no unsolicited NOTIFY says so each time."""

    def on_response(self, event: ResponseReceived) -> None:
        """Whatever it is."""

    def on_failure(self, event: RequestFailed) -> None:
        """Nothing to do."""
