"""Reloads, good and bad ones in turn, while calls come: none of them fails, and every one sees a whole plan."""

from __future__ import annotations

import signal
from pathlib import Path

from bench.rig import sipp
from bench.rig.processes import free_port, wait_until
from bench.rig.server import OFFICE, Server
from pbx import control
from tests.interop.test_sipp import call_rows, register

RATE, RELOADS = 15, 40
SOAK_RATE, SOAK_RELOADS = 100, 1000


def turn(number: int) -> str:
    """The example with something else in it each time; every third cannot be read."""
    text = OFFICE.read_text()
    if number % 3 == 2:
        return text.replace("ring_s = 20", "ring_s = 0", 1)
    text = text.replace('pin = "1234"', f'pin = "{1000 + number % 9000}"', 1)
    return (
        text if number % 2 else text.replace('1010 = "pass-1010"', f'1010 = "pass-1010"\n1011 = "secret-{number}"', 1)
    )


def reload(server: Server) -> str:
    """Why the file was refused; "" when it was taken."""
    try:
        list(control.request(server.data, "reload", {}))
    except control.ControlError as refused:
        return str(refused)
    return ""


def test_no_call_fails_while_the_configuration_is_reloaded(tmp_path: Path, soak: bool, soak_scale: float) -> None:
    rate, reloads = RATE, RELOADS
    if soak:
        rate, reloads = round(SOAK_RATE * soak_scale), round(SOAK_RELOADS * soak_scale)
    config = tmp_path / "office.toml"
    config.write_text(OFFICE.read_text())
    server = Server(tmp_path / "server", config=config)
    contact = free_port()
    try:
        register(tmp_path, server, "1002", contact)
        callee = sipp.Sipp(tmp_path, "answer", target=server.address, port=contact)
        caller = sipp.Sipp(
            tmp_path, "call", target=server.address, port=free_port(), rate=rate, rows=call_rows("1002"),
        )  # fmt: skip
        try:
            wait_until(lambda: server.stats()["calls_answered"] > 0, 15, "calls come")
            for number in range(reloads):
                config.write_text(turn(number))
                refused = reload(server)
                assert bool(refused) == (number % 3 == 2), refused
                assert not refused or (f"{config}:" in refused and "ring_s" in refused)
            wait_until(lambda: len(server.rows("cdr", "--limit", "100000")) > rate, 60, "a second's calls ended")
        finally:
            caller.process.signal(signal.SIGUSR1)  # sipp begins no more calls and ends with the last
            caller.wait(60)
            callee.close()
        assert caller.failed() == 0 and caller.successful() > rate
        wait_until(lambda: server.stats()["calls"] == 0, 10, "every call has ended")
        assert {row["disposition"] for row in server.rows("cdr", "--limit", "100000")} == {"answered"}
        print(f"{reloads} reloads, {caller.successful()} calls at {rate}/s, {caller.failed()} failed")
    finally:
        server.close()
