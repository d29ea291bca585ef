"""Mutated SDP bodies through the parser and both sides of offer and answer.

Law: parse_sdp gives a description or ParseError, and what it gives is written and read back the same; negotiation
gives a result or NegotiationError; nothing else is raised, and no body takes longer than its size explains.
Run by `python -m fuzz.sdp --count N --seed S`. A finding is printed with its seed and body, and the exit status is 1.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

from fuzz.finding import each_tried, told
from sipcore.errors import NegotiationError, ParseError
from sipcore.offer_answer import LocalMedia, OfferAnswer, offered_formats, read_answer
from sipcore.sdp import RtpFormat, SessionDescription, format_sdp, parse_sdp
from sipcore.sdp_security import CryptoSuite, Fingerprint, LocalSecurity, SrtpPolicy

# A quarter of a second of CPU time for at most 64 kB, on a busy machine: a quadratic reader needs far more.
SLOWEST_S = 0.25

LOCAL = LocalMedia(
    "127.0.0.1",
    20000,
    (RtpFormat(8, "PCMA", 8000), RtpFormat(0, "PCMU", 8000), RtpFormat(101, "telephone-event", 8000, 1, "0-16")),
)

SUITES = (CryptoSuite("AEAD_AES_128_GCM", 28), CryptoSuite("AES_CM_128_HMAC_SHA1_80", 30))
SECURE = LocalSecurity(
    SrtpPolicy.OPTIONAL,
    tuple((suite, bytes(suite.material)) for suite in SUITES),
    sdes=True,
    fingerprint=Fingerprint("sha-256", bytes(32)),
)
LOCALS = (
    LOCAL,
    replace(LOCAL, security=SECURE),
    replace(LOCAL, security=replace(SECURE, policy=SrtpPolicy.REQUIRED)),
    replace(LOCAL, security=replace(SECURE, policy=SrtpPolicy.REQUIRED, exchange="dtls"), rtcp_mux=True),
)

SEEDS = (
    b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 40000 RTP/SAVP 0 8\r\n"
    b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|2^20|1:4\r\n"
    b"a=crypto:2 AEAD_AES_128_GCM inline:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==|2^31 WSH=64\r\na=rtcp-mux\r\n",
    b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\na=group:BUNDLE 0\r\n"
    b"a=fingerprint:sha-256 " + b":".join([b"4A"] * 32) + b"\r\nm=audio 40000 UDP/TLS/RTP/SAVPF 0 111\r\n"
    b"a=rtpmap:111 opus/48000/2\r\na=setup:actpass\r\na=rtcp-mux\r\na=rtcp-rsize\r\na=mid:0\r\n",
    b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0 8 101\r\n"
    b"a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\n"
    b"a=ptime:20\r\na=maxptime:150\r\na=sendrecv\r\n",
    b"v=0\no=x 18446744073709551615 2 IN IP6 2001:db8::1\ns= \ni=i\nu=u\ne=e\np=p\nc=IN IP6 2001:db8::1\nb=AS:84\n"
    b"t=0 0\nr=1\nz=0\nk=clear\na=inactive\nm=audio 4000/2 RTP/AVP 9 18 96 97\nc=IN IP4 0.0.0.0\n"
    b"a=rtpmap:96 opus/48000/2\na=fmtp:96 useinbandfec=1\na=rtpmap:97 telephone-event/48000\na=sendonly\n"
    b"a=rtcp:4005 IN IP4 192.0.2.7\nm=video 4002 RTP/SAVPF 99\na=rtpmap:99 H264/90000\n",
    b"v=0\r\no=- 1 1 IN IP4 1.1.1.1\r\ns=-\r\nc=IN IP4 1.1.1.1\r\nt=0 0\r\nm=image 5000 udptl t38\r\n"
    b"m=audio 6000 RTP/AVP 8\r\na=recvonly\r\na=candidate:1 1 UDP 2130706431 10.0.0.1 8998 typ host\r\n",
)
TOKENS = (
    b"\r\n", b"\n", b"\r", b"a=", b"m=", b"c=IN IP4 ", b"v=0", b":", b"/", b" ", b"=", b"\0", b"\xff", b"%",
    b"0", b"-1", b"65535", b"99999999999999999999", b"a=rtpmap:", b"a=fmtp:", b"a=ptime:0", b"a=rtcp:1",
    b"a=crypto:1 ", b"inline:", b"|2^48", b"|1:128", b"a=setup:active", b"a=setup:holdconn", b"a=fingerprint:sha-1 0",
    b"RTP/SAVP", b"a=sendonly", b"0.0.0.0", b"::", b"255.255.255.255", b"fe80::1%eth0", b"IN IP6", b"\x1c",
    b"m=audio 1 RTP/AVP 0\r\n",
)  # fmt: skip


def mutate(generator: random.Random, body: bytes) -> bytes:
    """`body` with one to six mutations."""
    for _ in range(generator.randint(1, 6)):
        at = generator.randint(0, len(body))
        end = min(len(body), at + generator.choice((0, 1, 2, 8, 40)))
        match generator.randint(0, 5):
            case 0:
                body = body[:at] + generator.choice(TOKENS) + body[end:]
            case 1:
                body = body[:at] + body[end:]
            case 2:
                body = body[:at] + body[at:end] * generator.choice((2, 3, 300)) + body[end:]
            case 3:
                body = body[:at] + generator.randbytes(end - at) + body[end:]
            case 4:
                other = generator.choice(SEEDS)
                body = body[:at] + other[generator.randint(0, len(other)) :]
            case 5:
                body = b"\r\n".join(_shuffled(generator, body.splitlines()))
    return body[:65536]


def _shuffled(generator: random.Random, lines: list[bytes]) -> list[bytes]:
    if len(lines) > 2:
        first, second = generator.randrange(1, len(lines)), generator.randrange(1, len(lines))
        lines[first], lines[second] = lines[second], lines[first]
    return lines


def outcome(body: bytes) -> str:
    """What became of one body. Anything but ParseError and NegotiationError goes through."""
    try:
        session = parse_sdp(body)
    except ParseError:
        return "refused by the parser"
    assert parse_sdp(format_sdp(session)) == session, "written and read back, it is another description"
    results = {_negotiates(session, local, as_offer=each) for local in LOCALS for each in (True, False)}
    return "negotiated" if True in results else "refused by the negotiation"


def _negotiates(session: SessionDescription, local: LocalMedia, *, as_offer: bool) -> bool:
    must = local.security is not None and local.security.policy is SrtpPolicy.REQUIRED
    try:
        if not as_offer:
            found = read_answer(local, session)
            assert found.security is not None or not must, "a plain answer passed"
            return True
        offered_formats(session)
        answer, found = OfferAnswer(1).make_answer(session, local)
    except NegotiationError:
        return False
    assert found.security is not None or not must, "a plain offer passed"
    assert len(parse_sdp(answer).media) == len(session.media), "a stream lost its place"
    return True


def tried(count: int, seed: int) -> Counter[str]:
    """What became of `count` bodies. Raises: Finding."""

    def mutant(generator: random.Random) -> bytes:
        return mutate(generator, generator.choice(SEEDS))

    return each_tried(count, seed, mutant, outcome, slowest_s=SLOWEST_S)


def run(count: int, seed: int) -> int:
    """Try `count` bodies; the exit status. Raises: Finding."""
    tally = tried(count, seed)
    print(f"{count} bodies, seed {seed}: {told(tally)}")
    # A pause of the machine is one slow body; a quadratic reader makes many.
    return 1 if tally["slow"] > max(3, count // 1000) else 0
