"""Name-addr, Via, CSeq, parameters and authentication fields."""

from __future__ import annotations

import pytest

from sipcore.errors import ParseError
from sipcore.fields import Challenge, Credentials, CSeq, NameAddr, Via, parse_host_port, parse_params, quote
from sipcore.uri import Uri


@pytest.mark.rfc(
    "3261",
    "20.10",
    'Even if the "display-name" is empty, the "name-addr" form MUST be used if the "addr-spec" contains a '
    "comma, semicolon, or question mark.",
)
@pytest.mark.parametrize(
    ("text", "name", "uri", "params"),
    [
        (
            '"Mr. Watson" <sip:watson@w.example>;q=0.7;expires=3600',
            "Mr. Watson",
            "sip:watson@w.example",
            {"q": "0.7", "expires": "3600"},
        ),
        ("<sip:a@h>", None, "sip:a@h", {}),
        ("sip:a@h", None, "sip:a@h", {}),
        ("sip:a@h;tag=1", None, "sip:a@h", {"tag": "1"}),
        ("sip:a@h ;\ttag = 1", None, "sip:a@h", {"tag": "1"}),
        ("<sip:a@h;lr?x=y>;tag=1", None, "sip:a@h;lr?x=y", {"tag": "1"}),
        ("Anonymous <sip:c@h> ; tag = hyh8", "Anonymous", "sip:c@h", {"tag": "hyh8"}),
        ("The Operator<sip:o@h>", "The Operator", "sip:o@h", {}),
        ('"" <sip:a@h>', "", "sip:a@h", {}),
        ('"a,b;c<d>\\"e\\\\"<sip:a@h>', 'a,b;c<d>"e\\', "sip:a@h", {}),
        ('"\u00c5\udce9"<sip:a@h>', "\u00c5\udce9", "sip:a@h", {}),
        ("alice@example.com (desk) <sip:a@h>", "alice@example.com (desk)", "sip:a@h", {}),
        (
            '<sip:a@h>;+sip.instance="<urn:uuid:1;,2>";REG-ID=1',
            None,
            "sip:a@h",
            {"+sip.instance": '"<urn:uuid:1;,2>"', "reg-id": "1"},
        ),
        ("<sip:a@h>;tag=a==/@b:c", None, "sip:a@h", {"tag": "a==/@b:c"}),
        ("<sip:a@h>;tag=", None, "sip:a@h", {"tag": ""}),
        ("<sip:a@h>;tag=1;", None, "sip:a@h", {"tag": "1"}),
        ("<tel:+1;phone-context=x>", None, "tel:+1;phone-context=x", {}),
    ],
)
def test_an_address_is_read(text: str, name: str | None, uri: str, params: dict[str, str | None]) -> None:
    address = NameAddr.parse(text)
    assert (address.display_name, str(address.uri), dict(address.params)) == (name, uri, params)
    assert NameAddr.parse(str(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "*",
        "<",
        ">",
        "<>",
        "<sip:a@h",
        '"a <sip:a@h>',
        '"a" sip:a@h',
        '"a\\" <sip:h>',
        "Bell, Alexander <sip:a@h>",
        "< sip:a@h >",
        "sip:a@h?x=y",
        "sip:a@h,b",
        "<sip:a@h> tag=1",
        "<sip:a@h>;;tag=1",
        "<sip:a@h>;tag=1;tag=2",
        "<sip:a@h>;",
        "<sip:a@h>;=1",
        '<sip:a@h>;x="1',
        "<sip:a@h>;x=1 2",
        "<sip:a@h>>",
        "a <b> <sip:a@h>",
        "<sip:a@h>\r\nX: y",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ParseError):
        NameAddr.parse(text)


def test_an_address_is_made_and_written() -> None:
    address = NameAddr(Uri.parse("sip:a@h;lr"), 'say "\\"', {"tag": "1", "x": None})
    assert str(address) == '"say \\"\\\\\\"" <sip:a@h;lr>;tag=1;x'
    assert address.tag == "1"
    assert NameAddr(Uri.parse("sip:a@h")).tag is None
    assert len({address, NameAddr.parse(str(address))}) == 1
    assert repr(NameAddr(Uri.parse("sip:a@h"))) == "NameAddr('<sip:a@h>')"


@pytest.mark.rfc(
    "3261",
    "20.42",
    "For implementations compliant to this specification, the value of the branch parameter MUST start with the "
    'magic cookie "z9hG4bK".',
)
def test_a_via_is_read() -> None:
    via = Via.parse("SIP / 2.0 / udp first.example.com : 4000;ttl=16 ;maddr=224.2.0.1 ;branch=z9hG4bKa7c6a8dlze.1")
    assert (via.protocol, via.transport, via.host, via.port) == ("SIP/2.0", "UDP", "first.example.com", 4000)
    assert (via.branch, via.params["ttl"], via.received, via.rport) == ("z9hG4bKa7c6a8dlze.1", "16", None, None)
    assert via.sent_by == "first.example.com:4000"
    assert Via.parse(str(via)) == via


@pytest.mark.rfc("5118", "4.5")
@pytest.mark.parametrize("received", ["2001:db8::9:255", "[2001:db8::9:255]", "192.0.2.1"])
def test_received_may_be_an_ipv6_address_with_or_without_brackets(received: str) -> None:
    via = Via.parse(f"sip/2.0/TLS [2001:db8::9:1]:5061;received={received};rport=5062;branch=z9hG4bKas3-111")
    assert (via.host, via.port, via.received, via.rport) == ("2001:db8::9:1", 5061, received, "5062")
    assert via.sent_by == "[2001:db8::9:1]:5061"
    assert (Via.parse("SIP/2.0/UDP H;rport").sent_by, "rport" in Via.parse("SIP/2.0/UDP H;rport").params) == ("h", True)


@pytest.mark.rfc("4475", "3.1.1.9")
def test_unknown_transports_are_kept() -> None:
    assert Via.parse("SIP/2.0/UNKNOWN t5.example.com").transport == "UNKNOWN"
    assert Via.parse("ICE/1.0/UDP h").protocol == "ICE/1.0"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SIP",
        "SIP/2.0",
        "SIP/2.0/UDP",
        "SIP/2.0/UDP ",
        "SIP/2.0/ h",
        "/2.0/UDP h",
        "SIP//UDP h",
        "SIP/2.0/UDP h:",
        "SIP/2.0/UDP h:99999",
        "SIP/2.0/UDP h;;,;,,",
        "SIP/2.0/UDP h x",
        "SIP/2.0/UDP [::1",
        "SIP/2.0/UDP <h>",
        "SIP/2.0/UDP h;branch=1;branch=2",
        "SIP/2.0/UDPh",
        "SIP 2.0/UDP h",
    ],
)
def test_what_is_no_via_is_refused(text: str) -> None:
    with pytest.raises(ParseError):
        Via.parse(text)


