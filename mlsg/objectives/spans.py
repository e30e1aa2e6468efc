"""Spans of documents: where they begin, how long they are, and which of their words are masked.

Source: Giorgi and others, ACL 2021, section 3.1, equations 1 to 5. Lengths are int(min + Beta x (max - min)); an anchor
begins where a slot of the longest length does, and slots beside a used one are not used; a positive begins between its
own length before the anchor and the anchor's end, and stays within the document.

Beta(a, b) of whole a and b is the a-th smallest of a + b - 1 uniform numbers, which rest on numpy's raw bit streams.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from mlsg.errors import SettingError
from mlsg.model.tokens import Tokens
from mlsg.objectives.interface import BatchShard, Draw, Sequences, TrainingText

if TYPE_CHECKING:
    from mlsg.objectives.declutr import Settings

_ANCHOR, _POSITIVE = (4, 2), (2, 4)
_KEPT, _OTHER = 0.1, 0.1  # of the masked words: as they are, another word in their place (BERT, section 3.1)


class SpanSampler:
    """Draws the spans of documents, each from the stream of its row."""

    def __init__(
        self, settings: Settings, text: TrainingText, special: NDArray[np.int32], mask: int | None, words: int
    ) -> None:
        if len(special) not in (0, 2):
            raise SettingError(
                f"the base puts {len(special)} special tokens around a text", "choose a base of BERT kind"
            )
        self.settings, self.text, self.mask, self.words = settings, text, mask, words
        self.before, self.after = special[:1], special[1:]

    def __call__(self, rows: NDArray[np.int64], draw: Draw) -> Sequences:
        """The anchors of each document, each followed by its positives."""
        ids, targets = [], []
        for row, seed in zip(rows, draw("spans", 1 << 62), strict=True):
            stream = np.random.PCG64(seed)
            document = self.text.tokens.ids(int(row))[len(self.before) :]
            document = document[: len(document) - len(self.after)]
            for start, end in self._anchors(len(document), stream):
                masked, wanted = self._masked(document[start:end], stream)
                ids.append(masked)
                targets.append(wanted)
                for first, last in self._positives(len(document), start, end, stream):
                    ids.append(document[first:last])
                    targets.append(np.full(last - first, -1, dtype=np.int32))
        starts = np.concatenate([[0], np.cumsum([len(span) + len(self.before) + len(self.after) for span in ids])])
        flat = np.concatenate([part for span in ids for part in (self.before, span, self.after)])
        none = [np.full(len(part), -1, dtype=np.int32) for part in (self.before, self.after)]
        wanted = np.concatenate([part for span in targets for part in (none[0], span, none[1])])
        tokens = Tokens(
            flat.astype(np.int32),
            starts,
            np.zeros(len(ids), dtype=bool),
            self.text.tokens.padding,
            targets=wanted if self.mask is not None else None,
        )
        return Sequences(tokens, np.arange(len(ids)), self.settings.anchors * (1 + self.settings.positives))

    def _length(self, shape: tuple[int, int], stream: np.random.PCG64) -> int:
        """Tokens of a span, without special ones."""
        settings, special = self.settings, len(self.before) + len(self.after)
        share = np.sort(_uniform(stream, sum(shape) - 1))[shape[0] - 1]
        return int(settings.min_span + share * (settings.max_span - settings.min_span)) - special

    def _anchors(self, size: int, stream: np.random.PCG64) -> list[tuple[int, int]]:
        slots = list(range(size // self.settings.max_span))
        found = []
        for _ in range(self.settings.anchors):
            slot = slots[int(_uniform(stream, 1)[0] * len(slots))]
            slots = [other for other in slots if abs(other - slot) > 1]
            start = slot * self.settings.max_span
            found.append((start, start + self._length(_ANCHOR, stream)))
        return found

    def _positives(self, size: int, start: int, end: int, stream: np.random.PCG64) -> list[tuple[int, int]]:
        found = []
        for _ in range(self.settings.positives):
            length = self._length(_POSITIVE, stream)
            first = start - length + int(_uniform(stream, 1)[0] * (end - start + length + 1))
            first = min(max(first, 0), size - length)
            found.append((first, first + length))
        return found

    def _masked(self, span: NDArray[np.int32], stream: np.random.PCG64) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """The span with some words masked, and what was there: -1 where nothing is to be predicted."""
        targets = np.full(len(span), -1, dtype=np.int32)
        if self.mask is None:
            return span, targets
        chosen = _uniform(stream, len(span)) < self.settings.mask_share
        how, others = _uniform(stream, len(span)), (_uniform(stream, len(span)) * self.words).astype(np.int32)
        targets[chosen] = span[chosen]
        replaced = np.where(how < _OTHER, others, np.int32(self.mask))
        return np.where(chosen & (how < 1 - _KEPT), replaced, span).astype(np.int32), targets


class AnchorsShard(BatchShard):
    """The shard of a batch whose documents have several anchors each."""

    def __init__(self, documents: BatchShard, each: int) -> None:
        self._documents, self._each = documents, each
        self.start, self.processes = documents.start * each, documents.processes

    def gather(self, rows: Tensor) -> Tensor:
        """(b * each, ...) of this process -> (B * each, ...) of all."""
        return self._documents.gather(rows.unflatten(0, (-1, self._each))).flatten(0, 1)


def _uniform(stream: np.random.PCG64, count: int) -> NDArray[np.float64]:
    """(count,) numbers of 53 random bits in [0, 1)."""
    return np.asarray((np.asarray(stream.random_raw(count)) >> np.uint64(11)) * 2.0**-53, dtype=np.float64)
