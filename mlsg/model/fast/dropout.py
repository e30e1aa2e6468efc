"""Dropout whose masks belong to the sentences: each sentence draws from a stream of its own.

    with masks_of(seeds, packed):       # one seed a sentence
        vectors = model(...)            # modules of this class draw their masks, in the order of the calls

A mask depends on the seed of its sentence alone: neither on the layout of the batch, nor on the sentences beside it, so
that mini batches and many processes drop what one pass drops. Sixteen random bits decide on a number, so that p is met
to one part in 65,536; what is kept is divided by the share that really is kept. On a CPU this costs less than torch's
own masks, which are drawn number by number and take a fifteenth of a step. Without streams, on accelerators, and for
tensors that are not laid out as the batch is, it is torch's own dropout.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

if TYPE_CHECKING:
    from mlsg.model.fast.packing import Packed

_STEPS = 1 << 16
Shape = tuple[int, ...]


class _Streams:
    """The streams of b sentences, and where their tokens are in r rows of t."""

    def __init__(self, seeds: Sequence[int], packed: Packed) -> None:
        self.rows, self.width = packed.ids.shape
        self.firsts, self.lengths = packed.firsts.tolist(), packed.lengths.tolist()
        self.streams = [np.random.SFC64(seed) for seed in seeds]
        if len(self.streams) != len(self.lengths):
            raise ValueError(f"{len(self.streams)} seeds for {len(self.lengths)} sentences")
        self._buffers: dict[Shape, NDArray[np.uint16]] = {}

    def bits(self, shape: Shape) -> NDArray[np.uint16] | None:
        """Sixteen random bits for each number of a tensor, 0 for padding; None for another shape than these.

        (r, t, d) and (1, b, d), the first tokens alone, are hidden states; (r, h, t, t) is attention with h heads.
        """
        if len(shape) == 4 and shape[0] == self.rows and shape[2:] == (self.width, self.width):
            bits = self._buffer(shape)
            for first, length, stream in zip(self.firsts, self.lengths, self.streams, strict=True):
                row, start = divmod(first, self.width)
                drawn = _draw(stream, shape[1] * length * length).reshape(shape[1], length, length)
                bits[row, :, start : start + length, start : start + length] = drawn
            return bits
        if len(shape) != 3:
            return None
        if shape[:2] == (self.rows, self.width):
            places = zip(self.firsts, self.lengths, strict=True)
        elif shape[:2] == (1, len(self.streams)):
            places = zip(range(len(self.streams)), [1] * len(self.streams), strict=True)
        else:
            return None
        bits, dimension = self._buffer(shape), shape[2]
        flat = bits.reshape(-1)
        for (first, length), stream in zip(places, self.streams, strict=True):
            flat[first * dimension : (first + length) * dimension] = _draw(stream, length * dimension)
        return bits

    def _buffer(self, shape: Shape) -> NDArray[np.uint16]:
        """One for each shape: what is written there is the same each time, the rest stays 0."""
        if shape not in self._buffers:
            self._buffers[shape] = np.zeros(shape, dtype=np.uint16)
        return self._buffers[shape]


_STREAMS: ContextVar[_Streams | None] = ContextVar("streams", default=None)


@contextmanager
def masks_of(seeds: Sequence[int], packed: Packed) -> Iterator[None]:
    """Draw the masks of the b sentences in `packed` from the streams of b seeds: the same calls have the same masks."""
    before = _STREAMS.set(_Streams(seeds, packed))
    try:
        yield
    finally:
        _STREAMS.reset(before)


class StreamDropout(nn.Dropout):
    """Dropout whose masks are drawn from the sentences' streams."""

    def forward(self, x: Tensor) -> Tensor:
        """The shape of x."""
        return drop(x, self.p) if self.training else x


def drop(x: Tensor, p: float) -> Tensor:
    """Each number of x zero with probability p, else larger by the factor that keeps the mean.

    x is hidden states (r, t, d) or (1, b, d) or shares of attention (r, h, t, t), of the rows given to `masks_of`.
    """
    streams, share = _STREAMS.get(), round(p * _STEPS)
    if streams is None or x.device.type != "cpu" or not 0 < share < _STEPS:
        return nn.functional.dropout(x, p)
    bits = streams.bits(tuple(x.shape))
    return nn.functional.dropout(x, p) if bits is None else x * _factors(bits, share, x.dtype)


def _draw(stream: np.random.SFC64, count: int) -> NDArray[np.uint16]:
    """(count,) numbers of sixteen random bits."""
    return np.asarray(stream.random_raw(-(-count // 4))).view(np.uint16)[:count]


def _factors(bits: NDArray[np.uint16], share: int, dtype: torch.dtype) -> Tensor:
    """Numbers that are 0, or 1 by the probability of not being 0."""
    kept, scale = bits >= np.uint16(share), _STEPS / (_STEPS - share)
    if dtype == torch.bfloat16:  # numpy does not have it: the number's bits, or none
        pattern = int(torch.tensor(scale, dtype=dtype).view(torch.int16))
        return torch.from_numpy(kept.astype(np.int16) * np.int16(pattern)).view(dtype)
    return torch.from_numpy(np.multiply(kept, np.float32(scale))).to(dtype)
