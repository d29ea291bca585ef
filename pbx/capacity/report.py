"""The answer as lines for a terminal, for somebody who plans an office and has not read how it was measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

from pbx.capacity.costs import STAGES, Check, Cost, Costs, Knee
from pbx.capacity.kinds import MEDIA_KINDS
from pbx.capacity.model import TARGET, shares
from pbx.capacity.planner import (
    Demand,
    Needs,
    Room,
    calls_that_fit,
    load_of,
    rate_that_fits,
    users_that_fit,
)

PACKETS_OF_CALL: Final = 100  # a second: both directions
RATES: Final = ("call", "tls_call", "registration", "tls_handshake")
ROOM_TITLES: Final = {
    "users": "users like these",
    "call": "calls set up in a second",
    "tls_call": "calls set up in a second, over TLS",
    "registration": "registrations a second",
    "tls_handshake": "TLS handshakes a second",
    "relay": "G.711 calls at one time",
    "srtp": "G.711 calls, SRTP on both legs",
    "opus": "calls between Opus and G.711",
    "g722": "calls between G.711 and G.722",
    "record": "recorded G.711 calls",
    "conference": "parties in conferences of 6",
    "play": "channels with music",
}


def rooms(costs: Costs, demand: Demand) -> dict[str, Room]:
    """How many of each kind fit, and of users like those of `demand`."""
    kinds = {kind.name: calls_that_fit(kind.name, costs) for kind in MEDIA_KINDS if kind.name in costs.costs}
    rates = {name: rate_that_fits(name, costs) for name in RATES if name in costs.costs}
    return {"users": users_that_fit(demand, costs), **rates, **kinds}


def lines(costs: Costs, demand: Demand, needs: Needs, fits: Mapping[str, Room]) -> Iterator[str]:
    """The whole report."""
    yield answer(demand, needs, fits["users"])
    yield ""
    yield f"This machine: {costs.machine}, {costs.memory_kb / 1024 / 1024:.1f} GB of memory"
    yield f"{measured(costs)}, {costs.rounds} rounds"
    yield f"The load: {costs.proof}"
    for note in costs.notes:
        yield f"Note: {note}."
    yield from _answer(demand, needs)
    yield from _machine(costs, fits)
    yield from _costs(costs)
    yield from _rates(costs)
    yield from _check(costs)


def answer(demand: Demand, needs: Needs, fits: Room) -> str:
    """What was asked for, in two sentences."""
    people = f"{demand.users:,} users like these make up to {needs.calls:,} calls at one time"
    if needs.daemons == 1:
        takes = f"{people}, which take {needs.shares.total:.0%} of one core and {needs.memory_mb:,.0f} MB of memory."
    else:
        takes = f"{people}, which take {needs.cores} cores and {needs.daemons} daemons: one daemon is not enough."
    most = f"One daemon on this machine serves about {fits.count:,} users like these"
    return f"{takes} {most}; what is full then is {fits.limit}." if fits.limit else f"{takes} {most}."


def habits(demand: Demand) -> str:
    """The demand in a sentence."""
    shared = {
        "from or to outside": demand.trunk_share,
        "recorded": demand.recorded,
        "Opus to G.711": demand.opus,
        "G.722 to G.711": demand.g722,
        "encrypted": demand.srtp,
        "from phones over TLS": demand.tls,
        "with music or a menu": demand.music,
        "in conferences": demand.conference,
        "for agents": demand.queued,
    }
    parts = ", ".join(f"{share:.0%} {name}" for name, share in shared.items() if share)
    return (
        f"{demand.users:,} users, {demand.busy_hour:.0%} of them in a call in the busy hour, "
        f"{demand.hold:.0f} s a call; of the calls {parts or 'all between extensions'}"
    )


def octets(gb: float) -> str:
    """Gigabytes, or megabytes where there are few."""
    return f"{gb:.1f} GB" if gb >= 1 else f"{gb * 1000:.3g} MB"


def measured(costs: Costs) -> str:
    """When, by what, and for how long."""
    at = datetime.fromisoformat(costs.measured_at)
    return f"Measured {at:%Y-%m-%d %H:%M} UTC with voipat {costs.version} in {costs.seconds:.0f} s on one core"


def woken(costs: Costs) -> str:
    """What is in no cost."""
    parts = ", ".join(f"{stage} {costs.wake[stage]:.1%}" for stage in STAGES)
    return (
        f"besides, as soon as there is any work: the threads are woken for it, which takes of the time between {parts}"
    )


def needs_rows(demand: Demand, needs: Needs) -> list[tuple[str, str, str]]:
    """(what, how much, why)."""
    used = needs.shares
    daemons = "" if needs.daemons == 1 else f"; one daemon is not enough, take {needs.daemons}"
    rows = [
        (
            "calls at one time",
            f"{needs.calls}",
            f"{needs.erlangs:.1f} on average (erlangs); at the peak {demand.blocking:.1%} find no room (Erlang B)",
        ),
        ("calls a second", f"{needs.calls_per_s:.2f}", "set up at the peak"),
        (
            "processor cores",
            f"{needs.cores}",
            f"{used.total:.0%} of one used: signalling {used.signalling:.1%}, media {used.media:.1%}, "
            f"disk {used.disk:.1%}; planned to {TARGET:.0%}{daemons}",
        ),
        ("memory", f"{needs.memory_mb:.0f} MB", "resident, of the daemon; the system needs its own"),
        ("media ports", f"{needs.ports}", "four a call; server.media has 10,000 as shipped"),
        (
            "network",
            f"{needs.bandwidth_mbit:.1f} Mbit/s",
            "each way, Ethernet included, all phones beyond the network card",
        ),
        ("trunk channels", f"{needs.trunk_channels}", f"for {demand.trunk_share:.0%} of the calls (Erlang B)"),
        (
            "disk a day",
            octets(needs.recordings_gb_day + needs.cdr_gb_day),
            f"recordings {octets(needs.recordings_gb_day)}, CDRs {octets(needs.cdr_gb_day)}; "
            f"recordings of {demand.days} days {octets(needs.recordings_gb_kept)}",
        ),
    ]
    if demand.queued:
        rows.append(
            (
                "agents",
                f"{needs.agents}",
                f"{demand.service_level:.0%} of the queued calls wait up to {demand.service_within:.0f} s (Erlang C)",
            )
        )
    return rows


def cost_rows(costs: Costs) -> list[tuple[str, str, str, str]]:
    """(what, CPU, between what it lies, parts)."""
    rows = []
    for name, cost in costs.costs.items():
        parts = ", ".join(
            f"{stage} {_time(value)}" for stage, value in cost.stages.items() if value > 0.005 * cost.value
        )
        rows.append((cost.title, _time(cost.value) + (" a second" if cost.per_second else ""), interval(cost), parts))
        if name in ("relay", "srtp"):
            rows[-1] = (*rows[-1][:3], f"{_time(cost.value / PACKETS_OF_CALL)} a packet; {parts}")
    return rows


def interval(cost: Cost) -> str:
    """How sure a cost is."""
    if len(cost.runs) < 2:
        return "(measured once)"
    found = cost.estimate
    return f"± {found.error:.0%} ({_time(found.low)} – {_time(found.high)})"


def _answer(demand: Demand, needs: Needs) -> Iterator[str]:
    yield ""
    yield "What these people need"
    yield f"  {habits(demand)}"
    for what, value, why in needs_rows(demand, needs):
        yield f"  {what:<18} {value:>12}   {why}"


def _machine(costs: Costs, fits: Mapping[str, Room]) -> Iterator[str]:
    yield ""
    yield f"What this machine carries of one kind, when there is nothing else; a core is planned to {TARGET:.0%}"
    yield f"  {'':<35} {'about':>9} {'(between)':>18}   what is full then"
    for name, room in fits.items():
        between = f"({room.low:,} – {room.high:,})"
        yield f"  {ROOM_TITLES[name]:<35} {room.count:>9,} {between:>18}   {room.limit or 'nothing is full'}"
    if costs.knee is not None:
        yield f"  {knee(costs.knee)}"


def knee(found: Knee) -> str:
    """Where calls begin to fail, in a sentence."""
    held = f"Calls set up in a second, tried on one core for all of the daemon: {found.good:.0f} passed every gate"
    return f"{held}; {found.bad:.0f} did not: {found.why}" if found.bad else f"{held}, and more was not tried"


def _costs(costs: Costs) -> Iterator[str]:
    yield ""
    yield f"What each costs in CPU time: the median of {costs.rounds} rounds, and between what it lies (90 %)"
    for what, value, between, parts in cost_rows(costs):
        yield f"  {what:<38} {value:>16}  {between:<26}   {parts}"
    yield (
        f"  memory: daemon {costs.base_kb / 1024:.0f} MB, a registered phone {costs.binding_kb:.1f} kB, "
        f"a TLS connection {costs.tls_kb:.1f} kB, a call {costs.call_kb:.0f} kB; idle {costs.idle:.1%} of a core; "
        f"a call's rows {costs.cdr_octets:.0f} octets of disk"
    )
    yield f"  {woken(costs)}"


def _rates(costs: Costs) -> Iterator[str]:
    yield ""
    yield "How calls are set up as there are more of them (from when a call was due until it was answered)"
    yield "  calls/s   core    p50 ms    p99 ms  failed"
    for point in costs.curve:
        yield f"  {point.rate:7.0f} {point.load:5.0%} {point.p50_ms:9.1f} {point.p99_ms:9.1f} {point.failed:7}"
    for name, one in costs.quality.items():
        title = costs.costs[name].title if name in costs.costs else name
        delay = "" if one.delay_p99_ms is None else f", {one.delay_p99_ms:.1f} ms from phone to phone (p99)"
        yield f"  {title}: MOS {one.mos:.2f}, loss {one.loss:.2%}, jitter {one.jitter_ms:.1f} ms{delay}"


def _check(costs: Costs) -> Iterator[str]:
    yield ""
    if not costs.checks:
        yield "The costs were not checked by a mixed load: the generator was its limit."
    for check in costs.checks:
        yield checked(check)
        yield f"  It was {check.parts}."


def checked(check: Check) -> str:
    """What was foretold and what it was."""
    return (
        f"Check: the {check.title} was foretold to take {check.predicted:.1%} of a core and took {check.measured:.1%} "
        f"({check.error:+.0%})."
    )


def _time(seconds: float) -> str:
    if seconds < 0.9995e-3:
        return f"{seconds * 1e6:.3g} µs"
    return f"{seconds * 1e3:.3g} ms"


def stage_shares(costs: Costs, demand: Demand, calls: int) -> Mapping[str, float]:
    """Of a core, by stage, at so many calls: for the plot."""
    used = shares(load_of(demand, calls), costs)
    return {"signalling": used.signalling, "media": used.media, "disk": used.disk}


def title_of(name: str, costs: Mapping[str, Cost]) -> str:
    """A kind by its title."""
    return costs[name].title if name in costs else name
