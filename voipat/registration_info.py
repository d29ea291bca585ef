"""reginfo (RFC 3680): which phones of a user are registered, told to that user's own.

A phone learns that it was forgotten and registers anew, and which other devices its user has. Addresses of phones are
nobody else's business: a colleague sees by `presence` whether somebody is there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from html import escape
from typing import TYPE_CHECKING, Final

from voipat import events
from voipat.location import Binding
from voipat.subscriptions import Document, Notifier, Resource

if TYPE_CHECKING:
    from voipat.app import App

PACKAGE: Final = "reg"
CONTENT_TYPE: Final = "application/reginfo+xml"
# RFC 3680 §4.4 and §4.10.
DEFAULT_EXPIRES: Final = 3761
LEAST_INTERVAL_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class RegistrationInfo:
    """Every contact of one user, at a time of the wallclock."""

    resource: Resource
    bindings: dict[str, Binding]
    now: float

    def render(self, version: int, before: Document | None) -> bytes:
        """All of it when the watcher knows nothing yet, else what has changed; what is gone is "terminated"."""
        known = before.bindings if isinstance(before, RegistrationInfo) else {}
        contacts = [
            self._contact(each, "active", _event(each, known.get(key)))
            for key, each in self.bindings.items()
            if known.get(key) != each
        ]
        gone = [each for key, each in known.items() if key not in self.bindings]
        contacts += [
            self._contact(each, "terminated", "expired" if each.expires_at <= self.now else "unregistered")
            for each in gone
        ]
        state = "active" if self.bindings else "terminated" if gone else "init"
        aor = str(self.resource.uri)
        return (
            f'<?xml version="1.0"?>\n<reginfo xmlns="urn:ietf:params:xml:ns:reginfo" version="{version}" '
            f'state="{"full" if before is None else "partial"}"><registration aor="{escape(aor)}" id="{_id(aor)}" '
            f'state="{state}">{"".join(contacts)}</registration></reginfo>\n'
        ).encode("utf-8", "replace")

    def _contact(self, binding: Binding, state: str, event: str) -> str:
        left = max(0, round(binding.expires_at - self.now))
        params = {"+sip.instance": binding.instance, "reg-id": binding.reg_id}
        unknown = "".join(
            f'<unknown-param name="{name}">{escape(value)}</unknown-param>' for name, value in params.items() if value
        )
        return (
            f'<contact id="{_id(binding.key)}" state="{state}" event="{event}" expires="{left}" q="{binding.q:g}" '
            f'callid="{escape(binding.call_id)}" cseq="{binding.cseq}"><uri>{escape(binding.contact)}</uri>{unknown}'
            "</contact>"
        )


class RegistrationInfos:
    """The notifier of package reg; `knows` says who there is."""

    EVENTS: Final = (events.Registered, events.Unregistered)

    def __init__(self, knows: Callable[[Resource], bool]) -> None:
        self._knows = knows
        self._lookup: Callable[[Resource], Sequence[Binding]] = lambda resource: ()
        self._wallclock: Callable[[], float] = lambda: 0.0
        self.notifier = Notifier(
            PACKAGE,
            CONTENT_TYPE,
            self._state_of,
            interval=LEAST_INTERVAL_S,
            default_expires=DEFAULT_EXPIRES,
            own_user_only=True,
        )

    def attach(self, app: App) -> None:
        """Serve the users of the App."""
        self._lookup, self._wallclock = app.phones_of, app.wallclock
        app.notifier(self.notifier)
        app.subscribe(self.on_event, self.EVENTS)

    def on_event(self, event: events.Event) -> None:
        """A phone came, stayed or went."""
        if isinstance(event, events.Registered | events.Unregistered) and self.notifier.watched:
            user = event.aor.partition(":")[2].rpartition("@")[0]
            self.notifier.changed(Resource(event.tenant, user))

    def _state_of(self, resource: Resource) -> RegistrationInfo | None:
        if not self._knows(resource):
            return None
        bindings = {each.key: each for each in self._lookup(resource)}
        return RegistrationInfo(resource, bindings, self._wallclock())


def _event(binding: Binding, before: Binding | None) -> str:
    if before is None:
        return "created"
    return "shortened" if binding.expires_at < before.expires_at else "refreshed"


def _id(text: str) -> str:
    """RFC 3680 §5.2: the same for as long as it is the same contact, and no other's."""
    return "r" + sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]
