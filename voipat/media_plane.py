"""The engine as calls use it: where their ports are bound, whose a port is, what each leg's media must and may be."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from struct import Struct
from typing import TYPE_CHECKING, Final

from media import Engine, EngineStalledError, FlightReceived, MediaTimeout, Port, SourceLatched
from media.events import MediaEvent, SpeakingChanged
from media.prompts import PromptCache
from sipcore.entropy import Entropy
from sipcore.flow import Flow
from sipcore.routing import SECURE, UNSPECIFIED, is_ip_literal
from sipcore.sdp_security import LocalSecurity
from voipat.advertising import Advertising
from voipat.leg_audio import ALL_CODECS, LegCodecs, codecs_named, own_formats
from voipat.leg_rules import LegMedia, MediaRules, media_rules, rules_of
from voipat.media_leg import MediaLeg
from voipat.security import SecurityMaker, SrtpRules

if TYPE_CHECKING:
    from voipat.call import Call

logger: Final = logging.getLogger("voipat")

# Which of our addresses leads to the rest of the world (RFC 5737: nobody's address; nothing is sent).
_ELSEWHERE: Final = "203.0.113.1"
_LOOPBACK: Final = "127.0.0.1"
_NOTHING_ADVERTISED: Final = Advertising(None)


def parse_media(text: str) -> tuple[str, tuple[int, int]]:
    """ "ADDRESS:LOW-HIGH". Raises: ValueError."""
    address, _, ports = text.rpartition(":")
    low, dash, high = ports.partition("-")
    if not address or not dash or not low.isdigit() or not high.isdigit():
        raise ValueError(f"{text}: media is ADDRESS:LOW-HIGH")
    return address.strip("[]"), (int(low), int(high))


_FOUR_NUMBERS: Final = Struct(">IIII")


class MediaPlane:
    """The engine as calls use it: where ports are bound, what SDP says about them, whose a port is.

    With a wildcard in `bind` each port is bound to the address that the call's signalling uses; `source` says which
    one that is for a peer that was not heard yet.
    """

    def __init__(
        self,
        engine: Engine,
        entropy: Entropy,
        *,
        bind: str,
        advertising: Advertising = _NOTHING_ADVERTISED,
        source: Callable[[str], str | None] | None = None,
        rules: MediaRules | None = None,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.engine: Final = engine
        self.formats: Final = own_formats()
        self.loop: Final = loop
        self._rules = rules or media_rules()
        self.counters: Final[Counter[str]] = Counter()
        self.security: Final = SecurityMaker(entropy)
        self._executor: Executor | None = None
        self._entropy = entropy
        self._bind = bind
        self._advertising = advertising
        self._source = source
        self.owners: Final[dict[int, Call]] = {}
        self.prompts: Final = PromptCache()

    def open(self, call: Call, flow: Flow | None) -> MediaLeg:
        """A port for the call, whose signalling uses `flow`. Raises: MediaError, OSError."""
        if self._bind not in UNSPECIFIED:
            return self._open(call, flow, self._bind)
        if flow is not None and flow.local.host not in UNSPECIFIED:
            try:
                return self._open(call, flow, flow.local.host)
            except OSError as error:
                # A registration may be older than our address.
                logger.info("no media on %s: %s", flow.local.host, error)
        return self._open(call, flow, self._towards(call.to.host if flow is None else flow.remote.host))

    def _towards(self, host: str) -> str:
        source, host = self._source, host.strip("[]")
        if source is None:
            return _LOOPBACK
        return (is_ip_literal(host) and source(host)) or source(_ELSEWHERE) or _LOOPBACK

    def open_beside(self, leg: MediaLeg) -> tuple[Port, LocalSecurity | None]:
        """A port for a stream beside the leg's audio, and keys that are used for nothing else.

        Raises: MediaError, OSError.
        """
        port = self.engine.open_port(leg.port.address, ssrc=0, sequence=0, timestamp=0)
        self.owners[port.id] = self.owners[leg.port.id]
        found = leg.security
        if found is not None:
            keys = tuple((suite, self._entropy.bytes(suite.material)) for suite, _ in found.keys)
            found = replace(found, keys=keys)
        return port, found

    def close_beside(self, port: Port) -> None:
        """It is over."""
        self.owners.pop(port.id, None)
        self.engine.close_port(port)

    def deliver_events(self) -> None:
        """Give each event of the engine to the call that it is about."""
        for event in self.engine.drain():
            call = self.owners.get(event.port.id)
            if call is None:
                continue
            try:
                _deliver(event, call)
            except EngineStalledError as error:
                # A key that cannot be passed on is that call's loss; the events behind it are others'.
                call.note("an event of media was lost: %s", error)

    def close(self) -> None:
        """End what computes beside the loop."""
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._executor = None

    @property
    def executor(self) -> Executor | None:
        """Where handshakes are computed; None in a simulated world, whose time a thread would not see."""
        if self._executor is None and self.engine.fileno() >= 0:
            self._executor = ThreadPoolExecutor(1, thread_name_prefix="voipat-dtls")
        return self._executor

    def takes_info_digits(self, call: Call) -> bool:
        """Whether digits in an INFO of this leg are taken: as was said when its port was opened."""
        return self._rules_of(call).dtmf_info if call.media is None else call.media.takes_info_digits

    def _rules_of(self, call: Call) -> LegMedia:
        return rules_of(call, self._rules(call))

    def _security(self, call: Call, flow: Flow | None, rules: SrtpRules) -> LocalSecurity:
        if flow is not None:
            is_secure = flow.transport in SECURE
        else:
            is_secure = call.to.scheme == "sips" or str(call.to.params.get("transport")).lower() in SECURE
        return self.security.make(rules, is_secure=is_secure)

    def _open(self, call: Call, flow: Flow | None, bind: str) -> MediaLeg:
        entropy, rules = self._entropy, self._rules_of(call)
        codecs = _codecs_of(rules)
        ssrc, sequence, timestamp, session = _FOUR_NUMBERS.unpack(entropy.bytes(_FOUR_NUMBERS.size))
        port = self.engine.open_port(bind, ssrc=ssrc, sequence=sequence & 0xFFFF, timestamp=timestamp)
        self.owners[port.id] = call
        signalling = None if flow is None else flow.remote
        peer = call.to.host if signalling is None else signalling.host
        address = self._advertising.towards(peer, bind)
        security = self._security(call, flow, rules.srtp)
        leg = MediaLeg(self, port, address, session, signalling, security, codecs, rules.beside)
        leg.on_insecure = call.on_insecure
        leg.takes_info_digits = rules.dtmf_info
        return leg


def _codecs_of(rules: LegMedia) -> LegCodecs:
    """What a leg may speak. Raises: CodecMissingError."""
    names, makes_noise = rules.codecs, rules.comfort_noise
    return codecs_named(tuple(names), comfort_noise=makes_noise) if names or makes_noise else ALL_CODECS


def _deliver(event: MediaEvent, call: Call) -> None:
    if isinstance(event, MediaTimeout):
        call.on_media_timeout()
    elif isinstance(event, FlightReceived):
        if call.media is not None:
            call.media.receive_flight(event.port, event.data, event.source)
    elif isinstance(event, SourceLatched):
        call.note("%s has media from %s:%d", call.id, *event.address)
    elif isinstance(event, SpeakingChanged):
        if call.media is not None and call.media.seat is not None:
            call.media.seat.spoke(event.speaking)
    else:
        call.playback.on_event(event)
