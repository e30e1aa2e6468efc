"""Every set that is declared with files is read from the shared data and held against counts of another reader."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import spearmanr

from mlsg.config.catalog import load_catalog
from mlsg.data.pairs import GradedPairs, LocatedSet, locate_set, read_pairs
from tests.data.written import PretendedHub

CATALOG = load_catalog()
DECLARED = [each.name for each in CATALOG.all_sets() if each.files and each.root == "data"]
NOT_PAIRS = ("tatoeba.", "senteval.", "xnli.", "nli.")
OTHER_LANGUAGES = (
    "kardes_sts.",
    *(f"semrel24.{code}" for code in ("afr", "amh", "arq", "ary", "hau", "kin", "mar", "pan", "tel")),
)


@pytest.fixture(scope="module")
def counts(shared: Path) -> dict[str, dict[str, Any]]:
    return json.loads((shared / "data/counts.json").read_text(encoding="utf-8"))


def _read(name: str, shared: Path) -> GradedPairs:
    located = locate_set(CATALOG.pair_set(name), shared / "data", PretendedHub())
    assert isinstance(located, LocatedSet), located
    assert located.origin == "files"
    return read_pairs(located, PretendedHub())


@pytest.mark.parametrize("name", DECLARED)
def test_pairs_and_scores_are_those_that_were_counted(
    name: str, shared: Path, counts: dict[str, dict[str, Any]]
) -> None:
    pairs, counted = _read(name, shared), counts[name]
    assert (len(pairs.scores), min(pairs.scores), max(pairs.scores)) == (
        counted["pairs"],
        counted["min"],
        counted["max"],
    )
    assert len(pairs.first) == len(pairs.second) == counted["pairs"] == CATALOG.pair_set(name).pairs
    assert len(pairs.scores) - len(set(zip(pairs.first, pairs.second, strict=True))) == counted["duplicate_pairs"]
    assert all(text.strip() for text in pairs.first + pairs.second)


def test_every_set_of_our_languages_is_declared(counts: dict[str, dict[str, Any]]) -> None:
    expected = {name for name in counts if not name.startswith((*NOT_PAIRS, *OTHER_LANGUAGES))}
    assert set(DECLARED) == expected


@pytest.mark.parametrize(
    "name", [name for name in DECLARED if "@" not in name and len(set(CATALOG.pair_set(name).languages)) == 1]
)
def test_gold_belongs_to_its_line(name: str, shared: Path) -> None:
    """Shared character trigrams go with the score in every set; with one line out of place they do not."""
    pairs = _read(name, shared)
    overlap = [_trigram_overlap(first, second) for first, second in zip(pairs.first, pairs.second, strict=True)]
    aligned = spearmanr(overlap, pairs.scores).statistic
    shifted = spearmanr(overlap[1:] + overlap[:1], pairs.scores).statistic
    assert aligned > max(0.1, shifted)


def test_all_shared_files_are_read_within_half_a_minute(shared: Path) -> None:
    start = time.monotonic()
    for name in DECLARED:
        _read(name, shared)
    assert time.monotonic() - start < 30


def _trigram_overlap(first: str, second: str) -> float:
    size = 2 if any(letter > "\u2fff" for letter in first) else 3
    one, two = ({text[i : i + size].casefold() for i in range(len(text) - size + 1)} for text in (first, second))
    return len(one & two) / max(1, len(one | two))
