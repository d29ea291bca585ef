"""SRTP at a port: what passes, what is dropped under which name, and what a change of keys leaves alone."""

from __future__ import annotations

import random

import pytest
from media_bench import Bench, rtp
from pylibsrtp import Policy, Session

from media import CryptoError, FlightReceived, Port, SourceLatched, SrtpKeys
from media.keys import AEAD_128, AES_CM_80, SUITES, Suite

PHONE, OTHER, STRANGER = ("192.0.2.1", 4000), ("203.0.113.5", 61000), ("198.51.100.66", 1234)
OLD, NEW = 3, 9  # seeds of keys


def keys_of(suite: Suite = AES_CM_80, seed: int = OLD, mki_length: int = 0) -> SrtpKeys:
    material = bytes((seed * 7 + index) & 0xFF for index in range(suite.material))
    return SrtpKeys(suite, send=material, receive=material[::-1], mki_length=mki_length)


class Phone:
    """The far side, by pylibsrtp's own calls."""

    def __init__(self, keys: SrtpKeys) -> None:
        profile = keys.suite.profile
        self._sender = Session(Policy(keys.receive, Policy.SSRC_ANY_OUTBOUND, 0, profile))
        self._receiver = Session(Policy(keys.send, Policy.SSRC_ANY_INBOUND, 0, profile))

    def seal(self, packet: bytes) -> bytes:
        return self._sender.protect(packet)

    def seal_rtcp(self, packet: bytes) -> bytes:
        return self._sender.protect_rtcp(packet)

    def open(self, packet: bytes) -> bytes:
        return self._receiver.unprotect(packet)

    def open_rtcp(self, packet: bytes) -> bytes:
        return self._receiver.unprotect_rtcp(packet)


def echoing(bench: Bench, keys: SrtpKeys | None = None, **numbers: int) -> Port:
    port = bench.open(PHONE, **numbers)
    bench.engine.secure(port, keys or keys_of())
    bench.engine.echo(port)
    return port


def plain(number: int) -> bytes:
    return rtp(number, number * 160)


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
def test_what_is_sealed_is_relayed_to_a_plain_leg_and_back(bench: Bench, suite: Suite) -> None:
    keys = keys_of(suite)
    phone = Phone(keys)
    secure, clear = bench.open(PHONE), bench.open(OTHER, ssrc=5)
    bench.engine.secure(secure, keys)
    bench.engine.connect(secure, clear, a_to_b={0: 0}, b_to_a={0: 0})
    bench.engine.feed(secure, phone.seal(plain(1)), PHONE)
    bench.engine.feed(clear, plain(1), OTHER)
    to_clear, to_secure = bench.sent()
    assert (to_clear.to, to_clear.packet[12:]) == (OTHER, plain(1)[12:])
    assert to_secure.packet[12:172] != plain(1)[12:]
    assert phone.open(to_secure.packet)[12:] == plain(1)[12:]
    assert (bench.drops(secure), bench.drops(clear)) == ({}, {})
    assert bench.engine.stats(secure).octets_in == 160


def test_plain_rtp_at_a_secure_port_is_dropped_and_nothing_latches_on_it(bench: Bench) -> None:
    port = bench.open()
    bench.engine.set_remote(port, PHONE)
    bench.engine.secure(port, keys_of())
    bench.engine.echo(port)
    bench.talk(port, PHONE, 5)
    bench.talk(port, STRANGER, 5)
    assert (bench.sent(), bench.drops(port)) == ([], {"srtp_auth": 10})
    assert bench.engine.stats(port).source is None
    assert bench.engine.drain() == []


def test_one_packet_that_authenticates_is_enough_for_a_phone_behind_nat(bench: Bench) -> None:
    port = bench.open()
    bench.engine.set_remote(port, PHONE, signalling=("192.0.2.99", 5060))
    bench.engine.secure(port, keys_of())
    bench.engine.echo(port)
    bench.engine.feed(port, Phone(keys_of()).seal(plain(1)), OTHER)
    assert [one.to for one in bench.sent()] == [OTHER]
    assert bench.engine.drain() == [SourceLatched(port, OTHER)]


def test_a_packet_that_comes_twice_passes_once(bench: Bench) -> None:
    port, packet = echoing(bench), Phone(keys_of()).seal(plain(1))
    for _ in range(3):
        bench.engine.feed(port, packet, PHONE)
    assert len(bench.sent()) == 1
    assert bench.drops(port) == {"srtp_replay": 2}


