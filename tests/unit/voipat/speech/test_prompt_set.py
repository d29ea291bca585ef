from __future__ import annotations

from pathlib import Path

import pytest

from media import PromptMissingError
from media.wav import read_wav_file
from voipat.speech import Letters, Number, PromptSet


def put(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(Path(PromptSet().path("n1")).read_bytes())


def test_a_folder_of_ones_own_comes_before_the_shipped_set(tmp_path: Path) -> None:
    put(tmp_path, "en/welcome")
    prompts = PromptSet("en", (tmp_path,))
    assert prompts.path("welcome") == str(tmp_path / "en/welcome.wav")
    assert prompts.path("goodbye") == PromptSet().path("goodbye")


def test_a_prompt_that_the_language_lacks_is_heard_in_english(tmp_path: Path) -> None:
    put(tmp_path, "de/welcome")
    prompts = PromptSet("de", (tmp_path,))
    assert prompts.path("welcome") == str(tmp_path / "de/welcome.wav")
    assert prompts.path("vm/leave") == PromptSet().path("vm/leave")


def test_a_value_is_said_in_one_language_alone(tmp_path: Path) -> None:
    put(tmp_path, "de/n1-of", "de/hundred")
    prompts = PromptSet("de", (tmp_path,))
    assert prompts.say([Number(100)]) == [str(tmp_path / "de/n1-of.wav"), str(tmp_path / "de/hundred.wav")]
    assert prompts.say([Number(101)]) == PromptSet().say([Number(101)])


def test_what_the_language_lacks_is_asked_of_a_synthesiser_before_english(tmp_path: Path) -> None:
    put(tmp_path, "made/vm/leave", "made/n7", "made/custom")
    asked: list[tuple[str, str]] = []

    def made(language: str, name: str) -> Path | None:
        asked.append((language, name))
        return tmp_path / "made" / f"{name}.wav"

    prompts = PromptSet(missing=made).in_language("de")
    assert prompts.path("vm/leave") == str(tmp_path / "made/vm/leave.wav")
    assert asked == [("de", "vm/leave")]
    assert prompts.say([Number(7), "custom"]) == [str(tmp_path / "made/n7.wav"), str(tmp_path / "made/custom.wav")]
    assert prompts.path("goodbye") == PromptSet().path("goodbye"), "what it has not made is heard in English"
    with pytest.raises(PromptMissingError):
        prompts.path("no-such-prompt")


def test_letters_of_which_none_can_be_said_are_no_silence() -> None:
    with pytest.raises(ValueError, match="'Привет' has no letter or digit"):
        PromptSet().say([Letters("Привет")])


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/../b", "a\x00b", "A", "", "x" * 300, "a/b/c/d/e"])
def test_a_name_that_leaves_the_folder_is_no_name(name: str) -> None:
    with pytest.raises(PromptMissingError):
        PromptSet().path(name)


def test_a_prompt_that_is_a_link_or_in_a_folder_that_is_one_is_not_there(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "prompts", tmp_path / "elsewhere"
    put(elsewhere, "secret", "en/secret")
    put(folder, "en/welcome")
    (folder / "en" / "secret.wav").symlink_to(elsewhere / "secret.wav")
    (folder / "en" / "vm").symlink_to(elsewhere)
    (folder / "de").symlink_to(elsewhere / "en")
    for language, name in (("en", "secret"), ("en", "vm/secret"), ("de", "secret")):
        with pytest.raises(PromptMissingError):
            PromptSet(language, (folder,)).path(name)
    # The folder itself is what the operator wrote into the configuration.
    (tmp_path / "configured").symlink_to(folder)
    assert PromptSet("en", (tmp_path / "configured",)).path("welcome").endswith("configured/en/welcome.wav")


def test_a_name_that_nobody_has_is_an_error() -> None:
    with pytest.raises(PromptMissingError, match="no-such-prompt"):
        PromptSet().say(["no-such-prompt"])


def test_a_language_without_rules_is_refused() -> None:
    with pytest.raises(ValueError, match="'xx' is no language with rules: en, de, es, fr"):
        PromptSet("xx")


def test_prompts_are_of_one_loudness_and_the_notices_short() -> None:
    prompts = PromptSet()
    for name, longest in (("record-notice", 3.0), ("vm/greeting", 5.0), ("n42", 1.5)):
        sound = read_wav_file(prompts.path(name))
        assert sound.rate == 8000
        assert 0.2 < len(sound.samples) / 8000 <= longest
        assert 8000 < abs(sound.samples.astype(int)).max() < 32768
