"""Hot desks of the example: 1007 is a shared phone, 1003 logs in there with *11, and is reached there."""

from __future__ import annotations

from pathlib import Path

import pytest

from pbx import config
from pbx.audit import Audit
from pbx.directory import Directory
from pbx.errors import ConfigError
from pbx.services_shown import desk_rows, log_out
from pbx.tenant_state import LiveState
from tests.sim.plan_office import DOMAIN, EXAMPLE, PlanOffice
from tests.sim.recording_office import RecordingOffice
from voipat import events
from voipat.testing import Phone, PhoneCall

TWO_DESKS = EXAMPLE.replace('1008 = "pass-1008"', '1008 = { password = "pass-1008", desk = true }')


def later(office: PlanOffice, seconds: float) -> None:
    office.world.run(until=office.world.now + seconds)


class Office(PlanOffice):
    """Ends when the last transaction has."""

    def __exit__(self, *exception: object) -> None:
        if exception[0] is None:
            later(self, 40.0)
        super().__exit__(*exception)


def log_in(office: PlanOffice, desk: Phone, number: str = "1003", pin: str = "1357") -> PhoneCall:
    call = desk.dial(f"*11{number}").presses(pin + "#", after=1.0).waits(3.0).hangs_up()
    later(office, 8.0)
    return call


def logins(office: PlanOffice) -> list[tuple[str, str]]:
    return [(seat.phone, seat.person) for seat in office.board.desk.hot_desks.seats()]


def callers(office: PlanOffice) -> list[str]:
    return [event.caller for event in office.told if isinstance(event, events.CallStarted) and event.leg == "a"]


def test_the_number_of_the_person_rings_at_the_desk_and_nowhere_else(seed: int) -> None:
    with Office(seed=seed) as office:
        desk, own, friend = office.phone(1007).answers(), office.phone(1003).answers(), office.phone(1009)
        log_in(office, desk)
        assert logins(office) == [("1007", "1003")]
        friend.dial("1003").waits(2.0).hangs_up()
        later(office, 10.0)
        assert (len(desk.received), len(own.received), office.rung) == (1, 0, ["1003"])
        assert desk.dial("*12").waits(4.0).hangs_up() is not None
        later(office, 10.0)
        friend.dial("1003").waits(2.0).hangs_up()
        later(office, 10.0)
        assert (len(desk.received), len(own.received), logins(office)) == (1, 1, [])


def test_the_desk_calls_out_as_the_person_with_the_persons_rights(seed: int) -> None:
    text = EXAMPLE.replace('desk_pin = "1357" }', 'desk_pin = "1357", name = "Rosa", caller_id = "+12025550103" }')
    text = text.replace("desk = true }", 'desk = true, class_of_service = "nowhere" }')
    text = text.replace('caller_id = "+12025550100"', 'caller_id = "+12025550100"\ndids = ["+12025550103"]')
    text = text.replace(
        "[[tenant.times]]", '[[tenant.class]]\nname = "nowhere"\noutside = false\n\n[[tenant.times]]', 1
    )
    with Office(text, seed=seed) as office:
        desk, friend = office.phone(1007), office.phone(1009).answers()
        assert desk.dial("92025550123").waits(1.0).hangs_up() is not None
        later(office, 2.0)
        assert office.ends[-1] == ("failed", 403, "VP-3303"), "the desk alone calls nobody outside"
        log_in(office, desk)
        office.carrier.answers()
        out = desk.dial("92025550123").waits(2.0).hangs_up()
        desk.dial("1009").waits(2.0).hangs_up()
        later(office, 6.0)
        assert out.was_answered
        (outside,) = office.carrier.received
        assert outside.request is not None and "+12025550103" in str(outside.request.from_)
        (inside,) = friend.received
        assert inside.request is not None and str(inside.request.from_).startswith('"Rosa" <sip:1003@')
        assert callers(office) == ["1007", "1007", "1003", "1003"], "as the CDR has it"


def test_a_second_login_moves_the_person_and_a_newer_one_takes_the_desk(seed: int) -> None:
    text = TWO_DESKS.replace('1009 = "pass-1009"', '1009 = { password = "pass-1009", desk_pin = "8642" }')
    with Office(text, seed=seed) as office:
        first, second = office.phone(1007), office.phone(1008)
        log_in(office, first)
        first.notified.clear()
        log_in(office, second)
        assert logins(office) == [("1008", "1003")]
        # The desk that was left shows nothing of the person any more, and is nobody's but its own.
        (summary,) = [each for each in first.notified if each.headers.get("Event") == "message-summary"]
        assert b"Messages-Waiting: no" in summary.body
        first.answers()
        second.answers()
        friend = office.phone(1009).answers()
        friend.dial("1003").waits(2.0).hangs_up()
        later(office, 6.0)
        assert (len(first.received), len(second.received)) == (0, 1)
        first.dial("1009").waits(2.0).hangs_up()
        later(office, 6.0)
        (call,) = friend.received
        assert call.request is not None and "sip:1007@" in str(call.request.from_)
        assert callers(office)[-1] == "1007"
        log_in(office, second, "1009", "8642")
        assert logins(office) == [("1008", "1009")]


def test_within_two_seconds_of_the_last_key_the_desk_rings(seed: int) -> None:
    with Office(seed=seed) as office:
        desk, own, friend = office.phone(1007), office.phone(1003).answers(), office.phone(1009)
        at_desk = desk.dial("*111003").presses("1357", after=1.0)
        later(office, 4.0)
        assert logins(office) == []
        at_desk.presses("#").hangs_up(after=1.0)
        call = friend.dial("1003", after=1.5)
        later(office, 2.0)
        assert call.status == 180 and len(desk.received) == 1 and own.received == []
        call.hang_up()
        later(office, 5.0)


