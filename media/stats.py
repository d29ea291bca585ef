"""What a port has counted, as an immutable snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf

from media._engine import LATENESS_US
from media.quality import Quality, quality

# In the order of vp_drop in ext/kernel/port.h.
DROP_REASONS = (
    "not_rtp",
    "payload_type",
    "learning",
    "foreign",
    "late",
    "jump",
    "flood",
    "muted",
    "no_route",
    "unmapped",
    "held",
    "playing",
    "no_destination",
    "send_failed",
    "rtcp_junk",
    "rtcp_foreign",
    "srtp_auth",
    "srtp_replay",
    "srtp_malformed",
    "srtp_no_key",
    "srtp_send",
    "stun",
    "dtls_unwanted",
    "dtls_foreign",
    "dtls_flood",
)


@dataclass(frozen=True, slots=True)
class Lateness:
    """How many ticks of 20 ms came at most LATENESS_US[i] microseconds late, and at the end how many came later."""

    counts: tuple[int, ...]

    def __sub__(self, earlier: Lateness) -> Lateness:
        pairs = zip(self.counts, earlier.counts, strict=True)
        return Lateness(tuple(after - before for after, before in pairs))

    @property
    def ticks(self) -> int:
        """All of them."""
        return sum(self.counts)

    def percentile_ms(self, part: float) -> float:
        """The bound under which `part` (0 to 1) of the ticks lie, in milliseconds; infinity beyond the last one."""
        wanted, seen = part * self.ticks, 0
        for bound, count in zip(LATENESS_US, self.counts, strict=False):
            seen += count
            if seen >= wanted:
                return bound / 1000
        return inf


@dataclass(frozen=True, slots=True)
class RtcpStats:
    """RTCP of a port; what the far side reports about our stream is None before its first report."""

    packets_in: int = 0
    packets_out: int = 0
    remote_lost: int = 0
    remote_fraction_lost: float = 0.0
    remote_jitter_ms: float = 0.0
    round_trip_ms: float | None = None
    remote_reports: int = 0


@dataclass(frozen=True, slots=True)
class PortStats:
    """Counted since the port was opened. Octets are payload without header and padding (RFC 3550 §6.4.1).

    `packets_in` are packets of the latched source; what was not forwarded is in `dropped`, by reason, without zeros.
    `lost` counts what the source's sequence numbers miss, `jitter_ms` is that of RFC 3550 §6.4.1.
    """

    packets_in: int = 0
    octets_in: int = 0
    packets_out: int = 0
    octets_out: int = 0
    lost: int = 0
    jitter_ms: float = 0.0
    dropped: Mapping[str, int] = field(default_factory=dict)
    source: tuple[str, int] | None = None
    digits: int = 0
    rtcp: RtcpStats = RtcpStats()

    @property
    def loss(self) -> float:
        """The part of the source's packets that was lost, 0.0 to 1.0."""
        expected = self.packets_in + max(self.lost, 0)
        return max(self.lost, 0) / expected if expected else 0.0

    @property
    def remote_loss(self) -> float | None:
        """The part of our packets that the far side says it lost; None before it has said anything."""
        if not self.rtcp.remote_reports or not self.packets_out:
            return None
        return min(max(self.rtcp.remote_lost, 0) / self.packets_out, 1.0)

    def heard(self, codec: str) -> Quality | None:
        """How what came from the far side sounds here; None before anything came."""
        if not self.packets_in:
            return None
        return quality(codec, loss=self.loss, jitter_ms=self.jitter_ms, round_trip_ms=self.rtcp.round_trip_ms)

    def said(self, codec: str) -> Quality | None:
        """How what we send sounds at the far side, by its own reports; None before the first."""
        loss, rtcp = self.remote_loss, self.rtcp
        if loss is None:
            return None
        return quality(codec, loss=loss, jitter_ms=rtcp.remote_jitter_ms, round_trip_ms=rtcp.round_trip_ms)


RawIntake = tuple[int, int, int, int, int, int, int, int, int, int, int]


@dataclass(frozen=True, slots=True)
class IntakeStats:
    """One direction as it was decoded: packets, then periods of 20 ms, then milliseconds.

    `late` and `duplicate` packets were of no use, for `overflow` the buffer was full, `garbage` could not be decoded.
    `concealed` were lost on the way, of which the codec itself has made up for `recovered`; `starved` counts the ticks
    for which nothing had come in time, `stretched` how often the sound was made a period longer or shorter to follow
    the jitter and the far side's clock.
    """

    decoded: int = 0
    late: int = 0
    duplicate: int = 0
    overflow: int = 0
    garbage: int = 0
    concealed: int = 0
    recovered: int = 0
    starved: int = 0
    stretched: int = 0
    delay_ms: int = 0
    target_ms: int = 0


@dataclass(frozen=True, slots=True)
class AudioStats:
    """The decoded audio of a port: what the far side said, what it was told, packets that were encoded here."""

    heard: IntakeStats = IntakeStats()
    said: IntakeStats = IntakeStats()
    encoded: int = 0


RawStats = tuple[
    int, int, int, int, int, float, list[int], tuple[str, int] | None, int, int, int, int, float, float, float, int
]


def port_stats(raw: RawStats) -> PortStats:
    """The snapshot of the counters that the native side read."""
    packets_in, octets_in, packets_out, octets_out, lost, jitter_ms, drops, source, digits = raw[:9]
    rtcp_in, rtcp_out, remote_lost, fraction, remote_jitter_ms, round_trip_ms, reports = raw[9:]
    return PortStats(
        packets_in=packets_in,
        octets_in=octets_in,
        packets_out=packets_out,
        octets_out=octets_out,
        lost=lost,
        jitter_ms=jitter_ms,
        # Mostly nothing: a loop for each call that ends would be for nothing.
        dropped={name: count for name, count in zip(DROP_REASONS, drops, strict=True) if count} if any(drops) else {},
        source=source,
        digits=digits,
        rtcp=RtcpStats(rtcp_in, rtcp_out, remote_lost, fraction, remote_jitter_ms, round_trip_ms or None, reports),
    )
