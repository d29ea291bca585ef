"""Messages on their way out as e-mail: rows that live until the server has taken them, tried again with growing pauses.

    kept ─▶ row ─▶ due ─▶ sent: row gone, with `email_delete` the message too
                    │
                    └─▶ not taken: 1, 2, 4 … minutes, an hour at most; refused for good or `give_up_h` old: row gone

A message stays in its mailbox whatever becomes of its e-mail. Rows have times of the wallclock, which mean the same
after a restart; when the clock is set, all of them are set by as much: nothing waits longer or is given up for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from email.message import EmailMessage
from typing import Final, Protocol

from media import MediaError
from pbx.directory import LiveDirectory
from pbx.mail_config import MailConfig
from pbx.objects.people import Mailbox
from pbx.store.base import MailRecord, MessageRecord
from pbx.voicemail.mail_text import Letter, compose
from pbx.voicemail.mailboxes import Mailboxes
from pbx.voicemail.smtp import MailError
from voipat.wallclock import watched

log = logging.getLogger(__name__)

FIRST_PAUSE_S: Final = 60.0
LONGEST_PAUSE_S: Final = 3600.0
HOUR_S: Final = 3600.0
MEGABYTE: Final = 1024 * 1024
# Of an e-mail without its attachment; and base64 makes 78 octets of 57 (RFC 2045 §6.8).
_REST_OCTETS: Final = 16 * 1024
_OF_ENCODED: Final = 57 / 78


class MailStore(Protocol):
    """One tenant's rows."""

    def load_outbox(self) -> list[MailRecord]: ...

    def save_mail(self, mail: MailRecord) -> bool: ...

    def remove_mail(self, message_id: str) -> bool: ...


class MailStores(Protocol):
    """Where the rows are."""

    def tenant(self, domain: str) -> MailStore: ...


class Sending(Protocol):
    """An open conversation with the server."""

    @property
    def most_octets(self) -> int | None:
        """What an e-mail may have; None when the server does not say it."""
        ...

    async def send(self, mail: EmailMessage, recipient: str) -> None:
        """Raises: MailError."""
        ...


Open = Callable[[MailConfig], AbstractAsyncContextManager[Sending]]


