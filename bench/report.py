"""bench/RESULTS.md out of the figures: every cell of the speed tables first, then what was run and each raw number."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from bench.cells.catalogue import TABLES, Scenario, Target
from bench.cells.compare import beside_peer, figure_for
from bench.rig.figures import Figure

HERE = Path(__file__).resolve().parent
THEN_NOW = "beside the peer: then allowed / now"
TITLES = {"SIP": "SIP", "media": "Media engine", "PBX": "PBX"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one scenario printed; `fault` says why there is nothing, or not all."""

    command: str
    figures: Sequence[Figure] = field(default_factory=tuple)
    fault: str = ""
    seconds: float = 0.0


def number(value: float) -> str:
    """Three digits that count, without an exponent."""
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def shown(figure: Figure) -> str:
    return "–" if figure.value is None else f"{number(figure.value)} {figure.unit}".strip()


def table(figures: Sequence[Figure]) -> list[str]:
    lines = ["| what | value | runs | note |", "| --- | --- | --- | --- |"]
    for figure in figures:
        lines.append(f"| {figure.name} | {shown(figure)} | {', '.join(map(number, figure.runs))} | {figure.note} |")
    return lines


def limit(value: float | None, target: Target) -> str:
    if value is None:
        return ""
    return f"{'≤' if target.at_most is not None else '≥'} {number(value)}{' ×' if target.how == 'ratio' else ''}"


def verdict(target: Target, figure: Figure | None) -> str:
    if figure is None or figure.value is None:
        return "**not measured**"
    if "INVALID" in figure.note:
        return f"**INVALID**{figure.note.partition('INVALID')[2].partition(';')[0]}"
    if not target.is_met(figure.value):
        return "**missed**"
    return "goal met" if target.goal is not None and target.is_met(figure.value, target.goal) else "met"


def losses(scenario: Scenario, figures: Sequence[Figure]) -> str:
    """What did not come to its end at our server, which no figure hides."""
    note = next((figure.note for figure in figures if (figure.who, figure.what) == (scenario.ours, "")), "")
    count = note.partition("failed or lost ")[2].partition(",")[0]
    return "" if count in ("", "0") else f", {count} failed or lost"


def why_missing(outcome: Outcome, scenario: Scenario) -> str:
    """Of a cell without a figure."""
    reasons = [figure.note for figure in outcome.figures if figure.value is None]
    return "; ".join([*([outcome.fault] if outcome.fault else []), *reasons]) or f"{scenario.name} gave no such figure"


def others(target: Target, scenario: Scenario, figures: Sequence[Figure]) -> str:
    """The same of each server, where there is more than ours."""
    found = [
        figure for figure in figures if figure.what == target.of and figure.who in (scenario.ours, *scenario.peers)
    ]
    named = [f"{figure.name.partition(':')[0]} {shown(figure)}" for figure in found if figure.value is not None]
    return ", ".join(named) if len(named) > 1 else ""


def then_and_now(scenario: Scenario, target: Target, figures: Sequence[Figure], unit: str) -> str:
    """The target as a multiple of what the peer took when it was set, and ours as one of what the peer takes now."""
    if target.peer_then is None:
        return ""
    now = beside_peer(target, scenario, figures)
    measured = "–" if now is None else shown(now)
    peer = f"{number(target.peer_then)} {unit}".removesuffix(" CPU").strip()
    allowed = limit(target.limit / target.peer_then, target)
    return f"{allowed} × ({', '.join(filter(None, [peer, target.then]))}) / {measured}"


def cell(scenario: Scenario, target: Target, outcome: Outcome) -> str:
    figure = figure_for(target, scenario, outcome.figures)
    is_there = figure is not None and figure.value is not None
    judged = verdict(target, figure) + losses(scenario, outcome.figures)
    if not is_there:
        judged = f"**not measured**: {why_missing(outcome, scenario)}"
    value = shown(figure) if figure is not None and is_there else "–"
    columns = [target.work, limit(target.limit, target), limit(target.goal, target), value, judged]
    columns += [
        others(target, scenario, outcome.figures),
        then_and_now(scenario, target, outcome.figures, figure.unit if figure else ""),
    ]
    return f"| {' | '.join([*columns, f'`{scenario.name}`'])} |"


def speed_tables(scenarios: Mapping[str, Scenario], outcomes: Mapping[str, Outcome]) -> list[str]:
    lines: list[str] = []
    for name in TABLES:
        lines += ["", f"## Speed: {TITLES[name]}", ""]
        lines += [f"| work | target | goal | measured | verdict | in the same run | {THEN_NOW} | scenario |"]
        lines += ["| --- | --- | --- | --- | --- | --- | --- | --- |"]
        for scenario in scenarios.values():
            if scenario.absent and scenario.table == name:
                lines.append(
                    f"| {scenario.title} |  |  | – | **not there**: {scenario.absent} |  |  | `{scenario.name}` |"
                )
            outcome = outcomes.get(scenario.name, Outcome("", fault="not run"))
            lines += [cell(scenario, target, outcome) for target in scenario.target if target.table == name]
    return lines


def section(scenario: Scenario, outcome: Outcome) -> list[str]:
    lines = ["", f"## {scenario.name}: {scenario.title}", "", f"`{outcome.command}`, {outcome.seconds:.0f} s", ""]
    if outcome.fault:
        lines += [f"FAILED: {outcome.fault}", ""]
    return [*lines, *(table(outcome.figures) if outcome.figures else [])]


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def machine() -> str:
    return (
        f"{processor()}, {os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}, "
        f"commit {commit()}."
    )


INTRODUCTION = """\
# Measured figures

Written by `make bench`. CPU is that of the server's process tree, not of the generator; loopback, shipped
configuration, server on one core and generator on the other, each server anew in every round, in turns (A B A B). A
value is the median of its runs; a set-up is timed from when its call was due. Losses are counted at the phones. A
figure is INVALID when its generator was the limit: it used too much of its core, was late, or lost packets itself. The
machine may be shared: compare figures of one run.

The targets are absolute, and were set on another machine, on which most peers took less than they take on this one. So
each also stands beside the peer: as the multiple that was allowed of what the peer took then (in brackets), and as the
multiple that was measured now, in one run.
"""


def report(
    scenarios: Mapping[str, Scenario], outcomes: Mapping[str, Outcome], minutes: float, stolen: float = 0.0
) -> str:
    """`stolen`: the share of the processors' time that the host took for others meanwhile."""
    made = f"{machine()} {minutes:.0f} minutes, {datetime.now(UTC):%Y-%m-%d}, {stolen:.1%} stolen by the host."
    lines = [INTRODUCTION, made, *speed_tables(scenarios, outcomes)]
    for name, outcome in outcomes.items():
        lines += section(scenarios[name], outcome)
    return "\n".join(lines) + "\n"
