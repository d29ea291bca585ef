"""kill -9 while messages are spoken and calls are recorded: no sound loses more than its last second, all of it plays,
the lamps are right at once.
"""

from __future__ import annotations

import contextlib
import random
import sqlite3
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.rig.processes import free_port, wait_until
from bench.rig.server import OFFICE, Server
from pbx import control
from pbx.store.database import DATABASE_FILE
from tests.faults.phone_by_hand import PhoneByHand
from tests.interop.baresip import Baresip
from tests.interop.tones import Samples, dominant_frequency

# Callers leave their messages in one mailbox each, where nobody is registered, and call one recorded extension each.
MAILBOXES = {"1006": "1001", "1007": "1002"}
RECORDED = {"1009": "1005", "1010": "1008"}
TONES = {user: 1000.0 + 150 * place for place, user in enumerate([*MAILBOXES, *RECORDED, *RECORDED.values()])}
# Whose keys have lamps of the recorded extensions.
WATCHER = "1003"
LAST_SECOND_S = 1.0
# From the first byte of a file to its first sample.
START_S = 0.5
# Less than a second of voice is no message.
SHORTEST_S = 1.0
ROUNDS, SOAK_ROUNDS = 1, 100


@dataclass(frozen=True)
class Moment:
    """Something that happened after `earliest` and before `latest`: on a busy machine these are a second apart."""

    earliest: float
    latest: float


def least(begun: Moment, killed: Moment) -> float:
    """The seconds of a sound that began then which may not be lost. Who is late with the file is late with it too."""
    late = begun.latest - begun.earliest
    return killed.earliest - begun.latest - late - START_S - LAST_SECOND_S


def fits(seconds: float, begun: Moment, killed: Moment) -> bool:
    """Whether it can be what was said until the kill, but for the last second."""
    return least(begun, killed) <= seconds <= killed.latest - begun.earliest


class Office:
    """The example, with two extensions whose calls are recorded from the first word, and its phones."""

    def __init__(self, directory: Path) -> None:
        rule = 'extensions = ["1005"]\nannouncement = "record-notice"\n'
        assert rule in OFFICE.read_text()
        config = directory / "office.toml"
        config.write_text(OFFICE.read_text().replace(rule, 'extensions = ["1005", "1008"]\n'))
        self.server = Server(directory / "server", config=config)
        self.phones = {
            user: Baresip(
                directory / user, user=user, password=f"pass-{user}", server=self.server.address,
                port=free_port(run=5), frequency=TONES[user],
            )
            for user in TONES
        }  # fmt: skip
        for phone in self.phones.values():
            phone.wait_registered()

    def close(self) -> None:
        for phone in self.phones.values():
            phone.close()
        self.server.close()

    def speak(self) -> dict[str, Moment]:
        """Every caller's sound, as soon as all are under way."""
        wait_until(lambda: self._registered() >= TONES.keys(), 60, "the phones are registered")
        for phone in self.phones.values():
            phone.seen("")
            phone.events.clear()
            phone.forget()
        begun = {}
        for caller, callee in RECORDED.items():
            self.phones[caller].reach(callee, lambda callee=callee: bool(self.phones[callee].seen("CALL_INCOMING")))
            begun[caller] = self._begins("recordings", lambda callee=callee: self.phones[callee].command("accept"))
        for caller, mailbox in MAILBOXES.items():
            self._reach_mailbox(self.phones[caller], mailbox)
            begun[caller] = self._begins("voicemail", lambda caller=caller: self.phones[caller].command("sndcode", "#"))
        return begun

    def _reach_mailbox(self, phone: Baresip, mailbox: str) -> None:
        """Until its greeting is heard. Once in some hundred calls baresip's bridge device never starts: it gets RTP
        and neither plays nor records, so that this phone is given a second call.
        """
        calls = 0

        def is_up() -> bool:
            return len(phone.seen("CALL_ESTABLISHED")) > calls

        phone.reach(mailbox, is_up)
        with contextlib.suppress(AssertionError):
            wait_until(lambda: is_heard(phone), 5, "the greeting is heard")
            return
        assert "incoming rtp for 'audio' established" in phone.log_of_last_call(), "the greeting did not come"
        closed = len(phone.seen("CALL_CLOSED"))
        calls = len(phone.seen("CALL_ESTABLISHED"))
        phone.hang_up()
        phone.wait_for("CALL_CLOSED", count=closed + 1)
        phone.forget()
        phone.reach(mailbox, is_up)
        wait_until(lambda: is_heard(phone), 10, f"{phone.user} hears the greeting of {mailbox}")

    def _registered(self) -> set[str]:
        """Whose phones are: a REGISTER that fell into a restart is sent again when its phone thinks fit."""
        return {str(row["aor"]).removeprefix("sip:").partition("@")[0] for row in self._ask("registrations", {})}

    def _begins(self, folder: str, act: Callable[[], None]) -> Moment:
        """`act` makes one more file in that folder."""
        before, earliest = self.files(folder), time.monotonic()
        act()
        wait_until(lambda: self.files(folder) - before, 10, f"there is a new file in {folder}")
        return Moment(earliest, time.monotonic())

    def kill(self) -> Moment:
        """When the daemon died; the phones hang up."""
        earliest = time.monotonic()
        self.server.kill()
        killed = Moment(earliest, time.monotonic())
        for phone in self.phones.values():
            phone.command("hangup")
        return killed

    def files(self, folder: str) -> set[Path]:
        return set((self.server.data / folder).rglob("*.sealed"))

    def lamp(self, mailbox: str) -> int:
        """New messages, as the phone is told when it registers."""
        with PhoneByHand("127.0.0.1", ("127.0.0.1", self.server.port), mailbox, f"pass-{mailbox}") as phone:
            phone.register()
            told = phone.told("Voice-Message:")
            phone.register(expires=0)
        return int(told.split("/")[0])

    def busy_lamps(self) -> set[str]:
        """The recorded extensions whose lamp is lit for a phone that subscribes now, as it does after a restart."""
        with PhoneByHand("127.0.0.1", ("127.0.0.1", self.server.port), WATCHER, f"pass-{WATCHER}") as phone:
            phone.register()
            lit = {number for number in RECORDED.values() if "<state>confirmed</state>" in phone.watch(number)}
            phone.register(expires=0)
        return lit

    def messages(self) -> dict[str, dict[str, Any]]:
        """By mailbox."""
        return {str(row["mailbox"]): dict(row) for row in self._ask("voicemail", {"action": "list"})}

    def recordings(self) -> dict[str, dict[str, Any]]:
        """By who was recorded."""
        return {str(row["owner"]): dict(row) for row in self._ask("recordings", {"do": "list"})}

    def take_message(self, message_id: str) -> Samples:
        """Its sound; it is deleted."""
        return self._take("voicemail", "action", message_id)

    def take_recording(self, recording_id: str) -> Samples:
        """The sound of both channels, one after the other in each sample; it is deleted."""
        return self._take("recordings", "do", recording_id)

    def _take(self, command: str, key: str, its_id: str) -> Samples:
        rows = self._ask(command, {key: "export", "id": its_id})
        sound = b"".join(b64decode(str(row["wav"])) for row in rows)
        self._ask(command, {key: "delete", "id": its_id})
        return np.frombuffer(sound[44:], "<i2")

    def _ask(self, command: str, arguments: dict[str, object]) -> list[Any]:
        return list(control.request(self.server.data, command, arguments))


