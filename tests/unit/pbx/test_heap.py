"""Where Python's objects lie after `_heap.install`: each test in a process of its own, since it is for good."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
from pathlib import Path

import pytest

PRELUDE = """
import resource
from pathlib import Path
from pbx import _heap

def resident_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() >> 20

def mapped_mb(kind):
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(f"{kind}:")) >> 10

def threads():
    return len(list(Path("/proc/self/task").iterdir()))

def limit_growth(size):
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + size, resource.getrlimit(resource.RLIMIT_AS)[1]))

def objects(count):  # 96 bytes each, all of them different
    return [(index, index) for index in range(1_000, 1_000 + count)]
"""


def gives_huge_pages() -> bool:
    """Whether this process is given some: the kernel may have none, or the process be barred from them (prctl)."""

    def huge_kb() -> int:
        lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith("AnonHugePages:"))

    before = huge_kb()
    with mmap.mmap(-1, 8 << 20) as room:
        room.madvise(mmap.MADV_HUGEPAGE)
        room[:: 1 << 20] = bytes(8)
        return huge_kb() > before


OWN_MALLOC = pytest.mark.skipif("asan" in os.environ.get("LD_PRELOAD", ""), reason="the sanitizer has its own malloc")
NEEDS_HUGE_PAGES = pytest.mark.skipif(not gives_huge_pages(), reason="the kernel gives this process no huge pages")


def run(code: str, **environment: str) -> str:
    """What the program prints; it must end well."""
    command = [sys.executable, "-c", PRELUDE + code]
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_small_objects_lie_in_chunks_of_two_mebibytes() -> None:
    run("""
assert _heap.install() and _heap.chunks() == []
kept = objects(300_000)
chunks = _heap.chunks()
assert len(chunks) >= 12 and len(set(chunks)) == len(chunks)
assert all(chunk % (2 << 20) == 0 for chunk in chunks)
inside = sum(id(one) >> 21 << 21 in set(chunks) for one in kept[::1000])
assert inside >= 290, inside
""")


@NEEDS_HUGE_PAGES
def test_each_chunk_is_one_huge_page_and_the_kernel_makes_none_later() -> None:
    run("""
_heap.install()
kept = objects(300_000)
assert mapped_mb("AnonHugePages") >= len(_heap.chunks())  # half of them: memory may be too scattered for some
flags, here = {}, 0
for line in Path("/proc/self/smaps").read_text().splitlines():
    name = line.split()[0]
    if "-" in name:
        here = int(name.split("-")[0], 16)
    elif name == "VmFlags:":
        flags[here] = line.split()[1:]
assert all("nh" in flags[chunk] for chunk in _heap.chunks() if chunk in flags)
""")


@NEEDS_HUGE_PAGES
@OWN_MALLOC
def test_larger_objects_are_on_huge_pages_of_the_heap() -> None:
    run("""
_heap.install()
before, huge = mapped_mb("Rss"), mapped_mb("AnonHugePages")
assert huge >= 12  # of 24: memory may be too scattered for some
kept = [bytes(5_000) for _ in range(3_000)]
assert mapped_mb("Rss") - before <= 2 + (24 - huge), (before, huge, mapped_mb("Rss"))
""")


@OWN_MALLOC
def test_a_large_empty_table_takes_no_memory() -> None:
    run("""
_heap.install()
before = mapped_mb("Rss")
table = bytes(16 << 20)
assert mapped_mb("Rss") - before <= 1
""")


@OWN_MALLOC
def test_what_is_freed_goes_back_to_the_machine_and_is_had_again() -> None:
    run("""
_heap.install()
before = resident_mb()
for again in range(3):
    kept = objects(1_000_000)
    assert sum(one[0] for one in kept) == sum(range(1_000, 1_001_000))
    high, many = resident_mb(), len(_heap.chunks())
    del kept
    assert high - before > 80
    assert resident_mb() - before < 35, (before, high, resident_mb())
    assert len(_heap.chunks()) < many // 4
