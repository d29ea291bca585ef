"""Calls to the outside: within the limits of who pays, by the first trunk that takes them; emergency calls always."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from pbx.countries import country_of, is_first_call
from pbx.decisions import ToTrunks
from pbx.flows.visit import Visit
from pbx.outside import outside_place
from voipat import Call, Rejected, reasons
from voipat.events import CountryCalled, EmergencyCalled

RING_S: Final = 120.0


async def call_out(visit: Visit, target: ToTrunks) -> None:
    """Call the number and bridge. Raises: CallOutcome."""
    with place_outside(visit, target):
        await visit.call.bridge(await dial_out(visit, target, timeout=RING_S))


async def dial_out(visit: Visit, target: ToTrunks, *, timeout: float) -> Call:
    """The answered call to a number outside; its place is the caller's to take. Raises: CallOutcome."""
    trunks = visit.desk.trunks
    if trunks is None:
        raise Rejected(reasons.NO_TRUNK)
    if target.emergency:
        _tell(visit, target.number)
    return await trunks.dial(
        visit.call,
        target.trunks,
        target.number,
        timeout=timeout,
        caller_id=target.caller_id or None,
        emergency=target.emergency,
        ordered=target.ordered,
    )


@contextmanager
def place_outside(visit: Visit, target: ToTrunks) -> Iterator[None]:
    """The place of the call under the limits of who pays it; an emergency call needs none. Raises: Rejected."""
    if target.emergency:
        yield
        return
    with outside_place(visit.desk.admission, visit.tenant, visit.state, target.payer, visit.at):
        _tell_new_country(visit, target)
        yield


def _tell_new_country(visit: Visit, target: ToTrunks) -> None:
    """Of the first call to a country: what fraud begins with."""
    country, own = country_of(target.number), visit.tenant.plan.settings.country_code
    if not country or f"+{country}" == own or not is_first_call(visit.state, country):
        return
    call, desk = visit.call, visit.desk
    caller, at = target.payer or visit.caller or call.own_number, call.switch.wallclock()
    visit.note_audit(caller, "new-country-called", target.number)
    desk.publish(CountryCalled(call.id, call.linked_id, call.tenant, caller, target.number, country, at))
    desk.alerts.new_country(call, visit.tenant, caller, target.number, country)


def _tell(visit: Visit, number: str) -> None:
    """Of an emergency call: the audit, programs, and who is to be told in the house."""
    call, desk = visit.call, visit.desk
    caller = visit.caller or call.own_number
    visit.note_audit(caller, "emergency-called", number)
    desk.publish(EmergencyCalled(call.id, call.linked_id, call.tenant, caller, number, call.switch.wallclock()))
    desk.alerts.emergency(call, visit.tenant, caller, number)
