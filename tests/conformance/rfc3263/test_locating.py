"""RFC 3263 §4 without I/O: 25 zones, what a client must make of each, and what it does when a target fails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest

from sipcore.dead_targets import DEAD_S, MAX_DEAD, DeadTargets
from sipcore.entropy import SeededEntropy
from sipcore.events import Failure, RequestFailed, ResponseReceived
from sipcore.flow import Address
from sipcore.locate import Srv, Target, by_weight, locate
from sipcore.outputs import Resolve
from tests.conformance.rfc3263.layouts import A1, A2, EACH_LAYOUT, ONE, UDP, Zone
from tests.endpoints import Side


def found(zone: Zone, port: int | None = None, transport: str | None = None, *, ours: str = "UDP TCP TLS") -> list[str]:
    steps = locate("X.test.", port, transport, entropy=SeededEntropy(1), ours=ours.split(), kinds=["A", "AAAA"])
    try:
        lookup = next(steps)
        while True:
            lookup = steps.send(zone.get(lookup, ()))
    except StopIteration as done:
        return [f"{target.transport} {target.address}" for target in done.value]


@pytest.mark.rfc(
    "3263",
    "4.1",
    "First, a client resolving a SIPS URI MUST discard any services that do not contain 'SIPS' as the protocol in "
    "the service field.",
)
@pytest.mark.rfc("3263", "4.2")
@EACH_LAYOUT
def test_a_zone_leads_to_its_targets_in_order(zone: Zone, options: dict[str, object], expected: list[str]) -> None:
    assert found(zone, **options) == expected  # type: ignore[arg-type]


def test_a_zone_of_a_thousand_records_costs_a_bounded_number_of_targets() -> None:
    zone: Zone = {UDP: [Srv(1, 1, port, "a.x.test") for port in range(1, 1000)], **ONE}
    assert len(found(zone)) == 16


@pytest.mark.rfc("2782", "usage-rules")
def test_the_first_is_drawn_by_weight() -> None:
    entropy = SeededEntropy(5)
    records = [Srv(1, 60, 1, "a"), Srv(1, 30, 2, "b"), Srv(1, 10, 3, "c"), Srv(1, 0, 4, "d")]
    firsts = Counter(by_weight(records, entropy)[0].port for _ in range(2000))
    assert [round(firsts[port] / 200) for port in (1, 2, 3)] == pytest.approx([6, 3, 1], abs=1)
    assert firsts[4] < 40


def asking(answers: Sequence[str], uri: str = "sip:x@x.test") -> Side:
    side = Side()
    side.send("INVITE", uri=uri, flow=None)
    query = next(output for output in side.others if isinstance(output, Resolve))
    side.take(side.endpoint.resolved(query.query, [Address(host, 5060) for host in answers], side.now))
    return side


def hosts(side: Side) -> list[str]:
    seen = dict.fromkeys(
        (sent.flow.remote.host, sent.data.partition(b"branch=")[2][:30])
        for sent in side.sent
        if sent.data.startswith(b"INVITE")
    )
    return [host for host, _ in seen]


@pytest.mark.rfc(
    "3263",
    "4.3",
    "If a failure occurs, the client SHOULD create a new request, which is identical to the previous, but has a "
    "different value of the Via branch ID than the previous (and therefore constitutes a new SIP transaction). That "
    "request is sent to the next element in the list as specified by RFC 2782.",
)
def test_a_target_that_answers_503_is_acknowledged_and_the_next_gets_a_new_branch() -> None:
    side = asking([A1, A2])
    first = side.sent[-1].data
    side.receive(side.peer_response(503))
    assert [sent.flow.remote.host for sent in side.sent if sent.data.startswith(b"ACK")] == [A1]
    assert hosts(side) == [A1, A2]
    assert first.partition(b"Call-ID")[2] == side.sent[-1].data.partition(b"Call-ID")[2]
    assert side.events == []


@pytest.mark.rfc(
    "3263",
    "4.3",
    "For SIP requests, failure occurs if the transaction layer reports a 503 error response or a transport failure "
    "of some sort (generally, due to fatal ICMP errors in UDP or connection failures in TCP). Failure also occurs "
    "if the transaction layer times out without ever having received any response, provisional or final.",
)
def test_a_target_that_is_silent_costs_four_seconds_and_the_last_one_timer_b() -> None:
    side = asking([A1, A2])
    side.advance(3.9)
    assert hosts(side) == [A1]
    side.advance(4.1)
    assert hosts(side) == [A1, A2]
    side.advance(40.0)
    assert [event.failure for event in side.events if isinstance(event, RequestFailed)] == [Failure.TIMEOUT]
    assert side.leaks() == (0, 0)


@pytest.mark.rfc(
    "3263",
    "4.3",
    "For SIP requests, failure occurs if the transaction layer reports a 503 error response or a transport failure "
    "of some sort (generally, due to fatal ICMP errors in UDP or connection failures in TCP). Failure also occurs "
    "if the transaction layer times out without ever having received any response, provisional or final.",
)
def test_a_target_that_icmp_says_is_gone_costs_nothing() -> None:
    side = asking([A1, A2])
    side.take(side.endpoint.undelivered(side.sent[-1].flow, side.sent[-1].data, side.now))
    assert hosts(side) == [A1, A2]
    assert side.events == []


def test_a_server_that_says_100_to_a_request_other_than_invite_has_the_time_of_its_transaction() -> None:
    side = Side()
    side.send("REGISTER", uri="sip:x.test", flow=None)
    query = next(output for output in side.others if isinstance(output, Resolve))
    side.take(side.endpoint.resolved(query.query, [Address(A1, 5060), Address(A2, 5060)], side.now))
    side.advance(3.6)
    side.receive(side.peer_response(100, to_tag=""))
    side.advance(20.0)
    assert {sent.flow.remote.host for sent in side.sent} == {A1}
    side.receive(side.peer_response(200))
    assert [event.response.status for event in side.events if isinstance(event, ResponseReceived)][-1] == 200


@pytest.mark.parametrize("status", [486, 500, 603])
def test_any_other_answer_is_final(status: int) -> None:
    side = asking([A1, A2])
    side.receive(side.peer_response(status))
    assert hosts(side) == [A1]
    assert len(side.events) == 1


def test_a_call_that_was_cancelled_goes_nowhere_else() -> None:
    side = Side()
    transaction = side.send("INVITE", uri="sip:x@x.test", flow=None)
    query = next(output for output in side.others if isinstance(output, Resolve))
    side.take(side.endpoint.resolved(query.query, [Address(A1, 5060), Address(A2, 5060)], side.now))
    side.cancel(transaction)
    side.receive(side.peer_response(503))
    assert hosts(side) == [A1]
    assert side.leaks() == (0, 0)


def test_the_transport_is_asked_for_only_when_the_uri_names_one() -> None:
    for uri, transport in (("sip:x@x.test", None), ("sip:x@x.test;transport=tcp", "TCP"), ("sips:x@x.test", "TLS")):
        side = Side()
        side.send("OPTIONS", uri=uri, flow=None)
        assert [output.transport for output in side.others if isinstance(output, Resolve)] == [transport]


def again(side: Side, *answers: str) -> str:
    """Where one more call goes first."""
    side.send("INVITE", uri="sip:x@x.test", flow=None)
    query = [output for output in side.others if isinstance(output, Resolve)][-1]
    side.take(side.endpoint.resolved(query.query, [Address(host, 5060) for host in answers], side.now))
    return side.sent[-1].flow.remote.host


@pytest.mark.rfc(
    "3263",
    "4.3",
    "If a failure occurs, the client SHOULD create a new request, which is identical to the previous, but has a "
    "different value of the Via branch ID … That request is sent to the next element in the list as specified by "
    "RFC 2782.",
)
def test_the_next_call_does_not_wait_for_a_target_that_was_dead() -> None:
    side = asking([A1, A2])
    side.advance(4.1)
    assert again(side, A1, A2) == A2
    assert again(side, A1) == A1, "it is put last, never left out"


def test_a_dead_target_has_its_place_again_after_half_a_minute() -> None:
    side = asking([A1, A2])
    side.advance(4.1)
    side.advance(4.0 + DEAD_S)
    assert again(side, A1, A2) == A1


def test_a_dead_target_that_answers_has_its_place_again_at_once() -> None:
    side = asking([A1, A2])
    side.advance(4.1)
    assert again(side, A1) == A1
    side.receive(side.peer_response(486))
    assert again(side, A1, A2) == A1


def test_dead_targets_are_counted_in_bounded_memory() -> None:
    dead = DeadTargets()
    for number in range(3 * MAX_DEAD):
        dead.add(Target("UDP", Address(f"10.0.{number >> 8}.{number & 255}", 5060)), float(number))
    assert len(dead.since) == MAX_DEAD
