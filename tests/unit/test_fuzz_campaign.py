"""A campaign goes on from the page that it wrote, when the file of what is done is lost."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from fuzz.campaign import CHUNK, Progress, jobs, page
from fuzz.layers import SIGNALLING

LAYERS = SIGNALLING.layers
SEED = 7


def some_progress(directory: Path) -> Progress:
    progress = Progress(directory / "progress.json")
    for chunks, layer in enumerate(LAYERS, 1):
        for chunk in range(chunks):
            told = {name: 1000 * chunks + at for at, name in enumerate(layer.reached)}
            progress.note(layer.module, chunk, Counter(told, mutants=CHUNK + 17, slow=chunk))
    return progress


def test_what_a_page_says_is_done_is_not_done_again(tmp_path: Path) -> None:
    before = some_progress(tmp_path)
    text = page(SIGNALLING, before, SEED, "")
    after = Progress(tmp_path / "other.json")
    after.take_over(text, LAYERS)
    assert after.done == before.done and after.mutants() == after.taken_over == before.mutants()
    assert page(SIGNALLING, after, SEED, "").splitlines()[5:] == text.splitlines()[5:]
    assert f"({before.mutants():,} of them by an earlier run)" in page(SIGNALLING, after, SEED, "")
    assert jobs(LAYERS, 10**6, SEED, 0.0, after) == jobs(LAYERS, 10**6, SEED, 0.0, before)


def test_what_was_taken_over_stays_in_the_file(tmp_path: Path) -> None:
    progress = Progress(tmp_path / "progress.json")
    progress.take_over(page(SIGNALLING, some_progress(tmp_path), SEED, ""), LAYERS)
    progress.note(LAYERS[0].module, 1, Counter(mutants=CHUNK))
    again = Progress.load(progress.path)
    assert again.taken_over == progress.taken_over < again.mutants() == progress.mutants()