def is_heard(phone: Baresip) -> bool:
    """Whether anything was heard in this call."""
    return bool(list(phone.directory.glob("dump-*-dec.wav"))) and bool(np.any(np.abs(phone.heard()) > 500))


def is_tone(samples: Samples, user: str) -> bool:
    """Whether it is that phone's, as far as can be told."""
    return len(samples) < 2400 or abs(dominant_frequency(samples) - TONES[user]) < 20


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with closing(Office(tmp_path)) as made:
        yield made


def assert_messages(office: Office, begun: dict[str, Moment], killed: Moment) -> int:
    """What was kept, and is removed."""
    rows = office.messages()
    for caller, mailbox in MAILBOXES.items():
        message = rows.get(mailbox)
        assert office.lamp(mailbox) == (message is not None)
        if message is None:
            assert least(begun[caller], killed) < SHORTEST_S, f"{caller} spoke from {begun[caller]} to {killed}"
            continue
        assert fits(message["seconds"], begun[caller], killed), f"{message}: {begun[caller]} to {killed}"
        assert is_tone(office.take_message(message["id"]), caller)
    return len(rows)


def assert_recordings(office: Office, begun: dict[str, Moment], killed: Moment) -> int:
    """What was kept, and is removed."""
    rows = office.recordings()
    for caller, callee in RECORDED.items():
        row = rows.get(callee)
        if row is None or row["state"] == "failed":
            assert least(begun[caller], killed) <= 0, f"{callee} was recorded from {begun[caller]} to {killed}: {row}"
            if row is not None:
                office.take_recording(row["id"])
            continue
        assert row["state"] == "partial" and row["caller"] == caller
        assert fits(row["seconds"], begun[caller], killed), f"{row}: {begun[caller]} to {killed}"
        both = office.take_recording(row["id"]).reshape(-1, 2)
        assert abs(len(both) / 8000 - row["seconds"]) < 0.1
        assert is_tone(both[:, 0], callee) and is_tone(both[:, 1], caller)
    return len(rows)


def test_messages_and_recordings_outlive_kill_9(office: Office, soak: bool, soak_scale: float) -> None:
    moments = random.Random(5)
    messages = recordings = 0
    for number in range(round(SOAK_ROUNDS * soak_scale) if soak else ROUNDS):
        assert not office.busy_lamps()
        begun = office.speak()
        assert office.busy_lamps() == set(RECORDED.values())
        time.sleep(moments.uniform(0.0, 4.0) if soak else 2.5)
        killed = office.kill()
        office.server.start()
        assert not office.busy_lamps(), "nobody is stuck in a call that is gone"
        messages += assert_messages(office, begun, killed)
        recordings += assert_recordings(office, begun, killed)
        left = office.files("voicemail") | office.files("recordings")
        assert not left, f"round {number}: {left}"
        print(f"round {number}: {messages} messages, {recordings} recordings were kept", flush=True)
    assert messages and recordings
    office.server.close()
    with sqlite3.connect(office.server.data / DATABASE_FILE) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
