"""The media engine: relay, echo, prompts, digits. No packet reaches Python; verbs go down, events come up.

All verbs are synchronous, non-blocking and cheap, and belong to one thread (the event loop's). A verb takes effect when
the port's worker reads it, in order; results come back as events. With a ManualClock there are no threads and no
sockets: `feed`, `step` and `take` drive the same kernels.
"""

from __future__ import annotations

import errno
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from media._engine import (
    CARRIES_DATAGRAMS,
    CARRIES_RTP,
    KEY_OFF_MIN,
    KEY_ON_MAX,
    KEYS_MAX,
    Core,
    EncodedAudio,
)
from media.codecs import Format
from media.errors import NoPortsLeftError
from media.events import (
    DIGITS,
    FlightReceived,
    MediaEvent,
    event_of,
)
from media.keys import (
    SrtpKeys,
)
from media.mixer import Mixer
from media.opus import maybe_opus
from media.plugins import PLUGINS, plugin_functions
from media.port import Pair, Port, PortNumbers
from media.recorder import BATCH_SECONDS, Channels, OnFinished, OpenFile, Recorder, Recording, make_tape
from media.scheduling import Scheduling, WorkerThreads
from media.securing import Securing
from media.stats import AudioStats, IntakeStats, Lateness, PortStats, port_stats
from media.tap import TAP_FRAMES, DropPolicy, Speaking, Tap, TapSide

# A payload type, and what its octets become: one of TRANSLATIONS, in the order of vp_translation.
Translated = tuple[int, str]
TRANSLATIONS = ("nothing", "to_alaw", "to_ulaw")

MAX_DIGITS = KEYS_MAX  # of one `send_digits`

# DSCP of telephony (RFC 4594 §4.1): expedited forwarding.
EXPEDITED_FORWARDING = 46

# Seconds after an offer or answer in which a port learns its source; rtpengine's heuristic learning ends likewise.
LATCH_WINDOW = 3.0

# Events that may wait for the loop; one more is lost and counted.
EVENT_RING = 4096

_SLOTS = 1 << 20

# What the worker paces by: everything that a port sends of itself is a multiple of it.
TICK_SECONDS = 0.02
SAMPLE_RATE = 8000


@dataclass(slots=True)
class ManualClock:
    """The engine's time, moved by `Engine.step` alone; `wallclock` (UTC seconds at now = 0) dates RTCP."""

    now: float = 0.0
    wallclock: float = 0.0


