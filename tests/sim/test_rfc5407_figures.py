"""The race conditions of RFC 5407, figure by figure, with the server at each of their ends that it can be at.

Towards the caller (1001) the server is the UAS, towards the callee (1002) the UAC. A figure that the server cannot
come into at one end says why in its test. Every order of such messages: `test_race_matrices.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sipcore.flow import Address
from sipcore.message import Request, Response, response_to
from sipcore.parser import parse_message
from tests.sim.office import Office
from tests.sim.raw_peer import SDP
from voipat.testing import Phone, PhoneCall

pytestmark = pytest.mark.usefixtures("nothing_left")


@contextmanager
def talking(seed: int, *, late_offer: bool = False) -> Iterator[tuple[Office, PhoneCall, Phone]]:
    """A call that is answered, and what is left of it afterwards: nothing."""
    with Office(seed=seed) as office:
        alice, bob = office.phones(2)
        bob.answers(after=1.0)
        call = alice.dial("1002", late_offer=late_offer)
        yield office, call, bob
        office.world.run()
        assert call.is_over and all(each.is_over for each in bob.received)
        assert office.world.leaks() == []


def at(office: Office, seconds: float, action: object) -> None:
    office.world.at(office.world.now + seconds, action)  # type: ignore[arg-type]  # callables only


def ladder(office: Office) -> list[str]:
    network = office.world.network
    return [f"{network.name_of(r.source)} → {network.name_of(r.destination)}  {r.kind}" for r in network.ladder]


def count(office: Office, line: str) -> int:
    return ladder(office).count(line)


# 3.1 Receiving a message in the Moratorium state


@pytest.mark.rfc("5407", "3.1.1")
def test_figure_3_1_1_as_uas_a_repeated_invite_after_the_200_makes_no_second_call(seed: int) -> None:
    with Office(seed=seed) as office:
        alice, bob = office.phones(2)
        bob.answers(after=0.0)
        for kind in ("100 INVITE", "180 INVITE", "200 INVITE"):
            office.world.network.lose(kind, source="voipat", destination="1001")
        call = alice.dial("1002").hangs_up(after=2.0)
        office.world.run()
        assert count(office, "1001 → voipat  INVITE") > 1
        assert call.was_answered and len(bob.received) == 1
        assert office.outcome() == ("answered", 200, "VP-4001", "caller")
        assert office.world.leaks() == []


@pytest.mark.rfc("5407", "3.1.1")
def test_figure_3_1_1_as_uac_a_callee_whose_answers_are_lost_gets_one_call(seed: int) -> None:
    with Office(seed=seed) as office:
        alice, bob = office.phones(2)
        bob.answers(after=0.0)
        for kind in ("180 INVITE", "200 INVITE"):
            office.world.network.lose(kind, source="1002")
        call = alice.dial("1002").hangs_up(after=2.0)
        office.world.run()
        assert count(office, "voipat → 1002  INVITE") > 1
        assert call.was_answered and len(bob.received) == 1
        assert office.outcome() == ("answered", 200, "VP-4001", "caller")
        assert office.world.leaks() == []


@pytest.mark.rfc("5407", "3.1.2")
def test_figure_3_1_2_as_uas_a_cancel_crosses_our_200(seed: int) -> None:
    """200 to the CANCEL, and it has no effect: the caller acknowledges our 200 and hangs up."""
    with Office(seed=seed) as office:
        alice, bob = office.phones(2)
        bob.answers(after=2.0)
        office.world.network.delay("200 INVITE", 0.5, source="voipat", destination="1001")
        call = alice.dial("1002").cancels(after=2.3)
        office.world.run()
        assert count(office, "voipat → 1001  200 CANCEL") == 1
        assert count(office, "1001 → voipat  ACK") >= 1 and count(office, "1001 → voipat  BYE") == 1
        assert call.is_over and bob.received[0].is_over
        assert office.outcome()[0] == "answered"
        assert office.world.leaks() == []


@pytest.mark.rfc("5407", "3.1.2")
def test_figure_3_1_2_as_uac_our_cancel_crosses_the_callees_200(seed: int) -> None:
    """The callee's 200 comes after our CANCEL: we acknowledge it and send BYE."""
    with Office(seed=seed) as office:
        alice, bob = office.phones(2)
        bob.answers(after=2.0)
        office.world.network.delay("200 INVITE", 0.5, source="1002")
        call = alice.dial("1002").cancels(after=2.1)
        office.world.run()
        sent = ladder(office)
        assert sent.index("voipat → 1002  CANCEL") < sent.index("voipat → 1002  ACK") < sent.index("voipat → 1002  BYE")
        assert (call.status, bob.received[0].ended_by) == (487, "peer")
        assert office.outcome()[0] == "cancelled"
        assert office.world.leaks() == []


