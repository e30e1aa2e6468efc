"""Sentences of evaluation sets, and which of them a training text holds (design, part 5).

Two sentences are the same when their `match_form` is. Near-duplicates are not found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from typing import NamedTuple

from mlsg.text.normalise import match_form


class Counts(NamedTuple):
    """Of one set: lines of the text that are a sentence of it, its distinct sentences found, all its distinct ones."""

    lines: int
    found: int
    sentences: int


@dataclass
class EvaluationSentences:
    """The distinct sentences of several sets, and how often the training text held each."""

    _sets_of: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _names: dict[str, None] = field(default_factory=dict)
    _lines_of: Counter[str] = field(default_factory=Counter)

    @property
    def forms(self) -> Set[str]:
        """The `match_form` of every sentence of every set."""
        return self._sets_of.keys()

    def add(self, name: str, sentences: Iterable[str]) -> None:
        """Take in the sentences of a set."""
        self._names[name] = None
        for form in {match_form(sentence) for sentence in sentences} - {""}:
            names = self._sets_of.get(form, ())
            self._sets_of[form] = names if name in names else (*names, name)

    def found(self, lines_of: Mapping[str, int]) -> None:
        """Note that the text held so many lines of each of these `forms`."""
        self._lines_of.update(lines_of)

    def counts(self) -> dict[str, Counts]:
        """Return what was found of every set; a line counts for each set that has it."""
        lines, found, sentences = Counter[str](), Counter[str](), Counter[str]()
        for form, names in self._sets_of.items():
            sentences.update(names)
            for name in names if form in self._lines_of else ():
                found[name] += 1
                lines[name] += self._lines_of[form]
        return {name: Counts(lines[name], found[name], sentences[name]) for name in self._names}
