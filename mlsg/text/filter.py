"""Which lines are kept, and why the others are dropped: one batch of text at a time, each by itself.

The first reason that holds counts: empty, too_short, too_long, no_letters, evaluation, duplicate. All but the last can
be told from the line alone, so batches may be filtered in any process and any order; duplicates are left to the one
that sees all lines in their order (`mlsg.text.deduplicate`), for which each line that is left comes with its digest.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from mlsg.text.length import unfit
from mlsg.text.normalise import match_form, match_forms, normalise_lines

_HEAD = 8  # characters of a line's beginning
_BATCH = 1 << 18  # characters; about 3,000 lines


@dataclass(frozen=True)
class FilteredBatch:
    """What is left of one batch: lines in UTF-8, their digests one after the other, and what became of the rest."""

    read: int
    lines: Sequence[bytes]
    digests: bytes
    dropped: Mapping[str, int]
    found: Mapping[str, int]
    """Evaluation sentences (their `match_form`) and the number of lines that were one."""


@dataclass(frozen=True)
class LineFilter:
    """What a line must be to be kept.

    `forms`: `match_form`s of the sentences to drop; `repetitions`: duplicates are kept, so no digests are made;
    `stored`: lines are in their stored form already.
    """

    min_chars: int
    max_chars: int
    forms: frozenset[str] = frozenset()
    repetitions: bool = False
    stored: bool = False

    def apply(self, batch: str) -> FilteredBatch:
        """Filter the lines of a batch, which end at LF; a batch has at least one line, even if it is empty."""
        lines = batch.split("\n") if self.stored else normalise_lines(batch)
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


def batches(texts: Iterable[str]) -> Iterator[str]:
    """Join texts to batches, a line each; a line break within a text becomes a space, as it does in stored form."""
    batch: list[str] = []
    size = 0
    for text in texts:
        batch.append(text)
        size += len(text)
        if size >= _BATCH:
            yield _joined(batch)
            batch, size = [], 0
    if batch:
        yield _joined(batch)


def digests(lines: Iterable[bytes]) -> bytes:
    """Return the 128-bit BLAKE2b digests of lines, one after the other."""
    return b"".join([hashlib.blake2b(line, digest_size=16).digest() for line in lines])


class SetCounts(NamedTuple):
    """Of one set: lines of the text that are a sentence of it, its distinct sentences found, all its distinct ones."""

    lines: int
    found: int
    sentences: int


@dataclass
class EvaluationSentences:
    """The distinct sentences of several sets, and how often the training text held each.

    Two sentences are the same when their `match_form` is. Near-duplicates are not found.
    """

    _sets_of: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _names: dict[str, None] = field(default_factory=dict)
    _lines_of: Counter[str] = field(default_factory=Counter)

    @property
    def forms(self) -> frozenset[str]:
        """The `match_form` of every sentence of every set."""
        return frozenset(self._sets_of)

    def add(self, name: str, sentences: Iterable[str]) -> None:
        """Take in the sentences of a set."""
        self._names[name] = None
        for form in {match_form(sentence) for sentence in sentences} - {""}:
            names = self._sets_of.get(form, ())
            self._sets_of[form] = names if name in names else (*names, name)

    def found(self, lines_of: Mapping[str, int]) -> None:
        """Note that the text held that many lines of each of these `forms`."""
        self._lines_of.update(lines_of)

    def counts(self) -> dict[str, SetCounts]:
        """Return what was found of every set; a line counts for each set that has it."""
        lines, found, sentences = Counter[str](), Counter[str](), Counter[str]()
        for form, names in self._sets_of.items():
            sentences.update(names)
            for name in names if form in self._lines_of else ():
                found[name] += 1
                lines[name] += self._lines_of[form]
        return {name: SetCounts(lines[name], found[name], sentences[name]) for name in self._names}


def _joined(batch: Sequence[str]) -> str:
    joined = "\n".join(batch)
    if joined.count("\n") == len(batch) - 1:
        return joined
    return "\n".join(text.replace("\n", " ") for text in batch)
