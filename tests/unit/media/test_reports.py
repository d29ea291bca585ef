"""RTCP and media timeout."""

from __future__ import annotations

import struct
from itertools import pairwise

import pytest
from media_bench import Bench, Sent, rtp

from media import MediaTimeout, Port
from media.codecs import PCMU, Format

ALICE, BOB = ("192.0.2.1", 4000), ("192.0.2.2", 4000)
ALICE_RTCP = ("192.0.2.1", 4001)
NTP_EPOCH = 2208988800


def pair(bench: Bench) -> tuple[Port, Port]:
    a, b = bench.open(ALICE, ssrc=1), bench.open(BOB, ssrc=2)
    bench.engine.connect(a, b, a_to_b={0: 0}, b_to_a={0: 0})
    return a, b


def reports(bench: Bench, port: Port) -> list[Sent]:
    return [one for one in bench.sent(rtcp=True) if one.port == port]


@pytest.mark.rfc("3550", "6.4.1")
def test_a_port_that_sends_reports_as_sender_every_five_seconds(bench: Bench) -> None:
    a, b = pair(bench)
    bench.talk(a, ALICE, 750)
    found = reports(bench, b)
    assert len(found) == 3
    version, kind, _, ssrc, seconds, _, timestamp, packets, octets = struct.unpack("!BBHIIIIII", found[0].packet[:28])
    assert (version, kind, ssrc) == (0x80, 200, 2)
    assert packets * 160 == octets
    assert seconds - NTP_EPOCH - 1_700_000_000 in (2, 3)
    assert (timestamp - 50000) // 8000 == seconds - NTP_EPOCH - 1_700_000_000
    assert found[0].to == ("192.0.2.2", 4001)


@pytest.mark.rfc(
    "3550",
    "6.2",
    "The calculated interval between RTCP packets is varied randomly over the range [0.5,1.5] times the calculated "
    "interval to avoid unintended synchronization of all participants.",
)
def test_the_time_between_reports_is_never_the_same(bench: Bench) -> None:
    a, b = pair(bench)
    bench.talk(a, ALICE, 6000)
    at = [int.from_bytes(one.packet[8:16], "big") / 2**32 for one in reports(bench, b)]
    between = [later - earlier for earlier, later in pairwise(at)]
    assert all(2.5 <= each < 7.52 for each in between)
    assert len({round(each, 1) for each in between}) > 15
    assert sum(between) / len(between) == pytest.approx(5.0, abs=0.7)


@pytest.mark.rfc(
    "8866",
    "6.7.1",
    "An RTP-based system in receive-only mode MUST still send RTCP packets as described in [RFC3550], Section 6.",
)
@pytest.mark.rfc("3550", "6.4.2")
def test_a_port_that_only_receives_reports_what_it_heard(bench: Bench) -> None:
    a, _ = pair(bench)
    for number in range(200):
        if number % 10:
            bench.engine.feed(a, rtp(number, number * 160), ALICE)
        bench.wait(0.02)
    [report] = reports(bench, a)
    count, kind, _, ssrc, source, fraction, highest = struct.unpack("!BBHIIB3xI", report.packet[:20])
    assert (count, kind, ssrc, source) == (0x81, 201, 1, 7)
    assert fraction == pytest.approx(256 / 10, abs=2)
    assert highest > 100
    assert report.packet[12 + 21 : 12 + 24]  # the block is whole
    assert report.packet[32:34] == b"\x81\xca"


@pytest.mark.rfc("3550", "6.1")
def test_every_report_names_its_source_with_one_cname(bench: Bench) -> None:
    a, b = pair(bench)
    bench.talk(a, ALICE, 500)
    names = {one.packet[28 + 10 : 28 + 30] for one in reports(bench, b)}
    assert len(names) == 1


def test_the_report_of_the_far_side_gives_loss_jitter_and_round_trip(bench: Bench) -> None:
    a, b = pair(bench)
    last_sr = asked(bench, a, b)
    bench.talk(a, ALICE, 15)  # 0.3 s, of which the far side held it 0.2
    answer(bench, b, last_sr, delay=0.2)
    stats = bench.engine.stats(b).rtcp
    assert (stats.remote_lost, stats.remote_fraction_lost, stats.remote_jitter_ms) == (17, 0.25, 10.0)
    assert stats.round_trip_ms == pytest.approx(100, abs=21) and stats.remote_reports == 1


def asked(bench: Bench, a: Port, b: Port) -> int:
    """Talk until `b` has just sent its report; the middle of its NTP time."""
    while not (found := reports(bench, b)):
        bench.talk(a, ALICE)
    return int.from_bytes(found[0].packet[10:14], "big")


