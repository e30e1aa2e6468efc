"""Many processes that train as one: who works on which sentences, and what travels between them.

Every process holds all weights, works on its part of each batch, and adds up its gradient with those of the others;
after that all take the same step. Loss and gradients are those of one process with the whole batch, up to the order of
sums.

Why the gradients are added up here and torch's DistributedDataParallel is not used: it averages where parts of one mean
have to be summed; it sends a bucket as soon as one backward pass has filled it, while gradient caching makes several
passes a step; it wants the loss behind the wrapper's `forward`; and frozen embeddings, a head that is used twice and a
process without a sentence in a short last batch are each a special case there. Here they are none: after backward, the
gradients that exist are laid end to end and summed. What is given up is the overlap of sending and computing.

Everything sent here is a tensor. What is said beside it (who has failed, what to do next) goes through a store, see
`mlsg.train.crew`.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from mlsg.objectives.interface import WHOLE_BATCH, BatchShard

_BUCKET = 32 * 2**20
"""Numbers sent in one call, 128 MiB of float32: what a copy of the gradients may take at most."""


@dataclass(frozen=True)
class Team:
    """The processes of one training. Every method is called by all of them at the same place."""

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    explain: Callable[[RuntimeError], BaseException] = lambda error: error
    """What to raise when the others cannot be reached."""

    @property
    def leads(self) -> bool:
        """Whether this process is the one that reads checkpoints, writes and talks."""
        return self.rank == 0

    def part(self, count: int) -> BatchShard:
        """This process's part of a batch of `count` sentences: parts differ by one sentence at most."""
        return WHOLE_BATCH if self.size == 1 else Part(self, count)

    def sum_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replace each gradient by its sum over the processes. A parameter has one in all of them or in none."""
        self.sum_([p.grad for p in parameters if p.grad is not None])

    def sum_(self, tensors: Sequence[Tensor]) -> None:
        """Sum each tensor over the processes, in place: all get the same bits. As few calls as buckets allow."""
        if self.size == 1:
            return
        for bucket in _buckets(tensors):
            flat = torch.cat([tensor.reshape(-1) for tensor in bucket])
            with self._others():
                dist.all_reduce(flat)
            parts = flat.split([tensor.numel() for tensor in bucket])
            torch._foreach_copy_(list(bucket), [p.view_as(t) for p, t in zip(parts, bucket, strict=True)])

    def gather(self, rows: Tensor, sizes: Sequence[int]) -> Tensor:
        """(sizes[rank], ...) of each process -> (sum of sizes, ...), one after the other. Without gradient.

        Bytes travel, so the type does not matter; sizes are known to all, so nothing is sent to find them.
        """
        padded = rows.new_zeros((max(sizes), *rows.shape[1:]))
        padded[: len(rows)] = rows
        mine = padded.reshape(-1).view(torch.uint8)
        found = mine.new_empty((self.size, len(mine)))
        with self._others():
            dist.all_gather(list(found.unbind()), mine)
        whole = found.view(-1).view(rows.dtype).view(self.size, *padded.shape)
        return torch.cat([part[:size] for part, size in zip(whole, sizes, strict=True)])

    def as_first(self, numbers: tuple[float | None, float]) -> tuple[float | None, float]:
        """The numbers of process 0, so that all decide alike."""
        if self.size == 1:
            return numbers
        first, second = numbers
        told = [0.0 if first is None else first, float(first is None), second]
        sent = torch.tensor(told, dtype=torch.float64, device=self.device)
        self._from_first(sent)
        first, absent, second = sent.tolist()
        return None if absent else first, second

    def tensors_of_first(self, tensors: Mapping[str, Tensor], state: Any) -> tuple[dict[str, Tensor], Any]:
        """Tensors by name and a JSON-able state, as process 0 has them; what the others hand in does not matter."""
        if self.size == 1:
            return dict(tensors), state
        listed = {n: (str(t.dtype).removeprefix("torch."), list(t.shape)) for n, t in tensors.items()}
        header = self._text_of_first(json.dumps([state, listed]))
        state, listed = json.loads(header)
        found = {}
        for name, (dtype, shape) in listed.items():
            empty = torch.empty(shape, dtype=getattr(torch, dtype))
            sent = tensors.get(name, empty).to(self.device).contiguous()
            self._from_first(sent)
            found[name] = sent
        return found, state

    def _text_of_first(self, text: str) -> str:
        encoded = text.encode() if self.leads else b""
        size = torch.tensor([len(encoded)], device=self.device)
        self._from_first(size)
        sent = torch.zeros(int(size), dtype=torch.uint8, device=self.device)
        if self.leads:
            sent.copy_(torch.frombuffer(bytearray(encoded), dtype=torch.uint8))
        self._from_first(sent)
        return bytes(sent.cpu().numpy()).decode()

    def _from_first(self, tensor: Tensor) -> None:
        with self._others():
            dist.broadcast(tensor, src=0)

    @contextlib.contextmanager
    def _others(self) -> Iterator[None]:
        """Say in our words what torch says when a connection breaks."""
        try:
            yield
        except RuntimeError as error:
            raise self.explain(error) from error


ALONE = Team()


class Part(BatchShard):
    """The part of a batch that one of many processes works on.

    Where there are fewer sentences than processes, one without any computes the first sentence along (`filling`): so
    every process builds the same graph and joins every exchange, and `own` drops what must not count.
    """

    def __init__(self, team: Team, count: int) -> None:
        self._team = team
        self._sizes = [len(part) for part in np.array_split(np.arange(count), team.size)]
        self.start = sum(self._sizes[: team.rank])
        self.processes = team.size
        self._own = self._sizes[team.rank]

    @property
    def places(self) -> slice:
        """As in `BatchShard`; the first sentence where there is none of one's own."""
        return slice(self.start, self.start + self._own) if self._own else slice(0, 1)

    def own(self, rows: Tensor) -> Tensor:
        """As in `BatchShard`."""
        return rows[: self._own]

    def gather(self, rows: Tensor) -> Tensor:
        """As in `BatchShard`."""
        gathered: Tensor = _Gather.apply(self.own(rows), self._team, self._sizes)
        return gathered


class _Gather(torch.autograd.Function):
    """All rows in one tensor; a row's gradient is the sum of those that the processes have for it."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, team: Team, sizes: Sequence[int]) -> Tensor:
        ctx.team, ctx.sizes = team, sizes
        return team.gather(rows, sizes)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None, None]:
        team, sizes = ctx.team, ctx.sizes
        total = upstream[0].to(torch.promote_types(upstream[0].dtype, torch.float32), copy=True).contiguous()
        team.sum_([total])
        return total.split(list(sizes))[team.rank].to(upstream[0].dtype), None, None


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
