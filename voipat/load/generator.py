"""The load generator as its user sees it: processes that are started, told, counted and judged."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Self

from voipat.load.fleet import Fleet, Part, Plan
from voipat.load.histogram import Histogram
from voipat.load.proof import Mark, Proof, Watch, between, cpu_ns

POLL_S: Final = 0.05
ANSWER_S: Final = 60.0
NOTHING: Final = Histogram()
SUMMED: Final = ("started", "up", "ok", "failed", "timed_out", "hung_up", "retransmitted", "challenged", "unsent")
# Of a generator that is held back, as the kernel's bandwidth control does it (`cpu.max`).
QUOTA_PERIOD_S: Final = 0.1


class GeneratorError(Exception):
    """The generator could not do what it was told."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of a plan's units, over all processes. Times run from when a unit was due."""

    started: int = 0
    up: int = 0
    ok: int = 0
    failed: int = 0
    timed_out: int = 0
    hung_up: int = 0  # by the server
    retransmitted: int = 0
    challenged: int = 0
    unsent: int = 0
    statuses: dict[int, int] = field(default_factory=dict)  # final answers
    late: Histogram = NOTHING
    setup: Histogram = NOTHING
    teardown: Histogram = NOTHING

    @property
    def open(self) -> int:
        """Units that are not over: under way or up."""
        return self.started - self.ok - self.failed - self.unsent


@dataclass(frozen=True, slots=True)
class MediaCounts:
    """Of the RTP that was sent and came, over all processes and streams."""

    streams: int = 0
    sent: int = 0
    received: int = 0
    stamped: int = 0  # of those received: with a stamp of ours
    unsent: int = 0
    unopened: int = 0  # SRTP that could not be opened
    missing: int = 0  # sequence numbers that were skipped
    late: int = 0  # packets that came more than 60 ms after the one before
    silent: int = 0  # streams that heard nothing
    kernel_drops: int = 0
    cpu_s: float = 0.0
    jitter_ms: float = 0.0
    lateness: Histogram = NOTHING
    delay: Histogram = NOTHING
    gap: Histogram = NOTHING

    @property
    def loss(self) -> float:
        """Share of what should have come in the streams that were heard."""
        return self.missing / max(self.received + self.missing, 1)


