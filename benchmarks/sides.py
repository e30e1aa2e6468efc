"""Both sides of a training in processes of their own: neither works in memory that the other one has fragmented.

with Lanes("mlsg", task, count=2, threads=1) as mine:
    mine.do("begin")
    seconds = mine.do("step", 4)        # both processes at the same time, the mean of what each of them took
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any

import torch

from benchmarks import material, ours, straightforward
from benchmarks.ratio import timed

Work = Callable[..., Any]


@dataclass(frozen=True)
class Task:
    """What is trained."""

    shape: str
    precision: str
    """Of mlsg."""
    device: str
    steps: int
    """Of a whole training."""
    sample: int
    """Sentences."""
    dev: int
    """Pairs of a dev evaluation."""
    sorted_dev: bool = True


@dataclass(frozen=True)
class Lanes:
    """Processes of one side that do the same at the same time."""

    pipes: Sequence[Connection]

    def do(self, what: str, *given: object) -> float:
        """Have all of them do it; the mean of their seconds."""
        return mean(seconds for seconds, _ in self._answers(what, given))

    def ask(self, what: str, *given: object) -> Any:
        """What the first of them answers."""
        return self._answers(what, given)[0][1]

    def first(self) -> Lanes:
        """The first of them alone."""
        return Lanes(self.pipes[:1])

    def _answers(self, what: str, given: Sequence[object]) -> list[tuple[float, Any]]:
        for pipe in self.pipes:
            pipe.send((what, given))
        return [pipe.recv() for pipe in self.pipes]


@contextmanager
def lanes(side: str, task: Task, *, count: int = 1, threads: int = 0) -> Iterator[Lanes]:
    """Start `count` processes of "mlsg" or "straightforward", with `threads` threads each; 0: their default."""
    context = multiprocessing.get_context("spawn")
    with _environment(OMP_NUM_THREADS=str(threads) if threads else os.environ.get("OMP_NUM_THREADS")):
        pairs = [context.Pipe() for _ in range(count)]
        processes = [
            context.Process(target=_serve, args=(side, task, seed, there), daemon=True)
            for seed, (_, there) in enumerate(pairs, start=1)
        ]
        for process in processes:
            process.start()
    for _, there in pairs:
        there.close()
    try:
        yield Lanes([here for here, _ in pairs])
    finally:
        for here, _ in pairs:
            here.close()
        for process in processes:
            process.join()


def _serve(side: str, task: Task, seed: int, pipe: Connection) -> None:
    """One process: do what is asked for until the pipe is closed."""
    with TemporaryDirectory() as folder, ours.on(task.device):
        works = (_mlsg if side == "mlsg" else _straightforward)(task, seed, Path(folder))
        while True:
            try:
                what, given = pipe.recv()
            except EOFError:
                return
            pipe.send(_done(works[what], given))


def _done(work: Work, given: Sequence[object]) -> tuple[float, Any]:
    """Seconds, and the answer."""
    answers: list[Any] = []
    seconds = timed(lambda: answers.append(work(*given)))
    return seconds, answers[0]


def _mlsg(task: Task, seed: int, folder: Path) -> Mapping[str, Work]:
    base = material.base_folder(task.shape, folder)
    place = ours.setting(folder / "ours", base, material.sentences(task.sample), material.dev_pairs(task.dev))
    begun: list[ours.Ours] = []

    def begin(begin_seed: int = seed) -> None:
        begun.clear()  # one training's memory is enough
        begun.append(place.begin(precision=task.precision, seed=begin_seed))

    def training() -> ours.Ours:
        return begun[0]

    return {
        "begin with views": lambda: begin(1000 + seed),
        "begin": begin,
        "texts": lambda first, count: [training().texts_of(step) for step in range(first, first + count)],
        "step": lambda count: [training().step() for _ in range(count)],
        "dev": lambda: training().measure(),
        "checkpoint": lambda: training().save(),
        "bytes of a checkpoint": lambda: training().checkpoint_size,
        "best": lambda: training().save_best(),
        "encoder": lambda: training().finish(),
    }


def _straightforward(task: Task, seed: int, folder: Path) -> Mapping[str, Work]:
    base, dev = material.base_folder(task.shape, folder), material.dev_pairs(task.dev)
    begun: list[straightforward.Straightforward] = []

    def begin() -> None:
        begun[:] = [straightforward.start(base, task.steps, device=task.device, seed=seed)]
        begun[0].sorted_dev = task.sorted_dev

    return {
        "begin": begin,
        "step": lambda batches: [float(begun[0].step(batch)) for batch in batches],
        "dev": lambda: begun[0].evaluate(dev),
        "best": lambda: begun[0].save(folder / "saved"),
        "threads": torch.set_num_threads,
    }


@contextmanager
def _environment(**values: str | None) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    _put(values)
    try:
        yield
    finally:
        _put(before)


def _put(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
