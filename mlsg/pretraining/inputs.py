"""The stream of inputs: pools of some steps' worth of tokens, drawn by language, sorted by length, cut into passes.

A pool is a function of (seed, its number, where the decks stood when it began), so a killed training makes its pool
again and goes on inside it. Inputs of one length lie together: rows hold next to no padding. Passes are shuffled, so
that a step sees several lengths.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mlsg.pretraining.masking import mask_words
from mlsg.pretraining.passages import SPECIALS, Deck, passages
from mlsg.pretraining.settings import PretrainSettings
from mlsg.pretraining.store import Store
from mlsg.pretraining.tokenizer import CLS, PAD, SEP
from mlsg.train.schedule import seed_of

_STEPS = 32
"""Steps' worth of tokens in a pool: enough that inputs of one length fill a pass."""
NO_LABEL = -1


@dataclass(frozen=True)
class Example:
    """One input: one text, or two; what [CLS] is asked for."""

    group: int
    """Number of the language; for translations the number of languages."""
    one: np.ndarray
    other: np.ndarray
    label: int = NO_LABEL
    """BERT's: 0 when the second text follows the first, 1 when it is from elsewhere."""
    bag: np.ndarray | None = None
    """Words that a vector is asked for where they are not the input's own: those of its translation."""

    @property
    def length(self) -> int:
        """Tokens, special ones included."""
        return len(self.one) + len(self.other) + (SPECIALS if len(self.other) else 2)


@dataclass(frozen=True)
class Batch:
    """What one forward pass takes; all arrays are numpy's."""

    ids: np.ndarray
    """(rows, t), words hidden."""
    types: np.ndarray
    lengths: np.ndarray
    """(rows,)"""
    places: np.ndarray
    """(masked,) in the flattened ids."""
    targets: np.ndarray
    groups: np.ndarray
    """(masked,) group of each."""
    pair_rows: np.ndarray
    """(labelled,) rows with a next-sentence label, and the labels."""
    labels: np.ndarray
    bag_rows: np.ndarray
    """(words,) rows and words that [CLS] is asked for."""
    bag_words: np.ndarray

    @property
    def tokens(self) -> int:
        """Without padding."""
        return int(self.lengths.sum())


