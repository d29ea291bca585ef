"""What `voipat` tells, handed to the store: call events become CDR facts, bindings become rows and come back."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterable, Iterator
from typing import Final, Protocol

from pbx.cdr import Cause, CdrWriter, LegAnswered, LegEnded, LegMedia, LegStarted
from pbx.store.base import BindingRecord, Store, SubscriptionRecord, TenantReader, TenantStore
from pbx.tenant_state import LiveState
from voipat.events import (
    CallAnswered,
    CallEnded,
    CallRouted,
    CallStarted,
    CallTaken,
    CallTransferred,
    Event,
    RecordingStarted,
)
from voipat.kept_subscriptions import KeptSubscription
from voipat.location import Binding, MemoryLocation

log = logging.getLogger(__name__)


class WritingStores(Protocol):
    """The part of `Store` that a `BindingKeeper` needs."""

    def tenant(self, domain: str) -> TenantStore: ...


class ReadingStores(Protocol):
    """The part of `Store` that `stored_bindings` needs."""

    def tenant(self, domain: str) -> TenantReader: ...


class WatcherRows(Protocol):
    """The part of one tenant's store that `StoredSubscriptions` needs."""

    def load_subscriptions(self) -> list[SubscriptionRecord]: ...

    def save_subscription(self, subscription: SubscriptionRecord) -> bool: ...

    def remove_subscription(self, subscription_id: str) -> bool: ...


class WatchingStores(Protocol):
    """Where they are."""

    def tenant(self, domain: str) -> WatcherRows: ...


class StoredState:
    """A `StateKeeper` that writes to the store."""

    def __init__(self, store: WritingStores) -> None:
        self._store = store

    def save_state(self, tenant: str, owner: str, key: str, value: str | None) -> None:
        """Keep it, within the group commit."""
        self._store.tenant(tenant).save_state(owner, key, value)


def restored_state(store: Store, domains: Iterable[str]) -> LiveState:
    """The state as it was when the last daemon ended. Blocks on the disk."""
    state = LiveState(StoredState(store))
    for domain in domains:
        state.restore(domain, store.tenant(domain).load_state())
    return state


class CdrListener:
    """A listener of call events that feeds a `CdrWriter`."""

    EVENTS: Final = frozenset(
        {CallStarted, CallAnswered, CallRouted, CallTransferred, CallTaken, CallEnded, RecordingStarted}
    )

    def __init__(self, writer: CdrWriter) -> None:
        self._writer = writer

    def __call__(self, event: Event) -> None:
        """Hand over what the event means for CDRs; other events mean nothing."""
        match event:
            case CallStarted():
                self._writer.started(_started(event))
            case CallAnswered():
                self._writer.answered(LegAnswered(event.id, event.answered, event.codec))
            case CallRouted():
                self._writer.routed(event.id, event.target)
            case RecordingStarted():
                self._writer.recorded(event.id, event.path)
            case CallEnded():
                self._writer.ended(_ended(event))
            case CallTaken():
                self._writer.joined(event.joined, event.linked_id)
            case CallTransferred() if event.joined:
                self._writer.joined(event.joined, event.linked_id)


class BindingKeeper:
    """A `LocationObserver` that keeps bindings in the store."""

    def __init__(self, store: WritingStores) -> None:
        self._store = store

    def binding_saved(self, binding: Binding) -> None:
        """Save it, within the group commit."""
        row = BindingRecord(binding.aor, binding.key, binding.contact, binding.expires_at, binding.to_fields())
        self._store.tenant(binding.tenant).save_binding(row)

    def binding_removed(self, binding: Binding) -> None:
        """Remove it, within the group commit."""
        self._store.tenant(binding.tenant).remove_binding(binding.aor, binding.key)


class StoredSubscriptions:
    """A `SubscriptionKeeper` with its rows in the store. Reads those of `domains` at once, which blocks on the disk."""

    def __init__(self, store: WatchingStores, domains: Iterable[str]) -> None:
        self._store = store
        self._kept = [kept for domain in domains for kept in self._read(domain)]

    def _read(self, domain: str) -> Iterator[KeptSubscription]:
        for row in self._store.tenant(domain).load_subscriptions():
            try:
                yield KeptSubscription.from_fields(row.id, domain, row.expires_at, dict(row.fields))
            except (KeyError, TypeError, ValueError) as error:
                log.error("a stored subscription of %s cannot be read and is left out: %r", domain, error)

    def kept_subscriptions(self) -> Iterable[KeptSubscription]:
        """Those of the daemon before, once."""
        kept, self._kept = self._kept, []
        return kept

    def subscription_saved(self, subscription: KeptSubscription) -> None:
        """Save it, within the group commit."""
        row = SubscriptionRecord(subscription.id, subscription.expires_at, subscription.to_fields())
        self._store.tenant(subscription.tenant).save_subscription(row)

    def subscription_removed(self, tenant: str, id_: str) -> None:
        """Remove it, within the group commit."""
        self._store.tenant(tenant).remove_subscription(id_)


def stored_bindings(store: ReadingStores, domains: Iterable[str], wallclock: float) -> Iterator[Binding]:
    """The bindings of the tenants that have not expired. Blocks on the disk."""
    for domain in domains:
        for row in store.tenant(domain).load_bindings():
            if row.expires_at <= wallclock:
                continue
            try:
                yield Binding.from_fields(domain, row.aor, row.contact, row.expires_at, dict(row.fields))
            except (KeyError, TypeError, ValueError) as error:
                # One unreadable row must not keep the others' phones from ringing.
                log.error("a stored binding of %s cannot be read and is left out: %r", domain, error)


def restore_bindings(location: MemoryLocation, store: ReadingStores, domains: Iterable[str], wallclock: float) -> None:
    """Put the stored bindings into `location` at the start. Blocks on the disk.

    The garbage collector rests meanwhile: walking the growing heap again and again took 2.6 of 4.6 s for 100,000
    bindings, and none of it is garbage.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        location.restore(stored_bindings(store, domains, wallclock))
    finally:
        if was_enabled:
            gc.enable()


def _started(event: CallStarted) -> LegStarted:
    return LegStarted(
        id=event.id,
        linked_id=event.linked_id,
        tenant=event.tenant,
        leg=event.leg,
        direction=event.direction,
        caller=event.caller,
        callee=event.callee,
        call_id=event.call_id,
        started=event.started,
    )


def _ended(event: CallEnded) -> LegEnded:
    media = event.media
    return LegEnded(
        id=event.id,
        ended=event.ended,
        disposition=event.disposition,
        hangup_by=event.hangup_by,
        cause=Cause(event.cause.sip or None, event.cause.q850 or None, event.cause.id or None),
        media=LegMedia(
            codec=media.codec,
            packets=media.packets_received,
            loss=media.loss,
            jitter=media.jitter_ms,
            mos=media.mos,
            loss_out=media.loss_out,
            jitter_out=media.jitter_out_ms,
            mos_out=media.mos_out,
            rtt=media.round_trip_ms,
            crypto=media.crypto,
            beside=media.beside,
        ),
        duration_s=event.duration_s,
        billable_s=event.billable_s,
    )
