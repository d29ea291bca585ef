"""Video, text and fax between two phones: relayed untouched where both agree, else port 0; the audio always goes on."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from contextlib import suppress

import pytest
from pylibsrtp import Policy, Session

from media import Engine, NoPortsLeftError, Port
from media.dtls import DtlsAssociation, DtlsContext
from sipcore.beside import KINDS
from sipcore.sdp import Direction
from sipcore.sdp_security import SrtpPolicy, parse_fingerprint
from tests.sim.beside_phones import FAX, H264, PASSWORD, TEXT, VIDEO, Mode, Pair, streams
from voipat import SrtpRules
from voipat.events import CallEnded

pytestmark = pytest.mark.usefixtures("nothing_left")

FRAME = bytes.fromhex("80e00001000000010a0b0c0d") + b"\x65key frame"
OTHER = bytes.fromhex("80600002000000020d0c0b0a") + b"\x41delta"
PLI = bytes.fromhex("81ce0002000000010a0b0c0d")
UDPTL = b"\x00\x01\x06\x01\x0a\x80\x00\x00"
UDPTL_BACK = b"\x00\x07\x06\x02\x0a\x80\x00\x00"
CASES = {
    "video": (VIDEO, H264, FRAME, OTHER),
    "text": (TEXT, TEXT, b"\x80\x62" + FRAME[2:12] + b"hi", b"\x80\x62" + OTHER[2:]),
}


def beside(ended: CallEnded) -> str | None:
    return ended.media.beside


@pytest.mark.parametrize("kind", CASES)
def test_what_both_phones_take_is_relayed_byte_for_byte_and_its_feedback_too(kind: str) -> None:
    offered, taken, there, back = CASES[kind]
    with Pair(offered, taken) as pair:
        assert streams(pair.bob.told[0]) == streams(pair.alice.told[-1]) == [("audio", True), (kind, True)]
        assert pair.exchange(kind, there, back)
        pair.a.says(pair.towards(pair.alice, kind), PLI, rtcp=True)
        pair.after(0.2)
        assert pair.b.feedback == [PLI]
        pair.call.hears(pair.answered.phone.tone)
        pair.hang_up()
        assert {beside(each) for each in pair.ended} == {f"{kind} {'H264' if kind == 'video' else 't140'} 1/1"}


def test_contents_are_written_on_and_addresses_are_ours() -> None:
    with Pair(VIDEO, H264) as pair:
        offer, answer = pair.bob.told[0], pair.alice.told[-1]
        assert "a=fmtp:96 profile-level-id=42e01f" in offer and "a=rtcp-fb:97 ccm fir" in offer
        assert "candidate" not in offer and pair.a.address.host not in offer
        assert re.search(r"m=video \d+ RTP/AVPF 96\r\n", answer) and pair.b.address.host not in answer
        pair.hang_up()


def test_a_phone_that_declines_leaves_the_audio() -> None:
    with Pair(VIDEO, TEXT) as pair:
        assert streams(pair.alice.told[-1]) == [("audio", True), ("video", False)]
        pair.call.hears(pair.answered.phone.tone)
        pair.hang_up()
        assert [beside(each) for each in pair.ended] == [None, None]


def test_a_stranger_is_not_relayed() -> None:
    with Pair(VIDEO, H264) as pair:
        to = pair.towards(pair.alice, "video")
        pair.b.says(to, FRAME)
        pair.after(0.5)
        assert pair.b.heard == []
        pair.hang_up()


@pytest.mark.rfc(
    "3264",
    "8.1",
    "New media streams are created by new additional media descriptions below the existing ones",
)
def test_video_comes_in_mid_call_and_goes_again() -> None:
    with Pair(VIDEO, H264, mode="audio") as pair:
        assert streams(pair.alice.told[-1]) == [("audio", True)]
        pair.alice.mode = "beside"
        pair.call.refresh(method="INVITE")
        pair.after(1.0)
        assert streams(pair.bob.told[-1]) == streams(pair.alice.told[-1]) == [("audio", True), ("video", True)]
        assert pair.exchange("video", FRAME, OTHER)
        pair.alice.mode = "audio"
        pair.call.refresh(method="INVITE")
        pair.after(1.0)
        assert streams(pair.bob.told[-1]) == [("audio", True), ("video", False)]
        pair.call.hears(pair.answered.phone.tone)
        pair.hang_up()


def test_video_that_one_side_refuses_mid_call_is_declined_and_asked_for_once() -> None:
    with Pair(VIDEO, TEXT, mode="audio") as pair:
        pair.alice.mode = "beside"
        for _ in range(3):
            pair.call.refresh(method="INVITE")
            pair.after(1.0)
        assert streams(pair.alice.told[-1]) == [("audio", True), ("video", False)]
        assert len(pair.bob.told) == 2
        pair.call.hears(pair.answered.phone.tone)
        pair.hang_up()


def test_a_refresh_keeps_the_video_and_asks_nobody() -> None:
    with Pair(VIDEO, H264) as pair:
        pair.call.refresh(method="INVITE")
        pair.after(1.0)
        pair.answered.refresh(method="UPDATE")
        pair.after(1.0)
        assert len(pair.bob.told) == 1 and streams(pair.alice.told[-1]) == [("audio", True), ("video", True)]
        assert pair.exchange("video", FRAME, OTHER)
        pair.hang_up()


def test_hold_and_its_end_carry_the_video() -> None:
    with Pair(VIDEO, H264) as pair:
        pair.call.hold("sendonly", "session")
        pair.after(1.0)
        assert streams(pair.bob.told[-1]) == [("audio", True), ("video", True)]
        pair.call._offer_again(Direction.SENDRECV, pair.a.address.host, "session", "INVITE")
        pair.after(1.0)
        assert pair.exchange("video", FRAME, OTHER)
        pair.call.hears(pair.answered.phone.tone)
        pair.hang_up()


@pytest.mark.rfc("3264", "8.3.3", "The media type (audio, video, etc.) for a stream MAY be changed.")
@pytest.mark.parametrize("mode", ["fax", "fax beside"])
@pytest.mark.parametrize("by", ["a", "b"])
def test_a_call_becomes_a_fax_and_a_conversation_again(mode: Mode, by: str) -> None:
    with Pair(FAX, FAX, mode="audio") as pair:
        mine, theirs = (pair.alice, pair.bob) if by == "a" else (pair.bob, pair.alice)
        call = pair.call if by == "a" else pair.answered
        pair.bob.mode = "audio"
        mine.mode = mode
        call.refresh(method="INVITE")
        pair.after(1.0)
        wanted = [("image", True)] if mode == "fax" else [("audio", False), ("image", True)]
        assert streams(mine.told[-1]) == streams(theirs.told[-1]) == wanted
        assert "a=T38FaxUdpEC:t38UDPRedundancy" in mine.told[-1]
        assert pair.exchange("image", UDPTL, UDPTL_BACK)
        pair.after(60.0)  # no audio, and nobody takes that for a dead call
        assert not pair.call.is_over
        mine.mode = "audio"
        call.refresh(method="INVITE")
        pair.after(1.0)
        assert streams(theirs.told[-1])[0] == ("audio", True)
        assert ("image", True) not in streams(theirs.told[-1])
        pair.call.hears(pair.answered.phone.tone)
        pair.hang_up()
        assert {beside(each) for each in pair.ended} == {"image t38 1/1"}


@pytest.mark.rfc("3264", "8.3.3", "The media type (audio, video, etc.) for a stream MAY be changed.")
def test_a_fax_from_its_first_invite_on_is_relayed_and_may_become_a_conversation() -> None:
    with Pair(FAX, FAX, mode="fax") as pair:
        assert pair.call.was_answered
        assert streams(pair.bob.told[-1]) == streams(pair.alice.told[-1]) == [("image", True)]
        assert "a=T38FaxUdpEC:t38UDPRedundancy" in pair.bob.told[-1]
        assert pair.exchange("image", UDPTL, UDPTL_BACK)
        pair.after(60.0)  # no audio, and nobody takes that for a dead call
        assert not pair.call.is_over
        pair.call.refresh(method="INVITE")
        pair.after(1.0)
        assert pair.exchange("image", UDPTL, UDPTL_BACK)
        pair.alice.mode = pair.bob.mode = "audio"
        pair.call.refresh(method="INVITE")
        pair.after(1.0)
        assert streams(pair.bob.told[-1]) == [("audio", True)]
        pair.call.hears(pair.answered.phone.tone)
        pair.hang_up()
        assert {beside(each) for each in pair.ended} == {"image t38 2/2"}


@pytest.mark.parametrize("why", ["the callee has no fax", "the rules forbid it", "it has to be secret"])
def test_a_fax_from_its_first_invite_on_that_cannot_be_relayed_is_refused(why: str) -> None:
    takes = TEXT if why == "the callee has no fax" else FAX
    allowed = ("video",) if why == "the rules forbid it" else KINDS
    rules = SrtpRules(SrtpPolicy.REQUIRED) if why == "it has to be secret" else SrtpRules()
    with Pair(FAX, takes, mode="fax", beside=allowed, srtp=rules, is_answered=False) as pair:
        assert pair.call.status == 488
        pair.world.run()
        assert pair.world.leaks() == []


def test_a_fax_that_the_other_side_has_no_use_for_is_refused_and_the_audio_is_back() -> None:
    with Pair(FAX, TEXT, mode="audio") as pair:
        pair.alice.mode = "fax"
        pair.call.refresh(method="INVITE")
        pair.after(2.0)
        assert any(rung.data.startswith(b"SIP/2.0 488") for rung in pair.world.network.ladder)
        assert streams(pair.bob.told[-1])[0] == ("audio", True)
        assert not pair.call.is_over
        pair.alice.mode = "audio"
        pair.call.hears(pair.answered.phone.tone)
        pair.hang_up()


def test_each_leg_has_its_own_keys_for_the_video() -> None:
    material = bytes(range(30))
    crypto = f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{base64.b64encode(material).decode()}\r\n"
    with Pair(H264.replace("RTP/AVPF", "RTP/SAVPF") + crypto, H264, srtp=SrtpRules(sdes_over_plain=True)) as pair:
        answer = pair.alice.told[-1]
        video = answer[answer.index("m=video") :]
        assert "RTP/SAVPF" in video and "AES_CM_128_HMAC_SHA1_80 inline:" in video
        ours = base64.b64decode(video.partition("inline:")[2].split()[0])
        profile = Policy.SRTP_PROFILE_AES128_CM_SHA1_80
        sealed = Session(Policy(material, Policy.SSRC_ANY_OUTBOUND, 0, profile)).protect(FRAME)
        pair.a.says(pair.towards(pair.alice, "video"), FRAME)
        pair.a.says(pair.towards(pair.alice, "video"), sealed)
        pair.b.says(pair.towards(pair.bob, "video"), OTHER)
        pair.after(0.5)
        assert pair.b.heard == [FRAME]
        opened = Session(Policy(ours, Policy.SSRC_ANY_INBOUND, 0, profile)).unprotect(pair.a.heard[0])
        assert opened == OTHER and ours not in pair.bob.told[0].encode()
        pair.hang_up()


def test_the_keys_of_a_video_may_come_of_a_handshake_on_its_own_port() -> None:
    context = DtlsContext()
    print_ = context.fingerprint.hex(":").upper()
    video = H264.replace("RTP/AVPF", "UDP/TLS/RTP/SAVPF")
    with Pair(f"{video}a=fingerprint:sha-256 {print_}\r\na=setup:actpass\r\na=rtcp-mux\r\n", H264) as pair:
        answer = pair.alice.told[-1]
        ours = parse_fingerprint(re.findall(r"a=fingerprint:(.*)", answer[answer.index("m=video") :])[0])
        assert "UDP/TLS/RTP/SAVPF" in answer and "a=setup:active" in answer
        phone = DtlsAssociation(context, "server", frozenset({(ours.algorithm, ours.digest)}))
        port, keys = pair.towards(pair.alice, "video"), None
        for _ in range(20):
            flights, pair.a.heard = pair.a.heard, []
            for datagram in flights:
                step = phone.receive(datagram)
                keys = keys or step.keys
                for flight in step.flights:
                    pair.a.says(port, flight)
            pair.after(0.5)
        assert keys is not None
        send = Session(Policy(keys.send, Policy.SSRC_ANY_OUTBOUND, 0, keys.suite.profile))
        receive = Session(Policy(keys.receive, Policy.SSRC_ANY_INBOUND, 0, keys.suite.profile))
        pair.a.heard = []
        pair.a.says(port, FRAME)
        pair.a.says(port, send.protect(FRAME))
        pair.b.says(pair.towards(pair.bob, "video"), OTHER)
        pair.after(0.5)
        assert pair.b.heard == [FRAME] and [receive.unprotect(each) for each in pair.a.heard] == [OTHER]
        pair.hang_up()


@pytest.mark.parametrize("kind", ["video", "text"])
def test_what_the_rules_do_not_allow_is_not_offered(kind: str) -> None:
    with Pair(CASES[kind][0], CASES[kind][1], beside=("image",)) as pair:
        assert streams(pair.bob.told[0]) == [("audio", True)]
        assert streams(pair.alice.told[-1]) == [("audio", True), (kind, False)]
        pair.hang_up()


def test_without_a_port_left_the_audio_goes_on() -> None:
    with Pair(VIDEO, H264, mode="audio") as pair:
        engine = pair.world.engine
        taken = list(every_port(engine))
        pair.alice.mode = "beside"
        pair.call.refresh(method="INVITE")
        pair.after(1.0)
        assert streams(pair.alice.told[-1]) == [("audio", True), ("video", False)]
        for port in taken:
            engine.close_port(port)
        pair.call.hears(pair.answered.phone.tone)
        pair.hang_up()
        assert pair.app.counters["streams_without_port"] >= 1


def every_port(engine: Engine) -> Iterator[Port]:
    """All that are left."""
    with suppress(NoPortsLeftError):
        while True:
            yield engine.open_port("127.0.0.1", ssrc=1, sequence=1, timestamp=1)


def test_after_a_transfer_the_audio_goes_on_without_the_video() -> None:
    with Pair(VIDEO, H264) as pair:
        carol = pair.world.phone("sip:c@example.com", password=PASSWORD).register(refresh=False)
        carol.answers()
        pair.after(0.5)
        pair.answered.refer("sip:c@example.com")
        pair.after(3.0)
        assert carol.received and carol.received[0].was_answered and not pair.call.is_over
        pair.a.says(pair.towards(pair.alice, "video"), FRAME)
        pair.after(0.2)
        assert pair.b.heard == []
        pair.call.hears(carol.tone)
        pair.hang_up()


def test_after_a_transfer_the_next_offer_asks_the_new_party_for_the_video_once() -> None:
    with Pair(VIDEO, H264) as pair:
        carol = pair.world.phone("sip:c@example.com", password=PASSWORD).register(refresh=False)
        carol.answers()
        pair.after(0.5)
        pair.answered.refer("sip:c@example.com")
        pair.after(3.0)
        for _ in range(2):
            pair.call.refresh(method="INVITE")
            pair.after(1.0)
            assert streams(pair.alice.told[-1]) == [("audio", True), ("video", False)]
        asked = [
            rung for rung in pair.world.network.ladder if rung.destination == carol.address and b"m=video" in rung.data
        ]
        assert len({rung.data for rung in asked if rung.data.startswith(b"INVITE")}) == 1
        pair.call.hears(carol.tone)
        pair.hang_up()
