"""Voicemail: a message is left when nobody takes the call, and its owner hears, keeps, passes on and deletes it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from media.wav import read_wav_file
from tests.sim.plan_office import DOMAIN, EXAMPLE
from tests.sim.voicemail_office import VoicemailOffice
from voipat import PromptSet
from voipat.speech.prompt_set import Said


def test_who_does_not_answer_gets_a_message_and_the_owner_hears_it(tmp_path: Path, seed: int) -> None:
    with VoicemailOffice(tmp_path, seed=seed) as office:
        office.leave("1002", 3.0)
        (message,) = office.messages("1002")
        assert (message.caller, message.folder, message.state) == ("1005", "new", "kept")
        assert 2.5 < message.seconds < 4.5
        assert office.boxes.counts(DOMAIN, "1002") == (1, 0)
        caller = next(phone for phone in office.world.phones if phone.name.startswith("1005"))
        owner = office.phone(1002)
        owner.dial("*97").presses("2468#", after=0.5).presses("1", after=1.0).hears(caller.tone, within=4.0).waits(
            8.0
        ).hangs_up()
        office.run()
        assert office.boxes.counts(DOMAIN, "1002") == (0, 1)


def test_the_default_greeting_takes_at_most_five_seconds() -> None:
    for first in ("vm/greeting", "vm/busy"):
        paths = PromptSet().say([first, "vm/leave"])
        assert sum(len(read_wav_file(path).samples) for path in paths) / 8000 <= 5.0


def test_a_busy_phone_and_one_that_refuses_lead_to_the_mailbox_and_others_have_none(tmp_path: Path) -> None:
    with VoicemailOffice(tmp_path) as office:
        office.phone(1003).refuses(486)
        office.leave("1003", 2.0)
        assert len(office.messages("1003")) == 1
        office.phone(1007).refuses(486)
        office.phone(1008).dial("1007")
        office.run()
        assert office.ends[-1][1] == 486


def test_less_than_a_second_is_no_message_and_leaves_no_file(tmp_path: Path) -> None:
    with VoicemailOffice(tmp_path) as office:
        office.phone(1005).dial("1002").presses("#", after=0.5).waits(0.8).hangs_up()
        office.run()
        assert (office.messages("1002"), office.files, office.rows.tenant(DOMAIN).rows) == ([], [], {})


def test_silence_is_no_message_however_long_it_is(tmp_path: Path) -> None:
    with VoicemailOffice(tmp_path) as office:
        silent = office.phone(1005)
        silent.tone = 0
        silent.dial("1002").presses("#", after=0.5).waits(6.0).presses("#").waits(3.0).hangs_up()
        office.run()
        assert (office.messages("1002"), office.files, office.rows.tenant(DOMAIN).rows) == ([], [], {})


def test_a_copy_that_a_crash_cut_short_is_not_there_after_the_restart(tmp_path: Path) -> None:
    with VoicemailOffice(tmp_path) as office:
        office.leave("1002", 2.0)
        (message,) = office.messages("1002")
        half = message._replace(id="ab" * 12, mailbox="1003", state="copying")
        office.rows.tenant(DOMAIN).save_message(half)
        office.boxes._copy(DOMAIN, message.id, half.id)
    with VoicemailOffice(tmp_path, rows=office.rows) as again:
        assert again.messages("1003") == [] and len(again.files) == 1
        assert again.messages("1002") == [message]


def test_wrong_pins_are_not_forgiven_by_a_restart(tmp_path: Path) -> None:
    with VoicemailOffice(tmp_path) as office:
        pins = office.boxes.pins
        assert not any(pins.check(DOMAIN, "1002", "2468", "1111") for _ in range(4))
        kept = list(office.state.tenant(DOMAIN).entries())
    with VoicemailOffice(tmp_path) as again:
        again.state.restore(DOMAIN, kept)
        pins = again.boxes.pins
        assert not pins.check(DOMAIN, "1002", "2468", "1111") and pins.is_locked(DOMAIN, "1002")
        assert not pins.check(DOMAIN, "1002", "2468", "2468")
        again.world.run(until=again.world.now + 301)
        assert pins.check(DOMAIN, "1002", "2468", "2468")
        assert list(again.state.tenant(DOMAIN).entries()) == []


@pytest.mark.parametrize("tenths", range(1, 120, 4))
def test_a_hang_up_at_any_moment_leaves_nothing_behind(tenths: int, tmp_path: Path) -> None:
    with VoicemailOffice(tmp_path) as office:
        office.phone(1005).dial("1002").presses("#", after=2.5).hangs_up(after=tenths / 10)
        office.run()
        assert all(row.state == "kept" for row in office.rows.tenant(DOMAIN).rows.values())
        assert len(office.files) == len(office.messages("1002"))
        if tenths > 60:
            assert len(office.messages("1002")) == 1


@pytest.mark.parametrize(
    "keys", ["1", "13", "147", "141003#", "17", "15", "212345#", "22", "23", "313579#13579#", "9*"]
)
@pytest.mark.parametrize("seconds", [0.1, 1.7, 4.3])
def test_an_owner_may_hang_up_anywhere(keys: str, seconds: float, tmp_path: Path) -> None:
    with VoicemailOffice(tmp_path) as office:
        office.leave("1002", 2.0)
        office.phone(1002).dial("*97").presses("2468#", after=0.5).presses(keys, after=0.5).waits(seconds).hangs_up()
        office.run()
        assert len(office.files) == len(office.rows.tenant(DOMAIN).rows)


def test_a_deleted_message_is_gone_with_its_key(tmp_path: Path) -> None:
    with VoicemailOffice(tmp_path) as office:
        office.leave("1002", 2.0)
        office.phone(1002).dial("*97").presses("2468#", after=0.5).presses("13", after=0.5).waits(3.0).hangs_up()
        office.run()
        assert (office.messages("1002"), office.files) == ([], [])
        assert {path.stem for path in (tmp_path / "voicemail-keys" / f"t-{DOMAIN}").iterdir()} == {"tenant"}


def test_a_message_is_forwarded_as_a_copy_of_its_own(tmp_path: Path) -> None:
    with VoicemailOffice(tmp_path) as office:
        office.leave("1002", 2.0)
        office.phone(1002).dial("*97").presses("2468#", after=0.5).presses("14", after=0.5).presses(
            "1003", after=1.0
        ).waits(6.0).presses("3", after=1.0).waits(3.0).hangs_up()
        office.run()
        (copy,) = office.messages("1003")
        assert (copy.caller, copy.folder) == ("1005", "new")
        assert office.messages("1002") == [] and len(office.files) == 1


def test_calling_back_rings_who_left_the_message(tmp_path: Path) -> None:
    with VoicemailOffice(tmp_path) as office:
        office.leave("1002", 2.0, caller=1006)
        office.phone(1006).answers(after=0.5)
        office.phone(1002).dial("*97").presses("2468#", after=0.5).presses("15", after=0.5).waits(10.0).hangs_up()
        office.run()
        assert office.rung[-1] == "1006"


def test_who_hears_his_messages_from_outside_calls_back_where_his_extension_may(tmp_path: Path) -> None:
    """H20: led to his mailbox by a forward of his own, he is no extension that calls."""
    text = EXAMPLE.replace('mailbox = { pin = "2468" }', 'mailbox = { pin = "2468" }, class_of_service = "inside"')
    text = text.replace("[[tenant.times]]", '[[tenant.class]]\nname = "inside"\noutside = false\n[[tenant.times]]', 1)
    with VoicemailOffice(tmp_path, text=text) as office:
        office.leave("1001", 2.0)
        (message,) = office.messages("1001")
        office.rows.tenant(DOMAIN).save_message(message._replace(caller="92025550199"))
        office.boxes.recover([DOMAIN])
        office.state.tenant(DOMAIN).set("1001", "forward.always", "*97")
        call = office.calls_in("+12025550101").presses("2468#", after=0.5).presses("15", after=0.5).waits(10.0)
        call.hangs_up()
        office.run()
        assert call.was_answered and office.boxes.counts(DOMAIN, "1001") == (0, 1)
        assert "+12025550199" not in office.rung


def test_the_wrong_pin_again_and_again_locks_the_mailbox_for_a_while(tmp_path: Path) -> None:
    with VoicemailOffice(tmp_path) as office:
        phone = office.phone(1002)
        for _ in range(2):
            phone.dial("*97").presses("1111#", after=0.5).presses("1111#", after=2.5).presses("1111#", after=2.5)
            office.run()
        assert office.boxes.pins.is_locked(DOMAIN, "1002")
        assert office.ends[-1][2] == "VP-3312"
        assert not office.boxes.pins.check(DOMAIN, "1002", "2468", "2468")
        office.world.run(until=office.world.now + 301)
        assert office.boxes.pins.check(DOMAIN, "1002", "2468", "2468")


def test_98_asks_which_mailbox(tmp_path: Path) -> None:
    with VoicemailOffice(tmp_path) as office:
        office.leave("1002", 2.0)
        office.phone(1006).dial("*98").presses("1002", after=0.5).presses("2468#", after=1.0).presses(
            "1", after=0.5
        ).waits(4.0).hangs_up()
        office.run()
        assert office.boxes.counts(DOMAIN, "1002") == (0, 1)


def test_98_does_not_tell_which_mailboxes_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither by another language nor by the lock."""
    said: dict[str, list[tuple[str, Said]]] = {}
    number = ""
    text = EXAMPLE.replace('mailbox = { pin = "2468" }', 'mailbox = { pin = "2468", language = "de" }')

    def say(prompts: PromptSet, items: Sequence[Said]) -> list[str]:
        said.setdefault(number, []).extend((prompts.language, item) for item in items)
        return as_usual(prompts, items)

    as_usual = PromptSet.say
    monkeypatch.setattr(PromptSet, "say", say)
    with VoicemailOffice(tmp_path, text=text) as office:
        phone = office.phone(1006)
        for number in ("1002", "4711"):
            for _ in range(3):
                phone.dial("*98").presses(number, after=0.5).presses("1111#", after=1.5).presses(
                    "1111#", after=3.0
                ).presses("1111#", after=3.0).waits(6.0)
                office.run()
            assert office.ends[-1][2] == "VP-3312"
        assert office.boxes.pins.is_locked(DOMAIN, "1002")
        assert said["1002"] == said["4711"] and len(said["1002"]) == 24
        number = "in"
        office.world.run(until=office.world.now + 301)
        phone.dial("*98").presses("1002", after=0.5).presses("2468#", after=1.5).waits(3.0).hangs_up()
        office.run()
        assert ("de", "vm/main") in said["in"]


