"""Generated: a hang-up of either side, a vanished phone and an engine that takes no commands, at every message of each
built-in flow, leave nothing behind.

A first run without it gives the moments at which something is sent; each of them is then a run of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import get_args

import pytest

from media import EngineStalledError
from pbx import config, programs
from pbx.decisions import FromExtension, HangUp, NoRoute, Target, ToMailbox
from pbx.directory import Directory
from pbx.objects.features import IN_CALL
from pbx.routing import route
from tests.sim.plan_office import DOMAIN, EXAMPLE
from tests.sim.recording_office import Tapes
from tests.sim.voicemail_office import VoicemailOffice
from voipat import events
from voipat.testing import Phone, PhoneCall


@dataclass(frozen=True)
class Dialled:
    """What is dialled by whom, and the keys that are pressed `after` it; `others` are at it before: who dials what."""

    number: str
    keys: str = ""
    caller: int = 1003
    after: float = 0.7
    others: dict[int, str] = field(default_factory=dict)
    # How the flow itself may refuse or end the call.
    refusal: str = ""
    records: bool = False
    # Those who were called talk on with each other.
    goes_on: bool = False


FLOWS = {
    "extension": Dialled("1002"),
    "forward to nobody": Dialled("1006", refusal="VP-3002"),
    "menu to an extension": Dialled("500", "2"),
    "menu to a group": Dialled("500", "1", refusal="VP-3308"),
    "ring group": Dialled("600", refusal="VP-3308"),
    "queue": Dialled("610"),
    "park": Dialled("800"),
    "empty slot": Dialled("805", refusal="VP-3322"),
    "slot with a call": Dialled("801", others={1008: "800"}),
    "page": Dialled("820"),
    "intercom": Dialled("*801002"),
    "pickup of nothing": Dialled("*8", refusal="VP-3323"),
    "pickup": Dialled("**1010", others={1008: "1010"}),
    "echo": Dialled("*43"),
    "forward by code": Dialled("*72", "1007", refusal="VP-3309"),
    "trunk": Dialled("92025550123"),
    "conference": Dialled("700"),
    "conference with a PIN": Dialled("701", "1234#", refusal="VP-3312"),
    "log in at a desk": Dialled("*111003", "1357#", caller=1007, refusal="VP-3312"),
    "log out of a desk": Dialled("*12", caller=1007, refusal="VP-3331"),
    "message": Dialled("500", "3#"),
    "own messages": Dialled("*97", "2468", refusal="VP-3312"),
    "announcement": Dialled("830"),
    "program": Dialled("840"),
    "hours by hand": Dialled("*30"),
    "monitoring": Dialled("*901002", caller=1009, others={1008: "1002"}, refusal="VP-3329"),
    "blind transfer": Dialled("1004", "##1002", caller=1001, after=2.0, goes_on=True, refusal="VP-6007"),
    "attended transfer": Dialled("1004", "*21002", caller=1001, after=2.0, goes_on=True, refusal="VP-6007"),
    "recording on demand": Dialled("1004", "*1", caller=1001, after=2.0, records=True),
    "recording by rule": Dialled("1005", records=True),
}
# These end calls and are no flow.
ENDINGS = {HangUp, NoRoute}
TEXT = (
    EXAMPLE.replace('1009 = "pass-1009"', '1009 = { password = "pass-1009", monitor = "barge" }')
    .replace('1002 = { password = "pass-1002",', '1002 = { password = "pass-1002", monitored = true,')
    .replace('1010 = "pass-1010"', '1010 = { password = "pass-1010", pickup_group = "office" }')
    .replace('name = "office"\n', 'name = "office"\noverride_code = "*30"\n', 1)
)
MORE = """
[[tenant.announcement]]
number = "830"
prompt = "welcome"
otherwise = "1002"

[[tenant.program]]
number = "840"
file = "PROGRAM"

"""
PROGRAM = """
async def main(call):
    await call.answer()
    await call.ask(None, digits=1, timeout=2.0)
    await call.dial("sip:1002@office.test")
