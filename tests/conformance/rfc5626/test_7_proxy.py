"""RFC 5626 §7: a proxy tries the flows of one phone one at a time, and only while the phone has not answered."""

from __future__ import annotations

import pytest

from sipcore.flow import Address, Flow
from sipcore.outputs import Transmit
from sipcore.proxy import FLOW_SILENCE_S, ProxyTarget, Search
from sipcore.refusals import Refusal
from sipcore.uri import Uri
from tests.endpoints import request_bytes
from tests.proxy_side import CAROL, DAVE, PROXY, ProxySide, in_dialog_bytes, request_of
from voipat.location import Binding
from voipat.proxy import _targets

pytestmark = pytest.mark.rfc(
    "5626",
    "7",
    "The proxy MUST NOT populate the target set with more than one contact with the same AOR and instance-id at a "
    "time.",
)


def flow_target(remote: Address, *others: Address) -> ProxyTarget:
    alternatives = tuple(flow_target(each) for each in others)
    return ProxyTarget(Uri.parse("sip:bob@192.168.1.9"), Flow("UDP", PROXY, remote), others=alternatives)


def called(side: ProxySide, method: str = "INVITE") -> list[Transmit]:
    """A request for a phone with two flows; what was sent."""
    event = side.invite(method=method)
    side.take(side.endpoint.relay(event.transaction, Search(((flow_target(CAROL, DAVE),),)), side.now))
    return invites(side, method)


def invites(side: ProxySide, method: str = "INVITE") -> list[Transmit]:
    """Repetitions left out."""
    found = {each.data: each for each in side.sent if each.data.startswith(method.encode())}
    return list(found.values())


@pytest.mark.parametrize("status", [408, 430])
def test_a_flow_that_failed_gives_way_to_the_next(status: int) -> None:
    side = ProxySide()
    [first] = called(side)
    side.answer(first, status)
    _, second = invites(side)
    assert second.flow.remote == DAVE and side.to_alice() == []
    side.answer(second, 430)
    assert [each.status for each in side.to_alice()] == [430]


@pytest.mark.parametrize("status", [486, 480, 503, 603])
def test_what_the_phone_says_on_one_flow_holds_for_all(status: int) -> None:
    side = ProxySide()
    [first] = called(side)
    side.answer(first, status)
    assert len(invites(side)) == 1 and len(side.to_alice()) == 1


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_a_silent_flow_gives_way_within_a_second(method: str) -> None:
    side = ProxySide()
    assert len(called(side, method)) == 1
    side.advance(FLOW_SILENCE_S)
    assert [each.flow.remote for each in invites(side, method)] == [CAROL, DAVE] and FLOW_SILENCE_S < 1.0


def test_a_flow_on_which_the_phone_rings_is_kept() -> None:
    side = ProxySide()
    [first] = called(side)
    side.answer(first, 180)
    side.advance(100.0)
    assert len(invites(side)) == 1


def test_a_call_that_was_given_up_is_tried_on_no_other_flow() -> None:
    side = ProxySide()
    [first] = called(side)
    side.answer(first, 180)
    side.receive(request_bytes("CANCEL", uri="sip:bob@example.com"))
    side.answer(first, 430)
    assert len(invites(side)) == 1 and side.to_alice()[-1].status == 430


def test_a_request_for_a_flow_that_is_gone_is_answered_430() -> None:
    # §5.3.1: "If the flow in the flow token no longer exists, the proxy SHOULD send a 430 (Flow Failed) response".
    side = ProxySide(refusal_headers=lambda refusal, flow: (("Warning", refusal.name),))
    phone = Flow("TCP", PROXY, CAROL, 7)
    event = side.invite()
    search = Search(((ProxyTarget(Uri.parse("sip:bob@192.168.1.9"), phone),),))
    side.take(side.endpoint.relay(event.transaction, search, side.now))
    [sent] = [each for each in side.sent if each.data.startswith(b"INVITE")]
    routes = request_of(sent).headers.get_all("Record-Route")
    side.answer(sent, 200, *(f"Record-Route: {value}" for value in routes))
    side.receive(in_dialog_bytes("BYE", routes[::-1], uri="sip:bob@192.168.1.9"))
    assert side.sent[-1].flow == phone
    side.take(side.endpoint.flow_lost(phone, side.now))
    last = side.to_alice()[-1]
    assert (last.status, last.headers.get("Warning")) == (430, Refusal.FLOW_GONE.name)


def binding(number: int, *, instance: str = "<urn:uuid:1>", reg_id: str = "", q: float = 1.0) -> Binding:
    flow = Flow("UDP", PROXY, Address(f"10.0.0.{number}", 5060))
    contact = f"sip:bob@192.168.1.{number}"
    return Binding("t", "sip:bob@t", contact, flow, "c", 1, 4e9, q=q, instance=instance, reg_id=reg_id)


def test_the_flows_of_one_phone_are_one_target_whatever_their_q_and_other_phones_stay() -> None:
    one, two, three = binding(1, reg_id="1"), binding(2, reg_id="2", q=0.5), binding(3, instance="<urn:uuid:2>")
    first, second = _targets([[one, three], [two]])
    assert [each.uri.host for each in first] == ["192.168.1.1", "192.168.1.3"] and second == ()
    assert [each.uri.host for each in first[0].others] == ["192.168.1.2"] and first[1].others == ()


def test_contacts_without_reg_id_are_targets_of_their_own() -> None:
    [group] = _targets([[binding(1), binding(2, instance=""), "sip:x@h"]])
    assert [each.uri.host for each in group] == ["192.168.1.1", "192.168.1.2", "h"]
