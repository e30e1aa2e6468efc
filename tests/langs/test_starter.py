"""What is embedded: the graded pairs written for this project, and the English sentences."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest
from scipy.stats import pearsonr, spearmanr

from mlsg.config.catalog import load_catalog
from mlsg.config.resources import starter_folder
from mlsg.data.pairs import GradedPairs, LocatedSet, locate_set, read_pairs
from mlsg.text.matching import match_form
from mlsg.text.overlap import idf_overlap, overlap
from tests.data.written import PretendedHub

CATALOG = load_catalog()
STARTER = [each.name for each in CATALOG.all_sets() if each.family == "starter"]


def _read(name: str, data_root: Path | None = None) -> GradedPairs:
    located = locate_set(CATALOG.pair_set(name), data_root, PretendedHub())
    assert isinstance(located, LocatedSet), located
    return read_pairs(located, PretendedHub())


def _forms(pairs: GradedPairs) -> set[str]:
    return {match_form(text) for text in pairs.first + pairs.second}


@pytest.mark.parametrize("name", STARTER)
def test_a_language_has_120_pairs_or_more_and_15_or_more_of_each_grade(name: str) -> None:
    pairs = _read(name)
    assert len(pairs.scores) >= 120
    assert min(Counter(pairs.scores)[grade] for grade in range(6)) >= 15
    assert set(pairs.scores) == set(range(6))
    assert len(set(zip(pairs.first, pairs.second, strict=True))) == len(pairs.scores)


@pytest.mark.parametrize("name", STARTER)
def test_counting_shared_words_does_not_solve_the_pairs(name: str) -> None:
    pairs = _read(name)
    spaced = CATALOG.language(name.removeprefix("starter.")).spaced
    for counted in (overlap, idf_overlap):
        assert spearmanr(counted(pairs.first, pairs.second, spaced), pairs.scores).statistic < 0.6


@pytest.mark.parametrize("name", STARTER)
def test_a_second_reading_agrees_with_the_grades(name: str) -> None:
    path = starter_folder() / "pairs" / f"{name.removeprefix('starter.')}.tsv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    first, second = ([float(row[column]) for row in rows] for column in ("score", "second_reading"))
    assert first == _read(name).scores
    assert pearsonr(first, second).statistic > 0.95
    assert max(abs(a - b) for a, b in zip(first, second, strict=True)) <= 1


def test_the_grade_of_a_pair_is_the_same_in_every_language() -> None:
    assert len({tuple(_read(name).scores) for name in STARTER}) == 1


def test_the_starters_sentences_and_its_pairs_have_none_in_common() -> None:
    lines = (starter_folder() / "sentences" / "en.txt").read_text(encoding="utf-8").splitlines()
    assert len({match_form(line) for line in lines}) == len(lines) >= 1500
    assert not {match_form(line) for line in lines} & set().union(*(_forms(_read(name)) for name in STARTER))


def test_no_sentence_of_the_starter_is_in_another_evaluation_set(shared: Path) -> None:
    ours = set().union(*(_forms(_read(name)) for name in STARTER))
    ours |= set(map(match_form, (starter_folder() / "sentences" / "en.txt").read_text(encoding="utf-8").splitlines()))
    others = [each.name for each in CATALOG.all_sets() if each.files and each.root == "data"]
    assert len(others) > 50
    for name in others:
        assert not ours & _forms(_read(name, shared / "data")), name
