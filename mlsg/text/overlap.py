r"""How alike two sentences are by the words they share: the two baselines that every method must beat.

`overlap` is the Jaccard index of the sets of words. `idf_overlap` is the cosine of binary word vectors in which a word
weighs idf = ln((1 + N) / (1 + df)), N and df counted over the distinct sentences of the same pairs (docs/design.md,
part 5). A word is a `\w+` run of the NFC, case-folded text; where words are not separated by spaces it is a character
bigram of the text without white space and punctuation. Python's `\w` holds no combining mark, so a Devanagari word
falls apart at its vowel signs: that is the definition that the checked values were computed with.

Two sentences of which one or both have no word at all share nothing: 0.
"""

from __future__ import annotations

import itertools
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

_WORD = re.compile(r"\w+")


def words(text: str, spaced: bool) -> frozenset[str]:
    """Return the distinct words of a sentence: `Ab, ab!` -> {"ab"}; unspaced: `東京都。` -> {"東京", "京都"}."""
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
    return frozenset(_WORD.findall(folded) if spaced else _bigrams(folded))


def overlap(first: Sequence[str], second: Sequence[str], spaced: bool) -> list[float]:
    """Jaccard index of each pair's sets of words."""
    bags = [(words(a, spaced), words(b, spaced)) for a, b in zip(first, second, strict=True)]
    return [len(a & b) / len(a | b) if a or b else 0.0 for a, b in bags]


def idf_overlap(first: Sequence[str], second: Sequence[str], spaced: bool) -> list[float]:
    """Cosine of each pair's binary word vectors, weighted by the idf over all distinct sentences given."""
    bags = {text: words(text, spaced) for text in (*first, *second)}
    counts = Counter(word for bag in bags.values() for word in bag)
    idf = {word: math.log((1 + len(bags)) / (1 + count)) for word, count in counts.items()}

    def weight(bag: frozenset[str]) -> float:
        return math.fsum(idf[word] ** 2 for word in bag)

    return [
        _cosine(weight(bags[a] & bags[b]), math.sqrt(weight(bags[a]) * weight(bags[b])))
        for a, b in zip(first, second, strict=True)
    ]


def _bigrams(text: str) -> list[str]:
    """Neighbouring characters; a text of one character is its own bigram."""
    kept = [char for char in text if not char.isspace() and not unicodedata.category(char).startswith("P")]
    return [a + b for a, b in itertools.pairwise(kept)] if len(kept) > 1 else kept


def _cosine(product: float, norms: float) -> float:
    # Rounded, so that cosines that are equal on paper tie in a rank correlation too.
    return round(product / norms, 12) if norms else 0.0
