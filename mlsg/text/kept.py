"""The lines of a text that are kept, in their order, and what became of the others; with flat memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import compress

from mlsg.text.deduplicate import SeenTexts
from mlsg.text.filter import FilteredBatch, LineFilter, pieces
from mlsg.text.workers import sift_all


@dataclass
class Tally:
    """What became of the lines read; `found`: how many were which evaluation sentence (its `match_form`)."""

    read: int = 0
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)


def kept_lines(
    sieve: LineFilter, texts: Iterable[str], tally: Tally, processes: int = 1
) -> Generator[Sequence[bytes], None, None]:
    """Yield the kept lines in UTF-8, in batches; `tally` is up to date at each. Close it when it is left early.

    Raises what `texts` raises, and MlsgError when one of the processes is killed.
    """
    seen = SeenTexts()
    with closing(sift_all(sieve, pieces(texts), processes)) as all_sifted:
        for sifted in all_sifted:
            lines = sifted.lines if sieve.repetitions else _first_ones(seen, sifted)
            tally.read += sifted.read
            tally.kept += len(lines)
            tally.dropped.update(sifted.dropped)
            tally.found.update(sifted.found)
            if len(lines) < len(sifted.lines):
                tally.dropped["duplicate"] += len(sifted.lines) - len(lines)
            yield lines


def _first_ones(seen: SeenTexts, sifted: FilteredBatch) -> list[bytes]:
    return list(compress(sifted.lines, seen.add(sifted.digests).tolist()))
