"""The training text as token ids: tokenised once, kept flat, padded batch by batch to its own longest sentence."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from mlsg.model.backbone import Backbone

_CHUNK = 4096
"""Sentences handed to the tokenizer at once: enough for its threads, little memory."""


@dataclass(frozen=True)
class TokenisedText:
    """n sentences: sentence i is `flat[offsets[i]:offsets[i + 1]]`, special tokens included."""

    flat: np.ndarray
    offsets: np.ndarray
    pad: int

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @cached_property
    def lengths(self) -> np.ndarray:
        """(n,) tokens of each sentence."""
        return np.diff(self.offsets)

    @cached_property
    def groups(self) -> np.ndarray:
        """(n,) a number for each sentence, equal where the tokens are."""
        return np.unique(self._hashes(), return_inverse=True)[1]

    @cached_property
    def distinct(self) -> np.ndarray:
        """Rows of the first occurrence of every distinct sentence, in the order of the text."""
        return np.sort(np.unique(self._hashes(), return_index=True)[1])

    def batch(self, rows: Sequence[int] | np.ndarray) -> tuple[Tensor, Tensor]:
        """Token ids and mask of some sentences, int64 (b, t) each, t being the longest of them."""
        lengths = self.lengths[rows]
        ids = np.full((len(rows), int(lengths.max())), self.pad, dtype=np.int64)
        for line, row in enumerate(rows):
            ids[line, : lengths[line]] = self.flat[self.offsets[row] : self.offsets[row + 1]]
        mask = np.arange(ids.shape[1]) < lengths[:, None]
        return torch.from_numpy(ids), torch.from_numpy(mask.astype(np.int64))

    def duplicates(self, rows: Sequence[int] | np.ndarray) -> Tensor:
        """(b, b): which other sentence of a batch has the same tokens."""
        groups = self.groups[rows]
        return torch.from_numpy((groups[:, None] == groups[None]) & ~np.eye(len(rows), dtype=bool))

    def token_counts(self, size: int) -> Tensor:
        """(size,) int64: how often each token id stands in the text."""
        return torch.from_numpy(np.bincount(self.flat, minlength=size))

    def distinct_batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Every distinct sentence once, the longest first, so that a lack of memory shows at once."""
        rows = self.by_length(self.distinct)
        for start in range(0, len(rows), size):
            yield self.batch(rows[start : start + size])

    def by_length(self, rows: np.ndarray) -> np.ndarray:
        """The rows, longest first."""
        return rows[np.argsort(-self.lengths[rows], kind="stable")]

    def _hashes(self) -> np.ndarray:
        pieces = (self.flat[start:end].tobytes() for start, end in zip(self.offsets, self.offsets[1:], strict=False))
        digests = b"".join(hashlib.blake2b(piece, digest_size=8).digest() for piece in pieces)
        return np.frombuffer(digests, dtype=np.uint64)


def tokenise(sentences: Sequence[str], backbone: Backbone, max_length: int) -> TokenisedText:
    """All sentences as token ids, cut at `max_length` or at what the base can hold."""
    limit = min(max_length, backbone.max_length)
    pieces, lengths = [], [0]
    for start in range(0, len(sentences), _CHUNK):
        lists = backbone.token_ids(sentences[start : start + _CHUNK], limit)
        lengths += [len(ids) for ids in lists]
        pieces.append(np.fromiter((token for ids in lists for token in ids), dtype=np.int32))
    flat = np.concatenate(pieces) if pieces else np.zeros(0, np.int32)
    return TokenisedText(flat, np.cumsum(lengths), backbone.tokenizer.pad_token_id or 0)
