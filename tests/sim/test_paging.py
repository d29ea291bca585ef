"""Paging and intercom by the example's plan: who hears whom, who is left out, who may."""

from __future__ import annotations

import pytest

from tests.sim.plan_office import EXAMPLE, PlanOffice
from voipat.auto_answer import auto_answer_headers
from voipat.testing import PhoneCall

TWO_WAY = EXAMPLE.replace('callers = ["1001", "1003", "1009"]', "two_way = true")


def later(office: PlanOffice, seconds: float) -> None:
    office.world.run(until=office.world.now + seconds)


def hears(office: PlanOffice, one: PhoneCall, other: PhoneCall) -> bool:
    return one.heard.among(other.phone.tone, since=office.world.now - 0.5)


@pytest.mark.parametrize("is_two_way", [False, True])
def test_who_is_paged_hears_who_pages(seed: int, is_two_way: bool) -> None:
    with PlanOffice(TWO_WAY if is_two_way else EXAMPLE, seed=seed) as office:
        two, three, nine = (office.phone(number) for number in (1002, 1003, 1009))
        for phone in (two, three):
            phone.answers(after=0.05)
        call = nine.dial("820")
        later(office, 2.0)
        members = [two.received[0], three.received[0]]
        assert all(hears(office, member, call) for member in members)
        assert [hears(office, call, member) for member in members] == [is_two_way] * 2
        assert hears(office, members[0], members[1]) == is_two_way
        invite = members[0].request.headers
        assert invite.get("Call-Info") == "<sip:office.test>;answer-after=0"
        assert invite.get("Alert-Info") == "<sip:office.test>;info=alert-autoanswer"
        assert invite.get("Answer-Mode") == "Auto"
        call.hang_up()
        office.run()
        assert all(member.is_over for member in members)


def test_phones_that_are_busy_undisturbed_or_do_not_answer_are_left_out(seed: int) -> None:
    with PlanOffice(seed=seed) as office:
        one, two, three, four, nine = (office.phone(number) for number in (1001, 1002, 1003, 1004, 1009))
        one.answers(after=0.5)
        talk = office.phone(1006).dial("1001")
        later(office, 2.0)
        office.state.tenant("office.test").set("1002", "dnd", "on")
        three.rings()
        four.answers(after=0.0)
        call = nine.dial("820")
        later(office, 8.0)
        assert (len(one.received), len(two.received), len(three.received)) == (1, 0, 1)
        assert three.received[0].is_over and hears(office, four.received[0], call)
        assert hears(office, one.received[0], talk), "who talks is not disturbed"
        four.received[0].hang_up()
        later(office, 1.0)
        assert call.is_over, "nobody listens any more"
        talk.hang_up()
        office.run()


def test_a_page_that_nobody_hears_says_so(seed: int) -> None:
    with PlanOffice(seed=seed) as office:
        call = office.phone(1009).dial("820")
        later(office, 1.0)
        assert call.heard.hears(480, since=office.world.now - 0.3)
        office.run()
        assert call.warning_ids == ["VP-3326"]


def test_only_who_is_named_may_page_and_nobody_from_outside(seed: int) -> None:
    text = TWO_WAY.replace('9 = "*43"', '9 = "820"')
    with PlanOffice(seed=seed) as office:
        refused = office.phone(1006).dial("820")
        office.run()
        assert (refused.status, refused.warning_ids) == (403, ["VP-3325"])
    with PlanOffice(text, seed=seed) as office:
        two = office.phone(1002).answers(after=0.0)
        call = office.calls_in("+12025550100")
        call.presses("9", after=1.0).waits(3.0)
        office.run()
        assert call.is_over and two.received == []


def test_a_hundred_phones_hear_within_half_a_second(seed: int) -> None:
    numbers = [str(number) for number in range(2001, 2101)]
    text = EXAMPLE.replace('1006 = "pass-1006"', '1006 = "pass-1006"\n2001-2100 = "pass-{number}"').replace(
        'members = ["1001", "1002", "1003", "1004"]\ncallers', f"members = {numbers}\ncallers"
    )
    with PlanOffice(text, seed=seed) as office:
        phones = [office.world.phone(f"sip:{number}@office.test", password=f"pass-{number}") for number in numbers]
        for phone in phones:
            phone.register(refresh=False)
            phone.answers(after=0.05)
        nine = office.phone(1009)
        later(office, 1.0)
        call = nine.dial("820")
        later(office, 0.5)
        assert all(phone.received[0].was_answered for phone in phones)
        later(office, 0.3)
        assert all(hears(office, phone.received[0], call) for phone in phones)
        call.hang_up()
        office.run()


def test_intercom_talks_both_ways_with_who_takes_it(seed: int) -> None:
    with PlanOffice(seed=seed) as office:
        two = office.phone(1002).answers(after=0.0)
        three = office.phone(1003).answers(after=0.0)
        call = office.phone(1006).dial("*801002")
        later(office, 1.5)
        (heard,) = two.received
        assert hears(office, call, heard) and hears(office, heard, call)
        assert heard.request.headers.get("Answer-Mode") == "Auto"
        busy = office.phone(1007).dial("*801002")
        refused = office.phone(1008).dial("*801003")
        later(office, 1.0)
        assert (busy.status, refused.status, refused.warning_ids) == (486, 403, ["VP-3327"])
        assert three.received == []
        call.hang_up()
        office.run()


@pytest.mark.parametrize(
    ("user_agent", "alert"),
    [
        ("Yealink SIP-T46S 66.86.0.15", "<sip:a.test>;info=alert-autoanswer"),
        ("snomD785/10.1.73.16", "<sip:a.test>;info=alert-autoanswer;delay=0"),
        ("Cisco/SPA504G-7.6.2", None),
        ("", "<sip:a.test>;info=alert-autoanswer"),
    ],
)
def test_each_brand_is_asked_in_its_own_words(user_agent: str, alert: str | None) -> None:
    headers = dict(auto_answer_headers("a.test", user_agent))
    assert (headers["Call-Info"], headers.get("Alert-Info")) == ("<sip:a.test>;answer-after=0", alert)
