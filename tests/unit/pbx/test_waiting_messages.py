"""What happens to a text message between two waits: a disk that takes its time, an operator who deletes meanwhile."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Collection, Coroutine
from typing import Any, cast

from pbx import config
from pbx.directory import Directory, LiveDirectory
from pbx.store.base import TextRecord
from pbx.waiting_messages import WaitingMessages
from voipat import App, Kept, Message, reasons
from voipat.events import Registered
from voipat.reasons import Reason

DOMAIN = "office.test"
OFFICE = f"""
[[tenant]]
domain = "{DOMAIN}"
messages_days = 7
messages_kept = 5
[tenant.extensions]
1001-1002 = "some-{{number}}"
"""
TENANTS = config.parse(OFFICE, environ={"HOME": "/"}).tenants


class SlowRows:
    """Rows that can be read when the disk has them, which it has when `disk` is set."""

    def __init__(self) -> None:
        self.disk = threading.Event()
        self.queued: dict[str, tuple[TextRecord, str] | None] = {}
        self.durable: dict[str, tuple[TextRecord, str]] = {}

    def tenant(self, domain: str) -> SlowRows:
        return self

    def load_texts(self) -> list[TextRecord]:
        return [record for record, _ in self.durable.values()]

    def text(self, message_id: str) -> str | None:
        found = self.durable.get(message_id)
        return None if found is None else found[1]

    def save_text(self, message: TextRecord, content: str) -> bool:
        self.queued[message.id] = message, content
        return True

    def remove_text(self, message_id: str) -> bool:
        self.queued[message_id] = None
        return True

    def flush(self, timeout: float = 5.0) -> bool:
        if not self.disk.wait(timeout):
            return False
        for key, row in self.queued.items():
            self.durable.pop(key, None)
            if row is not None:
                self.durable[key] = row
        return True


class Phones:
    """An App whose phones answer what they are told to; `answer` None takes a message."""

    def __init__(self) -> None:
        self.answer: Reason | None = reasons.NOT_REGISTERED
        self.seen: list[bytes] = []
        self.asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    def on_message(self, take: object) -> None: ...

    def subscribe(self, listener: object, kinds: Collection[type]) -> None: ...

    def add_service(self, service: object) -> None: ...

    async def deliver(self, message: Message) -> Reason | None:
        self.asked.set()
        await self.may_answer.wait()
        if self.answer is None:
            self.seen.append(message.body)
        return self.answer


def waiting_at(rows: SlowRows, phones: Phones) -> WaitingMessages:
    directory = LiveDirectory(Directory(TENANTS, default_tenant=None))
    ids = iter(range(1, 100))
    found = WaitingMessages(
        rows, directory, wallclock=lambda: 1000.0, random_bytes=lambda count: next(ids).to_bytes(count, "big")
    )
    found.attach(cast(App, phones))
    return found


def text(body: str) -> Message:
    return Message(DOMAIN, "1001", "1002", "text/plain", body.encode(), 0.0)


def registered() -> Registered:
    return Registered(DOMAIN, f"sip:1002@{DOMAIN}", "sip:1002@127.0.0.1", "127.0.0.1:5060", "UDP", "phone", 60, False)


def run(story: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(10.0):
            await story

    asyncio.run(bounded())


def test_a_phone_that_registers_while_the_disk_takes_a_message_gets_it() -> None:
    async def story() -> None:
        rows, phones = SlowRows(), Phones()
        waiting = waiting_at(rows, phones)
        taking = asyncio.create_task(waiting.take(text("one")))
        while not rows.queued:
            await asyncio.sleep(0)
        phones.answer = None
        waiting._on_event(registered())
        await asyncio.sleep(0.05)
        assert phones.seen == [] and len(waiting) == 1, "it is not durable yet"
        rows.disk.set()
        assert await taking is Kept.FOR_LATER
        while len(waiting):
            await asyncio.sleep(0)
        assert phones.seen == [b"one"]
        await waiting.stop()

    run(story())


def test_a_message_that_the_disk_did_not_take_is_refused_and_not_delivered_later() -> None:
    async def story() -> None:
        rows, phones = SlowRows(), Phones()
        rows.flush = lambda timeout=5.0: False  # type: ignore[method-assign]  # a disk that is full
        waiting = waiting_at(rows, phones)
        assert await waiting.take(text("one")) is reasons.TOO_MANY_MESSAGES
        phones.answer = None
        waiting._on_event(registered())
        await asyncio.sleep(0.05)
        assert phones.seen == [] and len(waiting) == 0

    run(story())


def test_a_message_that_is_deleted_while_a_phone_is_asked_does_not_come_back() -> None:
    async def story() -> None:
        rows, phones = SlowRows(), Phones()
        rows.disk.set()
        waiting = waiting_at(rows, phones)
        assert await waiting.take(text("one")) is Kept.FOR_LATER
        phones.may_answer.clear()
        phones.asked.clear()
        waiting._on_event(registered())
        await phones.asked.wait()
        ((_, record),) = waiting.rows()
        assert waiting.delete(DOMAIN, record.id) is not None
        phones.may_answer.set()  # with 480: nobody is there after all
        while waiting._deliveries:
            await asyncio.sleep(0)
        rows.flush()
        assert len(waiting) == 0 and rows.load_texts() == []

    run(story())
