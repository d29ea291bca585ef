"""Each message of RFC 5118 through the stack and to a server on sockets, and how its addresses are read."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address

import pytest

from sipcore.errors import ParseError
from sipcore.message import Request
from sipcore.parser import parse_message
from sipcore.sdp import SessionDescription, parse_sdp
from tests.conformance.rfc4475.harness import (
    client,
    in_words,
    react,
    react_on_stream,
    server,
    statuses,
    write_in_segments,
)
from tests.conformance.rfc5118.messages import MESSAGES, VECTORS, archived, wire, with_crlf

each_message = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.rfc("5118", case.section)) for name, case in MESSAGES.items()]
)


def request(name: str) -> Request:
    message = parse_message(wire(name))
    assert isinstance(message, Request)
    return message


def description(name: str) -> SessionDescription:
    return parse_sdp(request(name).body)


def test_the_table_has_every_message_of_the_rfc() -> None:
    assert {path.stem for path in VECTORS.glob("*.dat")} == set(MESSAGES)
    assert len(MESSAGES) == 12


@each_message
def test_the_endpoint_reacts_as_the_rfc_says(name: str) -> None:
    assert in_words(react(wire(name))) == MESSAGES[name].stack, MESSAGES[name].quote


@each_message
@pytest.mark.parametrize("segment", [0, 1, 2, 3, 4, 5, 6, 7])
def test_a_stream_gives_the_same_however_it_is_cut(name: str, segment: int) -> None:
    assert react_on_stream(wire(name), segment) == MESSAGES[name].stack, MESSAGES[name].quote


@each_message
@pytest.mark.usefixtures("nothing_left")
def test_over_udp_the_server_answers_as_the_rfc_says(name: str) -> None:
    async def scenario() -> None:
        async with server() as app, client(app, "UDP") as sender:
            sender.write(wire(name))
            assert statuses(await sender.final(1)) == MESSAGES[name].server, MESSAGES[name].quote

    asyncio.run(scenario())


@each_message
@pytest.mark.parametrize("segment", [0, 1, 3, 7])
@pytest.mark.usefixtures("nothing_left")
def test_over_tcp_the_server_answers_as_the_rfc_says(name: str, segment: int) -> None:
    async def scenario() -> None:
        async with server() as app, client(app, "TCP") as sender:
            await write_in_segments(sender, wire(name), segment)
            assert statuses(await sender.final(1)) == MESSAGES[name].server, MESSAGES[name].quote
            assert not sender.closed.is_set()

    asyncio.run(scenario())


@each_message
@pytest.mark.usefixtures("nothing_left")
def test_over_ipv6_the_server_answers_the_same(name: str) -> None:
    async def scenario() -> None:
        async with server("::1") as app:
            for transport in ("UDP", "TCP"):
                async with client(app, transport) as sender:
                    # Another client, another call: a copy of the first would be a merged request.
                    data = wire(name).replace(b"Call-ID: ", b"Call-ID: " + transport.encode())
                    sender.write(data.replace(b"branch=", b"branch=z9hG4bK" + transport.encode(), 1))
                    assert statuses(await sender.final(1)) == MESSAGES[name].server, MESSAGES[name].quote

    asyncio.run(scenario())


@pytest.mark.rfc("5118", "4.1")
def test_a_reference_is_read_in_request_uri_via_and_contact() -> None:
    message = request("ipv6-good")
    assert (message.uri.host, message.uri.port) == ("2001:db8::10", None)
    assert (message.via.host, message.via.port) == ("2001:db8::9:1", None)
    assert message.contact is not None and message.contact.uri.host == "2001:db8::1"
    assert message.to_bytes() == wire("ipv6-good")


@pytest.mark.rfc("5118", "4.3")
def test_what_is_within_the_brackets_is_address_and_no_port() -> None:
    """ "the intended port number becomes the last octet of the reference" """
    uri = request("port-ambiguous").uri
    assert (uri.host, uri.port) == ("2001:db8::10:5070", None)


@pytest.mark.rfc("5118", "4.4")
def test_what_follows_the_brackets_is_the_port() -> None:
    """ "leaves no ambiguity whatsoever on where the IPv6 address ends and the port number begins" """
    uri = request("port-unambiguous").uri
    assert (uri.host, uri.port) == ("2001:db8::10", 5070)


@pytest.mark.rfc("5118", "4.5")
def test_received_may_have_brackets_or_not() -> None:
    """ "be liberal in accepting a "received" parameter with or without the delimiting "[" and "]" tokens" """
    with_brackets, without = request("via-received-param-with-delim").via, request("via-received-param-no-delim").via
    assert (with_brackets.branch, with_brackets.received) == ("z9hG4bKas3-111", "[2001:db8::9:255]")
    assert (without.branch, without.received) == ("z9hG4bKas3", "2001:db8::9:255")


@pytest.mark.rfc("5118", "4.5")
def test_a_received_of_ours_has_no_brackets() -> None:
    """ "implementations must not put the delimiting "[" and "]" tokens" """

    async def scenario() -> str:
        async with server("::1") as app, client(app, "UDP") as sender:
            sender.write(wire("via-received-param-with-delim"))
            return (await sender.final(1))[0].get("Via")

    assert "received=::1" in asyncio.run(scenario()).split(";")


@pytest.mark.rfc("5118", "4.6")
def test_addresses_of_sdp_have_no_brackets() -> None:
    """ "the IPv6 addresses in the SDP body do not have the delimiting "[" and "]"" """
    assert description("ipv6-in-sdp").connection == "2001:db8::20"


@pytest.mark.rfc("5118", "4.7")
def test_via_may_mix_address_families() -> None:
    """ "The Via list contains a mix of IPv4 addresses and IPv6 references." """
    vias = request("mult-ip-in-header").vias
    assert [(via.host, via.port) for via in vias] == [
        ("2001:db8::9:1", 6050),
        ("192.0.2.1", None),
        ("2001:db8::9:255", None),
    ]
    assert vias[2].received == "192.0.2.200"


@pytest.mark.rfc("5118", "4.8")
def test_each_stream_of_sdp_may_have_another_family() -> None:
    """ "each media line is identified by a different network connection address" """
    media = description("mult-ip-in-sdp").media
    assert [stream.connection for stream in media] == ["192.0.2.1", "2001:db8::1"]


@pytest.mark.rfc("5118", "4.9")
def test_mapped_addresses_are_read_in_signalling_and_sdp() -> None:
    """ "The topmost Via header includes a port number that is appropriately delimited by "]"." """
    message = request("ipv4-mapped-ipv6")
    assert [(via.host, via.port) for via in message.vias] == [("::ffff:192.0.2.10", 19823), ("::ffff:192.0.2.2", None)]
    assert message.contact is not None and message.contact.uri.host == "::ffff:192.0.2.2"
    assert description("ipv4-mapped-ipv6").connection == "::ffff:192.0.2.2"


@pytest.mark.rfc("5118", "4.10")
def test_the_extra_colon_is_ignored() -> None:
    """ "it can choose to ignore the extra colon when parsing the IPv6 reference" """
    bug, correct = request("ipv6-bug-abnf-3-colons").uri, request("ipv6-correct-abnf-2-colons").uri
    assert bug.host == correct.host and ip_address(bug.host)
    assert bug.equivalent(correct)


# The archive's own flaws


@pytest.mark.rfc(
    "3261",
    "18.3",
    "If the transport packet ends before the end of the message body, this is considered an error.",
)
def test_the_lengths_of_the_archive_are_taken_at_their_word() -> None:
    """ "If the transport packet ends before the end of the message body, this is considered an error." """
    assert in_words(react(with_crlf("ipv6-in-sdp"))) == "400"
    for name in ("mult-ip-in-sdp", "ipv4-mapped-ipv6"):
        message = parse_message(with_crlf(name))
        assert message.body == wire(name).partition(b"\r\n\r\n")[2][: len(message.body)]
        assert len(message.body) == int(message.headers.get("Content-Length") or 0)


@pytest.mark.rfc("5118", "4.1")
@pytest.mark.parametrize("name", ["ipv6-good", "port-ambiguous", "port-unambiguous", "mult-ip-in-header"])
def test_the_line_ends_of_the_archive_are_taken_for_line_ends(name: str) -> None:
    assert parse_message(archived(name)).headers == parse_message(wire(name)).headers


@pytest.mark.rfc("5118", "4.10")
@pytest.mark.parametrize("name", ["ipv6-bug-abnf-3-colons", "ipv6-correct-abnf-2-colons"])
def test_a_message_without_the_empty_line_is_not_complete(name: str) -> None:
    with pytest.raises(ParseError, match="empty line"):
        parse_message(archived(name))
