"""Many mutants over all the layers of signalling or of media, in as much time as there is, and a page of what they met.

    python -m fuzz.campaign --count 10000000                  until done; interrupted, it goes on where it was
    python -m fuzz.campaign --count 10000000 --of media --minutes 30     what fits into half an hour
    python -m fuzz.campaign --count 10000000 --workers 2 --report docs/reference/fuzzing.md

The mutants are shared out among the layers (`fuzz.layers`) in chunks of 10,000; chunk n of a layer has seeds of its
own, so that a finding is shown again by `python -m fuzz.LAYER --count 10000 --seed SEED`. What is done is kept in
build/fuzz; where that is lost, a campaign goes on from the page that it wrote.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import re
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from fuzz.finding import Finding
from fuzz.layers import CAMPAIGNS, Campaign, Layer

ROOT: Final = Path(__file__).resolve().parents[1]
CHUNK: Final = 10_000
_ROW: Final = re.compile(r"\| (?P<title>.+?) \| (?P<mutants>[\d,]+) \| (?P<reached>.+?) \| (?P<slow>\d+) \|")


@dataclass
class Progress:
    """What is done of each layer, as it stands in the file."""

    path: Path
    done: dict[str, list[int]] = field(default_factory=dict)
    tallies: dict[str, Counter[str]] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)
    # How many mutants only the page of an earlier run knew of.
    taken_over: int = 0

    @classmethod
    def load(cls, path: Path) -> Progress:
        progress = cls(path)
        if path.exists():
            kept = json.loads(path.read_text())
            progress.done = kept["done"]
            progress.findings = kept.get("findings", [])
            progress.tallies = {module: Counter(tally) for module, tally in kept["tallies"].items()}
            progress.taken_over = kept.get("taken_over", 0)
        return progress

    def take_over(self, text: str, layers: tuple[Layer, ...]) -> None:
        """Go on from a page: what is done is always the first chunks of each layer."""
        rows = {found["title"]: found for found in map(_ROW.fullmatch, text.splitlines()) if found}
        for layer in layers:
            if (row := rows.get(layer.title)) is not None:
                tally = Counter(mutants=_number(row["mutants"]), slow=int(row["slow"]))
                for told in row["reached"].split(", "):
                    name, _, number = told.rpartition(" ")
                    tally[name] = _number(number)
                self.tallies[layer.module] = tally
                self.done[layer.module] = list(range(tally["mutants"] // CHUNK))
        self.taken_over = self.mutants()

    def note(self, module: str, chunk: int, tally: Counter[str]) -> None:
        self.done.setdefault(module, []).append(chunk)
        self.tallies[module] = self.tallies.get(module, Counter()) + tally
        self._keep()

    def found(self, finding: str) -> None:
        """A broken law; its chunk is tried again by the next run, and the page tells of it until it passes."""
        if finding not in self.findings:
            self.findings.append(finding)
        self._keep()

    def _keep(self) -> None:
        fresh = self.path.with_suffix(".new")
        kept = {
            "done": self.done,
            "tallies": self.tallies,
            "findings": self.findings,
            "taken_over": self.taken_over,
        }
        fresh.write_text(json.dumps(kept))
        fresh.replace(self.path)

    def mutants(self) -> int:
        return sum(tally["mutants"] for tally in self.tallies.values())


@dataclass(frozen=True)
class Job:
    """One chunk of one layer, and when it is too late to begin with it."""

    layer: Layer
    chunk: int
    seed: int
    stop_at: float


def jobs(layers: tuple[Layer, ...], count: int, seed: int, stop_at: float, progress: Progress) -> list[Job]:
    """What is left to do, the layers in turn, so that a campaign that is cut off has met all of them."""
    wanted = [max(1, round(count * layer.share / CHUNK)) for layer in layers]
    done = [set(progress.done.get(layer.module, ())) for layer in layers]
    order = sorted((chunk / wanted[at], at, chunk) for at in range(len(layers)) for chunk in range(wanted[at]))
    return [Job(layers[at], chunk, seed + 1000 * chunk, stop_at) for _, at, chunk in order if chunk not in done[at]]


def work(job: Job) -> tuple[Job, Counter[str] | str | None]:
    """One chunk in a worker: its tally, or the finding, or None when the time is over."""
    if time.monotonic() > job.stop_at:
        return job, None
    try:
        return job, job.layer.tried(CHUNK, job.seed)
    except Finding as finding:
        return job, str(finding)


def shoot(waiting: list[Job], workers: int, progress: Progress) -> list[str]:
    """All chunks that there is time for; the findings."""
    findings = []
    with multiprocessing.get_context("fork").Pool(workers) as pool:
        for job, result in pool.imap_unordered(work, waiting):
            if isinstance(result, str):
                findings.append(f"{job.layer.module}: {result}")
                progress.found(findings[-1])
                print(f"finding: {findings[-1]}", flush=True)
            elif result is not None:
                progress.note(job.layer.module, job.chunk, result)
    return findings


def page(campaign: Campaign, progress: Progress, seed: int, closing: str) -> str:
    """What each layer met."""
    lines = [f"<!-- Generated by `{campaign.command}`. -->", f"# {campaign.heading}", ""]
    before = f" ({progress.taken_over:,} of them by an earlier run)" if progress.taken_over else ""
    lines += [f"{progress.mutants():,} {campaign.inputs}, seed {seed}, {_told(progress.findings)}{before}.", ""]
    lines += [f"- {finding}" for finding in progress.findings] + [""] * bool(progress.findings)
    lines += ["What each target asserts stands in its docstring under `fuzz/`.", ""]
    lines += ["| layer | mutants | what they reached | slow |", "| --- | --- | --- | --- |"]
    for layer in campaign.layers:
        tally = progress.tallies.get(layer.module, Counter())
        reached = ", ".join(f"{name} {tally[name]:,}" for name in layer.reached)
        lines.append(f"| {layer.title} | {tally['mutants']:,} | {reached} | {tally['slow']} |")
    return "\n".join([*lines, "", *campaign.notes, "", closing]).rstrip() + "\n"


def _number(text: str) -> int:
    return int(text.replace(",", ""))


def _told(findings: list[str]) -> str:
    return f"with findings: {len(findings)}" if findings else "without a finding"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m fuzz.campaign", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--of", choices=sorted(CAMPAIGNS), default="signalling", help="which layers")
    parser.add_argument("--count", type=int, default=100_000, help="mutants in all")
    parser.add_argument("--minutes", type=float, default=24 * 60, help="begin nothing after this time")
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--report", type=Path, help="write the page of all that is done")
    options = parser.parse_args()
    os.nice(10)  # a campaign takes what nobody else needs
    campaign = CAMPAIGNS[options.of]
    path = ROOT / "build" / "fuzz" / f"{campaign.kept_as}-{options.seed}-{options.count}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    progress = Progress.load(path)
    before = options.report.read_text() if options.report and options.report.exists() else ""
    if not progress.done and f"seed {options.seed}, without a finding" in before:
        progress.take_over(before, campaign.layers)
    stop_at = time.monotonic() + 60 * options.minutes
    waiting = jobs(campaign.layers, options.count, options.seed, stop_at, progress)
    progress.findings.clear()
    findings = shoot(waiting, options.workers, progress)
    try:
        closing = campaign.closing(options.count, options.seed)
    except Finding as finding:
        findings.append(str(finding))
        print(f"finding: {findings[-1]}")
    else:
        text = page(campaign, progress, options.seed, closing)
        print(text)
        if options.report:
            options.report.write_text(text)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
