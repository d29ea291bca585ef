"""An hour of an office: extensions that call each other all the time, over a network that loses packets.

    python -m tests.sim.office_hour --seconds 3600 --extensions 500 --seed 1

Signalling runs in full. Media is stepped natively where a phone listens (one call in `LISTENED`), elsewhere each phone
sends a packet every ten seconds, so that media timeouts still tell a dead phone. Prints what happened, the digest of
the run and the leak check; two runs with one seed print the same.
"""

from __future__ import annotations

import argparse
import gc
import math
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

from tests.sim.office import DOMAIN, Office
from voipat.testing import Phone, PhoneCall

LISTENED = 100
BETWEEN_CALLS = 300.0
TALK = 90.0
GIVE_UP, REFUSE, NO_ANSWER = 0.05, 0.05, 0.05
REGISTRATION = 600
# No new call in the end of the run: it is about what remains when all have hung up.
LAST_CALL_BEFORE_END = 10.0
SPARSE, FULL = 10.0, 0.02


@dataclass(slots=True)
class Figures:
    """What a run came to."""

    calls: int
    outcomes: Counter[str]
    listened: int
    deaf: int
    messages: int
    lost: int
    digest: str
    leaks: list[str]
    cdrs: int
    simulated: float
    statuses: Counter[int] = field(default_factory=Counter)


class Traffic:
    """Places the calls. Everything is drawn from the world's seed."""

    def __init__(self, office: Office, phones: list[Phone], seconds: float) -> None:
        self._office = office
        self._phones = phones
        self._end = office.world.now + seconds
        self._entropy = office.world.entropy_of("traffic")
        self._listened: set[tuple[str, str]] = set()
        self.calls: list[PhoneCall] = []
        self.heard: list[PhoneCall] = []
        office.world.talk = self._interval
        for phone in phones:
            phone.on_call(self._on_call)
            self._mind(phone)
            self._plan(phone)

    def _plan(self, phone: Phone) -> None:
        loop = self._office.world.loop
        when = loop.time() + self._exponential(BETWEEN_CALLS)
        if when < self._end - LAST_CALL_BEFORE_END:
            loop.call_at(when, self._place, phone)

    def _place(self, phone: Phone) -> None:
        now = self._office.world.now
        self._plan(phone)
        callee = self._phones[int(self._entropy.uniform(0, len(self._phones)))]
        if callee is phone or _is_talking(phone):
            return
        pair = (_user(phone), _user(callee))
        self._listened.discard(pair)
        listened = self._entropy.uniform(0, LISTENED) < 1.0
        if listened:
            self._listened.add(pair)
        call = phone.dial(f"sip:{_user(callee)}@{DOMAIN}")
        self.calls.append(call)
        if self._entropy.uniform(0, 1) < GIVE_UP:
            call.cancels(after=self._entropy.uniform(0.0, 5.0))
            return
        talk = min(self._exponential(TALK), max(self._end - now - 5.0, 1.0))
        if listened and talk > 2.0:
            talk = min(talk, 30.0)
            self.heard.append(call)
        call.hangs_up(after=talk)

    def _on_call(self, call: PhoneCall) -> None:
        del call.phone.calls[:-4], call.phone.received[:-1]
        if any(other is not call and not other.is_over for other in call.phone.calls[-4:]):
            call.refuse(486)

    def _mind(self, phone: Phone) -> None:
        draw = self._entropy.uniform(0, 1)
        if draw < REFUSE:
            phone.refuses(603, after=2.0)
        elif draw < REFUSE + NO_ANSWER:
            phone.rings()
        else:
            phone.answers(after=self._entropy.uniform(1.0, 8.0))

    def _interval(self, call: PhoneCall) -> float:
        mine, theirs = _user(call.phone), call.remote.user or ""
        pair = (mine, theirs) if call.is_outgoing else (theirs, mine)
        return FULL if pair in self._listened else SPARSE

    def _exponential(self, mean: float) -> float:
        return -mean * math.log(1.0 - self._entropy.uniform(0.0, 1.0))


def run(seconds: float, extensions: int, seed: int, loss: float) -> Figures:
    """Run the office and return what it came to."""
    with Office(seed=seed, extensions=extensions, loss=loss, jitter=0.005) as office:
        world = office.world
        phones = [office.phone(1001 + index) for index in range(extensions)]
        for index, phone in enumerate(phones):
            world.at(index * 5.0 / extensions, lambda phone=phone: phone.register(expires=REGISTRATION))
        world.run(until=40.0)
        assert all(phone.is_registered for phone in phones), "every phone registers in spite of the loss"
        # The collector walked the phones again and again: a third of the run.
        gc.freeze()
        traffic = Traffic(office, phones, seconds)
        world.run(until=40.0 + seconds)
        for phone in phones:
            phone.stop_refreshing()
        world.run(limit=600.0)
        statuses = Counter(call.status or 0 for call in traffic.calls)
        gc.unfreeze()
        return Figures(
            calls=len(traffic.calls),
            outcomes=Counter(cdr.disposition or "open" for cdr in office.cdrs),
            listened=len(traffic.heard),
            deaf=sum(_is_deaf(call) for call in traffic.heard),
            messages=world.network.ladder.messages,
            lost=world.network.counters["lost"],
            digest=world.trace_digest(),
            leaks=world.leaks(),
            cdrs=len(office.cdrs),
            simulated=world.now,
            statuses=statuses,
        )


def _is_deaf(call: PhoneCall) -> bool:
    """Whether the caller of a call that was up for two seconds did not hear the callee's tone."""
    if call.answered_at is None or (call.ended_at or 0.0) - call.answered_at < 2.0:
        return False
    callee = next(phone for phone in call.phone.world.phones if phone.uri.user == call.remote.user)
    return not call.heard.hears(callee.tone)


def _is_talking(phone: Phone) -> bool:
    return any(not call.is_over for call in phone.calls[-4:])


def _user(phone: Phone) -> str:
    return phone.uri.user or ""


def main() -> int:
    """Run from the command line; status 1 when something leaked or was not heard."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--extensions", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--loss", type=float, default=0.05)
    options = parser.parse_args()
    started, cpu = time.perf_counter(), time.process_time()
    figures = run(options.seconds, options.extensions, options.seed, options.loss)
    took, cpu = time.perf_counter() - started, time.process_time() - cpu
    print(f"simulated {figures.simulated:.0f} s in {took:.1f} s (CPU {cpu:.1f} s), seed {options.seed}")
    print(f"calls {figures.calls}, CDRs {figures.cdrs}: {dict(sorted(figures.outcomes.items()))}")
    print(f"statuses {dict(sorted(figures.statuses.items()))}")
    print(f"listened {figures.listened}, not heard {figures.deaf}")
    print(f"messages {figures.messages}, datagrams lost {figures.lost}")
    print(f"digest {figures.digest}")
    print(f"leaks {figures.leaks or 'none'}")
    return 1 if figures.leaks or figures.deaf else 0


if __name__ == "__main__":
    sys.exit(main())
