"""What the PBX lets its users watch: calls, parking slots and hours (dialog-info), mailboxes (message-summary),
presence, and their own registrations (reg)."""

from __future__ import annotations

from typing import Protocol

from pbx.directory import Directory, LiveDirectory
from pbx.hot_desks import HotDesks, Seat
from pbx.parking import Parking
from pbx.tenants import ExtensionConfig
from voipat import (
    App,
    DialogLamps,
    DialogState,
    Mailbox,
    Notifier,
    Presence,
    RegistrationInfos,
    Resource,
    events,
    message_summary,
)
from voipat.message_summary import summary


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
        self._dialogs = DialogLamps(self._has_lamp)
        self._presence = Presence(self._is_extension)
        self._registrations = RegistrationInfos(self._is_extension)
        self._desks: HotDesks | None = None

    def attach(self, app: App) -> None:
        """Serve the users of the App."""
        app.subscribe(self._dialogs.on_event, self._dialogs.EVENTS)
        app.notifier(self._dialogs.attach(app.find_call))
        app.notifier(self._mwi)
        self._presence.attach(app)
        self._registrations.attach(app)
        app.subscribe(self._phone_came_or_went, self._presence.EVENTS)

    def mailbox_changed(self, tenant: str, extension: str) -> None:
        """A message came, was heard or deleted: the phones of the extension and all who watch it are told."""
        self._mwi.changed(Resource(tenant, extension))
        desk = extension if self._desks is None else self._desks.phone_of(tenant, extension)
        if desk != extension:
            self._mwi.changed(Resource(tenant, desk))

    def follow(self, parking: Parking) -> None:
        """Let the slots' lamps show what waits in them."""
        parking.on_change = self._slot_changed

    def follow_people(self, desks: HotDesks) -> None:
        """Let lamps, presence and messages of a person be at the desk where the person has logged in."""
        self._desks, desks.on_moved = desks, self._moved

    def light(self, tenant: str, code: str) -> None:
        """Something at a code is on."""
        self._dialogs.occupy(Resource(tenant, code), DialogState(f"on-{code}", "recipient", "confirmed", code))

    def put_out(self, tenant: str, code: str) -> None:
        """It is off."""
        self._dialogs.free(Resource(tenant, code), f"on-{code}")

    def reloaded(self, before: Directory) -> None:
        """Another configuration is in force: lamps of mailboxes that are gone go out."""
        now = self._directory.current
        for tenant in before.tenants.values():
            for number, extension in tenant.extensions.items():
                if _has_mailbox(extension) and not _has_mailbox(now.extension(tenant.domain, number)):
                    resource = Resource(tenant.domain, number)
                    self._mwi.tell_phones(resource, summary(Mailbox(), str(resource.uri)))

    def _moved(self, seat: Seat) -> None:
        self._presence.notifier.changed(Resource(seat.tenant, seat.person))
        self._mwi.changed(Resource(seat.tenant, seat.phone))

    def _phone_came_or_went(self, event: events.Event) -> None:
        if self._desks is None or not self._desks.by_phone:
            return
        assert isinstance(event, events.Registered | events.Unregistered), "what it has subscribed to"
        phone = event.aor.partition(":")[2].rpartition("@")[0]
        if (seat := self._desks.at(event.tenant, phone)) is not None:
            self._presence.notifier.changed(Resource(seat.tenant, seat.person))

    def _slot_changed(self, tenant: str, slot: str, number: str | None) -> None:
        resource, dialog = Resource(tenant, slot), f"slot-{slot}"
        # A slot whose call has just ended may be given to the next one before the first has left it.
        self._dialogs.free(resource, dialog)
        if number is not None:
            self._dialogs.occupy(resource, DialogState(dialog, "recipient", "confirmed", number))

    def _has_lamp(self, resource: Resource) -> bool:
        return self._is_extension(resource) or self._is_slot(resource) or self._is_override(resource)

    def _is_override(self, resource: Resource) -> bool:
        tenant = self._directory.current.tenants.get(resource.tenant)
        return tenant is not None and any(resource.user == times.override_code for times in tenant.plan.times)

    def _is_slot(self, resource: Resource) -> bool:
        tenant = self._directory.current.tenants.get(resource.tenant)
        return tenant is not None and any(resource.user in park.numbers for park in tenant.plan.parks)

    def _is_extension(self, resource: Resource) -> bool:
        return self._directory.current.extension(resource.tenant, resource.user) is not None

    def _counts(self, resource: Resource) -> Mailbox | None:
        directory, (tenant, user) = self._directory.current, resource
        desks = self._desks
        person = None if desks is None or not desks.by_phone else desks.person_at(tenant, user)
        number = user if person is None else person.user
        extension = directory.extension(tenant, number)
        if _has_mailbox(extension):
            return self.mailboxes.mailbox_counts(tenant, number)
        # The lamp of a desk goes out when who had messages leaves it.
        desk = extension if number == user else directory.extension(tenant, user)
        return Mailbox() if desk is not None and desk.desk else None


def _has_mailbox(extension: ExtensionConfig | None) -> bool:
    return extension is not None and extension.mailbox is not None and extension.mailbox.enabled
