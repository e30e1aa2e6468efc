"""Dropout by a stream of its own: torch draws a mask on a CPU number by number, a fifteenth of a step.

    with masks_of(seed):
        vectors = model(...)        # modules of this class draw their masks from the stream, in the order of the calls

Sixteen random bits decide on a number, so that p is met to one part in 65,536; what is kept is divided by the share
that really is kept. Where no stream is given, and on accelerators, it is torch's own dropout.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np
import torch
from torch import Tensor, nn

_STEPS = 1 << 16
_STREAM: ContextVar[np.random.SFC64 | None] = ContextVar("stream", default=None)


@contextmanager
def masks_of(seed: int) -> Iterator[None]:
    """Draw masks from the stream of `seed`: the same calls have the same masks."""
    before = _STREAM.set(np.random.SFC64(seed))
    try:
        yield
    finally:
        _STREAM.reset(before)


class StreamDropout(nn.Dropout):
    """Dropout whose masks are drawn from the stream."""

    def forward(self, x: Tensor) -> Tensor:
        """The shape of x."""
        return drop(x, self.p) if self.training else x


def drop(x: Tensor, p: float) -> Tensor:
    """Each number of x zero with probability p, else so much larger that the mean stays."""
    stream, share = _STREAM.get(), round(p * _STEPS)
    if stream is None or x.device.type != "cpu" or not 0 < share < _STEPS:
        return nn.functional.dropout(x, p)
    return x * _factors(stream, x.numel(), share, x.dtype).view(x.shape)


def _factors(stream: np.random.SFC64, count: int, share: int, dtype: torch.dtype) -> Tensor:
    """(count,) numbers that are 0, or 1 by the probability of not being so."""
    bits = np.asarray(stream.random_raw(-(-count // 4))).view(np.uint16)[:count]
    kept, scale = bits >= np.uint16(share), _STEPS / (_STEPS - share)
    if dtype == torch.bfloat16:  # which numpy has not: the number's bits, or none
        pattern = int(torch.tensor(scale, dtype=dtype).view(torch.int16))
        return torch.from_numpy(kept.astype(np.int16) * np.int16(pattern)).view(dtype)
    return torch.from_numpy(np.multiply(kept, np.float32(scale))).to(dtype)
