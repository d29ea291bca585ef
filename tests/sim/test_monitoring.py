"""Listen, whisper and barge by the example's code: who hears whom, told by the tones of the phones."""

from __future__ import annotations

from pathlib import Path

import pytest

from pbx.audit import Audit
from tests.sim.plan_office import EXAMPLE
from tests.sim.recording_office import WALLCLOCK, RecordingOffice
from voipat.testing import PhoneCall

RIGHTS = EXAMPLE.replace('1006 = "pass-1006"', '1006 = { password = "pass-1006", monitored = true }').replace(
    '1009 = "pass-1009"', '1009 = { password = "pass-1009", monitor = "barge" }'
).replace('1008 = "pass-1008"', '1008 = { password = "pass-1008", monitor = "listen" }')  # fmt: skip


class Office(RecordingOffice):
    """With an audit, and a conversation of 1007 with 1006."""

    def __init__(self, folder: Path, seed: int, text: str = RIGHTS) -> None:
        super().__init__(folder, text, seed=seed)

    def __enter__(self) -> Office:
        super().__enter__()
        self.board.desk.audit = Audit(self.store, wallclock=lambda: WALLCLOCK, random_bytes=self.world_bytes)
        six = self.phone(1006).answers(after=0.1)
        self.caller = self.phone(1007).dial("1006")
        self.later(1.0)
        self.agent = six.received[0]
        return self

    def world_bytes(self, count: int) -> bytes:
        self.count = getattr(self, "count", 0) + 1
        return self.count.to_bytes(count, "big")

    def later(self, seconds: float) -> None:
        self.world.run(until=self.world.now + seconds)

    def heard(self, supervisor: PhoneCall) -> str:
        """Who hears whom now, as "AC": the agent hears the caller."""
        self.later(1.0)
        since = self.world.now - 0.5
        people = {"A": self.agent, "C": self.caller, "S": supervisor}
        found = [
            one + other
            for one, ear in people.items()
            for other, mouth in people.items()
            if one != other and ear.heard.among(mouth.phone.tone, since=since)
        ]
        return " ".join(found)


def test_who_hears_whom(seed: int, tmp_path: Path) -> None:
    with Office(tmp_path, seed) as office:
        supervisor = office.phone(1009).dial("*901006")
        office.later(1.0)
        assert supervisor.was_answered
        assert office.heard(supervisor) == "AC CA SA SC", "listens: nobody hears the supervisor"
        supervisor.presses("5")
        assert office.heard(supervisor) == "AC AS CA SA SC", "whispers: the agent hears, the caller does not"
        supervisor.presses("6")
        assert office.heard(supervisor) == "AC AS CA CS SA SC", "barges: all hear all"
        supervisor.presses("4")
        assert office.heard(supervisor) == "AC CA SA SC"
        supervisor.hang_up()
        office.later(0.5)
        assert office.heard(supervisor) == "AC CA", "the conversation goes on as it was"
        office.caller.hang_up()
        office.run()
        actions = ["call-listened", "call-whispered", "call-barged", "call-listened"]
        assert office.audited() == [("1009", action, "1006", True) for action in actions]


def test_two_who_monitor_share_the_conversation(seed: int, tmp_path: Path) -> None:
    with Office(tmp_path, seed) as office:
        first, second = office.phone(1009).dial("*901006"), office.phone(1008).dial("*901006")
        office.later(1.0)
        first.presses("5")
        assert office.heard(first) == "AC AS CA SA SC"
        assert office.heard(second) == "AC CA SA SC", "what is whispered is for the agent"
        first.presses("6")
        office.later(1.0)
        assert office.heard(first) == "AC AS CA CS SA SC"
        assert second.heard.among(first.phone.tone, since=office.world.now - 0.5), "what all hear is heard by all"
        first.hang_up()
        office.later(0.5)
        assert office.heard(second) == "AC CA SA SC", "the other one goes on listening"
        second.hang_up()
        office.later(0.5)
        assert office.heard(second) == "AC CA"
        office.caller.hang_up()
        office.run()


