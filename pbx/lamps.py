"""What the PBX lets its users watch: each other's calls (dialog-info) and their own mailbox (message-summary)."""

from __future__ import annotations

from typing import Protocol

from pbx.directory import LiveDirectory
from voipat import App, DialogLamps, DialogState, Mailbox, Notifier, Resource, message_summary


class Mailboxes(Protocol):
    """Who counts messages."""

    def mailbox_counts(self, tenant: str, extension: str) -> Mailbox:
        """The counts of an extension that has a mailbox, at once."""


class EmptyMailboxes:
    """No message waits for anybody."""

    def mailbox_counts(self, tenant: str, extension: str) -> Mailbox:
        """Nothing."""
        return Mailbox()


class Lamps:
    """The notifiers of the PBX. `mailboxes` is whoever keeps messages; it calls `mailbox_changed`."""

    def __init__(self, directory: LiveDirectory, mailboxes: Mailboxes | None = None) -> None:
        self._directory = directory
        self.mailboxes: Mailboxes = mailboxes or EmptyMailboxes()
        self._mwi: Notifier = message_summary(self._counts)
        self._dialogs = DialogLamps(self._is_extension)

    def attach(self, app: App) -> None:
        """Serve the users of the App."""
        app.subscribe(self._dialogs.on_event, self._dialogs.EVENTS)
        app.notifier(self._dialogs.attach(app.call))
        app.notifier(self._mwi)

    def mailbox_changed(self, tenant: str, extension: str) -> None:
        """A message came, was heard or deleted: the phones of the extension and all who watch it are told."""
        self._mwi.changed(Resource(tenant, extension))

    def parked(self, tenant: str, slot: str, caller: str) -> None:
        """A call waits in a slot that phones have a lamp for; until `unparked`."""
        self._dialogs.occupy(Resource(tenant, slot), DialogState(f"slot-{slot}", "recipient", "confirmed", caller))

    def unparked(self, tenant: str, slot: str) -> None:
        """The slot is free."""
        self._dialogs.free(Resource(tenant, slot), f"slot-{slot}")

    def offer_slots(self, tenant: str, slots: frozenset[str]) -> None:
        """The parking slots of a tenant, which can be watched free or not; instead of those of before."""
        self._dialogs.offer(tenant, slots)

    def _is_extension(self, resource: Resource) -> bool:
        return self._directory.current.extension(resource.tenant, resource.user) is not None

    def _counts(self, resource: Resource) -> Mailbox | None:
        extension = self._directory.current.extension(resource.tenant, resource.user)
        if extension is None or extension.mailbox is None or not extension.mailbox.enabled:
            return None
        return self.mailboxes.mailbox_counts(resource.tenant, resource.user)
