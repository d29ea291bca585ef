"""The memory of Python's objects on pages of 2 MiB: a call looks at thousands of objects, each on a page of its own.

Whatever is allocated stays where it is, so `install` comes before the modules of the program. It is for a process as a
whole and for good. Where the kernel has no huge pages, the memory is as before; where Python does not use its own
allocator (`PYTHONMALLOC=malloc`), only blocks are on huge pages.
"""

cdef extern from "arenas.h":
    ctypedef struct Chunk:
        char* memory
    ctypedef struct Heap:
        int is_installed
        size_t count
        Chunk* chunks
    Heap heap
    void heap_install()
    void reserve_keep()

cdef extern from "blocks.h":
    void blocks_open()

cdef bint is_settled = False


def install() -> bool:
    """Arenas of small objects come from chunks of 2 MiB from now on, larger objects from 26 MiB of malloc's heap.

    False when that was done already, which changes nothing.
    """
    if heap.is_installed:
        return False
    heap_install()
    blocks_open()
    return True


def settle() -> None:
    """The program is loaded and has deadlines from here on: a thread makes the next chunks before they are asked for.

    Without `install`, and when called again, nothing happens.
    """
    global is_settled
    if not heap.is_installed or is_settled:
        return
    is_settled = True
    reserve_keep()


def chunks() -> list:
    """The addresses of the chunks that hold arenas; those made ahead are not among them."""
    return [<size_t> heap.chunks[index].memory for index in range(heap.count)]