@pytest.mark.rfc("5407", "3.1.3")
def test_figure_3_1_3_as_uas_a_bye_of_the_early_dialog_crosses_our_200(seed: int) -> None:
    """It is answered 200 and ends the call; we never send such a BYE, but CANCEL."""
    with Office(seed=seed) as office:
        alice, bob = office.phones(2)
        bob.answers(after=1.0)
        office.world.network.delay("200 INVITE", 0.3, source="voipat", destination="1001")
        call = alice.dial("1002")
        at(office, 1.1, lambda: early_bye(call))
        office.world.run()
        assert count(office, "voipat → 1001  200 BYE") == 1
        assert bob.received[0].ended_by == "peer" and call.is_over
        assert office.outcome()[0] == "answered"
        assert office.world.leaks() == []


@pytest.mark.rfc("5407", "A")
def test_appendix_a_as_uas_a_bye_ends_a_call_that_rings(seed: int) -> None:
    """200 to the BYE, 487 to the INVITE, and the callee stops ringing."""
    with Office(seed=seed) as office:
        alice, bob = office.phones(2)
        bob.rings()
        call = alice.dial("1002")
        at(office, 1.0, lambda: early_bye(call))
        office.world.run(until=office.world.now + 3.0)
        assert count(office, "voipat → 1001  200 BYE") == 1
        assert call.status == 487 and bob.received[0].is_over
        assert office.outcome() == ("cancelled", 487, "VP-4003", "caller")
        office.world.run()
        assert office.world.leaks() == []


def early_bye(call: PhoneCall) -> None:
    """BYE in the dialog that the 180 has made (RFC 3261 §15.1.1)."""
    endpoint = call.phone.endpoint
    tag = call.responses[-1].to.tag
    assert call.request is not None and tag is not None
    dialog = endpoint.dialog_named(call.request.call_id, call.request.from_.tag or "", tag)
    assert dialog is not None
    call._cancelled = True
    call.phone._execute(lambda now: endpoint.bye(dialog, now))


@pytest.mark.rfc("5407", "3.1.4")
def test_figure_3_1_4_as_uas_a_reinvite_comes_before_the_ack(seed: int) -> None:
    """Offer and answer are exchanged already, so that the re-INVITE is taken."""
    with talking(seed) as (office, call, bob):
        office.world.network.delay("ACK", 0.3, source="1001")
        call.holds(after=0.0).hangs_up(after=2.0)
        office.world.run(until=3.0)
        assert call.change_statuses == [200] and bob.received[0].held_by_peer


@pytest.mark.rfc("5407", "3.1.4")
def test_figure_3_1_4_as_uac_our_reinvite_comes_before_our_ack(seed: int) -> None:
    with talking(seed) as (office, call, bob):
        lost = office.world.network.lose("ACK", source="voipat", destination="1002")
        call.holds(after=0.0).hangs_up(after=2.0)
        office.world.run(until=4.0)
        assert lost.hits == 1 and call.change_statuses == [200] and bob.received[0].held_by_peer


