"""Drivers of signalling: what sipp asks of a server, and what that costs it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from bench.cells.trial import Plan, Trial
from bench.peers.base import Contender, SipContender
from bench.rig import load
from bench.rig.extensions import EXTENSIONS, users

MESSAGES = {"register": 4, "call": 13, "options": 2}  # of one unit, both ways, at all phones


def target_of(server: SipContender) -> load.Target:
    return load.Target(server.address, server.cpu_seconds, server.kernel_drops)


def trial_of(done: load.Load, scale: float, beside: Mapping[str, float], messages: int) -> Trial:
    repeated = done.retransmitted / max(messages * (done.successful + done.failed), 1)
    return Trial(done.cost() * scale, done.failed, repeated, done.proof, beside)


def register(contender: Contender, directory: Path, plan: Plan) -> Trial:
    """The first round makes the bindings, the second refreshes them and is what counts."""
    assert isinstance(contender, SipContender)
    target, empty = target_of(contender), contender.pss_kb()
    load.register(directory, target, rate=2000, count=EXTENSIONS)
    binding_kb = (contender.pss_kb() - empty) / EXTENSIONS
    done = load.register(directory, target, rate=plan.load, count=int(plan.load * plan.seconds))
    return trial_of(done, 1e6, {"memory per binding/kB": binding_kb}, MESSAGES["register"])


def call(contender: Contender, directory: Path, plan: Plan, *, scenario: str = "call") -> Trial:
    """INVITE, 180, 200, ACK, 200 ms, BYE, with a phone that answers at once."""
    assert isinstance(contender, SipContender)
    callee = load.Callee(directory, target_of(contender))
    ask = partial(
        load.calls,
        directory,
        target_of(contender),
        callee,
        scenario=scenario,
        number=contender.dialled,
        port=contender.caller_port,
    )
    try:
        ask(rate=50, count=50)
        done = ask(rate=plan.load, count=int(plan.load * plan.seconds), settle=lambda: time.sleep(1.0))
    finally:
        callee.close()
    beside = {"INVITE to 200, p50/ms": done.percentile(0.5), "INVITE to 200, p99/ms": done.percentile(0.99)}
    return trial_of(done, 1e3, beside, MESSAGES["call"])


def options(contender: Contender, directory: Path, plan: Plan) -> Trial:
    """Whether the server is there."""
    assert isinstance(contender, SipContender)
    count, rows = int(plan.load * plan.seconds), [[user] for user in users(200)]
    load.drive(directory, "ask", target=target_of(contender), rows=rows, rate=500, count=500)
    done = load.drive(directory, "ask", target=target_of(contender), rows=rows, rate=plan.load, count=count)
    return trial_of(done, 1e6, {}, MESSAGES["options"])


def sustained(contender: Contender, directory: Path, plan: Plan) -> Trial:
    """Whether the server holds the gates at `plan.load` calls a second; the next rates up, or down, until that changes.

    The cost is the p99 of what the server adds to the set-up at `plan.load`: the same phones straight to each other are
    what it is added to.
    """
    assert isinstance(contender, SipContender)
    callee = load.Callee(directory, target_of(contender))
    try:
        at = partial(_at_rate, contender, directory, callee)
        at(50, 2.0)
        first = at(plan.load, plan.seconds)
        tried = {plan.load: first}
        steps = HIGHER if _holds(first) else LOWER
        for step in steps:
            tried[plan.load * step] = at(plan.load * step, plan.seconds)
            if _holds(tried[plan.load * step]) != _holds(first):
                break
    finally:
        callee.close()
    held = max((rate for rate, (done, added) in tried.items() if _holds((done, added))), default=0.0)
    done, added = first
    beside = {"sustained rate/cps": held, "core at the rate asked for/%": done.cpu_s / plan.seconds * 100}
    return Trial(added, done.failed, _repeated(done), done.proof, beside)


HIGHER, LOWER = (1.25, 1.5, 1.75, 2.0, 2.5, 3.0), (0.75, 0.5, 0.25)
ADDED_MS, REPEATED = 20.0, 0.001


def _at_rate(
    contender: SipContender, directory: Path, callee: load.Callee, rate: float, seconds: float
) -> tuple[load.Load, float]:
    """A run through the server, and what that added at p99."""
    count = int(rate * seconds)
    through = load.calls(
        directory, target_of(contender), callee, rate=rate, count=count, settle=lambda: time.sleep(1.0)
    )
    straight = load.calls(directory, load.nothing(), callee, rate=rate, count=count)
    return through, through.percentile(0.99) - straight.percentile(0.99)


def _repeated(done: load.Load) -> float:
    return done.retransmitted / max(MESSAGES["call"] * (done.successful + done.failed), 1)


def _holds(measured: tuple[load.Load, float]) -> bool:
    done, added = measured
    return not done.failed and not done.proof.faults() and _repeated(done) < REPEATED and added <= ADDED_MS


DRIVERS = {
    "register": register,
    "call": call,
    "call_open": partial(call, scenario="call_open"),
    "call_proxied": partial(call, scenario="call_proxied"),
    "options": options,
    "sustained": sustained,
}
