"""One INVITE, several early dialogs: a proxy behind us forks it, and each of its phones has its own media."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sipcore.message import Request, response_to
from tests.sim.office import Office
from tests.sim.raw_peer import RawPeer
from tests.unit.voipat.test_call import Stage, stage
from voipat import Call

pytestmark = pytest.mark.usefixtures("nothing_left")

HOST = "10.0.0.77"


class Forking:
    """A proxy that rings phones: what it says is told by the test, one To tag for each phone."""

    def __init__(self, s: Stage) -> None:
        self._stage = s
        self.peer = RawPeer(s.world, HOST, self._answer, name="proxy")
        self.legs: list[Call] = []

    def _answer(self, request: Request) -> tuple[int, tuple[tuple[str, str], ...]] | None:
        return None if request.method == "INVITE" else (200, ())

    def requests(self, method: str) -> list[Request]:
        found = {each.via.branch: each for each in self.peer.received if each.method == method}
        return list(found.values())

    def says(self, status: int, tag: str, port: int | None = None, *headers: tuple[str, str]) -> None:
        """A response of the phone with this tag, with its media when `port` is given."""
        lines = [("Contact", f"<sip:{tag}@{HOST}:5060>"), *headers]
        body = b""
        if port is not None:
            sdp = f"v=0\r\no=- 1 1 IN IP4 {HOST}\r\ns=-\r\nc=IN IP4 {HOST}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n"
            lines.append(("Content-Type", "application/sdp"))
            body = sdp.encode()
        [invite] = self.requests("INVITE")
        self.peer.send(response_to(invite, status, to_tag=tag, headers=lines, body=body).to_bytes())
        self._stage.world.run(until=self._stage.world.now + 0.2)

    @property
    def heard_at(self) -> int | None:
        """The port of the proxy's side that our media goes to now."""
        media = self.legs[0].media
        return None if media is None or media.negotiated is None else media.negotiated.remote.port


@contextmanager
def ringing() -> Iterator[tuple[Stage, Forking]]:
    """A call to the proxy, which has not said anything yet."""
    proxies: list[Forking] = []

    async def handler(call: Call) -> None:
        proxies[0].legs.clear()
        task = call.switch.loop.call_soon(lambda: proxies[0].legs.extend(call.attempts))
        try:
            await call.bridge(await call.dial(f"sip:fork@{HOST}:5060", timeout=60.0))
        finally:
            task.cancel()

    with stage(handler) as s:
        proxies.append(Forking(s))
        alice = s.phone("alice")
        s.alice = alice.dial("out")  # type: ignore[attr-defined]  # for the tests here
        s.world.run(until=s.world.now + 0.5)
        yield s, proxies[0]
        s.alice.hang_up()  # type: ignore[attr-defined]
        s.world.run()


@pytest.mark.rfc(
    "3261",
    "13.2.2.4",
    "Multiple 2xx responses may arrive at the UAC for a single INVITE request due to a forking proxy. Each response "
    "is distinguished by the tag parameter in the To header field, and each represents a distinct dialog, with a "
    "distinct dialog identifier.",
)
def test_who_describes_itself_last_is_heard_and_the_2xx_decides() -> None:
    with ringing() as (s, proxy):
        proxy.says(183, "one", 5001)
        assert proxy.heard_at == 5001
        proxy.says(180, "two")
        assert proxy.heard_at == 5001, "who rings only is not heard"
        proxy.says(183, "two", 5002)
        assert proxy.heard_at == 5002
        proxy.says(200, "one", 5001)
        assert proxy.heard_at == 5001 and s.alice.was_answered  # type: ignore[attr-defined]
        [ack] = proxy.requests("ACK")
        assert ack.to.tag == "one"


@pytest.mark.parametrize(("tag", "port"), [("one", 5001), ("two", 5002)])
def test_a_2xx_without_description_means_that_of_its_own_dialog(tag: str, port: int) -> None:
    with ringing() as (s, proxy):
        proxy.says(183, "one", 5001)
        proxy.says(183, "two", 5002)
        proxy.says(200, tag)
        assert proxy.heard_at == port and s.alice.was_answered  # type: ignore[attr-defined]


