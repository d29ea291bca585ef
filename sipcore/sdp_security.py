"""How a stream is kept secret, as SDP says it: keys in a=crypto (SDES, RFC 4568, RFC 7714), or the fingerprint of a
certificate and who begins the handshake (DTLS-SRTP, RFC 5763, RFC 8122, RFC 4145).

Nothing here makes a key or a certificate: `LocalSecurity` brings what we have, `choose` says what an offer and that
come to. What cannot be used is refused with a SecurityError that says why; a stream never falls back to plain RTP where
the policy or an earlier agreement forbids it.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import field
from enum import Enum
from typing import Final, Literal

from sipcore.errors import SecurityError
from sipcore.sdp import Attribute, MediaDescription, SessionDescription
from sipcore.values import value_object

PLAIN_PROTOS: Final = ("RTP/AVP", "RTP/AVPF")
SDES_PROTOS: Final = ("RTP/SAVP", "RTP/SAVPF")
DTLS_PROTOS: Final = ("UDP/TLS/RTP/SAVP", "UDP/TLS/RTP/SAVPF")
PROTOS: Final = (*PLAIN_PROTOS, *SDES_PROTOS, *DTLS_PROTOS)

# RFC 4568 has no limit; nobody offers more than a handful, and each costs us a look.
MAX_CRYPTO_LINES: Final = 16
MAX_FINGERPRINTS: Final = 8
# RFC 4568 §6.1: "MKI length … between 1 and 128 octets".
MAX_MKI: Final = 128
# RFC 3711 §9.2: 2^48 packets of SRTP under one master key.
MAX_LIFETIME: Final = 1 << 48

_CRYPTO: Final = re.compile(r"([0-9]{1,9})[ \t]+([!-~]+)[ \t]+([!-~]+)((?:[ \t]+[!-~]+)*)[ \t]*")
# RFC 8122 §5; MD2, MD5 and SHA-1 prove nothing any more.
_HASHES: Final = {"sha-256": 32, "sha-384": 48, "sha-512": 64, "sha-224": 28}
# Session parameters of RFC 4568 §6.3 that change nothing for a receiver of ours, or that we can honour.
_HARMLESS: Final = re.compile(r"(WSH=[0-9]{2,}|KDR=0)", re.IGNORECASE)


class SrtpPolicy(Enum):
    """What a leg's media may be: never secret, secret where both sides can, or nothing but secret."""

    OFF = "off"
    OPTIONAL = "optional"
    REQUIRED = "required"


class Setup(Enum):
    """`a=setup` (RFC 4145 §4): who sends the ClientHello."""

    ACTPASS = "actpass"
    ACTIVE = "active"
    PASSIVE = "passive"
    HOLDCONN = "holdconn"


@value_object(frozen=True, slots=True)
class CryptoSuite:
    """A suite by its name in SDP, and the octets of its master key and salt."""

    name: str
    material: int


@value_object(frozen=True, slots=True)
class Crypto:
    """One `a=crypto` line with a single key. `mki_length` 0: no MKI."""

    tag: int
    suite: str
    material: bytes = field(repr=False)
    lifetime: int | None = None
    mki: int = 0
    mki_length: int = 0

    def __str__(self) -> str:
        key = base64.b64encode(self.material).decode()
        return f"{self.tag} {self.suite} inline:{key}"


@value_object(frozen=True, slots=True)
class Fingerprint:
    """`a=fingerprint`: the hash of a certificate. Compared by value, whatever the case it was written in."""

    algorithm: str
    digest: bytes

    def __str__(self) -> str:
        return f"{self.algorithm} {self.digest.hex(':').upper()}"


@value_object(frozen=True, slots=True)
class LocalSecurity:
    """What one leg of ours can do. `keys` has a master key and salt for each suite, in order of preference.

    `sdes`: whether keys may be written into SDP on this leg's signalling. `fingerprint` is of our certificate; None: no
    DTLS. `exchange` is what our own offers use.
    """

    policy: SrtpPolicy = SrtpPolicy.OFF
    keys: tuple[tuple[CryptoSuite, bytes], ...] = field(default=(), repr=False)
    sdes: bool = False
    fingerprint: Fingerprint | None = None
    exchange: Literal["sdes", "dtls"] = "sdes"

    @property
    def offers(self) -> Literal["sdes", "dtls"] | None:
        """How our offers bring keys: as wished where that is possible, else the other way."""
        if self.policy is SrtpPolicy.OFF:
            return None
        sdes, dtls = self.sdes and bool(self.keys), self.fingerprint is not None
        if sdes if self.exchange == "sdes" else dtls:
            return self.exchange
        if self.policy is SrtpPolicy.OPTIONAL:
            # A fingerprint beside plain RTP helps few phones and confuses some: only where it is asked for.
            return None
        return "sdes" if sdes else "dtls" if dtls else None