"""
ENDS = ("caller hangs up", "callee hangs up", "caller vanishes", "engine fails")
# How a first leg ends then (docs/reference/reasons.md), unless the flow itself has refused the call before.
CAUSES = {
    "caller hangs up": {"VP-4001", "VP-4003"},
    "callee hangs up": {"VP-4001"},
    "caller vanishes": {"VP-4001", "VP-4004", "VP-4005", "VP-4012"},
    "engine fails": {"VP-2005", "VP-2006", "VP-4001"},
}
# The commands that an engine refuses; what only gives back still works.
COMMANDS = ("open_port", "set_remote", "connect", "play", "echo", "set_audio", "mixer", "send_digits", "hold")
FAILS_FOR_S = 1.0
# Long enough for every flow to reach its conversation.
TALK_S = 7.0
MOST_MOMENTS, SOAK_MOMENTS = 10, 60
SESSION_S = 1800.0
UNHEARD = ("conference", "conference with a PIN", "page")


class Office(VoicemailOffice):
    """The example with its mailboxes, what it has none of, and, if wanted, its tapes."""

    def __init__(self, data: Path, seed: int, *, records: bool) -> None:
        data.mkdir()
        program = data / "program.py"
        program.write_text(PROGRAM)
        first, mark, second = TEXT.partition("# A second tenant")
        text = first + MORE.replace("PROGRAM", str(program)) + mark + second
        super().__init__(data, text=text, seed=seed)
        tenants = list(self.directory.current.tenants.values())
        media = config.parse(text, environ={}).server
        loaded = programs.load(tenants)
        self.directory.swap(Directory(tenants, default_tenant=DOMAIN, media=media, programs=loaded))
        self.tapes = Tapes(data, seed) if records else None
        self.others: list[PhoneCall] = []

    def __enter__(self) -> Office:
        super().__enter__()
        if self.tapes is not None:
            self.tapes.attach(self)
        return self

    def __exit__(self, *exception: object) -> None:
        super().__exit__(*exception)
        if self.tapes is not None:
            self.tapes.store.close()


class Scene:
    """One flow, played in an office of its own as often as wanted."""

    def __init__(self, folder: Path, seed: int, flow: Dialled) -> None:
        self.folder = folder
        self.seed = seed
        self.flow = flow
        self._runs = count(1)

    @contextmanager
    def played(self) -> Iterator[tuple[Office, PhoneCall, list[Phone]]]:
        """The office, the call that was dialled this moment, and who answers."""
        data = self.folder / str(next(self._runs))
        with Office(data, self.seed, records=self.flow.records) as office:
            callees = [office.phone(number) for number in (1001, 1002, 1004, 1005)]
            for callee in (*callees, office.carrier):
                callee.answers(after=1.0)
            for number in (1007, 1010):
                office.phone(number).rings()
            for caller, dialled in self.flow.others.items():
                office.others.append(office.phone(caller).dial(dialled))
            if self.flow.others:
                office.world.run(until=office.world.now + 3.0)
            yield office, self._dial(office), [*callees, office.carrier]

    def _dial(self, office: Office) -> PhoneCall:
        flow = self.flow
        call = office.phone(flow.caller).dial(flow.number)

        def press() -> None:
            if call.was_answered and not call.is_over:
                call.presses(flow.keys)

        if flow.keys:
            office.world.at(office.world.now + flow.after, press)
        return call

    def moments(self, most: int) -> list[float]:
        """When something is sent, in seconds after the INVITE; evenly thinned out."""
        with self.played() as (office, call, callees):
            begun = office.world.now
            office.world.run(until=begun + TALK_S)
            found = sorted({round(rung.time - begun, 3) for rung in office.world.network.ladder if rung.time >= begun})
            leave_all(office, [call, *office.others, *self.going_on(callees)])
        between = [*found, *(moment + 0.5 for moment in found)]
        step = -(-len(between) // most)
        return sorted(between)[::step]

    def going_on(self, callees: list[Phone]) -> list[PhoneCall]:
        """What nobody would hang up otherwise."""
        return [call for callee in callees for call in callee.received] if self.flow.goes_on else []


def leave_all(office: Office, calls: list[PhoneCall]) -> None:
    for each in calls:
        leave(each)
    office.run()


def leave(call: PhoneCall) -> None:
    if not call.is_over:
        call.hang_up() if call.was_answered else call.give_up()


def run_out(office: Office) -> None:
    """Where nobody has to speak, in a page, who has vanished is missed when the session expires."""
    begun = office.world.now
    while office.board.admission.calls and office.world.now < begun + SESSION_S:
        office.world.run(until=office.world.now + 100.0)


def break_engine(office: Office) -> None:
    """For a while it takes no commands."""

    def refuse(*_: object, **__: object) -> object:
        raise EngineStalledError("the worker takes no commands")

    def heal() -> None:
        for command in COMMANDS:
            delattr(office.world.engine, command)

    for command in COMMANDS:
        setattr(office.world.engine, command, refuse)
    office.world.at(office.world.now + FAILS_FOR_S, heal)


def ending(how: str, office: Office, call: PhoneCall, callees: list[Phone]) -> Callable[[], None]:
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
def test_nothing_is_left_and_each_leg_ends_once(seed: int, name: str, how: str, tmp_path: Path, soak: bool) -> None:
    scene = Scene(tmp_path, seed, FLOWS[name])
    # Half an hour each, of music: a few of them do.
    every = 8 if how == "caller vanishes" and name in UNHEARD else 1
    for moment in scene.moments(SOAK_MOMENTS if soak else MOST_MOMENTS)[::every]:
        with scene.played() as (office, call, callees):
            office.world.at(office.world.now + moment, ending(how, office, call, callees))
            office.world.run(until=office.world.now + TALK_S + 1.0)
            own = [] if how == "caller vanishes" else [call]
            leave_all(office, [*own, *office.others, *scene.going_on(callees)])
            run_out(office)
            assert_over(office, how, scene.flow, moment)


def assert_over(office: Office, how: str, flow: Dialled, moment: float) -> None:
    started = Counter(event.id for event in office.told if isinstance(event, events.CallStarted))
    ended = Counter(event.id for event in office.told if isinstance(event, events.CallEnded))
    assert started == ended and set(ended.values()) == {1}, (moment, started, ended)
    desk = office.board.desk
    assert (desk.parking.parked(), desk.admission.calls) == ([], 0), moment
    failed = office.app.counters.get("handler_errors", 0)
    assert failed <= (how == "engine fails"), moment
    causes = {reason for _, _, reason in office.ends}
    others = CAUSES["caller hangs up"] if flow.others else set()
    assert causes <= CAUSES[how] | others | {flow.refusal}, (moment, office.ends)
    messages = [row.state for row in office.rows.tenant(DOMAIN).rows.values()]
    assert set(messages) <= {"kept"}, (moment, messages)
    if office.tapes is not None:
        assert {row.state for row in office.tapes.rows()} <= {"kept", "partial", "failed"}, moment


def test_every_flow_of_the_pbx_is_played(tmp_path: Path) -> None:
    """A target that the plan can decide for, and whose number is not in FLOWS, fails here; so does a code of a call."""
    with Office(tmp_path / "data", 1, records=False) as office:
        directory, at = office.directory.current, office.world.wallclock()

        def target(flow: Dialled) -> type[object]:
            source = FromExtension(str(flow.caller))
            return type(route(directory, DOMAIN, flow.number, at, source).target)

        played = {target(flow) for flow in FLOWS.values()}
        # Mailboxes and rooms are reached by other flows too.
        assert set(get_args(Target)) - ENDINGS - played == {ToMailbox}
        assert "mailbox:" in dict(directory.tenant(DOMAIN).plan.menus[0].keys)[FLOWS["message"].keys[0]]
        codes = directory.tenant(DOMAIN).features.codes
        pressed = [flow.keys for flow in FLOWS.values()]
        for name in IN_CALL:
            assert any(keys.startswith(codes[name]) for keys in pressed), name
