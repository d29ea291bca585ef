"""RFC 3903 §6: what a user publishes of himself, kept by entity-tag, until it expires."""

from __future__ import annotations

import pytest

from sipcore.message import Response
from tests.sim.office import Office
from voipat import Mailbox
from voipat.presence import is_presence
from voipat.testing import Phone

PIDF = (
    b'<presence xmlns="urn:ietf:params:xml:ns:pidf" entity="pres:1001@office.test"><tuple id="t">'
    b"<status><basic>open</basic></status><note>%b</note></tuple></presence>"
)
TYPE = ("Content-Type", "application/pidf+xml")


class NoMail:
    def mailbox_counts(self, tenant: str, extension: str) -> Mailbox:
        return Mailbox()


def office_of(seed: int) -> Office:
    return Office(seed=seed, mailboxes=NoMail())


def publish(
    office: Office,
    phone: Phone,
    body: bytes = b"",
    target: str = "1001",
    headers: tuple[tuple[str, str], ...] = (),
    event: str = "presence",
) -> Response:
    """PUBLISH, and the final response to it."""
    answers: list[Response | None] = []
    lines = (("Event", event), *((TYPE,) if body else ()), *headers)
    phone.request("PUBLISH", target, answers.append, headers=lines, body=body)
    office.world.run(until=office.world.now + 1.0)
    (answer,) = answers
    assert answer is not None
    return answer


@pytest.mark.rfc(
    "3903",
    "6",
    "If the request does not contain a SIP-If-Match header field, the ESC MUST generate and store a locally unique "
    "entity-tag for identifying the publication.",
)
def test_each_publication_has_a_new_entity_tag_and_watchers_are_told(seed: int) -> None:
    with office_of(seed) as office:
        alice, bob = office.phones(2)
        bob.subscribe("presence", "1001")
        office.world.run(until=office.world.now + 1.0)
        assert b"<basic>open</basic>" in bob.notified[-1].body
        first = publish(office, alice, PIDF % b"lunch", headers=(("Expires", "600"),))
        assert (first.status, first.headers.get("Expires")) == (200, "600")
        assert b"lunch" in bob.notified[-1].body
        told = len(bob.notified)
        tag = first.headers.get("SIP-ETag") or ""
        second = publish(office, alice, headers=(("SIP-If-Match", tag), ("Expires", "600")))
        assert second.status == 200 and second.headers.get("SIP-ETag") not in (None, "", tag)
        assert len(bob.notified) == told, "a refresh changes nothing"
        third = publish(
            office, alice, PIDF % b"back", headers=(("SIP-If-Match", second.headers.get("SIP-ETag") or ""),)
        )
        office.world.run(until=office.world.now + 2.0)
        assert third.status == 200 and b"back" in bob.notified[-1].body
        gone = publish(office, alice, headers=(("SIP-If-Match", third.headers.get("SIP-ETag") or ""), ("Expires", "0")))
        office.world.run(until=office.world.now + 2.0)
        assert gone.status == 200 and b"back" not in bob.notified[-1].body
        assert office.app.presence is not None and len(office.app.presence) == 0


@pytest.mark.rfc(
    "3903",
    "6",
    "If no match is found, the ESC MUST reject the publication with a response of 412 (Conditional Request Failed), "
    "and skip the remaining steps.",
)
def test_a_stale_tag_is_412_and_what_expired_is_gone(seed: int) -> None:
    with office_of(seed) as office:
        (alice,) = office.phones(1)
        tag = publish(office, alice, PIDF % b"x", headers=(("Expires", "60"),)).headers.get("SIP-ETag") or ""
        assert publish(office, alice, headers=(("SIP-If-Match", "nobody"),)).status == 412
        office.world.run(until=office.world.now + 61.0)
        assert publish(office, alice, headers=(("SIP-If-Match", tag),)).status == 412


@pytest.mark.rfc(
    "3903",
    "10.1",
    "Any application of the PUBLISH mechanism for a given event package MUST define what content type or types are "
    "expected in PUBLISH requests.",
)
@pytest.mark.rfc(
    "3903",
    "6",
    "If the Event header field is missing or contains an event package which the ESC does not support, the ESC MUST "
    "respond to the PUBLISH request with a 489 (Bad Event) response.",
)
@pytest.mark.parametrize(
    ("body", "headers", "target", "event", "status"),
    [
        (b"", (), "1001", "presence", 400),
        (b"no xml", (), "1001", "presence", 400),
        (b'<!DOCTYPE p [<!ENTITY a "b">]>' + PIDF, (), "1001", "presence", 400),
        (PIDF + b" " * 8192, (), "1001", "presence", 413),
        (PIDF, (("Expires", "5"),), "1001", "presence", 423),
        (PIDF, (), "1001", "dialog", 489),
        (PIDF, (), "1002", "presence", 403),
        (PIDF, (), "sip:1001@shop.test", "presence", 404),
    ],
)
def test_what_cannot_be_published_is_refused(
    seed: int, body: bytes, headers: tuple[tuple[str, str], ...], target: str, event: str, status: int
) -> None:
    """Steps 1 to 6 of §6, each with its status; nothing is kept."""
    with office_of(seed) as office:
        (alice,) = office.phones(1)
        assert publish(office, alice, body, target, headers, event).status == status
        assert office.app.presence is not None and len(office.app.presence) == 0


def test_a_user_has_so_many_publications_and_no_more(seed: int) -> None:
    with office_of(seed) as office:
        (alice,) = office.phones(1)
        statuses = [publish(office, alice, PIDF % b"x").status for _ in range(11)]
        assert statuses == [200] * 10 + [503]


@pytest.mark.rfc("3863", "4.1")
def test_entities_and_other_roots_are_no_presence() -> None:
    assert is_presence(PIDF)
    assert not is_presence(b"<presence/>") and not is_presence(PIDF.decode().encode("utf-16"))
