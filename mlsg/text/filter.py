"""Which lines are kept, and why the others are dropped.

The first reason that holds counts: empty, too_short, too_long, no_letters, evaluation, near_evaluation, duplicate. One
process does it, a batch of lines at a time: what a pool of processes saves is lost on sending the lines to and fro
(docs/benchmarks.md).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import compress

from mlsg.text.deduplicate import SeenTexts
from mlsg.text.length import unfit
from mlsg.text.matching import match_forms, near_form
from mlsg.text.normalise import normalise_lines

_BATCH = 1 << 18  # characters; about 3,000 lines


@dataclass(frozen=True)
class LineFilter:
    """What a line must be to be kept.

    `forms`: `match_form`s of the sentences to drop, `near`: their `near_form`s where near matches are dropped too;
    `repetitions`: duplicates are kept; `stored`: lines are in their stored form already.
    """

    min_chars: int
    max_chars: int
    forms: Set[str] = frozenset()
    repetitions: bool = False
    stored: bool = False
    near: Set[str] = frozenset()


@dataclass
class FilterCounts:
    """What became of the lines read; `found`: how many were which evaluation sentence (its `match_form`).

    `near`: how many more were near which one (its `near_form`).
    """

    read: int = 0
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    near: Counter[str] = field(default_factory=Counter)


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
        if line_filter.forms:
            encoded = _without_evaluation(lines, encoded, line_filter, counts)
        if not line_filter.repetitions:
            fresh = seen.add(digests(encoded)).tolist()
            if not all(fresh):
                counts.dropped["duplicate"] += fresh.count(False)
                encoded = list(compress(encoded, fresh))
        counts.kept += len(encoded)
        yield encoded


def _without_evaluation(
    lines: Sequence[str], encoded: Sequence[bytes], line_filter: LineFilter, counts: FilterCounts
) -> list[bytes]:
    """Drop and count the sentences of evaluation sets, then what is near one."""
    kept, forms = list(encoded), match_forms(lines)
    if not line_filter.forms.isdisjoint(forms):
        found = [form in line_filter.forms for form in forms]
        counts.found.update(compress(forms, found))
        counts.dropped["evaluation"] += sum(found)
        others = [not each for each in found]
        kept, forms = list(compress(kept, others)), list(compress(forms, others))
    if line_filter.near:
        near = [near_form(form) for form in forms]
        found = [form in line_filter.near for form in near]
        counts.near.update(compress(near, found))
        counts.dropped["near_evaluation"] += sum(found)
        kept = [data for data, each in zip(kept, found, strict=True) if not each]
    return kept


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


def _joined(batch: Sequence[str]) -> str:
    joined = "\n".join(batch)
    if joined.count("\n") == len(batch) - 1:
        return joined
    return "\n".join(text.replace("\n", " ") for text in batch)
