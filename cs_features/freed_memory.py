"""Memory that was freed, given back to the machine.

glibc keeps what is freed for whoever asks next, and a run's steps follow one another: what each needed at its height
would add up. Not here: polars' own allocator, which the image tells to keep nothing (`deploy/Dockerfile`).
"""

import ctypes

_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc: elsewhere nothing is to be done, or can be


def give_memory_back() -> None:
    if _trim is not None:
        _trim(0)
