"""Drivers of signalling: what sipp asks of a server, and what that costs it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from bench.cells.trial import Plan, Trial
from bench.peers.base import Contender, SipContender
from bench.rig import load
from bench.rig.extensions import EXTENSIONS

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


DRIVERS = {
    "register": register,
    "call": call,
    "call_open": partial(call, scenario="call_open"),
    "call_proxied": partial(call, scenario="call_proxied"),
}
