"""`mlsg eval --prompt` and `--prompt-name`: scores are those of sentence-transformers with the same prompt."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sentence_transformer.modules import Pooling

from mlsg.api import run_eval_named
from mlsg.cache.workspace import Workspace
from mlsg.config.catalog import Catalog
from mlsg.config.recipes import EvalSettings, load_recipe
from mlsg.errors import SettingError
from mlsg.evaluate import evaluate
from mlsg.evaluate.cosines import read_cosines
from mlsg.evaluate.results import Scores
from mlsg.report.output import print_scores
from tests.contexts import context_of
from tests.evaluate.small_sets import pairs, small_catalog
from tests.tiny_models import tiny_bert
from tests.train.test_stage import recipe as training_recipe
from tests.train.test_stage import sentences

SETTINGS = EvalSettings(langs=("aa",), resamples=100)
QUERY = "query: "


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def e5(plain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As multilingual E5 is: prompts by name, none by default."""
    model = SentenceTransformer(
        modules=[Transformer(str(plain)), Pooling(32, "mean")], device="cpu", prompts={"query": QUERY, "passage": "p "}
    )
    folder = tmp_path_factory.mktemp("models") / "e5"
    model.save(str(folder))
    return folder


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return small_catalog(tmp_path_factory.mktemp("sets"))


def spearman(folder: Path, **reading: Any) -> float:
    """By sentence-transformers and scipy."""
    model = SentenceTransformer(str(folder), device="cpu")
    first, second = (model.encode([pair[side] for pair in pairs()], **reading).astype(np.float64) for side in (0, 1))
    cosines = (first * second).sum(1) / np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1)
    return float(scipy.stats.spearmanr(cosines.round(6), [pair[2] for pair in pairs()]).statistic)


def run(encoder: Path | str, workspace: Workspace, catalog: Catalog, **reading: str | None) -> Scores:
    return evaluate(str(encoder), SETTINGS, context_of(workspace, catalog), **reading)


def found(scores: Scores) -> float:
    score = scores.set_score("small.aa")
    assert score is not None and score.spearman is not None
    return score.spearman


def test_each_prompt_has_the_score_of_sentence_transformers_and_its_own_place(
    e5: Path, workspace: Workspace, catalog: Catalog
) -> None:
    ways: list[tuple[dict[str, str | None], str | None]] = [
        ({}, None),
        ({"prompt": QUERY}, QUERY),
        ({"prompt_name": "query"}, QUERY),
        ({"prompt_name": "passage"}, "p "),
        ({"prompt": "something else "}, "something else "),
        ({"prompt": ""}, None),
    ]
    seen = {}
    for reading, prompt in ways:
        scores = run(e5, workspace, catalog, **reading)
        assert found(scores) == pytest.approx(spearman(e5, **reading), abs=2e-3)
        assert scores.encoder.prompt == prompt
        assert scores.to_dict()["encoder"]["prompt"] == prompt
        assert (prompt is None) == (scores.encoder.title == "e5 (mean)")
        seen[json.dumps(reading)] = read_cosines(scores.artefact)["small.aa"].cosine
    assert np.array_equal(seen['{"prompt": "query: "}'], seen['{"prompt_name": "query"}'])
    assert np.array_equal(seen["{}"], seen['{"prompt": ""}'])
    assert not np.allclose(seen["{}"], seen['{"prompt": "query: "}'], atol=1e-3)
    assert len(workspace.artefacts("scores")) == len(ways)


def test_the_default_prompt_is_told_and_can_be_turned_off(
    plain: Path, workspace: Workspace, catalog: Catalog, tmp_path: Path
) -> None:
    model = SentenceTransformer(
        modules=[Transformer(str(plain)), Pooling(32, "mean")],
        device="cpu",
        prompts={"query": QUERY},
        default_prompt_name="query",
    )
    model.save(str(tmp_path / "st"))
    own, off = run(tmp_path / "st", workspace, catalog), run(tmp_path / "st", workspace, catalog, prompt="")
    assert (own.encoder.prompt, off.encoder.prompt) == (QUERY, None)
    assert found(own) == pytest.approx(spearman(tmp_path / "st"), abs=2e-3)
    assert found(off) == pytest.approx(spearman(tmp_path / "st", prompt=""), abs=2e-3)


def test_a_plain_model_and_its_bases_read_the_prompt(
    plain: Path, e5: Path, workspace: Workspace, catalog: Catalog
) -> None:
    scores = run(plain, workspace, catalog, pooling="mean", prompt=QUERY)
    assert found(scores) == pytest.approx(spearman(e5, prompt=QUERY), abs=2e-3)
    score = scores.set_score("small.aa")
    assert score is not None and score.baselines["base_mean"] == pytest.approx(found(scores), abs=1e-9)
    assert run(plain, workspace, catalog, pooling="max", prompt=QUERY).encoder.prompt == QUERY


def test_the_base_of_a_trained_encoder_reads_what_the_encoder_reads(
    e5: Path, workspace: Workspace, catalog: Catalog
) -> None:
    from mlsg.train import train

    wanted = training_recipe(e5, "train.max_steps=2", "train.dev=none", "encoder.prompt_name=query")
    made = train(wanted, context_of(workspace, catalog), sentences(workspace))
    for reading, prompt in (({}, QUERY), ({"prompt": ""}, ""), ({"prompt_name": "passage"}, "p ")):
        scores = evaluate(made, SETTINGS, context_of(workspace, catalog), **reading)
        score = scores.set_score("small.aa")
        assert score is not None
        assert score.baselines["base_mean"] == pytest.approx(spearman(e5, prompt=prompt), abs=2e-3)
        assert score.spearman == pytest.approx(spearman(made.folder, **reading), abs=2e-3)


def test_an_unknown_name_and_both_at_once_are_refused(
    plain: Path, e5: Path, workspace: Workspace, catalog: Catalog
) -> None:
    with pytest.raises(SettingError, match='did you mean "query"'):
        run(e5, workspace, catalog, prompt_name="quary")
    with pytest.raises(SettingError, match="--prompt, --prompt-name"):
        run(e5, workspace, catalog, prompt_name="query", prompt="a")
    with pytest.raises(SettingError, match="this encoder has none"):
        run(plain, workspace, catalog, pooling="mean", prompt_name="query")


def test_the_command_passes_prompts_on_and_shows_them(
    e5: Path, workspace: Workspace, catalog: Catalog, capsys: pytest.CaptureFixture[str]
) -> None:
    context = context_of(workspace, catalog)
    recipe = load_recipe("zero_shot", ['eval.langs=["aa"]', "eval.resamples=100"])
    scores, differences = run_eval_named(recipe, context, [str(e5)], pooling=None, prompt=QUERY, prompt_name=None)
    assert not differences
    print_scores(scores, json=None, markdown="-")
    assert 'e5 (mean, "query: ")' in capsys.readouterr().out
