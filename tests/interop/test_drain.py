"""Calls up while the operator ends the daemon, hangs up, or fills it: what the phones see and hear, and the CDRs."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.rig import ladders, media, sipp
from bench.rig.processes import PATIENCE, free_port, wait_until
from bench.rig.server import Server
from pbx import control
from tests.interop.media_calls import calls_with_media
from tests.interop.test_sipp import call_rows, register

# Far more than a test waits for the daemon's end.
DRAIN_S = 600
PROBE = """\
{method} sip:1002@office.test SIP/2.0
Via: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bKprobe{method};rport
Max-Forwards: 70
From: <sip:1003@office.test>;tag=p
To: <sip:1002@office.test>
Call-ID: probe-{port}-{method}
CSeq: 1 {method}
Contact: <sip:1003@127.0.0.1:{port}>
Content-Length: 0

"""


def probe(server: Server, method: str) -> str:
    """The response to one request without credentials."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        phone.settimeout(5)
        phone.connect(("127.0.0.1", server.port))
        text = PROBE.format(method=method, port=phone.getsockname()[1]).replace("\n", "\r\n")
        phone.send(text.encode())
        return phone.recv(4096).decode()


@contextmanager
def calls_up(directory: Path, server: Server, count: int, *, hold_ms: int = 60_000) -> Iterator[tuple[sipp.Sipp, ...]]:
    """`count` answered calls; the processes of both sides."""
    contact = free_port()
    register(directory, server, "1002", contact)
    callee = sipp.Sipp(directory, "answer", target=server.address, port=contact, calls=count, trace=True)
    caller = sipp.Sipp(
        directory,
        "call",
        target=server.address,
        port=free_port(),
        calls=count,
        rate=50,
        hold_ms=hold_ms,
        rows=call_rows("1002"),
        trace=True,
    )
    try:
        wait_until(lambda: server.stats()["calls_answered"] == count, 10, f"{count} calls are up")
        yield caller, callee
    finally:
        caller.close()
        callee.close()


def hung_up_on(side: sipp.Sipp) -> int:
    """To how many of its calls a BYE came."""
    told = ladders.messages(side.directory / f"{side.stem}.messages")
    return len({ladders.call_id(text) for direction, text in told if direction == "received" and text[:4] == "BYE "})


@pytest.fixture
def brief(tmp_path: Path) -> Iterator[Server]:
    """A daemon that gives calls one second when it ends."""
    running = Server(tmp_path / "server", **{"server.drain_s": "1"})
    yield running
    running.close()


def test_draining_refuses_what_is_new_and_waits_for_the_last_call(tmp_path: Path, server: Server) -> None:
    with calls_up(tmp_path, server, 3, hold_ms=4000) as (caller, callee):
        server.process.signal(signal.SIGTERM)
        wait_until(lambda: server.stats()["draining"] is True, 20, "it drains")
        for method in ("INVITE", "OPTIONS"):
            answer = probe(server, method)
            assert answer.startswith("SIP/2.0 503 ") and "\r\nRetry-After: " in answer and "VP-2001" in answer
        assert caller.wait(15) == 0
        assert callee.wait(5) == 0
        assert server.process.wait(5) == 0
    assert [row["disposition"] for row in server.rows("cdr")] == ["answered"] * 3
    assert {row["hangup_by"] for row in server.rows("cdr")} == {"caller"}


def test_calls_lose_no_packet_while_it_drains_and_it_ends_with_the_last_of_them(tmp_path: Path) -> None:
    count, seconds = 20, 3
    server = Server(tmp_path / "server", **{"server.drain_s": str(DRAIN_S)})
    try:
        with calls_with_media(tmp_path, server, count, hold_ms=DRAIN_S * 1000) as calls:
            phones = media.Phones(calls.streams, seconds)
            server.process.signal(signal.SIGTERM)
            wait_until(lambda: server.stats()["draining"] is True, 20, "it drains")
            result, _ = phones.end()
            assert result["sent"] > 2 * count * 50 * (seconds - 1) and result["lost"] == 0
            last, *others = server.rows("calls")
            for row in others:
                list(control.request(server.data, "hangup", {"id": row["id"]}))
            wait_until(lambda: server.stats()["calls"] == 1, 10, "one call is left")
            assert server.process.alive()
            server.rows("hangup", last["id"])
            assert server.process.wait(DRAIN_S / PATIENCE / 2) == 0
    finally:
        server.close()
    assert [row["disposition"] for row in server.rows("cdr")] == ["answered"] * count


