"""Work shared out over threads by the piece: ahead of who needs it, or as many pieces at a time as torch may use.

With `parallel_map` each piece is one thread's. A product that several threads share is cut up by its shape, so that a
row's bits depend on its place and on the number of threads; a product of one thread does not, and threads that never
wait for one another lose nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

Piece = TypeVar("Piece")
Result = TypeVar("Result")


def one_ahead(work: Callable[[Piece], Result], pieces: Iterable[Piece]) -> Iterator[Result]:
    """`work` of each piece in order, the next one's under way in a thread while this one's result is used."""
    with ThreadPoolExecutor(1) as pool:
        coming: Future[Result] | None = None
        for piece in pieces:
            ready, coming = coming, pool.submit(work, piece)
            if ready is not None:
                yield ready.result()
        if coming is not None:
            yield coming.result()


def parallel_map(work: Callable[[Piece], Result], pieces: Iterable[Piece]) -> Iterator[Result]:
    """`work` of each piece in order, torch.get_num_threads() at a time; what `work` raises is raised here.

    What `work` makes ready at its first call has to be there already. Until the last result was taken, or the iterator
    closed, torch has one thread everywhere: its setting is the process's, not a thread's.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        if threads == 1:
            yield from map(work, pieces)
            return
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            waiting: deque[Future[Result]] = deque()
            try:
                for piece in pieces:
                    if len(waiting) == 2 * threads:
                        yield waiting.popleft().result()
                    waiting.append(pool.submit(work, piece))
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()
    finally:
        torch.set_num_threads(threads)
