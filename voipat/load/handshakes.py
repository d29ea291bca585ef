"""TLS clients that connect one after the other, in a process of their own that loads nothing else."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator

# From so many addresses: a server may take only some connections of each.
PER_ADDRESS, ADDRESSES = 40, 200


class HandshakeError(Exception):
    """A connection was not made."""


@contextlib.contextmanager
def handshakes(
    server: tuple[str, int], count: int, *, name: str, certificates: str, core: int, keep: bool = False
) -> Iterator[float]:
    """How many seconds so many full handshakes took; `keep`: the connections stay until the end of the block.

    Raises: HandshakeError.
    """
    order = {"server": server, "count": count, "name": name, "certificates": certificates, "core": core, "keep": keep}
    child = subprocess.Popen(
        [sys.executable, "-I", __file__, json.dumps(order)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with child:
        assert child.stdout is not None and child.stderr is not None, "it was started with pipes"
        line = child.stdout.readline()
        if not line:
            raise HandshakeError((child.stderr.read().strip().splitlines() or ["it ended"])[-1])
        try:
            yield float(line)
        finally:
            child.communicate()


def main() -> None:
    """Does what the argument says, tells how long it took, and ends with its input."""
    order = json.loads(sys.argv[1])
    os.sched_setaffinity(0, {order["core"]})
    context = ssl.create_default_context(cafile=order["certificates"])
    context.check_hostname = False
    kept = []
    begun = time.monotonic()
    for number in range(order["count"]):
        address = f"127.0.{1 + number // PER_ADDRESS % ADDRESSES}.1"
        raw = socket.create_connection(tuple(order["server"]), timeout=10, source_address=(address, 0))
        made = context.wrap_socket(raw, server_hostname=order["name"])
        if order["keep"]:
            kept.append(made)
        else:
            made.close()
    print(time.monotonic() - begun, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
