"""Every program of examples/, and every Python block of the documentation."""

from __future__ import annotations

import asyncio
import json
import re
import runpy
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

import voipat
from voipat.testing import SimWorld
from voipat.testing.audio import Talker

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs" / "guides").glob("*.md"))]


def app_of(name: str) -> voipat.App:
    app = runpy.run_path(str(ROOT / "examples" / name))["app"]
    assert isinstance(app, voipat.App)
    return app


def test_echo_answers_a_stranger_and_sends_the_voice_back() -> None:
    with SimWorld(app_of("echo.py")) as world:
        stranger = world.phone("sip:stranger@elsewhere.example")
        call = stranger.dial("sip:echo@127.0.0.1").hears(stranger.tone).hangs_up(after=1.0)
        world.run()
        assert call.was_answered
        assert world.leaks() == []


def test_ring_both_gives_the_call_to_the_first_who_answers() -> None:
    with SimWorld(app_of("ring_both.py")) as world:
        alice = world.phone("sip:alice@127.0.0.1").register().answers(after=3.0)
        bob = world.phone("sip:bob@127.0.0.1").register().answers(after=1.0)
        world.run(until=1.0)
        call = alice.dial("sip:team@127.0.0.1", after=0.5)
        call.hears(bob.tone).hangs_up(after=1.0)
        world.run()
        assert call.was_answered
        assert bob.received[0].was_answered
        assert world.leaks() == []


@pytest.mark.parametrize("key", ["1", "2", "7"])
def test_menu_does_what_the_key_says(key: str) -> None:
    with SimWorld(app_of("menu.py")) as world:
        caller = world.phone("sip:caller@elsewhere.example", tone=1000)
        call = caller.dial("sip:main@127.0.0.1").hears(440, within=1.0).presses(key)
        if key == "1":
            call.hears(1000).hangs_up(after=1.0)
        else:
            call.hears(425 if key == "2" else 220)
        world.run()
        assert call.was_answered and call.ended_by == ("caller" if key == "1" else "peer")
        assert world.leaks() == []


def test_room_lets_everybody_hear_the_others_and_mutes_by_key() -> None:
    with SimWorld(app_of("room.py")) as world:
        alice = world.phone("sip:alice@elsewhere.example", tone=420)
        bob = world.phone("sip:bob@elsewhere.example", tone=700)
        talks = alice.dial("sip:room-1@127.0.0.1").hears(bob.tone).waits(1.0).presses("6").waits(2.0).presses("0")
        hears = bob.dial("sip:room-1@127.0.0.1", after=0.5).hears(alice.tone).waits(4.0).hangs_up()
        world.run(until=4.0)
        assert talks.was_answered and not hears.heard.hears(alice.tone, since=world.now - 0.5)
        world.run()
        assert talks.ended_by == "peer"
        assert world.leaks() == []


def test_note_records_what_is_said_and_plays_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with SimWorld(app_of("note.py")) as world:
        caller = world.phone("sip:caller@elsewhere.example", tone=1000)
        call = caller.dial("sip:note@127.0.0.1").hears(440).waits(3.0).presses("#").hears(1000)
        world.run()
        assert call.was_answered and call.ended_by == "peer"
        assert world.leaks() == []
    (path,) = (tmp_path / "notes").iterdir()
    assert path.stat().st_size > 2 * 2 * 8000 * 2.5


class Silent(Talker):
    """Says nothing, packet by packet."""

    def packet(self, *, skipped: int = 0) -> bytes:
        return super().packet(skipped=skipped)[:12] + b"\xff" * 160


def test_bot_answers_what_was_said_in_its_own_voice() -> None:
    with SimWorld(app_of("bot.py")) as world:
        caller = world.phone("sip:caller@elsewhere.example", tone=700)
        call = caller.dial("sip:bot@127.0.0.1")
        world.run(until=3.0)
        assert call.was_answered and not call.heard.hears(1400)
        old = call._talker
        assert old is not None
        call._talker = Silent(old.ssrc, old.sequence, old.timestamp, 0, old.payload_type)
        world.run(until=5.0)
        assert call.heard.hears(1400), "an octave higher"
        call.hang_up()
        world.run()
        assert world.leaks() == []


def test_devices_registers_phones_beside_a_web_application() -> None:
    module = runpy.run_path(str(ROOT / "examples" / "devices.py"))
    with SimWorld(module["app"]) as world:
        alice = world.phone("sip:alice@127.0.0.1", password="wonderland").register(refresh=False)
        world.run(until=1.0)
        assert ask(module["api"], "/users/alice/devices") == [str(alice.contact)]
        assert ask(module["api"], "/users/bob/devices") == []


def ask(api: FastAPI, path: str) -> object:
    """What the application answers to a GET, without a socket."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"", "headers": [],
        "scheme": "http", "http_version": "1.1", "server": ("127.0.0.1", 8000), "client": ("127.0.0.1", 1),
        "root_path": "",
    }  # fmt: skip
    asyncio.run(api(scope, receive, send))
    return json.loads(b"".join(each.get("body", b"") for each in sent))


def python_blocks() -> list[tuple[str, str]]:
    """One program a page: its blocks build on each other."""
    programs = []
    for page in PAGES:
        blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
        if blocks:
            programs.append((page.name, "\n".join(blocks).replace("app.run()", "")))
    return programs


@pytest.mark.parametrize(("page", "program"), python_blocks(), ids=[page for page, _ in python_blocks()])
def test_python_blocks_of_the_page_run(page: str, program: str) -> None:
    exec(compile(program, page, "exec"), {"__name__": "page"})
