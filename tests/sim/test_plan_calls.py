"""Calls through the example's plan: menus, groups, forwards, feature codes, the trunk, emergency, limits."""

from __future__ import annotations

import random

import pytest

from pbx.decisions import FromExtension, describe
from pbx.routing import route
from pbx.trace import entry_rows
from tests.sim.plan_office import DOMAIN, EXAMPLE, PlanOffice
from voipat import events


def limited(text: str) -> str:
    """The example with `[tenant.limits]` in its first tenant."""
    return EXAMPLE.replace("[tenant.features]", f"[tenant.limits]\n{text}\n[tenant.features]", 1)


def test_a_menu_key_leads_on(seed: int) -> None:
    with PlanOffice(seed=seed) as office:
        caller, bob = office.phone(1005), office.phone(1002)
        bob.answers(after=1.0)
        call = caller.dial("500").hears(440).presses("2", after=1.0).waits(6.0).hangs_up()
        office.run()
        assert call.was_answered and office.rung == ["1002"]
        assert office.ends == [("answered", 200, "VP-4001")]


def test_a_menu_dials_extensions_directly_and_nothing_else(seed: int) -> None:
    with PlanOffice(seed=seed) as office:
        caller, ten = office.phone(1005), office.phone(1010)
        ten.answers(after=1.0)
        caller.dial("500").hears(440).presses("1010", after=1.0).waits(6.0).hangs_up()
        office.run()
        assert office.rung == ["1010"]
        # 9 leads to the echo, and what is dialled behind it goes nowhere: 911 is not dialled.
        caller.dial("500").hears(440).presses("911", after=1.0).waits(6.0).hangs_up()
        office.run()
        assert office.rung == ["1010"]


def test_a_digit_that_can_begin_an_extension_waits_two_seconds_for_the_next(seed: int) -> None:
    with PlanOffice(seed=seed) as office:
        caller, one = office.phone(1005), office.phone(1001)
        one.answers(after=1.0)
        call = caller.dial("500").hears(440).presses("1", after=1.0).waits(8.0).hangs_up()
        office.run()
        started = [each.started for each in office.told if isinstance(each, events.CallStarted) and each.leg == "b"]
        answered = next(each.answered for each in office.told if isinstance(each, events.CallAnswered))
        assert call.was_answered and office.rung == ["1001"]
        assert 3.0 < started[0] - answered < 4.5


def test_wrong_three_times_goes_to_otherwise(seed: int) -> None:
    with PlanOffice(seed=seed) as office:
        caller, one = office.phone(1005), office.phone(1001)
        one.answers(after=1.0)
        caller.dial("500").hears(440).presses("7", after=1.0).presses("7", after=3.0).presses("7", after=3.0).waits(
            8.0
        ).hangs_up()
        office.run()
        assert office.rung == ["1001"]


def test_who_presses_nothing_goes_to_otherwise_too(seed: int) -> None:
    with PlanOffice(seed=seed) as office:
        caller, one = office.phone(1005), office.phone(1001)
        one.answers(after=1.0)
        caller.dial("500").waits(30.0).hangs_up()
        office.run()
        assert office.rung == ["1001"]


def test_a_group_rings_together_and_losers_hear_completed_elsewhere(seed: int) -> None:
    with PlanOffice(seed=seed) as office:
        caller, one, two, three = (office.phone(number) for number in (1005, 1001, 1002, 1003))
        one.rings()
        two.answers(after=2.0)
        three.rings()
        caller.dial("600").hangs_up(after=3.0)
        office.run()
        assert sorted(office.rung) == ["1001", "1002", "1003"]
        assert office.ends == [("answered", 200, "VP-4001")]
        for loser in (one, three):
            (missed,) = loser.received
            assert missed.warning_ids == ["VP-4002"]
            assert 'SIP;cause=200;text="Call completed elsewhere"' in " ".join(missed.reasons)


@pytest.mark.parametrize("status", [486, 600, 603])
def test_a_member_who_declines_speaks_for_himself_alone(seed: int, status: int) -> None:
    """A 6xx ends the search for one user (RFC 3261 §16.7): the phones of colleagues ring on."""
    with PlanOffice(seed=seed) as office:
        one, two = office.phone(1001).refuses(status, after=1.0), office.phone(1002).answers(after=4.0)
        call = office.phone(1005).dial("600").hangs_up(after=6.0)
        office.run()
        assert call.was_answered and len(one.received) == len(two.received) == 1
        assert two.received[0].was_answered


