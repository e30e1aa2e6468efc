"""Sentences of evaluation sets, and which of them a training text holds (design, part 5).

Two sentences are the same when their `match_form` is. Near-duplicates are not found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
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
    """The distinct sentences of several sets, and counts of what `find` found."""

    _sets_of: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _found: set[str] = field(default_factory=set)
    _lines: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, sentences: Iterable[str]) -> None:
        """Take in the sentences of a set."""
        self._lines.setdefault(name, 0)
        for form in {match_form(sentence) for sentence in sentences} - {""}:
            names = self._sets_of.get(form, ())
            self._sets_of[form] = names if name in names else (*names, name)

    def find(self, sentence: str) -> bool:
        """Say whether a line of the training text is a sentence of any set, and count it for each set that has it."""
        form = match_form(sentence)
        names = self._sets_of.get(form, ())
        if names:
            self._found.add(form)
        for name in names:
            self._lines[name] += 1
        return bool(names)

    def counts(self) -> dict[str, Counts]:
        """Return what was found of every set."""
        sentences, found = Counter[str](), Counter[str]()
        for form, names in self._sets_of.items():
            sentences.update(names)
            found.update(names if form in self._found else ())
        return {name: Counts(lines, found[name], sentences[name]) for name, lines in self._lines.items()}
