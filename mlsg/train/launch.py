"""How processes are started: those of one training, here or by a launcher outside, and several trainings at a time.

`--processes` runs torch's elastic launcher with a file as its store, in a folder that only this user can enter; gloo
and NCCL are bound to the loopback interface, so that nothing listens on the network. `--jobs` starts a process for each
encoder with its part of the cores: two trainings of one thread leave fewer cores idle than one of two threads.
Importing this file does not import torch.
"""

from __future__ import annotations

import contextlib
import io
import logging
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from multiprocessing import connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from mlsg import console, errors
from mlsg.errors import RESUME, MlsgError, ProcessLostError, SettingError
from mlsg.train.host import check_host, limit_met, memory_limit

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ProcessFailure


def run_on_processes(processes: int, work: Callable[..., object], *arguments: object) -> None:
    """Call `work(group, *arguments)`, a function of a module, in each of several new processes of this host.

    Raises what the first process that failed raised, ProcessLostError when it was killed, SettingError where this host
    does not let them run.
    """
    check_host(processes)
    with tempfile.TemporaryDirectory(prefix="mlsg-") as folder, _environment(processes), _starting_thread(1) as thread:
        thread.submit(_launch, processes, Path(folder), work, arguments).result()


def run_jobs(work: Callable[..., object], calls: Mapping[int, tuple[object, ...]], jobs: int) -> None:
    """Call `work(*arguments)`, a function of a module, in a process for each seed of `calls`, `jobs` at a time.

    A seed that fails does not stop the others. At the end what the first of those that failed raised is raised,
    ProcessLostError where its process died.
    """
    failed: dict[int, Exception] = {}
    with _starting_thread(jobs) as threads:
        seeds = {threads.submit(_run_job, seed, jobs, work, arguments): seed for seed, arguments in calls.items()}
        for count, future in enumerate(as_completed(seeds), start=1):
            if isinstance(raised := future.exception(), Exception):
                failed[seeds[future]] = raised
                if len(failed) > 1 or count < len(calls):
                    console.note(f"seed {seeds[future]} failed: {raised}")
    for seed in calls:
        if error := failed.get(seed):
            raise type(error)(f"seed {seed}: {error.problem}", error.remedy) if isinstance(error, MlsgError) else error


def launched(environment: MutableMapping[str, str] = os.environ) -> bool:
    """Whether a launcher outside has started this process as one of many; completes what the launcher left out.

    Raises SettingError for variables that are missing or do not fit together.
    """
    size = _number(environment, "WORLD_SIZE", 1)
    if size == 1:
        if "ACCELERATE_USE_CPU" in environment and environment.get("MASTER_ADDR"):
            console.note(
                "accelerate launch was asked for several processes and started one (with --cpu it ignores "
                "--num_processes); use mlsg train --processes N or torchrun"
            )
        return False
    rank = _number(environment, "RANK")
    if not 0 <= rank < size:
        raise SettingError(f"RANK is {rank} and WORLD_SIZE {size}", "number the processes from 0")
    _number(environment, "MASTER_PORT")
    threads = _threads(_number(environment, "LOCAL_WORLD_SIZE", size))
    for name, default in {"LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": size, "OMP_NUM_THREADS": threads}.items():
        environment[name] = str(_number(environment, name, default))
    environment.setdefault("MASTER_ADDR", "127.0.0.1")
    return True


@contextlib.contextmanager
def _starting_thread(threads: int) -> Iterator[ThreadPoolExecutor]:
    """Threads that start processes. Ctrl-C is for this process alone: what was started is ended when it arrives."""
    others = set(multiprocessing.active_children())
    # a thread that blocks the signal hands this on to the processes that it starts
    pool = ThreadPoolExecutor(threads, initializer=signal.pthread_sigmask, initargs=(signal.SIG_BLOCK, [signal.SIGINT]))
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        ending = threading.Thread(target=pool.shutdown)
        ending.start()
        while ending.is_alive():
            for process in set(multiprocessing.active_children()) - others:
                process.terminate()
            ending.join(0.1)
        raise
    pool.shutdown()


