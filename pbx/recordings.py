"""Recorded calls: rows in the store, what was said in sealed files, and the one place that says who may hear it.

    begin ─▶ row "recording" ─▶ sealed file grows ─▶ ended: row "kept", "partial" or "failed"

A row is written before the first word, so that a recording that a crash cut short is found again (`recover`). One is
destroyed by its key first, its row last.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from media import MediaError
from media.recording_file import RecordingFile, wav_of
from media.sealed import Format, RandomBytes
from pbx.audit import OPERATOR, Audit
from pbx.recording_store import SealedRecordings
from pbx.store.base import MAX_QUERY_ROWS, RecordingFilter, RecordingRecord
from voipat import RecordingStore
from voipat.events import Event, RecordingEnded

log: Final = logging.getLogger(__name__)

FOLDER: Final = "recordings"
KEYS_FOLDER: Final = "recording-keys"
ON_DEMAND: Final = "on demand"
DAY_S: Final = 86400.0
# Recordings that one round of the retention destroys in a tenant.
SWEEP: Final = 100


class RecordingRows(Protocol):
    """One tenant's rows."""

    def recordings(self, wanted: RecordingFilter) -> list[RecordingRecord]: ...

    def recording(self, recording_id: str) -> RecordingRecord | None: ...

    def save_recording(self, recording: RecordingRecord) -> bool: ...

    def remove_recording(self, recording_id: str) -> bool: ...


class RecordingStores(Protocol):
    """Where the rows are."""

    def tenant(self, domain: str) -> RecordingRows: ...


@dataclass(frozen=True, slots=True)
class Listener:
    """Who wants to hear a recording: the operator of the machine, or an extension of a tenant."""

    tenant: str = ""
    extension: str = ""

    @property
    def name(self) -> str:
        """As the audit has it."""
        return self.extension or OPERATOR


class RefusedError(Exception):
    """Who asked may not hear that recording, or there is none."""


class Draft:
    """voipat.RecordingStore for one recording."""

    def __init__(self, sealed: SealedRecordings, record: RecordingRecord) -> None:
        self.record: Final = record
        self._sealed = sealed

    def place(self, tenant: str, name: str) -> str:
        """The recording's id: what CDRs and events say."""
        return self.record.id

    def create(self, tenant: str, name: str, form: Format) -> RecordingFile:
        """The sealed file. Blocks on the disk. Raises: OSError, RecordingError."""
        return self._sealed.create(tenant, self.record.id, form)


