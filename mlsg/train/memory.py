"""Memory that a step has given back stays with the process for the next one.

By itself the C library returns large pieces to the system, which hands them out again page by page and zeroed: with
gradients of hundreds of megabytes that was a tenth of a step of mBERT's shape.
"""

from __future__ import annotations

import contextlib
import ctypes
import platform

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
"""Of glibc's malloc.h."""


def keep_freed_memory() -> bool:
    """Ask the C library for it, for the rest of the process; whether it is one that can be asked (glibc)."""
    if platform.libc_ver()[0] != "glibc":
        return False
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        return bool(library.mallopt(_MMAP_MAX, 0) and library.mallopt(_TRIM_THRESHOLD, -1))
    return False
