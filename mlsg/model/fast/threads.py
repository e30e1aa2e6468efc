"""Work on items in threads: one item ahead of its use, or as many items at a time as torch may use threads.

With `parallel_map` each item is one thread's. A product that several threads share is cut up by its shape, so that a
row's bits depend on its place and on the number of threads; a product of one thread does not, and threads that never
wait for one another lose nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


def prefetch(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """`work` of each item in order, the next one's under way in a thread while this one's result is used."""
    with ThreadPoolExecutor(1) as pool:
        coming: Future[Result] | None = None
        for item in items:
            ready, coming = coming, pool.submit(work, item)
            if ready is not None:
                yield ready.result()
        if coming is not None:
            yield coming.result()


def parallel_map(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """`work` of each item in order, torch.get_num_threads() at a time; what `work` raises is raised here.

    What `work` makes ready at its first call has to be there already. Until the last result was taken, or the iterator
    closed, torch has one thread everywhere: its setting is the process's, not a thread's.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        if threads == 1:
            yield from map(work, items)
            return
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            waiting: deque[Future[Result]] = deque()
            try:
                for item in items:
                    if len(waiting) == 2 * threads:
                        yield waiting.popleft().result()
                    waiting.append(pool.submit(work, item))
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()
    finally:
        torch.set_num_threads(threads)
