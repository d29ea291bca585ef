"""Requests too large for UDP: RFC 3261 §18.1.1.

One that a URI sends by UDP and that is larger than 1300 bytes goes by TCP to the same address and port. When that
connection is refused, it goes by UDP after all, and the peer is remembered as one without TCP. A request whose flow was
given (a registered phone's, a dialog's) stays on it: there the peer has shown what it speaks. So does REGISTER, which
binds the flow that it comes by.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import Final

from sipcore.flow import Address, Flow
from sipcore.routing import ANY_LOCAL
from sipcore.state import EndpointState

# "If a request is within 200 bytes of the path MTU, or if it is larger than 1300 bytes and the path MTU is unknown".
LARGEST_BY_UDP: Final = 1300
# A firewall that drops SYNs costs the caller `TcpLimits.connect_s`: once in a while, not with each call.
REFUSAL_LASTS_S: Final = 600.0
MAX_REFUSALS: Final = 1000


class LargeRequests:
    """Which requests change to TCP, and which peers have none."""

    __slots__ = ("_refusals", "_state")

    def __init__(self, state: EndpointState) -> None:
        self._state = state
        self._refusals: OrderedDict[Address, float] = OrderedDict()  # until when

    def by_tcp(self, flow: Flow, size: int, now: float) -> Flow | None:
        """The TCP flow for a request of `size` bytes that was to go by `flow`; None when it stays there."""
        state = self._state
        if size <= LARGEST_BY_UDP or flow.transport != "UDP" or not state.large_by_tcp:
            return None
        if self._refusals.get(flow.remote, now) > now:
            return None
        found = state.with_local(Flow("TCP", ANY_LOCAL, flow.remote))
        if found.local is ANY_LOCAL:
            return None  # nothing of ours speaks TCP in this family
        own = Address(flow.local.host, found.local.port)
        state.counters["requests_large_by_tcp"] += 1
        return replace(found, local=own) if own in state.locals["TCP"] else found

    def refused(self, remote: Address, now: float) -> None:
        """Nobody took the connection."""
        self._state.counters["requests_large_refused"] += 1
        self._refusals[remote] = now + REFUSAL_LASTS_S
        self._refusals.move_to_end(remote)
        if len(self._refusals) > MAX_REFUSALS:
            self._refusals.popitem(last=False)
