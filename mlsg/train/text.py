"""The training text as token ids, and which of its sentences are the same."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlsg.model.packing import Packed, pack
from mlsg.model.tokens import Tokens


@dataclass(frozen=True)
class TokenisedText:
    """n sentences, tokenised once. Two sentences are the same when their tokens are."""

    tokens: Tokens

    def __len__(self) -> int:
        return len(self.tokens)

    @cached_property
    def groups(self) -> NDArray[np.int64]:
        """(n,) a number for each sentence, equal where the tokens are."""
        return np.unique(self._hashes, return_inverse=True)[1]

    @cached_property
    def distinct(self) -> NDArray[np.int64]:
        """Rows of the first occurrence of every distinct sentence, in the order of the text."""
        return np.sort(np.unique(self._hashes, return_index=True)[1])

    def chunks(self, rows: NDArray[np.int64], size: int, *, together: bool, device: torch.device) -> list[Packed]:
        """The tokens of some sentences in chunks of `size` sentences, 0: all in one."""
        step = size or len(rows)
        parts = (rows[first : first + step] for first in range(0, len(rows), step))
        return [pack(self.tokens, part, together=together).to(device) for part in parts]

    def duplicates(self, rows: Sequence[int] | NDArray[np.int64]) -> Tensor:
        """(b, b): which other sentence of a batch has the same tokens."""
        groups = self.groups[rows]
        return torch.from_numpy((groups[:, None] == groups[None]) & ~np.eye(len(rows), dtype=bool))

    def token_counts(self, size: int) -> Tensor:
        """(size,) int64: how often each token id stands in the text."""
        return torch.from_numpy(np.bincount(self.tokens.flat, minlength=size))

    @cached_property
    def _hashes(self) -> NDArray[np.uint64]:
        """(n,) of the tokens; among a million sentences two differing ones meet with a chance of 3 in 10^8."""
        digests = (hashlib.blake2b(self.tokens.ids(row).tobytes(), digest_size=8).digest() for row in range(len(self)))
        return np.frombuffer(b"".join(digests), dtype=np.uint64)
