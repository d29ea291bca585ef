"""Drivers of signalling: what `voipat.load` asks of a server (of `sustained` sipp), and what that costs it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from bench.cells.trial import Plan, Trial
from bench.peers.base import Contender, SipContender
from bench.rig import load
from bench.rig.extensions import EXTENSIONS
from bench.rig.generated import Done, Phones
from voipat.load.knee import Search

BINDING_RATE = 2000.0
MESSAGES = {"register": 4, "call": 13, "options": 2}  # of one unit, both ways, at all phones


def target_of(server: SipContender) -> load.Target:
    return load.Target(server.address, server.cpu_seconds, server.kernel_drops)


def trial_of(done: load.Load | Done, scale: float, beside: Mapping[str, float], messages: int) -> Trial:
    repeated = done.retransmitted / max(messages * (done.successful + done.failed), 1)
    return Trial(done.cost() * scale, done.failed, repeated, done.proof, beside)


def register(contender: Contender, directory: Path, plan: Plan) -> Trial:
    """The first round makes the bindings, the second refreshes them and is what counts."""
    assert isinstance(contender, SipContender)
    empty = contender.pss_kb()
    with Phones(contender) as phones:
        bound = phones.register(BINDING_RATE, EXTENSIONS)
        assert bound.successful > 0.99 * EXTENSIONS, f"{bound.failed} of {EXTENSIONS} cannot register"
        binding_kb = (contender.pss_kb() - empty) / EXTENSIONS
        done = phones.register(plan.load, int(plan.load * plan.seconds))
    return trial_of(done, 1e6, {"memory per binding/kB": binding_kb}, MESSAGES["register"])


def call(contender: Contender, directory: Path, plan: Plan) -> Trial:
    """INVITE, 180, 200, ACK, 200 ms, BYE, with a phone that answers at once."""
    assert isinstance(contender, SipContender)
    with Phones(contender) as phones:
        phones.answer()
        phones.call(50, 50)
        done = phones.call(plan.load, int(plan.load * plan.seconds), settle=1.0)
    beside = {"INVITE to 200, p50/ms": done.percentile(0.5), "INVITE to 200, p99/ms": done.percentile(0.99)}
    return trial_of(done, 1e3, beside, MESSAGES["call"])


def options(contender: Contender, directory: Path, plan: Plan) -> Trial:
    """Whether the server is there."""
    assert isinstance(contender, SipContender)
    with Phones(contender) as phones:
        phones.ask(500, 500)
        done = phones.ask(plan.load, int(plan.load * plan.seconds))
    return trial_of(done, 1e6, {}, MESSAGES["options"])


def sustained(contender: Contender, directory: Path, plan: Plan) -> Trial:
    """The highest rate of calls at which the gates hold, found by search from `plan.load` on.

    The cost is the p99 of what the server adds to the set-up at `plan.load`: the same phones straight to each other are
    what it is added to. As with any knee, a rate that fails is tried once more.
    """
    assert isinstance(contender, SipContender)
    callee = load.Callee(directory, target_of(contender))

    def at(rate: float, target: load.Target | None = None) -> load.Load:
        count = int(rate * plan.seconds)
        # Long enough that what a load left, and what was shed of it, is over when the next one comes.
        settle = partial(time.sleep, REST_S if target is None else 0.0)
        return load.calls(directory, target or target_of(contender), callee, rate=rate, count=count, settle=settle)

    try:
        at(WARM_RATE)
        straight_ms = at(plan.load, target=load.nothing()).percentile(0.99)
        first = at(plan.load)
        measured = [first]
        search = Search(lambda rate: _fault(measured.pop() if measured else at(rate), straight_ms), precision=PRECISION)
        found = search.run(plan.load)
    finally:
        callee.close()
    beside = {"sustained rate/cps": found.good, "core at the rate asked for/%": first.cpu_s / plan.seconds * 100}
    return Trial(first.percentile(0.99) - straight_ms, first.failed, _repeated(first), first.proof, beside)


WARM_RATE, REST_S = 100.0, 2.0
ADDED_MS, REPEATED = 20.0, 0.001
PRECISION = 0.08  # of the rate: rounds differ by more


def _repeated(done: load.Load) -> float:
    return done.retransmitted / max(MESSAGES["call"] * (done.successful + done.failed), 1)


def _fault(done: load.Load, straight_ms: float) -> str:
    """The gate that was not passed, or nothing."""
    if done.failed or done.proof.faults():
        return "; ".join([f"{done.failed} failed", *done.proof.faults()])
    if _repeated(done) >= REPEATED:
        return f"{_repeated(done):.2%} repeated"
    added = done.percentile(0.99) - straight_ms
    return f"p99 {added:.0f} ms" if added > ADDED_MS else ""


DRIVERS = {
    "register": register,
    "call": call,
    "options": options,
    "sustained": sustained,
}
