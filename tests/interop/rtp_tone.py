"""The media of a phone that is a SIP stack alone: a tone as PCMU every 20 ms, and what comes in, decoded."""

from __future__ import annotations

import socket
import threading
import time
from typing import Final

import numpy as np

from tests.interop.tones import Samples

FRAME: Final = 160
_CODES: Final = ~np.arange(256, dtype=np.uint8)
_MAGNITUDES: Final = (((_CODES & 15).astype(int) * 2 + 33) << ((_CODES >> 4) & 7)) - 33
DECODED: Final = np.where(_CODES & 128, -_MAGNITUDES, _MAGNITUDES).astype("<i2") * 4


def encoded(frequency: float, seconds: int = 1) -> bytes:
    """A sine at -12 dBFS as PCMU; whole hertz go on without a jump when it is repeated."""
    samples = 8192 * np.sin(2 * np.pi * frequency * np.arange(8000 * seconds) / 8000)
    order = np.argsort(DECODED, kind="stable")
    levels = DECODED[order].astype(float)
    nearest = np.clip(np.searchsorted((levels[1:] + levels[:-1]) / 2, samples), 0, 255)
    return order[nearest].astype(np.uint8).tobytes()


class RtpTone:
    """Sends to `remote` while it is set, listens always. `close` ends it."""

    def __init__(self, host: str, frequency: float) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.bind((host, 0))
        self._socket.settimeout(0.2)
        self.port = int(self._socket.getsockname()[1])
        self.remote: tuple[str, int] | None = None
        self._tone = encoded(frequency)
        self._heard = bytearray()
        self._marked = 0
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=each, daemon=True) for each in (self._send, self._receive)]
        for thread in self._threads:
            thread.start()

    def _send(self) -> None:
        sequence, due = 0, time.monotonic()
        while not self._ended.wait(max(0.0, due - time.monotonic())):
            due += 0.02
            at = sequence * FRAME % len(self._tone)
            header = b"\x80\x00" + (sequence & 0xFFFF).to_bytes(2, "big") + (sequence * FRAME).to_bytes(4, "big")
            if (remote := self.remote) is not None:
                self._socket.sendto(header + b"tone" + self._tone[at : at + FRAME], remote)
            sequence += 1

    def _receive(self) -> None:
        while not self._ended.is_set():
            try:
                packet = self._socket.recv(2048)
            except TimeoutError:
                continue
            if len(packet) > 12 and packet[1] & 127 == 0:
                self._heard += packet[12:]

    def mark(self) -> None:
        """`heard` begins here."""
        self._marked = len(self._heard)

    def heard(self) -> Samples:
        """What came since `mark`."""
        return DECODED[np.frombuffer(bytes(self._heard[self._marked :]), np.uint8)]

    def close(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()
        self._socket.close()
