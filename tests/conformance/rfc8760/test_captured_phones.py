"""RFC 7616 §3.4, RFC 8760, RFC 2617: the credentials of phones as they are seen on the wire.

Order, quotes, spaces and case of the parameters, and what the digest-uri names, are those of traces that were
published; names, addresses and hashes are ours. The hashes are computed here and not by `sipcore.auth`.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import pytest

from sipcore.auth import DigestServer, Stale, Verdict, Verified, Wrong, ha1
from sipcore.entropy import SeededEntropy
from sipcore.message import Request
from sipcore.parser import parse_message

REALM, USER, PASSWORD, SOURCE = "office.test", "1001", "pass-1001", "192.0.2.7"


class Phone(NamedTuple):
    """`credentials` is its header as it stands; `nc` the number that the trace has, None without qop."""

    agent: str
    credentials: str
    uri: str = "sip:office.test"
    method: str = "REGISTER"
    asked: str = ""  # the Request-URI, where the digest-uri is another one
    cnonce: str = ""
    nc: int | None = None
    algorithm: str = "MD5"


PHONES = [
    Phone(
        "PolycomVVX-VVX_350-UA/5.9.5.0614",
        'Authorization: Digest username="{user}", realm="{realm}", nonce="{nonce}", qop=auth, cnonce="{cnonce}", '
        'nc={nc}, uri="{uri}", response="{response}", algorithm=MD5',
        uri="sip:office.test;transport=udp",
        cnonce="x+5Uqh3PLbKXr7d",
        nc=1,
    ),
    Phone(
        # It names the address of its proxy, and counts on with the nonce for a thousand requests.
        "Cisco/SPA525G2-7.6.1",
        'Authorization: Digest username="{user}",realm="{realm}",nonce="{nonce}",uri="{uri}",algorithm=MD5,'
        'response="{response}",qop=auth,nc={nc},cnonce="{cnonce}"',
        uri="sip:192.0.2.1:5061",
        asked="sip:office.test",
        cnonce="be2f0a91",
        nc=0x3E9,
    ),
    Phone(
        "Cisco/SPA525G-7.4.9a",
        'Authorization: Digest username="{user}",realm="{realm}",nonce="{nonce}",uri="{uri}",algorithm=MD5,'
        'response="{response}"',
    ),
    Phone(
        "Yealink SIP-T22P 7.73.0.50",
        'Authorization: Digest username="{user}", realm="{realm}", nonce="{nonce}", uri="{uri}", '
        'response="{response}", algorithm=MD5, cnonce="{cnonce}", qop=auth, nc={nc}',
        uri="sip:office.test:5060",
        cnonce="0a4f113b",  # always
        nc=9,
    ),
    Phone(
        "Yealink SIP-T21P_E2 52.80.0.147",
        'Authorization: Digest username="{user}", realm="{realm}", nonce="{nonce}", uri="{uri}", '
        'response="{response}", algorithm=MD5',
        uri="sip:office.test:5060",
    ),
    Phone(
        "Fanvil X303 2.12.18.9",
        'Authorization: Digest username="{user}", realm="{realm}", nonce="{nonce}", uri="{uri}", '
        'response="{response}", algorithm=MD5, cnonce="{cnonce}", qop=auth, nc={nc}',
        cnonce="d1c09a3e",
        nc=1,
    ),
    Phone(
        "Zoiper v2.10.20.4_1",
        'Authorization: Digest username="{user}",realm="{realm}",nonce="{nonce}",uri="{uri}",response="{response}",'
        'cnonce="{cnonce}",nc={nc},qop=auth,algorithm=MD5',
        uri="sip:office.test:5060;transport=UDP",
        cnonce="7c1ffb02a96d4d3c8e0f8d8e0e0c5b11",
        nc=2,
    ),
    Phone(
        "baresip v3.11.0 (x86_64/Linux)",
        'Authorization: Digest username="{user}", realm="{realm}", nonce="{nonce}", uri="{uri}", '
        'response="{response}", cnonce="{cnonce}", qop=auth, nc={nc}, algorithm=SHA-256',
        cnonce="91b6a7d3c02e54f8",
        nc=2,
        algorithm="SHA-256",
    ),
    Phone(
        "Unknown (belle-sip/1.6.3)",
        'Authorization:  Digest realm="{realm}", nonce="{nonce}", username="{user}",  uri="{uri}", '
        'response="{response}"',
    ),
    Phone(
        "Grandstream GXP2200 1.0.3.27",
        'Proxy-Authorization: Digest username="{user}", realm="{realm}", nonce="{nonce}", uri="{uri}", '
        'response="{response}", algorithm=MD5, cnonce="{cnonce}", qop=auth, nc={nc}',
        uri="sip:5000@office.test;user=phone",
        method="INVITE",
        cnonce="07315542",
        nc=0xD1B,
    ),
    Phone(
        "Aastra 51i/2.5.1.41",
        'Authorization: Digest username="{user}",realm="{realm}",nonce="{nonce}",uri="{uri}",response="{response}",'
        "algorithm=MD5",
        uri="sip:1002@office.test:5060",
        method="BYE",
    ),
    Phone(
        "Cisco-CP7960G/8.0",
        'Authorization: Digest username="{user}",realm="{realm}",uri="{uri}",response="{response}",nonce="{nonce}",'
        "algorithm=md5",
    ),
    Phone(
        "eyeBeam release 1011d stamp 40820",
        'Proxy-Authorization: Digest username="{user}",realm="{realm}",nonce="{nonce}",uri="{uri}",'
        'response="{response}",cnonce="{cnonce}",nc={nc},qop=auth,algorithm=MD5',
        uri="sip:1002@office.test",
        method="INVITE",
        cnonce="5f2a0cc1d6b84e3f9d77a1e0b2c3d4e5",
        nc=1,
    ),
    Phone(
        # What belongs to a qop without one: the hash is that of RFC 2069.
        "esp-adf",
        'Authorization: Digest username="{user}", realm="{realm}", nonce="{nonce}", uri="{uri}", '
        'response="{response}", algorithm=md5, nc=00000001, cnonce="{cnonce}"',
        uri="sip:office.test:5060",
        cnonce="c3a18f04de527b96",
    ),
]


def hashed(phone: Phone, text: str) -> str:
    return hashlib.new(phone.algorithm.replace("-", "").lower(), text.encode()).hexdigest()


def request_of(phone: Phone, nonce: str, *, nc: int | None, password: str = PASSWORD) -> Request:
    """The message that it sends after the challenge, read by our parser."""
    secret = hashed(phone, f"{USER}:{REALM}:{password}")
    what = hashed(phone, f"{phone.method}:{phone.uri}")
    count = "" if nc is None else f"{nc:08x}"
    middle = nonce if nc is None else f"{nonce}:{count}:{phone.cnonce}:auth"
    credentials = phone.credentials.format(
        user=USER, realm=REALM, nonce=nonce, uri=phone.uri, cnonce=phone.cnonce, nc=count,
        response=hashed(phone, f"{secret}:{middle}:{what}"),
    )  # fmt: skip
    lines = [
        f"{phone.method} {phone.asked or phone.uri} SIP/2.0",
        f"Via: SIP/2.0/UDP {SOURCE}:5060;branch=z9hG4bKx;rport",
        f"From: {USER} <sip:{USER}@office.test>;tag=1",
        f"To: <sip:{USER}@office.test>",
        "Call-ID: c",
        f"CSeq: 2 {phone.method}",
        f"Contact: <sip:{USER}@{SOURCE}:5060>",
        "Max-Forwards: 70",
        f"User-Agent: {phone.agent}",
        credentials,
        "Content-Length: 0",
    ]
    request = parse_message(("\r\n".join(lines) + "\r\n\r\n").encode())
    assert isinstance(request, Request)
    return request


class Exchange:
    """One phone and the server that has challenged it, with both algorithms."""

    def __init__(self, phone: Phone) -> None:
        self._phone = phone
        self._server = DigestServer(b"secret", SeededEntropy(1))
        self._is_proxy = phone.credentials.startswith("Proxy-")
        _, value = self._server.challenge(REALM, ["SHA-256", "MD5"], 0.0, source=SOURCE, proxy=self._is_proxy)[0]
        self._nonce = value.partition('nonce="')[2].partition('"')[0]

    def ask(self, *, later: int = 0, password: str = PASSWORD) -> Verdict:
        """What the server makes of the request whose `nc` is that of the trace and `later` more."""
        nc = None if self._phone.nc is None else self._phone.nc + later
        request = request_of(self._phone, self._nonce, nc=nc, password=password)
        return self._server.verify(
            request,
            request.headers.get_all("Proxy-Authorization" if self._is_proxy else "Authorization"),
            realm=REALM,
            ha1=lambda user, name: ha1(USER, REALM, PASSWORD, name) if user == USER else None,
            now=1.0,
            source=SOURCE,
        )


each = pytest.mark.parametrize("phone", PHONES, ids=[phone.agent for phone in PHONES])


@pytest.mark.rfc(
    "7616",
    "3.6",
    "Then, the server MUST perform the same digest operation (e.g., MD5, SHA-256) performed by the client and "
    "compare the result to the given response value.",
)
@each
def test_a_phone_as_captured_is_let_in_and_a_replay_of_it_is_stale(phone: Phone) -> None:
    exchange = Exchange(phone)
    assert exchange.ask() == Verified(USER, phone.algorithm)
    assert isinstance(exchange.ask(), Stale), "the same nc, or none, with the same nonce"
    following = exchange.ask(later=1)
    assert isinstance(following, Stale if phone.nc is None else Verified), "a phone that counts on is not asked again"


@each
def test_a_phone_as_captured_with_another_password_is_not(phone: Phone) -> None:
    assert Exchange(phone).ask(password="pass-1002") == Wrong(USER)


def test_there_are_more_than_twelve_of_them_and_no_two_write_alike() -> None:
    assert len(PHONES) >= 12 and len({(phone.credentials, phone.uri) for phone in PHONES}) == len(PHONES)
