"""Scores over seeds, against scipy and a loop over resamples."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

from mlsg.cache.artefact import Artefact, Request
from mlsg.cache.workspace import Workspace
from mlsg.errors import SettingError
from mlsg.evaluate.cosines import SetCosines, read_cosines, write_cosines
from mlsg.evaluate.over_seeds import encoders_of_seeds, over_seeds
from mlsg.evaluate.results import Scores
from mlsg.evaluate.statistics import resample_counts
from mlsg.report.tables import seeds_grids
from tests.report.written_scores import ENCODER, set_score

SETS = ("sts.es", "sts.tr", "sts.de")
PRIMARIES = {"es": "sts.es", "tr": "sts.tr", "de": "sts.de", "xx": None}
RESAMPLES, PAIRS = 60, 40
SETTINGS = {"resamples": RESAMPLES, "seed": 7}


def cosines_of(noise: Sequence[float], seed: int) -> dict[str, SetCosines]:
    """Cosines of an encoder with so much noise on each set; without noise they are all equal."""
    sets = {}
    for number, (each, spread) in enumerate(zip(SETS, noise, strict=True)):
        gold = np.random.default_rng(number).integers(0, 6, PAIRS).astype(float)
        cosine = gold + np.random.default_rng([seed, number]).normal(0, spread, PAIRS)
        sets[each] = SetCosines(gold, cosine if spread else np.zeros(PAIRS), 0, 0)
    return sets


def scores_of(
    workspace: Workspace, noise: Sequence[float], seed: int, base: dict[str, SetCosines] | None = None
) -> Scores:
    def make(folder: Path, scratch: Path) -> dict[str, object]:
        write_cosines(folder, {"encoder": cosines_of(noise, seed), **({"base_cls": base} if base else {})})
        return {}

    settings = {"seed": seed, "noise": list(noise)}
    artefact = workspace.build(Request("scores", 1, "tuned", settings, {}, {}), make)
    sets = [set_score(name, (name[-2:], name[-2:]), 0.5) for name in SETS]
    return Scores(artefact, ENCODER, "sts", PRIMARIES, sets, None, [], SETTINGS, {}, 1.0)


def rho(found: dict[str, SetCosines], name: str, rows: np.ndarray | None = None) -> float:
    rows = np.arange(PAIRS) if rows is None else rows
    return scipy.stats.spearmanr(found[name].cosine[rows], found[name].gold[rows]).statistic


def test_means_spreads_and_intervals_are_those_of_a_loop(workspace: Workspace) -> None:
    base = cosines_of((6, 7, 8), 99)
    scores = [scores_of(workspace, (2, 3, 4), seed, base) for seed in (1, 2, 3)]
    found = over_seeds((1, 2, 3), scores)
    own = [read_cosines(each.artefact) for each in scores]
    values = np.array([[rho(each, name) for name in SETS] for each in own])
    drawn = list(np.concatenate(list(resample_counts(PAIRS, resamples=RESAMPLES, seed=7))))
    rows = [np.repeat(np.arange(PAIRS), counts) for counts in drawn]
    again = np.array([[[rho(each, name, row) for name in SETS] for each in own] for row in rows])
    untuned = np.array([[rho(base, name, row) for name in SETS] for row in rows])

    for place, name in enumerate(SETS):
        score = found.means.set_score(name)
        assert score is not None
        assert score.spearman == pytest.approx(values[:, place].mean())
        assert score.interval == pytest.approx(np.percentile(again[:, :, place].mean(1), [2.5, 97.5]))
        assert found.spreads[name] == pytest.approx(values[:, place].std(ddof=1))
    assert found.spread == pytest.approx(values.mean(1).std(ddof=1))
    mean = found.means.mean
    assert mean is not None and mean.languages == 3
    assert mean.spearman == pytest.approx(values.mean())
    assert mean.interval == pytest.approx(np.percentile(again.mean((1, 2)), [2.5, 97.5]))
    assert list(mean.gains) == ["base_cls"]
    gain = mean.gains["base_cls"]
    assert gain.difference == pytest.approx(values.mean() - np.mean([rho(base, name) for name in SETS]))
    assert gain.interval == pytest.approx(np.percentile(again.mean((1, 2)) - untuned.mean(1), [2.5, 97.5]))


def test_a_set_without_a_score_with_every_seed_has_none(workspace: Workspace) -> None:
    scores = [scores_of(workspace, (2, 3, 4), 1), scores_of(workspace, (2, 0, 4), 2)]
    found = over_seeds((1, 2), scores)
    score = found.means.set_score("sts.tr")
    assert score is not None and score.spearman is None and score.interval is None
    assert "sts.tr" not in found.spreads
    assert found.means.mean is not None and found.means.mean.languages == 2


def test_one_seed_has_no_spread(workspace: Workspace) -> None:
    found = over_seeds((5,), [scores_of(workspace, (2, 3, 4), 5)])
    assert found.spread is None and set(found.spreads.values()) == {None}
    assert [row[4] for row in seeds_grids(found)[0].rows] == ["-"] * 5


def test_tables_and_json_show_the_spread_beside_the_score(workspace: Workspace) -> None:
    scores = [scores_of(workspace, (2, 3, 4), seed) for seed in (1, 2)]
    found = over_seeds((1, 2), scores)
    grid = seeds_grids(found)[0]
    assert grid.columns[:6] == ("lang", "set", "pairs", "score", "spread", "95%\ninterval")
    assert "mean of 2 seeds" in grid.title
    assert [row[0] for row in grid.rows] == ["es", "tr", "de", "xx", "mean"]
    assert [len(row) for row in grid.rows] == [len(grid.columns)] * 5
    spread = np.std([rho(read_cosines(each.artefact), "sts.es") for each in scores], ddof=1)
    assert grid.rows[0][4] == f"{100 * spread:.1f}"
    told = found.to_dict()
    assert told["schema"] == "mlsg.seeds/1" and told["seeds"] == [1, 2] and len(told["scores"]) == 2
    assert told["sets"][0]["spread"] == pytest.approx(spread, abs=1e-6)
    assert told["mean"]["spread"] == pytest.approx(found.spread, abs=1e-6)
    json.dumps(told)


def test_encoders_of_seeds_differ_in_nothing_else(workspace: Workspace) -> None:
    def encoder(seed: int, rate: float = 1e-3, text: str = "a") -> Artefact:
        settings = {"train": {"seed": seed, "rate": rate}, "encoder": {"pooling": "cls"}}
        request = Request("encoders", 1, "tiny", settings, {"sentences": text}, {"base": "b"})
        return workspace.build(request, lambda folder, scratch: {})

    wanted = [encoder(seed) for seed in (1, 2, 3)]
    encoder(4, rate=1e-4)
    encoder(4, text="b")
    for last in wanted:
        assert [each.key for each in encoders_of_seeds(last, (3, 1, 2), workspace)] == [
            wanted[place].key for place in (2, 0, 1)
        ]
    with pytest.raises(SettingError, match="with seed 4, 5"):
        encoders_of_seeds(wanted[0], (1, 4, 5), workspace)
