"""Several trainings at the same time on this host, each in a process of its own with its part of the cores.

Two trainings of one thread each leave fewer cores idle than one of two threads: while the one waits for memory the
other computes. What they share (views, what is measured of the base) one of them makes, or all of them together. The
process that starts them imports no torch; when it dies, they end.
"""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from typing import Any, TextIO

from mlsg import console
from mlsg.errors import MlsgError
from mlsg.train.failures import GO_ON, ProcessLostError, error_of, failure_of
from mlsg.train.starting import Job, deaf_to_interrupts, how_it_ended

_LEAVE_SECONDS = 3.0


@dataclass(frozen=True)
class _Training:
    seed: int
    process: BaseProcess
    pipe: connection.Connection


def train_at_once(wanted: Mapping[int, Job], jobs: int) -> None:
    """Have the encoders of `wanted`, by their seeds, made, so many at a time; they are in the workspace afterwards.

    A seed that fails does not stop the others. At the end what the first of those that failed raised is raised,
    ProcessLostError where its process died.
    """
    waiting, running, failed = list(wanted.items()), list[_Training](), dict[int, BaseException]()
    try:
        while waiting or running:
            with deaf_to_interrupts():
                while waiting and len(running) < jobs:
                    running.append(_started(*waiting.pop(0), jobs))
            spoken = connection.wait([training.pipe for training in running])
            for training in [each for each in running if each.pipe in spoken]:
                running.remove(training)
                error = _outcome(training)
                if error is not None:
                    failed[training.seed] = error
                    if len(failed) > 1 or waiting or running:
                        console.note(f"seed {training.seed} failed: {error}")
    finally:
        for training in running:
            training.process.terminate()
        for training in running:
            _gone(training)
    for seed in wanted:
        if seed in failed:
            raise _named(failed[seed], seed)


def _started(seed: int, job: Job, jobs: int) -> _Training:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(seed, job, jobs, there), daemon=True, name=f"mlsg-seed-{seed}")
    process.start()
    there.close()
    return _Training(seed, process, here)


def _outcome(training: _Training) -> BaseException | None:
    """What a process that has spoken or ended raised, or None."""
    try:
        failure: dict[str, Any] | None = training.pipe.recv()
    except (EOFError, ConnectionError):
        _gone(training)
        return ProcessLostError(f"the process {how_it_ended(training.process.exitcode)}", GO_ON)
    _gone(training)
    return None if failure is None else error_of(failure)


def _gone(training: _Training) -> None:
    training.process.join(_LEAVE_SECONDS)
    if training.process.is_alive():
        training.process.kill()
        training.process.join()
    training.pipe.close()


def _named(error: BaseException, seed: int) -> BaseException:
    if isinstance(error, MlsgError):
        return type(error)(f"seed {seed}: {error.problem}", error.remedy)
    return error


def _work(seed: int, job: Job, jobs: int, pipe: connection.Connection) -> None:
    """One process: what it tells through the pipe is None or its failure."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // jobs)))
    sys.stderr = _Labelled(f"seed {seed}: ", sys.stderr)
    failure = None
    try:
        from mlsg.train import encoder_of

        encoder_of(job.order, job.workspace, job.pace, 1)
    except BaseException as error:
        failure = failure_of(error, 0)
    with contextlib.suppress(OSError):
        pipe.send(failure)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


class _Labelled(io.TextIOBase):
    """A stream whose lines begin with a label: who says this, where several talk at the same time."""

    def __init__(self, label: str, stream: TextIO) -> None:
        self._label, self._stream, self._begun = label, stream, ""

    def write(self, text: str) -> int:
        """Pass on whole lines, each in one piece."""
        *lines, self._begun = (self._begun + text).split("\n")
        self._stream.write("".join(f"{self._label}{line}\n" for line in lines))
        return len(text)

    def flush(self) -> None:
        """Pass on what was written."""
        self._stream.flush()
