"""Drivers of the media engine: stamped G.711 from phones, or speech of which no stamp comes through."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from bench.cells.trial import Plan, Trial
from bench.peers.base import Contender, MediaContender
from bench.rig import usage
from bench.rig.media import SHARED, Phones, Sink
from media.quality import quality

PHONES_FROM = 26000  # outside the media range of the servers, and below the range that the kernel gives to anyone
TICKS = 50  # a second
SHARE = 0.8  # of a core, where latency and loss are measured
PROBES = 200  # calls that tell what load that is


def phones(
    contender: MediaContender,
    targets: list[int],
    seconds: float,
    *,
    first: int = 0,
    talkers: int | None = None,
    shared: int = 1,
) -> tuple[dict[str, Any], usage.Proof]:
    """One phone per target, so many on a socket; what they counted."""
    streams = [(PHONES_FROM + index // shared, target) for index, target in enumerate(targets)]
    return Phones(streams, seconds, first=first, talkers=talkers, drops=contender.kernel_drops).end()


def relay(
    contender: Contender,
    directory: Path,
    plan: Plan,
    *,
    mode: str = "rtp",
    passes: int = 1,
    is_speech: bool = False,
    per: str = "packet",
) -> Trial:
    """`plan.load` calls, both sides sending; each packet passes the server so many times on its way.

    The cost is that of one packet and pass, or of a call and 20 ms (`per`).
    """
    assert isinstance(contender, MediaContender)
    calls, empty = int(plan.load), contender.pss_kb()
    targets = contender.open_sessions(calls, PHONES_FROM, contender.mode or mode)
    talkers = len(targets) if is_speech else None
    phones(contender, targets, 1.0, talkers=talkers)
    session_kb = (contender.pss_kb() - empty) / calls / passes
    cpu = contender.cpu_seconds()
    counted, proof = phones(contender, targets, plan.seconds, first=TICKS, talkers=talkers)
    cpu = contender.cpu_seconds() - cpu
    streams, latency = counted["streams"], counted["latency_us"]
    arrived = streams["received"] if is_speech else counted["received"]
    lost = streams["missing"] if is_speech else counted["lost"]
    units = arrived * passes if per == "packet" else arrived / 2
    beside = {"memory per call/kB": session_kb}
    if not is_speech:
        beside |= {"phone to phone, p50/µs": latency["p50"], "phone to phone, p99/µs": latency["p99"]}
        heard = quality("PCMU", loss=lost / max(counted["sent"], 1), jitter_ms=0.0, round_trip_ms=latency["p99"] / 500)
        beside["quality/MOS"] = heard.mos
    return Trial(cpu / max(units, 1) * 1e6, int(lost), 0.0, proof, beside)


def room(contender: Contender, directory: Path, plan: Plan, *, speaking: int = 5) -> Trial:
    """One room of `plan.load` parties of whom so many speak; or half as many relayed calls of the same streams."""
    assert isinstance(contender, MediaContender)
    parties = int(plan.load)
    targets = contender.open_sessions(parties if contender.mode else parties // 2, PHONES_FROM, contender.mode or "rtp")
    phones(contender, targets, 1.0, talkers=speaking)
    cpu = contender.cpu_seconds()
    counted, proof = phones(contender, targets, plan.seconds, first=TICKS, talkers=speaking)
    cpu = contender.cpu_seconds() - cpu
    streams = counted["streams"]
    beside = {"longest gap at a phone/ms": streams["longest_gap_ms"]}
    return Trial(cpu / max(streams["received"], 1) * 1e6, int(streams["missing"]), 0.0, proof, beside)


def prompt(contender: Contender, directory: Path, plan: Plan) -> Trial:
    """One prompt on `plan.load` channels, counted at the listeners."""
    assert isinstance(contender, MediaContender)
    channels = int(plan.load)
    with Sink(channels, PHONES_FROM) as sink:
        contender.open_sessions(channels, PHONES_FROM, "play")
        time.sleep(1.0)
        before, cpu, begun = sink.count(), contender.cpu_seconds(), time.monotonic()
        time.sleep(plan.seconds)
        after, cpu, elapsed = sink.count(), contender.cpu_seconds() - cpu, time.monotonic() - begun
    packets = after["received"] - before["received"]
    proof = usage.Proof((after["cpu_s"] - before["cpu_s"]) / elapsed, 1.0, after["kernel_drops"])
    beside = {
        "longest gap at a listener/ms": after["largest_gap_ms"],
        "missing ticks/%": _short(packets, channels, elapsed),
    }
    return Trial(cpu / max(packets, 1) * 1e6, after["missing"], 0.0, proof, beside)


def _short(packets: int, channels: int, elapsed: float) -> float:
    return max(0.0, 100 * (1 - packets / (channels * TICKS * elapsed)))


def busy(contender: Contender, directory: Path, plan: Plan) -> Trial:
    """What a relay adds, in ms at p99, when it uses 80 % of its core, and what it loses then.

    So many of `plan.load` calls as make that share; the phones straight to each other are what it is added to.
    """
    assert isinstance(contender, MediaContender)
    targets = contender.open_sessions(int(plan.load), PHONES_FROM, "crowd")
    chosen = PROBES
    for seconds in (1.0, 2.0, 2.0):
        _, share, _ = _crowd(contender, targets[: 2 * chosen], seconds)
        chosen = max(SHARED, min(int(chosen * SHARE / share) // SHARED * SHARED, int(plan.load)))
    counted, share, proof = _crowd(contender, targets[: 2 * chosen], plan.seconds)
    proof = replace(proof, reached=min(share / SHARE, 1.0))
    # Each socket sends to the next one.
    straight = [PHONES_FROM + (index // SHARED ^ 1) for index in range(2 * chosen)]
    direct, _ = phones(contender, straight, 2.0, shared=SHARED)
    added = {part: (counted["latency_us"][part] - direct["latency_us"][part]) / 1e3 for part in ("p50", "p99")}
    beside = {
        "added latency, p50/ms": max(added["p50"], 0.0),
        "packets lost/packets": counted["lost"],
        "calls/calls": chosen,
        "share of the core/%": share * 100,
        "latest send of the phones/ms": counted["late_send_ms"],
    }
    return Trial(max(added["p99"], 0.0), int(counted["lost"]), 0.0, proof, beside)


def _crowd(contender: MediaContender, targets: list[int], seconds: float) -> tuple[dict[str, Any], float, usage.Proof]:
    """What the phones counted, and the share of a core while they sent."""
    cpu = contender.cpu_seconds()
    counted, proof = phones(contender, targets, seconds, shared=SHARED)
    return counted, (contender.cpu_seconds() - cpu) / seconds, proof


DRIVERS = {
    "relay": relay,
    "relay_sealed": partial(relay, mode="srtp", passes=2),
    "transcode": partial(relay, mode="opus", passes=2, is_speech=True),
    "recorded": partial(relay, is_speech=True, per="call"),
    "conference": room,
    "prompt": prompt,
    "busy": busy,
}