@pytest.mark.parametrize("confirm", [False, True])
def test_who_did_not_get_the_call_is_not_counted_while_it_lasts(seed: int, confirm: bool) -> None:
    text = EXAMPLE.replace("ring_s = 20", f"ring_s = 20\nconfirm = {str(confirm).lower()}", 1)
    with PlanOffice(text, seed=seed) as office:
        caller, one, two, three = (office.phone(number) for number in (1005, 1001, 1002, 1003))
        one.rings()
        two.on_call(lambda call: call.presses("1", after=1.0))
        two.answers(after=2.0)
        three.rings()
        caller.dial("600").hangs_up(after=10.0)
        admission = office.board.admission
        office.world.run(until=office.world.now + 1.0)
        assert [admission.calls_of(DOMAIN, number) for number in ("1001", "1002", "1003")] == [1, 1, 1]
        office.world.run(until=office.world.now + 6.0)
        assert [admission.calls_of(DOMAIN, number) for number in ("1001", "1002", "1003")] == [0, 1, 0]
        office.run()
        assert admission.calls_of(DOMAIN, "1002") == 0


def test_whose_call_was_picked_up_is_free_again(seed: int) -> None:
    with PlanOffice(seed=seed) as office:
        caller, two, three = (office.phone(number) for number in (1005, 1002, 1003))
        two.rings()
        caller.dial("1002").hangs_up(after=6.0)
        three.dial("**1002", after=1.0)
        office.world.run(until=office.world.now + 4.0)
        admission = office.board.admission
        assert [admission.calls_of(DOMAIN, number) for number in ("1002", "1003", "1005")] == [0, 1, 1]
        office.run()


def test_an_empty_group_goes_on_at_once(seed: int) -> None:
    with PlanOffice(seed=seed) as office:
        call = office.phone(1005).dial("600")
        before = office.world.now
        office.run()
        assert office.world.now - before < 60 and call.status == 501
        assert office.ends == [("failed", 501, "VP-3308")]


STRATEGY = EXAMPLE.replace(
    'members = ["1001", "1002", "1003"]\nring_s = 20', 'members = ["1001", "1002", "1003"]\nring_s = 5'
)


@pytest.mark.parametrize(
    ("strategy", "first", "second"),
    [
        ("sequence", ["1001", "1002", "1003"], ["1001", "1002", "1003"]),
        ("memory", ["1001", "1001", "1002", "1001", "1002", "1003"], ["1001", "1001", "1002", "1001", "1002", "1003"]),
        ("rollover", ["1001", "1002", "1003"], ["1001", "1002", "1003"]),
    ],
)
def test_strategies_ring_in_their_order(seed: int, strategy: str, first: list[str], second: list[str]) -> None:
    text = STRATEGY.replace("ring_s = 5", f'ring_s = 5\nstrategy = "{strategy}"')
    with PlanOffice(text, seed=seed) as office:
        caller = office.phone(1005)
        for number in (1001, 1002, 1003):
            office.phone(number).rings()
        caller.dial("600")
        office.run()
        assert office.rung == first
        caller.dial("600")
        office.run()
        assert office.rung == first + second


def test_rollover_begins_after_the_one_who_was_rung_last(seed: int) -> None:
    text = STRATEGY.replace("ring_s = 5", 'ring_s = 5\nstrategy = "rollover"')
    with PlanOffice(text, seed=seed) as office:
        caller = office.phone(1005)
        for number in (1001, 1002, 1003):
            office.phone(number).answers(after=1.0)
        for _ in range(4):
            caller.dial("600").hangs_up(after=2.0)
            office.run()
        assert office.rung == ["1001", "1002", "1003", "1001"]


def test_random_is_by_chance_of_the_seed(seed: int) -> None:
    text = STRATEGY.replace("ring_s = 5", 'ring_s = 5\nstrategy = "random"')
    with PlanOffice(text, seed=seed) as office:
        caller = office.phone(1005)
        for number in (1001, 1002, 1003):
            office.phone(number).rings()
        caller.dial("600")
        office.run()
        assert sorted(office.rung) == ["1001", "1002", "1003"]


def test_who_does_not_press_one_does_not_get_the_call(seed: int) -> None:
    """The voicemail of a mobile answers and says its text: it never swallows the call."""
    text = EXAMPLE.replace('members = ["1001", "1002", "1003"]', 'members = ["1001", "92025550123"]\nconfirm = true')
    with PlanOffice(text, seed=seed) as office:
        caller, one = office.phone(1005), office.phone(1001)
        office.carrier.answers(after=1.0)
        one.on_call(lambda call: call.presses("1", after=8.0)).answers(after=2.0)
        call = caller.dial("600").waits(25.0).hangs_up()
        office.run()
        assert sorted(office.rung) == ["+12025550123", "1001"]
        assert call.was_answered


