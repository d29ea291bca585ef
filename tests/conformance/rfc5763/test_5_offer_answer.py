"""RFC 5763, 8122 and 4145: fingerprints, and who begins the handshake."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sipcore.errors import SecurityError
from sipcore.offer_answer import LocalMedia, OfferAnswer
from sipcore.sdp import RtpFormat, SessionDescription, parse_sdp
from sipcore.sdp_security import Dtls, Fingerprint, LocalSecurity, Setup, SrtpPolicy, parse_fingerprint

OURS, THEIRS, OTHER = (Fingerprint("sha-256", bytes([octet]) * 32) for octet in (1, 0xAB, 3))
SECURITY = LocalSecurity(SrtpPolicy.REQUIRED, fingerprint=OURS, exchange="dtls")
LOCAL = LocalMedia("192.0.2.2", 20000, (RtpFormat(0, "PCMU", 8000),), security=SECURITY)
PROTO = "UDP/TLS/RTP/SAVP"


def described(*lines: str, proto: str = PROTO, above: tuple[str, ...] = ()) -> SessionDescription:
    head = ("v=0", "o=- 1 1 IN IP4 192.0.2.1", "s=-", "c=IN IP4 192.0.2.1", "t=0 0", *above)
    return parse_sdp("\r\n".join((*head, f"m=audio 4000 {proto} 0", *lines, "")).encode())


def with_setup(setup: str, fingerprint: Fingerprint = THEIRS) -> SessionDescription:
    return described(f"a=fingerprint:{fingerprint}", f"a=setup:{setup}", "a=rtcp-mux")


def said(body: bytes) -> tuple[str, str | None, str | None, bool]:
    [stream] = parse_sdp(body).media
    return stream.proto, stream.attribute("setup"), stream.attribute("fingerprint"), stream.attribute("rtcp-mux") == ""


@pytest.mark.rfc("5763", "5")
@pytest.mark.parametrize(
    ("offered", "answered", "role"),
    [
        ("actpass", Setup.ACTIVE, "client"),
        ("passive", Setup.ACTIVE, "client"),
        ("active", Setup.PASSIVE, "server"),
        ("holdconn", Setup.HOLDCONN, None),
    ],
)
@pytest.mark.parametrize("proto", [PROTO, "UDP/TLS/RTP/SAVPF", "RTP/SAVPF", "RTP/AVP"])
def test_the_answer_takes_the_other_part(offered: str, answered: Setup, role: str | None, proto: str) -> None:
    lines = (f"a=fingerprint:{str(THEIRS).lower()}", f"a=setup:{offered}", "a=rtcp-mux")
    body, found = OfferAnswer(1).make_answer(described(*lines, proto=proto), LOCAL)
    assert said(body) == (proto, answered.value, str(OURS), True)
    assert (found.security, found.rtcp_mux) == (Dtls((THEIRS,), role, answered), True)  # type: ignore[arg-type]  # a literal


@pytest.mark.rfc("8122", "5")
def test_a_fingerprint_of_the_session_counts_for_its_streams() -> None:
    above = (f"a=fingerprint:{THEIRS}", "a=setup:active")
    _, found = OfferAnswer(1).make_answer(described(above=above), LOCAL)
    assert found.security == Dtls((THEIRS,), "server", Setup.PASSIVE)


@pytest.mark.rfc("8122", "5")
@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("", "not supported"),
        ("sha-1 " + ":".join(["AB"] * 20), "sha-1"),
        ("md5 " + ":".join(["AB"] * 16), "md5"),
        ("sha-256 " + ":".join(["AB"] * 31), "32 octets"),
        ("sha-256 " + "AB" * 32, "32 octets"),
        ("sha-256 " + ":".join(["AG"] * 32), "32 octets"),
    ],
)
def test_a_fingerprint_that_proves_nothing_is_named(value: str, problem: str) -> None:
    with pytest.raises(SecurityError, match=problem):
        parse_fingerprint(value)


@pytest.mark.rfc("8122", "5")
def test_hash_and_digits_may_have_any_case() -> None:
    assert parse_fingerprint(str(THEIRS).upper()) == parse_fingerprint(str(THEIRS).lower()) == THEIRS


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ((), "no fingerprint"),
        (("a=fingerprint:sha-1 " + ":".join(["AB"] * 20),), "sha-1"),
        ((f"a=fingerprint:{THEIRS}", "a=setup:both"), "a=setup"),
        (tuple(f"a=fingerprint:{THEIRS}" for _ in range(9)), "too many"),
    ],
)
def test_an_offer_of_dtls_that_cannot_be_served_is_refused(lines: tuple[str, ...], problem: str) -> None:
    with pytest.raises(SecurityError, match=problem):
        OfferAnswer(1).make_answer(described(*lines), LOCAL)


@pytest.mark.rfc("5763", "5")
@pytest.mark.parametrize(("answered", "role"), [("active", "server"), ("passive", "client"), ("holdconn", None)])
def test_our_offer_is_actpass_and_the_answer_decides(answered: str, role: str | None) -> None:
    session = OfferAnswer(1)
    assert said(session.make_offer(LOCAL)) == (PROTO, "actpass", str(OURS), True)
    found = session.read_answer(with_setup(answered))
    assert isinstance(found.security, Dtls)
    assert (found.security.role, found.rtcp_mux) == (role, True)


@pytest.mark.rfc("5763", "5")
def test_an_answer_of_actpass_or_without_a_fingerprint_is_refused() -> None:
    for answer in (with_setup("actpass"), described(), described(proto="RTP/AVP")):
        session = OfferAnswer(1)
        session.make_offer(LOCAL)
        with pytest.raises(SecurityError):
            session.read_answer(answer)


@pytest.mark.rfc("5763", "6.6")
def test_an_offer_of_actpass_later_keeps_the_parts_and_a_new_fingerprint_does_not() -> None:
    session = OfferAnswer(1)
    _, before = session.make_answer(with_setup("active"), LOCAL)
    body, again = session.make_answer(with_setup("actpass"), LOCAL)
    assert again.security == before.security
    assert said(body)[1] == "passive"
    _, moved = session.make_answer(with_setup("actpass", OTHER), LOCAL)
    assert moved.security == Dtls((OTHER,), "client", Setup.ACTIVE)


@pytest.mark.rfc("5761", "5.1.1")
def test_what_was_multiplexed_stays_so() -> None:
    plain = replace(LOCAL, security=None)
    session = OfferAnswer(1)
    _, found = session.make_answer(described("a=rtcp-mux", proto="RTP/AVP"), plain)
    assert found.rtcp_mux
    body, found = session.make_answer(described(proto="RTP/AVP"), plain)
    assert (found.rtcp_mux, said(body)[3]) == (True, True)
    assert said(session.make_offer(plain))[3]
    assert session.read_answer(described(proto="RTP/AVP")).rtcp_mux


def test_the_answer_has_mux_and_reduced_size_only_where_the_offer_has() -> None:
    body, found = OfferAnswer(1).make_answer(described(proto="RTP/AVP"), replace(LOCAL, security=None))
    assert (found.rtcp_mux, b"rtcp-" in body) == (False, False)
    body, _ = OfferAnswer(1).make_answer(
        described("a=rtcp-mux", "a=rtcp-rsize", proto="RTP/AVPF"), replace(LOCAL, security=None)
    )
    assert b"a=rtcp-mux\r\na=rtcp-rsize\r\n" in body


@pytest.mark.rfc("8843", "7.3")
def test_a_bundle_is_answered_without_one_and_every_stream_keeps_its_place() -> None:
    offer = described(
        f"a=fingerprint:{THEIRS}", "a=mid:0", "m=video 0 UDP/TLS/RTP/SAVPF 96", "a=mid:1", "a=bundle-only",
        "m=application 4000 UDP/DTLS/SCTP webrtc-datachannel", "a=mid:2", above=("a=group:BUNDLE 0 1 2",),
    )  # fmt: skip
    body, _ = OfferAnswer(1).make_answer(offer, LOCAL)
    answer = parse_sdp(body)
    assert [(each.media, each.port) for each in answer.media] == [("audio", 20000), ("video", 0), ("application", 0)]
    assert b"BUNDLE" not in body
