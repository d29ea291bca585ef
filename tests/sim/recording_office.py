"""The example's office with a real store and sealed recordings on the disk."""

from __future__ import annotations

import random
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from media.sealed import SealedReader
from pbx.audit import Audit
from pbx.recording_keys import FileTenantKeys
from pbx.recording_store import SealedRecordings
from pbx.recordings import Recordings
from pbx.store.base import RecordingFilter, RecordingRecord
from pbx.store.sqlite import SqliteStore
from tests.sim.plan_office import DOMAIN, EXAMPLE, PlanOffice
from voipat import events
from voipat.testing import Phone

Sound = np.ndarray[Any, np.dtype[np.int16]]

WALLCLOCK = 1_800_000_000.0


class Tapes:
    """What records: `store` has the rows, `sealed` the sound, `recordings` the verbs."""

    def __init__(self, folder: Path, seed: int = 1) -> None:
        chance = random.Random(seed)
        self.store = SqliteStore.open(folder, wallclock=lambda: WALLCLOCK, random_bytes=chance.randbytes)
        self.sealed = SealedRecordings(
            folder / "recordings", FileTenantKeys(folder / "keys", chance.randbytes), chance.randbytes
        )
        # Rows of one moment have no order.
        moments = count(1)
        audit = Audit(self.store, wallclock=lambda: WALLCLOCK + next(moments) / 1e3, random_bytes=chance.randbytes)
        self.recordings = Recordings(
            self.store, self.sealed, audit, wallclock=lambda: WALLCLOCK, random_bytes=chance.randbytes
        )

    def attach(self, office: PlanOffice) -> None:
        """Record its calls, from when it has begun."""
        office.board.desk.recordings = self.recordings
        office.app.subscribe(self.recordings.on_event, {events.RecordingEnded})

    def rows(self, domain: str = DOMAIN) -> list[RecordingRecord]:
        """Every recording there is, oldest first."""
        self.store.flush()
        return self.recordings.listed(domain, RecordingFilter())[::-1]

    def reader(self, row: RecordingRecord) -> SealedReader:
        return self.sealed.open(DOMAIN, row.id)

    def channels(self, row: RecordingRecord) -> tuple[Sound, Sound, int]:
        """What the recorded side said and was told, and the samples of a second."""
        with self.reader(row) as reader:
            data = np.frombuffer(b"".join(reader.read()), np.int16).reshape(-1, 2)
            return data[:, 0], data[:, 1], reader.form.rate


class RecordingOffice(PlanOffice):
    """The office with its tapes."""

    def __init__(self, folder: Path, text: str = EXAMPLE, *, seed: int = 1) -> None:
        super().__init__(text, seed=seed)
        self.tapes = Tapes(folder, seed)
        self.store, self.sealed, self.recordings = self.tapes.store, self.tapes.sealed, self.tapes.recordings
        self.rows, self.reader = self.tapes.rows, self.tapes.reader

    def __enter__(self) -> RecordingOffice:
        super().__enter__()
        self.tapes.attach(self)
        return self

    def __exit__(self, *exception: object) -> None:
        super().__exit__(*exception)
        self.store.close()

    def audited(self, domain: str = DOMAIN) -> list[tuple[str, str, str, bool]]:
        """(actor, action, object, allowed), oldest first."""
        self.store.flush()
        rows = self.store.tenant(domain).audit(since=0.0, limit=100)
        return [(row.actor, row.action, row.object, row.allowed) for row in rows[::-1]]


def share(samples: Sound, phone: Phone, rate: int) -> float:
    """How much of the sound is the phone's tone."""
    wave = np.exp(-2j * np.pi * phone.tone * np.arange(len(samples)) / rate)
    power = float(np.mean(samples.astype(float) ** 2))
    return 0.0 if power == 0 else float(2 * abs(np.mean(samples * wave)) ** 2 / power)