class Recordings:
    """The recordings of all tenants; every verb names its tenant."""

    def __init__(
        self,
        stores: RecordingStores,
        sealed: SealedRecordings,
        audit: Audit,
        *,
        wallclock: Callable[[], float],
        random_bytes: RandomBytes,
    ) -> None:
        self._stores = stores
        self._sealed = sealed
        self._audit = audit
        self._wallclock = wallclock
        self._random_bytes = random_bytes
        # Under way, by tenant and id.
        self._open: dict[tuple[str, str], RecordingRecord] = {}

    # Start

    def recover(self, domains: Iterable[str]) -> int:
        """Close the files that a crash left open; how many there were. Blocks on the disk."""
        return sum(self._recover(domain) for domain in domains)

    def _recover(self, domain: str) -> int:
        rows = self._stores.tenant(domain)
        found = 0
        for record in rows.recordings(RecordingFilter(state="recording", limit=MAX_QUERY_ROWS)):
            seconds, state = 0.0, "failed"
            try:
                seconds, state = self._sealed.finish(domain, record.id), "partial"
            except (MediaError, OSError) as error:
                log.warning("a recording that was cut short cannot be read: %s", error)
            rows.save_recording(record._replace(seconds=round(seconds, 2), state=state))
            found += 1
        return found

    # Recordings come

    def begin(self, tenant: str, *, linked_id: str, leg: str, owner: str, rule: str, caller: str, callee: str) -> Draft:
        """What a call records into; `ended` says how it went. Does not block."""
        identifier = self._random_bytes(12).hex()
        now = self._wallclock()
        record = RecordingRecord(identifier, linked_id, leg, owner, rule, caller, callee, now, 0.0, "recording")
        self._open[tenant, identifier] = record
        self._stores.tenant(tenant).save_recording(record)
        return Draft(self._sealed, record)

    def forget(self, tenant: str, draft: RecordingStore) -> None:
        """A draft that nothing was recorded into: its row would be one of a recording under way for ever."""
        assert isinstance(draft, Draft), "of `begin`"
        if self._open.pop((tenant, draft.record.id), None) is not None:
            self._stores.tenant(tenant).remove_recording(draft.record.id)

    def on_event(self, event: Event) -> None:
        """A recording of any call ended; voicemail's are not ours."""
        assert isinstance(event, RecordingEnded), "subscribed to these alone"
        record = self._open.pop((event.tenant, event.path), None)
        if record is None:
            return
        state = "kept"
        if event.is_partial:
            state = "partial" if event.seconds > 0 else "failed"
            log.warning("recording %s is %s: %s", record.id, state, event.problem)
        self._stores.tenant(event.tenant).save_recording(record._replace(seconds=round(event.seconds, 2), state=state))

    def switched_on(self, tenant: str, what: Collection[str], *, actor: str = OPERATOR) -> None:
        """The configuration records what it did not record before."""
        for each in sorted(what):
            self._audit.note(tenant, actor, "recording-enabled", each)

    # What is there. Everything below blocks on the disk.

    def listed(self, tenant: str, wanted: RecordingFilter) -> list[RecordingRecord]:
        """Newest first."""
        return self._stores.tenant(tenant).recordings(wanted)

    def find(self, tenant: str, recording_id: str) -> RecordingRecord | None:
        """One of the tenant's."""
        return self._stores.tenant(tenant).recording(recording_id)

    def hear(self, tenant: str, recording_id: str, listener: Listener) -> Iterator[bytes]:
        """The recording as a WAV file, piece by piece. Raises: RefusedError; MediaError, OSError there."""
        record = self._allowed(tenant, recording_id, listener, "recording-heard")
        with self._sealed.open(tenant, record.id) as reader:
            yield from wav_of(reader)

    def delete(self, tenant: str, recording_id: str, listener: Listener) -> None:
        """Destroy it: its key first, so that no copy can be read. Raises: RefusedError, RecordingError, OSError."""
        record = self._allowed(tenant, recording_id, listener, "recording-deleted")
        self._destroy(tenant, record)

    def _allowed(self, tenant: str, recording_id: str, listener: Listener, action: str) -> RecordingRecord:
        """The one place that decides: the operator all, an extension its own side's, nobody another tenant's."""
        record = self._stores.tenant(tenant).recording(recording_id)
        own = listener.tenant == tenant and record is not None and listener.extension == record.owner
        allowed = record is not None and (own if listener.extension else listener.tenant in ("", tenant))
        self._audit.note(tenant, listener.name, action, recording_id, allowed=allowed)
        if record is None or not allowed:
            raise RefusedError(f"there is no recording {recording_id}")
        if record.state == "recording":
            raise RefusedError(f"{recording_id} is being recorded")
        return record

    # Retention

    def sweep(self, domain: str, *, days: int) -> int:
        """Destroy what is older than its tenant keeps it (0: until somebody deletes it); how many.

        What cannot be destroyed is logged, and tried again by the next sweep.
        """
        if not days:
            return 0
        old = RecordingFilter(until=self._wallclock() - days * DAY_S, limit=SWEEP)
        found = [each for each in self.listed(domain, old) if each.state != "recording"]
        return sum(self._is_swept(domain, record) for record in found)

    def _is_swept(self, domain: str, record: RecordingRecord) -> bool:
        try:
            self._destroy(domain, record)
        except (OSError, MediaError) as error:
            log.error("a recording whose time is over is still on the disk: %s", error)
            return False
        self._audit.note(domain, "retention", "recording-deleted", record.id)
        return True

    def sweep_gone(self, domain: str) -> bool:
        """Destroy all of a tenant that is gone for good; False when there was nothing left."""
        rows = self._stores.tenant(domain)
        page = rows.recordings(RecordingFilter(limit=MAX_QUERY_ROWS))
        if not page and not self._sealed.has_any(domain):
            return False
        self._audit.note(domain, "retention", "recordings-deleted", domain)
        self._sealed.destroy_tenant(domain)
        while page:
            for record in page:
                rows.remove_recording(record.id)
            before = page[-1].started, page[-1].id
            page = rows.recordings(RecordingFilter(limit=MAX_QUERY_ROWS, before=before))
        return True

    def _destroy(self, tenant: str, record: RecordingRecord) -> None:
        self._sealed.destroy(tenant, record.id)
        self._stores.tenant(tenant).remove_recording(record.id)