@pytest.mark.rfc(
    "3261",
    "8.1.1.5",
    "The sequence number value MUST be expressible as a 32-bit unsigned integer and MUST be less than 2**31.",
)
def test_a_cseq_is_a_number_below_2_to_the_31_and_a_method() -> None:
    assert CSeq.parse("0009\t INVITE") == CSeq(9, "INVITE")
    assert CSeq.parse("2147483647 X") == (2147483647, "X")
    assert str(CSeq(1, "ACK")) == "1 ACK"


@pytest.mark.parametrize(
    "text", ["", "1", "INVITE", "1INVITE", "-1 ACK", "2147483648 A", "1 A B", "1 A/B", "1 ", "\u0661 A"]
)
def test_what_is_no_cseq_is_refused(text: str) -> None:
    with pytest.raises(ParseError):
        CSeq.parse(text)


def test_parameters_are_read_by_lower_case_name() -> None:
    assert parse_params(' ;A="x;y" ; b=2;C') == {"a": '"x;y"', "b": "2", "c": None}
    assert parse_params("") == {}


def test_host_and_port_are_told_apart() -> None:
    assert parse_host_port("[::1]:5060") == ("::1", 5060)
    assert parse_host_port(" h ") == ("h", None)
    for text in ("", ":5060", "h:x", "h:5060x", "::1", "[]"):
        with pytest.raises(ParseError):
            parse_host_port(text)


@pytest.mark.rfc("3261", "20.44", "A WWW-Authenticate header field value contains an authentication challenge.")
def test_a_challenge_is_read_and_written() -> None:
    text = 'Digest realm="a \\"b\\", c", qop="auth,auth-int", nonce="f84f1cec", stale=FALSE, algorithm=MD5'
    challenge = Challenge.parse(text)
    assert challenge.scheme == "Digest"
    assert challenge.params["realm"] == 'a "b", c'
    assert challenge.params["qop"] == "auth,auth-int"
    assert str(challenge) == text


@pytest.mark.rfc(
    "3261",
    "20.7",
    "Although not a comma-separated list, this header field name may be present multiple times, and MUST NOT be "
    "combined into a single header line using the usual rules described in Section 7.3.",
)
def test_credentials_are_read_and_written() -> None:
    text = 'Digest username="bob", realm="r", nonce="n", uri="sip:h", response="0", qop=auth, nc=00000001, cnonce="c"'
    credentials = Credentials.parse(text)
    assert credentials.params["nc"] == "00000001"
    assert str(credentials) == text
    assert Credentials.parse('Digest a = "1" ,, B=2 ,').params == {"a": "1", "b": "2"}


@pytest.mark.parametrize(
    "text", ["", '"x"', "Digest a", "Digest a=1 b=2", 'Digest a="1', "Digest =1", "Digest a=1,a=2"]
)
def test_what_is_no_authentication_field_is_refused(text: str) -> None:
    with pytest.raises(ParseError):
        Credentials.parse(text)


def test_quotes_and_backslashes_are_escaped() -> None:
    assert quote('a"b\\') == '"a\\"b\\\\"'
