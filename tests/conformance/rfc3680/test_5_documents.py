"""RFC 3680 §5: the documents of reginfo, full and partial."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import pytest

from sipcore.flow import Address, Flow
from voipat import Binding, Resource
from voipat.registration_info import RegistrationInfo

ALICE = Resource("office.test", "1001")
FLOW = Flow("UDP", Address("192.0.2.1", 5060), Address("192.0.2.2", 5062))
ONE = Binding("office.test", "sip:1001@office.test", "sip:1001@192.0.2.2:5062", FLOW, "call-1", 7, 1600.0)
TWO = replace(ONE, contact="sip:1001@192.0.2.3", instance="<urn:uuid:1>", reg_id="2", q=0.5, call_id="call-2")
NS = "{urn:ietf:params:xml:ns:reginfo}"


def info(*bindings: Binding, now: float = 1000.0) -> RegistrationInfo:
    return RegistrationInfo(ALICE, {each.key: each for each in bindings}, now)


def read(document: bytes) -> tuple[ElementTree.Element, ElementTree.Element, list[ElementTree.Element]]:
    """The root, its registration, and that one's contacts."""
    root = ElementTree.fromstring(document)
    (registration,) = root
    return root, registration, list(registration)


def events_of(document: bytes) -> list[tuple[str | None, str | None]]:
    return [(each.get("state"), each.get("event")) for each in read(document)[2]]


@pytest.mark.rfc("3680", "5.1")
def test_the_first_document_is_full_and_has_every_contact() -> None:
    root, registration, contacts = read(info(ONE, TWO).render(0, None))
    assert (root.tag, root.get("version"), root.get("state")) == (f"{NS}reginfo", "0", "full")
    assert (registration.get("aor"), registration.get("state")) == ("sip:1001@office.test", "active")
    assert [each.findtext(f"{NS}uri") for each in contacts] == [ONE.contact, TWO.contact]
    assert {key: contacts[1].get(key) for key in ("state", "event", "expires", "q", "callid", "cseq")} == {
        "state": "active", "event": "created", "expires": "600", "q": "0.5", "callid": "call-2", "cseq": "7",
    }  # fmt: skip
    params = {each.get("name"): each.text for each in contacts[1].findall(f"{NS}unknown-param")}
    assert params == {"+sip.instance": "<urn:uuid:1>", "reg-id": "2"}


@pytest.mark.rfc("3680", "5.2")
def test_a_later_one_has_what_changed_and_why() -> None:
    before = info(ONE, TWO)
    refreshed, shortened = replace(ONE, expires_at=1900.0), replace(TWO, expires_at=1100.0)
    root, _, contacts = read(info(refreshed, TWO).render(1, before))
    assert (root.get("version"), root.get("state"), len(contacts)) == ("1", "partial", 1)
    assert events_of(info(refreshed, TWO).render(1, before)) == [("active", "refreshed")]
    assert events_of(info(ONE, shortened).render(1, before)) == [("active", "shortened")]
    assert events_of(info(TWO).render(1, before)) == [("terminated", "unregistered")]
    assert events_of(info(TWO, now=1700.0).render(1, before)) == [("terminated", "expired")]


@pytest.mark.rfc("3680", "5.2")
def test_a_contact_keeps_its_id_and_no_other_has_it() -> None:
    ids = [each.get("id") for each in read(info(ONE, TWO).render(0, None))[2]]
    later = [each.get("id") for each in read(info(replace(ONE, expires_at=2000.0)).render(1, info(ONE, TWO)))[2]]
    assert later == ids and len(set(ids)) == 2


@pytest.mark.rfc("3680", "3.2")
def test_a_registration_is_init_active_and_terminated() -> None:
    states = [read(each)[1].get("state") for each in (info().render(0, None), info(ONE).render(1, info()))]
    assert [*states, read(info().render(2, info(ONE)))[1].get("state")] == ["init", "active", "terminated"]


def test_nothing_in_a_document_is_markup_of_a_phone() -> None:
    evil = replace(ONE, contact='sip:"><x/>@h', call_id='"&', instance="<urn:\"'>", reg_id="1")
    (contact,) = read(info(evil).render(0, None))[2]
    assert (contact.findtext(f"{NS}uri"), contact.get("callid")) == (evil.contact, '"&')
