"""What malloc is told where a model trains: to keep what a step frees.

A step allocates the same large arrays as the one before. glibc gives such arrays back
to the system when they are freed, and asks for them again: on a CPU, that costs a third
of a training step in page faults. So: no mapping of its own for a large array, no
trimming, and one heap for all threads, since no other keeps what is large.

Not for what compiles many programs: the compiler's threads wait for each other there.
"""

import ctypes

# Options of malloc as glibc numbers them.
M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8
OPTIONS = {M_TRIM_THRESHOLD: 2**31 - 1, M_MMAP_MAX: 0, M_ARENA_MAX: 1}


def keep() -> bool:
    """To be called before there are threads. False where the C library is another."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    taken = [mallopt(option, value) == 1 for option, value in OPTIONS.items()]
    return all(taken)