""")


def test_what_was_allocated_before_is_freed_where_it_came_from() -> None:
    run("""
old = objects(300_000)
assert _heap.install()
new = objects(300_000)
high = resident_mb()
del old
assert high - resident_mb() > 20, (high, resident_mb())
assert sum(one[1] for one in new) == sum(range(1_000, 301_000))
""")


def test_stacks_of_frames_are_no_arenas() -> None:
    """CPython takes both from the same allocator, here stacks of 16 kB to 1 MiB before any arena."""
    run("""
import sys, threading
sys.setrecursionlimit(20_000)
_heap.install()

def deep(left):
    return left and deep(left - 1)

for thread in [threading.Thread(target=deep, args=(9_000,)) for _ in range(4)]:
    thread.start()
    thread.join()
print(max(*range(1_000), *range(60_000)))
kept = objects(300_000)
assert len(_heap.chunks()) >= 12
""")


def test_the_second_install_changes_nothing() -> None:
    run("""
assert _heap.install()
kept = objects(300_000)
assert not _heap.install()
del kept
assert len(_heap.chunks()) < 8
""")


def test_settling_makes_chunks_ahead_once_and_without_install_never() -> None:
    run("""
_heap.settle()
assert threads() == 1
_heap.install()
_heap.settle()
_heap.settle()
assert threads() == 2
kept = objects(600_000)
assert sum(one[0] for one in kept) == sum(range(1_000, 601_000))
""")


def test_a_child_by_fork_allocates_without_the_thread_of_its_parent() -> None:
    run("""
import os, warnings
warnings.simplefilter("ignore")  # Python 3.12 says that the parent has threads
_heap.install()
_heap.settle()
child = os.fork()
if child == 0:
    kept = objects(600_000)
    os._exit(0 if sum(one[0] for one in kept) == sum(range(1_000, 601_000)) else 1)
assert os.waitpid(child, 0)[1] == 0
""")


@OWN_MALLOC
def test_memory_that_is_refused_is_a_memory_error_and_the_rest_goes_on() -> None:
    run("""
_heap.install()
limit_growth(40 << 20)
kept = []
try:
    while True:
        kept.append(objects(10_000))
except MemoryError:
    count = len(kept)
    del kept
assert count > 20, count
kept = objects(100_000)
assert sum(one[0] for one in kept) == sum(range(1_000, 101_000))
""")


@OWN_MALLOC
def test_arenas_come_from_the_interpreter_when_there_is_no_room_for_a_chunk() -> None:
    """A limit that leaves less than 2 MiB, but more than an arena, in one piece."""
    run("""
_heap.install()
kept = objects(100_000)
limit_growth(7 << 18)
while id(kept[-1]) >> 21 << 21 in _heap.chunks():
    kept += objects(1_000)
resource.setrlimit(resource.RLIMIT_AS, resource.getrlimit(resource.RLIMIT_AS)[1:] * 2)
assert sum(one[0] == one[1] for one in kept) == len(kept) > 100_000
del kept
assert len(_heap.chunks()) < 4
""")


@pytest.mark.parametrize("allocator", ["malloc", "debug", "pymalloc"])
def test_it_is_harmless_with_every_allocator_of_python(allocator: str) -> None:
    found = run(
        """
_heap.install()
kept = objects(200_000)
_heap.settle()
assert sum(one[0] for one in kept) == sum(range(1_000, 201_000))
print(len(_heap.chunks()) > 0)
""",
        PYTHONMALLOC=allocator,
    )
    assert found.strip() == str(allocator != "malloc")


def test_the_daemon_alone_installs_it() -> None:
    run("""
import sys
from pbx import __main__
sys.argv = ["voipat", "version"]
__main__.main()
assert _heap.chunks() == [] and _heap.install()
""")
    run("""
import sys
from pbx import __main__
sys.argv = ["voipat", "serve", "--config", "/nowhere.toml"]
assert __main__.main() == 2
assert _heap.chunks() and not _heap.install()
""")
