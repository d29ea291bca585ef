"""RFC 5627 §5: GRUUs of the registrar, public and temporary."""

from __future__ import annotations

import re

import pytest

from sipcore.entropy import SeededEntropy
from sipcore.flow import Address, Flow
from sipcore.message import Request
from sipcore.uri import Uri
from voipat import reasons
from voipat.accounts import Identity
from voipat.gruu import MAX_TEMPORARY
from voipat.registrar import Registrar

UUID = "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6"


class Desk:
    def __init__(self) -> None:
        self.now = 1000.0
        self.registrar = Registrar("example.com", password_of=lambda user: "secret")
        self.registrar.start(lambda: self.now, lambda event: None, SeededEntropy(1))
        self.cseq = 0
        self.status, self.reason = 0, None

    def register(
        self,
        *,
        supported: str = "gruu",
        instance: str = UUID,
        call_id: str = "c1",
        expires: int = 600,
        contact: str = "sip:alice@10.0.0.1",
    ) -> str:
        """The Contact of the answer."""
        self.cseq += 1
        own = f';+sip.instance="<{instance}>"' if instance else ""
        lines = [
            ("To", "<sip:alice@example.com>"), ("From", "<sip:alice@example.com>;tag=1"), ("Call-ID", call_id),
            ("CSeq", f"{self.cseq} REGISTER"), ("Contact", f"<{contact}>{own};expires={expires}"),
            ("Supported", supported),
        ]  # fmt: skip
        flow = Flow("UDP", Address("192.0.2.1", 5060), Address("198.51.100.7", 5060))
        request = Request("REGISTER", "sip:example.com", lines)
        self.status, headers, self.reason = self.registrar.register(request, flow, Identity("example.com", "alice"))
        return next((value for name, value in headers if name == "Contact"), "")

    def resolve(self, uri: Uri, tenant: str = "example.com") -> tuple[str, str] | None:
        assert self.registrar.gruus is not None
        return self.registrar.gruus.resolve(tenant, uri)


def gruu(contact: str, kind: str) -> Uri:
    found = re.search(rf'{kind}-gruu="([^"]+)"', contact)
    assert found is not None, contact
    return Uri.parse(found[1])


@pytest.mark.rfc(
    "5627",
    "7",
    "… =/ gr-param gr-param = 'gr' ['=' pvalue] ; defined in RFC 3261 The quoted strings for temp-gruu and pub-gruu "
    "MUST contain a SIP URI.",
)
@pytest.mark.rfc(
    "5627",
    "5.2",
    "… and the registrar has at least one temporary GRUU assigned to the instance ID and AOR, the registrar MUST "
    "add a 'temp-gruu' Contact header field parameter to that Contact header field.",
)
def test_a_phone_that_supports_it_gets_a_public_and_a_temporary_one() -> None:
    contact = Desk().register()
    assert str(gruu(contact, "pub")) == f"sip:alice@example.com;gr={UUID}"
    assert "alice" not in str(gruu(contact, "temp")) and gruu(contact, "temp").params == {"gr": None}


@pytest.mark.rfc(
    "5627",
    "5.2",
    'If the REGISTER request contained a Supported header field that included the "gruu" option tag, and the '
    "registrar has …",
)
@pytest.mark.parametrize("told", [{"supported": "path"}, {"instance": ""}])
def test_a_phone_that_does_not_or_has_no_instance_gets_none(told: dict[str, str]) -> None:
    assert "gruu=" not in Desk().register(**told)  # type: ignore[arg-type]  # texts


@pytest.mark.rfc("5627", "3.1.2")
def test_two_temporary_ones_of_a_phone_cannot_be_linked_and_both_lead_to_it() -> None:
    # "temporary GRUUs [...] no two [...] can be correlated"; all of one registration stay valid.
    desk = Desk()
    one, two = gruu(desk.register(), "temp"), gruu(desk.register(), "temp")
    assert one != two
    assert _longest_common(one.user or "", two.user or "") < 10
    assert desk.resolve(one) == desk.resolve(two) == ("alice", f"<{UUID}>")


def _longest_common(one: str, two: str) -> int:
    one, two = one.removeprefix("tgruu."), two.removeprefix("tgruu.")
    size = 1
    while any(one[i : i + size] in two for i in range(len(one) - size + 1)):
        size += 1
    return size - 1


@pytest.mark.rfc(
    "5627",
    "5.3",
    "… a particular GRUU no longer has any registered contacts bound to it, and the GRUU is a temporary GRUU, the "
    "GRUU MUST be invalidated.",
)
def test_a_temporary_one_is_void_with_another_call_id_and_after_the_end() -> None:
    # "the temporary GRUU [...] becomes invalid" when the instance registers with a different Call-ID.
    desk = Desk()
    before = gruu(desk.register(call_id="c1"), "temp")
    after = gruu(desk.register(call_id="c2"), "temp")
    assert desk.resolve(before) is None and desk.resolve(after) is not None
    desk.now += 700
    assert desk.resolve(after) is None


def test_a_temporary_one_is_of_one_tenant_and_cannot_be_forged() -> None:
    desk = Desk()
    uri = gruu(desk.register(), "temp")
    user = uri.user or ""
    assert desk.resolve(uri, "other.test") is None
    forged = [
        user[:-1] + ("A" if user[-1] != "A" else "B"),
        "tgruu.",
        "tgruu.%%%",
        "tgruu." + "A" * MAX_TEMPORARY,
        "alice",
        "",
    ]
    assert [desk.resolve(uri.replace(user=text or None)) for text in forged] == [None] * 6


@pytest.mark.rfc(
    "5627",
    "5.4",
    "A registrar MUST be able to determine the instance ID and AOR when presented with a GRUU.",
)
def test_a_public_one_names_user_and_device() -> None:
    desk = Desk()
    assert desk.resolve(gruu(desk.register(), "pub")) == ("alice", f"<{UUID}>")
    assert desk.resolve(Uri.parse("sip:alice@example.com")) is None


@pytest.mark.rfc(
    "5627",
    "5.1",
    "If the contact URI is equivalent (based on URI equivalence in RFC 3261) to the AOR, the registrar MUST reject "
    "the request with a 403, since this would cause a routing loop.",
)
def test_a_contact_that_is_the_address_of_record_is_refused() -> None:
    desk = Desk()
    assert desk.register(contact="sip:%61lice@EXAMPLE.com") == ""
    assert (desk.status, desk.reason) == (403, reasons.CONTACT_IS_AOR)
    assert "temp-gruu" in desk.register(contact="sip:alice@example.com:5070")
