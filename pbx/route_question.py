"""`voipat route`: what would happen to a call, by the function that calls are routed by, without a packet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from pbx.control import ControlError
from pbx.decisions import Decision, FromExtension, FromTrunk, Source, describe
from pbx.directory import Directory
from pbx.output import Row
from pbx.routing import route
from pbx.tenant_state import LiveState

USAGE = 2


@dataclass(frozen=True, slots=True)
class Question:
    """A number, who would dial it ("1001", "trunk:carrier"), where and when. `at` None is now."""

    number: str
    caller: str
    now: float
    at: str | None = None
    tenant: str | None = None
    caller_number: str = ""


def question_of(arguments: Mapping[str, object]) -> Question:
    """The question as the command line sends it."""
    texts = {name: str(value) for name in ("at", "tenant") if (value := arguments.get(name)) is not None}
    now = arguments.get("now")
    return Question(
        str(arguments.get("number")),
        str(arguments.get("from")),
        float(now) if isinstance(now, int | float) else 0.0,
        caller_number=str(arguments.get("caller_number") or ""),
        **texts,
    )


def ask(directory: Directory, state: LiveState, question: Question) -> Decision:
    """The decision. Raises: ControlError for a caller, a tenant or a time that is none."""
    domain = _tenant(directory, question)
    source = _source(directory, domain, question)
    at = _moment(directory, domain, question)
    return route(directory, domain, question.number, at, source, state=state.tenant(domain))


def route_rows(directory: Directory, state: LiveState, question: Question) -> Iterator[Row]:
    """One row for each rule that was tried, then one with the outcome."""
    decision = ask(directory, state, question)
    for step in decision.steps:
        yield {"rule": step.rule, "took": step.took, "why": step.why}
    reason = getattr(decision.target, "reason", None)
    yield {
        "rule": "outcome",
        "took": reason is None,
        "why": describe(decision.target),
        "target": type(decision.target).__name__,
        "status": None if reason is None else reason.status,
        "reason": None if reason is None else reason.id,
    }


def _tenant(directory: Directory, question: Question) -> str:
    wanted = question.tenant or directory.default_tenant
    if wanted is None and len(directory.tenants) == 1:
        (wanted,) = directory.tenants
    domain = None if wanted is None else directory.domain(wanted)
    if domain is None:
        known = ", ".join(directory.tenants) or "none"
        raise ControlError(f"give --tenant, one of: {known}", exit_status=USAGE)
    return domain


def _source(directory: Directory, domain: str, question: Question) -> Source:
    tenant = directory.tenant(domain)
    kind, colon, name = question.caller.partition(":")
    if colon and kind == "trunk" and name in {trunk.name for trunk in tenant.trunks}:
        return FromTrunk(name, question.caller_number)
    if question.caller in tenant.extensions:
        return FromExtension(question.caller)
    raise ControlError(f"--from {question.caller}: no extension of {domain}, nor trunk:NAME", exit_status=USAGE)


def _moment(directory: Directory, domain: str, question: Question) -> float:
    """A time without a zone is the tenant's."""
    if question.at is None:
        return question.now
    try:
        found = datetime.fromisoformat(question.at)
    except ValueError:
        raise ControlError(f"--at {question.at}: give a time such as 2026-12-25T10:00", exit_status=USAGE) from None
    if found.tzinfo is None:
        found = found.replace(tzinfo=ZoneInfo(directory.tenant(domain).plan.settings.time_zone))
    return found.timestamp()
