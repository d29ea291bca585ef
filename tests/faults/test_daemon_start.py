"""The daemon where it cannot start, or nobody listens to it: one clear line, the right exit status, no traceback.

It starts over a damaged database, which it moves aside and says so (F7); few descriptors bound its calls (F9).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bench.rig import sipp
from bench.rig.processes import free_port, wait_until
from bench.rig.server import VOIPAT, Server
from pbx.store.database import DATABASE_FILE
from tests.faults.running_daemon import RunningDaemon
from tests.interop.test_sipp import call_rows, register


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[RunningDaemon]:
    running = RunningDaemon(tmp_path).ready()
    yield running
    running.close()


def refused(directory: Path, **settings: object) -> tuple[int, list[str]]:
    """Exit status and last words of a daemon that should not come up."""
    starting = RunningDaemon(directory, **settings)  # type: ignore[arg-type]
    try:
        status = starting.wait()
    finally:
        starting.close()
    assert "Traceback" not in starting.output
    return status, [line for line in starting.output.splitlines() if line.startswith("voipat: ")]


@pytest.mark.slow
@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM], ids=["udp", "tcp"])
def test_a_taken_port_is_one_line_and_exit_status_1(tmp_path: Path, kind: socket.SocketKind) -> None:
    port = free_port()
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", port))
        if kind == socket.SOCK_STREAM:
            taken.listen()
        status, lines = refused(tmp_path, port=port)
    name = "udp" if kind == socket.SOCK_DGRAM else "tcp"
    assert (status, lines) == (1, [f"voipat: {name}://127.0.0.1:{port}: address already in use"])


@pytest.mark.slow
def test_a_second_daemon_on_the_same_data_directory_is_refused_and_the_first_goes_on(daemon: RunningDaemon) -> None:
    status, lines = refused(daemon.directory)
    assert status == 1
    assert len(lines) == 1 and str(daemon.data) in lines[0] and str(daemon.process.pid) in lines[0]
    assert daemon.rows("stats")[0]["calls"] == 0


@pytest.mark.slow
def test_a_media_address_that_is_not_ours_is_refused_at_start(tmp_path: Path) -> None:
    config = tmp_path / "far.toml"
    config.write_text('[server]\nmedia = "192.0.2.7:20000-20099"\n[[tenant]]\ndomain = "office.test"\n')
    status, lines = refused(tmp_path, config=config)
    assert status == 1
    assert len(lines) == 1 and "server.media" in lines[0] and "192.0.2.7" in lines[0]


@pytest.mark.slow
def test_a_bad_configuration_exits_with_2_and_names_the_line(tmp_path: Path) -> None:
    config = tmp_path / "bad.toml"
    config.write_text('[server]\ndrain_s = "long"\n')
    starting = RunningDaemon(tmp_path, config=config)
    assert starting.wait() == 2
    assert starting.output.startswith(f"{config}:2: server.drain_s: ")


@pytest.mark.slow
def test_the_daemon_lives_when_nobody_reads_its_log(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    running = RunningDaemon(tmp_path, stderr=writing)
    os.close(writing)
    try:
        running.ready()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for _ in range(2000):
                stranger.sendto(b"REGISTER nonsense\r\n\r\n", ("127.0.0.1", running.port))
        assert running.rows("stats")[0]["calls"] == 0
        os.close(reading)
        assert running.rows("stats")[0]["calls"] == 0
    finally:
        running.close()


@pytest.mark.slow
def test_a_damaged_database_is_moved_aside_and_the_daemon_gets_ready(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    noise = b"\x17\x2b" * 10_000
    (data / DATABASE_FILE).write_bytes(noise)
    running = RunningDaemon(tmp_path).ready()
    try:
        (aside,) = data.glob(f"{DATABASE_FILE}.broken-*")
        assert aside.read_bytes() == noise
        assert f"the database was damaged and moved aside: {aside}" in running.output
        assert running.rows("cdr") == []
    finally:
        running.close()


@pytest.mark.slow
def test_few_descriptors_bound_the_calls_one_more_is_503_and_a_hang_up_makes_room(tmp_path: Path) -> None:
    contact = free_port()
    with ExitStack() as stack:
        server = Server(tmp_path / "server", command=("prlimit", "--nofile=256:256", str(VOIPAT)))
        stack.callback(server.close)
        assert "(descriptors)" in server.process.output()
        limit = server.stats()["calls_limit"]
        assert 0 < limit < 50
        register(tmp_path, server, "1002", contact)
        callee = sipp.Sipp(tmp_path / "callee", "answer", target=server.address, port=contact)
        stack.callback(callee.close)
        caller = sipp.Sipp(
            tmp_path / "caller", "call", target=server.address, port=free_port(), calls=limit, rate=50,
            hold_ms=600_000, rows=call_rows("1002"),
        )  # fmt: skip
        stack.callback(caller.close)
        wait_until(lambda: server.stats()["calls_answered"] == limit, 20, "every place is taken")
        one = {"target": server.address, "calls": 1, "rows": call_rows("1002")}
        sipp.run(tmp_path / "more", "expect_503", port=free_port(), **one)
        (refused,) = [row for row in server.rows("cdr", "--limit", "1000") if row["ended"]]
        assert (refused["cause"]["sip"], refused["cause"]["id"]) == (503, "VP-2002")
        server.rows("hangup", server.rows("calls")[0]["id"])
        wait_until(lambda: server.stats()["calls"] == limit - 1, 10, "one has hung up")
        sipp.run(tmp_path / "after", "call", port=free_port(), **one)
        assert "Too many open files" not in server.process.output()
