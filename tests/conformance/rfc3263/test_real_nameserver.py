"""RFC 3263 §4 with a nameserver behind it: what is on the wire leads to the same targets as the algorithm says."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import uvloop

from sipcore.locate import Naptr, Record, Srv
from tests.conformance.rfc3263.layouts import A1, A2, EACH_LAYOUT, LAYOUTS, Zone
from tests.nameserver import bench


def text(record: Record) -> str:
    """A record as a zone file has it."""
    if isinstance(record, Naptr):
        fields = f'"{record.flags}" "{record.service}" ""'
        return f"{record.order} {record.preference} {fields} {absolute(record.replacement)}"
    if isinstance(record, Srv):
        return f"{record.priority} {record.weight} {record.port} {absolute(record.target)}"
    return record


def absolute(name: str) -> str:
    return name if name.endswith(".") else f"{name}."


def zone_file(zone: Zone) -> str:
    return "\n".join(f"{name} 300 {kind} {text(each)}" for (name, kind), records in zone.items() for each in records)


def asked(zone: str, *names: str, host: str = "x.test", **question: Any) -> tuple[list[str], list[str]]:
    """The targets, and what the nameserver was asked; then the same out of the memory, without a question."""

    async def scenario() -> tuple[list[str], list[str]]:
        async with asyncio.timeout(120), bench(zone, *names, hosts=("127.0.0.1", "::1")) as it:
            targets = await it.ask(host, **question)
            questions = list(it.server.asked)
            assert await it.ask(host, **question) == targets
            assert it.server.asked == questions, "answers and their absence are remembered"
            return targets, questions

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(scenario())


@pytest.mark.rfc(
    "3263",
    "4.1",
    "First, a client resolving a SIPS URI MUST discard any services that do not contain 'SIPS' as the protocol in "
    "the service field.",
)
@pytest.mark.rfc("3263", "4.2")
@EACH_LAYOUT
def test_each_of_25_layouts_on_the_wire_leads_to_its_targets_in_order(
    zone: Zone, options: Mapping[str, Any], expected: Sequence[str]
) -> None:
    question = {name: value for name, value in options.items() if name != "ours"}
    targets, _ = asked(zone_file(zone), *options.get("ours", "UDP TCP TLS").split(), **question)
    assert targets == expected


def test_there_are_25_layouts_and_each_has_its_name() -> None:
    assert len({name for name, *_ in LAYOUTS}) == len(LAYOUTS) == 25


@pytest.mark.rfc(
    "3263",
    "4.2",
    "If the TARGET was not a numeric IP address, but a port is present in the URI, the client performs an A or AAAA "
    "record lookup of the domain name.",
)
def test_a_port_costs_no_naptr_and_no_srv_question() -> None:
    _, questions = asked(f"x.test 300 A {A1}", port=5099)
    assert questions == ["x.test A", "x.test AAAA"]


def test_an_alias_leads_where_its_target_leads() -> None:
    zone = f"""
        x.test 300 CNAME y.test.
        _sip._udp.x.test 300 SRV 1 0 5080 a.x.test.
        a.x.test 300 CNAME b.x.test.
        b.x.test 300 A {A2}
        y.test 300 A {A1}
    """
    assert asked(zone)[0] == [f"UDP {A2}:5080"]
    assert asked(zone, port=7)[0] == [f"UDP {A1}:7"]
