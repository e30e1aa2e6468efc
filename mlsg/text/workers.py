"""Pieces of text sifted by several processes, in order: the result does not depend on their number.

A worker is a Python of its own that speaks over two pipes (no fork of a process with threads, no import of the user's
main module, no pickle). A thread here waits for each. At most three pieces a worker are on their way, so memory stays
flat. A worker is out of reach of the terminal's Ctrl-C and ends with this process, however that ends, since its input
does.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import cast

import mlsg
from mlsg.errors import MlsgError
from mlsg.text.filter import FilteredBatch, LineFilter
from mlsg.text.frames import read_frame, write_frame
from mlsg.text.worker import FAULT, pack_sieve, unpack_sifted

_MOST = 4  # as many as one process can read for and find duplicates after
_ALONE = 8  # pieces that are sifted before workers are started: a fraction of a second's work
_AHEAD = 3  # pieces a worker that are read before the first of them is asked for
_PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])  # the package that runs here, wherever it lies
import mlsg
del sys.path[0]
from mlsg.text.worker import serve
serve()
"""


def processes_at_hand() -> int:
    """Return how many workers pay on this machine: one for each core that this process may use, four at most."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, _MOST)


def sift_all(sieve: LineFilter, pieces: Iterator[str], processes: int) -> Generator[FilteredBatch, None, None]:
    """Yield every piece sifted, in order; with one process, or little text, all of it here.

    Workers run until the last piece or until this generator is closed: close it. Raises MlsgError when one of them ends
    before that.
    """
    for piece in pieces if processes == 1 else islice(pieces, _ALONE):
        yield sieve.sift(piece)
    following = next(pieces, None)
    if following is not None:
        yield from _sift_elsewhere(sieve, _with_first(following, pieces), processes)


def _with_first(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest


def _sift_elsewhere(sieve: LineFilter, pieces: Iterator[str], processes: int) -> Generator[FilteredBatch, None, None]:
    idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()

    def sift(piece: str) -> FilteredBatch:
        worker = idle.get()
        try:
            return worker.sift(piece)
        finally:
            idle.put(worker)

    workers: list[_Worker] = []
    under_way: deque[Future[FilteredBatch]] = deque()
    threads = ThreadPoolExecutor(processes, thread_name_prefix="sift")
    try:
        for _ in range(processes):
            workers.append(_Worker(sieve))
            idle.put(workers[-1])
        for piece in pieces:
            under_way.append(threads.submit(sift, piece))
            if len(under_way) >= _AHEAD * processes:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    finally:
        for worker in workers:
            worker.end()
        threads.shutdown(cancel_futures=True)


class _Worker:
    """One process, for one thread at a time."""

    def __init__(self, sieve: LineFilter) -> None:
        self._unsaid: list[bytes] = pack_sieve(sieve)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _PROGRAM, str(Path(cast("str", mlsg.__file__)).parents[1])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            process_group=0 if os.name == "posix" else None,
        )

    def sift(self, piece: str) -> FilteredBatch:
        """Have one piece sifted. Raises MlsgError when the process is gone, RuntimeError for a fault in it."""
        source, target = self._process.stdin, self._process.stdout
        assert source is not None
        assert target is not None
        answer = None
        with contextlib.suppress(OSError):
            if self._unsaid:
                write_frame(source, self._unsaid)
                self._unsaid = []
            write_frame(source, [piece.encode("utf-8", "surrogatepass")])
            answer = read_frame(target)
        if answer is None:
            raise _gone(self._process.wait())
        if answer[0] == FAULT:
            raise RuntimeError(answer[1].decode())
        return unpack_sifted(answer)

    def end(self) -> None:
        """End the process; a thread that waits for it finds it gone."""
        self._process.kill()
        self._process.wait()


def _gone(status: int) -> MlsgError:
    how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
    remedy = "where memory is short, free some; then run the same command again"
    return MlsgError(f"a process that cleans text {how}", remedy)
