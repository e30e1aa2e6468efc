"""Many processes that train as one: who works on which sentences, and what travels between them.

Every process holds all weights, works on its part of each batch, and adds up its gradient with those of the others;
after that all take the same step. Loss and gradients are those of one process with the whole batch, up to the order of
sums. torch's DistributedDataParallel would average, and send after the first of several backward passes.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import numpy as np
import psutil
import torch
import torch.distributed as dist
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs
from torch import Tensor

from mlsg import console
from mlsg.errors import RESUME, DivergedError, MlsgError, ProcessLostError, SettingError
from mlsg.objectives.interface import WHOLE_BATCH, BatchShard

_TIMEOUT = timedelta(minutes=30)
"""For one exchange: longer than any process takes between two of them, writing a checkpoint to a slow disk included."""
_PATIENT = timedelta(days=365)
"""Where processes may wait for each other without a bound: for a lock, for text or views that one host has already."""
_GRACE_SECONDS = 5.0
"""A broken connection follows when another process dies: the launcher, which ends the others, names the cause."""
_BUCKET = 32 * 2**20  # numbers sent in one call, 128 MiB of float32: what a copy of the gradients may take at most


@dataclass(frozen=True)
class ProcessGroup:
    """The processes of one training. Every method is called by all of them at the same place."""

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    patient: dist.ProcessGroup | None = None  # for objects: an exchange that may take any time
    quiet: bool = False  # whether another process, started by the same launcher, tells people what all of them raise

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that reads checkpoints, writes and talks."""
        return self.rank == 0

    def shard(self, count: int) -> BatchShard:
        """This process's shard of a batch of `count` sentences: shards differ by one sentence at most."""
        return WHOLE_BATCH if self.size == 1 else RankShard(self, count)

    def sum_(self, tensors: Sequence[Tensor]) -> None:
        """Sum each tensor over the processes, in place: all get the same bits. As few calls as buckets allow."""
        for bucket in _buckets(tensors) if self.size > 1 else ():
            flat = torch.cat([tensor.reshape(-1) for tensor in bucket])
            with _exchange():
                dist.all_reduce(flat)
            parts = torch.split(flat, [tensor.numel() for tensor in bucket])
            torch._foreach_copy_(list(bucket), [p.view_as(t) for p, t in zip(parts, bucket, strict=True)])

    def sum_wide(self, rows: Tensor) -> Tensor:
        """The sum of `rows` over the processes, not less exact than in float32, in their type."""
        wide = rows.to(torch.promote_types(rows.dtype, torch.float32), copy=True).contiguous()
        self.sum_([wide])
        return wide.to(rows.dtype)

    def gather_objects(self, value: Any) -> list[Any]:
        """What each process has for `value`."""
        found: list[Any] = [value] * self.size
        if self.size > 1:
            with _exchange():
                dist.all_gather_object(found, value, group=self.patient)
        return found

    def broadcast_object(self, value: Any) -> Any:
        """What the main process has for `value`."""
        found = [value]
        if self.size > 1:
            with _exchange():
                dist.broadcast_object_list(found, group=self.patient)
        return found[0]

    @contextlib.contextmanager
    def shared_errors(self) -> Iterator[None]:
        """Raise in all processes what one of them raises; go on when all are done. Tensors are not exchanged inside."""
        error: MlsgError | None = None
        try:
            yield
        except MlsgError as raised:
            error = raised
        for first in filter(None, self.gather_objects(error)):
            raise self.raised_by_all(first)

    def raised_by_all(self, error: MlsgError) -> BaseException:
        """An error that all processes raise, as this one raises it: the main one tells people."""
        if not self.quiet:
            return error
        time.sleep(1)  # a launcher that sees this process end would end the main one before it has told
        return SystemExit(error.exit_code)


SINGLE_PROCESS = ProcessGroup()


