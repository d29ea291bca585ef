"""The REGISTERs of RFC 4475 that should succeed, with credentials: what is bound, and what a fetch tells."""

from __future__ import annotations

import asyncio

import pytest

from sipcore.auth import answer_challenge
from sipcore.fields import NameAddr
from sipcore.message import Request
from sipcore.parser import parse_message
from tests.conformance.rfc4475.harness import PASSWORD, Client, client, server
from tests.conformance.rfc4475.messages import vector


async def register(sender: Client, data: bytes, username: str) -> list[str]:
    """Send it, answer the challenge, and give the contacts of the 200."""
    sender.forget()
    sender.write(data)
    challenge = (await sender.final(1))[0]
    assert challenge.status == 401
    request = parse_message(data)
    assert isinstance(request, Request)
    name, value = answer_challenge(
        [("WWW-Authenticate", each) for each in challenge.get_all("WWW-Authenticate")],
        method="REGISTER",
        uri=request.uri_text,
        username=username,
        password=PASSWORD,
        cnonce="c1",
        nc=1,
    )
    sender.forget()
    head, _, rest = data.partition(b"\r\n")
    sender.write(head + f"\r\n{name}: {value}\r\n".encode() + rest)
    answer = (await sender.final(1))[0]
    assert answer.status == 200, answer.headers
    return sorted(str(NameAddr.parse(value).uri) for value in answer.get_all("Contact"))


def bindings(name: str, username: str) -> list[str]:
    """What a later fetch tells of the registration; the 200 to the REGISTER itself must have told the same."""

    async def scenario() -> list[str]:
        async with server() as app, client(app, "UDP") as sender:
            at_once = await register(sender, vector(name), username)
            fetch = [line for line in vector(name).split(b"\r\n") if not line.startswith((b"Contact:", b"M:"))]
            later = await register(sender, _renewed(b"\r\n".join(fetch)), username)
            assert later == at_once
            return later

    return asyncio.run(scenario())


def _renewed(data: bytes) -> bytes:
    """The same from another dialog, so that it is not a merged request."""
    return data.replace(b"branch=z9hG4bK", b"branch=z9hG4bKf").replace(b";tag=", b";tag=f")


@pytest.mark.rfc("4475", "3.3.12")
def test_a_parameter_after_a_bare_uri_belongs_to_the_contact() -> None:
    """ "The response must not include "unknownparam" as a url-parameter for this binding." """
    assert bindings("cparam01", "watson") == ["sip:+19725552222@gw1.example.net"]


@pytest.mark.rfc("4475", "3.3.13")
def test_a_parameter_within_brackets_belongs_to_the_uri() -> None:
    """ "a subsequent retrieval of the registration must include "unknownparam" as a url-parameter" """
    found = bindings("cparam02", "watson")
    assert found == ["sip:+19725552222@gw1.example.net;unknownparam"]


@pytest.mark.rfc("4475", "3.3.14")
def test_an_escaped_header_stays_in_the_contact() -> None:
    """ "a subsequent retrieval of the registration must include the escaped Route header in the contact URI" """
    found = bindings("regescrt", "user")
    assert found == ["sip:user@example.com?Route=%3Csip:sip.example.com%3E"]


@pytest.mark.rfc("4475", "3.1.1.4")
def test_escaped_nulls_neither_end_a_user_name_nor_make_contacts_equal() -> None:
    """ "special care when unescaping the AOR […] so as to not prematurely shorten the username. This request

    registers two distinct contact URIs."
    """
    found = bindings("escnull", "null-\0-null")
    assert found == ["sip:%00%00@host5.example.com", "sip:%00@host5.example.com"]


@pytest.mark.rfc("4475", "3.1.1.8")
def test_the_register_before_extra_octets_is_handled_normally() -> None:
    """ "A SIP element receiving this datagram would handle the REGISTER request normally" """
    assert bindings("dblreq", "j.user") == ["sip:j.user@host.example.com"]
