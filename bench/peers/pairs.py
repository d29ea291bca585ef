"""The scenarios of the comparison: what is run, who can be run, and one trial of each."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bench.peers.base import Contender, MediaContender, SipContender
from bench.peers.kamailio import Kamailio, KamailioOpenProxy, KamailioProxy
from bench.peers.ours import VoipatEngine, VoipatOpenProxy, VoipatProxy, VoipatServer
from bench.peers.rtpengine import Rtpengine
from bench.rig import load, usage
from bench.rig.extensions import EXTENSIONS
from bench.rig.media import build

CALLS = 500  # relayed at once
SEALED_CALLS = 200  # each over two ports more
PHONES_FROM = 30000  # outside voipat's media range and below the range that the kernel gives to anyone
SECONDS = 6.0


@dataclass(frozen=True, slots=True)
class Trial:
    """One run against one server. `cost` is its CPU per unit of work, in the scenario's unit."""

    cost: float
    failed: int
    retransmitted: int
    proof: usage.Proof
    beside: Mapping[str, float] = field(default_factory=dict)  # "what/unit" → value


@dataclass(frozen=True, slots=True)
class Scenario:
    """`run` gets a server that has just been started, and a directory of its own."""

    name: str
    title: str
    unit: str
    ours: Callable[[], Contender]
    peers: Mapping[str, Callable[[], Contender]]
    run: Callable[[Contender, Path], Trial]
    remark: str = ""

    def trial(self, make: Callable[[], Contender]) -> Trial:
        """Starts the server on its core, loads it, ends it."""
        contender = make()
        with tempfile.TemporaryDirectory(prefix="voipat-bench-") as directory:
            try:
                with usage.pinned(usage.cores()[0]):
                    contender.start(Path(directory) / contender.name)
                return self.run(contender, Path(directory))
            finally:
                contender.stop()


def target_of(server: SipContender) -> load.Target:
    return load.Target(server.address, server.cpu_seconds, server.kernel_drops)


def trial_of(done: load.Load, scale: float, beside: Mapping[str, float]) -> Trial:
    return Trial(done.cost() * scale, done.failed, done.retransmitted, done.proof, beside)


def register(contender: Contender, directory: Path) -> Trial:
    """The first round makes the bindings, the second refreshes them and is what counts."""
    assert isinstance(contender, SipContender)
    target, empty = target_of(contender), contender.pss_kb()
    load.register(directory, target, rate=2000, count=EXTENSIONS)
    binding_kb = (contender.pss_kb() - empty) / EXTENSIONS
    done = load.register(directory, target, rate=3000, count=12_000)
    return trial_of(done, 1e6, {"memory per binding/kB": binding_kb})


def call(contender: Contender, directory: Path, scenario: str = "call", rate: float = 300) -> Trial:
    assert isinstance(contender, SipContender)
    target = target_of(contender)
    callee = load.Callee(directory, target)
    try:
        load.calls(directory, target, callee, rate=100, count=100, scenario=scenario)
        done = load.calls(
            directory, target, callee, rate=rate, count=1800, settle=lambda: time.sleep(1.0), scenario=scenario
        )
    finally:
        callee.close()
    return trial_of(done, 1e3, {"INVITE to 200, p50/ms": done.percentile(0.5), "p99/ms": done.percentile(0.99)})


def phones(
    targets: list[int], seconds: float, drops: Callable[[], int], *, first: int = 0
) -> tuple[dict[str, float], usage.Proof]:
    """Stamped G.711 from one phone per target, on the generator's core; its counts and latency."""
    lines = "".join(f"{PHONES_FROM + index} {target}\n" for index, target in enumerate(targets))
    command, before = [str(build("phones")), str(seconds), str(first)], drops()
    with usage.pinned(usage.cores()[1]):
        done = subprocess.run(command, input=lines, text=True, stdout=subprocess.PIPE, check=True, timeout=seconds + 30)
    counted = json.loads(done.stdout)
    latency = counted.pop("latency_us")
    due = seconds * 50 * len(targets)
    proof = usage.Proof(
        counted["cpu_s"] / seconds,
        counted["sent"] / due,
        counted["kernel_drops"],
        drops() - before,
        counted["late_send_ms"],
    )
    return {**counted, **latency}, proof


def relay(contender: Contender, directory: Path) -> Trial:
    return relayed(contender, CALLS, "rtp", times=1)


def relay_sealed(contender: Contender, directory: Path) -> Trial:
    return relayed(contender, SEALED_CALLS, "srtp", times=2)


def relayed(contender: Contender, calls: int, mode: str, *, times: int) -> Trial:
    """The cost of one relay where each packet is relayed so many times."""
    assert isinstance(contender, MediaContender)
    empty = contender.pss_kb()
    targets = contender.open_sessions(calls, PHONES_FROM, mode)
    phones(targets, 1.0, contender.kernel_drops)
    session_kb = (contender.pss_kb() - empty) / calls / times
    before = contender.cpu_seconds()
    counted, proof = phones(targets, SECONDS, contender.kernel_drops, first=50)
    cpu = contender.cpu_seconds() - before
    beside = {
        "memory per session/kB": session_kb,
        "phone to phone, p50/µs": counted["p50"],
        "p99/µs": counted["p99"],
        "late sends, worst/ms": counted["late_send_ms"],
    }
    return Trial(cpu / max(counted["received"] * times, 1) * 1e6, int(counted["lost"]), 0, proof, beside)


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            "register",
            "digest REGISTER (401 + 200), 5,000 AORs, 3,000/s",
            "µs CPU",
            VoipatServer,
            {"kamailio": Kamailio},
            register,
            "voipat checks qop, nonce count and source and stores bindings on disk; Kamailio without qop, in memory",
        ),
        Scenario(
            "call",
            "call with digest INVITE, 300/s, 200 ms hold",
            "ms CPU",
            VoipatServer,
            {"kamailio": Kamailio},
            call,
            "not the same work: voipat is a B2BUA that anchors media and writes CDRs, Kamailio a record-routing proxy",
        ),
        Scenario(
            "proxied",
            "proxied call, INVITE with digest, 100/s, 200 ms hold",
            "ms CPU",
            VoipatProxy,
            {"kamailio": KamailioProxy},
            partial(call, scenario="call_proxied", rate=100),
            "both look the callee up and record-route; voipat asks its dial plan and writes a CDR on disk",
        ),
        Scenario(
            "proxied-open",
            "proxied call without digest, 100/s, 200 ms hold",
            "ms CPU",
            VoipatOpenProxy,
            {"kamailio": KamailioOpenProxy},
            partial(call, scenario="call_open", rate=100),
            "both look the callee up and record-route; neither writes anything down",
        ),
        Scenario(
            "relay",
            f"relayed G.711 packet, {CALLS} calls up, {CALLS * 100} packets/s",
            "µs CPU",
            VoipatEngine,
            {"rtpengine": Rtpengine},
            relay,
            "process tree of each; userspace relays, both check sources and count",
        ),
        Scenario(
            "srtp",
            f"relayed packet between RTP and SRTP (AES_CM_128_HMAC_SHA1_80), {SEALED_CALLS} calls, each relayed twice",
            "µs CPU",
            VoipatEngine,
            {"rtpengine": Rtpengine},
            relay_sealed,
            "one relay seals, the next opens; loopback between them",
        ),
    )
}
