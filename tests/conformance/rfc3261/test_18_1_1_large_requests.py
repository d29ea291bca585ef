"""RFC 3261 §18.1.1: a request too large for UDP goes by TCP, and by UDP when that connection is refused."""

from __future__ import annotations

from typing import Any

import pytest

from sipcore.events import Failure, RequestFailed, ResponseReceived
from sipcore.flow import Address, Flow
from sipcore.locate import Target
from sipcore.message import Request, response_to
from sipcore.outputs import Resolve
from sipcore.parser import parse_message
from tests.endpoints import ALICE, BOB, Side

pytestmark = pytest.mark.rfc(
    "3261",
    "18.1.1",
    "If a request is within 200 bytes of the path MTU, or if it is larger than 1300 bytes and the path MTU is "
    "unknown, the request MUST be sent using an RFC 2914 congestion controlled transport protocol, such as TCP.",
)

LARGE = b"v=0\r\n" + b"a=x-padding:0123456789\r\n" * 60


def side(*, tcp: bool = True, **options: Any) -> Side:
    made = Side(**options)
    if tcp:
        made.endpoint.listening("TCP", BOB)
    return made


def invite(made: Side, **options: Any) -> Request:
    options = {"flow": None, "uri": f"sip:peer@{ALICE}", "body": LARGE, **options}
    made.send("INVITE", **options)
    request = made.last()
    assert isinstance(request, Request)
    return request


def refuse(made: Side) -> None:
    made.take(made.endpoint.flow_lost(made.sent[-1].flow, made.now))


def test_a_request_over_1300_bytes_goes_by_tcp_to_the_same_address_and_port() -> None:
    """ "If a request [...] is larger than 1300 bytes and the path MTU is unknown, the request MUST be sent using an
    RFC 2914 congestion controlled transport protocol, such as TCP."
    """
    made = side()
    request = invite(made)
    assert made.sent[-1].flow == Flow("TCP", BOB, ALICE)
    assert len(made.sent) == 1
    # "If this causes a change in the transport protocol from the one indicated in the top Via, the value in the top
    # Via MUST be changed."
    assert request.via.transport == "TCP"
    assert request.contact is not None and request.contact.uri.params["transport"] == "tcp"
    assert len(request.headers.get_all("Via")) == len(request.headers.get_all("Contact")) == 1


def test_1300_bytes_are_not_too_many() -> None:
    made = side()
    size = len(made_bytes(made, 0))
    assert made.sent[-1].flow.transport == "UDP"
    made_bytes(made, 1300 - size - 2)  # Content-Length grows by up to two digits
    assert len(made.sent[-1].data) <= 1300 and made.sent[-1].flow.transport == "UDP"
    made_bytes(made, 1301 - size)
    assert made.sent[-1].flow.transport == "TCP"


def made_bytes(made: Side, padding: int) -> bytes:
    invite(made, body=b"x" * (padding + 10))
    return made.sent[-1].data


def test_a_refused_connection_sends_it_by_udp_once() -> None:
    """ "if the attempt to establish the connection generates either an ICMP Protocol Not Supported, or results in a
    TCP reset, the element SHOULD retry the request, using UDP"
    """
    made = side()
    invite(made)
    refuse(made)
    request = made.last()
    assert isinstance(request, Request)
    assert made.sent[-1].flow == Flow("UDP", BOB, ALICE) and len(made.sent) == 2
    assert request.via.transport == "UDP" and request.via.branch != parse(made, 0).via.branch
    assert request.contact is not None and "transport" not in request.contact.uri.params
    assert not [event for event in made.events if isinstance(event, RequestFailed)]
    # The transaction user never learns: the answer to the second is the answer to its request.
    made.receive(response_to(request, 486, to_tag="b").to_bytes())
    assert made.event(ResponseReceived).response.status == 486
    made.take(made.endpoint.undelivered(made.sent[1].flow, made.sent[1].data, made.now))
    assert not [event for event in made.events if isinstance(event, RequestFailed)]


def parse(made: Side, index: int) -> Request:
    message = parse_message(made.sent[index].data)
    assert isinstance(message, Request)
    return message


def test_udp_fails_too_and_then_the_request_has_failed() -> None:
    made = side()
    invite(made)
    refuse(made)
    made.take(made.endpoint.flow_lost(made.sent[-1].flow, made.now))
    assert made.event(RequestFailed).failure is Failure.TRANSPORT
    assert len(made.sent) == 2


def test_a_peer_that_refused_is_not_asked_again_for_ten_minutes() -> None:
    made = side()
    invite(made)
    refuse(made)
    invite(made)
    assert [each.flow.transport for each in made.sent] == ["TCP", "UDP", "UDP"]
    made.advance(601.0)
    invite(made)
    assert made.sent[-1].flow.transport == "TCP"


@pytest.mark.parametrize("status", [503, 486])
def test_an_answer_by_tcp_is_the_answer(status: int) -> None:
    made = side()
    request = invite(made)
    made.receive(response_to(request, status, to_tag="b").to_bytes(), Flow("TCP", BOB, ALICE, 7))
    assert made.event(ResponseReceived).response.status == status
    assert [each.flow.transport for each in made.sent] == ["TCP", "TCP"]  # the INVITE and its ACK


def test_silence_on_the_connection_is_a_timeout_and_no_second_try() -> None:
    made = side()
    invite(made)
    made.advance(40.0)
    assert made.event(RequestFailed).failure is Failure.TIMEOUT
    assert [each.flow.transport for each in made.sent] == ["TCP"]


def test_a_given_flow_is_kept() -> None:
    """A phone that registered by UDP may have no TCP at all."""
    made = side()
    invite(made, flow=Flow("UDP", BOB, ALICE))
    assert made.sent[-1].flow.transport == "UDP"


def test_without_tcp_of_our_own_it_stays() -> None:
    made = side(tcp=False)
    invite(made)
    assert made.sent[-1].flow.transport == "UDP"


def test_the_rule_can_be_switched_off() -> None:
    made = side(large_by_tcp=False)
    invite(made)
    assert made.sent[-1].flow.transport == "UDP"


def test_a_large_register_stays_on_the_flow_that_it_is_to_bind() -> None:
    made = side()
    made.send("REGISTER", flow=None, uri=f"sip:{ALICE}", body=LARGE)
    assert made.sent[-1].flow.transport == "UDP"


def test_targets_of_dns_are_tried_by_tcp_then_by_udp_then_the_next_one() -> None:
    made = side()
    made.send("INVITE", flow=None, uri="sip:peer@x.test", body=LARGE)
    query = next(each for each in made.others if isinstance(each, Resolve))
    second = Address("10.0.0.3", 5060)
    made.take(made.endpoint.resolved(query.query, [Target("UDP", ALICE), Target("UDP", second)], made.now))
    for _ in range(3):
        refuse(made)
    found = [f"{each.flow.transport} {each.flow.remote.host}" for each in made.sent]
    assert found == [f"TCP {ALICE.host}", f"UDP {ALICE.host}", f"TCP {second.host}", f"UDP {second.host}"]
