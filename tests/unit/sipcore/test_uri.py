"""URIs: what is read, what is refused, comparison, and what is written."""

from __future__ import annotations

import pytest

from sipcore.errors import ParseError
from sipcore.uri import Uri, escape_user, telephone_number, unescape


def test_a_full_uri_is_read_part_by_part() -> None:
    uri = Uri.parse("SIPS:alice%20b:pa%20ss@Atlanta.example.com:5061;Transport=tcp;lr;maddr=[::1]?Subject=a%20b&to=x")
    assert (uri.scheme, uri.user, uri.password) == ("sips", "alice%20b", "pa%20ss")
    assert (uri.host, uri.port) == ("Atlanta.example.com", 5061)
    assert uri.params == {"transport": "tcp", "lr": None, "maddr": "[::1]"}
    assert uri.headers == {"Subject": "a%20b", "to": "x"}
    assert uri.opaque is None


@pytest.mark.parametrize(
    ("text", "user", "host", "port"),
    [
        ("sip:example.com", None, "example.com", None),
        ("sip:[2001:db8::10]", None, "2001:db8::10", None),
        ("sip:a@[2001:db8::10:5070]", "a", "2001:db8::10:5070", None),
        ("sip:a@[::ffff:192.0.2.1]:5070", "a", "::ffff:192.0.2.1", 5070),
        ("sip:*43#@10.0.0.1", "*43#", "10.0.0.1", None),
        ("sip:+1-(201).555@h_1.example", "+1-(201).555", "h_1.example", None),
        ("sip:user;par=u%40example.net@example.com", "user;par=u%40example.net", "example.com", None),
        ("sip:caf\u00e9@h", "caf\u00e9", "h", None),
        ("sip:\udce9@h", "\udce9", "h", None),
    ],
)
def test_user_host_and_port(text: str, user: str | None, host: str, port: int | None) -> None:
    uri = Uri.parse(text)
    assert (uri.user, uri.host, uri.port) == (user, host, port)
    assert str(uri) == text
    assert str(uri.replace()) == text


@pytest.mark.rfc("3966", "3")
def test_a_tel_uri_has_its_number_as_user() -> None:
    uri = Uri.parse("tel:+1-201-555-0123;phone-context=example.com;ext=9")
    assert (uri.scheme, uri.user, uri.host) == ("tel", "+1-201-555-0123", "")
    assert uri.params == {"phone-context": "example.com", "ext": "9"}
    assert uri.aor == "tel:+1-201-555-0123"
    assert str(uri.replace(params={})) == "tel:+1-201-555-0123"


@pytest.mark.rfc("4475", "3.3.3")
@pytest.mark.parametrize("text", ["soap.beep://192.0.2.103:3002", "urn:service:sos", "nobodyKnowsThisScheme:totally"])
def test_a_foreign_scheme_is_kept_whole(text: str) -> None:
    uri = Uri.parse(text)
    assert f"{uri.scheme}:{uri.opaque}" == text.replace("nobodyKnowsThisScheme", "nobodyknowsthisscheme")
    assert (uri.user, uri.host, str(uri), uri.aor) == (None, "", text, text)
    assert str(uri.replace()).lower() == text.lower()


@pytest.mark.rfc("3261", "19.1.1", "If the @ sign is present in a SIP or SIPS URI, the user field MUST NOT be empty.")
@pytest.mark.parametrize(
    "text",
    [
        "",
        "sip",
        "sip:",
        ":a@b",
        "1sip:a@b",
        "sip:@h",
        "sip:a@",
        "sip:a@b@c",
        "sip:a b@c",
        " sip:a@b",
        "sip:a@b ",
        "sip:a@b\r\nX: y",
        "sip:a@b\0",
        "<sip:a@b>",
        "sip:a@b:",
        "sip:a@b:70000",
        "sip:a@b:5x",
        "sip:a@b :5",
        "sip:a@b: 5",
        "sip:a@2001:db8::10",
        "sip:a@[2001:db8::10",
        "sip:a@[]",
        "sip:a@[::1%eth0]",
        "sip:a@[gg]",
        "sip:a@b;",
        "sip:a@b;;x",
        "sip:a@b; lr",
        "sip:a@b;=x",
        'sip:a@b;x="y"',
        "sip:a@b;x;x",
        "sip:a@b?",
        "sip:a@b?x",
        "sip:a@b?=x",
        "sip:a@b?x=y z",
        "sip:%4@h",
        "sip:%zz@h",
        "sip:a%@h",
        "sip:a@b;x=%f",
        'sip:a"b@h',
        "tel:",
        "tel: 1",
        "tel:1;",
        "urn:a b",
        "urn:<a>",
    ],
)
def test_what_is_no_uri_is_refused(text: str) -> None:
    with pytest.raises(ParseError):
        Uri.parse(text)


@pytest.mark.rfc("3261", "8.1.1.2", "All SIP implementations MUST support the SIP URI scheme.")
@pytest.mark.rfc(
    "3261",
    "19.1.4",
    "For two URIs to be equal, the user, password, host, and port components must match. … Any uri-parameter "
    "appearing in both URIs must match.",
)
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtlanTa.CoM;Transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;newparam=5"),
        (
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
        ),
        (
            "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
        ),
        ("sip:a%3bb@h", "sip:a%3Bb@h"),
    ],
)
def test_equivalent_uris_of_the_rfc(one: str, other: str) -> None:
    assert Uri.parse(one).equivalent(Uri.parse(other))
    assert Uri.parse(other).equivalent(Uri.parse(one))


