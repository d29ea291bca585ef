"""Drivers of what a PBX does with its callers: prompts, questions, rooms; how it starts and what it keeps in memory."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from bench.cells.sip import MESSAGES, target_of, trial_of
from bench.cells.trial import Plan, Trial
from bench.peers import dial_plan
from bench.peers.base import Contender, SipContender
from bench.rig import ladders, load, usage
from bench.rig.extensions import users
from bench.rig.lamps import Watchers
from bench.rig.media import Phones
from bench.rig.processes import free_port, wait_until
from bench.rig.sipp import Sipp

PHONES_FROM = 26000  # outside the media range of the servers, and below the range that the kernel gives to anyone
WARM_UP_S = 1.5
TICKS = 50  # a second


@contextlib.contextmanager
def calls_up(server: SipContender, directory: Path, number: str, count: int) -> Iterator[list[tuple[int, int]]]:
    """Calls to a number that answers; (the phone's media port, the server's) of each, when all are up."""
    with usage.pinned(usage.cores()[1]):
        phones = Sipp(
            directory,
            "call",
            target=server.address,
            port=free_port(),
            rows=load.callers_of(number, count, media_from=PHONES_FROM, step=2),
            rate=50,
            calls=count,
            hold_ms=120_000,
            trace=True,
        )
    try:
        yield wait_until(lambda: _all_up(directory, phones, count), 10 + count / 50, f"{count} calls are up")
    finally:
        phones.close()


def _all_up(directory: Path, phones: Sipp, count: int) -> list[tuple[int, int]]:
    path = directory / f"{phones.stem}.messages"
    found = ladders.media_pairs(path) if path.exists() else {}
    return [(local, target) for local, _, target in found.values()] if len(found) == count else []


def channels(contender: Contender, directory: Path, plan: Plan, number: str, talkers: int | None) -> Trial:
    """CPU of each channel and 20 ms while all callers send and hear; lost are the numbers that no phone got."""
    assert isinstance(contender, SipContender)
    count, empty = int(plan.load), contender.pss_kb()
    with calls_up(contender, directory, number, count) as pairs:
        phones = Phones(pairs, plan.seconds + WARM_UP_S + 0.5, talkers=talkers, drops=contender.media_drops)
        time.sleep(WARM_UP_S)
        begun, cpu = time.monotonic(), contender.cpu_seconds()
        time.sleep(plan.seconds)
        cpu, elapsed = contender.cpu_seconds() - cpu, time.monotonic() - begun
        call_kb = (contender.pss_kb() - empty) / count
        counted, proof = phones.end()
    streams = counted["streams"]
    assert streams["received"] > 0.9 * count * TICKS * plan.seconds, f"the phones heard too little: {streams}"
    beside = {
        "memory per call/kB": call_kb,
        "longest gap at a phone/ms": streams["longest_gap_ms"],
        "core/%": cpu / elapsed * 100,
    }
    return Trial(cpu / (elapsed * TICKS * count) * 1e6, int(streams["missing"]), 0.0, proof, beside)


def play(contender: Contender, directory: Path, plan: Plan) -> Trial:
    return channels(contender, directory, plan, dial_plan.PLAY, talkers=None)


def room(contender: Contender, directory: Path, plan: Plan) -> Trial:
    """Everybody speaks."""
    return channels(contender, directory, plan, dial_plan.ROOM, talkers=int(plan.load))


def ivr(contender: Contender, directory: Path, plan: Plan) -> Trial:
    """Answer, three seconds of a question, a key as RFC 4733 events, and the server hangs up."""
    assert isinstance(contender, SipContender)
    done = load.drive(
        directory,
        "question",
        target=target_of(contender),
        rows=load.callers_of(dial_plan.IVR, 200),
        rate=plan.load,
        count=int(plan.load * plan.seconds),
        hold_ms=dial_plan.QUESTION_SECONDS * 1000,
        settle=lambda: time.sleep(1.0),
        extra=["-mp", str(free_port(run=2))],
    )
    return trial_of(done, 1e3, {}, MESSAGES["call"])


def standing(contender: Contender, directory: Path, plan: Plan) -> Trial:
    """Memory of a call that is up, its media ports open, at a server that was just started."""
    assert isinstance(contender, SipContender)
    callee, count = load.Callee(directory, target_of(contender)), int(plan.load)
    try:
        empty = contender.pss_kb()
        with calls_up(contender, directory, callee.user, count):
            time.sleep(1.0)
            call_kb = (contender.pss_kb() - empty) / count
    finally:
        callee.close()
    return Trial(call_kb, 0, 0.0, usage.Proof(0.0, 1.0, 0))


def restart(contender: Contender, directory: Path, plan: Plan) -> Trial:
    """Seconds from the command to a server that takes calls, with everything in its store already; idle memory then."""
    contender.stop()
    with usage.pinned(usage.cores()[0]):
        begun = time.monotonic()
        contender.start(directory / contender.name)
        ready_s = time.monotonic() - begun
    cpu = contender.cpu_seconds()
    time.sleep(plan.seconds)
    beside = {"resident memory, idle/MB": contender.pss_kb() / 1024, "CPU until it is ready/s": cpu}
    return Trial(ready_s, 0, 0.0, usage.Proof(0.0, 1.0, 0), beside)


def lamps(contender: Contender, directory: Path, plan: Plan) -> Trial:
    """`plan.load` phones watch an extension, which is called twice a second: CPU of each NOTIFY, the calls included."""
    assert isinstance(contender, SipContender)
    target, callee = target_of(contender), load.Callee(directory, target_of(contender))
    try:
        with Watchers(contender.port, callee.user, users(int(plan.load))) as watchers:
            before, cpu = watchers.count(), contender.cpu_seconds()
            count = int(2 * plan.seconds)
            done = load.calls(
                directory, target, callee, rate=2, count=count, hold_ms=1000, settle=lambda: time.sleep(2.0)
            )
            after, cpu = watchers.count(), contender.cpu_seconds() - cpu
    finally:
        callee.close()
    notified = after["notified"] - before["notified"]
    share = (after["cpu_s"] - before["cpu_s"]) / plan.seconds
    proof = usage.Proof(share, done.proof.punctual, done.proof.drops, done.proof.server_drops)
    beside = {"NOTIFYs of a call and watcher/NOTIFYs": notified / plan.load / max(done.successful, 1)}
    return Trial(cpu / max(notified, 1) * 1e6, done.failed, 0.0, proof, beside)


DRIVERS = {"play": play, "room": room, "ivr": ivr, "standing": standing, "restart": restart, "lamps": lamps}