class Engine:
    """Owns the workers and the ports. Close it, or use it as a context manager."""

    def __init__(
        self,
        *,
        workers: int = 1,
        port_range: tuple[int, int] = (20000, 29999),
        clock: ManualClock | None = None,
        media_timeout: float = 30.0,
        dscp: int = EXPEDITED_FORWARDING,
        realtime: bool = True,
    ) -> None:
        """`port_range` is inclusive; `media_timeout` 0 reports none; `realtime`: the workers go first where they may.

        Raises: ValueError, OSError (no descriptors), MemoryError.
        """
        low, high = port_range
        if not (1 <= low < high <= 65535) or not 0 <= dscp <= 63:
            raise ValueError(f"port range {low}-{high} or DSCP {dscp} is impossible")
        self._range = port_range
        self._clock = clock
        self._dscp = dscp
        self._workers = workers
        self._numbers: dict[str, PortNumbers] = {}
        self._ports: dict[int, Port] = {}
        self._leaving: dict[int, Port] = {}  # closed on the manual clock, their last packets not taken yet
        self._recorder = Recorder(threaded=clock is None)
        self._recorded = 0.0
        self._opened = 0
        self._rooms = 0
        self._numbered = 0  # playbacks and runs of digits, so that their events name them
        capacity = min(_SLOTS, 2 * (high - low + 1))
        self._core = Core(capacity, workers, clock is not None, media_timeout, EVENT_RING)
        self._securing = Securing(self._core)
        self._threads = WorkerThreads(self._core.run, 0 if clock else workers, first=realtime)
        self._set_time()
        opus = maybe_opus()
        if opus is not None:
            self._core.use_opus(opus)
        for plugin in PLUGINS:
            if functions := plugin_functions(plugin):
                self._core.use_plugin(plugin.kind, functions)

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # Ports

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
        """A port on the address `bind`; what it sends starts with these numbers. See `set_remote` for the rest.

        Raises: NoPortsLeftError, OSError (the address is not ours, or descriptors ran out), EngineClosedError.
        """
        number, handle = self._open(bind, ssrc & 0xFFFFFFFF, sequence & 0xFFFF, timestamp & 0xFFFFFFFF)
        port = Port(handle, bind, number, number + 1)
        self._ports[handle] = port
        self._securing.opened(port, ssrc & 0xFFFFFFFF)
        if remote is None and remote_rtcp is None:
            return port  # as the native side opens it: nobody has a claim
        window = LATCH_WINDOW if latch and remote else 0.0
        try:
            self.set_remote(port, remote, remote_rtcp=remote_rtcp, latch_window=window)
        except ValueError:
            self.close_port(port)
            raise
        return port

    def _open(self, bind: str, ssrc: int, sequence: int, timestamp: int) -> tuple[int, int]:
        now = self._core.now()
        numbers = self._numbers.get(bind)
        if numbers is None:
            numbers = self._numbers[bind] = PortNumbers(*self._range)
        worker = self._opened % self._workers
        while (number := numbers.maybe_take(now)) is not None:
            try:
                handle = self._core.open(bind, number, self._dscp, ssrc, sequence, timestamp, worker)
            except OSError as error:
                numbers.rest(number, now)
                if error.errno == errno.EADDRINUSE:
                    continue  # another program has it
                raise
            if handle:
                self._opened += 1
                return number, handle
            numbers.rest(number, now)
            break
        raise NoPortsLeftError(f"no media port left on {bind} in {self._range[0]}-{self._range[1]}")

    def set_remote(  # noqa: PLR0913  # the facts of one answer, by keyword
        self,
        port: Port,
        remote: Pair | None,
        *,
        remote_rtcp: Pair | None = None,
        payload_types: Collection[int] | None = None,
        telephone_event: int | None = None,
        event_rate: int | None = None,
        clock_rate: int = 8000,
        latch_window: float = LATCH_WINDOW,
        signalling: Pair | None = None,
        rtcp_mux: bool = False,
    ) -> None:
        """Take what an offer or answer said, and learn the source anew for `latch_window` seconds (0: never).

        `payload_types` are those that the far side may send (None: any); `telephone_event` is the one of them that
        carries digits, `event_rate` its clock where that is not `clock_rate`. `signalling` is the address that the far
        side's SIP comes from: RTP from that host is preferred to a stranger's. Call it at each offer or answer, and
        when a call is answered: learning ends with the window.
        """
        event = -1 if telephone_event is None else telephone_event
        self._core.set_remote(
            port.id,
            remote,
            remote_rtcp,
            signalling,
            latch_window,
            payload_types,
            event,
            event_rate or 0,
            clock_rate,
            rtcp_mux,
        )

    def close_port(self, port: Port) -> None:
        """Close it; its numbers rest for two seconds. Raises: StaleHandleError."""
        self._core.close(port.id)
        del self._ports[port.id]
        self._securing.closed(port)
        if self._clock:
            self._leaving[port.id] = port
        self._settle_recordings()
        self._numbers[port.address].rest(port.rtp_port, self._core.now())

    # Media

    def connect(
        self,
        a: Port,
        b: Port,
        *,
        a_to_b: Mapping[int, int],
        b_to_a: Mapping[int, int],
        a_translated: Translated | None = None,
        b_translated: Translated | None = None,
    ) -> None:
        """Relay between two ports, payload type in → out; other types are dropped and counted, or transcoded when both
        ports have audio that encodes (`set_audio`).

        What is `translated` goes from one G.711 law to the other, octet by octet: (payload type in, "to_alaw").
        """
        if a is b:
            raise ValueError("a port is connected with another one; `echo` is for itself")
        for source, target, types, translated in ((a, b, a_to_b, a_translated), (b, a, b_to_a, b_translated)):
            payload_type, law = translated or (-1, "nothing")
            self._core.route(source.id, target.id, types, payload_type, TRANSLATIONS.index(law))

    def disconnect(self, a: Port) -> None:
        """End the relay of `a` and its peer; without one nothing happens."""
        self._core.unroute(a.id)

    def echo(self, port: Port, enabled: bool = True) -> None:
        """Send RTP back to whom it came from, at once. `connect` ends it."""
        self._core.echo(port.id, enabled)

    def hold(self, port: Port, held: bool = True) -> None:
        """The far side holds us: send it nothing, and expect nothing from it (no MediaTimeout)."""
        self._core.hold(port.id, held)

    def mute(self, port: Port, muted: bool = True) -> None:
        """Forward nothing of what arrives at the port; digits are still reported."""
        self._core.mute(port.id, muted)

    def carry(self, port: Port, *, rtp: bool) -> None:
        """The port is for what is no audio: each datagram goes to the connected port, of its kind, as it came.

        With `rtp` RTP and its RTCP, whose feedback the far sides give each other; else anything from the learnt source
        that begins with a sequence number, as UDPTL does. It sends no reports, and there is no MediaTimeout.
        Raises: StaleHandleError.
        """
        self._core.carry(port.id, CARRIES_RTP if rtp else CARRIES_DATAGRAMS)
        self._securing.carries(port)

    # SRTP

    def secure(self, port: Port, keys: SrtpKeys, *, source: Pair | None = None, fresh: bool = False) -> None:
        """Seal what the port sends and open what it receives; anything that is not sealed is dropped from now on.

        Called again with the same keys it changes nothing. New keys take over from the old ones: rollover counters go
        on (RFC 3711 §3.3.1), and for two seconds packets under the old keys are still taken; not so when `fresh` says
        that the far side starts anew (its address changed with its key, RFC 4568 §7.1.4). `source`: who has
        proven to be the far side by a handshake. Raises: CryptoError, StaleHandleError.
        """
        self._securing.secure(port, keys, source=source, fresh=fresh)

    def await_keys(self, port: Port, *, dtls: bool) -> None:
        """Drop everything until `secure`; with `dtls`, handshakes come up as FlightReceived."""
        self._securing.await_keys(port, dtls=dtls)

    def unsecure(self, port: Port) -> None:
        """Plain RTP again."""
        self._securing.unsecure(port)

    def send_flight(self, port: Port, data: bytes, destination: Pair) -> None:
        """A datagram of a handshake, from the port's RTP socket."""
        self._core.send_flight(port.id, data, destination)

    @property
    def srtp_contexts(self) -> int:
        """Ports that use SRTP now, and generations of keys that a worker has not let go of yet."""
        return self._core.crypto_contexts()

    # Decoded audio

    def set_audio(
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
        """Decode what arrives at the port into frames of 20 ms at `rate` (8000, 16000, 48000), instead of before.

        `receive` are the formats under the numbers of the far side. With `told`, those under the numbers that it
        is sent, what a relay or a prompt sends is decoded too, for a recording. `send` is what samples are encoded in:
        those of the connected port when the audio `encodes`, whose `rate` must be the same, or those of a source.
        `comfort_noise` is the payload type (RFC 3389) that takes the place of their pauses, with the clock of `send`.
        Raises: StaleHandleError, ValueError, CodecMissingError.
        """
        self._core.set_audio(
            port.id,
            rate,
            [format_.raw(rate) for format_ in receive],
            [format_.raw(rate) for format_ in told],
            None if send is None else send.raw(rate),
            encodes,
            -1 if comfort_noise is None else comfort_noise,
        )

    def mixer(self, rate: int = 16000, *, beside: Port | None = None) -> Mixer:
        """A new room at this rate (8000, 16000, 48000); rooms take turns on the workers.

        With `beside` it is an open one, for that port and the one it is connected with. Raises: ValueError,
        StaleHandleError.
        """
        if beside is not None:
            return Mixer(self._core, rate, self._core.worker_of(beside.id), is_open=True)
        self._rooms += 1
        return Mixer(self._core, rate, self._rooms % self._workers)

    def drop_audio(self, port: Port) -> None:
        """Decode no more; who listened is let go."""
        self._core.drop_audio(port.id)

    def audio_stats(self, port: Port) -> AudioStats:
        """What was decoded and encoded until now. Raises: StaleHandleError."""
        heard, said, encoded = self._core.audio_stats(port.id)
        return AudioStats(IntakeStats(*heard), IntakeStats(*said), encoded)

    def record(
        self,
        port: Port,
        open_file: OpenFile,
        *,
        rate: int = 8000,
        channels: Channels = "stereo",
        max_seconds: float | None = None,
        on_finished: OnFinished,
    ) -> Recording:
        """Write what the port hears (left) and says (right), which must have audio (`set_audio`), until it is closed.

        `open_file` is called on the recorder's thread, and so is `on_finished`, once. Raises: StaleHandleError,
        ValueError.
        """
        number = self._next_number()
        tape, form = make_tape(number, rate, channels)
        self._core.attach_sink(port.id, tape.sink())
        recording = Recording(tape, form, open_file, number=number, max_seconds=max_seconds, on_finished=on_finished)
        self._recorder.add(recording)
        return recording

    def stop_recording(self, port: Port, recording: Recording) -> None:
        """What is recorded until now is all. Raises: StaleHandleError, when the end of the port has stopped it."""
        self._core.detach(port.id, recording.number, False)
        self._settle_recordings()

    def tap(
        self,
        port: Port,
        *,
        rate: int = 8000,
        side: TapSide = "heard",
        drop: DropPolicy = "oldest",
        frames: int = TAP_FRAMES,
    ) -> Tap:
        """Listen to a port that has audio. `frames`, a power of two, is what may wait for the reader.

        Raises: StaleHandleError, ValueError.
        """
        tap = Tap(self._next_number(), rate, side=side, drop=drop, frames=frames)
        self._core.attach_sink(port.id, tap.tape.sink())
        return tap

    def speak(self, port: Port, *, rate: int = 8000) -> Speaking:
        """Say samples instead of what else would be sent; the audio of the port must have a format to send.

        One that was speaking before is let go. Raises: StaleHandleError, ValueError.
        """
        speaking = Speaking(self._next_number(), rate)
        self._core.attach_source(port.id, speaking.speech.source())
        return speaking

    def hear_key_tones(self, port: Port) -> int:
        """Report keys that are heard as tones in a port that has audio, as DigitReceived like any other (Q.24).

        For far sides that send no telephone-events: of those each key would be told twice. The number is for
        `ignore_key_tones`. Raises: StaleHandleError.
        """
        number = self._next_number()
        self._core.attach_key_tones(port.id, number)
        return number

    def ignore_key_tones(self, port: Port, number: int) -> None:
        """Report them no more. Raises: StaleHandleError."""
        self._core.detach(port.id, number, False)

    def untap(self, port: Port, one: Tap | Speaking) -> None:
        """End a tap or a speech. Raises: StaleHandleError."""
        self._core.detach(port.id, one.number, isinstance(one, Speaking))

    def _settle_recordings(self) -> None:
        """A recording may have ended: its file is closed at once. On the manual clock nobody else would."""
        if len(self._recorder):
            self._recorder.hurry()
            if self._clock:
                self._recorder.pump()

    def _next_number(self) -> int:
        self._numbered = self._numbered % 0xFFFFFFFF + 1
        return self._numbered

    # Prompts and digits

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
        """Send prompts one after another, `turns` times (0: until it is stopped); the number that its event will have.

        It begins at the next tick of 20 ms, `start` seconds into the prompts. What is relayed to the port or echoed by
        it rests meanwhile. A digit of `stop_digits` ends it at its first packet. PlaybackFinished tells the end; one
        that was playing before is replaced. `silence` is the code that fills up the last packet.
        Raises: StaleHandleError, ValueError.
        """
        mask = _digits_mask(stop_digits)
        number = self._next_number()
        octets = round(start * SAMPLE_RATE)
        self._core.play(port.id, prompts, payload_type, silence, turns, octets, mask, number)
        return number

    def stop_play(self, port: Port, number: int) -> None:
        """End the playback of that number; when it is over already nothing happens."""
        self._core.stop_play(port.id, number)

    def send_digits(
        self, port: Port, digits: str, *, payload_type: int, duration: float = 0.1, pause: float = 0.1
    ) -> int:
        """Send telephone-events (RFC 4733), the last packet of each three times; DigitsSent has the number returned.

        Times are rounded to 20 ms. A prompt or relayed stream goes on afterwards. Raises: ValueError.
        """
        keys = bytes(DIGITS.index(digit) for digit in digits)
        on, off = (round(seconds / TICK_SECONDS) for seconds in (duration, pause))
        if not 1 <= len(keys) <= MAX_DIGITS or not 2 <= on <= KEY_ON_MAX or not KEY_OFF_MIN <= off <= KEY_ON_MAX:
            raise ValueError(
                f"1 to {MAX_DIGITS} digits of 0.04 to {KEY_ON_MAX * TICK_SECONDS:.0f} s with pauses from "
                f"{KEY_OFF_MIN * TICK_SECONDS:.2f} s, not {len(keys)} of {duration} and {pause} s"
            )
        number = self._next_number()
        self._core.send_keys(port.id, keys, payload_type, on, off, number)
        return number

    # Events and figures

    def fileno(self) -> int:
        """The descriptor for `loop.add_reader`; readable when events wait. -1 with a manual clock."""
        return self._core.fileno()

    def arm(self) -> bool:
        """Ask for a wake-up at the next event; True when events wait already. `drain` does it by itself."""
        return self._core.arm()

    def drain(self) -> list[MediaEvent]:
        """All events that wait; the engine then wakes the loop at the next one."""
        raw = self._core.drain()
        flights = self._core.drain_flights()
        if self._core.arm():
            raw += self._core.drain()
            flights += self._core.drain_flights()
        # Of a port that was closed since nothing is told.
        found: list[MediaEvent] = [event_of(port, each) for each in raw if (port := self._ports.get(each[1]))]
        for handle, data, source in flights:
            if port := self._ports.get(handle):
                found.append(FlightReceived(port, data, source))
        return found

    def stats(self, port: Port) -> PortStats:
        """What the port has counted until now. Raises: StaleHandleError."""
        return port_stats(self._core.stats(port.id))

    @property
    def open_ports(self) -> int:
        """Ports that are open."""
        return len(self._ports)

    @property
    def free_ports(self) -> int:
        """Ports that could be opened now on the address that has the fewest left."""
        for numbers in self._numbers.values():
            numbers.wake(self._core.now())
        low, high = self._range
        return min((len(numbers) for numbers in self._numbers.values()), default=len(range(low + low % 2, high, 2)))

    @property
    def events_lost(self) -> int:
        """Events that found the ring full."""
        return self._core.figures()[0]

    @property
    def late_ticks(self) -> int:
        """Ticks of 20 ms that a worker took more than one period late."""
        return self._core.figures()[1]

    @property
    def lateness(self) -> Lateness:
        """How late the ticks of 20 ms came, since the start; two snapshots subtracted tell of the time between."""
        return Lateness(tuple(self._core.lateness()))

    @property
    def workers(self) -> int:
        """How many threads carry media."""
        return self._workers

    @property
    def scheduling(self) -> Scheduling:
        """How the system lets those threads run."""
        return self._threads.scheduling

    @property
    def cpu_seconds(self) -> tuple[float, ...]:
        """CPU time of each worker thread."""
        return tuple(self._core.figures()[2])

    def close(self) -> None:
        """Close every port and end the threads; harmless when repeated."""
        for port in list(self._ports.values()) if self._clock else ():
            self.close_port(port)
        self._core.stop()
        self._threads.join()
        self._recorder.close()
        self._core.release()
        self._ports.clear()
        self._securing.clear()

    # Manual clock

    def _set_time(self) -> None:
        if self._clock:
            now = round(self._clock.now * 1e9)
            self._core.set_time(now, now + round(self._clock.wallclock * 1e9))

    @property
    def is_producing(self) -> bool:
        """Whether a port plays or sends digits, so that each tick matters; on the manual clock."""
        return self._core.producing() > 0

    def feed(self, port: Port, packet: bytes, source: Pair, *, rtcp: bool = False) -> None:
        """A datagram arrives at the port (at its RTCP socket) from `source`. Raises: StaleHandleError."""
        self._core.feed(port.id, packet, source[0], source[1], rtcp)

    def step(self, now: float) -> None:
        """Move the clock to `now` and do what time alone causes."""
        if self._clock is None:
            raise ValueError("step is for the manual clock")
        self._clock.now = now
        self._set_time()
        self._core.step()
        if len(self._recorder) and now >= self._recorded + BATCH_SECONDS:
            self._recorded = now
            self._recorder.pump()

    def take(self) -> list[tuple[Port, Pair, bytes, bool]]:
        """The packets sent since the last call: (port, destination, packet, from its RTCP socket)."""
        ports = self._ports | self._leaving if self._leaving else self._ports
        self._leaving.clear()
        return [(ports[handle], to, packet, rtcp) for handle, to, packet, rtcp in self._core.take()]


@lru_cache(maxsize=64)  # programs name a handful of sets, and the whole keypad in every question
def _digits_mask(digits: str) -> int:
    """A bit for each digit. Raises: ValueError."""
    return sum({1 << DIGITS.index(digit) for digit in digits})
