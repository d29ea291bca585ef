"""Text messages (RFC 3428) to who is away: kept sealed, and sent in order when a phone of theirs registers.

    sent ─▶ no phone takes it now ─▶ row "waiting", durable ─▶ 202
    phone registers ─▶ row "sending", durable ─▶ MESSAGE ─▶ taken or refused: no row; no answer: "waiting" again

A server that dies while a row is "sending" does not know whether the phone has it: nobody gets a message twice, so it
is not sent again, and `voipat messages` shows it until its time is over.
"""

from __future__ import annotations

import asyncio
import json
import logging
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Protocol

from pbx.directory import LiveDirectory
from pbx.errors import SecretError
from pbx.retention import DAY_S
from pbx.secrets import RandomBytes
from pbx.store.base import TextRecord
from voipat import App, Kept, Message, events, reasons
from voipat.reasons import Reason

log: Final = logging.getLogger(__name__)

# Of all tenants together: some 30 MB of rows, whose content is on the disk only.
MAX_WAITING: Final = 100_000
# How long the sender waits for the disk.
DURABLE_S: Final = 5.0
# Nobody wants to know later that somebody typed.
_FLEETING: Final = "application/im-iscomposing+xml"
# In memory alone, of a record that is on its way to the disk.
_COMING: Final = "coming"
_AWAY: Final = (reasons.NOT_REGISTERED, reasons.MESSAGE_UNANSWERED)

Key = tuple[str, str]
Outcome = Reason | Kept | None


class TextRows(Protocol):
    """The waiting messages of one tenant in the store."""

    def load_texts(self) -> list[TextRecord]: ...

    def text(self, message_id: str) -> str | None: ...

    def save_text(self, message: TextRecord, content: str) -> bool: ...

    def remove_text(self, message_id: str) -> bool: ...


class TextStore(Protocol):
    """Where they are kept."""

    def tenant(self, domain: str) -> TextRows: ...

    def flush(self, timeout: float = 5.0) -> bool: ...


