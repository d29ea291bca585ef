"""Many mutants over all the layers of signalling, in as much time as there is, and a page of what they met.

    python -m fuzz.campaign --count 10000000                  until done; interrupted, it goes on where it was
    python -m fuzz.campaign --count 10000000 --minutes 30     what fits into half an hour
    python -m fuzz.campaign --count 10000000 --workers 2 --report docs/reference/fuzzing.md

The mutants are shared out among the layers in chunks of 10,000; chunk n of a layer has seeds of its own, so that a
finding is shown again by `python -m fuzz.LAYER --count 10000 --seed SEED`. What is done is kept in build/fuzz.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from fuzz import endpoint, hostile, sdp_mutations, sip_mutations, stream
from fuzz.finding import Finding

ROOT: Final = Path(__file__).resolve().parents[1]
CHUNK: Final = 10_000
MIXTURES: Final = 20_000


@dataclass(frozen=True)
class Layer:
    """One target: its part of all mutants, and the names in its tally, outermost layer first."""

    module: str
    title: str
    share: float
    reached: tuple[str, ...]
    tried: Callable[[int, int], Counter[str]]


LAYERS: Final = (
    Layer("fuzz.sip_mutations", "parser", 0.40, ("refused", "valid"), sip_mutations.tried),
    Layer(
        "fuzz.stream",
        "stream framing",
        0.20,
        ("streams", "streams cut off by an error", "messages framed", "messages valid"),
        stream.tried,
    ),
    Layer(
        "fuzz.sdp_mutations",
        "SDP",
        0.15,
        ("refused by the parser", "refused by the negotiation", "negotiated"),
        sdp_mutations.tried,
    ),
    Layer(
        "fuzz.endpoint",
        "`Endpoint.receive`",
        0.25,
        ("dropped", "answered 4xx", "transaction layer", "user"),
        endpoint.tried,
    ),
)


@dataclass
class Progress:
    """What is done of each layer, as it stands in the file."""

    path: Path
    done: dict[str, list[int]] = field(default_factory=dict)
    tallies: dict[str, Counter[str]] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)

    @classmethod
    def load(cls, path: Path) -> Progress:
        progress = cls(path)
        if path.exists():
            kept = json.loads(path.read_text())
            progress.done = kept["done"]
            progress.findings = kept.get("findings", [])
            progress.tallies = {module: Counter(tally) for module, tally in kept["tallies"].items()}
        return progress

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
        fresh.write_text(json.dumps({"done": self.done, "tallies": self.tallies, "findings": self.findings}))
        fresh.replace(self.path)

    def mutants(self) -> int:
        return sum(tally["mutants"] for tally in self.tallies.values())


@dataclass(frozen=True)
class Job:
    """One chunk of one layer, and when it is too late to begin with it."""

    layer: int
    chunk: int
    seed: int
    stop_at: float


def jobs(count: int, seed: int, stop_at: float, progress: Progress) -> list[Job]:
    """What is left to do, the layers in turn, so that a campaign that is cut off has met all of them."""
    wanted = [max(1, round(count * layer.share / CHUNK)) for layer in LAYERS]
    done = [set(progress.done.get(layer.module, ())) for layer in LAYERS]
    order = sorted((chunk / wanted[at], at, chunk) for at in range(len(LAYERS)) for chunk in range(wanted[at]))
    return [Job(at, chunk, seed + 1000 * chunk, stop_at) for _, at, chunk in order if chunk not in done[at]]


def work(job: Job) -> tuple[Job, Counter[str] | str | None]:
    """One chunk in a worker: its tally, or the finding, or None when the time is over."""
    if time.monotonic() > job.stop_at:
        return job, None
    try:
        return job, LAYERS[job.layer].tried(CHUNK, job.seed)
    except Finding as finding:
        return job, str(finding)


def shoot(waiting: list[Job], workers: int, progress: Progress) -> list[str]:
    """All chunks that there is time for; the findings."""
    findings = []
    with multiprocessing.get_context("fork").Pool(workers) as pool:
        for job, result in pool.imap_unordered(work, waiting):
            if isinstance(result, str):
                findings.append(f"{LAYERS[job.layer].module}: {result}")
                progress.found(findings[-1])
                print(f"finding: {findings[-1]}", flush=True)
            elif result is not None:
                progress.note(LAYERS[job.layer].module, job.chunk, result)
    return findings


def page(progress: Progress, seed: int, hostile_line: str) -> str:
    """What each layer met."""
    lines = ["<!-- Generated by `make fuzz COUNT=10000000`. -->", "# Fuzzing", ""]
    lines += [f"{progress.mutants():,} mutated messages, seed {seed}, {_told(progress.findings)}.", ""]
    lines += [f"- {finding}" for finding in progress.findings] + [""] * bool(progress.findings)
    lines += ["What each target asserts stands in its docstring under `fuzz/`.", ""]
    lines += ["| layer | mutants | what they reached | slow |", "| --- | --- | --- | --- |"]
    for layer in LAYERS:
        tally = progress.tallies.get(layer.module, Counter())
        reached = ", ".join(f"{name} {tally[name]:,}" for name in layer.reached)
        lines.append(f"| {layer.title} | {tally['mutants']:,} | {reached} | {tally['slow']} |")
    lines += ["", "A mutant that `Endpoint.receive` neither drops nor answers with a 4xx by its text reaches the"]
    lines += [
        "transaction layer; what is told to the user of the endpoint besides is counted once more as *user*. *Slow*:"
    ]
    lines += [f"over {1000 * endpoint.SLOWEST_S:.0f} ms of CPU in `receive`, measured once and beside other programs;"]
    lines += ["the others have bounds that only a quadratic reader breaks."]
    lines += ["", f"Hostile messages of 64 kB (`fuzz.hostile`): {hostile_line}."]
    return "\n".join(lines) + "\n"


def _told(findings: list[str]) -> str:
    return f"with findings: {len(findings)}" if findings else "without a finding"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m fuzz.campaign", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=100_000, help="mutants in all")
    parser.add_argument("--minutes", type=float, default=24 * 60, help="begin nothing after this time")
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--report", type=Path, help="write the page of all that is done")
    options = parser.parse_args()
    os.nice(10)  # a campaign takes what nobody else needs
    path = ROOT / "build" / "fuzz" / f"campaign-{options.seed}-{options.count}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    progress = Progress.load(path)
    stop_at = time.monotonic() + 60 * options.minutes
    waiting = jobs(options.count, options.seed, stop_at, progress)
    progress.findings.clear()
    findings = shoot(waiting, options.workers, progress)
    mixtures = min(MIXTURES, max(100, options.count // 100))
    try:
        tally, tokenizer, receive = hostile.tried(mixtures, options.seed)
    except Finding as finding:
        findings.append(f"fuzz.hostile: {finding}")
        print(f"finding: {findings[-1]}")
    else:
        line = f"{tally['messages']:,}, the slowest takes {1000 * tokenizer:.1f} ms of CPU in the tokenizer"
        line += f" and {1000 * receive:.1f} ms in `receive`"
        text = page(progress, options.seed, line)
        print(text)
        if options.report:
            options.report.write_text(text)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