def test_packets_that_overtake_each_other_pass(bench: Bench) -> None:
    port, phone = echoing(bench), Phone(keys_of())
    packets = [phone.seal(plain(number)) for number in range(1, 101)]
    for packet in (packets[0], packets[99], *packets[50:99][::-1]):
        bench.engine.feed(port, packet, PHONE)
    assert len(bench.sent()) == 51


@pytest.mark.parametrize("length", range(41))
def test_a_packet_cut_short_is_dropped(bench: Bench, length: int) -> None:
    port, phone = echoing(bench), Phone(keys_of())
    bench.engine.feed(port, phone.seal(plain(1))[:length], PHONE)
    bench.engine.feed(port, phone.seal_rtcp(bytes.fromhex("80c90001000000ff"))[:length], PHONE, rtcp=True)
    assert bench.sent() == []
    assert sum(bench.drops(port).values()) == 2 - (length >= 22)  # a whole SRTCP packet
    assert bench.engine.stats(port).rtcp.packets_in == (length >= 22)


def spoiled(packet: bytes, old: list[bytes], draw: random.Random) -> bytes:
    """With one bit flipped, sent before, or cut."""
    kind = draw.randrange(3)
    if kind == 1 and old:
        return draw.choice(old)
    if kind == 2:
        return packet[: draw.randrange(41)]
    changed = bytearray(packet)
    changed[draw.randrange(len(packet))] ^= 1 << draw.randrange(8)
    return bytes(changed)


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
def test_ten_thousand_bad_packets_from_the_phones_own_address_cost_no_audio(bench: Bench, suite: Suite) -> None:
    keys, draw = keys_of(suite), random.Random(5)
    port, phone = echoing(bench, keys), Phone(keys)
    old: list[bytes] = []
    for number in range(1, 501):
        packet = phone.seal(plain(number))
        for _ in range(20):
            bench.engine.feed(port, spoiled(packet, old, draw), PHONE)
        bench.engine.feed(port, packet, PHONE)
        bench.wait(0.02)
        old.append(packet)
    assert len(bench.sent()) == 500
    assert sum(bench.drops(port).values()) == 10_000
    assert bench.engine.stats(port).packets_in == 500


def test_a_stranger_costs_no_cryptography_once_the_source_is_known(bench: Bench) -> None:
    port, phone = echoing(bench), Phone(keys_of())
    bench.engine.feed(port, phone.seal(plain(1)), PHONE)
    bench.engine.feed(port, phone.seal(plain(2)), STRANGER)
    assert bench.drops(port) == {"foreign": 1}


def test_reports_are_sealed_and_those_of_the_phone_opened(bench: Bench) -> None:
    keys = keys_of(AEAD_128)
    port, phone = echoing(bench, keys), Phone(keys)
    for number in range(300):
        bench.engine.feed(port, phone.seal(plain(number)), PHONE)
        bench.wait(0.02)
    report, *_ = bench.sent(rtcp=True)
    assert phone.open_rtcp(report.packet)[1] == 200
    bench.engine.feed(port, phone.seal_rtcp(bytes.fromhex("80c90001000000ff")), PHONE, rtcp=True)
    bench.engine.feed(port, bytes.fromhex("80c90001000000ff"), PHONE, rtcp=True)
    assert bench.engine.stats(port).rtcp.packets_in == 1
    assert sum(bench.drops(port).values()) == 1


def test_a_port_that_awaits_keys_lets_nothing_through(bench: Bench) -> None:
    secure, clear = bench.open(PHONE), bench.open(OTHER, ssrc=5)
    bench.engine.await_keys(secure, dtls=False)
    bench.engine.connect(secure, clear, a_to_b={0: 0}, b_to_a={0: 0})
    bench.engine.feed(secure, plain(1), PHONE)
    bench.engine.feed(clear, plain(1), OTHER)
    assert bench.sent() == []
    assert bench.drops(secure) == {"srtp_no_key": 1, "srtp_send": 1}


def test_the_same_keys_again_leave_the_state_as_it_is(bench: Bench) -> None:
    port, phone = echoing(bench), Phone(keys_of())
    packet = phone.seal(plain(1))
    bench.engine.feed(port, packet, PHONE)
    bench.engine.secure(port, keys_of())
    bench.engine.feed(port, packet, PHONE)
    bench.engine.feed(port, phone.seal(plain(2)), PHONE)
    assert len(bench.sent()) == 2
    assert bench.drops(port) == {"srtp_replay": 1}


