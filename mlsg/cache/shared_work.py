"""Files that one process has to make for an artefact, and that those who wait for it make with it.

    for number in do_shared_work(scratch, names, make): ...    # the process that builds: all that nobody else makes
    help_shared_work(scratch, names, make)                 # one that waits: one that nobody makes yet, from the last on

`make(number)` leaves the file of that name in `scratch`, by a rename. Each is made by one process, which holds a lock
on it; a lock goes when its process does.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from filelock import FileLock, Timeout

_UNFINISHED = "unfinished"
"""A file that is there as long as pieces are made. Helpers ask for it, because they may come when all is over."""


def do_shared_work(scratch: Path, names: Sequence[str], make: Callable[[int], None]) -> Iterator[int]:
    """The number of each piece once it is there; after the last one, nobody makes any more."""
    (scratch / _UNFINISHED).touch()
    elsewhere: list[int] = []
    for number, name in enumerate(names):
        with _claimed(scratch, name, timeout=0) as mine:
            if mine and not (scratch / name).exists():
                make(number)
        if (scratch / name).exists():
            yield number
        else:
            elsewhere.append(number)
    for number in elsewhere:
        with _claimed(scratch, names[number], timeout=-1):
            if not (scratch / names[number]).exists():  # whoever was making it has died
                make(number)
        yield number
    (scratch / _UNFINISHED).unlink()


def help_shared_work(scratch: Path, names: Sequence[str], make: Callable[[int], None]) -> bool:
    """Make one piece. False where none is left to begin, or no pieces are made."""
    for number in reversed(range(len(names))):
        if not (scratch / _UNFINISHED).exists():
            return False
        if not (scratch / names[number]).exists():
            with _claimed(scratch, names[number], timeout=0) as mine:
                # In this order: as long as the work is unfinished no piece is taken away, and it stays unfinished
                # without this one.
                if mine and not (scratch / names[number]).exists() and (scratch / _UNFINISHED).exists():
                    make(number)
                    return True
    return False


@contextlib.contextmanager
def _claimed(scratch: Path, name: str, *, timeout: float) -> Iterator[bool]:
    lock = FileLock(scratch / f".{name}.lock")
    try:
        lock.acquire(timeout=timeout)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()
