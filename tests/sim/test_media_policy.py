"""Encryption and codecs by the configuration: what phones and a carrier are offered and answered for it."""

from __future__ import annotations

import re

import pytest

from sipcore.sdp_security import CryptoSuite, LocalSecurity, SrtpPolicy
from tests.sim.plan_office import PlanOffice
from voipat.testing import Phone

HEAD = """
[server]
{server}
[[tenant]]
domain = "office.test"
{tenant}
[tenant.features]
echo = "*43"
[[tenant.trunk]]
name = "carrier"
host = "192.0.2.1"
caller_id = "+12025550100"
{trunk}
[[tenant.route]]
name = "out"
pattern = "9X."
strip = 1
trunks = ["carrier"]
raw = true
[[tenant.did]]
number = "+12025550100"
target = "1002"
[[tenant.extension]]
number = "1001"
password = "pass-1001"
{first}
[[tenant.extension]]
number = "1002"
password = "pass-1002"
{second}
"""
CM_80 = CryptoSuite("AES_CM_128_HMAC_SHA1_80", 30)
CM_32 = CryptoSuite("AES_CM_128_HMAC_SHA1_32", 30)
KEYS = LocalSecurity(SrtpPolicy.REQUIRED, ((CM_32, bytes(range(30))), (CM_80, bytes(range(30, 60)))), sdes=True)


def office(**keys: str) -> PlanOffice:
    return PlanOffice(HEAD.format(**{"server": "", "tenant": "", "trunk": "", "first": "", "second": "", **keys}))


def offer_to(o: PlanOffice, phone: Phone) -> str:
    """The SDP of the INVITE that the phone got."""
    found = [
        rung.data
        for rung in o.world.network.ladder
        if rung.data.startswith(b"INVITE") and rung.destination == phone.address
    ]
    return found[-1].partition(b"\r\n\r\n")[2].decode()


def codecs_of(sdp: str) -> list[str]:
    names = [name for name in re.findall(r"a=rtpmap:\d+ ([^/]+)/", sdp) if name != "telephone-event"]
    return list(dict.fromkeys(names))


def answered(o: PlanOffice, caller: Phone, number: str, callee: Phone) -> None:
    callee.answers()
    call = caller.dial(number).hangs_up(after=1.0)
    o.run()
    assert call.was_answered


def test_a_tenant_that_requires_encryption_refuses_a_plain_call_and_says_why() -> None:
    with office(tenant='srtp = "required"\nsdes_over_plain = true') as o:
        caller, callee = o.phone(1001), o.phone(1002)
        call = caller.dial("1002")
        o.run()
        assert (call.status, call.warning_ids, callee.received) == (488, ["VP-3019"], [])
        assert o.ends == [("failed", 488, "VP-3019")]


def test_an_echo_call_without_encryption_is_refused_too() -> None:
    with office(tenant='srtp = "required"') as o:
        call = o.phone(1001).dial("*43")
        o.run()
        assert (call.status, call.warning_ids) == (488, ["VP-3019"])


def test_one_extension_requires_it_and_the_other_has_none() -> None:
    with office(first='srtp = "required"\nsdes_over_plain = true', second='srtp = "off"') as o:
        caller, callee = o.phone(1001), o.phone(1002)
        caller.security = KEYS
        answered(o, caller, "1002", callee)
        sdp = offer_to(o, callee)
        assert "m=audio" in sdp and "RTP/AVP " in sdp and "a=crypto" not in sdp
        crypto = {event.leg: event.media.crypto for event in o.ended}
        assert crypto == {"a": "AES_CM_128_HMAC_SHA1_80 SDES", "b": None}


