"""The lines of a text that are kept, in their order, with flat memory: filtered by one process or several.

The result does not depend on their number. The processes are those of a `ProcessPoolExecutor`, started afresh (a
process with threads must not fork) when there is enough text. At most three batches a process are pending, so memory
stays flat. Two things differ from the executor's usual behaviour: the user's main module is not imported again, so a
script needs no `if __name__ == "__main__"`; and processes do not receive the terminal's Ctrl-C, and end with the one
that they work for, however that ends.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import types
from collections import Counter, deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from itertools import chain, compress, islice

from mlsg.errors import MlsgError
from mlsg.text.deduplicate import SeenTexts
from mlsg.text.filter import FilteredBatch, LineFilter, batches

_MOST = 4  # as many as one process can read for and find duplicates after
_ALONE = 8  # batches that are filtered before processes are started: a fraction of a second's work
_AHEAD = 3  # batches for each process that are read before the first of them is asked for


def available_processes() -> int:
    """Return how many processes pay on this machine: one for each core that this one may use, four at most."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, _MOST)


@dataclass
class FilterCounts:
    """What became of the lines read; `found`: how many were which evaluation sentence (its `match_form`)."""

    read: int = 0
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)


def filter_texts(
    line_filter: LineFilter, texts: Iterable[str], counts: FilterCounts, processes: int = 1
) -> Generator[Sequence[bytes], None, None]:
    """Yield the kept lines in UTF-8, in batches; `counts` are up to date at each. Close it when it is left early.

    Raises what `texts` raises, and MlsgError when one of the processes is killed.
    """
    seen = SeenTexts()
    with contextlib.closing(filter_batches(line_filter, batches(texts), processes)) as filtered:
        for batch in filtered:
            lines = batch.lines
            if not line_filter.repetitions:
                lines = list(compress(lines, seen.add(batch.digests).tolist()))
            counts.read += batch.read
            counts.kept += len(lines)
            counts.dropped.update(batch.dropped)
            counts.found.update(batch.found)
            if len(lines) < len(batch.lines):
                counts.dropped["duplicate"] += len(batch.lines) - len(lines)
            yield lines


def filter_batches(
    line_filter: LineFilter, texts: Iterator[str], processes: int
) -> Generator[FilteredBatch, None, None]:
    """Yield every batch filtered, in order; with one process, or little text, all of it here.

    Processes run until the last batch or until this generator is closed: close it. Raises MlsgError when one of them
    ends before that.
    """
    yield from map(line_filter.apply, texts if processes == 1 else islice(texts, _ALONE))
    following = next(texts, None)
    if following is None:
        return
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _set_up, (line_filter,))
    pending: deque[Future[FilteredBatch]] = deque()
    try:
        for batch in chain([following], texts):
            with _clean_start():
                pending.append(pool.submit(_apply, batch))
            if len(pending) >= _AHEAD * processes:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    except BrokenProcessPool:
        remedy = "where memory is short, free some; then run the same command again"
        raise MlsgError("a process that cleans text was killed", remedy) from None
    finally:
        pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _clean_start() -> Iterator[None]:
    """Processes that are started here import no main module, and inherit that Ctrl-C is blocked."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT]) if os.name == "posix" else None
    try:
        yield
    finally:
        sys.modules["__main__"] = main
        if blocked is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


_line_filter: LineFilter


def _set_up(line_filter: LineFilter) -> None:
    global _line_filter  # noqa: PLW0603  an initializer has no other way to leave something to the calls
    _line_filter = line_filter
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _apply(batch: str) -> FilteredBatch:
    return _line_filter.apply(batch)
