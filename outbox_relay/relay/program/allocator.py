"""The C library's allocator, set for what a relay does with it.

A record's memory is taken by the thread that hands it over and given back by the client's own, a hundred thousand times
a second. glibc gives each thread an arena, so that the two then meet at a lock and chunks are joined and split again;
and it returns the end of the heap to the system after each batch, to ask for it again with the next. With one arena,
and a heap that keeps its end, an event costs the relay less CPU (docs/decisions/0060). musl and macOS have other
allocators, and nothing to set.
"""

import ctypes
from typing import Final

# malloc.h
M_TRIM_THRESHOLD: Final = -1
M_MMAP_THRESHOLD: Final = -3
M_ARENA_MAX: Final = -8

KEPT_BYTES: Final = 64 << 20  # of a free end of the heap, in the place of 128 KiB; a batch's rows take less
MAPPED_BYTES: Final = 32 << 20  # the most that glibc takes: the rows of a page come from the heap, too


def keep_memory() -> None:
    """Set it for the rest of the process; does nothing on another C library. To be called before there are threads."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    for parameter, value in ((M_ARENA_MAX, 1), (M_TRIM_THRESHOLD, KEPT_BYTES), (M_MMAP_THRESHOLD, MAPPED_BYTES)):
        mallopt(parameter, value)
