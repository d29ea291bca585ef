"""TLS: CPU of the server per handshake, and memory per idle connection.

The clients run in a process of their own: openssl's share is not counted. One JSON object a line.
"""

from __future__ import annotations

import asyncio
import gc
import json
import multiprocessing
import resource
import socket
import ssl
import statistics
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

from sipcore.aio.driver import Driver
from sipcore.aio.entropy import SystemEntropy
from sipcore.aio.tcp import TcpLimits, TcpTransport, open_tcp
from sipcore.aio.tls import TlsContexts, TlsIdentities, TlsSource
from sipcore.endpoint import Endpoint
from sipcore.flow import Address
from tests.certificates import Authority

HANDSHAKES = 1000
IDLE = 2000
RUNS = 3
FEW = 10


def connect(pipe: Connection, trusted: Path) -> None:
    """Opens as many connections as it is told; keeps them when told so."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    kept = []
    while (order := pipe.recv()) is not None:
        port, count, keep, version = order
        context = ssl.create_default_context(cafile=trusted)
        context.maximum_version = version
        first = len(kept)
        for number in range(first, first + count):
            raw = socket.create_connection(("127.0.0.1", port), source_address=(host(number), 0))
            secured = context.wrap_socket(raw, server_hostname="office.test")
            if keep:
                kept.append(secured)
            else:
                secured.close()
        pipe.send(None)
    pipe.close()


def host(number: int) -> str:
    """The per-address cap is 50."""
    return f"127.0.{1 + number // 40 % 100}.1"


def cpu() -> float:
    return time.process_time()


def resident_kb() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() // 1024


async def asked(pipe: Connection, *order: object) -> None:
    pipe.send(order)
    await asyncio.to_thread(pipe.recv)


async def listening(source: TlsSource) -> TcpTransport:
    endpoint = Endpoint(entropy=SystemEntropy())
    driver = Driver(endpoint, on_event=lambda _: None, loop=asyncio.get_running_loop())
    limits = TcpLimits(first_message_s=300.0)
    return await open_tcp(driver, Address("127.0.0.1", 0), limits=limits, tls=source)


async def measure(pipe: Connection, source: TlsSource) -> None:
    transport = await listening(source)
    port = transport.local.port
    for version in (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2):
        await asked(pipe, port, FEW, False, version)
        runs = []
        for _ in range(RUNS):
            before = cpu()
            await asked(pipe, port, HANDSHAKES, False, version)
            runs.append((cpu() - before) / HANDSHAKES * 1000)
        show(f"handshake, {version.name.replace('_', '.')}, P-256", "ms", runs, "accept to close, one core")
    runs = []
    for _ in range(RUNS):
        before = resident_kb()
        await asked(pipe, port, IDLE // RUNS, True, ssl.TLSVersion.TLSv1_3)
        runs.append((resident_kb() - before) / (IDLE // RUNS))
    show("idle TLS connection", "kB", runs, "resident memory")
    await transport.driver.close()


def show(name: str, unit: str, runs: list[float], note: str) -> None:
    value = statistics.median(runs)
    print(json.dumps({"name": name, "unit": unit, "value": value, "runs": runs, "note": note}), flush=True)


def main() -> None:
    """Measure and print."""
    import uvloop

    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with tempfile.TemporaryDirectory() as directory:
        authority = Authority(Path(directory))
        pair = authority.issue("office.test")
        ours, theirs = multiprocessing.get_context("spawn").Pipe()
        client = multiprocessing.get_context("spawn").Process(target=connect, args=(theirs, authority.file))
        client.start()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(measure(ours, TlsSource(TlsContexts(TlsIdentities(pair)))))
        ours.send(None)
        client.join()


if __name__ == "__main__":
    main()
