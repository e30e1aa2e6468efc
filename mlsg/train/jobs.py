"""`--jobs`: several trainings at the same time on this host, each in a process of its own with its part of the cores.

Two trainings of one thread each leave fewer cores idle than one of two threads: while one waits for memory the other
computes. What they share (views, what is measured of the base) one of them makes, or all of them together. The
process that starts them imports no torch; when it dies, they end.
"""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import sys
import traceback
from collections.abc import Mapping
from concurrent.futures import as_completed
from multiprocessing import connection
from typing import TextIO

from mlsg import console
from mlsg.errors import MlsgError
from mlsg.train.job import CheckpointPolicy, TrainJob, build_encoder
from mlsg.train.launch import RESUME, ProcessLostError, end_with_parent, how_it_ended, starting_thread


def train_jobs(wanted: Mapping[int, TrainJob], jobs: int, checkpoints: CheckpointPolicy) -> None:
    """Make the encoders of `wanted`, by their seeds, `jobs` at a time; they are in the workspace afterwards.

    A seed that fails does not stop the others. At the end what the first of those that failed raised is raised,
    ProcessLostError where its process died.
    """
    failed: dict[int, Exception] = {}
    with starting_thread(jobs) as threads:
        seeds = {threads.submit(_train_in_process, seed, job, jobs, checkpoints): seed for seed, job in wanted.items()}
        for count, future in enumerate(as_completed(seeds), start=1):
            error = future.exception()
            if isinstance(error, Exception):
                failed[seeds[future]] = error
                if len(failed) > 1 or count < len(wanted):
                    console.note(f"seed {seeds[future]} failed: {error}")
    for seed in wanted:
        if seed in failed:
            error = failed[seed]
            raise type(error)(f"seed {seed}: {error.problem}", error.remedy) if isinstance(error, MlsgError) else error


def _train_in_process(seed: int, job: TrainJob, jobs: int, checkpoints: CheckpointPolicy) -> None:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(seed, job, jobs, checkpoints, there), daemon=True)
    process.start()
    there.close()
    try:
        error: Exception | None = here.recv()
    except EOFError:
        process.join()
        error = ProcessLostError(f"the process {how_it_ended(process.exitcode)}", RESUME)
    process.join()
    if error is not None:
        raise error


def _work(seed: int, job: TrainJob, jobs: int, checkpoints: CheckpointPolicy, result: connection.Connection) -> None:
    """One process: it sends None or its error."""
    end_with_parent()
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // jobs)))
    sys.stderr = _Labelled(f"seed {seed}: ", sys.stderr)
    error: Exception | None = None
    try:
        build_encoder(job, checkpoints)
    except MlsgError as found:
        error = found
    except Exception:
        error = RuntimeError(f"seed {seed}:\n{traceback.format_exc()}")
    with contextlib.suppress(OSError):
        result.send(error)


class _Labelled(io.TextIOBase):
    """A stream whose lines begin with a label, where several processes write at the same time."""

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