def test_a_forward_by_code_is_followed_and_taken_back(seed: int) -> None:
    with PlanOffice(seed=seed) as office:
        six, seven, eight = (office.phone(number) for number in (1006, 1007, 1008))
        seven.answers(after=1.0)
        eight.answers(after=1.0)
        six.dial("*721007").hears(660).waits(2.0)
        office.run()
        assert office.state.tenant(DOMAIN).get("1006", "forward.always") == "1007"
        eight.dial("1006").hangs_up(after=3.0)
        office.run()
        assert office.rung == ["1007"]
        six.answers(after=1.0)
        six.dial("*73").waits(2.0)
        office.run()
        eight.dial("1006").hangs_up(after=3.0)
        office.run()
        assert office.rung == ["1007", "1006"]


def test_do_not_disturb_is_busy_to_callers(seed: int) -> None:
    with PlanOffice(seed=seed) as office:
        six, seven = office.phone(1006), office.phone(1007)
        six.answers(after=1.0)
        six.dial("*78").waits(2.0)
        office.run()
        call = seven.dial("1006")
        office.run()
        assert (call.status, call.warning_ids) == (486, ["VP-3301"])
        six.dial("*79").waits(2.0)
        office.run()
        assert seven.dial("1006").hangs_up(after=3.0) is not None
        office.run()
        assert office.ends[-1] == ("answered", 200, "VP-4001")


@pytest.mark.parametrize("code", ["*78", "*721007"])
def test_a_forward_to_a_code_sets_nothing_for_who_calls(seed: int, code: str) -> None:
    with PlanOffice(seed=seed) as office:
        office.state.tenant(DOMAIN).set("1006", "forward.always", code)
        call = office.phone(1005).dial("1006")
        office.run()
        assert (call.was_answered, call.status) == (False, 404)
        assert list(office.state.tenant(DOMAIN).entries()) == [("1006", "forward.always", code)]


@pytest.mark.parametrize(("cause", "manner"), [("busy", "refuses"), ("no_answer", "rings"), ("unreachable", "")])
def test_forwards_by_cause(seed: int, cause: str, manner: str) -> None:
    with PlanOffice(seed=seed) as office:
        office.state.tenant(DOMAIN).set("1006", f"forward.{cause}", "1007")
        caller, seven = office.phone(1008), office.phone(1007)
        seven.answers(after=1.0)
        if manner:
            getattr(office.phone(1006), manner)()
        call = caller.dial("1006").hangs_up(after=3.0)
        office.run()
        assert call.was_answered and office.rung[-1] == "1007"


def test_a_forward_to_another_country_is_refused(seed: int) -> None:
    with PlanOffice(seed=seed) as office:
        six = office.phone(1006)
        call = six.dial("*729011442071234567").waits(3.0)
        office.run()
        assert office.state.tenant(DOMAIN).get("1006", "forward.always") is None
        assert call.was_answered and office.ends[-1][2] == "VP-3303"


def test_nine_and_a_number_go_out_as_e164(seed: int) -> None:
    with PlanOffice(seed=seed) as office:
        office.carrier.answers(after=1.0)
        call = office.phone(1005).dial("92025550123").hangs_up(after=3.0)
        office.run()
        assert call.was_answered and office.rung == ["+12025550123"]


@pytest.mark.parametrize("number", ["112", "911", "9112", "9911"])
def test_emergency_calls_pass_every_limit(seed: int, number: str) -> None:
    text = limited("max_calls = 1\ncalls_per_second = 1\noutside_calls = 1\noutside_calls_per_day = 1")
    with PlanOffice(text, seed=seed) as office:
        office.carrier.answers(after=1.0)
        caller, other = office.phone(1005), office.phone(1006)
        caller.dial("92025550123").hangs_up(after=20.0)
        refused = other.dial("92025550123", after=2.0)
        help_ = other.dial(number, after=4.0).hangs_up(after=3.0)
        office.run()
        assert refused.status == 503 and help_.was_answered
        assert office.rung == ["+12025550123", number[-3:]]


