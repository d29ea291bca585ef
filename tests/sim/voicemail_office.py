"""The office of the example with its mailboxes, on a directory of the test."""

from __future__ import annotations

import random
from pathlib import Path

from pbx.decisions import ToMailbox, ToVoicemail
from pbx.flows.hear_messages import hear_messages
from pbx.flows.leave_message import leave_message
from pbx.store.base import MessageRecord
from pbx.tenant_state import LiveState
from pbx.voicemail.mailboxes import Mailboxes
from pbx.voicemail.opening import open_mailboxes
from tests.sim.plan_office import DOMAIN, EXAMPLE, PlanOffice
from voipat import App
from voipat.testing import SimWorld


class Rows:
    """Rows of one tenant, as the store has them."""

    def __init__(self) -> None:
        self.rows: dict[str, MessageRecord] = {}

    def load_messages(self) -> list[MessageRecord]:
        return sorted(self.rows.values(), key=lambda row: (row.received, row.id))

    def save_message(self, message: MessageRecord) -> bool:
        self.rows[message.id] = message
        return True

    def remove_message(self, message_id: str) -> bool:
        self.rows.pop(message_id, None)
        return True


class MemoryRows:
    """MessageStores in memory."""

    def __init__(self) -> None:
        self.tenants: dict[str, Rows] = {}

    def tenant(self, domain: str) -> Rows:
        return self.tenants.setdefault(domain, Rows())


class VoicemailOffice(PlanOffice):
    """`rows` and the directory outlive it, as a restart has them."""

    boxes: Mailboxes

    def __init__(self, data: Path, *, rows: MemoryRows | None = None, text: str = EXAMPLE, seed: int = 1) -> None:
        self.data = data
        self.rows = rows or MemoryRows()
        super().__init__(text, seed=seed, state=LiveState())

    def _make_app(self, world: SimWorld) -> App:
        app = super()._make_app(world)
        random_bytes = random.Random(7).randbytes
        self.boxes = open_mailboxes(
            self.data, self.rows, self.state, wallclock=world.wallclock, random_bytes=random_bytes
        )
        self.boxes.recover([DOMAIN])
        self.board.flows.add(ToMailbox, leave_message(self.boxes))
        self.board.flows.add(ToVoicemail, hear_messages(self.boxes))
        return app

    def leave(self, number: str, seconds: float, *, caller: int = 1005) -> None:
        """A message of about so many seconds, by way of the menu's or the extension's mailbox."""
        phone = self.phone(caller)
        phone.dial(number).presses("#", after=0.5).waits(0.6 + seconds).presses("#").waits(4.0).hangs_up()
        self.run()

    def messages(self, number: str) -> list[MessageRecord]:
        return self.boxes.messages(DOMAIN, number)

    @property
    def files(self) -> list[Path]:
        return sorted((self.data / "voicemail").rglob("*.sealed"))
