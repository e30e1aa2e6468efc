"""Which lines are kept, against a plain loop."""

from __future__ import annotations

from collections import Counter
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsg.text import filter
from mlsg.text.filter import FilterCounts, LineFilter, filter_texts
from mlsg.text.length import unfit
from mlsg.text.matching import match_form
from mlsg.text.normalise import normalise

_LINES = st.lists(st.text("aB1 猫é\u0301\u200b\n\ud800", max_size=4), max_size=40)
_FORMS = frozenset({"ab", "猫", "é"})


def _reference(texts: list[str], repetitions: bool) -> tuple[list[str], FilterCounts]:
    kept, counts, seen = [], FilterCounts(read=len(texts)), set()
    for text in texts:
        line = normalise(text)
        reason: str | None = unfit(line, 2, 6)
        if reason is None and match_form(line) in _FORMS:
            reason = "evaluation"
            counts.found[match_form(line)] += 1
        if reason is None and not repetitions and line in seen:
            reason = "duplicate"
        if reason is None:
            kept.append(line)
            seen.add(line)
        else:
            counts.dropped[reason] += 1
    counts.kept = len(kept)
    return kept, counts


def _kept(texts: list[str], repetitions: bool, stored: bool = False) -> tuple[list[str], FilterCounts]:
    counts = FilterCounts()
    batches = list(filter_texts(LineFilter(2, 6, _FORMS, repetitions, stored), texts, counts))
    return [line.decode() for batch in batches for line in batch], counts


@given(_LINES, st.booleans(), st.integers(1, 30))
def test_equals_a_plain_loop(texts: list[str], repetitions: bool, size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(filter, "_BATCH", size)
        assert _kept(texts, repetitions) == _reference(texts, repetitions)
        stored = [normalise(text) for text in texts]
        assert _kept(stored, repetitions, stored=True) == _reference(stored, repetitions)


@pytest.mark.parametrize("repetitions", [False, True])
def test_equals_a_plain_loop_over_many_batches(monkeypatch: pytest.MonkeyPatch, repetitions: bool) -> None:
    odd = ["", "\n", "aB", "Ab ", "x\ny", "half \ud800", "猫", "e\u0301", "a\u200bb", "１２", "12", "x" * 9, "d\u2028f"]
    texts = [f"{odd[number % len(odd)]}{number // 500 or ''}" for number in range(3000)]
    monkeypatch.setattr(filter, "_BATCH", 100)
    assert _kept(texts, repetitions) == _reference(texts, repetitions)


_LONG = [
    "abcdefg",
    "abcdefgh",
    "abcdefge\u0301",
    "abcdefghe\u0301",
    "abcdefghi j",
    "Ωbcdefghi",
    "abcdefgß hi",
    "straße 12",
]


@given(st.lists(st.sampled_from(_LONG + [text.upper() for text in _LONG] + [text[:8] + "Ж" for text in _LONG])))
def test_evaluation_sentences_are_found_whatever_they_begin_with(texts: list[str]) -> None:
    stored = [normalise(text) for text in texts]
    for sentence in _LONG:
        form = match_form(sentence)
        counts = FilterCounts()
        kept = list(filter_texts(LineFilter(1, 99, frozenset({form}), repetitions=True), stored, counts))
        assert counts.found == ({form: n} if (n := [match_form(text) for text in stored].count(form)) else {})
        assert [line.decode() for line in chain(*kept)] == [t for t in stored if t and match_form(t) != form]


_SIZES = st.text("aé1я猫ไ\u0e48\u0301😀𠀀 ", max_size=12)  # characters of 1 to 4 bytes, marks of both kinds


@given(st.lists(_SIZES, max_size=20), st.integers(0, 8), st.integers(1, 20))
def test_the_limits_are_those_of_unfit_whatever_the_bytes(texts: list[str], least: int, most: int) -> None:
    stored = [normalise(text) for text in texts]
    kept = list(chain(*filter_texts(LineFilter(least, most, repetitions=True), stored, FilterCounts())))
    assert [line.decode() for line in kept] == [text for text in stored if unfit(text, least, most) is None]


def test_without_evaluation_sentences_none_is_dropped() -> None:
    counts = FilterCounts()
    assert list(filter_texts(LineFilter(1, 9), ["one", "two", "one"], counts)) == [[b"one", b"two"]]
    assert counts == FilterCounts(3, 2, Counter(duplicate=1), Counter())


def test_no_text_is_no_line() -> None:
    assert _kept([], False) == ([], FilterCounts())
