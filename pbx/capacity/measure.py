"""Loads the scratch daemon step by step and makes costs of the CPU that it used.

Each step gives a sample; one whose generator was the limit is thrown away. Costs are medians over rounds, each of which
does every step: what disturbs the machine for some seconds disturbs one round.
"""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from media.codecs import OPUS as OPUS_CODEC
from media.quality import quality
from pbx.capacity.costs import STAGES, Check, Cost, Costs, Point, Quality
from pbx.capacity.kinds import (
    CALLEE,
    CALLEES,
    CONFERENCE,
    G722,
    MEDIA_KINDS,
    OPUS,
    OUTSIDER,
    PLAY,
    PROFILES,
    RECORD,
    RELAY,
    SRTP,
    TRUNK_NUMBER,
    USERS,
    MediaKind,
)
from pbx.capacity.model import SIGNALLING, Load, fit_cold, fit_cold_media, shares, warmth
from pbx.capacity.rig import Rig, RigError, Usage
from voipat.load import Counts, Mark, MediaCounts, Plan, Proof
from voipat.load.fleet import Part

# Seconds that there are at least → rounds.
ROUNDS: Final = ((300, 5), (100, 3), (60, 2), (0, 1))
LEAST_STEP_S: Final = 0.3
SETTLE_S: Final = 0.4
FIRST_RATE, FIRST_CALLS = 15.0, 20
SETUP_SHARE, SETUP_MOST = 0.3, 100.0  # of the core, and calls a second
REGISTER_RATE: Final = 400.0
MIXED_CALLS, MIXED_REGISTRATIONS = 0.15, 0.05  # of a core, in the check
TRIES: Final = 5
SHED_S: Final = 1.0  # what was refused is asked again after so long
# Parts of the rate at which calls alone would fill the core, by what one costs when it is idle; it costs less later.
RAMP: Final = (0.2, 0.5, 0.9, 1.4, 2.0)
BUSY: Final = 0.85
PASSIVE: Final = (RELAY, SRTP, OPUS, G722)
TOGETHER: Final = "all kinds"
ACTIVE: Final = (PLAY, CONFERENCE, RECORD)


@dataclass(frozen=True, slots=True)
class Sample:
    """One step: CPU seconds of a unit by stage, the share of the core that was used, the generator's proof."""

    stages: Usage
    load: float
    proof: Proof
    waited: float

    @property
    def cost(self) -> float:
        """Of all stages."""
        return self.stages.total


@dataclass(frozen=True, slots=True)
class Held:
    """Calls of one kind that are up, by the plans that brought them up."""

    plans: tuple[int, ...] = ()
    calls: int = 0


