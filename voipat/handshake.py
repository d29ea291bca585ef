"""One leg's DTLS handshake: computed beside the loop, with a time limit, and its end told to the leg.

flights of the port ─▶ queue ─▶ executor ─▶ flights to send, keys, or the cause that there are none
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Final

from media import SrtpKeys
from media.dtls import DtlsAssociation, DtlsStep
from sipcore.sdp_security import Dtls

Pair = tuple[str, int]

# Until then there must be keys, or the call ends: a caller waits no longer in silence.
HANDSHAKE_S: Final = 5.0
# Datagrams that wait for their turn; a peer that sends more before it is answered sends them again anyway.
MAX_WAITING: Final = 16


def same_association(before: Dtls, now: Dtls) -> bool:
    """Whether a new description goes on with the handshake of before (RFC 8842 §5)."""
    return now.role is None or (set(before.fingerprints) == set(now.fingerprints) and before.role == now.role)


class Handshake:
    """Ends once: `on_keys(keys, peer)`, or `on_failure(cause)`. Without an executor it computes where it is called."""

    def __init__(
        self,
        association: DtlsAssociation,
        *,
        loop: asyncio.AbstractEventLoop,
        executor: Executor | None,
        send: Callable[[bytes, Pair], None],
        on_keys: Callable[[SrtpKeys, Pair], None],
        on_failure: Callable[[str], None],
        peer: Pair | None,
    ) -> None:
        self._association = association
        self._loop = loop
        self._executor = executor
        self._send = send
        self._on_keys = on_keys
        self._on_failure = on_failure
        self._peer = peer
        self._jobs: deque[Callable[[], DtlsStep]] = deque()
        self._is_busy = False
        self._is_over = False
        self._has_keys = False
        self._retransmit: asyncio.TimerHandle | None = None
        self._deadline = loop.call_later(HANDSHAKE_S, self._expire)

    def start(self) -> None:
        """Begin: the client says hello."""
        self._add(self._association.start)

    def receive(self, datagram: bytes, source: Pair) -> None:
        """A datagram of the peer, from where its answers go."""
        if self._is_over or len(self._jobs) >= MAX_WAITING:
            return
        if not self._has_keys:
            self._peer = source
        self._add(lambda: self._association.receive(datagram))

    def close(self) -> None:
        """Nothing more happens."""
        self._is_over = True
        self._jobs.clear()
        self._deadline.cancel()
        if self._retransmit is not None:
            self._retransmit.cancel()

    def _add(self, job: Callable[[], DtlsStep]) -> None:
        self._jobs.append(job)
        self._pump()

    def _pump(self) -> None:
        while self._jobs and not self._is_busy:
            job = self._jobs.popleft()
            if self._executor is None:
                self._take(job())
                continue
            self._is_busy = True
            self._loop.run_in_executor(self._executor, job).add_done_callback(self._computed)

    def _computed(self, done: asyncio.Future[DtlsStep]) -> None:
        self._is_busy = False
        if done.cancelled() or self._is_over:
            return
        self._take(done.result())
        self._pump()

    def _take(self, step: DtlsStep) -> None:
        if self._is_over:
            return
        if self._peer is not None:
            for flight in step.flights:
                self._send(flight, self._peer)
        if self._retransmit is not None:
            self._retransmit.cancel()
            self._retransmit = None
        if step.failure is not None:
            self._fail(step.failure)
        elif step.keys is not None and self._peer is not None:
            self._has_keys = True
            self._deadline.cancel()
            self._on_keys(step.keys, self._peer)
        elif step.timeout is not None and not self._has_keys:
            self._retransmit = self._loop.call_later(step.timeout, self._add, self._association.handle_timeout)

    def _expire(self) -> None:
        self._fail(f"no handshake within {HANDSHAKE_S:g} s")

    def _fail(self, cause: str) -> None:
        if self._has_keys:
            return
        self.close()
        self._on_failure(cause)
