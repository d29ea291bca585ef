"""Every order in which the messages and deeds of a race can happen, each tried in a world of its own.

A scenario is a generator: it brings its office to where the race begins and yields the deeds that race; the rest of
it runs when all messages of the race have arrived, and asserts what must hold then. During the race nothing arrives
by itself: one step after another is taken, a deed of a phone or the arrival of one message at one node, and each run
takes another order. With `losses` some of the messages never arrive; with `pauses` the clock goes on by more than T1
meanwhile, so that repetitions take part.

Two steps at different nodes can not see each other, so that of orders which differ in such steps only, one is tried:
after a step was tried, it sleeps in the branches next to it until one that depends on it was taken (sleep sets).

Orders of different steps at one node, too, often lead to the same: with `merging`, which names the parts of an office
that count, the world is looked at after each step, and where it is as it was in another order, only what was asleep
there and is not here is tried (Godefroid's sleep sets with state matching). Time stands still in such a race, for when
something came would tell the worlds apart.

Without `reordering` no message arrives before one that was sent earlier on the same way, as TCP holds it.

Where that leaves hundreds of thousands, `overtakings` bounds how often a message arrives before one that was sent
earlier (delay-bounded exploration): every order within that is tried, whenever the deeds are done.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final, NamedTuple

from tests.sim.fingerprints import fingerprint, looks
from tests.sim.office import Office
from voipat.testing.network import Datagram
from voipat.trace import kind_of

# How long one step takes; a race of fifty is over before the first repetition (T1 is 500 ms).
STEP_S: Final = 0.001
PAUSE_S: Final = 0.6
# A race that goes on for so long feeds itself.
LONGEST_RACE: Final = 200
# How often a drawn order loses a message, or lets time pass, where it could.
RARE: Final = 0.05


class Deed(NamedTuple):
    """What somebody at `node` does when it comes to it. Deeds of one node happen in their order."""

    node: str
    name: str
    do: Callable[[], object]


Scenario = Callable[[Office], Generator[Sequence[Deed], None, None]]
MakeOffice = Callable[[], Office]


class Step(NamedTuple):
    """One thing that can happen next: it concerns one node, "" for all of them."""

    node: str
    name: str
    is_loss: bool = False

    def depends_on(self, other: Step) -> bool:
        """Whether their order can matter."""
        if self.name == other.name or not self.node or not other.node:
            return True
        if self.is_loss or other.is_loss:
            return self.is_loss and other.is_loss
        return self.node == other.node


def everything(office: Office) -> Sequence[object]:
    """Worlds of one future, and one past as far as the CDRs tell."""
    return (office,)


def all_but_cdrs(office: Office) -> Sequence[object]:
    """Worlds of one future; the rows of legs that have ended say who hung up first, and nothing asks them."""
    return office.app, office.switchboard, office.cdr_writer.open_legs, office.world


@dataclass(slots=True)
class _Fork:
    """A point where several steps were possible; those in `asleep` lead nowhere new."""

    steps: list[Step]
    asleep: set[Step]
    taken: Step


@dataclass(slots=True)
class Explored:
    """How many orders were tried, how many were the same as another, and the longest of them."""

    orders: int = 0
    same: int = 0
    states: int = 0
    longest: int = 0
    finals: Counter[str] = field(default_factory=Counter)
    outcomes: set[str] = field(default_factory=set)


# What sleeps in a state, named so that it is the same in every order that leads there.
Asleep = frozenset[tuple[str, bool]]


class _Same(Exception):
    """This order leads to what another one has shown."""


def explore(
    scenario: Scenario,
    make_office: MakeOffice,
    *,
    losses: int = 0,
    pauses: int = 0,
    overtakings: int | None = None,
    drawn: int | None = None,
    most: int | None = None,
    merging: Callable[[Office], Sequence[object]] | None = None,
    reordering: bool = True,
    seed: int = 1,
) -> Explored:
    """Try every order of a scenario up to `most`, or `drawn` of them by chance; one that fails says which it was."""
    explored = Explored()
    path: list[_Fork] = []
    chance = None if drawn is None else Random(seed)
    known: dict[bytes, Asleep] | None = None if merging is None else {}
    while drawn is None or explored.orders < drawn:
        race = _Race(path, losses, pauses, chance, overtakings, known, merging, reordering)
        try:
            race.run(scenario, make_office)
            explored.orders += 1
            explored.finals.update(race.finals)
            explored.outcomes.add(race.outcome)
        except _Same:
            explored.same += 1
        except BaseException as error:
            error.add_note("in this order:\n" + "\n".join(f"  {fork.taken.name}" for fork in path))
            raise
        explored.longest = max(explored.longest, len(path))
        explored.states = len(known or ())
        if chance is not None:
            path.clear()
        elif not _next_order(path) or explored.orders == most:
            break
    return explored


def _next_order(path: list[_Fork]) -> bool:
    """Turn the last fork that has another way; False when all were tried."""
    while path:
        fork = path[-1]
        fork.asleep.add(fork.taken)
        awake = [step for step in fork.steps if step not in fork.asleep]
        if awake:
            fork.taken = awake[0]
            return True
        path.pop()
    return False


def _way(name: str) -> str:
    return name.partition(" #")[0]


def outcome_of(office: Office) -> str:
    """How a race ended for everybody: the CDRs, and what each phone was told."""
    calls = [
        f"{phone.name} {call.status} {call.change_statuses} {call.refer_statuses}"
        for phone in office.world.phones
        for call in phone.calls
    ]
    cdrs = [f"{cdr.disposition} {cdr.cause.sip} {cdr.cause.id} {cdr.hangup_by}" for cdr in office.cdrs]
    return "; ".join(sorted(calls) + sorted(cdrs))


class _Race:
    def __init__(
        self,
        path: list[_Fork],
        losses: int,
        pauses: int,
        chance: Random | None,
        overtakings: int | None,
        known: dict[bytes, Asleep] | None,
        parts: Callable[[Office], Sequence[object]] | None,
        reordering: bool,
    ) -> None:
        self._reordering = reordering
        self._parts = parts
        self._known = known
        self._overtakings = overtakings
        self._chance = chance
        self._path = path
        self._losses = losses
        self._pauses = pauses
        self._numbers: Counter[tuple[str, str]] = Counter()
        self._waiting: dict[str, Datagram] = {}
        self._deeds: list[Deed] = []
        self.finals: Counter[str] = Counter()
        self.outcome = ""

    def run(self, scenario: Scenario, make_office: MakeOffice) -> None:
        try:
            with make_office() as office:
                played = scenario(office)
                self._deeds = list(next(played))
                self._play(office)
                for _ in played:
                    raise AssertionError("a scenario yields once")
                assert office.world.leaks() == []
        except _Same:
            raise
        self.outcome = outcome_of(office)
        for rung in office.world.network.ladder:
            if rung.kind[0].isdigit() and rung.kind >= "2":
                self.finals[rung.kind] += 1

    def _play(self, office: Office) -> None:
        network, loop = office.world.network, office.world.loop
        network.kept = []
        try:
            for turn in range(LONGEST_RACE):
                self._take_in(office)
                steps = self._possible()
                is_new = turn == len(self._path)
                asleep = self._asleep() if is_new else set()
                if is_new and self._known is not None:
                    steps, asleep = self._left_out(office, steps, asleep)
                if not steps:
                    return
                step = self._choose(turn, steps, asleep)
                self._do(office, step)
                if self._known is None:
                    loop.run_until(loop.time() + (PAUSE_S if not step.node else STEP_S))
                else:
                    loop.run_due()
            raise AssertionError(f"the race goes on after {LONGEST_RACE} steps")
        finally:
            network.kept = None

    def _take_in(self, office: Office) -> None:
        network = office.world.network
        assert network.kept is not None, "set at the start of the race"
        for datagram in network.kept:
            way = network.name_of(datagram.source), network.name_of(datagram.destination)
            self._numbers[way] += 1
            self._waiting[f"{way[0]} → {way[1]} #{self._numbers[way]} {kind_of(datagram.data)}"] = datagram
        network.kept.clear()

    def _possible(self) -> list[Step]:
        arrivals = [Step(name.split(" ")[2], name) for name in self._waiting]
        if not self._reordering:
            arrivals = list({_way(arrival.name): arrival for arrival in reversed(arrivals)}.values())
        if self._overtakings is not None:
            del arrivals[self._overtakings + 1 :]
        firsts: dict[str, Step] = {}
        for deed in self._deeds:
            firsts.setdefault(deed.node, Step(deed.node, f"{deed.node} {deed.name}"))
        steps = [*arrivals, *firsts.values()]
        if self._losses:
            steps += [Step(arrival.node, f"{arrival.name}", is_loss=True) for arrival in arrivals]
        if self._pauses and arrivals:
            steps.append(Step("", f"{PAUSE_S} s pass"))
        return steps

    def _choose(self, turn: int, steps: list[Step], asleep: set[Step]) -> Step:
        path = self._path
        if turn < len(path):
            assert path[turn].taken in steps, "a run repeats exactly"
            return path[turn].taken
        awake = [step for step in steps if step not in asleep]
        if not awake:
            raise _Same
        taken = awake[0] if self._chance is None else self._drawn(awake, self._chance)
        path.append(_Fork(steps, asleep, taken))
        return taken

    def _asleep(self) -> set[Step]:
        """What was tried in a branch next to this one, and nothing that it depends on since."""
        # Sleep sets may keep the one of two equal orders that is out of bounds.
        if not self._path or self._overtakings is not None:
            return set()
        last = self._path[-1]
        return {each for each in last.asleep if not each.depends_on(last.taken)}

    def _left_out(self, office: Office, steps: list[Step], asleep: set[Step]) -> tuple[list[Step], set[Step]]:
        """What no order has tried yet where the world is as it is now, and what sleeps. Raises: _Same, nothing."""
        assert self._known is not None and self._parts is not None, "asked with `merging`"
        # Numbers of messages tell of the way to here: a message is known by its place among those that look like it.
        waiting = sorted(self._waiting.items(), key=lambda each: looks(each[1]) if self._reordering else _way(each[0]))
        places = {name: str(index) for index, (name, _) in enumerate(waiting)}
        keys = {step: (places.get(step.name, step.name), step.is_loss) for step in steps}
        state = fingerprint(
            [datagram for _, datagram in waiting],
            [deed[:2] for deed in self._deeds],
            (self._losses, self._pauses),
            sorted(office.world.loop.armed_timers(), key=looks),
            *self._parts(office),
        )
        mine = frozenset(keys[step] for step in asleep)
        left = self._known.get(state)
        if left is None:
            self._known[state] = mine
            return steps, asleep
        if left <= mine:
            raise _Same
        self._known[state] = left & mine
        return [step for step in steps if keys[step] in left - mine], {step for step in asleep if keys[step] in left}

    def _drawn(self, steps: list[Step], chance: Random) -> Step:
        rare = [step for step in steps if step.is_loss or not step.node]
        common = [step for step in steps if step not in rare]
        return chance.choice(rare if rare and chance.random() < RARE else common)

    def _do(self, office: Office, step: Step) -> None:
        if not step.node:
            self._pauses -= 1
        elif step.is_loss:
            self._losses -= 1
            del self._waiting[step.name]
        elif step.name in self._waiting:
            if self._overtakings is not None:
                self._overtakings -= list(self._waiting).index(step.name)
            office.world.network.deliver(self._waiting.pop(step.name))
        else:
            deed = next(each for each in self._deeds if each.node == step.node)
            self._deeds.remove(deed)
            deed.do()
