"""The training text as token ids, and which of its sentences are the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile, gettempdir
from typing import IO, TYPE_CHECKING, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlsg.model.fast.packing import Packed, pack
from mlsg.model.tokens import Tokens

if TYPE_CHECKING:
    from mlsg.model.backbone import Backbone

_AT_ONCE = 8192
Number = TypeVar("Number", bound=np.generic)


@dataclass(frozen=True)
class TokenisedText:
    """n sentences, tokenised once. Two sentences are the same when their tokens are."""

    tokens: Tokens

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def groups(self) -> NDArray[np.int64]:
        """(n,) a number for each sentence, equal where the tokens are."""
        return self._groups_and_distinct[0]

    @property
    def distinct(self) -> NDArray[np.int64]:
        """Rows of the first occurrence of every distinct sentence, in the order of the text."""
        return self._groups_and_distinct[1]

    def mini_batches(self, rows: NDArray[np.int64], size: int, *, together: bool, device: torch.device) -> list[Packed]:
        """The tokens of some sentences in mini-batches of `size` sentences, 0: all in one."""
        step = size or len(rows)
        starts = range(0, len(rows), step)
        return [pack(self.tokens, rows[first : first + step], together=together).to(device) for first in starts]

    def duplicates(self, rows: Sequence[int] | NDArray[np.int64]) -> Tensor:
        """(b, b): which other sentence of a batch has the same tokens."""
        groups = self.groups[rows]
        return torch.from_numpy((groups[:, None] == groups[None]) & ~np.eye(len(rows), dtype=bool))

    def token_counts(self, size: int) -> Tensor:
        """(size,) int64: how often each token id stands in the text."""
        return torch.from_numpy(np.bincount(self.tokens.flat, minlength=size))

    @cached_property
    def _groups_and_distinct(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """By hashes of the tokens; among a million sentences two differing ones meet with a chance of 3 in 10^8."""
        texts = (self.tokens.ids(row).tobytes() for row in range(len(self)))
        numbers = (int.from_bytes(hashlib.blake2b(text, digest_size=8).digest()) for text in texts)
        hashes = np.fromiter(numbers, dtype=np.uint64, count=len(self))
        _, first, groups = np.unique(hashes, return_index=True, return_inverse=True)
        return groups, np.sort(first)


def tokenised(base: Backbone, sentences: Iterable[str], max_length: int, folder: Path) -> TokenisedText:
    """Sentences as they come, tokenised into files of `folder` that are mapped and have no name any more.

    Neither a sentence nor its tokens stay in memory: of the files, the system keeps what it has room for.
    """
    folder = folder if folder.is_dir() else Path(gettempdir())  # it is not for a process on another host
    remaining, padding = iter(sentences), 0
    with TemporaryFile(dir=folder) as ids, TemporaryFile(dir=folder) as lengths, TemporaryFile(dir=folder) as cut:
        while some := list(islice(remaining, _AT_ONCE)):
            tokens = base.tokenize(some, max_length)
            padding = tokens.padding
            ids.write(tokens.flat.tobytes())
            lengths.write(np.diff(tokens.starts).tobytes())
            cut.write(tokens.truncated.tobytes())
        starts = np.concatenate([[0], np.cumsum(_mapped(lengths, np.int64))])
        return TokenisedText(Tokens(_mapped(ids, np.int32), starts, _mapped(cut, np.bool_), padding))


def _mapped(file: IO[bytes], kind: type[Number]) -> NDArray[Number]:
    file.flush()
    return np.asarray(np.memmap(file, kind, mode="r")) if file.tell() else np.zeros(0, kind)
