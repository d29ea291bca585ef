"""The media engine in a simulated world: the same kernels on a manual clock, fed by the simulated network."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence

from media import EncodedAudio
from media.codecs import Format
from media.engine import Engine, ManualClock
from media.events import MediaEvent
from media.mixer import Mixer
from media.port import Port
from sipcore.flow import Address
from voipat.testing.network import SimNetwork

# Time alone causes RTCP and media timeouts; a second is fine enough for both.
STEP_SECONDS = 1.0
# What plays or sends digits does so at each tick of the engine.
_TICK_NS = 20_000_000

Pair = tuple[str, int]


class SimEngine(Engine):
    """An engine whose packets travel on a `SimNetwork`. It opens no socket and starts no thread."""

    def __init__(
        self, network: SimNetwork, *, port_range: tuple[int, int] = (20000, 23999), media_timeout: float = 30.0
    ) -> None:
        self._network = network
        self._timer: asyncio.TimerHandle | None = None
        self._by_address: dict[Address, tuple[Port, bool]] = {}
        self._waiting: list[MediaEvent] = []
        self._wake_up = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._is_closed = False
        super().__init__(port_range=port_range, clock=ManualClock(), media_timeout=media_timeout)

    def open_port(
        self,
        bind: str,
        *,
        remote: Pair | None = None,
        remote_rtcp: Pair | None = None,
        ssrc: int,
        sequence: int,
        timestamp: int,
        latch: bool = True,
    ) -> Port:
        """As in the engine; datagrams for the port's two addresses then come here."""
        self.advance()
        port = super().open_port(
            bind,
            remote=remote,
            remote_rtcp=remote_rtcp,
            ssrc=ssrc,
            sequence=sequence,
            timestamp=timestamp,
            latch=latch,
        )
        self._by_address[Address(bind, port.rtp_port)] = port, False
        self._by_address[Address(bind, port.rtcp_port)] = port, True
        self._network.bind_host(bind, self._receive)
        if self._timer is None:
            self._arm_timer()
        return port

    def close_port(self, port: Port) -> None:
        """As in the engine; what was sent before goes out first."""
        self.advance()
        del self._by_address[Address(port.address, port.rtp_port)]
        del self._by_address[Address(port.address, port.rtcp_port)]
        super().close_port(port)
        self._send()

    def play(
        self,
        port: Port,
        prompts: Sequence[EncodedAudio],
        *,
        payload_type: int,
        silence: int,
        turns: int = 1,
        start: float = 0.0,
        stop_digits: str = "",
    ) -> int:
        """As in the engine; its ticks are then those of the virtual clock."""
        self.advance()
        number = super().play(
            port,
            prompts,
            payload_type=payload_type,
            silence=silence,
            turns=turns,
            start=start,
            stop_digits=stop_digits,
        )
        self._send()
        self._collect()
        self._arm_timer()
        return number

    def stop_play(self, port: Port, number: int) -> None:
        """As in the engine."""
        self.advance()
        super().stop_play(port, number)
        self._send()
        self._collect()

    def send_digits(
        self, port: Port, digits: str, *, payload_type: int, duration: float = 0.1, pause: float = 0.1
    ) -> int:
        """As in the engine; its ticks are then those of the virtual clock."""
        self.advance()
        number = super().send_digits(port, digits, payload_type=payload_type, duration=duration, pause=pause)
        self._send()
        self._arm_timer()
        return number

    def set_audio(  # the facts of one answer, by keyword
        self,
        port: Port,
        *,
        rate: int,
        receive: Sequence[Format] = (),
        told: Sequence[Format] = (),
        send: Format | None = None,
        encodes: bool = False,
        comfort_noise: int | None = None,
    ) -> None:
        """As in the engine; its ticks are then those of the virtual clock."""
        self.advance()
        super().set_audio(
            port, rate=rate, receive=receive, told=told, send=send, encodes=encodes, comfort_noise=comfort_noise
        )
        self._arm_timer()

    def mixer(self, rate: int = 16000, *, beside: Port | None = None) -> Mixer:
        """As in the engine; who comes and goes does so at the loop's time."""
        return Mixer(self._core, rate, 0, self.advance, is_open=beside is not None)

    def fileno(self) -> int:
        """A descriptor that is readable when events wait, so that an App watches it as it does in production."""
        return self._wake_up

    def drain(self) -> list[MediaEvent]:
        """All events that wait."""
        self._collect()
        events, self._waiting = self._waiting, []
        if events:
            os.eventfd_read(self._wake_up)
        return events

    def close(self) -> None:
        """As in the engine."""
        super().close()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._is_closed:
            self._is_closed = True
            os.close(self._wake_up)

    def advance(self) -> None:
        """Bring the engine's clock to the loop's."""
        self.step(self._network.loop.time())

    def _receive(self, data: bytes, source: Address, destination: Address) -> None:
        found = self._by_address.get(destination)
        if found is None:
            return
        self.advance()
        self.feed(found[0], data, source, rtcp=found[1])
        self._send()
        self._collect()

    def _send(self) -> None:
        for port, destination, packet, is_rtcp in self.take():
            source = Address(port.address, port.rtcp_port if is_rtcp else port.rtp_port)
            self._network.send(source, Address(*destination), packet, media=True)

    def _collect(self) -> None:
        events = super().drain()
        if events and not self._waiting:
            os.eventfd_write(self._wake_up, 1)
        self._waiting += events

    def _arm_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        loop = self._network.loop
        due = loop.time() + STEP_SECONDS
        if self.is_producing:
            due = (round(loop.time() * 1e9) // _TICK_NS + 1) * _TICK_NS / 1e9
        self._timer = loop.call_at(due, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self.advance()
        self._send()
        self._collect()
        if self.open_ports:
            self._arm_timer()
