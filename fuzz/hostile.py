"""Messages of 64 kB that are made to be slow: `python -m fuzz.hostile --count N --seed S`.

The shapes below in every header that somebody reads, and `count` mixtures of them within `sipcore.limits`.
Law: no message takes more than a millisecond of CPU in the tokenizer (`parse_message`) and 20 in `Endpoint.receive`.
What is over is measured again, and the fastest counts: a pause of the machine is no finding. Nor is a slow machine:
what is over still is divided by how many times slower than usual a yardstick runs beside it.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from fuzz.finding import Finding, command, told
from fuzz.sip_mutations import NAMES, SEEDS
from sipcore.endpoint import Endpoint
from sipcore.entropy import SeededEntropy
from sipcore.errors import ParseError
from sipcore.flow import Address, Flow
from sipcore.limits import DEFAULT_LIMITS
from sipcore.outputs import Datagram
from sipcore.parser import parse_message

TOKENIZER_S: Final = 0.001
RECEIVE_S: Final = 0.02
TRIES: Final = 40
YARDSTICK: Final = range(40_000)
# The sanitizers check every access of the native tokenizer, which the yardstick has none of.
SANITIZED: Final = 10.0 if "libasan" in os.environ.get("LD_PRELOAD", "") else 1.0
# CPU seconds of the yardstick's sum where the limits were set.
YARDSTICK_S: Final = 0.001
SIZE: Final = DEFAULT_LIMITS.max_message
LINE: Final = DEFAULT_LIMITS.max_header_line - 100

# What a value is made of, repeated until the line is full.
UNITS: Final = (
    b";", b";a", b";a=1", b",", b"<sip:a@h>,", b"<", b">", b'"', b"\\", b'"\\', b" ", b"\t ", b"\r\n ", b"%41", b"%",
    b"0", b"9", b"(", b")", b"@", b":", b"[", b"sip:", b"SIP/2.0/UDP h;branch=z9hG4bK1,", b"SIP/2.0/UDP [::1]:1 ;a ,",
    b'"a" <sip:a@h;x=y?b=c>;d="e",', b"\xff", b"a=\"b\",", b"<sip:h;lr>,", b"=", b"?&=", b"/", b"*,",
)  # fmt: skip
OPENINGS: Final = (b"", b"<sip:", b'"', b"<sip:a@h>", b"SIP/2.0/UDP h;branch=z9hG4bKx", b"Digest ", b"1 ")


def in_header(name: bytes, opening: bytes, unit: bytes) -> bytes:
    """A request of 64 kB, its lines of this header as long as they may be."""
    head, _, _ = SEEDS[0].partition(b"\r\nSubject")
    head = head.partition(b"\r\nContent-Type")[0]
    line = b"\r\n" + name + b": " + opening + unit * ((LINE - len(opening) - len(name)) // len(unit))
    return head + (line * (SIZE // len(line)))[: SIZE - len(head) - 4] + b"\r\n\r\n"


def mixture(generator: random.Random) -> bytes:
    """Many headers, each of another shape."""
    head = SEEDS[generator.randrange(len(SEEDS))].partition(b"\r\nContent-Length")[0]
    lines = generator.randint(1, DEFAULT_LIMITS.max_headers - 20)
    length = min(LINE, (SIZE - len(head)) // lines)
    parts = [head]
    for _ in range(lines):
        name, opening = generator.choice(NAMES).encode(), generator.choice(OPENINGS)
        unit = b"".join(generator.choices(UNITS, k=generator.choice((1, 1, 2, 3))))
        parts.append((name + b": " + opening + unit * (length // len(unit)))[: length - 2])
    return b"\r\n".join(parts)[: SIZE - 4] + b"\r\n\r\n"


def bodies(generator: random.Random) -> bytes:
    """A short header and a body of 64 kB."""
    head = SEEDS[0].partition(b"\r\nContent-Length")[0]
    unit = generator.choice(UNITS)
    return (head + b"\r\nContent-Length: 60000\r\n\r\n" + unit * 65_536)[:SIZE]


def messages(count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """(what it is, the message): every shape in every header, and `count` mixtures."""
    for name in NAMES:
        for opening in OPENINGS:
            for unit in UNITS:
                yield f"{name}: {opening!r} {unit!r} …", in_header(name.encode(), opening, unit)
    for index in range(count):
        generator = random.Random(f"{seed}/{index}")
        yield f"seed {seed} mixture {index}", bodies(generator) if index % 50 == 0 else mixture(generator)


def tokenizer_s(data: bytes, limit_s: float = TOKENIZER_S) -> float:
    """CPU seconds of `parse_message`."""

    def parse() -> None:
        try:
            parse_message(data)
        except ParseError:
            return

    return _fastest(lambda: parse, limit_s)


def receive_s(data: bytes, limit_s: float = RECEIVE_S) -> float:
    """CPU seconds of `Endpoint.receive`, of an endpoint that never saw the message before."""
    local = Address("192.0.2.1", 5060)
    flow = Flow("UDP", local, Address("192.0.2.2", 5060))

    def fresh() -> Callable[[], object]:
        endpoint = Endpoint(entropy=SeededEntropy(1))
        endpoint.listening("UDP", local)
        return lambda: endpoint.receive(Datagram(data, flow), 0.0)

    return _fastest(fresh, limit_s)


def _fastest(prepare: Callable[[], Callable[[], object]], limit_s: float) -> float:
    best = float("inf")
    for _ in range(TRIES):
        verb = prepare()
        started = time.thread_time()
        verb()
        best = min(best, time.thread_time() - started)
        if best <= limit_s:
            return best
    return best / _slowness()


def _slowness() -> float:
    """How many times slower this machine is now than where the limits were set; 1 when it is not."""
    best = float("inf")
    for _ in range(TRIES):
        started = time.thread_time()
        sum(YARDSTICK)
        best = min(best, time.thread_time() - started)
    return SANITIZED * max(1.0, best / YARDSTICK_S)


def tried(count: int, seed: int) -> tuple[Counter[str], float, float]:
    """(tally, the slowest in the tokenizer, the slowest in `receive`), in CPU seconds. Raises: Finding."""
    tally: Counter[str] = Counter()
    slowest = [0.0, 0.0]
    for what, data in messages(count, seed):
        tally["messages"] += 1
        tally["bytes"] += len(data)
        for at, (took, limit) in enumerate(((tokenizer_s(data), TOKENIZER_S), (receive_s(data), RECEIVE_S))):
            if took > limit:
                raise Finding(f"{what}: {1000 * took:.2f} ms in {('the tokenizer', 'receive')[at]}")
            slowest[at] = max(slowest[at], took)
    return tally, slowest[0], slowest[1]


def run(count: int, seed: int) -> int:
    """Measure; the exit status. Raises: Finding."""
    tally, tokenizer, receive = tried(count, seed)
    print(f"{told(tally)}: slowest {1000 * tokenizer:.2f} ms in the tokenizer, {1000 * receive:.2f} ms in receive")
    return 0


if __name__ == "__main__":
    sys.exit(command("fuzz.hostile", __doc__, run))
