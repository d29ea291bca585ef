"""Relay, echo and what leaves a port (media.engine on the manual clock)."""

from __future__ import annotations

import pytest
from media_bench import Bench, rtp

from media import Port, StaleHandleError

ALICE, BOB = ("192.0.2.1", 4000), ("192.0.2.2", 4000)
SPEECH = {0: 0, 101: 101}


def pair(bench: Bench) -> tuple[Port, Port]:
    a, b = bench.open(ALICE, ssrc=1), bench.open(BOB, ssrc=2, sequence=65534, timestamp=2**32 - 160)
    bench.engine.connect(a, b, a_to_b=SPEECH, b_to_a={0: 0, 96: 101})
    return a, b


def test_a_relayed_packet_carries_the_numbers_of_the_port_that_sends_it(bench: Bench) -> None:
    a, b = pair(bench)
    bench.talk(a, ALICE, 3)
    sent = bench.sent()
    assert [(one.port, one.to, one.ssrc) for one in sent] == [(b, BOB, 2)] * 3
    assert [one.sequence for one in sent] == [65534, 65535, 0]
    assert [one.timestamp for one in sent] == [2**32 - 160, 0, 160]
    assert [one.marker for one in sent] == [True, False, False]


def test_payload_types_are_mapped_by_direction_and_others_are_counted(bench: Bench) -> None:
    a, b = pair(bench)
    bench.talk(b, BOB, payload_type=96)
    bench.talk(b, BOB, payload_type=8)
    assert [(one.port, one.payload_type) for one in bench.sent()] == [(a, 101)]
    assert bench.drops(b) == {"unmapped": 1}


def test_loss_and_reordering_pass_through_unchanged(bench: Bench) -> None:
    a, _ = pair(bench)
    for number in (10, 11, 14, 13):
        bench.engine.feed(a, rtp(number, number * 160), ALICE)
    sequences = [one.sequence for one in bench.sent()]
    assert [(number - sequences[0]) & 0xFFFF for number in sequences] == [0, 1, 4, 3]


def test_a_new_source_gets_the_next_sequence_a_moved_timestamp_and_the_marker(bench: Bench) -> None:
    a, b = pair(bench)
    c = bench.open(("192.0.2.3", 4000))
    bench.talk(a, ALICE, 2)
    before = bench.sent()[-1]
    bench.wait(0.98)
    bench.engine.connect(c, b, a_to_b=SPEECH, b_to_a=SPEECH)
    bench.engine.feed(c, rtp(40000, 9_999_999, ssrc=99), ("192.0.2.3", 4000))
    [after] = bench.sent()
    assert (after.ssrc, after.marker) == (before.ssrc, True)
    assert (after.sequence - before.sequence) & 0xFFFF == 1
    assert (after.timestamp - before.timestamp) & 0xFFFFFFFF == 8000  # the second that passed


@pytest.mark.rfc("3550", "8.2")
def test_another_ssrc_of_the_same_source_continues_the_stream(bench: Bench) -> None:
    a, _ = pair(bench)
    bench.talk(a, ALICE, 3)
    bench.number = 30000
    bench.talk(a, ALICE, 3, ssrc=8)
    sent = bench.sent()
    assert bench.drops(a) == {"jump": 1}  # the second packet confirms the first
    assert [(one.sequence - sent[0].sequence) & 0xFFFF for one in sent] == [0, 1, 2, 3, 4]
    assert [one.marker for one in sent] == [True, False, False, True, False]


def test_one_stray_packet_with_another_ssrc_does_not_cost_the_stream(bench: Bench) -> None:
    a, _ = pair(bench)
    bench.talk(a, ALICE, 3)
    bench.engine.feed(a, rtp(999, 0, ssrc=0xBAD), ALICE)
    bench.talk(a, ALICE, 3)
    assert [one.marker for one in bench.sent()] == [True] + [False] * 5


@pytest.mark.rfc("3550", "A.1")
def test_a_restarted_sequence_is_taken_after_two_packets_in_a_row(bench: Bench) -> None:
    a, _ = pair(bench)
    bench.talk(a, ALICE, 3)
    bench.number = 20000
    bench.talk(a, ALICE, 3)
    sent = bench.sent()
    assert [(one.sequence - sent[0].sequence) & 0xFFFF for one in sent] == [0, 1, 2, 3, 4]
    assert sent[3].marker
    assert bench.engine.stats(a).lost == 0


def test_a_timestamp_that_jumps_is_smoothed_for_the_far_side(bench: Bench) -> None:
    a, _ = pair(bench)
    bench.talk(a, ALICE, 2)
    bench.engine.feed(a, rtp(2, 1_000_000_000), ALICE)
    sent = bench.sent()
    assert sent[2].marker
    assert (sent[2].timestamp - sent[1].timestamp) & 0xFFFFFFFF == 160