def answer(bench: Bench, b: Port, last_sr: int, *, delay: float = 0.0, lost: int = 17, jitter: int = 80) -> None:
    block = struct.pack("!IB3sIIII", 2, 64, lost.to_bytes(3, "big"), 500, jitter, last_sr, round(delay * 65536))
    bench.engine.feed(b, struct.pack("!BBHI", 0x81, 201, 7, 77) + block, ("192.0.2.2", 4001), rtcp=True)


def test_the_round_trip_is_right_when_the_wallclock_is_set_meanwhile(bench: Bench) -> None:
    a, b = pair(bench)
    last_sr = asked(bench, a, b)
    bench.engine._clock.wallclock += 3600  # type: ignore[union-attr]
    bench.talk(a, ALICE, 5)
    answer(bench, b, last_sr)
    assert bench.engine.stats(b).rtcp.round_trip_ms == pytest.approx(100, abs=21)


@pytest.mark.parametrize("claim", ["no report of ours", "held longer than it is old"])
def test_a_forged_report_sets_no_round_trip(bench: Bench, claim: str) -> None:
    a, b = pair(bench)
    last_sr = asked(bench, a, b)
    bench.talk(a, ALICE, 5)
    if claim == "no report of ours":
        answer(bench, b, (last_sr - 30 * 65536) & 0xFFFFFFFF)
    else:
        answer(bench, b, last_sr, delay=5.0)
    assert bench.engine.stats(b).rtcp.round_trip_ms is None


def test_a_forged_report_claims_no_more_than_can_be(bench: Bench) -> None:
    a, b = pair(bench)
    last_sr = asked(bench, a, b)
    answer(bench, b, last_sr, lost=0x7FFFFF, jitter=0xFFFFFFFF)
    stats = bench.engine.stats(b)
    assert stats.remote_loss == 1.0 and stats.rtcp.remote_lost == stats.packets_out
    assert stats.rtcp.remote_jitter_ms <= 18000
    said = stats.said("PCMU")
    assert said is not None and said.mos == 1.0 and said.delay_ms <= 2000
    answer(bench, b, last_sr, lost=0x800000)  # more received than sent
    assert bench.engine.stats(b).remote_loss == 0.0


@pytest.mark.rfc("3550", "6.4.1")
def test_a_sender_report_is_answered_with_its_time_and_our_delay(bench: Bench) -> None:
    a, _ = pair(bench)
    bench.talk(a, ALICE, 50)
    report = struct.pack("!BBHIQIII", 0x80, 200, 6, 7, 0x1122334455667788, 0, 50, 8000)
    bench.engine.feed(a, report, ALICE_RTCP, rtcp=True)
    received_at = bench.now
    bench.talk(a, ALICE, 150)
    [answer] = reports(bench, a)
    last, delay = struct.unpack("!II", answer.packet[24:32])
    assert last == 0x33445566
    assert 0 < delay / 65536 <= bench.now - received_at


@pytest.mark.parametrize(
    "packet",
    [b"", b"\x80\xc8", b"\x80\xc8\x00\x40" + bytes(24), b"\x00" * 28, rtp(1, 1), b"\x80\xc8\x00\x06" + bytes(23)],
)
def test_junk_on_the_rtcp_port_is_dropped_and_counted(bench: Bench, packet: bytes) -> None:
    a, _ = pair(bench)
    bench.engine.feed(a, packet, ALICE_RTCP, rtcp=True)
    assert bench.drops(a) == {"rtcp_junk": 1}


def test_rtcp_of_a_stranger_is_dropped_and_counted(bench: Bench) -> None:
    a, _ = pair(bench)
    bench.engine.feed(a, b"\x80\xc9\x00\x01\0\0\0\7", ("198.51.100.9", 4001), rtcp=True)
    assert bench.drops(a) == {"rtcp_foreign": 1}


@pytest.mark.rfc("3550", "6.6")
def test_closing_a_port_that_has_sent_says_bye(bench: Bench) -> None:
    a, b = pair(bench)
    bench.talk(a, ALICE, 3)
    bench.engine.close_port(b)
    [last] = reports(bench, b)
    assert last.packet[-8:-4] == b"\x81\xcb\x00\x01"
    assert int.from_bytes(last.packet[-4:], "big") == 2


@pytest.mark.rfc("5761", "4")
def test_with_mux_reports_leave_and_arrive_on_the_rtp_port(bench: Bench) -> None:
    a, _ = pair(bench)
    bench.engine.set_remote(a, ALICE, rtcp_mux=True)
    bench.talk(a, ALICE, 10)
    bench.engine.feed(a, b"\x80\xc9\x00\x01\0\0\0\7", ALICE)
    bench.wait(5.0)
    [report] = [one for one in bench.sent() if one.port == a]
    assert (report.to, report.packet[1]) == (ALICE, 201)
    assert bench.engine.stats(a).rtcp.packets_in == 1


