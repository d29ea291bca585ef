"""A day of an office of 300 and a call centre of 60 agents, with faults: loss, phones that restart, DNS, the store.

    python -m tests.sim.office_day --seconds 86400 --extensions 300 --agents 60 --seed 1

The configuration is the example's, grown. Callers from outside come to the queue and to the office's numbers all day,
most of them by day; extensions call each other and out through the trunk. Every twenty minutes something is wrong for a
while. Prints what happened and the digest of the run: one seed, one trace.
"""

from __future__ import annotations

import argparse
import gc
import math
import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from pbx.cdr import CdrWriter
from pbx.persistence import CdrListener
from pbx.store.base import LegRecord
from sipcore.flow import Address
from tests.sim.office import MemoryStore
from tests.sim.plan_office import DOMAIN, EXAMPLE, PlanOffice
from voipat import App, events
from voipat.testing import Phone, PhoneCall, SimWorld
from voipat.testing.network import Conditions

CENTRE: Final = "centre.test"
DAY_S: Final = 86_400.0
FIRST: Final = 1001
DIDS: Final = {"carrier": ("+12025550100", "+12025550101"), "line": ("+13105550100",)}
REGISTRATION_S: Final = 1800
OFFICE_CALL_EVERY_S: Final = 1200.0  # of one extension, at the busiest hour
CENTRE_CALL_EVERY_S: Final = 4.0  # of all callers together, the same
INBOUND_CALL_EVERY_S: Final = 60.0  # of the office, the same
TALK_S: Final = 60.0
MANY: Final = 500  # calls whose objects are kept
SPARSE_S: Final = 10.0
# No new call in the end: the run is about what remains.
LAST_CALL_S: Final = 60.0
FAULT_EVERY_S: Final = 1200.0
FAULT_S: Final = 45.0
RESTARTED: Final = 0.05  # of the phones, each time


@dataclass(slots=True)
class Figures:
    """What a run came to."""

    calls: Counter[str]
    up: Counter[str]
    dispositions: Counter[str]
    answered: int
    answered_without_cdr: int
    open_cdrs: int
    places: int
    faults: Counter[str]
    messages: int
    digest: str
    leaks: list[str]
    simulated: float


class StallingStore(MemoryStore):
    """Rows wait while the disk does not write, and are there afterwards."""

    def __init__(self) -> None:
        super().__init__("")
        self.is_stalled = False
        self._waiting: list[LegRecord] = []

    def save_leg(self, leg: LegRecord) -> bool:
        self._waiting.append(leg)
        if not self.is_stalled:
            self.go_on()
        return True

    def go_on(self) -> None:
        self.is_stalled = False
        for leg in self._waiting:
            super().save_leg(leg)
        self._waiting.clear()


class DayOffice(PlanOffice):
    """The example with more phones and a second tenant that is a call centre."""

    def __init__(self, extensions: int, agents: int, seed: int) -> None:
        self.store = StallingStore()
        self.cdrs = CdrWriter(self.store)
        super().__init__(grown(extensions, agents), seed=seed)
        # One carrier plays both trunks: on one address their numbers tell them apart.
        tenants = [
            replace(tenant, trunks=tuple(replace(t, host=f"{t.name}.test", dids=DIDS[t.name]) for t in tenant.trunks))
            for tenant in self.directory.current.tenants.values()
        ]
        self.directory.swap(type(self.directory.current)(tenants, default_tenant=DOMAIN))

    def _make_app(self, world: SimWorld) -> App:
        app = super()._make_app(world)
        app.subscribe(CdrListener(self.cdrs), CdrListener.EVENTS)
        return app


def grown(extensions: int, agents: int) -> str:
    """The example, with extensions from 1001 on; its agents are those of a queue in a tenant of their own."""
    last, text = FIRST + extensions - 1, EXAMPLE
    if extensions > 10:
        text = text.replace('1010 = "pass-1010"\n', f'1010 = "pass-1010"\n1011-{last} = "pass-{{number}}"\n', 1)
    text = re.sub(r"^\[\[tenant\.queue\]\].*?\n\n", "", text, count=1, flags=re.MULTILINE | re.DOTALL)
    numbers = ", ".join(f'"{number}"' for number in range(FIRST, FIRST + agents))
    return f"""{text}
[[tenant]]
domain = "{CENTRE}"
digest = ["MD5"]
[tenant.extensions]
{FIRST}-{FIRST + agents - 1} = "pass-{{number}}"
[[tenant.queue]]
number = "700"
agents = [{numbers}]
strategy = "longest_idle"
ring_s = 15
max_wait_s = 120
max_callers = 200
[[tenant.trunk]]
name = "line"
host = "127.0.0.1:5091"
[[tenant.did]]
number = "+13105550100"
target = "700"
"""