def test_the_end_of_the_conversation_ends_it(seed: int, tmp_path: Path) -> None:
    with Office(tmp_path, seed) as office:
        supervisor = office.phone(1009).dial("*901006")
        office.later(1.0)
        office.caller.hang_up()
        office.later(1.0)
        assert supervisor.is_over
        office.run()


@pytest.mark.parametrize(("announcement", "is_told"), [("tone", True), ("none", False)])
def test_both_are_told_before_as_the_tenant_says(seed: int, tmp_path: Path, announcement: str, is_told: bool) -> None:
    table = f'[tenant.monitoring]\nannouncement = "{announcement}"'
    text = RIGHTS.replace("[tenant.holidays]", f"{table}\n\n[tenant.holidays]")
    with Office(tmp_path, seed, text) as office:
        office.phone(1009).dial("*901006")
        office.later(0.25)
        since = office.world.now - 0.15
        told = [each.heard.hears(1400, since=since) for each in (office.agent, office.caller)]
        assert told == [is_told] * 2
        office.caller.hang_up()
        office.run()


def test_without_the_right_it_is_403_and_a_row_of_the_audit(seed: int, tmp_path: Path) -> None:
    with Office(tmp_path, seed) as office:
        listener = office.phone(1008).dial("*901006")
        office.later(1.0)
        listener.presses("6")
        assert office.heard(listener) == "AC CA SA SC", "may listen, not barge"
        stranger = office.phone(1005).dial("*901006")
        of_other = office.phone(1009).dial("*901007")
        foreign = office.phone(1001, "shop.test").dial("*901006")
        office.later(1.0)
        assert [(call.status, call.warning_ids) for call in (stranger, of_other)] == [(403, ["VP-3328"])] * 2
        assert foreign.status == 404
        office.caller.hang_up()
        office.run()
        idle = office.phone(1009).dial("*901006")
        office.run()
        assert (idle.status, idle.warning_ids) == (480, ["VP-3329"])
        assert office.audited() == [
            ("1008", "call-listened", "1006", True),
            ("1008", "call-barged", "1006", False),
            ("1005", "call-listened", "1006", False),
            ("1009", "call-listened", "1007", False),
            ("1009", "call-listened", "1006", True),
        ]


@pytest.mark.parametrize("who", ["caller", "agent", "supervisor"])
@pytest.mark.parametrize("at_ms", range(0, 1000, 100))
def test_a_hang_up_at_any_moment_leaves_nothing(seed: int, tmp_path: Path, who: str, at_ms: int) -> None:
    with Office(tmp_path, seed) as office:
        supervisor = office.phone(1009).dial("*901006")

        def barge() -> None:
            if supervisor.was_answered and not supervisor.is_over:
                supervisor.presses("6")

        office.world.at(office.world.now + 0.35, barge)
        calls = {"caller": office.caller, "agent": office.agent, "supervisor": supervisor}
        office.later(at_ms / 1000)
        one = calls[who]
        one.hang_up() if one.was_answered else one.give_up()
        office.later(2.0)
        for call in calls.values():
            if not call.is_over:
                call.hang_up()
        office.run()
        assert all(call.is_over for call in calls.values())


def test_from_the_command_line_the_phone_of_the_supervisor_rings_first(seed: int, tmp_path: Path) -> None:
    with Office(tmp_path, seed) as office:
        nine = office.phone(1009).answers(after=0.5)
        six = office.app.call("1009", "*901006", tenant="office.test")
        office.later(2.5)
        (supervisor,) = nine.received
        assert office.heard(supervisor) == "AC CA SA SC"
        supervisor.hang_up()
        office.caller.hang_up()
        office.run()
        assert six is not None and ("1009", "call-listened", "1006", True) in office.audited()
