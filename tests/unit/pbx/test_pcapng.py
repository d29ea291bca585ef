"""pcapng files: blocks, headers and checksums, read back by a reader of the test's own."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import NamedTuple

from pbx.pcapng import MAX_PAYLOAD, PcapngWriter, datagram

ALICE, BOB = ("192.0.2.1", 5062), ("192.0.2.2", 5060)
ALICE6, BOB6 = ("2001:db8::1", 5062), ("2001:db8::2", 5060)


class Packet(NamedTuple):
    micros: int
    data: bytes
    whole: int
    comments: list[str]


def blocks(data: bytes) -> Iterator[tuple[int, bytes]]:
    while data:
        kind, length = struct.unpack_from("<II", data)
        assert length % 4 == 0 and struct.unpack_from("<I", data, length - 4) == (length,)
        yield kind, data[8 : length - 4]
        data = data[length:]


def options(data: bytes) -> Iterator[tuple[int, bytes]]:
    while data:
        code, length = struct.unpack_from("<HH", data)
        if code == 0:
            return
        yield code, data[4 : 4 + length]
        data = data[4 + length + -length % 4 :]


def packets(data: bytes) -> list[Packet]:
    found = []
    for kind, body in blocks(data):
        if kind != 6:
            continue
        interface, high, low, kept, whole = struct.unpack_from("<IIIII", body)
        assert interface == 0
        rest = body[20 + kept + -kept % 4 :]
        comments = [value.decode() for code, value in options(rest) if code == 1]
        found.append(Packet(high << 32 | low, body[20 : 20 + kept], whole, comments))
    return found


def ones_sum(data: bytes) -> int:
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def test_a_section_has_its_header_and_one_raw_ip_interface() -> None:
    stream = io.BytesIO()
    PcapngWriter(stream).close()
    (section, head), (interface, body) = blocks(stream.getvalue())
    assert section == 0x0A0D0D0A and struct.unpack_from("<IHHq", head) == (0x1A2B3C4D, 1, 0, -1)
    assert interface == 1 and struct.unpack_from("<HHI", body) == (101, 0, 0)


def test_packets_have_times_and_the_comments_that_came_before_them() -> None:
    stream = io.BytesIO()
    writer = PcapngWriter(stream)
    writer.packet(1_767_225_600.25, ALICE, BOB, b"one")
    writer.comment("routed to 1002")
    writer.comment("admitted")
    writer.packet(1_767_225_601.0, BOB, ALICE, b"three")
    writer.comment("ended")
    writer.close()
    first, second = packets(stream.getvalue())
    assert (first.micros, first.comments) == (1_767_225_600_250_000, [])
    assert second.comments == ["routed to 1002", "admitted", "ended"]
    assert second.data.endswith(b"three") and second.whole == len(second.data) == 28 + 5


def test_ipv4_headers_and_checksums_are_right() -> None:
    for payload in (b"", b"odd", b"even"):
        packet = datagram(ALICE, BOB, payload)
        assert struct.unpack_from("!BBH", packet) == (0x45, 0, 28 + len(payload)) and packet[9] == 17
        assert packet[12:20] == bytes([192, 0, 2, 1, 192, 0, 2, 2])
        assert struct.unpack_from("!HHH", packet, 20) == (5062, 5060, 8 + len(payload))
        assert ones_sum(packet[:20]) == 0xFFFF
        assert ones_sum(packet[12:20] + struct.pack("!II", 8 + len(payload), 17) + packet[20:]) == 0xFFFF


def test_ipv6_headers_and_checksums_are_right() -> None:
    packet = datagram(ALICE6, BOB6, b"odd")
    assert packet[0] >> 4 == 6 and struct.unpack_from("!HBB", packet, 4) == (11, 17, 64)
    assert ones_sum(packet[8:40] + struct.pack("!II", 11, 17) + packet[40:]) == 0xFFFF
    assert packet[40:48] != datagram(ALICE6, BOB6, b"oee")[40:48]


def test_a_message_too_long_for_a_datagram_is_cut_and_its_length_told() -> None:
    stream = io.BytesIO()
    writer = PcapngWriter(stream)
    writer.packet(0.0, ALICE, BOB, b"." * (MAX_PAYLOAD + 10))
    writer.close()
    (packet,) = packets(stream.getvalue())
    assert (len(packet.data), packet.whole) == (65535, 65545)
