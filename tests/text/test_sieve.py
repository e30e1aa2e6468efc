"""Which lines are kept, against a plain loop."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsg.text import sieve
from mlsg.text.evaluation import EvaluationSentences
from mlsg.text.length import unfit
from mlsg.text.normalise import match_form
from mlsg.text.sieve import Sieve, Tally

_LINES = st.lists(st.text("aB1 猫", max_size=4), max_size=40)


@given(_LINES, st.booleans(), st.integers(1, 7))
def test_equals_a_plain_loop(lines: list[str], repetitions: bool, batch: int) -> None:
    evaluation = EvaluationSentences()
    evaluation.add("set", ["AB", "猫"])
    kept, dropped, seen = [], Counter[str](), set()
    for line in lines:
        reason = unfit(line, 2, 6)
        if reason is None and match_form(line) in {"ab", "猫"}:
            reason = "evaluation"
        if reason is None and not repetitions and line in seen:
            reason = "duplicate"
        if reason is None:
            kept.append(line)
            seen.add(line)
        else:
            dropped[reason] += 1
    tally = Tally()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sieve, "_BATCH", batch)
        batches = list(Sieve(2, 6, evaluation, repetitions).kept(lines, tally))
    assert [line for batch in batches for line in batch] == kept
    assert tally == Tally(len(lines), len(kept), dropped)


def test_without_evaluation_sentences_none_is_dropped() -> None:
    tally = Tally()
    assert list(Sieve(1, 9).kept(["one", "two", "one"], tally)) == [["one", "two"]]
    assert tally.dropped == {"duplicate": 1}
