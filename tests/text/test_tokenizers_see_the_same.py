"""The stored form of a text is to every kind of tokenizer what the text itself is at evaluation."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
import sentencepiece
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, normalizers

from mlsg.text.filter import FilterCounts, LineFilter, filter_texts
from mlsg.text.normalise import normalise

_BERT = [normalizers.BertNormalizer(lowercase=lowercase) for lowercase in (True, False)]
_PIECES = sentencepiece.SentencePieceNormalizer(rule_name="nmt_nfkc")
_SEEN: dict[str, Callable[[str], list[str]]] = {
    "BERT, lower case": lambda text: _BERT[0].normalize_str(text).split(),
    "BERT": lambda text: _BERT[1].normalize_str(text).split(),
    "sentencepiece": lambda text: _PIECES.Normalize(text).split(),
}
_FLAG = "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"
_CODES = [
    code
    for code in range(sys.maxunicode + 1)
    if unicodedata.category(chr(code)) in ("Cc", "Cf") and not chr(code).isspace()
]


@pytest.mark.parametrize("tokenizer", _SEEN)
def test_every_control_and_format_character_wherever_it_stands(tokenizer: str) -> None:
    seen = _SEEN[tokenizer]
    for char in map(chr, _CODES):
        for text in (
            f"a{char}b",
            f"{char}a {char} b{char}",
            f"𞤀{char}𞤁",
            f"می{char}خ",
            f"👩{char}🚀",
            f"1{char}{char}2",
        ):
            assert seen(normalise(text)) == seen(text), (hex(ord(char)), text)


_TEXT = st.text(
    st.one_of(st.sampled_from([*map(chr, _CODES), " ", "\n", "\xa0", "。", *_FLAG]), st.characters(codec="utf-8")),
    max_size=20,
).map(
    lambda text: unicodedata.normalize("NFC", "".join(char for char in text if char in " \n\xa0" or not char.isspace()))
)


@pytest.mark.parametrize("tokenizer", _SEEN)
@given(text=_TEXT)
def test_any_text_in_composed_form(tokenizer: str, text: str) -> None:
    assert _SEEN[tokenizer](normalise(text)) == _SEEN[tokenizer](text)


@pytest.mark.parametrize(
    "text", ["hello\u200bworld, that is it", f"The flag {_FLAG} of England", "𞤀𞤣\u200c𞤤𞤢𞤥 in Adlam"]
)
def test_the_lines_of_prepare(text: str, shared: Path) -> None:
    (stored,) = [line.decode() for batch in filter_texts(LineFilter(10, 400), [text], FilterCounts()) for line in batch]
    assert stored == text
    mini = Tokenizer.from_file(str(shared / "models" / "mini" / "tokenizer.json"))
    assert mini.encode(stored).ids == mini.encode(text).ids
