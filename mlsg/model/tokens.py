"""Sentences as token ids: tokenised once, kept compactly, cut into padded batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from mlsg.errors import DataError

_CHUNK = 1024


@dataclass(frozen=True)
class Tokens:
    """The ids of n sentences, special tokens included, one after the other in one array.

    A hundred thousand sentences of twenty tokens take 8 MB, a tenth of what lists of Python numbers take.
    """

    flat: NDArray[np.int32]
    starts: NDArray[np.int64]  # (n + 1,): sentence i is `flat[starts[i]:starts[i + 1]]`
    truncated: NDArray[np.bool_]  # (n,): whether the sentence was longer than the maximum
    padding: int  # id that fills batches up
    prompt: int = 0  # tokens at the start of each sentence that an encoder may leave out of its pooling
    targets: NDArray[np.int32] | None = None  # for each id the one that is to be predicted there, -1: none

    def __len__(self) -> int:
        return len(self.truncated)

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """(n,) tokens."""
        return np.diff(self.starts)

    def ids(self, row: int) -> NDArray[np.int32]:
        """The ids of one sentence."""
        return self.flat[self.starts[row] : self.starts[row + 1]]

    def take(self, chosen: slice | NDArray[np.bool_]) -> Tokens:
        """Some of the sentences, copied."""
        starts, lengths = self.starts[:-1][chosen], self.lengths[chosen]
        ends = np.concatenate([[0], np.cumsum(lengths)])
        flat = self.flat[np.repeat(starts - ends[:-1], lengths) + np.arange(ends[-1])]
        return Tokens(flat, ends, self.truncated[chosen], self.padding, self.prompt)

    def cut(self, longest: int) -> Tokens:
        """The beginnings of sentences, without the special tokens at the ends of long ones."""
        if not (self.lengths > longest).any():
            return self
        lengths = self.lengths.clip(max=longest)
        ends = np.concatenate([[0], np.cumsum(lengths)])
        flat = self.flat[np.repeat(self.starts[:-1] - ends[:-1], lengths) + np.arange(ends[-1])]
        return Tokens(flat, ends, self.truncated | (self.lengths > longest), self.padding, self.prompt)

    def occurrences(self, token: int | None) -> NDArray[np.int64]:
        """(n,): how often a token occurs in each sentence; zeros for a token that the tokenizer does not have."""
        if token is None:
            return np.zeros(len(self), dtype=np.int64)
        sums = np.concatenate([[0], np.cumsum(self.flat == token)])
        return np.diff(sums[self.starts])

    def batch(self, rows: Sequence[int] | NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Ids and mask of some sentences, (b, t) int64 each, padded on the right to the longest of them."""
        rows = np.asarray(rows, dtype=np.int64)
        lengths = self.lengths[rows]  # (b,)
        columns = np.arange(int(lengths.max(initial=0)))  # (t,)
        mask = columns < lengths[:, None]  # (b, t)
        ids = np.full(mask.shape, self.padding, dtype=np.int64)
        ids[mask] = self.flat[(self.starts[rows, None] + columns)[mask]]
        return torch.from_numpy(ids), torch.from_numpy(mask.astype(np.int64))


def tokenize(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], max_length: int) -> Tokens:
    """Tokens of each text, cut to `max_length` special tokens included.

    Raises DataError for text that is not valid Unicode (half a surrogate pair).
    """
    pieces: list[NDArray[np.int32]] = []
    lengths = np.zeros(len(texts), dtype=np.int64)
    truncated = np.zeros(len(texts), dtype=np.bool_)
    for first in range(0, len(texts), _CHUNK):
        part = list(texts[first : first + _CHUNK])
        ids = _ids(tokenizer, part, first, None)
        long = [number for number, found in enumerate(ids) if len(found) > max_length]
        for number, cut in zip(long, _ids(tokenizer, [part[n] for n in long], first, max_length), strict=True):
            ids[number] = cut
            truncated[first + number] = True
        lengths[first : first + len(part)] = [len(found) for found in ids]
        pieces.extend(np.asarray(found, dtype=np.int32) for found in ids)
    flat = np.concatenate(pieces) if pieces else np.zeros(0, dtype=np.int32)
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    padding = tokenizer.pad_token_id
    return Tokens(flat, starts, truncated, 0 if padding is None else padding)


def length_sorted(lengths: NDArray[np.int64], size: int) -> Iterator[NDArray[np.int64]]:
    """Rows in batches of `size` and similar length; the longest first, so that too little memory shows at once."""
    order = np.argsort(-lengths, kind="stable")
    for first in range(0, len(order), size):
        yield order[first : first + size]


def token_batches(lengths: NDArray[np.int64], tokens: int) -> Iterator[NDArray[np.int64]]:
    """Rows in batches of similar length and at most `tokens` tokens, padding included; the longest first."""
    order = np.argsort(-lengths, kind="stable")
    first = 0
    while first < len(order):
        size = max(1, tokens // max(1, int(lengths[order[first]])))
        yield order[first : first + size]
        first += size


def equal_batches(lengths: NDArray[np.int64], tokens: int) -> Iterator[NDArray[np.int64]]:
    """Rows in batches of one length each, whose size that length alone decides: `tokens` tokens or a little more.

    The last batch of a length is filled up with its last row, again and again.
    """
    order = np.argsort(-lengths, kind="stable")
    if not len(order):
        return
    for alike in np.split(order, np.nonzero(np.diff(lengths[order]))[0] + 1):
        size = -(-tokens // max(1, int(lengths[alike[0]])))
        for first in range(0, len(alike), size):
            rows = alike[first : first + size]
            yield np.concatenate([rows, np.full(size - len(rows), rows[-1])])


def _ids(tokenizer: PreTrainedTokenizerBase, texts: list[str], first: int, max_length: int | None) -> list[list[int]]:
    if not texts:
        return []
    try:
        found: list[list[int]] = tokenizer(
            texts,
            truncation=max_length is not None,
            max_length=max_length,
            padding=False,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
        )["input_ids"]
    except (UnicodeEncodeError, TypeError) as error:
        for number, text in enumerate(texts, start=first):
            if not isinstance(text, str):
                raise TypeError(f"text {number} is {type(text).__name__}, not str") from error
            if any("\ud800" <= character <= "\udfff" for character in text):
                problem = f"the sentence {text[:40]!a} holds half a surrogate pair"
                raise DataError(problem, "write the file as UTF-8") from error
        raise
    return found