class RekeyingPhone:
    """A phone that changes its keys as RFC 3711 §3.3.1 says: the rollover counter goes on."""

    def __init__(self, suite: Suite) -> None:
        self.suite, self.seed, self.index = suite, OLD, 0
        self._phone = Phone(keys_of(suite))

    def rekey(self) -> SrtpKeys:
        self.seed += 1
        keys = keys_of(self.suite, self.seed)
        self._phone = Phone(keys)
        for start in range(0, self.index & ~0x7FFF, 0x7FFF):  # brings its counters to where they were
            self._phone.seal(rtp(start, 0))
        return keys

    def say(self) -> bytes:
        packet = self._phone.seal(plain(self.index))
        self.index += 1
        return packet


@pytest.mark.slow
@pytest.mark.rfc("3711", "3.3.1")
@pytest.mark.parametrize("suite", [AES_CM_80, AEAD_128], ids=lambda suite: suite.name)
@pytest.mark.parametrize("at", [65530, 65536, 65540, 100_000, 131_071])
def test_70000_packets_over_rollovers_and_a_change_of_keys_lose_none(bench: Bench, suite: Suite, at: int) -> None:
    port, phone = echoing(bench, keys_of(suite), sequence=0), RekeyingPhone(suite)
    heard = Phone(keys_of(suite))
    phone.index = 65_000
    for number in range(65_000, 135_001):
        if number == at:
            late = phone.say()
            keys = phone.rekey()
            bench.engine.secure(port, keys)
            bench.engine.feed(port, late, PHONE)  # was on its way under the old keys
            assert len(bench.sent()) == 1
            continue
        bench.engine.feed(port, phone.say(), PHONE)
        [sent] = bench.sent()
        if number < at:
            assert heard.open(sent.packet)[12:] == plain(0)[12:]
        if number % 100 == 0:
            bench.wait(0.1)  # a port takes 2000 packets a second
    stats = bench.engine.stats(port)
    assert (stats.packets_in, stats.packets_out, stats.dropped) == (70_001, 70_001, {})


def test_keys_that_come_with_a_new_address_start_at_zero(bench: Bench) -> None:
    port, before = echoing(bench), Phone(keys_of())
    for number in range(65_500, 65_600):
        bench.engine.feed(port, before.seal(plain(number)), PHONE)
    bench.engine.set_remote(port, OTHER)
    bench.engine.secure(port, keys_of(seed=NEW), fresh=True)
    bench.engine.feed(port, Phone(keys_of(seed=NEW)).seal(plain(70)), OTHER)
    assert bench.sent()[-1].to == OTHER
    assert bench.drops(port) == {}


def test_old_keys_are_good_for_two_seconds_more(bench: Bench) -> None:
    port, before, after = echoing(bench), Phone(keys_of()), Phone(keys_of(seed=NEW))
    bench.engine.feed(port, before.seal(plain(1)), PHONE)
    bench.engine.secure(port, keys_of(seed=NEW))
    bench.engine.feed(port, before.seal(plain(2)), PHONE)
    bench.engine.feed(port, after.seal(plain(3)), PHONE)
    bench.wait(2.0)
    bench.engine.feed(port, before.seal(plain(4)), PHONE)
    bench.engine.feed(port, after.seal(plain(5)), PHONE)
    assert len(bench.sent()) == 4
    assert bench.drops(port) == {"srtp_auth": 1}


def test_another_ssrc_of_the_phone_begins_at_zero(bench: Bench) -> None:
    port, phone = echoing(bench), Phone(keys_of())
    bench.wait(1.0)
    for number in range(65_500, 65_600):
        bench.engine.feed(port, phone.seal(plain(number)), PHONE)
    bench.wait(1.0)
    for number in range(40, 45):
        bench.engine.feed(port, phone.seal(rtp(number, number * 160, ssrc=99)), PHONE)
    assert len(bench.sent()) == 104  # the first of another SSRC needs a second one that says the same
    assert bench.drops(port) == {"jump": 1}


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
def test_an_mki_in_what_comes_is_taken_out(bench: Bench, suite: Suite) -> None:
    keys = keys_of(suite, mki_length=4)
    port, phone = echoing(bench, keys), Phone(keys)
    for sealed, tail, rtcp in (
        (phone.seal(plain(1)), suite.tail, False),
        (phone.seal_rtcp(bytes.fromhex("80c90001000000ff")), suite.rtcp_tail, True),
    ):
        cut = len(sealed) - tail
        bench.engine.feed(port, sealed[:cut] + b"\0\0\0\1" + sealed[cut:], PHONE, rtcp=rtcp)
    assert len(bench.sent()) == 1
    assert (bench.engine.stats(port).rtcp.packets_in, bench.drops(port)) == (1, {})