def test_another_pin_is_kept_sealed_and_in_force(tmp_path: Path) -> None:
    with VoicemailOffice(tmp_path) as office:
        office.phone(1002).dial("*97").presses("2468#", after=0.5).presses("3", after=0.5).presses(
            "13579#", after=0.5
        ).presses("13579#", after=0.5).waits(3.0).hangs_up()
        office.run()
        assert office.boxes.pins.check(DOMAIN, "1002", "2468", "13579")
        assert not office.boxes.pins.check(DOMAIN, "1002", "2468", "2468")
        assert "13579" not in str(list(office.state.tenant(DOMAIN).entries()))


def test_an_own_greeting_is_recorded_heard_and_removed(tmp_path: Path) -> None:
    with VoicemailOffice(tmp_path) as office:
        owner = office.phone(1002)
        owner.dial("*97").presses("2468#", after=0.5).presses("2", after=0.5).presses("2", after=0.5).waits(
            7.0
        ).presses("#").waits(3.0).hangs_up()
        office.run()
        assert office.boxes.greeting(DOMAIN, "1002") is not None
        owner.dial("*97").presses("2468#", after=0.5).presses("23", after=0.5).waits(3.0).hangs_up()
        office.run()
        assert office.boxes.greeting(DOMAIN, "1002") is None and office.files == []


