"""Bytecodes of each unit of signalling: what the interpreter does, the same on a busy machine as on a quiet one.

    python -m bench.micro.bytecodes            # beside those of bytecodes.json; fails when one has 5 % more
    python -m bench.micro.bytecodes --write    # these are the ones to compare with from now on

The kernels are counted in instructions (`bench.micro.instructions`). Messages are the interpreter's work, whose build
decides how many instructions one bytecode takes; a count of bytecodes depends on its version only, which the baseline
names.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any, Final

from bench.message import INVITE, SDP, forward, parse_fields
from bench.micro.counts import CannotCountError, grown, keep, kept
from bench.micro.test_endpoint import Calls
from bench.micro.test_signalling_parts import OURS, PHONE, REALM, Asked, invite_transaction, stored
from sipcore.aio.entropy import SystemEntropy
from sipcore.auth import DigestServer, answer_challenge
from sipcore.message import Request
from sipcore.offer_answer import OfferAnswer
from sipcore.parser import parse_message
from sipcore.sdp import parse_sdp

BASELINE: Final = Path(__file__).with_suffix(".json")
WARM, TIMES = 3, 3


def version() -> str:
    return f"{sys.implementation.name} {sys.version_info.major}.{sys.version_info.minor}"


def units() -> dict[str, Callable[[], object]]:
    """What is counted, by name."""
    parsed, server, times, calls = parse_message(INVITE), DigestServer(b"secret", SystemEntropy()), count(1), Calls()

    def digest() -> object:
        now = next(times) / 1e4
        challenges = server.challenge(REALM, ("MD5",), now, source=PHONE)
        asked = {"method": "REGISTER", "uri": "sip:office.test", "username": "1001", "password": "pass-1001"}
        _, given = answer_challenge(challenges, cnonce="c1", nc=1, **asked)
        return server.verify(Asked(), [given], realm=REALM, ha1=stored, now=now, source=PHONE)

    return {
        "parse": parse_fields,
        "parse, change, serialize": forward,
        "serialize": lambda: Request("INVITE", "sip:1002@office.test", parsed.headers.items(), parsed.body).to_bytes(),
        "transaction": invite_transaction,
        "offer and answer": lambda: OfferAnswer(1).make_answer(parse_sdp(SDP), OURS),
        "digest": digest,
        "call": calls.call,
    }


def counted(unit: Callable[[], object]) -> int:
    """Bytecodes of one, when it has been done before; the fewest of some, for now and then a table grows."""
    for _ in range(WARM):
        unit()
    return min(_bytecodes(unit) for _ in range(TIMES))


def _bytecodes(unit: Callable[[], object]) -> int:
    found = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal found
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        found += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        unit()
    finally:
        sys.settrace(before)
    return found


def measure() -> dict[str, int]:
    return {name: counted(unit) for name, unit in units().items()}


def baseline() -> dict[str, int]:
    """Raises: CannotCountError."""
    return kept(BASELINE, "python", version())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    counts = measure()
    if options.write:
        keep(BASELINE, "python", version(), counts)
    try:
        before = baseline()
    except CannotCountError as error:
        raise SystemExit(f"not compared: {error}") from None
    for unit, number in counts.items():
        print(f"{unit:26} {number:6} bytecodes, {before.get(unit, number):6} before")
    if more := grown(counts, before, "bytecodes"):
        raise SystemExit("more bytecodes than before: " + "; ".join(more))


if __name__ == "__main__":
    main()