@pytest.mark.rfc("5407", "3.1.5")
def test_figure_3_1_5_as_uas_a_reinvite_comes_before_the_ack_with_its_answer(seed: int) -> None:
    """Our offer in the 200 waits for its answer: 491, and the caller tries again. Our own INVITEs always offer."""
    with talking(seed, late_offer=True) as (office, call, bob):
        office.world.network.delay("ACK", 0.3, source="1001")
        at(office, 1.1, call.hold)
        call.hangs_up(after=8.0)
        office.world.run(until=8.0)
        assert call.change_statuses == [491, 200] and bob.received[0].held_by_peer


@pytest.mark.rfc("5407", "3.1.6")
def test_figure_3_1_6_as_uas_a_bye_comes_and_the_ack_never(seed: int) -> None:
    """200 to the BYE, and our 200 is repeated no more."""
    with talking(seed) as (office, call, bob):
        office.world.network.lose("ACK", source="1001", count=100)
        call.hangs_up(after=0.2)
        office.world.run(until=10.0)
        assert count(office, "voipat → 1001  200 BYE") == 1
        assert count(office, "voipat → 1001  200 INVITE") == 1
        assert bob.received[0].ended_by == "peer"
        assert office.outcome() == ("answered", 200, "VP-4001", "caller")


@pytest.mark.rfc("5407", "3.1.6")
def test_figure_3_1_6_as_uac_our_bye_comes_and_our_ack_never(seed: int) -> None:
    with talking(seed) as (office, call, bob):
        office.world.network.lose("ACK", source="voipat", destination="1002", count=100)
        call.hangs_up(after=0.2)
        office.world.run(until=10.0)
        assert count(office, "1002 → voipat  200 BYE") == 1
        assert bob.received[0].ended_by == "peer"


# 3.2 Receiving a message in the Mortal state


@pytest.mark.rfc("5407", "3.2.1")
@pytest.mark.parametrize("side", ["1001", "1002"])
def test_figure_3_2_1_bye_crosses_bye(side: str, seed: int) -> None:
    """As UAS and as UAC: both are answered 200, and the call ends once."""
    with talking(seed) as (office, call, bob):
        office.world.run(until=office.world.now + 2.0)
        first, second = (call, bob.received[0]) if side == "1002" else (bob.received[0], call)
        first.hang_up()
        at(office, 0.015, second.hang_up)
        office.world.run()
        assert count(office, f"voipat → {side}  BYE") == count(office, f"{side} → voipat  BYE") == 1
        assert count(office, f"voipat → {side}  200 BYE") == count(office, f"{side} → voipat  200 BYE") == 1
        assert len(office.cdrs) == 1 and office.outcome()[:3] == ("answered", 200, "VP-4001")


@pytest.mark.rfc("5407", "3.2.2")
@pytest.mark.parametrize("side", ["1001", "1002"])
def test_figure_3_2_2_a_reinvite_comes_after_our_bye(side: str, seed: int) -> None:
    """As UAS and as UAC: 481 to the re-INVITE."""
    with talking(seed) as (office, call, bob):
        office.world.run(until=office.world.now + 2.0)
        leaves, changes = (call, bob.received[0]) if side == "1002" else (bob.received[0], call)
        leaves.hang_up()
        at(office, 0.015, changes.hold)
        office.world.run()
        assert changes.change_statuses == [481]
        assert count(office, f"{side} → voipat  200 BYE") == 1
        assert office.outcome()[:3] == ("answered", 200, "VP-4001")


