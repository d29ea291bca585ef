"""Calls by rates (P7): the trunks are tried in the order that the file says, whatever order they have themselves."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from sipcore.message import Request
from sipcore.parser import parse_message
from tests.sim.plan_office import EXAMPLE, PlanOffice

pytestmark = pytest.mark.usefixtures("nothing_left")

# Beside the example's own trunk, to which all are played by the same phone; the domain in From says which one it was.
SECOND = """[[tenant.trunk]]
name = "second"
host = "127.0.0.1:5091"
domain = "second.test"
priority = {priority}

[[tenant.route]]
name = "outside"
"""


def office(folder: Path, rates: str, *, seed: int, priority: int = 10) -> PlanOffice:
    file = folder / "rates.csv"
    file.write_text(rates)
    text = EXAMPLE.replace('[[tenant.route]]\nname = "outside"\n', SECOND.format(priority=priority), 1)
    text = text.replace('host = "127.0.0.1:5090"', 'host = "127.0.0.1:5090"\ndomain = "first.test"', 1)
    return PlanOffice(text.replace('strip = 1\ntrunks = ["carrier"]', f'strip = 1\nrates = "{file}"', 1), seed=seed)


def tried(office: PlanOffice) -> list[str]:
    """The trunk of each INVITE that went out, repetitions left out."""
    found: dict[str, str] = {}
    for rung in office.world.network.ladder:
        if rung.kind == "INVITE" and office.world.network.name_of(rung.destination) == "carrier":
            message = parse_message(rung.data)
            assert isinstance(message, Request)
            found.setdefault(message.call_id, message.from_.uri.host)
    return list(found.values())


@pytest.mark.parametrize("priority", [1, 10])
def test_the_cheaper_trunk_is_tried_first_each_time(tmp_path: Path, seed: int, priority: int) -> None:
    rates = "prefix,trunks,cost\n+1,second,0.02\n+1,carrier,0.01\n"
    with office(tmp_path, rates, seed=seed, priority=priority) as made:
        made.carrier.answers(after=0.1)
        alice = made.phone(1001)
        for number in range(12):
            alice.dial(f"920255501{number:02}", after=3.0 * number).hangs_up(after=1.0)
        made.run()
        assert tried(made) == ["first.test"] * 12


def test_the_dearer_one_takes_what_the_cheaper_refuses(tmp_path: Path, seed: int) -> None:
    with office(tmp_path, "prefix,trunks,cost\n+1,second,0.02\n+1,carrier,0.01\n", seed=seed, priority=1) as made:
        made.carrier.refuses(503)
        call = made.phone(1001).dial("92025550142")
        made.run()
        assert call.status == 503
        assert tried(made) == ["first.test", "second.test"]


def test_equals_share_the_calls_by_the_weights_of_the_file(tmp_path: Path, seed: int) -> None:
    rates = "prefix,trunks,cost,priority,weight\n+1,carrier,,,30\n+1,second,,,10\n"
    with office(tmp_path, rates, seed=seed) as made:
        made.carrier.answers(after=0.1)
        alice = made.phone(1001)
        for number in range(80):
            alice.dial(f"920255502{number:02}", after=3.0 * number).hangs_up(after=1.0)
        made.run()
        assert 45 <= Counter(tried(made))["first.test"] <= 75, "three of four"
