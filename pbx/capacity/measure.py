"""Loads the scratch daemon step by step and keeps what it used.

Each step gives a sample; one whose generator was the limit is thrown away, and one during which the host took the core
is made again. Every round does every step, and there are as many rounds as the time has room for, or until all costs
are known well enough: what disturbs the machine for some seconds disturbs one round, and a cost is the median of them.
"""

from __future__ import annotations

import contextlib
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from media.codecs import OPUS as OPUS_CODEC
from media.quality import quality
from pbx.capacity.costs import STAGES, Check, Cost, Costs, Knee, Point, Quality
from pbx.capacity.estimate import estimate
from pbx.capacity.held import SHED_S, TRIES, HeldCalls, told
from pbx.capacity.kinds import (
    CALLEE,
    CALLEES,
    FEW,
    MEDIA_KINDS,
    OPUS,
    OUTSIDER,
    RECORD,
    RELAY,
    SEALED,
    SRTP,
    TLS_CALLEE,
    TRUNK_NUMBER,
    USERS,
    MediaKind,
)
from pbx.capacity.mixed import MIXES, Loaded, Mixed, mixed_load
from pbx.capacity.model import TARGET, Load, shares
from pbx.capacity.planner import KEEPALIVE_S
from pbx.capacity.rig import TLS_CONNECTIONS, Rig, RigError, Usage
from pbx.capacity.samples import Sample, cost_of, wake_of
from voipat.load import Counts, Generator, Mark, MediaCounts, Plan, Proof
from voipat.load.knee import Search

# So long a step is when the whole has some minutes; the parts of a shorter one are shorter.
STEP_S, LEAST_STEP_S, FULL_S = 1.0, 0.35, 200.0
SETTLE_S: Final = 0.4
# Streams are heard for so long a part of a step, so many times while their calls are up: to bring them up takes longer.
SUNG, SUNG_SETTLE_S, SUNG_TIMES = 0.5, 0.25, 3
# Recordings go to the disk every half second: a part that had that once or twice would be no measure.
SUNG_TAPED: Final = 1.0
# A step during which the host took more of the core is made once more.
STOLEN: Final = 0.05
# When every cost is known as well as this after so many rounds, there are no more.
SURE, ENOUGH = 0.03, 7
FIRST_RATE, FIRST_CALLS = 15.0, 20
SETUP_SHARE, SETUP_MOST = 0.9, 150.0  # of the core, and calls a second
REGISTER_RATE: Final = 400.0
# Of the knee: two runs know it better than what the first calls cost, and what a call costs depends on its rate.
FEW_CALLS, MANY_CALLS, TLS_CALLS, REGISTRATIONS = 0.06, 0.25, 0.1, 2.5
FEW_STEPS: Final = 2  # so many steps long are the few calls of one
# Phones that are asked often, by a daemon of their own: so much work that being woken for it hides little of it.
MANY, ASKED_S = 10, 5.0  # times as many as register otherwise
FEW_PHONES, SOME_PHONES = 200, 0.25  # so many slowly, to know what one costs; a share before memory is measured
ASKED_RATE, ASKED_LOAD = 2000.0, 0.5  # registrations a second at most, and of the core
CONNECTIONS, HANDSHAKES = 400, 200.0  # kept, and made in a second at most
TLS_TIMES: Final = 2
FULL: Final = 0.9  # of the core: what is above it waits
# Long, for what is counted there is a five-hundredth of a core.
IDLE_TIMES, RESTS, REST_STEPS = 5, 3, 1.5
MIXED_TRIES: Final = 2
KNEE_FROM, KNEE_STEP, KNEE_PRECISION, KNEE_TIME = 0.9, 1.35, 0.08, 0.12
# Without these nothing can be planned.
NEEDED: Final = (
    "registration",
    "keepalive",
    "call",
    "trunk_call",
    "relay",
    "srtp",
    "g722",
    "play",
    "conference",
    "record",
)
# Held all the time, for they cost next to nothing while they are silent.
LASTING: Final = (FEW, RELAY, SRTP)
MIXED_S: Final = 5.0