class Outbox:
    """The e-mails of all tenants; `run` sends them. `config` tells the server of now, None when there is none."""

    def __init__(
        self,
        stores: MailStores,
        mailboxes: Mailboxes,
        directory: LiveDirectory,
        config: Callable[[], MailConfig | None],
        *,
        wallclock: Callable[[], float],
        connect: Open,
        monotonic: Callable[[], float],
    ) -> None:
        self._stores = stores
        self._mailboxes = mailboxes
        self._directory = directory
        self._config = config
        self._wallclock = watched(wallclock, monotonic, self._set_by)
        self._connect = connect
        self._rows: dict[tuple[str, str], MailRecord] = {}
        self._changed = asyncio.Event()
        self.sent = 0
        self.given_up = 0

    def __len__(self) -> int:
        """How many wait."""
        return len(self._rows)

    def recover(self, domains: Iterable[str]) -> None:
        """Read what is there. Blocks on the disk."""
        now = self._wallclock()
        for domain in domains:
            for row in self._stores.tenant(domain).load_outbox():
                # The clock may have been set while nobody ran: no row is of the future, and none waits longer.
                queued, next_try = min(row.queued, now), min(row.next_try, now + LONGEST_PAUSE_S)
                self._rows[domain, row.id] = row._replace(queued=queued, next_try=next_try)

    def _set_by(self, seconds: float) -> None:
        log.info("the clock was set: mails that wait keep their places", extra={"by_s": round(seconds, 1)})
        for (tenant, _), row in list(self._rows.items()):
            self._save(tenant, row._replace(queued=row.queued + seconds, next_try=row.next_try + seconds))

    def waiting(self, tenant: str, message_id: str) -> MailRecord | None:
        """How the e-mail of a message stands; None when none waits."""
        return self._rows.get((tenant, message_id))

    def put(self, tenant: str, message: MessageRecord) -> None:
        """Send a message that its mailbox keeps now, if its owner wants that."""
        box = self._box(tenant, message.mailbox)
        if box is None or not box.email or self._config() is None:
            return
        now = self._wallclock()
        self._save(tenant, MailRecord(message.id, message.mailbox, now, 0, now, ""))
        self._changed.set()

    def wake(self) -> None:
        """Another server may be configured: try everything now."""
        self._changed.set()
        for (tenant, _), row in list(self._rows.items()):
            self._save(tenant, row._replace(next_try=0.0))

    def forget_tenant(self, tenant: str) -> None:
        """Send nothing of a tenant that is gone for good."""
        for domain, message_id in [key for key in self._rows if key[0] == tenant]:
            self._drop(domain, message_id)

    async def run(self) -> None:
        """Send what is due, for ever."""
        while True:
            self._changed.clear()
            await self.send_due()
            next_try = min((row.next_try for row in self._rows.values()), default=None)
            pause = None if next_try is None else max(1.0, next_try - self._wallclock())
            try:
                async with asyncio.timeout(pause):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def send_due(self) -> None:
        """One conversation for everything that is due; what it does not take is tried later."""
        config, now = self._config(), self._wallclock()
        due = sorted((row.queued, key) for key, row in self._rows.items() if row.next_try <= now)
        if config is None or not due:
            return
        waiting = [key for _, key in due]
        try:
            async with self._connect(config) as server:
                while waiting:
                    await self._send(server, config, *waiting[0])
                    waiting.pop(0)
        except MailError as error:
            for tenant, message_id in waiting:
                self._later(config, tenant, message_id, str(error))

    async def _send(self, server: Sending, config: MailConfig, tenant: str, message_id: str) -> None:
        """Raises: MailError where nothing goes any more, nothing when only this one does not."""
        message = self._mailboxes.find(tenant, message_id)
        box = None if message is None else self._box(tenant, message.mailbox)
        if message is None or box is None or not box.email:
            self._drop(tenant, message_id)  # its owner has deleted it, or wants no e-mail any more
            return
        try:
            letter = await self._letter(config, tenant, message, box, most=_most_sound(config, server))
        except (MediaError, OSError) as error:
            log.error("a message cannot be read for its e-mail: %s", error)
            self._drop(tenant, message_id)
            return
        try:
            letter = await self._sent(server, letter)
        except MailError as error:
            if error.is_over:
                raise
            if error.is_final:
                self._give_up(tenant, message_id, str(error))
            else:
                self._later(config, tenant, message_id, str(error))
            return
        self._drop(tenant, message_id)
        self.sent += 1
        log.info("a message went out by e-mail", extra={"tenant": tenant, "mailbox": message.mailbox})
        if letter.is_deleted:
            self._mailboxes.delete(tenant, message)

    async def _sent(self, server: Sending, letter: Letter) -> Letter:
        """What the server took: a letter whose sound is too much for it goes without. Raises: MailError."""
        try:
            await server.send(compose(letter, self._wallclock()), letter.recipient)
        except MailError as error:
            if not error.is_too_large or letter.sound is None:
                raise
            log.info("an e-mail goes without its sound: %s", error)
            letter = replace(letter, sound=None, is_too_large=True, is_deleted=False)
            await server.send(compose(letter, self._wallclock()), letter.recipient)
        return letter

    async def _letter(
        self, config: MailConfig, tenant: str, message: MessageRecord, box: Mailbox, *, most: int
    ) -> Letter:
        """Raises: MediaError, OSError."""
        settings = self._directory.current.tenant(tenant)
        extension = settings.extensions[message.mailbox]
        sound = None
        if box.email_attach:
            sound = await asyncio.to_thread(self._mailboxes.wav, tenant, message, most=most)
        is_too_large = box.email_attach and sound is None
        return Letter(
            message,
            tenant,
            config.sender,
            box.email,
            box.language or extension.language or settings.plan.settings.language,
            settings.plan.settings.time_zone,
            sound,
            is_too_large=is_too_large,
            # What is nowhere else is not deleted.
            is_deleted=box.email_delete and sound is not None,
            code=settings.features.voicemail or settings.features.voicemail_ask or "",
        )

    def _later(self, config: MailConfig, tenant: str, message_id: str, problem: str) -> None:
        row = self._rows.get((tenant, message_id))
        if row is None:
            return
        now = self._wallclock()
        if now - row.queued >= config.give_up_h * HOUR_S:
            self._give_up(tenant, message_id, problem)
            return
        pause = min(FIRST_PAUSE_S * 2.0 ** min(row.tries, 10), LONGEST_PAUSE_S)
        self._save(tenant, row._replace(tries=row.tries + 1, next_try=now + pause, problem=problem))
        log.warning("an e-mail waits", extra={"tenant": tenant, "mailbox": row.mailbox, "problem": problem})

    def _give_up(self, tenant: str, message_id: str, problem: str) -> None:
        row = self._rows.get((tenant, message_id))
        if row is None:
            return
        self._drop(tenant, message_id)
        self.given_up += 1
        log.error(
            "an e-mail is given up; the message stays in its mailbox",
            extra={"tenant": tenant, "mailbox": row.mailbox, "tries": row.tries + 1, "problem": problem},
        )

    def _box(self, tenant: str, mailbox: str) -> Mailbox | None:
        directory = self._directory.current
        if not directory.serves(tenant):
            return None
        extension = directory.tenant(tenant).extensions.get(mailbox)
        return None if extension is None else extension.mailbox

    def _save(self, tenant: str, row: MailRecord) -> None:
        self._rows[tenant, row.id] = row
        self._stores.tenant(tenant).save_mail(row)

    def _drop(self, tenant: str, message_id: str) -> None:
        if self._rows.pop((tenant, message_id), None) is not None:
            self._stores.tenant(tenant).remove_mail(message_id)


def _most_sound(config: MailConfig, server: Sending) -> int:
    """The octets that a sound may have: as the configuration says, and as the server does."""
    most = config.attachment_mb * MEGABYTE
    if server.most_octets is None:
        return most
    return max(0, min(most, int((server.most_octets - _REST_OCTETS) * _OF_ENCODED)))
