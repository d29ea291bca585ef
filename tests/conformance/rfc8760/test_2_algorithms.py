"""RFC 8760 §2.3, §2.4: several algorithms, in order of preference, one header each."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from sipcore.auth import DigestServer, Verified, answer_challenge, ha1, parse_digest
from sipcore.entropy import SeededEntropy


class Asked(NamedTuple):
    method: str = "REGISTER"
    uri_text: str = "sip:office.test"


@pytest.mark.rfc(
    "7616",
    "3.7",
    "If the server responds with multiple challenges, then each one of these challenges MUST use a different digest "
    "algorithm.",
)
@pytest.mark.rfc(
    "8760",
    "2.3",
    "If the UAS challenges the originator using multiple WWW-Authenticate/ Proxy-Authenticate header fields with "
    "the same realm, then each of these header fields MUST use a different digest algorithm.",
)
def test_most_preferred_first_and_each_in_its_own_header() -> None:
    server = DigestServer(b"s", SeededEntropy(1))
    headers = server.challenge("office.test", ["SHA-256", "MD5"], 0.0, source="192.0.2.1")
    assert [(parse_digest(value) or {})["algorithm"] for _, value in headers] == ["SHA-256", "MD5"]


@pytest.mark.rfc(
    "7616",
    "5.6",
    "A user agent MUST choose to use the strongest auth-scheme it understands and request credentials from the user "
    "based upon that challenge.",
)
@pytest.mark.rfc(
    "8760",
    "2.4",
    "The UAC … SHOULD use the topmost header field that it supports … The client MUST ignore any challenge it does "
    "not understand.",
)
def test_the_client_takes_the_topmost_that_it_supports() -> None:
    challenges = [
        ("WWW-Authenticate", f'Digest realm="r", nonce="n", qop="auth", algorithm={name}')
        for name in ("SHA-512-256", "SHA-256", "MD5")
    ]
    _, value = answer_challenge(
        challenges, method="REGISTER", uri="sip:r", username="u", password="p", cnonce="c", nc=1
    )
    assert (parse_digest(value) or {})["algorithm"] == "SHA-256"


@pytest.mark.rfc("8760", "2.4", "The client MUST ignore any challenge it does not understand.")
@pytest.mark.parametrize("algorithm", ["SHA-256", "MD5"])
def test_a_new_client_and_an_old_one_both_register(algorithm: str) -> None:
    server = DigestServer(b"s", SeededEntropy(1))
    offered = server.challenge("office.test", ["SHA-256", "MD5"], 0.0, source="192.0.2.1")
    known = [header for header in offered if algorithm in header[1]]
    _, value = answer_challenge(
        known, method="REGISTER", uri="sip:office.test", username="1001", password="p", cnonce="c", nc=1
    )
    found = server.verify(
        Asked(),
        [value],
        realm="office.test",
        ha1=lambda user, name: ha1(user, "office.test", "p", name),
        now=0.1,
        source="192.0.2.1",
    )
    assert found == Verified("1001", algorithm)