class Inputs:
    """Pools of passes, for one store and settings."""

    def __init__(self, store: Store, continues: np.ndarray, settings: PretrainSettings) -> None:
        self.store, self.continues, self.s = store, continues, settings
        self.groups = (*store.languages, "translations")
        self.longest = 0
        self._decks: dict[str, Deck] = {}
        self._quotas = _quotas(store, settings)

    def stand(self, longest: int, decks: Mapping[str, Sequence[int]] | None = None) -> None:
        """Make decks of inputs of at most `longest` tokens; with `decks`, as `decks_at` once gave them."""
        seed, store = self.s.seed, self.store
        if longest != self.longest:
            self.longest = longest
            self._decks = {
                lang: Deck(passages(store, lang, longest), seed, "passages", number, longest)
                for number, lang in enumerate(store.languages)
                if lang in self._quotas
            }
            for name in self._quotas:
                if name not in self._decks:
                    rows = np.flatnonzero((store.pair_langs == [int(part) for part in name.split("-")]).all(axis=1))
                    self._decks[name] = Deck(rows, seed, f"pairs {name}", longest)
        for name, (passes, place) in (decks or {}).items():
            self._decks[name].passes, self._decks[name].place = passes, place

    def decks_at(self) -> dict[str, list[int]]:
        """Where the decks stand."""
        return {name: [deck.passes, deck.place] for name, deck in self._decks.items()}

    def pool(self, number: int) -> list[Batch]:
        """The passes of the next pool; the decks move on."""
        generator = np.random.Generator(np.random.PCG64(seed_of(self.s.seed, "pool", number)))
        size = _STEPS * self.s.batch_tokens
        examples: list[Example] = []
        for name, share in self._quotas.items():
            draw = self._texts if name in self.store.documents else self._pairs
            examples += draw(name, share * size, generator)
        lengths = np.array([example.length for example in examples])
        order = np.argsort(lengths + generator.random(len(lengths)), kind="stable")
        cuts = _cuts(lengths[order], self.s.pass_tokens)
        passes = [
            self._batch([examples[row] for row in order[first:last]], generator)
            for first, last in zip([0, *cuts[:-1]], cuts, strict=True)
        ]
        return [passes[row] for row in generator.permutation(len(passes))]

    def _texts(self, lang: str, tokens: float, generator: np.random.Generator) -> list[Example]:
        deck, group, store = self._decks[lang], self.store.languages.index(lang), self.store
        whole: list[tuple[np.ndarray, np.ndarray]] = []
        held = 0
        while held < tokens:
            first, last = deck.next()
            middle = _middle(store.starts[first : last + 1])
            one, other = (
                store.ids[store.starts[a] : store.starts[b]]
                for a, b in ((first, first + middle), (first + middle, last))
            )
            one, other = _cut(one, other, self.longest)
            whole.append((one, other))
            held += len(one) + len(other) + SPECIALS
        if not self.s.next_sentence:
            return [Example(group, one, other) for one, other in whole]
        pairs = [place for place, (_, other) in enumerate(whole) if len(other)]
        swapped = [place for place, draw in zip(pairs, generator.random(len(pairs)), strict=True) if draw < 0.5]
        elsewhere = dict(zip(swapped, np.roll(swapped, 1).tolist(), strict=True)) if len(swapped) > 1 else {}
        made = []
        for place, (one, other) in enumerate(whole):
            if place in elsewhere:
                made.append(Example(group, *_cut(one, whole[elsewhere[place]][1], self.longest), label=1))
            else:
                made.append(Example(group, one, other, label=0 if len(other) else NO_LABEL))
        return made

    def _pairs(self, name: str, tokens: float, generator: np.random.Generator) -> list[Example]:
        deck, group, store = self._decks[name], len(self.store.languages), self.store
        longest = min(max(self.longest, 128), self.s.lengths[-1])
        made: list[Example] = []
        held = 0
        while held < tokens:
            line = store.pairs + 2 * int(deck.next())
            sides = [store.line(line), store.line(line + 1)]
            turned, alone = generator.random(2)
            if turned < 0.5:
                sides.reverse()
            if self.s.bag and alone < 0.5:
                one, _ = _cut(sides[0], sides[0][:0], longest)
                made.append(Example(group, one, one[:0], bag=sides[1]))
            else:
                made.append(Example(group, *_cut(sides[0], sides[1], longest)))
            held += made[-1].length
        return made

    def _batch(self, examples: Sequence[Example], generator: np.random.Generator) -> Batch:
        lengths = np.array([example.length for example in examples])
        ids = np.full((len(examples), int(lengths.max())), PAD, dtype=np.int64)
        types = np.zeros_like(ids)
        for row, example in enumerate(examples):
            first = 1 + len(example.one)
            ids[row, 0], ids[row, 1:first], ids[row, first] = CLS, example.one, SEP
            if len(example.other):
                last = first + 1 + len(example.other)
                ids[row, first + 1 : last], ids[row, last] = example.other, SEP
                types[row, first + 1 : last + 1] = 1
        masked = mask_words(ids, self.continues, self.s.mask_share, generator)
        labels = np.array([example.label for example in examples])
        groups = np.array([example.group for example in examples])
        bag_rows, bag_words = _bags(examples) if self.s.bag else (np.zeros(0, np.int64), np.zeros(0, np.int64))
        return Batch(
            masked.ids,
            types,
            lengths,
            masked.places,
            masked.targets,
            groups[masked.places // ids.shape[1]],
            np.flatnonzero(labels != NO_LABEL),
            labels[labels != NO_LABEL],
            bag_rows,
            bag_words,
        )


def _bags(examples: Sequence[Example]) -> tuple[np.ndarray, np.ndarray]:
    words = [
        np.concatenate((example.one, example.other)) if example.bag is None else example.bag for example in examples
    ]
    return np.repeat(np.arange(len(words)), list(map(len, words))), np.concatenate(words).astype(np.int64)


def _quotas(store: Store, settings: PretrainSettings) -> dict[str, float]:
    """Language, or two numbers of languages -> its share of the tokens."""
    sizes = {lang: float(store.tokens_of(lang)) for lang in store.languages if store.tokens_of(lang)}
    rows: dict[str, float] = {}
    lengths = store.lengths[store.pairs :].reshape(-1, 2).sum(axis=1)
    for (one, other), tokens in zip(store.pair_langs.tolist(), lengths.tolist(), strict=True):
        rows[f"{one}-{other}"] = rows.get(f"{one}-{other}", 0.0) + tokens
    pairs = settings.pair_share if rows else 0.0
    return {**_shared(sizes, settings.language_share, 1 - pairs), **_shared(rows, settings.language_share, pairs)}


def _shared(sizes: Mapping[str, float], power: float, total: float) -> dict[str, float]:
    weights = {name: size**power for name, size in sizes.items()}
    return {name: total * weight / sum(weights.values()) for name, weight in weights.items() if total}


def _middle(starts: np.ndarray) -> int:
    """After how many lines of a passage its second text begins: where the halves are most alike."""
    if len(starts) <= 2:
        return 1
    half = (starts[0] + starts[-1]) / 2
    return 1 + int(np.abs(starts[1:-1] - half).argmin())


def _cut(one: np.ndarray, other: np.ndarray, longest: int) -> tuple[np.ndarray, np.ndarray]:
    """Both texts shortened, the longer first, until they fit into an input."""
    if not len(other):
        return one[: longest - 2], other
    room = longest - SPECIALS
    kept = min(len(one), max(room - len(other), room // 2))
    return one[:kept], other[: room - kept]


def _cuts(lengths: np.ndarray, tokens: int) -> list[int]:
    """Ends of runs of ascending lengths whose rows, padded to the longest, hold at most `tokens`."""
    ends, first = [], 0
    for place, length in enumerate(lengths.tolist()):
        if place > first and (place + 1 - first) * length > tokens:
            ends.append(place)
            first = place
    return [*ends, len(lengths)]
