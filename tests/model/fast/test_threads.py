"""Work on items in threads: order, errors, and torch's own threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch

from mlsg.model.fast.threads import parallel_map, prefetch


@pytest.fixture(params=[1, 2, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("count", [0, 1, 2, 50])
def test_results_come_in_the_order_of_the_items(threads: int, count: int) -> None:
    assert list(parallel_map(lambda n: n * n, range(count))) == [n * n for n in range(count)]
    assert torch.get_num_threads() == threads


def test_as_many_items_as_torch_has_threads_are_worked_on_at_a_time(threads: int) -> None:
    everyone = threading.Barrier(threads, timeout=20)

    def meet(item: int) -> int:
        if item:  # the first is worked on alone
            everyone.wait()
        return item

    assert list(parallel_map(meet, range(1 + 4 * threads))) == list(range(1 + 4 * threads))


def test_a_item_has_one_thread_of_torch(threads: int) -> None:
    assert set(parallel_map(lambda _: torch.get_num_threads(), range(20))) == {1}


def test_what_a_item_raises_is_raised_and_the_threads_are_given_back(threads: int) -> None:
    def fail(item: int) -> int:
        if item == 5:
            raise ValueError("item 5")
        return item

    with pytest.raises(ValueError, match="item 5"):
        list(parallel_map(fail, range(100)))
    assert torch.get_num_threads() == threads


def test_who_stops_taking_results_stops_the_work_and_has_the_threads_back(threads: int) -> None:
    begun: list[int] = []

    def note(item: int) -> int:
        begun.append(item)
        return item

    results = parallel_map(note, range(10_000))
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    results.close()  # type: ignore[attr-defined]
    assert torch.get_num_threads() == threads
    assert len(begun) < 30


@pytest.mark.parametrize("count", [0, 1, 2, 9])
def test_prefetch_keeps_the_order(count: int) -> None:
    assert list(prefetch(lambda n: n * n, range(count))) == [n * n for n in range(count)]


def test_prefetch_works_on_the_next_item_while_this_one_is_used() -> None:
    begun = [threading.Event() for _ in range(4)]
    for number in prefetch(lambda n: (begun[n].set(), n)[1], range(4)):
        if number < 3:
            assert begun[number + 1].wait(timeout=20)


def test_what_prefetch_meets_is_raised_in_its_place() -> None:
    results = prefetch(lambda n: 1 // n, [1, 0, 1])
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)