def test_thirty_outside_calls_with_a_cap_of_five_give_five(seed: int) -> None:
    with PlanOffice(limited("outside_calls = 5"), seed=seed) as office:
        office.carrier.answers(after=1.0)
        caller = office.phone(1005)
        calls = [caller.dial("92025550123", after=0.1 * index).hangs_up(after=20.0) for index in range(30)]
        office.run()
        assert sum(call.was_answered for call in calls) == 5
        assert {call.status for call in calls if not call.was_answered} == {403}
        assert {call.warning_ids[-1] for call in calls if not call.was_answered} == {"VP-3306"}


def test_a_days_allowance_survives_a_restart(seed: int) -> None:
    text = limited("outside_calls_per_day = 2")
    with PlanOffice(text, seed=seed) as office:
        office.carrier.answers(after=1.0)
        caller = office.phone(1005)
        for _ in range(2):
            caller.dial("92025550123").hangs_up(after=2.0)
            office.run()
    with PlanOffice(text, seed=seed, state=office.state) as office:
        call = office.phone(1005).dial("92025550123")
        office.run()
        assert (call.status, call.warning_ids[-1]) == (403, "VP-3306")


def test_a_call_that_finds_no_place_uses_up_nothing_of_the_day(seed: int) -> None:
    with PlanOffice(limited("outside_calls = 1\noutside_calls_per_day = 3"), seed=seed) as office:
        office.carrier.answers(after=0.5)
        caller = office.phone(1005)
        first = caller.dial("92025550123").hangs_up(after=10.0)
        refused = [caller.dial("92025550123", after=2.0 + 0.2 * index) for index in range(5)]
        office.run()
        assert first.was_answered and not any(call.was_answered for call in refused)
        for _ in range(2):
            again = caller.dial("92025550123").hangs_up(after=1.0)
            office.run()
            assert again.was_answered


def test_a_tenant_that_begins_too_many_calls_costs_the_other_nothing(seed: int) -> None:
    with PlanOffice(limited("calls_per_second = 5"), seed=seed) as office:
        noisy, quiet = office.phone(1005), office.phone(1001, "shop.test")
        office.phone(1002, "shop.test").answers(after=0.5)
        flood = [noisy.dial("*43", after=0.02 * index).hangs_up(after=1.0) for index in range(50)]
        fair = [quiet.dial("1002", after=0.3 * index).hangs_up(after=0.2) for index in range(3)]
        office.run()
        assert 5 <= sum(call.was_answered for call in flood) <= 12
        assert {call.status for call in flood if not call.was_answered} == {503}
        assert all(call.was_answered for call in fair)


@pytest.mark.parametrize(("did", "rung"), [("+12025550101", "1001")])
def test_a_call_by_the_trunk_reaches_its_did(seed: int, did: str, rung: str) -> None:
    with PlanOffice(seed=seed) as office:
        office.phone(1001).answers(after=1.0)
        call = office.calls_in(did).hangs_up(after=3.0)
        office.run()
        assert call.was_answered and office.rung == [rung]


@pytest.mark.parametrize("number", ["1001", "92025550123", "911", "+12025550199", "*43", "500"])
def test_a_trunk_reaches_nothing_but_dids(seed: int, number: str) -> None:
    with PlanOffice(seed=seed) as office:
        office.phone(1001).answers(after=1.0)
        call = office.calls_in(number)
        office.run()
        assert (call.status, office.rung) == (404, [])


@pytest.mark.parametrize("number", ["*97", "*98"])
def test_a_service_that_is_not_there_is_said_and_not_silence(seed: int, number: str) -> None:
    with PlanOffice(seed=seed) as office:
        call = office.phone(1005).dial(number)
        office.run()
        assert call.status == 501 and call.warning_ids == ["VP-3308"]


def test_the_other_tenant_sees_nothing(seed: int) -> None:
    with PlanOffice(seed=seed) as office:
        office.phone(1004).answers(after=1.0)
        shop = office.phone(1001, "shop.test")
        numbers = ["1004", "500", "600", "610", "700", "*43", "92025550123", "911", "sip:1004@office.test"]
        calls = [shop.dial(number) for number in numbers]
        office.run()
        assert ({call.status for call in calls}, office.rung) == ({404}, [])