class Measurement:
    """The steps, and what they found. `progress` is told what is being done now."""

    def __init__(self, rig: Rig, seconds: float, progress: Callable[[str], None], *, users: int = USERS) -> None:
        """`users`: how many phones register, of those that the rig knows."""
        self._rig, self._generator, self._users = rig, rig.generator, users
        self._begun, self._seconds = time.monotonic(), seconds
        self._step_s = max(STEP_S * min(seconds / FULL_S, 1.0), LEAST_STEP_S)
        self._progress = progress
        self._secured: Generator | None = None
        self._rests: list[float] = []  # shares of its loop with the phones registered and no calls
        self._up = HeldCalls(rig, self._users, progress)
        self._ended_calls = 0
        self._empty_store = 0
        self.rounds = 0
        self.samples: dict[str, list[Sample]] = defaultdict(list)
        self.waits: list[float] = []
        self.media: dict[str, list[MediaCounts]] = defaultdict(list)
        self.points: list[Point] = []
        self.proofs: list[Proof] = []
        self.idle = 0.0
        self.base_kb = self.binding_kb = self.call_kb = self.recording_octets_s = self.cdr_octets = self.tls_kb = 0.0
        self.knee: Knee | None = None
        self.checks: list[Check] = []
        self.kinds = [kind for kind in MEDIA_KINDS if kind is not OPUS or OPUS_CODEC.is_available]

    def run(self, costs: Callable[[], Costs]) -> None:
        """All of it; `costs` makes them of what was found, for the check."""
        self.prepare()
        self.first_calls()
        self.find_knee()
        self.hold()
        with contextlib.closing(self._rig.secured()) as self._secured:
            self.secure()
            self.all_rounds()
        self._secured = None
        for kind in (FEW, *self.kinds):
            self._ended_calls += self._up.let_go(kind, self._setup_rate)
        if self.is_complete:
            self.mixed(costs())

    def prepare(self) -> None:
        """Idle, then every phone is registered: base, and what keeping them alive takes."""
        self._progress("the daemon without phones")
        self.base_kb = self._rig.resident_kb()
        self.idle = self.idle or self._at_rest()
        self._progress("registrations")
        self._register(0, self._users, None)
        self._register_callees()
        for _ in range(RESTS):
            self._rest_with_phones()
        self._empty_store = self._rig.store_octets()

    def grow(self) -> None:
        """Of a daemon with many phones, each asked often: what a keep-alive costs, and all memory that things take.

        As shipped there are some dozens of keep-alives a second, and most of what they take is that the thread is
        woken. Memory is measured while the daemon only grows, and when what it began with is full.
        """
        self._progress("the daemon without phones")
        self.idle = self._at_rest()
        self._progress("many phones, asked often")
        some = round(self._users * SOME_PHONES)
        few = min(FEW_PHONES, some)
        self._register(0, few, None)
        rate = min(ASKED_LOAD / self._first("first registration"), ASKED_RATE)
        if some > few:
            self._register(few, some - few, None, rate=rate)
        # The difference is the work: to be woken takes nearly the same of both.
        time.sleep(self._rig.phones.asked_s)
        fewer = self._median_asked()
        self.binding_kb = self._takes(lambda: self._register(some, self._users - some, None, rate=rate))
        self.binding_kb /= self._users - some
        time.sleep(self._rig.phones.asked_s)
        for _ in range(TRIES):
            self._steadily("keepalive", lambda: self._keep_alive(fewer))
        self._register_callees()
        self.first_calls()
        self.call_kb = self._takes(self.hold) / sum(map(self._up.calls, LASTING))
        self._progress("TLS connections")
        with contextlib.ExitStack() as kept:
            connections = self._rig.handshakes(CONNECTIONS, keep=True)
            self.tls_kb = self._takes(lambda: kept.enter_context(connections)) / CONNECTIONS

    def take_over(self, grown: Measurement) -> None:
        """What another daemon has shown by growing."""
        self.idle = grown.idle
        self.binding_kb, self.call_kb, self.tls_kb = grown.binding_kb, grown.call_kb, grown.tls_kb
        self.samples["keepalive"] = grown.samples["keepalive"]

    def _takes(self, what: Callable[[], object]) -> float:
        """Memory that stays, in kB."""
        before = self._rig.resident_kb()
        what()
        return float(max(self._rig.resident_kb() - before, 0))

    def _register_callees(self) -> None:
        for number, profile in enumerate(CALLEES.values()):
            self._register(self._rig.phones.count + number, 1, profile)

    def first_calls(self) -> None:
        """Some, to know what rate is none that anyone would notice."""
        for _ in range(TRIES):
            if self.samples["first call"]:
                return
            self._progress("calls")
            self._calls("first call", FIRST_RATE, FIRST_CALLS)
        raise RigError(f"calls at {FIRST_RATE:.0f} a second do not succeed")

    def find_knee(self) -> None:
        """The most calls a second at which every gate holds; each rate that is tried is a point of the curve."""
        until = time.monotonic() + KNEE_TIME * self._seconds

        def attempt(rate: float) -> str:
            self._progress(f"{rate:.0f} calls a second")
            point = self._calls("knee", rate)
            if point is None:
                return "the generator was the limit"
            if not point.is_good:
                time.sleep(SHED_S)
            return point.fault

        search = Search(attempt, KNEE_STEP, KNEE_PRECISION, confirmations=2, is_over=lambda: time.monotonic() > until)
        found = search.run(round(KNEE_FROM / self._first("first call")))
        self.knee = Knee(found.good, found.bad, found.why)

    def start_calls(self, rate: float, count: int) -> int:
        """Calls between extensions; the number of their plan."""
        return self._generator.start(Plan("call", rate, count, users=(0, self._users), targets=(CALLEE,)))

    def hold(self) -> None:
        """Calls that are passed on, up until the end."""
        for kind in LASTING:
            self._up.hold(kind, self._setup_rate)

    def secure(self) -> None:
        """Phones over TLS register."""
        self._progress("TLS connections")
        self._register(0, TLS_CONNECTIONS, None, self._secured)
        self._register(self._rig.phones.count + len(CALLEES), 1, SEALED, self._secured)

    def all_rounds(self) -> None:
        """As many as there is time for; the checks need some of it."""
        longest, reserved = 0.0, 2 * (MIXED_S * self._step_s + 6.0)
        while not self.rounds or self._left() > longest + reserved:
            if self.rounds >= ENOUGH and self.error() < SURE:
                break
            begun = time.monotonic()
            # What disturbs the machine for some seconds is not to meet every step of a kind.
            for steps in (self.signalling, self.over_tls, self.signalling, self.other_media):
                self.lasting_media()
                steps()
            self.rounds += 1
            longest = max(longest, time.monotonic() - begun)

    def error(self) -> float:
        """Of what was found so far, half of the widest interval."""
        return max(estimate(cost.runs).error for cost in self.costs().values())

    def signalling(self) -> None:
        """One round: registrations, calls without digest, few and many calls."""
        self._rest_with_phones()
        self._progress(f"round {self.rounds + 1}: registrations")
        rate = min(REGISTRATIONS * self._scale, ASKED_RATE)
        register = Plan("register", rate, self._count(rate), users=(0, self._users))
        self._steadily("registration", lambda: self._sample("registration", register))
        few, many = FEW_CALLS * self._scale, MANY_CALLS * self._scale
        self._progress(f"round {self.rounds + 1}: calls from a trunk")
        trunk = Plan("call", many, self._count(many), users=(0, 1), targets=(TRUNK_NUMBER,), from_trunk=OUTSIDER)
        self._steadily("trunk_call", lambda: self._sample("trunk_call", trunk))
        self._progress(f"round {self.rounds + 1}: {few:.0f} and {many:.0f} calls a second")
        self._steadily("few calls", lambda: self._calls("few calls", few, self._count(FEW_STEPS * few)))
        self._steadily("call", lambda: self._calls("call", many))

    def over_tls(self) -> None:
        """One round: handshakes, and calls between phones over TLS whose media would be sealed."""
        self._progress(f"round {self.rounds + 1}: TLS")
        for _ in range(TLS_TIMES):
            self._steadily("tls_handshake", self._shake_hands)
        rate = TLS_CALLS * self._scale
        plan = Plan("call", rate, self._count(rate), users=(0, TLS_CONNECTIONS), targets=(TLS_CALLEE,), srtp=True)
        for _ in range(TLS_TIMES):
            self._steadily("tls_call", lambda: self._sample("tls_call", plan, self._secured))

    def _shake_hands(self) -> None:
        begun, before = time.monotonic(), self._rig.usage()
        with self._rig.handshakes(self._count(HANDSHAKES)) as active:
            spent, elapsed = self._rig.usage() - before, time.monotonic() - begun
        self._keep("tls_handshake", self._count(HANDSHAKES), active, spent, elapsed)

    def lasting_media(self) -> None:
        """Few and many that are passed on, in clear and sealed, once each: they are up all the time."""
        self._sing("few", [FEW], 1)
        self._sing("relay", [FEW, RELAY], 1)
        self._sing("srtp", [SRTP], 1)

    def other_media(self) -> None:
        """One round: each kind that is not silent when its phones are, and so is up only now."""
        for kind in self.kinds:
            if kind in LASTING:
                continue
            octets, begun = self._rig.recordings_octets(), time.monotonic()
            self._up.hold(kind, self._setup_rate)
            self._sing(kind.name, [kind], SUNG_TIMES)
            if kind is RECORD:
                grown, elapsed = self._rig.recordings_octets() - octets, time.monotonic() - begun
                self.recording_octets_s = grown / elapsed / self._up.calls(kind)
            self._ended_calls += self._up.let_go(kind, self._setup_rate)

    def mixed(self, costs: Costs) -> None:
        """Loads of many kinds, against what the costs foretell of them; again when the generator was the limit."""
        for mix in MIXES:
            for _ in range(MIXED_TRIES):
                self._progress(f"{mix.title}, to check the costs")
                check = self._mixed(mix, costs)
                if check is not None:
                    self.checks.append(check)
                    break
        self._count_rows()

    def _mixed(self, mix: Mixed, costs: Costs) -> Check | None:
        found = self.under(mixed_load(mix.demand, costs, self.kinds), max(MIXED_S * self._step_s, 2.0))
        if found.proof.faults():
            return None
        parts = [f"{rate:.1f} {name}s a second".replace("_", " ") for name, rate in found.load.rates.items()]
        parts += [f"{count:.0f} × {name}" for name, count in found.load.held.items()]
        rates = {**found.load.rates, "keepalive": self._users / KEEPALIVE_S}
        predicted = shares(Load(rates, found.load.held), costs).total
        return Check(mix.title, predicted, found.busy.total, ", ".join(parts))

    def under(self, load: Load, seconds: float) -> Loaded:
        """That load for so long: all its calls are up and are heard, others come and go."""
        chosen = [replace(kind, calls=round(load.held.get(kind.name, 0))) for kind in self.kinds]
        chosen = [kind for kind in chosen if kind.calls]
        try:
            for kind in chosen:
                self._up.hold(kind, self._setup_rate)
            self._generator.sing(self._up.parts(chosen))
            time.sleep(SETTLE_S)
            mark, begun, before = self._generator.mark(), time.monotonic(), self._rig.usage()
            plans = {name: self._generator.start(plan) for name, plan in self._plans(load, seconds).items()}
            counts = {name: self._generator.wait(plan, timeout=seconds + 10) for name, plan in plans.items()}
            time.sleep(max(begun + seconds - time.monotonic(), 0.0))
            spent, elapsed = self._rig.usage() - before, time.monotonic() - begun
            proof, heard = self._judge(mark), self._generator.hush()
            held = {kind.name: float(self._up.calls(kind)) for kind in chosen}
        finally:
            for kind in chosen:
                self._ended_calls += self._up.let_go(kind, self._setup_rate)
        done = Load({name: each.ok / elapsed for name, each in counts.items()}, held)
        return Loaded(done, spent * (1 / elapsed), counts, heard, proof)

    def _plans(self, load: Load, seconds: float) -> dict[str, Plan]:
        """Arrivals by chance, as they are in life."""
        everyone = (0, self._users)
        made = {
            "call": Plan("call", load.rates["call"], 0, users=everyone, targets=(CALLEE,), seed=1),
            "trunk_call": Plan(
                *("call", load.rates["trunk_call"], 0),
                users=(0, 1),
                targets=(TRUNK_NUMBER,),
                from_trunk=OUTSIDER,
                seed=2,
            ),
            "registration": Plan("register", load.rates["registration"], 0, users=everyone, seed=3),
        }
        counted = {name: replace(plan, count=round(plan.rate * seconds)) for name, plan in made.items()}
        return {name: plan for name, plan in counted.items() if plan.count}

    def costs(self) -> dict[str, Cost]:
        """Of each kind that has a sample."""
        titles = {
            "registration": "registration (401 and 200)",
            "keepalive": "keep-alive of a phone (OPTIONS)",
            "call": "call between extensions, with digest",
            "trunk_call": "call from a trunk, without digest",
            "tls_handshake": "TLS handshake (1.3, P-256)",
            "tls_call": "call over TLS, with digest and SRTP keys",
            **{kind.name: kind.title for kind in MEDIA_KINDS},
        }
        media = {kind.name for kind in MEDIA_KINDS}
        wake = self.wake
        return {
            name: cost_of(name, title, self.samples[name], wake, per_second=name in media)
            for name, title in titles.items()
            if self.samples.get(name)
        }

    @property
    def is_complete(self) -> bool:
        """Whether there is a cost of each thing without which nothing can be planned."""
        return all(self.samples.get(name) for name in NEEDED)

    @property
    def wake(self) -> dict[str, float]:
        """By stage: of calls at all rates that leave the core some rest, and of few and many streams."""
        calls = [*self.samples["few calls"], *self.samples["call"]]
        calls += [one for one in self.samples["knee"] if one.busy.total < TARGET]
        relayed = [*self.samples["few"], *self.samples["relay"]]
        return {
            "signalling": wake_of(calls, "signalling"),
            "media": wake_of(relayed, "media"),
            "disk": wake_of(calls, "disk"),
        }

    def curve(self) -> tuple[Point, ...]:
        """Of each rate the median round, by rate."""
        groups: list[list[Point]] = []
        for point in sorted(self.points, key=lambda one: one.rate):
            if groups and point.rate < 1.1 * groups[-1][0].rate:
                groups[-1].append(point)
            else:
                groups.append([point])
        return tuple(sorted(group, key=lambda one: one.p99_ms)[len(group) // 2] for group in groups)

    def qualities(self) -> dict[str, Quality]:
        """Of each kind with media, the median round."""
        judged = {
            name: sorted(map(_quality_of(name), found), key=lambda one: one.mos) for name, found in self.media.items()
        }
        return {name: found[len(found) // 2] for name, found in judged.items()}

    @property
    def waited(self) -> float:
        """The share of the time that the daemon was ready to run and had no core."""
        return statistics.median(self.waits) if self.waits else 0.0

    @property
    def _scale(self) -> float:
        """Calls a second, of which the steps take parts."""
        return self.knee.good if self.knee and self.knee.good else KNEE_FROM / self._first("first call")

    @property
    def _setup_rate(self) -> float:
        return min(SETUP_SHARE / self._first("first call"), SETUP_MOST)

    def _first(self, name: str) -> float:
        """CPU of a unit, all stages. Raises: RigError."""
        if not self.samples[name]:
            raise RigError(f"{name}: no step counts")
        return statistics.median((one.busy.total - one.quiet.total) / one.units for one in self.samples[name])

    def _left(self) -> float:
        return self._begun + self._seconds - time.monotonic()

    def _count(self, rate: float) -> int:
        return max(int(rate * self._step_s), 3)

    def _count_rows(self) -> None:
        """What the rows of a call take on the disk."""
        grown = self._rig.store_octets() - self._empty_store
        self.cdr_octets = grown / self._ended_calls if self._ended_calls else 0.0

    def _rest(self, seconds: float) -> Usage:
        """Shares of a core without load, by stage."""
        begun, before = time.monotonic(), self._rig.usage()
        time.sleep(seconds)
        elapsed = time.monotonic() - begun
        return (self._rig.usage() - before) * (1 / elapsed)

    def _at_rest(self) -> float:
        return statistics.median(self._rest(REST_STEPS * self._step_s).total for _ in range(IDLE_TIMES))

    def _rest_with_phones(self) -> None:
        """Once more, what the daemon takes while nothing comes but what keeps its phones alive."""
        # Calls that are up are silent, but their media thread looks after them.
        self._rests.append(self._rest(REST_STEPS * self._step_s).signalling)

    @property
    def _quiet(self) -> Usage:
        """Shares of the daemon with its phones registered and no calls."""
        return Usage(signalling=statistics.median(self._rests)) if self._rests else Usage()

    def _keep_alive(self, fewer: Sample) -> None:
        """A sample of what is asked more than there."""
        asked = self._asked()
        if asked is not None and asked.units > fewer.units:
            self.samples["keepalive"].append(Sample(asked.units - fewer.units, asked.busy, fewer.busy))

    def _median_asked(self) -> Sample:
        """Raises: RigError."""
        found = [asked for _ in range(TRIES) if (asked := self._asked()) is not None]
        if not found:
            raise RigError("keep-alives: no step counts")
        return sorted(found, key=lambda sample: sample.busy.total)[len(found) // 2]

    def _asked(self) -> Sample | None:
        """Phones that were asked in a second, and what the daemon took; None when the generator was the limit."""
        mark, asked, begun = self._generator.mark(), self._generator.totals()["asked"], time.monotonic()
        kept = self._rest(self._step_s)
        rate = (self._generator.totals()["asked"] - asked) / (time.monotonic() - begun)
        return None if self._judge(mark).faults() else Sample(rate, self._without_idle(kept))

    def _without_idle(self, shares: Usage) -> Usage:
        return replace(shares, signalling=max(shares.signalling - self.idle, 0.0))

    def _register(
        self, first: int, count: int, profile: int | None, by: Generator | None = None, rate: float = 0.0
    ) -> None:
        """All of these, at a rate that any machine takes if none is given; slower when some are not answered."""
        generator, usual = by or self._generator, rate or (REGISTER_RATE if count > TLS_CONNECTIONS else 20.0)
        for attempt in range(TRIES):
            mark, rate = generator.mark(), usual / 2**attempt
            before = self._rig.usage()
            plan = generator.start(Plan("register", rate, count, users=(first, count), answer_as=profile))
            counts = generator.wait(plan, timeout=count / rate + 20)
            if rate == REGISTER_RATE and counts.ok and not self._judge(mark).faults():
                used = (self._rig.usage() - before) * (rate / count)
                self.samples["first registration"].append(Sample(rate, used))
            if counts.ok == count:
                return
        raise RigError(f"{counts.failed} of {count} phones cannot register: {told(counts)}\n{self._rig.log_tail()}")

    def _sample(self, name: str, plan: Plan, by: Generator | None = None) -> tuple[Counts, Usage, bool]:
        """What came of the plan, the shares of a core while it ran, and whether that counts."""
        generator = by or self._generator
        mark, begun, before = generator.mark(), time.monotonic(), self._rig.usage()
        counts = generator.wait(generator.start(plan), timeout=plan.count / plan.rate + 12)
        late = max(time.monotonic() - begun - plan.count / plan.rate - plan.delay - (plan.hold or 0) - 0.1, 0.0)
        time.sleep(SETTLE_S)  # rows are written, transactions end
        spent, elapsed = self._rig.usage() - before, time.monotonic() - begun
        proof = self._judge(mark, generator)
        self._ended_calls += counts.ok * (plan.kind == "call")
        active = plan.count / plan.rate + late  # longer when it is overloaded
        if not proof.faults() and counts.failed <= 0.01 * counts.started:
            self._keep(name, counts.ok, active, spent, elapsed)
        return counts, self._during(active, spent, elapsed), not proof.faults()

    def _keep(self, name: str, units: float, active: float, spent: Usage, elapsed: float) -> None:
        self.waits.append(spent.waited / elapsed)
        busy = self._without_idle(self._during(active, spent, elapsed))
        self.samples[name].append(Sample(units / active, busy, self._without_idle(self._quiet)))

    def _during(self, active: float, spent: Usage, elapsed: float) -> Usage:
        """Shares of a core while there was load, of a longer time."""
        return (spent - self._quiet * (elapsed - active)) * (1 / active)

    def _judge(self, mark: Mark, by: Generator | None = None) -> Proof:
        proof = (by or self._generator).proof(mark)
        self.proofs.append(proof)
        return proof

    def _calls(self, name: str, rate: float, least: int = 0) -> Point | None:
        """Calls at that rate, at least so many; None when the generator was the limit."""
        count = max(self._count(rate), least)
        counts, busy, is_valid = self._sample(
            name, Plan("call", rate, count, users=(0, self._users), targets=(CALLEE,))
        )
        if not is_valid:
            return None
        point = Point(
            rate=rate,
            load=busy.total,
            p50_ms=counts.setup.percentile_ms(0.5),
            p99_ms=counts.setup.percentile_ms(0.99),
            ok=counts.ok,
            failed=counts.failed,
            retransmitted=counts.retransmitted,
            stages={name: getattr(busy, name) for name in STAGES},
        )
        self.points.append(point)
        return point

    def _sing(self, name: str, kinds: Sequence[MediaKind], times: int) -> None:
        """So many samples of these kinds together."""
        self._progress(f"round {self.rounds + 1}: {kinds[-1].title}")
        for _ in range(times):
            self._steadily(name, lambda: self._sing_once(name, kinds))

    def _steadily(self, name: str, step: Callable[[], object]) -> None:
        """A step that gives a sample of that name; once more, in its place, when the host took the core meanwhile."""
        found, begun, stolen = self.samples[name], time.monotonic(), self._rig.stolen_s()
        count = len(found)
        step()
        share = (self._rig.stolen_s() - stolen) / (time.monotonic() - begun)
        if share > STOLEN and len(found) > count:
            disturbed = found.pop()
            step()
            if len(found) == count:
                found.append(disturbed)

    def _sing_once(self, name: str, kinds: Sequence[MediaKind]) -> None:
        self._generator.sing(self._up.parts(kinds))
        time.sleep(SUNG_SETTLE_S)
        mark, begun, before = self._generator.mark(), time.monotonic(), self._rig.usage()
        time.sleep((SUNG_TAPED if name == RECORD.name else SUNG) * self._step_s)
        spent, elapsed = self._rig.usage() - before, time.monotonic() - begun
        proof = self._judge(mark)
        counted = self._generator.hush()
        if proof.faults():
            return
        if name != FEW.name:
            self.media[name].append(counted)
        self.waits.append(spent.waited / elapsed)
        busy = self._without_idle(spent * (1 / elapsed))
        calls = sum(self._up.calls(kind) for kind in kinds)
        self.samples[name].append(Sample(calls, busy, self._without_idle(self._quiet)))


def _quality_of(name: str) -> Callable[[MediaCounts], Quality]:
    kind = next(kind for kind in MEDIA_KINDS if kind.name == name)

    def judge(counted: MediaCounts) -> Quality:
        delay = counted.delay.percentile_ms(0.99) if kind.stamped else None
        heard = quality(kind.codec, loss=counted.loss, jitter_ms=counted.jitter_ms, round_trip_ms=2 * (delay or 0.0))
        return Quality(heard.mos, counted.loss, counted.jitter_ms, delay)

    return judge