class Day:
    """Who calls whom, and what goes wrong. Everything is drawn from the world's seed."""

    def __init__(self, office: DayOffice, staff: list[Phone], agents: list[Phone], seconds: float) -> None:
        self.office, self.staff, self.agents = office, staff, agents
        self.world = office.world
        self.start, self.end = self.world.now, self.world.now + seconds
        self.length = seconds
        self.chance = self.world.entropy_of("day")
        self.calls: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.up: Counter[str] = Counter()
        self._placed: list[tuple[str, PhoneCall]] = []
        self.world.talk = lambda call: SPARSE_S
        for phone in (*staff, *agents, office.carrier):
            phone.answers(after=1.0 + self.chance.uniform(0.0, 4.0))
            phone.on_call(self._busy_when_talking)
        for phone in staff:
            self._plan(OFFICE_CALL_EVERY_S, lambda phone=phone: self._office_call(phone))
        self._plan(CENTRE_CALL_EVERY_S, self._centre_call)
        self._plan(INBOUND_CALL_EVERY_S, self._inbound_call)
        self._fault_every = min(FAULT_EVERY_S, seconds / 6)
        self.world.at(self.start + self._fault_every / 2, self._fault)

    def _plan(self, mean: float, place: Callable[[], None]) -> None:
        """Again and again, more often by day than by night."""

        def now() -> None:
            if self.chance.uniform(0.0, 1.0) < self._busy():
                place()
            self._plan(mean, place)

        when = self.world.now - mean * math.log(1.0 - self.chance.uniform(0.0, 1.0))
        if when < self.end - LAST_CALL_S:
            self.world.at(when, now)

    def _busy(self) -> float:
        hour = (self.world.now - self.start) / self.length * 24
        return 0.15 + (0.85 * math.sin(math.pi * (hour - 6) / 14) if 6 <= hour <= 20 else 0.0)

    def _office_call(self, phone: Phone) -> None:
        if not self._is_free(phone):
            return
        if self.chance.uniform(0.0, 1.0) < 0.3:
            self._place("out", phone, "92025550123")
            return
        other = self.staff[int(self.chance.uniform(0.0, len(self.staff)))]
        if other is not phone:
            self._place("inside", phone, other.uri.user or "")

    def _centre_call(self) -> None:
        self._place("queue", self.office.carrier, "sip:+13105550100@127.0.0.1")

    def _inbound_call(self) -> None:
        did = DIDS["carrier"][self.chance.uniform(0.0, 1.0) < 0.5]
        self._place("in", self.office.carrier, f"sip:{did}@127.0.0.1")

    def _place(self, kind: str, phone: Phone, number: str) -> None:
        del phone.calls[:-50], phone.received[:-2]
        call = phone.dial(number)
        self.calls[kind] += 1
        self._placed.append((kind, call))
        if len(self._placed) > MANY:
            self.still_up()
        talk = -TALK_S * math.log(1.0 - self.chance.uniform(0.0, 1.0))
        if self.chance.uniform(0.0, 1.0) < 0.05:
            call.cancels(after=self.chance.uniform(0.0, 6.0))
        else:
            call.hangs_up(after=min(talk, 600.0))

    def still_up(self) -> list[PhoneCall]:
        """The calls that have not ended; those that have are counted and let go."""
        self.up.update(kind for kind, call in self._placed if call.is_over and call.was_answered)
        self._placed = [(kind, call) for kind, call in self._placed if not call.is_over]
        return [call for _, call in self._placed]

    def _busy_when_talking(self, call: PhoneCall) -> None:
        if call.phone is not self.office.carrier and not self._is_free(call.phone, but=call):
            call.refuse(486)

    def _is_free(self, phone: Phone, but: PhoneCall | None = None) -> bool:
        both = (*phone.calls[-4:], *phone.received[-2:])
        return phone.is_registered and all(call.is_over for call in both if call is not but)

    # What goes wrong

    def _fault(self) -> None:
        kind = ("loss", "restarts", "dns", "store")[sum(self.faults.values()) % 4]
        self.faults[kind] += 1
        network, store = self.world.network, self.office.store
        back = self.world.now + FAULT_S
        match kind:
            case "loss":
                before, network.conditions = network.conditions, Conditions(latency=0.01, jitter=0.02, loss=0.15)
                self.world.at(back, lambda: setattr(network, "conditions", before))
            case "restarts":
                for phone in (*self.staff, *self.agents):
                    if self.chance.uniform(0.0, 1.0) < RESTARTED:
                        self._restart(phone, back)
            case "dns":
                network.dns_delay = None
                self.world.at(back, lambda: setattr(network, "dns_delay", 0.0))
            case _:
                store.is_stalled = True
                self.world.at(back, store.go_on)
        if (then := self.world.now + self._fault_every) + FAULT_S + LAST_CALL_S < self.end:
            self.world.at(then, self._fault)

    def _restart(self, phone: Phone, back: float) -> None:
        phone.vanish()
        phone.is_registered = False

        def again() -> None:
            self.world.network.restore(phone.name)
            phone.register(expires=REGISTRATION_S)

        self.world.at(back, again)


