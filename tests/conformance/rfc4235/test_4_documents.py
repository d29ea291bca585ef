"""RFC 4235 §4: the documents of dialog-info, full and partial."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from voipat import DialogInfo, DialogState, Resource

ALICE = Resource("office.test", "1001")
NAMESPACE = "{urn:ietf:params:xml:ns:dialog-info}"


def info(*dialogs: DialogState) -> DialogInfo:
    return DialogInfo(ALICE, {each.id: each for each in dialogs})


@pytest.mark.rfc("4235", "4.3")
def test_partial_state_has_only_what_changed_and_what_ended_is_terminated() -> None:
    """ "the state attribute [...] indicates whether the document contains the full dialog information, or [...] only

    information on those dialogs that have changed".
    """
    one, two = DialogState("1", "initiator", "early", "1002"), DialogState("2", "recipient", "confirmed", "1003")
    full = ElementTree.fromstring(info(one, two).render(0, None))
    assert (full.tag, full.get("state"), full.get("version")) == (f"{NAMESPACE}dialog-info", "full", "0")
    assert full.get("entity") == "sip:1001@office.test"
    assert [each.get("id") for each in full] == ["1", "2"]
    partial = ElementTree.fromstring(info(two).render(1, info(one, two)))
    assert (partial.get("state"), partial.get("version")) == ("partial", "1")
    (gone,) = partial
    assert gone.get("id") == "1" and gone.findtext(f"{NAMESPACE}state") == "terminated"


@pytest.mark.rfc("4235", "4.1.2")
def test_nothing_in_a_document_is_markup_of_a_peer() -> None:
    """Call-IDs and tags are what a phone chose."""
    evil = DialogState("1", "initiator", "early", "1002", call_id='"><x a="', local_tag="<&>", remote_tag="t")
    (dialog,) = ElementTree.fromstring(info(evil).render(0, None))
    assert (dialog.get("call-id"), dialog.get("local-tag")) == ('"><x a="', "<&>")