def test_prompts_and_digits_are_sealed_too(bench: Bench) -> None:
    from media import EncodedAudio

    port, phone = echoing(bench), Phone(keys_of())
    bench.engine.play(port, [EncodedAudio(b"\xd5" * 320)], payload_type=0, silence=0xFF)
    for _ in range(3):
        bench.wait(0.02)
    assert [phone.open(one.packet)[12:] for one in bench.sent()] == [b"\xd5" * 160] * 2


def test_contexts_are_counted_and_let_go_of(bench: Bench) -> None:
    port = echoing(bench)
    assert bench.engine.srtp_contexts == 1
    bench.engine.secure(port, keys_of(seed=NEW))
    bench.engine.unsecure(port)
    bench.engine.close_port(port)
    assert bench.engine.srtp_contexts == 0


def test_keys_of_a_wrong_length_are_refused() -> None:
    with pytest.raises(CryptoError, match="30 octets"):
        SrtpKeys(AES_CM_80, bytes(16), bytes(30))
    assert repr(keys_of()) == "SrtpKeys(AES_CM_128_HMAC_SHA1_80)"


HELLO = bytes.fromhex("16fefd") + bytes(40)


@pytest.mark.rfc("7983", "7")
@pytest.mark.parametrize(
    ("first", "name"),
    [(0, "stun"), (3, "stun"), (4, "not_rtp"), (19, "not_rtp"), (20, "dtls_unwanted"), (63, "dtls_unwanted"),
     (64, "not_rtp"), (127, "not_rtp"), (192, "not_rtp"), (255, "not_rtp")],
)  # fmt: skip
def test_the_first_octet_says_what_a_datagram_is(bench: Bench, first: int, name: str) -> None:
    port = bench.open(PHONE)
    bench.engine.feed(port, bytes([first]) + bytes(30), PHONE)
    assert bench.drops(port) == {name: 1}


@pytest.mark.rfc("5761", "4")
@pytest.mark.parametrize(("second", "is_rtcp"), [(191, False), (192, True), (200, True), (223, True), (224, False)])
def test_rtcp_on_the_rtp_port_is_told_by_its_second_octet(bench: Bench, second: int, is_rtcp: bool) -> None:
    port = bench.open(PHONE)
    bench.engine.feed(port, bytes([0x80, second, 0, 1, 0, 0, 0, 255, *bytes(8)])[: 8 if is_rtcp else 16], PHONE)
    stats = bench.engine.stats(port)
    assert (stats.rtcp.packets_in, stats.packets_in) == ((1, 0) if is_rtcp else (0, 1))


def test_a_handshake_comes_up_and_its_answer_goes_where_it_came_from(bench: Bench) -> None:
    port = bench.open()
    bench.engine.set_remote(port, PHONE, signalling=("203.0.113.5", 5060))
    bench.engine.await_keys(port, dtls=True)
    bench.engine.feed(port, HELLO, OTHER)  # behind the NAT that its SIP comes from
    [event] = bench.engine.drain()
    assert event == FlightReceived(port, HELLO, OTHER)
    bench.engine.send_flight(port, b"\x16answer", OTHER)
    assert bench.engine.take() == [(port, OTHER, b"\x16answer", False)]
    bench.engine.secure(port, keys_of(), source=OTHER)
    bench.engine.echo(port)
    bench.engine.feed(port, Phone(keys_of()).seal(plain(1)), OTHER)
    assert [one.to for one in bench.sent()] == [OTHER]


def test_a_handshake_of_a_stranger_is_dropped(bench: Bench) -> None:
    port = bench.open()
    bench.engine.set_remote(port, PHONE)
    bench.engine.await_keys(port, dtls=True)
    bench.engine.feed(port, HELLO, STRANGER)
    assert (bench.engine.drain(), bench.drops(port)) == ([], {"dtls_foreign": 1})


def test_a_flood_of_handshakes_reaches_python_as_a_trickle(bench: Bench) -> None:
    port = bench.open(PHONE)
    bench.engine.await_keys(port, dtls=True)
    for _ in range(100):
        bench.engine.feed(port, HELLO, PHONE)
    bench.engine.feed(port, HELLO + bytes(1500), PHONE)
    assert len(bench.engine.drain()) == 24
    assert bench.drops(port) == {"dtls_flood": 77}
