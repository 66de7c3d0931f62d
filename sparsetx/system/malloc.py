"""glibc malloc settings for work on a CPU: keep freed memory in the process.

Every step allocates the same large arrays. By default glibc returns large blocks to the
system when they are freed and requests them again: the page faults cost a third of a
training step, and a fifth of a search on one core. So large blocks are not mapped
separately (M_MMAP_MAX), the heap is not trimmed (M_TRIM_THRESHOLD), and all threads
share one heap (M_ARENA_MAX), since only the main heap keeps large blocks.

Not used for commands that mostly compile: there the compiler's threads would wait for
one another at the one heap.
"""

import ctypes

# The numbers of mallopt options in glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8
OPTIONS = {M_TRIM_THRESHOLD: -1, M_MMAP_MAX: 0, M_ARENA_MAX: 1}  # -1: not at all


def keep() -> bool:
    """Apply the settings; call it before any thread starts. False if not glibc."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    taken = [mallopt(option, value) == 1 for option, value in OPTIONS.items()]
    return all(taken)
