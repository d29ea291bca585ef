"""Time of the text layer on an INVITE of 1.2 kB with SDP; `pytest bench/micro/test_message.py`.

Wall time, for comparing two versions on one machine. The figures of the README are CPU time, from `bench.message`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.message import INVITE, forward, parse_fields
from sipcore.fields import Credentials, NameAddr, Via
from sipcore.message import Request, response_to
from sipcore.parser import parse_message
from sipcore.stream_parser import StreamParser
from sipcore.uri import Uri

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

PARSED = parse_message(INVITE)
LINES = PARSED.headers.items()


def test_parse(benchmark: BenchmarkFixture) -> None:
    assert benchmark(parse_message, INVITE).to_bytes() == INVITE


def test_parse_and_read_the_fields_of_a_b2bua(benchmark: BenchmarkFixture) -> None:
    benchmark(parse_fields)


def test_parse_read_change_and_serialize(benchmark: BenchmarkFixture) -> None:
    benchmark(forward)


def test_serialize_what_came(benchmark: BenchmarkFixture) -> None:
    assert benchmark(PARSED.to_bytes) == INVITE


def test_make_and_serialize_a_request(benchmark: BenchmarkFixture) -> None:
    data = benchmark(lambda: Request("INVITE", "sip:1002@office.test", LINES, PARSED.body).to_bytes())
    assert len(data) > 1000


def test_make_and_serialize_a_response(benchmark: BenchmarkFixture) -> None:
    assert isinstance(PARSED, Request)
    benchmark(lambda: response_to(PARSED, 180, to_tag="a", headers=[("Contact", "<sip:a@h>")]).to_bytes())


def test_frame_a_stream(benchmark: BenchmarkFixture) -> None:
    assert benchmark(lambda: StreamParser().feed(INVITE)) == [INVITE]


def test_uri(benchmark: BenchmarkFixture) -> None:
    benchmark(Uri.parse, "sip:1002@office.test;transport=udp")


def test_name_addr(benchmark: BenchmarkFixture) -> None:
    benchmark(NameAddr.parse, '"Alice Example" <sip:1001@office.test>;tag=1928301774')


def test_via(benchmark: BenchmarkFixture) -> None:
    benchmark(Via.parse, "SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK776asdhds-2f1b;rport")


def test_credentials(benchmark: BenchmarkFixture) -> None:
    value = PARSED.headers.get("Authorization")
    assert value is not None
    benchmark(Credentials.parse, value)


def test_a_hostile_message_of_64_kb(benchmark: BenchmarkFixture) -> None:
    """200 header lines of 300 bytes of separators; the target is a millisecond."""
    hostile = INVITE.partition(b"\r\n\r\n")[0] + b"\r\nAllow: " + b',;"<' * 75
    hostile += b"".join(b"\r\nX-%d: " % number + b"(;,<" * 80 for number in range(180)) + b"\r\n\r\n"
    benchmark(
        parse_message, hostile[:60_000].rpartition(b"\r\n")[0].replace(b"Content-Length: 368\r\n", b"") + b"\r\n\r\n"
    )