def test_after_drain_s_both_legs_get_bye_and_the_cdr_is_complete(tmp_path: Path, brief: Server) -> None:
    with calls_up(tmp_path, brief, 3) as (caller, callee):
        started = time.monotonic()
        brief.process.signal(signal.SIGTERM)
        assert brief.process.wait(60) == 0
        assert time.monotonic() - started > 0.9
        assert callee.wait(60) == 0
        wait_until(lambda: (hung_up_on(caller), hung_up_on(callee)) == (3, 3), 10, "both legs of each get BYE")
    rows = brief.rows("cdr")
    assert [(row["disposition"], row["hangup_by"], row["cause"]["id"]) for row in rows] == [
        ("answered", "server", "VP-4007")
    ] * 3


def test_a_second_signal_ends_at_once_with_status_0_and_complete_cdrs(tmp_path: Path, server: Server) -> None:
    with calls_up(tmp_path, server, 3) as (caller, callee):
        server.process.signal(signal.SIGTERM)
        wait_until(lambda: server.stats()["draining"] is True, 20, "it drains")
        server.process.signal(signal.SIGTERM)
        assert server.process.wait(60) == 0
        assert callee.wait(60) == 0
        wait_until(lambda: (hung_up_on(caller), hung_up_on(callee)) == (3, 3), 10, "both legs of each get BYE")
    assert {row["disposition"] for row in server.rows("cdr")} == {"answered"}


def test_the_operator_lists_a_call_and_hangs_it_up(tmp_path: Path, server: Server) -> None:
    with calls_up(tmp_path, server, 1) as (_, callee):
        (row,) = server.rows("calls")
        assert set(row) == {"id", "tenant", "caller", "callee", "state", "started", "answered", "codec", "crypto"}
        assert (row["tenant"], row["caller"], row["callee"], row["state"]) == (
            "office.test",
            "1001",
            "1002",
            "answered",
        )
        assert server.rows("hangup", row["id"]) == [{"id": row["id"], "hung_up": True}]
        assert callee.wait(5) == 0
        wait_until(lambda: server.stats()["calls"] == 0, 5, "the call is over")
    (cdr,) = server.rows("cdr")
    assert (cdr["id"], cdr["cause"]["id"], cdr["hangup_by"]) == (row["id"], "VP-4006", "server")
    stats = server.stats()
    assert (stats["ports"], stats["cdr_open_legs"]) == (0, 0)


def test_one_call_more_than_the_media_ports_carry_gets_503(tmp_path: Path) -> None:
    server = Server(tmp_path / "server", **{"server.media": "127.0.0.1:20000-20011"})
    try:
        assert server.stats()["calls_limit"] == 3
        with calls_up(tmp_path, server, 3):
            sipp.run(tmp_path, "expect_503", target=server.address, port=free_port(), calls=1, rows=call_rows("1002"))
            for row in server.rows("calls"):
                server.rows("hangup", row["id"])
            wait_until(lambda: server.stats()["ports_free"] == 6, 10, "the calls are over and their ports have rested")
            sipp.run(tmp_path, "call", target=server.address, port=free_port(), calls=1, rows=call_rows("*43"))
        refused = next(row for row in server.rows("cdr") if row["disposition"] == "failed")
        assert (refused["cause"]["sip"], refused["cause"]["id"]) == (503, "VP-2002")
    finally:
        server.close()
