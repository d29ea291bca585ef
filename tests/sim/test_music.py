"""One stream of music for all who wait: read once, everybody at the same place, and a note when it cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from media import PromptMissingError
from media.tones import Tone
from voipat import App, Call, Music
from voipat.testing import SimWorld

pytestmark = pytest.mark.usefixtures("nothing_left")


def waiting_room(music: Music) -> App:
    app = App()

    @app.on_call("sip:wait@*", public=True)
    async def wait(call: Call) -> None:
        await call.play(music)

    return app


def test_who_joins_later_hears_the_same_place_of_it() -> None:
    # Four seconds of each: who comes after five must not hear the first one.
    music = Music([Tone(500, 4.0), Tone(900, 4.0)])
    with SimWorld(waiting_room(music)) as world:
        first, second = (world.phone(f"sip:{name}@example.com") for name in ("a", "b"))
        first.dial("sip:wait@127.0.0.1", after=0.1).hears(500, within=1.0).hears(900, within=5.0).hangs_up(after=1.0)
        world.run(until=5.1)
        late = second.dial("sip:wait@127.0.0.1").hears(900, within=1.0).hears(500, within=5.0)
        late.hangs_up(after=1.0)
        world.run()
        assert music.position(9.0, 8.0) == pytest.approx(0.9, abs=0.1)


def test_a_stream_that_cannot_be_read_is_a_note_and_no_dead_call(tmp_path: Path) -> None:
    app = waiting_room(Music(tmp_path / "gone.wav", fallback=Tone(700, 1.0)))
    with SimWorld(app) as world:
        world.phone("sip:a@example.com").dial("sip:wait@127.0.0.1", after=0.1).hears(700, within=2.0).hangs_up()
        world.run()
        assert app.counters["music_missing"] == 1


def test_listeners_share_one_encoding() -> None:
    app = waiting_room(Music([Tone(500, 2.0)]))
    with SimWorld(app) as world:
        calls = [
            world.phone(f"sip:{number}@example.com").dial("sip:wait@127.0.0.1", after=0.1 + number / 10)
            for number in range(5)
        ]
        for call in calls:
            call.hears(500, within=2.0).hangs_up(after=1.0)
        world.run(until=1.5)
        assert app._switch is not None
        assert len(app._switch.media.prompts) == 1
        world.run()


def test_nothing_is_no_music() -> None:
    with pytest.raises(PromptMissingError):
        Music([])