class WaitingMessages:
    """The messages that wait, by recipient; what they say stays in the store."""

    def __init__(
        self, store: TextStore, directory: LiveDirectory, *, wallclock: Callable[[], float], random_bytes: RandomBytes
    ) -> None:
        self._store = store
        self._directory = directory
        self._wallclock = wallclock
        self._random_bytes = random_bytes
        self._waiting: dict[Key, list[TextRecord]] = {}
        self._count = 0
        self._latest = 0.0
        self._deliveries: dict[Key, asyncio.Task[None]] = {}
        # Recipients to whom a message is on its way, and of these who registered meanwhile.
        self._trying: dict[Key, int] = {}
        self._came: set[Key] = set()
        self._app: App | None = None

    def __len__(self) -> int:
        return self._count

    def recover(self, domains: Iterable[str]) -> None:
        """Take what the store has. Blocks on the disk."""
        for domain in domains:
            for record in self._store.tenant(domain).load_texts():
                self._add(domain, record)

    def attach(self, app: App) -> None:
        """Take the messages of the App's users."""
        self._app = app
        app.on_message(self.take)
        app.subscribe(self._on_event, {events.Registered, events.BindingReachable})
        app.add_service(self)

    async def start(self, app: App) -> None:
        """Nothing: phones say when they are there."""

    async def stop(self) -> None:
        """Let no delivery outlive the App; what was not answered waits on."""
        tasks = list(self._deliveries.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._deliveries.clear()  # one that had not begun could not do it

    # Taking

    async def take(self, message: Message) -> Outcome:
        """Deliver it, or keep it for later."""
        assert self._app is not None, "attached first"
        key = message.tenant, message.recipient
        if self._directory.current.extension(*key) is None:
            return reasons.UNKNOWN_NUMBER
        received = self._latest = max(self._wallclock(), self._latest + 1e-6)
        self._trying[key] = self._trying.get(key, 0) + 1
        try:
            # Nobody overtakes those who wait.
            outcome = reasons.NOT_REGISTERED if self._waiting.get(key) else await self._app.deliver(message)
            if outcome not in _AWAY:
                return outcome
            return await self._keep(message, received, outcome)
        finally:
            self._trying[key] -= 1
            if not self._trying[key]:
                del self._trying[key]
                if key in self._came:
                    self._came.discard(key)
                    self._begin(key)

    async def _keep(self, message: Message, received: float, outcome: Reason | None) -> Outcome:
        key = message.tenant, message.recipient
        settings = self._directory.current.tenants[message.tenant].plan.settings
        if not settings.messages_days or not settings.messages_kept or message.content_type.startswith(_FLEETING):
            return outcome
        if len(self._waiting.get(key, ())) >= settings.messages_kept or self._count >= MAX_WAITING:
            return reasons.TOO_MANY_MESSAGES_WAIT
        message_id = self._random_bytes(8).hex()
        record = TextRecord(message_id, message.recipient, message.sender, received, len(message.body), "waiting")
        content = json.dumps({"type": message.content_type, "body": b64encode(message.body).decode()})
        # Not delivered before it is durable: what it says is read from the disk.
        coming = record._replace(state=_COMING)
        self._add(message.tenant, coming)
        if not await self._save(message.tenant, record, content):
            self._forget(key, coming)
            return reasons.TOO_MANY_MESSAGES
        self._change(key, coming, record)
        return Kept.FOR_LATER

    async def _save(self, tenant: str, record: TextRecord, content: str) -> bool:
        """Whether it is durable."""
        saved = self._store.tenant(tenant).save_text(record, content)
        return saved and await asyncio.to_thread(self._store.flush, DURABLE_S)

    # Delivering

    def _on_event(self, event: events.Event) -> None:
        if not isinstance(event, events.Registered | events.BindingReachable):
            return
        phone = event.aor.partition(":")[2].rpartition("@")[0]
        key = event.tenant, phone
        if key in self._trying:
            self._came.add(key)
        if key in self._waiting:
            self._begin(key)

    def _begin(self, key: Key) -> None:
        if self._waiting.get(key) and key not in self._deliveries:
            deliveries = self._deliver_all(key)
            self._deliveries[key] = asyncio.get_running_loop().create_task(deliveries, name=f"messages to {key[1]}")

    async def _deliver_all(self, key: Key) -> None:
        """One after the other until a phone does not answer."""
        try:
            while (record := self._next(key)) is not None:
                if not await self._deliver(key, record):
                    return
        finally:
            # Not when the loop gets to it: who comes right after may begin anew.
            del self._deliveries[key]

    def _next(self, key: Key) -> TextRecord | None:
        """The next one to send; one that is on its way to the disk is begun with when it is there."""
        first = next((each for each in self._waiting.get(key, ()) if each.state != "sending"), None)
        if first is None or first.state != _COMING:
            return first
        self._came.add(key)
        return None

    async def _deliver(self, key: Key, record: TextRecord) -> bool:
        """Send it; False when nobody is there to take it."""
        assert self._app is not None, "attached first"
        tenant = key[0]
        content = await self._content(tenant, record)
        if content is None or self._is_old(tenant, record):
            self._forget(key, record)
            return True
        sending = record._replace(state="sending")
        if not self._change(key, record, sending):
            return True  # deleted meanwhile
        saved = await self._save(tenant, sending, content)
        if not self._is_there(key, sending):
            return True
        if not saved:
            self._change(key, sending, record)
            return False
        values = json.loads(content)
        body = b64decode(values["body"])
        message = Message(tenant, record.sender, record.recipient, values["type"], body, record.received)
        outcome = await self._app.deliver(message)
        if outcome in _AWAY:
            # What was deleted meanwhile must not come back.
            if self._change(key, sending, record):
                await self._save(tenant, record, content)
            return False
        if outcome is not None:
            log.warning("a phone refused a message that waited", extra={"tenant": tenant, "id": record.id})
        self._forget(key, sending)
        return True

    async def _content(self, tenant: str, record: TextRecord) -> str | None:
        try:
            return await asyncio.to_thread(self._store.tenant(tenant).text, record.id)
        except SecretError as error:
            log.error("a message that waited cannot be read: %s", error)
            return None

    # What waits

    def rows(self, tenant: str | None = None, recipient: str | None = None) -> Iterator[tuple[str, TextRecord]]:
        """What waits, with its tenant; oldest first for each recipient."""
        for (domain, user), records in list(self._waiting.items()):
            if tenant in (None, domain) and recipient in (None, user):
                yield from ((domain, record) for record in list(records))

    def delete(self, tenant: str | None, message_id: str) -> tuple[str, TextRecord] | None:
        """Forget one; what it was."""
        for domain, record in self.rows(tenant):
            if record.id == message_id:
                self._forget((domain, record.recipient), record)
                return domain, record
        return None

    def sweep(self) -> int:
        """Forget those whose time is over, and those of tenants that are gone; how many."""
        old = [(domain, record) for domain, record in self.rows() if self._is_old(domain, record)]
        for domain, record in old:
            self._forget((domain, record.recipient), record)
        return len(old)

    def _is_old(self, domain: str, record: TextRecord) -> bool:
        tenant = self._directory.current.tenants.get(domain)
        days = 0 if tenant is None else tenant.plan.settings.messages_days
        return record.received < self._wallclock() - days * DAY_S

    def _add(self, domain: str, record: TextRecord) -> None:
        records = self._waiting.setdefault((domain, record.recipient), [])
        records.append(record)
        records.sort(key=lambda each: each.received)
        self._count += 1

    def _is_there(self, key: Key, record: TextRecord) -> bool:
        return record in self._waiting.get(key, ())

    def _change(self, key: Key, old: TextRecord, new: TextRecord) -> bool:
        """False when it is there no more."""
        if not self._is_there(key, old):
            return False
        records = self._waiting[key]
        records[records.index(old)] = new
        return True

    def _forget(self, key: Key, record: TextRecord) -> None:
        records = self._waiting.get(key, [])
        if record in records:
            records.remove(record)
            self._count -= 1
        if not records:
            self._waiting.pop(key, None)
        self._store.tenant(key[0]).remove_text(record.id)
