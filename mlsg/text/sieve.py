"""Which normalised lines are kept, and why the others are dropped, batch by batch with flat memory.

The first reason that holds counts: empty, too_short, too_long, no_letters, evaluation, duplicate.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from mlsg.text.deduplicate import SeenTexts
from mlsg.text.evaluation import EvaluationSentences
from mlsg.text.length import unfit

_BATCH = 4096


@dataclass
class Tally:
    """What became of the lines read."""

    read: int = 0
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Sieve:
    """`evaluation`: sentences to drop, or None; `repetitions`: keep a sentence as often as it occurs."""

    min_chars: int
    max_chars: int
    evaluation: EvaluationSentences | None = None
    repetitions: bool = False

    def kept(self, sentences: Iterable[str], tally: Tally) -> Iterator[list[str]]:
        """Yield the kept lines in their order, in batches; `tally` is up to date at each."""
        remaining = iter(sentences)
        seen = None if self.repetitions else SeenTexts()
        while batch := list(islice(remaining, _BATCH)):
            fit = []
            for sentence in batch:
                reason = self._reason(sentence)
                if reason is None:
                    fit.append(sentence)
                else:
                    tally.dropped[reason] += 1
            fresh = fit if seen is None else [text for text, new in zip(fit, seen.add(fit), strict=True) if new]
            if len(fresh) < len(fit):
                tally.dropped["duplicate"] += len(fit) - len(fresh)
            tally.read += len(batch)
            tally.kept += len(fresh)
            yield fresh

    def _reason(self, sentence: str) -> str | None:
        reason = unfit(sentence, self.min_chars, self.max_chars)
        if reason is None and self.evaluation is not None and self.evaluation.find(sentence):
            return "evaluation"
        return reason
