"""Generated: a hang-up of either side, a vanished phone and an engine that takes no commands, at every message of each
built-in flow, leave nothing behind.

A first run without it gives the moments at which something is sent; each of them is then a run of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from media import EngineStalledError
from tests.sim.plan_office import PlanOffice
from voipat import events
from voipat.testing import Phone, PhoneCall

# What is dialled, and the keys that are pressed once it is answered.
FLOWS = {
    "extension": ("1002", ""),
    "forward to nobody": ("1006", ""),
    "menu to an extension": ("500", "2"),
    "menu to a group": ("500", "1"),
    "ring group": ("600", ""),
    "queue": ("610", ""),
    "park": ("800", ""),
    "empty slot": ("805", ""),
    "page": ("820", ""),
    "intercom": ("*801002", ""),
    "pickup of nothing": ("*8", ""),
    "echo": ("*43", ""),
    "forward by code": ("*72", "1007"),
    "trunk": ("92025550123", ""),
    "conference": ("700", ""),
    "conference with a PIN": ("701", "1234#"),
    "log in at a desk": ("*111003", "1357#"),
}
CALLERS = {"log in at a desk": 1007}
ENDS = ("caller hangs up", "callee hangs up", "caller vanishes", "engine fails")
# How a first leg ends then (docs/reference/reasons.md), unless the flow itself has refused the call before.
CAUSES = {
    "caller hangs up": {"VP-4001", "VP-4003"},
    "callee hangs up": {"VP-4001"},
    "caller vanishes": {"VP-4001", "VP-4004", "VP-4005", "VP-4012"},
    "engine fails": {"VP-2005", "VP-2006", "VP-4001"},
}
REFUSALS = {
    "log in at a desk": "VP-3312",
    "forward to nobody": "VP-3002",
    "menu to a group": "VP-3308",
    "ring group": "VP-3308",
    "forward by code": "VP-3309",
    "conference with a PIN": "VP-3312",
    "empty slot": "VP-3322",
    "pickup of nothing": "VP-3323",
}
# The commands that an engine refuses; what only gives back still works.
COMMANDS = ("open_port", "set_remote", "connect", "play", "echo", "set_audio", "mixer", "send_digits", "hold")
FAILS_FOR_S = 1.0
# Long enough for every flow to reach its conversation.
TALK_S = 7.0
MOST_MOMENTS = 24
SESSION_S = 1800.0
UNHEARD = ("conference", "conference with a PIN", "page")


@contextmanager
def office_of(seed: int) -> Iterator[tuple[PlanOffice, list[Phone]]]:
    with PlanOffice(seed=seed) as office:
        callees = [office.phone(number) for number in (1001, 1002, 1004)]
        for callee in (*callees, office.carrier):
            callee.answers(after=1.0)
        yield office, [*callees, office.carrier]


def dialled(office: PlanOffice, name: str) -> PhoneCall:
    number, keys = FLOWS[name]
    call = office.phone(CALLERS.get(name, 1003)).dial(number)

    def press() -> None:
        if call.was_answered and not call.is_over:
            call.presses(keys)

    if keys:
        office.world.at(office.world.now + 0.7, press)
    return call


def moments(seed: int, name: str) -> list[float]:
    """When something is sent, in seconds after the INVITE; evenly thinned out."""
    with office_of(seed) as (office, _):
        call = dialled(office, name)
        begun = office.world.now
        office.world.run(until=begun + TALK_S)
        found = sorted({round(rung.time - begun, 3) for rung in office.world.network.ladder if rung.time >= begun})
        leave(call)
        office.run()
    between = [*found, *(moment + 0.5 for moment in found)]
    step = max(1, len(between) // MOST_MOMENTS)
    return sorted(between)[::step]


def leave(call: PhoneCall) -> None:
    if not call.is_over:
        call.hang_up() if call.was_answered else call.give_up()


def run_out(office: PlanOffice) -> None:
    """Where nobody has to speak, in a page, who has vanished is missed when the session expires."""
    begun = office.world.now
    while office.board.admission.calls and office.world.now < begun + SESSION_S:
        office.world.run(until=office.world.now + 100.0)


def break_engine(office: PlanOffice) -> None:
    """For a while it takes no commands."""

    def refuse(*_: object, **__: object) -> object:
        raise EngineStalledError("the worker takes no commands")

    def heal() -> None:
        for command in COMMANDS:
            delattr(office.world.engine, command)

    for command in COMMANDS:
        setattr(office.world.engine, command, refuse)
    office.world.at(office.world.now + FAILS_FOR_S, heal)


def ending(how: str, office: PlanOffice, call: PhoneCall, callees: list[Phone]) -> Callable[[], None]:
    def end() -> None:
        if how == "caller hangs up":
            leave(call)
        elif how == "caller vanishes":
            call.phone.vanish()
        elif how == "engine fails":
            break_engine(office)
        for callee in callees if how == "callee hangs up" else ():
            for each in callee.received:
                if each.was_answered and not each.is_over:
                    each.hang_up()

    return end


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("name", FLOWS)
def test_nothing_is_left_and_each_leg_ends_once(seed: int, name: str, how: str) -> None:
    # Half an hour each, of music: a few of them do.
    every = 8 if how == "caller vanishes" and name in UNHEARD else 1
    for moment in moments(seed, name)[::every]:
        with office_of(seed) as (office, callees):
            call = dialled(office, name)
            office.world.at(office.world.now + moment, ending(how, office, call, callees))
            office.world.run(until=office.world.now + TALK_S + 1.0)
            if how != "caller vanishes":
                leave(call)
            office.run()
            run_out(office)
            started = Counter(event.id for event in office.told if isinstance(event, events.CallStarted))
            ended = Counter(event.id for event in office.told if isinstance(event, events.CallEnded))
            assert started == ended and set(ended.values()) == {1}, (moment, started, ended)
            desk = office.board.desk
            assert (desk.parking.parked(), desk.admission.calls) == ([], 0), moment
            failed = office.app.counters.get("handler_errors", 0)
            assert failed <= (how == "engine fails"), moment
            causes = {reason for _, _, reason in office.ends}
            assert causes <= CAUSES[how] | {REFUSALS.get(name, "")}, (moment, office.ends)
