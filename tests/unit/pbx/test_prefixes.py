"""The longest open prefix decides, then priority, cost and weight; a hundred thousand routes cost no more than ten."""

from __future__ import annotations

import random
import time

import pytest

from pbx import prefixes
from pbx.prefixes import PrefixRoute, PrefixTable, spread


def always(times: str) -> bool:
    return True


def names(table: PrefixTable, number: str, *, closed: str = "") -> list[str]:
    return [route.trunks[0] for route in table.find(number, lambda times: times != closed)]


def route(prefix: str, trunk: str, **keys: object) -> PrefixRoute:
    return PrefixRoute(prefix, (trunk,), **keys)  # type: ignore[arg-type]  # keys of the class


def test_the_longest_prefix_wins() -> None:
    table = PrefixTable([route("+", "any"), route("+49", "de"), route("+4930", "berlin"), route("+1", "us")])
    assert names(table, "+4930123456") == ["berlin"]
    assert names(table, "+4989123456") == ["de"]
    assert names(table, "+33123456") == ["any"]
    assert names(table, "112") == []
    assert names(table, "+493") == ["de"], "shorter than a prefix is none of that prefix"


def test_an_empty_prefix_takes_what_nothing_else_does() -> None:
    assert names(PrefixTable([route("", "rest"), route("+49", "de")]), "112") == ["rest"]
    assert names(PrefixTable(), "112") == []


def test_ties_go_by_priority_then_cost_then_weight() -> None:
    table = PrefixTable(
        [
            route("+1", "dear", priority=1, cost=2.0),
            route("+1", "cheap", priority=1, cost=1.0),
            route("+1", "spare", priority=2),
        ]
    )
    assert names(table, "+12025550100") == ["cheap", "dear", "spare"]


def test_equal_routes_share_by_weight_and_a_call_has_the_same_ones_when_asked_again() -> None:
    routes = [route("+1", "a", weight=30), route("+1", "b", weight=10), route("+1", "c", priority=99)]
    orders = [[each.trunks[0] for each in spread(routes, f"+1202555{number:04} 7.0")] for number in range(2000)]
    firsts = [order[0] for order in orders]
    assert firsts.count("a") == pytest.approx(1500, abs=120) and {order[2] for order in orders} == {"c"}
    assert orders[5] == [each.trunks[0] for each in spread(routes, "+12025550005 7.0")]


def test_a_closed_route_leaves_the_number_to_the_others_and_then_to_a_shorter_prefix() -> None:
    table = PrefixTable([route("+49", "day", times="office"), route("+49", "dear", cost=9.0), route("+4", "else")])
    assert names(table, "+4930") == ["day", "dear"]
    assert names(table, "+4930", closed="office") == ["dear"]
    alone = PrefixTable([route("+49", "day", times="office"), route("+4", "else")])
    assert names(alone, "+4930", closed="office") == ["else"]


def test_a_table_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefixes, "MAX_ROUTES", 2)
    with pytest.raises(ValueError, match="more than 2 routes"):
        PrefixTable([route("1", "a")] * 3)


def test_the_table_agrees_with_a_plain_search() -> None:
    dice = random.Random(7)
    routes = [route("+" + "".join(dice.choice("123") for _ in range(dice.randint(0, 6))), str(n)) for n in range(300)]
    table = PrefixTable(routes)
    for _ in range(2000):
        number = "+" + "".join(dice.choice("123") for _ in range(dice.randint(0, 9)))
        fitting = [each for each in routes if number.startswith(each.prefix)]
        longest = max((len(each.prefix) for each in fitting), default=-1)
        assert list(table.find(number, always)) == [each for each in fitting if len(each.prefix) == longest]


def test_a_look_up_among_a_hundred_thousand_routes_costs_little_more_than_among_a_hundred() -> None:
    dice = random.Random(1)
    digits = "0123456789"
    routes = [route("+" + "".join(dice.choices(digits, k=dice.randint(1, 12))), "t") for _ in range(100_000)]
    few, many = PrefixTable(routes[:100]), PrefixTable(routes)
    numbers = ["+" + "".join(dice.choices(digits, k=12)) for _ in range(20_000)]
    small, large = (min(_cpu(table, numbers) for _ in range(5)) for table in (few, many))
    print(f"{large * 1e6:.2f} µs a look-up among 100,000 routes, {small * 1e6:.2f} µs among 100")
    assert large < 20 * small  # a thousand times the routes


def _cpu(table: PrefixTable, numbers: list[str]) -> float:
    started = time.process_time()
    for number in numbers:
        table.find(number, always)
    return (time.process_time() - started) / len(numbers)
