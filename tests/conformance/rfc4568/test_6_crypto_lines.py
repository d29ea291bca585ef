"""RFC 4568: the a=crypto line, what an answer to it may say, and what is refused under which name."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest

from sipcore.errors import NegotiationError, SecurityError
from sipcore.offer_answer import LocalMedia, OfferAnswer
from sipcore.sdp import RtpFormat, SessionDescription, parse_sdp
from sipcore.sdp_security import Crypto, CryptoSuite, LocalSecurity, Sdes, SrtpPolicy, parse_crypto

GCM, GCM_256 = CryptoSuite("AEAD_AES_128_GCM", 28), CryptoSuite("AEAD_AES_256_GCM", 44)
CM_80, CM_32 = CryptoSuite("AES_CM_128_HMAC_SHA1_80", 30), CryptoSuite("AES_CM_128_HMAC_SHA1_32", 30)
OURS = tuple((suite, bytes([index]) * suite.material) for index, suite in enumerate((GCM, GCM_256, CM_80, CM_32)))
SECURITY = LocalSecurity(SrtpPolicy.OPTIONAL, OURS, sdes=True)
LOCAL = LocalMedia("192.0.2.2", 20000, (RtpFormat(0, "PCMU", 8000),), security=SECURITY)
REQUIRED = replace(LOCAL, security=replace(SECURITY, policy=SrtpPolicy.REQUIRED))
OFF = replace(LOCAL, security=replace(SECURITY, policy=SrtpPolicy.OFF))


def key(length: int, octet: int = 0xAB) -> str:
    return base64.b64encode(bytes([octet]) * length).decode()


CM_80_LINE = f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{key(30)}"
GCM_LINE = f"a=crypto:7 AEAD_AES_128_GCM inline:{key(28, 0xCD)}"


def offer(*lines: str, proto: str = "RTP/SAVP") -> SessionDescription:
    head = ("v=0", "o=- 1 1 IN IP4 192.0.2.1", "s=-", "c=IN IP4 192.0.2.1", "t=0 0", f"m=audio 4000 {proto} 0")
    return parse_sdp("\r\n".join((*head, *lines, "")).encode())


def stream_of(body: bytes) -> tuple[str, str | None]:
    [stream] = parse_sdp(body).media
    return stream.proto, stream.attribute("crypto")


@pytest.mark.rfc("4568", "6.1")
@pytest.mark.parametrize(
    ("line", "crypto"),
    [
        (f"1 AES_CM_128_HMAC_SHA1_80 inline:{key(30)}", Crypto(1, CM_80.name, b"\xab" * 30)),
        (f"1 AES_CM_128_HMAC_SHA1_80 inline:{key(30)}|2^20|1:4",
         Crypto(1, CM_80.name, b"\xab" * 30, 1 << 20, 1, 4)),
        (f"1 AES_CM_128_HMAC_SHA1_32 inline:{key(30)}|1066:4", Crypto(1, CM_32.name, b"\xab" * 30, None, 1066, 4)),
        (f"12 AEAD_AES_128_GCM  inline:{key(28)}|1048576", Crypto(12, GCM.name, b"\xab" * 28, 1 << 20)),
        (f"2 AEAD_AES_256_GCM INLINE:{key(44)} WSH=128", Crypto(2, GCM_256.name, b"\xab" * 44)),
        (f"0 AES_CM_128_HMAC_SHA1_80 inline:{key(30)} KDR=0", Crypto(0, CM_80.name, b"\xab" * 30)),
    ],
)  # fmt: skip
def test_a_line_is_read(line: str, crypto: Crypto) -> None:
    assert parse_crypto(line) == crypto
    assert parse_crypto(str(crypto)) == replace(crypto, lifetime=None, mki=0, mki_length=0)


@pytest.mark.rfc("4568", "9.1")
@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("", "tag, suite and key"),
        ("1 AES_CM_128_HMAC_SHA1_80", "tag, suite and key"),
        (f"x AES_CM_128_HMAC_SHA1_80 inline:{key(30)}", "tag, suite and key"),
        (f"01 AES_CM_128_HMAC_SHA1_80 inline:{key(30)}", "begins with 0"),
        (f"1234567890 AES_CM_128_HMAC_SHA1_80 inline:{key(30)}", "tag, suite and key"),
        (f"1 AES_CM_128_HMAC_SHA1_80 uri:{key(30)}", "not inline"),
        ("1 AES_CM_128_HMAC_SHA1_80 inline:***", "base64"),
        (f"1 AES_CM_128_HMAC_SHA1_80 inline:{key(30)}|2^49", "1..2"),
        (f"1 AES_CM_128_HMAC_SHA1_80 inline:{key(30)}|0", "1..2"),
        (f"1 AES_CM_128_HMAC_SHA1_80 inline:{key(30)}|soon", "lifetime"),
        (f"1 AES_CM_128_HMAC_SHA1_80 inline:{key(30)}|2^20|1:129", "MKI"),
        (f"1 AES_CM_128_HMAC_SHA1_80 inline:{key(30)}|2^20|256:1", "MKI"),
        (f"1 AES_CM_128_HMAC_SHA1_80 inline:{key(30)}|2^20|1:0", "MKI"),
        (f"1 AES_CM_128_HMAC_SHA1_80 inline:{key(30)}|2^20|1:4|x", "no lifetime and no MKI"),
        (f"1 AES_CM_128_HMAC_SHA1_80 inline:{key(30)}|1:4;inline:{key(30)}|2:4", "several keys"),
        (f"1 AES_CM_128_HMAC_SHA1_80 inline:{key(30)} UNENCRYPTED_SRTP", "UNENCRYPTED_SRTP"),
        (f"1 AES_CM_128_HMAC_SHA1_80 inline:{key(30)} UNAUTHENTICATED_SRTP", "UNAUTHENTICATED_SRTP"),
        (f"1 AES_CM_128_HMAC_SHA1_80 inline:{key(30)} KDR=4", "KDR=4"),
        (f"1 AES_CM_128_HMAC_SHA1_80 inline:{key(30)} FEC_ORDER=SRTP_FEC", "FEC_ORDER"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(line: str, problem: str) -> None:
    with pytest.raises(SecurityError, match=problem.replace("^", r"\^")):
        parse_crypto(line)


@pytest.mark.rfc("4568", "5.1.2")
@pytest.mark.parametrize("proto", ["RTP/SAVP", "RTP/SAVPF", "RTP/AVP"])
def test_the_answer_takes_one_line_under_its_tag_with_a_key_of_its_own(proto: str) -> None:
    body, found = OfferAnswer(1).make_answer(offer(CM_80_LINE, GCM_LINE, proto=proto), LOCAL)
    assert stream_of(body) == (proto, f"7 AEAD_AES_128_GCM inline:{key(28, 0)}")
    assert found.security == Sdes(GCM.name, bytes(28), b"\xcd" * 28, 0, 7)


@pytest.mark.rfc("4568", "5.1.2")
def test_lines_that_cannot_be_used_are_passed_over() -> None:
    lines = (f"a=crypto:1 F8_128_HMAC_SHA1_80 inline:{key(30)}", f"a=crypto:2 {CM_80.name} inline:{key(16)}")
    body, _ = OfferAnswer(1).make_answer(
        offer(*lines, "a=crypto:3 nonsense", f"a=crypto:4 {CM_32.name} inline:{key(30)}"), LOCAL
    )
    assert stream_of(body)[1] == f"4 {CM_32.name} inline:{key(30, 3)}"


@pytest.mark.rfc("4568", "5.1.2")
@pytest.mark.parametrize(
    ("lines", "local", "problem"),
    [
        ((), LOCAL, "required"),
        ((f"a=crypto:1 F8_128_HMAC_SHA1_80 inline:{key(30)}",), LOCAL, "no crypto suite"),
        ((f"a=crypto:1 {CM_80.name} inline:{key(29)}",), LOCAL, "no crypto suite"),
        ((f"a=crypto:1 {CM_80.name} inline:{key(30)} UNENCRYPTED_SRTP",), LOCAL, "UNENCRYPTED"),
        ((CM_80_LINE, CM_80_LINE), LOCAL, "one tag"),
        (tuple(f"a=crypto:{tag} X inline:{key(30)}" for tag in range(17)), LOCAL, "too many"),
        ((CM_80_LINE,), OFF, "switched off"),
        ((CM_80_LINE,), replace(LOCAL, security=None), "switched off"),
        ((CM_80_LINE,), replace(LOCAL, security=replace(SECURITY, sdes=False)), "over TLS only"),
    ],
)
def test_a_secure_offer_that_cannot_be_served_is_refused(
    lines: tuple[str, ...], local: LocalMedia, problem: str
) -> None:
    with pytest.raises(SecurityError, match=problem):
        OfferAnswer(1).make_answer(offer(*lines), local)


def test_a_plain_offer_is_refused_where_secure_media_is_required_and_taken_where_it_is_optional() -> None:
    with pytest.raises(SecurityError, match="required"):
        OfferAnswer(1).make_answer(offer(proto="RTP/AVP"), REQUIRED)
    body, found = OfferAnswer(1).make_answer(offer(proto="RTP/AVP"), LOCAL)
    assert (stream_of(body), found.security) == (("RTP/AVP", None), None)


def test_a_key_in_the_clear_is_not_taken_from_an_offer_that_does_not_need_it() -> None:
    local = replace(LOCAL, security=replace(SECURITY, sdes=False))
    body, found = OfferAnswer(1).make_answer(offer(CM_80_LINE, proto="RTP/AVP"), local)
    assert (stream_of(body), found.security) == (("RTP/AVP", None), None)


def test_of_a_secure_and_a_plain_stream_the_secure_one_is_taken() -> None:
    both = parse_sdp(
        b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
        b"m=audio 4002 RTP/SAVP 0\r\n" + CM_80_LINE.encode() + b"\r\n"
    )
    body, found = OfferAnswer(1).make_answer(both, LOCAL)
    assert [stream.port for stream in parse_sdp(body).media] == [0, 20000]
    assert found.security is not None
    body, _ = OfferAnswer(1).make_answer(both, OFF)
    assert [stream.port for stream in parse_sdp(body).media] == [20000, 0]


@pytest.mark.rfc("4568", "5.1.3")
def test_our_offer_has_every_suite_and_its_answer_chooses_one() -> None:
    session = OfferAnswer(1)
    [stream] = parse_sdp(session.make_offer(REQUIRED)).media
    lines = [parse_crypto(value or "") for name, value in stream.attributes if name == "crypto"]
    assert stream.proto == "RTP/SAVP"
    assert [(each.tag, each.suite) for each in lines] == [
        (1, GCM.name),
        (2, GCM_256.name),
        (3, CM_80.name),
        (4, CM_32.name),
    ]
    found = session.read_answer(offer(f"a=crypto:3 {CM_80.name} inline:{key(30)}"))
    assert found.security == Sdes(CM_80.name, bytes([2]) * 30, b"\xab" * 30, 0, 3)


@pytest.mark.rfc("4568", "5.1.3")
@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ((), "no keys"),
        ((f"a=crypto:5 {CM_80.name} inline:{key(30)}",), "not offered"),
        ((f"a=crypto:1 {CM_80.name} inline:{key(30)}",), "another suite"),
        ((f"a=crypto:3 {CM_80.name} inline:{key(16)}",), "wrong length"),
        ((f"a=crypto:3 {CM_80.name} inline:{key(30)}", f"a=crypto:4 {CM_32.name} inline:{key(30)}"), "more than one"),
        (("a=crypto:3",), "tag, suite and key"),
    ],
)
def test_an_answer_that_does_not_fit_the_offer_is_refused(lines: tuple[str, ...], problem: str) -> None:
    session = OfferAnswer(1)
    session.make_offer(REQUIRED)
    with pytest.raises(SecurityError, match=problem):
        session.read_answer(offer(*lines))


def test_where_it_is_optional_our_offer_is_plain_rtp_with_keys_beside_it() -> None:
    session = OfferAnswer(1)
    assert stream_of(session.make_offer(LOCAL))[0] == "RTP/AVP"
    assert session.read_answer(offer(proto="RTP/AVP")).security is None
    session = OfferAnswer(1)
    session.make_offer(LOCAL)
    assert isinstance(
        session.read_answer(offer(f"a=crypto:3 {CM_80.name} inline:{key(30)}", proto="RTP/AVP")).security, Sdes
    )


def test_without_tls_our_optional_offer_has_no_keys() -> None:
    local = replace(LOCAL, security=replace(SECURITY, sdes=False))
    assert stream_of(OfferAnswer(1).make_offer(local)) == ("RTP/AVP", None)


@pytest.mark.rfc("4568", "7.1.4")
def test_a_secure_session_does_not_become_a_plain_one() -> None:
    session = OfferAnswer(1)
    _, before = session.make_answer(offer(CM_80_LINE), LOCAL)
    with pytest.raises(NegotiationError, match="was secure"):
        session.make_answer(offer(proto="RTP/AVP"), LOCAL)
    after = session.make_answer(offer(CM_80_LINE, "a=sendonly"), LOCAL)[1]
    assert after.security == before.security, "the call goes on with its keys"
    assert stream_of(session.make_offer(LOCAL))[0] == "RTP/SAVP"
    with pytest.raises(SecurityError):
        session.read_answer(offer(proto="RTP/AVP"))


@pytest.mark.rfc("4568", "7.1.4")
def test_a_later_offer_may_bring_new_keys() -> None:
    session = OfferAnswer(1)
    session.make_answer(offer(CM_80_LINE), LOCAL)
    _, found = session.make_answer(offer(f"a=crypto:1 {CM_80.name} inline:{key(30, 0xEE)}"), LOCAL)
    assert found.security == Sdes(CM_80.name, bytes([2]) * 30, b"\xee" * 30, 0, 1)
