"""Work shared out over threads by the piece: ahead of who needs it, or as many pieces at a time as torch may use.

With `by_the_piece` each piece is one thread's. A product that several threads share is cut up by its shape, so that a
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


def by_the_piece(work: Callable[[Piece], Result], pieces: Iterable[Piece]) -> Iterator[Result]:
    """`work` of each piece in order, torch.get_num_threads() at a time; what `work` raises is raised here.

    The first is computed alone, so that whatever a model makes ready at its first call is made once. Until the last
    result was taken torch has one thread everywhere: its setting is the process's, not a thread's.
    """
    threads = torch.get_num_threads()
    remaining = iter(pieces)
    torch.set_num_threads(1)
    try:
        for piece in remaining:
            yield work(piece)
            break
        if threads == 1:
            yield from map(work, remaining)
            return
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            waiting: deque[Future[Result]] = deque()
            try:
                for piece in remaining:
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
