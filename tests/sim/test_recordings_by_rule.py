"""Recording by rule and on demand (B31, P-8): who, from when, what is in it, and who may hear it."""

from __future__ import annotations

import io
import wave
from pathlib import Path

import numpy as np
import pytest

from media.wav import read_wav_file
from pbx.cdr import CdrWriter
from pbx.persistence import CdrListener
from pbx.recording_housekeeping import sweep_recordings
from pbx.recordings import Listener, RefusedError
from tests.sim.plan_office import DOMAIN, EXAMPLE
from tests.sim.recording_office import RecordingOffice, share
from voipat import CodecMissingError, PromptSet, events
from voipat.media_leg import MediaLeg
from voipat.testing import PhoneCall

NOTICE_S = 3.0
CONSENT = EXAMPLE.replace('announcement = "record-notice"', "consent = true", 1)


def rule(text: str) -> str:
    return EXAMPLE.replace(
        '[[tenant.recording]]\nname = "1005"\nextensions = ["1005"]', f"[[tenant.recording]]\n{text}"
    )


def talk(office: RecordingOffice, caller: int, callee: int, *, seconds: float = 6.0) -> tuple[PhoneCall, PhoneCall]:
    one, other = office.phone(caller), office.phone(callee)
    other.answers(after=0.5)
    call = one.dial(str(callee))
    office.world.run(until=office.world.now + 1.0 + seconds)
    return call, other.received[-1]


def channels(office: RecordingOffice, at: float, seconds: float = 0.4) -> tuple[np.ndarray, np.ndarray, int]:
    """What the recorded side said and was told, from `at` seconds on."""
    said, told, rate = office.tapes.channels(office.rows()[-1])
    piece = slice(int(at * rate), int((at + seconds) * rate))
    return said[piece], told[piece], rate


@pytest.mark.parametrize(("caller", "callee"), [(1005, 1006), (1006, 1005)])
def test_calls_of_1005_are_recorded_after_an_announcement(seed: int, tmp_path: Path, caller: int, callee: int) -> None:
    with RecordingOffice(tmp_path, seed=seed) as office:
        call, other = talk(office, caller, callee, seconds=0.3)
        for each in (call, other):
            assert each.heard.packets > 10
            stranger = (other if each is call else call).phone.tone
            assert not each.heard.hears(stranger, since=office.world.now - 0.3)
        assert office.rows() == [], "not before the announcement has ended"
        office.world.run(until=office.world.now + NOTICE_S)
        assert call.heard.hears(other.phone.tone, since=office.world.now - 0.3), "they hear each other again"
        (row,) = office.rows()
        assert (row.owner, row.rule, row.caller, row.callee) == ("1005", "1005", str(caller), str(callee))
        assert row.state == "recording"
        office.world.run(until=office.world.now + 2.0)
        call.hang_up()
        office.run()
        (row,) = office.rows()
        assert row.state == "kept" and 1.5 < row.seconds < 5.0
        own, foreign = (call, other) if caller == 1005 else (other, call)
        said, told, rate = channels(office, row.seconds - 1.0)
        assert share(said, own.phone, rate) > 0.9 and share(told, foreign.phone, rate) > 0.9
    paths = [each.path for each in office.told if isinstance(each, events.RecordingStarted)]
    assert paths == [row.id], "the id is what CDRs and events say"


def test_the_announcement_takes_at_most_three_seconds() -> None:
    (path,) = PromptSet().say(["record-notice"])
    notice = read_wav_file(path)
    assert 0.5 < len(notice.samples) / notice.rate <= NOTICE_S


def test_nobody_else_is_recorded(seed: int, tmp_path: Path) -> None:
    with RecordingOffice(tmp_path, seed=seed) as office:
        call, _ = talk(office, 1006, 1007)
        call.hang_up()
        office.run()
        assert office.rows() == [] and not list((tmp_path / "recordings").rglob("*"))


def test_without_consent_nothing_is_recorded(seed: int, tmp_path: Path) -> None:
    with RecordingOffice(tmp_path, CONSENT, seed=seed) as office:
        call, other = talk(office, 1005, 1006, seconds=14.0)
        assert office.rows() == []
        assert call.heard.hears(other.phone.tone, since=office.world.now - 0.3)
        call.hang_up()
        office.run()
        assert office.rows() == []


def test_with_consent_it_is(seed: int, tmp_path: Path) -> None:
    with RecordingOffice(tmp_path, CONSENT, seed=seed) as office:
        call, other = talk(office, 1005, 1006, seconds=2.0)
        other.presses("1")
        office.world.run(until=office.world.now + 2.0)
        assert len(office.rows()) == 1
        call.hang_up()
        office.run()
        assert office.rows()[0].state == "kept"