def test_a_full_mailbox_takes_no_message(tmp_path: Path) -> None:
    text = EXAMPLE.replace('mailbox = { pin = "2468" }', 'mailbox = { pin = "2468", max_messages = 1 }')
    with VoicemailOffice(tmp_path, text=text) as office:
        office.leave("1002", 2.0)
        refused = office.phone(1006).dial("1002")
        office.run()
        assert refused.was_answered and len(office.messages("1002")) == 1


@pytest.mark.parametrize("apart", [0.0, 0.1, 1.0, 3.0])
def test_of_several_callers_at_once_the_last_place_is_ones(tmp_path: Path, apart: float) -> None:
    text = EXAMPLE.replace('mailbox = { pin = "2468" }', 'mailbox = { pin = "2468", max_messages = 2 }')
    with VoicemailOffice(tmp_path, text=text) as office:
        office.leave("1002", 2.0)
        for place, number in enumerate((1005, 1006, 1007)):
            office.phone(number).dial("1002", after=1.0 + apart * place - 0.2 * place).waits(12.0).hangs_up()
        office.run()
        assert len(office.messages("1002")) == 2
        assert [disposition for disposition, _, _ in office.ends[-3:]] == ["answered"] * 3


def test_a_message_that_a_crash_cut_short_is_there_after_the_restart(tmp_path: Path) -> None:
    with VoicemailOffice(tmp_path) as office:
        rows = office.rows
        office.phone(1005).dial("1002").presses("#", after=0.5).waits(30.0).hangs_up()
        office.world.run(until=office.world.now + 6.0)
        (row,) = rows.tenant(DOMAIN).rows.values()
        assert row.state == "recording"
        copy, kept = tmp_path / "crashed", dict(rows.tenant(DOMAIN).rows)
        shutil.copytree(tmp_path, copy, ignore=lambda *_: ["crashed"])
        office.run()
    rows.tenant(DOMAIN).rows = kept
    with VoicemailOffice(copy, rows=rows) as office:
        (message,) = office.messages("1002")
        assert message.state == "kept" and message.seconds > 2.5