def test_csrcs_extension_and_padding_pass_and_are_not_counted_as_payload(bench: Bench) -> None:
    a, _ = pair(bench)
    body = bytes.fromhex("00000009bede000110aa0000") + b"speech" + b"\0\0\x03"
    packet = bytes([0x80 | 0x20 | 0x10 | 1]) + rtp(1, 160)[1:12] + body
    bench.engine.feed(a, packet, ALICE)
    [sent] = bench.sent()
    assert sent.packet[0] == packet[0]
    assert sent.packet[12:] == body
    assert bench.engine.stats(a).octets_in == 6


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\x80",
        b"\x80\x00" + bytes(9),
        b"\x40\x00" + bytes(10),
        b"\x8f\x00" + bytes(10),
        b"\x90\x00" + bytes(10),
        b"\x90\x00" + bytes(10) + b"\0\0\xff\xff",
        b"\xa0\x00" + bytes(10) + b"\xff",
        b"\xa0\x00" + bytes(10) + b"\0",
        rtp(1, 1, payload=bytes(2048)),
        b"OPTIONS sip:x SIP/2.0\r\n\r\n",
    ],
)
def test_junk_is_dropped_and_counted(bench: Bench, packet: bytes) -> None:
    a, _ = pair(bench)
    bench.engine.feed(a, packet, ALICE)
    assert (bench.sent(), bench.drops(a)) == ([], {"not_rtp": 1})


def test_echo_returns_every_packet_at_once(bench: Bench) -> None:
    a = bench.open(ALICE, ssrc=5)
    bench.engine.echo(a)
    bench.talk(a, ALICE, 2, payload_type=8)
    assert [(one.port, one.to, one.ssrc, one.payload_type) for one in bench.sent()] == [(a, ALICE, 5, 8)] * 2


def test_a_muted_port_is_heard_by_nobody_and_a_held_one_hears_nobody(bench: Bench) -> None:
    a, b = pair(bench)
    bench.engine.mute(a)
    bench.talk(a, ALICE)
    bench.engine.hold(a)
    bench.talk(b, BOB)
    assert bench.sent() == []
    assert (bench.drops(a), bench.drops(b)) == ({"muted": 1}, {"held": 1})
    bench.engine.mute(a, False)
    bench.engine.hold(a, False)
    bench.talk(a, ALICE)
    assert len(bench.sent()) == 1


def test_a_disconnected_or_closed_peer_ends_both_directions(bench: Bench) -> None:
    a, b = pair(bench)
    bench.engine.disconnect(b)
    bench.talk(a, ALICE)
    bench.engine.connect(a, b, a_to_b=SPEECH, b_to_a=SPEECH)
    bench.engine.close_port(b)
    bench.talk(a, ALICE)
    assert bench.sent() == []
    assert bench.drops(a) == {"no_route": 2}


@pytest.mark.parametrize("host", ["0.0.0.0", "255.255.255.255", "224.0.1.75", "::", "ff02::1"])
def test_nothing_is_sent_to_the_hold_address_of_rfc_2543_nor_to_a_group(bench: Bench, host: str) -> None:
    a, b = pair(bench)
    bench.engine.set_remote(b, (host, 4000))
    bench.talk(a, ALICE)
    assert bench.drops(a) == {"no_destination": 1}


@pytest.mark.rfc("3550", "A.3")
def test_lost_packets_are_counted_over_the_turn_of_the_sequence(bench: Bench) -> None:
    a, _ = pair(bench)
    for number in (65533, 65534, 2, 3):
        bench.engine.feed(a, rtp(number, number * 160), ALICE)
    stats = bench.engine.stats(a)
    assert (stats.packets_in, stats.lost) == (4, 3)
    assert stats.loss == pytest.approx(3 / 7)


@pytest.mark.rfc("3550", "A.8")
def test_jitter_follows_the_formula_of_the_rfc(bench: Bench) -> None:
    a, _ = pair(bench)
    jitter, previous = 0.0, None
    for number in range(200):
        bench.now = number * 0.02 + (0.004 if number % 3 == 0 else 0.0)
        bench.engine.step(bench.now)
        bench.engine.feed(a, rtp(number, number * 160), ALICE)
        transit = round(bench.now * 8000) - number * 160
        if previous is not None:
            jitter += (abs(transit - previous) - jitter) / 16
        previous = transit
    assert bench.engine.stats(a).jitter_ms == pytest.approx(jitter / 8, abs=0.2)


def test_a_closed_port_is_a_stale_handle(bench: Bench) -> None:
    a = bench.open()
    bench.engine.close_port(a)
    bench.open()
    for verb in (bench.engine.close_port, bench.engine.echo, bench.engine.stats, bench.engine.disconnect):
        with pytest.raises(StaleHandleError):
            verb(a)


def test_the_same_input_gives_the_same_packets(bench: Bench) -> None:
    traces = []
    for _ in range(2):
        bench.number = 0
        a, b = pair(bench)
        bench.talk(a, ALICE, 5)
        traces.append([one.packet for one in bench.sent()])
        bench.engine.close_port(a)
        bench.engine.close_port(b)
        bench.sent()
    assert traces[0] == traces[1]


def test_two_echoing_ports_that_face_each_other_are_bounded(bench: Bench) -> None:
    a = bench.open(("127.0.0.1", 20002), ssrc=1)
    b = bench.open(("127.0.0.1", 20000), ssrc=2, sequence=2)
    bench.engine.echo(a)
    bench.engine.echo(b)
    bench.engine.feed(a, rtp(1, 160, ssrc=2), (b.address, b.rtp_port))
    turns = 0
    while sent := bench.sent():
        turns += 1
        one = sent[0]
        bench.engine.feed(b if one.port is a else a, one.packet, (one.port.address, one.port.rtp_port))
    assert turns == 400
    assert bench.drops(a) == {"flood": 1}
