"""Calls that come and go with media: memory, descriptors, ports and SRTP contexts return to where they were.

CHURN_MINUTES and CHURN_RATE (calls opened and closed a second) change what `--soak` runs: an hour of 100 a second.
CHURN_SPARED is the share of calls that may be refused in overload, 0.01: more on a machine that does other work.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from bench.rig import sipp
from bench.rig.pcap import CRYPTO, plain_rtp, sealed_rtp, write_pcap
from bench.rig.processes import free_port, wait_until
from bench.rig.server import Server
from tests.interop.test_sipp import call_rows, register

# Long enough for media to settle: what is tried is opening and closing, and sipp needs as much CPU for a packet as we.
HOLD_MS: Final = 600
# A registration lives for 600 s: the phone registers before each round.
ROUND_S: Final = 480.0
# The collector looks at everything after 40 s in which the server has nothing to do (`pbx/collector.py`).
COLLECTED_S: Final = 60.0

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="sipp plays files from raw sockets, which only root may open")


def spared(calls: int) -> int:
    """How many may meet a moment in which the machine does something else, and be shed or have no media."""
    return max(2, int(calls * float(os.environ.get("CHURN_SPARED") or 0.01)))


@dataclass(frozen=True)
class Kind:
    """Calls of one kind: their part of all, whom they call, and whether their media is sealed."""

    name: str
    share: float
    number: str
    sealed: bool = False

    def calls(self, rate: float, seconds: float) -> int:
        """How many of them there are at that rate of all."""
        return max(1, int(rate * self.share * seconds))


KINDS: Final = (
    Kind("relayed", 0.55, "1002"),
    Kind("srtp", 0.25, "1002", sealed=True),
    Kind("conference", 0.10, "700"),
    Kind("menu", 0.10, "500"),
)


class Churn:
    """sipp on both sides of one server: answered calls of each kind, and refused ones beside them."""

    def __init__(self, directory: Path, server: Server) -> None:
        self.server = server
        self._directories = {name: directory / name for name in ("callee", *(kind.name for kind in KINDS))}
        for kind in KINDS:
            self._folder(kind.name, sealed=kind.sealed)
        self._contact = free_port()
        self._folder("callee", sealed=False)

    def _answering(self) -> sipp.Sipp:
        return sipp.Sipp(
            self._directories["callee"],
            "answer_media",
            target=self.server.address,
            port=self._contact,
            media_port=free_port(run=4),
        )

    def _folder(self, name: str, *, sealed: bool) -> None:
        folder = self._directories[name]
        folder.mkdir()
        write_pcap(folder / "media.pcap", (sealed_rtp if sealed else plain_rtp)(HOLD_MS / 1000 - 0.1))

    def _callers(self, kind: Kind, rate: float, seconds: float) -> sipp.Sipp:
        row = call_rows(kind.number)[0] + (["RTP/SAVP", CRYPTO] if kind.sealed else ["RTP/AVP", "sendrecv"])
        return sipp.Sipp(
            self._directories[kind.name],
            "call_media",
            target=self.server.address,
            port=free_port(),
            media_port=free_port(run=4),
            calls=kind.calls(rate, seconds),
            rate=rate * kind.share,
            hold_ms=HOLD_MS,
            rows=[row],
        )

    def _refused(self, scenario: str, number: str, seconds: float) -> sipp.Sipp:
        return sipp.Sipp(
            self._directories["callee"],
            scenario,
            target=self.server.address,
            port=free_port(),
            calls=max(1, int(seconds * 5)),
            rate=5,
            rows=call_rows(number, caller="1004"),
        )

    def round(self, rate: float, seconds: float) -> int:
        """How many calls were answered."""
        register(self._directories["callee"].parent, self.server, "1002", self._contact)
        callee = self._answering()
        callers = [self._callers(kind, rate, seconds) for kind in KINDS]
        refused = [self._refused("expect_404", "7777", seconds), self._refused("expect_480", "1007", seconds)]
        try:
            for process in (*callers, *refused):
                process.wait(seconds + 60)
            answered = sum(caller.successful() for caller in callers)
            wanted = answered + sum(caller.failed() for caller in callers)
        finally:
            for process in (*callers, *refused, callee):
                process.close()
        planned = sum(kind.calls(rate, seconds) for kind in KINDS)
        assert wanted == planned, f"{wanted} of {planned} calls were made: a caller did not run"
        assert wanted - answered <= spared(wanted), f"{wanted - answered} of {wanted} calls failed"
        return answered


@dataclass(frozen=True)
class Rest:
    """What the server holds without calls."""

    resident_kb: int
    descriptors: int


def nothing_open(server: Server) -> bool:
    """Whether all ports and SRTP contexts are given back."""
    stats = server.stats()
    return bool(stats["calls"] == stats["ports"] == stats["srtp_contexts"] == 0)


def at_rest(server: Server) -> Rest:
    """Waits until nothing of the calls is left.

    Transactions of ended calls live up to 32 s (timers B, D, H, J, M) and are not a leak.
    """
    wait_until(lambda: nothing_open(server), 10, "every port and SRTP context is given back")
    wait_until(
        lambda: (found := server.stats())["transactions"] == found["dialogs"] == 0,
        40,
        "no transaction and no dialog is left",
    )
    return Rest(server.resident_kb(), len(os.listdir(f"/proc/{server.process.pid}/fd")))


def settled_kb(server: Server) -> int:
    """What it holds when the collector has looked."""
    time.sleep(COLLECTED_S)
    return server.resident_kb()


def check_media(server: Server) -> None:
    """The latest calls were heard from both sides, and the sealed ones opened."""
    rows = [row for row in server.rows("cdr", "--limit", "200") if row["disposition"] == "answered"]
    relayed = [row for row in rows if row["callee"] == "1002"]
    assert any(row["a_leg"] and row["a_leg"]["crypto"] for row in relayed)
    heard = [row for row in relayed if all(row[leg] and row[leg]["packets"] for leg in ("a_leg", "b_leg"))]
    unheard = len(relayed) - len(heard)
    assert unheard <= spared(len(relayed)), f"{unheard} of {len(relayed)} without media"


@pytest.fixture
def churn(tmp_path: Path) -> Iterator[Churn]:
    # The flight recorder keeps some 17 kB of each of its latest calls, up to 64 MB: growth that is meant.
    server = Server(tmp_path / "server", **{"server.trace": "false", "server.sdes_over_plain": "true"})
    try:
        yield Churn(tmp_path, server)
    finally:
        server.close()


@as_root
def test_calls_with_media_give_back_their_ports_and_contexts(churn: Churn) -> None:
    # A busy machine must not make the server shed calls: they all have to be answered.
    churn.round(15.0, 3.0)
    wait_until(lambda: nothing_open(churn.server), 10, "every port and SRTP context is given back")
    check_media(churn.server)


@as_root
@pytest.mark.slow
def test_memory_and_descriptors_stay_flat_under_churn(churn: Churn, soak: bool) -> None:
    if not soak:
        pytest.skip("long: `make churn` or `make soak`")
    minutes, rate = float(os.environ.get("CHURN_MINUTES") or 60), float(os.environ.get("CHURN_RATE") or 100)
    rounds, seconds = max(1, round(minutes * 60 / ROUND_S)), min(ROUND_S, minutes * 60)
    churn.round(rate, seconds)  # the allocator keeps what the peak took; nonces of 300 s are at their most
    before, answered = at_rest(churn.server), 0
    before_kb = settled_kb(churn.server)
    for number in range(rounds):
        answered += churn.round(rate, seconds)
        after = at_rest(churn.server)
        print(f"round {number + 1}: {answered} calls, {after}, at first {before}", flush=True)
        check_media(churn.server)
        assert after.descriptors <= before.descriptors + 2
    after_kb = settled_kb(churn.server)
    grown = after_kb - before_kb
    print(f"after a quiet minute {after_kb} kB, at first {before_kb} kB", flush=True)
    assert grown < 12288 + answered * 0.02, f"{grown} kB more after {answered} calls"
