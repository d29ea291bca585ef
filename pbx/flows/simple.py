"""Flows of a few lines: echo, announcements, feature codes, hours turned over by hand."""

from __future__ import annotations

from typing import Final

from pbx.decisions import NoRoute, OnBehalf, ToAnnouncement, ToEcho, ToFeature, ToOverride, ToProgram
from pbx.flows.visit import Visit
from pbx.routing import route
from voipat import Rejected, reasons

FORWARD: Final = "forward.always"
_LONGEST: Final = 32


async def echo(visit: Visit, target: ToEcho) -> None:
    """The caller hears himself."""
    await visit.call.echo()


async def announce(visit: Visit, target: ToAnnouncement) -> None:
    """Play a prompt, then go on."""
    one = target.announcement
    for _ in range(one.times):
        await visit.call.play(visit.prompt(one.prompt))
    await visit.follow(one.otherwise)


async def run_program(visit: Visit, target: ToProgram) -> None:
    """The user's function has the call; it is the one that was there when the call began."""
    await visit.directory.programs[visit.call.tenant, target.program.number](visit.call)


async def set_feature(visit: Visit, target: ToFeature) -> None:
    """Set a forward or do-not-disturb of the caller; a tone says that it is done."""
    state, number = visit.state, visit.caller
    match target.feature:
        case "forward_on":
            state.set(number, FORWARD, await _forward_target(visit, target.argument))
        case "forward_off":
            state.set(number, FORWARD, "")
        case "dnd_on":
            state.set(number, "dnd", "on")
        case "dnd_off":
            state.set(number, "dnd", "off")
        case _:
            raise Rejected(reasons.SERVICE_MISSING)
    visit.call.note("%s set %s", number, target.feature)
    await visit.call.play(visit.prompt("done"))


async def override(visit: Visit, target: ToOverride) -> None:
    """Turn hours over: the first call closes what is open or opens what is closed, the next turns it back."""
    times = target.times
    if visit.state.override(times, visit.at) is None:
        plan = visit.directory.plan(visit.call.tenant)
        is_open = plan.is_open(times, visit.at, visit.tenant)
        visit.state.turn(times, visit.at, is_open=not is_open)
    else:
        visit.state.turn_back(times)
    await visit.call.play(visit.prompt("done"))


async def _forward_target(visit: Visit, given: str) -> str:
    """The number to forward to, asked for when it was not dialled. Raises: Rejected for one the caller may not call."""
    target = given or await visit.call.ask(visit.prompt("forward_to"), digits=_LONGEST, timeout=6.0)
    source = OnBehalf(visit.caller)
    found = route(visit.directory, visit.call.tenant, target, visit.at, source, state=visit.state).target
    if not target or target == visit.caller or isinstance(found, NoRoute | ToFeature):
        await visit.call.play(visit.prompt("wrong"))
        raise Rejected(found.reason if isinstance(found, NoRoute) and target else reasons.WRONG_FEATURE_USE)
    return target
