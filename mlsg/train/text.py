"""The training text as token ids, and which of its rows are the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryFile, gettempdir
from typing import IO, TYPE_CHECKING, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlsg.config.recipes import COLUMNS, Kind
from mlsg.model.fast.packing import Packed, pack
from mlsg.model.tokens import Tokens
from mlsg.objectives.interface import Sequences

if TYPE_CHECKING:
    from mlsg.model.backbone import Backbone

_AT_ONCE = 8192
_ENDLESS = 1 << 30  # tokens: no document has so many
Number = TypeVar("Number", bound=np.generic)


@dataclass(frozen=True)
class TokenisedText:
    """n rows of one or several texts, tokenised once.

    Two rows are the same when the tokens of their first texts are.
    """

    tokens: Tokens
    kind: Kind = "sentences"
    scores: NDArray[np.float64] | None = None
    """(n,) of scored pairs."""

    @property
    def columns(self) -> int:
        """Texts of a row."""
        return len(COLUMNS[self.kind]) - (self.kind == "scored_pairs")

    def __len__(self) -> int:
        return len(self.tokens) // self.columns

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """(n,) tokens of all texts of a row."""
        lengths: NDArray[np.int64] = self.tokens.lengths.reshape(-1, self.columns).sum(1)
        return lengths

    def at_least(self, tokens: int) -> tuple[TokenisedText, NDArray[np.bool_]]:
        """The rows that have so many tokens, and which these are."""
        kept = self.lengths >= tokens
        if kept.all():
            return self, kept
        scores = None if self.scores is None else self.scores[kept]
        return TokenisedText(self.tokens.take(np.repeat(kept, self.columns)), self.kind, scores), kept

    def column(self, number: int) -> TokenisedText:
        """One text of each row."""
        return self if self.columns == 1 else TokenisedText(self.tokens.take(slice(number, None, self.columns)))

    @property
    def groups(self) -> NDArray[np.int64]:
        """(n,) a number for each row, equal where rows are the same."""
        return self._groups_and_distinct[0]

    @property
    def distinct(self) -> NDArray[np.int64]:
        """The first occurrence of every distinct row, in the order of the text."""
        return self._groups_and_distinct[1]

    def duplicates(self, rows: Sequence[int] | NDArray[np.int64]) -> Tensor:
        """(b, b): which other row of a batch is the same."""
        groups = self.groups[rows]
        return torch.from_numpy((groups[:, None] == groups[None]) & ~np.eye(len(rows), dtype=bool))

    def token_counts(self, size: int) -> Tensor:
        """(size,) int64: how often each token id stands in the text."""
        return torch.from_numpy(np.bincount(self.tokens.flat, minlength=size))

    @cached_property
    def _groups_and_distinct(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """By hashes of the tokens; among a million sentences two differing ones meet with a chance of 3 in 10^8."""
        texts = (self.tokens.ids(row * self.columns).tobytes() for row in range(len(self)))
        numbers = (int.from_bytes(hashlib.blake2b(text, digest_size=8).digest()) for text in texts)
        hashes = np.fromiter(numbers, dtype=np.uint64, count=len(self))
        _, first, groups = np.unique(hashes, return_index=True, return_inverse=True)
        return groups, np.sort(first)


def mini_batches(sequences: Sequences, size: int, *, together: bool, device: torch.device) -> list[Packed]:
    """The tokens of some sequences in mini-batches of `size` rows of the text, 0: all in one."""
    step = size * sequences.each or len(sequences.places)
    starts = range(0, len(sequences.places), step)
    parts = [sequences.places[first : first + step] for first in starts]
    return [pack(sequences.tokens, part, together=together).to(device) for part in parts]


def tokenised(
    base: Backbone, rows: Iterable[str], max_length: int, folder: Path, kind: Kind = "sentences", prompt: str = ""
) -> TokenisedText:
    """Rows as they come (of pairs and triplets with a TAB between the texts), each text after `prompt`, tokenised.

    It happens into files of `folder` that are mapped and have no name any more. Neither a text nor its tokens stay in
    memory: of the files, the system keeps what it has room for. Documents are not cut.
    """
    scores: list[float] = []
    if kind == "scored_pairs":
        rows = _without_scores(rows, scores)
    sentences = rows if len(COLUMNS[kind]) == 1 else chain.from_iterable(row.split("\t") for row in rows)
    sentences = (prompt + text for text in sentences) if prompt else sentences
    max_length = _ENDLESS if kind == "documents" else max_length
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
        tokens = Tokens(_mapped(ids, np.int32), starts, _mapped(cut, np.bool_), padding)
        return TokenisedText(tokens, kind, np.asarray(scores) if kind == "scored_pairs" else None)


def _without_scores(rows: Iterable[str], scores: list[float]) -> Iterator[str]:
    """The texts of scored pairs; their scores go into a list on the way."""
    for row in rows:
        texts, _, score = row.rpartition("\t")
        scores.append(float(score))
        yield texts


def _mapped(file: IO[bytes], kind: type[Number]) -> NDArray[Number]:
    file.flush()
    return np.asarray(np.memmap(file, kind, mode="r")) if file.tell() else np.zeros(0, kind)
