"""Which tokens the model is asked for: whole words, as drawn; and what stands in their place.

BERT (Devlin et al. 2019) and its whole-word masking: of the chosen words 80% become [MASK], 10% other tokens, 10% stay.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlsg.pretraining.tokenizer import MASK, SPECIAL

LONGEST = 6
"""Pieces; a run of more (a Thai sentence, a long compound) is taken for several words of this length."""


@dataclass(frozen=True)
class Masked:
    """Ids with words hidden, and what is asked for."""

    ids: np.ndarray
    """(rows, t), words hidden."""
    places: np.ndarray
    """(masked,) places in the flattened ids, ascending."""
    targets: np.ndarray
    """(masked,) the ids that stood there."""


def word_numbers(ids: np.ndarray, continues: np.ndarray) -> np.ndarray:
    """(rows, t): the number of the word of each token, counted over all rows; -1 for special tokens."""
    flat = ids.reshape(-1)
    special = flat < len(SPECIAL)
    special &= flat != 1  # [UNK] stands for a word
    new = ~continues[flat] | special
    before = np.concatenate(([True], special[:-1]))
    new |= before
    place = np.arange(len(flat))
    within = place - np.maximum.accumulate(np.where(new, place, 0))
    new |= within % LONGEST == 0
    numbers = np.cumsum(new) - 1
    return np.where(special, -1, numbers).reshape(ids.shape)


def mask_words(ids: np.ndarray, continues: np.ndarray, share: float, generator: np.random.Generator) -> Masked:
    """Hide each word with probability `share`; at least one in the batch."""
    words = word_numbers(ids, continues).reshape(-1)
    count = int(words.max(initial=-1)) + 1
    draws = generator.random((3, max(count, 1)))
    chosen = draws[0] < share
    real = np.unique(words[words >= 0])
    if len(real) and not chosen[real].any():
        chosen[real[int(generator.integers(len(real)))]] = True
    flat = ids.reshape(-1)
    places = np.flatnonzero((words >= 0) & chosen[words])
    hidden = flat.copy()
    fate = draws[1][words[places]]
    hidden[places[fate < 0.8]] = MASK
    replaced = places[(fate >= 0.8) & (fate < 0.9)]
    hidden[replaced] = generator.integers(len(SPECIAL), len(continues), len(replaced))
    return Masked(hidden.reshape(ids.shape), places, flat[places])
