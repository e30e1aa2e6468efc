"""Signs of life: how a process of a training learns that another one has failed, died or hangs.

A thread counts up in the shared store and reads the counters of others; a second one, which waits for nobody, ends this
process when there is reason to and its main thread, waiting for tensors that will never come, cannot see it. Ticks of
that thread are counted and not seconds, so that a job that was stopped as a whole (Ctrl-Z) can go on.
"""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import torch.distributed as dist

from mlsg.train.failures import GO_ON, ProcessLostError, error_of, failure_of
from mlsg.train.outside import Place

TICK = 1.0
MISSED = 30
"""Ticks without a sign of life after which a process counts as dead."""
GRACE = 5
"""Ticks that a main thread gets to end by itself."""
_SUSPECT = 3
"""Ticks without a sign of life that name the culprit once an exchange is broken."""


class Vigil:
    """The watch that one process keeps."""

    def __init__(self, place: Place, store: dist.Store, report: Callable[[BaseException], None] | None) -> None:
        self.place, self._store, self._report = place, store, report
        self.ending = threading.Event()
        """The main thread has seen that this is the end."""
        self.failure: dict[str, Any] | None = None
        """What another process has failed with."""
        self._over = threading.Event()
        self._beats: dict[int, bytes] = {}
        self._missed: dict[int, int] = {}
        self._rounds = 0
        store.set(f"beat/{place.rank}", "0")

    def start(self) -> None:
        """Begin; all others have written their first sign by now."""
        for work in (self._beat, self._watch):
            threading.Thread(target=work, daemon=True, name=f"mlsg{work.__name__}").start()

    def stop(self) -> None:
        """This process has seen the end through."""
        self._over.set()

    def silent(self, ticks: int = _SUSPECT) -> list[int]:
        """Processes without a sign of life for so many ticks."""
        return [rank for rank, missed in self._missed.items() if missed >= ticks]

    def error(self) -> BaseException:
        """What another process has failed with, as the first process tells it; the others only leave."""
        assert self.failure is not None
        error = error_of(self.failure)
        return error if self.place.rank == 0 else ProcessLostError(str(error), GO_ON)

    def explain(self, error: RuntimeError | None) -> BaseException:
        """What to raise for a broken exchange or a launcher's wish to end: a failure, a death, the error itself."""
        self.ending.set()
        until = time.monotonic() + (TICK if self._report else (GRACE + 1) * TICK)
        while time.monotonic() < until and not self.failure and not self.silent():
            time.sleep(0.05)
        if self.failure:
            return self.error()
        if error is None or self.silent() or self.place.rank or self._report:
            return self._lost()
        return error

    def _lost(self) -> ProcessLostError:
        which = f"process {self.silent()[0]}" if self.silent() else "a process"
        return ProcessLostError(f"{which} of {self.place.size} has died or cannot be reached", GO_ON)

    def _beat(self) -> None:
        """Give signs of life and take note of those of others: the first process of all, these of the first."""
        watched = range(1, self.place.size) if self.place.rank == 0 else [0]
        try:
            for number in itertools.count(1):
                if self._over.wait(TICK):
                    return
                self._store.set(f"beat/{self.place.rank}", str(number))
                self._beats = {rank: self._store.get(f"beat/{rank}") for rank in watched}
                if self.failure is None and self._store.check(["failure"]):
                    self.failure = json.loads(self._store.get("failure"))
                self._rounds += 1
        except RuntimeError:  # the store is gone; rounds no longer grow
            if self.place.rank:
                self._missed = {0: MISSED}

    def _watch(self) -> None:
        rounds, beats, late = -1, dict[int, bytes](), 0
        parent = multiprocessing.parent_process() if self._report else None
        while not self._over.wait(TICK):
            if parent is not None and not parent.is_alive():
                os._exit(1)
            if rounds == self._rounds:  # not even the store answers
                self._missed = {**self._missed, 0: self._missed.get(0, 0) + 1}
            else:
                missed = {rank: self._missed.get(rank, 0) + 1 for rank, beat in self._beats.items()}
                self._missed = {
                    rank: missed[rank] if beats.get(rank) == beat else 0 for rank, beat in self._beats.items()
                }
            rounds, beats = self._rounds, self._beats
            late += bool(self.failure or self.silent(MISSED))
            if late > GRACE * (4 if self.ending.is_set() else 1):
                self._force()

    def _force(self) -> None:
        """Leave from beside a main thread that is stuck. The workspace is as after any kill."""
        error = error_of(self.failure) if self.failure else self._lost()
        if self._report is not None:
            self._report(error)
        elif self.place.rank == (1 if 0 in self.silent() else 0):
            print(f"error: {error}", file=sys.__stderr__, flush=True)
        os._exit(failure_of(error, self.place.rank)["code"])
