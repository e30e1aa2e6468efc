from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.tatoeba import accuracy, translations


def test_accuracy_is_that_of_a_double_loop() -> None:
    draws = np.random.default_rng(3)
    first, second = draws.normal(size=(20, 3)).astype(np.float32), draws.normal(size=(20, 3)).astype(np.float32)
    hits = 0
    for row, vector in enumerate(first):
        cosines = [vector @ other / (np.linalg.norm(vector) * np.linalg.norm(other)) for other in second]
        hits += cosines.index(max(cosines)) == row
    assert 0 < hits < 20
    assert accuracy(first, second) == hits / 20


@pytest.mark.parametrize("code", ["es", "ko"])
def test_both_sides_have_as_many_sentences(code: str, shared: Path) -> None:
    own, english = translations(shared / "data")[code]
    assert len(own) == len(english) == 1000