def _end_with_parent() -> None:
    """End this process as soon as the one that started it has died."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _lost(process: str, code: int | None) -> MlsgError:
    """The error for a process that ended with an exit code and should have gone on."""
    if code is None or code >= 0:
        return ProcessLostError(f"{process} ended without an error message (exit code {code})", RESUME)
    name, room = signal.Signals(-code).name, memory_limit()
    if room is not None and name in ("SIGABRT", "SIGBUS", "SIGSEGV"):
        remedy = "raise the limit (ulimit -v), or train with fewer processes"
        return SettingError(f"{process} ended by {name} under a memory limit of {room / 2**30:.1f} GB", remedy)
    why = " (out of memory?)" if name == "SIGKILL" else ""
    return ProcessLostError(f"{process} was killed by {name}{why}", RESUME)


def _launch(processes: int, folder: Path, work: Callable[..., object], arguments: tuple[object, ...]) -> None:
    logging.disable()  # the launcher logs each failure with a traceback; the error below says it once
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, Std
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id="mlsg",
        rdzv_backend="c10d",
        rdzv_endpoint=str(folder / "rendezvous"),
        rdzv_configs={"store_type": "file"},
        local_addr="127.0.0.1",
        max_restarts=0,
        logs_specs=DefaultLogsSpecs(str(folder), redirects=dict.fromkeys(range(1, processes), Std.ALL)),
        shutdown_timeout=5,
    )
    try:
        elastic_launch(config, _work)(str(folder / "store"), work, arguments)
    except ChildFailedError as failed:
        rank, failure = failed.get_first_failure()
        raise _error_of(rank, processes, failure) from None
    finally:
        logging.disable(logging.NOTSET)


def _work(store: str, work: Callable[..., object], arguments: tuple[object, ...]) -> None:
    """One process; the launcher writes down what it raises."""
    _end_with_parent()
    from mlsg.train.distributed import process_group

    with process_group(store) as group:
        work(group, *arguments)


def _error_of(rank: int, processes: int, failure: ProcessFailure) -> BaseException:
    """What a process failed with, read from the launcher's record of it: "DataError: WHAT IS WRONG; WHAT TO DO"."""
    record: Any = failure.message
    if not isinstance(record, dict):
        return _lost(f"process {rank} of {processes}", failure.exitcode)
    name, _, text = record["message"].partition(": ")
    kind = getattr(errors, name, None)
    if isinstance(kind, type) and issubclass(kind, MlsgError):
        problem, _, remedy = text.partition("; ")
        return kind(problem, remedy)
    met = limit_met(record["message"], f"process {rank} of {processes}")
    return met or RuntimeError(f"in process {rank}:\n{record['extraInfo']['py_callstack']}")


@contextlib.contextmanager
def _environment(processes: int) -> Iterator[None]:
    """The variables that the launcher and its processes begin with."""
    before = dict(os.environ)
    loopback = next((name for _, name in socket.if_nameindex() if name.startswith("lo")), "lo")
    os.environ.update(
        GLOO_SOCKET_IFNAME=loopback,
        NCCL_SOCKET_IFNAME=loopback,
        TORCH_DISABLE_SHARE_RDZV_TCP_STORE="1",  # else the launcher's own store listens on all interfaces
        TORCH_CPP_LOG_LEVEL="ERROR",
    )
    os.environ.setdefault("OMP_NUM_THREADS", _threads(processes))
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _threads(processes: int) -> str:
    return str(max(1, (os.cpu_count() or 1) // processes))


def _number(environment: MutableMapping[str, str], name: str, default: object = "") -> int:
    text = environment.get(name) or str(default)
    try:
        return int(text)
    except ValueError:
        problem = f"{name} is {text!r}" if text else f"WORLD_SIZE is set, {name} is not"
        raise SettingError(problem, "start with accelerate launch or torchrun, or set all its variables") from None


def _run_job(seed: int, jobs: int, work: Callable[..., object], arguments: tuple[object, ...]) -> None:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_job, args=(seed, jobs, work, arguments, there), daemon=True)
    process.start()
    there.close()
    try:
        error: Exception | None = here.recv()
    except EOFError:
        process.join()
        error = _lost("the process", process.exitcode)
    process.join()
    if error is not None:
        raise error


def _job(
    seed: int, jobs: int, work: Callable[..., object], arguments: tuple[object, ...], result: connection.Connection
) -> None:
    """One process: it sends None or its error."""
    _end_with_parent()
    os.environ.setdefault("OMP_NUM_THREADS", _threads(jobs))
    sys.stderr = _Labelled(f"seed {seed}: ", sys.stderr)
    error: Exception | None = None
    try:
        work(*arguments)
    except Exception as raised:
        error = raised if isinstance(raised, MlsgError) else RuntimeError(f"seed {seed}:\n{traceback.format_exc()}")
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