def test_a_2xx_of_a_dialog_that_never_described_itself_ends_the_call() -> None:
    with ringing() as (s, proxy):
        proxy.says(183, "one", 5001)
        proxy.says(200, "two")
        s.world.run(until=s.world.now + 1.0)
        assert "VP-4008" in " ".join(each.headers.get("Reason") or "" for each in proxy.requests("BYE"))
        assert not s.alice.was_answered  # type: ignore[attr-defined]


@pytest.mark.rfc(
    "6228", "4", "A UAC might also use the 199 response to make policy decisions related to early dialogs."
)
def test_after_a_199_the_one_before_is_heard_again() -> None:
    with ringing() as (s, proxy):
        proxy.says(183, "one", 5001)
        proxy.says(183, "two", 5002)
        proxy.says(199, "two", None, ("Reason", "SIP;cause=486"))
        assert proxy.heard_at == 5001
        assert 199 not in s.alice.statuses  # type: ignore[attr-defined]
        proxy.says(183, "three", 5003)
        proxy.says(199, "one")
        assert proxy.heard_at == 5003, "who is not heard may go"
        proxy.says(200, "three")
        assert proxy.heard_at == 5003 and s.alice.was_answered  # type: ignore[attr-defined]


def test_a_199_ends_nothing_but_its_dialog() -> None:
    with ringing() as (s, proxy):
        proxy.says(180, "one")
        proxy.says(180, "two")
        proxy.says(199, "two")
        s.world.run(until=s.world.now + 45.0)
        proxy.says(200, "one", 5001)
        assert s.alice.was_answered  # type: ignore[attr-defined]


@pytest.mark.rfc(
    "6228",
    "4",
    '… if it is willing to receive 199 responses, it MUST insert a "199" option-tag in the Supported header field … '
    "of the request.",
)
def test_our_invite_says_that_it_takes_199() -> None:
    with ringing() as (_, proxy):
        [invite] = proxy.requests("INVITE")
        assert "199" in invite.headers.get_all("Supported")
        proxy.says(486, "one")


def test_many_early_dialogs_are_bounded() -> None:
    with ringing() as (s, proxy):
        for number in range(100):
            proxy.says(183, f"t{number}", 6000 + number)
        assert s.app.endpoint.dialog_count <= 66
        assert s.app.endpoint.counters["early_dialogs_dropped"] > 0
        proxy.says(200, "t99", 6099)
        assert proxy.heard_at == 6099 and s.alice.was_answered  # type: ignore[attr-defined]


def test_provisional_responses_pass_as_they_come() -> None:
    with ringing() as (s, proxy):
        for status in (182, 180, 181, 183, 180):
            proxy.says(status, "one", 5001 if status == 183 else None)
        proxy.says(200, "one", 5001)
        assert s.alice.statuses[-6:] == [182, 180, 181, 183, 180, 200]  # type: ignore[attr-defined]


# 100rel on one side only


@pytest.mark.rfc(
    "3262",
    "4",
    "Assuming the response is to be transmitted reliably, the UAC MUST create a new request with method PRACK.",
)
def test_a_reliable_callee_and_a_caller_that_takes_none() -> None:
    with ringing() as (s, proxy):
        proxy.says(183, "one", 5001, ("Require", "100rel"), ("RSeq", "77"))
        [prack] = proxy.requests("PRACK")
        assert prack.headers.get("RAck") == "77 1 INVITE" and prack.to.tag == "one"
        progress = next(each for each in s.alice.responses if each.status == 183)  # type: ignore[attr-defined]
        assert "RSeq" not in progress.headers and progress.body
        proxy.says(200, "one")
        assert proxy.heard_at == 5001 and s.alice.was_answered  # type: ignore[attr-defined]


@pytest.mark.rfc("3262", "3", "MUST send any non-100 provisional response reliably")
def test_a_caller_that_requires_reliability_and_a_callee_that_knows_none(seed: int) -> None:
    with Office(seed=seed) as office:
        alice, bob = office.phones(2)
        bob.answers(after=3.0, early_media=True)
        call = alice.dial("1002", headers=[("Require", "100rel")]).hears(bob.tone).hangs_up(after=1.0)
        office.world.run()
        progress = next(each for each in call.responses if each.status == 183)
        assert progress.headers.get("RSeq") and "100rel" in progress.headers.get_all("Require")
        assert "RSeq" not in (bob.received[0].request or progress).headers
        assert call.was_answered and not call.unmet and office.world.leaks() == []
