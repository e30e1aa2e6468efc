"""Embeddings to start from: words of one topic lie together, and so do translations."""

from __future__ import annotations

import numpy as np
import pytest

from mlsg.pretraining.alignment import start_vectors
from mlsg.pretraining.store import Store

_TOPICS, _WORDS = 8, 12
_VOCABULARY = 5 + 2 * _TOPICS * _WORDS + 4
_UNUSED = _VOCABULARY - 1


def _word(lang: int, topic: int, number: int) -> int:
    return 5 + (lang * _TOPICS + topic) * _WORDS + number


def _store(pairs: int) -> Store:
    """Two languages of texts of one topic each, with some tokens of both; translations are of one topic."""
    draws = np.random.default_rng(0)

    def text(lang: int, topic: int) -> list[int]:
        own = [_word(lang, topic, number) for number in draws.integers(0, _WORDS, 8)]
        return [*own, *(int(_VOCABULARY - 4 + number) for number in draws.integers(0, 3, 2))]

    lines = [text(lang, int(topic)) for lang in (0, 1) for topic in draws.integers(0, _TOPICS, 600)]
    for topic in draws.integers(0, _TOPICS, pairs):
        lines += [text(1, int(topic)), text(0, int(topic))]
    starts = np.concatenate(([0], np.cumsum([len(line) for line in lines])))
    documents = {"aa": np.array([0, 600, 600]), "bb": np.array([600, 900, 1200])}
    ids = np.array([token for line in lines for token in line], np.uint16)
    return Store(ids, starts, documents, 1200, np.array([[1, 0]] * pairs, np.int64).reshape(-1, 2), ("aa", "bb"), {})


def _topic_vectors(vectors: np.ndarray, lang: int) -> np.ndarray:
    rows = [[_word(lang, topic, number) for number in range(_WORDS)] for topic in range(_TOPICS)]
    means = np.stack([vectors[row].mean(axis=0) for row in rows])
    return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True))


def test_words_of_one_topic_lie_together() -> None:
    vectors = start_vectors(_store(200), _VOCABULARY, 16, seed=1)
    topics = _topic_vectors(vectors, 0)
    for topic in range(_TOPICS):
        for number in range(_WORDS):
            assert (topics @ vectors[_word(0, topic, number)]).argmax() == topic


def test_translations_lie_together_and_without_them_they_do_not() -> None:
    with_pairs, without = (
        (_topic_vectors(vectors, 0) @ _topic_vectors(vectors, 1).T).argmax(axis=1) == np.arange(_TOPICS)
        for vectors in (start_vectors(_store(pairs), _VOCABULARY, 16, seed=1) for pairs in (200, 0))
    )
    assert with_pairs.all()
    assert not without.all()


@pytest.mark.parametrize("pairs", [0, 50])
def test_vectors_have_length_one_but_for_tokens_that_never_occur(pairs: int) -> None:
    vectors = start_vectors(_store(pairs), _VOCABULARY, 16, seed=1)
    lengths = np.linalg.norm(vectors, axis=1)
    assert np.allclose(lengths[5:-1], 1, atol=1e-5)
    assert not lengths[_UNUSED]
    assert np.array_equal(vectors, start_vectors(_store(pairs), _VOCABULARY, 16, seed=1))