@pytest.mark.parametrize("side", ["caller", "callee"])
def test_on_demand_on_and_off(seed: int, tmp_path: Path, side: str) -> None:
    with RecordingOffice(tmp_path, seed=seed) as office:
        pair = talk(office, 1001, 1006) if side == "caller" else talk(office, 1006, 1001)
        one, other = pair if side == "caller" else pair[::-1]
        other.presses("*1")
        office.world.run(until=office.world.now + 3.0)
        assert office.rows() == [], "1006 may not"
        for count in (1, 2):
            one.presses("*1")
            office.world.run(until=office.world.now + 5.0)
            one.presses("*1")
            office.world.run(until=office.world.now + 4.0)
            assert [row.state for row in office.rows()] == ["kept"] * count
            assert one.heard.hears(other.phone.tone, since=office.world.now - 0.3)
        one.hang_up()
        office.run()
        assert {row.rule for row in office.rows()} == {"on demand"}
        assert other.heard.digits == ""


def test_a_rules_recording_is_paused_and_resumed(seed: int, tmp_path: Path) -> None:
    """The time line stays: what was paused is silence."""
    with RecordingOffice(tmp_path, seed=seed) as office:
        call, _ = talk(office, 1005, 1006, seconds=5.0)
        call.presses("*1")
        office.world.run(until=office.world.now + 4.0)
        call.presses("*1")
        office.world.run(until=office.world.now + 4.0)
        call.hang_up()
        office.run()
        (row,) = office.rows()
        with office.reader(row) as reader:
            notes = [(note.what, note.at) for note in reader.notes]
            data = np.abs(np.frombuffer(b"".join(reader.read()), np.int16).reshape(-1, 2)).max(axis=1)
        assert [what for what, _ in notes] == ["paused", "resumed"]
        rate = len(data) / row.seconds
        (_, begin), (_, end) = notes
        assert end - begin > 3.0 and data[int((begin + 0.6) * rate) : int((end - 0.6) * rate)].max() == 0
        assert row.seconds > end + 1.0


def test_a_trunk_rule_records_by_direction(seed: int, tmp_path: Path) -> None:
    text = rule('name = "in"\ntrunks = ["carrier"]\ndirection = "inbound"')
    with RecordingOffice(tmp_path, text, seed=seed) as office:
        one = office.phone(1001)
        one.answers(after=0.5)
        call = office.calls_in("+12025550101")
        office.world.run(until=office.world.now + 7.0)
        call.hang_up()
        office.run()
        (row,) = office.rows()
        assert (row.rule, row.owner, row.state) == ("in", "", "kept")
        office.carrier.answers(after=0.5)
        out = one.dial("92025550123")
        office.world.run(until=office.world.now + 6.0)
        out.hang_up()
        office.run()
        assert len(office.rows()) == 1


def test_a_queue_rule_records_the_agent(seed: int, tmp_path: Path) -> None:
    text = rule('name = "hotline"\nqueues = ["610"]')
    with RecordingOffice(tmp_path, text, seed=seed) as office:
        agent, caller = office.phone(1004), office.phone(1006)
        agent.answers(after=0.5)
        call = caller.dial("610")
        office.world.run(until=office.world.now + 12.0)
        call.hang_up()
        office.run()
        (row,) = office.rows()
        assert (row.rule, row.owner) == ("hotline", "1004")


def test_who_may_hear_is_decided_in_one_place_and_written_down(seed: int, tmp_path: Path) -> None:
    with RecordingOffice(tmp_path, seed=seed) as office:
        call, _ = talk(office, 1005, 1006)
        call.hang_up()
        office.run()
        (row,) = office.rows()
        hear = office.recordings.hear
        sound = b"".join(hear(DOMAIN, row.id, Listener()))
        with wave.open(io.BytesIO(sound)) as file:
            assert file.getnframes() / file.getframerate() == pytest.approx(row.seconds, abs=0.05)
        assert b"".join(hear(DOMAIN, row.id, Listener(DOMAIN, "1005"))) == sound
        for tenant, listener in (
            (DOMAIN, Listener(DOMAIN, "1006")),
            (DOMAIN, Listener("shop.test", "1005")),
            (DOMAIN, Listener("shop.test")),
            ("shop.test", Listener("shop.test", "1005")),
            ("shop.test", Listener()),
        ):
            with pytest.raises(RefusedError):
                list(hear(tenant, row.id, listener))
            with pytest.raises(RefusedError):
                office.recordings.delete(tenant, row.id, listener)
        assert len(office.rows()) == 1
        heard = [each for each in office.audited() if each[1] == "recording-heard"]
        assert sorted((actor, allowed) for actor, _, _, allowed in heard) == [
            ("1005", False), ("1005", True), ("1006", False), ("operator", False), ("operator", True),
        ]  # fmt: skip
        copy = next((tmp_path / "recordings").rglob("*.sealed")).read_bytes()
        office.recordings.delete(DOMAIN, row.id, Listener())
        assert office.rows() == [] and not list((tmp_path / "recordings").rglob("*.sealed"))
        assert not list((tmp_path / "keys").rglob(f"{row.id}.key")), "a copy elsewhere is noise"
        assert copy