class Generator:
    """The processes of a fleet, each on one core of `on` in turn. A context manager; `close` ends them."""

    def __init__(self, fleet: Fleet, *, processes: int = 1, on: Sequence[int] = (), share: float = 1.0) -> None:
        """`share` below 1 holds the processes back to that part of the time: to see that it is noticed."""
        self._fleet = fleet
        self._children = [_start(fleet, index, on[index % len(on)] if on else None) for index in range(processes)]
        self._plans: list[int] = []
        self._over: dict[int, Counts] = {}  # of plans whose units are all over: they are not asked for again
        self._closed = threading.Event()
        try:
            for child in self._children:
                _answer_of(child)
        except BaseException:
            self.close()
            raise
        self._watch = Watch(self.pids)
        self._quota = threading.Thread(target=self._hold_back, args=(share,), daemon=True)
        if share < 1:
            self._quota.start()

    @property
    def pids(self) -> list[int]:
        """Of its processes."""
        return [child.pid for child in self._children]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the processes; calls that are up are left as they are."""
        self._closed.set()
        if hasattr(self, "_watch"):
            self._watch.end()
        for child in self._children:
            if child.stdin is not None:
                child.stdin.close()
            child.terminate()
            child.send_signal(signal.SIGCONT)
        for child in self._children:
            child.wait(10)
            if child.stdout is not None:
                child.stdout.close()

    def start(self, plan: Plan) -> int:
        """Begins; each process does its part of the plan. Its number, for the other verbs."""
        number = len(self._plans)
        count = len(self._children)
        for index, child in enumerate(self._children):
            part = replace(
                plan,
                rate=plan.rate / count,
                count=plan.count // count + (index < plan.count % count),
                delay=plan.delay + index / plan.rate,
                seed=plan.seed and plan.seed + index,
            )
            self._ask(child, do="plan", **asdict(part))
        self._plans.append(plan.count)
        return number

    def counts(self, plan: int) -> Counts:
        """So far."""
        return _summed(self._ask_all(do="counts", plan=plan))

    def stop(self, plan: int) -> None:
        """Starts no more units of the plan."""
        self._ask_all(do="stop", plan=plan)

    def hang_up(self, plan: int, *, rate: float) -> None:
        """Ends the calls that are up, so many a second."""
        self._ask_all(do="hang_up", plan=plan, rate=rate / len(self._children))

    def wait(self, plan: int, *, timeout: float, held: bool = False) -> Counts:
        """Until every unit is over, or (`held`) up or failed; what came of it by then, or when the time was over."""
        deadline = time.monotonic() + timeout
        while True:
            counts = self.counts(plan)
            is_started = counts.started >= self._plans[plan]
            if is_started and not counts.open:
                self._over[plan] = counts
            if (is_started and counts.open == (counts.up if held else 0)) or time.monotonic() > deadline:
                return counts
            time.sleep(POLL_S)

    def sing(self, parts: Iterable[Part]) -> int:
        """Sends RTP from the calls that are up; how many streams."""
        return sum(self._ask_all(do="sing", parts=[asdict(part) for part in parts]))

    def media(self) -> MediaCounts:
        """So far, of what `sing` began."""
        return _media(self._ask_all(do="media"))

    def hush(self) -> MediaCounts:
        """Sends no more RTP; what came of all of it."""
        return _media(self._ask_all(do="hush"))

    def mark(self) -> Mark:
        """What was counted so far, for `proof`."""
        totals = self._ask_all(do="totals")
        plans = [self._over.get(plan) or self.counts(plan) for plan in range(len(self._plans))]
        media = self.media()
        return Mark(
            at=time.monotonic(),
            unsent=sum(each["not_sent"] for each in totals) + sum(plan.unsent for plan in plans) + media.unsent,
            kernel_drops=sum(each["kernel_drops"] for each in totals) + media.kernel_drops,
            late=Histogram.merged([*(plan.late for plan in plans), media.lateness]),
            waited_s=sum(cpu_ns(pid)[1] for pid in self.pids) / 1e9,
        )

    def proof(self, since: Mark, until: Mark | None = None) -> Proof:
        """How it fared since that mark."""
        end = until or self.mark()
        return between(since, end, self._watch.busiest(since.at), len(self._children))

    def totals(self) -> dict[str, int]:
        """Of all messages that passed its sockets."""
        found: Counter[str] = Counter()
        for each in self._ask_all(do="totals"):
            found.update(each)
        return dict(found)

    def _ask_all(self, **command: Any) -> list[Any]:
        return [self._ask(child, **command) for child in self._children]

    def _ask(self, child: subprocess.Popen[str], **command: Any) -> Any:
        assert child.stdin is not None, "it was started with a pipe"
        try:
            child.stdin.write(json.dumps(command) + "\n")
            child.stdin.flush()
        except OSError as error:
            raise GeneratorError(f"a process of the generator has ended: {error}") from error
        return _answer_of(child)

    def _hold_back(self, share: float) -> None:
        """SIGSTOP and SIGCONT in turn, for parts of each period."""
        while not self._closed.wait(QUOTA_PERIOD_S * share):
            self._signal(signal.SIGSTOP)
            self._closed.wait(QUOTA_PERIOD_S * (1 - share))
            self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        for child in self._children:
            child.send_signal(number)


def _start(fleet: Fleet, index: int, core: int | None) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-m", "voipat.load.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert child.stdin is not None, "it was started with a pipe"
    child.stdin.write(json.dumps({"fleet": asdict(fleet), "index": index, "core": core}) + "\n")
    child.stdin.flush()
    return child


def _answer_of(child: subprocess.Popen[str]) -> Any:
    assert child.stdout is not None, "it was started with a pipe"
    line = child.stdout.readline()
    if not line:
        raise GeneratorError(f"a process of the generator ended with status {child.wait(10)}")
    answer = json.loads(line)
    if "error" in answer:
        raise GeneratorError(answer["error"])
    return answer["answer"]


def _summed(parts: list[dict[str, Any]]) -> Counts:
    statuses: Counter[int] = Counter()
    for part in parts:
        statuses.update({int(status): count for status, count in part["statuses"].items()})
    return Counts(
        **{name: sum(part[name] for part in parts) for name in SUMMED},
        statuses=dict(statuses),
        late=_merged(parts, "late"),
        setup=_merged(parts, "setup"),
        teardown=_merged(parts, "teardown"),
    )


def _media(parts: list[dict[str, Any] | None]) -> MediaCounts:
    found = [part for part in parts if part is not None]
    summed = (
        "streams",
        "sent",
        "received",
        "stamped",
        "unsent",
        "unopened",
        "missing",
        "late",
        "silent",
        "kernel_drops",
    )
    return MediaCounts(
        **{name: sum(part[name] for part in found) for name in summed},
        cpu_s=sum(part["cpu_s"] for part in found),
        jitter_ms=sum(part["jitter_ms"] for part in found) / max(len(found), 1),
        lateness=_merged(found, "lateness"),
        delay=_merged(found, "delay"),
        gap=_merged(found, "gap"),
    )


def _merged(parts: list[dict[str, Any]], name: str) -> Histogram:
    return Histogram.merged(Histogram.of(part[name]) for part in parts)
