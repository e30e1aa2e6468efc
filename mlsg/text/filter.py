"""Which lines are kept, and why the others are dropped.

The first reason that holds counts: empty, too_short, too_long, no_letters, evaluation, duplicate. One process does it,
a batch of lines at a time: what a pool of processes saves is lost on sending the lines to and fro (docs/benchmarks.md).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import compress
from typing import NamedTuple

from mlsg.text.deduplicate import SeenTexts
from mlsg.text.length import unfit
from mlsg.text.normalise import match_form, match_forms, normalise_lines

_BATCH = 1 << 18  # characters; about 3,000 lines


@dataclass(frozen=True)
class LineFilter:
    """What a line must be to be kept.

    `forms`: `match_form`s of the sentences to drop; `repetitions`: duplicates are kept; `stored`: lines are in their
    stored form already.
    """

    min_chars: int
    max_chars: int
    forms: frozenset[str] = frozenset()
    repetitions: bool = False
    stored: bool = False


@dataclass
class FilterCounts:
    """What became of the lines read; `found`: how many were which evaluation sentence (its `match_form`)."""

    read: int = 0
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)


def filter_texts(
    line_filter: LineFilter, texts: Iterable[str], counts: FilterCounts, characters: int | None = None
) -> Iterator[Sequence[bytes]]:
    """Yield the kept lines in UTF-8, in batches, with flat memory; `counts` are up to date at each batch.

    `characters`: of a batch, where the caller may need no more than a few.
    """
    seen = SeenTexts()
    for batch in batches(texts, characters):
        lines = batch.split("\n") if line_filter.stored else normalise_lines(batch)
        encoded = [line.encode() for line in lines]
        counts.read += len(lines)
        reasons = _reasons(lines, encoded, line_filter)
        if any(reasons):
            counts.dropped.update(filter(None, reasons))
            fit = [reason is None for reason in reasons]
            lines, encoded = list(compress(lines, fit)), list(compress(encoded, fit))
        if line_filter.forms and not line_filter.forms.isdisjoint(forms := match_forms(lines)):
            found = [form for form in forms if form in line_filter.forms]
            counts.found.update(found)
            counts.dropped["evaluation"] += len(found)
            encoded = list(compress(encoded, [form not in line_filter.forms for form in forms]))
        if not line_filter.repetitions:
            fresh = seen.add(digests(encoded)).tolist()
            if not all(fresh):
                counts.dropped["duplicate"] += fresh.count(False)
                encoded = list(compress(encoded, fresh))
        counts.kept += len(encoded)
        yield encoded


def _reasons(lines: Sequence[str], encoded: Sequence[bytes], line_filter: LineFilter) -> list[str | None]:
    """Say of each line why it is unfit, or None.

    A character of n bytes adds 1 to n to the length, or a combining mark of an unspaced script (3 bytes or more) 0. So
    most lines are told to fit by their bytes alone, several times as fast as by `unfit`.
    """
    least, most = line_filter.min_chars, line_filter.max_chars
    return [
        None
        if len(data) <= most and 3 * len(line) - len(data) >= 2 * least and line[:1].isalpha()
        else unfit(line, least, most)
        for line, data in zip(lines, encoded, strict=True)
    ]


def batches(texts: Iterable[str], characters: int | None = None) -> Iterator[str]:
    """Join texts to batches, a line each; a line break within a text becomes a space, as it does in stored form."""
    batch: list[str] = []
    size, most = 0, min(_BATCH, characters or _BATCH)
    for text in texts:
        batch.append(text)
        size += len(text)
        if size >= most:
            yield _joined(batch)
            batch, size = [], 0
    if batch:
        yield _joined(batch)


def digests(lines: Iterable[bytes]) -> bytes:
    """Return the 128-bit BLAKE2b digests of lines, one after the other."""
    return b"".join([blake2b(line, digest_size=16).digest() for line in lines])


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