def test_retention_and_a_tenant_that_is_gone(seed: int, tmp_path: Path) -> None:
    with RecordingOffice(tmp_path, seed=seed) as office:
        call, _ = talk(office, 1005, 1006)
        call.hang_up()
        office.run()
        (row,) = office.rows()
        day = 86400.0
        office.recordings._wallclock = lambda: row.started + 5 * day
        office.app.subscribe(CdrListener(CdrWriter(office.store)), CdrListener.EVENTS)
        assert office.recordings.sweep(DOMAIN, days=0) == 0
        assert office.recordings.sweep(DOMAIN, days=6) == 0
        assert len(office.rows()) == 1
        assert office.recordings.sweep(DOMAIN, days=4) == 1 and office.rows() == []
        again, _ = talk(office, 1005, 1006)
        again.hang_up()
        office.run()
        assert len(office.rows()) == 1
        # Its row is on its way to the disk still.
        last, _ = talk(office, 1005, 1007)
        last.hang_up()
        office.run()

        def sweep(at: float) -> list[str]:
            return sweep_recordings(office.recordings, office.store, [], at)

        assert sweep(row.started) == [] and sweep(row.started + 29 * day) == [] and len(office.rows()) == 2
        office.store.tenant(DOMAIN).save_state("queue/610", "callback.+12025550177", "{}")
        before = office.audited()
        for hours in range(3):
            assert sweep(row.started + 30 * day + hours * 3600) == [DOMAIN] and office.rows() == []
        assert office.audited() == [*before, ("retention", "recordings-deleted", DOMAIN, True)], "once, not each hour"
        assert office.store.flush()
        assert [owner for owner, _, _ in office.store.tenant(DOMAIN).load_state()] == ["tenant"]
        assert not list((tmp_path / "recordings").rglob("*.sealed")) and not list(
            (tmp_path / "keys").rglob("tenant.key")
        )


def test_a_recording_that_cannot_be_destroyed_keeps_no_other_one(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RecordingOffice(tmp_path, seed=seed) as office:
        for callee in (1006, 1007):
            call, _ = talk(office, 1005, callee)
            call.hang_up()
            office.run()
        first, second = office.rows()
        destroy = office.recordings._sealed.destroy

        def fails(tenant: str, name: str) -> bool:
            if name == first.id:
                raise OSError(5, "Input/output error")
            return destroy(tenant, name)

        monkeypatch.setattr(office.recordings._sealed, "destroy", fails)
        office.recordings._wallclock = lambda: second.started + 5 * 86400.0
        assert office.recordings.sweep(DOMAIN, days=4) == 1
        assert [row.id for row in office.rows()] == [first.id]
        assert ("retention", "recording-deleted", first.id, True) not in office.audited()
        monkeypatch.undo()
        assert office.recordings.sweep(DOMAIN, days=4) == 1 and office.rows() == []


@pytest.mark.parametrize("after_ms", range(0, 6000, 500))
def test_a_hang_up_at_any_moment_leaves_nothing_open(seed: int, tmp_path: Path, after_ms: int) -> None:
    with RecordingOffice(tmp_path, seed=seed) as office:
        one, five = office.phone(1001), office.phone(1005)
        five.answers(after=0.5)
        call = one.dial("1005")
        office.world.at(office.world.now + after_ms / 1000 + 0.6, call.hang_up)
        office.run()
        assert all(row.state in ("kept", "partial") for row in office.rows())
        assert not office.recordings._open


def test_a_call_that_cannot_be_recorded_goes_on_and_leaves_no_row(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def passed_on_only(*_: object, **__: object) -> None:
        raise CodecMissingError("the codec in use can be passed on only")

    with RecordingOffice(tmp_path, seed=seed) as office:
        monkeypatch.setattr(MediaLeg, "record", passed_on_only)
        call, other = talk(office, 1005, 1006)
        assert call.heard.hears(other.phone.tone, since=office.world.now - 0.3)
        assert office.rows() == [] and not office.recordings._open
        call.hang_up()
        office.run()
        assert office.ends[-1][0] == "answered"


def test_what_a_crash_cut_short_is_kept(seed: int, tmp_path: Path) -> None:
    with RecordingOffice(tmp_path, seed=seed) as office:
        call, _ = talk(office, 1005, 1006)
        (row,) = office.rows()
        assert row.state == "recording"
        assert office.recordings.recover([DOMAIN]) == 1
        (row,) = office.rows()
        assert row.state == "partial" and row.seconds > 1.0
        call.hang_up()
        office.run()


def test_a_disk_that_takes_nothing_touches_no_call(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with RecordingOffice(tmp_path, seed=seed) as office:

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(office.sealed, "create", full)
        call, other = talk(office, 1005, 1006)
        assert call.heard.hears(other.phone.tone, since=office.world.now - 0.3)
        call.hang_up()
        office.run()
        (row,) = office.rows()
        assert (row.state, row.seconds) == ("failed", 0.0)
    assert [each.problem for each in office.told if isinstance(each, events.RecordingEnded)] != [""]
