"""A million digits over a line that loses, doubles and reorders: none twice, nearly all found."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator

import pytest
from media_bench import Bench

from media import DigitReceived, Port
from media.events import DIGITS

ALICE = ("192.0.2.1", 4000)
COUNT = 1_000_000
HEAD = struct.Struct("!BBHIIBBH")


def key(sequence: int, timestamp: int, event: int, packets: int) -> Iterator[bytes]:
    """The packets of a key of `packets` times 20 ms, the end three times; the last end counts too."""
    for index in range(packets):
        yield HEAD.pack(
            0x80,
            101 | (0x80 if not index else 0),
            sequence + index & 0xFFFF,
            timestamp,
            7,
            event,
            10,
            160 * (index + 1),
        )
    for index in range(packets, packets + 3):
        yield HEAD.pack(0x80, 101, sequence + index & 0xFFFF, timestamp, 7, event, 0x8A, 160 * packets)


def shaken(packets: list[bytes], draw: random.Random) -> list[bytes]:
    """5 % lost, 2 % doubled, 3 % a place later."""
    found: list[bytes] = []
    for packet in packets:
        chance = draw.random()
        if chance < 0.05:
            continue
        found.append(packet)
        if chance < 0.07:
            found.append(packet)
        elif chance < 0.10 and len(found) > 1:
            found[-1], found[-2] = found[-2], found[-1]
    return found


@pytest.mark.slow
@pytest.mark.rfc("4733", "2.5.1.4")
def test_a_million_digits_are_found_once_each_under_loss_doubling_and_reordering(bench: Bench) -> None:
    port, draw = listening(bench), random.Random(11)
    sequence, timestamp, now = 0, 0, 0.0
    sent, found = [], []
    feed, step, drain = bench.engine.feed, bench.engine.step, bench.engine.drain
    for index in range(COUNT):
        event, packets = draw.randrange(16), draw.randrange(3, 6)
        sent.append(DIGITS[event])
        for packet in shaken(list(key(sequence, timestamp, event, packets)), draw):
            feed(port, packet, ALICE)
        sequence += packets + 3
        timestamp = timestamp + (packets + 8) * 160 & 0xFFFFFFFF
        now += (packets + 8) * 0.02
        step(now)
        if index % 500 == 499:
            found += [one.digit for one in drain() if isinstance(one, DigitReceived)]
    step(now + 1)
    found += [one.digit for one in drain() if isinstance(one, DigitReceived)]
    missed, doubled = compared(sent, found)
    assert doubled == 0 and missed <= COUNT // 1000


def compared(sent: list[str], found: list[str]) -> tuple[int, int]:
    """Digits of `sent` that are missing in `found`, and those of `found` that were never sent; in order."""
    missed = extra = at = 0
    for digit in found:
        ahead = next((n for n in range(8) if at + n < len(sent) and sent[at + n] == digit), None)
        if ahead is None:
            extra += 1
        else:
            missed += ahead
            at += ahead + 1
    return missed + len(sent) - at, extra


def listening(bench: Bench) -> Port:
    port = bench.open(ALICE)
    bench.engine.set_remote(port, ALICE, payload_types={0, 101}, telephone_event=101)
    return port
