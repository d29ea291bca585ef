"""The example's office with a real store and sealed recordings on the disk."""

from __future__ import annotations

import random
from pathlib import Path

from media.sealed import SealedReader
from pbx.audit import Audit
from pbx.recording_keys import FileTenantKeys
from pbx.recording_store import SealedRecordings
from pbx.recordings import Recordings
from pbx.store.base import RecordingFilter, RecordingRecord
from pbx.store.sqlite import SqliteStore
from tests.sim.plan_office import DOMAIN, EXAMPLE, PlanOffice
from voipat import events

WALLCLOCK = 1_800_000_000.0


class RecordingOffice(PlanOffice):
    """`store` has the rows, `recordings` the verbs."""

    def __init__(self, folder: Path, text: str = EXAMPLE, *, seed: int = 1) -> None:
        super().__init__(text, seed=seed)
        chance = random.Random(seed)
        self.store = SqliteStore.open(folder, wallclock=lambda: WALLCLOCK, random_bytes=chance.randbytes)
        self.sealed = SealedRecordings(
            folder / "recordings", FileTenantKeys(folder / "keys", chance.randbytes), chance.randbytes
        )
        audit = Audit(self.store, wallclock=lambda: WALLCLOCK, random_bytes=chance.randbytes)
        self.recordings = Recordings(
            self.store, self.sealed, audit, wallclock=lambda: WALLCLOCK, random_bytes=chance.randbytes
        )

    def __enter__(self) -> RecordingOffice:
        super().__enter__()
        self.board.desk.recordings = self.recordings
        self.app.subscribe(self.recordings.on_event, {events.RecordingEnded})
        return self

    def __exit__(self, *exception: object) -> None:
        super().__exit__(*exception)
        self.store.close()

    def rows(self, domain: str = DOMAIN) -> list[RecordingRecord]:
        """Every recording there is, oldest first."""
        self.store.flush()
        return self.recordings.listed(domain, RecordingFilter())[::-1]

    def audited(self, domain: str = DOMAIN) -> list[tuple[str, str, str, bool]]:
        """(actor, action, object, allowed), oldest first."""
        self.store.flush()
        rows = self.store.tenant(domain).audit(since=0.0, limit=100)
        return [(row.actor, row.action, row.object, row.allowed) for row in rows[::-1]]

    def reader(self, row: RecordingRecord) -> SealedReader:
        return self.sealed.open(DOMAIN, row.id)