def test_a_login_outlives_the_daemon_and_ends_at_the_time_of_day(seed: int) -> None:
    state = LiveState()
    with Office(seed=seed, state=state) as office:
        log_in(office, office.phone(1007))
    with Office(seed=seed, state=state) as office:
        desk, friend = office.phone(1007).answers(), office.phone(1009)
        friend.dial("1003").waits(2.0).hangs_up()
        later(office, 5.0)
        assert len(desk.received) == 1
        # 20:00 in Berlin comes within a day of any moment.
        later(office, 86_400.0)
        assert logins(office) == [] and [*state.tenant(DOMAIN).entries()] == []


def test_a_reload_logs_out_who_has_lost_the_desk_or_the_pin(seed: int) -> None:
    with Office(seed=seed) as office:
        log_in(office, office.phone(1007))
        office.board.desk.hot_desks.settle()
        assert logins(office) == [("1007", "1003")]
        without = config.parse(EXAMPLE.replace(', desk_pin = "1357"', ""), environ={})
        office.directory.swap(Directory(without.tenants, default_tenant=DOMAIN))
        office.board.desk.hot_desks.settle()
        assert logins(office) == []


def test_wrong_pins_are_few_and_audited(seed: int, tmp_path: Path) -> None:
    with RecordingOffice(tmp_path, seed=seed) as office:
        office.board.desk.audit = Audit(office.store, wallclock=lambda: 0.0, random_bytes=_counting())
        desk = office.phone(1007)
        three = desk.dial("*111003").presses("1111#2222#3333#", after=1.0)
        later(office, 30.0)
        assert three.is_over, "three wrong ones end the call"
        desk.dial("*111003").presses("4444#5555#", after=1.0)
        later(office, 30.0)
        locked = desk.dial("*111003")
        later(office, 5.0)
        assert locked.is_over and logins(office) == [], "nobody is asked"
        # Nobody learns which extensions there are: a stranger's number is asked for a PIN too.
        later(office, 301.0)
        assert log_in(office, desk, "4711").was_answered and logins(office) == []
        log_in(office, desk)
        assert logins(office) == [("1007", "1003")]
        rows = [(row[0], row[1], row[3]) for row in office.audited()]
        assert rows[:5] == [("1003", "desk-logged-in", False)] * 5 and rows[-1] == ("1003", "desk-logged-in", True)
        later(office, 40.0)


def test_only_a_desk_is_logged_in_at_and_only_its_own_tenant_knows(seed: int) -> None:
    with Office(seed=seed) as office:
        refused = [office.phone(1009).dial("*111003"), office.phone(1009).dial("*12"), office.phone(1007).dial("*12")]
        foreign = office.phone(1001, "shop.test").dial("*111003")
        later(office, 2.0)
        found = [(call.status, call.warning_ids) for call in refused]
        assert found == [(403, ["VP-3330"]), (403, ["VP-3330"]), (480, ["VP-3331"])]
        assert foreign.status == 404


def test_presence_and_messages_follow_the_person(seed: int) -> None:
    with Office(seed=seed) as office:
        desk, watcher = office.phone(1007), office.phone(1009)
        watcher.subscribe("presence", "1003")
        watcher.subscribe("dialog", "1003")
        later(office, 2.0)
        desk.notified.clear()
        log_in(office, desk)
        told = [each.body for each in watcher.notified if each.headers.get("Event") == "presence"]
        assert b"<basic>closed</basic>" in told[0] and b"<basic>open</basic>" in told[-1]
        # The phone is told of the mailbox of who sits there, though it never asked.
        assert [each.headers.get("Event") for each in desk.notified] == ["message-summary"]
        desk.dial("*43").waits(2.0).hangs_up()
        later(office, 4.0)
        assert any(b"confirmed" in each.body for each in watcher.notified), "the lamp of 1003 shows the desk's call"
        desk.dial("*12").waits(4.0).hangs_up()
        later(office, 8.0)
        told = [each.body for each in watcher.notified if each.headers.get("Event") == "presence"]
        assert b"<basic>closed</basic>" in told[-1]
        assert b"Messages-Waiting: no" in desk.notified[-1].body
        later(office, 3700.0)


def test_the_operator_sees_the_logins_and_ends_one(seed: int) -> None:
    with Office(seed=seed) as office:
        log_in(office, office.phone(1007))
        (row,) = desk_rows(office.board.desk, DOMAIN)
        assert (row["desk"], row["person"]) == ("1007", "1003")
        assert log_out(office.board.desk, "shop.test/1007") is None
        assert log_out(office.board.desk, f"{DOMAIN}/1007") == {**row, "logged_out": True}
        assert [*desk_rows(office.board.desk, None)] == [] and log_out(office.board.desk, f"{DOMAIN}/1007") is None


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ('desk = true, desk_pin = "1357"', "a desk is no person"),
        ('desk_pin = "13"', "4 to 16 digits"),
        ('desk = true }\n1012 = { password = "pass-1012", desk = "yes"', "true or false"),
    ],
)
def test_the_configuration_is_checked(key: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        config.parse(EXAMPLE.replace('"pass-1007", desk = true', f'"pass-1007", {key}'), environ={})


def _counting():  # type: ignore[no-untyped-def]
    numbers = iter(range(1, 1000))
    return lambda count: next(numbers).to_bytes(count, "big")
