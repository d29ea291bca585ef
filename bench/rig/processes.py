"""Programs started by a test: in a directory of their own, ended by pid, never left behind."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

T = TypeVar("T")

# How much longer than on a machine with nothing else to do a program may take.
PATIENCE: Final = 6
_given = itertools.count()


class PeerMissing(AssertionError):
    """A peer program is not installed; `make test` installs it, so this fails and never skips."""


def program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise PeerMissing(f"{name} is not installed: run `make peers`")
    return path


class Process:
    """A child process whose output goes to a file, ended at the latest by `close`."""

    def __init__(
        self, argv: Sequence[str], *, cwd: Path, log: Path, stdin: int = subprocess.DEVNULL, **env: str
    ) -> None:
        self.log = log
        with log.open("wb") as sink:
            self.child = subprocess.Popen(
                argv, cwd=cwd, stdout=sink, stderr=subprocess.STDOUT, stdin=stdin, env={**os.environ, **env}
            )

    @property
    def pid(self) -> int:
        return self.child.pid

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def alive(self) -> bool:
        return self.child.poll() is None

    def signal(self, number: int) -> None:
        self.child.send_signal(number)

    def wait(self, timeout: float) -> int:
        """Its exit status; `timeout` as that of `wait_until`."""
        return self.child.wait(PATIENCE * timeout)

    def ready(self, condition: Callable[[], T], timeout: float, what: str) -> T:
        """What `wait_until` gives; a process that never gets there is ended."""
        try:
            return wait_until(condition, timeout, what)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.child.terminate()
        try:
            self.child.wait(3)
        except subprocess.TimeoutExpired:
            self.child.send_signal(signal.SIGKILL)
            self.child.wait(3)


def wait_until(condition: Callable[[], T], timeout: float, what: str) -> T:
    """The first true value of `condition`, asked every 20 ms; fails with `what` if it never comes.

    `timeout` is what a machine with nothing else to do is given, in seconds; any other has `PATIENCE` times that.
    """
    deadline = time.monotonic() + PATIENCE * timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {PATIENCE} times {timeout} s: {what}")
        time.sleep(0.02)


def free_port(host: str = "127.0.0.1", *, run: int = 1) -> int:
    """The first of `run` ports in a row that are free on UDP and TCP now, below the kernel's ephemeral range.

    Ephemeral ports are no use: an outgoing connection of another test may take one before the program binds it.
    """
    start = 10_000 + os.getpid() * 37 % 4000 + next(_given) * 10
    for port in range(start, 19_900, 10):
        if all(_is_free(host, port + offset) for offset in range(run)):
            return port
    raise AssertionError("no free port below 19900")


def _is_free(host: str, port: int) -> bool:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        contextlib.suppress(OSError),
    ):
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        tcp.bind((host, port))
        udp.bind((host, port))
        return True
    return False
