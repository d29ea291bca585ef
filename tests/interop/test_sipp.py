"""sipp as caller and callee: outcomes with their ids, and bursts of calls."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.rig import sipp
from bench.rig.processes import free_port, wait_until
from bench.rig.server import Server

pytestmark = pytest.mark.interop


def register(directory: Path, server: Server, user: str, contact_port: int, password: str | None = None) -> None:
    sipp.run(
        directory,
        "register",
        target=server.address,
        port=free_port(),
        calls=1,
        rows=[[user, sipp.credentials(user, password), contact_port]],
    )


def call_rows(
    callee: str, *, caller: str = "1001", password: str | None = None, media: int = 6000
) -> list[list[str | int]]:
    return [[caller, sipp.credentials(caller, password), callee, media]]


@pytest.mark.parametrize(
    ("scenario", "caller", "password", "callee"),
    [
        ("wrong_password", "1001", "wrong", "1002"),
        ("wrong_password", "4711", "any", "1002"),
        ("expect_404", "1001", None, "7777"),
        ("expect_480", "1001", None, "1007"),
    ],
    ids=["wrong password", "unknown user", "unknown callee", "callee not registered"],
)
def test_outcome_seen_by_sipp(
    tmp_path: Path, server: Server, scenario: str, caller: str, password: str | None, callee: str
) -> None:
    rows = call_rows(callee, caller=caller, password=password)
    sipp.run(tmp_path, scenario, target=server.address, port=free_port(), calls=1, rows=rows)
    stats = server.stats()
    assert stats["calls"] == 0
    assert stats["ports"] == 0
    cdrs = server.rows("cdr")
    if scenario == "wrong_password":
        assert cdrs == []
    else:
        assert [row["disposition"] for row in cdrs] == ["failed"]
        assert cdrs[0]["cause"]["id"].startswith("VP-")


def test_caller_who_is_not_registered_may_call_with_its_password(tmp_path: Path, server: Server) -> None:
    contact = free_port()
    register(tmp_path, server, "1002", contact)
    callee = sipp.Sipp(tmp_path, "answer", target=server.address, port=contact)
    try:
        sipp.run(tmp_path, "call", target=server.address, port=free_port(), calls=1, rows=call_rows("1002"))
    finally:
        callee.close()
    assert [row["disposition"] for row in server.rows("cdr")] == ["answered"]


def test_busy_callee_gives_486_and_a_busy_cdr(tmp_path: Path, server: Server) -> None:
    contact = free_port()
    register(tmp_path, server, "1006", contact)
    callee = sipp.Sipp(tmp_path, "busy", target=server.address, port=contact)
    try:
        sipp.run(tmp_path, "expect_486", target=server.address, port=free_port(), calls=1, rows=call_rows("1006"))
    finally:
        callee.close()
    rows = server.rows("cdr")
    assert [(row["disposition"], row["cause"]["sip"]) for row in rows] == [("busy", 486)]


def load(tmp_path: Path, server: Server, *, rate: int, seconds: int) -> sipp.Sipp:
    contact = free_port()
    register(tmp_path, server, "1002", contact)
    callee = sipp.Sipp(tmp_path, "answer", target=server.address, port=contact)
    try:
        return sipp.run(
            tmp_path,
            "call",
            target=server.address,
            port=free_port(),
            calls=rate * seconds,
            rate=rate,
            rows=call_rows("1002"),
            timeout=seconds + 40,
        )
    finally:
        callee.close()


@pytest.mark.slow
def test_calls_at_50_a_second_all_succeed(tmp_path: Path, server: Server, soak: bool) -> None:
    seconds = 60 if soak else 6
    caller = load(tmp_path, server, rate=50, seconds=seconds)
    assert caller.failed() == 0
    assert caller.successful() == 50 * seconds
    wait_until(lambda: server.stats()["calls"] == 0, 5, "every call has ended")
    rows = wait_until(
        lambda: found if len(found := server.rows("cdr", "--limit", "100000")) == 50 * seconds else None,
        5,
        "a CDR for each call",
    )
    assert {row["disposition"] for row in rows} == {"answered"}
    assert server.stats()["ports"] == 0
