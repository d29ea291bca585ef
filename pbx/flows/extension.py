"""Ring an extension; busy, no answer and unreachable go where it says, else the caller is told."""

from __future__ import annotations

from pbx.decisions import Decision, ToExtension, ToMailbox
from pbx.flows.visit import Visit
from pbx.moved import moved_to
from pbx.routing import MAX_HOPS, on_cause
from pbx.tenants import ExtensionConfig
from voipat import Call, NoAnswer, Redirected, Rejected, reasons

_BUSY = frozenset(reason.id for reason in (reasons.BUSY, reasons.CALLEE_LIMIT, reasons.DECLINED, reasons.BUSY_LEVEL))
_NOT_FOR_US = frozenset(reason.id for reason in (reasons.NO_COMMON_CODEC, reasons.NO_MEDIA_PORT, reasons.TOO_MANY_HOPS))


async def ring_extension(visit: Visit, target: ToExtension) -> None:
    """Ring, bridge, or go on. Raises: CallOutcome."""
    extension = target.extension
    try:
        await _ring(visit, extension)
        return
    except Rejected as refused:
        # Kept longer, it would stand in a cycle with this frame: only the collector frees those.
        if visit.call.state.value == "ended" or refused.reason.id in _NOT_FOR_US:
            raise
        decision = _next(visit, extension, refused)
        if decision is None:
            raise
    visit.hops += 1
    await visit.go(decision)


def _next(visit: Visit, extension: ExtensionConfig, refused: Rejected) -> Decision | None:
    """Where the call goes on when its phones refuse it; None: nowhere."""
    if isinstance(refused, Redirected) and (moved := _elsewhere(visit, extension, refused)) is not None:
        return moved
    cause = cause_of(refused)
    visit.call.note("%s: %s %s", extension.number, cause, refused.reason.id)
    tenant, hops = visit.call.tenant, visit.hops
    decision = on_cause(visit.directory, tenant, extension, cause, visit.at, hops, visit.state)
    # A mailbox that nobody serves is none.
    if (
        decision is not None
        and isinstance(decision.target, ToMailbox)
        and visit.desk.flows.find(decision.target) is None
    ):
        return None
    return decision


def _elsewhere(visit: Visit, extension: ExtensionConfig, moved: Redirected) -> Decision | None:
    """Where a 3xx of its phone leads within the tenant, that is no phone: `dial` has tried those."""
    hops = visit.hops + 1
    if hops > MAX_HOPS:
        return None
    found = moved_to(visit.directory, visit.call, extension, moved.contacts, hops=hops, state=visit.state)
    return next((each for each in found if not isinstance(each.target, ToExtension)), None)


async def _ring(visit: Visit, extension: ExtensionConfig) -> None:
    call = visit.call
    with visit.desk.admission.callee(call.tenant, extension):
        b_leg: Call = await call.dial(extension.number, timeout=extension.ring_s)
        if b_leg.own_number == extension.number:
            await call.bridge(b_leg)
            return
    # Another one has the call: who picked it up has a place, who was reached by a 3xx has taken one.
    with b_leg.take_place():
        await call.bridge(b_leg)


def cause_of(refused: Rejected) -> str:
    """Which forward a refusal asks for."""
    if refused.reason.id in _BUSY:
        return "busy"
    return "no_answer" if isinstance(refused, NoAnswer) or refused.reason is reasons.NO_ANSWER else "unreachable"
