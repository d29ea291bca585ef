"""kill -9 while messages are spoken: none loses more than its last second, all play, the lamps are right at once."""

from __future__ import annotations

import random
import sqlite3
import time
from base64 import b64decode
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from bench.rig.processes import free_port, wait_until
from bench.rig.server import Server
from media.wav import read_wav
from pbx import control
from pbx.store.database import DATABASE_FILE
from tests.faults.phone_by_hand import PhoneByHand
from tests.interop.baresip import Baresip
from tests.interop.tones import dominant_frequency

# Callers leave their messages in one mailbox each, where nobody is registered.
CALLERS = {"1006": "1001", "1007": "1002"}
LAST_SECOND_S = 1.0
# From the key that ends the greeting to the first word: the key's length, its way, the beep.
BEEP_S = 0.7
ROUNDS, SOAK_ROUNDS = 1, 100


def phones(directory: Path, server: Server, stack: ExitStack) -> dict[str, Baresip]:
    made = {}
    for place, user in enumerate(CALLERS):
        made[user] = stack.enter_context(
            closing(
                Baresip(
                    directory / user,
                    user=user,
                    password=f"pass-{user}",
                    server=server.address,
                    port=free_port(run=5),
                    frequency=1200.0 + 200 * place,
                )
            )
        )
    for phone in made.values():
        phone.wait_registered()
    return made


def speak_until_the_kill(server: Server, made: dict[str, Baresip], moments: random.Random) -> dict[str, float]:
    """How long each caller had spoken when the daemon was killed."""
    before = {user: len(phone.seen("CALL_ESTABLISHED")) for user, phone in made.items()}
    for user, phone in made.items():
        phone.command("dial", f"sip:{CALLERS[user]}@office.test")
    for user, phone in made.items():
        phone.wait_for("CALL_ESTABLISHED", count=before[user] + 1)
    began = {}
    time.sleep(0.6)
    for user, phone in made.items():
        time.sleep(moments.uniform(0.0, 0.5))
        phone.command("sndcode", "#")
        began[user] = time.monotonic()
    time.sleep(moments.uniform(0.5, 4.0))
    server.kill()
    killed = time.monotonic()
    for phone in made.values():
        phone.command("hangup")
    return {user: killed - at for user, at in began.items()}


def lamp(server: Server, mailbox: str) -> int:
    """New messages, as the phone is told when it registers."""
    with PhoneByHand("127.0.0.1", ("127.0.0.1", server.port), mailbox, f"pass-{mailbox}") as phone:
        phone.register()
        told = phone.told("Voice-Message:")
        phone.register(expires=0)
    return int(told.split("/")[0])


def voicemail(server: Server, action: str, message_id: str = "") -> list[dict[str, Any]]:
    return list(control.request(server.data, "voicemail", {"action": action, "id": message_id}))


def test_messages_outlive_kill_9(tmp_path: Path, server: Server, soak: bool) -> None:
    moments = random.Random(5)
    kept = 0
    with ExitStack() as stack:
        made = phones(tmp_path, server, stack)
        for number in range(SOAK_ROUNDS if soak else ROUNDS):
            spoken = speak_until_the_kill(server, made, moments)
            server.start()
            rows = {row["mailbox"]: row for row in voicemail(server, "list")}
            for place, (user, seconds) in enumerate(spoken.items()):
                mailbox = CALLERS[user]
                least = seconds - BEEP_S - LAST_SECOND_S
                message = rows.get(mailbox)
                assert message is not None or least < 1.0, f"round {number}: {user} spoke {seconds:.2f} s"
                assert lamp(server, mailbox) == (message is not None)
                if message is None:
                    continue
                assert least <= message["seconds"] <= seconds, f"round {number}: {user}"
                sound = b"".join(b64decode(row["wav"]) for row in voicemail(server, "export", message["id"]))
                assert abs(dominant_frequency(read_wav(sound).samples) - (1200 + 200 * place)) < 20
                voicemail(server, "delete", message["id"])
                kept += 1
            wait_until(lambda: not list((server.data / "voicemail").rglob("*.sealed")), 5, "no file is left")
    assert kept
    server.close()
    with sqlite3.connect(server.data / DATABASE_FILE) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
