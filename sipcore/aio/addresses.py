"""The addresses of this machine: which there are, which one reaches a peer, and when they change (rtnetlink(7)).

A datagram socket on a wildcard address cannot tell which of our addresses a request came to, so a wildcard listener
is one socket per address, and somebody has to know them. Asked of the kernel directly: the listing costs some tens
of microseconds, the choice of a source (`connect` on a datagram socket sends nothing) about nine.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Callable, Iterator
from typing import Final

from sipcore.routing import UNSPECIFIED

logger: Final = logging.getLogger("sipcore.aio")

# linux/rtnetlink.h, linux/if_addr.h
_RTM_NEWADDR: Final = 20
_RTM_GETADDR: Final = 22
_NLM_F_REQUEST_DUMP: Final = 0x301
_GROUPS: Final = 0x10 | 0x100  # RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR
_IFA_ADDRESS: Final = 1
_IFA_LOCAL: Final = 2
# An IPv6 address whose uniqueness is still being checked, or was refused, cannot be bound.
_IFA_F_UNUSABLE: Final = 0x40 | 0x08
_SCOPE_LINK: Final = 253

_HEADER: Final = struct.Struct("=IHHII")
_IFADDRMSG: Final = struct.Struct("=BBBBI")
_RTATTR: Final = struct.Struct("=HH")
_READ_SIZE: Final = 65536

# Several addresses of one interface change together.
SETTLE_S: Final = 0.1


def is_wildcard(host: str) -> bool:
    """Whether `host` stands for every address of its family."""
    return host in UNSPECIFIED


def local_addresses(*, ipv6: bool) -> tuple[str, ...]:
    """The addresses of one family that can be bound now, in the kernel's order.

    Link-local ones of IPv6 are left out: they mean nothing without an interface. Raises: OSError.
    """
    family = socket.AF_INET6 if ipv6 else socket.AF_INET
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as handle:
        request = _IFADDRMSG.pack(family, 0, 0, 0, 0)
        handle.send(_HEADER.pack(_HEADER.size + len(request), _RTM_GETADDR, _NLM_F_REQUEST_DUMP, 1, 0) + request)
        found: dict[str, None] = {}
        is_complete = False
        while not is_complete:
            for kind, body in _messages(handle.recv(_READ_SIZE)):
                if kind == _RTM_NEWADDR:
                    found.update(dict.fromkeys(_address(body, family)))
                else:
                    is_complete = True
        return tuple(found)


def source_address(remote: str) -> str | None:
    """The address that the kernel would send from to `remote`, an IP literal; None when there is no route."""
    family = socket.AF_INET6 if ":" in remote else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as handle:
            handle.connect((remote, 9))
            return str(handle.getsockname()[0])
    except OSError:
        return None


class AddressWatch:
    """Calls back a moment after an address of this machine came or went."""

    def __init__(self, loop: asyncio.AbstractEventLoop, on_change: Callable[[], None]) -> None:
        """Raises: OSError."""
        self._loop = loop
        self._on_change = on_change
        self._settling: asyncio.TimerHandle | None = None
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._socket.setblocking(False)
        self._socket.bind((0, _GROUPS))
        loop.add_reader(self._socket.fileno(), self._readable)

    def close(self) -> None:
        """Watch no longer."""
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()
        if self._settling is not None:
            self._settling.cancel()

    def _readable(self) -> None:
        try:
            while self._socket.recv(_READ_SIZE):
                pass
        except BlockingIOError:
            pass
        except OSError as error:
            # ENOBUFS: some notices were lost; that there were any is all that matters.
            logger.debug("address notices lost: %s", error)
        if self._settling is None:
            self._settling = self._loop.call_later(SETTLE_S, self._settled)

    def _settled(self) -> None:
        self._settling = None
        self._on_change()


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and body of each netlink message."""
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, *_ = _HEADER.unpack_from(data, offset)
        yield kind, data[offset + _HEADER.size : offset + length]
        offset += max(_aligned(length), _HEADER.size)


def _address(body: bytes, family: int) -> tuple[str, ...]:
    """The address that one RTM_NEWADDR tells of, if it can be bound."""
    kind, _, flags, scope, _ = _IFADDRMSG.unpack_from(body)
    if kind != family or flags & _IFA_F_UNUSABLE or (family == socket.AF_INET6 and scope == _SCOPE_LINK):
        return ()
    attributes: dict[int, bytes] = {}
    offset = _IFADDRMSG.size
    while offset + _RTATTR.size <= len(body):
        length, name = _RTATTR.unpack_from(body, offset)
        attributes[name] = body[offset + _RTATTR.size : offset + length]
        offset += max(_aligned(length), _RTATTR.size)
    # On a point-to-point interface IFA_ADDRESS is the peer's.
    packed = attributes.get(_IFA_LOCAL) or attributes.get(_IFA_ADDRESS)
    return () if packed is None else (socket.inet_ntop(family, packed),)


def _aligned(length: int) -> int:
    return (length + 3) & ~3
