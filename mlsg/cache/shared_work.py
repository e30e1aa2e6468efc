"""An artefact made of parts, which its builder makes together with the processes that wait for it.

    for number in build_parts(scratch, names, make): ...    # the builder: all parts that nobody else makes
    help_build_parts(scratch, names, make)                  # one that waits: one part not begun yet, from the last on

`make(number)` leaves the file `names[number]` in `scratch`, by a rename. Each part is made by one process, which holds
a lock on it; a lock goes when its process does.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from filelock import FileLock, Timeout

_UNFINISHED = "unfinished"
"""A file that exists as long as parts are made. Helpers look for it, because they may come when all is done."""


def build_parts(scratch: Path, names: Sequence[str], make: Callable[[int], None]) -> Iterator[int]:
    """The number of each part once it exists; after the last one, no process makes any more."""
    (scratch / _UNFINISHED).touch()
    left = list(range(len(names)))
    for timeout in (0, -1):  # first what nobody makes, then the rest: its maker finishes it, or has died
        numbers, left = left, []
        for number in numbers:
            with contextlib.suppress(Timeout), FileLock(scratch / f".{names[number]}.lock", timeout=timeout):
                if not (scratch / names[number]).exists():
                    make(number)
            if (scratch / names[number]).exists():
                yield number
            else:
                left.append(number)
    (scratch / _UNFINISHED).unlink()


def help_build_parts(scratch: Path, names: Sequence[str], make: Callable[[int], None]) -> bool:
    """Make one part. False where none is left to begin, or no parts are being made."""
    for number in reversed(range(len(names))):
        if not (scratch / _UNFINISHED).exists():
            return False
        if not (scratch / names[number]).exists():
            with contextlib.suppress(Timeout), FileLock(scratch / f".{names[number]}.lock", timeout=0):
                # In this order: while the work is unfinished no part is moved away, and it stays unfinished without
                # this one.
                if not (scratch / names[number]).exists() and (scratch / _UNFINISHED).exists():
                    make(number)
                    return True
    return False
