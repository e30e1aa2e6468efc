"""Which lines are kept, against a plain loop; the same on any number of processes."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsg.text import filter, workers
from mlsg.text.filter import LineFilter
from mlsg.text.length import unfit
from mlsg.text.normalise import match_form, normalise
from mlsg.text.workers import FilterCounts, filter_texts

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


def _kept(
    texts: list[str], repetitions: bool, processes: int = 1, stored: bool = False
) -> tuple[list[str], FilterCounts]:
    counts = FilterCounts()
    batches = list(filter_texts(LineFilter(2, 6, _FORMS, repetitions, stored), texts, counts, processes))
    return [line.decode() for batch in batches for line in batch], counts


@given(_LINES, st.booleans(), st.integers(1, 30))
def test_equals_a_plain_loop(texts: list[str], repetitions: bool, size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(filter, "_BATCH", size)
        assert _kept(texts, repetitions) == _reference(texts, repetitions)
        stored = [normalise(text) for text in texts]
        assert _kept(stored, repetitions, stored=True) == _reference(stored, repetitions)


@pytest.mark.parametrize("repetitions", [False, True])
@pytest.mark.parametrize("processes", [1, 2, 3])
def test_the_number_of_processes_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, processes: int, repetitions: bool
) -> None:
    odd = ["", "\n", "aB", "Ab ", "x\ny", "half \ud800", "猫", "e\u0301", "a\u200bb", "１２", "12", "x" * 9, "d\u2028f"]
    texts = [f"{odd[number % len(odd)]}{number // 500 or ''}" for number in range(3000)]
    monkeypatch.setattr(filter, "_BATCH", 100)
    monkeypatch.setattr(workers, "_ALONE", 2)
    assert _kept(texts, repetitions, processes) == _reference(texts, repetitions)


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
        filtered = LineFilter(1, 99, frozenset({form})).apply("\n".join(stored))
        assert filtered.found == ({form: n} if (n := [match_form(text) for text in stored].count(form)) else {})
        assert [line.decode() for line in filtered.lines] == [t for t in stored if t and match_form(t) != form]


def test_without_evaluation_sentences_none_is_dropped() -> None:
    counts = FilterCounts()
    assert list(filter_texts(LineFilter(1, 9), ["one", "two", "one"], counts)) == [[b"one", b"two"]]
    assert counts == FilterCounts(3, 2, Counter(duplicate=1), Counter())


def test_no_text_is_no_line() -> None:
    assert _kept([], False) == ([], FilterCounts())
