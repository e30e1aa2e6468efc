"""The compact set of seen texts against Python's own set."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mlsg.text.deduplicate import SeenTexts
from mlsg.text.filter import digests


def _digests(texts: Iterable[str]) -> bytes:
    return digests(text.encode() for text in texts)


@given(st.lists(st.lists(st.text("abé猫", max_size=2), max_size=30), max_size=8))
def test_equals_a_set_of_strings(batches: list[list[str]]) -> None:
    seen, reference = SeenTexts(), set()
    for batch in batches:
        expected = []
        for text in batch:
            expected.append(text not in reference)
            reference.add(text)
        assert seen.add(_digests(batch)).tolist() == expected
    assert len(seen) == len(reference)


def test_nothing_is_lost_or_doubled_while_the_table_grows() -> None:
    seen = SeenTexts()
    rng = np.random.default_rng(0)
    numbers = rng.integers(0, 150_000, 300_000).tolist()
    kept = []
    for start in range(0, len(numbers), 5000):
        batch = numbers[start : start + 5000]
        fresh = seen.add(_digests(f"text {number}" for number in batch))
        kept += [number for number, new in zip(batch, fresh, strict=True) if new]
    assert kept == list(dict.fromkeys(numbers))


def test_many_texts_take_few_bytes() -> None:
    tracemalloc.start()
    seen = SeenTexts()
    for start in range(0, 200_000, 4000):
        seen.add(_digests(f"sentence number {number}, long enough" for number in range(start, start + 4000)))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(seen) == 200_000
    assert held < 50 * 200_000


def test_the_empty_text_is_a_text() -> None:
    seen = SeenTexts()
    assert seen.add(_digests(["", "a", ""])).tolist() == [True, True, False]
    assert seen.add(b"").tolist() == []
