"""Prompts of the configuration: found in their folder, and nowhere that a link leads to (H19)."""

from __future__ import annotations

from pathlib import Path

from pbx.prompts import ASK, Prompts


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"RIFF")
    return path


def test_a_prompt_is_found_below_its_language_and_no_link_is_followed(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "prompts", tmp_path / "elsewhere"
    main = put(folder / "en" / "menus" / "main.wav")
    put(elsewhere / "secret.wav")
    (folder / "en" / "secret.wav").symlink_to(elsewhere / "secret.wav")
    (folder / "en" / "linked").symlink_to(elsewhere)
    (folder / "de").symlink_to(elsewhere)
    prompts = Prompts(folder)
    assert prompts.find("menus/main", "en") == str(main)
    for name, language in (("secret", "en"), ("linked/secret", "en"), ("secret", "de")):
        assert prompts.find(name, language) == ASK
