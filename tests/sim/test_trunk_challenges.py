"""A trunk that wants credentials for what we send within a call too: RFC 3261 §22.2, security.md H8."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_network

import pytest

from pbx.trunk_config import TrunkAddress
from sipcore.auth import DigestServer, Verified, ha1
from sipcore.entropy import SeededEntropy
from sipcore.message import Request
from tests.sim.raw_peer import SDP, RawPeer
from tests.sim.trunk_office import TrunkOffice, trunk

pytestmark = pytest.mark.usefixtures("nothing_left")

HOST, REALM, USER, PASSWORD = "10.200.0.1", "carrier.test", "office", "a long secret"
CHALLENGED = ("INVITE", "UPDATE", "BYE", "PRACK", "REFER", "INFO")
Headers = Sequence[tuple[str, str]]


class Carrier:
    """Challenges these methods by a nonce that counts its uses; `answers` goes into the 200 to INVITE."""

    def __init__(self, office: TrunkOffice, *, methods: Sequence[str] = CHALLENGED, realm: str = REALM) -> None:
        self.peer = RawPeer(office.world, HOST, self._answer, name="carrier")
        self.ended = False
        self.answers: Headers = ()
        self.statuses: list[tuple[str, int]] = []
        # The least session interval; what it asks of the next request that is good.
        self.min_se = 0
        self._methods = methods
        self._realm = realm
        self._digest = DigestServer(b"secret", SeededEntropy(7))

    def _answer(self, request: Request) -> tuple[int, Headers] | None:
        status, headers = self._judged(request)
        self.statuses.append((request.method, status))
        if request.method == "BYE" and status == 200:
            self.ended = True
        return status, headers

    def _judged(self, request: Request) -> tuple[int, Headers]:
        if request.method in self._methods:
            verdict = self._digest.verify(
                request,
                request.headers.get_all("Proxy-Authorization"),
                realm=self._realm,
                ha1=lambda user, algorithm: ha1(user, REALM, PASSWORD, algorithm) if user == USER else None,
                now=0.0,
                source="voipat",
            )
            if not isinstance(verdict, Verified):
                return 407, self._digest.challenge(self._realm, ["MD5"], 0.0, source="voipat", proxy=True)
        wanted = (request.headers.get("Session-Expires") or "1800").partition(";")[0]
        if request.method == "INVITE" and int(wanted) < self.min_se:
            return 422, (("Min-SE", str(self.min_se)),)
        return 200, self.answers if request.method == "INVITE" else ()


def office_of(seed: int, **keys: object) -> TrunkOffice:
    told = {"username": USER, "password": PASSWORD, "realm": REALM, **keys}
    return TrunkOffice([trunk("carrier", HOST, **told)], seed=seed)


@pytest.mark.rfc("3261", "22.2", "it MUST increment the CSeq header field value as it would normally")
def test_a_trunk_that_challenges_our_bye_gets_it_with_credentials_and_ends_the_call(seed: int) -> None:
    with office_of(seed) as office:
        carrier = Carrier(office)
        call = office.phone().register().dial("9123456").hangs_up(after=2.0)
        office.world.run()
        assert call.was_answered and carrier.ended
        assert carrier.statuses == [("INVITE", 407), ("INVITE", 200), ("BYE", 407), ("BYE", 200)]
        numbers = [request.cseq.number for request in carrier.peer.received if request.method != "ACK"]
        assert numbers == [1, 2, 3, 4]
        first, second = [request for request in carrier.peer.received if request.method == "BYE"]
        assert first.headers.get_all("Reason") == second.headers.get_all("Reason") != []


def test_a_hold_that_a_trunk_challenges_is_offered_again_with_credentials(seed: int) -> None:
    with office_of(seed) as office:
        carrier = Carrier(office)
        call = office.phone().register().dial("9123456").holds(after=1.0).resumes(after=2.0).hangs_up(after=3.0)
        office.world.run()
        assert call.was_answered and carrier.ended
        invites = [request for request in carrier.peer.received if request.method == "INVITE"]
        bodies = [request.body for request in invites]
        # Each twice, the same offer: without credentials and with them.
        assert len(invites) == 6 and bodies[::2] == bodies[1::2]
        assert [status for method, status in carrier.statuses if method == "INVITE"] == [407, 200] * 3


def test_a_session_refresh_that_a_trunk_challenges_keeps_the_call(seed: int) -> None:
    with office_of(seed) as office:
        carrier = Carrier(office)
        carrier.answers = (("Session-Expires", "600;refresher=uac"), ("Require", "timer"), ("Allow", "INVITE, UPDATE"))
        # Held, so that nobody misses the carrier's media.
        call = office.phone().register().dial("9123456").holds(after=0.5).hangs_up(after=1000.0)
        office.world.run(limit=4000.0)
        assert call.was_answered and carrier.ended
        refreshes = [status for method, status in carrier.statuses if method == "UPDATE"]
        assert refreshes == [407, 200] * 3


def test_a_prack_that_a_trunk_challenges_is_sent_again_with_credentials(seed: int) -> None:
    with office_of(seed) as office:
        carrier = Carrier(office)
        judge, ringing = carrier.peer.answer, []

        def answer(request: Request) -> tuple[int, Headers] | None:
            """183 reliably for an INVITE that is good, whose 200 comes after the PRACK."""
            assert judge is not None
            status, headers = judge(request) or (500, ())
            if (request.method, status) == ("INVITE", 200):
                ringing.append(request)
                status, headers = 183, (("Require", "100rel"), ("RSeq", "9"), ("Contact", f"<sip:raw@{HOST}>"))
            elif (request.method, status) == ("PRACK", 200):
                office.world.at(office.world.now + 1.0, lambda: carrier.peer.accept(ringing[0]))
            return status, headers

        carrier.peer.answer = answer
        call = office.phone().register().dial("9123456").hangs_up(after=2.0)
        office.world.run()
        assert call.was_answered and carrier.ended
        assert [status for method, status in carrier.statuses if method == "PRACK"] == [407, 200]
        pracks = [each for each in carrier.peer.received if each.method == "PRACK"]
        assert [each.headers.get("RAck") for each in pracks] == ["9 2 INVITE"] * 2


def test_an_answer_that_crosses_our_cancel_is_hung_up_with_credentials(seed: int) -> None:
    with office_of(seed) as office:
        carrier = Carrier(office)
        judge, ringing = carrier.peer.answer, []

        def answer(request: Request) -> tuple[int, Headers] | None:
            """180 for an INVITE that is good, and 200 when its CANCEL is here."""
            assert judge is not None
            status, headers = judge(request) or (500, ())
            if (request.method, status) == ("INVITE", 200):
                ringing.append(request)
                return 180, ()
            if request.method == "CANCEL":
                carrier.peer.accept(ringing[0])
            return status, headers

        carrier.peer.answer = answer
        call = office.phone().register().dial("9123456").cancels(after=1.0)
        office.world.run()
        assert not call.was_answered and carrier.ended
        assert [status for method, status in carrier.statuses if method == "BYE"] == [407, 200]


def test_a_call_from_a_trunk_is_hung_up_with_credentials_too(seed: int) -> None:
    with office_of(seed, addresses=(TrunkAddress(ip_network(HOST), None),)) as office:
        carrier = Carrier(office)
        office.phone().register().answers(after=0.5).on_call(lambda call: call.hangs_up(after=2.0))
        office.world.run(until=1.0)
        peer, uri = carrier.peer, "sip:+12025550100@127.0.0.1"
        body = SDP.format(HOST)
        head = (
            f"From: <sip:+4930123@carrier.test>;tag=c\r\nCall-ID: in@{HOST}\r\nMax-Forwards: 70\r\n"
            f"Contact: <sip:raw@{peer.address}>\r\n"
        )
        via = f"Via: SIP/2.0/UDP {peer.address};branch=z9hG4bK"
        peer.send(
            f"INVITE {uri} SIP/2.0\r\n{via}1\r\n{head}To: <{uri}>\r\nCSeq: 1 INVITE\r\n"
            f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        office.world.run(until=2.0)
        [accepted] = [each for each in peer.responses if each.status == 200][:1]
        to = accepted.headers.get("To")
        peer.send(f"ACK {uri} SIP/2.0\r\n{via}2\r\n{head}To: {to}\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n".encode())
        office.world.run()
        assert carrier.ended and carrier.statuses == [("BYE", 407), ("BYE", 200)]


def test_credentials_of_a_call_go_to_no_other_realm(seed: int) -> None:
    with office_of(seed) as office:
        carrier = Carrier(office, methods=("BYE",), realm="other.test")
        office.phone().register().dial("9123456").hangs_up(after=2.0)
        office.world.run()
        byes = [request for request in carrier.peer.received if request.method == "BYE"]
        assert byes and not any("Proxy-Authorization" in request.headers for request in byes)


def test_whom_a_trunks_contact_names_elsewhere_gets_no_credentials_within_the_call(seed: int) -> None:
    with office_of(seed) as office:
        carrier = Carrier(office, methods=())
        thief = RawPeer(
            office.world,
            "203.0.113.9",
            lambda request: (407, [("Proxy-Authenticate", f'Digest realm="{REALM}", nonce="n", qop="auth"')]),
            name="thief",
        )
        carrier.answers = (("Contact", f"<sip:raw@{thief.address}>"),)
        call = office.phone().register().dial("9123456").hangs_up(after=2.0)
        office.world.run()
        assert call.was_answered and "BYE" in [request.method for request in thief.received]
        assert not any("Proxy-Authorization" in request.headers for request in thief.received)


def test_an_invite_with_credentials_that_is_too_brief_uses_its_nonce_a_second_time(seed: int) -> None:
    with office_of(seed) as office:
        carrier = Carrier(office)
        carrier.min_se = 3600
        call = office.phone().register().dial("9123456").hangs_up(after=2.0)
        office.world.run()
        assert call.was_answered and carrier.ended
        assert [status for method, status in carrier.statuses if method == "INVITE"] == [407, 422, 200]
