"""What the kernel allows this process, and how many calls that is.

A call of the PBX is two legs; each leg is one port of the engine: an RTP and an RTCP socket on an even and an odd
number. Descriptors and media ports therefore bound the calls, and the smaller bound is enforced at admission (503)
instead of being met in the middle of a call.
"""

from __future__ import annotations

import os
import resource
import socket
from dataclasses import dataclass
from pathlib import Path

from pbx.errors import StartError

SOCKETS_PER_PORT = 2
PORTS_PER_CALL = 2
# Standard streams, loop, listeners, store, log, control: 30 measured on an idle daemon; room for the rest.
RESERVED_DESCRIPTORS = 64
# At nine tenths new calls and connections are refused, so that what runs can still open a file (F9).
USABLE_SHARE = 0.9
# Stream connections of phones live beside the calls; half of what is left after the reserve is theirs only when
# the operator listens on a stream transport, and they are refused first.
STREAM_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class Capacity:
    """How many calls fit, and what bounds them; `connections` is the number of stream connections that fit beside."""

    descriptors: int
    calls_by_descriptors: int
    calls_by_ports: int
    connections: int

    @property
    def calls(self) -> int:
        return min(self.calls_by_descriptors, self.calls_by_ports)

    @property
    def bound_by(self) -> str:
        return "descriptors" if self.calls_by_descriptors < self.calls_by_ports else "media ports"


def raise_descriptor_limit() -> int:
    """The number of descriptors this process may open, after its soft limit was raised to the hard one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError):  # a hard limit above fs.nr_open: what we had stays
            return soft
    return hard if hard != resource.RLIM_INFINITY else 1_048_576  # the kernel's own default of fs.nr_open


def derive_capacity(descriptors: int, low: int, high: int, *, streams: bool = True) -> Capacity:
    """The calls that `descriptors` and the media range `low`–`high` (inclusive) carry."""
    usable = max(0, int(descriptors * USABLE_SHARE) - RESERVED_DESCRIPTORS)
    connections = int(usable * STREAM_SHARE) if streams else 0
    first_even = low + low % 2
    ports = max(0, (high - first_even + 1) // 2)
    return Capacity(
        descriptors=descriptors,
        calls_by_descriptors=(usable - connections) // (SOCKETS_PER_PORT * PORTS_PER_CALL),
        calls_by_ports=ports // PORTS_PER_CALL,
        connections=connections,
    )


def check_media_address(address: str) -> None:
    """Nothing when media can be received on `address`.

    Raises: StartError, so that it is said at the start and not in the first call.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError as error:
        raise StartError(f"server.media: {address}: {reason_text(error)}") from None


def reason_text(error: OSError) -> str:
    """What the kernel said, as the end of a line."""
    text = os.strerror(error.errno) if error.errno else str(error)
    return text[:1].lower() + text[1:]


def receive_buffer_warning(given: int, wanted: int, *, rmem_max: Path = Path("/proc/sys/net/core/rmem_max")) -> str:
    """What to say when the kernel gave less than `wanted` bytes of receive buffer; empty when it is enough.

    Linux caps silently at `net.core.rmem_max` (often 208 kB).
    """
    if given >= wanted:
        return ""
    try:
        cap = rmem_max.read_text().strip()
    except OSError:
        cap = "unknown"
    return (
        f"the kernel gave a receive buffer of {given // 1024} kB instead of {wanted // 1024} kB (net.core.rmem_max is "
        f"{cap}); bursts may be lost: sysctl -w net.core.rmem_max={wanted}"
    )


def resident_kb(status: Path = Path("/proc/self/statm")) -> int:
    """Resident memory of this process in kB; 0 where the kernel does not tell."""
    try:
        return int(status.read_text().split()[1]) * resource.getpagesize() // 1024
    except (OSError, IndexError, ValueError):
        return 0


def open_descriptors(directory: Path = Path("/proc/self/fd")) -> int:
    """How many descriptors this process has open; 0 where the kernel does not tell."""
    try:
        return sum(1 for _ in directory.iterdir()) - 1
    except OSError:
        return 0
