"""Messages of every mailbox: rows in the store, what was said in sealed files, counts in memory.

    begin ─▶ row "recording" ─▶ sealed file grows ─▶ end: row "kept", or nothing is left (less than a second of voice)

A row is written before the first word, so that a message that a crash cut short is found again: `recover` closes its
file and keeps it; a copy that was cut short ("copying") goes. A message is deleted by destroying its key first and
removing its row last, for the same reason.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from media import MediaError
from media.recording_file import export_wav, wav_of
from media.sealed import RandomBytes, SealedReader
from pbx.recording_store import SealedRecordings
from pbx.store.base import MessageRecord
from pbx.voicemail.draft import Draft, Ear
from pbx.voicemail.pins import Pins
from voipat import Mailbox

log = logging.getLogger(__name__)

SHORTEST_S: Final = 1.0
SILENCE_S: Final = 10.0
GREETING_S: Final = 60.0
MAX_NAME: Final = 128
_FOLDERS: Final = ("new", "old")


class Counts(NamedTuple):
    """What a lamp says (RFC 3842)."""

    new: int
    old: int


class MessageStore(Protocol):
    """One tenant's rows."""

    def load_messages(self) -> list[MessageRecord]: ...

    def save_message(self, message: MessageRecord) -> bool: ...

    def remove_message(self, message_id: str) -> bool: ...


class MessageStores(Protocol):
    """Where the rows are."""

    def tenant(self, domain: str) -> MessageStore: ...


Changed = Callable[[str, str], None]
Kept = Callable[[str, MessageRecord], None]


