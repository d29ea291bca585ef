"""Opens the recordings of a data directory, and destroys those whose time is over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from media.sealed import RandomBytes
from pbx.audit import Audit
from pbx.recording_keys import FileTenantKeys
from pbx.recording_store import SealedRecordings
from pbx.recordings import FOLDER, KEYS_FOLDER, Recordings, RecordingStores
from pbx.store.base import Store
from pbx.tenants import TenantConfig

# In the state of a tenant that is configured no more: since when.
GONE_OWNER = "tenant"
GONE_KEY = "gone_since"


def open_recordings(
    data: Path, stores: RecordingStores, audit: Audit, *, wallclock: Callable[[], float], random_bytes: RandomBytes
) -> Recordings:
    """The recordings, before `recover`. Blocks on the disk. Raises: SecretError, OSError."""
    keys = FileTenantKeys(data / KEYS_FOLDER, random_bytes)
    sealed = SealedRecordings(data / FOLDER, keys, random_bytes)
    return Recordings(stores, sealed, audit, wallclock=wallclock, random_bytes=random_bytes)


def sweep_recordings(recordings: Recordings, store: Store, tenants: Sequence[TenantConfig], wallclock: float) -> int:
    """Destroy what is older than its tenant keeps it, and all of tenants that are gone for 30 days; how many tenants

    were swept empty. Blocks on the disk.
    """
    configured = {tenant.domain: tenant.plan.limits.recordings_days for tenant in tenants}
    emptied = 0
    for domain in store.domains():
        since = _gone_since(store, domain)
        if domain in configured:
            if since is not None:
                store.tenant(domain).save_state(GONE_OWNER, GONE_KEY, None)
            while recordings.sweep(domain, days=configured[domain]):
                continue
        elif since is None:
            store.tenant(domain).save_state(GONE_OWNER, GONE_KEY, repr(wallclock))
        else:
            emptied += recordings.sweep_gone(domain, since)
    return emptied


def _gone_since(store: Store, domain: str) -> float | None:
    found = (value for owner, key, value in store.tenant(domain).load_state() if (owner, key) == (GONE_OWNER, GONE_KEY))
    return next(map(float, found), None)
