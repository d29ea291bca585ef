"""The parts of signalling one by one: the machine of a transaction, offer and answer, digest."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, NamedTuple

from bench.message import SDP
from sipcore.aio.entropy import SystemEntropy
from sipcore.auth import DigestServer, Verified, answer_challenge, ha1
from sipcore.offer_answer import LocalMedia, OfferAnswer
from sipcore.sdp import RtpFormat, parse_sdp
from sipcore.timers import Timers
from sipcore.transaction import Input, Transaction
from sipcore.transaction.invite_server import INVITE_SERVER

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

TIMERS = Timers()
REALM, PHONE = "office.test", "192.0.2.7"
OURS = LocalMedia(
    "203.0.113.5",
    20000,
    (RtpFormat(0, "PCMU", 8000), RtpFormat(8, "PCMA", 8000), RtpFormat(101, "telephone-event", 8000, 1, "0-15")),
)


def invite_transaction() -> None:
    """INVITE, 180, 200, ACK."""
    transaction = Transaction(INVITE_SERVER, TIMERS, reliable=False)
    transaction.start(0.0)
    for input_ in (Input.PROVISIONAL, Input.SUCCESS, Input.ACK):
        transaction.step(input_, 0.1)


def test_an_invite_server_transaction(benchmark: BenchmarkFixture) -> None:
    benchmark(invite_transaction)


def test_parse_a_description(benchmark: BenchmarkFixture) -> None:
    assert benchmark(parse_sdp, SDP).media


def test_answer_an_offer(benchmark: BenchmarkFixture) -> None:
    benchmark(lambda: OfferAnswer(1).make_answer(parse_sdp(SDP), OURS))


def test_offer_and_read_the_answer(benchmark: BenchmarkFixture) -> None:
    theirs, _ = OfferAnswer(2).make_answer(parse_sdp(OfferAnswer(1).make_offer(OURS)), OURS)

    def exchange() -> None:
        session = OfferAnswer(1)
        session.make_offer(OURS)
        session.read_answer(parse_sdp(theirs))

    benchmark(exchange)


class Asked(NamedTuple):
    method: str = "REGISTER"
    uri_text: str = "sip:office.test"


def stored(_username: str, algorithm: str) -> str | None:
    return ha1("1001", REALM, "pass-1001", algorithm)


def test_challenge_and_verify_a_digest(benchmark: BenchmarkFixture) -> None:
    server, times = DigestServer(b"secret", SystemEntropy()), count(1)

    def verify() -> object:
        now = next(times) / 1e4
        challenges = server.challenge(REALM, ("MD5",), now, source=PHONE)
        asked = {"method": "REGISTER", "uri": "sip:office.test", "username": "1001", "password": "pass-1001"}
        _, given = answer_challenge(challenges, cnonce="c1", nc=1, **asked)
        return server.verify(Asked(), [given], realm=REALM, ha1=stored, now=now, source=PHONE)

    assert isinstance(benchmark(verify), Verified)
