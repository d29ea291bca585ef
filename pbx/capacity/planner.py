"""From people and their habits to what the machine needs, and from the machine to how many people it serves.

Everything is sized for the busy hour's peak: as many calls as Erlang B has at the allowed blocking. A core is planned
to 70 %: above it a queue forms whenever calls come in a bunch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil
from typing import Final

from pbx.capacity.costs import Costs
from pbx.capacity.erlang import agents_for, channels_for
from pbx.capacity.model import TARGET, Load, Shares, shares

PORTS_PER_CALL: Final = 4
SHIPPED_PORTS: Final = 10_000
KEEPALIVE_S: Final = 30.0
CONNECTED_S: Final = 3600.0  # a phone over TLS connects anew once an hour: networks and phones are not for ever
# Of memory: the rest is the system's and its file cache.
USABLE_MEMORY: Final = 0.8
MOST_USERS: Final = 2_000_000
# Octets of a packet above its payload: RTP, UDP, IPv4, Ethernet with its check.
HEADERS: Final = 12 + 8 + 20 + 18
SRTP_TAG: Final = 16
PACKETS_S: Final = 50
G711_OCTETS, OPUS_OCTETS = 160, 80  # in 20 ms; Opus at 32 kbit/s


@dataclass(frozen=True, slots=True)
class Demand:
    """Who there is and what they do. Shares are from 0 to 1."""

    users: int = 300
    busy_hour: float = 0.12  # of the users are in a call in the busy hour, on average
    hold: float = 180.0
    trunk_share: float = 0.6  # of the calls come from outside or go there
    opus: float = 0.0  # of the calls: one side speaks Opus, the other G.711
    g722: float = 0.0
    srtp: float = 0.0
    recorded: float = 0.0
    music: float = 0.05  # of the calls wait, hear a menu or music
    conference: float = 0.02  # of those in a call are in a conference
    blocking: float = 0.01
    phones: float = 1.0  # a user
    tls: float = 0.0  # of the phones
    register_every: float = 1800.0
    busy_hours: float = 6.0  # as many hours of the busy hour's traffic make a day
    days: int = 90  # recordings are kept
    queued: float = 0.0  # of the calls are for agents
    service_level: float = 0.8
    service_within: float = 20.0

    @property
    def erlangs(self) -> float:
        """Calls at one time in the busy hour, on average."""
        return self.users * self.busy_hour


@dataclass(frozen=True, slots=True)
class Needs:
    """What a demand takes. Bandwidth in Mbit/s each way, memory in MB, disk in GB."""

    erlangs: float
    calls: int  # at one time, at the peak
    calls_per_s: float
    cores: int
    daemons: int
    shares: Shares
    memory_mb: float
    ports: int
    bandwidth_mbit: float
    trunk_channels: int
    agents: int
    recordings_gb_day: float
    cdr_gb_day: float
    recordings_gb_kept: float


@dataclass(frozen=True, slots=True)
class Room:
    """How many of something fit on one daemon of this machine, and what is full first.

    `low` and `high`: when every cost were at the one or the other end of its interval.
    """

    count: int
    limit: str
    low: int = 0
    high: int = 0


def load_of(demand: Demand, calls: float) -> Load:
    """That demand with so many calls at one time."""
    rate = calls / demand.hold
    phones = demand.users * demand.phones
    talking = calls * (1 - demand.conference)
    transcoded = min(demand.opus + demand.g722, 1.0)
    plain = talking * (1 - transcoded)
    held = {
        "opus": talking * demand.opus / max(demand.opus + demand.g722, 1.0),
        "g722": talking * demand.g722 / max(demand.opus + demand.g722, 1.0),
        "srtp": plain * demand.srtp,
        "relay": plain * (1 - demand.srtp),
        "conference": calls * demand.conference,
        "play": calls * demand.music,
        "recording": calls * demand.recorded,
    }
    rates = {
        "registration": phones / demand.register_every,
        "keepalive": phones / KEEPALIVE_S,
        "call": rate * (1 - demand.trunk_share) * (1 - demand.tls),
        "tls_call": rate * (1 - demand.trunk_share) * demand.tls,
        "tls_handshake": phones * demand.tls / CONNECTED_S,
        "trunk_call": rate * demand.trunk_share,
    }
    return Load(rates, held)


def needs(demand: Demand, costs: Costs) -> Needs:
    """What the demand takes on machines like the one that was measured."""
    calls = channels_for(demand.erlangs, demand.blocking)
    used = shares(load_of(demand, calls), costs)
    trunk_traffic = demand.erlangs * demand.trunk_share
    recorded_s = demand.erlangs * demand.recorded * 3600 * demand.busy_hours
    ended = demand.erlangs / demand.hold * 3600 * demand.busy_hours
    recordings = recorded_s * costs.recording_octets_s / 1e9
    return Needs(
        erlangs=demand.erlangs,
        calls=calls,
        calls_per_s=calls / demand.hold,
        cores=max(ceil(used.total / TARGET - 1e-9), 1),
        daemons=max(ceil(max(used.signalling, used.media / media_threads(costs)) / TARGET - 1e-9), 1),
        shares=used,
        memory_mb=memory_kb(demand, calls, costs) / 1024,
        ports=PORTS_PER_CALL * calls,
        bandwidth_mbit=calls * bandwidth_of_call(demand) / 1e6,
        trunk_channels=channels_for(trunk_traffic, demand.blocking),
        agents=agents_for(
            demand.erlangs * demand.queued,
            level=demand.service_level,
            seconds=demand.service_within,
            hold=demand.hold,
        ),
        recordings_gb_day=recordings,
        cdr_gb_day=ended * costs.cdr_octets / 1e9,
        recordings_gb_kept=recordings * demand.days,
    )


def media_threads(costs: Costs) -> int:
    """Of one daemon as shipped: one for each core but one."""
    return max(costs.cores - 1, 1)


def memory_kb(demand: Demand, calls: float, costs: Costs) -> float:
    """Resident, of one daemon that has it all."""
    phone_kb = costs.binding_kb + demand.tls * costs.tls_kb
    return costs.base_kb + demand.users * demand.phones * phone_kb + calls * costs.call_kb


def bandwidth_of_call(demand: Demand) -> float:
    """Bit/s into the server, and as many out of it: one stream of each leg."""
    secured = SRTP_TAG * demand.srtp
    plain, opus = HEADERS + G711_OCTETS + secured, HEADERS + OPUS_OCTETS + secured
    # Of a call with Opus one leg is G.711.
    return 8 * PACKETS_S * (plain * (2 - demand.opus) + opus * demand.opus)


def users_that_fit(demand: Demand, costs: Costs) -> Room:
    """How many users of these habits one daemon on this machine serves."""

    def limit_at(users: int, costs: Costs) -> str:
        found = needs(replace(demand, users=users), costs)
        return limit_of(found.shares, found.calls, found.memory_mb * 1024, costs)

    return _room(limit_at, costs)


def calls_that_fit(kind: str, costs: Costs) -> Room:
    """How many calls of one kind at a time, set up and ended every three minutes."""

    def limit_at(calls: int, costs: Costs) -> str:
        load = Load({"call": calls / Demand().hold}, {kind: float(calls)})
        return limit_of(shares(load, costs), calls, costs.base_kb + calls * costs.call_kb, costs)

    return _room(limit_at, costs)


def rate_that_fits(name: str, costs: Costs) -> Room:
    """How many of something (calls, registrations, handshakes) a second; of calls, whatever becomes of their media."""

    def limit_at(rate: int, costs: Costs) -> str:
        return limit_of(shares(Load({name: rate}), costs), 0, costs.base_kb, costs)

    return _room(limit_at, costs)


def limit_of(used: Shares, calls: int, memory: float, costs: Costs) -> str:
    """What is full, or nothing. One daemon has one thread for signalling."""
    if used.signalling > TARGET:
        return f"signalling: its thread is {TARGET:.0%} busy"
    threads = media_threads(costs)
    if used.media > TARGET * threads:
        whose = "its thread is" if threads == 1 else f"its {threads} threads are"
        return f"media: {whose} {TARGET:.0%} busy"
    if used.total > TARGET * costs.cores:
        return f"processor: its {costs.cores} cores are {TARGET:.0%} busy"
    if memory > USABLE_MEMORY * costs.memory_kb:
        return f"memory: {USABLE_MEMORY:.0%} of it is used"
    if calls * PORTS_PER_CALL > SHIPPED_PORTS:
        return f"media ports: server.media has {SHIPPED_PORTS:,} as shipped; a wider range gives room"
    return ""


def _room(limit_at: Callable[[int, Costs], str], costs: Costs) -> Room:
    (count, limit), (low, _), (high, _) = (
        _largest(limit_at, each) for each in (costs, costs.bound(high=True), costs.bound(high=False))
    )
    return Room(count, limit, low, high)


def _largest(limit_at: Callable[[int, Costs], str], costs: Costs) -> tuple[int, str]:
    """The most at which nothing is full, and what is at one more."""
    low, high, why = 0, 1, limit_at(1, costs)
    while not why and high < MOST_USERS:
        low, high = high, high * 2
        why = limit_at(high, costs)
    while high - low > 1:
        middle = (low + high) // 2
        found = limit_at(middle, costs)
        low, high, why = (low, middle, found) if found else (middle, high, why)
    return low, why