class Mailboxes:
    """The messages of all tenants; every verb names its tenant."""

    def __init__(
        self,
        stores: MessageStores,
        recordings: SealedRecordings,
        pins: Pins,
        *,
        wallclock: Callable[[], float],
        random_bytes: RandomBytes,
    ) -> None:
        self._stores = stores
        self._recordings = recordings
        self.pins: Final = pins
        self._wallclock = wallclock
        self._random_bytes = random_bytes
        self._records: dict[tuple[str, str], dict[str, MessageRecord]] = {}
        self._watchers: list[Changed] = []
        self._takers: list[Kept] = []

    # Start

    def recover(self, domains: Iterable[str]) -> int:
        """Read what is there, and keep what a crash cut short; how many that were. Blocks on the disk."""
        return sum(self._recover(domain) for domain in domains)

    def _recover(self, domain: str) -> int:
        records = self._stores.tenant(domain).load_messages()
        found = 0
        for record in records:
            if record.state == "kept":
                self._put(domain, record)
            elif self._saved(domain, record):
                found += 1
        known = {record.id for record in records}
        try:
            names = self._recordings.names(domain)
        except MediaError as error:
            log.error("what is left of deleted messages cannot be looked for: %s", error)
            return found
        for name in names:
            if name not in known:
                self._shred(domain, name)
        return found

    def _saved(self, domain: str, record: MessageRecord) -> bool:
        """Whether a recording that was cut short is a message; nothing is left of it otherwise."""
        seconds = 0.0
        if record.folder in _FOLDERS and record.state == "recording":
            try:
                seconds = self._recordings.finish(domain, record.id)
                if self._voice_seconds(domain, record.id) < SHORTEST_S:
                    seconds = 0.0
            except (MediaError, OSError) as error:
                log.warning("a message that was cut short cannot be read: %s", error)
        if seconds < SHORTEST_S:
            self._shred(domain, record.id)
            return False
        self._take(domain, record._replace(seconds=seconds, state="kept"))
        return True

    def _voice_seconds(self, tenant: str, message_id: str) -> float:
        ear = Ear()
        with self._recordings.open(tenant, message_id) as reader:
            for piece in reader.read():
                ear.hear(piece, reader.form)
        return ear.voice_s

    # What is there

    def messages(self, tenant: str, mailbox: str) -> list[MessageRecord]:
        """New messages first, each folder oldest first."""
        kept = [each for each in self._of(tenant, mailbox).values() if _is_message(each)]
        return sorted(kept, key=lambda each: (_FOLDERS.index(each.folder), each.received, each.id))

    def counts(self, tenant: str, mailbox: str) -> Counts:
        """How many new and old messages."""
        folders = [each.folder for each in self._of(tenant, mailbox).values() if _is_message(each)]
        return Counts(folders.count("new"), folders.count("old"))

    def mailbox_counts(self, tenant: str, extension: str) -> Mailbox:
        """The same for the lamps of the phones (RFC 3842)."""
        found = self.counts(tenant, extension)
        return Mailbox(new=found.new, old=found.old)

    def is_full(self, tenant: str, mailbox: str, most: int) -> bool:
        """Whether there is no room; messages that are being spoken count."""
        return sum(each.folder in _FOLDERS for each in self._of(tenant, mailbox).values()) >= most

    def greeting(self, tenant: str, mailbox: str) -> MessageRecord | None:
        """The greeting of its owner; None for the standard one."""
        kept = (each for each in self._of(tenant, mailbox).values() if each.folder == "greeting")
        return next((each for each in kept if each.state == "kept"), None)

    def find(self, tenant: str, message_id: str) -> MessageRecord | None:
        """A message of any mailbox of the tenant."""
        boxes = (box for (domain, _), box in self._records.items() if domain == tenant)
        return next((box[message_id] for box in boxes if message_id in box and _is_message(box[message_id])), None)

    def all(self, tenant: str | None, mailbox: str | None) -> list[tuple[str, MessageRecord]]:
        """(tenant, message) of all, or those of one tenant or one mailbox."""
        keys = [key for key in sorted(self._records) if tenant in (None, key[0]) and mailbox in (None, key[1])]
        return [(domain, each) for domain, box in keys for each in self.messages(domain, box)]

    def on_changed(self, tell: Changed) -> None:
        """Call `tell(tenant, mailbox)` whenever the counts of a mailbox may have changed."""
        self._watchers.append(tell)

    def on_kept(self, take: Kept) -> None:
        """Call `take(tenant, message)` for every new message, before its row says that it is kept."""
        self._takers.append(take)

    # Messages come

    def begin(self, tenant: str, mailbox: str, *, caller: str = "", name: str = "", greeting: bool = False) -> Draft:
        """What a call records into; `end` says how it went."""
        folder = "greeting" if greeting else "new"
        received = self._wallclock()
        row = MessageRecord(self._new_id(), mailbox, caller, name[:MAX_NAME], received, 0.0, folder, "recording")
        self._put(tenant, row)
        self._stores.tenant(tenant).save_message(row)
        return Draft(self._recordings, row, silence_s=SILENCE_S)

    def end(self, tenant: str, draft: Draft, seconds: float) -> bool:
        """Keep what was recorded; False for less than a second of voice, of which nothing is left."""
        row = draft.record
        if min(seconds, draft.voice_s) < SHORTEST_S:
            self._drop(tenant, row)
            return False
        kept = row._replace(seconds=round(seconds, 2), state="kept")
        if row.folder == "greeting":
            self.remove_greeting(tenant, row.mailbox)
            self._keep(tenant, kept)
        else:
            self._take(tenant, kept)
        return True

    async def forward(self, tenant: str, message: MessageRecord, mailbox: str) -> None:
        """Put a copy, under a key of its own, into another mailbox of the tenant. Raises: MediaError, OSError."""
        row = message._replace(id=self._new_id(), mailbox=mailbox, folder="new", state="copying")
        self._put(tenant, row)
        self._stores.tenant(tenant).save_message(row)
        try:
            await asyncio.to_thread(self._copy, tenant, message.id, row.id)
        except BaseException:
            self._drop(tenant, row)
            raise
        self._take(tenant, row._replace(state="kept"))

    # Messages change and go

    def heard(self, tenant: str, message: MessageRecord) -> None:
        """It is an old one now."""
        if message.folder == "new" and message.id in self._of(tenant, message.mailbox):
            self._keep(tenant, message._replace(folder="old"))

    def delete(self, tenant: str, message: MessageRecord) -> None:
        """Gone from the mailbox now, and destroyed for good as soon as the disk has done it."""
        self._drop(tenant, message)

    def remove_greeting(self, tenant: str, mailbox: str) -> None:
        """Back to the standard greeting."""
        if (found := self.greeting(tenant, mailbox)) is not None:
            self._drop(tenant, found)

    # What was said

    async def destroy_tenant(self, tenant: str) -> bool:
        """Destroy all messages and greetings of a tenant that is gone for good; False when there was none."""
        rows = self._stores.tenant(tenant)
        kept = await asyncio.to_thread(rows.load_messages)
        if not kept and not await asyncio.to_thread(self._recordings.has_any, tenant):
            return False
        for key in [key for key in self._records if key[0] == tenant]:
            del self._records[key]
        await asyncio.to_thread(self._recordings.destroy_tenant, tenant)
        for record in kept:
            rows.remove_message(record.id)
        return True

    async def sound(self, tenant: str, message: MessageRecord) -> tuple[int, AsyncIterator[bytes]]:
        """Samples per second, and the samples piece by piece. Raises: MediaError."""
        reader = await asyncio.to_thread(self._recordings.open, tenant, message.id)
        return reader.form.rate, _pieces(reader)

    def export(self, tenant: str, message: MessageRecord, target: Path) -> None:
        """Write it as a WAV file. Blocks on the disk. Raises: MediaError, OSError."""
        with self._recordings.open(tenant, message.id) as reader:
            export_wav(reader, target)

    def wav(self, tenant: str, message: MessageRecord, *, most: int) -> bytes | None:
        """The message as a WAV file, None when that has more than `most` octets. Blocks on the disk.

        Raises: MediaError, OSError.
        """
        with self._recordings.open(tenant, message.id) as reader:
            if reader.frames * reader.form.frame_bytes > most:
                return None
            return b"".join(wav_of(reader))

    # How

    def _of(self, tenant: str, mailbox: str) -> dict[str, MessageRecord]:
        return self._records.get((tenant, mailbox), {})

    def _new_id(self) -> str:
        return self._random_bytes(12).hex()

    def _put(self, tenant: str, row: MessageRecord) -> None:
        self._records.setdefault((tenant, row.mailbox), {})[row.id] = row

    def _take(self, tenant: str, row: MessageRecord) -> None:
        for take in self._takers:
            take(tenant, row)
        self._keep(tenant, row)

    def _keep(self, tenant: str, row: MessageRecord) -> None:
        self._put(tenant, row)
        self._stores.tenant(tenant).save_message(row)
        self._tell(tenant, row.mailbox)

    def _drop(self, tenant: str, row: MessageRecord) -> None:
        box = self._records.get((tenant, row.mailbox), {})
        if box.pop(row.id, None) is None:
            return
        if not box:
            del self._records[tenant, row.mailbox]
        # A crash before the file is gone must not bring it back.
        self._stores.tenant(tenant).save_message(row._replace(state="deleted"))
        asyncio.get_running_loop().run_in_executor(None, self._shred, tenant, row.id)
        self._tell(tenant, row.mailbox)

    def _shred(self, tenant: str, message_id: str) -> None:
        """Blocks on the disk; a row whose file cannot be removed stays, and the next start tries again."""
        try:
            self._recordings.destroy(tenant, message_id)
        except (OSError, MediaError) as error:
            log.error("a deleted message is still on the disk: %s", error)
            return
        self._stores.tenant(tenant).remove_message(message_id)

    def _copy(self, tenant: str, source: str, target: str) -> None:
        with self._recordings.open(tenant, source) as reader:
            writer = self._recordings.create(tenant, target, reader.form)
            try:
                for piece in reader.read():
                    writer.write(piece)
                writer.close()
            finally:
                writer.abandon()  # nothing, once it is closed

    def _tell(self, tenant: str, mailbox: str) -> None:
        for tell in self._watchers:
            tell(tenant, mailbox)


def _is_message(row: MessageRecord) -> bool:
    return row.state == "kept" and row.folder in _FOLDERS


async def _pieces(reader: SealedReader) -> AsyncIterator[bytes]:
    try:
        chunks = reader.read()
        while piece := await asyncio.to_thread(next, chunks, b""):
            yield piece
    finally:
        reader.close()
