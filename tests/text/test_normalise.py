"""The stored form and the form that is compared with evaluation sentences."""

from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mlsg.text.matching import match_form, match_forms
from mlsg.text.normalise import normalise, normalise_lines

_VISIBLE = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD, *range(0x13430, 0x13440)}
_SHAPING = {0x180E, 0x200C, 0x200D}
_DELETED = {*range(0x01, 0x09), *range(0x0E, 0x1C), 0x7F, 0x8F, 0x9F, *range(0xD800, 0xE000)}

# Characters that meet in odd ways: marks that compose or reorder, joiners, bidi marks, spaces, case that expands.
_ODD = st.text(
    "aeİßΣςẞ \t\u00a0\u2028\u0301\u0316\u0345\u0655\u0653اعकष्\u200b\u200c\u200d\u200e\ufeff❤\ufe0f🔥猫\u2329\xad\x00"
)
_ANY = st.one_of(st.text(), _ODD, st.text(st.characters(codec=None, categories=["Cs", "Cf", "Cc", "Zs", "Mn", "Lo"])))


@given(_ANY)
@example("\u0301\u200c\u0655\u200c")
@example("\u2329\u200d☃")
def test_normalise_twice_is_normalise_once(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once


@given(_ANY)
def test_the_result_is_nfc_stripped_and_can_be_written(text: str) -> None:
    result = normalise(text)
    assert unicodedata.is_normalized("NFC", result)
    assert result == result.strip()
    assert "  " not in result
    assert result.splitlines() in ([], [result])
    assert result.encode("utf-8").decode("utf-8") == result


@given(_ANY)
def test_composed_and_decomposed_input_become_one(text: str) -> None:
    assert normalise(unicodedata.normalize("NFD", text)) == normalise(unicodedata.normalize("NFC", text))


@given(_ANY)
def test_match_form_twice_is_match_form_once(text: str) -> None:
    once = match_form(text)
    assert match_form(once) == once


@given(st.text())
def test_match_form_forgets_case_of_canonically_equal_text(text: str) -> None:
    assert match_form(text) == match_form(text.casefold()) == match_form(unicodedata.normalize("NFD", text))


@given(st.lists(_ANY, min_size=1))
@example(["a ", "\u0301b", "  c", "d\u200c", "\u200de", "❤\u200d", "🔥"])
def test_many_lines_at_once_are_the_same_as_one_by_one(texts: list[str]) -> None:
    lines = [text.replace("\n", " ") for text in texts]
    assert normalise_lines("\n".join(lines)) == [normalise(text) for text in texts]


@given(st.lists(_ANY))
@example(["ᾳ\u0301", "\u0345\u0301", "می\u200cخواهم", "İI", ""])
@example(["İ\u0655"])
def test_many_match_forms_at_once_are_the_same_as_one_by_one(texts: list[str]) -> None:
    stored = [normalise(text) for text in texts]
    assert match_forms(stored) == [match_form(text) for text in texts]


def test_every_character_that_folds_or_decomposes_has_one_match_form() -> None:
    every = [chr(code) for code in range(sys.maxunicode + 1) if not 0xAC00 <= code < 0xE000]  # Hangul, surrogates
    chars = [char for char in every if char.casefold() != char or unicodedata.normalize("NFD", char) != char]
    for pattern in ("{}", "a{}\u0301", "Ω\u0316{}\u0301B"):
        stored = [normalise(pattern.format(char)) for char in chars]
        for start in range(0, len(stored), 1000):
            assert match_forms(stored[start : start + 1000]) == [match_form(s) for s in stored[start : start + 1000]]


def test_what_is_compared_has_no_control_and_format_character_but_the_named_ones() -> None:
    """NUL aside, which no reader lets through."""
    kept = {
        code
        for code in range(1, sys.maxunicode + 1)
        if unicodedata.category(chr(code)) in ("Cc", "Cf", "Cs") and match_form(f"a{chr(code)}b") not in ("ab", "a b")
    }
    named = _VISIBLE | _SHAPING - {0x200C, 0x200D}
    assert kept == {code for code in named if unicodedata.category(chr(code)) == "Cf"}


def test_what_is_stored_has_every_format_character_and_the_control_characters_that_some_tokenizer_sees() -> None:
    for code in range(sys.maxunicode + 1):
        char = chr(code)
        if unicodedata.category(char) in ("Cc", "Cf", "Cs") and not char.isspace():
            assert normalise(f"a{char}b") == ("ab" if code in _DELETED else f"a{char}b"), hex(code)


def test_every_white_space_becomes_one_space() -> None:
    for code in range(sys.maxunicode + 1):
        if chr(code).isspace():
            assert normalise(f"a{chr(code)}{chr(code)}b{chr(code)}") == "a b", hex(code)


def test_nothing_else_is_removed() -> None:
    for code in range(sys.maxunicode + 1):
        char = chr(code)
        if not char.isspace() and unicodedata.category(char) not in ("Cc", "Cf", "Cs"):
            assert normalise(f"x{char}") == unicodedata.normalize("NFC", f"x{char}"), hex(code)


_FLAG = "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"  # of England, by tag characters


@pytest.mark.parametrize(
    ("text", "stored", "compared"),
    [
        ("", "", ""),
        (" \t\u00a0\u3000\n", "", ""),
        ("\ufeffWith a BOM", "\ufeffWith a BOM", "with a bom"),
        ("Cafe\u0301\xa0 noir\n", "Café noir", "café noir"),
        ("co\xadoper\u200bate", "co\xadoper\u200bate", "cooperate"),
        ("\u202bשלום עולם\u202c", "\u202bשלום עולם\u202c", "שלום עולם"),
        ("\u200fمرحبا\u200e", "\u200fمرحبا\u200e", "مرحبا"),
        ("می\u200cخواهم", "می\u200cخواهم", "میخواهم"),
        ("می\u200c\u200c\u200cخواهم", "می\u200c\u200c\u200cخواهم", "میخواهم"),
        ("क्\u200dष", "क्\u200dष", "क्ष"),
        ("𞤀\u200c𞤁", "𞤀\u200c𞤁", "𞤢𞤣"),
        ("auf\u200clage", "auf\u200clage", "auflage"),
        (
            "👩\u200d🚀 ❤\ufe0f\u200d🔥 👩🏽\u200d⚕\ufe0f",
            "👩\u200d🚀 ❤\ufe0f\u200d🔥 👩🏽\u200d⚕\ufe0f",
            "👩🚀 ❤\ufe0f🔥 👩🏽⚕\ufe0f",
        ),
        (_FLAG, _FLAG, "🏴"),
        ("👩\u200d", "👩\u200d", "👩"),
        ("한글", unicodedata.normalize("NFC", "한글"), unicodedata.normalize("NFC", "한글")),
        ("half \ud800 surrogate", "half surrogate", "half surrogate"),
        ("don\x92t \x12stop", "don\x92t stop", "dont stop"),
        ("ｆｕｌｌ　ｗｉｄｔｈ ①", "ｆｕｌｌ ｗｉｄｔｈ ①", "ｆｕｌｌ ｗｉｄｔｈ ①"),
    ],
)
def test_examples(text: str, stored: str, compared: str) -> None:
    assert normalise(text) == stored
    assert match_form(text) == match_form(stored) == compared


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The  CAT", "the cat"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("ÉTÉ", "été"),
        ("ΣΑΣ", "σασ"),
        ("猫 ", "猫"),
    ],
)
def test_match_form_examples(text: str, expected: str) -> None:
    assert match_form(text) == expected
