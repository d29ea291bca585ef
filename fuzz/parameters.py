"""`python -m fuzz.parameters --count N --seed S`: mutated SDES and DTLS parameters, from the line to the engine's keys.

The lines a=crypto, a=fingerprint and a=setup are put together from right and wrong parts, then changed octet by octet.
Law: a value or SecurityError; what is read is of the length and range that its grammar names, and written it is read
the same; an offer or answer of such lines comes to keys that the engine takes, to a handshake, to plain RTP where the
policy allows it, or to SecurityError. A finding is printed with its seed and input, and the exit status is 1.
"""

from __future__ import annotations

import base64
import random
import sys
from collections import Counter
from dataclasses import replace

from fuzz.finding import command, each_tried, told
from media import SUITES, SrtpKeys, maybe_suite
from media.keys import receive_session
from sipcore.errors import SecurityError
from sipcore.sdp import Attribute, MediaDescription, SessionDescription, parse_sdp
from sipcore.sdp_security import (
    MAX_LIFETIME,
    MAX_MKI,
    PROTOS,
    Crypto,
    CryptoSuite,
    Dtls,
    Fingerprint,
    LocalSecurity,
    SrtpPolicy,
    choose,
    parse_crypto,
    parse_fingerprint,
    read_answer_security,
)

SLOWEST_S = 0.05

LOCAL = LocalSecurity(
    SrtpPolicy.REQUIRED,
    tuple((CryptoSuite(suite.name, suite.material), bytes(suite.material)) for suite in SUITES),
    sdes=True,
    fingerprint=Fingerprint("sha-256", bytes(32)),
)
LOCALS = (LOCAL, LOCAL, replace(LOCAL, policy=SrtpPolicy.OPTIONAL), replace(LOCAL, exchange="dtls"))
SESSION = parse_sdp(
    b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 40000 RTP/SAVP 0\r\n"
)

# Of each part what is right, and what is wrong or unusual.
TAGS = ("1", "2", "4", "999999999"), ("01", "0", "9999999999", "-1", "")
SUITE_NAMES = (
    tuple(suite.name for suite in SUITES),
    ("F8_128_HMAC_SHA1_80", "AES_256_CM_HMAC_SHA1_80", "aead_aes_128_gcm"),
)
METHODS = ("inline:",), ("INLINE:", "inline", "uri:", "")
LIFETIMES = ("", "", "|2^20", "|2^48", "|1048576"), ("|2^49", "|0", "|", "|x")
MKIS = ("", "", "|1:4", "|1:128"), ("|1:129", "|4294967296:4", "|:", "|1:0", "|" + "9" * 310 + ":128")
PARAMETERS = ("", "", " WSH=64", " KDR=0"), (" KDR=1", " UNENCRYPTED_SRTP", " FEC_ORDER=FEC_SRTP", " wsh=1024")
ALGORITHMS = {"sha-256": 32, "SHA-256": 32, "sha-384": 48, "sha-512": 64, "sha-224": 28, "sha-1": 20, "md5": 16, "": 32}
SETUPS = ("actpass", "active", "passive"), ("holdconn", "ACTPASS", "existing", "", " active ")


def part(draw: random.Random, parts: tuple[tuple[str, ...], tuple[str, ...]]) -> str:
    """Seven in eight times one of the right ones."""
    return draw.choice(parts[draw.randrange(8) == 0])


def crypto(draw: random.Random) -> str:
    name = part(draw, SUITE_NAMES)
    suite = maybe_suite(name) or SUITES[0]
    material = draw.randbytes(draw.choice((suite.material,) * 8 + (0, 1, suite.material + 1, 200)))
    key = base64.b64encode(material).decode()
    parts = (part(draw, METHODS), draw.choice((key, key.rstrip("="))), part(draw, LIFETIMES), part(draw, MKIS))
    return f"{part(draw, TAGS)} {name} {''.join(parts)}{part(draw, PARAMETERS)}"


