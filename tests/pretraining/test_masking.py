"""Whole words are hidden, about as many as asked for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsg.pretraining.masking import LONGEST, mask_words, word_numbers
from mlsg.pretraining.tokenizer import CLS, MASK, PAD, SEP, SPECIAL, UNK

_CONTINUES = np.arange(200) >= 120


def _words_by_hand(row: list[int]) -> list[list[int]]:
    """Places of every word of a row, by a plain loop."""
    words: list[list[int]] = []
    open_ = False
    for place, token in enumerate(row):
        if token in (PAD, CLS, SEP, MASK):
            open_ = False
        elif open_ and _CONTINUES[token] and len(words[-1]) < LONGEST:
            words[-1].append(place)
        else:
            words.append([place])
            open_ = True
    return words


_ROWS = st.lists(
    st.lists(st.sampled_from([UNK, SEP, PAD, CLS, *range(100, 140)]), min_size=20, max_size=20), min_size=1, max_size=4
)


@given(_ROWS)
def test_words_are_those_of_a_plain_loop(rows: list[list[int]]) -> None:
    ids = np.array([[CLS, *row] for row in rows])
    numbers = word_numbers(ids, _CONTINUES)
    found = [[np.flatnonzero(row == number).tolist() for number in np.unique(row[row >= 0])] for row in numbers]
    assert found == [_words_by_hand(row) for row in ids.tolist()]
    flat = numbers[numbers >= 0]
    assert len(np.unique(flat)) == sum(len(words) for words in found), "no word reaches from row to row"


def _text(rows: int = 400, length: int = 40) -> np.ndarray:
    ids = np.random.default_rng(3).integers(len(SPECIAL), 200, (rows, length))
    ids[:, 0], ids[:, -1] = CLS, SEP
    ids[::2, -5:] = PAD
    return ids


@pytest.mark.parametrize("share", [0.15, 0.4])
def test_words_are_hidden_whole_and_about_as_many_as_asked_for(share: float) -> None:
    ids = _text()
    masked = mask_words(ids, _CONTINUES, share, np.random.default_rng(0))
    words = word_numbers(ids, _CONTINUES).reshape(-1)
    hidden = set(words[masked.places].tolist())
    everywhere = np.flatnonzero(np.isin(words, list(hidden)))
    assert np.array_equal(masked.places, everywhere)
    real = (words >= 0).sum()
    assert abs(len(masked.places) / real - share) < 0.02
    assert np.array_equal(masked.targets, ids.reshape(-1)[masked.places])


def test_of_the_hidden_most_are_masks_some_other_tokens_and_some_stay() -> None:
    ids = _text()
    masked = mask_words(ids, _CONTINUES, 0.15, np.random.default_rng(0))
    now = masked.ids.reshape(-1)[masked.places]
    assert abs((now == MASK).mean() - 0.8) < 0.04
    assert abs((now == masked.targets).mean() - 0.1) < 0.04
    assert not np.isin(now[now != MASK], range(len(SPECIAL))).any()
    untouched = np.setdiff1d(np.arange(ids.size), masked.places)
    assert np.array_equal(masked.ids.reshape(-1)[untouched], ids.reshape(-1)[untouched])


def test_one_word_at_least_is_hidden_and_never_a_special_token() -> None:
    ids = np.array([[CLS, 7, SEP, PAD, PAD]])
    for seed in range(20):
        assert mask_words(ids, _CONTINUES, 0.01, np.random.default_rng(seed)).places.tolist() == [1]
    nothing = mask_words(np.array([[CLS, SEP]]), _CONTINUES, 0.5, np.random.default_rng(0))
    assert not len(nothing.places)
