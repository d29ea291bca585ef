"""Rates of outbound routes (P7): the file, its faults by line, and the routing that goes by it."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from pbx import config, rates
from pbx.decisions import FromExtension, NoRoute, ToTrunks, describe
from pbx.directory import Directory
from pbx.errors import ConfigError
from pbx.routing import route

NOON, EVENING = 1_800_000_000.0 - 20 * 3600, 1_800_000_000.0 - 12 * 3600  # Thu 2027-01-14, 12:00 and 20:00 UTC
PLAN = """
[[tenant]]
domain = "office.test"
country_code = "+1"
extensions = { 1001 = "secret-1" }

[[tenant.trunk]]
name = "first"
host = "192.0.2.1"

[[tenant.trunk]]
name = "second"
host = "192.0.2.2"

[[tenant.times]]
name = "office"
hours = ["09:00-17:00"]

[tenant.limits]
international = true

[[tenant.route]]
name = "carriers"
pattern = "9X."
strip = 1
rates = "RATES"
"""
RATES = """prefix,trunks,cost,priority,weight,times
+1,first second,0.01
+1202,second,0.002,,,office
+1202,first,0.004
+49,first,0.02,5
+49,second,0.01
"""


def office(folder: Path, text: str = RATES, plan: str = PLAN) -> Directory:
    file = folder / "rates.csv"
    file.write_text(text)
    loaded = config.parse(plan.replace("RATES", str(file)), environ={})
    return Directory(loaded.tenants, rates=rates.load(loaded.tenants))


def asked(directory: Directory, number: str, at: float = NOON) -> str:
    return describe(route(directory, "office.test", number, at, FromExtension("1001")).target)


def test_the_longest_open_prefix_says_which_trunks_are_tried(tmp_path: Path) -> None:
    directory = office(tmp_path)
    assert asked(directory, "93125550100") == "+13125550100 by first, second"
    assert asked(directory, "92025550100") == "+12025550100 by second, first", "the cheaper one, while it is open"
    assert asked(directory, "92025550100", EVENING) == "+12025550100 by first"
    assert asked(directory, "9011493012345") == "+493012345 by first, second", "priority goes before cost"


def test_a_number_without_a_rate_is_unallocated_unless_another_route_takes_it(tmp_path: Path) -> None:
    found = route(office(tmp_path), "office.test", "9011331234567", NOON, FromExtension("1001"))
    assert isinstance(found.target, NoRoute)
    assert (found.target.reason.status, found.target.reason.q850) == (404, 1)
    assert "none of the prefixes" in found.steps[-1].why
    rest = '\n[[tenant.route]]\nname = "rest"\npattern = "9!"\nstrip = 1\ntrunks = ["second"]\n'
    assert asked(office(tmp_path, plan=PLAN + rest), "9011331234567") == "+331234567 by second"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("prefix;trunks\n", "rates.csv:1: columns: the first line names the columns"),
        ("prefix,trunks\n+1,first\nabc,first\n", "rates.csv:3: prefix: 'abc' is none"),
        ("prefix,trunks\n+1,third\n", "rates.csv:2: trunks: 'third' names no trunk"),
        ("prefix,trunks,cost\n+1,first,cheap\n", "rates.csv:2: cost: 'cheap' is not allowed, give a number from 0 to"),
        ("prefix,trunks,weight\n+1,first,0\n", "rates.csv:2: weight: '0' is not allowed"),
        ("prefix,trunks,times\n+1,first,night\n", "rates.csv:2: times: 'night' is no times"),
        ("prefix,trunks\n+1,first,7\n", "rates.csv:2: prefix"),
    ],
)
def test_faults_have_file_and_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        office(tmp_path, text)
    assert said in str(refused.value)


def test_a_file_that_is_not_there_or_no_text_is_refused(tmp_path: Path) -> None:
    loaded = config.parse(PLAN.replace("RATES", str(tmp_path / "none.csv")), environ={})
    with pytest.raises(ConfigError, match=r"none\.csv:1: file: cannot be read: No such file"):
        rates.load(loaded.tenants)
    (tmp_path / "none.csv").write_bytes(b"prefix,trunks\n+1,\xff\n")
    with pytest.raises(ConfigError, match="is no CSV in UTF-8"):
        rates.load(loaded.tenants)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [('rates = "rates.csv"', "absolute path of a CSV file"), ("", "needs one of trunks and rates")],
)
def test_a_route_has_trunks_or_rates(wrong: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        config.parse(PLAN.replace('rates = "RATES"', wrong), environ={})


def test_routing_by_a_hundred_thousand_prefixes_costs_little_more_than_by_ten(tmp_path: Path) -> None:
    dice = random.Random(3)
    prefixes = {"+1" + "".join(dice.choices("0123456789", k=dice.randint(1, 9))) for _ in range(130_000)}
    lines = [f"{prefix},first second,0.01" for prefix in sorted(prefixes)[:100_000]]
    few = office(tmp_path, "\n".join(["prefix,trunks,cost", "+1,first", *lines[:10]]))
    started = time.process_time()
    many = office(tmp_path, "\n".join(["prefix,trunks,cost", "+1,first", *lines]))
    print(f"read in {time.process_time() - started:.2f} s of CPU")
    numbers = ["9" + "".join(dice.choices("23456789", k=10)) for _ in range(1000)]
    small, large = (min(_cpu(directory, numbers) for _ in range(3)) for directory in (few, many))
    print(f"{large * 1e6:.1f} µs a routed call among 100,000 prefixes, {small * 1e6:.1f} µs among 10")
    assert large < 5 * small


def _cpu(directory: Directory, numbers: list[str]) -> float:
    started = time.process_time()
    for number in numbers:
        found = route(directory, "office.test", number, NOON, FromExtension("1001"))
        assert isinstance(found.target, ToTrunks)
    return (time.process_time() - started) / len(numbers)
