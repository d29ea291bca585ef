"""Parts of the daemon that need no process of their own: stop signals, the log of events, figures."""

from __future__ import annotations

import asyncio
import logging

import pytest

from pbx.event_log import EventLog, log_event
from pbx.logs import LineFormatter, RateLimit
from pbx.running import StopSignals
from pbx.status import LAG_INTERVAL_S, LoopLag, prefixed, registration_row, store_figures
from pbx.store.base import StoreHealth
from sipcore.flow import Address, Flow
from voipat import Binding
from voipat.events import (
    BindingReachable,
    BindingUnreachable,
    CallAnswered,
    CallEnded,
    CallStarted,
    Cause,
    Event,
    MediaFigures,
    Registered,
    RequestRefused,
)

STARTED = CallStarted("c2", "c1", "office.test", "b", "outbound", "1001", "1002", "x@y", 100.0)
ENDED = CallEnded(
    id="c1",
    linked_id="c1",
    tenant="office.test",
    leg="a",
    direction="inbound",
    caller="1001",
    callee="1002",
    call_id="x@y",
    started=100.0,
    answered=101.0,
    ended=111.0,
    duration_s=11.0,
    billable_s=10.0,
    disposition="answered",
    hangup_by="caller",
    cause=Cause(200, 16, "VP-4001", "Normal call clearing"),
    media=MediaFigures("PCMU", 500, 500, 0, 0.0, 1.25),
    attempts=1,
)


def line_of(event: Event, caplog: pytest.LogCaptureFixture) -> str:
    with caplog.at_level(logging.DEBUG, logger="pbx.calls"):
        log_event(event)
    return LineFormatter().format(caplog.records[-1]).partition("logger=")[2]


def test_the_first_request_drains_and_the_second_ends_at_once() -> None:
    async def requests() -> list[tuple[bool, bool]]:
        stop, seen = StopSignals(), []
        for _ in range(3):
            stop.request()
            seen.append((stop.drain.is_set(), stop.now.is_set()))
        return seen

    assert asyncio.run(requests()) == [(True, False), (True, True), (True, True)]


def test_the_legs_of_a_call_are_joined_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    assert line_of(STARTED, caplog) == (
        'pbx.calls msg="call started" tenant=office.test call=c2 linked=c1 leg=b caller=1001 callee=1002 sip=x@y'
    )
    assert line_of(CallAnswered("c1", "c1", "office.test", 101.0, "PCMU"), caplog) == (
        'pbx.calls msg="call answered" tenant=office.test call=c1 codec=PCMU'
    )


def test_the_end_of_a_call_says_why_and_how_it_sounded(caplog: pytest.LogCaptureFixture) -> None:
    assert line_of(ENDED, caplog) == (
        'pbx.calls msg="call ended" tenant=office.test call=c1 leg=a disposition=answered hangup_by=caller '
        "sip=200 q850=16 reason=VP-4001 billable_s=10.0 packets=500 loss=0.0 jitter_ms=1.25"
    )


def test_a_refusal_names_source_account_and_reason(caplog: pytest.LogCaptureFixture) -> None:
    event = RequestRefused("REGISTER", "127.0.0.77", "1001@office.test", 401, "VP-1002")
    assert line_of(event, caplog) == (
        'pbx.calls msg="REGISTER refused" source=127.0.0.77 account=1001@office.test status=401 reason=VP-1002'
    )


def test_an_event_whose_line_would_be_left_out_is_counted_and_makes_none(caplog: pytest.LogCaptureFixture) -> None:
    limit = RateLimit(per_second=1)
    listener = EventLog(limit, lambda: 5.0)
    with caplog.at_level(logging.INFO, logger="pbx.calls"):
        listener(STARTED)
        limit.admit("CallStarted", 5.0)  # as the log's handler does
        listener(STARTED)
        listener(ENDED)
    assert [record.getMessage() for record in caplog.records] == ["call started", "call ended"]
    assert limit.left_out == 1


def test_only_new_registrations_are_said_at_info(caplog: pytest.LogCaptureFixture) -> None:
    for is_refresh, level in ((False, logging.INFO), (True, logging.DEBUG)):
        where = ("sip:1001@127.0.0.1:5070", "127.0.0.1:5070", "UDP", "phone/1", 600)
        line_of(Registered("office.test", "sip:1001@office.test", *where, is_refresh), caplog)
        assert caplog.records[-1].levelno == level


def test_a_phone_that_is_gone_and_one_that_is_back_are_said(caplog: pytest.LogCaptureFixture) -> None:
    where = ("office.test", "sip:1001@office.test", "sip:1001@10.0.0.9", "198.51.100.7:4000")
    assert line_of(BindingUnreachable(*where, 3), caplog) == (
        'pbx.calls msg="phone unreachable" tenant=office.test aor=sip:1001@office.test contact=sip:1001@10.0.0.9 '
        "received=198.51.100.7:4000 failures=3"
    )
    assert line_of(BindingReachable(*where), caplog) == (
        'pbx.calls msg="phone reachable again" tenant=office.test aor=sip:1001@office.test contact=sip:1001@10.0.0.9'
    )


def test_loop_lag_is_the_worst_of_the_last_minute() -> None:
    class SlowLoop:
        """Runs what is due when told, a little late."""

        now = 100.0

        def time(self) -> float:
            return self.now

        def call_at(self, when: float, callback: object) -> object:
            self.due, self.callback = when, callback
            return self

        def run(self, late: float) -> None:
            self.now = self.due + late
            self.callback()  # type: ignore[operator]

    loop = SlowLoop()
    lag = LoopLag(loop)  # type: ignore[arg-type]
    loop.run(late=0.5)
    loop.run(late=0.001)
    assert lag.worst_s == pytest.approx(0.5)
    for _ in range(round(61 / LAG_INTERVAL_S)):
        loop.run(late=0.002)
    assert lag.worst_s == pytest.approx(0.002)


def test_figures_are_flat_and_cannot_collide() -> None:
    assert prefixed("sip", {"no-route": 2, "Bad": 1}) == {"sip_bad": 1, "sip_no_route": 2}
    figures = store_figures(StoreHealth(refused={"cdrs": 2, "bindings": 1}, error="disk full"))
    assert (figures["store_refused"], figures["store_error"]) == (3, "disk full")


def test_a_registration_row_has_the_fields_of_the_contract() -> None:
    flow = Flow("UDP", Address("127.0.0.1", 5060), Address("127.0.0.1", 5070))
    binding = Binding("office.test", "sip:1001@office.test", "sip:1001@10.0.0.9", flow, "c", 1, 1600.0, user_agent="u")
    assert registration_row(binding, 1000.4, True) == {
        "tenant": "office.test",
        "aor": "sip:1001@office.test",
        "contact": "sip:1001@10.0.0.9",
        "received": "127.0.0.1:5070",
        "transport": "UDP",
        "user_agent": "u",
        "vendor": "",
        "model": "",
        "firmware": "",
        "instance": "",
        "expires_s": 600,
        "reachable": True,
    }
