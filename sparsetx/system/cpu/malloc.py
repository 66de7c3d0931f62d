"""glibc malloc settings for work on a CPU: keep freed memory in the process, and have
it in large pages.

Every step allocates the same large arrays. By default glibc returns large blocks to the
system when they are freed and requests them again: the page faults cost a third of a
training step, and a fifth of a search on one core. So large blocks are not mapped
separately (M_MMAP_MAX), the heap is not trimmed (M_TRIM_THRESHOLD), and all threads
share one heap (M_ARENA_MAX), since only the main heap keeps large blocks.

A step reads and writes hundreds of such arrays, and with pages of 4 kB to look up where
they are is a tenth of its time and more. Linux gives large pages to memory for which it
is asked (madvise) before that is used; so the heap is made as long as it may ever
become, and asked for at once. No memory is taken until something is written there.

Not used for commands that mostly compile: there the compiler's threads would wait for
one another at the one heap.
"""

import ctypes
import os
from typing import Any

# The numbers of mallopt options in glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8
OPTIONS = {M_TRIM_THRESHOLD: -1, M_MMAP_MAX: 0, M_ARENA_MAX: 1}  # -1: not at all
MADV_HUGEPAGE = 14  # in Linux' mman.h
LARGE_PAGE = 2**21
SHORTEST = 2**30  # of a heap: a smaller one is not worth it


def keep() -> bool:
    """Apply the settings; call it before any thread starts. False if not glibc."""
    library = ctypes.CDLL(None)
    mallopt = getattr(library, "mallopt", None)
    if mallopt is None:
        return False
    taken = [mallopt(option, value) == 1 for option, value in OPTIONS.items()]
    if all(taken):
        ask_for_large_pages(library)
    return all(taken)


def ask_for_large_pages(library: Any) -> int:
    """How many bytes of the heap were asked for; 0 where that cannot be."""
    if not hasattr(library, "madvise"):
        return 0
    library.malloc.restype = ctypes.c_void_p
    library.malloc.argtypes = [ctypes.c_size_t]
    library.free.argtypes = [ctypes.c_void_p]
    library.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    while size >= SHORTEST:
        if block := library.malloc(size):
            start = -(-block // LARGE_PAGE) * LARGE_PAGE
            end = (block + size) // LARGE_PAGE * LARGE_PAGE
            refused = library.madvise(start, end - start, MADV_HUGEPAGE)
            library.free(block)
            return 0 if refused else end - start
        size //= 2  # a limit on this process, or a system that promises no more
    return 0
