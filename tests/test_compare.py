"""`mlsg run a b` and `mlsg compare` from recipes to the table."""

from __future__ import annotations

from pathlib import Path

import pytest
from scipy.stats import spearmanr

from mlsg.api import load_recipe, needs_text, run_eval, run_prepare, run_train
from mlsg.cache.workspace import Workspace
from mlsg.compare import compare_made, run_methods
from mlsg.config.recipes import Recipe
from mlsg.context import Context
from mlsg.errors import SettingError
from mlsg.evaluate.cosines import read_cosines
from tests.command import mlsg
from tests.contexts import context_of
from tests.evaluate.small_sets import small_catalog, write_sets
from tests.tiny_models import tiny_bert


@pytest.fixture
def context(tmp_path: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Context:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return context_of(workspace, small_catalog(tmp_path / "sets"))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("models") / "tiny")


def short(name: str, base: Path) -> Recipe:
    settings = {"train.model": str(base), "train.dev": "none", "prepare.lang": "aa", "eval.langs": ["aa"]}
    few = {"train.max_steps": 2, "train.batch_size": 4} if name == "simcse" else {}
    return load_recipe(name, **settings, **few)


def test_methods_are_run_over_seeds_and_found_again_without_work(context: Context, base: Path) -> None:
    recipes = [short("mean", base), short("simcse", base)]
    found = run_methods(recipes, context, (1, 2))
    rows = {row.name: row for row in found.rows}
    assert (rows["mean"].seeds, rows["simcse"].seeds) == (1, 2)  # a base that is not trained is the same for each seed
    assert found.against == "mean"
    assert rows["simcse"].speed
    values = []
    for seed in (1, 2):
        recipe = load_recipe("simcse", **_changed(recipes[1], seed))
        encoder = run_train(recipe, context, run_prepare(recipe, context) if needs_text(recipe) else None)
        cosines = read_cosines(run_eval(recipe, context, encoder).artefact)["small.aa"]
        values.append(spearmanr(cosines.gold, cosines.cosine).statistic)
    assert rows["simcse"].mean == pytest.approx(sum(values) / 2)
    made = sorted(path.name for path in (context.workspace.root / "encoders").iterdir())
    assert compare_made(recipes, context, (1, 2)) == found
    assert sorted(path.name for path in (context.workspace.root / "encoders").iterdir()) == made


def _changed(recipe: Recipe, seed: int) -> dict[str, object]:
    return {
        "train.model": recipe.train.model,
        "train.dev": "none",
        "train.max_steps": 2,
        "train.batch_size": 4,
        "train.seed": seed,
        "prepare.lang": "aa",
        "eval.langs": ["aa"],
    }


def test_what_was_not_run_cannot_be_compared(context: Context, base: Path) -> None:
    with pytest.raises(SettingError, match=r"not made yet: .*run: mlsg run mean cls"):
        compare_made([short("mean", base), short("cls", base)], context)


def test_a_recipe_named_twice_is_one_line(context: Context, base: Path) -> None:
    with pytest.raises(SettingError, match="two recipes of one name: mean, mean"):
        run_methods([short("mean", base)] * 2, context)


def test_the_commands_print_one_table(tmp_path: Path, base: Path) -> None:
    write_sets(tmp_path / "sets")
    options = ["--langs-dir", "sets", "--set", f"train.model={base}", "--set", 'eval.langs=["aa"]']
    ran = mlsg("run", "mean", "cls", *options, cwd=tmp_path, HF_HUB_OFFLINE="1")
    assert ran.code == 0, ran.err
    assert "minus" in ran.out
    again = mlsg("compare", "mean", "cls", "--against", "cls", *options, cwd=tmp_path, HF_HUB_OFFLINE="1")
    assert again.code == 0, again.err
    assert all(name in again.out for name in ("mean", "base CLS", "idf overlap", "cls"))