def test_what_a_phone_that_requires_it_is_offered_is_nothing_but_encrypted() -> None:
    suites = 'srtp_suites = ["AES_CM_128_HMAC_SHA1_32", "AES_CM_128_HMAC_SHA1_80"]'
    with office(second=f'srtp = "required"\nsdes_over_plain = true\n{suites}') as o:
        caller, callee = o.phone(1001), o.phone(1002)
        callee.security = KEYS
        answered(o, caller, "1002", callee)
        sdp = offer_to(o, callee)
        assert "RTP/SAVP " in sdp
        assert re.findall(r"a=crypto:(\d \S+)", sdp) == ["1 AES_CM_128_HMAC_SHA1_32", "2 AES_CM_128_HMAC_SHA1_80"]
        assert {event.leg: event.media.crypto for event in o.ended} == {"a": None, "b": "AES_CM_128_HMAC_SHA1_32 SDES"}


def test_keys_over_plain_signalling_are_not_taken_by_default() -> None:
    with office() as o:
        caller = o.phone(1001)
        caller.security = KEYS
        call = caller.dial("*43")
        o.run()
        assert (call.status, call.warning_ids) == (488, ["VP-3019"])


@pytest.mark.rfc("5763", "5")
def test_without_tls_a_phone_that_requires_it_is_offered_a_handshake() -> None:
    with office(second='srtp = "required"') as o:
        caller, callee = o.phone(1001), o.phone(1002)
        caller.dial("1002").hangs_up(after=1.0)
        o.run()
        sdp = offer_to(o, callee)
        assert "UDP/TLS/RTP/SAVP" in sdp and "a=fingerprint:sha-256" in sdp and "a=crypto" not in sdp


def test_a_trunk_has_its_own_keys_in_both_directions() -> None:
    with office(tenant='srtp = "required"\nsdes_over_plain = true', trunk='srtp = "off"\ncodecs = ["PCMA"]') as o:
        phone = o.phone(1001)
        phone.security = KEYS
        answered(o, phone, "912025550199", o.carrier)
        sdp = offer_to(o, o.carrier)
        assert "a=crypto" not in sdp and codecs_of(sdp) == ["PCMA"]
        second = o.phone(1002)
        second.security = KEYS
        second.answers()
        call = o.calls_in("+12025550100").hangs_up(after=1.0)
        o.run()
        assert call.was_answered and second.received[0].audio is not None
        assert second.received[0].audio.security is not None


def test_a_leg_is_offered_its_codecs_in_their_order_and_no_others() -> None:
    with office(second='codecs = ["G722", "L16", "PCMA"]') as o:
        caller, callee = o.phone(1001), o.phone(1002)
        answered(o, caller, "1002", callee)
        assert codecs_of(offer_to(o, callee)) == ["G722", "L16", "PCMA"]


def test_a_phone_is_answered_with_a_codec_that_it_may_have_and_the_call_is_transcoded() -> None:
    with office(first='codecs = ["PCMA"]', second='codecs = ["PCMU"]') as o:
        caller, callee = o.phone(1001), o.phone(1002)
        answered(o, caller, "1002", callee)
        assert {event.leg: event.media.codec for event in o.ended} == {"a": "PCMA", "b": "PCMU"}


def test_a_codec_that_is_only_passed_on_is_offered_when_the_caller_has_it() -> None:
    with office(second='codecs = ["G723", "PCMU"]') as o:
        caller, callee = o.phone(1001), o.phone(1002)
        answered(o, caller, "1002", callee)
        assert codecs_of(offer_to(o, callee)) == ["PCMU"], "nobody here speaks G.723"


def test_a_codec_with_a_library_is_offered_where_it_is_named() -> None:
    with office(second='codecs = ["G729", "PCMU"]') as o:
        caller, callee = o.phone(1001), o.phone(1002)
        answered(o, caller, "1002", callee)
        assert codecs_of(offer_to(o, callee)) == ["G729", "PCMU"]
        assert "a=fmtp:18 annexb=no" in offer_to(o, callee)


def test_a_call_without_a_codec_in_common_fails_before_it_rings() -> None:
    with office(first='codecs = ["G722"]') as o:
        caller, callee = o.phone(1001), o.phone(1002)
        call = caller.dial("1002")
        o.run()
        assert (call.status, callee.received) == (488, [])
