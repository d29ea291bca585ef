"""What the start has made moves into huge pages (Linux, 2 MB each), which the processor finds with fewer look-ups.

A message touches objects all over the heap; with pages of 4 kB each of those places needs its own translation, and
between two messages other programs have pushed those out. The kernel does this by itself only where it is configured
to (`transparent_hugepage=always`); MADV_COLLAPSE (Linux 6.1, madvise(2)) does it for what is there now.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

logger: Final = logging.getLogger(__name__)

# asm-generic/mman-common.h; Python's `mmap` has no name for the second.
MADV_HUGEPAGE: Final = 14
MADV_COLLAPSE: Final = 25

SIZE: Final = 2 * 1024 * 1024
# The start's work is over by then. A page takes 1-10 ms, and the loop has its turn between two.
BEGIN_AFTER_S: Final = 10.0
NEXT_AFTER_S: Final = 0.05

Advise = Callable[[int, int], bool]

_MAPS: Final = Path("/proc/self/maps")
# Start, end, permissions, offset, device, inode, name (proc_pid_maps(5)): private, writable, of no file.
_HEAP: Final = re.compile(r"([0-9a-f]+)-([0-9a-f]+) rw.p [0-9a-f]+ [0-9a-f:]+ 0\s*(?:\[heap\])?$")


def heap_pages(maps: Iterable[str]) -> Iterator[int]:
    """The addresses where a whole huge page fits into the heap that lines of /proc/PID/maps describe."""
    for line in maps:
        found = _HEAP.match(line.rstrip())
        if found is not None:
            start, end = int(found[1], 16), int(found[2], 16)
            yield from range(-(-start // SIZE) * SIZE, end - SIZE + 1, SIZE)


def advise() -> Advise:
    """madvise(2) for one huge page of this process: whether the kernel did what it was advised."""
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    return lambda page, advice: madvise(page, SIZE, advice) == 0


def own_maps() -> list[str]:
    """What memory this process has; nothing where that cannot be read."""
    try:
        return _MAPS.read_text().splitlines()
    except OSError:
        return []


class HugePages:
    """Moves the heap of this process, a page at a time, once.

    What the kernel refuses (it is old, has no memory in one piece, or nothing is there) stays as it was.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        maps: Callable[[], Iterable[str]] = own_maps,
        advise: Callable[[], Advise] = advise,
    ) -> None:
        self._loop = loop
        self._maps = maps
        self._advise = advise
        self.moved = 0
        self._timer = loop.call_later(BEGIN_AFTER_S, self._begin)

    def close(self) -> None:
        """Move no more."""
        self._timer.cancel()

    def _begin(self) -> None:
        pages = list(heap_pages(self._maps()))
        if pages:
            tell = self._advise()
            for page in pages:
                tell(page, MADV_HUGEPAGE)  # what is put there later
            self._next(tell, iter(pages))

    def _next(self, tell: Advise, pages: Iterator[int]) -> None:
        page = next(pages, None)
        if page is None:
            logger.debug("heap is in huge pages", extra={"pages": self.moved})
            return
        self.moved += tell(page, MADV_COLLAPSE)
        self._timer = self._loop.call_later(NEXT_AFTER_S, self._next, tell, pages)
