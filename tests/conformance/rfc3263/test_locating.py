"""RFC 3263 §4 without I/O: 25 zones, and what a client must make of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest

from sipcore.dead_targets import DEAD_S, MAX_DEAD, DeadTargets
from sipcore.entropy import SeededEntropy
from sipcore.events import Failure, RequestFailed
from sipcore.flow import Address
from sipcore.locate import Naptr, Record, Srv, Target, by_weight, locate
from sipcore.outputs import Resolve
from tests.endpoints import Side

Zone = dict[tuple[str, str], Sequence[Record]]

A1, A2, A3, V6 = "192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1"
UDP, TCP, TLS = ("_sip._udp.x.test", "SRV"), ("_sip._tcp.x.test", "SRV"), ("_sips._tcp.x.test", "SRV")
HOST: Zone = {("x.test", "A"): [A1]}
ONE: Zone = {("a.x.test", "A"): [A1], ("b.x.test", "A"): [A2]}


def naptr(order: int, preference: int, service: str, name: str, flags: str = "s") -> Naptr:
    return Naptr(order, preference, flags, service, name)


def found(zone: Zone, port: int | None = None, transport: str | None = None, *, ours: str = "UDP TCP TLS") -> list[str]:
    steps = locate("X.test.", port, transport, entropy=SeededEntropy(1), ours=ours.split(), kinds=["A", "AAAA"])
    try:
        lookup = next(steps)
        while True:
            lookup = steps.send(zone.get(lookup, ()))
    except StopIteration as done:
        return [f"{target.transport} {target.address}" for target in done.value]


SRV_UDP: Zone = {UDP: [Srv(1, 0, 5080, "a.x.test.")], **ONE}
BOTH: Zone = {**SRV_UDP, TCP: [Srv(1, 0, 5090, "b.x.test.")]}
NAPTRS: Zone = {
    ("x.test", "NAPTR"): [
        naptr(20, 1, "SIP+D2U", "_sip._udp.x.test."),
        naptr(10, 2, "SIP+D2T", "_sip._tcp.x.test."),
        naptr(10, 1, "SIPS+D2T", "_sips._tcp.x.test."),
    ],
    TLS: [Srv(1, 0, 5061, "a.x.test")],
    **BOTH,
}
UP, TP, SP = f"UDP {A1}:5080", f"TCP {A2}:5090", f"TLS {A1}:5061"

LAYOUTS = [
    ("nothing", {}, {}, []),
    ("A only", HOST, {}, [f"UDP {A1}:5060"]),
    ("two A", {("x.test", "A"): [A1, A2]}, {}, [f"UDP {A1}:5060", f"UDP {A2}:5060"]),
    ("AAAA only", {("x.test", "AAAA"): [V6]}, {}, [f"UDP [{V6}]:5060"]),
    ("A and AAAA", {**HOST, ("x.test", "AAAA"): [V6]}, {}, [f"UDP {A1}:5060", f"UDP [{V6}]:5060"]),
    ("port: A only, SRV not asked", {**BOTH, ("x.test", "A"): [A3]}, {"port": 5099}, [f"UDP {A3}:5099"]),
    ("port and transport", {**BOTH, ("x.test", "A"): [A3]}, {"port": 5099, "transport": "TCP"}, [f"TCP {A3}:5099"]),
    ("port, no address: SRV is no help", SRV_UDP, {"port": 5099}, []),
    ("SRV udp", SRV_UDP, {}, [UP]),
    ("an A does not short-circuit SRV", {**SRV_UDP, ("x.test", "A"): [A3]}, {}, [UP]),
    ("SRV udp and tcp, ours in order", BOTH, {}, [UP, TP]),
    ("SRV of a transport we lack", BOTH, {"ours": "TCP"}, [TP]),
    ("transport tcp: its SRV only", BOTH, {"transport": "TCP"}, [TP]),
    ("transport tcp without SRV: A", {**SRV_UDP, **HOST}, {"transport": "TCP"}, [f"TCP {A1}:5060"]),
    ("sips: _sips._tcp", NAPTRS, {"transport": "TLS"}, [SP]),
    ("sips without SRV: port 5061", HOST, {"transport": "TLS"}, [f"TLS {A1}:5061"]),
    ("NAPTR by order, then preference", NAPTRS, {}, [SP, TP, UP]),
    ("NAPTR filtered by what we have", NAPTRS, {"ours": "UDP"}, [UP]),
    ("NAPTR is ignored when the transport is given", NAPTRS, {"transport": "UDP"}, [UP]),
    ("NAPTR of another service", {("x.test", "NAPTR"): [naptr(1, 1, "E2U+sip", "z.test")], **SRV_UDP}, {}, [UP]),
    (
        "NAPTR with a flag that we do not know",
        {("x.test", "NAPTR"): [naptr(1, 1, "SIP+D2T", "q", "a")], **SRV_UDP},
        {},
        [UP],
    ),
    (
        "NAPTR to a name elsewhere",
        {
            ("x.test", "NAPTR"): [naptr(1, 1, "sip+d2u", "s.z.test.", "S")],
            ("s.z.test", "SRV"): [Srv(1, 0, 7, "a.x.test")],
            **ONE,
        },
        {},
        [f"UDP {A1}:7"],
    ),
    (
        "SRV by priority",
        {UDP: [Srv(20, 0, 2, "b.x.test"), Srv(10, 0, 1, "a.x.test")], **ONE},
        {},
        [f"UDP {A1}:1", f"UDP {A2}:2"],
    ),
    (
        "SRV target without address: the next",
        {UDP: [Srv(1, 0, 1, "gone.test"), Srv(2, 0, 2, "b.x.test")], **ONE},
        {},
        [f"UDP {A2}:2"],
    ),
    ("SRV '.': not available, and no A instead", {UDP: [Srv(0, 0, 0, ".")], **HOST}, {}, []),
]


@pytest.mark.rfc(
    "3263",
    "4.1",
    "First, a client resolving a SIPS URI MUST discard any services that do not contain 'SIPS' as the protocol in "
    "the service field.",
)
@pytest.mark.rfc("3263", "4.2")
@pytest.mark.parametrize(("zone", "options", "expected"), [row[1:] for row in LAYOUTS], ids=[row[0] for row in LAYOUTS])
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
