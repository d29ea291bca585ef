"""Opens the recordings of a data directory, and destroys those whose time is over."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from media import MediaError
from media.sealed import RandomBytes
from pbx.audit import Audit
from pbx.recording_keys import FileTenantKeys
from pbx.recording_store import SealedRecordings
from pbx.recordings import DAY_S, FOLDER, KEYS_FOLDER, Recordings, RecordingStores
from pbx.store.base import Store
from pbx.store.cdr_queries import GONE_KEY
from pbx.tenants import TenantConfig

log: Final = logging.getLogger(__name__)

GONE_OWNER: Final = "tenant"  # who has `GONE_KEY` in the state of a tenant
# Of a tenant that is no more: the privacy policy promises 30 days.
GONE_DAYS = 30
FLUSH_S = 10.0


def open_recordings(
    data: Path, stores: RecordingStores, audit: Audit, *, wallclock: Callable[[], float], random_bytes: RandomBytes
) -> Recordings:
    """The recordings, before `recover`. Blocks on the disk. Raises: SecretError, OSError."""
    keys = FileTenantKeys(data / KEYS_FOLDER, random_bytes)
    sealed = SealedRecordings(data / FOLDER, keys, random_bytes)
    return Recordings(stores, sealed, audit, wallclock=wallclock, random_bytes=random_bytes)


def sweep_recordings(
    recordings: Recordings, store: Store, tenants: Sequence[TenantConfig], wallclock: float
) -> list[str]:
    """Destroy what is older than its tenant keeps it, and all of the tenants that are gone for 30 days: these.

    What was set by hand in them (forwards, whom to call back) goes too.

    Blocks on the disk.
    """
    configured = {tenant.domain: tenant.plan.limits.recordings_days for tenant in tenants}
    gone = []
    # What is on its way to the disk is seen too: the row of a recording must not outlive its file.
    store.flush(FLUSH_S)
    for domain in store.domains():
        since = _gone_since(store, domain)
        if domain in configured:
            if since is not None:
                store.tenant(domain).save_state(GONE_OWNER, GONE_KEY, None)
            while recordings.sweep(domain, days=configured[domain]):
                store.flush(FLUSH_S)
        elif since is None:
            store.tenant(domain).save_state(GONE_OWNER, GONE_KEY, repr(wallclock))
        elif wallclock - since >= GONE_DAYS * DAY_S:
            try:
                recordings.sweep_gone(domain)
            except (OSError, MediaError) as error:
                # The other tenants' data has its time too; the next sweep tries again.
                log.error("recordings of a tenant that is gone are still on the disk: %s", error)
            _forget_state(store, domain)
            gone.append(domain)
    return gone


def _gone_since(store: Store, domain: str) -> float | None:
    found = (value for owner, key, value in store.tenant(domain).load_state() if (owner, key) == (GONE_OWNER, GONE_KEY))
    return next(map(float, found), None)


def _forget_state(store: Store, domain: str) -> None:
    """All but since when the tenant is gone."""
    kept = store.tenant(domain)
    for owner, key, _ in kept.load_state():
        if (owner, key) != (GONE_OWNER, GONE_KEY):
            kept.save_state(owner, key, None)
