"""Two fleets that call each other, without a server between: what the one counts is what the other has answered."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from bench.rig.processes import free_port
from voipat.load import Fleet, Generator, GeneratorError, Plan, Profile
from voipat.load.fleet import ANSWERING, CALLING, Part

pytestmark = pytest.mark.slow

ROOM = 40
USERS = (("alice", ""), ("carol", ""))
CLEAR, SEALED = 0, 1  # profiles, reached by the contacts p0 and p1
Pair = tuple[Generator, Generator]


def fleet(port: int, server: int, media: int) -> Fleet:
    return Fleet(
        domain="load.test",
        server=("127.0.0.1", server),
        users=USERS,
        sip_from=port,
        media_from=media,
        room=ROOM,
        profiles=(Profile(), Profile(srtp=True)),
        patience=8.0,
    )


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    """(who calls, who answers)."""
    port = free_port(run=20 + 8 * ROOM)
    media = port + 20
    answering = fleet(port + 10, port + CALLING, media + 4 * ROOM)
    with Generator(answering) as there, Generator(fleet(port, port + 10 + ANSWERING, media)) as here:
        yield here, there


def test_calls_are_set_up_and_ended_and_none_is_lost(pair: Pair) -> None:
    calls, answers = pair
    before = answers.totals()["messages_in"]
    plan = calls.start(Plan("call", rate=100, count=40, hold=0.05, targets=("p0",)))
    counts = calls.wait(plan, timeout=30)
    assert (counts.started, counts.ok, counts.failed, counts.up) == (40, 40, 0, 0)
    assert counts.statuses == {200: 40}
    assert counts.setup.count == counts.teardown.count == counts.late.count == 40
    assert answers.totals()["messages_in"] - before >= 3 * 40  # INVITE, ACK, BYE


def test_a_call_that_only_passes_has_one_call_id_at_both_of_its_ends() -> None:
    port = free_port(run=12 + 8 * ROOM)
    ends = {port + CALLING: port + ANSWERING, port + ANSWERING: port + CALLING}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as passing:
        passing.bind(("127.0.0.1", port + 11))
        passing.settimeout(0.2)
        over = threading.Event()

        def carry() -> None:
            while not over.is_set():
                with contextlib.suppress(TimeoutError, ConnectionError):
                    message, (_, source) = passing.recvfrom(65536)
                    passing.sendto(message, ("127.0.0.1", ends[source]))

        carrier = threading.Thread(target=carry)
        carrier.start()
        with Generator(fleet(port, port + 11, port + 12)) as phones:
            counts = phones.wait(phones.start(Plan("call", rate=50, count=10, hold=0.05, targets=("p0",))), timeout=30)
        over.set()
        carrier.join()
    assert (counts.ok, counts.failed, counts.statuses) == (10, 0, {200: 10})


@pytest.mark.parametrize("profile", [CLEAR, SEALED])
def test_media_arrives_with_its_stamps(pair: Pair, profile: int) -> None:
    calls, answers = pair
    srtp = profile == SEALED
    plan = calls.start(Plan("call", rate=200, count=6, hold=None, targets=(f"p{profile}",), media=True, srtp=srtp))
    assert calls.wait(plan, timeout=30, held=True).up == 6
    for _ in range(2):  # what goes on after a pause is no replay
        assert answers.sing([Part(profile=profile, stamped=True, srtp=srtp)]) == 6
        assert calls.sing([Part(plan=plan, stamped=True, srtp=srtp)]) == 6
        time.sleep(0.4)
        sent, heard = calls.hush(), answers.hush()
        assert sent.sent > 60
        assert heard.stamped > 30
        assert (heard.unopened, heard.silent) == (0, 0)
        assert heard.delay.count == heard.stamped
    calls.hang_up(plan, rate=500)
    assert calls.wait(plan, timeout=30).ok == 6


def test_a_unit_without_room_is_counted_and_makes_the_run_invalid(pair: Pair) -> None:
    calls, _ = pair
    begin = calls.mark()
    plan = calls.start(Plan("call", rate=500, count=ROOM + 3, hold=None, targets=("p0",)))
    assert calls.wait(plan, timeout=30, held=True).unsent == 3
    assert "the generator could not send 3 times" in calls.proof(begin).faults()
    calls.hang_up(plan, rate=500)
    assert calls.wait(plan, timeout=30).ok == ROOM


def test_a_call_that_starts_late_is_timed_from_when_it_was_due(pair: Pair) -> None:
    calls, _ = pair
    begin = calls.mark()
    plan = calls.start(Plan("call", rate=100, count=30, hold=0.0, targets=("p0",)))
    os.kill(calls.pids[0], signal.SIGSTOP)
    time.sleep(0.5)
    os.kill(calls.pids[0], signal.SIGCONT)
    counts = calls.wait(plan, timeout=30)
    assert counts.ok == 30
    assert counts.late.percentile_ms(0.99) > 300
    assert counts.setup.percentile_ms(0.99) > 300
    assert any("late" in fault for fault in calls.proof(begin).faults())


def test_two_processes_share_a_plan_and_do_not_bind_what_others_have(pair: Pair) -> None:
    port = free_port(run=40)
    nobody = fleet(port, port + 30, 20)
    with Generator(nobody, processes=2) as generator:
        plan = generator.start(Plan("options", rate=100, count=9))
        while (counts := generator.counts(plan)).retransmitted < 9:
            time.sleep(0.05)
        assert counts.started == 9
        with pytest.raises(GeneratorError, match="Address already in use"):
            Generator(nobody)
