"""`mlsg train --processes N`: start N processes on this host, and see to it that all of them end.

The starter imports no torch and trains nothing: whichever process dies, it is there to say so. Processes that it leaves
behind by dying itself notice that it is gone and end (`mlsg.train.vigil`).
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Any

from mlsg.errors import SettingError
from mlsg.train.failures import GO_ON, ProcessLostError, error_of, failure_of
from mlsg.train.outside import Place, silence
from mlsg.train.pace import Pace

if TYPE_CHECKING:
    from mlsg.cache.workspace import Workspace
    from mlsg.train import TrainJob

_SETTLE_SECONDS = 3.0
"""How long a broken connection may wait for its reason."""
_LEAVE_SECONDS = 20.0
_HOST = "127.0.0.1"


@dataclass(frozen=True)
class Job:
    """What each process is handed."""

    order: TrainJob
    workspace: Workspace
    pace: Pace


@dataclass
class _Worker:
    rank: int
    process: BaseProcess
    pipe: connection.Connection
    failure: dict[str, Any] | None = None
    done: bool = False
    heard: bool = field(default=True)
    """Whether the pipe is still open."""


def train_on(processes: int, job: Job) -> None:
    """Have the encoder of `job` made by many processes; it is in the workspace afterwards.

    Raises what one of them raised, ProcessLostError when one died, SettingError for more processes than sentences in a
    batch.
    """
    batch = job.order.recipe.train.batch_size
    if processes > batch:
        raise SettingError(f"{processes} processes for batches of {batch} sentences", f"start at most {batch}")
    workers: list[_Worker] = []
    try:
        with deaf_to_interrupts():
            workers.extend(_started(rank, processes, job) for rank in range(processes))
        _see_through(workers)
    finally:
        _end(workers)


def _started(rank: int, size: int, job: Job) -> _Worker:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_work, args=(rank, size, there, job), daemon=True, name=f"mlsg-{rank}")
    process.start()
    there.close()
    return _Worker(rank, process, here)


def _see_through(workers: Sequence[_Worker]) -> None:
    """Pass on the first process's port, then wait until all are done. Raises when one is not."""
    until = float("inf")
    while any(worker.heard for worker in workers):
        waiting = [worker.pipe for worker in workers if worker.heard]
        if not connection.wait(waiting, max(0.0, min(until - time.monotonic(), 3600.0))) and time.monotonic() > until:
            break
        for worker in workers:
            while worker.heard and worker.pipe.poll():
                _hear(worker, workers)
        _raise_reason(workers)
        if any(worker.failure for worker in workers):
            until = min(until, time.monotonic() + _SETTLE_SECONDS)
    failed = next((worker.failure for worker in workers if worker.failure), None)
    if failed:
        raise error_of(failed)


def _hear(worker: _Worker, workers: Sequence[_Worker]) -> None:
    try:
        kind, value = worker.pipe.recv()
    except (EOFError, ConnectionError):
        worker.heard = False
        return
    if kind == "port":
        for other in workers:
            with contextlib.suppress(OSError):  # one that died meanwhile is seen by its closed pipe
                other.pipe.send(value)
    elif kind == "failure":
        worker.failure = worker.failure or value
    else:
        worker.done = True


def _raise_reason(workers: Sequence[_Worker]) -> None:
    """Raise what is certain: an error of a process, or that one died. A broken connection is only what follows."""
    for worker in workers:
        if worker.failure and worker.failure["kind"] != ProcessLostError.__name__:
            raise error_of(worker.failure)
    for worker in workers:
        if not worker.heard and not worker.done and not worker.failure:
            worker.process.join(_SETTLE_SECONDS)
            raise ProcessLostError(
                f"process {worker.rank} of {len(workers)} {how_it_ended(worker.process.exitcode)}", GO_ON
            )


def how_it_ended(code: int | None) -> str:
    """The end of a process that should have gone on, in words that follow its name."""
    if code is None or code >= 0:
        return f"ended without a word (exit code {code})"
    name = signal.Signals(-code).name
    return f"was killed by {name}{' (out of memory?)' if name == 'SIGKILL' else ''}"


def _end(workers: Sequence[_Worker]) -> None:
    """Leave no process behind: those that are done go by themselves, the others are told to, then made to."""
    until = time.monotonic() + _LEAVE_SECONDS
    for worker in workers:
        if worker.done and all(other.done for other in workers):
            worker.process.join(max(0.0, until - time.monotonic()))
    for worker in workers:
        worker.process.terminate()
    for worker in workers:
        worker.process.join(_SETTLE_SECONDS)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
        worker.pipe.close()


def _work(rank: int, size: int, pipe: connection.Connection, job: Job) -> None:
    """One process: its exit code does not matter, what it tells through the pipe does."""
    said = threading.Lock()

    def report(error: BaseException) -> None:
        with said, contextlib.suppress(OSError):
            pipe.send(("failure", failure_of(error, rank)))

    if rank:
        silence()
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // size)))
    try:
        port = pipe.recv() if rank else 0
        place = Place(rank, size, rank, size, _HOST, port)
        os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(size), LOCAL_WORLD_SIZE=str(size))
        os.environ.update(MASTER_ADDR=_HOST, MASTER_PORT=str(port))

        from mlsg.train.crew import Crew
        from mlsg.train.together import take_part

        with Crew(place, report=report, tell_port=lambda found: pipe.send(("port", found))) as crew:
            try:
                take_part(crew, job.order, job.workspace, job.pace)
            except BaseException as error:
                report(error)
                raise
        pipe.send(("done", None))
    except SystemExit as end:
        with contextlib.suppress(OSError):
            pipe.send(("done", None) if end.code == 0 else ("left", None))
    except EOFError:
        return  # the starter is gone
    except BaseException as error:
        report(error)


@contextlib.contextmanager
def deaf_to_interrupts() -> Iterator[None]:
    """What is started here inherits that Ctrl-C is for the starter alone, which ends the others in order."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