@contextlib.contextmanager
def process_group(store: str | None = None) -> Iterator[ProcessGroup]:
    """The processes that a launcher has started, met through a file or, without one, at the launcher's address.

    Raises SettingError for more processes than GPUs, ProcessLostError where the processes cannot meet.
    """
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    gpus = torch.cuda.device_count() if uses_gpus() else 0
    if gpus and (local := int(os.environ["LOCAL_WORLD_SIZE"])) > gpus:
        raise SettingError(
            f"{local} processes for {gpus} GPU{'s' if gpus > 1 else ''}",
            f"start at most {gpus}, or train on the CPU: ACCELERATE_USE_CPU=true",
        )
    meeting = {"init_method": f"file://{store}" + (f"?rank={rank}&world_size={size}" if gpus else "")} if store else {}
    if not store and (interface := _interface_towards(os.environ["MASTER_ADDR"])):
        os.environ.setdefault("GLOO_SOCKET_IFNAME", interface)
    handlers = [InitProcessGroupKwargs(timeout=_TIMEOUT, **meeting)]
    try:  # precision is a setting of ours, not of the launcher
        device = Accelerator(cpu=not gpus, mixed_precision="no", kwargs_handlers=handlers).device
    except RuntimeError as error:
        where = f"{os.environ['MASTER_ADDR']}, port {os.environ['MASTER_PORT']}"
        raise ProcessLostError(
            f"process {rank} of {size} cannot meet the others at {where}: {str(error).splitlines()[0]}",
            "give all processes the same address and a free port",
        ) from error
    patient = dist.new_group(timeout=_PATIENT, backend="gloo")
    group = ProcessGroup(rank, size, device, patient, quiet=rank > 0 and store is None)
    if group.quiet:
        console.silence()
    try:
        yield group
    except (ProcessLostError, DivergedError) as error:
        raise group.raised_by_all(error) from error
    except Exception:
        sys.stderr = sys.__stderr__
        raise
    dist.destroy_process_group()


def _interface_towards(host: str) -> str:
    """Name of the network interface by which `host` is reached; "" where that cannot be told.

    Gloo takes the address that this host's name stands for, which on many systems is one that others cannot reach.
    """
    own = ""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
        probe.connect((host, 1))  # sends nothing
        own = probe.getsockname()[0]
    interfaces = psutil.net_if_addrs().items()
    return next((name for name, addresses in interfaces if own in (each.address for each in addresses)), "")


@contextlib.contextmanager
def _exchange() -> Iterator[None]:
    """Raise ProcessLostError for a broken connection."""
    try:
        yield
    except RuntimeError as error:
        time.sleep(_GRACE_SECONDS)
        problem = f"another process of {dist.get_world_size()} has died or cannot be reached"
        raise ProcessLostError(problem, RESUME) from error


def uses_gpus() -> bool:
    """Whether several processes train on GPUs, one each."""
    forced = os.environ.get("ACCELERATE_USE_CPU", "").lower() in {"1", "true", "yes", "on"}
    return not forced and torch.cuda.is_available()


class RankShard(BatchShard):
    """The shard of a batch that one of many processes works on.

    Where there are fewer sentences than processes, one without any computes the first sentence along (`filling`): so
    every process builds the same graph and joins every exchange, and `own` drops what must not count.
    """

    def __init__(self, group: ProcessGroup, count: int) -> None:
        self._group, self._count = group, count
        mine = np.array_split(np.arange(count), group.size)[group.rank]
        self.processes, self._own = group.size, len(mine)
        self.start = int(mine[0]) if self._own else count

    @property
    def places(self) -> slice:
        """As in `BatchShard`; the first sentence where there is none of one's own."""
        return slice(self.start, self.start + self._own) if self._own else slice(0, 1)

    def own(self, rows: Tensor) -> Tensor:
        """As in `BatchShard`."""
        return rows[: self._own]

    def gather(self, rows: Tensor) -> Tensor:
        """As in `BatchShard`."""
        own = slice(self.start, self.start + self._own)
        gathered: Tensor = _Gather.apply(self.own(rows), self._group, self._count, own)  # type: ignore[no-untyped-call]
        return gathered


class _Gather(torch.autograd.Function):
    """All rows in one tensor; a row's gradient is the sum of those that the processes have for it."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, group: ProcessGroup, count: int, own: slice) -> Tensor:
        ctx.group, ctx.own = group, own
        whole = rows.new_zeros(count, *rows.shape[1:])
        whole[own] = rows
        return group.sum_wide(whole)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None, None, None]:
        return ctx.group.sum_wide(upstream[0])[ctx.own], None, None, None


def _buckets(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Runs of tensors of one type, each run of at most `_BUCKET` numbers, or of one tensor."""
    bucket: list[Tensor] = []
    for tensor in tensors:
        full = sum(other.numel() for other in bucket) + tensor.numel() > _BUCKET
        if bucket and (full or bucket[0].dtype != tensor.dtype):
            yield bucket
            bucket = []
        bucket.append(tensor)
    if bucket:
        yield bucket