def test_what_the_dry_run_says_is_what_a_call_does(seed: int) -> None:
    """Ten thousand questions; of each kind of answer some are dialled, and do what was said."""
    chance = random.Random(seed)
    with PlanOffice(seed=seed) as office:
        office.carrier.answers(after=0.2)
        callers = [office.phone(number) for number in range(1005, 1011)]
        for number in (1001, 1002, 1003, 1004):
            office.phone(number).refuses()
        known = ["1001", "1006", "112", "9112", "*43", "500", "600", "610", "92025550123", "9011442071234567", "1999"]
        heads = ["", "9", "91", "9011", "*", "**", "*72", "10", "+1", "8", "+"]
        dialled: dict[str, int] = {}
        asked: list[tuple[str, str]] = []
        for _ in range(10_000):
            tail = "".join(chance.choice("0123456789") for _ in range(chance.randrange(12)))
            number = chance.choice(known) if chance.random() < 0.2 else chance.choice(heads) + tail
            state = office.state.tenant(DOMAIN)
            said = route(
                office.directory.current, DOMAIN, number, office.world.wallclock(), FromExtension("1005"),
                host=DOMAIN, state=state,
            )  # fmt: skip
            kind = type(said.target).__name__
            if number and dialled.get(kind, 0) < 25 and kind != "ToFeature":
                dialled[kind] = dialled.get(kind, 0) + 1
                asked.append((number, describe(said.target)))
        for number, said_so in asked:
            callers[0].dial(number.replace("#", "%23")).waits(3.0).hangs_up()
            call_id = len(office.told)
            office.run()
            starts = [
                each for each in office.told[call_id:] if isinstance(each, events.CallStarted) and each.leg == "a"
            ]
            trace = office.app.recorder.find(starts[0].id)
            assert trace is not None
            rows = [str(row) for row in entry_rows(trace, office.app.recorder, messages=False)]
            done = [row for row in rows if "goes to" in row]
            assert done and said_so in done[0], (number, said_so, rows)


@pytest.mark.rfc("3261", "19.1.6")
@pytest.mark.parametrize(
    ("dialled", "reached"),
    [
        ("tel:1002;phone-context=office.test", "1002"),
        ("tel:10-02;phone-context=+1-202", "1002"),
        ("sip:1002;phone-context=office.test@office.test;user=phone", "1002"),
        ("tel:9-202-555-0123;phone-context=office.test", "+12025550123"),
        ("tel:112;phone-context=+49", "112"),
    ],
)
def test_a_telephone_number_in_a_uri_is_dialled_as_on_a_keypad(seed: int, dialled: str, reached: str) -> None:
    with PlanOffice(seed=seed) as office:
        caller, bob = office.phone(1001), office.phone(1002)
        bob.answers(after=1.0)
        office.carrier.answers(after=1.0)
        call = caller.dial(dialled).hangs_up(after=2.0)
        office.run()
        assert call.was_answered
        assert office.rung == [reached]


def test_a_trunk_may_name_our_number_and_its_callers_by_tel_uris(seed: int) -> None:
    with PlanOffice(seed=seed) as office:
        alice = office.phone(1001)
        alice.answers(after=1.0)
        call = office.carrier.dial("tel:+1-202-555-0101").hangs_up(after=2.0)
        office.run()
        assert call.was_answered and office.rung == ["1001"]


def test_a_call_is_transferred_to_a_tel_uri(seed: int) -> None:
    with PlanOffice(seed=seed) as office:
        caller, bob, carol = office.phone(1001), office.phone(1002), office.phone(1003)
        bob.answers(after=1.0)
        carol.answers(after=1.0, hangs_up_after=2.0)
        caller.dial("1002").transfers("tel:1003;phone-context=office.test", after=1.0)
        office.run()
        assert office.rung == ["1002", "1003"]


def test_a_clock_that_is_set_back_does_not_close_the_way_out(seed: int) -> None:
    with PlanOffice(limited("outside_calls_per_minute = 2\ncalls_per_second = 5"), seed=seed) as office:
        office.carrier.answers(after=0.1)
        caller = office.phone(1005)

        def tries(count: int) -> list[int]:
            calls = [caller.dial("92025550123", after=0.5 * index).hangs_up(after=0.2) for index in range(count)]
            office.run()
            return [call.status for call in calls]

        assert tries(4) == [200, 200, 403, 403]
        office.world.set_clock(-3600.0)
        assert tries(4) == [200, 200, 403, 403], "an hour's waiting is not owed, and the rate holds"


def test_a_prompt_that_nobody_has_is_a_tone_and_no_silence(seed: int) -> None:
    nowhere = '[[tenant.announcement]]\nnumber = "830"\nprompt = "nowhere"\n\n[tenant.features]'
    with PlanOffice(EXAMPLE.replace("[tenant.features]", nowhere, 1), seed=seed) as office:
        call = office.phone(1005).dial("830").hears(440)
        office.run()
        assert call.was_answered and [end[0] for end in office.ends] == ["answered"]