def test_nothing_is_left_of_a_tenant_that_is_gone(tmp_path: Path) -> None:
    with VoicemailOffice(tmp_path) as office:
        office.leave("1002", 2.0)
        assert len(office.files) == 1
        loop = office.world.loop
        assert loop.run_until_complete(office.boxes.destroy_tenant(DOMAIN))
        assert not loop.run_until_complete(office.boxes.destroy_tenant(DOMAIN)), "nothing was left"
        assert office.messages("1002") == [] and office.files == [] and office.rows.tenant(DOMAIN).rows == {}


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_greeting_that_is_a_link_is_not_heard_and_the_call_goes_on(tmp_path: Path, what: str, seed: int) -> None:
    with VoicemailOffice(tmp_path / "data", seed=seed) as office:
        owner = office.phone(1002)
        owner.dial("*97").presses("2468#", after=0.5).presses("2", after=0.5).presses("2", after=0.5).waits(
            7.0
        ).presses("#").waits(3.0).hangs_up()
        office.run()
        (greeting,) = office.files
        place = greeting if what == "file" else greeting.parent
        place.rename(tmp_path / "elsewhere")
        place.symlink_to(tmp_path / "elsewhere")
        before = sorted((tmp_path / "elsewhere").rglob("*"))
        owner.refuses(486)
        if what == "file":
            office.leave("1002", 3.0)
        else:
            office.phone(1005).dial("1002")
            office.run()
        assert office.ends[-1] == ("answered", 200, "VP-4001")
        assert len(office.messages("1002")) == (1 if what == "file" else 0)
        assert sorted((tmp_path / "elsewhere").rglob("*")) == before
    with VoicemailOffice(tmp_path / "data", rows=office.rows, seed=seed) as restarted:
        assert restarted.boxes.greeting(DOMAIN, "1002") is not None
        assert sorted((tmp_path / "elsewhere").rglob("*")) == before