class Measurement:
    """The steps, and what they found. `progress` is told what is being done now."""

    def __init__(self, rig: Rig, seconds: float, progress: Callable[[str], None], *, users: int = USERS) -> None:
        """`users`: how many phones register, of those that the rig knows."""
        self._rig, self._generator, self._users = rig, rig.generator, users
        self.rounds = next(rounds for least, rounds in ROUNDS if seconds >= least)
        overhead, steps = 36 + 10 * self.rounds, 12 + 16 * self.rounds
        self._step_s = max((seconds - overhead) / steps, LEAST_STEP_S)
        self._progress = progress
        self._quiet = Usage()  # a second of the daemon with nothing to do
        self._up: dict[str, Held] = {}
        self._calm = Usage()  # a second with calls up whose phones send nothing
        self._held: dict[str, int] = {}  # calls of each kind, when all are up
        self._kept_alive = 0.0  # share of a core, for all the phones
        self.samples: dict[str, list[Sample]] = defaultdict(list)
        self.media: dict[str, list[MediaCounts]] = defaultdict(list)
        self.points: list[Point] = []
        self.proofs: list[Proof] = []
        self.idle = 0.0
        self.base_kb = self.binding_kb = self.call_kb = self.recording_octets_s = 0.0
        self.check: Check | None = None
        self.kinds = [kind for kind in MEDIA_KINDS if kind is not OPUS or OPUS_CODEC.is_available]

    def run(self, costs: Callable[[], Costs]) -> None:
        """All of it; `costs` makes them of what was found, for the check."""
        self.prepare()
        for _ in range(self.rounds):
            self.signalling()
        self.hold()
        self.with_media()
        self.mixed(costs())
        self.end()

    def prepare(self) -> None:
        """Idle, then every phone is registered: base, memory of a binding, what keeping it alive costs."""
        self._progress("the daemon without phones")
        self.base_kb = self._rig.resident_kb()
        self.idle = self._rest(2 * self._step_s).total
        self._quiet = Usage(signalling=self.idle)
        self._progress("registrations")
        self._register(0, self._users, None)
        self.binding_kb = max(self._rig.resident_kb() - self.base_kb, 0) / self._users
        for number, profile in enumerate(CALLEES.values()):
            self._register(USERS + number, 1, profile)
        mark, asked, begun = self._generator.mark(), self._generator.totals()["asked"], time.monotonic()
        kept = self._rest(3 * self._step_s)
        rate = (self._generator.totals()["asked"] - asked) / (time.monotonic() - begun)
        if rate > 1:
            spent = Usage(max(kept.signalling - self.idle, 0) / rate, kept.media / rate, kept.disk / rate)
            self.samples["keepalive"].append(Sample(spent, kept.total, self._judge(mark), kept.waited))
        self._quiet = kept
        self._kept_alive = max(kept.total - self.idle, 0.0)

    def signalling(self) -> None:
        """One round: registrations, calls without digest, calls at several rates."""
        self._progress("registrations")
        first = self.median("first registration")
        rate = min(0.5 / first, 2000.0)
        self._sample("registration", Plan("register", rate, self._count(rate), users=(0, self._users)))
        self.first_calls()
        self._progress("calls from a trunk")
        alone = 1 / self.median("first call")
        rate = 0.35 * alone
        trunk = Plan("call", rate, self._count(rate), users=(0, 1), targets=(TRUNK_NUMBER,), from_trunk=OUTSIDER)
        self._sample("trunk_call", trunk)
        for part in RAMP:
            self._progress(f"{part * alone:.0f} calls a second")
            point = self._calls("call", part * alone)
            if point is not None and (point.load > BUSY or not point.is_good):
                break

    def first_calls(self) -> None:
        """Some, to know what rate is none that anyone would notice."""
        for _ in range(TRIES):
            if self.samples["first call"]:
                return
            self._progress("calls")
            self._calls("first call", FIRST_RATE, FIRST_CALLS)
        raise RigError(f"calls at {FIRST_RATE:.0f} a second do not succeed")

    def start_calls(self, rate: float, count: int) -> int:
        """Calls between extensions; the number of their plan."""
        return self._generator.start(Plan("call", rate, count, users=(0, self._users), targets=(CALLEE,)))

    def hold(self) -> None:
        """Calls that are passed on, up until the end: what one takes of memory, what all take when they are silent."""
        before = self._rig.resident_kb()
        for kind in PASSIVE:
            if kind in self.kinds:
                self._hold(kind)
        self.call_kb = max(self._rig.resident_kb() - before, 0) / sum(held.calls for held in self._up.values())
        self._calm = self._rest(2 * self._step_s)

    def with_media(self) -> None:
        """Each kind of call with its media, then all at once. Who makes media without its phones is up only then."""
        for _ in range(self.rounds):
            for kind in PASSIVE:
                if kind in self.kinds:
                    self._sing(kind.name, [kind])
        for kind in ACTIVE:
            octets, begun = self._rig.recordings_octets(), time.monotonic()
            self._hold(kind)
            for _ in range(self.rounds):
                self._sing(kind.name, [kind])
            if kind is RECORD:
                grown, elapsed = self._rig.recordings_octets() - octets, time.monotonic() - begun
                self.recording_octets_s = grown / elapsed / self._up[kind.name].calls
            self._let_go(kind)
        self.hold_all()
        for _ in range(self.rounds):
            self._sing(TOGETHER, self.kinds)

    def hold_all(self) -> None:
        """The other kinds too."""
        for kind in ACTIVE:
            self._hold(kind)
        self._held = {name: held.calls for name, held in self._up.items()}

    def mixed(self, costs: Costs) -> None:
        """Everything at once, against what the costs foretell of it; again when the generator was the limit."""
        for _ in range(TRIES):
            self._progress("a mixed load, to check the costs")
            self.check = self._mixed(costs)
            if self.check is not None:
                return

    def _mixed(self, costs: Costs) -> Check | None:
        rates = {
            "call": MIXED_CALLS / costs.costs["call"].value,
            "registration": MIXED_REGISTRATIONS / costs.costs["registration"].value,
        }
        quiet = self.idle + self._kept_alive
        seconds = max(4 * self._step_s, 2.0)
        self._generator.sing(self._parts(self.kinds))
        time.sleep(SETTLE_S)
        mark, begun, before = self._generator.mark(), time.monotonic(), self._rig.usage()
        calls = Plan(
            "call", rates["call"], int(rates["call"] * seconds), users=(0, self._users), targets=(CALLEE,), seed=1
        )
        registered = Plan(
            "register", rates["registration"], int(rates["registration"] * seconds), users=(0, self._users), seed=2
        )
        plans = [self._generator.start(calls), self._generator.start(registered)]
        counts = [self._generator.wait(plan, timeout=seconds + 10) for plan in plans]
        spent, elapsed = self._rig.usage() - before, time.monotonic() - begun
        proof = self._judge(mark)
        self._generator.hush()
        if proof.faults():
            return None
        done = {"call": counts[0].ok / elapsed, "registration": counts[1].ok / elapsed}
        held = {kind.name: float(self._up[kind.name].calls) for kind in self.kinds}
        parts = [f"{rate:.1f} {name}s a second" for name, rate in done.items()]
        parts += [f"{count:.0f} × {name}" for name, count in held.items()]
        predicted = shares(Load(done, held), replace(costs, idle=quiet)).total
        return Check(predicted, spent.total / elapsed, ", ".join(parts))

    def end(self) -> None:
        """Hangs up."""
        self._progress("calls are ended")
        for kind in self.kinds:
            if kind.name in self._up:
                self._let_go(kind)

    def _let_go(self, kind: MediaKind) -> None:
        held = self._up.pop(kind.name)
        for plan in held.plans:
            self._generator.hang_up(plan, rate=self._setup_rate)
            self._generator.wait(plan, timeout=held.calls / self._setup_rate + 12)

    def median(self, name: str) -> float:
        """CPU of a unit. Raises: RigError."""
        if not self.samples[name]:
            raise RigError(f"{name}: no step counts")
        return statistics.median(sample.cost for sample in self.samples[name])

    @property
    def waited(self) -> float:
        """The share of the time that the daemon was ready to run and had no core."""
        found = [sample.waited for samples in self.samples.values() for sample in samples]
        return statistics.median(found) if found else 0.0

    def costs(self) -> dict[str, Cost]:
        """Of each kind that has a sample."""
        titles = {
            "registration": "registration (401 and 200)",
            "keepalive": "keep-alive of a phone (OPTIONS)",
            "call": "call between extensions, with digest",
            "trunk_call": "call from a trunk, without digest",
            **{kind.name: kind.title for kind in MEDIA_KINDS},
        }
        cold, cold_media = self.cold, self.cold_media
        media = {kind.name for kind in MEDIA_KINDS}
        return {
            name: _cost(title, self.samples[name], cold if name in SIGNALLING else cold_media, per_second=name in media)
            for name, title in titles.items()
            if self.samples.get(name)
        }

    @property
    def cold(self) -> float:
        """How much more a call costs on an idle core than on a busy one."""
        return fit_cold([(sample.load, sample.cost) for sample in self.samples["call"]])

    @property
    def cold_media(self) -> float:
        """The same of media."""
        found = self.samples[TOGETHER]
        if not found:
            return 0.0
        alone = [
            (
                statistics.median(sample.load for sample in self.samples[kind.name]),
                self._held[kind.name] * self.median(kind.name),
            )
            for kind in self.kinds
            if self.samples[kind.name]
        ]
        return fit_cold_media(alone, self.median(TOGETHER), statistics.median(sample.load for sample in found))

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
    def _setup_rate(self) -> float:
        return min(SETUP_SHARE / self.median("first call"), SETUP_MOST)

    def _count(self, rate: float) -> int:
        return max(int(rate * self._step_s), 3)

    def _rest(self, seconds: float) -> Usage:
        """A second of what the daemon takes without load, by stage."""
        begun, before = time.monotonic(), self._rig.usage()
        time.sleep(seconds)
        elapsed = time.monotonic() - begun
        spent = self._rig.usage() - before
        return Usage(spent.signalling / elapsed, spent.media / elapsed, spent.disk / elapsed, spent.waited / elapsed)

    def _register(self, first: int, count: int, profile: int | None) -> None:
        """All of these, at a rate that any machine takes; who is refused tries again."""
        for _ in range(TRIES):
            mark = self._generator.mark()
            rate = REGISTER_RATE if count > 1 else 20.0
            begun, before = time.monotonic(), self._rig.usage()
            plan = self._generator.start(Plan("register", rate, count, users=(first, count), answer_as=profile))
            counts = self._generator.wait(plan, timeout=count / rate + 20)
            if count > 1 and counts.ok:
                self._keep("first registration", begun, before, counts, mark, count / rate)
            if counts.ok == count:
                return
        raise RigError(f"{counts.failed} of {count} phones cannot register: {_told(counts)}\n{self._rig.log_tail()}")

    def _sample(self, name: str, plan: Plan) -> Counts:
        mark, begun, before = self._generator.mark(), time.monotonic(), self._rig.usage()
        counts = self._generator.wait(self._generator.start(plan), timeout=plan.count / plan.rate + 12)
        time.sleep(SETTLE_S)  # rows are written, transactions end
        if counts.failed <= 0.01 * counts.started:
            self._keep(
                name, begun, before, counts, mark, plan.count / plan.rate + (plan.hold or 0) * (plan.kind == "call")
            )
        return counts

    def _keep(self, name: str, begun: float, before: Usage, counts: Counts, mark: Mark, seconds: float) -> None:
        spent, elapsed = self._rig.usage() - before, time.monotonic() - begun
        proof = self._judge(mark)
        if not proof.faults():
            self.samples[name].append(_sample(spent, self._quiet, elapsed, counts.ok, seconds, proof))

    def _judge(self, mark: Mark) -> Proof:
        proof = self._generator.proof(mark)
        self.proofs.append(proof)
        return proof

    def _calls(self, name: str, rate: float, least: int = 0) -> Point | None:
        """Calls at that rate, at least so many; None when the generator was the limit."""
        count = max(self._count(rate), least)
        plan = Plan("call", rate, count, users=(0, self._users), targets=(CALLEE,))
        kept, begun, before = len(self.samples[name]), time.monotonic(), self._rig.usage()
        counts = self._sample(name, plan)
        spent = self._rig.usage() - before
        if len(self.samples[name]) == kept and counts.failed <= 0.01 * counts.started:
            return None
        seconds = max(count / rate, time.monotonic() - begun - SETTLE_S)  # longer when it is overloaded
        point = Point(
            rate=rate,
            load=spent.total / seconds,
            p50_ms=counts.setup.percentile_ms(0.5),
            p99_ms=counts.setup.percentile_ms(0.99),
            ok=counts.ok,
            failed=counts.failed,
            retransmitted=counts.retransmitted,
            stages={name: getattr(spent, name) / seconds for name in STAGES},
        )
        self.points.append(point)
        return point

    def _hold(self, kind: MediaKind) -> None:
        """Brings the kind's calls up; again, and slower, while the daemon refuses some because it is late."""
        self._progress(f"{kind.title}: calls are set up")
        held, rate, counts = Held(), self._setup_rate, Counts()
        for _ in range(TRIES):
            missing = kind.calls - held.calls
            plan = self._generator.start(
                Plan(
                    *("call", rate, missing),
                    hold=None,
                    users=(0, self._users),
                    targets=kind.targets,
                    codec=kind.codec,
                    srtp=kind.srtp,
                    media=True,
                )
            )
            counts = self._generator.wait(plan, timeout=missing / rate + 15, held=True)
            held = Held((*held.plans, plan), held.calls + counts.up)
            if held.calls == kind.calls:
                break
            rate /= 2
            time.sleep(SHED_S)
        if held.calls < kind.calls / 4:
            raise RigError(f"{kind.title}: {held.calls} of {kind.calls} calls can be set up: {_told(counts)}")
        self._up[kind.name] = held

    def _parts(self, kinds: Iterable[MediaKind]) -> list[Part]:
        """What is to be sent, from both sides."""
        parts = []
        for kind in kinds:
            for plan in self._up[kind.name].plans:
                parts.append(Part(plan=plan, codec=kind.codec, srtp=kind.srtp, stamped=kind.stamped))
            if kind.answered is not None:
                profile = PROFILES[kind.answered]
                parts.append(Part(profile=kind.answered, codec=profile.codec, srtp=profile.srtp, stamped=kind.stamped))
        return parts

    def _sing(self, name: str, kinds: Sequence[MediaKind]) -> None:
        """A sample of these kinds: of one kind it is of one call and second, of several of all calls."""
        self._progress(kinds[0].title if len(kinds) == 1 else "all kinds at once")
        self._generator.sing(self._parts(kinds))
        time.sleep(SETTLE_S)
        mark, begun, before = self._generator.mark(), time.monotonic(), self._rig.usage()
        time.sleep(self._step_s)
        spent, elapsed = self._rig.usage() - before, time.monotonic() - begun
        proof = self._judge(mark)
        counted = self._generator.hush()
        if proof.faults():
            return
        calls = self._up[name].calls if name != TOGETHER else 1
        sample = _sample(spent, self._calm, elapsed, calls * elapsed, elapsed, proof)
        if name != TOGETHER:
            self.media[name].append(counted)
        self.samples[name].append(sample)


