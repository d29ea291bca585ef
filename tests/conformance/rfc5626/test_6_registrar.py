"""RFC 5626 §6 and §3.5: several flows of one phone at the registrar, and the keep-alive that a phone asks for."""

from __future__ import annotations

import struct

import pytest

from sipcore.flow import Address, Flow
from sipcore.message import Request
from sipcore.stun import binding_answer, is_stun
from voipat.accounts import Identity
from voipat.registrar import Registrar

AOR = "sip:alice@example.com"
UUID = "<urn:uuid:00000000-0000-1000-8000-000A95A0E128>"
OUTBOUND = (("Supported", "path, outbound"),)
Headers = tuple[tuple[str, str], ...]


class Desk:
    """A registrar, and a phone that registers by hand."""

    def __init__(self) -> None:
        self.registrar = Registrar("example.com", password_of=lambda user: "secret")
        self.registrar.start(lambda: 1000.0, lambda event: None)
        self.cseq = 0

    def register(
        self, *contacts: str, headers: Headers = OUTBOUND, port: int = 5060, hops: int = 1
    ) -> tuple[int, Headers]:
        self.cseq += 1
        lines = [("Via", f"SIP/2.0/TCP 10.0.0.{hop};branch=z9hG4bK{hop}") for hop in range(1, hops + 1)]
        lines += [
            ("To", f"<{AOR}>"),
            ("From", f"<{AOR}>;tag=1"),
            ("Call-ID", f"c{port}"),
            ("CSeq", f"{self.cseq} REGISTER"),
        ]
        lines += [("Contact", contact) for contact in contacts]
        request = Request("REGISTER", "sip:example.com", [*lines, *headers])
        flow = Flow("TCP", Address("192.0.2.1", 5060), Address("198.51.100.7", port), port)
        status, answer, _ = self.registrar.register(request, flow, Identity("example.com", "alice"))
        return status, tuple(answer)

    @property
    def flows(self) -> list[tuple[str, int]]:
        return [(each.reg_id, each.flow.remote.port) for each in self.registrar.lookup("example.com", "alice")]


def contact(reg_id: int | str, *, instance: str = UUID, host: str = "10.0.0.1") -> str:
    return f'<sip:alice@{host}:5060;transport=tcp>;reg-id={reg_id};+sip.instance="{instance}"'


@pytest.mark.rfc(
    "5626",
    "6",
    "Provided that the UAC had included an outbound option-tag … in a Supported header field value in the REGISTER "
    "request, the registrar MUST include the outbound option-tag in a Require header field value in its response to "
    "that REGISTER request.",
)
def test_outbound_is_confirmed_by_a_require() -> None:
    # "the registrar MUST include the 'outbound' option-tag in a Require header field value in its response".
    status, headers = Desk().register(contact(1))
    assert status == 200 and ("Require", "outbound") in headers
    assert any(name == "Contact" and ";reg-id=1" in value for name, value in headers)


@pytest.mark.rfc(
    "5626",
    "6",
    "The registrar MUST be prepared to receive, simultaneously for the same AOR, some registrations that use "
    "instance-id and reg-id and some registrations that do not.",
)
def test_two_flows_of_one_phone_are_two_bindings_and_a_flow_that_comes_again_replaces_itself() -> None:
    desk = Desk()
    desk.register(contact(1), port=1001)
    desk.register(contact(2), port=1002)
    assert sorted(desk.flows) == [("1", 1001), ("2", 1002)]
    desk.register(contact(1), port=1003)
    assert sorted(desk.flows) == [("1", 1003), ("2", 1002)]


def test_a_phone_that_reboots_a_hundred_times_leaves_one_binding() -> None:
    desk = Desk()
    for port in range(2000, 2100):
        desk.register(contact(1, host=f"10.0.0.{port - 1990}"), port=port)
    assert desk.flows == [("1", 2099)]


