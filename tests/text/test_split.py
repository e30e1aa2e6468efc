"""Documents to sentences: real paragraphs, scripts, odd input."""

from __future__ import annotations

import lzma
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsg.text.length import length
from mlsg.text.split import split, splitter

_SOLID = re.compile(r"\s+")


@pytest.mark.parametrize(
    ("lang", "document", "expected"),
    [
        ("en", "Dr. Lee paid 3.50 dollars. Who knew? Nobody!", ["Dr. Lee paid 3.50 dollars.", "Who knew?", "Nobody!"]),
        ("en", "A title\n\nThe text starts here. It goes on.", ["A title", "The text starts here.", "It goes on."]),
        ("es", "¿Qué hora es? No lo sé.", ["¿Qué hora es?", "No lo sé."]),
        ("ja", "雨が降る。傘がない。", ["雨が降る。", "傘がない。"]),
        ("zh", "你好吗？我很好。", ["你好吗？", "我很好。"]),
        ("hi", "यह घर है। वह पेड़ है।", ["यह घर है।", "वह पेड़ है।"]),
        ("ar", "أين الكتاب؟ على الطاولة.", ["أين الكتاب؟", "على الطاولة."]),
        ("xx", "Unknown code. Still split.", ["Unknown code.", "Still split."]),
        ("en", "", []),
        ("en", " \n\u2028 \n", []),
    ],
)
def test_examples(lang: str, document: str, expected: list[str]) -> None:
    assert list(split(document, lang)) == expected


@given(st.text(), st.sampled_from(["en", "th", "zh", "xx", ""]))
def test_no_character_is_lost_but_white_space(document: str, lang: str) -> None:
    assert _SOLID.sub("", "".join(split(document, lang))) == _SOLID.sub("", document)


def test_long_thai_is_cut_at_spaces() -> None:
    clauses = [f"แมวตัวที่{number}นอนหลับอยู่บนเก้าอี้" for number in range(30)]
    pieces = list(split(" ".join(clauses), "th"))
    assert " ".join(pieces) == " ".join(clauses)
    assert 1 < len(pieces) < 30
    assert all(length(piece) <= 240 for piece in pieces)


def test_a_long_sentence_of_another_script_stays_whole() -> None:
    sentence = "word " * 200 + "end."
    assert list(split(sentence, "en")) == [sentence]


@pytest.mark.parametrize("lang", ["en", "es", "ar", "tr", "zh", "ja", "ko", "hi", "de", "ru"])
def test_most_boundaries_of_real_paragraphs_are_found(shared: Path, lang: str) -> None:
    with lzma.open(shared / f"corpora/{lang}.txt.xz", "rt", encoding="utf-8") as file:
        documents = file.read(400_000).split("\n\n")[:40]
    right = named = true = 0
    for document in documents:
        lines = [line.strip() for line in document.split("\n") if line.strip()]
        found, wanted = _ends(split(("" if lang in ("zh", "ja") else " ").join(lines), lang)), _ends(lines)
        right, named, true = right + len(found & wanted), named + len(found), true + len(wanted)
    assert right / named > 0.85
    assert right / true > 0.7


def test_the_splitter_says_its_version() -> None:
    assert re.fullmatch(r"sentencex \d+\.\d+\.\d+", splitter())


def _ends(sentences: object) -> set[int]:
    """Where sentences end, in characters that are no white space."""
    ends, total = set(), 0
    for sentence in sentences:
        total += len(_SOLID.sub("", sentence))
        ends.add(total)
    return ends