def run(seconds: float, extensions: int, agents: int, seed: int) -> Figures:
    """One day of that length."""
    with DayOffice(extensions, agents, seed) as office:
        world = office.world
        carrier = office.carrier.address
        world.network.names.update({name: [Address(carrier.host, 5060)] for name in ("carrier.test", "line.test")})
        staff = _phones(office, DOMAIN, extensions)
        centre = _phones(office, CENTRE, agents)
        world.run(until=world.now + 30.0)
        assert all(phone.is_registered for phone in (*staff, *centre))
        gc.freeze()
        day = Day(office, staff, centre, seconds)
        world.run(until=day.end)
        for phone in (*staff, *centre):
            phone.stop_refreshing()
        world.run(limit=1800.0)
        gc.unfreeze()
        return _figures(office, day)


def _phones(office: DayOffice, domain: str, count: int) -> list[Phone]:
    phones = []
    for index in range(count):
        number = FIRST + index
        phone = office.world.phone(f"sip:{number}@{domain}", password=f"pass-{number}")
        office.world.at(office.world.now + 10.0 * index / count, lambda phone=phone: phone.register(expires=1800))
        phones.append(phone)
    return phones


def _figures(office: DayOffice, day: Day) -> Figures:
    rows = list(office.store.rows.values())
    still_up = day.still_up()
    first = {row.call_id: row for row in rows if row.leg == "a"}
    told = {event.id for event in office.told if isinstance(event, events.CallAnswered)}
    return Figures(
        calls=day.calls,
        up=day.up,
        dispositions=Counter(row.disposition or "open" for row in first.values()),
        answered=len(told),
        answered_without_cdr=len(told - {row.id for row in rows if row.answered is not None}),
        open_cdrs=office.cdrs.open_legs + sum(row.ended is None for row in rows),
        places=office.board.admission.calls
        + sum(office.board.admission._counts.values())
        + sum(int(str(row["calls"])) for row in office.trunks.status()),
        faults=day.faults,
        messages=office.world.network.ladder.messages,
        digest=office.world.trace_digest(),
        leaks=[*office.world.leaks(), *(f"call still up: {call.state}" for call in still_up)],
        simulated=office.world.now,
    )


def main() -> int:
    """Run from the command line; status 1 when an invariant does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=DAY_S)
    parser.add_argument("--extensions", type=int, default=300)
    parser.add_argument("--agents", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    started, cpu = time.perf_counter(), time.process_time()
    figures = run(options.seconds, options.extensions, options.agents, options.seed)
    took, cpu = time.perf_counter() - started, time.process_time() - cpu
    print(f"simulated {figures.simulated:.0f} s in {took:.1f} s (CPU {cpu:.1f} s), seed {options.seed}")
    print(f"calls {dict(figures.calls)}, answered {dict(figures.up)}: {dict(sorted(figures.dispositions.items()))}")
    print(f"answered legs {figures.answered}, without CDR {figures.answered_without_cdr}, open {figures.open_cdrs}")
    print(f"faults {dict(figures.faults)}, messages {figures.messages}, places still taken {figures.places}")
    print(f"digest {figures.digest}")
    print(f"leaks {figures.leaks or 'none'}")
    return 1 if figures.leaks or figures.answered_without_cdr or figures.open_cdrs or figures.places else 0


if __name__ == "__main__":
    sys.exit(main())