@pytest.mark.rfc(
    "3261",
    "19.1.4",
    "URI header components are never ignored. Any present header component MUST be present in both URIs and match "
    "for the URIs to match.",
)
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
        ("sip:a@h", "sips:a@h"),
        ("sip:a%3bb@h", "sip:a;b@h"),
        ("sip:a:x@h", "sip:a:y@h"),
        ("sip:a@h", "sip:h"),
        ("urn:a:b", "urn:a:c"),
    ],
)
def test_different_uris_of_the_rfc(one: str, other: str) -> None:
    assert not Uri.parse(one).equivalent(Uri.parse(other))


@pytest.mark.rfc(
    "3261",
    "10.3",
    "The registrar extracts the address-of-record from the To header field of the request. … the URI MUST then be "
    "converted to a canonical form. To do that, all URI parameters MUST be removed (including the user-param), and "
    "any escaped characters MUST be converted to their unescaped form.",
)
@pytest.mark.parametrize(
    ("text", "aor"),
    [
        ("sip:Alice@Example.COM:5070;transport=tcp?a=b", "sip:Alice@example.com"),
        ("sips:%61lice:secret@h", "sip:alice@h"),
        ("sip:h", "sip:h"),
    ],
)
def test_the_address_of_record_is_canonical(text: str, aor: str) -> None:
    assert Uri.parse(text).aor == aor


def test_a_changed_uri_is_written_anew() -> None:
    uri = Uri.parse("sip:alice:p@example.com;lr;x=1?a=b")
    assert str(uri.replace(host="2001:db8::1", port=5061)) == "sip:alice:p@[2001:db8::1]:5061;lr;x=1?a=b"
    assert uri.replace(user=None, password=None, params={}, headers={}).host_port == "example.com"
    assert str(Uri("sip", "bob", "h", 5060, params={"transport": "tcp"})) == "sip:bob@h:5060;transport=tcp"


def test_a_uri_cannot_be_changed_in_place() -> None:
    uri = Uri.parse("sip:a@h")
    with pytest.raises(AttributeError):
        uri.host = "evil"  # type: ignore[misc]
    with pytest.raises(TypeError):
        uri.params["x"] = "y"  # type: ignore[index]


def test_equal_text_is_equal_and_hashes_alike() -> None:
    assert Uri.parse("sip:a@h") == Uri("sip", "a", "h")
    assert hash(Uri.parse("sip:a@h")) == hash(Uri("sip", "a", "h"))
    assert Uri.parse("sip:a@h") != "sip:a@h"
    assert repr(Uri.parse("sip:a@h")) == "Uri('sip:a@h')"


@pytest.mark.parametrize(("text", "plain"), [("a", "a"), ("%41%62c", "Abc"), ("%C3%a9", "\u00e9"), ("%ff", "\udcff")])
def test_escapes_are_resolved(text: str, plain: str) -> None:
    assert unescape(text) == plain


@pytest.mark.parametrize("text", ["%", "%4", "%4x", "a%", "%+1"])
def test_broken_escapes_are_refused(text: str) -> None:
    with pytest.raises(ParseError):
        unescape(text)


def test_text_without_bytes_is_refused() -> None:
    with pytest.raises(ParseError):
        Uri.parse("sip:\ud800@h")


@pytest.mark.rfc(
    "3261",
    "19.1.2",
    "Excluded US-ASCII characters …, such as space and control characters and characters used as URI delimiters, "
    "also MUST be escaped. URIs MUST NOT contain unescaped space and control characters.",
)
@pytest.mark.parametrize(
    ("text", "escaped"), [("1001", "1001"), ("*43", "*43"), ("#1", "%231"), ("a b@c", "a%20b%40c"), ("ü", "%C3%BC")]
)
def test_a_user_part_is_escaped_where_it_must_be(text: str, escaped: str) -> None:
    assert escape_user(text) == escaped and unescape(escaped) == text


@pytest.mark.rfc("3966", "5.1.5")
@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("tel:+1-202-555-0100", "+12025550100"),
        ("tel:+1(202)5550100;ext=55;isub=1", "+12025550100"),
        ("tel:+12025550100;npdi;rn=+12025559999", "+12025550100"),
        ("tel:5550100;phone-context=+1-202", "+12025550100"),
        ("tel:555-0100;phone-context=example.com", "5550100"),
        ("tel:7042;phone-context=example.com", "7042"),
        ("tel:112;phone-context=+49", "112"),
        ("tel:*21%23;phone-context=example.com", "*21#"),
        ("sip:+1(202)5550100;phone-context=x@gw.test;user=phone", "+12025550100"),
        ("sip:%2B12025550100@gw.test;user=phone", "+12025550100"),
        ("sip:5550100;phone-context=+1202@gw.test;user=phone", "+12025550100"),
        ("sip:+12025550100@gw.test", None),
        ("sip:alice@gw.test;user=phone", None),
        ("mailto:a@b", None),
    ],
)
def test_the_telephone_number_of_a_uri(text: str, number: str | None) -> None:
    assert telephone_number(Uri.parse(text)) == number