@value_object(frozen=True, slots=True)
class Sdes:
    """Keys that both sides have read: ours to send with, theirs to receive with."""

    suite: str
    send: bytes = field(repr=False)
    receive: bytes = field(repr=False)
    mki_length: int = 0
    tag: int = 1


@value_object(frozen=True, slots=True)
class Dtls:
    """A handshake to come, or that of before: who the peer has to be, and which part is ours (None: not now)."""

    fingerprints: tuple[Fingerprint, ...]
    role: Literal["client", "server"] | None
    setup: Setup


Security = Sdes | Dtls


# Reading and writing


def parse_crypto(value: str) -> Crypto:
    """The line behind `a=crypto:`. Raises: SecurityError."""
    match = _CRYPTO.fullmatch(value)
    if match is None:
        raise SecurityError("a=crypto is not tag, suite and key")
    tag, suite, key, parameters = match.groups()
    if len(tag) > 1 and tag[0] == "0":
        raise SecurityError("the tag of a=crypto begins with 0")
    for parameter in parameters.split():
        if not _HARMLESS.fullmatch(parameter):
            # RFC 4568 §6.3: unencrypted or unauthenticated streams, FEC order, key derivation rates.
            raise SecurityError(f"session parameter {parameter[:32]} of a=crypto is not supported")
    if ";" in key:
        raise SecurityError("a=crypto with several keys is not supported")
    return _parse_inline(int(tag), suite, key)


def _parse_inline(tag: int, suite: str, key: str) -> Crypto:
    method, colon, info = key.partition(":")
    if method.lower() != "inline" or not colon:
        raise SecurityError("the key method of a=crypto is not inline")
    text, *rest = info.split("|")
    try:
        material = base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), validate=True)
    except binascii.Error:
        raise SecurityError("the key of a=crypto is not base64") from None
    lifetime, mki, mki_length = None, 0, 0
    for position, part in enumerate(rest):
        if ":" in part and position == len(rest) - 1:
            mki, mki_length = _parse_mki(part)
        elif position == 0:
            lifetime = _parse_lifetime(part)
        else:
            raise SecurityError("the key of a=crypto has a part that is no lifetime and no MKI")
    return Crypto(tag, suite, material, lifetime, mki, mki_length)


def _parse_lifetime(text: str) -> int:
    power = re.fullmatch(r"2\^([0-9]{1,2})", text)
    if power is None and not re.fullmatch(r"[0-9]{1,15}", text):
        raise SecurityError("the lifetime of a key is no number")
    lifetime = 1 << int(power[1]) if power is not None else int(text)
    if not 0 < lifetime <= MAX_LIFETIME:
        raise SecurityError("the lifetime of a key is not in 1..2^48")
    return lifetime