@pytest.mark.rfc("5407", "3.2.2")
@pytest.mark.parametrize("side", ["1001", "1002"])
def test_figure_3_2_2_our_reinvite_comes_after_their_bye(side: str, seed: int) -> None:
    """The peer answers it 481, which we acknowledge."""
    with talking(seed) as (office, call, bob):
        office.world.run(until=office.world.now + 2.0)
        leaves, changes = (call, bob.received[0]) if side == "1001" else (bob.received[0], call)
        changes.hold()
        at(office, 0.015, leaves.hang_up)
        office.world.run()
        sent = ladder(office)
        refused = next(index for index, line in enumerate(sent) if line.startswith(f"{side} → voipat  481"))
        assert f"voipat → {side}  ACK" in sent[refused:]
        assert set(changes.change_statuses) <= {487, 488}
        assert office.outcome()[0] == "answered"


@pytest.mark.rfc("5407", "3.2.3")
@pytest.mark.parametrize("side", ["1001", "1002"])
def test_figure_3_2_3_a_200_to_our_reinvite_comes_after_our_bye(side: str, seed: int) -> None:
    """As UAS and as UAC of the call: it is acknowledged all the same."""
    with talking(seed) as (office, call, bob):
        office.world.run(until=office.world.now + 2.0)
        changes, other = (call, bob.received[0]) if side == "1002" else (bob.received[0], call)
        office.world.network.delay("200 INVITE", 0.3, source=side)
        before = count(office, f"voipat → {side}  ACK")
        changes.hold()
        at(office, 0.1, changes.hang_up)
        office.world.run()
        assert count(office, f"voipat → {side}  ACK") > before
        assert other.is_over and office.outcome()[:3] == ("answered", 200, "VP-4001")


@pytest.mark.rfc("5407", "3.2.4")
def test_figure_3_2_4_as_uas_our_bye_waits_for_the_ack(seed: int) -> None:
    """RFC 3261 §15 has a callee wait: the ACK is never late for us."""
    with Office(seed=seed) as office:
        alice, bob = office.phones(2)
        bob.answers(after=1.0, hangs_up_after=0.0)
        office.world.network.delay("ACK", 0.2, source="1001")
        call = alice.dial("1002")
        office.world.run()
        sent = [rung for rung in office.world.network.ladder if rung.kind in ("ACK", "BYE")]
        acked = next(r.time for r in sent if r.kind == "ACK" and r.source.host != "127.0.0.1")
        bye = next(r.time for r in sent if r.kind == "BYE" and r.destination.host == alice.address.host)
        assert bye >= acked + 0.2 and call.ended_by == "peer"
        assert office.world.leaks() == []


@pytest.mark.rfc("5407", "3.2.4")
def test_figure_3_2_4_as_uac_a_bye_crosses_our_ack(seed: int) -> None:
    """A callee that does not wait: its BYE is answered 200, and it has our ACK too."""
    with Office(seed=seed) as office:
        alice, _ = office.phones(2)
        hasty = HastyCallee(office)
        call = alice.dial("1002")
        office.world.run()
        assert hasty.methods[:2] == ["INVITE", "ACK"] and hasty.statuses == [200]
        assert call.is_over and office.outcome()[0] == "answered"
        assert office.world.leaks() == []


class HastyCallee:
    """In the place of 1002: sends BYE with its 200."""

    def __init__(self, office: Office) -> None:
        self.methods: list[str] = []
        self.statuses: list[int] = []
        self._network = office.world.network
        phone = office.world.phones[1]
        self._address = phone.address
        self._network.unbind(phone.address)
        self._network.bind(phone.address, self._receive)

    def _receive(self, data: bytes, source: Address) -> None:
        message = parse_message(data)
        if isinstance(message, Response):
            self.statuses.append(message.status)
            return
        assert isinstance(message, Request)
        self.methods.append(message.method)
        if message.method != "INVITE":
            return
        headers = (("Contact", f"<sip:1002@{self._address}>"), ("Content-Type", "application/sdp"))
        body = SDP.format(self._address.host).encode()
        answer = response_to(message, 200, to_tag="hasty", headers=headers, body=body)
        self._network.send(self._address, source, answer.to_bytes())
        contact = message.contact
        assert contact is not None
        bye = [
            f"BYE {contact.uri} SIP/2.0",
            f"Via: SIP/2.0/UDP {self._address};branch=z9hG4bKhasty",
            f"From: {message.headers.get('To')};tag=hasty",
            f"To: {message.headers.get('From')}",
            f"Call-ID: {message.call_id}",
            "CSeq: 1 BYE",
            "Max-Forwards: 70",
            "Content-Length: 0",
        ]
        self._network.send(self._address, source, "\r\n".join(bye).encode() + b"\r\n\r\n")


