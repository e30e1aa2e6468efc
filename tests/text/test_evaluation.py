"""Which evaluation sentences a text holds."""

from __future__ import annotations

import unicodedata

from mlsg.text.evaluation import EvaluationSentences
from mlsg.text.matching import match_form


def _find(sentences: EvaluationSentences, text: str) -> bool:
    """What the filter and `prepare` do with a line."""
    form = match_form(text)
    sentences.found({form: 1} if form in sentences.forms else {})
    return form in sentences.forms


def test_case_composition_and_white_space_do_not_hide_a_sentence() -> None:
    sentences = EvaluationSentences()
    sentences.add("a", ["The Café is  open."])
    assert _find(sentences, unicodedata.normalize("NFD", "the café IS open."))
    assert _find(sentences, "\ufeffTHE CAFÉ\u00a0is open.")
    assert not _find(sentences, "The cafe is open.")
    assert sentences.counts() == {"a": (2, 1, 1)}


def test_a_line_counts_for_every_set_that_has_it() -> None:
    sentences = EvaluationSentences()
    sentences.add("a", ["one", "two", "two"])
    sentences.add("b", ["two", "three", ""])
    assert [_find(sentences, text) for text in ("two", "TWO", "one", "four", "")] == [True, True, True, False, False]
    assert sentences.counts() == {
        "a": (3, 2, 2),
        "b": (2, 1, 2),
    }


def test_a_set_added_in_two_parts_counts_once() -> None:
    sentences = EvaluationSentences()
    sentences.add("a", ["one"])
    sentences.add("a", ["One", "two"])
    assert _find(sentences, "one")
    assert sentences.counts() == {"a": (1, 1, 2)}


def test_a_set_without_sentences_is_listed() -> None:
    sentences = EvaluationSentences()
    sentences.add("a", [])
    assert not _find(sentences, "one")
    assert sentences.counts() == {"a": (0, 0, 0)}
