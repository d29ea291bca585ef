"""Reloads, good and bad ones in turn, while calls come, stand and phones register: none of them notices (F3).

Every new call sees a whole plan; of standing calls no packet is lost or late; no registration fails; memory stays.
"""

from __future__ import annotations

import signal
import time
from contextlib import ExitStack
from pathlib import Path

from bench.rig import media, sipp
from bench.rig.processes import free_port, wait_until
from bench.rig.server import OFFICE, Server
from pbx import control
from tests.interop.media_calls import calls_with_media
from tests.interop.test_sipp import call_rows, register

RATE, RELOADS = 15, 40
SOAK_RATE, SOAK_RELOADS = 100, 1000
REGISTRATIONS_RATE = 20
# Calls that stand meanwhile, and for how long their phones talk.
STANDING, TALK_S = 10, 8.0
SOAK_STANDING, SOAK_TALK_S = 100, 120.0
# Between two packets of a call, less what the generator was late: F3's, and that of a machine with other work.
SOAK_GAP_MS, GAP_MS = 40.0, 200.0
# Of ALONE reloads, with nothing else and after WARM of them, may be left so much (kept, each would be 25 kB); and what
# a minute of all may add to the minute before it, in which what calls leave for half a minute has gathered.
WARM, ALONE, LEFT_KB, GROWTH = 10, 60, 500, 0.1


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


class Office:
    """A daemon on a file that is written anew again and again."""

    def __init__(self, directory: Path) -> None:
        self._config = directory / "office.toml"
        self._config.write_text(OFFICE.read_text())
        self.server = Server(directory / "server", config=self._config)
        self.reloads = 0

    def reload(self) -> None:
        """The next turn, which is taken or refused as it should be."""
        self._config.write_text(turn(self.reloads))
        refused = reload(self.server)
        assert bool(refused) == (self.reloads % 3 == 2), refused
        assert not refused or (f"{self._config}:" in refused and "ring_s" in refused)
        self.reloads += 1

    def left_by(self, reloads: int) -> int:
        """kB of memory that it has after so many and had not before."""
        before = self.server.anonymous_kb()
        for _ in range(reloads):
            self.reload()
        return self.server.anonymous_kb() - before


def test_nobody_notices_that_the_configuration_is_reloaded(tmp_path: Path, soak: bool, soak_scale: float) -> None:
    rate, reloads, standing, seconds = RATE, RELOADS, STANDING, TALK_S
    if soak:
        rate, reloads = round(SOAK_RATE * soak_scale), round(SOAK_RELOADS * soak_scale)
        standing, seconds = round(SOAK_STANDING * soak_scale), SOAK_TALK_S
    with ExitStack() as stack:
        office = Office(tmp_path)
        server = office.server
        stack.callback(server.close)
        up = stack.enter_context(calls_with_media(tmp_path, server, standing, hold_ms=3_600_000, called="1003"))
        phones = media.Phones(up.streams, seconds)
        talk_until = time.monotonic() + seconds
        office.left_by(WARM)
        left = office.left_by(ALONE)

        contact = free_port()
        register(tmp_path, server, "1002", contact)
        callee = sipp.Sipp(tmp_path, "answer", target=server.address, port=contact)
        stack.callback(callee.close)
        caller = sipp.Sipp(
            tmp_path, "call", target=server.address, port=free_port(), rate=rate, rows=call_rows("1002"),
        )  # fmt: skip
        stack.callback(caller.close)
        registering = sipp.Sipp(
            tmp_path, "register", target=server.address, port=free_port(), rate=REGISTRATIONS_RATE,
            rows=[["1005", sipp.credentials("1005"), free_port()]],
        )  # fmt: skip
        stack.callback(registering.close)
        wait_until(lambda: server.stats()["calls_answered"] > standing, 15, "calls come")
        last, halfway = office.reloads + reloads, 0
        while office.reloads < last or time.monotonic() < talk_until:
            office.reload()
            if not halfway and time.monotonic() > talk_until - seconds / 2:
                halfway = server.anonymous_kb()
        grown = server.anonymous_kb() / halfway - 1
        heard, _ = phones.end()
        wait_until(lambda: len(server.rows("cdr", "--limit", "100000")) > rate, 60, "a second's calls ended")
        for load in (caller, registering):
            load.process.signal(signal.SIGUSR1)  # sipp begins no more calls and ends with the last
            load.wait(60)
        print(
            f"{office.reloads} reloads, {caller.successful()} calls at {rate}/s, {registering.successful()} "
            f"registrations; {ALONE} reloads left {left} kB, memory grew by {grown:.1%}; standing calls: {heard}"
        )
        for load in (caller, registering):
            assert load.failed() == 0 and load.successful() > rate
        assert heard["lost"] == heard["streams"]["missing"] == 0
        assert heard["streams"]["longest_gap_ms"] - heard["late_send_ms"] < (SOAK_GAP_MS if soak else GAP_MS)
        assert heard["sent"] > 2 * standing * 50 * (seconds - 1)
        assert left < LEFT_KB
        if soak:
            assert grown < GROWTH
        wait_until(lambda: server.stats()["calls"] == standing, 10, "every other call has ended")
        rows = server.rows("cdr", "--limit", "100000")
        assert {row["disposition"] for row in rows if row["ended"]} == {"answered"}
