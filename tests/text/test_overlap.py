"""Word overlap against the checked values, a matrix computation and cases done by hand."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from mlsg.text.overlap import idf_overlap, overlap, words

_STS17 = "data/STS2017/STS2017.{}/STS.{}.track{}.txt"
_TEXTS = st.lists(st.tuples(st.text("ab cdé, "), st.text("ab cdé, ")), min_size=1, max_size=8)

_CHECKED = {"stsb.en": (56.48, 70.71), "3.es-es": (72.39, 78.09), "1.ar-ar": (61.68, 61.96), "5.en-en": (73.29, 77.68)}


def _pairs(shared: Path, name: str) -> tuple[list[str], list[str], list[float]]:
    """The pairs, read here by hand: columns of a TAB-separated file, and the scores."""
    if name == "stsb.en":
        lines = (shared / "data/STS/STSBenchmark/sts-test.csv").read_text(encoding="utf-8").rstrip("\n").split("\n")
        rows = [line.split("\t") for line in lines]
        return [row[5] for row in rows], [row[6] for row in rows], [float(row[4]) for row in rows]
    lines = (shared / _STS17.format("eval.v1.1", "input", name)).read_text(encoding="utf-8").rstrip("\n").split("\n")
    gold = (shared / _STS17.format("gs", "gs", name)).read_text(encoding="utf-8").split()
    rows = [line.split("\t") for line in lines]
    return [row[0] for row in rows], [row[1] for row in rows], [float(score) for score in gold]


@pytest.mark.parametrize("name", _CHECKED)
def test_spearman_equals_the_checked_values(shared: Path, name: str) -> None:
    first, second, gold = _pairs(shared, name)
    got = [100 * spearmanr(measure(first, second, True), gold).statistic for measure in (overlap, idf_overlap)]
    assert got == pytest.approx(_CHECKED[name], abs=0.01)


@given(_TEXTS)
def test_idf_overlap_equals_a_cosine_of_weighted_rows(pairs: list[tuple[str, str]]) -> None:
    first, second = zip(*pairs, strict=True)
    sentences = sorted({*first, *second})
    vocabulary = sorted({word for text in sentences for word in words(text, True)})
    binary = np.array([[word in words(text, True) for word in vocabulary] for text in sentences], dtype=float)
    binary = binary.reshape(len(sentences), len(vocabulary))
    rows = binary * np.log((1 + len(sentences)) / (1 + binary.sum(axis=0)))
    for a, b, got in zip(first, second, idf_overlap(first, second, True), strict=True):
        u, v = rows[sentences.index(a)], rows[sentences.index(b)]
        norms = np.linalg.norm(u) * np.linalg.norm(v)
        assert got == pytest.approx(u @ v / norms if norms else 0.0, abs=1e-9)


@given(_TEXTS)
def test_both_measures_are_symmetric_and_between_0_and_1(pairs: list[tuple[str, str]]) -> None:
    first, second = zip(*pairs, strict=True)
    for measure in (overlap, idf_overlap):
        values = measure(first, second, True)
        assert values == measure(second, first, True)
        assert all(0 <= value <= 1 for value in values)


def test_jaccard_counts_distinct_folded_words() -> None:
    assert overlap(["The cat, the CAT sat"], ["a cat sat?"], True) == [2 / 4]
    assert overlap(["Straße"], ["STRASSE"], True) == [1.0]


def test_composed_and_decomposed_text_are_the_same_words() -> None:
    text = "café niño été"
    assert words(unicodedata.normalize("NFD", text), True) == words(text, True)


def test_unspaced_text_is_counted_in_bigrams_across_punctuation_and_spaces() -> None:
    assert words("東京 都、へ。", False) == {"東京", "京都", "都へ"}
    assert words("แมว", False) == {"แม", "มว"}
    assert overlap(["東京都"], ["京都"], False) == [1 / 2]


def test_one_character_is_its_own_bigram() -> None:
    assert words("猫。", False) == {"猫"}
    assert overlap(["猫"], ["猫"], False) == [1.0]


@pytest.mark.parametrize("spaced", [True, False])
@pytest.mark.parametrize("pair", [("", ""), ("", "猫が好き"), ("?!", "..."), ("  ", "")])
def test_sentences_without_words_share_nothing(pair: tuple[str, str], spaced: bool) -> None:
    assert overlap([pair[0]], [pair[1]], spaced) == [0.0]
    assert idf_overlap([pair[0]], [pair[1]], spaced) == [0.0]


def test_a_word_of_every_sentence_weighs_nothing() -> None:
    assert idf_overlap(["same"], ["same"], True) == [0.0]
    assert idf_overlap(["the cat", "the dog"], ["the cat", "the bird"], True) == [1.0, 0.0]


def test_sides_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        overlap(["a"], [], True)