# 3.3 Other race conditions


@pytest.mark.rfc("5407", "3.3.1")
def test_figure_3_3_1_reinvite_crosses_reinvite(seed: int) -> None:
    """Both are refused 491 on both legs; each side tries again after its own pause, and both hold in the end."""
    with talking(seed) as (office, call, bob):
        office.world.run(until=office.world.now + 2.0)
        taken = bob.received[0]
        call.hold()
        taken.hold("inactive")
        office.world.run(until=office.world.now + 10.0)
        assert 491 in call.change_statuses or 491 in taken.change_statuses
        assert call.change_statuses[-1] == taken.change_statuses[-1] == 200
        call.hang_up()


@pytest.mark.rfc("5407", "3.3.2")
@pytest.mark.parametrize(("caller_by", "callee_by"), [("UPDATE", "INVITE"), ("INVITE", "UPDATE")])
def test_figure_3_3_2_update_crosses_reinvite(caller_by: str, callee_by: str, seed: int) -> None:
    with talking(seed) as (office, call, bob):
        office.world.run(until=office.world.now + 2.0)
        taken = bob.received[0]
        call.hold(method=caller_by)  # type: ignore[arg-type]  # one of two
        taken.hold("inactive", method=callee_by)  # type: ignore[arg-type]  # one of two
        office.world.run(until=office.world.now + 10.0)
        assert 491 in call.change_statuses + taken.change_statuses
        assert call.change_statuses[-1] == taken.change_statuses[-1] == 200
        call.hang_up()


@pytest.mark.rfc("5407", "3.3.3")
@pytest.mark.parametrize("side", ["1001", "1002"])
def test_figure_3_3_3_a_refer_comes_after_our_bye(side: str, seed: int) -> None:
    """As UAS and as UAC: 481, and nobody is called."""
    with talking(seed) as (office, call, bob):
        carol = office.phone(1003).register()
        office.world.run(until=office.world.now + 2.0)
        leaves, refers = (call, bob.received[0]) if side == "1002" else (bob.received[0], call)
        leaves.hang_up()
        at(office, 0.015, lambda: refers.refer(refers.phone.uri_of("1003")))
        office.world.run()
        assert refers.refer_statuses == [481] and carol.received == []
        assert office.outcome()[:3] == ("answered", 200, "VP-4001")


# Appendices


@pytest.mark.rfc("5407", "B")
def test_appendix_b_a_bye_overlaps_with_a_reinvite(seed: int) -> None:
    """Both come before the other side has answered: 487 to the re-INVITE, 200 to the BYE."""
    with talking(seed) as (office, call, bob):
        office.world.run(until=office.world.now + 2.0)
        office.world.network.delay("200 INVITE", 0.3, source="1002")
        call.hold()
        at(office, 0.1, call.hang_up)
        office.world.run()
        assert call.change_statuses == [487] and bob.received[0].ended_by == "peer"
        assert count(office, "voipat → 1001  200 BYE") == 1


@pytest.mark.rfc("5407", "C")
def test_appendix_c_as_uac_nobody_answers_our_cancel(seed: int) -> None:
    """No final response for 64*T1 after the CANCEL: the call is as good as cancelled."""
    with Office(seed=seed, ring_s=60.0) as office:
        alice, bob = office.phones(2)
        bob.rings()
        call = alice.dial("1002").cancels(after=2.0)
        at(office, 1.5, bob.vanish)
        office.world.run(until=office.world.now + 5.0)
        assert call.status == 487 and office.outcome()[0] == "cancelled"
        office.world.run()
        assert office.world.leaks() == []


