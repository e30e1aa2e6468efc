"""The sentences of evaluation sets, and how many of each a training text holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from typing import NamedTuple

from mlsg.text.matching import match_forms, near_form
from mlsg.text.normalise import normalise_lines


class SetCounts(NamedTuple):
    """Of one set: lines of the text that are a sentence of it, its distinct sentences found, all its distinct ones."""

    lines: int
    found: int
    sentences: int


@dataclass
class EvaluationSentences:
    """The distinct sentences of several sets, and how often the training text held each.

    Two sentences are the same when their `match_form` is.
    """

    _sets_of: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _names: dict[str, None] = field(default_factory=dict)
    _lines_of: Counter[str] = field(default_factory=Counter)

    @property
    def forms(self) -> Set[str]:
        """The `match_form` of every sentence of every set."""
        return self._sets_of.keys()

    def add(self, name: str, sentences: Iterable[str]) -> None:
        """Take in the sentences of a set."""
        one_line = (sentence.replace("\n", " ") for sentence in sentences)
        self.add_forms((name,), match_forms(normalise_lines("\n".join(one_line))))

    def add_forms(self, names: tuple[str, ...], forms: Iterable[str]) -> None:
        """Take in the match forms of sentences that all of these sets have; of other sets they may be sentences too."""
        self._names.update(dict.fromkeys(names))
        fresh = dict.fromkeys(forms, names)
        for form in self._sets_of.keys() & fresh.keys():
            fresh[form] = tuple(dict.fromkeys((*self._sets_of[form], *names)))
        self._sets_of.update(fresh)
        self._sets_of.pop("", None)

    def by_sets(self) -> dict[tuple[str, ...], list[str]]:
        """Return the forms that are in just these sets, for all combinations that occur, and for each set alone."""
        found: dict[tuple[str, ...], list[str]] = {(name,): [] for name in self._names}
        for form, names in self._sets_of.items():
            found.setdefault(names, []).append(form)
        return found

    def near(self) -> EvaluationSentences:
        """Return the same sentences by their `near_form`."""
        found = EvaluationSentences()
        for names, forms in self.by_sets().items():
            found.add_forms(names, map(near_form, forms))
        return found

    def found(self, lines_of: Mapping[str, int]) -> None:
        """Note that the text held that many lines of each of these `forms`."""
        self._lines_of.update(lines_of)

    def counts(self) -> dict[str, SetCounts]:
        """Return what was found of every set; a line counts for each set that has it."""
        lines, found, sentences = Counter[str](), Counter[str](), Counter[str]()
        for names, forms in self.by_sets().items():
            held = [self._lines_of[form] for form in forms if form in self._lines_of]
            for name in names:
                lines[name] += sum(held)
                found[name] += len(held)
                sentences[name] += len(forms)
        return {name: SetCounts(lines[name], found[name], sentences[name]) for name in self._names}
