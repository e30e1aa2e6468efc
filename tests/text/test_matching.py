"""What counts as the same sentence as one of an evaluation set, and what does not."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsg.text.evaluation import EvaluationSentences
from mlsg.text.filter import FilterCounts, LineFilter, filter_texts
from mlsg.text.matching import match_form, match_forms, near_form
from mlsg.text.normalise import normalise

HARAKAT = "\u064b\u064c\u064d\u064e\u064f\u0650\u0651\u0652\u0670\u06d6\u0640"  # and tatweel
LETTERS = st.text("abcdeghIiİıSŞsçğöü abñ. اكتبمئأؤإآ", min_size=1, max_size=30)
FOLDED_LETTERS = {"I": "İiı", "i": "Iİı", "İ": "Iiı", "ı": "Iİi"}


@st.composite
def _rewritten(draw: st.DrawFn) -> tuple[str, str]:
    """A text, and the same with case, one i for another, marks and white space changed, letter by letter."""
    text, other = draw(LETTERS), []
    for char in text:
        if char in FOLDED_LETTERS:
            char = draw(st.sampled_from(char + FOLDED_LETTERS[char]))  # noqa: PLW2901
        elif draw(st.booleans()) and len(char.swapcase()) == 1:
            char = char.swapcase()  # noqa: PLW2901
        other.append("  " if char == " " and draw(st.booleans()) else char)
        if "\u0621" <= char <= "\u064a":
            other.append(draw(st.text(HARAKAT, max_size=2)))
    form = draw(st.sampled_from(["NFC", "NFD"]))
    return text, unicodedata.normalize(form, "".join(other))


@given(_rewritten())
def test_what_is_folded_hides_no_sentence(texts: tuple[str, str]) -> None:
    text, other = texts
    assert match_form(other) == match_form(text)
    assert match_forms([normalise(other), normalise(text)]) == [match_form(text)] * 2


def _letters(text: str) -> list[str]:
    """The skeleton of a text, written out without `match_form`: its letters, one i, no case, white space as one."""
    plain = {"I": "i", "İ": "i", "ı": "i"}
    return [plain.get(char, char.lower()) for char in " ".join(text.split()) if char not in HARAKAT]


@given(LETTERS, LETTERS)
def test_texts_that_differ_otherwise_are_different_sentences(one: str, other: str) -> None:
    assert (match_form(one) == match_form(other)) == (_letters(one) == _letters(other))


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("IŞIK İÇİNDE", "ışık içinde"),
        ("İSTANBUL", "istanbul"),
        ("İSTANBUL", "ıstanbul"),
        ("Diyarbakır'ın", "DİYARBAKIR'IN"),
        ("كِتَابٌ جَدِيدٌ", "كتاب جديد"),
        ("الـكـتـاب", "الكتاب"),
        ("می\u200cخواهم", "میخواهم"),
        ("שָׁלוֹם", "שלום"),
        ("co\xadoperate", "cooperate"),
        ("Straße", "STRASSE"),
    ],
)
def test_spellings_of_one_sentence(text: str, other: str) -> None:
    assert match_form(text) == match_form(other)
    assert match_forms([normalise(text)]) == [match_form(other)]


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("أكل", "اكل"),  # hamza is part of the letter
        ("آب", "اب"),
        ("on", "ön"),
        ("cafe", "café"),
        ("a.", "a"),
        ("ab", "a b"),
        ("he is", "he it"),
        ("１２", "12"),
    ],
)
def test_other_sentences_stay_others(text: str, other: str) -> None:
    assert match_form(text) != match_form(other)


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("A cat .", "a cat."),
        ("A cat", "A cat!?"),
        ("Un gato .", "un gato"),
        ("猫だ。", "猫だ"),
        ("ok ( yes )", "OK (yes)"),
        ("a cat ?", "acat"),
    ],
)
def test_near_is_another_space_or_final_punctuation(text: str, near: str) -> None:
    assert match_form(text) != match_form(near)
    assert near_form(match_form(text)) == near_form(match_form(near))


def test_near_is_no_more_than_that() -> None:
    assert near_form("a, cat") != near_form("a cat")
    assert near_form("?!") == ""


@given(st.lists(st.sampled_from(["a cat .", "a cat.", "A cat", "a dog", "acat", "?", "a, cat"]), max_size=12))
def test_near_matches_are_dropped_and_counted_apart(texts: list[str]) -> None:
    sentences = EvaluationSentences()
    sentences.add("one", ["A cat."])
    sentences.add("two", ["A cat.", "..."])
    near = sentences.near()
    counts = FilterCounts()
    keep = LineFilter(1, 99, sentences.forms, repetitions=True, near=near.forms)
    kept = [line.decode() for batch in filter_texts(keep, texts, counts) for line in batch]
    assert kept == [text for text in texts if text in ("a dog", "a, cat")]
    same, nearly = texts.count("a cat."), sum(map(texts.count, ("a cat .", "A cat", "acat")))
    assert (counts.dropped["evaluation"], counts.dropped["near_evaluation"]) == (same, nearly)
    near.found(counts.near)
    assert {name: each.lines for name, each in near.counts().items()} == {"one": nearly, "two": nearly}