@pytest.mark.rfc("5407", "C")
def test_appendix_c_as_uac_no_cancel_before_a_provisional_response(seed: int) -> None:
    """The caller gives up before the callee's phone says anything: the CANCEL waits for its first response."""
    with Office(seed=seed) as office:
        alice, bob = office.phones(2)
        bob.rings()
        office.world.network.delay("180 INVITE", 0.4, source="1002")
        call = alice.dial("1002").cancels(after=0.2)
        office.world.run()
        kinds = [(rung.time, rung.kind) for rung in office.world.network.ladder if rung.destination == bob.address]
        start = next(time for time, kind in kinds if kind == "INVITE")
        assert next(time for time, kind in kinds if kind == "CANCEL") > start + 0.4
        assert call.status == 487 and bob.received[0].is_over
        assert office.world.leaks() == []


@pytest.mark.rfc("5407", "D")
@pytest.mark.parametrize("side", ["1001", "1002"])
def test_appendix_d_other_requests_after_our_bye_are_refused(side: str, seed: int) -> None:
    with talking(seed) as (office, call, bob):
        office.world.run(until=office.world.now + 2.0)
        leaves, late = (call, bob.received[0]) if side == "1002" else (bob.received[0], call)
        statuses: dict[str, int] = {}

        def ask() -> None:
            assert late.dialog is not None
            for method in ("INFO", "OPTIONS", "UPDATE", "MESSAGE"):
                late.phone.request_in(late.dialog, method, lambda status, m=method: statuses.update({m: status}))

        leaves.hang_up()
        at(office, 0.015, ask)
        office.world.run()
        assert statuses == dict.fromkeys(("INFO", "OPTIONS", "UPDATE", "MESSAGE"), 481)


@pytest.mark.rfc("5407", "E")
def test_appendix_e_as_uac_a_second_200_with_a_new_to_tag_is_acknowledged_and_hung_up(seed: int) -> None:
    """A proxy behind the callee's address forked our INVITE, and two phones took it."""
    with Office(seed=seed) as office:
        alice, _ = office.phones(2)
        proxy = ForkingCallee(office)
        call = alice.dial("1002").hangs_up(after=2.0)
        office.world.run()
        assert proxy.acked == {"first", "second"} and proxy.hung_up == ["second", "first"]
        assert office.outcome() == ("answered", 200, "VP-4001", "caller") and call.was_answered
        assert office.world.leaks() == []


class ForkingCallee:
    """In the place of 1002: 180 and 200 of two phones to one INVITE."""

    def __init__(self, office: Office) -> None:
        self.acked: set[str | None] = set()
        self.hung_up: list[str | None] = []
        self._network = office.world.network
        phone = office.world.phones[1]
        self._address = phone.address
        self._network.unbind(phone.address)
        self._network.bind(phone.address, self._receive)

    def _receive(self, data: bytes, source: Address) -> None:
        message = parse_message(data)
        if not isinstance(message, Request):
            return
        if message.method == "ACK":
            self.acked.add(message.to.tag)
        elif message.method == "BYE":
            self.hung_up.append(message.to.tag)
            self._network.send(self._address, source, response_to(message, 200).to_bytes())
        elif message.method == "INVITE":
            for status, tag in ((180, "first"), (180, "second"), (200, "first"), (200, "second")):
                headers = (("Contact", f"<sip:{tag}@{self._address}>"), ("Content-Type", "application/sdp"))
                body = SDP.format(self._address.host).encode() if status == 200 else b""
                answer = response_to(message, status, to_tag=tag, headers=headers[: 2 if body else 1], body=body)
                self._network.send(self._address, source, answer.to_bytes())
