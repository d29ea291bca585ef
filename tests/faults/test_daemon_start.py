"""The daemon where it cannot start, or nobody listens to it: one clear line, the right exit status, no traceback."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.rig.processes import free_port
from tests.faults.running_daemon import RunningDaemon


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
def test_few_descriptors_bound_the_calls_and_the_daemon_says_so(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        running = RunningDaemon(tmp_path, stdout=log, preexec_fn=_few_descriptors)
        try:
            text = (tmp_path / "log").read_text
            while "ready in" not in text() and running.process.poll() is None:
                subprocess.run(["sleep", "0.05"], check=True)
            assert "(descriptors)" in text()
            assert running.rows("stats")[0]["calls_limit"] < 50
        finally:
            running.close()


def _few_descriptors() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