def _parse_mki(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([0-9]{1,309}):([0-9]{1,3})", text)
    if match is None or not 1 <= int(match[2]) <= MAX_MKI or int(match[1]) >= 1 << (8 * int(match[2])):
        raise SecurityError("the MKI of a key is not value:length with 1 to 128 octets")
    return int(match[1]), int(match[2])


def parse_fingerprint(value: str) -> Fingerprint:
    """The value of `a=fingerprint`. Raises: SecurityError."""
    algorithm, _, text = value.strip().partition(" ")
    algorithm = algorithm.lower()
    length = _HASHES.get(algorithm)
    if length is None:
        raise SecurityError(f"fingerprints by {algorithm[:32]} are not supported")
    pairs = text.strip().split(":")
    if len(pairs) != length or not all(re.fullmatch(r"[0-9A-Fa-f]{2}", pair) for pair in pairs):
        raise SecurityError(f"a fingerprint by {algorithm} is {length} octets in hexadecimal")
    return Fingerprint(algorithm, bytes.fromhex("".join(pairs)))


def _values(description: SessionDescription, stream: MediaDescription, name: str) -> list[str]:
    """The stream's attributes of this name, or else the session's (RFC 8122 §5, RFC 4145 §4)."""
    own = [value or "" for each, value in stream.attributes if each == name]
    return own or [value or "" for each, value in description.attributes if each == name]


def fingerprints_of(description: SessionDescription, stream: MediaDescription) -> tuple[Fingerprint, ...]:
    """Those of a hash that we know; without any, none. Raises: SecurityError when all are unusable, or too many."""
    values = _values(description, stream, "fingerprint")
    if len(values) > MAX_FINGERPRINTS:
        raise SecurityError("too many fingerprints")
    found, problem = [], None
    for value in values:
        try:
            found.append(parse_fingerprint(value))
        except SecurityError as error:
            problem = error
    if problem is not None and not found:
        raise problem
    return tuple(found)


def _setup_of(description: SessionDescription, stream: MediaDescription, default: Setup) -> Setup:
    value = next(iter(_values(description, stream, "setup")), None)
    if value is None:
        return default
    try:
        return Setup(value.strip().lower())
    except ValueError:
        raise SecurityError("a=setup is not actpass, active, passive or holdconn") from None


def cryptos_of(stream: MediaDescription) -> tuple[Crypto, ...]:
    """The lines that can be read. Raises: SecurityError when none can, a tag is there twice, or there are too many."""
    values = [value or "" for name, value in stream.attributes if name == "crypto"]
    if len(values) > MAX_CRYPTO_LINES:
        raise SecurityError("too many a=crypto lines")
    found: list[Crypto] = []
    problem: SecurityError | None = None
    for value in values:
        try:
            found.append(parse_crypto(value))
        except SecurityError as error:
            problem = error
    if problem is not None and not found:
        raise problem
    if len({each.tag for each in found}) < len(found):
        raise SecurityError("two a=crypto lines have one tag")
    return tuple(found)


# What an offer comes to


def choose(offer: SessionDescription, stream: MediaDescription, local: LocalSecurity | None) -> Security | None:
    """How we answer the stream: with keys, with a handshake, or (None) in the clear.

    Raises: SecurityError when the stream needs what we cannot do, or we need what it does not.
    """
    if stream.proto not in PROTOS:
        raise SecurityError(f"transport {stream.proto[:32]} is not supported")
    needs = stream.proto not in PLAIN_PROTOS
    if local is None or local.policy is SrtpPolicy.OFF:
        if needs:
            raise SecurityError("secure media is switched off")
        return None
    if not needs and local.policy is SrtpPolicy.OPTIONAL and not _has_keys(offer, stream):
        return None
    problem = SecurityError("secure media is required")
    order = (_choose_dtls, _choose_sdes) if stream.proto in DTLS_PROTOS else (_choose_sdes, _choose_dtls)
    for attempt in order:
        try:
            found = attempt(offer, stream, local)
        except SecurityError as error:
            problem = error
            continue
        if found is not None:
            return found
    if needs or local.policy is SrtpPolicy.REQUIRED:
        raise problem
    return None


def _has_keys(offer: SessionDescription, stream: MediaDescription) -> bool:
    """Whether the stream brings any, usable or not: most have none, and need no further look."""
    first = stream.said.first
    return (
        "crypto" in first or "fingerprint" in first or bool(offer.attributes and _values(offer, stream, "fingerprint"))
    )


def _choose_sdes(offer: SessionDescription, stream: MediaDescription, local: LocalSecurity) -> Sdes | None:
    if stream.proto in DTLS_PROTOS or stream.attribute("crypto") is None:
        return None
    theirs = cryptos_of(stream)
    if not local.sdes:
        raise SecurityError("keys in SDP are taken over TLS only")
    for suite, material in local.keys:
        for crypto in theirs:
            if crypto.suite == suite.name and len(crypto.material) == suite.material:
                return Sdes(suite.name, material, crypto.material, crypto.mki_length, crypto.tag)
    raise SecurityError("no crypto suite in common")


def _choose_dtls(offer: SessionDescription, stream: MediaDescription, local: LocalSecurity) -> Dtls | None:
    theirs = fingerprints_of(offer, stream)
    if not theirs:
        if stream.proto in DTLS_PROTOS:
            raise SecurityError("no fingerprint")
        return None
    if local.fingerprint is None:
        raise SecurityError("DTLS-SRTP is not available")
    # RFC 5763 §5: an offer is actpass; the answer should be active, which saves a round trip.
    setup = _setup_of(offer, stream, Setup.ACTPASS)
    if setup is Setup.HOLDCONN:
        return Dtls(theirs, None, Setup.HOLDCONN)
    if setup is Setup.ACTIVE:
        return Dtls(theirs, "server", Setup.PASSIVE)
    return Dtls(theirs, "client", Setup.ACTIVE)


def keep_role(found: Security | None, before: Security | None, offered: Setup | None) -> Security | None:
    """An offer of actpass in a session that has its handshake keeps the parts as they are (RFC 8842 §5.5)."""
    if not isinstance(found, Dtls) or not isinstance(before, Dtls) or before.role is None:
        return found
    if offered is not Setup.ACTPASS or set(found.fingerprints) != set(before.fingerprints):
        return found
    return Dtls(found.fingerprints, before.role, Setup.ACTIVE if before.role == "client" else Setup.PASSIVE)


def offered_setup(offer: SessionDescription, stream: MediaDescription) -> Setup | None:
    """The `a=setup` of an offer; actpass when it says nothing."""
    return _setup_of(offer, stream, Setup.ACTPASS)


def answer_attributes(security: Security | None, local: LocalSecurity | None) -> tuple[Attribute, ...]:
    """What an answer says about its security."""
    if isinstance(security, Sdes):
        return (Attribute("crypto", str(Crypto(security.tag, security.suite, security.send))),)
    if isinstance(security, Dtls):
        assert local is not None and local.fingerprint is not None, "chosen with it"
        return _dtls_attributes(local.fingerprint, security.setup)
    return ()


def _dtls_attributes(fingerprint: Fingerprint, setup: Setup) -> tuple[Attribute, ...]:
    return Attribute("fingerprint", str(fingerprint)), Attribute("setup", setup.value)


# Our own offers, and their answers


def offer_security(local: LocalSecurity | None, before: Security | None) -> tuple[str, tuple[Attribute, ...]]:
    """Transport and attributes of an offer of ours; `before` is what the session has already."""
    way = None if local is None else local.offers
    if isinstance(before, Dtls):
        way = "dtls"
    elif isinstance(before, Sdes):
        way = "sdes"
    if way is None or local is None:
        return "RTP/AVP", ()
    must = local.policy is SrtpPolicy.REQUIRED or before is not None
    if way == "dtls":
        assert local.fingerprint is not None, "offered with it"
        return "UDP/TLS/RTP/SAVP" if must else "RTP/AVP", _dtls_attributes(local.fingerprint, Setup.ACTPASS)
    lines = [Crypto(tag, suite.name, material) for tag, (suite, material) in enumerate(local.keys, start=1)]
    return "RTP/SAVP" if must else "RTP/AVP", tuple(Attribute("crypto", str(each)) for each in lines)


def read_answer_security(
    local: LocalSecurity | None, before: Security | None, answer: SessionDescription, stream: MediaDescription
) -> Security | None:
    """What the answer to an offer of ours makes of it. Raises: SecurityError."""
    proto, attributes = offer_security(local, before)
    names = {name for name, _ in attributes}
    found: Security | None = None
    if "crypto" in names and stream.attribute("crypto") is not None:
        assert local is not None, "offered with it"
        found = _read_crypto_answer(local, cryptos_of(stream))
    elif "fingerprint" in names and (theirs := fingerprints_of(answer, stream)):
        found = _read_dtls_answer(theirs, _setup_of(answer, stream, Setup.ACTIVE))
    if found is None and (proto not in PLAIN_PROTOS or stream.proto not in PLAIN_PROTOS):
        raise SecurityError("the answer has no keys")
    return keep_role(found, before, Setup.ACTPASS)


def _read_crypto_answer(local: LocalSecurity, theirs: Sequence[Crypto]) -> Sdes:
    """RFC 4568 §5.1.3: one line, with the tag and suite of one that was offered."""
    if len(theirs) != 1:
        raise SecurityError("the answer has more than one a=crypto")
    crypto = theirs[0]
    if not 1 <= crypto.tag <= len(local.keys):
        raise SecurityError("the answer has a tag that was not offered")
    suite, material = local.keys[crypto.tag - 1]
    if crypto.suite != suite.name:
        raise SecurityError("the answer has another suite under this tag")
    if len(crypto.material) != suite.material:
        raise SecurityError("the key of the answer has the wrong length")
    return Sdes(suite.name, material, crypto.material, crypto.mki_length, crypto.tag)


def _read_dtls_answer(theirs: tuple[Fingerprint, ...], setup: Setup) -> Dtls:
    if setup is Setup.ACTPASS:
        raise SecurityError("the answer must be active or passive")
    if setup is Setup.HOLDCONN:
        return Dtls(theirs, None, Setup.HOLDCONN)
    return Dtls(theirs, "server" if setup is Setup.ACTIVE else "client", setup)