@pytest.mark.rfc(
    "5626",
    "6",
    "If the REGISTER request contains the reg-id and the outbound option tag in a Supported header field, then the "
    "registrar MUST respond to the REGISTER request with a 439 (First Hop Lacks Outbound Support) response.",
)
def test_through_a_proxy_without_ob_it_is_439() -> None:
    # "the registrar MUST respond to the REGISTER request with a 439 (First Hop Lacks Outbound Support) response".
    desk = Desk()
    assert desk.register(contact(1), hops=2)[0] == 439
    assert desk.register(contact(1), hops=2, headers=(*OUTBOUND, ("Path", "<sip:edge.test;lr>")))[0] == 439
    assert desk.flows == []
    status, headers = desk.register(contact(1), hops=2, headers=(*OUTBOUND, ("Path", "<sip:t@edge.test;lr;ob>")))
    assert status == 200 and ("Require", "outbound") in headers


@pytest.mark.rfc("5626", "6", 'Otherwise, the registrar MUST ignore the "reg-id" parameter of the Contact header.')
@pytest.mark.parametrize("headers", [(), (("Supported", "path"),)])
def test_without_the_option_the_reg_id_is_ignored(headers: Headers) -> None:
    # "otherwise, the registrar MUST ignore the reg-id parameter of the Contact header field".
    desk = Desk()
    status, answer = desk.register(contact(1), headers=headers)
    assert status == 200 and ("Require", "outbound") not in answer
    assert desk.flows == [("", 5060)]
    assert desk.register(contact(1), headers=headers, hops=2)[0] == 200


@pytest.mark.parametrize("reg_id", ["0", "abc", "99999999999", "-1", ""])
def test_a_reg_id_that_is_none_is_ignored(reg_id: str) -> None:
    desk = Desk()
    assert desk.register(contact(reg_id))[0] == 200
    assert desk.flows == [("", 5060)]


def test_one_register_names_one_flow() -> None:
    desk = Desk()
    assert desk.register(contact(1), contact(2))[0] == 400
    assert desk.flows == []


@pytest.mark.rfc(
    "5626",
    "6",
    "If the registrar processes a Contact header field value with a reg-id but no instance-id, it simply ignores "
    "the reg-id parameter.",
)
def test_without_an_instance_there_is_no_outbound() -> None:
    desk = Desk()
    status, headers = desk.register("<sip:alice@10.0.0.1>;reg-id=1")
    assert status == 200 and ("Require", "outbound") not in headers and desk.flows == [("", 5060)]


def stun(kind: int = 1, body: bytes = b"", cookie: int = 0x2112A442) -> bytes:
    return struct.pack("!HHI12s", kind, len(body), cookie, b"transaction!") + body


@pytest.mark.rfc("5626", "3.5.2")
def test_a_stun_keep_alive_is_told_where_it_came_from() -> None:
    answer = binding_answer(stun(), "198.51.100.7", 40000)
    assert answer is not None and answer[:2] == b"\x01\x01" and answer[8:20] == b"transaction!"
    kind, length, _, family, port, address = struct.unpack("!HHBBHI", answer[20:])
    assert (kind, length, family) == (0x0020, 8, 1)
    assert (port ^ 0x2112, address ^ 0x2112A442) == (40000, 0xC6336407)
    sixth = binding_answer(stun(), "2001:db8::1", 5)
    assert sixth is not None and len(sixth) == 44


@pytest.mark.parametrize(
    "data", [stun(0x0101), stun(0x0011), stun(1, b"x" * 100), stun()[:-1] + b"xy", stun(0x0003), stun(1) + b"more"]
)
def test_other_stun_gets_no_answer(data: bytes) -> None:
    assert binding_answer(data, "198.51.100.7", 40000) is None


@pytest.mark.parametrize(
    "data", [b"", b"\r\n\r\n", b"INVITE sip:a SIP/2.0\r\n" + b"x" * 40, stun(1, cookie=5), b"\0" * 19]
)
def test_what_is_no_stun_is_none(data: bytes) -> None:
    assert not is_stun(data)


@pytest.mark.rfc("5626", "10", "The value of the reg-id MUST NOT be 0 and MUST be less than 2^31.")
@pytest.mark.parametrize(
    ("value", "kept"),
    [("1", "1"), ("2147483647", "2147483647"), ("0", ""), ("2147483648", ""), ("-1", ""), ("x", ""), ("9" * 5000, "")],
)
def test_a_reg_id_that_is_no_number_of_a_flow_is_ignored(value: str, kept: str) -> None:
    desk = Desk()
    status, answer = desk.register(contact(value))
    assert (status, desk.flows) == (200, [(kept, 5060)])
    assert (("Require", "outbound") in answer) == bool(kept)
