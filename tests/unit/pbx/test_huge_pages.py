"""Which memory is moved into huge pages, when, and that it stays what it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pbx.huge_pages import (
    BEGIN_AFTER_S,
    MADV_COLLAPSE,
    MADV_HUGEPAGE,
    NEXT_AFTER_S,
    SIZE,
    HugePages,
    advise,
    heap_pages,
    own_maps,
)
from voipat.testing.loop import VirtualLoop

MAPS = [
    "00400000-00a00000 r-xp 00000000 fe:00 1234                       /usr/bin/python3.11",
    "00b00000-01000000 rw-p 00000000 fe:00 1234                       /usr/bin/python3.11",
    "01100000-01900000 rw-p 00000000 00:00 0                          [heap]",
    "7f0000000000-7f0000200000 rw-p 00000000 00:00 0 ",
    "7f1000001000-7f1000200000 rw-p 00000000 00:00 0 ",
    "7f2000000000-7f2000400000 ---p 00000000 00:00 0 ",
    "7f3000000000-7f3000400000 rw-s 00000000 00:01 55                 /dev/zero (deleted)",
    "7ffc00000000-7ffc00400000 rw-p 00000000 00:00 0                  [stack]",
]


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    made = VirtualLoop()
    yield made
    made.close()


def run(loop: VirtualLoop, seconds: float) -> None:
    loop.call_later(seconds, loop.stop)
    loop.run_forever()


def test_only_whole_pages_of_the_heap_are_taken() -> None:
    assert list(heap_pages(MAPS)) == [0x1200000, 0x1400000, 0x1600000, 0x7F0000000000]


def test_nothing_is_done_while_the_daemon_starts_and_then_a_page_at_a_time(loop: VirtualLoop) -> None:
    told: list[tuple[int, int]] = []

    def tell(page: int, advice: int) -> bool:
        told.append((page, advice))
        return page != 0x1400000

    pages = HugePages(loop, maps=lambda: MAPS, advise=lambda: tell)
    run(loop, BEGIN_AFTER_S - 0.01)
    assert told == []
    run(loop, 0.02)
    assert [page for page, advice in told if advice == MADV_HUGEPAGE] == list(heap_pages(MAPS))
    assert [page for page, advice in told if advice == MADV_COLLAPSE] == [0x1200000]
    run(loop, 10 * NEXT_AFTER_S)
    assert [page for page, advice in told if advice == MADV_COLLAPSE] == list(heap_pages(MAPS))
    assert pages.moved == 3  # what the kernel refuses is left as it is


def test_a_daemon_that_ends_moves_no_more(loop: VirtualLoop) -> None:
    told: list[int] = []
    pages = HugePages(loop, maps=lambda: MAPS, advise=lambda: lambda page, advice: not told.append(page))
    pages.close()
    run(loop, 2 * BEGIN_AFTER_S)
    assert told == []


def test_without_proc_nothing_happens(loop: VirtualLoop) -> None:
    pages = HugePages(loop, maps=list)
    run(loop, 2 * BEGIN_AFTER_S)
    assert pages.moved == 0


def test_what_is_moved_stays_what_it_was() -> None:
    kept = bytearray(range(256)) * (4 * SIZE // 256)
    before = bytes(kept)
    tell = advise()
    for page in list(heap_pages(own_maps())):
        tell(page, MADV_COLLAPSE)  # the kernel may refuse any of them
    assert kept == before