def fingerprint(draw: random.Random) -> str:
    algorithm = draw.choice(tuple(ALGORITHMS))
    length = draw.choice((ALGORITHMS[algorithm],) * 6 + (0, 1, 31, 65))
    text = draw.randbytes(length).hex(":")
    return f"{algorithm} {draw.choice((text, text.upper(), text.replace(':', '')))}"


def mutated(text: str, draw: random.Random) -> str:
    data = bytearray(text.encode())
    for _ in range(draw.choice((0, 0, 0, 0, 1, 1, 2, 8))):
        at = draw.randrange(len(data) + 1)
        data[at : at + draw.choice((0, 1, 1, 8))] = draw.choice((bytes((draw.randrange(256),)), b"|", b":", b" ", b";"))
    return data.decode(errors="surrogateescape")


def mutant(draw: random.Random) -> bytes:
    """The lines of one stream, as `name:value`, behind its transport; its first octet says who reads it."""
    lines = [f"{draw.randrange(2 * len(LOCALS))}{draw.choice(PROTOS)}"]
    lines += [
        f"crypto:{mutated(crypto(draw), draw)}" for _ in range(17 if draw.randrange(64) == 0 else draw.randrange(3))
    ]
    lines += [
        f"fingerprint:{mutated(fingerprint(draw), draw)}"
        for _ in range(9 if draw.randrange(64) == 0 else draw.randrange(2))
    ]
    lines += [f"setup:{mutated(part(draw, SETUPS), draw)}"] * draw.randrange(2)
    return "\n".join(lines).encode(errors="surrogateescape")


def read_line(name: str, value: str) -> None:
    """Raises: SecurityError, and AssertionError when a law is broken."""
    if name == "crypto":
        found = parse_crypto(value)
        assert 0 <= found.mki_length <= MAX_MKI and found.mki < 256**found.mki_length
        assert found.lifetime is None or 0 < found.lifetime <= MAX_LIFETIME
        assert parse_crypto(str(found)) == Crypto(found.tag, found.suite, found.material), "written, it is another"
    elif name == "fingerprint":
        read = parse_fingerprint(value)
        assert len(read.digest) == ALGORITHMS[read.algorithm] and parse_fingerprint(str(read)) == read


def negotiated(session: SessionDescription, stream: MediaDescription, local: LocalSecurity, *, is_offer: bool) -> str:
    """What both sides come to. Raises: SecurityError, and AssertionError when a law is broken."""
    found = choose(session, stream, local) if is_offer else read_answer_security(local, None, session, stream)
    if found is None:
        assert local.policy is not SrtpPolicy.REQUIRED, "plain RTP where the policy forbids it"
        return "plain"
    if isinstance(found, Dtls):
        assert found.fingerprints, "a handshake with anyone"
        return "handshake"
    suite = maybe_suite(found.suite)
    assert suite is not None, "a suite that we do not have"
    receive_session(SrtpKeys(suite, found.send, found.receive, found.mki_length))
    return "keys"


def outcome(data: bytes) -> str:
    """What one side with one policy makes of the lines."""
    first, *lines = data.decode(errors="surrogateescape").split("\n")
    reader, proto = int(first[0]), first[1:]
    pairs = [line.partition(":") for line in lines]
    for name, _, value in pairs:
        try:
            read_line(name, value)
        except SecurityError:
            continue
    attributes = tuple(Attribute(name, value) for name, _, value in pairs)
    stream = replace(SESSION.media[0], proto=proto, attributes=attributes)
    session = replace(SESSION, media=(stream,))
    try:
        return negotiated(session, stream, LOCALS[reader // 2], is_offer=reader % 2 == 0)
    except SecurityError:
        return "refused"


def tried(count: int, seed: int) -> Counter[str]:
    """What became of `count` streams. Raises: Finding."""
    return each_tried(count, seed, mutant, outcome, slowest_s=SLOWEST_S)


def run(count: int, seed: int) -> int:
    """Try `count` streams; the exit status. Raises: Finding."""
    tally = tried(count, seed)
    print(f"fuzz.parameters: {count} streams, seed {seed}: {told(tally)}")
    return 1 if tally["slow"] > max(3, count // 1000) else 0


if __name__ == "__main__":
    sys.exit(command("fuzz.parameters", __doc__, run))
