"""Which lines are kept, and why the others are dropped: of a piece of text at a time, by itself.

The first reason that holds counts: empty, too_short, too_long, no_letters, evaluation, duplicate. All but the last can
be told from the line alone, so pieces may be sifted in any process and any order; duplicates are left to whoever sees
all lines in their order (`mlsg.text.deduplicate`), for whom each line that is left comes with its digest.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property

from mlsg.text.length import unfit
from mlsg.text.normalise import match_forms, normalise_lines

DIGEST_BYTES = 16
_HEAD = 8  # characters of a line's beginning
_PIECE = 1 << 18  # characters; about 3,000 lines


@dataclass(frozen=True)
class FilteredBatch:
    """What is left of one piece: lines in UTF-8, their digests one after the other, and what became of the rest."""

    read: int
    lines: Sequence[bytes]
    digests: bytes
    dropped: Mapping[str, int]
    found: Mapping[str, int]
    """Evaluation sentences (their `match_form`) and the number of lines that were one."""


@dataclass(frozen=True)
class LineFilter:
    """What is fit to be kept.

    `forms`: `match_form`s of the sentences to drop; `repetitions`: duplicates are kept, so no digests are made;
    `stored`: lines are in their stored form already.
    """

    min_chars: int
    max_chars: int
    forms: Set[str] = field(default_factory=frozenset)
    repetitions: bool = False
    stored: bool = False

    def sift(self, piece: str) -> FilteredBatch:
        """Sift the lines of a piece, which end at LF; a piece has at least one line, though it be empty."""
        lines = piece.split("\n") if self.stored else normalise_lines(piece)
        least, most = self.min_chars, self.max_chars
        reasons = [
            # What most lines are, said without a call; `unfit` says the same of them.
            None if line.isascii() and least <= len(line) <= most and line[:1].isalpha() else unfit(line, least, most)
            for line in lines
        ]
        dropped = Counter(filter(None, reasons))
        left = lines if not dropped else [line for line, why in zip(lines, reasons, strict=True) if why is None]
        found = self._found(left)
        if found:
            forms = match_forms(left)
            left = [line for line, form in zip(left, forms, strict=True) if form not in found]
            dropped["evaluation"] = found.total()
        encoded = [line.encode() for line in left]
        return FilteredBatch(len(lines), encoded, b"" if self.repetitions else digests(encoded), dropped, found)

    def _found(self, lines: Sequence[str]) -> Counter[str]:
        """Count the evaluation sentences among lines. Most lines are told from all of them by how they begin."""
        begin = self._beginnings
        alike = [line for line in lines if not line[: _HEAD + 1].isascii() or line[:_HEAD].lower() in begin]
        return Counter(form for form in match_forms(alike) if form in self.forms)

    @cached_property
    def _beginnings(self) -> frozenset[str]:
        # The character after the beginning must be ASCII too: a mark there would change the last one of it.
        return frozenset(form[:_HEAD] for form in self.forms)


def pieces(texts: Iterable[str]) -> Iterator[str]:
    """Join texts to pieces, a line each; a line break within a text becomes a space, as it does in stored form."""
    batch: list[str] = []
    size = 0
    for text in texts:
        batch.append(text)
        size += len(text)
        if size >= _PIECE:
            yield _joined(batch)
            batch, size = [], 0
    if batch:
        yield _joined(batch)


def digests(lines: Iterable[bytes]) -> bytes:
    """Return the 128-bit BLAKE2b digests of lines, one after the other."""
    return b"".join([hashlib.blake2b(line, digest_size=DIGEST_BYTES).digest() for line in lines])


def _joined(batch: Sequence[str]) -> str:
    piece = "\n".join(batch)
    if piece.count("\n") == len(batch) - 1:
        return piece
    return "\n".join(text.replace("\n", " ") for text in batch)
