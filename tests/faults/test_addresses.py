"""Addresses that come and go under a wildcard listener, in a network namespace of the test's own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

SERVER = """
import asyncio, logging, sys
from voipat import App

async def main():
    async with App(listen="udp://0.0.0.0:5060", media="0.0.0.0:20000-20099") as app:
        known = None
        while True:
            found = sorted(transport.local.host for transport in app.driver.transports)
            if found != known:
                known = found
                print(*known, flush=True)
            await asyncio.sleep(0.01)

asyncio.run(main())
"""


@pytest.fixture
def namespace() -> Iterator[str]:
    """A network namespace with its loopback up, when we may make one."""
    name = f"voipat-{os.getpid()}"
    try:
        subprocess.run(["ip", "netns", "add", name], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no network namespace may be made here")
    subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
    yield name
    subprocess.run(["ip", "netns", "delete", name], check=True)


@pytest.mark.slow
def test_sockets_follow_the_addresses_of_the_machine(namespace: str) -> None:
    def address(verb: str, value: str) -> None:
        subprocess.run(["ip", "-n", namespace, "address", verb, value, "dev", "lo"], check=True)

    command = ["ip", "netns", "exec", namespace, sys.executable, "-c", SERVER]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline().split() == ["127.0.0.1"]
            address("add", "10.9.8.7/24")
            assert server.stdout.readline().split() == ["10.9.8.7", "127.0.0.1"]
            address("delete", "10.9.8.7/24")
            assert server.stdout.readline().split() == ["127.0.0.1"]
        finally:
            server.terminate()
