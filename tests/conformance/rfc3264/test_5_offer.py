"""RFC 3264 §5: what we offer is a description that RFC 8866 allows."""

from __future__ import annotations

import re

import pytest

from sipcore.offer_answer import LocalMedia, OfferAnswer
from sipcore.sdp import RtpFormat, parse_sdp

LOCAL = LocalMedia("192.0.2.9", 20000, (RtpFormat(8, "PCMA", 8000), RtpFormat(101, "telephone-event", 8000, 1, "0-16")))


def lines() -> list[str]:
    offer = OfferAnswer(4711).make_offer(LOCAL)
    assert offer.endswith(b"\r\n") and b"\n" not in offer.replace(b"\r\n", b"")
    return offer.decode().split("\r\n")[:-1]


@pytest.mark.rfc("3264", "5", "The offer (and answer) MUST be a valid SDP message, as defined by RFC 2327.")
@pytest.mark.rfc("8866", "5", "An SDP description MUST conform to the syntax defined in Section 9.")
def test_an_offer_has_its_lines_in_the_order_of_the_grammar() -> None:
    letters = "".join(line[0] for line in lines())
    assert re.fullmatch(r"vosi?u?e*p*c?b*(tr*)+z?k?a*(mi?c*b*k?a*)*", letters)
    assert all(re.fullmatch(r"[a-z]=[^\0\r\n]+", line) for line in lines())
    assert parse_sdp("\r\n".join(lines()).encode()).media[0].port == 20000


@pytest.mark.rfc(
    "8866",
    "5.2",
    "The <username> MUST NOT contain spaces. <sess-id> is a numeric string such that the tuple of <username>, "
    "<sess-id>, <nettype>, <addrtype>, and <unicast-address> forms a globally unique identifier for the session.",
)
def test_the_origin_names_the_session() -> None:
    (origin,) = (line for line in lines() if line.startswith("o="))
    assert re.fullmatch(r"o=[^\s]+ 4711 \d+ IN IP4 192\.0\.2\.9", origin)


@pytest.mark.rfc("8866", "5.3", 'There MUST be one and only one "s=" line per session description.')
@pytest.mark.rfc(
    "8866",
    "5.7",
    'A session description MUST contain either at least one "c=" line in each media description or a single "c=" line '
    "at the session level.",
)
@pytest.mark.rfc("8866", "5.12", 'The "k=" line (key-field) is obsolete and MUST NOT be used.')
def test_there_is_one_name_one_connection_and_no_key() -> None:
    letters = [line[0] for line in lines()]
    assert (letters.count("s"), letters.count("c"), letters.count("k")) == (1, 1, 0)
