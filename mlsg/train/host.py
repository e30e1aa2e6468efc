"""What several processes of one host need of it, tried before they start: they would wait for each other in vain.

Does not import torch.
"""

from __future__ import annotations

import contextlib
import re
import resource
import socket
from collections.abc import Iterator

from mlsg.errors import SettingError

_ALONE = "or train with one process"
_SECONDS = 5.0  # for a connection to this host itself, which takes less than a millisecond
_HANDLES, _HANDLES_EACH = 48, 8
"""Open files of one process of a training, and for each other one: the sockets between them and their logs."""
_ADDRESSES = 2 * 2**30  # bytes of address space of one process: in 1 GB the libraries wait for each other for ever

_LACKING = re.compile(
    r"out of memory|MemoryError|(can't|[Cc]annot) allocate memory|bad_alloc|failed to map segment|"
    r"Too many open files|can't start new thread|Resource temporarily unavailable"
)


def check_host(processes: int) -> None:
    """Raise SettingError where this host's loopback address, file handles or memory limit do not suffice."""
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname(), _SECONDS).close()
    except OSError as error:
        problem = f"{processes} processes cannot talk over the loopback address 127.0.0.1: {error}"
        raise SettingError(problem, f"open it (ip link set lo up; firewall), {_ALONE}") from None
    needed = _HANDLES + _HANDLES_EACH * processes
    if (handles := _limit(resource.RLIMIT_NOFILE)) is not None and handles < needed:
        problem = f"{processes} processes need {needed} file handles each, the limit is {handles}"
        raise SettingError(problem, f"raise it (ulimit -n {needed}), {_ALONE}")
    if (room := memory_limit()) is not None and room < _ADDRESSES:
        problem = f"{processes} processes need {_ADDRESSES / 2**30:.0f} GB of address space each, the limit is"
        raise SettingError(f"{problem} {room / 2**30:.1f} GB", f"raise it (ulimit -v unlimited), {_ALONE}")


def memory_limit() -> int | None:
    """Bytes of address space that a process may have; None: any number."""
    return _limit(resource.RLIMIT_AS)


def limit_met(message: str, where: str) -> SettingError | None:
    """The error for a failure whose message says that a limit of this host was met; None for any other failure."""
    found = _LACKING.search(message)
    if found is None:
        return None
    remedy = "raise the limits of this shell (ulimit -a), or lower train.mini_batch_size and the number of processes"
    return SettingError(f"{where} was refused memory, files or threads ({found[0]})", remedy)


@contextlib.contextmanager
def limits_said(where: str) -> Iterator[None]:
    """Raise the SettingError of `limit_met` for what torch and Python raise of it inside."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        met = limit_met(f"{type(error).__name__}: {error}", where)
        if met is None:
            raise
        raise met from error


def _limit(kind: int) -> int | None:
    """The limit of this process; None: there is none."""
    soft, _ = resource.getrlimit(kind)
    return None if soft == resource.RLIM_INFINITY else soft
