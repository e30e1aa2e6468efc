"""What one input can be made of: neighbouring lines of a document, a single line, or a translation."""

from __future__ import annotations

import numpy as np

from mlsg.pretraining.store import Store
from mlsg.train.schedule import seed_of

SPECIALS = 3
"""[CLS] one [SEP] other [SEP]."""


def passages(store: Store, lang: str, longest: int) -> np.ndarray:
    """(passages, 2): first line and line after the last, of as many neighbours as `longest` tokens hold."""
    bounds = store.documents[lang]
    lengths = store.lengths
    found: list[tuple[int, int]] = []
    room = longest - SPECIALS
    for first, last in zip(bounds[:-2].tolist(), bounds[1:-1].tolist(), strict=True):
        begun, held = first, 0
        for place, size in enumerate(lengths[first:last].tolist(), start=first):
            if place > begun and held + size > room:
                found.append((begun, place))
                begun, held = place, 0
            held += size
        found.append((begun, last))
    found += [(line, line + 1) for line in range(int(bounds[-2]), int(bounds[-1]))]
    return np.array(found, dtype=np.int64).reshape(-1, 2)


class Deck:
    """Items in a shuffled order that is drawn anew for every pass; `passes` and `place` are all its state."""

    def __init__(self, items: np.ndarray, seed: int, purpose: str, *where: int) -> None:
        self.items = items
        self._draw = (seed, purpose, where)
        self.passes = self.place = 0
        self._order: tuple[int, np.ndarray] = (-1, np.zeros(0, np.int64))

    def next(self) -> np.ndarray:
        """The next item."""
        if self._order[0] != self.passes:
            seed, purpose, where = self._draw
            generator = np.random.Generator(np.random.PCG64(seed_of(seed, purpose, *where, self.passes)))
            self._order = (self.passes, generator.permutation(len(self.items)))
        item = self.items[self._order[1][self.place]]
        self.place += 1
        if self.place == len(self.items):
            self.passes, self.place = self.passes + 1, 0
        return item
