"""The servers of a scenario under the same load in turns (A B A B), and what came of it, as figures."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.cells import knee, media, mixed, pbx, sip
from bench.cells.catalogue import Scenario, Target
from bench.cells.trial import Plan, Trial, Work
from bench.peers.base import Contender
from bench.peers.registry import CONTENDERS
from bench.rig.figures import Figure, evidence, median, missing
from bench.rig.processes import PeerMissing
from pbx.capacity.rig import RigError
from voipat.load import GeneratorError
from voipat.load.knee import Search

KNEE_TRIES = 3
KNEE_S = 240.0  # so long one search may take; what is known by then is the knee
DRIVERS = {**sip.DRIVERS, **media.DRIVERS, **pbx.DRIVERS, **mixed.DRIVERS}
# A server that did not come up, a port that was taken, a load that did not end.
FAILURES = (AssertionError, OSError, subprocess.SubprocessError, ValueError, RigError, GeneratorError)


@dataclass(frozen=True, slots=True)
class Measured:
    """The trials of one server, one a round."""

    name: str  # as the catalogue calls it
    version: str
    trials: list[Trial]

    def runs(self, what: str) -> list[float]:
        """Of the cost (""), or of what stands beside it."""
        if not what:
            return [trial.cost for trial in self.trials]
        return [value for trial in self.trials for key, value in trial.beside.items() if key.rpartition("/")[0] == what]

    @property
    def is_valid(self) -> bool:
        return not any(trial.proof.faults() for trial in self.trials)


def work_of(scenario: Scenario, *, load: float | None = None, seconds: float | None = None) -> Work:
    plan = Plan(load or scenario.load, seconds or scenario.seconds)
    return Work(DRIVERS[scenario.run], plan)


def measure(scenario: Scenario, only: str, rounds: int, seconds: float | None) -> list[Figure]:
    """Every figure of the scenario; `only`: ours and this peer."""
    wanted = [name for name in scenario.peers if only in ("", name, CONTENDERS[name].name)]
    figures, present = [], []
    for name in (scenario.ours, *wanted):
        try:
            present.append((name, CONTENDERS[name]().version()))
        except PeerMissing as error:
            figures.append(missing(scenario.title, f"not measured: {error}", who=name))
    trials, faults = in_turns(work_of(scenario, seconds=seconds), present, rounds)
    figures += [missing(scenario.title, f"not measured, failed twice: {fault}", who=name) for name, fault in faults]
    measured = [Measured(name, version, trials[name]) for name, version in present if name in trials]
    for one in measured:
        figures += figures_of(scenario, one)
    figures += compared(scenario, measured)
    return figures


def knees(scenario: Scenario, seconds: float | None) -> list[Figure]:
    """The highest load of our server at which every gate holds."""

    if not scenario.knee:
        return []
    until = time.monotonic() + KNEE_S

    def attempt(load: float) -> str:
        work = work_of(scenario, load=load, seconds=seconds)
        return fault_of_server(work, CONTENDERS[scenario.ours])

    found = Search(attempt, is_over=lambda: time.monotonic() > until).run(scenario.knee)
    limit = f"not {found.bad:.0f}: {found.why}" if found.bad else "nothing failed up to the most that is tried"
    name = f"knee of {scenario.name}: the highest load with every gate passed"
    if not found.good:
        return [missing(name, f"no load held that was tried; {limit}", who=scenario.ours)]
    return [median(name, scenario.load_unit, [found.good], limit, who=scenario.ours, what="knee")]


def fault_of_server(work: Work, make: Callable[[], Contender]) -> str:
    """The gate that it did not pass, or nothing. What says nothing of the server is tried again, a few times."""
    why = ""
    for _ in range(KNEE_TRIES):
        try:
            trial = work.trial(make)
        except FAILURES as error:
            why = str(error).strip().replace("\n", " ")[-200:]
            continue
        why = knee.fault(trial)
        if not trial.proof.faults():
            break
    return why


def in_turns(
    work: Work, present: Sequence[tuple[str, str]], rounds: int
) -> tuple[dict[str, list[Trial]], list[tuple[str, str]]]:
    """Trials by server, and who failed and why: who fails is left out from then on."""
    trials: dict[str, list[Trial]] = {name: [] for name, _ in present}
    faults = []
    for _ in range(rounds):
        for name in list(trials):
            try:
                trials[name].append(trial_that_counts(work, CONTENDERS[name]))
            except FAILURES as error:
                faults.append((name, str(error).strip().replace("\n", " ")[-300:]))
                del trials[name]
    return trials, faults


def trial_that_counts(work: Work, make: Callable[[], Contender]) -> Trial:
    """A second one when the first does not count, or did not get to its end."""
    try:
        first = work.trial(make)
    except FAILURES:
        time.sleep(2.0)
        return work.trial(make)
    return work.trial(make) if first.proof.faults() else first


def figures_of(scenario: Scenario, one: Measured) -> list[Figure]:
    failed = sum(trial.failed for trial in one.trials)
    repeated = max(trial.repeated for trial in one.trials)
    proof = evidence([trial.proof for trial in one.trials])
    note = f"failed or lost {failed}, repeated {repeated:.2%}; {proof}"
    title = f"{one.version}: {scenario.title}"
    found = [median(title, scenario.unit, one.runs(""), note, who=one.name)]
    for key in one.trials[0].beside:
        what, _, unit = key.rpartition("/")
        beside = "" if one.is_valid else proof
        found.append(median(f"{one.version}: {what}", unit, one.runs(what), beside, who=one.name, what=what))
    return found


def compared(scenario: Scenario, measured: Sequence[Measured]) -> list[Figure]:
    """Ours against each peer, round by round, whoever wins; and what the targets hold against each other besides."""
    if not measured or measured[0].name != scenario.ours:
        return []
    ours, found = measured[0], []
    for peer in measured[1:]:
        wanted = {("", "ratio")} | {(t.of, t.how) for t in scenario.target if t.to == peer.name}
        wanted |= {(t.of, "ratio") for t in scenario.target if t.peer_then is not None}
        found += [against(scenario, ours, peer, what, how) for what, how in sorted(wanted)]
    return found


def against(scenario: Scenario, ours: Measured, peer: Measured, what: str, how: str) -> Figure:
    pairs = list(zip(ours.runs(what), peer.runs(what), strict=True))
    runs = [mine / other if how == "ratio" else mine - other for mine, other in pairs]
    cheaper = ours.version if statistics.median(mine - other for mine, other in pairs) < 0 else peer.version
    faults = sorted({fault for one in (ours, peer) for trial in one.trials for fault in trial.proof.faults()})
    valid = f"INVALID: {', '.join(faults)}; " if faults else ""
    name = f"{ours.version} {'/' if how == 'ratio' else '−'} {peer.version}: {what or scenario.title}"
    unit = "×" if how == "ratio" else scenario.unit
    who = key_of(scenario.ours, peer.name, how)
    return median(name, unit, runs, f"{valid}{cheaper} costs less; {scenario.remark}".rstrip("; "), who=who, what=what)


def key_of(ours: str, peer: str, how: str) -> str:
    return f"{ours} {how} {peer}"


def beside_peer(target: Target, scenario: Scenario, figures: Sequence[Figure]) -> Figure | None:
    """What the same is as a multiple of the scenario's first peer."""
    who = key_of(scenario.ours, scenario.peers[0], "ratio")
    return next((figure for figure in figures if (figure.who, figure.what) == (who, target.of)), None)


def figure_for(target: Target, scenario: Scenario, figures: Sequence[Figure]) -> Figure | None:
    """What fills the cell."""
    if scenario.module:
        return next((figure for figure in figures if figure.name == target.of), None)
    who = scenario.ours if target.how == "value" else key_of(scenario.ours, target.to, target.how)
    return next((figure for figure in figures if (figure.who, figure.what) == (who, target.of)), None)
