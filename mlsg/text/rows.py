"""Filters for text whose rows are not single sentences: pairs, triplets, documents.

A row of several sentences is written with a TAB between them, which no sentence in stored form holds. It is dropped as
a whole for the first of its sentences that a plain text would not keep. A document loses its evaluation sentences and
stays, on one line.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

from mlsg.text.deduplicate import SeenTexts
from mlsg.text.filter import FilterCounts, LineFilter, digests
from mlsg.text.length import unfit
from mlsg.text.matching import match_forms, near_form
from mlsg.text.normalise import normalise

_AT_ONCE = 1024
_ENDLESS = 10**12
Row = TypeVar("Row")


def filter_rows(
    line_filter: LineFilter, rows: Iterable[Sequence[str]], counts: FilterCounts, *, scored: bool = False
) -> Iterator[Sequence[bytes]]:
    """Yield the kept rows in UTF-8, in batches; `counts` are up to date at each batch.

    The last cell of `scored` rows is a number; a row without one is dropped.
    """
    seen = SeenTexts()
    for batch in _batches(rows):
        kept = []
        for row in batch:
            *texts, score = row if scored else (*row, "")
            lines = [normalise(text) for text in texts]
            reasons = (unfit(line, line_filter.min_chars, line_filter.max_chars) for line in lines)
            reason: str | None = next(filter(None, reasons), None)
            if reason is None and len(_without_evaluation(lines, line_filter, counts)) < len(lines):
                reason = "evaluation"
            if reason is None and scored and not _is_number(score):
                reason = "no_score"
            if reason is None:
                kept.append("\t".join([*lines, score.strip()] if scored else lines).encode())
            else:
                counts.dropped[reason] += 1
        yield _first_ones(kept, len(batch), seen, line_filter, counts)


def filter_documents(
    line_filter: LineFilter, documents: Iterable[str], split: Callable[[str], Iterable[str]], counts: FilterCounts
) -> Iterator[Sequence[bytes]]:
    """Yield the kept documents in UTF-8, in batches, without evaluation sentences; `split` finds their sentences."""
    seen = SeenTexts()
    for batch in _batches(documents):
        kept = []
        for document in batch:
            sentences = [normalise(sentence) for sentence in split(document)]
            text = " ".join(_without_evaluation(sentences, line_filter, counts))
            reason = unfit(text, line_filter.min_chars, _ENDLESS)
            if reason is None:
                kept.append(text.encode())
            else:
                counts.dropped[reason] += 1
        yield _first_ones(kept, len(batch), seen, line_filter, counts)


def _is_number(text: str) -> bool:
    try:
        return "_" not in text and math.isfinite(float(text))
    except ValueError:
        return False


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    remaining = iter(rows)
    while batch := list(islice(remaining, _AT_ONCE)):
        yield batch


def _without_evaluation(lines: Sequence[str], line_filter: LineFilter, counts: FilterCounts) -> list[str]:
    if not line_filter.forms:
        return list(lines)
    left = []
    for line, form in zip(lines, match_forms(lines), strict=True):
        if form in line_filter.forms:
            counts.found[form] += 1
        elif line_filter.near and (near := near_form(form)) in line_filter.near:
            counts.near[near] += 1
        else:
            left.append(line)
    return left


def _first_ones(
    kept: Sequence[bytes], read: int, seen: SeenTexts, line_filter: LineFilter, counts: FilterCounts
) -> list[bytes]:
    fresh = [True] * len(kept) if line_filter.repetitions else seen.add(digests(kept)).tolist()
    left = [row for row, first in zip(kept, fresh, strict=True) if first]
    if len(left) < len(kept):
        counts.dropped["duplicate"] += len(kept) - len(left)
    counts.read += read
    counts.kept += len(left)
    return left
