"""Numbers and where they go: every kind of target, the order of the rules, and that one tenant is blind to another."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from pbx import config
from pbx.decisions import Decision, FromExtension, FromMenu, FromTrunk, NoRoute, OnBehalf, Source, ToTrunks, describe
from pbx.dial_plan import warnings_of
from pbx.directory import Directory
from pbx.routing import MAX_HOPS, on_cause, route
from pbx.tenant_state import LiveState, TenantState
from voipat import reasons

OFFICE = "office.test"
HELPLESS = "strict.test: there are routes out and no emergency.numbers: nobody can call for help"
EXAMPLE = (Path(__file__).parents[3] / "examples" / "office.toml").read_text()
EXTRA = """
[[tenant]]
domain = "strict.test"
country_code = "+1"
[tenant.limits]
international = true
premium = ["+1900."]
[tenant.screening]
block = ["+12025559XXX"]
anonymous = "reject"
own_numbers = "reject"
[tenant.extensions]
1001 = { password = "secret-1", class_of_service = "home", forward = { busy = "901144207123456" } }
1002 = { password = "secret-2", class_of_service = "world" }
1003 = { password = "secret-3", class_of_service = "nowhere" }
[[tenant.class]]
name = "home"
[[tenant.class]]
name = "world"
international = true
premium = true
[[tenant.class]]
name = "nowhere"
outside = false
[[tenant.trunk]]
name = "c"
host = "192.0.2.1"
[[tenant.route]]
name = "any"
pattern = "9X."
strip = 1
trunks = ["c"]
[[tenant.route]]
name = "local"
pattern = "9202555XXXX"
strip = 1
trunks = ["c"]
caller_id = "+12025550199"
[[tenant.did]]
number = "+1202555010X"
target = "1001"
callers = ["+1305."]
[[tenant.did]]
number = "+1202555010X"
target = "1002"
"""
DIRECTORY = Directory(config.parse(EXAMPLE + EXTRA, environ={}).tenants, default_tenant=OFFICE)
THURSDAY = datetime(2026, 11, 26, 12, tzinfo=ZoneInfo("Europe/Berlin")).timestamp()
SUNDAY = THURSDAY + 3 * 86_400


def ask(
    number: str,
    source: Source | None = None,
    *,
    tenant: str = OFFICE,
    at: float = THURSDAY,
    state: TenantState | None = None,
) -> Decision:
    asked_by = source or FromExtension("1001")
    return route(DIRECTORY, tenant, number, at, asked_by, state=state or TenantState(tenant))


def to(number: str, source: Source | None = None, **keys: object) -> str:
    return describe(ask(number, source, **keys).target)  # type: ignore[arg-type]  # passed through


@pytest.mark.parametrize(
    ("number", "where"),
    [
        ("1002", "extension 1002"),
        ("500", "menu 500"),
        ("600", "ring group 600"),
        ("610", "queue 610"),
        ("700", "conference 700"),
        ("701", "conference 701"),
        ("800", "park 800"),
        ("805", "park slot 805"),
        ("*43", "echo test"),
        ("*97", "messages of 1001"),
        ("*98", "messages of the mailbox that is asked for"),
        ("*72", "feature forward_on"),
        ("*721002", "feature forward_on 1002"),
        ("*73", "feature forward_off"),
        ("*78", "feature dnd_on"),
        ("*79", "feature dnd_off"),
        ("*8", "pickup in the group"),
        ("**1002", "pickup of 1002"),
        ("92025550123", "+12025550123 by carrier"),
        ("912025550123", "+12025550123 by carrier"),
        ("9011442071234567", "nowhere: VP-3303 Not allowed to call there"),
        ("112", "112 by carrier (emergency)"),
        ("911", "911 by carrier (emergency)"),
        ("9112", "112 by carrier (emergency)"),
        ("9911", "911 by carrier (emergency)"),
        ("9123", "nowhere: VP-3205 Invalid number"),
        ("4711", "nowhere: VP-3001 Unknown number"),
        ("**1999", "nowhere: VP-3001 Unknown number"),
        ("", "nowhere: VP-3001 Unknown number"),
    ],
)
def test_the_numbers_of_the_example(number: str, where: str) -> None:
    assert to(number) == where


@pytest.mark.parametrize(
    ("number", "at", "where"),
    [
        ("+12025550100", THURSDAY, "menu 500"),
        ("12025550100", THURSDAY, "menu 500"),
        ("+12025550101", SUNDAY, "extension 1001"),
        ("+12025550102", THURSDAY, "menu 500"),
        ("+12025550102", SUNDAY, "mailbox of 1001"),
        ("+12025550103", THURSDAY, "nowhere: VP-3001 Unknown number"),
        ("1001", THURSDAY, "nowhere: VP-3001 Unknown number"),
        ("92025550123", THURSDAY, "nowhere: VP-3001 Unknown number"),
        ("911", THURSDAY, "nowhere: VP-3001 Unknown number"),
        ("*43", THURSDAY, "nowhere: VP-3001 Unknown number"),
    ],
)
def test_a_trunk_reaches_dids_alone(number: str, at: float, where: str) -> None:
    assert to(number, FromTrunk("carrier", "+13055550100"), at=at) == where


@pytest.mark.parametrize("number", ["500", "*43", "92025550123", "911", "1999"])
def test_a_menu_lets_strangers_dial_extensions_only(number: str) -> None:
    assert isinstance(ask(number, FromMenu("500")).target, NoRoute)
    assert to("1002", FromMenu("500")) == "extension 1002"


@pytest.mark.parametrize(
    ("tenant", "number", "host"),
    [
        (OFFICE, "1004", "shop.test"),
        ("shop.test", "1004", "shop.test"),
        ("shop.test", "500", "shop.test"),
        ("shop.test", "92025550123", "shop.test"),
        (OFFICE, "1001", "elsewhere.test"),
        ("", "1001", OFFICE),
        ("gone.test", "1001", "gone.test"),
    ],
)
def test_another_tenant_is_as_unknown_as_any(tenant: str, number: str, host: str) -> None:
    found = route(DIRECTORY, tenant, number, THURSDAY, FromExtension("1001"), host=host)
    assert found.target == NoRoute(reasons.UNKNOWN_NUMBER)
    assert not any(OFFICE in step.why or "pass" in step.why for step in found.steps)


def test_do_not_disturb_goes_to_the_mailbox_or_is_busy() -> None:
    state = TenantState(OFFICE)
    state.set("1002", "dnd", "on")
    state.set("1006", "dnd", "on")
    assert to("1002", state=state) == "mailbox of 1002"
    assert to("1006", state=state) == "nowhere: VP-3301 Do not disturb"


def test_forwards_are_followed_and_a_circle_of_them_ends() -> None:
    state = TenantState(OFFICE)
    for here, there in (("1001", "1002"), ("1002", "1003"), ("1003", "1004")):
        state.set(here, "forward.always", there)
    assert to("1001", FromExtension("1005"), state=state) == "extension 1004"
    state.set("1004", "forward.always", "1001")
    found = ask("1001", FromExtension("1005"), state=state)
    assert found.target == NoRoute(reasons.CALL_LOOP)
    assert sum(step.rule == "forward always" for step in found.steps) == MAX_HOPS + 1


def test_a_forward_of_the_configuration_can_be_switched_off_by_hand() -> None:
    extension = DIRECTORY.tenant("strict.test").extensions["1002"]
    state = TenantState("strict.test")
    assert on_cause(DIRECTORY, "strict.test", extension, "busy", THURSDAY, 0, state) is None
    state.set("1002", "forward.busy", "1003")
    found = on_cause(DIRECTORY, "strict.test", extension, "busy", THURSDAY, 0, state)
    assert found is not None and describe(found.target) == "extension 1003"


def test_what_an_extension_may_not_call_it_may_not_forward_to() -> None:
    extension = DIRECTORY.tenant("strict.test").extensions["1001"]
    found = on_cause(DIRECTORY, "strict.test", extension, "busy", THURSDAY, 0, TenantState("strict.test"))
    assert found is not None and found.target == NoRoute(reasons.CLASS_OF_SERVICE)


@pytest.mark.parametrize(
    ("caller", "number", "where"),
    [
        ("1001", "92025550123", "+12025550123 by c"),
        ("1001", "9011442071234567", "nowhere: VP-3303 Not allowed to call there"),
        ("1002", "9011442071234567", "+442071234567 by c"),
        ("1001", "919005550100", "nowhere: VP-3303 Not allowed to call there"),
        ("1002", "919005550100", "+19005550100 by c"),
        ("1003", "92025550123", "nowhere: VP-3303 Not allowed to call there"),
    ],
)
def test_classes_of_service(caller: str, number: str, where: str) -> None:
    assert to(number, FromExtension(caller), tenant="strict.test") == where


RAW = """
[[tenant]]
domain = "raw.test"
country_code = "+49"
[tenant.limits]
premium = ["+49900."]
[tenant.extensions]
1001 = "secret-1"
[[tenant.trunk]]
name = "c"
host = "192.0.2.1"
[[tenant.route]]
name = "any"
pattern = "9X."
strip = 1
raw = true
trunks = ["c"]
"""


@pytest.mark.parametrize(
    ("number", "country", "where"),
    [
        ("9030123456", "+49", "030123456 by c"),
        ("9116117", "+49", "116117 by c"),
        ("90044207123456", "+49", "nowhere: VP-3303 Not allowed to call there"),
        ("90049301234567", "+49", "0049301234567 by c"),
        ("90900123456", "+49", "nowhere: VP-3303 Not allowed to call there"),
        ("9030123456", "", "030123456 by c"),
        ("90044207123456", "", "nowhere: VP-3303 Not allowed to call there"),
    ],
)
def test_a_number_that_is_sent_as_dialled_goes_no_further_than_one_in_e164(
    number: str, country: str, where: str
) -> None:
    text = RAW.replace('country_code = "+49"', f'country_code = "{country}"')
    found = route(
        Directory(config.parse(text, environ={}).tenants), "raw.test", number, THURSDAY, FromExtension("1001")
    )
    assert describe(found.target) == where


def test_the_narrower_pattern_wins_though_it_is_written_later() -> None:
    target = ask("92025550123", tenant="strict.test").target
    assert isinstance(target, ToTrunks) and target.caller_id == "+12025550199"


@pytest.mark.parametrize(
    ("caller", "where"),
    [
        ("+13055550100", "extension 1001"),
        ("3055550100", "extension 1001"),
        ("+12125550100", "extension 1002"),
        ("+12025559123", "nowhere: VP-3304 Caller blocked"),
        ("+12025550105", "nowhere: VP-3304 Caller blocked"),
        ("", "nowhere: VP-3305 Anonymous calls are refused"),
    ],
)
def test_callers_from_outside_are_screened(caller: str, where: str) -> None:
    assert to("+12025550100", FromTrunk("c", caller), tenant="strict.test") == where


def test_one_who_shows_a_number_of_ours_is_marked() -> None:
    assert ask("+12025550101", FromTrunk("carrier", "+12025550102")).marked
    assert not ask("+12025550101", FromTrunk("carrier", "+13055550100")).marked


def test_hours_are_turned_over_by_hand_until_their_time_is_over() -> None:
    live = LiveState()
    state = live.tenant(OFFICE)
    (times,) = DIRECTORY.tenant(OFFICE).plan.times
    state.set("times/office", "override", f"open until {SUNDAY + 60!r}")
    assert to("+12025550102", FromTrunk("carrier", "+1"), at=SUNDAY, state=state) == "menu 500"
    assert to("+12025550102", FromTrunk("carrier", "+1"), at=SUNDAY + 61, state=state) == "mailbox of 1001"
    state.turn(times, SUNDAY, is_open=False)
    assert to("+12025550102", FromTrunk("carrier", "+1"), state=state) == "mailbox of 1001"
    state.turn_back(times)
    assert to("+12025550102", FromTrunk("carrier", "+1"), state=state) == "menu 500"


def test_a_target_of_the_plan_may_not_use_what_only_extensions_may() -> None:
    assert isinstance(ask("*72", OnBehalf()).target, NoRoute)


def test_a_rule_that_can_never_win_is_a_warning() -> None:
    more = EXTRA + '[[tenant.route]]\nname = "twin"\npattern = "9202555XXXX"\ntrunks = ["c"]\n'
    more += '[[tenant.route]]\nname = "phone"\npattern = "1001"\ntrunks = ["c"]\n'
    (tenant,) = config.parse(more, environ={}).tenants
    assert list(warnings_of(tenant)) == [
        "strict.test: route 'twin' is never reached, route 'local' takes all its numbers",
        HELPLESS,
        "strict.test: route 'phone' is never reached, 1001 is a number of the tenant",
    ]
    assert [text for each in DIRECTORY.tenants.values() for text in warnings_of(each)] == [HELPLESS]
