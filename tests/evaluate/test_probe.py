"""The probe against single evaluations and scipy; its choice looks at no score; its table, JSON and picture."""

from __future__ import annotations

import builtins
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import rankdata, spearmanr

from mlsg.cache.workspace import Workspace
from mlsg.config.recipes import EvalSettings
from mlsg.errors import SettingError
from mlsg.evaluate import probe as stage
from mlsg.evaluate.probe import POOLINGS, Probe, agreement, probe
from mlsg.model.encoder import Encoder
from mlsg.report.probe import draw_probe, probe_grids, probe_legend
from tests.contexts import context_of
from tests.evaluate.small_sets import pairs, small_catalog
from tests.tiny_models import tiny_bert

SETTINGS = EvalSettings(langs=("aa",))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture
def found(base: Path, tmp_path: Path) -> Probe:
    return probe(str(base), SETTINGS, context_of(Workspace(tmp_path / "work"), small_catalog(tmp_path / "langs")))


def test_each_score_is_that_of_an_encoder_with_this_layer_and_pooling(found: Probe, base: Path) -> None:
    first, second, gold = zip(*pairs(), strict=True)
    layers = max(layer for layer, _ in found.agreements)
    assert set(found.agreements) == {(layer, pooling) for layer in range(layers + 1) for pooling in POOLINGS}
    for (layer, pooling), score in found.scores["aa"].items():
        encoder = Encoder.load(base, pooling=pooling, layer=layer, device="cpu")
        left, right = (encoder.encode(list(texts)) for texts in (first, second))
        cosines = (left * right).sum(1) / np.linalg.norm(left, axis=1) / np.linalg.norm(right, axis=1)
        if np.ptp(cosines) < 1e-6:  # [CLS] of the embeddings
            continue
        assert score == pytest.approx(spearmanr(cosines, gold).statistic, abs=2e-3)


def test_agreement_is_the_correlation_with_the_mean_rank() -> None:
    generator = np.random.default_rng(1)
    candidates = [generator.normal(size=40).round(1) for _ in range(5)]
    consensus = np.mean([rankdata(each) for each in candidates], axis=0)
    expected = [spearmanr(each, consensus).statistic for each in candidates]
    assert agreement(candidates) == pytest.approx(expected)
    assert agreement([candidates[0], np.ones(40)]) == pytest.approx([1.0, -1.0])
    assert agreement([np.ones(40)]) == [-1.0]


def test_the_choice_looks_at_no_score(
    found: Probe, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = stage.read_pairs

    def shuffled(*given: Any) -> Any:
        own = read(*given)
        return replace(own, scores=list(np.random.default_rng(1).permutation(own.scores)))

    monkeypatch.setattr(stage, "read_pairs", shuffled)
    other = probe(str(base), SETTINGS, context_of(Workspace(tmp_path / "other"), small_catalog(tmp_path / "langs")))
    assert other.agreements == found.agreements
    assert other.chosen == found.chosen
    assert other.scores != found.scores


def test_the_second_time_nothing_is_encoded(
    found: Probe, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "_measured", lambda *given: pytest.fail("encoded again"))
    again = probe(str(base), SETTINGS, context_of(Workspace(tmp_path / "work"), small_catalog(tmp_path / "langs")))
    assert again == found


def test_tables_and_json_say_what_was_found(found: Probe) -> None:
    by_layer, by_language = probe_grids(found)
    assert len(by_layer.rows) == found.layers + 1
    assert [row[0] for row in by_language.rows] == ["aa"]
    assert len(probe_legend(found)) == 2
    document = found.to_dict()
    assert document["schema"] == "mlsg.probe/1"
    assert document["chosen"] == dict(zip(("layer", "pooling"), found.chosen, strict=True))
    assert len(document["rows"]) == len(found.agreements)


def test_without_matplotlib_a_picture_is_one_line(
    found: Probe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = builtins.__import__

    def lacking(name: str, *given: Any, **more: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return whole(name, *given, **more)

    monkeypatch.setattr(builtins, "__import__", lacking)
    monkeypatch.delitem(sys.modules, "matplotlib", raising=False)
    with pytest.raises(SettingError, match="pip install matplotlib"):
        draw_probe(found, tmp_path / "curves.png")


def test_the_picture_is_drawn(found: Probe, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    draw_probe(found, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(SettingError, match="cannot be written"):
        draw_probe(found, tmp_path / "curves.nonsense")
