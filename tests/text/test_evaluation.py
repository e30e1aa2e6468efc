"""Which evaluation sentences a text holds."""

from __future__ import annotations

import unicodedata

from mlsg.text.evaluation import EvaluationSentences


def test_case_composition_and_white_space_do_not_hide_a_sentence() -> None:
    sentences = EvaluationSentences()
    sentences.add("a", ["The Café is  open."])
    assert sentences.find(unicodedata.normalize("NFD", "the café IS open."))
    assert sentences.find("\ufeffTHE CAFÉ\u00a0is open.")
    assert not sentences.find("The cafe is open.")
    assert sentences.counts() == {"a": (2, 1, 1)}


def test_a_line_counts_for_every_set_that_has_it() -> None:
    sentences = EvaluationSentences()
    sentences.add("a", ["one", "two", "two"])
    sentences.add("b", ["two", "three", ""])
    assert [sentences.find(text) for text in ("two", "TWO", "one", "four", "")] == [True, True, True, False, False]
    assert sentences.counts() == {
        "a": (3, 2, 2),
        "b": (2, 1, 2),
    }


def test_a_set_added_in_two_parts_counts_once() -> None:
    sentences = EvaluationSentences()
    sentences.add("a", ["one"])
    sentences.add("a", ["One", "two"])
    assert sentences.find("one")
    assert sentences.counts() == {"a": (1, 1, 2)}


def test_a_set_without_sentences_is_listed() -> None:
    sentences = EvaluationSentences()
    sentences.add("a", [])
    assert not sentences.find("one")
    assert sentences.counts() == {"a": (0, 0, 0)}
