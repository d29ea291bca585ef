"""Mutated messages in a byte stream: `python -m fuzz.stream --count N --seed S`.

A peer writes some messages, half of them mutants, with keep-alives between; the bytes arrive in segments of any size.
Laws: `feed` gives messages or ParseError; where the stream was cut changes nothing; what was written before the first
mutant comes out byte for byte; no more is held than a message may have, and what arrived with it.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from typing import Final

from fuzz.finding import Finding, command, timed, told
from fuzz.sip_mutations import SEEDS, mutated
from sipcore.errors import ParseError
from sipcore.limits import DEFAULT_LIMITS
from sipcore.parser import parse_message
from sipcore.stream_parser import KeepAlive, StreamParser

# For some ten messages in segments of a few bytes: a quadratic framer needs far more.
SLOWEST_S: Final = 0.25
LONGEST_SEGMENT: Final = 1500
BETWEEN: Final = (b"", b"", b"", b"\r\n", b"\r\n\r\n", b"\r\n\r\n\r\n")
WHOLE: Final = tuple(message for message in SEEDS if b"Content-Length: " in message)

Framed = list[bytes | KeepAlive]


def conversation(generator: random.Random) -> tuple[bytes, list[bytes], int]:
    """(the stream, the messages before the first mutant, the number of mutants)."""
    stream, before, mutants = b"", [], 0
    for _ in range(generator.randint(2, 8)):
        message = generator.choice(WHOLE)
        if generator.random() < 0.5:
            message = mutated(generator, message)
            mutants += 1
        elif not mutants:
            before.append(message)
        stream += generator.choice(BETWEEN) + message
    return stream, before, mutants


def segments(generator: random.Random, stream: bytes) -> list[bytes]:
    """The stream as it may arrive: in crumbs, or in pieces up to what a packet holds."""
    longest = generator.choice((7, 60, LONGEST_SEGMENT, LONGEST_SEGMENT))
    pieces, at = [], 0
    while at < len(stream):
        size = 1 + int(generator.random() * longest)
        pieces.append(stream[at : at + size])
        at += size
    return pieces


def framed(pieces: list[bytes]) -> tuple[Framed, str | None]:
    """(what came out, the error at the end)."""
    parser, out = StreamParser(), list[bytes | KeepAlive]()
    for piece in pieces:
        try:
            out += parser.feed(piece)
        except ParseError as error:
            return out, f"{error.status_hint} {error}"
        assert parser.pending <= DEFAULT_LIMITS.max_message + len(piece), "more is held than a message may have"
    return out, None if parser.error is None else f"{parser.error.status_hint} {parser.error}"


def outcome(generator: random.Random, tally: Counter[str]) -> None:
    """One stream, whole and cut; raises AssertionError for a broken law."""
    stream, before, mutants = conversation(generator)
    whole, error = framed([stream])
    with timed(tally, SLOWEST_S):
        cut, cut_error = framed(segments(generator, stream))
    assert cut == whole, "cut otherwise, other messages come out"
    assert (cut_error is None) == (error is None), f"cut otherwise: {cut_error} instead of {error}"
    messages = [item for item in whole if isinstance(item, bytes)]
    assert messages[: len(before)] == before, "a whole message did not come out as it was written"
    tally["mutants"] += mutants
    tally["streams"] += 1
    tally["streams cut off by an error"] += error is not None
    for message in messages:
        tally["messages framed"] += 1
        try:
            parse_message(message)
        except ParseError:
            continue
        tally["messages valid"] += 1


def tried(count: int, seed: int) -> Counter[str]:
    """What became of `count` mutants. Raises: Finding."""
    tally: Counter[str] = Counter()
    index = 0
    while tally["mutants"] < count:
        try:
            outcome(random.Random(f"{seed}/{index}"), tally)
        except Exception as error:
            raise Finding(f"seed {seed} stream {index}: {error!r}") from error
        index += 1
    return tally


def run(count: int, seed: int) -> int:
    """Try `count` mutants; the exit status. Raises: Finding."""
    tally = tried(count, seed)
    print(f"{count} mutants in streams, seed {seed}: {told(tally)}")
    return 1 if tally["slow"] > max(3, count // 1000) or tally["messages valid"] * 3 < tally["mutants"] else 0


if __name__ == "__main__":
    sys.exit(command("fuzz.stream", __doc__, run))
