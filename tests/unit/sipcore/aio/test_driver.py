"""The driver against a scripted endpoint, on a loop whose time stands where the test puts it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from math import inf
from typing import Any, Self, cast

import pytest

from sipcore.aio.driver import Driver
from sipcore.events import DialogEnded, DialogId, Event, RequestReceived, TransactionId
from sipcore.flow import Address, Flow
from sipcore.message import Request
from sipcore.outputs import Close, Datagram, Output, Resolve, Transmit
from sipcore.refusals import Refusal
from sipcore.transaction import HeaderPairs

LOCAL = Address("127.0.0.1", 5060)
FLOW = Flow("UDP", LOCAL, Address("127.0.0.2", 5060))
STREAM = Flow("TCP", LOCAL, Address("127.0.0.2", 5060), 3)


class Handle:
    def __init__(self, when: float, callback: Callable[[], None]) -> None:
        self.when, self.callback, self.cancelled = when, callback, False

    def cancel(self) -> None:
        self.cancelled = True


class StillLoop:
    """`time`, `call_at`, `call_soon`; nothing runs until the test says so."""

    def __init__(self) -> None:
        self.now = 0.0
        self.handles: list[Handle] = []
        self.soon: list[Callable[[], None]] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], None]) -> Handle:
        self.handles.append(Handle(when, callback))
        return self.handles[-1]

    def call_soon(self, callback: Callable[..., None], *arguments: Any) -> None:
        self.soon.append(lambda: callback(*arguments))

    def advance(self, now: float) -> None:
        self.now = now
        due = [each for each in self.handles if each.when <= now and not each.cancelled]
        self.handles = [each for each in self.handles if each not in due]
        for handle in due:
            handle.callback()


class Script:
    """An endpoint that answers what it is told to."""

    def __init__(self) -> None:
        self.deadline: float | None = None
        self.answers: dict[str, list[Output] | Exception] = {}
        self.calls: list[tuple[Any, ...]] = []
        self.locals: list[tuple[str, Address]] = []

    def _reply(self, verb: str, *arguments: Any) -> list[Output]:
        self.calls.append((verb, *arguments))
        answer = self.answers.get(verb, [])
        if isinstance(answer, Exception):
            raise answer
        return answer

    def listening(self, transport: str, local: Address) -> None:
        self.locals.append((transport, local))

    def receive(self, datagram: Datagram, now: float) -> list[Output]:
        return self._reply("receive", datagram.data, now)

    def flow_lost(self, flow: Flow, now: float) -> list[Output]:
        return self._reply("flow_lost", flow, now)

    def resolved(self, query: int, answers: Sequence[Address], now: float) -> list[Output]:
        return self._reply("resolved", query, tuple(answers), now)

    def handle_timeout(self, now: float) -> list[Output]:
        self.deadline = None
        return self._reply("handle_timeout", now)

    def fail(self, transaction: TransactionId, flow: Flow, now: float) -> list[Output]:
        return self._reply("fail", transaction, flow, now)

    def refusal_headers(self, refusal: Refusal, flow: Flow) -> HeaderPairs:
        return ()

    def next_timeout(self) -> float | None:
        return self.deadline

    @property
    def deadlines(self) -> Self:
        return self

    @property
    def soonest(self) -> float:
        return inf if self.deadline is None else self.deadline


class Wire:
    """A transport that keeps what it is given."""

    def __init__(self, name: str = "UDP") -> None:
        self.name, self.local = name, LOCAL
        self.log: list[tuple[Any, ...]] = []

    def send(self, flow: Flow, data: bytes) -> None:
        self.log.append(("send", flow, data))

    def close_flow(self, flow: Flow) -> None:
        self.log.append(("close_flow", flow))

    def authenticated(self, flow: Flow) -> None:
        self.log.append(("authenticated", flow))

    async def close(self) -> None:
        self.log.append(("close",))


class Bench:
    def __init__(self, on_event: Callable[[Event], None] | None = None) -> None:
        self.loop, self.script, self.events = StillLoop(), Script(), list[Event]()
        self.driver = Driver(self.script, on_event=on_event or self.events.append, loop=cast(Any, self.loop))
        self.udp, self.tcp = Wire(), Wire("TCP")
        self.driver.add_transport(self.udp)
        self.driver.add_transport(self.tcp)


def test_a_message_goes_in_with_the_time_and_its_outputs_are_done_in_order() -> None:
    bench = Bench()
    ended = DialogEnded(DialogId(4))
    bench.loop.now = 2.5
    bench.script.answers["receive"] = [Transmit(b"a", FLOW), ended, Close(STREAM, "enough"), Transmit(b"b", STREAM)]
    bench.driver.receive(b"INVITE", FLOW)
    assert bench.script.calls == [("receive", b"INVITE", 2.5)]
    assert bench.udp.log == [("send", FLOW, b"a")]
    assert bench.tcp.log == [("close_flow", STREAM), ("send", STREAM, b"b")]
    assert bench.events == [ended]


def test_what_is_answered_unread_does_not_go_to_the_endpoint() -> None:
    bench = Bench()
    bench.driver.unread = lambda data, flow, now: {b"flood": b"", b"too much": b"503"}.get(data)
    for data in (b"flood", b"too much", b"INVITE"):
        bench.driver.receive(data, FLOW)
    assert bench.script.calls == [("receive", b"INVITE", 0.0)]
    assert bench.udp.log == [("send", FLOW, b"503")]
    assert bench.driver.counters == {"ignored": 1, "answered_unread": 1}


def test_the_timer_follows_an_earlier_deadline_and_is_left_alone_by_a_later_one() -> None:
    bench = Bench()
    for deadline in (5.0, 7.0, 5.0):
        bench.script.deadline = deadline
        bench.driver.receive(b"x", FLOW)
    assert [each.when for each in bench.loop.handles] == [5.0]
    bench.script.deadline = 3.0
    bench.driver.receive(b"x", FLOW)
    assert [(each.when, each.cancelled) for each in bench.loop.handles] == [(5.0, True), (3.0, False)]


def test_a_timer_that_became_too_early_is_set_again() -> None:
    bench = Bench()
    bench.script.deadline = 5.0
    bench.driver.receive(b"x", FLOW)
    bench.script.deadline = 9.0
    bench.loop.advance(5.0)
    assert ("handle_timeout", 5.0) not in bench.script.calls
    assert [each.when for each in bench.loop.handles] == [9.0]
    bench.loop.advance(9.0)
    assert bench.script.calls[-1] == ("handle_timeout", 9.0)
    assert bench.loop.handles == []


def test_a_timer_that_fires_a_little_early_counts_as_on_time() -> None:
    bench = Bench()
    bench.script.deadline = 5.0
    bench.driver.execute([])
    bench.loop.now = 4.9996
    bench.loop.handles.pop().callback()
    assert bench.script.calls == [("handle_timeout", 5.0)]


@pytest.mark.parametrize("verb", ["receive", "flow_lost", "resolved"])
def test_an_exception_of_the_endpoint_costs_one_message(verb: str, caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    bench.script.answers[verb] = RuntimeError("bug")
    bench.script.deadline = 8.0
    arguments: dict[str, tuple[Any, ...]] = {"receive": (b"x", FLOW), "flow_lost": (FLOW,), "resolved": (1, ())}
    getattr(bench.driver, verb)(*arguments[verb])
    assert bench.driver.counters["failed"] == 1
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert [each.when for each in bench.loop.handles] == [8.0]


def test_a_failing_timeout_is_tried_again_a_little_later() -> None:
    bench = Bench()
    bench.script.deadline = 1.0
    bench.script.answers["handle_timeout"] = RuntimeError("bug")
    bench.driver.execute([])
    bench.loop.advance(1.0)
    assert [each.when for each in bench.loop.handles] == [1.1]


def test_a_listener_that_fails_on_a_request_answers_500_and_the_rest_goes_on() -> None:
    def listener(event: Event) -> None:
        raise RuntimeError("bug")

    bench = Bench(listener)
    request = Request("OPTIONS", "sip:office.test")
    received = RequestReceived(TransactionId(9), request, FLOW, None, in_dialog=False, identity=None)
    bench.script.answers["receive"] = [received, Transmit(b"after", FLOW)]
    bench.script.answers["fail"] = [Transmit(b"500", FLOW)]
    bench.driver.receive(b"x", FLOW)
    assert bench.script.calls[-1] == ("fail", 9, FLOW, 0.0)
    assert [entry[2] for entry in bench.udp.log] == [b"500", b"after"]
    assert bench.driver.counters["failed"] == 1


def test_a_stream_without_a_transport_is_lost_and_a_datagram_is_counted() -> None:
    bench = Bench()
    elsewhere = Flow("TLS", LOCAL, FLOW.remote, 1)
    bench.driver.execute([Transmit(b"x", elsewhere), Transmit(b"x", Flow("UDP", Address("::1", 1), FLOW.remote))])
    assert bench.driver.counters["no_transport"] == 2
    [each() for each in bench.loop.soon]
    assert bench.script.calls == [("flow_lost", elsewhere, 0.0)]


def test_without_a_resolver_no_name_resolves() -> None:
    bench = Bench()
    bench.driver.execute([Resolve(7, "example.com", None, None)])
    [each() for each in bench.loop.soon]
    assert bench.script.calls == [("resolved", 7, (), 0.0)]


def test_only_stream_transports_hear_who_authenticated() -> None:
    bench = Bench()
    bench.driver.authenticated(FLOW)
    bench.driver.authenticated(STREAM)
    assert (bench.udp.log, bench.tcp.log) == ([], [("authenticated", STREAM)])


def test_the_endpoint_hears_once_of_each_listening_address() -> None:
    bench = Bench()
    bench.driver.add_transport(bench.udp)
    assert bench.script.locals == [("UDP", LOCAL), ("TCP", LOCAL)]
    assert bench.driver.transports == (bench.udp, bench.tcp)