def timeouts(bench: Bench) -> list[MediaTimeout]:
    return [event for event in bench.engine.drain() if isinstance(event, MediaTimeout)]


def test_media_that_stops_is_reported_once_after_thirty_seconds(bench: Bench) -> None:
    a, b = pair(bench)
    for _ in range(20):
        bench.talk(a, ALICE, 5)
        bench.engine.feed(b, rtp(1, 1), BOB)
    bench.wait(29.8)
    assert timeouts(bench) == []
    bench.wait(0.3)
    assert timeouts(bench) == [MediaTimeout(a), MediaTimeout(b)]
    bench.wait(60)
    assert timeouts(bench) == []
    bench.talk(a, ALICE)
    bench.wait(31)
    assert timeouts(bench) == [MediaTimeout(a)]


def test_a_held_port_and_one_without_a_task_do_not_time_out(bench: Bench) -> None:
    a, b = pair(bench)
    bench.open(ALICE)
    bench.engine.hold(a)
    bench.wait(100)
    assert timeouts(bench) == [MediaTimeout(b)]
    bench.engine.hold(a, False)
    bench.wait(29)
    assert timeouts(bench) == []
    bench.wait(2)
    assert timeouts(bench) == [MediaTimeout(a)]


def test_a_member_of_a_room_is_missed_too_from_when_it_came_in(bench: Bench) -> None:
    a, _ = pair(bench)
    bench.engine.disconnect(a)
    form = Format(PCMU, 0)
    bench.engine.set_audio(a, rate=8000, receive=[form], send=form)
    bench.wait(100)
    mixer = bench.engine.mixer(8000)
    mixer.add(a)
    bench.wait(29.5)
    mixer.mute(a)  # whoever changes its place is no sign of life
    bench.wait(0.3)
    assert timeouts(bench) == []
    bench.wait(0.5)
    assert timeouts(bench) == [MediaTimeout(a)]
    for _ in range(10):
        bench.wait(10)
        bench.engine.feed(a, b"\x80\xc9\x00\x01\0\0\0\7", ALICE_RTCP, rtcp=True)
    assert timeouts(bench) == []


@pytest.mark.parametrize("task", ["tap", "speech"])
def test_who_is_only_listened_to_is_missed_too(bench: Bench, task: str) -> None:
    a, form = bench.open(ALICE), Format(PCMU, 0)
    bench.engine.set_audio(a, rate=8000, receive=[form], told=[form], send=form)
    bench.wait(100)
    first = bench.engine.tap(a) if task == "tap" else bench.engine.speak(a)
    bench.wait(29)
    second = bench.engine.tap(a)  # another one is no sign of life
    bench.wait(0.5)
    assert timeouts(bench) == []
    bench.wait(0.8)
    assert timeouts(bench) == [MediaTimeout(a)]
    del first, second


def test_a_phone_that_sends_only_keep_alives_is_there(bench: Bench) -> None:
    a, _ = pair(bench)
    bench.engine.set_remote(a, ALICE, payload_types={0})
    bench.talk(a, ALICE)
    for number in range(10):
        bench.wait(10)
        bench.engine.feed(a, rtp(number + 5, 160, payload_type=20, payload=b""), ALICE)
    assert [one for one in timeouts(bench) if one.port is a] == []
    assert bench.drops(a) == {"payload_type": 10}
    for number in range(10):
        bench.wait(10)
        bench.engine.feed(a, rtp(number + 20, 160, payload_type=20, payload=b""), BOB)
    assert [one for one in timeouts(bench) if one.port is a] == [MediaTimeout(a)]


def test_reports_of_the_far_side_keep_a_silent_port_alive(bench: Bench) -> None:
    a, b = pair(bench)
    bench.engine.hold(b)
    for _ in range(10):
        bench.wait(10)
        bench.engine.feed(a, b"\x80\xc9\x00\x01\0\0\0\7", ALICE_RTCP, rtcp=True)
    assert timeouts(bench) == []


@pytest.mark.rfc(
    "8866",
    "6.7.4",
    "Note that an RTP-based system MUST still send RTCP (if RTCP is used), even if started in inactive mode.",
)
def test_reports_go_on_while_the_far_side_holds_us(bench: Bench) -> None:
    a, b = pair(bench)
    bench.talk(a, ALICE, 50)
    bench.talk(b, BOB, 50)
    bench.engine.hold(a)
    bench.sent(rtcp=True)
    for _ in range(200):
        bench.wait(0.1)
    found = [one for one in bench.sent(rtcp=True) if one.port == a]
    assert 3 <= len(found) <= 8 and {one.to for one in found} == {ALICE_RTCP}
