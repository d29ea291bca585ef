"""Presence: what users publish of themselves (RFC 3903), told to those who watch them (RFC 3856, RFC 3863).

Who publishes nothing is open while a phone of his is registered. Of several publications the newest is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree

from sipcore.entropy import Entropy
from sipcore.errors import ParseError
from sipcore.events import RequestReceived
from sipcore.subscription import EventField
from voipat import events, reasons
from voipat.accounts import Identity
from voipat.exchange import Exchange
from voipat.reasons import Reason
from voipat.subscriptions import Notifier, Resource

if TYPE_CHECKING:
    from voipat.app import App

PACKAGE: Final = "presence"
CONTENT_TYPE: Final = "application/pidf+xml"
MAX_DOCUMENT: Final = 8_192
MAX_OF_USER: Final = 10
MAX_PUBLICATIONS: Final = 50_000
DEFAULT_EXPIRES: Final = 3600
MIN_EXPIRES: Final = 60
MAX_EXPIRES: Final = 7200

_ROOT: Final = "{urn:ietf:params:xml:ns:pidf}presence"


@dataclass(slots=True)
class _Publication:
    document: bytes
    timer: asyncio.TimerHandle


class _RefusedError(Exception):
    def __init__(self, reason: Reason, *headers: tuple[str, str]) -> None:
        super().__init__(reason.text)
        self.reason = reason
        self.headers = headers


class Presence:
    """The compositor and the notifier of package presence; `knows` says who there is."""

    EVENTS: Final = (events.Registered, events.Unregistered)

    def __init__(self, knows: Callable[[Resource], bool]) -> None:
        self._knows = knows
        self._is_registered: Callable[[Resource], bool] = lambda resource: False
        # By user, then by entity-tag, in the order of their last change.
        self._published: dict[Resource, dict[str, _Publication]] = {}
        self._count = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self.notifier = Notifier(PACKAGE, CONTENT_TYPE, self._state_of)

    def __len__(self) -> int:
        return self._count

    def attach(self, app: App) -> None:
        """Serve the users of the App."""
        self._is_registered = app.has_phone
        app.presence = self
        app.notifier(self.notifier)
        app.subscribe(self.on_event, self.EVENTS)
        app.add_service(self)

    async def start(self, app: App) -> None:
        """Called by the App when it can send."""
        self._loop = asyncio.get_running_loop()

    async def stop(self) -> None:
        """Called by the App at its end."""
        for published in self._published.values():
            for publication in published.values():
                publication.timer.cancel()
        self._published.clear()
        self._count = 0

    def on_event(self, event: events.Event) -> None:
        """A phone came or went."""
        if isinstance(event, events.Registered) and event.is_refresh:
            return
        if isinstance(event, events.Registered | events.Unregistered):
            user = event.aor.partition(":")[2].rpartition("@")[0]
            resource = Resource(event.tenant, user)
            if resource not in self._published:
                self.notifier.changed(resource)

    def receive(
        self, exchange: Exchange, event: RequestReceived, identity: Identity, resource: Resource, entropy: Entropy
    ) -> None:
        """Answer a PUBLISH of somebody who has proven who he is (RFC 3903 §6)."""
        try:
            tag, expires = self._take(event, identity, resource, entropy)
        except _RefusedError as refused:
            exchange.refuse(event, refused.reason, refused.headers)
            return
        except ParseError:
            exchange.refuse(event, reasons.BAD_PUBLISH)
            return
        exchange.respond(event.transaction, 200, (("SIP-ETag", tag), ("Expires", str(expires))))

    def _take(
        self, event: RequestReceived, identity: Identity, resource: Resource, entropy: Entropy
    ) -> tuple[str, int]:
        request = event.request
        if EventField.parse(request.headers.get("Event") or "").package != PACKAGE:
            raise _RefusedError(reasons.UNKNOWN_PACKAGE, ("Allow-Events", PACKAGE))
        if resource.tenant != identity.tenant:
            raise _RefusedError(reasons.UNKNOWN_NUMBER)
        if resource.user != identity.user:
            raise _RefusedError(reasons.FOREIGN_IDENTITY)
        expires = DEFAULT_EXPIRES if request.expires is None else min(request.expires, MAX_EXPIRES)
        if 0 < expires < MIN_EXPIRES:
            raise _RefusedError(reasons.TOO_BRIEF, ("Min-Expires", str(MIN_EXPIRES)))
        published = self._published.get(resource, {})
        old = request.headers.get("SIP-If-Match")
        if old is not None and old.strip() not in published:
            raise _RefusedError(reasons.STALE_PUBLICATION)
        document = self._document(event, None if old is None else published[old.strip()].document)
        if old is None and (len(published) >= MAX_OF_USER or self._count >= MAX_PUBLICATIONS):
            raise _RefusedError(reasons.TOO_MANY_PUBLICATIONS, ("Retry-After", "60"))
        return self._store(resource, old, document, expires, entropy), expires

    def _document(self, event: RequestReceived, before: bytes | None) -> bytes:
        body = event.request.body
        if not body:
            if before is None:
                # §6: "If [...] no body is present and there is no SIP-If-Match [...] 400 (Invalid request)".
                raise _RefusedError(reasons.BAD_PUBLISH)
            return before
        kind = (event.request.headers.get("Content-Type") or "").partition(";")[0].strip().lower()
        if kind != CONTENT_TYPE:
            raise _RefusedError(reasons.UNKNOWN_STATE, ("Accept", CONTENT_TYPE))
        if len(body) > MAX_DOCUMENT:
            raise _RefusedError(reasons.MESSAGE_TOO_LARGE)
        if not is_presence(body):
            raise _RefusedError(reasons.BAD_PUBLISH)
        return body

    def _store(self, resource: Resource, old: str | None, document: bytes, expires: int, entropy: Entropy) -> str:
        before = self._newest(resource)
        if old is not None:
            self._remove(resource, old.strip())
        tag = entropy.token(8)
        if expires:
            assert self._loop is not None, "requests come after the start"
            timer = self._loop.call_later(expires, self._expired, resource, tag)
            self._published.setdefault(resource, {})[tag] = _Publication(document, timer)
            self._count += 1
        if self._newest(resource) != before:
            self.notifier.changed(resource)
        return tag

    def _remove(self, resource: Resource, tag: str) -> None:
        published = self._published[resource]
        published.pop(tag).timer.cancel()
        self._count -= 1
        if not published:
            del self._published[resource]

    def _expired(self, resource: Resource, tag: str) -> None:
        self._remove(resource, tag)
        self.notifier.changed(resource)

    def _newest(self, resource: Resource) -> bytes | None:
        published = self._published.get(resource)
        return None if published is None else published[next(reversed(published))].document

    def _state_of(self, resource: Resource) -> bytes | None:
        if not self._knows(resource):
            return None
        return self._newest(resource) or presence_document(resource, is_open=self._is_registered(resource))


def is_presence(body: bytes) -> bool:
    """Whether it is a PIDF document. One with a DTD is none: entities are what makes XML dangerous to its readers."""
    if b"<!DOCTYPE" in body or b"\0" in body:
        return False
    try:
        return ElementTree.fromstring(body).tag == _ROOT
    except (ElementTree.ParseError, ValueError):
        return False


def presence_document(resource: Resource, *, is_open: bool) -> bytes:
    """RFC 3863: one tuple, open or closed."""
    basic = "open" if is_open else "closed"
    entity = escape(f"pres:{resource.user}@{resource.tenant}")
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<presence xmlns="urn:ietf:params:xml:ns:pidf" entity="{entity}">'
        f'<tuple id="phones"><status><basic>{basic}</basic></status></tuple></presence>\n'
    ).encode()