def _sample(spent: Usage, quiet: Usage, elapsed: float, units: float, seconds: float, proof: Proof) -> Sample:
    """`seconds`: how long there was load, within the `elapsed` that was looked at."""
    units = max(units, 1e-9)
    stages = Usage(
        max(spent.signalling - quiet.signalling * elapsed, 0) / units,
        max(spent.media - quiet.media * elapsed, 0) / units,
        max(spent.disk - quiet.disk * elapsed, 0) / units,
    )
    return Sample(stages, min(spent.total / seconds, 1.0), proof, spent.waited / elapsed)


def _told(counts: Counts) -> str:
    found = [f"{count} × {status}" for status, count in sorted(counts.statuses.items())]
    return ", ".join([*found, f"{counts.timed_out} without an answer"])


def _cost(title: str, samples: list[Sample], cold: float, *, per_second: bool) -> Cost:
    """As it is on a core that is half busy, whatever it was when it was measured: so that runs can be compared."""
    warm = [warmth(cold, sample.load) for sample in samples]

    def middle(stage: str) -> float:
        found = (getattr(sample.stages, stage) / own for sample, own in zip(samples, warm, strict=True))
        return float(statistics.median(found))

    stages = {stage: middle(stage) for stage in STAGES}
    runs = tuple(sample.cost / own for sample, own in zip(samples, warm, strict=True))
    return Cost(title, sum(stages.values()), runs, stages, per_second=per_second)


def _quality_of(name: str) -> Callable[[MediaCounts], Quality]:
    kind = next(kind for kind in MEDIA_KINDS if kind.name == name)

    def judge(counted: MediaCounts) -> Quality:
        delay = counted.delay.percentile_ms(0.99) if kind.stamped else None
        heard = quality(kind.codec, loss=counted.loss, jitter_ms=counted.jitter_ms, round_trip_ms=2 * (delay or 0.0))
        return Quality(heard.mos, counted.loss, counted.jitter_ms, delay)

    return judge
