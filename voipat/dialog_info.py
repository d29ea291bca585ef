"""dialog-info (RFC 4235): what a user's phones are doing, for the lamps and the pickup keys of his colleagues.

Kept from the events of the App. The first NOTIFY of a watcher has everything, the next ones what is different (§4.3).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape
from typing import Final

from sipcore.values import value_object
from voipat import events
from voipat.call import Call
from voipat.legs import OutboundLeg
from voipat.subscriptions import Document, Notifier, Resource

PACKAGE = "dialog"
CONTENT_TYPE = "application/dialog-info+xml"


@value_object(frozen=True, slots=True)
class DialogState:
    """One dialog of the watched user's phone, tags as that phone has them: a Replaces for us turns them round."""

    id: str
    direction: str
    state: str
    remote: str
    call_id: str = ""
    local_tag: str = ""
    remote_tag: str = ""

    def moved(self, state: str, tags: tuple[str, str] | None = None) -> DialogState:
        """The same dialog in another state; `tags` are ours and the remote one, when they are known now."""
        local, remote = (self.local_tag, self.remote_tag) if tags is None else tags
        return DialogState(self.id, self.direction, state, self.remote, self.call_id, local, remote)

    def element(self, tenant: str) -> str:
        """The XML of it."""
        names = {"id": self.id, "call-id": self.call_id, "local-tag": self.local_tag, "remote-tag": self.remote_tag}
        attributes = "".join(f' {name}="{escape(value)}"' for name, value in names.items() if value)
        uri = escape(f"sip:{self.remote}@{tenant}")
        return (
            f'<dialog{attributes} direction="{self.direction}"><state>{self.state}</state>'
            f"<remote><identity>{uri}</identity></remote></dialog>"
        )


@dataclass(frozen=True, slots=True)
class DialogInfo:
    """Every dialog of one user."""

    resource: Resource
    dialogs: dict[str, DialogState] = field(default_factory=dict)

    def render(self, version: int, before: Document | None) -> bytes:
        """All of it when the watcher knows nothing yet, else what has changed; what is gone is "terminated"."""
        known = before.dialogs if isinstance(before, DialogInfo) else {}
        shown = [each for each in self.dialogs.values() if known.get(each.id) != each]
        shown += [each.moved("terminated") for each in known.values() if each.id not in self.dialogs]
        kind = "full" if before is None else "partial"
        dialogs = "".join(each.element(self.resource.tenant) for each in shown)
        entity = escape(str(self.resource.uri))
        return (
            f'<?xml version="1.0"?>\n<dialog-info xmlns="urn:ietf:params:xml:ns:dialog-info" version="{version}" '
            f'state="{kind}" entity="{entity}">{dialogs}</dialog-info>\n'
        ).encode()


class DialogLamps:
    """Listens to the App and is the `Notifier` of package dialog. `knows` says which resources there are."""

    EVENTS: Final = (events.CallStarted, events.CallRinging, events.CallAnswered, events.CallEnded)

    def __init__(self, knows: Callable[[Resource], bool]) -> None:
        self._knows = knows
        self._call: Callable[[str], Call | None] = lambda identifier: None
        self._by_resource: dict[Resource, dict[str, DialogState]] = {}
        self._of_leg: dict[str, Resource] = {}
        self.notifier = Notifier(PACKAGE, CONTENT_TYPE, self._state_of)

    def attach(self, call: Callable[[str], Call | None]) -> Notifier:
        """The notifier for an App, whose `call` finds the calls under way."""
        self._call = call
        return self.notifier

    def occupy(self, resource: Resource, dialog: DialogState) -> None:
        """The resource has a dialog that no leg of a call stands for."""
        self._put(resource, dialog)

    def free(self, resource: Resource, dialog: str) -> None:
        """It is over."""
        self._remove(resource, dialog)

    def on_event(self, event: events.Event) -> None:
        """What a call event means for the lamps."""
        if isinstance(event, events.CallStarted):
            is_caller = event.leg == "a"
            resource = Resource(event.tenant, event.caller if is_caller else event.callee)
            direction, remote = ("initiator", event.callee) if is_caller else ("recipient", event.caller)
            if event.tenant and self._knows(resource):
                self._of_leg[event.id] = resource
                self._put(resource, DialogState(event.id, direction, "trying", remote, event.call_id))
        elif isinstance(event, events.CallRinging):
            self._move(event.id, "early", self._tags(event))
        elif isinstance(event, events.CallAnswered):
            self._move(event.id, "confirmed", None)
        elif isinstance(event, events.CallEnded):
            self._gone(event.id)

    def _state_of(self, resource: Resource) -> DialogInfo | None:
        if not self._knows(resource):
            return None
        return DialogInfo(resource, dict(self._by_resource.get(resource, {})))

    def _tags(self, event: events.CallRinging) -> tuple[str, str] | None:
        first = self._call(event.linked_id)
        ringing = None
        for each in () if first is None else first.attempts:
            if each.id == event.id:
                ringing = each
        if ringing is None or not isinstance(ringing.leg, OutboundLeg):
            return None
        for dialog in ringing.leg.early:
            view = ringing.switch.exchange.endpoint.dialog(dialog)
            if view is not None:
                return view.remote_tag or "", view.local_tag
        return None

    def _move(self, leg: str, state: str, tags: tuple[str, str] | None) -> None:
        resource = self._of_leg.get(leg)
        if resource is None:
            return
        self._put(resource, self._by_resource[resource][leg].moved(state, tags))

    def _put(self, resource: Resource, dialog: DialogState) -> None:
        self._by_resource.setdefault(resource, {})[dialog.id] = dialog
        table = self.notifier.table
        if table is not None and table.watched:
            self.notifier.changed(resource)

    def _gone(self, leg: str) -> None:
        resource = self._of_leg.pop(leg, None)
        if resource is not None:
            self._remove(resource, leg)

    def _remove(self, resource: Resource, dialog: str) -> None:
        dialogs = self._by_resource.get(resource, {})
        if dialogs.pop(dialog, None) is None:
            return
        if not dialogs:
            del self._by_resource[resource]
        self.notifier.changed(resource)
