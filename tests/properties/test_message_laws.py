"""parse ∘ format = id for fields and messages; a stream frames what was written; any bytes raise one error or none."""

from __future__ import annotations

import string
from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from sipcore.errors import ParseError
from sipcore.fields import Challenge, Credentials, NameAddr, Via
from sipcore.headers import Headers
from sipcore.message import Request, Response
from sipcore.parser import InvalidMessage, parse_message
from sipcore.stream_parser import StreamParser
from sipcore.uri import Uri, unescape

RUNS = settings(max_examples=100, deadline=None)

tokens = st.text(string.ascii_letters + string.digits + "-.!%*_+`'~", min_size=1, max_size=8)
hosts = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,8}(\.[a-z]{1,4})?", fullmatch=True) | st.ip_addresses().map(str)
ports = st.none() | st.integers(0, 65535)
escapes = st.integers(0, 255).map(lambda byte: f"%{byte:02X}")
users = st.lists(st.sampled_from("aZ09-_.!~*'()&=+$,;?/#é\udcff") | escapes, min_size=1, max_size=8).map("".join)
param_texts = st.lists(st.sampled_from("aZ09-_.!~*'()[]/:&+$") | escapes, min_size=1, max_size=6).map("".join)
uri_params = st.dictionaries(param_texts.map(str.lower), st.none() | param_texts, max_size=3)
uri_headers = st.dictionaries(
    st.text("aZ9-_.!~*'()[]/?:+$", min_size=1, max_size=4), st.text("aZ9-_.[]/?:+$", max_size=4), max_size=2
)
uris = st.builds(
    Uri,
    st.sampled_from(("sip", "sips")),
    st.none() | users,
    hosts,
    ports,
    password=st.none(),
    params=uri_params,
    headers=uri_headers,
)
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), max_size=12)
quoted = texts.map(lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"')
params = st.dictionaries(tokens.map(str.lower), st.none() | tokens | quoted, max_size=3)
name_addrs = st.builds(NameAddr, uris, st.none() | texts, params)
vias = st.builds(Via, tokens.map(str.upper), hosts, ports, params)
auth_params = st.dictionaries(tokens.map(str.lower).filter(lambda name: name not in ("qop", "nc")), texts, max_size=4)
lines = st.lists(st.tuples(tokens.map(lambda name: f"X-{name}"), texts.map(lambda text: text.strip(" \t"))), max_size=5)


@RUNS
@given(uris)
def test_a_uri_is_read_as_it_was_written(uri: Uri) -> None:
    again = Uri.parse(str(uri))
    assert again == uri and again.equivalent(uri) and uri.equivalent(again)
    assert (again.user, again.host, again.port) == (uri.user, uri.host, uri.port)
    assert dict(again.params) == dict(uri.params) and dict(again.headers) == dict(uri.headers)
    assert str(again.replace()) == str(uri)
    unescape(str(uri))


@RUNS
@given(name_addrs)
def test_an_address_is_read_as_it_was_written(address: NameAddr) -> None:
    again = NameAddr.parse(str(address))
    assert (again.display_name, again.uri, dict(again.params)) == (
        address.display_name,
        address.uri,
        dict(address.params),
    )


@RUNS
@given(vias)
def test_a_via_is_read_as_it_was_written(via: Via) -> None:
    again = Via.parse(str(via))
    assert again == via and again.sent_by == via.sent_by and dict(again.params) == dict(via.params)


@RUNS
@given(tokens, auth_params)
def test_authentication_is_read_as_it_was_written(scheme: str, pairs: dict[str, str]) -> None:
    for kind in (Challenge, Credentials):
        plain = {name: value for name, value in pairs.items() if name not in ("algorithm", "stale", "userhash")}
        assert kind.parse(str(kind(scheme, plain))) == kind(scheme, plain)


@settings(max_examples=40, deadline=None)
@given(uris, lines, st.lists(vias, min_size=1, max_size=3), name_addrs, name_addrs, st.binary(max_size=60))
def test_a_request_is_read_as_it_was_written(
    uri: Uri,
    extra: list[tuple[str, str]],
    hops: list[Via],
    from_: NameAddr,
    to: NameAddr,
    body: bytes,
) -> None:
    uri = uri.replace(headers={})
    fixed = [("From", str(from_)), ("To", str(to)), ("Call-ID", "1"), ("CSeq", "7 INVITE"), ("Contact", str(to))]
    request = Request("INVITE", uri, [("Via", ", ".join(map(str, hops))), *fixed, *extra], body)
    data = request.to_bytes()
    again = parse_message(data)
    assert isinstance(again, Request)
    assert (again.uri, again.vias, again.from_, again.to, again.contact) == (uri, hops, from_, to, to)
    assert [item for item in again.headers.items() if item[0] != "Content-Length"] == request.headers.items()
    assert (again.body, again.to_bytes()) == (body, data)
    assert StreamParser().feed(data * 2) == [data, data]


@RUNS
@given(st.integers(100, 699), texts, st.binary(max_size=60))
def test_a_response_is_read_as_it_was_written(status: int, reason: str, body: bytes) -> None:
    headers = [("v", "SIP/2.0/UDP h"), ("f", "<sip:a@h>"), ("t", "<sip:b@h>"), ("i", "1"), ("CSeq", "1 BYE")]
    again = parse_message(Response(status, reason, headers, body).to_bytes())
    assert isinstance(again, Response)
    assert (again.status, again.reason, again.body) == (status, reason, body)


@RUNS
@given(
    st.lists(
        st.tuples(st.sampled_from(("add", "set", "prepend", "remove")), st.sampled_from("XYvm"), texts), max_size=12
    )
)
def test_headers_change_like_a_list_of_pairs(changes: list[tuple[str, str, str]]) -> None:
    names = {"X": "Session-Expires", "Y": "Identity", "v": "Via", "m": "Contact"}
    headers, model = Headers(), list[tuple[str, str]]()
    for verb, letter, value in changes:
        name = names[letter]
        at = next((index for index, line in enumerate(model) if line[0] == name), len(model))
        rest = [line for line in model if line[0] != name]
        if verb == "remove":
            headers.remove(letter)
            model = rest
            continue
        getattr(headers, verb)(letter, value)
        if verb == "set":
            model = [*model[:at], (name, value), *(line for line in model[at:] if line[0] != name)]
        else:
            model = [*model, (name, value)] if verb == "add" else [(name, value), *model]
    assert headers.items() == model
    assert headers.copy() == headers and len(headers) == len(model)


@RUNS
@given(st.binary(max_size=200) | st.text('SIP/2.0 sip:a@h\r\nVia;=<>",:', max_size=200).map(str.encode))
def test_any_bytes_give_a_message_or_one_error(data: bytes) -> None:
    for start in (b"", b"INVITE sip:h SIP/2.0\r\n", b"INVITE sip:h SIP/2.0\r\nVia: SIP/2.0/UDP h\r\n"):
        with suppress(InvalidMessage):
            parse_message(start + data)


@RUNS
@given(st.text('ab@:;=?<>",\\ \t%4[]./é\udcff*', max_size=24))
def test_any_text_gives_a_field_or_one_error(text: str) -> None:
    for parse in (Uri.parse, NameAddr.parse, Via.parse, Challenge.parse):
        try:
            field = parse(text)
        except ParseError:
            continue
        assert parse(str(field)) == field


@RUNS
@given(st.binary(max_size=80), st.lists(st.integers(1, 30), max_size=12))
def test_segmentation_does_not_matter(body: bytes, cuts: list[int]) -> None:
    data = b"A sip:h SIP/2.0\r\nl: %d\r\n\r\n" % len(body) + body + b"\r\n\r\n"
    whole = StreamParser().feed(data * 2)
    parser, out, at = StreamParser(), [], 0
    for cut in (*cuts, len(data) * 2):
        out += parser.feed((data * 2)[at : at + cut])
        at += cut
    assert out == whole


MANDATORY = (
    b"Via: SIP/2.0/UDP h;branch=z9hG4bK1\r\n"
    b"From: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n\r\n"
)

# Near the borders of what is UTF-8 (RFC 3629 §4), where a decoder of its own errs.
edges = st.lists(
    st.sampled_from([b"a", b"\x80", b"\xbf", b"\x9f", b"\xa0", b"\x8f", b"\x90"])
    | st.integers(0xC0, 0xFF).map(lambda byte: bytes([byte]))
    | st.sampled_from("é€\ud7ff\ue000\uffff\U00010000\U0010ffff").map(str.encode),
    max_size=12,
).map(b"".join)


@settings(max_examples=500, deadline=None)
@given(edges)
def test_bytes_that_are_not_utf8_are_kept_as_python_keeps_them(value: bytes) -> None:
    message = parse_message(b"OPTIONS sip:h SIP/2.0\r\nSubject: <" + value + b">\r\n" + MANDATORY)
    assert message.headers.get("Subject") == f"<{value.decode('utf-8', 'surrogateescape')}>"
    assert b"Subject: <" + value + b">\r\n" in message.to_bytes()
